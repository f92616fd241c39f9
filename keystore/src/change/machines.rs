//! Enrolling attestation keys, ending their records, and vouching for endorsement keys.
//!
//! Threat model P14; `bad-inputs.md` TPM-15, TPM-17, TPM-20: everything is asked and written in one commit.

use super::apply::Context;
use crate::error::KeystoreError;
use crate::machines::{ALLOWED_EK, NewEnrolment, OF_AK, OF_EK, OF_MACHINE, forget_clock, is_allowed, of_machine};
use crate::seal::secret::random;
use crate::storage::sqlite::machines::{EndorsementKeyRow, EnrolmentRow};
use crate::storage::sqlite::row::{Row, select_one};
use crate::storage::sqlite::transaction::Transaction;
use crate::views::etag;

/// Enrols a key; the same machine with the same endorsement key gets it in place of the one before.
pub(super) fn enrol(tx: &mut Transaction<'_>, context: &Context, new: NewEnrolment) -> Result<String, KeystoreError> {
    new.acceptable(context.now)?;
    let provider = &context.provider;
    if new.anchor == ALLOWED_EK && !is_allowed(tx.counted(), tx.ring, provider, &new.ek)? {
        return Err(KeystoreError::NotEnrolled);
    }
    let present = of_machine(tx.counted(), tx.ring, provider, (&new.machine, &new.ek, &new.ak_name))?;
    context.matches(present.as_ref().map(|row| etag(&row.row_id, row.row_version)).as_deref())?;
    let (row_id, row_version) = match &present {
        Some(row) => (row.row_id, row.row_version + 1),
        None => (random()?, 1),
    };
    let mut row = EnrolmentRow {
        provider: provider.clone(),
        machine: new.machine,
        row_id,
        row_version,
        ak_name: new.ak_name,
        ak_public: new.ak_public,
        ek: new.ek,
        certificate: new.certificate,
        anchor: new.anchor,
        owner: context.author.clone(),
        enrolled: context.now,
        expires: new.expires,
        mac: [0; 32],
    };
    match present {
        Some(before) => {
            if before.ak_name != row.ak_name {
                forget_clock(tx, provider, &before.ak_name)?;
            }
            tx.replace(before.mac(), &mut row)?;
        }
        None if tx.insert(&mut row)? => {}
        None => return Err(KeystoreError::Conflict("the machine or its key is enrolled already")),
    }
    Ok(etag(&row.row_id, row.row_version))
}

/// Ends the record of a machine, and forgets the clock of its key.
pub(super) fn remove(tx: &mut Transaction<'_>, context: &Context, machine: &str) -> Result<String, KeystoreError> {
    let key: [&dyn rusqlite::ToSql; 2] = [&context.provider.as_str(), &machine];
    let row: EnrolmentRow =
        select_one(tx.counted(), tx.ring, OF_MACHINE, &key)?.ok_or(KeystoreError::NotFound("enrolment"))?;
    context.matches(Some(&etag(&row.row_id, row.row_version)))?;
    forget(tx, context, &row)?;
    Ok(String::new())
}

fn forget(tx: &mut Transaction<'_>, context: &Context, row: &EnrolmentRow) -> Result<(), KeystoreError> {
    tx.delete(row, OF_AK, &[&context.provider.as_str(), &row.ak_name])?;
    forget_clock(tx, &context.provider, &row.ak_name)
}

/// Vouches for an endorsement key; one that is vouched for already is a `conflict`.
pub(super) fn allow_ek(tx: &mut Transaction<'_>, context: &Context, ek: [u8; 32]) -> Result<String, KeystoreError> {
    let mut row = EndorsementKeyRow {
        provider: context.provider.clone(),
        ek,
        row_id: random()?,
        reason: context.reason.clone(),
        at: context.now,
        author: context.author.clone(),
        mac: [0; 32],
    };
    if !tx.insert(&mut row)? {
        return Err(KeystoreError::Conflict("this endorsement key is allowed already"));
    }
    context.matches(None)?;
    Ok(etag(&row.row_id, 1))
}

/// Vouches for it no more, and ends the record that rests on it.
pub(super) fn disallow_ek(tx: &mut Transaction<'_>, context: &Context, ek: &[u8; 32]) -> Result<String, KeystoreError> {
    let key: [&dyn rusqlite::ToSql; 2] = [&context.provider.as_str(), ek];
    let row: EndorsementKeyRow =
        select_one(tx.counted(), tx.ring, OF_EK, &key)?.ok_or(KeystoreError::NotFound("endorsement key"))?;
    context.matches(Some(&etag(&row.row_id, 1)))?;
    tx.delete(&row, OF_EK, &key)?;
    let resting: Option<EnrolmentRow> = select_one(tx.counted(), tx.ring, OF_EK, &key)?;
    if let Some(resting) = resting.filter(|row| row.anchor == ALLOWED_EK) {
        forget(tx, context, &resting)?;
    }
    Ok(String::new())
}
