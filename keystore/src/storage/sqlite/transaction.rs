//! One request's share of a group commit.
//!
//! `store-durability.md` R19 and R23: every write of a row goes through here, so that row MAC,
//! accumulator and head cannot be forgotten.

use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, ToSql, params_from_iter};

use super::head::HeadState;
use super::row::{Row, select, select_whole};
use super::spent::{AnswerRow, ChallengeRow};
use super::trust::SessionRow;
use super::{journal, unwritable};
use crate::authorized::{Entry, Record};
use crate::error::KeystoreError;
use crate::seal::KeyRing;
use crate::views::Counters;

/// How long after its end a challenge or an answer is still remembered, in seconds.
const GRACE: i64 = 300;
/// Most rows forgotten in one commit, per table.
const PRUNED_AT_ONCE: i64 = 4096;
const ENDED: &str = "WHERE until <= ?1 ORDER BY until DESC LIMIT ?2";

/// Counts what the writer does.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) flushes: AtomicU64,
    pub(crate) statements: AtomicU64,
    pub(crate) requests: AtomicU64,
    /// Requests that entered the queue.
    pub(crate) queued: AtomicU64,
}

impl Tally {
    /// One more.
    pub(crate) fn count(of: &AtomicU64) {
        of.fetch_add(1, Ordering::Relaxed);
    }

    /// The writer's figures now.
    pub(crate) fn figures(&self) -> Counters {
        Counters {
            flushes: self.flushes.load(Ordering::Relaxed),
            statements: self.statements.load(Ordering::Relaxed),
            requests: self.requests.load(Ordering::Relaxed),
            reads: 0,
        }
    }
}

/// The open transaction, with the head as it will be.
pub(crate) struct Transaction<'a> {
    pub(crate) conn: &'a Connection,
    pub(crate) ring: &'a KeyRing,
    pub(crate) head: HeadState,
    tally: &'a Tally,
}

impl<'a> Transaction<'a> {
    /// Begins on top of `head`; the connection is already in a transaction.
    pub(crate) fn new(conn: &'a Connection, ring: &'a KeyRing, head: HeadState, tally: &'a Tally) -> Self {
        Self { conn, ring, head, tally }
    }

    /// Counts a statement that is about to run.
    pub(crate) fn counted(&self) -> &'a Connection {
        Tally::count(&self.tally.statements);
        self.conn
    }

    /// Runs one statement and gives the number of rows it touched.
    pub(crate) fn execute(&self, sql: &str, params: &[&dyn ToSql]) -> Result<usize, KeystoreError> {
        self.counted().prepare_cached(sql).and_then(|mut statement| statement.execute(params)).map_err(unwritable)
    }

    fn write<R: Row>(&self, sql: &str, row: &R) -> Result<usize, KeystoreError> {
        self.counted()
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(params_from_iter(row.values())))
            .map_err(unwritable)
    }

    /// Writes a new row; `false`, and nothing written, if one of its key exists.
    pub(crate) fn insert<R: Row>(&mut self, row: &mut R) -> Result<bool, KeystoreError> {
        row.authenticate(self.ring);
        let sql = R::statement("INSERT") + " ON CONFLICT DO NOTHING";
        let written = self.write(&sql, row)? == 1;
        if written {
            self.head.accumulator.add(self.ring, row.mac());
        }
        Ok(written)
    }

    /// Writes a row in place of the one that had the MAC `before`.
    pub(crate) fn replace<R: Row>(&mut self, before: &[u8; 32], row: &mut R) -> Result<(), KeystoreError> {
        row.authenticate(self.ring);
        self.write(&R::statement("INSERT OR REPLACE"), row)?;
        self.head.accumulator.remove(self.ring, before);
        self.head.accumulator.add(self.ring, row.mac());
        Ok(())
    }

    /// Deletes a row by a condition that is true for it alone.
    pub(crate) fn delete<R: Row>(
        &mut self,
        row: &R,
        condition: &str,
        params: &[&dyn ToSql],
    ) -> Result<(), KeystoreError> {
        let sql = format!("DELETE FROM {} {condition}", R::TABLE.name());
        if self.execute(&sql, params)? != 1 {
            return Err(KeystoreError::StoreFailed("a row disappeared under the writer".to_owned()));
        }
        self.head.accumulator.remove(self.ring, row.mac());
        Ok(())
    }

    /// From here on, decisions made before are worth nothing.
    pub(crate) fn move_epoch(&mut self) {
        self.head.epoch += 1;
    }

    /// Remembers the highest time.
    pub(crate) fn see_time(&mut self, now: i64) {
        self.head.newest_time = self.head.newest_time.max(now);
    }

    /// The entry that the next [`Transaction::append`] will make.
    pub(crate) fn next_entry(&self, record: &Record) -> Entry {
        journal::next(self.ring, &self.head, record)
    }

    /// Appends a record to the journal.
    pub(crate) fn append(&mut self, record: &Record) -> Result<Entry, KeystoreError> {
        let entry = self.next_entry(record);
        journal::insert(self, record, &entry)?;
        self.head.audit_seq = entry.seq;
        self.head.audit_hash = entry.hash;
        self.head.audit_at = entry.at;
        self.see_time(record.at);
        Ok(entry)
    }

    /// Spends a challenge; [`KeystoreError::ChallengeSpent`] if it was, or is so old that this
    /// could be forgotten.
    pub(crate) fn spend(&mut self, digest: [u8; 32], until: i64) -> Result<(), KeystoreError> {
        if until <= self.head.pruned_through {
            return Err(KeystoreError::ChallengeSpent);
        }
        let mut row = ChallengeRow { digest, until, mac: [0; 32] };
        if self.insert(&mut row)? { Ok(()) } else { Err(KeystoreError::ChallengeSpent) }
    }

    /// Forgets challenges, answers and sessions that ended a while before the highest time seen.
    /// An answer or session that is not what was written stays, for a check to find: it is worth
    /// nothing to anybody, and others go on. A spent challenge that was touched is `store-corrupt`.
    pub(crate) fn prune(&mut self) -> Result<(), KeystoreError> {
        let through = self.head.newest_time.saturating_sub(GRACE);
        if through <= self.head.pruned_through {
            return Ok(());
        }
        self.head.pruned_through = through;
        for row in self.ended::<ChallengeRow>(through)? {
            self.delete(&row, "WHERE digest = ?1", &[&row.digest])?;
        }
        for row in self.ended_whole::<AnswerRow>(through)? {
            self.delete(&row, "WHERE request = ?1", &[&row.request])?;
        }
        for row in self.ended_whole::<SessionRow>(through)? {
            self.delete(&row, "WHERE jti = ?1", &[&row.jti])?;
        }
        Ok(())
    }

    fn ended<R: Row>(&self, through: i64) -> Result<Vec<R>, KeystoreError> {
        select(self.counted(), self.ring, ENDED, &[&through, &PRUNED_AT_ONCE])
    }

    fn ended_whole<R: Row>(&self, through: i64) -> Result<Vec<R>, KeystoreError> {
        let params: [&dyn ToSql; 2] = [&through, &PRUNED_AT_ONCE];
        select_whole(self.counted(), self.ring, ENDED, &params)
    }
}
