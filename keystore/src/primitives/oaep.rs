//! RSA-OAEP with one hash for the label and for the mask, never a pair of two.
//!
//! RFC 8017 section 7.1. OpenSSL lets the mask's hash follow the label's unless both are set, and
//! vaults of other makers mix SHA-1 in: both are set, always (`dependencies.md` section 2). The label is
//! empty. Which hash is the caller's to say: ours is SHA-256, others serve the dialect doors.

use openssl::bn::BigNum;
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private, Public};
use openssl::pkey_ctx::PkeyCtx;
use openssl::rsa::{Padding, Rsa};
use zeroize::Zeroizing;

use super::hash::Hash;
use crate::error::KeystoreError;

/// Encrypts to an RSA key with an empty label.
///
/// A plaintext longer than the modulus less two hashes and 2 bytes is `too-large`.
pub fn encrypt(key: &PKey<Public>, hash: Hash, plaintext: &[u8]) -> Result<Vec<u8>, KeystoreError> {
    let room = key.size().saturating_sub(2 * hash.length() + 2);
    if plaintext.len() > room {
        return Err(KeystoreError::TooLarge("too long for rsa-oaep with this key"));
    }
    let run = || -> Result<Vec<u8>, ErrorStack> {
        let mut context = PkeyCtx::new(key)?;
        context.encrypt_init()?;
        context.set_rsa_padding(Padding::PKCS1_OAEP)?;
        context.set_rsa_oaep_md(hash.md())?;
        context.set_rsa_mgf1_md(hash.md())?;
        let mut ciphertext = vec![0; key.size()];
        let written = context.encrypt(plaintext, Some(&mut ciphertext))?;
        ciphertext.truncate(written);
        Ok(ciphertext)
    };
    run().map_err(|_| KeystoreError::CryptoFailed)
}

/// Decrypts what [`encrypt`] made; whatever does not hold is `crypto-failed`.
///
/// A ciphertext that has not exactly the length of the modulus is refused before the key is used.
pub fn decrypt(key: &PKey<Private>, hash: Hash, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    if ciphertext.len() != key.size() {
        return Err(KeystoreError::CryptoFailed);
    }
    let run = || -> Result<Zeroizing<Vec<u8>>, ErrorStack> {
        let mut context = PkeyCtx::new(key)?;
        context.decrypt_init()?;
        context.set_rsa_padding(Padding::PKCS1_OAEP)?;
        context.set_rsa_oaep_md(hash.md())?;
        context.set_rsa_mgf1_md(hash.md())?;
        let mut plaintext = Zeroizing::new(vec![0; key.size()]);
        let written = context.decrypt(ciphertext, Some(&mut plaintext))?;
        plaintext.truncate(written);
        Ok(plaintext)
    };
    run().map_err(|_| KeystoreError::CryptoFailed)
}

/// Makes a public key from modulus and exponent, without the generic decoder.
pub fn public_key(n: &[u8], e: &[u8]) -> Result<PKey<Public>, KeystoreError> {
    let run = || -> Result<PKey<Public>, ErrorStack> {
        let (n, e) = (BigNum::from_slice(n)?, BigNum::from_slice(e)?);
        PKey::from_rsa(Rsa::from_public_components(n, e)?)
    };
    run().map_err(|_| KeystoreError::CryptoFailed)
}
