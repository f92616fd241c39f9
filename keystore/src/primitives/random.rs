//! Randomness: the generator of OpenSSL, seeded by the operating system.
//!
//! `bad-inputs.md` CRY-10: without randomness nothing is made.

use zeroize::Zeroizing;

use crate::error::KeystoreError;

/// Fills an array that may be shown: salts, identifiers, nonces.
pub fn public<const N: usize>() -> Result<[u8; N], KeystoreError> {
    let mut bytes = [0; N];
    openssl::rand::rand_bytes(&mut bytes).map_err(|_| KeystoreError::Randomness)?;
    Ok(bytes)
}

/// Makes `length` bytes that stay secret: keys.
pub fn secret(length: usize) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    let mut bytes = Zeroizing::new(vec![0; length]);
    openssl::rand::rand_priv_bytes(&mut bytes).map_err(|_| KeystoreError::Randomness)?;
    Ok(bytes)
}
