//! Tokens and signed policies that were recorded from the real service and from its documentation. Bad inputs, section 1.

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keygate_verifier::UnixTime;
use keygate_verifier::tokens::{KeySet, TokenFault, maa_kid, peek, read_embedded, verify_maa};
use serde_json::Value;
use support::{Rng, mutations, skipped, tried, vector, vectors_root};

const INSTANCES: [&str; 3] = ["aad", "iso", "shared"];
const TOKENS: [&str; 12] = [
    "open_enclave-aad-binary",
    "open_enclave-aad-json",
    "open_enclave-iso-binary",
    "open_enclave-iso-json",
    "open_enclave-shared-binary",
    "open_enclave-shared-json",
    "sgx_enclave-aad-binary",
    "sgx_enclave-aad-json",
    "sgx_enclave-iso-binary",
    "sgx_enclave-iso-json",
    "sgx_enclave-shared-binary",
    "sgx_enclave-shared-json",
];

struct Recorded {
    name: &'static str,
    instance: &'static str,
    token: String,
    issuer: String,
    issued: UnixTime,
    keys: KeySet,
}

fn text(path: &str) -> String {
    String::from_utf8(vector(path)).expect("text").trim_end().to_owned()
}

fn key_set(instance: &str) -> KeySet {
    KeySet::parse(&vector(&format!("maa-sdk/python/jwks-{instance}.json"))).expect("a key set")
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("a payload");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("json")
}

/// The twelve signed tokens; empty, after a loud line, without the vectors.
fn recorded() -> Vec<Recorded> {
    if vectors_root().is_none() {
        skipped("recorded tokens", TOKENS.len());
        return Vec::new();
    }
    TOKENS
        .iter()
        .map(|name| {
            let instance = name.split('-').nth(1).expect("an instance");
            let token = text(&format!("maa-sdk/python/token-{name}.jwt"));
            let claims = claims(&token);
            Recorded {
                name,
                instance,
                issuer: claims["iss"].as_str().expect("iss").to_owned(),
                issued: UnixTime::from_secs(claims["iat"].as_i64().expect("iat")),
                keys: key_set(instance),
                token,
            }
        })
        .collect()
}

#[test]
fn recorded_tokens_verify_with_the_key_set_of_their_instance() {
    for case in recorded() {
        let jwt = verify_maa(&case.token, &case.keys, &case.issuer, case.issued)
            .unwrap_or_else(|fault| panic!("{}: {fault}", case.name));
        assert_eq!(jwt.claims["x-ms-attestation-type"], "sgx");
        assert_eq!(jwt.issued, Some(case.issued));
        assert_eq!(jwt.expires, case.issued.plus(28_800));
        assert_eq!(peek(&case.token).unwrap().issuer, Some(case.issuer));
    }
}

/// Every ninth byte, or each with `KEYGATE_FULL=1`: once a bit flipped, once another character of the alphabet.
#[test]
fn a_recorded_token_with_one_byte_changed_is_refused() {
    let mut count = 0;
    for case in recorded() {
        let step = if support::full() { 1 } else { 9 };
        for at in (0..case.token.len()).step_by(step) {
            let was = case.token.as_bytes()[at];
            for now in [was ^ 1, if was == b'A' { b'B' } else { b'A' }, if was == b'_' { b'-' } else { b'_' }] {
                let mut bytes = case.token.clone().into_bytes();
                bytes[at] = now;
                let changed = String::from_utf8(bytes).expect("ascii");
                if changed != case.token {
                    let refused = verify_maa(&changed, &case.keys, &case.issuer, case.issued);
                    assert!(refused.is_err(), "{}: byte {at} changed from {was} to {now}", case.name);
                    count += 1;
                }
            }
        }
    }
    tried("changed bytes of recorded tokens", count);
}

#[test]
fn jwt_25_26_a_recorded_token_is_refused_outside_its_time() {
    for case in recorded() {
        let at = |now: UnixTime| verify_maa(&case.token, &case.keys, &case.issuer, now).map(|_| ());
        assert_eq!(at(case.issued.plus(-61)), Err(TokenFault::NotYetValid), "{}", case.name);
        assert_eq!(at(case.issued.plus(-60)), Ok(()));
        assert_eq!(at(case.issued.plus(28_800 + 59)), Ok(()));
        assert_eq!(at(case.issued.plus(28_800 + 60)), Err(TokenFault::Expired));
        assert_eq!(at(UnixTime::from_secs(1_790_000_000)), Err(TokenFault::Expired));
    }
}

#[test]
fn jwt_29_a_recorded_token_is_refused_for_any_other_spelling_of_its_issuer() {
    for case in recorded() {
        let good = case.issuer.as_str();
        let host = good.strip_prefix("https://").expect("https");
        for other in [
            format!("{good}/"),
            format!("{good}:443"),
            good.to_uppercase(),
            format!("https://user@{host}"),
            format!("https://{host}."),
            good.replacen("attest", "%61ttest", 1),
            good.replacen('a', "\u{430}", 1),
            good.replace("https", "http"),
            String::new(),
        ] {
            let refused = verify_maa(&case.token, &case.keys, &other, case.issued).unwrap_err();
            assert_eq!(refused, TokenFault::Issuer, "{}: {other}", case.name);
        }
    }
}

/// The three instances share their key: its certificate alone says for whom it signs.
#[test]
fn jwt_12_14_a_recorded_token_is_refused_under_the_key_set_of_another_instance() {
    for case in recorded() {
        for other in INSTANCES.iter().filter(|other| **other != case.instance) {
            let refused = verify_maa(&case.token, &key_set(other), &case.issuer, case.issued).unwrap_err();
            assert!(matches!(refused, TokenFault::Certificate(_)), "{}: {refused}", case.name);
            assert_eq!(refused.code(), "token-invalid");
        }
        let empty = KeySet::parse(br#"{"keys":[]}"#).unwrap();
        assert!(verify_maa(&case.token, &empty, &case.issuer, case.issued).unwrap_err().is_unknown_key());
    }
}

#[test]
fn a_recorded_kid_follows_from_the_key() {
    if vectors_root().is_none() {
        return skipped("key sets", INSTANCES.len());
    }
    let mut counts = (0, 0);
    for instance in INSTANCES {
        let keys = key_set(instance);
        // Of six, one is of 1,024 bits.
        assert_eq!(keys.len(), 5, "{instance}");
        assert!(!keys.has("15N2MHoj9iAdkF/c5nRE3J2HB8JG6Vue3Uzvu3K/Ses="));
        let set: Value = serde_json::from_slice(&vector(&format!("maa-sdk/python/jwks-{instance}.json"))).unwrap();
        for key in set["keys"].as_array().unwrap() {
            let der = STANDARD.decode(key["x5c"][0].as_str().unwrap()).unwrap();
            let certificate = openssl::x509::X509::from_der(&der).unwrap();
            let spki = certificate.public_key().unwrap().public_key_to_der().unwrap();
            let follows = key["kid"] == maa_kid(&spki);
            if key["x5c"].as_array().unwrap().len() == 1 {
                assert!(follows, "{instance}: {}", key["kid"]);
                counts.0 += 1;
            } else {
                assert!(!follows);
                counts.1 += 1;
            }
        }
    }
    assert_eq!(counts, (6, 12));
}

#[test]
fn jwt_01_a_recorded_draft_token_is_refused() {
    if vectors_root().is_none() {
        return skipped("draft tokens", INSTANCES.len());
    }
    for instance in INSTANCES {
        let token = text(&format!("maa-sdk/python/token-open_enclave-{instance}-json-draft.jwt"));
        let said = claims(&token);
        let issued = UnixTime::from_secs(said["iat"].as_i64().unwrap());
        let refused = verify_maa(&token, &key_set(instance), said["iss"].as_str().unwrap(), issued).unwrap_err();
        assert_eq!(refused, TokenFault::Algorithm);
    }
}

/// Answers of the management calls are tokens of the same kind.
#[test]
fn recorded_management_answers_verify() {
    if vectors_root().is_none() {
        return skipped("management answers", 24);
    }
    let mut count = 0;
    for entry in std::fs::read_dir(vectors_root().unwrap().join("maa-sdk/python")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.ends_with(".response.jwt") {
            continue;
        }
        let instance = if name.starts_with("certificates") {
            "iso"
        } else {
            INSTANCES.into_iter().find(|i| name.contains(&format!("-{i}-"))).expect("an instance")
        };
        let token = text(&format!("maa-sdk/python/{name}"));
        let said = claims(&token);
        let (issuer, issued) = (said["iss"].as_str().unwrap(), UnixTime::from_secs(said["iat"].as_i64().unwrap()));
        let jwt = verify_maa(&token, &key_set(instance), issuer, issued).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(jwt.expires, issued.plus(3_600));
        assert!(verify_maa(&token, &key_set(instance), issuer, issued.plus(3_660)).is_err());
        count += 1;
    }
    assert_eq!(count, 24);
}

/// A token of a test instance whose key set nobody recorded: read, and refused.
#[test]
fn a_token_without_its_key_set_is_of_an_unknown_key() {
    if vectors_root().is_none() {
        return skipped("a sample token", 1);
    }
    let token = text("maa-sdk/samples/sevsnp-token.jwt");
    let seen = peek(&token).unwrap();
    assert_eq!(seen.issuer.as_deref(), Some("https://sharedweu.weu.test.attest.azure.net"));
    assert_eq!(seen.kid.as_deref(), Some("jNolL7YTrRkDIukgm3on/fz5uMi9kjxhfUBTh6Or8No="));
    assert_eq!(seen.algorithm.as_deref(), Some("RS256"));
    let now = UnixTime::from_secs(1_744_085_700);
    let refused = verify_maa(&token, &key_set("shared"), &seen.issuer.unwrap(), now).unwrap_err();
    assert!(refused.is_unknown_key());
}

/// `KEYGATE_FULL=1` tries 200,000.
#[test]
fn mutations_of_recorded_tokens_are_refused_without_a_panic() {
    let cases = recorded();
    if cases.is_empty() {
        return;
    }
    let (mut rng, count) = (Rng::new(7_515), mutations(5_000, 200_000));
    for turn in 0..count {
        let case = &cases[turn % cases.len()];
        let mutated = rng.mutated(case.token.as_bytes());
        // What is no UTF-8 never arrives as a token.
        let token = String::from_utf8_lossy(&mutated);
        let refused = verify_maa(&token, &case.keys, &case.issuer, case.issued);
        assert!(refused.is_err() || token == case.token, "{}: turn {turn}: {token}", case.name);
        let _ = (peek(&token), read_embedded(&token));
    }
    tried("mutations of recorded tokens", count);
}
