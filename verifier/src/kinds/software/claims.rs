//! What a statement says, as claims. Keygate's tokens and claims, section 4.6: the object `software`.

use serde_json::{Map, Value, json};

use super::wire::Statement;

/// `x-ms-attestation-type` and the object `software`; never a name of another kind.
pub(super) fn attested(statement: &Statement<'_>) -> Map<String, Value> {
    let mut claims = Map::new();
    claims.insert("x-ms-attestation-type".into(), json!("software"));
    claims
        .insert("software".into(), json!({"measurement": hex::encode(statement.measurement), "host": statement.host}));
    claims
}
