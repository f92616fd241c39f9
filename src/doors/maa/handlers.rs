//! Handlers of Azure's dialect: from an HTTP request to a use case and back.
//!
//! `maa-rest-api.md` sections 3 to 7.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::call::{Body, Call, Outcome, served, type_of};
use super::error::{self, Refusal};
use super::wire;
use crate::broker::{AttestationType, AzureAttestRequest, AzureTpmRequest, Broker, Code, Fault, Fitness};

type House = Data<Arc<Broker>>;

/// A path in our own spelling: whatever was sent is never repeated.
fn place(folder: &str, http: &HttpRequest, behind: &str) -> String {
    type_of(http).map_or_else(|| folder.to_owned(), |kind| format!("{folder}/{}{behind}", kind.as_str()))
}

/// Evidence to a token.
pub(super) async fn attest(broker: House, http: HttpRequest, body: Body) -> HttpResponse {
    let place = place("/attest", &http, "");
    served(broker, http, "azure-attest", &place, async |call| {
        let missing = || Refusal::by_form(StatusCode::NOT_FOUND, "nothing is served under this path");
        attested(call, call.attestation_type().ok_or_else(missing)?, body).await
    })
    .await
}

async fn attested(call: &Call, kind: AttestationType, body: Body) -> Outcome {
    let version = call.version()?;
    let trace = call.trace()?;
    let caller = match trace || version.is_legacy() || kind == AttestationType::Tpm {
        true => call.reader().await?,
        false => call.anybody()?,
    };
    if wire::evidence_member(kind).is_none() {
        return Err(call.refuse(&Fault::new(Code::Unsupported, "this type is not attested here")));
    }
    let body = call.body(body)?;
    let read = wire::read_attest(&body, kind, version.is_legacy()).map_err(|fault| call.refuse(&fault))?;
    if kind == AttestationType::Tpm {
        let request = AzureTpmRequest { seat: call.seat.clone(), caller, data: read.evidence, trace };
        let answer = call.broker.azure_attest_tpm(request).await?;
        return Ok(error::ok(
            &beside(json!({"data": wire::base64url(&answer.data)}), answer.trace),
            &answer.correlation,
        ));
    }
    let request = AzureAttestRequest {
        seat: call.seat.clone(),
        caller,
        attestation_type: read.attestation_type,
        evidence: read.evidence,
        runtime: read.runtime,
        init: read.init,
        nonce: read.nonce,
        draft_policy: read.draft_policy,
        trace,
    };
    let answer = call.broker.azure_attest(request).await?;
    Ok(error::ok(&beside(json!({"token": answer.token}), answer.trace), &answer.correlation))
}

/// An answer with the evaluation beside it, where that was asked for.
fn beside(mut told: Value, trace: Option<Value>) -> Value {
    if let (Some(members), Some(trace)) = (told.as_object_mut(), trace) {
        members.insert("trace".to_owned(), trace);
    }
    told
}

/// The policy of a type.
pub(super) async fn policy(broker: House, http: HttpRequest) -> HttpResponse {
    let place = place("/policies", &http, "");
    served(broker, http, "azure-policy", &place, async |call| {
        call.version()?;
        let kind = call.policy_type()?;
        call.token(move |broker, seat, bearer| broker.azure_policy(seat, bearer, kind)).await
    })
    .await
}

/// Another policy for a type.
pub(super) async fn set_policy(broker: House, http: HttpRequest, body: Body) -> HttpResponse {
    let place = place("/policies", &http, "");
    served(broker, http, "azure-set-policy", &place, async |call| {
        call.version()?;
        let kind = call.policy_type()?;
        let jws = call.signed(body, None).await?;
        call.token(move |broker, seat, bearer| broker.azure_set_policy(seat, bearer, kind, &jws)).await
    })
    .await
}

/// The default policy for a type again.
pub(super) async fn reset_policy(broker: House, http: HttpRequest, body: Body) -> HttpResponse {
    let place = place("/policies", &http, ":reset");
    served(broker, http, "azure-reset-policy", &place, async |call| {
        call.version()?;
        let kind = call.policy_type()?;
        let jws = call.signed(body, None).await?;
        call.token(move |broker, seat, bearer| broker.azure_reset_policy(seat, bearer, kind, &jws)).await
    })
    .await
}

/// Who may sign policies.
pub(super) async fn certificates(broker: House, http: HttpRequest) -> HttpResponse {
    served(broker, http, "azure-certificates", "/certificates", async |call| {
        call.version()?;
        call.token(Broker::azure_certificates).await
    })
    .await
}

/// One more who may sign policies.
pub(super) async fn add_certificate(broker: House, http: HttpRequest, body: Body) -> HttpResponse {
    served(broker, http, "azure-add-certificate", "/certificates:add", async |call| {
        call.version()?;
        let jws = call.signed(body, Some("policyCertificateToAdd")).await?;
        call.token(move |broker, seat, bearer| broker.azure_add_certificate(seat, bearer, &jws)).await
    })
    .await
}

/// One less who may sign policies.
pub(super) async fn remove_certificate(broker: House, http: HttpRequest, body: Body) -> HttpResponse {
    served(broker, http, "azure-remove-certificate", "/certificates:remove", async |call| {
        call.version()?;
        let jws = call.signed(body, Some("policyCertificateToRemove")).await?;
        call.token(move |broker, seat, bearer| broker.azure_remove_certificate(seat, bearer, &jws)).await
    })
    .await
}

/// The certificates under which tokens are signed.
pub(super) async fn certs(broker: House, http: HttpRequest) -> HttpResponse {
    served(broker, http, "azure-certs", "/certs", async |call| {
        call.optional_version()?;
        Ok(call.ok(&call.broker.azure_certs(&call.seat)?))
    })
    .await
}

/// Where everything is.
pub(super) async fn discovery(broker: House, http: HttpRequest) -> HttpResponse {
    served(broker, http, "azure-discovery", super::DISCOVERY, async |call| {
        call.optional_version()?;
        Ok(call.ok(&call.broker.azure_discovery(&call.seat)))
    })
    .await
}

/// The baselines that a policy may name.
pub(super) async fn baselines(broker: House, http: HttpRequest) -> HttpResponse {
    let place = place("/tcbbaselines", &http, "");
    served(broker, http, "azure-baselines", &place, async |call| {
        call.version()?;
        match call.policy_type()? {
            AttestationType::SgxEnclave | AttestationType::OpenEnclave => {
                Ok(call.ok(&call.broker.azure_baselines(&call.seat)))
            }
            _ => Err(call.refuse(&Fault::new(Code::Malformed, "baselines are for enclaves of SGX"))),
        }
    })
    .await
}

/// Whether the service is fit.
pub(super) async fn health(broker: House, http: HttpRequest) -> HttpResponse {
    served(broker, http, "azure-health", "/servicehealth", async |call| {
        call.version()?;
        match call.broker.fitness() {
            Fitness::Ready => Ok(error::no_content(&call.correlation)),
            _ => Err(Refusal::by_form(StatusCode::SERVICE_UNAVAILABLE, "the service is not fit just now")),
        }
    })
    .await
}
