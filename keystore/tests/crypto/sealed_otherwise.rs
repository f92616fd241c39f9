//! Sealed answers in forms that a recipient of ours does not open. `bad-inputs.md` JWT-37, JWT-38, JWT-40, JWT-41.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::{KeyType, RecipientPrivate, Wrapped, Wrapping, unwrap_with, wrap};
use serde_json::{Value, json};

fn sealed(key_type: KeyType) -> (RecipientPrivate, Vec<String>) {
    let private = RecipientPrivate::generate(key_type).unwrap();
    let wrapped =
        wrap::wrap(private.recipient(), Wrapping::Jwe, b"a key of 32 bytes, as many as it", "application/octet-stream")
            .unwrap();
    let jwe = serde_json::to_value(&wrapped).unwrap()["jwe"].as_str().unwrap().to_owned();
    (private, jwe.split('.').map(str::to_owned).collect())
}

fn opened(private: &RecipientPrivate, parts: &[String]) -> Result<(), &'static str> {
    let wrapped: Wrapped = serde_json::from_value(json!({"wrapping": "JWE", "jwe": parts.join(".")})).unwrap();
    unwrap_with(private, &wrapped).map(drop).map_err(|error| error.code())
}

fn with_header(parts: &[String], change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(&parts[0]).unwrap()).unwrap();
    change(&mut header);
    let mut changed = parts.to_vec();
    changed[0] = URL_SAFE_NO_PAD.encode(header.to_string());
    changed
}

#[test]
fn jwt_37_38_40_other_compressions_and_algorithms_are_not_opened() {
    for key_type in [KeyType::Rsa2048, KeyType::EcP256] {
        let (private, parts) = sealed(key_type);
        assert_eq!(opened(&private, &parts), Ok(()));
        let compressed = with_header(&parts, |header| header["zip"] = json!("DEF"));
        assert_eq!(opened(&private, &compressed), Err("malformed"));
        for alg in ["PBES2-HS256+A128KW", "RSA1_5", "RSA-OAEP", "dir", "A256KW", "ECDH-ES"] {
            let other = with_header(&parts, |header| header["alg"] = json!(alg));
            assert_eq!(opened(&private, &other), Err("unsupported"), "{alg}");
        }
        let costly = with_header(&parts, |header| header["p2c"] = json!(2_147_483_648_u64));
        assert_eq!(opened(&private, &costly), Err("malformed"));
        let other = with_header(&parts, |header| header["enc"] = json!("A128CBC-HS256"));
        assert_eq!(opened(&private, &other), Err("unsupported"));
    }
}

#[test]
fn jwt_41_tags_nonces_and_ciphertexts_have_their_lengths() {
    let (private, parts) = sealed(KeyType::EcP256);
    for (part, bytes) in [(4, 8), (4, 12), (4, 15), (4, 0), (2, 16), (2, 8), (2, 0), (3, 0), (1, 0)] {
        let mut cut = parts.clone();
        let mut raw = URL_SAFE_NO_PAD.decode(&parts[part]).unwrap();
        raw.resize(bytes, 0);
        cut[part] = URL_SAFE_NO_PAD.encode(raw);
        assert_eq!(opened(&private, &cut), Err("crypto-failed"), "part {part} of {bytes} bytes");
    }
}
