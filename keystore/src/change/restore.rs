//! Putting a key back from its sealed copy.
//!
//! `keyvault-api.md` section 2 (restore): the versions keep their identifiers, so that what was encrypted under
//! them opens again. To the store it is another key: its row, its data key and its history begin anew, and a
//! purged one stays in the ledger.

use super::apply::Context;
use super::keys::{add_rule, fit_operations, immutable_mark, written_new};
use super::rotation;
use crate::error::KeystoreError;
use crate::key_backup::{AfterPurge, KeyBackup};
use crate::seal::Secret;
use crate::seal::secret::random;
use crate::storage::sqlite::keys::{KeyRow, VersionRow};
use crate::storage::sqlite::row::select_one;
use crate::storage::sqlite::transaction::Transaction;
use crate::storage::sqlite::trust::{MarkRow, PurgedRow};

/// Never overwrites: a key of this name, deleted or not, is a `conflict`.
pub(super) fn restore(
    tx: &mut Transaction<'_>,
    context: &Context,
    backup: KeyBackup,
    after_purge: AfterPurge,
) -> Result<String, KeystoreError> {
    if backup.provider != context.provider {
        return Err(KeystoreError::CryptoFailed);
    }
    if KeyRow::find(tx.counted(), tx.ring, &context.provider, &backup.name)?.is_some() {
        return Err(KeystoreError::Conflict("a key of this name exists"));
    }
    context.matches(None)?;
    let tombstone: Option<PurgedRow> = select_one(tx.counted(), tx.ring, "WHERE row_id = ?1", &[&backup.row_id])?;
    if after_purge == AfterPurge::Refused && (backup.was_purged || tombstone.is_some()) {
        return Err(KeystoreError::Forbidden("the key was purged"));
    }
    if let Some(first) = backup.versions.first().filter(|_| !backup.immutable) {
        let mark: Option<MarkRow> = select_one(tx.counted(), tx.ring, "WHERE id = ?1", &[&immutable_mark(&first.id)])?;
        if mark.is_some() {
            return Err(KeystoreError::Forbidden("the rule of this key became immutable after the copy was made"));
        }
    }
    fit_operations(&backup.attributes.operations, backup.key_type)?;
    let data_key = Secret::random()?;
    let attributes = backup.attributes;
    let mut key = KeyRow {
        provider: context.provider.clone(),
        name: backup.name,
        row_id: random()?,
        row_version: 1,
        key_type: backup.key_type,
        enabled: attributes.enabled,
        not_before: attributes.not_before,
        expires: attributes.expires,
        exportable: attributes.exportable,
        operations: attributes.operations,
        tags: attributes.tags,
        rule_number: 0,
        rule_contents: None,
        immutable: backup.immutable,
        deleted_at: None,
        purge_at: None,
        created: backup.created,
        updated: context.now,
        versions: 0,
        data_key: Vec::new(),
        mac: [0; 32],
    };
    if let Some(rules) = backup.rules {
        add_rule(tx, context, &mut key, rules)?;
    }
    for backed in backup.versions {
        key.versions += 1;
        let public = serde_json::to_string(&backed.material.public_part())
            .map_err(|_| KeystoreError::Malformed("the public part has no JSON form"))?;
        let mut version = VersionRow {
            key_id: key.row_id,
            number: key.versions,
            id: backed.id,
            row_version: 1,
            created: backed.created,
            enabled: backed.enabled,
            public,
            material: Vec::new(),
            mac: [0; 32],
        };
        version.seal_material(tx.ring, &data_key, &backed.material.sealed_form())?;
        written_new(tx.insert(&mut version)?)?;
    }
    key.seal_data_key(tx.ring, &data_key)?;
    if !tx.insert(&mut key)? {
        return Err(KeystoreError::Conflict("a key of this name exists"));
    }
    if let Some(policy) = backup.rotation {
        rotation::add(tx, context, &key.row_id, &policy)?;
    }
    Ok(key.etag())
}
