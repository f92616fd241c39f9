//! The use cases of Azure's dialect, declared for its door.

use std::sync::Arc;

use serde_json::{Value, json};

use super::challenge::correlation;
use super::{Broker, Caller, Seat};

macro_rules! types {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A type of attestation as a path names it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs)] // the names say it
        pub enum AttestationType { $($(#[$doc])* $name,)* }

        impl AttestationType {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
            /// The canonical spelling.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
            /// Reads a name without regard to case.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.as_str().eq_ignore_ascii_case(text))
            }
        }
    };
}

types! {
    SgxEnclave = "SgxEnclave",
    OpenEnclave = "OpenEnclave",
    Tpm = "Tpm",
    SevSnpVm = "SevSnpVm",
    TdxVm = "TdxVm",
    AzureGuest = "AzureGuest",
    Pluton = "Pluton",
    KeyGuard = "KeyGuard",
    MdepTz = "MdepTz",
    AiHsm = "AiHsm",
    VbsEnclave = "VbsEnclave",
    CyResComponent = "CyResComponent",
}

/// Data that a workload holds, and whether it is to be read as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldData {
    /// As sent, decoded.
    pub bytes: Vec<u8>,
    /// A UTF-8 JSON object.
    pub json: bool,
}

/// Judge evidence and issue a token in Azure's form.
pub struct AzureAttestRequest {
    /// Where it came in.
    pub seat: Seat,
    /// Who asks, where that matters.
    pub caller: Caller,
    /// What kind of evidence.
    pub attestation_type: AttestationType,
    /// Decoded.
    pub evidence: Vec<u8>,
    /// Bound by the report data.
    pub runtime: Option<HeldData>,
    /// Bound at launch.
    pub init: Option<HeldData>,
    /// Echoed.
    pub nonce: Option<String>,
    /// Evaluated in place of the stored policy.
    pub draft_policy: Option<String>,
    /// Whether the evaluation is told.
    pub trace: bool,
}

/// The answer to an attestation.
pub struct AzureAttestAnswer {
    /// The token.
    pub token: String,
    /// The evaluation, where it was asked for.
    pub trace: Option<Value>,
}

/// What a refusal is called in this dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it
pub enum AzureFaultKind {
    Unauthorized,
    InvalidParameter,
    InvalidQuote,
    InvalidOperation,
    PolicyParsingError,
    PolicyEvaluationError,
    PolicyNotSet,
    TooLarge,
    RateLimited,
    Unavailable,
    Internal,
    NotFound,
}

/// A refusal in this dialect.
#[derive(Debug, Clone)]
pub struct AzureFault {
    /// What it is called.
    pub kind: AzureFaultKind,
    /// Words of ours.
    pub message: String,
    /// Under which the audit has the rest.
    pub correlation: String,
    /// Seconds after which asking again makes sense.
    pub retry_after: Option<u32>,
    /// The evaluation, where it was asked for.
    pub trace: Option<Value>,
}

fn declared<T>(kind: AzureFaultKind) -> Result<T, AzureFault> {
    let message = "not served yet".to_owned();
    Err(AzureFault { kind, message, correlation: correlation(), retry_after: Some(1), trace: None })
}

#[allow(missing_docs, clippy::missing_errors_doc, clippy::unused_async)]
impl Broker {
    pub async fn azure_attest(self: &Arc<Self>, request: AzureAttestRequest) -> Result<AzureAttestAnswer, AzureFault> {
        match request.attestation_type {
            AttestationType::Tpm => declared(AzureFaultKind::PolicyNotSet),
            _ => declared(AzureFaultKind::Unavailable),
        }
    }
    pub fn azure_policy(&self, _: &Seat, _: Option<&str>, _: AttestationType) -> Result<String, AzureFault> {
        declared(AzureFaultKind::Unavailable)
    }
    pub fn azure_set_policy(
        &self,
        _: &Seat,
        _: Option<&str>,
        _: AttestationType,
        _: &str,
    ) -> Result<String, AzureFault> {
        declared(AzureFaultKind::Unavailable)
    }
    pub fn azure_reset_policy(
        &self,
        _: &Seat,
        _: Option<&str>,
        _: AttestationType,
        _: &str,
    ) -> Result<String, AzureFault> {
        declared(AzureFaultKind::Unavailable)
    }
    pub fn azure_certificates(&self, _: &Seat, _: Option<&str>) -> Result<String, AzureFault> {
        declared(AzureFaultKind::Unavailable)
    }
    pub fn azure_add_certificate(&self, _: &Seat, _: Option<&str>, _: &str) -> Result<String, AzureFault> {
        declared(AzureFaultKind::Unavailable)
    }
    pub fn azure_remove_certificate(&self, _: &Seat, _: Option<&str>, _: &str) -> Result<String, AzureFault> {
        declared(AzureFaultKind::Unavailable)
    }
    pub fn azure_certs(&self, _: &Seat) -> Result<Value, AzureFault> {
        Ok(json!({"keys": []}))
    }
    pub fn azure_discovery(&self, seat: &Seat) -> Value {
        json!({"issuer": seat.provider.issuer()})
    }
    pub fn azure_baselines(&self, _: &Seat) -> Value {
        json!({"tcbBaselines": []})
    }
}
