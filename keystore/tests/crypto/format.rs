//! The examples of `docs/formats/wrapped.md`: every one opens, and the page shows what is in the file.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::{ImportFormat, KeyMaterial, KeyType, RecipientPrivate, Wrapped, operations, unwrap_with};
use serde_json::Value;

const EXAMPLES: &str = include_str!("../../../docs/formats/wrapped.json");
const PAGE: &str = include_str!("../../../docs/formats/wrapped.md");

fn examples(name: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(EXAMPLES).unwrap();
    all[name].as_array().unwrap().clone()
}

fn bytes(example: &Value, name: &str) -> Vec<u8> {
    hex::decode(example[name].as_str().unwrap()).unwrap()
}

fn key(example: &Value) -> KeyMaterial {
    match example["pkcs8"].as_str() {
        Some(text) => {
            let der = URL_SAFE_NO_PAD.decode(text).unwrap();
            KeyMaterial::import(ImportFormat::Pkcs8Der(&der), None).unwrap()
        }
        None => {
            let raw = bytes(example, "key");
            KeyMaterial::import(ImportFormat::Raw(&raw), Some(KeyType::Oct256)).unwrap()
        }
    }
}

/// The page without its line breaks and columns.
fn page() -> String {
    PAGE.split_whitespace().collect()
}

#[test]
fn ciphertexts_of_the_page_unwrap() {
    let examples = examples("under_a_key");
    assert_eq!(examples.len(), 4);
    for example in &examples {
        let (alg, ciphertext) = (example["alg"].as_str().unwrap(), bytes(example, "ciphertext"));
        let version = operations::version_of(&ciphertext).unwrap();
        assert_eq!(version.to_string(), example["version"].as_str().unwrap());
        let (key, aad) = (key(example), bytes(example, "aad"));
        let opened = operations::unwrap(&key, alg, &ciphertext, &aad).unwrap();
        assert_eq!(*opened, bytes(example, "plaintext"), "{alg}");
        // the ones without chance in them come out the same again
        if alg.contains("KW") {
            let again = operations::wrap(&key, &version, alg, &opened, &aad).unwrap();
            assert_eq!(again, ciphertext);
        }
    }
    let page = page();
    let gcm = examples[0]["ciphertext"].as_str().unwrap();
    for part in [&gcm[..8], &gcm[42..106], &gcm[106..170], &gcm[170..234], &gcm[234..]] {
        assert!(page.contains(part), "{part}");
    }
    assert!(page.contains(examples[2]["ciphertext"].as_str().unwrap()));
}

#[test]
fn sealed_answers_of_the_page_open() {
    let examples = examples("to_a_recipient");
    assert_eq!(examples.len(), 3);
    for example in &examples {
        let private = RecipientPrivate::from_material(key(example)).unwrap();
        let wrapped: Wrapped = serde_json::from_value(example["wrapped"].clone()).unwrap();
        let opened = unwrap_with(&private, &wrapped).unwrap();
        assert_eq!(*opened, bytes(example, "plaintext"));
    }
    let page = page();
    assert!(page.contains(examples[2]["wrapped"]["jwe"].as_str().unwrap()));
    assert!(page.contains(examples[2]["pkcs8"].as_str().unwrap()));
}
