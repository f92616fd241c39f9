//! The raw forms: key vaults' algorithms by their own names, with ciphertext, initialisation vector and tag
//! as parts of their own.
//!
//! `keyvault-api.md` section 3. What these take and give names no version of a key and is no ciphertext of
//! ours (`docs/formats/wrapped.md` section 1): the forms of the native door stay what they are. The key
//! itself works on the bytes here, so that others with the same key can do the same; therefore a use of
//! AES-GCM is counted, see [`Keystore::raw_gcm_uses`](crate::Keystore::raw_gcm_uses).
//!
//! **Where `encrypt` is open and `decrypt` is not**: A*CBC and A*CBCPAD, whose caller chooses the
//! initialisation vector, make every block cipher call of the key available, and with it the key stream of
//! each raw AES-GCM ciphertext of that key. [`RawAlgorithm::opens_more`] names them; a door judges them by
//! the rule for `unwrap`, as [`Use::rules`](crate::Use::rules) says.

mod algorithm;
mod cipher;
mod signature;

use zeroize::Zeroizing;

pub use algorithm::RawAlgorithm;
pub use cipher::{decrypt, encrypt, fits_wrapping};
pub use signature::{sign, verify, verify_by};

/// Whether `RSA1_5` may be used: its padding is the oracle of 1998. Off unless a caller says otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Rsa15 {
    /// `unsupported`.
    #[default]
    Refused,
    /// Served, with implicit rejection.
    Served,
}

/// What is to be encrypted, and how.
pub struct RawPlaintext {
    /// Algorithm name.
    pub alg: String,
    /// What is encrypted.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// Of A*CBC and A*CBCPAD: 16 bytes. With AES-GCM it is ours to make.
    pub iv: Option<Vec<u8>>,
    /// Authenticated beside it, by AES-GCM alone.
    pub aad: Vec<u8>,
    /// Whether `RSA1_5` may be used.
    pub rsa1_5: Rsa15,
}

/// What is to be decrypted, and how.
pub struct RawCiphertext {
    /// Algorithm name.
    pub alg: String,
    /// What was encrypted.
    pub ciphertext: Vec<u8>,
    /// 12 bytes of AES-GCM, 16 of A*CBC and A*CBCPAD.
    pub iv: Option<Vec<u8>>,
    /// 16 bytes of AES-GCM.
    pub tag: Option<Vec<u8>>,
    /// Authenticated beside it, by AES-GCM alone.
    pub aad: Vec<u8>,
    /// Whether `RSA1_5` may be used.
    pub rsa1_5: Rsa15,
}

/// What encrypting gave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawParts {
    /// The ciphertext, without the tag.
    pub ciphertext: Vec<u8>,
    /// 12 bytes that AES-GCM was given, or the 16 of the caller.
    pub iv: Option<Vec<u8>>,
    /// 16 bytes of AES-GCM.
    pub tag: Option<Vec<u8>>,
}
