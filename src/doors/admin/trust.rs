//! Handlers of the deny list and of credentials.
//!
//! `native-api.md` section 2 (`keygate deny`, `keygate credential`).

use actix_web::HttpResponse;
use serde_json::json;

use super::call::{Call, Told};
use super::{openapi, wire};
use crate::broker::admin::Action;

/// The deny list.
#[utoipa::path(get, path = "/admin/v1/deny", tag = "trust",
    responses((status = 200, description = "The whole list; each entry has the `etag` that its removal names", body = openapi::DenyList)))]
pub(super) async fn list_denied(call: Call) -> HttpResponse {
    call.read(Action::DenyList, &[], |desk, _| Ok(Told::whole(json!({"denied": desk.list_denied()?})))).await
}

/// Denies a platform, a measurement or an issuer's key from the next decision on.
#[utoipa::path(post, path = "/admin/v1/deny/add", tag = "trust", params(openapi::Change, openapi::Trial),
    request_body = openapi::Denial,
    responses((status = 201, description = "Done, or what would be done", body = openapi::Changed),
        (status = 409, description = "Not in that state", body = openapi::Problem),
        (status = 428, description = "No state was named", body = openapi::Problem)))]
pub(super) async fn deny(call: Call) -> HttpResponse {
    call.change(Action::DenyAdd, "denied", |desk, given| {
        let (denial, reason) = wire::read_denial(&given.body)?;
        desk.deny(denial, reason)
    })
    .await
}

/// Denies it no more.
#[utoipa::path(post, path = "/admin/v1/deny/remove", tag = "trust", params(openapi::Change, openapi::Trial),
    request_body = openapi::Denial,
    responses((status = 200, description = "Done, or what would be done", body = openapi::Changed),
        (status = 409, description = "Not in that state", body = openapi::Problem),
        (status = 428, description = "No state was named", body = openapi::Problem)))]
pub(super) async fn allow(call: Call) -> HttpResponse {
    call.change(Action::DenyRemove, "denied", |desk, given| {
        let (denial, reason) = wire::read_denial(&given.body)?;
        desk.allow(denial, reason)
    })
    .await
}

/// Credentials in the order of their names, ended ones included.
#[utoipa::path(get, path = "/admin/v1/credentials", tag = "credentials",
    params(("after" = Option<String>, Query), ("limit" = Option<usize>, Query)),
    responses((status = 200, description = "A page of credentials, without tokens", body = openapi::Credentials)))]
pub(super) async fn list_credentials(call: Call) -> HttpResponse {
    call.read(Action::CredentialList, &["after", "limit"], |desk, given| {
        let after = given.query.get("after").map(String::as_str);
        let (credentials, next) = desk.list_credentials(after, given.number("limit")?.unwrap_or(100))?;
        Ok(Told::whole(json!({"credentials": credentials, "next": next})))
    })
    .await
}

/// One credential.
#[utoipa::path(get, path = "/admin/v1/credentials/{name}", tag = "credentials", params(("name" = String, Path)),
    responses((status = 200, description = "The credential, without its token", body = openapi::Credential)))]
pub(super) async fn show_credential(call: Call) -> HttpResponse {
    call.read(Action::CredentialShow, &[], |desk, given| Ok(Told::object(desk.show_credential(given.name())?))).await
}

/// Makes a credential; its token is told once.
#[utoipa::path(post, path = "/admin/v1/credentials/{name}/create", tag = "credentials", params(("name" = String, Path), openapi::Change, openapi::Trial),
    request_body = openapi::NewCredential,
    responses((status = 201, description = "Done, or what would be done", body = openapi::Changed),
        (status = 409, description = "Not in that state", body = openapi::Problem),
        (status = 428, description = "No state was named", body = openapi::Problem)))]
pub(super) async fn create_credential(call: Call) -> HttpResponse {
    call.change(Action::CredentialCreate, "credential", |desk, given| {
        desk.create_credential(given.name(), wire::read_credential(&given.body)?)
    })
    .await
}

/// Ends a credential at once and for ever.
#[utoipa::path(post, path = "/admin/v1/credentials/{name}/revoke", tag = "credentials", params(("name" = String, Path), openapi::Change, openapi::Trial),
    request_body = openapi::Why,
    responses((status = 200, description = "Done, or what would be done", body = openapi::Changed),
        (status = 409, description = "Not in that state", body = openapi::Problem),
        (status = 428, description = "No state was named", body = openapi::Problem)))]
pub(super) async fn revoke_credential(call: Call) -> HttpResponse {
    call.change(Action::CredentialRevoke, "credential", |desk, given| {
        desk.revoke_credential(given.name(), wire::read_reason(&given.body)?)
    })
    .await
}
