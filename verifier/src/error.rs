//! Why evidence was refused: a stable code, the part at fault, and a sentence.
//!
//! The codes are those of the catalogue of bad inputs; callers may rely on them for ever.

use std::borrow::Cow;
use std::fmt;

/// The coarse, stable word for a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The bytes do not parse.
    Malformed,
    /// Known, but a version, algorithm, format or curve that is not supported.
    Unsupported,
    /// A limit of size, depth or count.
    TooLarge,
    /// Some signature on the path is wrong.
    SignatureInvalid,
    /// No path to a configured anchor.
    ChainUntrusted,
    /// On a revocation list.
    Revoked,
    /// A needed endorsement is missing, stale or not yet valid.
    CollateralUnavailable,
    /// The platform's TCB status or level is not accepted.
    TcbRejected,
    /// Debug evidence.
    DebugRejected,
    /// The evidence does not carry what was asked of it.
    BindingMismatch,
    /// The evidence answers another challenge, or is too old.
    FreshnessFailed,
}

impl Code {
    /// The code in kebab case, as it stands in answers and in the audit.
    pub const fn as_str(self) -> &'static str {
        match self {
            Code::Malformed => "malformed",
            Code::Unsupported => "unsupported",
            Code::TooLarge => "too-large",
            Code::SignatureInvalid => "signature-invalid",
            Code::ChainUntrusted => "chain-untrusted",
            Code::Revoked => "revoked",
            Code::CollateralUnavailable => "collateral-unavailable",
            Code::TcbRejected => "tcb-rejected",
            Code::DebugRejected => "debug-rejected",
            Code::BindingMismatch => "binding-mismatch",
            Code::FreshnessFailed => "freshness-failed",
        }
    }
}

/// A refusal by the verifier.
///
/// `code` is the stable word, `part` names the piece of the evidence or collateral in kebab case (it refines the code:
/// `signature-invalid.qe-report`), `detail` is a sentence for the audit and for the owner of the evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyError {
    code: Code,
    part: &'static str,
    detail: Cow<'static, str>,
}

impl VerifyError {
    /// A refusal with its code, part and sentence.
    pub fn new(code: Code, part: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, part, detail: detail.into() }
    }

    /// The stable code in kebab case.
    pub const fn code(&self) -> &'static str {
        self.code.as_str()
    }

    /// The code as a value.
    pub const fn kind(&self) -> Code {
        self.code
    }

    /// The piece at fault, kebab case.
    pub const fn part(&self) -> &'static str {
        self.part
    }

    /// Code and part in one word: `signature-invalid.qe-report`.
    pub fn full_code(&self) -> String {
        format!("{}.{}", self.code.as_str(), self.part)
    }

    /// The sentence: lower case, no full stop, no secret.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    pub(crate) fn malformed(part: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Malformed, part, detail)
    }
    pub(crate) fn unsupported(part: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Unsupported, part, detail)
    }
    pub(crate) fn too_large(part: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::TooLarge, part, detail)
    }
    pub(crate) fn signature(part: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::SignatureInvalid, part, detail)
    }
    pub(crate) fn chain(part: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::ChainUntrusted, part, detail)
    }
    pub(crate) fn revoked(part: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Revoked, part, detail)
    }
    pub(crate) fn collateral(part: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::CollateralUnavailable, part, detail)
    }
    pub(crate) fn tcb(part: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::TcbRejected, part, detail)
    }
    pub(crate) fn debug(part: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::DebugRejected, part, detail)
    }
    pub(crate) fn binding(part: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::BindingMismatch, part, detail)
    }
    pub(crate) fn freshness(part: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::FreshnessFailed, part, detail)
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.part.replace('-', " "), self.detail)
    }
}

impl std::error::Error for VerifyError {}
