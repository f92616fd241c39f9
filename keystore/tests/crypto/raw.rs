//! The raw forms: every algorithm with its refused twin, and opened by code that is not ours.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::operations::raw::{
    RawAlgorithm, RawCiphertext, RawParts, RawPlaintext, Rsa15, decrypt, encrypt, fits_wrapping,
};
use keygate_keystore::operations::{LONGEST_AAD, LONGEST_PLAINTEXT, random_bytes, unwrap, wrap};
use keygate_keystore::{ImportFormat, KeyMaterial, KeyType, KeystoreError, VersionId};
use openssl::encrypt::{Decrypter, Encrypter};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::{Padding, Rsa};
use openssl::symm;
use proptest::prelude::*;
use serde_json::Value;

const IV: [u8; 16] = [9; 16];
const ENCRYPTING: [(KeyType, &str); 21] = [
    (KeyType::Rsa2048, "RSA-OAEP-256"),
    (KeyType::Rsa2048, "RSA-OAEP"),
    (KeyType::Rsa2048, "RSA1_5"),
    (KeyType::Oct128, "A128GCM"),
    (KeyType::Oct192, "A192GCM"),
    (KeyType::Oct256, "A256GCM"),
    (KeyType::Oct128, "A128CBC"),
    (KeyType::Oct192, "A192CBC"),
    (KeyType::Oct256, "A256CBC"),
    (KeyType::Oct128, "A128CBCPAD"),
    (KeyType::Oct192, "A192CBCPAD"),
    (KeyType::Oct256, "A256CBCPAD"),
    (KeyType::Oct128, "A128KW"),
    (KeyType::Oct192, "A192KW"),
    (KeyType::Oct256, "A256KW"),
    (KeyType::Oct128, "CKM_AES_KEY_WRAP"),
    (KeyType::Oct192, "CKM_AES_KEY_WRAP"),
    (KeyType::Oct256, "CKM_AES_KEY_WRAP"),
    (KeyType::Oct128, "CKM_AES_KEY_WRAP_PAD"),
    (KeyType::Oct192, "CKM_AES_KEY_WRAP_PAD"),
    (KeyType::Oct256, "CKM_AES_KEY_WRAP_PAD"),
];

fn plain(alg: &str, plaintext: &[u8]) -> RawPlaintext {
    let iv = alg.contains("CBC").then(|| IV.to_vec());
    RawPlaintext {
        alg: alg.to_owned(),
        plaintext: plaintext.to_vec().into(),
        iv,
        aad: Vec::new(),
        rsa1_5: Rsa15::Served,
    }
}

fn sealed(alg: &str, parts: &RawParts) -> RawCiphertext {
    RawCiphertext {
        alg: alg.to_owned(),
        ciphertext: parts.ciphertext.clone(),
        iv: parts.iv.clone(),
        tag: parts.tag.clone(),
        aad: Vec::new(),
        rsa1_5: Rsa15::Served,
    }
}

#[track_caller]
fn code<T>(result: Result<T, KeystoreError>) -> &'static str {
    result.err().expect("refused").code()
}

#[test]
fn what_is_encrypted_decrypts_with_the_same_key() {
    for (key_type, alg) in ENCRYPTING {
        let key = KeyMaterial::generate(key_type).unwrap();
        let parts = encrypt(&key, &plain(alg, &[7; 32])).unwrap();
        assert_eq!(*decrypt(&key, &sealed(alg, &parts)).unwrap(), [7; 32], "{alg}");
        assert_eq!(parts.tag.as_ref().map(Vec::len), alg.contains("GCM").then_some(16));
        let iv = if alg.contains("GCM") { Some(12) } else { alg.contains("CBC").then_some(16) };
        assert_eq!(parts.iv.as_ref().map(Vec::len), iv);
        // the twin: another key of the same type
        let other = KeyMaterial::generate(key_type).unwrap();
        match decrypt(&other, &sealed(alg, &parts)) {
            Ok(opened) => assert!(["RSA1_5", "A128CBC", "A192CBC", "A256CBC"].contains(&alg) && *opened != [7; 32]),
            Err(error) if alg == "RSA1_5" => assert_eq!(error.code(), "crypto-failed"),
            // one padding in 256 is right by chance
            Err(error) => assert_eq!(error, KeystoreError::CryptoFailed, "{alg}"),
        }
    }
}

#[test]
fn algorithms_fit_keys_and_purposes() {
    let keys = KeyType::ALL.map(|key_type| match key_type {
        KeyType::Secret => KeyMaterial::from_sealed_form(key_type, &[7; 16]).unwrap(),
        KeyType::Rsa3072 | KeyType::Rsa4096 => KeyMaterial::generate(KeyType::Rsa2048).unwrap(),
        _ => KeyMaterial::generate(key_type).unwrap(),
    });
    for algorithm in RawAlgorithm::ALL {
        let alg = algorithm.as_str();
        assert_eq!(RawAlgorithm::parse(alg).unwrap(), algorithm);
        for key in &keys {
            let made = encrypt(key, &plain(alg, &[7; 32]));
            if algorithm.encrypts() && algorithm.fits(key.key_type()) {
                assert!(made.is_ok(), "{alg} {:?}", key.key_type());
            } else {
                assert_eq!(code(made), "operation-not-allowed");
            }
        }
        let wraps = ["RSA-OAEP-256", "RSA-OAEP", "RSA1_5", "CKM_AES_KEY_WRAP", "CKM_AES_KEY_WRAP_PAD"];
        let wraps = wraps.contains(&alg) || alg.ends_with("KW");
        assert_eq!(fits_wrapping(alg).is_ok(), wraps, "{alg}");
        assert_eq!(algorithm.opens_more(), alg.contains("CBC"));
    }
    for alg in ["", "a128gcm", "A128KWP", "RSA-OAEP-512", "RSNULL", "RS1", "none", "A128CBC-HS256", "dir", "RSA1_5 "] {
        assert_eq!(code(encrypt(&keys[1], &plain(alg, b"x"))), "unsupported", "{alg}");
        assert_eq!(code(fits_wrapping(alg)), "unsupported");
    }
}

#[test]
fn cry_01_rsa1_5_is_off_unless_a_caller_says_so() {
    let key = KeyMaterial::generate(KeyType::Rsa2048).unwrap();
    assert_eq!(Rsa15::default(), Rsa15::Refused);
    let parts = encrypt(&key, &plain("RSA1_5", b"x")).unwrap();
    let off = |mut input: RawPlaintext| {
        input.rsa1_5 = Rsa15::Refused;
        encrypt(&key, &input)
    };
    assert_eq!(code(off(plain("RSA1_5", b"x"))), "unsupported");
    assert!(off(plain("RSA-OAEP", b"x")).is_ok());
    let refused = decrypt(&key, &RawCiphertext { rsa1_5: Rsa15::Refused, ..sealed("RSA1_5", &parts) });
    assert_eq!(code(refused), "unsupported");
}

/// The messages of OpenSSL 4, which has implicit rejection of its own.
#[test]
fn cry_01_implicit_rejection_is_that_of_other_code() {
    let file: Value = serde_json::from_str(include_str!("rsa1_5.json")).unwrap();
    let der = URL_SAFE_NO_PAD.decode(file["pkcs8"].as_str().unwrap()).unwrap();
    let key = KeyMaterial::import(ImportFormat::Pkcs8Der(&der), None).unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 12);
    for case in cases {
        let ciphertext = hex::decode(case["ciphertext"].as_str().unwrap()).unwrap();
        let parts = RawParts { ciphertext, iv: None, tag: None };
        let message = decrypt(&key, &sealed("RSA1_5", &parts)).unwrap();
        assert_eq!(hex::encode(&*message), case["message"].as_str().unwrap(), "{}", case["comment"]);
    }
}

#[test]
fn cry_03_rsa_ciphertexts_out_of_range() {
    let own = Rsa::generate(2048).unwrap();
    let key = KeyMaterial::from_sealed_form(KeyType::Rsa2048, &own.private_key_to_der().unwrap()).unwrap();
    let n = own.n().to_vec();
    let mut less_one = n.clone();
    less_one[255] -= 1;
    let one = [vec![0; 255], vec![1]].concat();
    let open = |alg: &str, bytes: &[u8]| {
        decrypt(&key, &sealed(alg, &RawParts { ciphertext: bytes.to_vec(), iv: None, tag: None }))
    };
    for bytes in [&n, &less_one, &one, &vec![0; 256], &vec![0xff; 256], &vec![1; 255], &vec![1; 257], &vec![]] {
        for alg in ["RSA-OAEP", "RSA-OAEP-256"] {
            assert_eq!(open(alg, bytes).err(), Some(KeystoreError::CryptoFailed));
        }
        // what anybody can see is refused, everything else gives a message
        let in_range = bytes.len() == 256 && *bytes < n;
        assert_eq!(open("RSA1_5", bytes).is_ok(), in_range);
    }
}

#[test]
fn rsa_forms_meet_openssl_alone() {
    let own = Rsa::generate(2048).unwrap();
    let key = KeyMaterial::from_sealed_form(KeyType::Rsa2048, &own.private_key_to_der().unwrap()).unwrap();
    let private = PKey::from_rsa(own).unwrap();
    for (alg, padding, hash) in [
        ("RSA-OAEP", Padding::PKCS1_OAEP, Some(MessageDigest::sha1())),
        ("RSA-OAEP-256", Padding::PKCS1_OAEP, Some(MessageDigest::sha256())),
        ("RSA1_5", Padding::PKCS1, None),
    ] {
        let mut decrypter = Decrypter::new(&private).unwrap();
        decrypter.set_rsa_padding(padding).unwrap();
        let mut encrypter = Encrypter::new(&private).unwrap();
        encrypter.set_rsa_padding(padding).unwrap();
        if let Some(hash) = hash {
            decrypter.set_rsa_oaep_md(hash).unwrap();
            decrypter.set_rsa_mgf1_md(hash).unwrap();
            encrypter.set_rsa_oaep_md(hash).unwrap();
            encrypter.set_rsa_mgf1_md(hash).unwrap();
        }
        let ours = encrypt(&key, &plain(alg, b"ours")).unwrap().ciphertext;
        let mut out = vec![0; 256];
        let length = decrypter.decrypt(&ours, &mut out).unwrap();
        assert_eq!(out[..length], *b"ours");
        let mut theirs = vec![0; 256];
        let length = encrypter.encrypt(b"theirs", &mut theirs).unwrap();
        theirs.truncate(length);
        let parts = RawParts { ciphertext: theirs, iv: None, tag: None };
        assert_eq!(*decrypt(&key, &sealed(alg, &parts)).unwrap(), b"theirs");
    }
}

#[test]
fn aes_forms_meet_openssl_alone() {
    let key = KeyMaterial::generate(KeyType::Oct256).unwrap();
    let bytes = key.sealed_form();
    let mut input = plain("A256GCM", b"attack at dawn");
    input.aad = b"aad".to_vec();
    let parts = encrypt(&key, &input).unwrap();
    let (iv, tag) = (parts.iv.as_deref().unwrap(), parts.tag.as_deref().unwrap());
    let cipher = symm::Cipher::aes_256_gcm();
    let opened = symm::decrypt_aead(cipher, &bytes, Some(iv), b"aad", &parts.ciphertext, tag).unwrap();
    assert_eq!(opened, b"attack at dawn");
    let parts = encrypt(&key, &plain("A256CBCPAD", b"attack at dawn")).unwrap();
    let opened = symm::decrypt(symm::Cipher::aes_256_cbc(), &bytes, Some(&IV), &parts.ciphertext).unwrap();
    assert_eq!(opened, b"attack at dawn");
}

#[test]
fn key_16_the_nonce_is_ours() {
    let key = KeyMaterial::generate(KeyType::Oct256).unwrap();
    for (alg, iv) in [("A256GCM", vec![7; 12]), ("A256GCM", vec![]), ("A256KW", vec![7; 16])] {
        let input = RawPlaintext { iv: Some(iv), ..plain(alg, &[7; 16]) };
        assert_eq!(code(encrypt(&key, &input)), "operation-not-allowed", "{alg}");
    }
    let once = encrypt(&key, &plain("A256GCM", b"same")).unwrap();
    let twice = encrypt(&key, &plain("A256GCM", b"same")).unwrap();
    assert_ne!(once.iv, twice.iv);
    for iv in [None, Some(vec![]), Some(vec![7; 15]), Some(vec![7; 17]), Some(vec![7; 12])] {
        let input = RawPlaintext { iv, ..plain("A256CBC", &[7; 16]) };
        assert_eq!(code(encrypt(&key, &input)), "malformed");
    }
}

#[test]
fn key_12_every_failure_to_decrypt_is_one_error() {
    let key = KeyMaterial::generate(KeyType::Oct256).unwrap();
    for alg in ["A256GCM", "A256KW", "CKM_AES_KEY_WRAP_PAD"] {
        let good = sealed(alg, &encrypt(&key, &plain(alg, &[7; 32])).unwrap());
        let failed = |change: &dyn Fn(&mut RawCiphertext)| {
            let mut changed = RawCiphertext {
                alg: good.alg.clone(),
                ciphertext: good.ciphertext.clone(),
                iv: good.iv.clone(),
                tag: good.tag.clone(),
                aad: Vec::new(),
                rsa1_5: Rsa15::Refused,
            };
            change(&mut changed);
            assert_eq!(decrypt(&key, &changed).err(), Some(KeystoreError::CryptoFailed), "{alg}");
        };
        for place in 0..good.ciphertext.len() {
            failed(&|input| input.ciphertext[place] ^= 1);
            failed(&|input| input.ciphertext.truncate(place));
        }
        failed(&|input| input.ciphertext.push(0));
        if alg == "A256GCM" {
            failed(&|input| input.aad = b"x".to_vec());
            for place in 0..12 {
                failed(&|input| input.iv.as_mut().unwrap()[place] ^= 1);
                failed(&|input| input.tag.as_mut().unwrap()[place] ^= 1);
            }
        }
    }
}

#[test]
fn cry_01_every_wrong_padding_of_cbc_is_one_error() {
    let key = KeyMaterial::generate(KeyType::Oct256).unwrap();
    let open = |block: &[u8]| {
        let parts = encrypt(&key, &plain("A256CBC", block)).unwrap();
        decrypt(&key, &sealed("A256CBCPAD", &parts))
    };
    let mut good = [3; 16];
    good[..13].fill(0xee);
    assert_eq!(*open(&good).unwrap(), [0xee; 13]);
    assert_eq!(*open(&[16; 16]).unwrap(), b"");
    for wrong in [
        [0; 16],
        [17; 16],
        [0xff; 16],
        {
            let mut b = good;
            b[13] = 2;
            b
        },
        {
            let mut b = good;
            b[14] = 0;
            b
        },
    ] {
        assert_eq!(open(&wrong).err(), Some(KeystoreError::CryptoFailed));
    }
    for length in [0, 1, 15, 17, 31] {
        for alg in ["A256CBC", "A256CBCPAD"] {
            let parts = RawParts { ciphertext: vec![7; length], iv: Some(IV.to_vec()), tag: None };
            assert_eq!(decrypt(&key, &sealed(alg, &parts)).err(), Some(KeystoreError::CryptoFailed));
        }
    }
}

#[test]
fn cry_06_parts_have_their_lengths_and_their_places() {
    let key = KeyMaterial::generate(KeyType::Oct256).unwrap();
    let parts = encrypt(&key, &plain("A256GCM", b"x")).unwrap();
    let with = |iv: Option<Vec<u8>>, tag: Option<Vec<u8>>| {
        decrypt(&key, &sealed("A256GCM", &RawParts { ciphertext: parts.ciphertext.clone(), iv, tag }))
    };
    assert!(with(parts.iv.clone(), parts.tag.clone()).is_ok());
    for length in [0, 4, 8, 12, 15, 17] {
        assert_eq!(code(with(parts.iv.clone(), Some(vec![7; length]))), "unsupported");
    }
    for length in [0, 8, 11, 13, 16] {
        assert_eq!(code(with(Some(vec![7; length]), parts.tag.clone())), "unsupported");
    }
    assert_eq!(code(with(None, parts.tag.clone())), "malformed");
    assert_eq!(code(with(parts.iv.clone(), None)), "malformed");
    let stray = |alg: &str, iv: Option<Vec<u8>>, tag: Option<Vec<u8>>| {
        decrypt(&key, &sealed(alg, &RawParts { ciphertext: vec![7; 32], iv, tag }))
    };
    assert_eq!(code(stray("A256KW", Some(IV.to_vec()), None)), "malformed");
    assert_eq!(code(stray("A256KW", None, Some(IV.to_vec()))), "malformed");
    assert_eq!(code(stray("A256CBC", Some(IV.to_vec()), Some(IV.to_vec()))), "malformed");
    assert_eq!(code(stray("A256CBC", None, None)), "malformed");
    assert_eq!(code(stray("A256CBC", Some(vec![7; 12]), None)), "malformed");
}

#[test]
fn key_15_lengths_and_additional_data() {
    let key = KeyMaterial::generate(KeyType::Oct256).unwrap();
    let rsa = KeyMaterial::generate(KeyType::Rsa2048).unwrap();
    let make = |alg: &str, length: usize| {
        encrypt(if alg.starts_with('R') { &rsa } else { &key }, &plain(alg, &vec![1; length]))
            .map(|p| p.ciphertext.len())
    };
    assert_eq!(make("A256GCM", 0), Ok(0));
    assert_eq!(make("A256GCM", LONGEST_PLAINTEXT), Ok(LONGEST_PLAINTEXT));
    assert_eq!(make("A256CBCPAD", 0), Ok(16));
    assert_eq!(make("A256CBCPAD", 16), Ok(32));
    assert_eq!(make("A256CBC", 32), Ok(32));
    assert_eq!(make("A256KW", 16), Ok(24));
    assert_eq!(make("CKM_AES_KEY_WRAP_PAD", 1), Ok(16));
    for (alg, longest) in [("RSA-OAEP-256", 190), ("RSA-OAEP", 214), ("RSA1_5", 245)] {
        assert_eq!(make(alg, longest), Ok(256), "{alg}");
        assert_eq!(make(alg, 0), Ok(256));
        assert_eq!(code(make(alg, longest + 1)), "too-large");
    }
    for (alg, length, wanted) in [
        ("A256GCM", LONGEST_PLAINTEXT + 1, "too-large"),
        ("A256CBC", 0, "malformed"),
        ("A256CBC", 31, "malformed"),
        ("A256KW", 8, "unsupported"),
        ("A256KW", 17, "unsupported"),
        ("CKM_AES_KEY_WRAP", 0, "unsupported"),
        ("CKM_AES_KEY_WRAP_PAD", 0, "unsupported"),
    ] {
        assert_eq!(code(make(alg, length)), wanted, "{alg} {length}");
    }
    let with_aad = |alg, aad: usize| encrypt(&key, &RawPlaintext { aad: vec![1; aad], ..plain(alg, &[7; 32]) });
    assert!(with_aad("A256GCM", LONGEST_AAD).is_ok());
    assert_eq!(code(with_aad("A256GCM", LONGEST_AAD + 1)), "too-large");
    for alg in ["A256CBC", "A256CBCPAD", "A256KW", "CKM_AES_KEY_WRAP_PAD"] {
        assert_eq!(code(with_aad(alg, 1)), "unsupported");
    }
    let long = RawParts { ciphertext: vec![0; LONGEST_PLAINTEXT + 513], iv: None, tag: None };
    assert_eq!(code(decrypt(&key, &sealed("A256KW", &long))), "too-large");
}

/// One key, two forms: neither opens what the other made.
#[test]
fn raw_forms_and_our_own_do_not_mix() {
    let key = KeyMaterial::generate(KeyType::Oct256).unwrap();
    let version = VersionId::from_bytes([7; 16]);
    let own = wrap(&key, &version, "A256GCM", b"x", b"").unwrap();
    let parts = encrypt(&key, &plain("A256GCM", b"x")).unwrap();
    let whole = [parts.iv.as_deref().unwrap(), &parts.ciphertext, parts.tag.as_deref().unwrap()].concat();
    assert_eq!(code(unwrap(&key, "A256GCM", &whole, b"")), "crypto-failed");
    let taken_apart = RawParts {
        ciphertext: own[85..own.len() - 16].to_vec(),
        iv: Some(vec![0; 12]),
        tag: Some(own[own.len() - 16..].to_vec()),
    };
    assert_eq!(code(decrypt(&key, &sealed("A256GCM", &taken_apart))), "crypto-failed");
    for alg in ["RSA-OAEP", "RSA1_5", "A256CBC", "A256CBCPAD", "CKM_AES_KEY_WRAP", "HS256", "ES256K"] {
        assert_eq!(code(wrap(&key, &version, alg, &[7; 16], b"")), "unsupported", "{alg}");
    }
}

#[test]
fn random_bytes_are_1_to_128() {
    assert_eq!(random_bytes(1).unwrap().len(), 1);
    assert_eq!(random_bytes(128).unwrap().len(), 128);
    assert_ne!(*random_bytes(32).unwrap(), *random_bytes(32).unwrap());
    assert_eq!(code(random_bytes(0)), "malformed");
    assert_eq!(code(random_bytes(129)), "too-large");
    assert_eq!(code(random_bytes(usize::MAX)), "too-large");
}

proptest! {
    #[test]
    fn foreign_parts_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        iv in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
        tag in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
    ) {
        let key = KeyMaterial::from_sealed_form(KeyType::Oct256, &[7; 32]).unwrap();
        for algorithm in RawAlgorithm::ALL {
            let parts = RawParts { ciphertext: bytes.clone(), iv: iv.clone(), tag: tag.clone() };
            let opened = decrypt(&key, &sealed(algorithm.as_str(), &parts));
            prop_assert!(opened.is_err() || algorithm.as_str().contains("CBC"));
        }
    }
}
