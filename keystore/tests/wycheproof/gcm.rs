//! AES-GCM through the function that seals rows, messages and JWE.

use keygate_keystore::KeystoreError;
use keygate_keystore::primitives::gcm;

use crate::vectors::{Case, Outcome, Tally, expect, run};

#[test]
fn cry_06_aes_gcm() {
    let expected = Tally { accepted: 116, refused: 81, unsupported: 119 };
    run("aes_gcm_test", expected, judge);
}

fn judge(case: &Case) -> Outcome {
    let (key, aad, message) = (case.bytes("key"), case.bytes("aad"), case.bytes("msg"));
    let (ciphertext, tag) = (case.bytes("ct"), case.bytes("tag"));
    // the types admit no other nonce; this is what a caller with another one meets
    let Ok(nonce) = <[u8; gcm::NONCE_LENGTH]>::try_from(case.bytes("iv")) else {
        return Outcome::Refused(KeystoreError::Unsupported("not a nonce of 96 bits"));
    };
    let mut sealed = ciphertext;
    sealed.extend_from_slice(&tag);
    if case.text("result") == "valid" {
        assert_eq!(gcm::seal(&key, &nonce, &aad, &message).unwrap(), sealed);
    }
    expect(case, gcm::open(&key, &nonce, &aad, &sealed), &message)
}
