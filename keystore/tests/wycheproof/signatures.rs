//! Signatures of the raw forms: made, and checked by the public part alone.

use keygate_keystore::material::PublicPart;
use keygate_keystore::operations::raw::{sign, verify, verify_by};
use keygate_keystore::primitives::hash::Hash;
use keygate_keystore::primitives::hmac;
use keygate_keystore::{Curve, ImportFormat, KeyMaterial, KeyType, KeystoreError};
use openssl::hash::{MessageDigest, hash};

use crate::vectors::{Case, Outcome, Tally, run};

/// The digest of the message, and the digits that the name of the algorithm ends with; none where no name
/// of ours has the hash.
fn digest(case: &Case) -> Option<(&'static str, Vec<u8>)> {
    let (bits, algorithm) = match case.group["sha"].as_str().unwrap() {
        "SHA-256" => ("256", MessageDigest::sha256()),
        "SHA-384" => ("384", MessageDigest::sha384()),
        "SHA-512" => ("512", MessageDigest::sha512()),
        _ => return None,
    };
    Some((bits, hash(algorithm, &case.bytes("msg")).unwrap().to_vec()))
}

fn unsupported() -> Outcome {
    Outcome::Refused(KeystoreError::Unsupported("no algorithm of ours"))
}

fn judged(holds: Result<bool, KeystoreError>) -> Outcome {
    match holds {
        Ok(true) => Outcome::Accepted,
        Ok(false) => Outcome::Refused(KeystoreError::CryptoFailed),
        Err(error) => Outcome::Refused(error),
    }
}

fn rsa_public(case: &Case) -> PublicPart {
    let number = |name: &str| {
        let bytes = hex::decode(case.group["publicKey"][name].as_str().unwrap()).unwrap();
        bytes.into_iter().skip_while(|b| *b == 0).collect::<Vec<u8>>()
    };
    PublicPart::Rsa { n: number("modulus"), e: number("publicExponent") }
}

fn rsa(file: &str, prefix: &str, accepted: usize, refused: usize) {
    run(file, Tally { accepted, refused, unsupported: 0 }, |case| {
        let (bits, digest) = digest(case).unwrap();
        let alg = format!("{prefix}{bits}");
        judged(verify_by(&rsa_public(case), &alg, &digest, &case.bytes("sig")))
    });
}

#[test]
fn rsa_pkcs1_signatures() {
    rsa("rsa_signature_2048_sha256_test", "RS", 9, 250);
    rsa("rsa_signature_2048_sha384_test", "RS", 7, 251);
    rsa("rsa_signature_3072_sha256_test", "RS", 8, 251);
    rsa("rsa_signature_3072_sha384_test", "RS", 7, 252);
    rsa("rsa_signature_4096_sha256_test", "RS", 7, 251);
    rsa("rsa_signature_4096_sha384_test", "RS", 7, 252);
    rsa("rsa_signature_4096_sha512_test", "RS", 7, 252);
}

#[test]
fn rsa_pss_signatures() {
    rsa("rsa_pss_2048_sha256_mgf1_32_test", "PS", 63, 45);
    rsa("rsa_pss_2048_sha384_mgf1_48_test", "PS", 95, 46);
    rsa("rsa_pss_3072_sha256_mgf1_32_test", "PS", 63, 45);
    rsa("rsa_pss_4096_sha256_mgf1_32_test", "PS", 63, 45);
    rsa("rsa_pss_4096_sha384_mgf1_48_test", "PS", 95, 46);
    rsa("rsa_pss_4096_sha512_mgf1_64_test", "PS", 132, 47);
}

/// A salt of another length than the hash, and SHA-1, are under no name; the names there are do not take them.
#[test]
fn rsa_pss_with_other_parameters_is_unsupported() {
    for (file, count) in [("rsa_pss_2048_sha256_mgf1_0_test", 103), ("rsa_pss_2048_sha1_mgf1_20_test", 88)] {
        run(file, Tally { accepted: 0, refused: 0, unsupported: count }, |case| {
            let digest = hash(MessageDigest::sha256(), &case.bytes("msg")).unwrap();
            let holds = verify_by(&rsa_public(case), "PS256", &digest, &case.bytes("sig"));
            // some that are wrong there are right here: their salt has the length of the hash
            let right_here = case.group["sha"] == "SHA-256" && case.text("comment") == "s_len changed to 32";
            assert_eq!(holds.unwrap(), right_here, "{}", case.id());
            unsupported()
        });
    }
}

/// RSASSA-PKCS1-v1_5 has no chance in it: what we make is what the file has.
fn made(file: &str, accepted: usize, refused: usize, unsupported_: usize) {
    run(file, Tally { accepted, refused, unsupported: unsupported_ }, |case| {
        let der = hex::decode(case.group["privateKeyPkcs8"].as_str().unwrap()).unwrap();
        let key = match KeyMaterial::import(ImportFormat::Pkcs8Der(&der), None) {
            Ok(key) => key,
            Err(error) => return Outcome::Refused(error),
        };
        let Some((bits, digest)) = digest(case) else { return unsupported() };
        let alg = format!("RS{bits}");
        let signature = sign(&key, &alg, &digest).unwrap();
        assert_eq!(signature, case.bytes("sig"), "{}", case.id());
        judged(verify(&key, &alg, &digest, &signature))
    });
}

#[test]
fn rsa_pkcs1_signatures_are_made() {
    made("rsa_pkcs1_2048_sig_gen_test", 24, 0, 19);
    made("rsa_pkcs1_3072_sig_gen_test", 24, 0, 2);
    made("rsa_pkcs1_4096_sig_gen_test", 24, 0, 0);
}

fn ec(file: &str, curve: Curve, alg: &str, accepted: usize, refused: usize) {
    run(file, Tally { accepted, refused, unsupported: 0 }, |case| {
        let point = hex::decode(case.group["publicKey"]["uncompressed"].as_str().unwrap()).unwrap();
        let (x, y) = point[1..].split_at(curve.field_length());
        let public = PublicPart::Ec { curve, x: x.to_vec(), y: y.to_vec() };
        let (_, digest) = digest(case).unwrap();
        judged(verify_by(&public, alg, &digest, &case.bytes("sig")))
    });
}

#[test]
fn ecdsa_signatures() {
    ec("ecdsa_secp256r1_sha256_p1363_test", Curve::P256, "ES256", 173, 89);
    ec("ecdsa_secp384r1_sha384_p1363_test", Curve::P384, "ES384", 193, 87);
    ec("ecdsa_secp521r1_sha512_p1363_test", Curve::P521, "ES512", 231, 87);
}

/// Whole tags through the primitive, and where key and message have the form of a use through the use.
fn mac(file: &str, which: Hash, alg: &str, accepted: usize, refused: usize, unsupported_: usize) {
    run(file, Tally { accepted, refused, unsupported: unsupported_ }, |case| {
        let (key, message, tag) = (case.bytes("key"), case.bytes("msg"), case.bytes("tag"));
        let holds = hmac::holds(&key, which, &message, &tag).unwrap();
        if tag.len() != which.length() {
            assert!(!holds);
            return unsupported();
        }
        let key_type = KeyType::ALL.into_iter().find(|t| t.oct_length() == Some(key.len()));
        if let Some(key_type) = key_type.filter(|_| message.len() == which.length()) {
            let key = KeyMaterial::from_sealed_form(key_type, &key).unwrap();
            assert_eq!(verify(&key, alg, &message, &tag).unwrap(), holds);
            assert_eq!(sign(&key, alg, &message).unwrap() == tag, holds);
        }
        judged(Ok(holds))
    });
}

#[test]
fn cry_13_hmac_tags() {
    mac("hmac_sha256_test", Hash::Sha256, "HS256", 33, 54, 87);
    mac("hmac_sha384_test", Hash::Sha384, "HS384", 33, 54, 87);
    mac("hmac_sha512_test", Hash::Sha512, "HS512", 33, 54, 87);
}
