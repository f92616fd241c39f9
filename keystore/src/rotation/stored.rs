//! Rotation policies in the store.
//!
//! Policy rows (`docs/formats/store.md`) whose kind is `rotation:` and the row of the key in hex.

use rusqlite::Connection;

use super::RotationPolicy;
use crate::error::KeystoreError;
use crate::keystore::Keystore;
use crate::names::{KeyName, ProviderId};
use crate::seal::KeyRing;
use crate::storage::sqlite::keys::KeyRow;
use crate::storage::sqlite::policies::PolicyRow;
use crate::storage::sqlite::row::{select, select_one};

/// How the kinds of their rows begin.
pub(crate) const KIND: &str = "rotation:";

/// The kind of the policy rows of a key.
pub(crate) fn kind_of(row_id: &[u8; 16]) -> String {
    format!("{KIND}{}", hex::encode(row_id))
}

/// A rotation policy as it stood from some moment on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationVersion {
    /// From 1.
    pub number: u64,
    /// Unix seconds.
    pub at: i64,
    /// Who set it.
    pub author: String,
    /// Why.
    pub reason: String,
    /// The policy.
    pub policy: RotationPolicy,
}

fn version(row: PolicyRow) -> Result<RotationVersion, KeystoreError> {
    let policy = RotationPolicy::parse(&row.document)
        .map_err(|_| KeystoreError::StoreCorrupt { object: format!("policies {}", hex::encode(row.row_id)) })?;
    Ok(RotationVersion { number: row.number, at: row.at, author: row.author, reason: row.reason, policy })
}

/// The policy in force of a key, with its number.
pub(crate) fn stored_rotation(
    conn: &Connection,
    ring: &KeyRing,
    provider: &ProviderId,
    row_id: &[u8; 16],
) -> Result<Option<(u64, RotationPolicy)>, KeystoreError> {
    let condition = "WHERE provider = ?1 AND kind = ?2 ORDER BY number DESC LIMIT 1";
    let row: Option<PolicyRow> = select_one(conn, ring, condition, &[&provider.as_str(), &kind_of(row_id)])?;
    row.map(|row| version(row).map(|version| (version.number, version.policy))).transpose()
}

impl Keystore {
    /// Every version of the rotation policy of a key, oldest first: the last one is in force, and the times of
    /// first and last are those of the making and the last change. `key-not-found` without the key.
    pub fn rotation_history(
        &self,
        provider: &ProviderId,
        name: &KeyName,
    ) -> Result<Vec<RotationVersion>, KeystoreError> {
        let ring = self.ring();
        self.read(|conn| {
            let key = KeyRow::find(conn, ring, provider, name)?.ok_or(KeystoreError::KeyNotFound)?;
            let condition = "WHERE provider = ?1 AND kind = ?2 ORDER BY number";
            let kind = kind_of(&key.row_id);
            let rows: Vec<PolicyRow> = select(conn, ring, condition, &[&provider.as_str(), &kind])?;
            rows.into_iter().map(version).collect()
        })
    }

    /// The rotation policy in force of a key; none without one. `key-not-found` without the key.
    pub fn rotation(&self, provider: &ProviderId, name: &KeyName) -> Result<Option<RotationPolicy>, KeystoreError> {
        let ring = self.ring();
        self.read(|conn| {
            let key = KeyRow::find(conn, ring, provider, name)?.ok_or(KeystoreError::KeyNotFound)?;
            Ok(stored_rotation(conn, ring, provider, &key.row_id)?.map(|(_, policy)| policy))
        })
    }
}
