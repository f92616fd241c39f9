//! A TDX quote as it arrives.
//!
//! Intel TDX DCAP Quoting Library API, appendix A: versions 4 and 5, TD 1.0 and TD 1.5 bodies.

use crate::dcap::{Body, Quote, TdReport};
use crate::endorsements::IntelTee;
use crate::error::VerifyError;

/// A well-formed TDX quote.
pub(super) struct TdxQuote<'a> {
    pub quote: Quote<'a>,
}

impl<'a> TdxQuote<'a> {
    /// Reads a quote.
    ///
    /// # Errors
    /// `malformed` and `unsupported`, as [`Quote::parse`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, VerifyError> {
        let (quote, _) = Quote::parse(bytes, IntelTee::Tdx)?;
        let read = Self { quote };
        read.report()?;
        Ok(read)
    }

    /// The TD's report.
    pub fn report(&self) -> Result<&TdReport, VerifyError> {
        match &self.quote.body {
            Body::Td(report) => Ok(report),
            Body::Enclave(_) => Err(VerifyError::unsupported("body-type", "the body is not that of a trust domain")),
        }
    }
}
