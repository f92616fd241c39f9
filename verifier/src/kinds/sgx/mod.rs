//! Intel SGX: an enclave, a part of one process, attested by a DCAP quote.
//!
//! Intel SGX DCAP Quoting Library API; Intel SDM volume 3D, chapters 33 to 36.
//!
//! What the hardware promises: the processor measured the enclave's initial pages (MRENCLAVE) and the key that signed it
//! (MRSIGNER with ISVPRODID and ISVSVN), keeps its memory from everything outside, the operating system and hypervisor included,
//! and put 64 bytes of the enclave's choice (REPORTDATA) into a report that only it can make. Intel's quoting enclave turned that
//! report into a signature; its key is vouched for by the platform's PCK, whose certificate leads to the Intel SGX Root CA.
//!
//! What it does not promise: that the code in the enclave is right, that it runs now (freshness comes from the binding), that the
//! platform is free of side channels (the TCB status and its advisories speak of the known ones), that an attacker with the
//! machine in his hands gets nothing. A debug enclave promises nothing at all: its memory can be read from outside.
//!
//! A quote comes in version 3, with or without Open Enclave's header.

pub(crate) mod baselines;
mod claims;
mod verify;
mod wire;

use crate::error::VerifyError;
use crate::scheme::{Parsed, Scheme};

/// The scheme of this kind.
pub(crate) struct Sgx;

impl Scheme for Sgx {
    fn parse<'a>(&self, bytes: &'a [u8]) -> Result<Box<dyn Parsed + 'a>, VerifyError> {
        Ok(Box::new(wire::SgxQuote::parse(bytes)?))
    }
    fn looks_like(&self, bytes: &[u8]) -> bool {
        wire::SgxQuote::looks_like(bytes)
    }
}
