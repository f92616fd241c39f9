//! The answer, sealed to a key in the machine's TPM: `maa-rest-api.md` section 3.5.
//!
//! A fresh AES-256 key encrypts the token with AES-GCM under the additional data `Transport Key`; RSAES-PKCS1-v1_5 encrypts that key,
//! because this is what the clients' TPM decrypts with. The padding is no oracle of ours: nothing is decrypted here.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keygate_verifier::RecipientKey;
use openssl::bn::BigNum;
use openssl::encrypt::Encrypter;
use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::rsa::{Padding, Rsa};
use openssl::symm::{Cipher, encrypt_aead};
use serde_json::json;
use zeroize::Zeroizing;

use crate::broker::error::{Code, Fault};

/// What the clients give as additional data.
const CONTEXT: &[u8] = b"Transport Key";
/// Bytes of the tag.
const TAG: usize = 16;

/// A fresh key and a fresh initialisation vector, for one answer.
pub(in crate::broker::azure) struct Fresh {
    key: Zeroizing<[u8; 32]>,
    iv: [u8; 12],
}

impl Fresh {
    /// From random bytes that nothing else uses.
    pub(in crate::broker::azure) fn new(key: Zeroizing<[u8; 32]>, iv: [u8; 12]) -> Self {
        Self { key, iv }
    }
}

/// The envelope around a token: base64url of its JSON, without padding.
///
/// # Errors
/// `dependency-unavailable`: OpenSSL did not do it; never for a key that the verifier read.
pub(in crate::broker::azure) fn seal(token: &str, to: &RecipientKey, fresh: &Fresh) -> Result<String, Fault> {
    let RecipientKey::Rsa { n, e } = to else {
        return Err(Fault::new(Code::DependencyUnavailable, "").because("the key of the envelope is not rsa"));
    };
    envelope(token, n, e, fresh).map_err(|_| Fault::new(Code::DependencyUnavailable, "").because("sealing failed"))
}

fn envelope(token: &str, n: &[u8], e: &[u8], fresh: &Fresh) -> Result<String, ErrorStack> {
    let key = PKey::from_rsa(Rsa::from_public_components(BigNum::from_slice(n)?, BigNum::from_slice(e)?)?)?;
    let mut encrypter = Encrypter::new(&key)?;
    encrypter.set_rsa_padding(Padding::PKCS1)?;
    let mut inner = vec![0; encrypter.encrypt_len(&fresh.key[..])?];
    let length = encrypter.encrypt(&fresh.key[..], &mut inner)?;
    inner.truncate(length);
    let mut tag = [0; TAG];
    let cipher = Cipher::aes_256_gcm();
    let sealed = encrypt_aead(cipher, &fresh.key[..], Some(&fresh.iv), CONTEXT, token.as_bytes(), &mut tag)?;
    let body = json!({
        "EncryptedInnerKey": STANDARD.encode(inner),
        "EncryptionParams": {
            "Iv": STANDARD.encode(fresh.iv),
            "Cipher": "AES",
            "BlockMode": "ChainingModeGCM",
            "BlockPadding": "PKCS7",
            "KeySizeInBits": 256,
        },
        "AuthenticationData": STANDARD.encode(tag),
        "Jwt": STANDARD.encode(sealed),
    });
    Ok(URL_SAFE_NO_PAD.encode(body.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_key_of_another_type_gets_no_envelope() {
        let ec = RecipientKey::Ec { curve: keygate_verifier::RecipientCurve::P256, x: vec![1; 32], y: vec![2; 32] };
        let fresh = || Fresh::new(Zeroizing::new([7; 32]), [9; 12]);
        assert!(seal("a.b.c", &ec, &fresh()).is_err());
        let rsa = Rsa::generate(2_048).unwrap();
        let key = RecipientKey::Rsa { n: rsa.n().to_vec(), e: rsa.e().to_vec() };
        let sealed = URL_SAFE_NO_PAD.decode(seal("a.b.c", &key, &fresh()).unwrap()).unwrap();
        let body: Value = serde_json::from_slice(&sealed).unwrap();
        assert_eq!(body["EncryptionParams"]["Iv"], STANDARD.encode([9; 12]));
        let inner = STANDARD.decode(body["EncryptedInnerKey"].as_str().unwrap()).unwrap();
        let mut opened = vec![0; 256];
        let length = rsa.private_decrypt(&inner, &mut opened, Padding::PKCS1).unwrap();
        assert_eq!(opened[..length], [7; 32], "the random bytes that were handed in");
    }
}
