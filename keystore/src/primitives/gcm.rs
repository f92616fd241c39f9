//! AES-GCM with nonces of 96 bits and tags of 128 bits, and no others.
//!
//! NIST SP 800-38D. Whoever calls this answers for the nonce: under one key it is used once.

use openssl::cipher::{Cipher, CipherRef};
use openssl::cipher_ctx::CipherCtx;
use openssl::error::ErrorStack;
use zeroize::Zeroizing;

use crate::error::KeystoreError;

/// Length of a nonce in bytes.
pub const NONCE_LENGTH: usize = 12;
/// Length of a tag in bytes.
pub const TAG_LENGTH: usize = 16;

/// Encrypts under a key of 16, 24 or 32 bytes; the result is the ciphertext with the tag behind it.
///
/// Another length of key is `unsupported`.
pub fn seal(key: &[u8], nonce: &[u8; NONCE_LENGTH], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, KeystoreError> {
    let cipher = cipher_of(key)?;
    encrypt(cipher, key, nonce, aad, plaintext).map_err(|_| KeystoreError::CryptoFailed)
}

/// Decrypts what [`seal`] made; a tag that does not hold, or is shorter, is `crypto-failed`.
pub fn open(
    key: &[u8],
    nonce: &[u8; NONCE_LENGTH],
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    let cipher = cipher_of(key)?;
    let split = sealed.len().checked_sub(TAG_LENGTH).and_then(|at| sealed.split_at_checked(at));
    let (ciphertext, tag) = split.ok_or(KeystoreError::CryptoFailed)?;
    decrypt(cipher, key, nonce, aad, ciphertext, tag).map_err(|_| KeystoreError::CryptoFailed)
}

fn cipher_of(key: &[u8]) -> Result<&'static CipherRef, KeystoreError> {
    match key.len() {
        16 => Ok(Cipher::aes_128_gcm()),
        24 => Ok(Cipher::aes_192_gcm()),
        32 => Ok(Cipher::aes_256_gcm()),
        _ => Err(KeystoreError::Unsupported("not the length of an AES key")),
    }
}

fn encrypt(
    cipher: &CipherRef,
    key: &[u8],
    nonce: &[u8; NONCE_LENGTH],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, ErrorStack> {
    let mut context = CipherCtx::new()?;
    context.encrypt_init(Some(cipher), Some(key), Some(nonce))?;
    if !aad.is_empty() {
        context.cipher_update(aad, None)?;
    }
    let mut sealed = Vec::with_capacity(plaintext.len() + TAG_LENGTH);
    if !plaintext.is_empty() {
        context.cipher_update_vec(plaintext, &mut sealed)?;
    }
    context.cipher_final_vec(&mut sealed)?;
    let mut tag = [0; TAG_LENGTH];
    context.tag(&mut tag)?;
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

fn decrypt(
    cipher: &CipherRef,
    key: &[u8],
    nonce: &[u8; NONCE_LENGTH],
    aad: &[u8],
    ciphertext: &[u8],
    tag: &[u8],
) -> Result<Zeroizing<Vec<u8>>, ErrorStack> {
    let mut context = CipherCtx::new()?;
    context.decrypt_init(Some(cipher), Some(key), Some(nonce))?;
    context.set_tag(tag)?;
    if !aad.is_empty() {
        context.cipher_update(aad, None)?;
    }
    // one block of room, so that the buffer never moves and leaves a copy behind
    let mut plaintext = Zeroizing::new(Vec::with_capacity(ciphertext.len() + TAG_LENGTH));
    if !ciphertext.is_empty() {
        context.cipher_update_vec(ciphertext, &mut plaintext)?;
    }
    context.cipher_final_vec(&mut plaintext)?;
    Ok(plaintext)
}
