//! Wrap, unwrap and generate.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hkdf::Hkdf;
use keygate_keystore::operations::{LONGEST_AAD, LONGEST_PLAINTEXT, generate, unwrap, version_of, wrap};
use keygate_keystore::{KeyMaterial, KeyType, KeystoreError, VersionId};
use openssl::encrypt::Encrypter;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::{Padding, Rsa};
use proptest::prelude::*;
use sha2::Sha256;

const HEADER: usize = 21;
const VERSION: [u8; 16] = [0xab; 16];

fn version() -> VersionId {
    VersionId::from_bytes(VERSION)
}

fn oct(key_type: KeyType) -> KeyMaterial {
    KeyMaterial::generate(key_type).unwrap()
}

#[track_caller]
fn code<T>(result: Result<T, KeystoreError>) -> &'static str {
    result.err().expect("refused").code()
}

#[test]
fn what_is_wrapped_unwraps_with_the_same_key_algorithm_and_data() {
    let rsa = oct(KeyType::Rsa2048);
    let short = oct(KeyType::Oct128);
    let middle = oct(KeyType::Oct192);
    let long = oct(KeyType::Oct256);
    for (key, alg, aad) in [
        (&short, "A128GCM", &b"place"[..]),
        (&middle, "A192GCM", b"place"),
        (&long, "A256GCM", b"place"),
        (&long, "A256GCM", b""),
        (&short, "A128KW", b""),
        (&middle, "A192KW", b""),
        (&long, "A256KW", b""),
        (&short, "A128KWP", b""),
        (&middle, "A192KWP", b""),
        (&long, "A256KWP", b""),
        (&rsa, "RSA-OAEP-256", b""),
    ] {
        let plaintext = [7; 32];
        let wrapped = wrap(key, &version(), alg, &plaintext, aad).unwrap();
        assert_eq!(version_of(&wrapped).unwrap(), version());
        assert_eq!(*unwrap(key, alg, &wrapped, aad).unwrap(), plaintext);
        let (generated, data_key) = generate(key, &version(), alg, 32, aad).unwrap();
        assert_eq!(*unwrap(key, alg, &generated, aad).unwrap(), *data_key);
        assert_eq!(data_key.len(), 32);
        // the twin: the same, with another key of the same type
        let other = oct(key.key_type());
        assert_eq!(code(unwrap(&other, alg, &wrapped, aad)), "crypto-failed");
    }
}

#[test]
fn key_12_every_failure_to_unwrap_is_one_error() {
    let key = oct(KeyType::Oct256);
    let rsa = oct(KeyType::Rsa2048);
    for (key, alg, aad) in
        [(&key, "A256GCM", &b"aad"[..]), (&key, "A256KW", b""), (&key, "A256KWP", b""), (&rsa, "RSA-OAEP-256", b"")]
    {
        let good = wrap(key, &version(), alg, &[7; 32], aad).unwrap();
        let failed = |bytes: &[u8]| {
            let error = unwrap(key, alg, bytes, aad).err();
            assert_eq!(error, Some(KeystoreError::CryptoFailed), "{alg}");
        };
        for place in 0..good.len() {
            // of these two the version routes only, and is not authenticated
            if alg != "A256GCM" && (4..20).contains(&place) {
                continue;
            }
            let mut changed = good.clone();
            changed[place] ^= 1;
            failed(&changed);
        }
        for length in 0..good.len() {
            failed(&good[..length]);
        }
        failed(&[&good[..], &[0]].concat());
    }
}

#[test]
fn aad_is_authenticated_and_only_where_it_can_be() {
    let key = oct(KeyType::Oct256);
    let wrapped = wrap(&key, &version(), "A256GCM", b"x", b"here").unwrap();
    for other in [&b"there"[..], b"", b"her", b"here "] {
        assert_eq!(code(unwrap(&key, "A256GCM", &wrapped, other)), "crypto-failed");
    }
    for alg in ["A256KW", "A256KWP"] {
        assert_eq!(code(wrap(&key, &version(), alg, &[7; 32], b"here")), "unsupported");
        assert_eq!(code(unwrap(&key, alg, &[7; 61], b"here")), "unsupported");
    }
    let rsa = oct(KeyType::Rsa2048);
    assert_eq!(code(wrap(&rsa, &version(), "RSA-OAEP-256", b"x", b"l")), "unsupported");
}

#[test]
fn key_15_lengths() {
    let key = oct(KeyType::Oct256);
    let gcm = |plaintext: &[u8], aad: &[u8]| wrap(&key, &version(), "A256GCM", plaintext, aad);
    let empty = gcm(b"", b"").unwrap();
    assert_eq!(*unwrap(&key, "A256GCM", &empty, b"").unwrap(), b"");
    let long = vec![1; LONGEST_PLAINTEXT];
    let wrapped = gcm(&long, &long).unwrap();
    assert_eq!(*unwrap(&key, "A256GCM", &wrapped, &long).unwrap(), long);
    let longer = vec![1; LONGEST_PLAINTEXT + 1];
    assert_eq!(code(gcm(&longer, b"")), "too-large");
    assert_eq!(LONGEST_AAD, LONGEST_PLAINTEXT);
    assert_eq!(code(gcm(b"", &longer)), "too-large");
    assert_eq!(code(unwrap(&key, "A256GCM", &empty, &longer)), "too-large");
    assert_eq!(code(unwrap(&key, "A256GCM", &vec![1; 70_000], b"")), "too-large");
    let kw = |alg, length| wrap(&key, &version(), alg, &vec![1; length], b"");
    assert!(kw("A256KW", 16).is_ok() && kw("A256KWP", 1).is_ok());
    for (alg, length) in [("A256KW", 0), ("A256KW", 8), ("A256KW", 17), ("A256KWP", 0)] {
        assert_eq!(code(kw(alg, length)), "unsupported");
    }
    let rsa = oct(KeyType::Rsa2048);
    let oaep = |length| wrap(&rsa, &version(), "RSA-OAEP-256", &vec![1; length], b"");
    assert!(oaep(190).is_ok() && oaep(0).is_ok());
    assert_eq!(code(oaep(191)), "too-large");
}

#[test]
fn data_keys_have_1_to_1024_bytes() {
    let key = oct(KeyType::Oct256);
    let make = |bytes| generate(&key, &version(), "A256GCM", bytes, b"");
    assert_eq!(make(1).unwrap().1.len(), 1);
    assert_eq!(make(1024).unwrap().1.len(), 1024);
    assert_eq!(code(make(0)), "malformed");
    assert_eq!(code(make(1025)), "too-large");
    assert_ne!(*make(32).unwrap().1, *make(32).unwrap().1);
}

#[test]
fn algorithms_fit_keys() {
    let key = oct(KeyType::Oct128);
    let ec = oct(KeyType::EcP256);
    let secret = KeyMaterial::from_sealed_form(KeyType::Secret, &[7; 16]).unwrap();
    for (key, alg) in [
        (&key, "A256GCM"),
        (&key, "A256KW"),
        (&key, "RSA-OAEP-256"),
        (&key, "RS256"),
        (&ec, "RSA-OAEP-256"),
        (&ec, "A128GCM"),
        (&ec, "ES256"),
        (&secret, "A128GCM"),
    ] {
        let refused = wrap(key, &version(), alg, &[7; 32], b"");
        assert_eq!(code(refused), "operation-not-allowed", "{alg}");
        let refused = unwrap(key, alg, &[7; 80], b"");
        assert_eq!(code(refused), "operation-not-allowed", "{alg}");
        let refused = generate(key, &version(), alg, 32, b"");
        assert_eq!(code(refused), "operation-not-allowed", "{alg}");
    }
    for alg in ["", "A128CBC", "RSA-OAEP", "RSA1_5", "a128gcm", "dir"] {
        assert_eq!(code(wrap(&key, &version(), alg, b"x", b"")), "unsupported");
    }
}

/// The caller gives no nonce and none is kept: what changes from message to message is the key.
#[test]
fn key_16_every_message_has_its_own_key() {
    let key = oct(KeyType::Oct256);
    let once = wrap(&key, &version(), "A256GCM", b"same", b"").unwrap();
    let twice = wrap(&key, &version(), "A256GCM", b"same", b"").unwrap();
    assert_eq!(once[..HEADER], twice[..HEADER]);
    assert_ne!(once[HEADER..HEADER + 32], twice[HEADER..HEADER + 32]);
    assert_ne!(once[HEADER + 64..], twice[HEADER + 64..]);
}

/// Opened by other code from the description alone, see docs/formats/wrapped.md.
#[test]
fn a_gcm_ciphertext_opens_by_the_book() {
    let key = oct(KeyType::Oct256);
    let blob = wrap(&key, &version(), "A256GCM", b"attack at dawn", b"aad").unwrap();
    let (header, body) = blob.split_at(HEADER);
    assert_eq!(header, [&b"KGW\x01"[..], &VERSION, &[3]].concat());
    let (salt, rest) = body.split_at(32);
    let (commitment, sealed) = rest.split_at(32);
    let mut info = b"keygate/v1/data-wrap".to_vec();
    info.extend_from_slice(&[0, 0, 0, 7]);
    info.extend_from_slice(b"A256GCM");
    info.extend_from_slice(&[0, 0, 0, 16]);
    info.extend_from_slice(&VERSION);
    let mut derived = [0; 64];
    Hkdf::<Sha256>::new(Some(salt), &key.sealed_form()).expand(&info, &mut derived).unwrap();
    assert_eq!(derived[32..], *commitment);
    let payload = Payload { msg: sealed, aad: &[header, b"aad"].concat() };
    let cipher = Aes256Gcm::new_from_slice(&derived[..32]).unwrap();
    let nonce = Nonce::default();
    assert_eq!(cipher.decrypt(&nonce, payload).unwrap(), b"attack at dawn");
}

/// A key in the clear that fits the tag is not enough: it must be the one the message commits to.
#[test]
fn cry_07_a_ciphertext_commits_to_its_key() {
    let key = oct(KeyType::Oct256);
    let mut blob = wrap(&key, &version(), "A256GCM", b"x", b"").unwrap();
    assert!(unwrap(&key, "A256GCM", &blob, b"").is_ok());
    blob[HEADER + 32] ^= 1;
    assert_eq!(code(unwrap(&key, "A256GCM", &blob, b"")), "crypto-failed");
}

#[test]
fn rsa_ciphertexts_made_with_the_public_key_alone_unwrap() {
    let own = Rsa::generate(2048).unwrap();
    let der = own.private_key_to_der().unwrap();
    let key = KeyMaterial::from_sealed_form(KeyType::Rsa2048, &der).unwrap();
    let public = PKey::from_rsa(own).unwrap();
    let encrypt = |mask: MessageDigest| {
        let mut encrypter = Encrypter::new(&public).unwrap();
        encrypter.set_rsa_padding(Padding::PKCS1_OAEP).unwrap();
        encrypter.set_rsa_oaep_md(MessageDigest::sha256()).unwrap();
        encrypter.set_rsa_mgf1_md(mask).unwrap();
        let mut out = vec![0; 256];
        let length = encrypter.encrypt(b"theirs", &mut out).unwrap();
        out.truncate(length);
        out
    };
    let bare = encrypt(MessageDigest::sha256());
    assert_eq!(*unwrap(&key, "RSA-OAEP-256", &bare, b"").unwrap(), b"theirs");
    assert_eq!(code(version_of(&bare)), "malformed");
    let mixed = encrypt(MessageDigest::sha1());
    assert_eq!(code(unwrap(&key, "RSA-OAEP-256", &mixed, b"")), "crypto-failed");
}

#[test]
fn cry_03_rsa_ciphertexts_out_of_range_are_crypto_failed() {
    let own = Rsa::generate(2048).unwrap();
    let der = own.private_key_to_der().unwrap();
    let key = KeyMaterial::from_sealed_form(KeyType::Rsa2048, &der).unwrap();
    let n = own.n().to_vec();
    let mut less_one = n.clone();
    less_one[255] -= 1;
    let one = [vec![0; 255], vec![1]].concat();
    for bytes in [&n, &less_one, &one, &vec![0; 256], &vec![0xff; 256], &vec![1; 255]] {
        assert_eq!(code(unwrap(&key, "RSA-OAEP-256", bytes, b"")), "crypto-failed");
    }
}

proptest! {
    #[test]
    fn foreign_bytes_never_open_and_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let key = KeyMaterial::from_sealed_form(KeyType::Oct256, &[7; 32]).unwrap();
        for alg in ["A256GCM", "A256KW", "A256KWP"] {
            let with_header = [&b"KGW\x01"[..], &bytes].concat();
            prop_assert_eq!(unwrap(&key, alg, &bytes, b"").err(), Some(KeystoreError::CryptoFailed));
            prop_assert_eq!(unwrap(&key, alg, &with_header, b"").err(), Some(KeystoreError::CryptoFailed));
        }
        let _ = version_of(&bytes);
    }
}
