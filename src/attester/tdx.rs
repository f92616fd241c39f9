//! Intel TDX: a quote through the kernel's report folder.
//!
//! Linux, `configfs-tsm-report`, provider `tdx_guest`; the quoting enclave runs on the host, so a quote can take a second.

use super::{Attester, AttesterError, Options, Wanted, configfs, present};

/// Shows that the machine is a trust domain.
pub(super) const DEVICE: &str = "dev/tdx_guest";

struct Tdx(Options);

pub(super) fn make(options: &Options) -> Result<Box<dyn Attester>, AttesterError> {
    present(
        &options.path(configfs::FOLDER),
        "run inside a TDX virtual machine with Linux 6.7 or newer and configfs mounted on /sys/kernel/config",
    )?;
    Ok(Box::new(Tdx(options.clone())))
}

impl Attester for Tdx {
    fn kind(&self) -> &'static str {
        "tdx"
    }
    fn evidence(&self, wanted: &Wanted) -> Result<Vec<u8>, AttesterError> {
        configfs::report(&self.0.root, "tdx_guest", &wanted.report_data).map(|report| report.outblob)
    }
}
