//! Wycheproof's JOSE and raw signature files through the functions that tokens take. C2SP/wycheproof `testvectors_v1`.
//!
//! Every case is counted: accepted, refused, or valid and refused all the same because we do not support what it uses. The last
//! sort is pinned, case by case or by its reason.

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_verifier::tokens::{JwsAlgorithm, KeySet, TokenFault, verify_jws};
use serde_json::{Value, json};
use support::{skipped, unhex, vector, vectors_root};

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    accepted: usize,
    refused: usize,
    unsupported: Vec<u64>,
}

fn groups(file: &str) -> Vec<Value> {
    let read: Value = serde_json::from_slice(&vector(&format!("wycheproof/{file}.json"))).expect("json");
    read["testGroups"].as_array().expect("groups").clone()
}

fn tests(group: &Value) -> &[Value] {
    group["tests"].as_array().expect("tests")
}

/// Holds one outcome against the file's word for it.
fn count(counts: &mut Counts, file: &str, test: &Value, accepted: bool) {
    let id = test["tcId"].as_u64().expect("an id");
    match (test["result"].as_str().expect("a result"), accepted) {
        ("valid", true) => counts.accepted += 1,
        ("valid", false) => counts.unsupported.push(id),
        ("invalid" | "acceptable", false) => counts.refused += 1,
        (result, _) => panic!("{file} {id} `{}`: {result}, and accepted", test["comment"]),
    }
}

fn say(file: &str, counts: &Counts) {
    println!(
        "{file}: {} accepted, {} refused, {} valid but not supported",
        counts.accepted,
        counts.refused,
        counts.unsupported.len()
    );
}

/// The file's JWSs under the file's keys, any algorithm of ours allowed.
fn jose(file: &str) -> Counts {
    let mut counts = Counts::default();
    for group in groups(file) {
        let key = group.get("public").unwrap_or(&group["private"]);
        let set = if key.get("keys").is_some() { key.clone() } else { json!({ "keys": [key] }) };
        let keys = KeySet::parse(set.to_string().as_bytes());
        for test in tests(&group) {
            let Some(jws) = test.get("jws").or_else(|| test.get("jwe")) else { panic!("{file}: no token") };
            let token = jws.as_str().map_or_else(|| jws.to_string(), str::to_owned);
            let outcome = keys.as_ref().ok().map(|keys| verify_jws(&token, keys, &JwsAlgorithm::ALL));
            if let Some(Ok(jws)) = &outcome {
                let sent = token.split('.').nth(1).unwrap();
                assert_eq!(URL_SAFE_NO_PAD.encode(&jws.payload), sent);
            }
            count(&mut counts, file, test, outcome.is_some_and(|outcome| outcome.is_ok()));
        }
    }
    say(file, &counts);
    counts
}

#[test]
fn jwt_01_03_06_16_21_22_33_json_web_signature() {
    if vectors_root().is_none() {
        return skipped("json_web_signature_test", 401);
    }
    let counts = jose("json_web_signature_test");
    // HS256 (1, 348, 352, and the groups that look at base64 under a symmetric key); a key kept for another algorithm (346, 350);
    // an algorithm name that does not exist (`ES521`: 347, 351).
    let symmetric = [1, 348, 352, 357, 358, 359, 372, 373, 376, 377];
    let mut pinned: Vec<u64> = symmetric.into_iter().chain([346, 347, 350, 351]).collect();
    pinned.sort_unstable();
    assert_eq!(counts.unsupported, pinned);
    assert_eq!((counts.accepted, counts.refused), (32, 355));
}

#[test]
fn jwt_22_42_disc_11_json_web_key() {
    if vectors_root().is_none() {
        return skipped("json_web_key_test", 26);
    }
    let counts = jose("json_web_key_test");
    assert_eq!((counts.accepted, counts.refused), (1, 21));
    // Symmetric keys, all four.
    assert_eq!(counts.unsupported, [2, 13, 14, 15]);
}

#[test]
fn jwt_03_06_36_39_42_json_web_crypto() {
    if vectors_root().is_none() {
        return skipped("json_web_crypto_test", 83);
    }
    let counts = jose("json_web_crypto_test");
    assert_eq!((counts.accepted, counts.refused), (2, 77));
    // A MAC, a set of MAC keys, and the two JWE.
    assert_eq!(counts.unsupported, [1, 48, 50, 67]);
}

/// Raw signatures under keys that a key set reads from their numbers.
fn raw(file: &str, algorithm: JwsAlgorithm, numbers: impl Fn(&Value) -> Value) -> Counts {
    let mut counts = Counts::default();
    for group in groups(file) {
        let keys = KeySet::parse(json!({ "keys": [numbers(&group["publicKey"])] }).to_string().as_bytes()).unwrap();
        for test in tests(&group) {
            let hex = |name: &str| unhex(test[name].as_str().expect("hex"));
            let outcome = keys.check(None, algorithm, &hex("msg"), &hex("sig"));
            assert!(matches!(outcome, Ok(()) | Err(TokenFault::Signature)), "{file}: {outcome:?}");
            count(&mut counts, file, test, outcome.is_ok());
        }
    }
    say(file, &counts);
    counts
}

fn ec(key: &Value) -> Value {
    let point = unhex(key["uncompressed"].as_str().expect("hex"));
    let (x, y) = point[1..].split_at(point.len() / 2);
    let curve = match x.len() {
        32 => "P-256",
        48 => "P-384",
        _ => "P-521",
    };
    json!({ "kty": "EC", "crv": curve, "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y) })
}

fn rsa(key: &Value) -> Value {
    let number = |name: &str| {
        let hex = key[name].as_str().expect("hex");
        URL_SAFE_NO_PAD.encode(unhex(&if hex.len().is_multiple_of(2) { hex.to_owned() } else { format!("0{hex}") }))
    };
    json!({ "kty": "RSA", "n": number("modulus"), "e": number("publicExponent") })
}

#[test]
fn jwt_18_19_20_ecdsa_of_fixed_length() {
    use JwsAlgorithm::{ES256, ES384, ES512};
    for (file, algorithm, valid, invalid) in [
        ("ecdsa_secp256r1_sha256_p1363_test", ES256, 173, 89),
        ("ecdsa_secp384r1_sha384_p1363_test", ES384, 193, 87),
        ("ecdsa_secp521r1_sha512_p1363_test", ES512, 231, 87),
    ] {
        if vectors_root().is_none() {
            skipped(file, valid + invalid);
            continue;
        }
        let expected = Counts { accepted: valid, refused: invalid, unsupported: Vec::new() };
        assert_eq!(raw(file, algorithm, ec), expected, "{file}");
    }
}

#[test]
fn jwt_18_19_22_ed25519() {
    let file = "ed25519_test";
    if vectors_root().is_none() {
        return skipped(file, 151);
    }
    let okp = |key: &Value| {
        let x = URL_SAFE_NO_PAD.encode(unhex(key["pk"].as_str().expect("hex")));
        json!({ "kty": "OKP", "crv": "Ed25519", "x": x })
    };
    let expected = Counts { accepted: 88, refused: 63, unsupported: Vec::new() };
    assert_eq!(raw(file, JwsAlgorithm::EdDSA, okp), expected);
}

/// The one acceptable case of each file leaves the NULL out: refused.
#[test]
fn jwt_24_rsassa_pkcs1_v1_5() {
    use JwsAlgorithm::{RS256, RS384, RS512};
    for (file, algorithm, valid, others) in [
        ("rsa_signature_2048_sha256_test", RS256, 9, 250),
        ("rsa_signature_2048_sha384_test", RS384, 7, 251),
        ("rsa_signature_3072_sha256_test", RS256, 8, 251),
        ("rsa_signature_3072_sha384_test", RS384, 7, 252),
        ("rsa_signature_4096_sha256_test", RS256, 7, 251),
        ("rsa_signature_4096_sha384_test", RS384, 7, 252),
        ("rsa_signature_4096_sha512_test", RS512, 7, 252),
    ] {
        if vectors_root().is_none() {
            skipped(file, valid + others);
            continue;
        }
        let expected = Counts { accepted: valid, refused: others, unsupported: Vec::new() };
        assert_eq!(raw(file, algorithm, rsa), expected, "{file}");
    }
}

#[test]
fn jwt_23_rsassa_pss() {
    use JwsAlgorithm::{PS256, PS384, PS512};
    for (file, algorithm, valid, invalid) in [
        ("rsa_pss_2048_sha256_mgf1_32_test", PS256, 63, 45),
        ("rsa_pss_2048_sha384_mgf1_48_test", PS384, 95, 46),
        ("rsa_pss_3072_sha256_mgf1_32_test", PS256, 63, 45),
        ("rsa_pss_4096_sha256_mgf1_32_test", PS256, 63, 45),
        ("rsa_pss_4096_sha384_mgf1_48_test", PS384, 95, 46),
        ("rsa_pss_4096_sha512_mgf1_64_test", PS512, 132, 47),
    ] {
        if vectors_root().is_none() {
            skipped(file, valid + invalid);
            continue;
        }
        let expected = Counts { accepted: valid, refused: invalid, unsupported: Vec::new() };
        assert_eq!(raw(file, algorithm, rsa), expected, "{file}");
    }
}

/// Another salt, another hash: what is valid under them is never valid under ours. The file of salt 0 has one case of salt 32,
/// wrong for the file and right for PS256.
#[test]
fn jwt_23_rsassa_pss_of_another_salt_or_hash_is_never_accepted() {
    use JwsAlgorithm::{PS256, PS384, PS512};
    for (file, cases) in [("rsa_pss_2048_sha256_mgf1_0_test", 103), ("rsa_pss_2048_sha1_mgf1_20_test", 88)] {
        if vectors_root().is_none() {
            skipped(file, cases);
            continue;
        }
        for algorithm in [PS256, PS384, PS512] {
            let (mut accepted, mut refused) = (Vec::new(), 0);
            for group in groups(file) {
                let keys = KeySet::parse(json!({ "keys": [rsa(&group["publicKey"])] }).to_string().as_bytes()).unwrap();
                for test in tests(&group) {
                    let hex = |name: &str| unhex(test[name].as_str().expect("hex"));
                    match keys.check(None, algorithm, &hex("msg"), &hex("sig")) {
                        Ok(()) => accepted.push((test["result"].clone(), test["comment"].clone())),
                        Err(_) => refused += 1,
                    }
                }
            }
            let one = file.contains("mgf1_0") && algorithm == PS256;
            let expected = if one { vec![(json!("invalid"), json!("s_len changed to 32"))] } else { Vec::new() };
            assert_eq!(accepted, expected, "{file} as {algorithm}");
            assert_eq!(refused, cases - usize::from(one));
        }
    }
}
