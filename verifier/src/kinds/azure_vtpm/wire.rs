//! The document: a JSON object of bytes in base64url and values of registers in hex. `docs/evidence/azure-vtpm.md`.

use crate::error::VerifyError;
use crate::formats::tcg::{PcrValues, event_log, ima};
use crate::formats::tpm::{Attest, PublicArea, Signature};
use crate::kinds::tpm::wire::{Members, ResidentKey, read_pcrs, read_resident};

use super::hcl::{Hardware, HclReport};

const PART: &str = "azure-vtpm-document";

/// What names the attestation key of the virtual TPM, and the hardware's word for it.
#[derive(Debug, Clone)]
pub(super) enum Paravisor {
    /// Its report, as the NV index holds it.
    Report(Vec<u8>),
    /// The run-time data alone, and below SEV-SNP the hardware's report, 1184 bytes: what some clients take out of the NV index.
    Parts { runtime: Vec<u8>, snp: Option<Vec<u8>> },
}

impl Paravisor {
    /// Reads what was sent.
    ///
    /// # Errors
    /// As [`HclReport::parse`] and [`HclReport::of_parts`].
    pub fn report(&self) -> Result<HclReport<'_>, VerifyError> {
        match self {
            Self::Report(bytes) => HclReport::parse(bytes),
            Self::Parts { runtime, snp } => {
                HclReport::of_parts(runtime, snp.as_deref().map_or(Hardware::Tdx, Hardware::Snp))
            }
        }
    }

    fn read(members: &mut Members) -> Result<Self, VerifyError> {
        let report = members.bytes("hcl_report")?;
        let (runtime, snp) = (members.bytes("runtime_data")?, members.bytes("snp_report")?);
        match (report, runtime, snp) {
            (Some(report), None, None) => Ok(Self::Report(report)),
            (None, Some(runtime), snp) => Ok(Self::Parts { runtime, snp }),
            (None, None, _) => Err(VerifyError::malformed(PART, "member `hcl_report` or `runtime_data` is missing")),
            (Some(_), ..) => {
                Err(VerifyError::malformed(PART, "the paravisor's report stands whole or in parts, not both"))
            }
        }
    }
}

/// A document, not yet believed.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub paravisor: Paravisor,
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
        let paravisor = Paravisor::read(&mut members)?;
        let td_quote = members.bytes("td_quote")?;
        let certificates = members.certificates("certificates")?;
        match (paravisor.report()?.hardware, &td_quote) {
            (Hardware::Snp(_), None) => {}
            (Hardware::Snp(_), Some(_)) => {
                return Err(VerifyError::malformed(
                    PART,
                    "the report is of SEV-SNP, and a `td_quote` stands beside it",
                ));
            }
            (Hardware::Tdx, None) => {
                return Err(VerifyError::malformed(
                    PART,
                    "the report is of TDX, which nobody signed: `td_quote` is missing",
                ));
            }
            (Hardware::Tdx, Some(_)) if !certificates.is_empty() => {
                return Err(VerifyError::malformed(PART, "`certificates` are for SEV-SNP; a TD quote brings its own"));
            }
            (Hardware::Tdx, Some(_)) => {}
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
        Ok(Self { paravisor, td_quote, certificates, quote, signature, ak, pcrs, event_log, ima_log, resident })
    }
}
