//! What can go wrong in the keystore, and the stable code of each.
//!
//! `bad-inputs.md` section 0 is the catalogue of codes. The text of an error never carries key
//! material, nor what an attacker could use to tell two causes of [`KeystoreError::CryptoFailed`]
//! apart.

use thiserror::Error;

use crate::machines::WentBack;

/// An error of the keystore. Compare variants, or [`KeystoreError::code`]; never the text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeystoreError {
    /// Bytes or text that do not have the form they must have.
    #[error("{0}")]
    Malformed(&'static str),
    /// A form that is known, or may be, and is not served.
    #[error("{0}")]
    Unsupported(&'static str),
    /// Longer or more than is served.
    #[error("{0}")]
    TooLarge(&'static str),
    /// No key of this name, or no such version of it.
    #[error("no such key or version")]
    KeyNotFound,
    /// No object of this kind and name, for everything that is not a key.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// The key exists and may not be used now.
    #[error("the key is {0}")]
    KeyState(KeyStateReason),
    /// The key's type or its attributes forbid the operation.
    #[error("{0}")]
    OperationNotAllowed(&'static str),
    /// A decryption, an unwrapping, a tag or a padding failed. One value for every cause.
    #[error("the cryptographic operation failed")]
    CryptoFailed,
    /// The object exists already, or the same request key came with another body.
    #[error("{0}")]
    Conflict(&'static str),
    /// The version named by the caller is not the current one.
    #[error("the object has changed since it was read")]
    PreconditionFailed,
    /// Keys, rules, policies or trust changed between decision and use: decide again.
    #[error("the store has changed since the decision")]
    EpochMoved,
    /// The challenge was spent by another use.
    #[error("the challenge is spent")]
    ChallengeSpent,
    /// No record in force vouches for the attestation key, or another one does by now.
    #[error("the attestation key is not enrolled, or not any more")]
    NotEnrolled,
    /// The TPM says an older time than it did before.
    #[error("the TPM's {} went back", .0.as_str())]
    WentBack(WentBack),
    /// No live credential has this token.
    #[error("the credential is not known")]
    TokenUnknown,
    /// The author may not do this, whatever the role.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The operating system gave no randomness: nothing was made.
    #[error("no randomness from the operating system")]
    Randomness,
    /// A commit or a flush failed, or did once before: the node must not serve any more.
    #[error("the store failed: {0}")]
    StoreFailed(String),
    /// What room is left is kept for uses and changes. The store itself is well.
    #[error("there is no room for this record")]
    NoRoom,
    /// What is read is not what was written.
    #[error("the store is damaged at `{object}`")]
    StoreCorrupt {
        /// Table and row, or another name of the place. No key material.
        object: String,
    },
    /// The root key is not available.
    #[error("the store is sealed: {0}")]
    Sealed(String),
    /// The root key opens another store, or none.
    #[error("the root key does not belong to this store")]
    WrongRootKey,
    /// The store is older than what was anchored elsewhere.
    #[error("the store is older than its anchor")]
    RollbackDetected,
    /// Too much waits already.
    #[error("too many requests wait for the store")]
    Overloaded,
    /// Another process holds the store.
    #[error("the store is in use by another process")]
    Busy,
    /// The schema is newer, older than can be migrated, or altered by hand.
    #[error("the schema of the store is not known: {0}")]
    SchemaUnknown(String),
    /// A file, its owner, its mode or its content is not fit for its purpose.
    #[error("{0}")]
    ConfigInvalid(String),
}

impl KeystoreError {
    /// The stable code, kebab case of the class of `bad-inputs.md` section 0.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Unsupported(_) => "unsupported",
            Self::TooLarge(_) => "too-large",
            Self::KeyNotFound => "key-not-found",
            Self::NotFound(_) => "not-found",
            Self::KeyState(_) => "key-state",
            Self::OperationNotAllowed(_) => "operation-not-allowed",
            Self::CryptoFailed => "crypto-failed",
            Self::Conflict(_) | Self::PreconditionFailed | Self::EpochMoved => "conflict",
            Self::ChallengeSpent | Self::WentBack(_) => "freshness-failed",
            Self::NotEnrolled => "chain-untrusted",
            Self::TokenUnknown => "token-invalid",
            Self::Forbidden(_) => "forbidden",
            Self::Randomness | Self::Busy => "dependency-unavailable",
            Self::StoreFailed(_) | Self::NoRoom => "audit-unavailable",
            Self::StoreCorrupt { .. } | Self::SchemaUnknown(_) => "store-corrupt",
            Self::Sealed(_) | Self::WrongRootKey => "sealed",
            Self::RollbackDetected => "rollback-detected",
            Self::Overloaded => "overloaded",
            Self::ConfigInvalid(_) => "config-invalid",
        }
    }
}

/// Why a key that exists may not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyStateReason {
    /// The key, or the version named, is switched off.
    #[error("disabled")]
    Disabled,
    /// Its `not_before` lies ahead.
    #[error("not valid yet")]
    NotYetValid,
    /// Its `expires` has passed.
    #[error("expired")]
    Expired,
    /// It is deleted and may be recovered until it is purged.
    #[error("deleted")]
    Deleted,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_catalogue() {
        let text = String::new;
        for (error, code) in [
            (KeystoreError::KeyNotFound, "key-not-found"),
            (KeystoreError::NotFound("credential"), "not-found"),
            (KeystoreError::KeyState(KeyStateReason::Expired), "key-state"),
            (KeystoreError::CryptoFailed, "crypto-failed"),
            (KeystoreError::PreconditionFailed, "conflict"),
            (KeystoreError::EpochMoved, "conflict"),
            (KeystoreError::ChallengeSpent, "freshness-failed"),
            (KeystoreError::NotEnrolled, "chain-untrusted"),
            (KeystoreError::WentBack(WentBack::Clock), "freshness-failed"),
            (KeystoreError::TokenUnknown, "token-invalid"),
            (KeystoreError::Randomness, "dependency-unavailable"),
            (KeystoreError::StoreFailed(text()), "audit-unavailable"),
            (KeystoreError::NoRoom, "audit-unavailable"),
            (KeystoreError::StoreCorrupt { object: text() }, "store-corrupt"),
            (KeystoreError::WrongRootKey, "sealed"),
            (KeystoreError::RollbackDetected, "rollback-detected"),
            (KeystoreError::ConfigInvalid(text()), "config-invalid"),
        ] {
            assert_eq!(error.code(), code);
        }
    }

    /// Whoever can tell why a decryption failed can decrypt by asking often enough.
    #[test]
    fn key_12_a_failed_decryption_says_nothing() {
        let words = KeystoreError::CryptoFailed.to_string();
        assert_eq!(words, "the cryptographic operation failed");
    }
}
