//! Handlers of reference values.
//!
//! `docs/reference-values.md` (`keygate reference`).

use actix_web::HttpResponse;
use serde_json::json;

use super::call::{Call, Told};
use super::{openapi, wire};
use crate::broker::admin::Action;

/// Every name of reference values, without values.
#[utoipa::path(get, path = "/admin/v1/references", tag = "references",
    responses((status = 200, description = "One for each name", body = openapi::references::References)))]
pub(super) async fn list(call: Call) -> HttpResponse {
    call.read(Action::ReferenceList, &[], |desk, _| Ok(Told::whole(json!({"references": desk.list_references()?}))))
        .await
}

/// What stands under a name: what counts, what counts beside it for a while, what is proposed.
#[utoipa::path(get, path = "/admin/v1/references/{name}", tag = "references", params(("name" = String, Path)),
    responses((status = 200, description = "The name with its values", body = openapi::references::ReferenceShown),
        (status = 404, description = "No such name", body = openapi::Problem)))]
pub(super) async fn show(call: Call) -> HttpResponse {
    call.read(Action::ReferenceShow, &[], |desk, given| Ok(Told::object(desk.show_reference(given.name())?))).await
}

/// What the approval of the proposal would change, and which rules and policies use the name.
#[utoipa::path(get, path = "/admin/v1/references/{name}/review", tag = "references", params(("name" = String, Path)),
    responses((status = 200, description = "The proposal against what is in force", body = openapi::references::Review),
        (status = 404, description = "No such name, or nothing is proposed", body = openapi::Problem)))]
pub(super) async fn review(call: Call) -> HttpResponse {
    call.read(Action::ReferenceReview, &[], |desk, given| Ok(Told::object(desk.review_reference(given.name())?))).await
}

/// Takes signed reference values in as a proposal. Nothing of them counts before an approval.
#[utoipa::path(post, path = "/admin/v1/references/{name}/import", tag = "references",
    params(("name" = String, Path), openapi::Change, openapi::Trial), request_body = openapi::references::NewReference,
    responses((status = 200, description = "Done, or what would be done", body = openapi::Changed),
        (status = 409, description = "Not in that state", body = openapi::Problem),
        (status = 422, description = "Not signed by who may, out of its dates, or a serial that was used", body = openapi::Problem),
        (status = 428, description = "No state was named", body = openapi::Problem)))]
pub(super) async fn import(call: Call) -> HttpResponse {
    call.change(Action::ReferenceImport, "reference", |desk, given| {
        let (jws, reason) = wire::read_reference(&given.body)?;
        desk.import_reference(given.name(), &jws, reason)
    })
    .await
}

/// Puts the proposal of a serial in force, in the place of what was: from the next decision on.
#[utoipa::path(post, path = "/admin/v1/references/{name}/approve", tag = "references",
    params(("name" = String, Path), openapi::Change, openapi::Trial), request_body = openapi::references::Approval,
    responses((status = 200, description = "Done, or what would be done", body = openapi::Changed),
        (status = 409, description = "Not in that state, or another proposal", body = openapi::Problem),
        (status = 422, description = "The proposal does not hold any more", body = openapi::Problem),
        (status = 428, description = "No state was named", body = openapi::Problem)))]
pub(super) async fn approve(call: Call) -> HttpResponse {
    call.change(Action::ReferenceApprove, "reference", |desk, given| {
        let (serial, keep_previous, reason) = wire::read_approval(&given.body)?;
        desk.approve_reference(given.name(), serial, keep_previous, reason)
    })
    .await
}

/// Ends what counts under a name, or a part of it, at once.
#[utoipa::path(post, path = "/admin/v1/references/{name}/retire", tag = "references",
    params(("name" = String, Path), openapi::Change, openapi::Trial), request_body = openapi::references::Retirement,
    responses((status = 200, description = "Done, or what would be done", body = openapi::Changed),
        (status = 404, description = "There is nothing of that", body = openapi::Problem),
        (status = 409, description = "Not in that state", body = openapi::Problem),
        (status = 428, description = "No state was named", body = openapi::Problem)))]
pub(super) async fn retire(call: Call) -> HttpResponse {
    call.change(Action::ReferenceRetire, "reference", |desk, given| {
        let (what, reason) = wire::read_retirement(&given.body)?;
        desk.retire_reference(given.name(), what, reason)
    })
    .await
}
