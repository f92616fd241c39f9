//! JWE, through the opening of a sealed answer.

use keygate_keystore::{ImportFormat, KeyMaterial, KeystoreError, RecipientPrivate, Wrapped, unwrap_with};
use serde_json::{Map, Value};

use crate::vectors::{Case, Outcome, Tally, expect, run};

#[test]
fn key_06_json_web_encryption() {
    let expected = Tally { accepted: 2, refused: 7, unsupported: 130 };
    run("json_web_encryption_test", expected, |case| match open(case) {
        Ok(opened) => expect(case, Ok(opened), &case.bytes("pt")),
        Err(error) => Outcome::Refused(error),
    });
}

fn open(case: &Case) -> Result<Vec<u8>, KeystoreError> {
    // what the key is marked for is not what its holder keeps: a recipient is its numbers
    let members: Map<String, Value> = case.group["private"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| !["alg", "use", "kid"].contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let material = KeyMaterial::import(ImportFormat::Jwk(&members), None)?;
    let private = RecipientPrivate::from_material(material)?;
    let jwe = match &case.test["jwe"] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    unwrap_with(&private, &Wrapped::Jwe { jwe }).map(|opened| opened.to_vec())
}
