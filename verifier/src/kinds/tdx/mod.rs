//! Intel TDX: a trust domain, a whole virtual machine, attested by a DCAP quote.
//!
//! Intel TDX DCAP Quoting Library API; Intel TDX Module ABI Specification.
//!
//! What the hardware promises: the TDX module measured what the TD was built from (MRTD) and what it extended later (RTMR 0 to 3),
//! keeps its memory from the hypervisor, and put 64 bytes of the guest's choice (REPORTDATA) into a report. Intel's TD quoting
//! enclave turned that report into a signature; its key is vouched for by the platform's PCK, as for SGX. The module itself is
//! identified (MRSEAM, its signer and SVN) and judged by Intel's levels.
//!
//! What it does not promise: that what the RTMRs stand for is good (the CC event log, where it comes with the quote, is replayed
//! and becomes the claim `tdx_boot`, as far as it was measured), that no service TD may migrate it away (MR_SERVICETD and the
//! attribute MIGRATABLE are claims, a rule decides), that pending pages cannot be swapped under it (SEPT_VE_DISABLE is a claim as
//! well). A TD with any bit of the debug group set promises nothing at all.
//!
//! A quote comes in version 4, or in version 5 with a body of TD 1.0 or TD 1.5. A TD 1.5 body names two module versions, the one
//! it was launched on and the one in force now; its status is the one with the relaunch check.

mod claims;
mod verify;
mod wire;

use crate::dcap::Quote;
use crate::endorsements::IntelTee;
use crate::error::VerifyError;
use crate::scheme::{Parsed, Scheme};

/// The scheme of this kind.
pub(crate) struct Tdx;

impl Scheme for Tdx {
    fn parse<'a>(&self, bytes: &'a [u8]) -> Result<Box<dyn Parsed + 'a>, VerifyError> {
        Ok(Box::new(wire::TdxQuote::parse(bytes)?))
    }
    fn looks_like(&self, bytes: &[u8]) -> bool {
        Quote::looks_like(bytes, IntelTee::Tdx) || bytes.starts_with(br#"{"kind":"tdx""#)
    }
}

/// A quote inside of other evidence.
///
/// # Errors
/// As a quote alone would be refused.
pub(crate) fn nested<'a>(quote: &'a [u8]) -> Result<Box<dyn Parsed + 'a>, VerifyError> {
    Ok(Box::new(wire::TdxQuote::parse(quote)?))
}
