//! Refusals of the attestation door: kinds that its clients know, and a sentence.
//!
//! `maa-rest-api.md` section 8. The sentence never says more than the native door would: what only the audit may know stays there.

use serde_json::Value;

use crate::broker::error::{BrokerError, Code, Fault};

/// Kinds of refusals, as clients tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AzureFaultKind {
    /// No caller, or one without the role.
    Unauthorized,
    /// Evidence, binding, baseline or certificate.
    InvalidParameter,
    /// A signed policy that is none, or an operation that this trust model does not have.
    InvalidOperation,
    /// The policy does not parse.
    PolicyParsingError,
    /// The policy says no, or cannot be evaluated.
    PolicyEvaluationError,
    /// `Bad request`: the type has no policy.
    PolicyNotSet,
    /// A limit is passed.
    TooLarge,
    /// Too many requests.
    RateLimited,
    /// Not now.
    Unavailable,
    /// There is no such thing.
    NotFound,
}

/// A refusal.
#[derive(Debug, Clone)]
pub struct AzureFault {
    /// Its kind.
    pub kind: AzureFaultKind,
    /// A sentence for a person.
    pub message: String,
    /// Under which the audit has the rest.
    pub correlation: String,
    /// Seconds after which asking again makes sense.
    pub retry_after: Option<u32>,
    /// The evaluation, where the caller may see it.
    pub trace: Option<Box<Value>>,
}

/// A refusal that is not yet recorded: for the audit, and in this dialect's words.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) fault: Fault,
    pub(crate) kind: AzureFaultKind,
    pub(crate) message: Option<String>,
    pub(crate) trace: Option<Box<Value>>,
}

impl Refused {
    /// A refusal in this dialect's own words.
    pub(crate) fn new(kind: AzureFaultKind, code: Code, part: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { fault: Fault::new(code, part).because(message.clone()), kind, message: Some(message), trace: None }
    }

    /// What the outside learns, once `told` is what the native door would have told.
    pub(crate) fn outward(self, told: BrokerError) -> AzureFault {
        // Recording it may have failed: then that is what is told.
        let same = told.code == self.fault.code;
        let kind = if same { self.kind } else { kind_of(told.code) };
        let message = self.message.filter(|_| same).unwrap_or_else(|| sentence(&told));
        AzureFault {
            kind,
            message,
            correlation: told.correlation,
            retry_after: told.retry_after,
            trace: self.trace.filter(|_| same),
        }
    }
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self { kind: kind_of(fault.code), fault, message: None, trace: None }
    }
}

impl From<BrokerError> for AzureFault {
    fn from(told: BrokerError) -> Self {
        Self {
            kind: kind_of(told.code),
            message: sentence(&told),
            correlation: told.correlation,
            retry_after: told.retry_after,
            trace: None,
        }
    }
}

fn sentence(told: &BrokerError) -> String {
    match told.detail.is_empty() || told.detail == told.code.title() {
        true => told.code.title().to_owned(),
        false => format!("{}: {}", told.code.title(), told.detail),
    }
}

/// What a code is called at this door.
pub(crate) fn kind_of(code: Code) -> AzureFaultKind {
    match code {
        Code::AuthRequired | Code::Forbidden | Code::CredentialInvalid | Code::TokenInvalid => {
            AzureFaultKind::Unauthorized
        }
        Code::PolicyDenied | Code::BudgetExceeded => AzureFaultKind::PolicyEvaluationError,
        Code::OperationNotAllowed | Code::Conflict | Code::PreconditionFailed => AzureFaultKind::InvalidOperation,
        Code::TooLarge => AzureFaultKind::TooLarge,
        Code::RateLimited => AzureFaultKind::RateLimited,
        Code::NotFound | Code::KeyNotFound => AzureFaultKind::NotFound,
        code if code.retry_after().is_some() => AzureFaultKind::Unavailable,
        _ => AzureFaultKind::InvalidParameter,
    }
}
