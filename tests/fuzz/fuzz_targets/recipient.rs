//! Any JSON object as a recipient's key: taken or refused, without a panic.
#![no_main]

use keygate_verifier::RecipientKey;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(serde_json::Value::Object(jwk)) = serde_json::from_slice(bytes) {
        let _ = RecipientKey::from_jwk(&jwk);
    }
});
