//! Bodies of attestation policies and signing keys.
//!
//! `native-api.md` section 2 (`keygate policy`, `keygate signing-key`).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A policy to be set: its text, or a JWS around it.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct NewPolicy {
    /// Its text.
    policy: Option<String>,
    /// As Azure's tools make it; the only form on an isolated provider.
    jws: Option<String>,
    /// For the audit.
    reason: String,
}

/// Back to the default.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct PolicyReset {
    /// A signed JWS with an empty payload; only an isolated provider needs it.
    jws: Option<String>,
    /// For the audit.
    reason: String,
}

/// An earlier version of a policy.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct PolicyRestore {
    /// Its number.
    number: u64,
    /// For the audit.
    reason: String,
}

/// A policy: a version of it, or the default.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct Policy {
    /// `SgxEnclave`, `OpenEnclave`, `SevSnpVm`, `TdxVm`, `AzureGuest`, `Nitro`, `TpmMachine`, `Software` or `Tpm`.
    r#type: String,
    /// From 1; 0 where nothing was ever set.
    number: u64,
    /// `default`, `set` or `reset`.
    state: String,
    /// SHA-256 of the text, base64url.
    digest: String,
    /// What tokens carry as `x-ms-policy-hash`.
    policy_hash: Option<String>,
    /// Whether its JWS is signed.
    signed: bool,
    /// Its text; null where a type has no default. Not in lists.
    text: Option<String>,
    /// As it came. Not in lists.
    jws: Option<String>,
    /// Unix seconds.
    at: Option<i64>,
    /// Who set it.
    author: Option<String>,
    /// Why.
    reason: Option<String>,
}

/// What is in force for each type.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct Policies {
    /// Without their texts.
    policies: Vec<Policy>,
}

/// What is in force for one type.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct PolicyInForce {
    /// Of which type.
    r#type: String,
    /// The policy.
    policy: Policy,
}

/// Every version of a policy.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct PolicyHistory {
    /// Of which type.
    r#type: String,
    /// Oldest first.
    versions: Vec<Policy>,
}

/// What differs between two versions.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct PolicyDifference {
    /// Of which type.
    r#type: String,
    /// The older version; 0 is the default.
    from: u64,
    /// The newer version.
    to: u64,
    /// `mark` (`-`, `+` or a blank), `before` and `after` (numbers of lines), `text`.
    #[schema(value_type = Vec<Object>)]
    lines: Vec<Value>,
}

type Object = BTreeMap<String, String>;

/// The keys that sign at the attestation door.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct SigningKeys {
    /// `kid`, `created`, `signs_from`, and `state`: `retiring`, `signing` or `published`. In the order they were made.
    #[schema(value_type = Vec<Object>)]
    keys: Vec<Value>,
    /// Age at which a key gets a successor.
    rotate_seconds: u64,
    /// How long a key is published before it signs.
    publish_seconds: u64,
}
