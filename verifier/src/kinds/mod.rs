//! The kinds of evidence, one line each.

pub(crate) mod azure_vtpm;
pub(crate) mod nitro;
pub(crate) mod sgx;
pub(crate) mod snp;
pub(crate) mod software;
pub(crate) mod tdx;
pub(crate) mod tpm;

use crate::error::VerifyError;
use crate::scheme::Scheme;

/// A kind of evidence, as it stands in requests and claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EvidenceKind {
    /// Intel SGX DCAP quote.
    Sgx,
    /// Intel TDX DCAP quote.
    Tdx,
    /// AMD SEV-SNP attestation report.
    Snp,
    /// AWS Nitro Enclaves attestation document.
    Nitro,
    /// Quote of a TPM 2.0, whose attestation key an enrolment, a certificate or a pin vouches for.
    Tpm,
    /// Quote of the virtual TPM of a confidential machine on Azure, with the report of its hardware.
    AzureVtpm,
    /// The software attester: no hardware, for demonstrations and tests; no built-in anchor.
    Software,
}

impl EvidenceKind {
    /// Every kind.
    pub const ALL: &'static [EvidenceKind] =
        &[Self::Sgx, Self::Tdx, Self::Snp, Self::Nitro, Self::Tpm, Self::AzureVtpm, Self::Software];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sgx => "sgx",
            Self::Tdx => "tdx",
            Self::Snp => "snp",
            Self::Nitro => "nitro",
            Self::Tpm => "tpm",
            Self::AzureVtpm => "azure-vtpm",
            Self::Software => "software",
        }
    }

    /// The largest piece of evidence that is looked at, in bytes: a TPM's comes with its event logs.
    pub const fn max_bytes(self) -> usize {
        match self {
            Self::Tpm | Self::AzureVtpm => 8 << 20,
            Self::Sgx | Self::Tdx | Self::Snp | Self::Nitro | Self::Software => 1 << 20,
        }
    }

    /// Reads the word on the wire, exactly.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|k| k.as_str() == text)
    }

    /// The kind whose layout these bytes have, if exactly one fits. A guess, never a reason to trust.
    pub fn guess(bytes: &[u8]) -> Option<Self> {
        let mut fitting = Self::ALL.iter().copied().filter(|k| k.scheme().looks_like(bytes));
        let first = fitting.next()?;
        fitting.next().is_none().then_some(first)
    }

    /// Whether these bytes parse as this kind. Says nothing about trust: no signature, no date is looked at.
    ///
    /// # Errors
    /// `malformed`, `unsupported` or `too-large`, as [`crate::Verifier::verify`] would refuse them.
    pub fn check_layout(self, bytes: &[u8]) -> Result<(), VerifyError> {
        crate::verify::bounded(self, bytes)?;
        self.scheme().parse(bytes).map(drop)
    }

    pub(crate) fn scheme(self) -> &'static dyn Scheme {
        match self {
            Self::Sgx => &sgx::Sgx,
            Self::Tdx => &tdx::Tdx,
            Self::Snp => &snp::Snp,
            Self::Nitro => &nitro::Nitro,
            Self::Tpm => &tpm::Tpm,
            Self::AzureVtpm => &azure_vtpm::AzureVtpm,
            Self::Software => &software::Software,
        }
    }
}
