//! What SGX and TDX share: quote layout, PCK chain, TCB info, QE identity, the levels they are matched against.
//!
//! Intel SGX DCAP Quoting Library API, appendix *Quote Format*; Intel TDX DCAP Quoting Library API, appendix A; Intel SGX and TDX
//! Provisioning Certification Service API. `dcap-qvl` is used here for its parsers and nowhere else in the crate; every check
//! is ours.
//!
//! The way through: [`Quote::parse`] knows layout only. [`missing`] says which collateral is lacking for it. [`appraise`] checks
//! everything and answers with a [`Platform`]: which anchor vouches, what the TCB verdict is, and until when.

mod collateral;
mod documents;
mod levels;
mod pck;
mod quote;
mod quoting_enclave;
mod verify;

pub(crate) use documents::Reading;
pub(crate) use quote::{Body, EnclaveReport, Quote, TdReport};
pub(crate) use verify::{Platform, appraise, missing};

use crate::endorsements::IntelTee;

/// `939a7233f79c4ca9940a0db3957f0607`: the quoting enclave is Intel's.
const INTEL_QE_VENDOR: [u8; 16] =
    [0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07];

const fn tee_name(tee: IntelTee) -> &'static str {
    match tee {
        IntelTee::Sgx => "sgx",
        IntelTee::Tdx => "tdx",
    }
}

/// Lower-case hex as a claim's value.
pub(crate) fn hexed(bytes: &[u8]) -> serde_json::Value {
    // `hex::encode` goes through characters; a report has forty fields.
    let mut text = vec![0; bytes.len().saturating_mul(2)];
    let written = hex::encode_to_slice(bytes, &mut text).map_err(drop);
    let text = written.and_then(|()| String::from_utf8(text).map_err(drop)).unwrap_or_default();
    serde_json::Value::String(text)
}
