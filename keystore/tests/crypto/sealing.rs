//! Sealing to a recipient: opened by ours, and by a path that is not.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jwe;
use josekit::jwk::Jwk;
use keygate_keystore::{KeyMaterial, KeyType, KeystoreError, RecipientPrivate, Wrapped, Wrapping, unwrap_with, wrap};
use openssl::cipher::Cipher;
use openssl::cipher_ctx::{CipherCtx, CipherCtxFlags};
use openssl::encrypt::Decrypter;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Padding;
use serde_json::{Value, json};

const CTY: &str = "application/octet-stream";

/// A pair, and its PKCS#8 for other code.
fn pair(key_type: KeyType) -> (RecipientPrivate, Vec<u8>) {
    let material = KeyMaterial::generate(key_type).unwrap();
    let pkcs8 = material.handed_out_form().unwrap().to_vec();
    (RecipientPrivate::from_material(material).unwrap(), pkcs8)
}

fn code<T>(result: Result<T, KeystoreError>) -> &'static str {
    result.err().expect("refused").code()
}

fn header(jwe: &str) -> Value {
    let text = jwe.split('.').next().unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

#[test]
fn the_json_is_the_one_of_the_contract() {
    let (private, _) = pair(KeyType::Rsa2048);
    let recipient = private.recipient();
    assert_eq!(Wrapping::default_for(recipient), Wrapping::RsaAesKeyWrap256);
    let wrapped = wrap(recipient, Wrapping::RsaAesKeyWrap256, b"x", CTY).unwrap();
    let json = serde_json::to_value(&wrapped).unwrap();
    assert_eq!(json["wrapping"], "RSA_AES_KEY_WRAP_256");
    assert_eq!(json.as_object().unwrap().len(), 2);
    assert!(json["ciphertext"].is_string());
    let wrapped = wrap(recipient, Wrapping::Jwe, b"x", CTY).unwrap();
    let json = serde_json::to_value(&wrapped).unwrap();
    assert_eq!(json["wrapping"], "JWE");
    assert!(json["jwe"].is_string());
    let read: Wrapped = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(read, wrapped);
    let mut more = json;
    more["note"] = "x".into();
    assert!(serde_json::from_value::<Wrapped>(more).is_err());
    for wrapping in Wrapping::ALL {
        assert_eq!(Wrapping::parse(wrapping.as_str()).unwrap(), wrapping);
    }
    assert_eq!(code(Wrapping::parse("CKM_RSA_PKCS_OAEP")), "unsupported");
    let (ec, _) = pair(KeyType::EcP256);
    assert_eq!(Wrapping::default_for(ec.recipient()), Wrapping::Jwe);
    let refused = wrap(ec.recipient(), Wrapping::RsaAesKeyWrap256, b"x", CTY);
    assert_eq!(code(refused), "unsupported");
}

#[test]
fn rsa_aes_key_wrap_opens_with_openssl_alone() {
    for (key_type, length) in [(KeyType::Rsa2048, 256), (KeyType::Rsa3072, 384)] {
        let (private, pkcs8) = pair(key_type);
        let secret: Vec<u8> = (0..77).collect();
        let wrapped = wrap(private.recipient(), Wrapping::RsaAesKeyWrap256, &secret, CTY).unwrap();
        assert_eq!(*unwrap_with(&private, &wrapped).unwrap(), secret);
        let Wrapped::RsaAesKeyWrap256 { ciphertext } = &wrapped else { panic!("another wrapping") };
        let bytes = URL_SAFE_NO_PAD.decode(ciphertext).unwrap();
        assert_eq!(bytes.len(), length + 80 + 8);
        let key = PKey::private_key_from_pkcs8(&pkcs8).unwrap();
        let mut decrypter = Decrypter::new(&key).unwrap();
        decrypter.set_rsa_padding(Padding::PKCS1_OAEP).unwrap();
        decrypter.set_rsa_oaep_md(MessageDigest::sha256()).unwrap();
        decrypter.set_rsa_mgf1_md(MessageDigest::sha256()).unwrap();
        let mut aes = vec![0; length];
        let written = decrypter.decrypt(&bytes[..length], &mut aes).unwrap();
        assert_eq!(written, 32);
        let mut context = CipherCtx::new().unwrap();
        context.set_flags(CipherCtxFlags::FLAG_WRAP_ALLOW);
        let cipher = Cipher::aes_256_wrap_pad();
        context.decrypt_init(Some(cipher), Some(&aes[..32]), None).unwrap();
        let mut out = vec![0; 128];
        let written = context.cipher_update(&bytes[length..], Some(&mut out)).unwrap();
        assert_eq!(out[..written], secret);
    }
}

#[test]
fn a_jwe_opens_with_the_general_crate() {
    for key_type in [KeyType::Rsa2048, KeyType::EcP256, KeyType::EcP384] {
        let (private, pkcs8) = pair(key_type);
        for secret in [&b""[..], b"x", &[7; 1217]] {
            let wrapped = wrap(private.recipient(), Wrapping::Jwe, secret, CTY).unwrap();
            assert_eq!(*unwrap_with(&private, &wrapped).unwrap(), secret);
            let Wrapped::Jwe { jwe } = &wrapped else { panic!("another wrapping") };
            let header = header(jwe);
            assert_eq!(header["enc"], "A256GCM");
            assert_eq!(header["cty"], CTY);
            let kid = URL_SAFE_NO_PAD.encode(private.recipient().thumbprint());
            assert_eq!(header["kid"], kid);
            let opened = if key_type == KeyType::Rsa2048 {
                assert_eq!(header["alg"], "RSA-OAEP-256");
                let decrypter = jwe::RSA_OAEP_256.decrypter_from_der(&pkcs8).unwrap();
                jwe::deserialize_compact(jwe, &decrypter).unwrap().0
            } else {
                assert_eq!(header["alg"], "ECDH-ES+A256KW");
                let decrypter = jwe::ECDH_ES_A256KW.decrypter_from_der(&pkcs8).unwrap();
                jwe::deserialize_compact(jwe, &decrypter).unwrap().0
            };
            assert_eq!(opened, secret);
        }
    }
}

#[test]
fn a_jwe_of_the_general_crate_opens_here() {
    for key_type in [KeyType::Rsa2048, KeyType::EcP256, KeyType::EcP384] {
        let (private, _) = pair(key_type);
        let jwk = Jwk::from_map(private.public_jwk()).unwrap();
        let mut header = jwe::JweHeader::new();
        header.set_content_encryption("A256GCM");
        let compact = if key_type == KeyType::Rsa2048 {
            let encrypter = jwe::RSA_OAEP_256.encrypter_from_jwk(&jwk).unwrap();
            jwe::serialize_compact(b"theirs", &header, &encrypter).unwrap()
        } else {
            header.set_agreement_partyuinfo(b"Alice");
            header.set_agreement_partyvinfo(b"Bob");
            let encrypter = jwe::ECDH_ES_A256KW.encrypter_from_jwk(&jwk).unwrap();
            jwe::serialize_compact(b"theirs", &header, &encrypter).unwrap()
        };
        let opened = unwrap_with(&private, &Wrapped::Jwe { jwe: compact }).unwrap();
        assert_eq!(*opened, b"theirs");
    }
}

/// Every byte of a sealed answer counts.
#[test]
fn a_changed_answer_does_not_open() {
    for (key_type, wrapping) in [
        (KeyType::Rsa2048, Wrapping::RsaAesKeyWrap256),
        (KeyType::Rsa2048, Wrapping::RsaAesKeyWrap384),
        (KeyType::Rsa2048, Wrapping::CkmRsaAesKeyWrap),
        (KeyType::Rsa2048, Wrapping::Jwe),
        (KeyType::EcP256, Wrapping::Jwe),
    ] {
        let (private, _) = pair(key_type);
        let (other, _) = pair(key_type);
        let wrapped = wrap(private.recipient(), wrapping, &[7; 32], CTY).unwrap();
        assert!(unwrap_with(&private, &wrapped).is_ok());
        assert_eq!(code(unwrap_with(&other, &wrapped)), "crypto-failed");
        let text = match &wrapped {
            Wrapped::RsaAesKeyWrap256 { ciphertext }
            | Wrapped::RsaAesKeyWrap384 { ciphertext }
            | Wrapped::CkmRsaAesKeyWrap { ciphertext } => ciphertext,
            Wrapped::Jwe { jwe } => jwe,
        };
        let again = |text: String| match wrapping {
            Wrapping::RsaAesKeyWrap256 => Wrapped::RsaAesKeyWrap256 { ciphertext: text },
            Wrapping::RsaAesKeyWrap384 => Wrapped::RsaAesKeyWrap384 { ciphertext: text },
            Wrapping::CkmRsaAesKeyWrap => Wrapped::CkmRsaAesKeyWrap { ciphertext: text },
            Wrapping::Jwe => Wrapped::Jwe { jwe: text },
        };
        for place in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let changed = again(String::from_utf8(changed).unwrap());
            assert!(unwrap_with(&private, &changed).is_err(), "{place}");
        }
        for length in (0..text.len()).step_by(7) {
            let cut = again(text[..length].to_owned());
            assert!(unwrap_with(&private, &cut).is_err(), "{length}");
        }
    }
}

#[test]
fn an_empty_answer_is_sealed_by_jwe_only() {
    let (private, _) = pair(KeyType::Rsa2048);
    let refused = wrap(private.recipient(), Wrapping::RsaAesKeyWrap256, b"", CTY);
    assert_eq!(code(refused), "unsupported");
    assert!(wrap(private.recipient(), Wrapping::Jwe, b"", CTY).is_ok());
    let long = vec![0; 262_145];
    assert_eq!(code(wrap(private.recipient(), Wrapping::Jwe, &long, CTY)), "too-large");
}

/// Puts another header in front of a JWE. Its tag cannot hold then, but refusal comes before that.
fn with_header(jwe: &str, header: &Value) -> Wrapped {
    let rest = jwe.split_once('.').unwrap().1;
    let header = URL_SAFE_NO_PAD.encode(header.to_string());
    Wrapped::Jwe { jwe: format!("{header}.{rest}") }
}

#[test]
fn headers_that_are_not_ours_are_refused() {
    let (private, _) = pair(KeyType::EcP256);
    let wrapped = wrap(private.recipient(), Wrapping::Jwe, b"x", CTY).unwrap();
    let Wrapped::Jwe { jwe } = &wrapped else { panic!("another wrapping") };
    let good = header(jwe);
    let with = |name: &str, value: Value| {
        let mut header = good.clone();
        header[name] = value;
        code(unwrap_with(&private, &with_header(jwe, &header)))
    };
    assert_eq!(with("alg", "dir".into()), "unsupported");
    assert_eq!(with("alg", "RSA-OAEP-256".into()), "unsupported");
    assert_eq!(with("enc", "A128GCM".into()), "unsupported");
    assert_eq!(with("zip", "DEF".into()), "malformed");
    assert_eq!(with("crit", json!(["x"])), "malformed");
    assert_eq!(with("kid", "another".into()), "crypto-failed");
    assert_eq!(with("cty", "text/plain".into()), "crypto-failed");
    let four = Wrapped::Jwe { jwe: jwe.rsplit_once('.').unwrap().0.to_owned() };
    assert_eq!(code(unwrap_with(&private, &four)), "malformed");
    let six = Wrapped::Jwe { jwe: format!("{jwe}.AA") };
    assert_eq!(code(unwrap_with(&private, &six)), "malformed");
}

#[test]
fn key_06_an_ephemeral_key_off_the_curve_never_meets_the_private_key() {
    let (private, _) = pair(KeyType::EcP256);
    let wrapped = wrap(private.recipient(), Wrapping::Jwe, b"x", CTY).unwrap();
    let Wrapped::Jwe { jwe } = &wrapped else { panic!("another wrapping") };
    let good = header(jwe);
    let mut off = good.clone();
    off["epk"]["x"] = good["epk"]["y"].clone();
    assert_eq!(code(unwrap_with(&private, &with_header(jwe, &off))), "malformed");
    let mut other_curve = good.clone();
    other_curve["epk"]["crv"] = "P-384".into();
    let refused = unwrap_with(&private, &with_header(jwe, &other_curve));
    assert_eq!(code(refused), "crypto-failed");
    let mut missing = good;
    missing.as_object_mut().unwrap().remove("epk");
    let refused = unwrap_with(&private, &with_header(jwe, &missing));
    assert_eq!(code(refused), "malformed");
}
