//! Any bytes as a ciphertext of ours: nothing opens, nothing panics.
#![no_main]

use keygate_keystore::{ImportFormat, KeyMaterial, KeyType, operations};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let key = KeyMaterial::import(ImportFormat::Raw(&[7; 32]), Some(KeyType::Oct256)).expect("a sound key");
    let _ = operations::version_of(bytes);
    assert!(operations::unwrap(&key, "A256GCM", bytes, b"").is_err());
});
