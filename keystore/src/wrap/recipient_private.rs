//! The private half of a recipient: what a workload keeps in its memory.
//!
//! `native-api.md` section 2, `keygate attest`, `release`, `unwrap`: a fresh one for each request.

use serde_json::{Map, Value};

use super::recipient::Recipient;
use crate::error::KeystoreError;
use crate::key::KeyType;
use crate::material::KeyMaterial;

/// A key pair to which answers are sealed. No `Debug`, no `Clone`; zeroed when dropped.
pub struct RecipientPrivate {
    material: KeyMaterial,
    recipient: Recipient,
}

impl RecipientPrivate {
    /// Makes a fresh pair of an RSA type, `EcP256` or `EcP384`; other types are `unsupported`.
    pub fn generate(key_type: KeyType) -> Result<Self, KeystoreError> {
        if key_type.rsa_bits().is_none() && key_type.curve().is_none() {
            return Err(KeystoreError::Unsupported("a recipient has an RSA or an EC key"));
        }
        Self::from_material(KeyMaterial::generate(key_type)?)
    }

    /// Takes a pair made before; a type that cannot be a recipient is `unsupported`.
    pub fn from_material(material: KeyMaterial) -> Result<Self, KeystoreError> {
        let recipient = Recipient::of(material.public())?;
        Ok(Self { material, recipient })
    }

    /// The public half.
    pub fn recipient(&self) -> &Recipient {
        &self.recipient
    }

    /// The members of the public JWK.
    pub fn public_jwk(&self) -> Map<String, Value> {
        self.recipient.jwk()
    }

    pub(super) fn material(&self) -> &KeyMaterial {
        &self.material
    }
}
