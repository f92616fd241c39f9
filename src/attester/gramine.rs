//! Intel SGX under Gramine: files that the library OS puts in front of the enclave.
//!
//! Gramine documentation, *Attestation and Secret Provisioning*, section on `/dev/attestation`.

use super::{Attester, AttesterError, Options, Wanted, present, read_bounded, write_whole};

/// Shows that the process runs in an enclave under Gramine with remote attestation switched on.
pub(super) const DEVICE: &str = "dev/attestation/quote";
const REPORT_DATA: &str = "dev/attestation/user_report_data";
const TYPE: &str = "dev/attestation/attestation_type";
/// The most bytes of a quote; real ones have about five thousand.
const MAX_QUOTE: u64 = 64 * 1024;

struct Gramine(Options);

pub(super) fn make(options: &Options) -> Result<Box<dyn Attester>, AttesterError> {
    present(
        &options.path(REPORT_DATA),
        "run under Gramine in an SGX enclave, with `sgx.remote_attestation = \"dcap\"` in its manifest",
    )?;
    Ok(Box::new(Gramine(options.clone())))
}

impl Attester for Gramine {
    fn kind(&self) -> &'static str {
        "sgx"
    }
    fn evidence(&self, wanted: &Wanted) -> Result<Vec<u8>, AttesterError> {
        let kind = self.0.path(TYPE);
        // Gramine before 1.4 has no such file, and DCAP and EPID quotes tell themselves apart by their version.
        if kind.exists() {
            let text = read_bounded(&kind, 64)?;
            if text.trim_ascii() != b"dcap" {
                let detail = format!("the attestation type is `{}`, not `dcap`", String::from_utf8_lossy(&text).trim());
                return Err(AttesterError::Answer { path: kind, detail });
            }
        }
        write_whole(&self.0.path(REPORT_DATA), &wanted.report_data)?;
        let path = self.0.path(DEVICE);
        let quote = read_bounded(&path, MAX_QUOTE)?;
        if quote.is_empty() {
            return Err(AttesterError::Answer { path, detail: "it is empty".to_owned() });
        }
        Ok(quote)
    }
}
