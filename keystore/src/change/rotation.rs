//! Setting the rotation policy of a key.
//!
//! `keyvault-api.md` section 2, KeyRotationPolicy. It is a policy row of its own kind, named after the row of
//! the key and not after its name: a later key of the same name does not inherit it.

use sha2::{Digest, Sha256};

use super::apply::Context;
use super::trust;
use crate::error::{KeyStateReason, KeystoreError};
use crate::key::KeyType;
use crate::names::KeyName;
use crate::rotation::{RotationPolicy, kind_of};
use crate::storage::sqlite::keys::KeyRow;
use crate::storage::sqlite::transaction::Transaction;

/// Adds a version of the policy, in force from now on. Its etag is its number.
pub(super) fn set(
    tx: &mut Transaction<'_>,
    context: &Context,
    name: &KeyName,
    policy: &RotationPolicy,
) -> Result<String, KeystoreError> {
    let key = KeyRow::find(tx.counted(), tx.ring, &context.provider, name)?.ok_or(KeystoreError::KeyNotFound)?;
    if key.deleted_at.is_some() {
        return Err(KeystoreError::KeyState(KeyStateReason::Deleted));
    }
    if key.key_type == KeyType::Secret && policy.rotate().is_some() {
        return Err(KeystoreError::OperationNotAllowed("a secret is imported, never generated"));
    }
    add(tx, context, &key.row_id, policy)
}

pub(super) fn add(
    tx: &mut Transaction<'_>,
    context: &Context,
    row_id: &[u8; 16],
    policy: &RotationPolicy,
) -> Result<String, KeystoreError> {
    let document = policy.text();
    let digest = Sha256::digest(&document).into();
    trust::set_policy(tx, context, kind_of(row_id), document, digest)
}
