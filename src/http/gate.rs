//! The gate before the doors: form, rate, host, time. Whoever passes has a [`Seat`].

use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::http::header::{HOST, RETRY_AFTER};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse};

use super::dialect::{Dialect, behind};
use super::hygiene::{self, Form, Unfit, host_of};
use super::rate::Rate;
use super::{Pace, Peer, ServerName, Side};
use crate::broker::{Broker, Seat};
use crate::doors::maa;

/// Where the paths of a provider begin, behind its prefix; those of the dialects apart.
const SERVED: &[&str] = &["/v1", "/.well-known", "/openapi.json", "/admin", "/metrics", "/docs"];

/// What a gate knows.
pub struct Gate {
    broker: Arc<Broker>,
    body_bytes: usize,
    rate: Rate,
    pace: Pace,
    side: Side,
    prefixes: Vec<String>,
}

impl Gate {
    /// A gate of one listener.
    pub fn new(broker: Arc<Broker>, body_bytes: usize, pace: Pace, side: Side, prefixes: Vec<String>) -> Self {
        Self { broker, body_bytes, rate: Rate::new(pace.rate, pace.burst), pace, side, prefixes }
    }

    /// In whose shape this request is refused.
    fn dialect(&self, request: &ServiceRequest) -> Dialect {
        Dialect::of(self.side, behind(request.path(), &self.prefixes))
    }

    /// Who may go on, and where they sit.
    fn admit(&self, request: &ServiceRequest, dialect: Dialect) -> Result<Option<Seat>, (Unfit, Option<u64>)> {
        let refuse = |status, code, what| (Unfit { status, code, what }, None);
        let source = request
            .peer_addr()
            .map(|a| a.ip())
            .ok_or_else(|| refuse(StatusCode::BAD_REQUEST, "malformed", "the connection has no peer"))?;
        if let Err(seconds) = self.rate.take(source) {
            let what = "too many requests from this address";
            let unfit = Unfit { status: StatusCode::TOO_MANY_REQUESTS, code: "rate-limited", what };
            return Err((unfit, Some(seconds)));
        }
        let form = match dialect {
            Dialect::Azure if maa::takes_text(behind(request.path(), &self.prefixes)) => Form::Text,
            Dialect::KeyVault => Form::KeyVault,
            Dialect::Azure | Dialect::Native => Form::Json,
        };
        hygiene::check(request, self.body_bytes, form).map_err(|unfit| (unfit, None))?;
        if is_health(request.path()) {
            return Ok(None);
        }
        let misdirected = || refuse(StatusCode::MISDIRECTED_REQUEST, "misdirected", "this host is not served here");
        let header = request.headers().get(HOST).and_then(|v| v.to_str().ok());
        let host = header
            .and_then(host_of)
            .ok_or_else(|| refuse(StatusCode::BAD_REQUEST, "malformed", "the host is missing"))?;
        let asked = request.conn_data::<ServerName>().map(|n| n.0.clone()).unwrap_or_default();
        if !asked.is_empty() && asked != host {
            return Err(misdirected());
        }
        let provider = self.broker.provider_for(&host, request.path()).ok_or_else(misdirected)?;
        // Another provider's prefix is no path of this one.
        let path = request.path().strip_prefix(provider.prefix()).unwrap_or_default();
        let dialect = Dialect::of(self.side, path);
        let below =
            |place: &&str| path.strip_prefix(*place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if dialect == Dialect::Native && !SERVED.iter().any(below) {
            return Err(refuse(StatusCode::NOT_FOUND, "not-found", "nothing is served under this path"));
        }
        // The native data interface has no query: what would be ignored is refused, as an unknown member is.
        if request.uri().query().is_some() && dialect == Dialect::Native && !path.starts_with("/admin/") {
            return Err(refuse(StatusCode::BAD_REQUEST, "malformed", "a query is no part of this interface"));
        }
        let peer = request.conn_data::<Peer>().map(|peer| Arc::clone(&peer.0));
        Ok(Some(Seat { provider, source, peer }))
    }
}

/// Health is asked by address, not by name.
fn is_health(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz")
}

/// The middleware.
pub async fn pass<B: MessageBody + 'static>(
    gate: Arc<Gate>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let dialect = gate.dialect(&request);
    request.extensions_mut().insert(dialect);
    match gate.admit(&request, dialect) {
        Ok(seat) => {
            if let Some(seat) = seat {
                request.extensions_mut().insert(seat);
            }
        }
        Err((unfit, retry)) => {
            let mut response = dialect.refuse(unfit.status, unfit.code, unfit.what);
            if let Some(seconds) = retry {
                response.headers_mut().insert(RETRY_AFTER, seconds.into());
            }
            // What was refused by its form may be followed by bytes that mean something else.
            response.head_mut().set_connection_type(actix_web::http::ConnectionType::Close);
            return Ok(request.into_response(response));
        }
    }
    match actix_web::rt::time::timeout(gate.pace.request, next.call(request)).await {
        Ok(answer) => answer.map(ServiceResponse::map_into_boxed_body),
        Err(_) => {
            let response = dialect.refuse(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "the request took too long");
            Err(InternalError::from_response("late", response).into())
        }
    }
}

/// Every path that nobody serves.
pub async fn nothing_here(http: HttpRequest) -> HttpResponse {
    let dialect = http.extensions().get::<Dialect>().copied().unwrap_or(Dialect::Native);
    dialect.refuse(StatusCode::NOT_FOUND, "not-found", "nothing is served under this path")
}
