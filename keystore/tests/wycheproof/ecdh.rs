//! Foreign points and Diffie-Hellman, as a recipient and as the `epk` of a JWE meet them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::primitives::ecdh;
use keygate_keystore::{Curve, ImportFormat, KeyMaterial, KeystoreError, Recipient};
use openssl::ec::EcKey;
use openssl::pkey::Private;
use serde_json::Value;

use crate::vectors::{Case, Outcome, Tally, expect, run};

#[test]
fn key_06_ecdh_p256_public_jwk() {
    let expected = Tally { accepted: 330, refused: 19, unsupported: 4 };
    run("ecdh_secp256r1_webcrypto_test", expected, |case| {
        let public = case.test["public"].as_object().unwrap();
        let recipient = match Recipient::from_jwk(public) {
            Ok(recipient) => recipient,
            Err(error) => return Outcome::Refused(error),
        };
        let part = |name: &str| URL_SAFE_NO_PAD.decode(public[name].as_str().unwrap()).unwrap();
        if recipient.curve() != Some(Curve::P256) {
            return Outcome::Refused(KeystoreError::CryptoFailed);
        }
        let public = ecdh::public_key(Curve::P256, &part("x"), &part("y")).unwrap();
        let private = case.test["private"]["d"].as_str().unwrap();
        let private = private_key(Curve::P256, &URL_SAFE_NO_PAD.decode(private).unwrap());
        let shared = ecdh::agree(&private, &public);
        expect(case, shared.map(|s| s.to_vec()), &case.bytes("shared"))
    });
}

#[test]
fn key_06_ecdh_p256_points() {
    points("ecdh_secp256r1_ecpoint_test", Curve::P256, 330, 25);
}

#[test]
fn key_06_ecdh_p384_points() {
    points("ecdh_secp384r1_ecpoint_test", Curve::P384, 771, 19);
}

/// A recipient has two coordinates: a compressed point, and any other encoding, has not.
fn points(file: &str, curve: Curve, accepted: usize, refused: usize) {
    let expected = Tally { accepted, refused, unsupported: 0 };
    run(file, expected, |case| {
        let encoded = case.bytes("public");
        let not_a_point = KeystoreError::Malformed("not two coordinates");
        if encoded.first() != Some(&4) {
            return Outcome::Refused(not_a_point);
        }
        let width = curve.field_length().min(encoded.len() - 1);
        let (x, y) = encoded[1..].split_at(width);
        if let Err(error) = Recipient::ec(curve, x, y) {
            return Outcome::Refused(error);
        }
        let public = ecdh::public_key(curve, x, y).unwrap();
        let private = private_key(curve, &scalar(case, curve));
        let shared = ecdh::agree(&private, &public);
        expect(case, shared.map(|s| s.to_vec()), &case.bytes("shared"))
    });
}

/// The private scalar of a case as long as the field: the files write it as a signed number.
fn scalar(case: &Case, curve: Curve) -> Vec<u8> {
    let text = case.text("private");
    let bytes = hex::decode(text).unwrap();
    let zeros = bytes.iter().take_while(|b| **b == 0).count();
    let mut padded = vec![0; curve.field_length() - (bytes.len() - zeros)];
    padded.extend_from_slice(&bytes[zeros..]);
    padded
}

/// Through our import, which makes the public part from the scalar.
fn private_key(curve: Curve, scalar: &[u8]) -> EcKey<Private> {
    let pkcs8 = pkcs8(curve, scalar);
    let material = KeyMaterial::import(ImportFormat::Pkcs8Der(&pkcs8), None).unwrap();
    let key = EcKey::private_key_from_der(&material.sealed_form()).unwrap();
    let jwk = material.public_part();
    assert_eq!(jwk["crv"], Value::from(curve.as_str()));
    key
}

/// PKCS#8 without a public part, put together by hand.
fn pkcs8(curve: Curve, scalar: &[u8]) -> Vec<u8> {
    let element = |tag: u8, content: &[u8]| [&[tag, content.len() as u8], content].concat();
    let oid = match curve {
        Curve::P256 => hex::decode("06082a8648ce3d030107").unwrap(),
        Curve::P384 => hex::decode("06052b81040022").unwrap(),
        Curve::P521 => hex::decode("06052b81040023").unwrap(),
        Curve::P256K => hex::decode("06052b8104000a").unwrap(),
    };
    let name = hex::decode("06072a8648ce3d0201").unwrap();
    let inner = element(0x30, &[vec![2, 1, 1], element(4, scalar)].concat());
    let algorithm = element(0x30, &[name, oid].concat());
    element(0x30, &[vec![2, 1, 0], algorithm, element(4, &inner)].concat())
}
