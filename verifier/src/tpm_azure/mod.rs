//! Azure Attestation's protocol for TPMs, as far as it is cryptography: a request is a signed text with the evidence in it.
//!
//! TPM and VBS attestation protocol, sections 2, 3 and 5. Two steps, so that the caller can look between them at what is its own
//! (context, challenge, policy): [`TpmRequest::read`] takes a request apart and checks that its key signed it (checks 1 and 2), and
//! [`Verifier::appraise_tpm`](crate::Verifier::appraise_tpm) judges the evidence in it (checks 4 to 11) and says what it shows.
//! Reports of the secure kernel (VBS, check 12) are recognised and refused.

mod aik;
mod appraise;
mod bound_keys;
mod key_object;
mod logs;
mod payload;
mod platform_claim;
mod quoted;
mod request;

pub use appraise::{TpmAppraisal, TpmRules};
pub use payload::{CustomClaim, CustomValue};
pub use request::{MAX_REQUEST, TpmRequest};
