//! The interface as OpenAPI, made from the handlers' own descriptions.
//!
//! `native-api.md` section 3 (`/openapi.json`). The types here describe bodies; [`super::wire`] reads them, more strictly than a
//! schema can say.
#![allow(dead_code)] // read by the derive alone

pub(super) mod machines;
pub(super) mod policies;
pub(super) mod references;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, OpenApi, ToSchema};

/// The document.
pub fn document() -> utoipa::openapi::OpenApi {
    Admin::openapi()
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Keygate admin",
        description = "A key-release broker gated on attestation: the admin door",
        version = "1"
    ),
    paths(
        super::keys::list,
        super::keys::show,
        super::keys::create,
        super::keys::import,
        super::keys::rotate,
        super::keys::set,
        super::keys::enable,
        super::keys::disable,
        super::keys::delete,
        super::keys::recover,
        super::keys::purge,
        super::keys::rules,
        super::keys::rule_history,
        super::keys::rule_difference,
        super::keys::set_rules,
        super::keys::restore_rules,
        super::policies::list,
        super::policies::show,
        super::policies::history,
        super::policies::difference,
        super::policies::set,
        super::policies::reset,
        super::policies::restore,
        super::references::list,
        super::references::show,
        super::references::review,
        super::references::import,
        super::references::approve,
        super::references::retire,
        super::policies::list_signing_keys,
        super::policies::rotate_signing_key,
        super::trust::list_denied,
        super::trust::deny,
        super::trust::allow,
        super::enrolments::list,
        super::enrolments::show,
        super::enrolments::remove,
        super::enrolments::list_keys,
        super::enrolments::allow,
        super::enrolments::disallow,
        super::trust::list_credentials,
        super::trust::show_credential,
        super::trust::create_credential,
        super::trust::revoke_credential,
        super::audit::list,
        super::audit::show,
        super::audit::verify,
        super::audit::store_status,
        super::audit::store_check,
        super::audit::store_backup,
        super::pages::metrics,
    )
)]
struct Admin;

/// What every change takes beside its body.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(super) struct Change {
    /// Entity tag of the object, or `*`; not for creations.
    #[param(rename = "If-Match")]
    if_match: Option<String>,
    /// 1 to 64 visible ASCII characters.
    #[param(rename = "Idempotency-Key")]
    idempotency_key: Option<String>,
}

/// Only a trial.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Trial {
    /// Only say what would change.
    dry_run: Option<bool>,
}

/// Why something is done.
#[derive(Serialize, ToSchema)]
pub(super) struct Why {
    /// For the audit: 1 to 1024 characters.
    reason: String,
}

/// A key to be made.
#[derive(Serialize, ToSchema)]
pub(super) struct NewKey {
    /// `secret`, `oct-128`, `oct-192`, `oct-256`, `rsa-2048`, `rsa-3072`, `rsa-4096`, `ec-p256`, `ec-p384`, `ec-p521`.
    r#type: String,
    /// Whether it may be released; false if not said.
    exportable: Option<bool>,
    /// True if not said.
    enabled: Option<bool>,
    /// Unix seconds.
    not_before: Option<i64>,
    /// Unix seconds.
    expires: Option<i64>,
    /// `release`, `unwrap`, `wrap`, `generate`, `sign`; all that the type can if not said.
    operations: Option<Vec<String>>,
    /// Free text.
    tags: Option<BTreeMap<String, String>>,
    /// Rules and options, or a bare rule; needs role `rule-officer` too.
    #[schema(value_type = Option<Object>)]
    rules: Option<Value>,
    /// The rules can never change.
    immutable: Option<bool>,
    /// Why a rule that the linter refuses is set all the same.
    force: Option<String>,
    /// For the audit.
    reason: String,
}

/// A key to be brought: as for one to be made, and its material.
#[derive(Serialize, ToSchema)]
pub(super) struct BroughtKey {
    #[serde(flatten)]
    key: NewKey,
    /// Its material.
    material: Material,
}

/// One of the four.
#[derive(Serialize, ToSchema)]
pub(super) struct Material {
    /// Bytes of an AES key or a secret, base64url.
    raw: Option<String>,
    /// A private or symmetric JWK.
    #[schema(value_type = Option<Object>)]
    jwk: Option<Value>,
    /// PKCS#8 DER, base64url.
    pkcs8: Option<String>,
    /// PKCS#8 PEM.
    pem: Option<String>,
}

/// A further version; made here without material.
#[derive(Serialize, ToSchema)]
pub(super) struct Rotation {
    /// Its material.
    material: Option<Material>,
    /// For the audit.
    reason: String,
}

/// Attributes; null takes a limit away.
#[derive(Serialize, ToSchema)]
pub(super) struct Attributes {
    /// Whether it may be used.
    enabled: Option<bool>,
    /// Unix seconds.
    not_before: Option<i64>,
    /// Unix seconds.
    expires: Option<i64>,
    /// What may be done with it.
    operations: Option<Vec<String>>,
    /// Free text.
    tags: Option<BTreeMap<String, String>>,
    /// For the audit.
    reason: String,
}

/// Rules to be set.
#[derive(Serialize, ToSchema)]
pub(super) struct NewRules {
    /// Rules and options, or a bare rule.
    #[schema(value_type = Object)]
    rules: Value,
    /// They can never change again.
    immutable: Option<bool>,
    /// Why rules that the linter refuses are set all the same.
    force: Option<String>,
    /// For the audit.
    reason: String,
}

/// An earlier version of rules.
#[derive(Serialize, ToSchema)]
pub(super) struct Restore {
    /// Its number.
    number: u64,
    /// Why rules that the linter refuses are set all the same.
    force: Option<String>,
    /// For the audit.
    reason: String,
}

/// An entry of the deny list.
#[derive(Serialize, ToSchema)]
pub(super) struct Denial {
    /// `platform`, `measurement` or `issuer-key`.
    kind: String,
    /// Lower-case hex, or the thumbprint of a key.
    value: String,
    /// For the audit.
    reason: String,
}

/// A credential to be made.
#[derive(Serialize, ToSchema)]
pub(super) struct NewCredential {
    /// At least one; `admin` goes with no other.
    roles: Vec<String>,
    /// For which keys; `*` stands for any text.
    key_pattern: Option<String>,
    /// Unix seconds.
    expires: Option<i64>,
    /// Another provider of this node; only for admins of the first.
    provider: Option<String>,
    /// For the audit.
    reason: String,
}

/// What others kept of the journal.
#[derive(Serialize, ToSchema)]
pub(super) struct Papers {
    /// Published heads, compact JWS.
    heads: Option<Vec<String>>,
    /// Receipts, compact JWS.
    receipts: Option<Vec<String>>,
}

/// What a change left.
#[derive(Serialize, ToSchema)]
pub(super) struct Changed {
    /// The object now, under the name of its kind; with its token once, where it is a new credential.
    #[schema(value_type = Option<Object>)]
    key: Option<Value>,
    /// The object before; of a trial only.
    #[schema(value_type = Option<Object>)]
    before: Option<Value>,
    /// Nothing was written.
    dry_run: bool,
    /// The answer to an earlier request.
    repeat: Option<bool>,
    /// Where it is recorded.
    entry: Option<Recorded>,
    /// What the linter warned of.
    warnings: Option<Vec<Object>>,
}

type Object = BTreeMap<String, String>;

/// A place in the journal.
#[derive(Serialize, ToSchema)]
pub(super) struct Recorded {
    /// From 1.
    number: u64,
    /// base64url.
    hash: String,
}

/// A key without its material.
#[derive(Serialize, ToSchema)]
pub(super) struct Key {
    /// As written at its creation.
    name: String,
    /// Its type.
    r#type: String,
    /// Whether it may be used.
    enabled: bool,
    /// Unix seconds.
    not_before: Option<i64>,
    /// Unix seconds.
    expires: Option<i64>,
    /// Whether it may be released.
    exportable: bool,
    /// What may be done with it.
    operations: Vec<String>,
    /// Free text.
    tags: BTreeMap<String, String>,
    /// Whether its rules can never change.
    immutable: bool,
    /// The rules in force.
    rule: Option<RuleVersion>,
    /// Unix seconds.
    deleted_at: Option<i64>,
    /// Unix seconds from which it may be purged.
    purge_at: Option<i64>,
    /// Unix seconds.
    created: i64,
    /// Unix seconds.
    updated: i64,
    /// Newest last, each with its public JWK.
    #[schema(value_type = Vec<Object>)]
    versions: Vec<Value>,
}

/// A page of keys.
#[derive(Serialize, ToSchema)]
pub(super) struct Keys {
    /// In the order of their names.
    keys: Vec<Key>,
    /// Go on behind this name; null at the end.
    next: Option<String>,
}

/// A version of rules.
#[derive(Serialize, ToSchema)]
pub(super) struct RuleVersion {
    /// From 1.
    number: u64,
    /// Unix seconds.
    at: i64,
    /// Who set it.
    author: String,
    /// Why.
    reason: String,
    /// `rule_digest`, base64url.
    digest: String,
    /// Rules and options.
    #[schema(value_type = Object)]
    document: Value,
}

/// The rules in force.
#[derive(Serialize, ToSchema)]
pub(super) struct Rules {
    /// Of which key.
    key: String,
    /// Whether they can never change.
    immutable: bool,
    /// The version in force.
    rule: Option<RuleVersion>,
}

/// Every version of rules.
#[derive(Serialize, ToSchema)]
pub(super) struct RuleHistory {
    /// Of which key.
    key: String,
    /// Oldest first.
    versions: Vec<RuleVersion>,
}

/// What differs.
#[derive(Serialize, ToSchema)]
pub(super) struct Difference {
    /// Of which key.
    key: String,
    /// The older version; 0 is none.
    from: u64,
    /// The newer version.
    to: u64,
    /// `path`, `before`, `after`.
    #[schema(value_type = Vec<Object>)]
    changes: Vec<Value>,
}

/// The deny list.
#[derive(Serialize, ToSchema)]
pub(super) struct DenyList {
    /// `kind`, `value`, `reason`, `at`, `author`, `etag`.
    #[schema(value_type = Vec<Object>)]
    denied: Vec<Value>,
}

/// A credential without its token.
#[derive(Serialize, ToSchema)]
pub(super) struct Credential {
    /// Its name.
    name: String,
    /// Whose.
    provider: String,
    /// What it may do.
    roles: Vec<String>,
    /// For which keys.
    key_pattern: Option<String>,
    /// Unix seconds.
    expires: Option<i64>,
    /// Unix seconds.
    created: i64,
    /// Unix seconds.
    revoked_at: Option<i64>,
    /// `live`, `expired` or `revoked`.
    state: String,
}

/// A page of credentials.
#[derive(Serialize, ToSchema)]
pub(super) struct Credentials {
    /// In the order of their names.
    credentials: Vec<Credential>,
    /// Go on behind this name; null at the end.
    next: Option<String>,
}

/// An entry of the journal.
#[derive(Serialize, ToSchema)]
pub(super) struct Entry {
    /// From 1, without gaps over the whole store.
    number: u64,
    /// Unix seconds.
    at: i64,
    /// What kind of event.
    kind: String,
    /// Whose record.
    provider: String,
    /// Over this entry and all before it, base64url.
    hash: String,
    /// The record.
    #[schema(value_type = Object)]
    body: Value,
}

/// A page of entries.
#[derive(Serialize, ToSchema)]
pub(super) struct Entries {
    /// In their order.
    entries: Vec<Entry>,
    /// Go on behind this number; null at the end.
    next: Option<u64>,
}

/// What was found of the journal.
#[derive(Serialize, ToSchema)]
pub(super) struct Verdict {
    /// `intact` or `broken`.
    verdict: String,
    /// How many entries, where intact.
    entries: Option<u64>,
    /// The first wrong entry, where broken.
    entry: Option<u64>,
    /// `changed`, `removed`, `reordered`, `inserted` or `cut-off`.
    what: Option<String>,
    /// `paper`, `holds`, `entry`, `what`.
    #[schema(value_type = Vec<Object>)]
    papers: Vec<Value>,
}

/// RFC 9457.
#[derive(Serialize, ToSchema)]
pub(super) struct Problem {
    /// Ends in the stable code.
    r#type: String,
    /// A short fixed phrase.
    title: String,
    /// The status.
    status: u16,
    /// Which part is at fault.
    detail: String,
    /// Under which the audit has the rest.
    instance: Option<String>,
    /// Diagnostics of a rule.
    #[schema(value_type = Option<Vec<Object>>)]
    reasons: Option<Vec<Value>>,
}
