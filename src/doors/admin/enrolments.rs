//! Handlers of enrolled machines and of the endorsement keys that an operator vouches for.
//!
//! Threat model P14; `bad-inputs.md` TPM-15 and TPM-17. The machines themselves come in at the native door.

use actix_web::HttpResponse;
use serde_json::json;

use super::call::{Call, Told};
use super::{openapi, wire};
use crate::broker::admin::Action;

/// Enrolled machines in the order of their names, ended records included.
#[utoipa::path(get, path = "/admin/v1/enrolments", tag = "machines",
    params(("after" = Option<String>, Query), ("limit" = Option<usize>, Query)),
    responses((status = 200, description = "A page of records", body = openapi::machines::Enrolments)))]
pub(super) async fn list(call: Call) -> HttpResponse {
    call.read(Action::EnrolmentList, &["after", "limit"], |desk, given| {
        let after = given.query.get("after").map(String::as_str);
        let (records, next) = desk.list_enrolments(after, given.number("limit")?.unwrap_or(100))?;
        Ok(Told::whole(json!({"enrolments": records, "next": next})))
    })
    .await
}

/// The record of one machine.
#[utoipa::path(get, path = "/admin/v1/enrolments/{name}", tag = "machines", params(("name" = String, Path)),
    responses((status = 200, description = "The record", body = openapi::machines::Enrolment)))]
pub(super) async fn show(call: Call) -> HttpResponse {
    call.read(Action::EnrolmentShow, &[], |desk, given| Ok(Told::object(desk.show_enrolment(given.name())?))).await
}

/// Ends the record of a machine: its key opens nothing from the next decision on.
#[utoipa::path(post, path = "/admin/v1/enrolments/{name}/remove", tag = "machines", params(("name" = String, Path), openapi::Change, openapi::Trial),
    request_body = openapi::Why,
    responses((status = 200, description = "Done, or what would be done", body = openapi::Changed),
        (status = 409, description = "Not in that state", body = openapi::Problem),
        (status = 428, description = "No state was named", body = openapi::Problem)))]
pub(super) async fn remove(call: Call) -> HttpResponse {
    call.change(Action::EnrolmentRemove, "enrolment", |desk, given| {
        desk.remove_enrolment(given.name(), wire::read_reason(&given.body)?)
    })
    .await
}

/// The endorsement keys that an operator vouches for.
#[utoipa::path(get, path = "/admin/v1/endorsement-keys", tag = "machines",
    responses((status = 200, description = "The whole list; each entry has the `etag` that its removal names", body = openapi::machines::EndorsementKeys)))]
pub(super) async fn list_keys(call: Call) -> HttpResponse {
    call.read(Action::EndorsementKeyList, &[], |desk, _| {
        Ok(Told::whole(json!({"endorsement_keys": desk.list_endorsement_keys()?})))
    })
    .await
}

/// Vouches for an endorsement key that has no certificate.
#[utoipa::path(post, path = "/admin/v1/endorsement-keys/allow", tag = "machines", params(openapi::Change, openapi::Trial),
    request_body = openapi::machines::EndorsementKey,
    responses((status = 201, description = "Done, or what would be done", body = openapi::Changed),
        (status = 409, description = "Not in that state", body = openapi::Problem),
        (status = 428, description = "No state was named", body = openapi::Problem)))]
pub(super) async fn allow(call: Call) -> HttpResponse {
    call.change(Action::EndorsementKeyAllow, "endorsement_key", |desk, given| {
        let (key, reason) = wire::read_endorsement_key(&given.body)?;
        desk.allow_endorsement_key(key, reason)
    })
    .await
}

/// Vouches for it no more, and ends the record that rests on it.
#[utoipa::path(post, path = "/admin/v1/endorsement-keys/disallow", tag = "machines", params(openapi::Change, openapi::Trial),
    request_body = openapi::machines::EndorsementKey,
    responses((status = 200, description = "Done, or what would be done", body = openapi::Changed),
        (status = 409, description = "Not in that state", body = openapi::Problem),
        (status = 428, description = "No state was named", body = openapi::Problem)))]
pub(super) async fn disallow(call: Call) -> HttpResponse {
    call.change(Action::EndorsementKeyDisallow, "endorsement_key", |desk, given| {
        let (key, reason) = wire::read_endorsement_key(&given.body)?;
        desk.disallow_endorsement_key(key, reason)
    })
    .await
}
