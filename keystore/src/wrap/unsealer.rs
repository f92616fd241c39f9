//! Whoever holds the private half of a recipient: memory, or hardware that it never leaves.
//!
//! `native-api.md` section 3, *Sealed answers only*. Two operations open every wrapping: RSA-OAEP and the agreement on a curve.

use openssl::ec::EcKey;
use openssl::pkey::Public;
use zeroize::Zeroizing;

use super::recipient::Recipient;
use super::recipient_private::RecipientPrivate;
use crate::error::KeystoreError;
use crate::primitives::hash::Hash;
use crate::primitives::{ecdh, oaep};

/// Opens what was sealed to [`recipient`](Self::recipient).
pub trait Unsealer: Send + Sync {
    /// The public half.
    fn recipient(&self) -> &Recipient;

    /// RSA-OAEP with this hash for label and mask, and an empty label.
    ///
    /// # Errors
    /// `crypto-failed`: it does not open. `unsupported`: a hash, or a kind of key, that the holder does not serve.
    fn decrypt(&self, hash: Hash, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeystoreError>;

    /// The x coordinate of the point that both sides agree on. The default is for holders of RSA keys.
    ///
    /// # Errors
    /// As of [`decrypt`](Self::decrypt).
    fn agree(&self, _public: &EcKey<Public>) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
        Err(KeystoreError::Unsupported("the recipient's key agrees on nothing"))
    }
}

impl Unsealer for RecipientPrivate {
    fn recipient(&self) -> &Recipient {
        self.recipient()
    }
    fn decrypt(&self, hash: Hash, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
        oaep::decrypt(&self.material().rsa()?, hash, ciphertext)
    }
    fn agree(&self, public: &EcKey<Public>) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
        ecdh::agree(&self.material().ec()?, public)
    }
}
