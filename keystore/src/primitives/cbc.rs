//! AES-CBC, with PKCS#7 padding or for whole blocks.
//!
//! NIST SP 800-38A section 6.2; RFC 5652 section 6.3. CBC authenticates nothing: whoever may ask for
//! decryption can learn plaintexts by asking often enough, whatever this code does. What it does: the
//! padding is read in constant time, and whatever does not hold is one error.

use openssl::cipher::{Cipher, CipherRef};
use openssl::cipher_ctx::CipherCtx;
use openssl::error::ErrorStack;
use subtle::{Choice, ConstantTimeEq, ConstantTimeGreater, ConstantTimeLess};
use zeroize::Zeroizing;

use crate::error::KeystoreError;

/// Length of a block and of an initialisation vector in bytes.
pub const BLOCK_LENGTH: usize = 16;

/// Whether plaintexts are padded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Padding {
    /// Plaintexts are whole blocks.
    None,
    /// PKCS#7: plaintexts have any length.
    Pkcs7,
}

/// Encrypts under a key of 16, 24 or 32 bytes.
///
/// Another length of key is `unsupported`; without padding, a plaintext that is not whole blocks, or
/// nothing at all, is `malformed`.
pub fn encrypt(
    key: &[u8],
    padding: Padding,
    iv: &[u8; BLOCK_LENGTH],
    plaintext: &[u8],
) -> Result<Vec<u8>, KeystoreError> {
    let cipher = cipher_of(key)?;
    if padding == Padding::None && (plaintext.is_empty() || !plaintext.len().is_multiple_of(BLOCK_LENGTH)) {
        return Err(KeystoreError::Malformed("the plaintext is not whole blocks of 16 bytes"));
    }
    let run = || -> Result<Vec<u8>, ErrorStack> {
        let mut context = CipherCtx::new()?;
        context.encrypt_init(Some(cipher), Some(key), Some(iv))?;
        context.set_padding(padding == Padding::Pkcs7);
        let mut out = Vec::with_capacity(plaintext.len() + 2 * BLOCK_LENGTH);
        if !plaintext.is_empty() {
            context.cipher_update_vec(plaintext, &mut out)?;
        }
        context.cipher_final_vec(&mut out)?;
        Ok(out)
    };
    run().map_err(|_| KeystoreError::CryptoFailed)
}

/// Decrypts what [`encrypt`] made; whatever does not hold is `crypto-failed`.
pub fn decrypt(
    key: &[u8],
    padding: Padding,
    iv: &[u8; BLOCK_LENGTH],
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    let cipher = cipher_of(key)?;
    if ciphertext.is_empty() || !ciphertext.len().is_multiple_of(BLOCK_LENGTH) {
        return Err(KeystoreError::CryptoFailed);
    }
    let run = || -> Result<Zeroizing<Vec<u8>>, ErrorStack> {
        let mut context = CipherCtx::new()?;
        context.decrypt_init(Some(cipher), Some(key), Some(iv))?;
        // the padding is read below, not by a loop that ends where it is wrong
        context.set_padding(false);
        // one block of room, so that the buffer never moves and leaves a copy behind
        let mut out = Zeroizing::new(Vec::with_capacity(ciphertext.len() + 2 * BLOCK_LENGTH));
        context.cipher_update_vec(ciphertext, &mut out)?;
        context.cipher_final_vec(&mut out)?;
        Ok(out)
    };
    let mut plaintext = run().map_err(|_| KeystoreError::CryptoFailed)?;
    if padding == Padding::Pkcs7 {
        let length = unpadded(&plaintext).ok_or(KeystoreError::CryptoFailed)?;
        plaintext.truncate(length);
    }
    Ok(plaintext)
}

/// The length without the padding, found with the same work for every padding.
fn unpadded(padded: &[u8]) -> Option<usize> {
    let (_, last_block) = padded.split_last_chunk::<BLOCK_LENGTH>()?;
    let count = *last_block.last()?;
    let mut good = count.ct_gt(&0) & !count.ct_gt(&(BLOCK_LENGTH as u8));
    for (distance, byte) in last_block.iter().rev().enumerate() {
        let outside: Choice = !(distance as u8).ct_lt(&count);
        good &= outside | byte.ct_eq(&count);
    }
    if bool::from(good) { padded.len().checked_sub(usize::from(count)) } else { None }
}

fn cipher_of(key: &[u8]) -> Result<&'static CipherRef, KeystoreError> {
    match key.len() {
        16 => Ok(Cipher::aes_128_cbc()),
        24 => Ok(Cipher::aes_192_cbc()),
        32 => Ok(Cipher::aes_256_cbc()),
        _ => Err(KeystoreError::Unsupported("not the length of an AES key")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_padding_of_a_block_is_told_from_every_other() {
        for count in 0..=255_u8 {
            for wrong in 0..=BLOCK_LENGTH {
                let mut block = [count; BLOCK_LENGTH];
                let body = BLOCK_LENGTH.saturating_sub(usize::from(count));
                block[..body].fill(0xee);
                if wrong < BLOCK_LENGTH - 1 {
                    block[wrong] ^= 1;
                }
                let fits = (1..=16).contains(&count) && (wrong >= BLOCK_LENGTH - 1 || wrong < body);
                assert_eq!(unpadded(&block), fits.then_some(body), "{count} {wrong}");
            }
        }
    }
}
