//! One request: its seat, version, bearer and ids, and how its outcome becomes an answer.
//!
//! `maa-rest-api.md` sections 1 and 2. The order of checks is route, `api-version`, bearer, body, evidence, binding, policy.

use std::sync::Arc;
use std::time::Instant;

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderValue;
use actix_web::web::{self, Bytes, Data};
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::error::{self, Refusal};
use super::version::ApiVersion;
use crate::broker::admin::Action;
use crate::broker::{AttestationType, AzureFault, AzureToken, Broker, Caller, Code, Fault, Seat};
use crate::doors::head;
use crate::telemetry;

/// Asks for the evaluation beside the token.
const TRACE: &str = "x-ms-keygate-trace";

pub(super) type Body = Result<Bytes, Error>;
pub(super) type Outcome = Result<HttpResponse, Refusal>;

/// What every handler needs of a request.
pub(super) struct Call {
    pub(super) broker: Arc<Broker>,
    pub(super) seat: Seat,
    pub(super) correlation: String,
    http: HttpRequest,
}

/// Runs a handler's body; a refusal becomes an answer in this dialect. `place` is the path in our own spelling.
pub(super) async fn served(
    broker: Data<Arc<Broker>>,
    http: HttpRequest,
    operation: &'static str,
    place: &str,
    work: impl AsyncFnOnce(&Call) -> Outcome,
) -> HttpResponse {
    let began = Instant::now();
    let seat = http.extensions().get::<Seat>().cloned();
    let Some(seat) = seat else {
        // The assembly gave no seat: the request is for nobody here.
        return error::answer(StatusCode::MISDIRECTED_REQUEST, Code::Misdirected.title());
    };
    let call = Call { broker: Arc::clone(&broker), seat, correlation: crate::broker::correlation(), http };
    let mut response = match work(&call).await {
        Ok(response) => {
            telemetry::answered(operation, "ok", "", began.elapsed());
            response
        }
        Err(mut refusal) => {
            telemetry::answered(operation, refusal.code, &refusal.correlation, began.elapsed());
            if refusal.status == StatusCode::UNAUTHORIZED {
                let prefix = call.seat.provider.prefix();
                refusal.message = format!("access to {prefix}{place} requires a valid JWT bearer token");
            }
            refusal.response()
        }
    };
    if let Some(id) = head::client_request_id(&call.http) {
        response.headers_mut().insert(head::CLIENT_REQUEST_ID, id);
    }
    response
}

impl Call {
    /// A refusal that the broker counts.
    pub(super) fn refuse(&self, fault: &Fault) -> Refusal {
        self.broker.refuse(&self.seat, fault).into()
    }

    fn wrong(&self, message: String) -> Refusal {
        let mut refusal = self.refuse(&Fault::new(Code::Malformed, ""));
        refusal.message = message;
        refusal
    }

    /// The version that the query must name.
    pub(super) fn version(&self) -> Result<ApiVersion, Refusal> {
        let named = self.optional_version()?;
        named.ok_or_else(|| self.wrong(ApiVersion::wrong("is missing")))
    }

    /// The version, where none need be named.
    pub(super) fn optional_version(&self) -> Result<Option<ApiVersion>, Refusal> {
        ApiVersion::of_query(self.http.uri().query().unwrap_or_default()).map_err(|told| self.wrong(told))
    }

    /// The type in a path of a policy.
    pub(super) fn policy_type(&self) -> Result<AttestationType, Refusal> {
        self.attestation_type()
            .ok_or_else(|| self.refuse(&Fault::new(Code::Malformed, "there is no such type of attestation")))
    }

    /// The type in the path.
    pub(super) fn attestation_type(&self) -> Option<AttestationType> {
        type_of(&self.http)
    }

    /// The body, if it came whole and within the limit.
    pub(super) fn body(&self, body: Body) -> Result<Bytes, Refusal> {
        body.map_err(|error| match error.as_response_error().status_code() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                self.refuse(&Fault::new(Code::TooLarge, "the body is larger than is read"))
            }
            _ => self.refuse(&Fault::new(Code::Malformed, "the body did not arrive whole")),
        })
    }

    /// Whoever asks, without looking at a bearer: clients send one with every call, ours or not.
    pub(super) fn anybody(&self) -> Result<Caller, Refusal> {
        Ok(self.broker.caller(&self.seat, None)?)
    }

    /// A caller who may read policies.
    pub(super) async fn reader(&self) -> Result<Caller, Refusal> {
        self.caller_who_may(Action::PolicyShow).await
    }

    async fn caller_who_may(&self, action: Action) -> Result<Caller, Refusal> {
        let bearer = head::bearer(&self.http);
        let bearer = bearer.as_ref().map(|token| token.as_str());
        self.broker.prepare_caller(&self.seat, bearer).await;
        let caller = self.broker.caller(&self.seat, bearer)?;
        match action.roles().iter().any(|role| caller.has(role.as_str())) {
            true => Ok(caller),
            false => Err(self.refuse(&Fault::new(Code::Forbidden, "credential"))),
        }
    }

    /// Whether the evaluation is asked for.
    pub(super) fn trace(&self) -> Result<bool, Refusal> {
        let mut values = self.http.headers().get_all(TRACE).map(HeaderValue::as_bytes);
        match (values.next(), values.next()) {
            (None, _) => Ok(false),
            (Some(word), None) if word.eq_ignore_ascii_case(b"true") => Ok(true),
            (Some(word), None) if word.eq_ignore_ascii_case(b"false") => Ok(false),
            _ => Err(self.refuse(&Fault::new(Code::Malformed, "the header `x-ms-keygate-trace` is `true` or `false`"))),
        }
    }

    /// A signed text, to someone who may change what it changes. Whoever may not learns nothing of its form.
    pub(super) async fn signed(&self, body: Body, member: Option<&str>) -> Result<String, Refusal> {
        let read =
            self.body(body).and_then(|body| super::wire::read_jws(&body, member).map_err(|fault| self.refuse(&fault)));
        match read {
            Ok(jws) => Ok(jws),
            Err(refusal) => self.caller_who_may(Action::PolicySet).await.and(Err(refusal)),
        }
    }

    /// A use case of the management, on a thread that may block; its token is the answer.
    pub(super) async fn token<W>(&self, work: W) -> Outcome
    where
        W: FnOnce(&Broker, &Seat, Option<&str>) -> Result<AzureToken, AzureFault> + Send + 'static,
    {
        let (broker, seat, bearer) = (Arc::clone(&self.broker), self.seat.clone(), head::bearer(&self.http));
        broker.prepare_caller(&seat, bearer.as_ref().map(|token| token.as_str())).await;
        let done = web::block(move || work(&broker, &seat, bearer.as_ref().map(|token| token.as_str()))).await;
        let done = done.map_err(|_| self.refuse(&Fault::new(Code::DependencyUnavailable, "")))?;
        let told = done?;
        Ok(error::ok(&json!({"token": told.token}), &told.correlation))
    }

    /// An answer with a body.
    pub(super) fn ok(&self, body: &Value) -> HttpResponse {
        error::ok(body, &self.correlation)
    }
}

/// The type in the path of a request.
pub(super) fn type_of(http: &HttpRequest) -> Option<AttestationType> {
    http.match_info().get("type").and_then(AttestationType::parse)
}
