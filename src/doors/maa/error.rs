//! Refusals in Azure's shape, `{"error": {"code", "message"}}`, and the heads that every answer of this door has.
//!
//! `maa-rest-api.md` sections 1 (response headers) and 8. What is told is what the native door tells, never more.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde_json::{Value, json};

use crate::broker::{AzureFault, AzureFaultKind, BrokerError};

/// The id of an answer: a W3C traceparent whose trace id is the correlation id of the audit.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
const ERROR_CODE: HeaderName = HeaderName::from_static("x-ms-error-code");
const SERVICE_VERSION: HeaderName = HeaderName::from_static("x-ms-maa-service-version");

const VERSION: &str = concat!("keygate-", env!("CARGO_PKG_VERSION"));
const JSON: &str = "application/json; charset=utf-8";

/// A refusal on its way out.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// What clients read; also the word for logs and metrics.
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) correlation: String,
    retry_after: Option<u32>,
    trace: Option<Box<Value>>,
}

impl Refusal {
    /// A refusal by form, before the broker is asked.
    pub(super) fn by_form(status: StatusCode, message: &str) -> Self {
        Self {
            status,
            code: code(status),
            message: message.to_owned(),
            correlation: crate::broker::correlation(),
            retry_after: None,
            trace: None,
        }
    }

    /// The answer.
    pub(super) fn response(&self) -> HttpResponse {
        let error = json!({"code": self.code, "message": self.message});
        let body = match &self.trace {
            Some(trace) => json!({"error": error, "trace": trace}),
            None => json!({"error": error}),
        };
        let mut response = begin(self.status, &self.correlation);
        if self.status == StatusCode::UNAUTHORIZED {
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            response.insert_header((RETRY_AFTER, HeaderValue::from(seconds)));
        }
        response.insert_header((ERROR_CODE, self.code)).insert_header((CONTENT_TYPE, JSON)).body(body.to_string())
    }
}

/// A refusal by the gate.
pub fn answer(status: StatusCode, message: &str) -> HttpResponse {
    let mut response = Refusal::by_form(status, message).response();
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST, PUT"));
    }
    response
}

/// A path that is served, with another method than these.
pub(super) fn not_allowed(methods: &'static str) -> HttpResponse {
    let mut response = answer(StatusCode::METHOD_NOT_ALLOWED, "this method is not served here");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}

/// An answer with a body.
pub(super) fn ok(body: &Value, correlation: &str) -> HttpResponse {
    begin(StatusCode::OK, correlation).insert_header((CONTENT_TYPE, JSON)).body(body.to_string())
}

/// An answer without one.
pub(super) fn no_content(correlation: &str) -> HttpResponse {
    begin(StatusCode::NO_CONTENT, correlation).finish()
}

fn begin(status: StatusCode, correlation: &str) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .insert_header((REQUEST_ID, trace_parent(correlation)))
        .insert_header((SERVICE_VERSION, VERSION))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"));
    response
}

/// The trace id is the UUID without its hyphens; the span is its second half, which no UUID has all zero.
fn trace_parent(correlation: &str) -> String {
    let trace: String = correlation.chars().filter(char::is_ascii_hexdigit).collect();
    let span = trace.get(16..).unwrap_or_default();
    format!("00-{trace}-{span}-01")
}

/// The code of a status that stands for itself.
fn code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "Unauthorized",
        StatusCode::NOT_FOUND => "NotFound",
        StatusCode::METHOD_NOT_ALLOWED => "MethodNotAllowed",
        StatusCode::PAYLOAD_TOO_LARGE => "PayloadTooLarge",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "UnsupportedMediaType",
        StatusCode::MISDIRECTED_REQUEST => "MisdirectedRequest",
        StatusCode::TOO_MANY_REQUESTS => "TooManyRequests",
        StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailable",
        _ => "InvalidParameter",
    }
}

const fn of_kind(kind: AzureFaultKind) -> (StatusCode, &'static str) {
    use AzureFaultKind as Kind;
    match kind {
        Kind::Unauthorized => (StatusCode::UNAUTHORIZED, "Unauthorized"),
        Kind::InvalidParameter => (StatusCode::BAD_REQUEST, "InvalidParameter"),
        Kind::InvalidOperation => (StatusCode::BAD_REQUEST, "InvalidOperation"),
        Kind::PolicyParsingError => (StatusCode::BAD_REQUEST, "PolicyParsingError"),
        Kind::PolicyEvaluationError => (StatusCode::BAD_REQUEST, "PolicyEvaluationError"),
        // With its space: this is what clients of the original compare with.
        Kind::PolicyNotSet => (StatusCode::BAD_REQUEST, "Bad request"),
        Kind::NotFound => (StatusCode::NOT_FOUND, "NotFound"),
        Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLarge"),
        Kind::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests"),
        Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
    }
}

impl From<AzureFault> for Refusal {
    fn from(fault: AzureFault) -> Self {
        let (status, code) = of_kind(fault.kind);
        let AzureFault { message, correlation, retry_after, trace, .. } = fault;
        Self { status, code, message, correlation, retry_after, trace }
    }
}

impl From<BrokerError> for Refusal {
    fn from(error: BrokerError) -> Self {
        AzureFault::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Code;

    #[test]
    fn the_request_id_is_the_correlation_id_as_a_traceparent() {
        let id = trace_parent("0b6e6f0e-6e0f-4a6c-8a52-6f0b1d2a9c11");
        assert_eq!(id, "00-0b6e6f0e6e0f4a6c8a526f0b1d2a9c11-8a526f0b1d2a9c11-01");
    }

    #[test]
    fn no_code_of_the_broker_is_told_as_forbidden_or_as_success() {
        for known in Code::ALL {
            let error = BrokerError {
                code: *known,
                detail: String::new(),
                retry_after: None,
                reasons: None,
                correlation: crate::broker::correlation(),
            };
            let refusal = Refusal::from(error);
            assert!(matches!(refusal.status.as_u16(), 400 | 401 | 404 | 413 | 429 | 503), "{known:?}");
        }
    }
}
