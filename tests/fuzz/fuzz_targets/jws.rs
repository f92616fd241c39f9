//! Any text as a token, and any three byte strings as the segments of one: nothing is accepted under a key that signed none of them.
#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_verifier::UnixTime;
use keygate_verifier::tokens::{
    Expected, JwsAlgorithm, KeySet, peek, read_embedded, verify_jws, verify_jwt, verify_maa,
};
use libfuzzer_sys::fuzz_target;

/// RFC 7515 appendix A.3.
const KEYS: &[u8] = br#"{"keys":[{"kty":"EC","crv":"P-256",
"x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

thread_local! {
    static SET: KeySet = KeySet::parse(KEYS).expect("a key set");
}

fn all(token: &str) {
    let expected =
        Expected { issuer: "joe", audiences: &[], algorithms: &JwsAlgorithm::ALL, typ: &[], leeway: 60, max_age: None };
    SET.with(|keys| {
        let now = UnixTime::from_secs(1_750_000_000);
        assert!(verify_jws(token, keys, &JwsAlgorithm::ALL).is_err());
        assert!(verify_jwt(token, keys, &expected, now).is_err());
        assert!(verify_maa(token, keys, "joe", now).is_err());
    });
    let _ = (peek(token), read_embedded(token));
}

fuzz_target!(|bytes: &[u8]| {
    all(&String::from_utf8_lossy(bytes));
    let segments: Vec<String> = bytes.splitn(3, |b| *b == b'\n').map(|s| URL_SAFE_NO_PAD.encode(s)).collect();
    all(&segments.join("."));
});
