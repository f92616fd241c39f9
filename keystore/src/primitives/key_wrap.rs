//! AES key wrap, without padding (RFC 3394) and with (RFC 5649).
//!
//! Both are deterministic and authenticate the plaintext with 64 or 32 bits: they are for keys, and
//! callers that can choose take AES-GCM. OpenSSL refuses both unless a flag is set before
//! initialisation (`dependencies.md` section 2).

use openssl::cipher::{Cipher, CipherRef};
use openssl::cipher_ctx::{CipherCtx, CipherCtxFlags};
use openssl::error::ErrorStack;
use zeroize::Zeroizing;

use crate::error::KeystoreError;

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Padding {
    /// RFC 3394: plaintexts are multiples of 8 bytes, at least 16.
    None,
    /// RFC 5649: plaintexts have any length from 1 byte.
    Kwp,
}

/// Initial values, RFC 3394 section 2.2.3.1 and RFC 5649 section 3.
const ICV: [u8; 8] = [0xa6; 8];
const ICV_KWP: [u8; 4] = [0xa6, 0x59, 0x59, 0xa6];

/// Longest plaintext in bytes: a sealed private key is far below.
const LONGEST: usize = 1 << 20;

/// Wraps under a key of 16, 24 or 32 bytes.
///
/// Another length of key is `unsupported`, a plaintext the padding cannot carry is `unsupported`, one
/// beyond 1 MiB `too-large`.
pub fn wrap(key: &[u8], padding: Padding, plaintext: &[u8]) -> Result<Vec<u8>, KeystoreError> {
    let cipher = cipher_of(key, padding)?;
    if plaintext.len() > LONGEST {
        return Err(KeystoreError::TooLarge("too long for aes key wrap"));
    }
    let fits = match padding {
        Padding::None => plaintext.len() >= 16 && plaintext.len().is_multiple_of(8),
        Padding::Kwp => !plaintext.is_empty(),
    };
    if !fits {
        return Err(KeystoreError::Unsupported(
            "aes key wrap takes whole blocks of 8 bytes from 16, with padding any length from 1",
        ));
    }
    let mut wrapped = Vec::with_capacity(plaintext.len() + 40);
    let run = |out: &mut Vec<u8>| -> Result<(), ErrorStack> {
        let mut context = CipherCtx::new()?;
        context.set_flags(CipherCtxFlags::FLAG_WRAP_ALLOW);
        context.encrypt_init(Some(cipher), Some(key), Some(icv_of(padding)))?;
        update(&mut context, plaintext, out)
    };
    run(&mut wrapped).map_err(|_| KeystoreError::CryptoFailed)?;
    Ok(wrapped)
}

/// Unwraps what [`wrap`] made; whatever does not hold is `crypto-failed`.
pub fn unwrap(key: &[u8], padding: Padding, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    let cipher = cipher_of(key, padding)?;
    let shortest = match padding {
        Padding::None => 24,
        Padding::Kwp => 16,
    };
    let length = wrapped.len();
    if !(shortest..=LONGEST + 16).contains(&length) || !length.is_multiple_of(8) {
        return Err(KeystoreError::CryptoFailed);
    }
    // room enough that the buffer never moves and leaves a copy behind
    let mut plaintext = Zeroizing::new(Vec::with_capacity(length + 40));
    let run = |out: &mut Vec<u8>| -> Result<(), ErrorStack> {
        let mut context = CipherCtx::new()?;
        context.set_flags(CipherCtxFlags::FLAG_WRAP_ALLOW);
        context.decrypt_init(Some(cipher), Some(key), Some(icv_of(padding)))?;
        update(&mut context, wrapped, out)
    };
    run(&mut plaintext).map_err(|_| KeystoreError::CryptoFailed)?;
    Ok(plaintext)
}

/// A wrap cipher does all its work in the one update; the final call adds nothing.
fn update(context: &mut CipherCtx, input: &[u8], out: &mut Vec<u8>) -> Result<(), ErrorStack> {
    out.resize(input.len() + 32, 0);
    let written = context.cipher_update(input, Some(out.as_mut_slice()))?;
    out.truncate(written);
    Ok(())
}

fn cipher_of(key: &[u8], padding: Padding) -> Result<&'static CipherRef, KeystoreError> {
    match (key.len(), padding) {
        (16, Padding::None) => Ok(Cipher::aes_128_wrap()),
        (24, Padding::None) => Ok(Cipher::aes_192_wrap()),
        (32, Padding::None) => Ok(Cipher::aes_256_wrap()),
        (16, Padding::Kwp) => Ok(Cipher::aes_128_wrap_pad()),
        (24, Padding::Kwp) => Ok(Cipher::aes_192_wrap_pad()),
        (32, Padding::Kwp) => Ok(Cipher::aes_256_wrap_pad()),
        _ => Err(KeystoreError::Unsupported("not the length of an AES key")),
    }
}

fn icv_of(padding: Padding) -> &'static [u8] {
    match padding {
        Padding::None => &ICV,
        Padding::Kwp => &ICV_KWP,
    }
}
