//! Bodies about enrolled machines.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// The record of a machine.
#[derive(Serialize, ToSchema)]
pub(in crate::doors::admin) struct Enrolment {
    /// Its name.
    machine: String,
    /// The name of its attestation key, hex.
    ak_name: String,
    /// SHA-256 of the endorsement key's SubjectPublicKeyInfo, hex.
    ek: String,
    /// SHA-256 of its certificate, hex; null where there was none.
    ek_certificate: Option<String>,
    /// The operator's anchor that vouched for the endorsement key, or `allowed-ek`.
    anchor: String,
    /// Who enrolled it.
    owner: String,
    /// Unix seconds.
    enrolled: i64,
    /// Unix seconds.
    expires: i64,
    /// `live` or `expired`.
    state: String,
    /// `reset_count`, `restart_count`, `clock` as they were seen last; null before the first use.
    #[schema(value_type = Option<Object>)]
    clock: Option<Value>,
}

/// A page of records.
#[derive(Serialize, ToSchema)]
pub(in crate::doors::admin) struct Enrolments {
    /// In the order of their machines.
    enrolments: Vec<Enrolment>,
    /// Go on behind this machine; null at the end.
    next: Option<String>,
}

/// The endorsement keys that an operator vouches for.
#[derive(Serialize, ToSchema)]
pub(in crate::doors::admin) struct EndorsementKeys {
    /// `ek`, `reason`, `at`, `author`, `etag`.
    #[schema(value_type = Vec<Object>)]
    endorsement_keys: Vec<Value>,
}

/// An endorsement key.
#[derive(Serialize, ToSchema)]
pub(in crate::doors::admin) struct EndorsementKey {
    /// SHA-256 of its SubjectPublicKeyInfo, 64 lower-case hex digits.
    ek: String,
    /// For the audit.
    reason: String,
}
