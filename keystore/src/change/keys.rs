//! Changes to keys, their versions and rules.
//!
//! `store-durability.md` sections 3 and 9. Each state of a key seals its data key anew: to its row
//! version, its plain columns and its rule.

use super::apply::Context;
use super::{Attributes, NewMaterial, RuleDocument};
use crate::due::notice_mark;
use crate::error::{KeyStateReason, KeystoreError};
use crate::key::{KeyType, Operation};
use crate::material::KeyMaterial;
use crate::names::{KeyName, VersionId};
use crate::seal::Secret;
use crate::seal::secret::random;
use crate::storage::sqlite::keys::{KeyRow, RuleRow, VersionRow};
use crate::storage::sqlite::row::{Row, select, select_one, stored};
use crate::storage::sqlite::transaction::Transaction;
use crate::storage::sqlite::trust::{MarkRow, PurgedRow};

const SECONDS_PER_DAY: i64 = 86_400;
/// Most versions of one key.
pub(crate) const MAX_VERSIONS: u64 = 1_000;

/// A key to be made.
pub(super) struct NewKey {
    pub(super) name: KeyName,
    pub(super) key_type: KeyType,
    pub(super) attributes: Attributes,
    pub(super) rules: Option<RuleDocument>,
    pub(super) immutable: bool,
}

/// The material of a change, if it is of this type.
pub(super) fn brought(
    tx: &Transaction<'_>,
    context: &Context,
    material: NewMaterial,
    key_type: KeyType,
) -> Result<KeyMaterial, KeystoreError> {
    let material = match material {
        NewMaterial::Import(material) => Some(material),
        NewMaterial::Transferred(key) => Some(key.take(tx, &context.provider)?),
        NewMaterial::Generate => None,
    };
    material
        .filter(|material| material.key_type() == key_type)
        .ok_or(KeystoreError::Malformed("the material is not of the key's type"))
}

/// Whether a key of this type may have these operations: importing stands alone.
pub(super) fn fit_operations(operations: &[Operation], key_type: KeyType) -> Result<(), KeystoreError> {
    if !operations.contains(&Operation::Import) || (operations.len() == 1 && key_type.rsa_bits().is_some()) {
        return Ok(());
    }
    Err(KeystoreError::OperationNotAllowed("only an RSA key imports, and it does nothing else"))
}

/// Never overwrites: a key of this name, deleted or not, is a `conflict`.
pub(super) fn create(
    tx: &mut Transaction<'_>,
    context: &Context,
    new: NewKey,
    material: NewMaterial,
) -> Result<String, KeystoreError> {
    let provider = &context.provider;
    if KeyRow::find(tx.counted(), tx.ring, provider, &new.name)?.is_some() {
        return Err(KeystoreError::Conflict("a key of this name exists"));
    }
    context.matches(None)?;
    if new.immutable && new.rules.is_none() {
        return Err(KeystoreError::Malformed("there is no rule to keep"));
    }
    fit_operations(&new.attributes.operations, new.key_type)?;
    let material = brought(tx, context, material, new.key_type)?;
    let data_key = Secret::random()?;
    let mut key = KeyRow {
        provider: provider.clone(),
        name: new.name,
        row_id: random()?,
        row_version: 1,
        key_type: new.key_type,
        enabled: new.attributes.enabled,
        not_before: new.attributes.not_before,
        expires: new.attributes.expires,
        exportable: new.attributes.exportable,
        operations: new.attributes.operations,
        tags: new.attributes.tags,
        rule_number: 0,
        rule_contents: None,
        immutable: new.immutable,
        deleted_at: None,
        purge_at: None,
        created: context.now,
        updated: context.now,
        versions: 0,
        data_key: Vec::new(),
        mac: [0; 32],
    };
    if let Some(rules) = new.rules {
        add_rule(tx, context, &mut key, rules)?;
    }
    add_version(tx, context, &mut key, &data_key, &material, true)?;
    key.seal_data_key(tx.ring, &data_key)?;
    if !tx.insert(&mut key)? {
        return Err(KeystoreError::Conflict("a key of this name exists"));
    }
    Ok(key.etag())
}

pub(super) fn add_version(
    tx: &mut Transaction<'_>,
    context: &Context,
    key: &mut KeyRow,
    data_key: &Secret,
    material: &KeyMaterial,
    enabled: bool,
) -> Result<(), KeystoreError> {
    if key.versions >= MAX_VERSIONS {
        return Err(KeystoreError::TooLarge("the key has too many versions"));
    }
    key.versions += 1;
    let public = serde_json::to_string(&material.public_part())
        .map_err(|_| KeystoreError::Malformed("the public part has no JSON form"))?;
    let mut version = VersionRow {
        key_id: key.row_id,
        number: key.versions,
        id: VersionId::random()?,
        row_version: 1,
        created: context.now,
        enabled,
        public,
        material: Vec::new(),
        mac: [0; 32],
    };
    version.seal_material(tx.ring, data_key, &material.sealed_form())?;
    written_new(tx.insert(&mut version)?)
}

pub(super) fn add_rule(
    tx: &mut Transaction<'_>,
    context: &Context,
    key: &mut KeyRow,
    rules: RuleDocument,
) -> Result<(), KeystoreError> {
    key.rule_number += 1;
    let mut rule = RuleRow {
        key_id: key.row_id,
        number: key.rule_number,
        row_id: random()?,
        at: context.now,
        author: context.author.clone(),
        reason: context.reason.clone(),
        digest: rules.digest,
        document: rules.document,
        mac: [0; 32],
    };
    written_new(tx.insert(&mut rule)?)?;
    key.rule_contents = Some(rule.contents());
    Ok(())
}

/// A row whose place must be free was in the way: the store is not what its head says.
pub(super) fn written_new(written: bool) -> Result<(), KeystoreError> {
    if written { Ok(()) } else { Err(KeystoreError::StoreCorrupt { object: "a number was used before".to_owned() }) }
}

/// Which keys a change is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Deleted {
    Refused,
    Wanted,
}

/// The key as it is now, if the change may rest on it.
pub(super) fn current(
    tx: &Transaction<'_>,
    context: &Context,
    name: &KeyName,
    deleted: Deleted,
) -> Result<KeyRow, KeystoreError> {
    let key = KeyRow::find(tx.counted(), tx.ring, &context.provider, name)?.ok_or(KeystoreError::KeyNotFound)?;
    context.matches(Some(&key.etag()))?;
    match (key.deleted_at, deleted) {
        (Some(_), Deleted::Refused) => Err(KeystoreError::KeyState(KeyStateReason::Deleted)),
        (None, Deleted::Wanted) => Err(KeystoreError::Conflict("the key is not deleted")),
        _ => Ok(key),
    }
}

/// Brings a key into its next state.
pub(super) fn modify(
    tx: &mut Transaction<'_>,
    context: &Context,
    mut key: KeyRow,
    change: impl FnOnce(&mut Transaction<'_>, &mut KeyRow, &Secret) -> Result<(), KeystoreError>,
) -> Result<String, KeystoreError> {
    let before = key.mac;
    let data_key = key.open_data_key(tx.ring)?;
    change(tx, &mut key, &data_key)?;
    key.row_version += 1;
    key.updated = context.now;
    key.seal_data_key(tx.ring, &data_key)?;
    tx.replace(&before, &mut key)?;
    Ok(key.etag())
}

/// Soft delete: the name stays taken, the key comes back by [`recover`].
pub(super) fn delete(tx: &mut Transaction<'_>, context: &Context, name: &KeyName) -> Result<String, KeystoreError> {
    let key = current(tx, context, name, Deleted::Refused)?;
    let kept = i64::from(context.recovery(tx)?.days()).saturating_mul(SECONDS_PER_DAY);
    modify(tx, context, key, |_, key, _| {
        key.deleted_at = Some(context.now);
        key.purge_at = Some(context.now.saturating_add(kept));
        Ok(())
    })
}

/// Undoes a soft delete.
pub(super) fn recover(tx: &mut Transaction<'_>, context: &Context, name: &KeyName) -> Result<String, KeystoreError> {
    let key = current(tx, context, name, Deleted::Wanted)?;
    modify(tx, context, key, |_, key, _| {
        key.deleted_at = None;
        key.purge_at = None;
        Ok(())
    })
}

/// Destroys a deleted key: its sealed cells are overwritten, a tombstone stays. Whoever asks, and by whatever way: under
/// purge protection not before the end that its deletion gave it.
pub(super) fn purge(tx: &mut Transaction<'_>, context: &Context, name: &KeyName) -> Result<String, KeystoreError> {
    let key = current(tx, context, name, Deleted::Wanted)?;
    let kept = key.purge_at.is_some_and(|at| context.now < at);
    if kept && context.recovery(tx)?.purge_protection() {
        return Err(KeystoreError::Forbidden("the retention of the key is not over"));
    }
    destroy(tx, &key, context.now)?;
    Ok(String::new())
}

/// The mark that the rule of a purged key was immutable. It stands for all copies of the key: they share its first version.
pub(super) fn immutable_mark(first: &VersionId) -> String {
    format!("immutable:{first}")
}

/// Takes a key, its versions and its rules out of the store, and leaves a tombstone.
pub(crate) fn destroy(tx: &mut Transaction<'_>, key: &KeyRow, now: i64) -> Result<(), KeystoreError> {
    let numbered = "WHERE key_id = ?1 AND number = ?2";
    let versions = key.load_versions(tx.counted(), tx.ring)?;
    if let Some(first) = versions.first().filter(|_| key.immutable) {
        MarkRow::raise(tx, immutable_mark(&first.id), 1)?;
    }
    for version in versions {
        let number = stored(version.number);
        tx.delete(&version, numbered, &[&key.row_id, &number])?;
    }
    let rules: Vec<RuleRow> = select(tx.counted(), tx.ring, "WHERE key_id = ?1", &[&key.row_id])?;
    for rule in rules {
        let number = stored(rule.number);
        tx.delete(&rule, numbered, &[&key.row_id, &number])?;
    }
    let mark = notice_mark(&key.row_id);
    let told: Option<MarkRow> = select_one(tx.counted(), tx.ring, "WHERE id = ?1", &[&mark])?;
    if let Some(told) = told {
        tx.delete(&told, "WHERE id = ?1", &[&mark])?;
    }
    tx.delete(key, "WHERE provider = ?1 AND folded = ?2", &[&key.provider.as_str(), &key.name.folded()])?;
    let mut tombstone = PurgedRow {
        row_id: key.row_id,
        provider: key.provider.clone(),
        name: key.name.as_str().to_owned(),
        at: now,
        mac: [0; 32],
    };
    written_new(tx.insert(&mut tombstone)?)
}
