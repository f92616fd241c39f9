//! The uses of a key that never show it.
//!
//! `native-api.md` section 3. What a ciphertext looks like is told in `docs/formats/wrapped.md`; the forms of
//! dialect doors are in [`raw`].

mod algorithm;
mod blob;
mod data_wrap;
pub mod raw;
mod sign;

pub use algorithm::{Algorithm, Purpose};
pub use blob::version_of;
pub use data_wrap::{LONGEST_AAD, LONGEST_PLAINTEXT, generate, unwrap, wrap};
pub use sign::sign;

use zeroize::Zeroizing;

use crate::error::KeystoreError;
use crate::primitives::random;

/// Most random bytes that are given at once.
pub const MOST_RANDOM_BYTES: usize = 128;

/// Random bytes for a caller, `keyvault-api.md` section 2: none are `malformed`, more than
/// [`MOST_RANDOM_BYTES`] `too-large`. `dependency-unavailable`: there is no randomness.
pub fn random_bytes(count: usize) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    match count {
        0 => Err(KeystoreError::Malformed("at least one random byte")),
        1..=MOST_RANDOM_BYTES => random::secret(count),
        _ => Err(KeystoreError::TooLarge("at most 128 random bytes")),
    }
}
