//! What a document says, as claims. Keygate's tokens and claims, section 4.6: the object `nitro`.

use serde_json::{Map, Value, json};

use super::wire::Document;

/// `x-ms-attestation-type` and the object `nitro`. What the enclave did not put in is absent.
pub(super) fn attested(document: &Document<'_>) -> Map<String, Value> {
    let pcrs: Map<String, Value> =
        document.pcrs.iter().map(|(index, value)| (index.to_string(), json!(hex::encode(value)))).collect();
    let mut nitro = Map::new();
    nitro.insert("module_id".into(), json!(document.module_id));
    nitro.insert("timestamp".into(), json!(document.timestamp_ms));
    nitro.insert("pcrs".into(), Value::Object(pcrs));
    let given = [("user_data", document.user_data), ("nonce", document.nonce), ("public_key", document.public_key)];
    for (name, bytes) in given {
        if let Some(bytes) = bytes {
            nitro.insert(name.into(), json!(hex::encode(bytes)));
        }
    }
    let mut claims = Map::new();
    claims.insert("x-ms-attestation-type".into(), json!("nitro"));
    claims.insert("nitro".into(), Value::Object(nitro));
    claims
}

/// Whether the enclave runs in debug mode: the module then reports zeroes for the image, PCR 0 first of all, and no image measures
/// to zero.
pub(super) fn is_debug(document: &Document<'_>) -> bool {
    document.image().next().is_none_or(|register| register.iter().all(|byte| *byte == 0))
}
