//! HKDF with SHA-256.
//!
//! RFC 5869. Callers build `info` from a label and length-prefixed parts, see [`info`].

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::KeystoreError;

/// Longest output: 255 times the length of the hash.
pub const LONGEST_OUTPUT: usize = 255 * 32;

/// Derives `length` bytes; more than [`LONGEST_OUTPUT`] is `too-large`.
pub fn derive(key: &[u8], salt: &[u8], info: &[u8], length: usize) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    if length > LONGEST_OUTPUT {
        return Err(KeystoreError::TooLarge("more than hkdf can derive"));
    }
    let mut output = Zeroizing::new(vec![0; length]);
    Hkdf::<Sha256>::new(Some(salt), key).expand(info, &mut output).map_err(|_| KeystoreError::CryptoFailed)?;
    Ok(output)
}

/// Builds the `info` of a derivation: the label, then each part behind its length in 4 bytes,
/// big-endian, so that no two lists of parts give the same bytes.
pub fn info(label: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut info = label.as_bytes().to_vec();
    for part in parts {
        // parts are names and identifiers of ours, far below 4 GiB
        info.extend_from_slice(&(part.len() as u32).to_be_bytes());
        info.extend_from_slice(part);
    }
    info
}
