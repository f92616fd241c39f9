//! The journal: a chain of records, each with a hash over all before it and a MAC at its place.
//!
//! `store-durability.md` sections 2 and 7; fault AUD-04 of `bad-inputs.md`. The hash covers store,
//! previous hash, time, provider, kind and body; the MAC covers sequence number and hash.

use rusqlite::Connection;
use sha2::{Digest, Sha256};

use super::head::HeadState;
use super::row::{counter, parsed, stored};
use super::transaction::Transaction;
use super::unreadable;
use crate::authorized::{Entry, Record};
use crate::error::KeystoreError;
use crate::names::ProviderId;
use crate::seal::KeyRing;
use crate::seal::derive::{joined, mac};
use crate::seal::secret::same;
use crate::views::EntryView;

/// Longest body of a record, in bytes.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// Refuses records that the journal does not take.
pub(crate) fn acceptable(record: &Record) -> Result<(), KeystoreError> {
    if record.body.len() > MAX_BODY || record.kind.len() > 64 {
        return Err(KeystoreError::TooLarge("the audit record is too large"));
    }
    Ok(())
}

fn hash(store_id: &[u8; 16], previous: &[u8; 32], at: i64, provider: &str, kind: &str, body: &str) -> [u8; 32] {
    let parts = joined(&[
        b"keygate-journal-1",
        store_id,
        previous,
        &at.to_be_bytes(),
        provider.as_bytes(),
        kind.as_bytes(),
        body.as_bytes(),
    ]);
    Sha256::digest(parts).into()
}

/// MAC of the entry with this hash at place `seq`.
pub(crate) fn entry_mac(ring: &KeyRing, seq: u64, hash: &[u8; 32]) -> [u8; 32] {
    mac(&ring.audit, &[b"entry", &seq.to_be_bytes(), hash])
}

/// The entry that a record becomes behind `head`.
pub(crate) fn next(ring: &KeyRing, head: &HeadState, record: &Record) -> Entry {
    Entry {
        seq: head.audit_seq + 1,
        hash: hash(&ring.store_id, &head.audit_hash, record.at, record.provider.as_str(), &record.kind, &record.body),
        at: record.at,
    }
}

/// Writes a record as this entry, which must be the next one.
pub(crate) fn insert(tx: &Transaction<'_>, record: &Record, entry: &Entry) -> Result<(), KeystoreError> {
    tx.execute(
        "INSERT INTO journal (seq, at, kind, provider, body, previous, hash, mac) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        &[
            &stored(entry.seq),
            &entry.at,
            &record.kind,
            &record.provider.as_str(),
            &record.body,
            &tx.head.audit_hash,
            &entry.hash,
            &entry_mac(tx.ring, entry.seq, &entry.hash),
        ],
    )?;
    Ok(())
}

/// Row of `journal`, as found.
pub(crate) struct JournalRow {
    pub(crate) seq: i64,
    pub(crate) at: i64,
    pub(crate) kind: String,
    pub(crate) provider: String,
    pub(crate) body: String,
    pub(crate) previous: [u8; 32],
    pub(crate) hash: [u8; 32],
    pub(crate) mac: [u8; 32],
}

pub(crate) const COLUMNS: &str = "seq, at, kind, provider, body, previous, hash, mac";

impl JournalRow {
    /// Takes it out of a result with [`COLUMNS`].
    pub(crate) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            at: row.get(1)?,
            kind: row.get(2)?,
            provider: row.get(3)?,
            body: row.get(4)?,
            previous: row.get(5)?,
            hash: row.get(6)?,
            mac: row.get(7)?,
        })
    }

    /// Whether the hash is that of the content.
    pub(crate) fn hash_holds(&self, ring: &KeyRing) -> bool {
        let expected = hash(&ring.store_id, &self.previous, self.at, &self.provider, &self.kind, &self.body);
        expected == self.hash
    }

    /// Whether this was written as entry `seq`.
    pub(crate) fn was_written_as(&self, ring: &KeyRing, seq: u64) -> bool {
        same(&entry_mac(ring, seq, &self.hash), &self.mac)
    }
}

/// Entries from `from` on, at most `limit`, each verified for itself.
pub(crate) fn entries(
    conn: &Connection,
    ring: &KeyRing,
    provider: Option<&ProviderId>,
    from: u64,
    limit: usize,
) -> Result<Vec<EntryView>, KeystoreError> {
    let failed = unreadable("journal");
    let sql = format!(
        "SELECT {COLUMNS} FROM journal WHERE seq >= ?1 AND (?2 IS NULL OR provider = ?2) \
         ORDER BY seq LIMIT ?3"
    );
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = conn.prepare_cached(&sql).map_err(&failed)?;
    let mut rows =
        statement.query(rusqlite::params![stored(from), provider.map(ProviderId::as_str), limit]).map_err(&failed)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(&failed)? {
        let seq = counter(row, 0).map_err(&failed)?;
        let provider = parsed(row, 3, |t| ProviderId::parse(t).ok()).map_err(&failed)?;
        let row = JournalRow::read(row).map_err(&failed)?;
        if !row.hash_holds(ring) || !row.was_written_as(ring, seq) {
            return Err(KeystoreError::StoreCorrupt { object: format!("journal {seq}") });
        }
        found.push(EntryView { seq, at: row.at, kind: row.kind, provider, body: row.body, hash: row.hash });
    }
    Ok(found)
}
