//! Why there is no evidence: what is missing or wrong, and what to do.
//!
//! Codes are those of the catalogue of bad inputs, section 0.

use std::io;
use std::path::PathBuf;

/// A machine that gives no evidence.
#[derive(Debug, thiserror::Error)]
pub enum AttesterError {
    /// The name is none of [`NAMES`](super::NAMES).
    #[error("no attester is called `{name}`; there are {}", super::NAMES.join(", "))]
    Unknown {
        /// As it was given.
        name: String,
    },
    /// `auto` found nothing.
    #[error(
        "nothing on this machine attests: no Gramine, Nitro, TDX or SEV-SNP device; run inside a TEE, or give the software \
         attester an identity"
    )]
    Nothing,
    /// The device of the attester that was asked for is not here.
    #[error("no `{}` on this machine: {source}; {what_to_do}", path.display())]
    Absent {
        /// The path that was looked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
        /// The advice.
        what_to_do: &'static str,
    },
    /// The device is here and fails.
    #[error("`{}` failed: {source}", path.display())]
    Device {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The device answered with something else than evidence.
    #[error("`{}` gave no evidence: {detail}", path.display())]
    Answer {
        /// The path.
        path: PathBuf,
        /// What it answered instead.
        detail: String,
    },
    /// The software attester was asked for without an identity.
    #[error("the software attester needs an identity: a file with a private key and its certificates, in PEM")]
    NoIdentity,
    /// The identity of the software attester is no identity.
    #[error("identity `{}`: {detail}", path.display())]
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The kind has no room for what is to be carried.
    #[error("`{member}` has {length} bytes, evidence of kind `{kind}` carries at most {most}")]
    TooLong {
        /// The kind.
        kind: &'static str,
        /// The member of [`Wanted`](super::Wanted).
        member: &'static str,
        /// Its length in bytes.
        length: usize,
        /// The bound.
        most: usize,
    },
    /// OpenSSL failed.
    #[error("the statement could not be signed: {0}")]
    Sign(#[from] openssl::error::ErrorStack),
}

impl AttesterError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } | Self::NoIdentity | Self::Identity { .. } => "config-invalid",
            Self::Nothing | Self::Absent { .. } | Self::Device { .. } | Self::Answer { .. } => "dependency-unavailable",
            Self::TooLong { .. } => "too-large",
            Self::Sign(_) => "crypto-failed",
        }
    }
}
