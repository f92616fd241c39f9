//! Signatures of the raw forms, checked by other code.

use josekit::jwk::Jwk;
use josekit::jws::{self, JwsVerifier};
use keygate_keystore::operations::raw::{RawAlgorithm, sign, verify, verify_by};
use keygate_keystore::{Curve, ImportFormat, KeyMaterial, KeyType, KeystoreError};
use openssl::hash::{MessageDigest, hash};
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use serde_json::Value;

use crate::vectors::jwk_of_ec;

const SIGNING: [(KeyType, &str, usize, usize); 13] = [
    (KeyType::Rsa2048, "PS256", 32, 256),
    (KeyType::Rsa2048, "PS384", 48, 256),
    (KeyType::Rsa2048, "PS512", 64, 256),
    (KeyType::Rsa2048, "RS256", 32, 256),
    (KeyType::Rsa2048, "RS384", 48, 256),
    (KeyType::Rsa2048, "RS512", 64, 256),
    (KeyType::EcP256, "ES256", 32, 64),
    (KeyType::EcP384, "ES384", 48, 96),
    (KeyType::EcP521, "ES512", 64, 132),
    (KeyType::EcP256K, "ES256K", 32, 64),
    (KeyType::Oct128, "HS256", 32, 32),
    (KeyType::Oct192, "HS384", 48, 48),
    (KeyType::Oct256, "HS512", 64, 64),
];

fn code<T>(result: Result<T, KeystoreError>) -> &'static str {
    result.err().expect("refused").code()
}

#[test]
fn what_is_signed_verifies_and_nothing_near_it_does() {
    for (key_type, alg, digest_length, length) in SIGNING {
        let key = KeyMaterial::generate(key_type).unwrap();
        let digest = vec![7; digest_length];
        let signature = sign(&key, alg, &digest).unwrap();
        assert_eq!(signature.len(), length, "{alg}");
        let holds = |digest: &[u8], signature: &[u8]| verify(&key, alg, digest, signature).unwrap();
        assert!(holds(&digest, &signature), "{alg}");
        let mut other = digest.clone();
        other[0] ^= 1;
        assert!(!holds(&other, &signature));
        for place in [0, length / 2, length - 1] {
            let mut changed = signature.clone();
            changed[place] ^= 1;
            assert!(!holds(&digest, &changed), "{alg} {place}");
        }
        for wrong in [&signature[1..], &signature[..length - 1], &[], &vec![0; length], &vec![0xff; length]] {
            assert!(!holds(&digest, wrong), "{alg}");
        }
        assert!(!holds(&digest, &[&signature[..], &[0]].concat()));
        let stranger = KeyMaterial::generate(key_type).unwrap();
        assert!(!verify(&stranger, alg, &digest, &signature).unwrap());
        let by_public = verify_by(key.public(), alg, &digest, &signature);
        if alg.starts_with('H') {
            assert_eq!(code(by_public), "operation-not-allowed");
        } else {
            assert!(by_public.unwrap());
        }
        for length in [0, 20, 31, 33, 48, 64].into_iter().filter(|l| *l != digest_length) {
            assert_eq!(code(sign(&key, alg, &vec![7; length])), "malformed");
            assert_eq!(code(verify(&key, alg, &vec![7; length], &signature)), "malformed");
        }
    }
}

#[test]
fn one_algorithm_is_not_another() {
    let rsa = KeyMaterial::generate(KeyType::Rsa2048).unwrap();
    let pss = sign(&rsa, "PS256", &[7; 32]).unwrap();
    assert!(!verify(&rsa, "RS256", &[7; 32], &pss).unwrap());
    let p256 = KeyMaterial::generate(KeyType::EcP256).unwrap();
    let p256k = KeyMaterial::generate(KeyType::EcP256K).unwrap();
    for (key, alg) in [(&p256, "ES256K"), (&p256k, "ES256"), (&p256, "RS256"), (&rsa, "HS256"), (&rsa, "RSA-OAEP")] {
        assert_eq!(code(sign(key, alg, &[7; 32])), "operation-not-allowed", "{alg}");
        assert_eq!(code(verify(key, alg, &[7; 32], &[7; 64])), "operation-not-allowed");
        assert_eq!(code(verify_by(key.public(), alg, &[7; 32], &[7; 64])), "operation-not-allowed");
    }
    for alg in ["", "none", "RSNULL", "RS1", "es256", "EdDSA", "SECP256K1", "HS1"] {
        assert_eq!(code(sign(&p256, alg, &[7; 32])), "unsupported");
        assert_eq!(code(verify_by(p256.public(), alg, &[7; 32], &[7; 64])), "unsupported");
    }
    // an algorithm of signing encrypts nothing, and every one of them is tried above
    assert_eq!(RawAlgorithm::ALL.into_iter().filter(|a| !a.encrypts()).count(), SIGNING.len());
}

#[test]
fn es256k_verifies_elsewhere() {
    let key = KeyMaterial::generate(KeyType::EcP256K).unwrap();
    let jwk = Jwk::from_map(key.public_part()).unwrap();
    assert_eq!(jwk.curve(), Some("secp256k1"));
    let verifier = jws::ES256K.verifier_from_jwk(&jwk).unwrap();
    let digest = hash(MessageDigest::sha256(), b"message").unwrap();
    let signature = sign(&key, "ES256K", &digest).unwrap();
    verifier.verify(b"message", &signature).unwrap();
    assert!(verifier.verify(b"massage", &signature).is_err());
}

#[test]
fn hmac_of_a_digest_is_that_of_openssl() {
    let key = KeyMaterial::generate(KeyType::Oct256).unwrap();
    let pkey = PKey::hmac(&key.sealed_form()).unwrap();
    for (alg, hash, length) in [
        ("HS256", MessageDigest::sha256(), 32),
        ("HS384", MessageDigest::sha384(), 48),
        ("HS512", MessageDigest::sha512(), 64),
    ] {
        let mut signer = Signer::new(hash, &pkey).unwrap();
        signer.update(&vec![7; length]).unwrap();
        assert_eq!(sign(&key, alg, &vec![7; length]).unwrap(), signer.sign_to_vec().unwrap());
    }
}

/// The new curve comes in and goes out as the others do; what is off it does not.
#[test]
fn key_14_keys_on_secp256k1_are_imported_and_handed_out() {
    let jwk = jwk_of_ec(Nid::SECP256K1, Curve::P256K);
    let members = jwk.as_object().unwrap();
    let key = KeyMaterial::import(ImportFormat::Jwk(members), Some(KeyType::EcP256K)).unwrap();
    let pkcs8 = key.handed_out_form().unwrap();
    let again = KeyMaterial::import(ImportFormat::Pkcs8Der(&pkcs8), None).unwrap();
    assert_eq!(again.public_part(), key.public_part());
    assert_eq!(PKey::private_key_from_pkcs8(&pkcs8).unwrap().bits(), 256);
    let mut other_curve = members.clone();
    other_curve.insert("crv".to_owned(), Value::from("P-256"));
    assert_eq!(code(KeyMaterial::import(ImportFormat::Jwk(&other_curve), None)), "malformed");
    other_curve.insert("crv".to_owned(), Value::from("P-256K"));
    assert_eq!(code(KeyMaterial::import(ImportFormat::Jwk(&other_curve), None)), "unsupported");
    let recipient = keygate_keystore::RecipientPrivate::generate(KeyType::EcP256K);
    assert_eq!(code(recipient), "unsupported");
}
