//! Bodies of reference values.
//!
//! `docs/reference-values.md` (`keygate reference`).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

type Object = BTreeMap<String, String>;

/// Reference values to be proposed.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct NewReference {
    /// Compact JWS of type `keygate-reference+jwt`, at most 64 KiB.
    jws: String,
    /// For the audit.
    reason: String,
}

/// An approval.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct Approval {
    /// The serial of the proposal that was reviewed.
    serial: u64,
    /// Until when what is in force counts beside it, unix seconds, at most 90 days ahead; it ends at once if not said.
    keep_previous: Option<i64>,
    /// For the audit.
    reason: String,
}

/// What is to count no more.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct Retirement {
    /// `all`, `previous` or `proposed`; everything if not said.
    what: Option<String>,
    /// For the audit.
    reason: String,
}

/// Signed reference values and what became of them.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct Signed {
    /// Its serial.
    serial: u64,
    /// `proposed`, `in-force`, `expired`, `not-yet-valid`, or `untrusted`: no signer of the configuration stands for it.
    state: String,
    /// Why it is `untrusted`.
    why: Option<String>,
    /// The signer's name in the configuration.
    signer: Option<String>,
    /// SHA-256 of what was signed, base64url.
    digest: Option<String>,
    /// `iat`, unix seconds.
    issued: Option<i64>,
    /// Until when it counts, unix seconds: its `exp`, or the end of its signer's certificate.
    until: Option<i64>,
    /// Words of its author.
    note: Option<String>,
    /// How many values it has for each claim.
    claims: Option<BTreeMap<String, u64>>,
    /// The values by claim. Not in lists.
    #[schema(value_type = Option<Object>)]
    values: Option<Value>,
    /// As it came. Not in lists.
    jws: Option<String>,
    /// Who imported it.
    imported_by: String,
    /// Unix seconds.
    imported_at: i64,
    /// Who approved it.
    approved_by: Option<String>,
    /// Unix seconds.
    approved_at: Option<i64>,
    /// Until when it counts beside its successor, unix seconds.
    keep_until: Option<i64>,
}

/// What stands under a name.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct Reference {
    /// The name.
    name: String,
    /// Of the state: grows with each change.
    number: u64,
    /// That of the object in force; `proposed` or `retired` where there is none.
    state: String,
    /// The highest serial that was ever imported.
    highest_serial: u64,
    /// What counts.
    in_force: Option<Signed>,
    /// What counts beside it for a while.
    previous: Option<Signed>,
    /// What waits for an approval.
    proposed: Option<Signed>,
}

/// All names.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct References {
    /// Without values.
    references: Vec<Reference>,
}

/// One name.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct ReferenceShown {
    /// With values.
    reference: Reference,
}

/// A proposal against what is in force.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct Review {
    /// The name.
    name: String,
    /// What waits for an approval.
    proposed: Signed,
    /// What counts now, without values.
    in_force: Option<Signed>,
    /// Why the proposal could not be approved.
    unfit: Option<String>,
    /// `claim`, `added`, `removed`, `kept`: a number of values that stay.
    #[schema(value_type = Vec<Object>)]
    changes: Vec<Value>,
    /// `keys`, each with the `claims` that its rules hold against the values, and `policies`: types of attestation.
    #[schema(value_type = Object)]
    used_by: Value,
}
