//! Refusals in Key Vault's shape, `{"error": {"code", "message", "innererror"}}`, and the heads that every answer of this door has.
//!
//! `keyvault-api.md` section 4. Unchanged clients show `innererror` whole: there stand our own code, the correlation id, and where the
//! caller may know them the tests that did not hold. What is told is what the native door tells, never more. Nothing that will not pass by
//! itself is a 5xx or 429: clients would ask again.

use std::ops::{Deref, DerefMut};

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, STRICT_TRANSPORT_SECURITY,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde_json::{Value, json};

use crate::broker::vault::VaultRefusal;
use crate::broker::{BrokerError, Code};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
const SERVICE_VERSION: HeaderName = HeaderName::from_static("x-ms-keyvault-service-version");
const VERSION: &str = concat!("keygate-", env!("CARGO_PKG_VERSION"));
const JSON: &str = "application/json; charset=utf-8";

/// Seconds that a client is told to wait.
const LONGEST_WAIT: u32 = 60;

/// A refusal on its way out.
#[derive(Debug)]
pub(super) struct Refusal(Box<Parts>);

/// What it is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) status: StatusCode,
    /// The word for logs and metrics.
    pub(super) word: &'static str,
    code: &'static str,
    inner: &'static str,
    pub(super) message: String,
    pub(super) correlation: String,
    retry_after: Option<u32>,
    reasons: Option<Vec<Value>>,
    option: Option<&'static str>,
    /// For whoever has to show evidence with it.
    pub(super) nonce: Option<String>,
    /// What a 401 says of where tokens come from.
    pub(super) challenge: Option<String>,
}

impl Deref for Refusal {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl DerefMut for Refusal {
    fn deref_mut(&mut self) -> &mut Parts {
        &mut self.0
    }
}

/// Status, code, and code of the inner error.
const fn shape(code: Code) -> (StatusCode, &'static str, &'static str) {
    match code {
        Code::Malformed
        | Code::Unsupported
        | Code::RuleInvalid
        | Code::PolicyInvalid
        | Code::ReferenceInvalid
        | Code::CryptoFailed => (StatusCode::BAD_REQUEST, "BadParameter", "BadParameter"),
        Code::SignatureInvalid | Code::ChainUntrusted | Code::Revoked | Code::BindingMismatch | Code::TokenInvalid => {
            (StatusCode::BAD_REQUEST, "BadParameter", "AttestationInvalid")
        }
        Code::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "BadParameter", "TooLarge"),
        Code::CredentialInvalid | Code::AuthRequired => (StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized"),
        Code::Forbidden => (StatusCode::FORBIDDEN, "Forbidden", "ForbiddenByRbac"),
        Code::TcbRejected
        | Code::DebugRejected
        | Code::PolicyDenied
        | Code::RuleNotSatisfied
        | Code::FreshnessFailed => (StatusCode::FORBIDDEN, "Forbidden", "AttestationDenied"),
        Code::KeyState => (StatusCode::FORBIDDEN, "Forbidden", "KeyDisabled"),
        Code::OperationNotAllowed | Code::NotReleased => (StatusCode::FORBIDDEN, "Forbidden", "AccessDenied"),
        Code::KeyNotFound | Code::NotFound => (StatusCode::NOT_FOUND, "KeyNotFound", "KeyNotFound"),
        Code::Conflict | Code::PreconditionFailed | Code::PreconditionRequired => {
            (StatusCode::CONFLICT, "Conflict", "Conflict")
        }
        Code::BudgetExceeded => (StatusCode::FORBIDDEN, "Forbidden", "BudgetExceeded"),
        Code::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "Throttled", "VaultRequestTypeLimitReached"),
        Code::Misdirected => (StatusCode::MISDIRECTED_REQUEST, "Forbidden", "Misdirected"),
        Code::CollateralUnavailable
        | Code::Overloaded
        | Code::DependencyUnavailable
        | Code::AuditUnavailable
        | Code::Sealed
        | Code::StoreCorrupt
        | Code::RollbackDetected
        | Code::ClockUntrusted
        | Code::ConfigInvalid => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", "ServiceUnavailable"),
    }
}

impl From<VaultRefusal> for Refusal {
    fn from(refusal: VaultRefusal) -> Self {
        let VaultRefusal { error, nonce, option, misfit } = refusal;
        let error = *error;
        let (mut status, mut code, mut inner) = shape(error.code);
        if nonce.is_some() {
            (status, code, inner) = (StatusCode::UNAUTHORIZED, "Unauthorized", "AttestationNonceRequired");
        }
        // Clients wait as long as they are told, and ask again: a hold of minutes would look like a hang.
        if error.code == Code::RateLimited && error.retry_after.is_some_and(|seconds| seconds > LONGEST_WAIT) {
            (status, code, inner) = (StatusCode::FORBIDDEN, "Forbidden", "DeletionsOnHold");
        }
        if misfit {
            (status, code, inner) = (StatusCode::BAD_REQUEST, "BadParameter", "BadParameter");
        }
        if error.code == Code::Conflict && error.detail.contains("deleted") {
            inner = "ObjectIsDeletedButRecoverable";
        }
        let message = match status {
            StatusCode::UNAUTHORIZED if nonce.is_none() => {
                "AKV10000: Request is missing a Bearer or PoP token, or the token is not accepted.".to_owned()
            }
            _ if error.detail == error.code.title() => format!("{}: {}", error.code.as_str(), error.detail),
            _ => error.detail,
        };
        Self(Box::new(Parts {
            status,
            word: error.code.as_str(),
            code,
            inner,
            message,
            correlation: error.correlation,
            retry_after: error.retry_after,
            reasons: error.reasons,
            option,
            nonce,
            challenge: None,
        }))
    }
}

impl From<BrokerError> for Refusal {
    fn from(error: BrokerError) -> Self {
        VaultRefusal::from(error).into()
    }
}

impl Refusal {
    /// A refusal by form, before the broker is asked.
    pub(super) fn by_form(status: StatusCode, message: &str) -> Self {
        let code = match status {
            StatusCode::NOT_FOUND => "NotFound",
            StatusCode::METHOD_NOT_ALLOWED => "MethodNotAllowed",
            StatusCode::NOT_IMPLEMENTED => "NotImplemented",
            StatusCode::TOO_MANY_REQUESTS => "Throttled",
            StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailable",
            StatusCode::MISDIRECTED_REQUEST => "Forbidden",
            _ => "BadParameter",
        };
        Self(Box::new(Parts {
            status,
            word: code,
            code,
            inner: code,
            message: message.to_owned(),
            correlation: crate::broker::correlation(),
            retry_after: None,
            reasons: None,
            option: None,
            nonce: None,
            challenge: None,
        }))
    }

    /// The answer.
    pub(super) fn response(&self) -> HttpResponse {
        let mut inner = json!({"code": self.inner, "keygate": self.word, "correlation": self.correlation});
        if let Some(reasons) = &self.reasons {
            inner["failed"] = json!(reasons);
        }
        if let Some(option) = self.option {
            inner["option"] = json!(option);
        }
        let body = json!({"error": {"code": self.code, "message": self.message, "innererror": inner}});
        let mut response = begin(self.status, &self.correlation);
        if let Some(challenge) = &self.challenge {
            response.insert_header((WWW_AUTHENTICATE, challenge.as_str()));
        }
        if let Some(seconds) = self.retry_after {
            response.insert_header((RETRY_AFTER, HeaderValue::from(seconds)));
        }
        response.insert_header((CONTENT_TYPE, JSON)).body(body.to_string())
    }
}

/// A refusal by the gate.
pub fn answer(status: StatusCode, message: &str) -> HttpResponse {
    Refusal::by_form(status, message).response()
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
        .insert_header((REQUEST_ID, correlation))
        .insert_header((SERVICE_VERSION, VERSION))
        .insert_header((CACHE_CONTROL, "no-cache, no-store"))
        .insert_header((STRICT_TRANSPORT_SECURITY, "max-age=31536000"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: Code) -> Refusal {
        let error = BrokerError {
            code,
            detail: code.title().to_owned(),
            retry_after: code.retry_after(),
            reasons: None,
            correlation: String::new(),
        };
        error.into()
    }

    #[test]
    fn no_code_of_the_broker_is_told_as_a_success_and_only_what_passes_is_retried() {
        for code in Code::ALL {
            let told = refusal(*code);
            assert!(told.status.is_client_error() || told.status.is_server_error(), "{code:?}");
            let retried = told.status.is_server_error() || told.status == StatusCode::TOO_MANY_REQUESTS;
            assert_eq!(retried, code.retry_after().is_some() || *code == Code::ConfigInvalid, "{code:?}");
        }
    }

    #[test]
    fn a_nonce_makes_a_challenge_of_the_refusal() {
        let mut told = VaultRefusal::from(BrokerError {
            code: Code::FreshnessFailed,
            detail: String::new(),
            retry_after: None,
            reasons: None,
            correlation: String::new(),
        });
        assert_eq!(Refusal::from(told.clone()).status, StatusCode::FORBIDDEN);
        told.nonce = Some("n".into());
        assert_eq!(Refusal::from(told).status, StatusCode::UNAUTHORIZED);
    }
}
