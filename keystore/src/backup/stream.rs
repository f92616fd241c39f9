//! A sealed stream: chunks of 1 MiB, each with its counter and whether it is the last.
//!
//! `store-durability.md` R28 (STREAM construction). Each file has its own key, derived with a salt
//! and bound to the file's header; a commitment to it stands in the header. The nonce of a chunk
//! is its counter in 11 bytes and a byte that is 1 for the last chunk only.

use std::io::{self, Read, Write};

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit, Nonce, Tag};
use zeroize::Zeroizing;

use crate::seal::Secret;
use crate::seal::derive::{hkdf, joined};

/// Plaintext of every chunk but the last, in bytes.
pub(super) const CHUNK: usize = 1024 * 1024;
const TAG: usize = 16;

/// Key and commitment of one file.
pub(super) fn file_key(key: &Secret, salt: &[u8; 32], header: &[u8]) -> (Aes256Gcm, [u8; 32]) {
    let info = joined(&[b"keygate/v1", b"backup-file", header]);
    let derived = hkdf::<64>(key.expose(), salt, &info);
    let (aead, commitment) = derived.split_at(32);
    let mut aead_key = Zeroizing::new([0; 32]);
    aead_key.copy_from_slice(aead);
    let mut committed = [0; 32];
    committed.copy_from_slice(commitment);
    (Aes256Gcm::new((&*aead_key).into()), committed)
}

fn nonce(counter: u64, last: bool) -> Nonce<aes_gcm::aead::consts::U12> {
    let mut nonce = [0; 12];
    for (to, from) in nonce.iter_mut().skip(3).zip(counter.to_be_bytes()) {
        *to = from;
    }
    if let Some(flag) = nonce.last_mut() {
        *flag = last.into();
    }
    nonce.into()
}

/// Seals what is written to it.
pub(super) struct Sealer<W> {
    to: W,
    aead: Aes256Gcm,
    counter: u64,
    pending: Vec<u8>,
}

impl<W: Write> Sealer<W> {
    /// Seals to `to`, behind a header that is written already.
    pub(super) fn new(to: W, aead: Aes256Gcm) -> Self {
        Self { to, aead, counter: 0, pending: Vec::with_capacity(CHUNK) }
    }

    fn chunk(&mut self, last: bool) -> io::Result<()> {
        let nonce = nonce(self.counter, last);
        let tag = self
            .aead
            .encrypt_inout_detached(&nonce, b"", self.pending.as_mut_slice().into())
            .map_err(|_| io::ErrorKind::InvalidInput)?;
        self.to.write_all(&self.pending)?;
        self.to.write_all(&tag)?;
        self.pending.clear();
        self.counter += 1;
        Ok(())
    }

    /// Writes the last chunk. A stream without it does not open.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.chunk(true)?;
        Ok(self.to)
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk is sealed only when more comes, so that the last one is never empty for
        // nothing.
        if self.pending.len() == CHUNK {
            self.chunk(false)?;
        }
        let room = CHUNK - self.pending.len();
        let (taken, _) = bytes.split_at(room.min(bytes.len()));
        self.pending.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens a stream chunk by chunk and hands each to `take`. Anything that is not the whole stream in
/// its order is an error of kind `InvalidData`.
pub(super) fn open(
    mut from: impl Read,
    aead: &Aes256Gcm,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    // One byte more than a chunk tells whether another one follows.
    let mut buffer = Vec::with_capacity(CHUNK + TAG + 1);
    let mut counter = 0;
    loop {
        let wanted = (CHUNK + TAG + 1 - buffer.len()) as u64;
        from.by_ref().take(wanted).read_to_end(&mut buffer)?;
        let last = buffer.len() <= CHUNK + TAG;
        let next = if last { None } else { buffer.pop() };
        let (tag, length) = match buffer.split_last_chunk::<TAG>() {
            Some((body, tag)) => (Tag::from(*tag), body.len()),
            None => return Err(io::ErrorKind::InvalidData.into()),
        };
        buffer.truncate(length);
        aead.decrypt_inout_detached(&nonce(counter, last), b"", buffer.as_mut_slice().into(), &tag)
            .map_err(|_| io::ErrorKind::InvalidData)?;
        take(&buffer)?;
        buffer.clear();
        match next {
            Some(byte) => buffer.push(byte),
            None => return Ok(()),
        }
        counter += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aead(byte: u8) -> Aes256Gcm {
        let key = Secret::from_bytes(Zeroizing::new([byte; 32]));
        file_key(&key, &[1; 32], b"header").0
    }

    fn sealed(plaintext: &[u8]) -> Vec<u8> {
        let mut sealer = Sealer::new(Vec::new(), aead(1));
        sealer.write_all(plaintext).unwrap();
        sealer.finish().unwrap()
    }

    fn opened(stream: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        open(stream, &aead(1), |chunk| {
            out.extend_from_slice(chunk);
            Ok(())
        })?;
        Ok(out)
    }

    #[test]
    fn streams_of_every_length_come_back() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 7] {
            let plaintext: Vec<u8> = (0..length).map(|i| i as u8).collect();
            assert!(opened(&sealed(&plaintext)).unwrap() == plaintext, "{length}");
        }
    }

    #[test]
    fn sto_25_cut_reordered_or_changed_streams_do_not_open() {
        let stream = sealed(&vec![7; 3 * CHUNK]);
        let step = CHUNK + TAG;
        assert!(opened(&stream).is_ok());
        for cut in [0, 15, 16, step, 2 * step, 3 * step - 1] {
            assert!(opened(&stream[..cut]).is_err(), "{cut}");
        }
        let mut swapped = stream[step..2 * step].to_vec();
        swapped.extend_from_slice(&stream[..step]);
        swapped.extend_from_slice(&stream[2 * step..]);
        assert!(opened(&swapped).is_err());
        let mut longer = stream.clone();
        longer.extend_from_slice(&stream[2 * step..]);
        assert!(opened(&longer).is_err());
        let mut flipped = stream.clone();
        flipped[step + 5] ^= 1;
        assert!(opened(&flipped).is_err());
        assert!(open(&stream[..], &aead(2), |_| Ok(())).is_err());
    }
}
