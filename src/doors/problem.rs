//! How every door of ours refuses: RFC 9457 problem documents, and the status of each stable code.
//!
//! Keygate's contract, section 3 *Errors*. The text is ours alone: nothing of a request is ever echoed.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use serde_json::{Map, Value, json};

use crate::broker::{BrokerError, Code};

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";
/// The address under which a code is described; the code is its last segment.
const TYPES: &str = "https://keygate.dev/errors/";

/// The status that our own doors give a code.
pub const fn status(code: Code) -> StatusCode {
    match code {
        Code::Malformed
        | Code::Unsupported
        | Code::SignatureInvalid
        | Code::ChainUntrusted
        | Code::Revoked
        | Code::BindingMismatch
        | Code::TokenInvalid
        | Code::CryptoFailed => StatusCode::BAD_REQUEST,
        Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::AuthRequired | Code::CredentialInvalid => StatusCode::UNAUTHORIZED,
        Code::TcbRejected
        | Code::DebugRejected
        | Code::Forbidden
        | Code::PolicyDenied
        | Code::RuleNotSatisfied
        | Code::NotReleased
        | Code::OperationNotAllowed
        | Code::BudgetExceeded => StatusCode::FORBIDDEN,
        Code::KeyNotFound | Code::NotFound => StatusCode::NOT_FOUND,
        Code::KeyState | Code::Conflict => StatusCode::CONFLICT,
        Code::FreshnessFailed => StatusCode::GONE,
        Code::PreconditionRequired => StatusCode::PRECONDITION_REQUIRED,
        Code::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        Code::RuleInvalid => StatusCode::UNPROCESSABLE_ENTITY,
        Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Code::Misdirected => StatusCode::MISDIRECTED_REQUEST,
        Code::CollateralUnavailable
        | Code::Overloaded
        | Code::DependencyUnavailable
        | Code::AuditUnavailable
        | Code::Sealed
        | Code::StoreCorrupt
        | Code::RollbackDetected
        | Code::ClockUntrusted
        | Code::ConfigInvalid => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The answer to a refusal of the broker's.
pub fn refused(error: &BrokerError) -> HttpResponse {
    let mut body = document(status(error.code), error.code.as_str(), error.code.title());
    if !error.detail.is_empty() {
        body.insert("detail".into(), json!(error.detail));
    }
    body.insert("instance".into(), json!(error.correlation));
    if let Some(reasons) = &error.reasons {
        body.insert("reasons".into(), json!(reasons));
    }
    send(status(error.code), body, error.retry_after)
}

/// The answer to a request that never reached the broker.
pub fn answer(status: StatusCode, code: &str, what: &str) -> HttpResponse {
    let title = Code::ALL.iter().find(|c| c.as_str() == code).map_or(what, |c| c.title());
    let mut body = document(status, code, title);
    body.insert("detail".into(), json!(what));
    body.insert("instance".into(), json!(crate::broker::correlation()));
    send(status, body, None)
}

fn document(status: StatusCode, code: &str, title: &str) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("type".into(), json!(format!("{TYPES}{code}")));
    body.insert("title".into(), json!(title));
    body.insert("status".into(), json!(status.as_u16()));
    body
}

fn send(status: StatusCode, body: Map<String, Value>, retry_after: Option<u32>) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    response.content_type(MEDIA_TYPE);
    if let Some(seconds) = retry_after {
        response.insert_header((RETRY_AFTER, seconds));
    }
    response.body(Value::Object(body).to_string())
}
