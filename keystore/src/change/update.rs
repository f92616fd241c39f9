//! Changes of a key that is there: attributes, a version's switch, the rule, a further version.
//!
//! `keyvault-api.md` section 2 (update, create of a name that exists): what one request says becomes true in one
//! commit, or nothing of it.

use super::apply::Context;
use super::keys::{Deleted, add_rule, add_version, brought, current, fit_operations, modify};
use super::{AttributeChanges, KeyUpdate, NewMaterial, RuleDocument};
use crate::error::KeystoreError;
use crate::key::Operation;
use crate::names::{KeyName, VersionId};
use crate::seal::Secret;
use crate::storage::sqlite::keys::KeyRow;
use crate::storage::sqlite::transaction::Transaction;

/// Changes what is said, in one new state of the key.
pub(super) fn update(
    tx: &mut Transaction<'_>,
    context: &Context,
    name: &KeyName,
    update: KeyUpdate,
) -> Result<String, KeystoreError> {
    let key = current(tx, context, name, Deleted::Refused)?;
    modify(tx, context, key, |tx, key, data_key| carry_out(tx, context, key, data_key, update))
}

/// Adds the newest version, and changes what else is said.
pub(super) fn new_version(
    tx: &mut Transaction<'_>,
    context: &Context,
    name: &KeyName,
    material: NewMaterial,
    update: KeyUpdate,
    enabled: bool,
) -> Result<String, KeystoreError> {
    if update.version.is_some() {
        return Err(KeystoreError::Malformed("with a new version no other one is switched"));
    }
    let key = current(tx, context, name, Deleted::Refused)?;
    let material = brought(tx, context, material, key.key_type)?;
    modify(tx, context, key, |tx, key, data_key| {
        carry_out(tx, context, key, data_key, update)?;
        add_version(tx, context, key, data_key, &material, enabled)
    })
}

/// Adds a rule, in force from now on; an immutable one stays.
pub(super) fn set_rules(
    tx: &mut Transaction<'_>,
    context: &Context,
    name: &KeyName,
    rules: RuleDocument,
    immutable: bool,
) -> Result<String, KeystoreError> {
    let key = current(tx, context, name, Deleted::Refused)?;
    modify(tx, context, key, |tx, key, _| replace_rule(tx, context, key, rules, immutable))
}

fn carry_out(
    tx: &mut Transaction<'_>,
    context: &Context,
    key: &mut KeyRow,
    data_key: &Secret,
    update: KeyUpdate,
) -> Result<(), KeystoreError> {
    set_attributes(key, update.attributes)?;
    if let Some((version, enabled)) = update.version {
        switch_version(tx, key, data_key, &version, enabled)?;
    }
    let Some((rules, immutable)) = update.rules else { return Ok(()) };
    let rule = key.load_rule(tx.counted(), tx.ring)?;
    if key.immutable == immutable && rule.is_some_and(|rule| rule.digest == rules.digest) {
        return Ok(());
    }
    replace_rule(tx, context, key, rules, immutable)
}

fn set_attributes(key: &mut KeyRow, changes: AttributeChanges) -> Result<(), KeystoreError> {
    key.enabled = changes.enabled.unwrap_or(key.enabled);
    key.not_before = changes.not_before.unwrap_or(key.not_before);
    key.expires = changes.expires.unwrap_or(key.expires);
    if let Some(tags) = changes.tags {
        key.tags = tags;
    }
    let Some(operations) = changes.operations else { return Ok(()) };
    fit_operations(&operations, key.key_type)?;
    // What was sealed to it is out there: whoever could use it otherwise could open that.
    if key.operations.contains(&Operation::Import) && !operations.contains(&Operation::Import) {
        return Err(KeystoreError::OperationNotAllowed("an exchange key stays one"));
    }
    // What the key sealed would open without its rule.
    if !key.operations.contains(&Operation::Import) && operations.contains(&Operation::Import) {
        return Err(KeystoreError::OperationNotAllowed("a key is made as an exchange key, and never becomes one"));
    }
    key.operations = operations;
    Ok(())
}

/// Both rows get their next state.
fn switch_version(
    tx: &mut Transaction<'_>,
    key: &KeyRow,
    data_key: &Secret,
    version: &VersionId,
    enabled: bool,
) -> Result<(), KeystoreError> {
    let mut row = key.load_version(tx.counted(), tx.ring, version)?.ok_or(KeystoreError::KeyNotFound)?;
    let before = row.mac;
    let material = row.open_material(tx.ring, data_key)?;
    row.enabled = enabled;
    row.row_version += 1;
    row.seal_material(tx.ring, data_key, &material)?;
    tx.replace(&before, &mut row)
}

fn replace_rule(
    tx: &mut Transaction<'_>,
    context: &Context,
    key: &mut KeyRow,
    rules: RuleDocument,
    immutable: bool,
) -> Result<(), KeystoreError> {
    if key.immutable {
        return Err(KeystoreError::Forbidden("the rule of this key is immutable"));
    }
    key.immutable = immutable;
    add_rule(tx, context, key, rules)
}
