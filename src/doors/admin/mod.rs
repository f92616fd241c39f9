//! The admin door: what operators do, over HTTP. The same verbs as the command line.
//!
//! `native-api.md` section 3 (*Admin*). Every change names the state it rests on and says why; `?dry_run=true` only says what it would
//! do. Problems are RFC 9457, see [`super::problem`].

mod audit;
mod call;
mod enrolments;
mod keys;
mod openapi;
mod pages;
mod policies;
mod references;
mod trust;
mod wire;

use actix_web::web::{self, ServiceConfig, get, post, resource};

pub use openapi::document;

/// The routes of the admin listener. The assembly puts a [`Seat`](crate::broker::Seat) into every request.
pub fn routes(config: &mut ServiceConfig) {
    let only =
        |path: &str, route: actix_web::Route| resource(path).route(route).default_service(web::to(pages::not_allowed));
    config
        .service(only("/metrics", get().to(pages::metrics)))
        .service(only("/docs", get().to(pages::docs)))
        .service(only("/openapi.json", get().to(pages::openapi)))
        .service(only("/admin/v1/keys", get().to(keys::list)))
        .service(only("/admin/v1/keys/{name}", get().to(keys::show)))
        .service(only("/admin/v1/keys/{name}/create", post().to(keys::create)))
        .service(only("/admin/v1/keys/{name}/import", post().to(keys::import)))
        .service(only("/admin/v1/keys/{name}/rotate", post().to(keys::rotate)))
        .service(only("/admin/v1/keys/{name}/set", post().to(keys::set)))
        .service(only("/admin/v1/keys/{name}/enable", post().to(keys::enable)))
        .service(only("/admin/v1/keys/{name}/disable", post().to(keys::disable)))
        .service(only("/admin/v1/keys/{name}/versions/{version}/enable", post().to(keys::enable)))
        .service(only("/admin/v1/keys/{name}/versions/{version}/disable", post().to(keys::disable)))
        .service(only("/admin/v1/keys/{name}/delete", post().to(keys::delete)))
        .service(only("/admin/v1/keys/{name}/recover", post().to(keys::recover)))
        .service(only("/admin/v1/keys/{name}/purge", post().to(keys::purge)))
        .service(only("/admin/v1/keys/{name}/rules", get().to(keys::rules)))
        .service(only("/admin/v1/keys/{name}/rules/history", get().to(keys::rule_history)))
        .service(only("/admin/v1/keys/{name}/rules/diff", get().to(keys::rule_difference)))
        .service(only("/admin/v1/keys/{name}/rules/set", post().to(keys::set_rules)))
        .service(only("/admin/v1/keys/{name}/rules/restore", post().to(keys::restore_rules)))
        .service(only("/admin/v1/policies", get().to(policies::list)))
        .service(only("/admin/v1/policies/{type}", get().to(policies::show)))
        .service(only("/admin/v1/policies/{type}/history", get().to(policies::history)))
        .service(only("/admin/v1/policies/{type}/diff", get().to(policies::difference)))
        .service(only("/admin/v1/policies/{type}/set", post().to(policies::set)))
        .service(only("/admin/v1/policies/{type}/reset", post().to(policies::reset)))
        .service(only("/admin/v1/policies/{type}/restore", post().to(policies::restore)))
        .service(only("/admin/v1/references", get().to(references::list)))
        .service(only("/admin/v1/references/{name}", get().to(references::show)))
        .service(only("/admin/v1/references/{name}/review", get().to(references::review)))
        .service(only("/admin/v1/references/{name}/import", post().to(references::import)))
        .service(only("/admin/v1/references/{name}/approve", post().to(references::approve)))
        .service(only("/admin/v1/references/{name}/retire", post().to(references::retire)))
        .service(only("/admin/v1/signing-keys", get().to(policies::list_signing_keys)))
        .service(only("/admin/v1/signing-keys/rotate", post().to(policies::rotate_signing_key)))
        .service(only("/admin/v1/deny", get().to(trust::list_denied)))
        .service(only("/admin/v1/deny/add", post().to(trust::deny)))
        .service(only("/admin/v1/deny/remove", post().to(trust::allow)))
        .service(only("/admin/v1/enrolments", get().to(enrolments::list)))
        .service(only("/admin/v1/enrolments/{name}", get().to(enrolments::show)))
        .service(only("/admin/v1/enrolments/{name}/remove", post().to(enrolments::remove)))
        .service(only("/admin/v1/endorsement-keys", get().to(enrolments::list_keys)))
        .service(only("/admin/v1/endorsement-keys/allow", post().to(enrolments::allow)))
        .service(only("/admin/v1/endorsement-keys/disallow", post().to(enrolments::disallow)))
        .service(only("/admin/v1/credentials", get().to(trust::list_credentials)))
        .service(only("/admin/v1/credentials/{name}", get().to(trust::show_credential)))
        .service(only("/admin/v1/credentials/{name}/create", post().to(trust::create_credential)))
        .service(only("/admin/v1/credentials/{name}/revoke", post().to(trust::revoke_credential)))
        .service(only("/admin/v1/audit", get().to(audit::list)))
        .service(only("/admin/v1/audit/verify", post().to(audit::verify)))
        .service(only("/admin/v1/audit/{entry}", get().to(audit::show)))
        .service(only("/admin/v1/store", get().to(audit::store_status)))
        .service(only("/admin/v1/store/check", get().to(audit::store_check)))
        .service(only("/admin/v1/store/backup", post().to(audit::store_backup)));
}
