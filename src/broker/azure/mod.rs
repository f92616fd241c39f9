//! The use cases of the attestation door, whose contract is Azure Attestation's: evidence to a token, policies and their signers,
//! keys of tokens. Knows no HTTP: statuses and shapes are the door's.
//!
//! `maa-rest-api.md` sections 3 to 8, `maa-tokens-and-claims.md`. What is appraised here is appraised for a key in the same way:
//! the same verifier, the same policies, the same claims.

mod attest;
mod attestation_type;
mod discovery;
mod fault;
mod guest;
mod keys;
mod manage;
mod payload;
mod signers;
mod tpm;

pub use attest::{AzureAttestAnswer, AzureAttestRequest, HeldData};
pub use attestation_type::AttestationType;
pub(crate) use fault::Refused;
pub use fault::{AzureFault, AzureFaultKind};
pub(crate) use keys::AzureKeys;
pub use manage::AzureToken;
pub(crate) use manage::{read_upload, unsecured};
pub(crate) use signers::{Signers, seed as seed_signers};
pub use tpm::{AzureTpmAnswer, AzureTpmRequest};
