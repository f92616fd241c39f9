//! A TDX quote as it arrives.
//!
//! Intel TDX DCAP Quoting Library API, appendix A: versions 4 and 5, TD 1.0 and TD 1.5 bodies. Beside the bare quote a JSON document
//! is read that brings the CC event log of the guest: `{"kind":"tdx","quote":…,"event_log":…}`, both base64url without padding.

use serde::Deserialize;

use crate::dcap::{Body, Quote, TdReport};
use crate::endorsements::IntelTee;
use crate::error::VerifyError;
use crate::formats::base64url;
use crate::formats::tcg::event_log::{EventLog, LogKind};

/// The part at fault where the document is wrong.
const DOCUMENT: &str = "tdx-document";

/// A well-formed TDX quote, and the log that came with it.
pub(super) struct TdxQuote<'a> {
    pub quote: Quote<'a>,
    /// The CC event log as the firmware's table holds it; it parses.
    pub event_log: Option<Vec<u8>>,
}

/// The document's members: these and no others, each once.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    kind: String,
    quote: String,
    event_log: String,
}

impl<'a> TdxQuote<'a> {
    /// Reads a quote, or the document with one inside.
    ///
    /// # Errors
    /// `malformed` and `unsupported`, as [`Quote::parse`] and [`EventLog::parse`]; `malformed.tdx-document`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, VerifyError> {
        if bytes.starts_with(b"{") {
            return Self::of_document(bytes);
        }
        let (quote, _) = Quote::parse(bytes, IntelTee::Tdx)?;
        let read = Self { quote, event_log: None };
        read.report()?;
        Ok(read)
    }

    fn of_document(bytes: &[u8]) -> Result<Self, VerifyError> {
        let fault = |detail: String| VerifyError::malformed(DOCUMENT, detail);
        let members: Document = serde_json::from_slice(bytes).map_err(|error| {
            fault(format!("not the expected json at line {}, column {}", error.line(), error.column()))
        })?;
        if members.kind != "tdx" {
            return Err(fault("the document is of another kind".into()));
        }
        let decode = |text: &str, name: &str| {
            base64url::decode_strict(text).ok_or_else(|| fault(format!("`{name}` is not base64url without padding")))
        };
        let quote = decode(&members.quote, "quote")?;
        let (quote, _) = Quote::parse(&quote, IntelTee::Tdx)?;
        let event_log = decode(&members.event_log, "event_log")?;
        EventLog::parse(&event_log, LogKind::Ccel)?;
        let read = Self { quote: quote.into_owned(), event_log: Some(event_log) };
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
