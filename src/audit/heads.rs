//! Published heads of the journal: what an auditor keeps, to hold a later journal against it.
//!
//! `native-api.md` section 3 (`GET /v1/audit/head`), threat model P43. The payload only; the receipt key signs it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::Head;
use serde_json::{Value, json};

/// The payload of a signed head: issuer, number and hash (base64url) of the last entry, its time, the store (hex) and its
/// incarnation, and when this was said.
pub fn payload(issuer: &str, head: &Head, now: i64) -> Value {
    json!({
        "iss": issuer,
        "iat": now,
        "entry": head.seq,
        "entry_hash": URL_SAFE_NO_PAD.encode(head.hash),
        "entry_at": head.at,
        "store": hex::encode(head.store_id),
        "incarnation": head.incarnation,
    })
}
