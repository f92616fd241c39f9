//! Bytes of strangers: whatever they are, they are refused and nothing panics.

use keygate_keystore::{Curve, ImportFormat, KeyMaterial, KeyType, Recipient, RecipientPrivate, Wrapped, unwrap_with};
use proptest::prelude::*;
use serde_json::{Map, Value};

fn private() -> RecipientPrivate {
    RecipientPrivate::generate(KeyType::EcP256).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_bytes_are_pkcs8(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(KeyMaterial::import(ImportFormat::Pkcs8Der(&bytes), None).is_err());
        prop_assert!(KeyMaterial::import(ImportFormat::Pkcs8Pem(&bytes), None).is_err());
        for key_type in [KeyType::Rsa2048, KeyType::EcP256] {
            prop_assert!(KeyMaterial::from_sealed_form(key_type, &bytes).is_err());
        }
    }

    /// A good key with a few bytes changed: refused, or taken as another good one.
    #[test]
    fn changed_pkcs8_is_no_panic(place in 0_usize..138, byte in any::<u8>()) {
        let mut der = KeyMaterial::generate(KeyType::EcP256).unwrap().handed_out_form().unwrap();
        if der[place] != byte {
            der[place] = byte;
            prop_assert!(KeyMaterial::import(ImportFormat::Pkcs8Der(&der), None).is_err());
        }
    }

    #[test]
    fn no_text_is_a_sealed_answer(text in "[A-Za-z0-9_.-]{0,120}") {
        let private = private();
        let jwe = Wrapped::Jwe { jwe: text.clone() };
        prop_assert!(unwrap_with(&private, &jwe).is_err());
        let kwp = Wrapped::RsaAesKeyWrap256 { ciphertext: text };
        prop_assert!(unwrap_with(&private, &kwp).is_err());
    }

    #[test]
    fn no_coordinates_are_a_point(x in any::<[u8; 32]>(), y in any::<[u8; 32]>()) {
        prop_assert!(Recipient::ec(Curve::P256, &x, &y).is_err());
    }

    #[test]
    fn no_members_are_a_recipient(kty in "RSA|EC|oct", n in "[A-Za-z0-9_-]{0,20}") {
        let members: Map<String, Value> =
            [("kty", kty), ("n", n.clone()), ("e", n)].map(|(k, v)| (k.to_owned(), v.into())).into_iter().collect();
        prop_assert!(Recipient::from_jwk(&members).is_err());
        prop_assert!(KeyMaterial::import(ImportFormat::Jwk(&members), None).is_err());
    }
}
