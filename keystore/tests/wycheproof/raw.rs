//! The ciphers of the raw forms, through the functions that a dialect door's uses run.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use keygate_keystore::operations::raw::{RawCiphertext, RawPlaintext, Rsa15, decrypt, encrypt};
use keygate_keystore::primitives::hash::Hash;
use keygate_keystore::primitives::oaep;
use keygate_keystore::{ImportFormat, KeyMaterial, KeyType, KeystoreError};
use openssl::pkey::PKey;
use openssl::rsa::Rsa;

use crate::vectors::{Case, Outcome, Tally, expect, run};

fn input(alg: &str, ciphertext: Vec<u8>) -> RawCiphertext {
    RawCiphertext { alg: alg.to_owned(), ciphertext, iv: None, tag: None, aad: Vec::new(), rsa1_5: Rsa15::Refused }
}

fn plain(alg: &str, plaintext: Vec<u8>, iv: Option<Vec<u8>>) -> RawPlaintext {
    RawPlaintext { alg: alg.to_owned(), plaintext: plaintext.into(), iv, aad: Vec::new(), rsa1_5: Rsa15::Refused }
}

/// A key of the size of the group, or what a caller with one of another size meets.
fn oct(case: &Case) -> Result<KeyMaterial, KeystoreError> {
    let key_type = match case.group["keySize"].as_u64().unwrap() {
        128 => KeyType::Oct128,
        192 => KeyType::Oct192,
        _ => KeyType::Oct256,
    };
    KeyMaterial::from_sealed_form(key_type, &case.bytes("key"))
}

/// The one key of a group, imported once: most files have one for all.
#[derive(Default)]
struct Keys(RefCell<BTreeMap<String, Rc<KeyMaterial>>>);

impl Keys {
    fn of(&self, case: &Case) -> Rc<KeyMaterial> {
        let text = case.group["privateKeyPkcs8"].as_str().unwrap();
        if let Some(key) = self.0.borrow().get(text) {
            return Rc::clone(key);
        }
        let der = hex::decode(text).unwrap();
        let key = Rc::new(KeyMaterial::import(ImportFormat::Pkcs8Der(&der), None).unwrap());
        self.0.borrow_mut().insert(text.to_owned(), Rc::clone(&key));
        key
    }
}

/// Every failure is the one value.
fn uniform<T>(opened: &Result<T, KeystoreError>) {
    if let Err(error) = opened
        && error.code() != "unsupported"
    {
        assert_eq!(*error, KeystoreError::CryptoFailed);
    }
}

#[test]
fn cry_01_aes_cbc_pkcs5() {
    let expected = Tally { accepted: 72, refused: 144, unsupported: 0 };
    run("aes_cbc_pkcs5_test", expected, |case| {
        let key = oct(case).unwrap();
        let alg = format!("A{}CBCPAD", case.group["keySize"]);
        let (iv, message) = (case.bytes("iv"), case.bytes("msg"));
        if case.text("result") == "valid" {
            let made = encrypt(&key, &plain(&alg, message.clone(), Some(iv.clone()))).unwrap();
            assert_eq!(made.ciphertext, case.bytes("ct"));
            assert_eq!((made.iv, made.tag), (Some(iv.clone()), None));
        }
        let opened = decrypt(&key, &RawCiphertext { iv: Some(iv), ..input(&alg, case.bytes("ct")) });
        uniform(&opened);
        expect(case, opened, &message)
    });
}

#[test]
fn cry_06_raw_aes_gcm() {
    let expected = Tally { accepted: 116, refused: 81, unsupported: 119 };
    run("aes_gcm_test", expected, |case| {
        let key = oct(case).unwrap();
        let whole = RawCiphertext {
            iv: Some(case.bytes("iv")),
            tag: Some(case.bytes("tag")),
            aad: case.bytes("aad"),
            ..input(&format!("A{}GCM", case.group["keySize"]), case.bytes("ct"))
        };
        let opened = decrypt(&key, &whole);
        uniform(&opened);
        for length in [0, 4, 8, 12, 15] {
            let tag = Some(case.bytes("tag")[..length].to_vec());
            let refused = decrypt(&key, &RawCiphertext { tag, ..clone(&whole) });
            assert_eq!(refused.err().unwrap().code(), "unsupported");
        }
        expect(case, opened, &case.bytes("msg"))
    });
}

fn clone(input: &RawCiphertext) -> RawCiphertext {
    RawCiphertext {
        alg: input.alg.clone(),
        ciphertext: input.ciphertext.clone(),
        iv: input.iv.clone(),
        tag: input.tag.clone(),
        aad: input.aad.clone(),
        rsa1_5: input.rsa1_5,
    }
}

#[test]
fn cry_04_raw_aes_kw() {
    let expected = || Tally { accepted: 36, refused: 129, unsupported: 0 };
    run("aes_wrap_test", expected(), |case| key_wrap(case, &format!("A{}KW", case.group["keySize"])));
    run("aes_wrap_test", expected(), |case| key_wrap(case, "CKM_AES_KEY_WRAP"));
}

#[test]
fn cry_04_raw_aes_kwp() {
    let expected = Tally { accepted: 77, refused: 177, unsupported: 0 };
    run("aes_kwp_test", expected, |case| key_wrap(case, "CKM_AES_KEY_WRAP_PAD"));
}

fn key_wrap(case: &Case, alg: &str) -> Outcome {
    let key = match oct(case) {
        Ok(key) => key,
        Err(error) => return Outcome::Refused(error),
    };
    let message = case.bytes("msg");
    if case.text("result") == "valid" {
        let made = encrypt(&key, &plain(alg, message.clone(), None)).unwrap();
        assert_eq!(made.ciphertext, case.bytes("ct"));
    }
    let opened = decrypt(&key, &input(alg, case.bytes("ct")));
    uniform(&opened);
    expect(case, opened, &message)
}

/// Valid cases without a label accepted, labels unsupported, the rest one `crypto-failed`.
fn served_oaep(file: &str, alg: &str, accepted: usize, refused: usize, unsupported: usize) {
    let keys = Keys::default();
    run(file, Tally { accepted, refused, unsupported }, |case| {
        let opened =
            decrypt(&keys.of(case), &RawCiphertext { aad: case.bytes("label"), ..input(alg, case.bytes("ct")) });
        uniform(&opened);
        expect(case, opened, &case.bytes("msg"))
    });
}

#[test]
fn cry_02_raw_oaep() {
    served_oaep("rsa_oaep_2048_sha1_mgf1sha1_test", "RSA-OAEP", 10, 19, 7);
    served_oaep("rsa_oaep_2048_sha256_mgf1sha256_test", "RSA-OAEP-256", 10, 19, 8);
    served_oaep("rsa_oaep_3072_sha256_mgf1sha256_test", "RSA-OAEP-256", 10, 19, 8);
    served_oaep("rsa_oaep_4096_sha256_mgf1sha256_test", "RSA-OAEP-256", 10, 19, 8);
}

/// The hashes that the release wrappings take, and SHA-512, through the primitive; no label can be given.
#[test]
fn cry_02_oaep_of_every_hash() {
    for (file, hash, accepted, refused, unsupported) in [
        ("rsa_oaep_2048_sha1_mgf1sha1_test", Hash::Sha1, 10, 19, 7),
        ("rsa_oaep_2048_sha384_mgf1sha384_test", Hash::Sha384, 10, 18, 6),
        ("rsa_oaep_2048_sha512_mgf1sha512_test", Hash::Sha512, 10, 19, 4),
        ("rsa_oaep_3072_sha512_mgf1sha512_test", Hash::Sha512, 10, 18, 5),
        ("rsa_oaep_4096_sha512_mgf1sha512_test", Hash::Sha512, 10, 19, 7),
    ] {
        let keys = Keys::default();
        run(file, Tally { accepted, refused, unsupported }, |case| {
            let rsa = Rsa::private_key_from_der(&keys.of(case).sealed_form()).unwrap();
            let opened = oaep::decrypt(&PKey::from_rsa(rsa).unwrap(), hash, &case.bytes("ct"));
            if !case.text("label").is_empty() {
                assert_eq!(opened.err(), Some(KeystoreError::CryptoFailed));
                return Outcome::Refused(KeystoreError::Unsupported("there is no label"));
            }
            uniform(&opened);
            expect(case, opened, &case.bytes("msg"))
        });
    }
}

/// A mask by another hash than the label's is opened by no name.
#[test]
fn cry_02_two_hashes_in_one_padding() {
    for (file, alg, count) in [
        ("rsa_oaep_2048_sha256_mgf1sha1_test", "RSA-OAEP-256", 31),
        ("rsa_oaep_2048_sha384_mgf1sha1_test", "RSA-OAEP", 31),
        ("rsa_oaep_2048_sha512_mgf1sha1_test", "RSA-OAEP", 31),
    ] {
        let keys = Keys::default();
        run(file, Tally { accepted: 0, refused: 0, unsupported: count }, |case| {
            let opened = decrypt(&keys.of(case), &input(alg, case.bytes("ct")));
            assert_eq!(opened.err(), Some(KeystoreError::CryptoFailed));
            Outcome::Refused(KeystoreError::Unsupported("two hashes"))
        });
    }
}

/// Off, there is no padding to ask about; on, a wrong one gives a message that says nothing, and the same one
/// each time. What is refused openly has the wrong length or is not below the modulus.
#[test]
fn cry_01_rsa1_5_rejects_implicitly() {
    for (file, accepted, refused) in
        [("rsa_pkcs1_2048_test", 42, 25), ("rsa_pkcs1_3072_test", 41, 26), ("rsa_pkcs1_4096_test", 41, 26)]
    {
        let keys = Keys::default();
        run(file, Tally { accepted, refused, unsupported: 0 }, |case| {
            let key = keys.of(case);
            let off = decrypt(&key, &input("RSA1_5", case.bytes("ct")));
            assert_eq!(off.err().unwrap().code(), "unsupported");
            let on = || decrypt(&key, &RawCiphertext { rsa1_5: Rsa15::Served, ..input("RSA1_5", case.bytes("ct")) });
            let opened = on();
            uniform(&opened);
            if case.text("result") == "valid" {
                return expect(case, opened, &case.bytes("msg"));
            }
            let size = key.key_type().rsa_bits().unwrap() / 8;
            match opened {
                Ok(message) => {
                    assert_eq!(case.bytes("ct").len(), size);
                    assert_ne!(*message, case.bytes("msg"));
                    assert_eq!(*message, *on().unwrap());
                    assert!(message.len() <= size - 11);
                }
                Err(_) => assert!(case.bytes("ct").len() != size || case.text("comment") == "c = n", "{}", case.id()),
            }
            Outcome::Refused(KeystoreError::CryptoFailed)
        });
    }
}
