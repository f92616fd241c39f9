//! The document: a JSON object of bytes in base64url and values of registers in hex. `docs/evidence/azure-vtpm.md`.

use crate::error::VerifyError;
use crate::formats::tcg::{PcrValues, event_log, ima};
use crate::formats::tpm::{Attest, PublicArea, Signature};
use crate::kinds::tpm::wire::{Members, ResidentKey, read_pcrs, read_resident};

use super::hcl::{Hardware, HclReport};

const PART: &str = "azure-vtpm-document";

/// A document, not yet believed.
#[derive(Debug, Clone)]
pub(super) struct Document {
    /// The paravisor's report, as the NV index holds it.
    pub hcl_report: Vec<u8>,
    /// The quote of the trust domain; only below TDX.
    pub td_quote: Option<Vec<u8>>,
    /// Certificates of the SEV-SNP signing key and above, DER, in any order; hints.
    pub certificates: Vec<Vec<u8>>,
    /// TPMS_ATTEST.
    pub quote: Vec<u8>,
    /// TPMT_SIGNATURE.
    pub signature: Vec<u8>,
    /// The attestation key as the client sees it; the report's is the one that counts.
    pub ak: Option<PublicArea>,
    pub pcrs: PcrValues,
    /// As the firmware wrote it.
    pub event_log: Option<Vec<u8>>,
    /// As the kernel wrote it.
    pub ima_log: Option<Vec<u8>>,
    pub resident: Option<ResidentKey>,
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// `malformed`, `too-large`, `unsupported` of the document and of the structures in it; `malformed` where hardware and members
    /// do not fit: a TD quote beside a report of SEV-SNP, none beside one of TDX (TPM-32); `signature-invalid.magic`.
    pub fn parse(bytes: &[u8]) -> Result<Self, VerifyError> {
        let mut members = Members::of(bytes, PART)?;
        if members.text("kind")?.as_deref() != Some("azure-vtpm") {
            return Err(VerifyError::malformed(PART, "member `kind` is not `azure-vtpm`"));
        }
        let hcl_report = members.required("hcl_report")?;
        let td_quote = members.bytes("td_quote")?;
        let certificates = members.certificates("certificates")?;
        match (HclReport::parse(&hcl_report)?.hardware, &td_quote) {
            (Hardware::Snp(_), None) => {}
            (Hardware::Snp(_), Some(_)) => {
                return Err(VerifyError::malformed(
                    PART,
                    "the report is of SEV-SNP, and a `td_quote` stands beside it",
                ));
            }
            (Hardware::Tdx(_), None) => {
                return Err(VerifyError::malformed(
                    PART,
                    "the report is of TDX, which nobody signed: `td_quote` is missing",
                ));
            }
            (Hardware::Tdx(_), Some(_)) if !certificates.is_empty() => {
                return Err(VerifyError::malformed(PART, "`certificates` are for SEV-SNP; a TD quote brings its own"));
            }
            (Hardware::Tdx(_), Some(_)) => {}
        }
        let quote = members.required("quote")?;
        Attest::parse(&quote)?;
        let signature = members.required("signature")?;
        Signature::parse(&signature)?;
        let ak = members.bytes("ak")?.map(|area| PublicArea::parse(&area)).transpose()?;
        let pcrs = read_pcrs(members.take("pcrs"))?;
        let event_log = members.log("event_log", event_log::MAX_LOG)?;
        let ima_log = members.log("ima_log", ima::MAX_LOG)?;
        let resident = members.take("recipient_key").map(read_resident).transpose()?;
        members.finish()?;
        Ok(Self { hcl_report, td_quote, certificates, quote, signature, ak, pcrs, event_log, ima_log, resident })
    }
}
