//! The attester of TPMs against a software TPM, and against things that are none.

mod answers;
mod attester;
mod enrolment;
mod quoted;
#[path = "../tpm_stage/mod.rs"]
mod tpm_stage;
