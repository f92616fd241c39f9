//! Sealed copies of single keys, to be kept by their owner and brought back by them.
//!
//! `keyvault-api.md` section 2 (backup, restore); `store-durability.md` R1, R5 and R7 for how they are sealed.
//! A copy opens under the root key of this installation alone, at any incarnation of it; it holds provider,
//! name, attributes, the rule with its options, the rotation policy and every version, all of it
//! authenticated together. It is as good as the key to whoever has the root key, and nothing to anybody
//! else. Bytes: `docs/formats/store.md`, *Copy of a key*.

mod description;
mod pieces;

use zeroize::Zeroizing;

use crate::authorized::{Entry, Record};
use crate::change::{Attributes, RuleDocument};
use crate::error::{KeyStateReason, KeystoreError};
use crate::key::KeyType;
use crate::keystore::Keystore;
use crate::material::KeyMaterial;
use crate::names::{KeyName, ProviderId, VersionId};
use crate::rotation::{RotationPolicy, stored_rotation};
use crate::seal::derive::joined;
use crate::seal::secret::same;
use crate::storage::purged;
use crate::storage::sqlite::journal::acceptable;
use crate::storage::sqlite::keys::KeyRow;
use crate::storage::sqlite::row::select_one;
use crate::storage::sqlite::trust::PurgedRow;

use description::Description;

/// Longest copy of a key, in bytes.
pub const LONGEST_KEY_BACKUP: usize = 4 << 20;

/// An order to copy a key.
pub struct KeyBackupOrder {
    /// Whose key.
    pub provider: ProviderId,
    /// Which key.
    pub name: KeyName,
    /// The audit record.
    pub record: Record,
    /// Unix seconds.
    pub now: i64,
}

/// A copy of a key that was opened and found genuine: only [`Keystore::open_key_backup`] makes one. No
/// `Debug`, no `Clone`; its material is zeroed when dropped.
pub struct KeyBackup {
    pub(crate) provider: ProviderId,
    pub(crate) name: KeyName,
    /// Of the key it was made of.
    pub(crate) row_id: [u8; 16],
    pub(crate) key_type: KeyType,
    pub(crate) attributes: Attributes,
    pub(crate) rules: Option<RuleDocument>,
    pub(crate) immutable: bool,
    pub(crate) rotation: Option<RotationPolicy>,
    pub(crate) created: i64,
    /// Oldest first.
    pub(crate) versions: Vec<BackedVersion>,
    pub(crate) was_purged: bool,
}

/// A version in a copy.
pub(crate) struct BackedVersion {
    pub(crate) id: VersionId,
    pub(crate) created: i64,
    pub(crate) enabled: bool,
    pub(crate) material: KeyMaterial,
}

impl KeyBackup {
    /// The name under which it will be there again.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// Type and size of all its versions.
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// Its release rule with its options.
    pub fn rules(&self) -> Option<&RuleDocument> {
        self.rules.as_ref()
    }

    /// Its versions, oldest first.
    pub fn versions(&self) -> Vec<VersionId> {
        self.versions.iter().map(|version| version.id).collect()
    }

    /// Whether the key it was made of was purged.
    pub fn was_purged(&self) -> bool {
        self.was_purged
    }
}

#[cfg(fuzzing)]
impl KeyBackup {
    /// Whether this is the plaintext of a copy; for fuzz targets, which cannot seal one.
    pub fn reads(plaintext: &[u8]) -> bool {
        description::read(plaintext).is_some()
    }
}

/// Whether a copy may bring back a key that was purged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AfterPurge {
    /// `forbidden`: purged is purged.
    #[default]
    Refused,
    /// As key vaults do it: whoever kept a copy may undo a purge.
    Allowed,
}

impl Keystore {
    /// Makes a sealed copy of a key with all its versions, disabled ones too. It is handed out after its
    /// record reached the disk. What is exportable does not matter: nothing of the key can be had from it.
    ///
    /// Errors: `key-not-found`; `key-state` for deleted keys; `too-large` beyond [`LONGEST_KEY_BACKUP`];
    /// [`KeystoreError::EpochMoved`] if the key changed meanwhile; [`KeystoreError::StoreFailed`], after
    /// which the node must stop.
    pub fn backup_key(&self, order: KeyBackupOrder) -> Result<(Vec<u8>, Entry), KeystoreError> {
        let KeyBackupOrder { provider, name, record, now } = order;
        acceptable(&record)?;
        let ring = self.ring();
        let (key_mac, description, material) = self.read(|conn| {
            let key = KeyRow::find(conn, ring, &provider, &name)?.ok_or(KeystoreError::KeyNotFound)?;
            if key.deleted_at.is_some() {
                return Err(KeystoreError::KeyState(KeyStateReason::Deleted));
            }
            let data_key = key.open_data_key(ring)?;
            let versions = key.load_versions(conn, ring)?;
            let rule = key.load_rule(conn, ring)?;
            let rotation = stored_rotation(conn, ring, &provider, &key.row_id)?;
            let material = versions.iter().map(|version| version.open_material(ring, &data_key));
            let material: Vec<Zeroizing<Vec<u8>>> = material.collect::<Result<_, _>>()?;
            Ok((key.mac, Description::of(&key, rule, rotation.map(|(_, policy)| policy), &versions), material))
        })?;
        let json = serde_json::to_vec(&description)
            .map_err(|_| KeystoreError::Malformed("the description has no JSON form"))?;
        let mut parts: Vec<&[u8]> = vec![&json];
        parts.extend(material.iter().map(|form| form.as_slice()));
        let copy = pieces::seal(ring, &Zeroizing::new(joined(&parts)))?;
        drop(material);
        let entry = self.writer().submit(move |tx| {
            tx.see_time(now);
            let found = KeyRow::find(tx.counted(), tx.ring, &provider, &name)?;
            if found.is_none_or(|row| !same(&row.mac, &key_mac)) {
                return Err(KeystoreError::EpochMoved);
            }
            tx.append(&record)
        })?;
        Ok((copy, entry))
    }

    /// Opens a copy of a key of this provider, to be put back by
    /// [`Change::RestoreKey`](crate::Change::RestoreKey).
    ///
    /// `too-large`: beyond [`LONGEST_KEY_BACKUP`]. Whatever else is wrong with it, from another installation or
    /// provider to a single bit, is the one `crypto-failed`.
    pub fn open_key_backup(&self, provider: &ProviderId, copy: &[u8]) -> Result<KeyBackup, KeystoreError> {
        let ring = self.ring();
        let opened = pieces::open(ring, copy)?;
        let mut backup = description::read(&opened)
            .filter(|backup| backup.provider == *provider)
            .ok_or(KeystoreError::CryptoFailed)?;
        let tombstone: Option<PurgedRow> =
            self.read(|conn| select_one(conn, ring, "WHERE row_id = ?1", &[&backup.row_id]))?;
        let ledger = purged::read(&purged::ledger_of(self.path()), ring)?;
        backup.was_purged = tombstone.is_some() || ledger.contains(&backup.row_id);
        Ok(backup)
    }
}
