//! Changes to credentials, the deny list and policies.
//!
//! `store-durability.md` R11; `architecture.md` section 6.

use sha2::{Digest, Sha256};

use super::apply::Context;
use crate::error::KeystoreError;
use crate::recovery::{self, Recovery};
use crate::seal::secret::random;
use crate::storage::sqlite::policies::PolicyRow;
use crate::storage::sqlite::row::select_one;
use crate::storage::sqlite::transaction::Transaction;
use crate::storage::sqlite::trust::{CredentialRow, DenyRow};
use crate::views::etag;

/// Shortest token, in bytes.
const MIN_TOKEN: usize = 16;
/// Longest name, token or value, in bytes.
const MAX_TEXT: usize = 4096;

fn bounded(texts: &[&str]) -> Result<(), KeystoreError> {
    if texts.iter().any(|text| text.is_empty()) {
        return Err(KeystoreError::Malformed("a name or value is empty"));
    }
    if texts.iter().any(|text| text.len() > MAX_TEXT) {
        return Err(KeystoreError::TooLarge("a name or value is too long"));
    }
    Ok(())
}

/// A name or token that exists, ended or not, is a `conflict`.
pub(super) fn create_credential(
    tx: &mut Transaction<'_>,
    context: &Context,
    name: String,
    roles: Vec<String>,
    key_pattern: Option<String>,
    expires: Option<i64>,
    token: &str,
) -> Result<String, KeystoreError> {
    bounded(&[&name, token])?;
    if token.len() < MIN_TOKEN {
        return Err(KeystoreError::Malformed("the token is too short"));
    }
    let mut row = CredentialRow {
        token: tx.ring.index("credential", &[token.as_bytes()]),
        provider: context.provider.clone(),
        name,
        row_id: random()?,
        row_version: 1,
        roles,
        key_pattern,
        expires,
        created: context.now,
        revoked_at: None,
        mac: [0; 32],
    };
    if !tx.insert(&mut row)? {
        return Err(KeystoreError::Conflict("a credential of this name exists"));
    }
    context.matches(None)?;
    Ok(etag(&row.row_id, row.row_version))
}

/// Ends a credential; its name and token stay taken.
pub(super) fn revoke_credential(
    tx: &mut Transaction<'_>,
    context: &Context,
    name: &str,
) -> Result<String, KeystoreError> {
    let condition = "WHERE provider = ?1 AND name = ?2";
    let found: Option<CredentialRow> =
        select_one(tx.counted(), tx.ring, condition, &[&context.provider.as_str(), &name])?;
    let mut row = found.filter(|row| row.revoked_at.is_none()).ok_or(KeystoreError::NotFound("credential"))?;
    context.matches(Some(&etag(&row.row_id, row.row_version)))?;
    let before = row.mac;
    row.revoked_at = Some(context.now);
    row.row_version += 1;
    tx.replace(&before, &mut row)?;
    Ok(etag(&row.row_id, row.row_version))
}

/// Denies a value; one that is denied already is a `conflict`.
pub(super) fn add_deny(
    tx: &mut Transaction<'_>,
    context: &Context,
    kind: String,
    value: String,
) -> Result<String, KeystoreError> {
    if !matches!(kind.as_str(), "platform" | "measurement" | "issuer-key") {
        return Err(KeystoreError::Malformed("not a kind of the deny list"));
    }
    bounded(&[&value])?;
    let mut row = DenyRow {
        provider: context.provider.clone(),
        kind,
        value,
        row_id: random()?,
        reason: context.reason.clone(),
        at: context.now,
        author: context.author.clone(),
        mac: [0; 32],
    };
    if !tx.insert(&mut row)? {
        return Err(KeystoreError::Conflict("this is denied already"));
    }
    Ok(String::new())
}

/// Denies a value no more.
pub(super) fn remove_deny(
    tx: &mut Transaction<'_>,
    context: &Context,
    kind: &str,
    value: &str,
) -> Result<String, KeystoreError> {
    let condition = "WHERE provider = ?1 AND kind = ?2 AND value = ?3";
    let params: [&dyn rusqlite::ToSql; 3] = [&context.provider.as_str(), &kind, &value];
    let row: DenyRow = select_one(tx.counted(), tx.ring, condition, &params)?
        .ok_or(KeystoreError::NotFound("entry of the deny list"))?;
    tx.delete(&row, condition, &params)?;
    Ok(String::new())
}

/// Sets what happens to deleted keys; protection stays. Its etag is its number.
pub(super) fn set_recovery(
    tx: &mut Transaction<'_>,
    context: &Context,
    recovery: Recovery,
) -> Result<String, KeystoreError> {
    context.recovery(tx)?.may_become(recovery)?;
    let document = recovery.text();
    let digest = Sha256::digest(&document).into();
    set_policy(tx, context, recovery::KIND.to_owned(), document, digest)
}

/// Adds a version of a policy, in force from now on. Its etag is its number.
pub(super) fn set_policy(
    tx: &mut Transaction<'_>,
    context: &Context,
    kind: String,
    document: String,
    digest: [u8; 32],
) -> Result<String, KeystoreError> {
    bounded(&[&kind])?;
    let before: Option<PolicyRow> = select_one(
        tx.counted(),
        tx.ring,
        "WHERE provider = ?1 AND kind = ?2 ORDER BY number DESC LIMIT 1",
        &[&context.provider.as_str(), &kind],
    )?;
    let number = before.map_or(0, |row| row.number);
    let present = (number > 0).then(|| number.to_string());
    context.matches(present.as_deref())?;
    let mut row = PolicyRow {
        provider: context.provider.clone(),
        kind,
        number: number + 1,
        row_id: random()?,
        at: context.now,
        author: context.author.clone(),
        reason: context.reason.clone(),
        digest,
        document,
        mac: [0; 32],
    };
    tx.insert(&mut row)?;
    Ok(row.number.to_string())
}
