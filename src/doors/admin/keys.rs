//! Handlers of keys and their rules.
//!
//! `native-api.md` section 2 (`keygate key`, `keygate rule`).

use actix_web::HttpResponse;
use serde_json::json;

use super::call::{Call, Given, Told};
use super::{openapi, wire};
use crate::broker::admin::Action;
use crate::broker::{Fault, KeyName, VersionId};

fn key(given: &Given) -> Result<KeyName, Fault> {
    Ok(KeyName::parse(given.name())?)
}

fn version(given: &Given) -> Result<Option<VersionId>, Fault> {
    Ok(given.version.as_deref().map(VersionId::parse).transpose()?)
}

/// Keys in the order of their names, deleted ones included.
#[utoipa::path(get, path = "/admin/v1/keys", tag = "keys",
    params(("after" = Option<String>, Query, description = "Go on behind this name"),
        ("limit" = Option<usize>, Query, description = "At most so many, 1 to 500")),
    responses((status = 200, description = "A page of keys", body = openapi::Keys)))]
pub(super) async fn list(call: Call) -> HttpResponse {
    call.read(Action::KeyList, &["after", "limit"], |desk, given| {
        let after = given.query.get("after").map(|name| KeyName::parse(name)).transpose()?;
        let (keys, next) = desk.list_keys(after.as_ref(), given.number("limit")?.unwrap_or(100))?;
        Ok(Told::whole(json!({"keys": keys, "next": next})))
    })
    .await
}

/// One key.
#[utoipa::path(get, path = "/admin/v1/keys/{name}", tag = "keys", params(("name" = String, Path)),
    responses((status = 200, description = "The key, without its material", body = openapi::Key),
        (status = 404, description = "No such key", body = openapi::Problem)))]
pub(super) async fn show(call: Call) -> HttpResponse {
    call.read(Action::KeyShow, &[], |desk, given| Ok(Told::object(desk.show_key(&key(given)?)?))).await
}

/// Makes a key. Never overwrites: no state needs to be named.
#[utoipa::path(post, path = "/admin/v1/keys/{name}/create", tag = "keys", params(("name" = String, Path), openapi::Change, openapi::Trial),
    request_body = openapi::NewKey,
    responses((status = 201, description = "Done, or what would be done", body = openapi::Changed),
        (status = 409, description = "Not in that state", body = openapi::Problem),
        (status = 428, description = "No state was named", body = openapi::Problem)))]
pub(super) async fn create(call: Call) -> HttpResponse {
    call.change(Action::KeyCreate, "key", |desk, given| {
        desk.create_key(key(given)?, wire::read_key(&given.body, false)?)
    })
    .await
}

/// Takes a foreign key in. Never overwrites: no state needs to be named.
#[utoipa::path(post, path = "/admin/v1/keys/{name}/import", tag = "keys", params(("name" = String, Path), openapi::Change, openapi::Trial),
    request_body = openapi::BroughtKey,
    responses((status = 201, description = "Done, or what would be done", body = openapi::Changed),
        (status = 409, description = "Not in that state", body = openapi::Problem),
        (status = 428, description = "No state was named", body = openapi::Problem)))]
pub(super) async fn import(call: Call) -> HttpResponse {
    call.change(Action::KeyImport, "key", |desk, given| {
        desk.create_key(key(given)?, wire::read_key(&given.body, true)?)
    })
    .await
}

/// Adds a version, the newest from now on.
#[utoipa::path(post, path = "/admin/v1/keys/{name}/rotate", tag = "keys", params(("name" = String, Path), openapi::Change, openapi::Trial),
    request_body = openapi::Rotation,
    responses((status = 200, description = "Done, or what would be done", body = openapi::Changed),
        (status = 409, description = "Not in that state", body = openapi::Problem),
        (status = 428, description = "No state was named", body = openapi::Problem)))]
pub(super) async fn rotate(call: Call) -> HttpResponse {
    call.change(Action::KeyRotate, "key", |desk, given| {
        let (material, reason) = wire::read_rotation(&given.body)?;
        desk.rotate_key(key(given)?, material, reason)
    })
    .await
}

/// Changes attributes; what is not said stays.
#[utoipa::path(post, path = "/admin/v1/keys/{name}/set", tag = "keys", params(("name" = String, Path), openapi::Change, openapi::Trial),
    request_body = openapi::Attributes,
    responses((status = 200, description = "Done, or what would be done", body = openapi::Changed),
        (status = 409, description = "Not in that state", body = openapi::Problem),
        (status = 428, description = "No state was named", body = openapi::Problem)))]
pub(super) async fn set(call: Call) -> HttpResponse {
    call.change(Action::KeySet, "key", |desk, given| {
        let (changes, reason) = wire::read_changes(&given.body)?;
        desk.set_key(key(given)?, changes, reason)
    })
    .await
}

/// Switches a key, or one version of it (`/versions/{version}/enable`), on.
#[utoipa::path(post, path = "/admin/v1/keys/{name}/enable", tag = "keys", params(("name" = String, Path), openapi::Change, openapi::Trial),
    request_body = openapi::Why,
    responses((status = 200, description = "Done, or what would be done", body = openapi::Changed),
        (status = 409, description = "Not in that state", body = openapi::Problem),
        (status = 428, description = "No state was named", body = openapi::Problem)))]
pub(super) async fn enable(call: Call) -> HttpResponse {
    call.change(Action::KeyEnable, "key", |desk, given| {
        desk.switch_key(key(given)?, version(given)?, true, wire::read_reason(&given.body)?)
    })
    .await
}

/// Switches a key, or one version of it (`/versions/{version}/disable`), off. Counts from the next decision on.
#[utoipa::path(post, path = "/admin/v1/keys/{name}/disable", tag = "keys", params(("name" = String, Path), openapi::Change, openapi::Trial),
    request_body = openapi::Why,
    responses((status = 200, description = "Done, or what would be done", body = openapi::Changed),
        (status = 409, description = "Not in that state", body = openapi::Problem),
        (status = 428, description = "No state was named", body = openapi::Problem)))]
pub(super) async fn disable(call: Call) -> HttpResponse {
    call.change(Action::KeyDisable, "key", |desk, given| {
        desk.switch_key(key(given)?, version(given)?, false, wire::read_reason(&given.body)?)
    })
    .await
}

/// Deletes a key; it can be recovered for the retention of the store.
#[utoipa::path(post, path = "/admin/v1/keys/{name}/delete", tag = "keys", params(("name" = String, Path), openapi::Change, openapi::Trial),
    request_body = openapi::Why,
    responses((status = 200, description = "Done, or what would be done", body = openapi::Changed),
        (status = 409, description = "Not in that state", body = openapi::Problem),
        (status = 428, description = "No state was named", body = openapi::Problem)))]
pub(super) async fn delete(call: Call) -> HttpResponse {
    call.change(Action::KeyDelete, "key", |desk, given| desk.delete_key(key(given)?, wire::read_reason(&given.body)?))
        .await
}

/// Takes a deletion back.
#[utoipa::path(post, path = "/admin/v1/keys/{name}/recover", tag = "keys", params(("name" = String, Path), openapi::Change, openapi::Trial),
    request_body = openapi::Why,
    responses((status = 200, description = "Done, or what would be done", body = openapi::Changed),
        (status = 409, description = "Not in that state", body = openapi::Problem),
        (status = 428, description = "No state was named", body = openapi::Problem)))]
pub(super) async fn recover(call: Call) -> HttpResponse {
    call.change(Action::KeyRecover, "key", |desk, given| desk.recover_key(key(given)?, wire::read_reason(&given.body)?))
        .await
}

/// Destroys a deleted key for ever, where the store is protected not before its retention is over.
#[utoipa::path(post, path = "/admin/v1/keys/{name}/purge", tag = "keys", params(("name" = String, Path), openapi::Change, openapi::Trial),
    request_body = openapi::Why,
    responses((status = 200, description = "Done, or what would be done", body = openapi::Changed),
        (status = 409, description = "Not in that state", body = openapi::Problem),
        (status = 428, description = "No state was named", body = openapi::Problem)))]
pub(super) async fn purge(call: Call) -> HttpResponse {
    call.change(Action::KeyPurge, "key", |desk, given| desk.purge_key(key(given)?, wire::read_reason(&given.body)?))
        .await
}

/// The rules and options in force.
#[utoipa::path(get, path = "/admin/v1/keys/{name}/rules", tag = "rules", params(("name" = String, Path)),
    responses((status = 200, description = "The version in force, or null", body = openapi::Rules)))]
pub(super) async fn rules(call: Call) -> HttpResponse {
    call.read(Action::RuleShow, &[], |desk, given| Ok(Told::object(desk.show_rules(&key(given)?)?))).await
}

/// Every version of the rules, oldest first.
#[utoipa::path(get, path = "/admin/v1/keys/{name}/rules/history", tag = "rules", params(("name" = String, Path)),
    responses((status = 200, description = "The versions", body = openapi::RuleHistory)))]
pub(super) async fn rule_history(call: Call) -> HttpResponse {
    call.read(Action::RuleHistory, &[], |desk, given| Ok(Told::object(desk.rule_history(&key(given)?)?))).await
}

/// What differs between two versions of the rules; without numbers between the last two.
#[utoipa::path(get, path = "/admin/v1/keys/{name}/rules/diff", tag = "rules",
    params(("name" = String, Path), ("from" = Option<u64>, Query), ("to" = Option<u64>, Query)),
    responses((status = 200, description = "Each place with both sides", body = openapi::Difference)))]
pub(super) async fn rule_difference(call: Call) -> HttpResponse {
    call.read(Action::RuleDiff, &["from", "to"], |desk, given| {
        Ok(Told::object(desk.rule_difference(&key(given)?, given.number("from")?, given.number("to")?)?))
    })
    .await
}

/// Sets rules and options: a further version, in force at once.
#[utoipa::path(post, path = "/admin/v1/keys/{name}/rules/set", tag = "rules", params(("name" = String, Path), openapi::Change, openapi::Trial),
    request_body = openapi::NewRules,
    responses((status = 200, description = "Done, or what would be done", body = openapi::Changed),
        (status = 409, description = "Not in that state", body = openapi::Problem),
        (status = 428, description = "No state was named", body = openapi::Problem)))]
pub(super) async fn set_rules(call: Call) -> HttpResponse {
    call.change(Action::RuleSet, "key", |desk, given| {
        let body = wire::read_rules(&given.body)?;
        desk.set_rules(key(given)?, &body.rules, body.immutable, body.force.as_ref(), body.reason)
    })
    .await
}

/// Sets an earlier version of the rules again, as a further version.
#[utoipa::path(post, path = "/admin/v1/keys/{name}/rules/restore", tag = "rules", params(("name" = String, Path), openapi::Change, openapi::Trial),
    request_body = openapi::Restore,
    responses((status = 200, description = "Done, or what would be done", body = openapi::Changed),
        (status = 409, description = "Not in that state", body = openapi::Problem),
        (status = 428, description = "No state was named", body = openapi::Problem)))]
pub(super) async fn restore_rules(call: Call) -> HttpResponse {
    call.change(Action::RuleRestore, "key", |desk, given| {
        let (number, force, reason) = wire::read_restore(&given.body)?;
        desk.restore_rules(key(given)?, number, force.as_ref(), reason)
    })
    .await
}
