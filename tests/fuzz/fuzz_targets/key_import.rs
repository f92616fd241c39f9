//! Any bytes as a key to import: taken or refused; what is taken has a sealed form that reads back.
#![no_main]

use keygate_keystore::{ImportFormat, KeyMaterial};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for format in [ImportFormat::Pkcs8Der(bytes), ImportFormat::Pkcs8Pem(bytes)] {
        if let Ok(key) = KeyMaterial::import(format, None) {
            assert!(KeyMaterial::from_sealed_form(key.key_type(), &key.sealed_form()).is_ok());
        }
    }
});
