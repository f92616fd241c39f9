//! Which public keys may be sealed to.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::{Curve, KeyType, KeystoreError, Recipient, RecipientKind, RecipientPrivate};
use openssl::rsa::Rsa;
use serde_json::{Value, json};

fn parse(jwk: &Value) -> Result<Recipient, KeystoreError> {
    Recipient::from_jwk(jwk.as_object().unwrap())
}

#[track_caller]
fn refused(jwk: &Value, code: &str) {
    assert_eq!(parse(jwk).expect_err("refused").code(), code);
}

fn with(jwk: &Value, name: &str, value: impl Into<Value>) -> Value {
    let mut jwk = jwk.clone();
    jwk[name] = value.into();
    jwk
}

fn jwk(key_type: KeyType) -> Value {
    RecipientPrivate::generate(key_type).unwrap().public_jwk().into()
}

/// The example of RFC 7638 section 3.1.
#[test]
fn the_thumbprint_is_the_one_of_the_rfc() {
    let jwk = json!({
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        "e": "AQAB",
        "kid": "2011-04-29"
    });
    let recipient = parse(&jwk).unwrap();
    let thumbprint = URL_SAFE_NO_PAD.encode(recipient.thumbprint());
    assert_eq!(thumbprint, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    assert_eq!(recipient.kind(), RecipientKind::Rsa);
}

#[test]
fn recipients_are_compared_by_value() {
    let jwk = jwk(KeyType::EcP256);
    let one = parse(&jwk).unwrap();
    let same = parse(&with(&with(&jwk, "kid", "x"), "use", "enc")).unwrap();
    assert_eq!(one, same);
    assert_eq!(one.thumbprint(), same.thumbprint());
    let input: Value = serde_json::from_str(&one.thumbprint_input()).unwrap();
    assert_eq!(input, jwk);
}

#[test]
fn key_06_rsa_recipients_of_other_sizes_and_exponents() {
    let key = Rsa::generate(1024).unwrap();
    let small = Recipient::rsa(&key.n().to_vec(), &[1, 0, 1]);
    assert_eq!(small.err().unwrap().code(), "unsupported");
    let n = Rsa::generate(2048).unwrap().n().to_vec();
    let code = |n: &[u8], e: &[u8]| Recipient::rsa(n, e).expect_err("refused").code();
    assert!(Recipient::rsa(&n, &[1, 0, 1]).is_ok());
    assert!(Recipient::rsa(&n, &[0xff; 4]).is_ok());
    assert_eq!(code(&n, &[1, 0, 0, 0, 1]), "unsupported");
    assert_eq!(code(&n, &[3]), "unsupported");
    assert_eq!(code(&n, &[1, 0, 2]), "malformed");
    assert_eq!(code(&n, &[]), "malformed");
    assert_eq!(code(&n, &[0, 1, 0, 1]), "malformed");
    assert_eq!(code(&[&[0], &n[..]].concat(), &[1, 0, 1]), "malformed");
    let mut even = n.clone();
    even[255] &= 0xfe;
    assert_eq!(code(&even, &[1, 0, 1]), "malformed");
    let mut odd_size = n;
    odd_size[0] >>= 1;
    assert_eq!(code(&odd_size, &[1, 0, 1]), "unsupported");
}

#[test]
fn key_06_points_off_the_curve_and_the_identity() {
    let jwk = jwk(KeyType::EcP256);
    assert!(parse(&jwk).is_ok());
    let mut y = URL_SAFE_NO_PAD.decode(jwk["y"].as_str().unwrap()).unwrap();
    y[31] ^= 1;
    refused(&with(&jwk, "y", URL_SAFE_NO_PAD.encode(&y)), "malformed");
    refused(&with(&jwk, "y", URL_SAFE_NO_PAD.encode(&y[1..])), "malformed");
    let zero = URL_SAFE_NO_PAD.encode([0; 32]);
    refused(&with(&with(&jwk, "x", zero.clone()), "y", zero), "malformed");
    refused(&with(&jwk, "crv", "P-384"), "malformed");
    for curve in ["P-521", "P-224", "secp256k1", "X25519"] {
        refused(&with(&jwk, "crv", curve), "unsupported");
    }
    assert!(Recipient::ec(Curve::P521, &[0; 66], &[0; 66]).is_err());
    // coordinates from p upwards are other names of small ones, and refused
    assert!(Recipient::ec(Curve::P256, &[0xff; 32], &[0xff; 32]).is_err());
}

#[test]
fn key_06_a_key_for_signing_or_of_another_kind() {
    let rsa = jwk(KeyType::Rsa2048);
    let ec = jwk(KeyType::EcP384);
    refused(&with(&rsa, "use", "sig"), "unsupported");
    refused(&with(&ec, "use", "sig"), "unsupported");
    refused(&with(&rsa, "alg", "RS256"), "unsupported");
    refused(&with(&rsa, "alg", "RSA-OAEP"), "unsupported");
    refused(&with(&ec, "alg", "ES384"), "unsupported");
    refused(&with(&rsa, "key_ops", json!(["verify"])), "unsupported");
    refused(&with(&rsa, "key_ops", json!([])), "unsupported");
    refused(&with(&rsa, "key_ops", "encrypt"), "malformed");
    assert!(parse(&with(&rsa, "key_ops", json!(["wrapKey"]))).is_ok());
    assert!(parse(&with(&rsa, "alg", "RSA-OAEP-256")).is_ok());
    assert!(parse(&with(&ec, "alg", "ECDH-ES+A256KW")).is_ok());
    refused(&with(&ec, "kty", "OKP"), "unsupported");
    refused(&with(&ec, "kty", "oct"), "unsupported");
    refused(&json!({}), "malformed");
}

#[test]
fn key_06_private_members_certificates_and_unknown_members_are_malformed() {
    let rsa = jwk(KeyType::Rsa2048);
    for name in ["d", "p", "k", "x5c", "x5u", "jku", "x5t", "crv", "note"] {
        refused(&with(&rsa, name, "AQAB"), "malformed");
    }
    refused(&with(&rsa, "e", "AQAB="), "malformed");
    refused(&with(&rsa, "e", "AAEAAQ"), "malformed");
    refused(&with(&rsa, "e", 65_537), "malformed");
    refused(&with(&rsa, "n", "A".repeat(701)), "too-large");
}
