//! PKCS#8 and raw keys at the door.

use keygate_keystore::{ImportFormat, KeyMaterial, KeyType, KeystoreError};
use openssl::ec::{EcGroup, EcKey};
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::symm::Cipher;

fn import(der: &[u8]) -> Result<KeyMaterial, KeystoreError> {
    KeyMaterial::import(ImportFormat::Pkcs8Der(der), None)
}

fn code(result: Result<KeyMaterial, KeystoreError>) -> &'static str {
    result.err().expect("refused").code()
}

fn ec_pkcs8(nid: Nid) -> Vec<u8> {
    let group = EcGroup::from_curve_name(nid).unwrap();
    let key = EcKey::generate(&group).unwrap();
    PKey::from_ec_key(key).unwrap().private_key_to_pkcs8().unwrap()
}

#[test]
fn every_type_is_generated_sealed_read_and_handed_out() {
    for key_type in KeyType::ALL {
        if matches!(key_type, KeyType::Secret | KeyType::Rsa4096) {
            continue;
        }
        let key = KeyMaterial::generate(key_type).unwrap();
        let again = KeyMaterial::from_sealed_form(key_type, &key.sealed_form()).unwrap();
        assert_eq!(again.public_part(), key.public_part());
        let out = key.handed_out_form().unwrap();
        if key_type.oct_length().is_some() {
            assert_eq!(*out, *key.sealed_form());
            assert_eq!(key.content_type(), "application/octet-stream");
            continue;
        }
        assert_eq!(key.content_type(), "application/pkcs8");
        // OpenSSL reads what is handed out, writes it the same way, and import takes it back
        let theirs = PKey::private_key_from_pkcs8(&out).unwrap();
        assert_eq!(theirs.private_key_to_pkcs8().unwrap(), *out);
        let back = import(&out).unwrap();
        assert_eq!(back.key_type(), key_type);
        assert_eq!(*back.sealed_form(), *key.sealed_form());
    }
    let secret = KeyMaterial::generate(KeyType::Secret);
    assert_eq!(code(secret), "operation-not-allowed");
}

#[test]
fn a_sealed_form_must_fit_its_type() {
    let key = KeyMaterial::generate(KeyType::EcP256).unwrap();
    let form = key.sealed_form();
    for other in [KeyType::EcP384, KeyType::EcP521, KeyType::Rsa2048, KeyType::Oct256] {
        assert_eq!(code(KeyMaterial::from_sealed_form(other, &form)), "malformed");
    }
    let mut longer = form.to_vec();
    longer.push(0);
    assert_eq!(code(KeyMaterial::from_sealed_form(KeyType::EcP256, &longer)), "malformed");
    assert_eq!(code(KeyMaterial::from_sealed_form(KeyType::Secret, &[])), "malformed");
}

#[test]
fn key_14_all_zero_and_wrong_lengths_of_symmetric_keys_are_malformed() {
    let raw = |bytes: &[u8], t| KeyMaterial::import(ImportFormat::Raw(bytes), Some(t));
    assert!(raw(&[7; 32], KeyType::Oct256).is_ok());
    assert_eq!(code(raw(&[0; 32], KeyType::Oct256)), "malformed");
    assert_eq!(code(raw(&[0; 16], KeyType::Oct128)), "malformed");
    assert_eq!(code(raw(&[7; 31], KeyType::Oct256)), "malformed");
    assert_eq!(code(raw(&[7; 32], KeyType::Rsa2048)), "malformed");
    assert!(raw(&[7; 65_536], KeyType::Secret).is_ok());
    assert_eq!(code(raw(&[7; 65_537], KeyType::Secret)), "too-large");
    assert_eq!(code(raw(&[], KeyType::Secret)), "malformed");
    let undeclared = KeyMaterial::import(ImportFormat::Raw(&[7; 32]), None);
    assert_eq!(code(undeclared), "malformed");
}

#[test]
fn key_14_pkcs8_takes_no_byte_more_and_no_byte_less() {
    let der = ec_pkcs8(Nid::X9_62_PRIME256V1);
    assert_eq!(import(&der).unwrap().key_type(), KeyType::EcP256);
    let mut longer = der.clone();
    longer.push(0);
    assert_eq!(code(import(&longer)), "malformed");
    for length in 0..der.len() {
        assert_eq!(code(import(&der[..length])), "malformed", "{length}");
    }
    assert_eq!(code(import(&vec![0x30; 8_193])), "too-large");
}

#[test]
fn key_14_pkcs8_with_attributes_is_unsupported() {
    let der = ec_pkcs8(Nid::X9_62_PRIME256V1);
    let mut with = der.clone();
    with.extend_from_slice(&[0xa0, 0x00]);
    // the outer length is one byte: 0x81 and the length
    assert_eq!(with[1], 0x81);
    with[2] += 2;
    assert_eq!(code(import(&with)), "unsupported");
    let mut version_1 = der;
    version_1[5] = 1;
    assert_eq!(code(import(&version_1)), "unsupported");
}

#[test]
fn key_14_encrypted_pkcs8_is_unsupported_without_a_guess() {
    let key = PKey::private_key_from_pkcs8(&ec_pkcs8(Nid::X9_62_PRIME256V1)).unwrap();
    let encrypted = key.private_key_to_pkcs8_passphrase(Cipher::aes_256_cbc(), b"pass").unwrap();
    assert_eq!(code(import(&encrypted)), "unsupported");
    // 2^31 iterations in the same place cost nothing, as nothing is derived
    let iterations = encrypted.windows(4).position(|w| w == [0x02, 0x02, 0x08, 0x00]).expect("2048 iterations");
    let mut hostile = encrypted[..iterations].to_vec();
    hostile.extend_from_slice(&[0x02, 0x05, 0x00, 0x80, 0x00, 0x00, 0x00]);
    hostile.extend_from_slice(&encrypted[iterations + 4..]);
    let started = std::time::Instant::now();
    assert!(matches!(code(import(&hostile)), "malformed" | "unsupported"));
    assert!(started.elapsed().as_millis() < 100);
    let pem = key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), b"pass").unwrap();
    let refused = KeyMaterial::import(ImportFormat::Pkcs8Pem(&pem), None);
    assert_eq!(code(refused), "unsupported");
}

#[test]
fn pem_is_one_block_of_pkcs8() {
    let key = PKey::private_key_from_pkcs8(&ec_pkcs8(Nid::SECP384R1)).unwrap();
    let pem = |bytes: &[u8]| KeyMaterial::import(ImportFormat::Pkcs8Pem(bytes), None);
    let text = key.private_key_to_pem_pkcs8().unwrap();
    assert_eq!(pem(&text).unwrap().key_type(), KeyType::EcP384);
    let twice = [text.clone(), text.clone()].concat();
    assert_eq!(code(pem(&twice)), "malformed");
    let before = [b"note\n", &text[..]].concat();
    assert_eq!(code(pem(&before)), "malformed");
    let sec1 = key.ec_key().unwrap().private_key_to_pem().unwrap();
    assert_eq!(code(pem(&sec1)), "unsupported");
    assert_eq!(code(pem(b"\xff\xfe")), "malformed");
}

#[test]
fn key_14_sizes_and_curves_that_are_not_served_are_unsupported() {
    let rsa = PKey::from_rsa(Rsa::generate(1024).unwrap()).unwrap();
    assert_eq!(code(import(&rsa.private_key_to_pkcs8().unwrap())), "unsupported");
    for nid in [Nid::SECP224R1, Nid::BRAINPOOL_P256R1] {
        assert_eq!(code(import(&ec_pkcs8(nid))), "unsupported");
    }
    let ed25519 = PKey::generate_ed25519().unwrap();
    assert_eq!(code(import(&ed25519.private_key_to_pkcs8().unwrap())), "unsupported");
}

#[test]
fn the_declared_type_counts() {
    let der = ec_pkcs8(Nid::X9_62_PRIME256V1);
    let declared = |t| KeyMaterial::import(ImportFormat::Pkcs8Der(&der), Some(t));
    assert!(declared(KeyType::EcP256).is_ok());
    assert_eq!(code(declared(KeyType::EcP384)), "malformed");
    assert_eq!(code(declared(KeyType::Secret)), "malformed");
}
