//! Refusals: what the outside learns, and apart from it what the audit learns.
//!
//! `bad-inputs.md` section 0 (codes), `native-api.md` section 3 *Errors*; threat model P27. The two are different types, so
//! neither can be sent by mistake: [`Fault`] is for the audit, [`BrokerError`] is for the caller.

use keygate_keystore::KeystoreError;
use keygate_policies::release::Leaf;
use keygate_verifier::VerifyError;
use serde_json::Value;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $title:literal;)*) => {
        /// The stable codes. No status stands here; each door has its own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs)] // the titles say what each means
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Code] = &[$(Self::$name,)*];
            /// The code in kebab case.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
            /// A short fixed phrase.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
            /// Reads the code in kebab case; what is none is an inner fault.
            pub fn of(text: &str) -> Self {
                Self::ALL.iter().copied().find(|code| code.as_str() == text).unwrap_or(Self::DependencyUnavailable)
            }
        }
    };
}

codes! {
    Malformed = "malformed", "the request does not parse";
    Unsupported = "unsupported", "known, but not served here";
    TooLarge = "too-large", "a limit of size, depth or count is passed";
    SignatureInvalid = "signature-invalid", "a signature on the path is wrong";
    ChainUntrusted = "chain-untrusted", "no path leads to a configured anchor";
    Revoked = "revoked", "revoked or denied";
    CollateralUnavailable = "collateral-unavailable", "a needed endorsement cannot be had";
    TcbRejected = "tcb-rejected", "the platform's patch level is not accepted";
    DebugRejected = "debug-rejected", "debug evidence is not accepted";
    BindingMismatch = "binding-mismatch", "the evidence is bound to something else";
    FreshnessFailed = "freshness-failed", "not fresh: take a new challenge";
    TokenInvalid = "token-invalid", "the token is not accepted";
    /// The same word for a credential; a door may give it another status.
    CredentialInvalid = "token-invalid", "the credential is not accepted";
    AuthRequired = "auth-required", "a proof or a credential is needed";
    Forbidden = "forbidden", "the credential does not allow this";
    PolicyDenied = "policy-denied", "the policy says no";
    RuleNotSatisfied = "rule-not-satisfied", "the key's rule is not met";
    NotReleased = "not-released", "the key is not released";
    KeyNotFound = "key-not-found", "no such key or version";
    NotFound = "not-found", "no such object";
    KeyState = "key-state", "the key's state forbids its use";
    OperationNotAllowed = "operation-not-allowed", "the key does not allow this operation";
    CryptoFailed = "crypto-failed", "the cryptographic operation failed";
    Conflict = "conflict", "it conflicts with what is there";
    PreconditionRequired = "precondition-required", "the state it rests on must be named";
    PreconditionFailed = "precondition-failed", "it has changed since it was read";
    RuleInvalid = "rule-invalid", "the rule is not valid";
    PolicyInvalid = "policy-invalid", "the policy is not valid";
    ReferenceInvalid = "reference-invalid", "the reference values are not taken";
    BudgetExceeded = "budget-exceeded", "the evaluation is too costly";
    RateLimited = "rate-limited", "too many requests";
    Overloaded = "overloaded", "too busy just now";
    DependencyUnavailable = "dependency-unavailable", "something needed is not available";
    AuditUnavailable = "audit-unavailable", "the audit cannot take a record";
    Sealed = "sealed", "the root key is not available";
    StoreCorrupt = "store-corrupt", "the store is damaged";
    RollbackDetected = "rollback-detected", "the store is older than it must be";
    ClockUntrusted = "clock-untrusted", "the time cannot be believed";
    ConfigInvalid = "config-invalid", "the configuration is not valid";
    Misdirected = "misdirected", "this host is not served here";
}

impl Code {
    /// What the sender of evidence or of a token can do, where a part of it is at fault.
    const fn advice(self) -> Option<&'static str> {
        Some(match self {
            Self::Malformed => "send the bytes whole, as the hardware or the issuer gave them",
            Self::Unsupported => "see the kinds, versions and algorithms that are served here",
            Self::SignatureInvalid => "attest again; what is signed was changed on its way",
            Self::ChainUntrusted => "the certificates lead to no anchor of this service, or are outside of their dates",
            Self::Revoked => "this platform or certificate opens nothing any more",
            Self::CollateralUnavailable => "send endorsements that are in force, or come again later",
            Self::TcbRejected => "bring the platform to a newer patch level",
            Self::DebugRejected => "run the workload without debug mode",
            Self::BindingMismatch => "make the evidence for this very request, host and recipient",
            Self::FreshnessFailed => "take a new challenge and attest again",
            Self::TokenInvalid => "bring a token, in force, of a verifier that counts here",
            _ => return None,
        })
    }

    /// The same where the part says more than the code.
    fn advice_on(self, part: &str) -> Option<&'static str> {
        Some(match (self, part) {
            (Self::BindingMismatch, "event-log" | "ima-log") => {
                "the registers hold something that the log does not say: it was changed, cut off, or something was measured after it"
            }
            (Self::BindingMismatch, "activation") => {
                "begin the enrolment anew: each has one secret, once, for whoever began it, and for a while"
            }
            (Self::TooLarge, "tpm-document" | "azure-vtpm-document" | "event-log" | "ima-log") => {
                "a member is larger, deeper or more than is read: see the limits of this kind of evidence"
            }
            (Self::ChainUntrusted, "attestation-key" | "enrolment") => {
                "nobody vouches for the attestation key, or not any more: enrol the machine, or send a certificate that counts here"
            }
            (Self::DebugRejected, "secure-boot") => "switch Secure Boot on; without it anything may have been started",
            (Self::DebugRejected, "boot-debug") => "start the machine without a debugger",
            (Self::DebugRejected, "paravisor") => {
                "this launch is not known as a paravisor here: an operator can name its measurement"
            }
            (Self::Unsupported, "pcr-bank" | "event-log-bank") => {
                "quote registers of sha256 or sha384, and send a log that has them"
            }
            (Self::FreshnessFailed, "clock" | "reset-count" | "restart-count") => {
                "the tpm's clock is behind the last that was seen of it: an older quote, or a tpm that was cleared; attest again"
            }
            _ => return None,
        })
    }

    /// Seconds after which asking again makes sense, for what passes by itself.
    pub const fn retry_after(self) -> Option<u32> {
        match self {
            Self::RateLimited | Self::Overloaded => Some(1),
            Self::CollateralUnavailable | Self::DependencyUnavailable | Self::AuditUnavailable => Some(5),
            Self::Sealed | Self::StoreCorrupt | Self::RollbackDetected | Self::ClockUntrusted => Some(60),
            _ => None,
        }
    }
}

/// A refusal as the caller sees it. No member of it comes from a request.
#[derive(Debug, Clone)]
pub struct BrokerError {
    /// The stable code.
    pub code: Code,
    /// Which part is at fault: words of ours.
    pub detail: String,
    /// Seconds after which asking again makes sense.
    pub retry_after: Option<u32>,
    /// What did not hold, where the caller may know: path, operator, expected, observed.
    pub reasons: Option<Vec<Value>>,
    /// Under which the audit has the rest: a random UUID.
    pub correlation: String,
}

impl std::fmt::Display for BrokerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} ({})", self.code.as_str(), self.detail, self.correlation)
    }
}

impl std::error::Error for BrokerError {}

/// A refusal as the audit sees it.
#[derive(Debug, Clone)]
pub struct Fault {
    /// The true code.
    pub code: Code,
    /// The part at fault, or a phrase of ours: fit for the outside.
    pub part: &'static str,
    /// Everything else that is known; never for the outside.
    pub inner: String,
    /// What the decision found not to hold.
    pub failed: Vec<Leaf>,
}

impl Fault {
    /// A refusal with its code and a phrase of ours.
    pub fn new(code: Code, part: &'static str) -> Self {
        Self { code, part, inner: String::new(), failed: Vec::new() }
    }

    /// With what the audit shall know beside it.
    #[must_use]
    pub fn because(mut self, inner: impl Into<String>) -> Self {
        self.inner = inner.into();
        self
    }

    /// Code and part for the audit: `signature-invalid.qe-report`.
    pub fn full_code(&self) -> String {
        match self.part.is_empty() || self.part.contains(' ') {
            true => self.code.as_str().to_owned(),
            false => format!("{}.{}", self.code.as_str(), self.part),
        }
    }

    /// For the caller: the true code, and reasons where it may know them.
    pub fn outward(&self, correlation: &str, with_reasons: bool) -> BrokerError {
        let reasons = with_reasons.then(|| self.failed.iter().map(reason).collect::<Vec<_>>());
        BrokerError {
            code: self.code,
            detail: self.told(),
            retry_after: self.code.retry_after(),
            reasons: reasons.filter(|reasons| !reasons.is_empty()),
            correlation: correlation.to_owned(),
        }
    }

    /// The part at fault and what to do about it. A phrase of ours stands for itself.
    fn told(&self) -> String {
        match (self.part, self.code.advice_on(self.part).or(self.code.advice())) {
            ("", _) => self.code.title().to_owned(),
            (phrase, _) if phrase.contains(' ') => phrase.to_owned(),
            (part, None) => part.to_owned(),
            (part, Some(advice)) => format!("{part}: {advice}"),
        }
    }

    /// The one answer of every use whose evidence held and whose key says no.
    pub fn not_released(correlation: &str) -> BrokerError {
        Self::new(Code::NotReleased, "").outward(correlation, false)
    }
}

fn reason(leaf: &Leaf) -> Value {
    let mut told = serde_json::json!({
        "path": leaf.path, "operator": leaf.operator, "expected": leaf.expected, "observed": leaf.observed,
    });
    if let Some(why) = leaf.reason {
        told["reason"] = why.into();
    }
    told
}

impl From<VerifyError> for Fault {
    fn from(error: VerifyError) -> Self {
        Self::new(Code::of(error.code()), error.part()).because(error.detail())
    }
}

impl From<KeystoreError> for Fault {
    fn from(error: KeystoreError) -> Self {
        let code = match &error {
            KeystoreError::PreconditionFailed => Code::PreconditionFailed,
            other => Code::of(other.code()),
        };
        let part = match &error {
            KeystoreError::Malformed(part)
            | KeystoreError::Unsupported(part)
            | KeystoreError::TooLarge(part)
            | KeystoreError::OperationNotAllowed(part)
            | KeystoreError::Conflict(part)
            | KeystoreError::Forbidden(part) => part,
            KeystoreError::NotEnrolled => "enrolment",
            KeystoreError::WentBack(what) => what.as_str(),
            _ => "",
        };
        Self::new(code, part).because(error.to_string())
    }
}

impl From<crate::result::SigningFailed> for Fault {
    fn from(error: crate::result::SigningFailed) -> Self {
        Self::new(Code::DependencyUnavailable, "").because(error.0)
    }
}

impl From<crate::clock::ClockUntrusted> for Fault {
    fn from(error: crate::clock::ClockUntrusted) -> Self {
        Self::new(Code::ClockUntrusted, "").because(error.to_string())
    }
}
