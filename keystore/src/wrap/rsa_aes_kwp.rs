//! `RSA_AES_KEY_WRAP_256`, `RSA_AES_KEY_WRAP_384`, `CKM_RSA_AES_KEY_WRAP`: RSA-OAEP of a fresh AES key, then
//! AES-KWP of the answer under it.
//!
//! PKCS#11 v3.1 section 6.1.13 with an AES key of 256 bits; both ciphertexts one behind the other. The
//! three differ in the hash of OAEP alone, which stands in both of its places: SHA-256, SHA-384, SHA-1
//! (`secure-key-release.md` sections 4 and 5).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::{LONGEST_ANSWER, Recipient, RecipientKind, Unsealer};
use crate::error::KeystoreError;
use crate::material::KeyMaterial;
use crate::primitives::hash::Hash;
use crate::primitives::key_wrap::{self, Padding};
use crate::primitives::{oaep, random};

/// Length of the AES key in bytes.
const KEY_LENGTH: usize = 32;

pub(super) fn seal(recipient: &Recipient, hash: Hash, plaintext: &[u8]) -> Result<String, KeystoreError> {
    let public = recipient.rsa_key().ok_or_else(not_rsa)??;
    if plaintext.is_empty() {
        return Err(KeystoreError::Unsupported("aes key wrap cannot carry an empty answer: ask for `JWE`"));
    }
    let key = random::secret(KEY_LENGTH)?;
    let mut ciphertext = oaep::encrypt(&public, hash, &key)?;
    ciphertext.extend_from_slice(&key_wrap::wrap(&key, Padding::Kwp, plaintext)?);
    Ok(URL_SAFE_NO_PAD.encode(ciphertext))
}

pub(super) fn open(private: &dyn Unsealer, hash: Hash, ciphertext: &str) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    if ciphertext.len() > 2 * LONGEST_ANSWER {
        return Err(KeystoreError::TooLarge("the sealed answer is too long"));
    }
    let bytes = URL_SAFE_NO_PAD
        .decode(ciphertext)
        .map_err(|_| KeystoreError::Malformed("the sealed answer is not base64url"))?;
    if private.recipient().kind() != RecipientKind::Rsa {
        return Err(not_rsa());
    }
    let modulus_length = private.recipient().modulus_length();
    open_by(modulus_length, |encrypted_key| private.decrypt(hash, encrypted_key), &bytes)
}

/// The same with a key of ours.
pub(crate) fn open_bytes(private: &KeyMaterial, hash: Hash, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    let modulus_length = private.key_type().rsa_bits().ok_or_else(not_rsa)? / 8;
    let key = private.rsa()?;
    open_by(modulus_length, |encrypted_key| oaep::decrypt(&key, hash, encrypted_key), bytes)
}

/// Opens the two ciphertexts one behind the other. Whatever does not open is `crypto-failed`, after the same work: where
/// there is no key in the first, a random one is tried on the second.
fn open_by(
    modulus_length: usize,
    decrypt: impl FnOnce(&[u8]) -> Result<Zeroizing<Vec<u8>>, KeystoreError>,
    bytes: &[u8],
) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    let (encrypted_key, wrapped) = bytes.split_at_checked(modulus_length).ok_or(KeystoreError::CryptoFailed)?;
    let stand_in = random::secret(KEY_LENGTH)?;
    let decrypted = decrypt(encrypted_key).ok().filter(|key| key.len() == KEY_LENGTH);
    let opened = key_wrap::unwrap(decrypted.as_ref().unwrap_or(&stand_in), Padding::Kwp, wrapped);
    match (decrypted, opened) {
        (Some(_), Ok(plaintext)) => Ok(plaintext),
        _ => Err(KeystoreError::CryptoFailed),
    }
}

fn not_rsa() -> KeystoreError {
    KeystoreError::Unsupported("this wrapping needs an RSA recipient")
}
