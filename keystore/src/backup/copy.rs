//! Copying a store: page by page into a snapshot, row by row into the next incarnation.
//!
//! `store-durability.md` R28 and R29.

use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, params};

use crate::authorized::Record;
use crate::change::destroy;
use crate::error::KeystoreError;
use crate::seal::KeyRing;
use crate::storage::purged::Gone;
use crate::storage::sqlite::head::{Accumulator, HeadState};
use crate::storage::sqlite::journal::{COLUMNS, JournalRow};
use crate::storage::sqlite::keys::{KeyRow, RuleRow};
use crate::storage::sqlite::machines::{ClockRow, EndorsementKeyRow, EnrolmentRow};
use crate::storage::sqlite::policies::PolicyRow;
use crate::storage::sqlite::row::{Row, each, select_one};
use crate::storage::sqlite::service::ServiceKeyRow;
use crate::storage::sqlite::transaction::{Tally, Transaction};
use crate::storage::sqlite::trust::{CredentialRow, DenyRow, MarkRow, PurgedRow};
use crate::storage::sqlite::{schema, unreadable, unwritable};

/// Copies all pages, as they are in the read transaction of `conn`, into an empty file.
pub(super) fn snapshot(conn: &Connection, to: &Path) -> Result<(), KeystoreError> {
    let mut copy = Connection::open(to).map_err(unwritable)?;
    let backup = Backup::new(conn, &mut copy).map_err(unwritable)?;
    // In one step: the moment of the read transaction, whatever is written meanwhile.
    match backup.step(-1) {
        Ok(StepResult::Done) => {}
        Ok(_) => return Err(KeystoreError::Overloaded),
        Err(e) => return Err(unwritable(e)),
    }
    drop(backup);
    // One file, without a write-ahead log beside it.
    copy.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).map_err(unwritable)?;
    copy.close().map_err(|(_, e)| unwritable(e))
}

/// Writes every object and the whole journal of `old` into the empty `new`, sealed and
/// authenticated anew, and the head behind it. `new` is in a transaction.
pub(super) fn reseal(
    old: &Connection,
    old_ring: &KeyRing,
    old_head: &HeadState,
    new: &Connection,
    new_ring: &KeyRing,
    record: &Record,
    now: i64,
) -> Result<(), KeystoreError> {
    let tally = Tally::default();
    let head = HeadState {
        generation: old_head.generation + 1,
        epoch: old_head.epoch + 1,
        accumulator: Accumulator::default(),
        ..old_head.clone()
    };
    let mut tx = Transaction::new(new, new_ring, head, &tally);
    each::<KeyRow>(old, &mut |mut key| {
        let data_key = key.open_data_key(old_ring)?;
        for mut version in key.load_versions(old, old_ring)? {
            let material = version.open_material(old_ring, &data_key)?;
            version.seal_material(new_ring, &data_key, &material)?;
            insert(&mut tx, version)?;
        }
        key.seal_data_key(new_ring, &data_key)?;
        insert(&mut tx, key)
    })?;
    each::<ServiceKeyRow>(old, &mut |mut key| {
        let material = key.open_material(old_ring)?;
        key.seal_material(new_ring, &material)?;
        insert(&mut tx, key)
    })?;
    each::<RuleRow>(old, &mut |row| insert(&mut tx, row))?;
    each::<PolicyRow>(old, &mut |row| insert(&mut tx, row))?;
    each::<CredentialRow>(old, &mut |row| insert(&mut tx, row))?;
    each::<DenyRow>(old, &mut |row| insert(&mut tx, row))?;
    each::<MarkRow>(old, &mut |row| insert(&mut tx, row))?;
    each::<PurgedRow>(old, &mut |row| insert(&mut tx, row))?;
    if schema::has_machines(old)? {
        each::<EnrolmentRow>(old, &mut |row| insert(&mut tx, row))?;
        each::<EndorsementKeyRow>(old, &mut |row| insert(&mut tx, row))?;
        each::<ClockRow>(old, &mut |row| insert(&mut tx, row))?;
    }
    copy_journal(old, new)?;
    tx.see_time(now);
    tx.append(record)?;
    tx.head.write(new, new_ring, None)
}

/// The keys of a snapshot that were purged after it was made.
pub(super) fn brought_back(old: &Connection, gone: &Gone) -> Result<Gone, KeystoreError> {
    let mut found = Gone::new();
    each::<KeyRow>(old, &mut |key| {
        if gone.contains(&key.row_id) {
            found.insert(key.row_id);
        }
        Ok(())
    })?;
    Ok(found)
}

/// Purges keys again in the finished `new`, which is still in its transaction. Gives the name of
/// every key that was ever purged.
pub(super) fn purge_again(new: &Connection, ring: &KeyRing, back: &Gone, now: i64) -> Result<Gone, KeystoreError> {
    let tally = Tally::default();
    let head = HeadState::read(new, ring)?;
    let generation = head.generation;
    let mut tx = Transaction::new(new, ring, head, &tally);
    for row_id in back {
        let found: Option<KeyRow> = select_one(new, ring, "WHERE row_id = ?1", &[row_id])?;
        if let Some(key) = found {
            destroy(&mut tx, &key, now)?;
        }
    }
    tx.head.generation += 1;
    tx.head.write(new, ring, Some(generation))?;
    let mut ever = Gone::new();
    each::<PurgedRow>(new, &mut |row| {
        ever.insert(row.row_id);
        Ok(())
    })?;
    Ok(ever)
}

fn insert<R: Row>(tx: &mut Transaction<'_>, mut row: R) -> Result<(), KeystoreError> {
    if tx.insert(&mut row)? {
        Ok(())
    } else {
        Err(KeystoreError::StoreCorrupt { object: format!("{}: a row twice", R::TABLE.name()) })
    }
}

/// The journal keeps its hashes and MACs: they do not depend on the incarnation.
fn copy_journal(old: &Connection, new: &Connection) -> Result<(), KeystoreError> {
    let failed = unreadable("journal");
    let mut statement = old.prepare(&format!("SELECT {COLUMNS} FROM journal ORDER BY seq")).map_err(&failed)?;
    let mut write = new
        .prepare(&format!("INSERT INTO journal ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"))
        .map_err(unwritable)?;
    let mut rows = statement.query([]).map_err(&failed)?;
    while let Some(row) = rows.next().map_err(&failed)? {
        let row = JournalRow::read(row).map_err(&failed)?;
        write
            .execute(params![row.seq, row.at, row.kind, row.provider, row.body, row.previous, row.hash, row.mac])
            .map_err(unwritable)?;
    }
    Ok(())
}
