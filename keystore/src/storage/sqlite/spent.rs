//! Rows of spent challenges and of answers kept for repeats.
//!
//! `store-durability.md` R19 and R22.

use rusqlite::types::Value;
use zeroize::Zeroizing;

use super::row::{Row, blob, counter, row_id_of, stored};
use crate::authorized::Entry;
use crate::error::KeystoreError;
use crate::seal::{Cell, Columns, KeyRing, Place, Table};

/// Row of `challenges`.
pub(crate) struct ChallengeRow {
    pub(crate) digest: [u8; 32],
    pub(crate) until: i64,
    pub(crate) mac: [u8; 32],
}

impl Row for ChallengeRow {
    const TABLE: Table = Table::Challenges;
    const COLUMNS: &'static str = "digest, until, mac";

    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { digest: row.get(0)?, until: row.get(1)?, mac: row.get(2)? })
    }

    fn place(&self) -> Place {
        Place { table: Self::TABLE, row_id: row_id_of(&self.digest), row_version: 1 }
    }

    fn plain(&self) -> Vec<Value> {
        vec![blob(&self.digest), Value::Integer(self.until)]
    }

    fn mac(&self) -> &[u8; 32] {
        &self.mac
    }

    fn set_mac(&mut self, mac: [u8; 32]) {
        self.mac = mac;
    }
}

/// Row of `answers`.
pub(crate) struct AnswerRow {
    /// Keyed digest of provider and request key.
    pub(crate) request: [u8; 32],
    /// Digest of the request's body.
    pub(crate) body: [u8; 32],
    pub(crate) until: i64,
    pub(crate) entry: Entry,
    pub(crate) answer: Vec<u8>,
    pub(crate) mac: [u8; 32],
}

impl Row for AnswerRow {
    const TABLE: Table = Table::Answers;
    const COLUMNS: &'static str = "request, body, until, seq, hash, at, answer, mac";

    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            request: row.get(0)?,
            body: row.get(1)?,
            until: row.get(2)?,
            entry: Entry { seq: counter(row, 3)?, hash: row.get(4)?, at: row.get(5)? },
            answer: row.get(6)?,
            mac: row.get(7)?,
        })
    }

    fn place(&self) -> Place {
        place(&self.request)
    }

    fn plain(&self) -> Vec<Value> {
        vec![
            blob(&self.request),
            blob(&self.body),
            Value::Integer(self.until),
            Value::Integer(stored(self.entry.seq)),
            blob(&self.entry.hash),
            Value::Integer(self.entry.at),
        ]
    }

    fn sealed(&self) -> Vec<&[u8]> {
        vec![&self.answer]
    }

    fn mac(&self) -> &[u8; 32] {
        &self.mac
    }

    fn set_mac(&mut self, mac: [u8; 32]) {
        self.mac = mac;
    }
}

fn place(request: &[u8; 32]) -> Place {
    Place { table: Table::Answers, row_id: row_id_of(request), row_version: 1 }
}

/// What an answer is sealed to: everything but its place in the journal, which is known only in
/// the transaction. The row's MAC covers that too.
fn bound_columns(request: &[u8; 32], body: &[u8; 32], until: i64) -> [u8; 32] {
    Columns::of(&[blob(request), blob(body), Value::Integer(until)])
}

/// Seals an answer, at most 256 KiB, ahead of the transaction.
pub(crate) fn seal_answer(
    ring: &KeyRing,
    request: &[u8; 32],
    body: &[u8; 32],
    until: i64,
    answer: &[u8],
) -> Result<Vec<u8>, KeystoreError> {
    let columns = bound_columns(request, body, until);
    ring.seal(None, &place(request), Cell::Answer, &columns, answer)
}

impl AnswerRow {
    /// Opens the answer.
    pub(crate) fn open(&self, ring: &KeyRing) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
        let columns = bound_columns(&self.request, &self.body, self.until);
        ring.open(None, &self.place(), Cell::Answer, &columns, &self.answer)
    }
}
