//! The cryptographic primitives, each in one file and with no choice left open.
//!
//! `dependencies.md` section 2: OpenSSL carries them, HKDF excepted. Callers hand in keys and
//! lengths that are checked here; every failed decryption is the one [`KeystoreError::CryptoFailed`].
//!
//! [`KeystoreError::CryptoFailed`]: crate::KeystoreError::CryptoFailed

pub mod cbc;
pub mod ecdh;
pub mod ecdsa;
pub mod gcm;
pub mod hash;
pub mod hkdf;
pub mod hmac;
pub mod key_wrap;
pub mod oaep;
pub mod random;
pub mod rsa_pkcs1;
pub mod rsa_signature;
