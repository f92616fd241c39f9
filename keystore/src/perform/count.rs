//! Counting the encryptions whose nonces are random.
//!
//! `threat-model.md` P31, `bad-inputs.md` CRY-09: under one key at most 2^31 of them. The count is a
//! high-water mark of the version, raised in the commit that lets the ciphertext out, so that it moves only
//! up; it stays when the key is destroyed, because a copy of the key may come back.

use crate::authorized::Use;
use crate::error::KeystoreError;
use crate::keystore::Keystore;
use crate::names::VersionId;
use crate::seal::secret::random;
use crate::storage::sqlite::row::{Row, select_one};
use crate::storage::sqlite::transaction::Transaction;
use crate::storage::sqlite::trust::MarkRow;

/// Encryptions by raw AES-GCM after which an operator should make a new version of the key.
pub const ALARMING_GCM_USES: u64 = 1 << 30;
/// Encryptions by raw AES-GCM that one version of a key makes, and no more.
pub const MOST_GCM_USES: u64 = 1 << 31;

/// A use that is counted, and under which name.
pub(super) struct Counted(String);

fn mark_of(version: &VersionId) -> String {
    format!("raw-gcm:{version}")
}

impl Counted {
    pub(super) fn of(usage: &Use, version: &VersionId) -> Option<Self> {
        match usage {
            Use::Raw(raw) if raw.is_counted() => Some(Self(mark_of(version))),
            _ => None,
        }
    }

    /// Refuses before any work; the commit asks again.
    pub(super) fn allow(&self, store: &Keystore) -> Result<(), KeystoreError> {
        within(store.mark(&self.0)?.unwrap_or(0))
    }

    /// One more.
    pub(super) fn add(self, tx: &mut Transaction<'_>) -> Result<(), KeystoreError> {
        let found: Option<MarkRow> = select_one(tx.counted(), tx.ring, "WHERE id = ?1", &[&self.0])?;
        match found {
            Some(mut row) => {
                within(row.value)?;
                let before = *row.mac();
                row.value += 1;
                row.row_version += 1;
                tx.replace(&before, &mut row)
            }
            None => {
                let mut row = MarkRow { id: self.0, row_id: random()?, row_version: 1, value: 1, mac: [0; 32] };
                tx.insert(&mut row).map(drop)
            }
        }
    }
}

fn within(uses: u64) -> Result<(), KeystoreError> {
    if uses < MOST_GCM_USES {
        return Ok(());
    }
    Err(KeystoreError::OperationNotAllowed("the version has made as many nonces as it may: make a new version"))
}

impl Keystore {
    /// How often a version encrypted by raw AES-GCM. From [`ALARMING_GCM_USES`] on it wants a successor, at
    /// [`MOST_GCM_USES`] it encrypts so no more.
    pub fn raw_gcm_uses(&self, version: &VersionId) -> Result<u64, KeystoreError> {
        Ok(self.mark(&mark_of(version))?.unwrap_or(0))
    }
}
