//! The uses of a key that never show it.
//!
//! `native-api.md` section 3. What a ciphertext looks like is told in `docs/formats/wrapped.md`.

mod algorithm;
mod blob;
mod data_wrap;
mod sign;

pub use algorithm::{Algorithm, Purpose};
pub use blob::version_of;
pub use data_wrap::{LONGEST_AAD, LONGEST_PLAINTEXT, generate, unwrap, wrap};
pub use sign::sign;
