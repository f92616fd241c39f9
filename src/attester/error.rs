//! Why there is no evidence: what is missing or wrong, and what to do.
//!
//! Codes are those of the catalogue of bad inputs, section 0.

use std::io;
use std::path::PathBuf;

use super::tpm::TpmError;

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
    #[error("nothing on this machine attests: no Gramine, Nitro, TDX or SEV-SNP device and no TPM")]
    Nothing,
    /// The device of the attester that was asked for is not here.
    #[error("no `{}` on this machine: {source}", path.display())]
    Absent {
        /// The path that was looked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
        /// The advice.
        help: &'static str,
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
    #[error("the software attester has no identity")]
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
    /// The measurement for the software attester is none.
    #[error("`{given}` is no measurement")]
    Measurement {
        /// As it was given.
        given: String,
    },
    /// The TPM gives nothing.
    #[error(transparent)]
    Tpm(#[from] TpmError),
    /// A log that belongs to the evidence cannot be read.
    #[error("the log `{}` cannot be read: {detail}", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// What the system said, or that it is too long.
        detail: String,
    },
    /// The hardware of this attester makes no recipient keys.
    #[error("an attester of kind `{kind}` has no recipient key of its own")]
    NoResidentKey {
        /// The kind.
        kind: &'static str,
    },
    /// OpenSSL failed.
    #[error("signing failed: {0}")]
    Sign(#[from] openssl::error::ErrorStack),
}

impl AttesterError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } | Self::NoIdentity | Self::Identity { .. } | Self::Measurement { .. } => {
                "config-invalid"
            }
            Self::Nothing | Self::Absent { .. } | Self::Device { .. } | Self::Answer { .. } => "dependency-unavailable",
            Self::Tpm(tpm) => tpm.code(),
            Self::Log { .. } => "dependency-unavailable",
            Self::NoResidentKey { .. } => "unsupported",
            Self::TooLong { .. } => "too-large",
            Self::Sign(_) => "crypto-failed",
        }
    }

    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "name one of these, or leave it to `auto`",
            Self::Nothing => "run inside a TEE, or give the software attester an identity",
            Self::Absent { help, .. } => help,
            Self::Device { .. } => "look whether this user may use the device, and into the kernel's log",
            Self::Answer { .. } => {
                "try once more; if it stays so, look into the kernel's log and ask the host's operator"
            }
            Self::NoIdentity => "name a PEM file with a private key on p-256 and its certificates, leaf first",
            Self::Identity { .. } => {
                "a PEM file with a private key on p-256 and its certificates, leaf first, mode 0600"
            }
            Self::Measurement { .. } => "a measurement has 96 hex digits",
            Self::Tpm(tpm) => tpm.help(),
            Self::Log { .. } => {
                "run as a user who may read it, name a copy, or leave it away: `--event-log none`, `--ima-log none`"
            }
            Self::NoResidentKey { .. } => "take `--recipient ec` or `rsa`, or `--attester tpm`",
            Self::TooLong { .. } => "use a shorter one",
            Self::Sign(_) => "look whether OpenSSL works on this machine",
        }
    }
}
