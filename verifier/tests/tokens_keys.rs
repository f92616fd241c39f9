//! Key sets: what becomes a key, what is left out, what makes a set unfit. Rows DISC-08 to DISC-11, JWT-22 and JWT-42.

mod tokens;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keygate_verifier::tokens::{KeySet, TokenFault};
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::x509::{X509, X509NameBuilder};
use serde_json::{Value, json};
use tokens::{OTHER_P256, OTHER_RSA, P256, P384, P521, RSA, Signer, b64, check, claims, set};

fn parse(set: &Value) -> Result<KeySet, &'static str> {
    KeySet::parse(set.to_string().as_bytes()).map_err(|error| error.code())
}

/// A certificate over a signer's key, in the base64 of `x5c`.
fn certificate(signer: &Signer) -> String {
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "https://issuer.example").unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_not_before(&Asn1Time::from_unix(1_700_000_000).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::from_unix(1_800_000_000).unwrap()).unwrap();
    builder.set_pubkey(&signer.key).unwrap();
    builder.sign(&signer.key, MessageDigest::sha256()).unwrap();
    STANDARD.encode(builder.build().to_der().unwrap())
}

#[test]
fn a_key_is_its_numbers_or_its_certificate() {
    for signer in [&RSA, &P256] {
        let kty = if signer.alg == "RS256" { "RSA" } else { "EC" };
        for entry in [
            signer.jwk(),
            json!({ "kty": kty, "kid": signer.kid, "x5c": [certificate(signer)] }),
            signer.jwk_with(
                json!({ "x5c": [certificate(signer)], "x5t": "x", "x5u": "https://evil.example", "ext": true }),
            ),
            signer.jwk_with(json!({ "key_ops": ["verify"], "use": "sig", "alg": signer.alg })),
        ] {
            assert!(check(&signer.token(&claims()), &set(std::slice::from_ref(&entry))).is_ok(), "{entry}");
        }
    }
}

#[test]
fn disc_11_entries_for_something_else_are_left_out() {
    let other_type = |kty: &str| json!({ "kty": kty, "kid": RSA.kid, "x5c": [certificate(&RSA)] });
    let left_out = [
        RSA.jwk_with(json!({ "d": "AQAB" })),
        RSA.jwk_with(json!({ "p": "AQAB" })),
        RSA.jwk_with(json!({ "k": "AQAB" })),
        RSA.jwk_with(json!({ "use": "enc" })),
        RSA.jwk_with(json!({ "use": ["sig"] })),
        RSA.jwk_with(json!({ "key_ops": ["encrypt"] })),
        RSA.jwk_with(json!({ "key_ops": [] })),
        RSA.jwk_with(json!({ "key_ops": "verify" })),
        RSA.jwk_with(json!({ "kty": "EC" })),
        RSA.jwk_with(json!({ "kty": "OKP" })),
        RSA.jwk_with(json!({ "kty": "rsa" })),
        RSA.jwk_with(json!({ "kty": null })),
        RSA.jwk_with(json!({ "alg": "HS256" })),
        RSA.jwk_with(json!({ "alg": "ES256" })),
        RSA.jwk_with(json!({ "alg": "RSA-OAEP" })),
        RSA.jwk_with(json!({ "alg": "none" })),
        RSA.jwk_with(json!({ "alg": 1 })),
        RSA.jwk_with(json!({ "kid": 1 })),
        RSA.jwk_with(json!({ "kid": "k".repeat(257) })),
        RSA.jwk_with(json!({ "kid": "k\0" })),
        RSA.jwk_with(json!({ "n": "AQ==" })),
        RSA.jwk_with(json!({ "e": 65_537 })),
        RSA.jwk_with(json!({ "x5c": [certificate(&OTHER_RSA)] })),
        P256.jwk_with(json!({ "x5c": [certificate(&OTHER_P256)] })),
        P256.jwk_with(json!({ "crv": "P-384" })),
        P256.jwk_with(json!({ "crv": "secp256k1" })),
        P256.jwk_with(json!({ "alg": "ES384" })),
        P256.jwk_with(json!({ "x": OTHER_P256.jwk()["x"] })),
        P256.jwk_with(json!({ "x": b64([0; 32]), "y": b64([0; 32]) })),
        P256.jwk_with(json!({ "y": b64([1; 31]) })),
        P384.jwk_with(json!({ "crv": "P-256" })),
        P521.jwk_with(json!({ "crv": "P-384" })),
        other_type("EC"),
        other_type("OKP"),
        json!({ "kty": "RSA", "kid": "x", "x5c": [] }),
        json!({ "kty": "RSA", "kid": "x", "x5c": ["MAA="] }),
        json!({ "kty": "RSA", "kid": "x", "x5c": certificate(&RSA) }),
        json!({}),
    ];
    for entry in &left_out {
        assert_eq!(parse(&json!({ "keys": [entry] })).unwrap().len(), 0, "{entry}");
    }
    // They do not disturb a key beside them.
    let all: Vec<Value> = left_out.into_iter().chain([RSA.jwk()]).collect();
    assert!(check(&RSA.token(&claims()), &set(&all)).is_ok());
    assert_eq!(set(&all).kids().collect::<Vec<_>>(), ["rsa-1"]);
}

#[test]
fn disc_11_one_kid_for_two_keys_makes_a_set_unfit() {
    let same = OTHER_P256.jwk_with(json!({ "kid": P256.kid }));
    assert_eq!(parse(&json!({ "keys": [P256.jwk(), same] })).unwrap_err(), "malformed");
    assert_eq!(
        parse(&json!({ "keys": [P256.jwk(), RSA.jwk_with(json!({ "kid": P256.kid }))] })).unwrap_err(),
        "malformed"
    );
    // The same key twice is one key, and two keys without a name are two.
    assert!(check(&P256.token(&claims()), &set(&[P256.jwk(), P256.jwk()])).is_ok());
    let nameless = [P256.jwk_with(json!({ "kid": null })), OTHER_P256.jwk_with(json!({ "kid": null }))];
    assert_eq!(set(&nameless).len(), 2);
}

#[test]
fn jwt_42_a_symmetric_key_makes_a_set_unfit() {
    let oct = json!({ "kty": "oct", "kid": "mac", "k": b64([7; 32]), "alg": "HS256" });
    assert_eq!(parse(&json!({ "keys": [P256.jwk(), oct] })).unwrap_err(), "unsupported");
    assert_eq!(parse(&json!({ "keys": [oct] })).unwrap_err(), "unsupported");
    assert_eq!(parse(&json!({ "keys": [P256.jwk()] })).unwrap().len(), 1);
}

#[test]
fn disc_08_10_sets_are_bounded_and_may_be_empty() {
    let empty = parse(&json!({ "keys": [] })).unwrap();
    assert!(empty.is_empty());
    let nameless = P256.sign(&P256.header_with(json!({ "kid": null })), &claims());
    for token in [P256.token(&claims()), nameless] {
        assert!(check(&token, &empty).unwrap_err().is_unknown_key());
    }
    let numbered = |n: usize| P256.jwk_with(json!({ "kid": format!("k{n}") }));
    let of = |count: usize| parse(&json!({ "keys": (0..count).map(numbered).collect::<Vec<_>>() }));
    assert_eq!(of(256).unwrap().len(), 256);
    assert_eq!(of(257).unwrap_err(), "too-large");
    let padded = |length: usize| format!("{}{}", json!({ "keys": [P256.jwk()] }), " ".repeat(length));
    assert!(KeySet::parse(padded(1_000).as_bytes()).is_ok());
    assert_eq!(KeySet::parse(padded(512 * 1024).as_bytes()).unwrap_err().code(), "too-large");
    for bad in
        ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[1]}"#, r#"{"keys":[],"keys":[]}"#, r#"{"keys":[]}{}"#, "null"]
    {
        assert_eq!(KeySet::parse(bad.as_bytes()).unwrap_err().code(), "malformed", "{bad}");
    }
    let deep = format!("{{\"keys\":[],\"x\":{}{}}}", "[".repeat(40), "]".repeat(40));
    assert_eq!(KeySet::parse(deep.as_bytes()).unwrap_err().code(), "too-large");
}

#[test]
fn disc_10_a_set_knows_what_it_shares_with_another() {
    let (one, two) = (set(&[P256.jwk(), RSA.jwk()]), set(&[RSA.jwk_with(json!({ "kid": "renamed" })), P384.jwk()]));
    assert!(one.overlaps(&two) && two.overlaps(&one));
    assert!(!one.overlaps(&set(&[P384.jwk()])) && !one.overlaps(&KeySet::default()));
    assert!(one.has("p256-1") && !one.has("p256-2") && !one.has("P256-1"));
}

#[test]
fn jwt_22_weak_rsa_keys_are_left_out() {
    let number = |bytes: &[u8]| json!({ "kty": "RSA", "kid": "weak", "n": b64(bytes), "e": "AQAB" });
    for bits in [512, 1_024, 2_040] {
        assert!(set(&[Signer::rsa("weak", bits).jwk()]).is_empty(), "{bits}");
    }
    let n = RSA.key.rsa().unwrap().n().to_vec();
    assert_eq!(set(&[number(&n)]).len(), 1);
    assert_eq!(set(&[number(&[&[0], n.as_slice()].concat())]).len(), 1, "a zero in front changes nothing");
    let mut even = n.clone();
    *even.last_mut().unwrap() &= 0xfe;
    assert!(set(&[number(&even)]).is_empty());
    assert!(set(&[number(&[n.as_slice(), &n, &n].concat())]).is_empty(), "6,144 bits");
    for e in ["AQ", "AA", "Ag", "AQAA", "", &b64([0xff; 9])] {
        assert!(set(&[RSA.jwk_with(json!({ "e": e }))]).is_empty(), "{e}");
    }
    // A certificate over a small key is no way around.
    let small = Signer::rsa("weak", 1_024);
    assert!(set(&[json!({ "kty": "RSA", "kid": "weak", "x5c": [certificate(&small)] })]).is_empty());
    assert!(check(&small.token(&claims()), &set(&[small.jwk(), RSA.jwk()])).unwrap_err().is_unknown_key());
}

#[test]
fn a_key_set_shows_names_and_digests() {
    let keys = set(&[P256.jwk()]);
    let shown = format!("{keys:?}");
    assert!(shown.contains("p256-1") && shown.contains("p-256:"), "{shown}");
    assert_eq!(
        keys.check(Some("p256-1"), keygate_verifier::tokens::JwsAlgorithm::RS256, b"", b""),
        Err(TokenFault::WrongKey)
    );
}
