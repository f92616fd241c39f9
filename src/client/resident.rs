//! A recipient whose private half stays in this machine's hardware.
//!
//! Keygate's contract, section 3, *Sealed answers only*: both wrappings for RSA recipients begin with RSA-OAEP of a fresh key, and the
//! hardware opens that; the answer itself is opened here.

use std::sync::{Arc, Mutex, PoisonError};

use keygate_keystore::{Hash, KeystoreError, Recipient, Unsealer};
use zeroize::Zeroizing;

use super::ClientError;
use crate::attester::{AttesterError, ResidentKey};

/// The hardware's key as a recipient.
pub(super) struct Resident {
    key: Arc<dyn ResidentKey>,
    recipient: Recipient,
    /// Why the hardware opened nothing, to be told instead of `crypto-failed`.
    fault: Arc<Mutex<Option<AttesterError>>>,
}

/// Where the last fault of a [`Resident`] is found.
pub(super) type Fault = Arc<Mutex<Option<AttesterError>>>;

impl Resident {
    pub(super) fn new(key: Arc<dyn ResidentKey>) -> Result<(Self, Fault), ClientError> {
        let recipient = Recipient::rsa(key.modulus(), key.exponent());
        let recipient = recipient.map_err(|e| ClientError::local(e.code(), e.to_string()))?;
        let fault = Fault::default();
        Ok((Self { key, recipient, fault: Arc::clone(&fault) }, fault))
    }
}

impl Unsealer for Resident {
    fn recipient(&self) -> &Recipient {
        &self.recipient
    }

    fn decrypt(&self, hash: Hash, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
        if hash != Hash::Sha256 {
            return Err(KeystoreError::Unsupported("the recipient's key takes RSA-OAEP with SHA-256"));
        }
        self.key.decrypt(ciphertext).map_err(|fault| {
            *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
            KeystoreError::CryptoFailed
        })
    }
}
