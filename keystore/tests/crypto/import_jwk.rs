//! JWK at the door.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::{Curve, ImportFormat, KeyMaterial, KeyType, KeystoreError};
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::EcGroup;
use openssl::nid::Nid;
use openssl::rsa::Rsa;
use serde_json::{Map, Value, json};

use crate::vectors::{jwk_of_ec, jwk_of_rsa};

fn import(jwk: &Value) -> Result<KeyMaterial, KeystoreError> {
    KeyMaterial::import(ImportFormat::Jwk(jwk.as_object().unwrap()), None)
}

#[track_caller]
fn refused(jwk: &Value, code: &str, words: &str) {
    let error = import(jwk).err().expect("refused");
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

fn with(jwk: &Value, name: &str, value: impl Into<Value>) -> Value {
    let mut jwk = jwk.clone();
    jwk[name] = value.into();
    jwk
}

fn without(jwk: &Value, name: &str) -> Value {
    let mut members: Map<String, Value> = jwk.as_object().unwrap().clone();
    members.remove(name).unwrap();
    members.into()
}

#[test]
fn key_14_jwk_of_an_ec_key() {
    let jwk = jwk_of_ec(Nid::X9_62_PRIME256V1, Curve::P256);
    let key = import(&jwk).unwrap();
    assert_eq!(key.key_type(), KeyType::EcP256);
    assert_eq!(Value::from(key.public_part()), without(&jwk, "d"));
    let other = jwk_of_ec(Nid::X9_62_PRIME256V1, Curve::P256);
    refused(&with(&jwk, "d", other["d"].clone()), "malformed", "does not belong");
    let swapped = with(&with(&jwk, "x", jwk["y"].clone()), "y", jwk["x"].clone());
    refused(&swapped, "malformed", "does not belong");
    refused(&without(&jwk, "d"), "malformed", "lacks a member");
    refused(&with(&jwk, "crv", "P-384"), "malformed", "length of the field");
    refused(&with(&jwk, "crv", "secp256k1"), "malformed", "does not belong");
    refused(&with(&jwk, "crv", "P-224"), "unsupported", "curve");
    refused(&with(&jwk, "kty", "RSA"), "malformed", "not known");
    refused(&with(&jwk, "kty", "OKP"), "unsupported", "`kty`");
}

#[test]
fn key_14_ec_scalar_zero_or_from_the_order_up_is_malformed() {
    let jwk = jwk_of_ec(Nid::X9_62_PRIME256V1, Curve::P256);
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let mut order = BigNum::new().unwrap();
    group.order(&mut order, &mut BigNumContext::new().unwrap()).unwrap();
    let scalar = |bytes: Vec<u8>| with(&jwk, "d", URL_SAFE_NO_PAD.encode(bytes));
    refused(&scalar(vec![0; 32]), "malformed", "out of range");
    refused(&scalar(order.to_vec()), "malformed", "out of range");
    refused(&scalar(vec![0xff; 32]), "malformed", "out of range");
    order.sub_word(1).unwrap();
    refused(&scalar(order.to_vec()), "malformed", "does not belong");
    refused(&scalar(vec![1; 31]), "malformed", "length of the field");
}

#[test]
fn key_14_jwk_of_an_rsa_key() {
    let jwk = jwk_of_rsa(&Rsa::generate(2048).unwrap());
    assert_eq!(import(&jwk).unwrap().key_type(), KeyType::Rsa2048);
    for name in ["p", "q", "dp", "dq", "qi", "d", "n", "e"] {
        refused(&without(&jwk, name), "malformed", "lacks a member");
    }
    refused(&with(&jwk, "oth", json!([])), "unsupported", "two primes");
    let n = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    let padded = URL_SAFE_NO_PAD.encode([vec![0], n].concat());
    refused(&with(&jwk, "n", padded), "malformed", "leading zero");
    let text = format!("{}=", jwk["n"].as_str().unwrap());
    refused(&with(&jwk, "n", text), "malformed", "base64url");
    refused(&with(&jwk, "n", 5), "malformed", "not text");
}

#[test]
fn key_14_jwk_of_a_symmetric_key() {
    let jwk = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode([7; 32])});
    assert_eq!(import(&jwk).unwrap().key_type(), KeyType::Oct256);
    let zero = URL_SAFE_NO_PAD.encode([0; 32]);
    refused(&with(&jwk, "k", zero), "malformed", "all zero");
    let short = with(&jwk, "k", URL_SAFE_NO_PAD.encode([7; 31]));
    refused(&short, "unsupported", "declare it a secret");
    let members = short.as_object().unwrap();
    let secret = KeyMaterial::import(ImportFormat::Jwk(members), Some(KeyType::Secret));
    assert_eq!(secret.unwrap().key_type(), KeyType::Secret);
    let large = with(&jwk, "k", "A".repeat(90_000));
    refused(&large, "too-large", "longer");
}

#[test]
fn key_14_alg_use_and_key_ops_must_agree_with_the_key() {
    let jwk = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode([7; 32])});
    let good = with(&with(&jwk, "alg", "A256GCM"), "use", "enc");
    assert!(import(&good).is_ok());
    refused(&with(&good, "use", "sig"), "malformed", "contradict");
    refused(&with(&good, "alg", "A128GCM"), "malformed", "contradict");
    refused(&with(&good, "alg", "HS256"), "unsupported", "algorithm");
    refused(&with(&good, "use", "tls"), "unsupported", "`use`");
    assert!(import(&with(&good, "key_ops", json!(["wrapKey", "unwrapKey"]))).is_ok());
    for bad in [json!(["wrapKey", "wrapKey"]), json!(["fly"]), json!("wrapKey")] {
        refused(&with(&good, "key_ops", bad), "malformed", "`key_ops`");
    }
    refused(&with(&good, "x5c", json!([])), "malformed", "not known");
    refused(&json!({"keys": [good]}), "unsupported", "not a set");
    let ec = jwk_of_ec(Nid::SECP384R1, Curve::P384);
    assert!(import(&with(&ec, "alg", "ES384")).is_ok());
    refused(&with(&ec, "alg", "ES256"), "malformed", "contradict");
    refused(&with(&ec, "use", "enc"), "malformed", "contradict");
}
