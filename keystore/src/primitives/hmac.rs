//! HMAC with SHA-256, SHA-384 or SHA-512, whole tags only.
//!
//! RFC 2104; RFC 7518 section 3.2 for the three. Tags are compared in constant time.

use hkdf::hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;

use super::hash::Hash;
use crate::error::KeystoreError;

/// The tag of a message; SHA-1 is `unsupported`.
pub fn tag(key: &[u8], hash: Hash, message: &[u8]) -> Result<Vec<u8>, KeystoreError> {
    // HMAC takes keys of every length, so the constructors cannot fail
    let failed = |_| KeystoreError::CryptoFailed;
    Ok(match hash {
        Hash::Sha1 => return Err(KeystoreError::Unsupported("hmac with sha-1 is not served")),
        Hash::Sha256 => {
            Hmac::<Sha256>::new_from_slice(key).map_err(failed)?.chain_update(message).finalize().into_bytes().to_vec()
        }
        Hash::Sha384 => {
            Hmac::<Sha384>::new_from_slice(key).map_err(failed)?.chain_update(message).finalize().into_bytes().to_vec()
        }
        Hash::Sha512 => {
            Hmac::<Sha512>::new_from_slice(key).map_err(failed)?.chain_update(message).finalize().into_bytes().to_vec()
        }
    })
}

/// Whether this is the tag of the message; a shorter one never is.
pub fn holds(key: &[u8], hash: Hash, message: &[u8], found: &[u8]) -> Result<bool, KeystoreError> {
    Ok(tag(key, hash, message)?.ct_eq(found).into())
}
