//! The header of a ciphertext: which form, which version of the key, which algorithm.
//!
//! `docs/formats/wrapped.md` section 1. It routes; what it says is authenticated by the body of AES-GCM
//! ciphertexts only, and for the others a changed header meets a key that does not open them.

use crate::error::KeystoreError;
use crate::names::VersionId;

use super::algorithm::Algorithm;

/// First bytes of every ciphertext, the last of them the number of this form.
const MAGIC: [u8; 4] = *b"KGW\x01";
/// Length of the header in bytes: magic, version, algorithm.
pub(super) const HEADER_LENGTH: usize = 4 + 16 + 1;

/// Writes the header.
pub(super) fn header(version: &VersionId, number: u8) -> [u8; HEADER_LENGTH] {
    let mut header = [0; HEADER_LENGTH];
    let bytes = MAGIC.iter().chain(version.as_bytes()).chain([&number]);
    for (place, byte) in header.iter_mut().zip(bytes) {
        *place = *byte;
    }
    header
}

/// A ciphertext taken apart.
pub(super) struct Blob<'a> {
    pub header: &'a [u8],
    pub version: VersionId,
    pub number: u8,
    pub body: &'a [u8],
}

impl<'a> Blob<'a> {
    /// Takes a ciphertext apart; nothing if it does not begin as one of ours.
    pub fn read(ciphertext: &'a [u8]) -> Option<Self> {
        let (header, body) = ciphertext.split_at_checked(HEADER_LENGTH)?;
        let (magic, rest) = header.split_first_chunk::<4>()?;
        let (version, rest) = rest.split_first_chunk::<16>()?;
        let number = *rest.first()?;
        (*magic == MAGIC).then_some(Self { header, version: VersionId::from_bytes(*version), number, body })
    }
}

/// The version of the key that a ciphertext names; `malformed` if it names none.
///
/// A ciphertext made elsewhere with the public key alone names none: its version is the caller's to say.
pub fn version_of(ciphertext: &[u8]) -> Result<VersionId, KeystoreError> {
    let malformed = KeystoreError::Malformed("the ciphertext names no version of a key");
    let blob = Blob::read(ciphertext).ok_or(malformed.clone())?;
    let known = Algorithm::ALL.into_iter().any(|a| a.number() == Some(blob.number));
    known.then_some(blob.version).ok_or(malformed)
}
