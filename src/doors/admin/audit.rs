//! Handlers of the journal and of the store.
//!
//! `native-api.md` section 2 (`keygate audit`, `keygate store`).

use actix_web::HttpResponse;
use serde_json::json;

use super::call::{Call, Told};
use super::{openapi, wire};
use crate::broker::admin::Action;
use crate::broker::admin::audit::Filter;

/// Entries of the journal in their order.
#[utoipa::path(get, path = "/admin/v1/audit", tag = "audit",
    params(("after" = Option<u64>, Query, description = "Go on behind this number"),
        ("limit" = Option<usize>, Query, description = "At most so many, 1 to 500"),
        ("from" = Option<i64>, Query, description = "At this time or later, unix seconds"),
        ("to" = Option<i64>, Query, description = "Before this time, unix seconds"),
        ("key" = Option<String>, Query), ("decision" = Option<String>, Query), ("kind" = Option<String>, Query)),
    responses((status = 200, description = "A page of entries", body = openapi::Entries)))]
pub(super) async fn list(call: Call) -> HttpResponse {
    let known = &["after", "limit", "from", "to", "key", "decision", "kind"];
    call.read(Action::AuditList, known, |desk, given| {
        let text = |name: &str| given.query.get(name).cloned();
        let filter = Filter {
            after: given.number("after")?.unwrap_or(0),
            from: given.number("from")?,
            to: given.number("to")?,
            key: text("key"),
            decision: text("decision"),
            kind: text("kind"),
            limit: given.number("limit")?.unwrap_or(100),
        };
        let (entries, next) = desk.list_entries(&filter)?;
        Ok(Told::whole(json!({"entries": entries, "next": next})))
    })
    .await
}

/// One entry, by its number or by a correlation id.
#[utoipa::path(get, path = "/admin/v1/audit/{entry}", tag = "audit", params(("entry" = String, Path)),
    responses((status = 200, description = "The entry", body = openapi::Entry),
        (status = 404, description = "No such entry", body = openapi::Problem)))]
pub(super) async fn show(call: Call) -> HttpResponse {
    call.read(Action::AuditShow, &[], |desk, given| Ok(Told::whole(desk.show_entry(given.name())?))).await
}

/// Verifies the whole journal, and holds published heads and kept receipts against it. Changes nothing.
#[utoipa::path(post, path = "/admin/v1/audit/verify", tag = "audit", request_body = openapi::Papers,
    responses((status = 200, description = "The verdict", body = openapi::Verdict)))]
pub(super) async fn verify(call: Call) -> HttpResponse {
    call.read(Action::AuditVerify, &[], |desk, given| {
        let (heads, receipts) = wire::read_papers(&given.body)?;
        Ok(Told::whole(desk.verify_journal(&heads, &receipts)?))
    })
    .await
}

/// State of the store.
#[utoipa::path(get, path = "/admin/v1/store", tag = "store",
    responses((status = 200, description = "Figures, no secrets", body = Object)))]
pub(super) async fn store_status(call: Call) -> HttpResponse {
    call.read(Action::StoreStatus, &[], |desk, _| Ok(Told::whole(desk.store_status()?))).await
}

/// Verifies every page, row and sealed cell.
#[utoipa::path(get, path = "/admin/v1/store/check", tag = "store",
    responses((status = 200, description = "Everything holds", body = Object),
        (status = 503, description = "`store-corrupt`", body = openapi::Problem)))]
pub(super) async fn store_check(call: Call) -> HttpResponse {
    call.read(Action::StoreCheck, &[], |desk, _| Ok(Told::whole(desk.store_check()?))).await
}

/// A sealed copy of the whole store; it holds no root key.
#[utoipa::path(post, path = "/admin/v1/store/backup", tag = "store", request_body = openapi::Why,
    responses((status = 200, description = "What `keygate store restore` reads", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 503, description = "`store-corrupt`: of a damaged store there is no copy", body = openapi::Problem)))]
pub(super) async fn store_backup(call: Call) -> HttpResponse {
    call.copy(Action::StoreBackup, |desk, given| desk.store_backup(&wire::read_reason(&given.body)?)).await
}
