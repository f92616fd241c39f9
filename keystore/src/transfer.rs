//! Keys that come sealed to a key of ours.
//!
//! `keyvault-api.md` section 3 (BYOK import): an exchange key is an RSA key whose operations are exactly `import`; what
//! is sealed to it is PKCS#8 DER of an RSA or EC key, or the bytes of an AES key. A key is opened before the
//! change that brings it in, so that its type is known, and the commit of that change finds the exchange key
//! as it was or takes nothing.

use zeroize::Zeroizing;

use crate::authorized::Target;
use crate::error::KeystoreError;
use crate::import::ImportFormat;
use crate::key::{KeyType, Operation};
use crate::keystore::Keystore;
use crate::material::KeyMaterial;
use crate::names::ProviderId;
use crate::perform::permitted;
use crate::storage::sqlite::keys::KeyRow;
use crate::storage::sqlite::transaction::Transaction;
use crate::wrap::{self, Wrapping};

/// Longest ciphertext of a transfer, in bytes: a modulus, and a private key.
pub const LONGEST_TRANSFER: usize = 16_384;

/// A key that came sealed to one of ours.
pub struct TransferOrder {
    /// The exchange key. Its provider is the one for which the key is.
    pub exchange_key: Target,
    /// How it is sealed; `JWE` is `unsupported`.
    pub wrapping: Wrapping,
    /// The two ciphertexts one behind the other, at most [`LONGEST_TRANSFER`] bytes.
    pub ciphertext: Vec<u8>,
    /// What it is said to be.
    pub kind: TransferredKind,
    /// Unix seconds.
    pub now: i64,
}

/// What a sealed key is said to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransferredKind {
    /// PKCS#8 of an RSA key.
    Rsa,
    /// PKCS#8 of an EC key.
    Ec,
    /// The bytes of an AES key.
    Oct,
}

/// A key that was opened and checked as every foreign key: only [`Keystore::open_transfer`] makes one. No `Debug`, no
/// `Clone`; zeroed when dropped.
pub struct Transferred {
    material: KeyMaterial,
    exchange: Exchange,
}

/// The exchange key as it was.
struct Exchange {
    target: Target,
    key_mac: [u8; 32],
    version_mac: [u8; 32],
}

impl Transferred {
    /// Type and size of the key.
    pub fn key_type(&self) -> KeyType {
        self.material.key_type()
    }

    /// The key that it was sealed to, for the record of the change.
    pub fn exchange_key(&self) -> &Target {
        &self.exchange.target
    }

    /// The material, in the commit: if the exchange key is of the same provider and still what it was.
    pub(crate) fn take(self, tx: &Transaction<'_>, provider: &ProviderId) -> Result<KeyMaterial, KeystoreError> {
        let Exchange { target, key_mac, version_mac } = self.exchange;
        if target.provider != *provider {
            return Err(KeystoreError::KeyNotFound);
        }
        let found = KeyRow::find(tx.counted(), tx.ring, &target.provider, &target.name)?;
        let version = match &found {
            Some(key) => key.load_version(tx.counted(), tx.ring, &target.version)?,
            None => None,
        };
        match (found, version) {
            (Some(key), Some(version)) if key.mac == key_mac && version.mac == version_mac => Ok(self.material),
            _ => Err(KeystoreError::EpochMoved),
        }
    }
}

impl Keystore {
    /// Opens a key that is sealed to an exchange key, to be brought in by
    /// [`NewMaterial::Transferred`](crate::NewMaterial::Transferred). Nothing is written and nothing shown; the use of the
    /// exchange key stands in the record of the change.
    ///
    /// Errors: `key-not-found`, `key-state` for an exchange key that is deleted, disabled or outside its time;
    /// `operation-not-allowed` if the key is no exchange key; `too-large`; `unsupported` for another wrapping. Whatever
    /// does not open is the one `crypto-failed`, after the same work. What opened and is no good key of this kind
    /// is refused as [`KeyMaterial::import`] does.
    pub fn open_transfer(&self, order: &TransferOrder) -> Result<Transferred, KeystoreError> {
        if order.ciphertext.len() > LONGEST_TRANSFER {
            return Err(KeystoreError::TooLarge("longer than a sealed key"));
        }
        let ring = self.ring();
        let target = &order.exchange_key;
        let (key, version) = self.read(|conn| {
            let key = KeyRow::find(conn, ring, &target.provider, &target.name)?.ok_or(KeystoreError::KeyNotFound)?;
            let version = key.load_version(conn, ring, &target.version)?.ok_or(KeystoreError::KeyNotFound)?;
            Ok((key, version))
        })?;
        // Importing stands alone in the operations of a key: what has it has nothing else.
        permitted(&key, &version, Operation::Import, Some(order.now))?;
        let data_key = key.open_data_key(ring)?;
        let private = version.open_key(ring, &data_key, key.key_type)?;
        let opened = wrap::open_bytes(&private, order.wrapping, &order.ciphertext)?;
        let material = imported(&opened, order.kind)?;
        let exchange = Exchange { target: target.clone(), key_mac: key.mac, version_mac: version.mac };
        Ok(Transferred { material, exchange })
    }
}

fn imported(opened: &Zeroizing<Vec<u8>>, kind: TransferredKind) -> Result<KeyMaterial, KeystoreError> {
    let by_length = || KeyType::ALL.into_iter().find(|t| t.oct_length() == Some(opened.len()));
    let material = match kind {
        TransferredKind::Rsa | TransferredKind::Ec => KeyMaterial::import(ImportFormat::Pkcs8Der(opened), None)?,
        TransferredKind::Oct => {
            let key_type = by_length().ok_or(KeystoreError::Unsupported("not the length of an AES key"))?;
            KeyMaterial::import(ImportFormat::Raw(opened), Some(key_type))?
        }
    };
    let key_type = material.key_type();
    let fits = match kind {
        TransferredKind::Rsa => key_type.rsa_bits().is_some(),
        TransferredKind::Ec => key_type.curve().is_some(),
        TransferredKind::Oct => key_type.oct_length().is_some(),
    };
    if fits { Ok(material) } else { Err(KeystoreError::Malformed("the key is not of the declared type")) }
}
