//! ECDSA in the fixed form and in DER, through the converter and the check that follows a signature.

use keygate_keystore::Curve;
use keygate_keystore::primitives::{ecdh, ecdsa};
use openssl::hash::{MessageDigest, hash};

use crate::vectors::{Case, Outcome, Tally, run};

#[test]
fn es256_fixed_form() {
    fixed("ecdsa_secp256r1_sha256_p1363_test", Curve::P256, 173, 89);
}

#[test]
fn es384_fixed_form() {
    fixed("ecdsa_secp384r1_sha384_p1363_test", Curve::P384, 193, 87);
}

#[test]
fn es512_fixed_form() {
    fixed("ecdsa_secp521r1_sha512_p1363_test", Curve::P521, 231, 87);
}

#[test]
fn es256_der() {
    der("ecdsa_secp256r1_sha256_test", Curve::P256, 174, 310);
}

#[test]
fn es384_der() {
    der("ecdsa_secp384r1_sha384_test", Curve::P384, 194, 310);
}

fn fixed(file: &str, curve: Curve, accepted: usize, refused: usize) {
    let expected = Tally { accepted, refused, unsupported: 0 };
    run(file, expected, |case| {
        let signature = case.bytes("sig");
        if case.text("result") == "valid" {
            let der = ecdsa::to_der(curve, &signature).unwrap();
            assert_eq!(ecdsa::from_der(curve, &der).unwrap(), signature);
        }
        verify(case, curve, &signature)
    });
}

fn der(file: &str, curve: Curve, accepted: usize, refused: usize) {
    let expected = Tally { accepted, refused, unsupported: 0 };
    run(file, expected, |case| {
        let der = case.bytes("sig");
        match ecdsa::from_der(curve, &der) {
            Err(error) => Outcome::Refused(error),
            Ok(signature) => {
                assert_eq!(ecdsa::to_der(curve, &signature).unwrap(), der);
                verify(case, curve, &signature)
            }
        }
    });
}

fn verify(case: &Case, curve: Curve, signature: &[u8]) -> Outcome {
    let point = case.group["publicKey"]["uncompressed"].as_str().unwrap();
    let point = hex::decode(point).unwrap();
    let (x, y) = point[1..].split_at(curve.field_length());
    let key = ecdh::public_key(curve, x, y).unwrap();
    let algorithm = match curve {
        Curve::P256 | Curve::P256K => MessageDigest::sha256(),
        Curve::P384 => MessageDigest::sha384(),
        Curve::P521 => MessageDigest::sha512(),
    };
    let digest = hash(algorithm, &case.bytes("msg")).unwrap();
    match ecdsa::verify(&key, curve, &digest, signature) {
        Ok(()) => Outcome::Accepted,
        Err(error) => Outcome::Refused(error),
    }
}
