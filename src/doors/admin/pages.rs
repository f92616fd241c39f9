//! Metrics, the description of this interface, and one page that shows it.
//!
//! `native-api.md` section 3 (`/metrics`, `/docs`, `/openapi.json`).

use std::fmt::Write as _;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use actix_web::web::Data;
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse};
use serde_json::Value;

use super::call::bearer;
use crate::broker::admin::Role;
use crate::broker::{Broker, BrokerError, Caller, Code, Fault, Seat};
use crate::doors::problem;
use crate::telemetry;

/// Figures in the text format of Prometheus, for role `operator`. Not recorded one by one: they are asked for all the time.
#[utoipa::path(get, path = "/metrics", tag = "operation",
    responses((status = 200, description = "Metrics", body = String, content_type = "text/plain")))]
pub(super) async fn metrics(broker: Data<Arc<Broker>>, http: HttpRequest) -> HttpResponse {
    if let Err(error) = operator(&broker, &http).await {
        return problem::refusal(&error);
    }
    broker.measure();
    match telemetry::figures() {
        Some(figures) => HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/plain; version=0.0.4")).body(figures),
        None => problem::answer(StatusCode::NOT_FOUND, "not-found", "this node gathers no metrics"),
    }
}

async fn operator(broker: &Broker, http: &HttpRequest) -> Result<(), BrokerError> {
    let seat = http.extensions().get::<Seat>().cloned();
    let Some(seat) = seat else { return Err(Fault::new(Code::Misdirected, "").outward("", false)) };
    let refuse = |fault: Fault| broker.refuse(&seat, &fault);
    let token = bearer(http.headers()).map_err(refuse)?;
    let token = token.as_ref().map(|token| token.as_str());
    broker.prepare_caller(&seat, token).await;
    match broker.caller(&seat, token)? {
        Caller::Anonymous => Err(refuse(Fault::new(Code::AuthRequired, ""))),
        caller if caller.has(Role::Operator.as_str()) => Ok(()),
        Caller::Known { .. } => Err(refuse(Fault::new(Code::Forbidden, ""))),
    }
}

/// The description of this interface.
pub(super) async fn openapi() -> HttpResponse {
    HttpResponse::Ok().json(super::document())
}

/// The same for people: one page without scripts.
pub(super) async fn docs() -> HttpResponse {
    let document = serde_json::to_value(super::document()).unwrap_or_default();
    HttpResponse::Ok()
        .insert_header((CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"))
        .content_type("text/html; charset=utf-8")
        .body(page(&document))
}

/// A path that is served, with another method.
pub(super) async fn not_allowed() -> HttpResponse {
    problem::answer(StatusCode::METHOD_NOT_ALLOWED, "unsupported", "this method is not served here")
}

const HEAD: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Keygate: the admin door</title>\
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}\
table{border-collapse:collapse;width:100%}td{padding:.3rem .6rem .3rem 0;vertical-align:top;border-top:1px solid #ddd}\
code{font:14px ui-monospace,monospace}</style>\
<h1>Keygate: the admin door</h1><p>Generated from the code; the whole description is at <code>openapi.json</code>. A change names the \
state it rests on in <code>If-Match</code>, says why in <code>reason</code>, takes <code>Idempotency-Key</code>, and with \
<code>?dry_run=true</code> only says what it would do.</p><table>";

fn page(document: &Value) -> String {
    let mut html = HEAD.to_owned();
    let paths = document.get("paths").and_then(Value::as_object);
    for (path, methods) in paths.into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let summary = operation.get("summary").and_then(Value::as_str).unwrap_or_default();
            let _ = write!(
                html,
                "<tr><td><code>{}</code><td><code>{}</code><td>{}",
                escaped(&method.to_ascii_uppercase()),
                escaped(path),
                escaped(summary)
            );
        }
    }
    html.push_str("</table></html>");
    html
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_every_path() {
        let document = serde_json::to_value(crate::doors::admin::document()).unwrap();
        let html = page(&document);
        for path in document["paths"].as_object().unwrap().keys() {
            assert!(html.contains(&format!("<code>{path}</code>")), "{path}");
        }
        assert!(html.len() > HEAD.len() + 1_000);
    }
}
