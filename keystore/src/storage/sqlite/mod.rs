//! The SQLite backend.
//!
//! `store-durability.md` sections 6.1 (settings) and 7 (head and accumulator).

pub(crate) mod census;
pub(crate) mod database;
pub(crate) mod head;
pub(crate) mod journal;
pub(crate) mod keys;
pub(crate) mod machines;
pub(crate) mod policies;
pub(crate) mod row;
pub(crate) mod schema;
pub(crate) mod service;
pub(crate) mod spent;
pub(crate) mod transaction;
pub(crate) mod trust;

use crate::error::KeystoreError;

/// What an error of SQLite means while reading: the row or the file is not what was written.
pub(crate) fn unreadable(what: &'static str) -> impl Fn(rusqlite::Error) -> KeystoreError {
    move |e| match e.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => KeystoreError::Overloaded,
        Some(rusqlite::ErrorCode::CannotOpen | rusqlite::ErrorCode::OutOfMemory) => {
            KeystoreError::StoreFailed(format!("cannot read {what}"))
        }
        _ => KeystoreError::StoreCorrupt { object: what.to_owned() },
    }
}

/// What an error of SQLite means while writing: the store cannot be relied on any more.
pub(crate) fn unwritable(e: rusqlite::Error) -> KeystoreError {
    KeystoreError::StoreFailed(match e.sqlite_error_code() {
        Some(code) => format!("{code:?}"),
        None => "a row could not be written".to_owned(),
    })
}
