//! RSA with the padding of PKCS#1 v1.5, for encryption, with implicit rejection.
//!
//! RFC 8017 section 7.2 and draft-irtf-cfrg-rsa-guidance section 7: a ciphertext whose padding is wrong
//! decrypts to a message that is made of the ciphertext and the private key, the same each time, so
//! that no caller can tell it from a right one by the answer, its shape or its time. `bad-inputs.md`
//! CRY-01. OpenSSL has this from 3.2 on; this is ours, so that it does not depend on what is linked.

use openssl::error::ErrorStack;
use openssl::pkey::{Private, Public};
use openssl::rsa::{Padding, Rsa};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq, ConstantTimeGreater, ConstantTimeLess};
use zeroize::Zeroizing;

use super::hash::Hash;
use super::hmac;
use crate::error::KeystoreError;

/// What the padding takes of the modulus.
const OVERHEAD: usize = 11;
/// How many lengths are drawn, of which the last that fits is taken.
const LENGTHS: usize = 128;

/// Encrypts; a plaintext longer than the modulus less 11 bytes is `too-large`.
pub fn encrypt(key: &Rsa<Public>, plaintext: &[u8]) -> Result<Vec<u8>, KeystoreError> {
    let size = key.size() as usize;
    if plaintext.len() > size.saturating_sub(OVERHEAD) {
        return Err(KeystoreError::TooLarge("too long for rsa1_5 with this key"));
    }
    let run = || -> Result<Vec<u8>, ErrorStack> {
        let mut ciphertext = vec![0; size];
        let written = key.public_encrypt(plaintext, &mut ciphertext, Padding::PKCS1)?;
        ciphertext.truncate(written);
        Ok(ciphertext)
    };
    run().map_err(|_| KeystoreError::CryptoFailed)
}

/// Decrypts. `exponent` is the private exponent of the key, big-endian.
///
/// A ciphertext that is not as long as the modulus, or not below it, is `crypto-failed`: anybody can see
/// that. Every other gives a message.
pub fn decrypt(key: &Rsa<Private>, exponent: &[u8], ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    let size = key.size() as usize;
    if ciphertext.len() != size {
        return Err(KeystoreError::CryptoFailed);
    }
    let run = || -> Result<Zeroizing<Vec<u8>>, ErrorStack> {
        let mut block = Zeroizing::new(vec![0; size]);
        key.private_decrypt(ciphertext, &mut block, Padding::NONE)?;
        Ok(block)
    };
    let block = run().map_err(|_| KeystoreError::CryptoFailed)?;
    let substitute = Substitute::of(size, exponent, ciphertext)?;
    message(&block, &substitute).ok_or(KeystoreError::CryptoFailed)
}

/// The message that stands in for one that cannot be read.
struct Substitute {
    /// As long as the modulus; the message is its end.
    bytes: Zeroizing<Vec<u8>>,
    /// Length of the message.
    length: u32,
}

impl Substitute {
    fn of(size: usize, exponent: &[u8], ciphertext: &[u8]) -> Result<Self, KeystoreError> {
        let mut padded = Zeroizing::new(vec![0; size.saturating_sub(exponent.len())]);
        // one growth at most, and the few zeros are no secret
        padded.reserve_exact(exponent.len());
        padded.extend_from_slice(exponent);
        let key = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(&padded)));
        let seed = Zeroizing::new(hmac::tag(key.as_slice(), Hash::Sha256, ciphertext)?);
        let candidates = stretched(&seed, b"length", 2 * LENGTHS)?;
        let longest = (size - OVERHEAD) as u32;
        let mask = longest.next_power_of_two() - 1;
        let mut length = 0_u32;
        for pair in candidates.chunks_exact(2) {
            let candidate = pair.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)) & mask;
            length.conditional_assign(&candidate, candidate.ct_lt(&(longest + 1)));
        }
        Ok(Self { bytes: stretched(&seed, b"message", size)?, length })
    }
}

/// HMAC-SHA-256 over number, label and length in bits, as often as needed.
fn stretched(seed: &[u8], label: &[u8], length: usize) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    let bits = (length * 8) as u16;
    let mut out = Zeroizing::new(Vec::with_capacity(length + 32));
    let mut number = 0_u16;
    while out.len() < length {
        let input = [&number.to_be_bytes()[..], label, &bits.to_be_bytes()].concat();
        out.extend_from_slice(&Zeroizing::new(hmac::tag(seed, Hash::Sha256, &input)?));
        number += 1;
    }
    out.truncate(length);
    Ok(out)
}

/// The end of the block behind its padding if that is right, else of the substitute, with the same
/// work for both.
fn message(block: &[u8], substitute: &Substitute) -> Option<Zeroizing<Vec<u8>>> {
    let (first, rest) = block.split_first()?;
    let (second, rest) = rest.split_first()?;
    let mut good = first.ct_eq(&0) & second.ct_eq(&2);
    // index, in the whole block, of the first zero byte behind the two
    let mut zero_at = 0_u32;
    let mut found = Choice::from(0);
    for (index, byte) in (2_u32..).zip(rest) {
        let here = byte.ct_eq(&0) & !found;
        zero_at.conditional_assign(&index, here);
        found |= here;
    }
    // at least eight bytes of padding stand before it
    good &= found & zero_at.ct_gt(&9);
    let size = block.len() as u32;
    let length = u32::conditional_select(&substitute.length, &(size - 1 - zero_at.min(size - 1)), good);
    let mut whole = Zeroizing::new(Vec::with_capacity(block.len()));
    whole
        .extend(block.iter().zip(substitute.bytes.iter()).map(|(own, other)| u8::conditional_select(other, own, good)));
    let start = block.len().checked_sub(length as usize)?;
    Some(Zeroizing::new(whole.get(start..)?.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(block: &[u8]) -> Vec<u8> {
        let substitute = Substitute { bytes: Zeroizing::new(vec![0xaa; block.len()]), length: 3 };
        message(block, &substitute).unwrap().to_vec()
    }

    #[test]
    fn cry_01_every_wrong_padding_gives_the_substitute() {
        let mut good = vec![7; 64];
        (good[0], good[1], good[10]) = (0, 2, 0);
        assert_eq!(read(&good), vec![7; 53]);
        let wrong = |change: fn(&mut Vec<u8>)| {
            let mut block = good.clone();
            change(&mut block);
            read(&block)
        };
        let changes: [fn(&mut Vec<u8>); 7] =
            [|b| b[0] = 1, |b| b[1] = 1, |b| b[1] = 0, |b| b[2] = 0, |b| b[9] = 0, |b| b[10] = 7, |b| b.fill(0)];
        for change in changes {
            assert_eq!(wrong(change), vec![0xaa; 3]);
        }
        let mut empty = vec![7; 64];
        (empty[0], empty[1], empty[63]) = (0, 2, 0);
        assert_eq!(read(&empty), b"");
    }
}
