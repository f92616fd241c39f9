//! JWK sets, key by key through import; where a key is taken, by a signature made with it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::{ImportFormat, KeyMaterial, KeystoreError, operations};
use sha2::{Digest, Sha256};

use crate::vectors::{Case, Outcome, Tally, run};

#[test]
fn key_14_json_web_key() {
    let expected = Tally { accepted: 1, refused: 7, unsupported: 18 };
    run("json_web_key_test", expected, |case| match import(case) {
        Ok(()) => Outcome::Accepted,
        Err(error) => Outcome::Refused(error),
    });
}

/// A set is good if each of its keys is, and if the signature of the case is what the key makes: the
/// algorithm of every key that is taken here is deterministic.
fn import(case: &Case) -> Result<(), KeystoreError> {
    let set = case.group["private"].as_object().unwrap();
    let refused = KeyMaterial::import(ImportFormat::Jwk(set), None);
    assert_eq!(refused.err().unwrap().code(), "unsupported");
    for members in set["keys"].as_array().unwrap() {
        let members = members.as_object().unwrap();
        let key = KeyMaterial::import(ImportFormat::Jwk(members), None)?;
        let (signed, signature) = case.text("jws").rsplit_once('.').unwrap();
        let made = operations::sign(&key, "RS256", &Sha256::digest(signed))?;
        if URL_SAFE_NO_PAD.encode(made) != signature {
            return Err(KeystoreError::CryptoFailed);
        }
    }
    Ok(())
}
