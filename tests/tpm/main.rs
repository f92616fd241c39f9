//! The attester of TPMs against a software TPM, and against things that are none.

mod answers;
mod attester;
mod enrolment;
mod quoted;
mod release;
#[path = "../running/mod.rs"]
mod running;
mod stage;
#[path = "../tpm_stage/mod.rs"]
mod tpm_stage;
