//! Refusals as RFC 9457 problem documents, and the one table of statuses.
//!
//! `native-api.md` section 3 *Errors*, `bad-inputs.md` section 0.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use serde_json::{Map, Value, json};

use crate::broker::{BrokerError, Code};

/// Type URIs end in the stable code.
const TYPE: &str = "urn:keygate:errors/";

/// The status of a code.
pub const fn status(code: Code) -> StatusCode {
    match code {
        Code::Malformed
        | Code::Unsupported
        | Code::SignatureInvalid
        | Code::ChainUntrusted
        | Code::Revoked
        | Code::BindingMismatch
        | Code::TokenInvalid
        | Code::CryptoFailed
        | Code::ConfigInvalid => StatusCode::BAD_REQUEST,
        Code::CredentialInvalid | Code::AuthRequired => StatusCode::UNAUTHORIZED,
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
        Code::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        Code::PreconditionRequired => StatusCode::PRECONDITION_REQUIRED,
        Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::RuleInvalid | Code::PolicyInvalid | Code::ReferenceInvalid => StatusCode::UNPROCESSABLE_ENTITY,
        Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Code::Misdirected => StatusCode::MISDIRECTED_REQUEST,
        Code::CollateralUnavailable
        | Code::Overloaded
        | Code::DependencyUnavailable
        | Code::AuditUnavailable
        | Code::Sealed
        | Code::StoreCorrupt
        | Code::RollbackDetected
        | Code::ClockUntrusted => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// A refusal of the broker.
pub fn refusal(error: &BrokerError) -> HttpResponse {
    let mut extra = Map::new();
    extra.insert("instance".into(), json!(format!("urn:uuid:{}", error.correlation)));
    if let Some(reasons) = &error.reasons {
        extra.insert("reasons".into(), json!(reasons));
    }
    let status = status(error.code);
    let mut response = document(status, error.code.as_str(), error.code.title(), &error.detail, extra);
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// A refusal by form, before the broker is asked.
pub fn answer(status: StatusCode, code: &str, what: &str) -> HttpResponse {
    let mut extra = Map::new();
    extra.insert("instance".into(), json!(format!("urn:uuid:{}", crate::broker::correlation())));
    document(status, code, Code::of(code).title(), what, extra)
}

fn document(status: StatusCode, code: &str, title: &str, detail: &str, extra: Map<String, Value>) -> HttpResponse {
    let mut body = extra;
    body.insert("type".into(), json!(format!("{TYPE}{code}")));
    body.insert("title".into(), json!(title));
    body.insert("status".into(), json!(status.as_u16()));
    body.insert("detail".into(), json!(detail));
    let mut response = HttpResponse::build(status);
    if status == StatusCode::UNAUTHORIZED {
        response.insert_header((WWW_AUTHENTICATE, "Bearer"));
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.insert_header((ALLOW, "GET, POST"));
    }
    response.insert_header((CACHE_CONTROL, "no-store")).insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"));
    response.insert_header((CONTENT_TYPE, "application/problem+json")).body(Value::Object(body).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_those_of_the_catalogue() {
        for (code, wanted) in [
            ("malformed", 400),
            ("too-large", 413),
            ("revoked", 400),
            ("collateral-unavailable", 503),
            ("tcb-rejected", 403),
            ("binding-mismatch", 400),
            ("freshness-failed", 410),
            ("token-invalid", 400),
            ("auth-required", 401),
            ("not-released", 403),
            ("key-not-found", 404),
            ("key-state", 409),
            ("operation-not-allowed", 403),
            ("crypto-failed", 400),
            ("conflict", 409),
            ("rule-invalid", 422),
            ("policy-invalid", 422),
            ("rate-limited", 429),
            ("audit-unavailable", 503),
        ] {
            assert_eq!(status(Code::of(code)).as_u16(), wanted, "{code}");
        }
        assert_eq!(status(Code::CredentialInvalid).as_u16(), 401);
    }
}
