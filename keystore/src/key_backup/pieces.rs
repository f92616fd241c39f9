//! The sealed bytes of a copy: a header, and pieces that each are an envelope.
//!
//! `docs/formats/store.md`, *Copy of a key*. Every piece is bound to the header with the copy's own random
//! name, to its place, and to whether it is the last: pieces of two copies do not mix, and none can be
//! missing. The working key of this purpose is derived with the store's identity as salt.

use zeroize::Zeroizing;

use super::LONGEST_KEY_BACKUP;
use crate::error::KeystoreError;
use crate::seal::KeyRing;
use crate::seal::derive::joined;
use crate::seal::envelope;
use crate::seal::ring::KEK_EPOCH;
use crate::seal::secret::random;

const MAGIC: &[u8; 16] = b"keygate-key-cp-1";
/// Magic, store, name of the copy.
const HEADER: usize = 16 + 16 + 32;
/// Plaintext of every piece but the last, in bytes.
const PIECE: usize = 128 * 1024;

fn bound(header: &[u8], index: u32, last: bool) -> Vec<u8> {
    joined(&[b"keygate/v1", b"key-backup", header, &index.to_be_bytes(), &[last.into()]])
}

/// Seals the plaintext of a copy.
pub(super) fn seal(ring: &KeyRing, plaintext: &[u8]) -> Result<Vec<u8>, KeystoreError> {
    let mut out = Vec::with_capacity(HEADER + plaintext.len() + 1024);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&ring.store_id);
    out.extend_from_slice(&random::<32>()?);
    let header = out.clone();
    let mut pieces = plaintext.chunks(PIECE).zip(0_u32..).peekable();
    while let Some((piece, index)) = pieces.next() {
        let bound = bound(&header, index, pieces.peek().is_none());
        let envelope = envelope::seal(&ring.key_backup, KEK_EPOCH, &bound, piece)?;
        out.extend_from_slice(&(envelope.len() as u32).to_be_bytes());
        out.extend_from_slice(&envelope);
    }
    if out.len() > LONGEST_KEY_BACKUP {
        return Err(KeystoreError::TooLarge("the key has too many versions for a copy"));
    }
    Ok(out)
}

/// Opens what [`seal`] made in the same store, and nothing else.
pub(super) fn open(ring: &KeyRing, copy: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    if copy.len() > LONGEST_KEY_BACKUP {
        return Err(KeystoreError::TooLarge("longer than a copy of a key"));
    }
    opened(ring, copy).ok_or(KeystoreError::CryptoFailed)
}

fn opened(ring: &KeyRing, copy: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (header, mut rest) = copy.split_at_checked(HEADER)?;
    if !header.starts_with(MAGIC) || header.get(16..32)? != ring.store_id {
        return None;
    }
    // never longer than the copy, so the buffer never moves and leaves nothing behind
    let mut plaintext = Zeroizing::new(Vec::with_capacity(copy.len()));
    let mut index = 0_u32;
    loop {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let (envelope, behind) = behind.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        let last = behind.is_empty();
        let piece = envelope::open(&ring.key_backup, KEK_EPOCH, &bound(header, index, last), envelope).ok()?;
        plaintext.extend_from_slice(&piece);
        if last {
            return Some(plaintext);
        }
        index = index.checked_add(1)?;
        rest = behind;
    }
}
