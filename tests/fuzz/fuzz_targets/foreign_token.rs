//! Any text as a token of every family, any three byte strings as the segments of one, any two as a bundle: nothing is accepted under
//! a key that signed none of them, and nothing panics.
#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_verifier::UnixTime;
use keygate_verifier::tokens::{Issuer, KeySet, Profile, TokenBinding, TokenRoots, peek_foreign, verify_foreign};
use libfuzzer_sys::fuzz_target;

/// RFC 7515 appendix A.3.
const KEYS: &[u8] = br#"{"keys":[{"kty":"EC","crv":"P-256",
"x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

thread_local! {
    static SET: KeySet = KeySet::parse(KEYS).expect("a key set");
}

fn all(token: &str) {
    let roots = TokenRoots::none();
    SET.with(|keys| {
        for profile in Profile::ALL {
            let issuer = Issuer {
                name: "fuzz",
                issuer: "https://issuer.example",
                profile,
                keys,
                roots: &roots,
                audiences: &["https://keygate.example"],
                max_age: Some(3_600),
                is_keygate: true,
            };
            let now = UnixTime::from_secs(1_750_000_000);
            assert!(verify_foreign(token, &issuer, &TokenBinding::Unbound, now).is_err());
            if let Ok(peek) = peek_foreign(token) {
                let _ = issuer.fits(&peek);
            }
        }
    });
    let _ = TokenRoots::parse(token.as_bytes());
}

fuzz_target!(|bytes: &[u8]| {
    all(&String::from_utf8_lossy(bytes));
    let segments: Vec<String> = bytes.splitn(3, |b| *b == b'\n').map(|s| URL_SAFE_NO_PAD.encode(s)).collect();
    all(&segments.join("."));
    let mut tokens = bytes.splitn(2, |b| *b == 0xff).map(|s| URL_SAFE_NO_PAD.encode(s));
    let (overall, device) = (tokens.next().unwrap_or_default(), tokens.next().unwrap_or_default());
    all(&format!(r#"[["JWT","{overall}"],{{"GPU-0":"{device}"}}]"#));
});
