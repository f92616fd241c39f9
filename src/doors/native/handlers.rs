//! Handlers of the native door: from an HTTP request to a use case and back.
//!
//! `native-api.md` section 3.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use actix_web::web::{Bytes, Data};
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::wire;
use crate::broker::{
    AttestRequest, Broker, BrokerError, Caller, Code, Fault, IdempotencyKey, KeyRequest, KeySelector, Operation, Seat,
};
use crate::doors::problem;
use crate::telemetry;

pub(super) type Body = Result<Bytes, Error>;

/// The token behind the scheme `Bearer`, whose case does not matter. RFC 9110 section 11.1.
fn bearer(text: &str) -> Option<&str> {
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(token)
}

/// What every handler needs of a request.
pub(super) struct Call<'r> {
    pub(super) broker: &'r Arc<Broker>,
    pub(super) http: &'r HttpRequest,
    pub(super) seat: Seat,
    operation: &'static str,
    began: Instant,
}

impl<'r> Call<'r> {
    /// None where the assembly gave no seat: the request is for nobody here.
    pub(super) fn new(broker: &'r Arc<Broker>, http: &'r HttpRequest, operation: &'static str) -> Option<Self> {
        let began = Instant::now();
        let seat = http.extensions().get::<Seat>().cloned()?;
        Some(Self { broker, http, seat, operation, began })
    }

    pub(super) fn refuse(&self, fault: &Fault) -> BrokerError {
        self.broker.refuse(&self.seat, fault)
    }

    /// The body, if it came whole and within the limit.
    pub(super) fn body(&self, body: Body) -> Result<Bytes, BrokerError> {
        body.map_err(|error| match error.as_response_error().status_code() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                self.refuse(&Fault::new(Code::TooLarge, "the body is larger than is read"))
            }
            _ => self.refuse(&Fault::new(Code::Malformed, "the body did not arrive whole")),
        })
    }

    /// The caller of the bearer token, where one was sent; else of the connection.
    pub(super) async fn caller(&self) -> Result<Caller, BrokerError> {
        let mut values = self.http.headers().get_all(AUTHORIZATION);
        let (Some(value), None) = (values.next(), values.next()) else {
            return match self.http.headers().contains_key(AUTHORIZATION) {
                false => self.broker.caller(&self.seat, None),
                true => Err(self.refuse(&Fault::new(Code::CredentialInvalid, "credential"))),
            };
        };
        let token = value.to_str().ok().and_then(bearer).unwrap_or_default();
        self.broker.prepare_caller(&self.seat, Some(token)).await;
        self.broker.caller(&self.seat, Some(token))
    }

    fn idempotency(&self, body: &[u8]) -> Result<Option<IdempotencyKey>, BrokerError> {
        let wrong = || self.refuse(&Fault::new(Code::Malformed, "idempotency-key"));
        let mut values = self.http.headers().get_all("idempotency-key");
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => {
                let key = value.to_str().ok();
                let key = key.and_then(|key| IdempotencyKey::parse(key, self.http.uri().path(), body));
                key.map(Some).ok_or_else(wrong)
            }
            (Some(_), Some(_)) => Err(wrong()),
        }
    }

    fn key(&self) -> Result<KeySelector, BrokerError> {
        let path = self.http.match_info();
        let name = path.get("name").unwrap_or_default();
        KeySelector::parse(name, path.get("version")).map_err(|error| self.refuse(&error.into()))
    }

    pub(super) fn finish(&self, outcome: Result<HttpResponse, BrokerError>) -> HttpResponse {
        let took: Duration = self.began.elapsed();
        match outcome {
            Ok(response) => {
                telemetry::answered(self.operation, "ok", "", took);
                response
            }
            Err(error) => {
                telemetry::answered(self.operation, error.code.as_str(), &error.correlation, took);
                problem::refusal(&error)
            }
        }
    }
}

/// Runs a handler's body; a refusal becomes a problem document.
macro_rules! answer {
    ($broker:expr, $http:expr, $operation:expr, |$call:ident| $body:expr) => {
        match $crate::doors::native::handlers::Call::new(&$broker, &$http, $operation) {
            None => $crate::doors::native::handlers::misdirected(),
            Some($call) => {
                let outcome: Result<actix_web::HttpResponse, $crate::broker::BrokerError> = async { $body }.await;
                $call.finish(outcome)
            }
        }
    };
}

pub(super) use answer;

pub(super) fn misdirected() -> HttpResponse {
    problem::answer(StatusCode::MISDIRECTED_REQUEST, "not-found", Code::Misdirected.title())
}

/// A fresh challenge.
#[utoipa::path(post, path = "/v1/challenges", tag = "workload",
    request_body = super::openapi::Empty,
    responses((status = 200, description = "A challenge; nothing was written", body = super::openapi::Challenge)))]
pub(super) async fn challenge(broker: Data<Arc<Broker>>, http: HttpRequest, body: Body) -> HttpResponse {
    answer!(broker, http, "challenge", |call| {
        wire::read_empty(&call.body(body)?).map_err(|fault| call.refuse(&fault))?;
        call.caller().await?;
        let challenge = call.broker.challenge(&call.seat)?;
        ok(&json!({
            "challenge": URL_SAFE_NO_PAD.encode(challenge.bytes),
            "expires_at": challenge.expires_at,
            "host": challenge.host,
        }))
    })
}

/// Evidence to a token.
#[utoipa::path(post, path = "/v1/attestations", tag = "workload",
    request_body = super::openapi::Attestation,
    responses((status = 200, description = "A token", body = super::openapi::Attested),
        (status = "4XX", description = "The evidence does not hold", body = super::openapi::Problem)))]
pub(super) async fn attest(broker: Data<Arc<Broker>>, http: HttpRequest, body: Body) -> HttpResponse {
    answer!(broker, http, "attest", |call| {
        let body = call.body(body)?;
        let read = wire::read_attestation(&body).map_err(|fault| call.refuse(&fault))?;
        let request = AttestRequest {
            seat: call.seat.clone(),
            evidence: read.evidence,
            audience: read.audience,
            caller: call.caller().await?,
            idempotency: call.idempotency(&body)?,
        };
        let answer = call.broker.attest(request).await?;
        ok(&json!({
            "token": answer.token,
            "claims": answer.claims,
            "presented": answer.presented,
            "expires_at": answer.expires_at,
        }))
    })
}

async fn use_key(broker: Data<Arc<Broker>>, http: HttpRequest, body: Body, operation: Operation) -> HttpResponse {
    answer!(broker, http, operation.as_str(), |call| {
        let body = call.body(body)?;
        let key = call.key()?;
        let read = wire::read_use(&body, operation).map_err(|fault| call.refuse(&fault))?;
        let request = KeyRequest {
            seat: call.seat.clone(),
            key,
            usage: read.usage,
            wrapping: read.wrapping,
            proof: read.proof,
            caller: call.caller().await?,
            idempotency: call.idempotency(&body)?,
        };
        let answer = call.broker.use_key(request).await?;
        ok(&Value::Object(answer.body))
    })
}

/// The key itself, sealed to the recipient in the evidence.
#[utoipa::path(post, path = "/v1/keys/{name}/release", tag = "workload",
    params(("name" = String, Path, description = "Key name, or `name/versions/version`")),
    request_body = super::openapi::Release,
    responses((status = 200, description = "Sealed key and receipt", body = super::openapi::Released),
        (status = 403, description = "Not released", body = super::openapi::Problem),
        (status = 410, description = "Take a new challenge", body = super::openapi::Problem)))]
pub(super) async fn release(broker: Data<Arc<Broker>>, http: HttpRequest, body: Body) -> HttpResponse {
    use_key(broker, http, body, Operation::Release).await
}

/// Decrypts under the key.
#[utoipa::path(post, path = "/v1/keys/{name}/unwrap", tag = "workload",
    params(("name" = String, Path, description = "Key name, or `name/versions/version`")),
    request_body = super::openapi::Unwrap,
    responses((status = 200, description = "Sealed plaintext and receipt", body = super::openapi::Sealed),
        (status = 403, description = "Not released", body = super::openapi::Problem)))]
pub(super) async fn unwrap(broker: Data<Arc<Broker>>, http: HttpRequest, body: Body) -> HttpResponse {
    use_key(broker, http, body, Operation::Unwrap).await
}

/// A fresh data key, under the key and sealed.
#[utoipa::path(post, path = "/v1/keys/{name}/generate", tag = "workload",
    params(("name" = String, Path, description = "Key name, or `name/versions/version`")),
    request_body = super::openapi::Generate,
    responses((status = 200, description = "Data key, twice encrypted, and receipt", body = super::openapi::Sealed),
        (status = 403, description = "Not released", body = super::openapi::Problem)))]
pub(super) async fn generate(broker: Data<Arc<Broker>>, http: HttpRequest, body: Body) -> HttpResponse {
    use_key(broker, http, body, Operation::Generate).await
}

/// Signs a digest.
#[utoipa::path(post, path = "/v1/keys/{name}/sign", tag = "workload",
    params(("name" = String, Path, description = "Key name, or `name/versions/version`")),
    request_body = super::openapi::Sign,
    responses((status = 200, description = "Sealed signature and receipt", body = super::openapi::Sealed),
        (status = 403, description = "Not released", body = super::openapi::Problem)))]
pub(super) async fn sign(broker: Data<Arc<Broker>>, http: HttpRequest, body: Body) -> HttpResponse {
    use_key(broker, http, body, Operation::Sign).await
}

/// Encrypts under the key, for role `key-user` or whoever proves what it is.
#[utoipa::path(post, path = "/v1/keys/{name}/wrap", tag = "workload",
    params(("name" = String, Path, description = "Key name, or `name/versions/version`")),
    request_body = super::openapi::Wrap,
    responses((status = 200, description = "Ciphertext", body = super::openapi::Ciphertext),
        (status = 401, description = "Neither role nor proof", body = super::openapi::Problem)))]
pub(super) async fn wrap(broker: Data<Arc<Broker>>, http: HttpRequest, body: Body) -> HttpResponse {
    use_key(broker, http, body, Operation::Wrap).await
}

/// The public part of a key, for roles `key-user` and `auditor`.
#[utoipa::path(get, path = "/v1/keys/{name}", tag = "workload",
    params(("name" = String, Path, description = "Key name, or `name/versions/version`")),
    responses((status = 200, description = "Public part, versions, rule digest", body = Object),
        (status = 404, description = "No such key", body = super::openapi::Problem)))]
pub(super) async fn key(broker: Data<Arc<Broker>>, http: HttpRequest) -> HttpResponse {
    answer!(broker, http, "describe", |call| {
        let key = call.key()?;
        let caller = call.caller().await?;
        ok(&call.broker.describe_key(&call.seat, &key, &caller)?)
    })
}

/// The newest head of the audit journal, signed.
#[utoipa::path(get, path = "/v1/audit/head", tag = "audit",
    responses((status = 200, description = "Compact JWS by the receipt key", body = String, content_type = "application/jose")))]
pub(super) async fn audit_head(broker: Data<Arc<Broker>>, http: HttpRequest) -> HttpResponse {
    answer!(broker, http, "audit-head", |call| {
        let head = call.broker.audit_head(&call.seat)?;
        Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/jose")).body(head))
    })
}

/// The provider: issuer, hosts, kinds, wrappings, limits, where its keys are.
#[utoipa::path(get, path = "/.well-known/keygate", tag = "discovery",
    responses((status = 200, description = "The provider", body = super::openapi::WellKnown)))]
pub(super) async fn well_known(broker: Data<Arc<Broker>>, http: HttpRequest) -> HttpResponse {
    answer!(broker, http, "discovery", |call| {
        // The gate has seen that this host is the provider's.
        let authority = call.http.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        ok(&call.broker.well_known(&call.seat, &authority.to_ascii_lowercase()))
    })
}

/// The public keys of the provider, each with its purpose.
#[utoipa::path(get, path = "/.well-known/keygate/jwks.json", tag = "discovery",
    responses((status = 200, description = "RFC 7517 key set", body = Object)))]
pub(super) async fn jwks(broker: Data<Arc<Broker>>, http: HttpRequest) -> HttpResponse {
    answer!(broker, http, "discovery", |call| ok(&call.broker.jwks(&call.seat)))
}

/// The description of this interface.
pub(super) async fn openapi() -> HttpResponse {
    HttpResponse::Ok().json(super::document())
}

/// A path that is served, with another method.
pub(super) async fn not_allowed() -> HttpResponse {
    problem::answer(StatusCode::METHOD_NOT_ALLOWED, "unsupported", "this method is not served here")
}

pub(super) fn ok(body: &Value) -> Result<HttpResponse, BrokerError> {
    Ok(HttpResponse::Ok().json(body))
}
