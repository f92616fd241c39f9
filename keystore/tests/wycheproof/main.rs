//! Wycheproof vectors through the functions of this crate: every case is accepted, refused, or refused as
//! unsupported, and each count is pinned.
//!
//! `vectors/wycheproof/MANIFEST.md`; the folder is found through `KEYGATE_VECTORS`.

mod ecdh;
mod ecdsa;
mod gcm;
mod hkdf;
mod jwe;
mod jwk;
mod key_wrap;
mod oaep;
mod raw;
mod signatures;
mod vectors;
