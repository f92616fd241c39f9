//! Rows of policies of providers: append-only versions.
//!
//! `architecture.md` section 6, table family `policies`.

use rusqlite::types::Value;

use super::row::{Row, blob, counter, parsed, stored, text};
use crate::names::ProviderId;
use crate::seal::{Place, Table};
use crate::views::PolicyVersion;

/// Row of `policies`, never changed.
pub(crate) struct PolicyRow {
    pub(crate) provider: ProviderId,
    pub(crate) kind: String,
    pub(crate) number: u64,
    pub(crate) row_id: [u8; 16],
    pub(crate) at: i64,
    pub(crate) author: String,
    pub(crate) reason: String,
    pub(crate) digest: [u8; 32],
    pub(crate) document: String,
    pub(crate) mac: [u8; 32],
}

impl Row for PolicyRow {
    const TABLE: Table = Table::Policies;
    const COLUMNS: &'static str = "provider, kind, number, row_id, at, author, reason, digest, document, mac";

    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            provider: parsed(row, 0, |t| ProviderId::parse(t).ok())?,
            kind: row.get(1)?,
            number: counter(row, 2)?,
            row_id: row.get(3)?,
            at: row.get(4)?,
            author: row.get(5)?,
            reason: row.get(6)?,
            digest: row.get(7)?,
            document: row.get(8)?,
            mac: row.get(9)?,
        })
    }

    fn place(&self) -> Place {
        Place { table: Self::TABLE, row_id: self.row_id, row_version: 1 }
    }

    fn plain(&self) -> Vec<Value> {
        vec![
            text(self.provider.as_str()),
            text(&self.kind),
            Value::Integer(stored(self.number)),
            blob(&self.row_id),
            Value::Integer(self.at),
            text(&self.author),
            text(&self.reason),
            blob(&self.digest),
            text(&self.document),
        ]
    }

    fn mac(&self) -> &[u8; 32] {
        &self.mac
    }

    fn set_mac(&mut self, mac: [u8; 32]) {
        self.mac = mac;
    }
}

impl PolicyRow {
    /// What is shown of it.
    pub(crate) fn view(self) -> PolicyVersion {
        PolicyVersion {
            kind: self.kind,
            number: self.number,
            at: self.at,
            author: self.author,
            reason: self.reason,
            digest: self.digest,
            document: self.document,
        }
    }
}
