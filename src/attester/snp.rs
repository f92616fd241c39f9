//! AMD SEV-SNP: a report, followed by the certificates that the host gave along, if any.
//!
//! Linux, `configfs-tsm-report`, provider `sev_guest`; on older kernels the device `/dev/sev-guest`. GHCB specification
//! (AMD 56421) section 4.1.8.1 for the certificate table.

use super::{Attester, AttesterError, Options, Wanted, configfs, present, sev_guest};

/// Shows that the machine is an SNP guest.
pub(super) const DEVICE: &str = "dev/sev-guest";

struct Snp(Options);

pub(super) fn make(options: &Options) -> Result<Box<dyn Attester>, AttesterError> {
    if !configfs::is_here(&options.root) {
        present(
            &options.path(DEVICE),
            "run inside a SEV-SNP virtual machine with the kernel module `sev-guest` loaded, as a user who may open it",
        )?;
    }
    Ok(Box::new(Snp(options.clone())))
}

impl Attester for Snp {
    fn kind(&self) -> &'static str {
        "snp"
    }
    fn evidence(&self, wanted: &Wanted) -> Result<Vec<u8>, AttesterError> {
        let data = &wanted.report_data;
        let (report, table) = if configfs::is_here(&self.0.root) {
            let report = configfs::report(&self.0.root, "sev_guest", data)?;
            (report.outblob, report.auxblob)
        } else {
            sev_guest::report(&self.0.path(DEVICE), data)?
        };
        Ok(with_table(report, &table))
    }
}

/// A table of nothing but zeroes is what a host without certificates hands out: it is left away.
pub(super) fn with_table(mut report: Vec<u8>, table: &[u8]) -> Vec<u8> {
    if table.iter().any(|byte| *byte != 0) {
        report.extend_from_slice(table);
    }
    report
}
