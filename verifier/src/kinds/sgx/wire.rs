//! An SGX quote as it arrives: bare, or behind the 16 bytes that Open Enclave puts in front.
//!
//! Intel SGX DCAP Quoting Library API, *Quote Format*; Open Enclave `oe_report_header_t`: version 1, report type 2 (remote), size.

use crate::dcap::{Body, EnclaveReport, Quote};
use crate::endorsements::IntelTee;
use crate::error::VerifyError;
use crate::formats::bytes::Reader;

const PART: &str = "open-enclave-report";
/// Version 1 and type 2, little-endian: no quote begins so, because no quote has version 1.
const OPEN_ENCLAVE: [u8; 8] = [1, 0, 0, 0, 2, 0, 0, 0];

/// A well-formed SGX quote.
pub(super) struct SgxQuote<'a> {
    /// Everything that was submitted.
    pub submitted: &'a [u8],
    pub quote: Quote<'a>,
    pub report: EnclaveReport,
}

impl<'a> SgxQuote<'a> {
    /// Reads a quote with or without the Open Enclave header.
    ///
    /// # Errors
    /// `malformed` and `unsupported`, as [`Quote::parse`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, VerifyError> {
        let (inner, size) = match bytes.strip_prefix(&OPEN_ENCLAVE) {
            None => (bytes, None),
            Some(rest) => {
                let mut reader = Reader::new(rest, PART);
                let size = reader.u64_le("size")?;
                (reader.rest(), Some(usize::try_from(size).unwrap_or(usize::MAX)))
            }
        };
        let (quote, length) = Quote::parse(inner, IntelTee::Sgx)?;
        if let Some(size) = size
            && (size < length || size > inner.len())
        {
            return Err(VerifyError::malformed(PART, format!("size {size} does not fit the quote of {length} bytes")));
        }
        let Body::Enclave(report) = &quote.body else {
            return Err(VerifyError::unsupported("body-type", "the body is not that of an enclave"));
        };
        Ok(Self { submitted: bytes, report: **report, quote })
    }

    /// Whether `bytes` begin like an SGX quote.
    pub fn looks_like(bytes: &[u8]) -> bool {
        let inner = match bytes.strip_prefix(&OPEN_ENCLAVE) {
            Some(rest) => rest.get(8..).unwrap_or_default(),
            None => bytes,
        };
        Quote::looks_like(inner, IntelTee::Sgx)
    }
}
