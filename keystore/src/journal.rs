//! Verification of the whole journal, naming the first entry that is wrong and what happened to it.
//!
//! Fault AUD-04 of `bad-inputs.md`; property P43 of `threat-model.md`.

use std::path::Path;

use rusqlite::Connection;

use crate::error::KeystoreError;
use crate::keystore::Keystore;
use crate::root::RootKey;
use crate::seal::KeyRing;
use crate::storage::files::{self, Lock};
use crate::storage::sqlite::head::{HeadState, Identity};
use crate::storage::sqlite::journal::{COLUMNS, JournalRow};
use crate::storage::sqlite::{database, schema, unreadable};
use crate::views::{Damage, Head, JournalVerdict};

impl Keystore {
    /// Verifies the whole journal; `progress` is told entries done and all.
    pub fn verify_journal(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<JournalVerdict, KeystoreError> {
        let ring = self.ring();
        self.read(|conn| verify(conn, ring, &HeadState::read(conn, ring)?, progress))
    }

    /// Verifies the journal of a store that is not open, even of one that can no longer be opened
    /// because its journal is damaged. Writes nothing.
    pub fn verify_journal_of(
        file: &Path,
        root: &dyn RootKey,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<JournalVerdict, KeystoreError> {
        let secret = root.load()?;
        let path = files::resolved(file)?;
        drop(files::open_private(&path, files::Access::Read)?);
        let _lock = Lock::take(&path)?;
        let conn = database::open_untouched(&path)?;
        schema::compare(&conn)?;
        let (_, ring) = Identity::read(&conn, &secret)?;
        verify(&conn, &ring, &HeadState::read(&conn, &ring)?, progress)
    }
}

/// The end of the journal as the head of the store has it.
pub(crate) fn head_of(ring: &KeyRing, head: &HeadState) -> Head {
    Head {
        seq: head.audit_seq,
        hash: head.audit_hash,
        at: head.audit_at,
        store_id: ring.store_id,
        incarnation: ring.incarnation,
    }
}

/// Reads every entry in order. `conn` is in one read transaction with the head.
pub(crate) fn verify(
    conn: &Connection,
    ring: &KeyRing,
    head: &HeadState,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<JournalVerdict, KeystoreError> {
    let failed = unreadable("journal");
    let mut statement = conn.prepare(&format!("SELECT {COLUMNS} FROM journal ORDER BY seq")).map_err(&failed)?;
    let mut rows = statement.query([]).map_err(&failed)?;
    let mut expected = 1;
    let mut previous = [0; 32];
    while let Some(row) = rows.next().map_err(&failed)? {
        let row = JournalRow::read(row).map_err(&failed)?;
        let broken = |what| Ok(JournalVerdict::Broken { seq: expected, what });
        let Ok(seq) = u64::try_from(row.seq) else {
            return broken(Damage::Inserted);
        };
        if seq < expected || expected > head.audit_seq {
            return broken(Damage::Inserted);
        }
        if seq > expected {
            return broken(if written_elsewhere(conn, ring, expected, row.seq)? {
                Damage::Reordered
            } else {
                Damage::Removed
            });
        }
        if !row.hash_holds(ring) || !row.was_written_as(ring, expected) {
            return broken(name_damage(conn, ring, head, &row, expected)?);
        }
        if row.previous != previous {
            return broken(Damage::Changed);
        }
        previous = row.hash;
        progress(expected, head.audit_seq);
        expected += 1;
    }
    if expected <= head.audit_seq {
        return Ok(JournalVerdict::Broken { seq: expected, what: Damage::CutOff });
    }
    if previous != head.audit_hash {
        return Ok(JournalVerdict::Broken { seq: head.audit_seq, what: Damage::Changed });
    }
    Ok(JournalVerdict::Intact { entries: head.audit_seq, head: head_of(ring, head) })
}

/// What happened, given that `row` stands at place `expected` and was not written there.
fn name_damage(
    conn: &Connection,
    ring: &KeyRing,
    head: &HeadState,
    row: &JournalRow,
    expected: u64,
) -> Result<Damage, KeystoreError> {
    let origin =
        if row.hash_holds(ring) { (1..=head.audit_seq).find(|seq| row.was_written_as(ring, *seq)) } else { None };
    let displaced = written_elsewhere(conn, ring, expected, row.seq)?;
    Ok(match origin {
        // A copy of an entry that is still in its place, or further on.
        Some(origin) if displaced && written_elsewhere(conn, ring, origin, row.seq)? => Damage::Inserted,
        Some(_) if displaced => Damage::Reordered,
        Some(_) => Damage::Removed,
        None if displaced => Damage::Inserted,
        None => Damage::Changed,
    })
}

/// Whether what was written as entry `seq` stands anywhere but at `place`.
fn written_elsewhere(conn: &Connection, ring: &KeyRing, seq: u64, place: i64) -> Result<bool, KeystoreError> {
    let failed = unreadable("journal");
    let mut statement = conn.prepare(&format!("SELECT {COLUMNS} FROM journal WHERE seq <> ?1")).map_err(&failed)?;
    let mut rows = statement.query([place]).map_err(&failed)?;
    while let Some(row) = rows.next().map_err(&failed)? {
        let row = JournalRow::read(row).map_err(&failed)?;
        if row.was_written_as(ring, seq) && row.hash_holds(ring) {
            return Ok(true);
        }
    }
    Ok(false)
}
