//! The wrappings of key vaults: the twelve release answers of the shared vectors open with ours, and ours
//! open with OpenSSL alone.
//!
//! `secure-key-release.md` sections 4, 5 and 9.

use std::io::Write;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::{
    ImportFormat, KeyMaterial, KeyType, KeystoreError, RecipientPrivate, Wrapped, Wrapping, unwrap_with, wrap,
};
use openssl::encrypt::Decrypter;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Padding;
use serde_json::{Value, json};

const DIALECT: [Wrapping; 3] = [Wrapping::RsaAesKeyWrap256, Wrapping::RsaAesKeyWrap384, Wrapping::CkmRsaAesKeyWrap];

fn code<T>(result: Result<T, KeystoreError>) -> &'static str {
    result.err().expect("refused").code()
}

fn decoded(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

fn wrapped(wrapping: &str, ciphertext: &str) -> Wrapped {
    serde_json::from_value(json!({"wrapping": wrapping, "ciphertext": ciphertext})).unwrap()
}

/// Wrapping, ciphertext and plaintext.
type File = (String, String, Vec<u8>);

/// What is in each file, and the key they are for.
fn files() -> Option<(RecipientPrivate, Vec<File>)> {
    let folder = std::env::var_os("KEYGATE_VECTORS")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors")), PathBuf::from);
    let folder = folder.join("tokens/generated");
    let Ok(index) = std::fs::read_to_string(folder.join("release-index.json")) else {
        assert!(std::env::var_os("CI").is_none(), "the release files are not at hand");
        std::io::stderr().write_all(b"SKIPPED: the release files are not at hand\n").unwrap();
        return None;
    };
    let pem = std::fs::read(folder.join("tee-wrapping-key.pem")).unwrap();
    let material = KeyMaterial::import(ImportFormat::Pkcs8Pem(&pem), None).unwrap();
    let index: Value = serde_json::from_str(&index).unwrap();
    let entries = index.as_array().or_else(|| index["files"].as_array()).unwrap();
    let read = |entry: &Value| {
        let jws = std::fs::read_to_string(folder.join(entry["file"].as_str().unwrap())).unwrap();
        let payload: Value = serde_json::from_slice(&decoded(jws.trim().split('.').nth(1).unwrap())).unwrap();
        let key = payload["response"]["key"]["key"]["key_hsm"].as_str().unwrap();
        let blob: Value = serde_json::from_slice(&decoded(key)).unwrap();
        let enc = payload["request"]["enc"].as_str().unwrap().to_owned();
        assert_eq!(blob["header"]["enc"].as_str(), Some(&*enc));
        let plaintext = hex::decode(entry["plaintext_hex"].as_str().unwrap()).unwrap();
        (enc, blob["ciphertext"].as_str().unwrap().to_owned(), plaintext)
    };
    Some((RecipientPrivate::from_material(material).unwrap(), entries.iter().map(read).collect()))
}

#[test]
fn the_twelve_release_files_open() {
    let Some((private, files)) = files() else { return };
    assert_eq!(files.len(), 12);
    for (enc, ciphertext, plaintext) in &files {
        assert_eq!(Wrapping::parse(enc).unwrap().as_str(), enc);
        let opened = unwrap_with(&private, &wrapped(enc, ciphertext)).unwrap();
        assert_eq!(*opened, *plaintext, "{enc}");
        // the twins: under another hash, to another key, cut, changed
        for other in DIALECT.iter().filter(|other| other.as_str() != enc) {
            let refused = unwrap_with(&private, &wrapped(other.as_str(), ciphertext));
            assert_eq!(code(refused), "crypto-failed", "{enc}");
        }
        let mut bytes = decoded(ciphertext);
        bytes[300 - 40] ^= 1;
        assert_eq!(code(unwrap_with(&private, &wrapped(enc, &URL_SAFE_NO_PAD.encode(&bytes)))), "crypto-failed");
        let cut = URL_SAFE_NO_PAD.encode(&decoded(ciphertext)[..255]);
        assert_eq!(code(unwrap_with(&private, &wrapped(enc, &cut))), "crypto-failed");
    }
    let stranger = RecipientPrivate::generate(KeyType::Rsa2048).unwrap();
    let (enc, ciphertext, _) = &files[0];
    assert_eq!(code(unwrap_with(&stranger, &wrapped(enc, ciphertext))), "crypto-failed");
}

#[test]
fn names_are_read_exactly() {
    for wrapping in Wrapping::ALL {
        assert_eq!(Wrapping::parse(wrapping.as_str()).unwrap(), wrapping);
    }
    assert_eq!(Wrapping::NATIVE.map(Wrapping::as_str), ["RSA_AES_KEY_WRAP_256", "JWE"]);
    for text in ["", "ckm_rsa_aes_key_wrap", "CKM_RSA_AES_KEY_WRAP ", "RSA_AES_KEY_WRAP", "RSA_AES_KEY_WRAP_512"] {
        assert_eq!(code(Wrapping::parse(text)), "unsupported", "{text}");
    }
}

#[test]
fn every_wrapping_opens_with_openssl_alone() {
    for (wrapping, hash) in
        DIALECT.into_iter().zip([MessageDigest::sha256(), MessageDigest::sha384(), MessageDigest::sha1()])
    {
        for (key_type, length) in [(KeyType::Rsa2048, 256), (KeyType::Rsa3072, 384)] {
            let material = KeyMaterial::generate(key_type).unwrap();
            let key = PKey::private_key_from_pkcs8(&material.handed_out_form().unwrap()).unwrap();
            let private = RecipientPrivate::from_material(material).unwrap();
            for plaintext in [vec![5; 1], vec![5; 8], vec![5; 31], vec![5; 32], vec![5; 1217]] {
                let sealed = wrap(private.recipient(), wrapping, &plaintext, "").unwrap();
                assert_eq!(*unwrap_with(&private, &sealed).unwrap(), plaintext);
                let json = serde_json::to_value(&sealed).unwrap();
                assert_eq!(json["wrapping"], wrapping.as_str());
                let bytes = decoded(json["ciphertext"].as_str().unwrap());
                let (encrypted, inner) = bytes.split_at(length);
                assert_eq!(inner.len(), 8 * (1 + plaintext.len().div_ceil(8)));
                let mut decrypter = Decrypter::new(&key).unwrap();
                decrypter.set_rsa_padding(Padding::PKCS1_OAEP).unwrap();
                decrypter.set_rsa_oaep_md(hash).unwrap();
                decrypter.set_rsa_mgf1_md(hash).unwrap();
                let mut aes = vec![0; length];
                let written = decrypter.decrypt(encrypted, &mut aes).unwrap();
                assert_eq!(written, 32);
                assert_eq!(rfc_5649(&aes[..32], inner), plaintext);
            }
            assert_eq!(code(wrap(private.recipient(), wrapping, b"", "")), "unsupported");
        }
        let ec = RecipientPrivate::generate(KeyType::EcP256).unwrap();
        assert_eq!(code(wrap(ec.recipient(), wrapping, b"x", "")), "unsupported");
    }
}

/// Unwrapping by the letter of RFC 5649, over single blocks.
fn rfc_5649(key: &[u8], wrapped: &[u8]) -> Vec<u8> {
    let block = |input: &[u8]| -> Vec<u8> {
        use openssl::symm::{Cipher, Crypter, Mode};
        let mut crypter = Crypter::new(Cipher::aes_256_ecb(), Mode::Decrypt, key, None).unwrap();
        crypter.pad(false);
        let mut out = vec![0; 32];
        let length = crypter.update(input, &mut out).unwrap();
        out.truncate(length);
        out
    };
    let count = wrapped.len() / 8 - 1;
    let (mut a, mut r);
    if count == 1 {
        let opened = block(wrapped);
        (a, r) = (opened[..8].to_vec(), opened[8..].to_vec());
    } else {
        (a, r) = (wrapped[..8].to_vec(), wrapped[8..].to_vec());
        for step in (1..=6 * count).rev() {
            let at = (step - 1) % count * 8;
            let turned: Vec<u8> = a.iter().zip((step as u64).to_be_bytes()).map(|(x, y)| x ^ y).collect();
            let opened = block(&[&turned[..], &r[at..at + 8]].concat());
            a = opened[..8].to_vec();
            r[at..at + 8].copy_from_slice(&opened[8..]);
        }
    }
    assert_eq!(a[..4], [0xa6, 0x59, 0x59, 0xa6]);
    let length = u32::from_be_bytes(a[4..].try_into().unwrap()) as usize;
    assert!(r[length..].iter().all(|b| *b == 0) && r.len() - length < 8);
    r.truncate(length);
    r
}
