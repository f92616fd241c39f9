//! AES key wrap, through wrap and unwrap of a key of the store.

use keygate_keystore::{KeyMaterial, KeyType, VersionId, operations};

use crate::vectors::{Case, Outcome, Tally, expect, run};

#[test]
fn cry_04_aes_kwp() {
    let expected = Tally { accepted: 77, refused: 177, unsupported: 0 };
    run("aes_kwp_test", expected, |case| judge(case, "KWP", 7));
}

#[test]
fn cry_04_aes_kw() {
    let expected = Tally { accepted: 36, refused: 129, unsupported: 0 };
    run("aes_wrap_test", expected, |case| judge(case, "KW", 4));
}

fn judge(case: &Case, name: &str, first_number: u8) -> Outcome {
    let bits = case.group["keySize"].as_u64().unwrap();
    let (key_type, step) = match bits {
        128 => (KeyType::Oct128, 0),
        192 => (KeyType::Oct192, 1),
        _ => (KeyType::Oct256, 2),
    };
    let key = match KeyMaterial::from_sealed_form(key_type, &case.bytes("key")) {
        Ok(key) => key,
        Err(error) => return Outcome::Refused(error),
    };
    let algorithm = format!("A{bits}{name}");
    let version = VersionId::from_bytes([7; 16]);
    // the header as docs/formats/wrapped.md has it
    let mut ciphertext = b"KGW\x01".to_vec();
    ciphertext.extend_from_slice(version.as_bytes());
    ciphertext.push(first_number + step);
    ciphertext.extend_from_slice(&case.bytes("ct"));
    let message = case.bytes("msg");
    if case.text("result") == "valid" {
        let wrapped = operations::wrap(&key, &version, &algorithm, &message, &[]).unwrap();
        assert_eq!(wrapped, ciphertext, "{}", case.id());
    }
    let opened = operations::unwrap(&key, &algorithm, &ciphertext, &[]);
    if let Err(error) = &opened {
        assert_eq!(error.code(), "crypto-failed");
    }
    expect(case, opened, &message)
}
