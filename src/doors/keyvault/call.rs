//! One request: its seat, place, query and bearer, and how its outcome becomes an answer.
//!
//! `keyvault-api.md` sections 1 and 5. The order of checks is route, `api-version`, bearer, body, evidence, key: whoever brings no token is
//! asked for one before its body is looked at.

use std::sync::Arc;
use std::time::Instant;

use actix_web::http::header::HOST;
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, Bytes, Data};
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse};
use serde_json::Value;
use zeroize::Zeroizing;

use super::error::{self, Refusal};
use super::place::{self, NoPlace, Place, Verb};
use super::version::{self, Query};
use super::{challenge, manage, use_key};
use crate::broker::{Broker, BrokerError, Caller, Code, Fault, KeyName, KeySelector, Seat};
use crate::doors::head;
use crate::telemetry;

/// Stands for another method on a POST.
const OVERRIDE: &str = "x-http-method";

pub(super) type Body = Result<Bytes, Error>;
pub(super) type Outcome = Result<HttpResponse, Refusal>;

/// What every operation needs of a request.
pub(super) struct Call {
    pub(super) broker: Arc<Broker>,
    pub(super) seat: Seat,
    pub(super) query: Query,
    /// `https://`, the host that was dialled with its port, and the prefix: what ids begin with.
    pub(super) url: String,
    pub(super) correlation: String,
    pub(super) bearer: Option<Zeroizing<String>>,
}

/// Any request to this door.
pub(super) async fn served(broker: Data<Arc<Broker>>, http: HttpRequest, body: Body) -> HttpResponse {
    let began = Instant::now();
    let Some(seat) = http.extensions().get::<Seat>().cloned() else {
        // The assembly gave no seat: the request is for nobody here.
        return error::answer(StatusCode::MISDIRECTED_REQUEST, Code::Misdirected.title());
    };
    let path = http.path().strip_prefix(seat.provider.prefix()).unwrap_or_default().to_owned();
    let place = match place::read(&method(&http), &path) {
        Ok(place) => place,
        Err(NoPlace::Methods(methods)) => return error::not_allowed(methods),
        Err(NoPlace::Nothing) => return error::answer(StatusCode::NOT_FOUND, "nothing is served under this path"),
    };
    let authority =
        http.headers().get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    let outcome = match Call::new(&broker, &http, seat.clone(), &authority) {
        Ok(call) => call.answer(place, body).await,
        Err(refusal) => Err(refusal),
    };
    let name = place.verb.name();
    let mut response = match outcome {
        Ok(response) => {
            telemetry::answered(name, "ok", "", began.elapsed());
            response
        }
        Err(mut refusal) => {
            telemetry::answered(name, refusal.word, &refusal.correlation, began.elapsed());
            if refusal.status == StatusCode::UNAUTHORIZED {
                let (setup, id) = (broker.vault_setup(&seat), seat.provider.id().as_str());
                refusal.challenge = Some(challenge::header(setup, id, &authority, refusal.nonce.as_deref()));
            }
            refusal.response()
        }
    };
    if let Some(id) = head::client_request_id(&http) {
        response.headers_mut().insert(head::CLIENT_REQUEST_ID, id);
    }
    response
}

impl Call {
    fn new(broker: &Arc<Broker>, http: &HttpRequest, seat: Seat, authority: &str) -> Result<Self, Refusal> {
        let query = version::read(http.uri().query().unwrap_or_default());
        let query = query.map_err(|fault| broker.refuse(&seat, &fault))?;
        let bearer = head::bearer(http);
        let url = format!("https://{authority}{}", seat.provider.prefix());
        let correlation = crate::broker::correlation();
        Ok(Self { broker: Arc::clone(broker), seat, query, url, correlation, bearer })
    }

    async fn answer(&self, place: Place<'_>, body: Body) -> Outcome {
        if self.bearer.is_none() && self.seat.peer.is_none() {
            return Err(self.refuse(&Fault::new(Code::AuthRequired, "")));
        }
        match place.verb {
            Verb::Release | Verb::Raw(_) => use_key::serve(self, place, body).await,
            _ => manage::serve(self, place, body).await,
        }
    }

    /// A refusal that the broker counts.
    pub(super) fn refuse(&self, fault: &Fault) -> Refusal {
        self.broker.refuse(&self.seat, fault).into()
    }

    /// The key that a place names.
    pub(super) fn key(&self, place: Place<'_>) -> Result<KeySelector, Refusal> {
        KeySelector::parse(place.name, place.version).map_err(|error| self.refuse(&error.into()))
    }

    /// The name that a place names.
    pub(super) fn name(&self, place: Place<'_>) -> Result<KeyName, Refusal> {
        Ok(self.key(place)?.name)
    }

    /// Whether the bearer is a token of a verifier, by what it says of itself.
    pub(super) fn bears_evidence(&self) -> bool {
        self.bearer.as_ref().is_some_and(|token| self.broker.is_evidence(&self.seat, token))
    }

    /// Who asks: by the bearer, or without one by the certificate of the connection.
    pub(super) async fn caller(&self) -> Result<Caller, Refusal> {
        let bearer = self.bearer.as_ref().map(|token| token.as_str());
        self.broker.prepare_caller(&self.seat, bearer).await;
        match self.broker.caller(&self.seat, bearer) {
            Ok(caller) => Ok(caller),
            // Evidence is no role: that is another answer than a token that nobody accepts.
            Err(error) if error.code == Code::CredentialInvalid && self.bears_evidence() => {
                Err(self
                    .refuse(&Fault::new(Code::Forbidden, "an attestation token has no role: this needs a credential")))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Who asks by the certificate of the connection alone.
    pub(super) fn by_certificate(&self) -> Result<Caller, Refusal> {
        Ok(self.broker.caller(&self.seat, None)?)
    }

    /// The body, if it came whole and within the limit.
    pub(super) fn body(body: Body) -> Result<Bytes, Fault> {
        body.map_err(|error| match error.as_response_error().status_code() {
            StatusCode::PAYLOAD_TOO_LARGE => Fault::new(Code::TooLarge, "the body is larger than is read"),
            _ => Fault::new(Code::Malformed, "the body did not arrive whole"),
        })
    }

    /// Work on a thread that may block.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Broker, &Seat, &str) -> Result<T, BrokerError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (broker, seat, url) = (Arc::clone(&self.broker), self.seat.clone(), self.url.clone());
        let done = web::block(move || work(&broker, &seat, &url)).await;
        let done = done.map_err(|_| self.refuse(&Fault::new(Code::DependencyUnavailable, "")))?;
        Ok(done?)
    }

    /// An answer with a body.
    pub(super) fn ok(&self, body: &Value) -> HttpResponse {
        error::ok(body, &self.correlation)
    }
}

/// The method, or on a POST the one that stands for it.
fn method(http: &HttpRequest) -> Method {
    let mut values = http.headers().get_all(OVERRIDE);
    let named = values.next().and_then(|value| value.to_str().ok());
    if values.next().is_some() {
        // Two words are none that is served.
        return Method::CONNECT;
    }
    match named {
        Some(named) if *http.method() == Method::POST => match named {
            "GET" => Method::GET,
            "PUT" => Method::PUT,
            "PATCH" => Method::PATCH,
            "DELETE" => Method::DELETE,
            _ => Method::POST,
        },
        _ => http.method().clone(),
    }
}
