//! Handlers of enrolment: a machine with a TPM becomes a workload.
//!
//! Threat model P14; `bad-inputs.md` TPM-14 to TPM-18. For callers with role `machine-enroller`.

use std::sync::Arc;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::handlers::{Body, answer, ok};
use super::wire;
use crate::broker::{ActivateRequest, Broker, EnrolRequest};

/// Begins to enrol a machine, for role `machine-enroller`.
#[utoipa::path(post, path = "/v1/enrolments", tag = "machine",
    request_body = super::openapi::Enrolment,
    responses((status = 201, description = "A credential for the machine's TPM to activate", body = super::openapi::EnrolmentBegun),
        (status = 401, description = "No credential", body = super::openapi::Problem),
        (status = 400, description = "The keys are not what they must be, or nobody vouches for the endorsement key", body = super::openapi::Problem),
        (status = 403, description = "Not this role", body = super::openapi::Problem),
        (status = 409, description = "Name or key is another machine's", body = super::openapi::Problem)))]
pub(super) async fn begin(broker: Data<Arc<Broker>>, http: HttpRequest, body: Body) -> HttpResponse {
    answer!(broker, http, "enrol", |call| {
        let body = call.body(body)?;
        let read = wire::read_enrolment(&body).map_err(|fault| call.refuse(&fault))?;
        let request = EnrolRequest {
            seat: call.seat.clone(),
            caller: call.caller().await?,
            machine: read.machine,
            certificate: read.certificate,
            chain: read.chain,
            endorsement_key: read.endorsement_key,
            attestation_key: read.attestation_key,
        };
        let begun = call.broker.enrol(request).await?;
        Ok(HttpResponse::Created().json(json!({
            "id": begun.id,
            "credential_blob": URL_SAFE_NO_PAD.encode(begun.credential_blob),
            "secret": URL_SAFE_NO_PAD.encode(begun.encrypted_secret),
            "expires": begun.expires,
        })))
    })
}

/// Ends it with the secret that the TPM gave back, for the caller that began it: once, in time.
#[utoipa::path(post, path = "/v1/enrolments/{id}/activation", tag = "machine",
    params(("id" = String, Path, description = "The attempt")),
    request_body = super::openapi::Activation,
    responses((status = 200, description = "Enrolled", body = super::openapi::Enrolled),
        (status = 400, description = "No such attempt, too late, or another secret: begin again", body = super::openapi::Problem),
        (status = 409, description = "Name or key is another machine's", body = super::openapi::Problem)))]
pub(super) async fn activate(broker: Data<Arc<Broker>>, http: HttpRequest, body: Body) -> HttpResponse {
    answer!(broker, http, "activate", |call| {
        let body = call.body(body)?;
        let secret = wire::read_activation(&body).map_err(|fault| call.refuse(&fault))?;
        let request = ActivateRequest {
            seat: call.seat.clone(),
            caller: call.caller().await?,
            id: call.http.match_info().get("id").unwrap_or_default().to_owned(),
            secret,
        };
        let done = call.broker.activate(request).await?;
        ok(&json!({
            "machine": done.machine,
            "ak_name": hex::encode(done.ak_name),
            "anchor": done.anchor,
            "expires": done.expires,
        }))
    })
}
