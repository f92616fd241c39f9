//! RSA-OAEP, through import and unwrap.

use std::cell::OnceCell;

use keygate_keystore::{ImportFormat, KeyMaterial, KeystoreError, operations};

use crate::vectors::{Case, Outcome, Tally, expect, run};

/// Valid cases without a label accepted, labels unsupported, the rest one `crypto-failed`.
fn served(file: &str, accepted: usize, refused: usize, unsupported: usize) {
    let expected = Tally { accepted, refused, unsupported };
    let key = OnceCell::new();
    run(file, expected, |case| {
        let opened = operations::unwrap(
            key.get_or_init(|| import(case)),
            "RSA-OAEP-256",
            &case.bytes("ct"),
            &case.bytes("label"),
        );
        expect(case, opened, &case.bytes("msg"))
    });
}

/// No name reaches another pair of hashes, and the pair that is served does not open their ciphertexts.
fn unserved(file: &str, name: &str, count: usize) {
    let expected = Tally { accepted: 0, refused: 0, unsupported: count };
    let key = OnceCell::new();
    run(file, expected, |case| {
        let key = key.get_or_init(|| import(case));
        let ciphertext = case.bytes("ct");
        let other = operations::unwrap(key, "RSA-OAEP-256", &ciphertext, &[]);
        assert_eq!(other.err(), Some(KeystoreError::CryptoFailed));
        let refused = operations::unwrap(key, name, &ciphertext, &[]);
        Outcome::Refused(refused.err().unwrap())
    });
}

/// The one key of a file, which has one group.
fn import(case: &Case) -> KeyMaterial {
    let der = hex::decode(case.group["privateKeyPkcs8"].as_str().unwrap()).unwrap();
    KeyMaterial::import(ImportFormat::Pkcs8Der(&der), None).unwrap()
}

#[test]
fn cry_02_oaep_2048_sha256() {
    served("rsa_oaep_2048_sha256_mgf1sha256_test", 10, 19, 8);
}

#[test]
fn cry_02_oaep_3072_sha256() {
    served("rsa_oaep_3072_sha256_mgf1sha256_test", 10, 19, 8);
}

#[test]
fn cry_02_oaep_4096_sha256() {
    served("rsa_oaep_4096_sha256_mgf1sha256_test", 10, 19, 8);
}

/// PKCS#1 v1.5 is served under no name of the native door, so there is no padding to ask about.
#[test]
fn cry_01_rsa1_5_is_unsupported() {
    for (file, count) in [("rsa_pkcs1_2048_test", 67), ("rsa_pkcs1_3072_test", 67), ("rsa_pkcs1_4096_test", 67)] {
        for name in ["RSA1_5", "RSAES-PKCS1-v1_5"] {
            unserved(file, name, count);
        }
    }
}

#[test]
fn oaep_with_other_hashes_is_unsupported() {
    for (file, name, count) in [
        ("rsa_oaep_2048_sha1_mgf1sha1_test", "RSA-OAEP", 36),
        ("rsa_oaep_2048_sha256_mgf1sha1_test", "RSA-OAEP-256-MGF1-SHA1", 31),
        ("rsa_oaep_2048_sha384_mgf1sha1_test", "RSA-OAEP-384-MGF1-SHA1", 31),
        ("rsa_oaep_2048_sha384_mgf1sha384_test", "RSA-OAEP-384", 34),
        ("rsa_oaep_2048_sha512_mgf1sha1_test", "RSA-OAEP-512-MGF1-SHA1", 31),
        ("rsa_oaep_2048_sha512_mgf1sha512_test", "RSA-OAEP-512", 33),
        ("rsa_oaep_3072_sha256_mgf1sha1_test", "RSA-OAEP-256-MGF1-SHA1", 32),
        ("rsa_oaep_3072_sha512_mgf1sha1_test", "RSA-OAEP-512-MGF1-SHA1", 31),
        ("rsa_oaep_3072_sha512_mgf1sha512_test", "RSA-OAEP-512", 33),
        ("rsa_oaep_4096_sha256_mgf1sha1_test", "RSA-OAEP-256-MGF1-SHA1", 32),
        ("rsa_oaep_4096_sha512_mgf1sha1_test", "RSA-OAEP-512-MGF1-SHA1", 31),
        ("rsa_oaep_4096_sha512_mgf1sha512_test", "RSA-OAEP-512", 36),
    ] {
        unserved(file, name, count);
    }
}
