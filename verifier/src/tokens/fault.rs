//! Why a token was refused. Bad inputs, section 1: a stable code, and a sentence for the audit.

use thiserror::Error;

/// A refusal of a token. The sentences name members and never their values, which are the sender's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TokenFault {
    /// Past a limit of size, depth or count.
    #[error("the token is too large: {0}")]
    TooLarge(&'static str),
    /// Not three segments in canonical base64url around strict JSON.
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// Five segments: a JWE where a JWS is required.
    #[error("the token is encrypted and not signed")]
    Encrypted,
    /// `alg` is missing, unknown or not one of the expected.
    #[error("the token's algorithm is not accepted")]
    Algorithm,
    /// A header member that is refused, or of the wrong type.
    #[error("the token's header is refused: {0}")]
    Header(&'static str),
    /// The key set has no key of this `kid`: it may have to be fetched again.
    #[error("the key that the token names is unknown")]
    UnknownKey,
    /// The named key is not for this algorithm, or no key of the set is.
    #[error("no key of the issuer is for this token's algorithm")]
    WrongKey,
    /// No `kid`, and too many keys that it could be.
    #[error("the token names no key and the issuer has too many to try")]
    TooManyKeys,
    /// The signature is wrong.
    #[error("the token's signature is wrong")]
    Signature,
    /// A claim is missing or not of the type that it must have.
    #[error("claim `{0}` is missing or of the wrong type")]
    Claim(&'static str),
    /// `iss` is not, byte for byte, the expected issuer.
    #[error("the token is of another issuer")]
    Issuer,
    /// `aud` names none of the expected audiences.
    #[error("the token is for another audience")]
    Audience,
    /// `typ` is not one of the expected.
    #[error("the token is of another type")]
    Type,
    /// `exp` is past.
    #[error("the token has expired")]
    Expired,
    /// `nbf` or `iat` is in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `iat` is further back than the issuer's tokens may be.
    #[error("the token was issued too long ago")]
    TooOld,
    /// The certificate of the signing key does not fit the issuer.
    #[error("the certificate of the signing key is refused: {0}")]
    Certificate(&'static str),
    /// What its issuer signed is not what the configured profile stands for.
    #[error("the token is not one of its profile: {0}")]
    Profile(&'static str),
    /// The token's key is not the recipient, or its parts do not belong together.
    #[error("the token is bound to something else: {0}")]
    Binding(&'static str),
    /// The nonce of this request stands nowhere that the workload fills and the issuer verified.
    #[error("the token does not carry this request's nonce in a place that its workload fills")]
    Freshness,
}

impl TokenFault {
    /// The stable word: `token-invalid`, `malformed` or `too-large`; for tokens as evidence also `binding-mismatch` and
    /// `freshness-failed`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "too-large",
            Self::Malformed(_) => "malformed",
            Self::Binding(_) => "binding-mismatch",
            Self::Freshness => "freshness-failed",
            _ => "token-invalid",
        }
    }

    /// Whether a newer key set of the issuer might know the key.
    pub const fn is_unknown_key(&self) -> bool {
        matches!(self, Self::UnknownKey)
    }
}
