//! The trait of a root-key provider, and the secret it gives.
//!
//! `store-durability.md` section 2 (R3) and section 4.

use zeroize::Zeroizing;

use crate::error::KeystoreError;

/// The root key of a store: 32 bytes, zeroed when dropped. It is asked for once, at start, and
/// dropped as soon as the working keys are derived.
pub struct RootSecret(Zeroizing<[u8; 32]>);

impl RootSecret {
    /// Takes 32 bytes; all zeros are `config-invalid`.
    pub fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Result<Self, KeystoreError> {
        if bytes.iter().all(|b| *b == 0) {
            return Err(KeystoreError::ConfigInvalid("the root key is all zeros".into()));
        }
        Ok(Self(bytes))
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Where a root key comes from.
pub trait RootKey: Send + Sync {
    /// Reads or unwraps it; `sealed` or `config-invalid` if that cannot be done.
    fn load(&self) -> Result<RootSecret, KeystoreError>;

    /// Kind and place of the provider for messages, without secrets.
    fn describe(&self) -> String;
}
