//! A 256-bit secret that is zeroed when dropped.
//!
//! `store-durability.md` section 10 (R37): no copy without a named call, no printing, no
//! serialization. Locking of pages is done for the whole process by the node.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::error::KeystoreError;

/// 32 secret bytes.
pub(crate) struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    /// Fresh, from the cryptographic generator.
    pub(crate) fn random() -> Result<Self, KeystoreError> {
        let mut bytes = Zeroizing::new([0; 32]);
        openssl::rand::rand_priv_bytes(bytes.as_mut_slice()).map_err(|_| KeystoreError::Randomness)?;
        Ok(Self(bytes))
    }

    /// These bytes.
    pub(crate) fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// The bytes, when there are exactly 32.
    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 32] = bytes.try_into().ok()?;
        Some(Self(Zeroizing::new(*bytes)))
    }

    /// The secret itself; keep the reference short.
    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Compares two digests without telling where they differ.
pub(crate) fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.ct_eq(b).into()
}

/// Fills public random bytes: identifiers and salts.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], KeystoreError> {
    let mut bytes = [0; N];
    openssl::rand::rand_bytes(&mut bytes).map_err(|_| KeystoreError::Randomness)?;
    Ok(bytes)
}
