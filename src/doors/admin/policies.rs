//! Handlers of attestation policies and of the keys that sign tokens.
//!
//! `native-api.md` section 2 (`keygate policy`, `keygate signing-key`).

use actix_web::HttpResponse;
use serde_json::json;

use super::call::{Call, Given, Told};
use super::{openapi, wire};
use crate::broker::admin::Action;
use crate::broker::admin::policies::policy_type;
use crate::broker::{AttestationType, Fault};

fn kind(given: &Given) -> Result<AttestationType, Fault> {
    policy_type(given.name())
}

/// Every type of attestation with the policy in force, without its text.
#[utoipa::path(get, path = "/admin/v1/policies", tag = "policies",
    responses((status = 200, description = "One for each type", body = openapi::policies::Policies)))]
pub(super) async fn list(call: Call) -> HttpResponse {
    call.read(Action::PolicyList, &[], |desk, _| Ok(Told::whole(json!({"policies": desk.list_policies()?})))).await
}

/// The policy in force for a type.
#[utoipa::path(get, path = "/admin/v1/policies/{type}", tag = "policies", params(("type" = String, Path)),
    responses((status = 200, description = "The version in force, or the default", body = openapi::policies::PolicyInForce),
        (status = 404, description = "No such type", body = openapi::Problem)))]
pub(super) async fn show(call: Call) -> HttpResponse {
    call.read(Action::PolicyShow, &[], |desk, given| Ok(Told::object(desk.show_policy(kind(given)?)?))).await
}

/// Every version of a policy, oldest first.
#[utoipa::path(get, path = "/admin/v1/policies/{type}/history", tag = "policies", params(("type" = String, Path)),
    responses((status = 200, description = "The versions", body = openapi::policies::PolicyHistory)))]
pub(super) async fn history(call: Call) -> HttpResponse {
    call.read(Action::PolicyHistory, &[], |desk, given| Ok(Told::object(desk.policy_history(kind(given)?)?))).await
}

/// What differs between two versions, line by line; without numbers between the last two, 0 is the default.
#[utoipa::path(get, path = "/admin/v1/policies/{type}/diff", tag = "policies",
    params(("type" = String, Path), ("from" = Option<u64>, Query), ("to" = Option<u64>, Query)),
    responses((status = 200, description = "Each changed line and those around it", body = openapi::policies::PolicyDifference)))]
pub(super) async fn difference(call: Call) -> HttpResponse {
    call.read(Action::PolicyDiff, &["from", "to"], |desk, given| {
        Ok(Told::object(desk.policy_difference(kind(given)?, given.number("from")?, given.number("to")?)?))
    })
    .await
}

/// Sets a policy: a further version, in force from the next attestation on.
#[utoipa::path(post, path = "/admin/v1/policies/{type}/set", tag = "policies", params(("type" = String, Path), openapi::Change, openapi::Trial),
    request_body = openapi::policies::NewPolicy,
    responses((status = 200, description = "Done, or what would be done", body = openapi::Changed),
        (status = 409, description = "Not in that state", body = openapi::Problem),
        (status = 422, description = "It does not parse; `reasons` say where", body = openapi::Problem),
        (status = 428, description = "No state was named", body = openapi::Problem)))]
pub(super) async fn set(call: Call) -> HttpResponse {
    call.change(Action::PolicySet, "policy", |desk, given| {
        let (policy, reason) = wire::read_policy(&given.body)?;
        desk.set_policy(kind(given)?, policy, reason)
    })
    .await
}

/// Takes a type back to its default, as a further version.
#[utoipa::path(post, path = "/admin/v1/policies/{type}/reset", tag = "policies", params(("type" = String, Path), openapi::Change, openapi::Trial),
    request_body = openapi::policies::PolicyReset,
    responses((status = 200, description = "Done, or what would be done", body = openapi::Changed),
        (status = 409, description = "Not in that state", body = openapi::Problem),
        (status = 428, description = "No state was named", body = openapi::Problem)))]
pub(super) async fn reset(call: Call) -> HttpResponse {
    call.change(Action::PolicyReset, "policy", |desk, given| {
        let (order, reason) = wire::read_policy_reset(&given.body)?;
        desk.reset_policy(kind(given)?, order.as_deref(), reason)
    })
    .await
}

/// Sets an earlier version again, as a further version.
#[utoipa::path(post, path = "/admin/v1/policies/{type}/restore", tag = "policies", params(("type" = String, Path), openapi::Change, openapi::Trial),
    request_body = openapi::policies::PolicyRestore,
    responses((status = 200, description = "Done, or what would be done", body = openapi::Changed),
        (status = 409, description = "Not in that state", body = openapi::Problem),
        (status = 428, description = "No state was named", body = openapi::Problem)))]
pub(super) async fn restore(call: Call) -> HttpResponse {
    call.change(Action::PolicyRestore, "policy", |desk, given| {
        let (number, reason) = wire::read_policy_restore(&given.body)?;
        desk.restore_policy(kind(given)?, number, reason)
    })
    .await
}

/// The keys that sign at the attestation door, in the order they were made.
#[utoipa::path(get, path = "/admin/v1/signing-keys", tag = "signing-keys",
    responses((status = 200, description = "Their public sides", body = openapi::policies::SigningKeys)))]
pub(super) async fn list_signing_keys(call: Call) -> HttpResponse {
    call.read(Action::SigningKeyList, &[], |desk, _| Ok(Told::object(desk.list_signing_keys()?))).await
}

/// Makes a successor: published now, signing once clients had time to read it. `If-Match` is the `ETag` of the list.
#[utoipa::path(post, path = "/admin/v1/signing-keys/rotate", tag = "signing-keys", params(openapi::Change, openapi::Trial),
    request_body = openapi::Why,
    responses((status = 200, description = "Done, or what would be done", body = openapi::Changed),
        (status = 409, description = "Not in that state", body = openapi::Problem),
        (status = 428, description = "No state was named", body = openapi::Problem)))]
pub(super) async fn rotate_signing_key(call: Call) -> HttpResponse {
    call.change(Action::SigningKeyRotate, "signing_keys", |desk, given| {
        desk.rotate_signing_key(&wire::read_reason(&given.body)?)
    })
    .await
}
