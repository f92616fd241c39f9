//! The envelope of one secret at rest.
//!
//! `store-durability.md` section 3 (R4, R5, R7, R8, R10). Layout: version 1 byte, algorithm 1 byte,
//! epoch 4 bytes, salt 32 bytes, commitment 32 bytes, ciphertext, tag 16 bytes. Each envelope has
//! its own AES-256-GCM key, derived with the salt, so the nonce is zero and never repeats under
//! one key. The commitment is derived beside the key and compared before the ciphertext is touched:
//! an envelope opens under one key only.

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit, Nonce, Tag};
use zeroize::Zeroizing;

use super::derive::{hkdf, joined};
use super::secret::{Secret, random, same};
use crate::error::KeystoreError;

const VERSION: u8 = 1;
const AES_256_GCM: u8 = 1;
const HEADER: usize = 6;
const STEP: usize = 64;

/// Longest plaintext, in bytes.
pub(crate) const MAX_PLAINTEXT: usize = 256 * 1024;

/// The envelope did not open: wrong place, wrong key or damage. They are not told apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

fn header(epoch: u32) -> [u8; HEADER] {
    let [a, b, c, d] = epoch.to_be_bytes();
    [VERSION, AES_256_GCM, a, b, c, d]
}

/// The AEAD key and the commitment.
fn keys(key: &Secret, header: &[u8], salt: &[u8; 32], bound: &[u8]) -> (Aes256Gcm, [u8; 32]) {
    let info = joined(&[b"keygate/v1", b"envelope", header, bound]);
    let derived = hkdf::<64>(key.expose(), salt, &info);
    let (aead, commitment) = derived.split_at(32);
    let mut aead_key = Zeroizing::new([0; 32]);
    aead_key.copy_from_slice(aead);
    let mut committed = [0; 32];
    committed.copy_from_slice(commitment);
    (Aes256Gcm::new((&*aead_key).into()), committed)
}

/// Seals `plaintext`, at most 256 KiB, under `key`, bound to `bound`.
pub(crate) fn seal(key: &Secret, epoch: u32, bound: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, KeystoreError> {
    if plaintext.len() > MAX_PLAINTEXT {
        return Err(KeystoreError::TooLarge("longer than 256 KiB"));
    }
    // Full capacity before the first byte: growing would leave copies behind.
    let padded = (plaintext.len() + 4).next_multiple_of(STEP);
    let mut body = Zeroizing::new(vec![0; padded]);
    let length = u32::try_from(plaintext.len()).unwrap_or(u32::MAX);
    for (to, from) in body.iter_mut().zip(length.to_be_bytes().iter().chain(plaintext)) {
        *to = *from;
    }
    seal_padded(key, epoch, bound, body)
}

fn seal_padded(key: &Secret, epoch: u32, bound: &[u8], mut body: Zeroizing<Vec<u8>>) -> Result<Vec<u8>, KeystoreError> {
    let header = header(epoch);
    let salt = random::<32>()?;
    let (aead, commitment) = keys(key, &header, &salt, bound);
    let tag = aead
        .encrypt_inout_detached(&Nonce::default(), bound, body.as_mut_slice().into())
        .map_err(|_| KeystoreError::CryptoFailed)?;
    let mut out = Vec::with_capacity(HEADER + 64 + body.len() + 16);
    out.extend_from_slice(&header);
    out.extend_from_slice(&salt);
    out.extend_from_slice(&commitment);
    out.extend_from_slice(&body);
    out.extend_from_slice(&tag);
    Ok(out)
}

/// Opens an envelope made by [`seal`] with the same key, epoch and place.
pub(crate) fn open(key: &Secret, epoch: u32, bound: &[u8], envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>, Damaged> {
    let (found, rest) = envelope.split_first_chunk::<HEADER>().ok_or(Damaged)?;
    if *found != header(epoch) {
        return Err(Damaged);
    }
    let (salt, rest) = rest.split_first_chunk::<32>().ok_or(Damaged)?;
    let (commitment, rest) = rest.split_first_chunk::<32>().ok_or(Damaged)?;
    let (ciphertext, tag) = rest.split_last_chunk::<16>().ok_or(Damaged)?;
    if ciphertext.is_empty() || ciphertext.len() % STEP != 0 {
        return Err(Damaged);
    }
    let (aead, expected) = keys(key, found, salt, bound);
    if !same(commitment, &expected) {
        return Err(Damaged);
    }
    let mut body = Zeroizing::new(ciphertext.to_vec());
    aead.decrypt_inout_detached(&Nonce::default(), bound, body.as_mut_slice().into(), &Tag::from(*tag))
        .map_err(|_| Damaged)?;

    let (length, rest) = body.split_first_chunk::<4>().ok_or(Damaged)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| Damaged)?;
    let (plaintext, padding) = rest.split_at_checked(length).ok_or(Damaged)?;
    if padding.len() >= STEP || padding.iter().any(|b| *b != 0) {
        return Err(Damaged);
    }
    Ok(Zeroizing::new(plaintext.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> Secret {
        Secret::from_bytes(Zeroizing::new([byte; 32]))
    }

    #[test]
    fn what_is_sealed_opens_at_its_place_only() {
        let sealed = seal(&key(1), 1, b"here", b"secret").unwrap();
        assert_eq!(&**open(&key(1), 1, b"here", &sealed).unwrap(), b"secret");
        assert_eq!(open(&key(1), 1, b"there", &sealed), Err(Damaged));
        assert_eq!(open(&key(2), 1, b"here", &sealed), Err(Damaged));
        assert_eq!(open(&key(1), 2, b"here", &sealed), Err(Damaged));
    }

    #[test]
    fn sto_06_every_flipped_bit_and_every_cut_is_noticed() {
        let sealed = seal(&key(1), 1, b"here", b"secret").unwrap();
        for i in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[i] ^= 1 << (i % 8);
            assert_eq!(open(&key(1), 1, b"here", &damaged), Err(Damaged), "{i}");
            assert_eq!(open(&key(1), 1, b"here", &sealed[..i]), Err(Damaged));
        }
    }

    #[test]
    fn lengths_show_only_in_steps_of_64() {
        let length = |n: usize| seal(&key(1), 1, b"", &vec![1; n]).unwrap().len();
        assert_eq!(length(0), length(60));
        assert_eq!(length(60) + 64, length(61));
        for n in [0, 1, 60, 61, 124, 125, 4096] {
            let sealed = seal(&key(1), 1, b"", &vec![7; n]).unwrap();
            assert_eq!(**open(&key(1), 1, b"", &sealed).unwrap(), vec![7; n]);
        }
    }

    #[test]
    fn cry_07_the_commitment_alone_decides_before_the_cipher() {
        // The ciphertext is untouched; only the commitment is of another key.
        let mut sealed = seal(&key(1), 1, b"here", b"secret").unwrap();
        let other = seal(&key(2), 1, b"here", b"secret").unwrap();
        sealed[38..70].copy_from_slice(&other[38..70]);
        assert_eq!(open(&key(1), 1, b"here", &sealed), Err(Damaged));
    }

    #[test]
    fn a_plaintext_has_one_padding_only() {
        let sealed = |length: u32, size: usize, stray: usize| {
            let mut body = vec![0; size];
            body[..4].copy_from_slice(&length.to_be_bytes());
            body[stray] |= 1;
            let sealed = seal_padded(&key(1), 1, b"", Zeroizing::new(body)).unwrap();
            open(&key(1), 1, b"", &sealed).map(|opened| opened.len())
        };
        assert_eq!(sealed(5, 64, 8), Ok(5));
        assert_eq!(sealed(5, 64, 9), Err(Damaged));
        assert_eq!(sealed(5, 128, 8), Err(Damaged));
        assert_eq!(sealed(61, 64, 8), Err(Damaged));
        assert_eq!(sealed(u32::MAX, 64, 8), Err(Damaged));
    }

    #[test]
    fn two_seals_of_one_secret_share_nothing() {
        let a = seal(&key(1), 1, b"", b"secret").unwrap();
        let b = seal(&key(1), 1, b"", b"secret").unwrap();
        assert_ne!(a[6..38], b[6..38]);
        assert_ne!(a[38..], b[38..]);
    }

    #[test]
    fn more_than_the_limit_is_refused() {
        let code = seal(&key(1), 1, b"", &vec![0; MAX_PLAINTEXT + 1]).unwrap_err();
        assert_eq!(code.code(), "too-large");
    }
}
