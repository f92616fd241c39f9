//! The cryptographic primitives, each in one file and with no choice left open.
//!
//! `dependencies.md` section 2: OpenSSL carries them, HKDF excepted. Callers hand in keys and
//! lengths that are checked here; every failed decryption is the one [`KeystoreError::CryptoFailed`].
//!
//! [`KeystoreError::CryptoFailed`]: crate::KeystoreError::CryptoFailed

pub mod ecdh;
pub mod ecdsa;
pub mod gcm;
pub mod hkdf;
pub mod key_wrap;
pub mod oaep;
pub mod random;
