//! Signatures, verified by OpenSSL and by the general JOSE crate.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jwk::Jwk;
use josekit::jws::{self, JwsVerifier};
use keygate_keystore::operations::sign;
use keygate_keystore::primitives::ecdsa;
use keygate_keystore::{Curve, KeyMaterial, KeyType, KeystoreError};
use openssl::hash::{MessageDigest, hash};
use serde_json::Value;

fn digest_of(alg: &str) -> MessageDigest {
    match &alg[2..] {
        "256" => MessageDigest::sha256(),
        "384" => MessageDigest::sha384(),
        _ => MessageDigest::sha512(),
    }
}

fn code<T>(result: Result<T, KeystoreError>) -> &'static str {
    result.err().expect("refused").code()
}

/// The whole of a JWS by this key verifies in other code, and one that differs in a bit does not.
fn verifies(key: &KeyMaterial, alg: &str) {
    let header = format!(r#"{{"alg":"{alg}"}}"#);
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode("{}"));
    let digest = hash(digest_of(alg), signed.as_bytes()).unwrap();
    let signature = sign(key, alg, &digest).unwrap();
    let jwk = Jwk::from_map(key.public_part()).unwrap();
    let verifier: Box<dyn JwsVerifier> = match alg {
        "RS256" => Box::new(jws::RS256.verifier_from_jwk(&jwk).unwrap()),
        "RS384" => Box::new(jws::RS384.verifier_from_jwk(&jwk).unwrap()),
        "RS512" => Box::new(jws::RS512.verifier_from_jwk(&jwk).unwrap()),
        "PS256" => Box::new(jws::PS256.verifier_from_jwk(&jwk).unwrap()),
        "PS384" => Box::new(jws::PS384.verifier_from_jwk(&jwk).unwrap()),
        "PS512" => Box::new(jws::PS512.verifier_from_jwk(&jwk).unwrap()),
        "ES256" => Box::new(jws::ES256.verifier_from_jwk(&jwk).unwrap()),
        "ES384" => Box::new(jws::ES384.verifier_from_jwk(&jwk).unwrap()),
        _ => Box::new(jws::ES512.verifier_from_jwk(&jwk).unwrap()),
    };
    verifier.verify(signed.as_bytes(), &signature).unwrap();
    let mut changed = signature;
    *changed.last_mut().unwrap() ^= 1;
    assert!(verifier.verify(signed.as_bytes(), &changed).is_err(), "{alg}");
}

#[test]
fn rsa_signatures_verify_elsewhere() {
    let key = KeyMaterial::generate(KeyType::Rsa2048).unwrap();
    for alg in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
        verifies(&key, alg);
    }
}

#[test]
fn ec_signatures_verify_elsewhere() {
    for (key_type, alg) in [(KeyType::EcP256, "ES256"), (KeyType::EcP384, "ES384"), (KeyType::EcP521, "ES512")] {
        verifies(&KeyMaterial::generate(key_type).unwrap(), alg);
    }
}

#[test]
fn a_digest_has_the_length_of_the_hash() {
    let rsa = KeyMaterial::generate(KeyType::Rsa2048).unwrap();
    let ec = KeyMaterial::generate(KeyType::EcP256).unwrap();
    for length in [0, 20, 31, 33, 48, 64] {
        for (key, alg) in [(&rsa, "RS256"), (&rsa, "PS256"), (&ec, "ES256")] {
            assert_eq!(code(sign(key, alg, &vec![7; length])), "malformed");
        }
    }
    assert!(sign(&ec, "ES256", &[7; 32]).is_ok());
}

#[test]
fn an_algorithm_of_signing_fits_one_curve() {
    let p256 = KeyMaterial::generate(KeyType::EcP256).unwrap();
    let oct = KeyMaterial::generate(KeyType::Oct256).unwrap();
    assert_eq!(code(sign(&p256, "ES384", &[7; 48])), "operation-not-allowed");
    assert_eq!(code(sign(&p256, "RS256", &[7; 32])), "operation-not-allowed");
    assert_eq!(code(sign(&oct, "A256GCM", &[7; 32])), "operation-not-allowed");
    for alg in ["HS256", "none", "ES256K", "EdDSA", "RS1", ""] {
        assert_eq!(code(sign(&p256, alg, &[7; 32])), "unsupported");
    }
}

#[test]
fn the_fixed_form_and_der_turn_into_one_another() {
    let fixed = [[0; 31].as_slice(), &[5], &[0x80], &[0; 30], &[9]].concat();
    let der = ecdsa::to_der(Curve::P256, &fixed).unwrap();
    assert_eq!(der[..5], [0x30, 38, 2, 1, 5]);
    assert_eq!(ecdsa::from_der(Curve::P256, &der).unwrap(), fixed);
    assert_eq!(code(ecdsa::from_der(Curve::P256, &[0x30, 0])), "crypto-failed");
    for bad in [vec![0; 64], [vec![0; 32], vec![1; 32]].concat(), vec![1; 63], vec![1; 96]] {
        assert_eq!(code(ecdsa::to_der(Curve::P256, &bad)), "crypto-failed");
    }
}

#[test]
fn public_parts_are_public() {
    for key_type in [KeyType::Oct256, KeyType::Rsa2048, KeyType::EcP256] {
        let public = KeyMaterial::generate(key_type).unwrap().public_part();
        for name in ["k", "d", "p", "q", "dp", "dq", "qi", "kid"] {
            assert_eq!(public.get(name), None::<&Value>);
        }
    }
}
