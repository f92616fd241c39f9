//! Rows of credentials, of the deny list, of high-water marks and of destroyed keys.
//!
//! `architecture.md` section 6; `store-durability.md` R11 (tokens rest as keyed digests only).

use rusqlite::types::Value;

use super::row::{Row, blob, counter, int_or_null, parsed, row_id_of, select_one, stored, text, text_or_null};
use super::transaction::Transaction;
use crate::error::KeystoreError;
use crate::names::ProviderId;
use crate::seal::secret::random;
use crate::seal::{Place, Table};
use crate::views::{CredentialView, DenyEntry};

/// Row of `credentials`.
#[derive(Clone)]
pub(crate) struct CredentialRow {
    /// Keyed digest of the token.
    pub(crate) token: [u8; 32],
    pub(crate) provider: ProviderId,
    pub(crate) name: String,
    pub(crate) row_id: [u8; 16],
    pub(crate) row_version: u64,
    pub(crate) roles: Vec<String>,
    pub(crate) key_pattern: Option<String>,
    pub(crate) expires: Option<i64>,
    pub(crate) created: i64,
    pub(crate) revoked_at: Option<i64>,
    pub(crate) mac: [u8; 32],
}

impl Row for CredentialRow {
    const TABLE: Table = Table::Credentials;
    const COLUMNS: &'static str = "token, provider, name, row_id, row_version, roles, key_pattern, \
        expires, created, revoked_at, mac";

    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            token: row.get(0)?,
            provider: parsed(row, 1, |t| ProviderId::parse(t).ok())?,
            name: row.get(2)?,
            row_id: row.get(3)?,
            row_version: counter(row, 4)?,
            roles: parsed(row, 5, |t| serde_json::from_str(t).ok())?,
            key_pattern: row.get(6)?,
            expires: row.get(7)?,
            created: row.get(8)?,
            revoked_at: row.get(9)?,
            mac: row.get(10)?,
        })
    }

    fn place(&self) -> Place {
        Place { table: Self::TABLE, row_id: self.row_id, row_version: self.row_version }
    }

    fn plain(&self) -> Vec<Value> {
        vec![
            blob(&self.token),
            text(self.provider.as_str()),
            text(&self.name),
            blob(&self.row_id),
            Value::Integer(stored(self.row_version)),
            // A list of texts always has a JSON form.
            text(&serde_json::to_string(&self.roles).unwrap_or_default()),
            text_or_null(self.key_pattern.as_deref()),
            int_or_null(self.expires),
            Value::Integer(self.created),
            int_or_null(self.revoked_at),
        ]
    }

    fn mac(&self) -> &[u8; 32] {
        &self.mac
    }

    fn set_mac(&mut self, mac: [u8; 32]) {
        self.mac = mac;
    }
}

impl CredentialRow {
    /// What is shown of it.
    pub(crate) fn view(self) -> CredentialView {
        CredentialView {
            provider: self.provider,
            name: self.name,
            roles: self.roles,
            key_pattern: self.key_pattern,
            expires: self.expires,
            created: self.created,
            revoked_at: self.revoked_at,
        }
    }
}

/// Row of `denies`.
pub(crate) struct DenyRow {
    pub(crate) provider: ProviderId,
    pub(crate) kind: String,
    pub(crate) value: String,
    pub(crate) row_id: [u8; 16],
    pub(crate) reason: String,
    pub(crate) at: i64,
    pub(crate) author: String,
    pub(crate) mac: [u8; 32],
}

impl Row for DenyRow {
    const TABLE: Table = Table::Denies;
    const COLUMNS: &'static str = "provider, kind, value, row_id, reason, at, author, mac";

    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            provider: parsed(row, 0, |t| ProviderId::parse(t).ok())?,
            kind: row.get(1)?,
            value: row.get(2)?,
            row_id: row.get(3)?,
            reason: row.get(4)?,
            at: row.get(5)?,
            author: row.get(6)?,
            mac: row.get(7)?,
        })
    }

    fn place(&self) -> Place {
        Place { table: Self::TABLE, row_id: self.row_id, row_version: 1 }
    }

    fn plain(&self) -> Vec<Value> {
        vec![
            text(self.provider.as_str()),
            text(&self.kind),
            text(&self.value),
            blob(&self.row_id),
            text(&self.reason),
            Value::Integer(self.at),
            text(&self.author),
        ]
    }

    fn mac(&self) -> &[u8; 32] {
        &self.mac
    }

    fn set_mac(&mut self, mac: [u8; 32]) {
        self.mac = mac;
    }
}

impl DenyRow {
    /// What is shown of it.
    pub(crate) fn view(self) -> DenyEntry {
        DenyEntry { kind: self.kind, value: self.value, reason: self.reason, at: self.at, author: self.author }
    }
}

/// Row of `marks`.
pub(crate) struct MarkRow {
    pub(crate) id: String,
    pub(crate) row_id: [u8; 16],
    pub(crate) row_version: u64,
    pub(crate) value: u64,
    pub(crate) mac: [u8; 32],
}

impl Row for MarkRow {
    const TABLE: Table = Table::Marks;
    const COLUMNS: &'static str = "id, row_id, row_version, value, mac";

    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            row_id: row.get(1)?,
            row_version: counter(row, 2)?,
            value: counter(row, 3)?,
            mac: row.get(4)?,
        })
    }

    fn place(&self) -> Place {
        Place { table: Self::TABLE, row_id: self.row_id, row_version: self.row_version }
    }

    fn plain(&self) -> Vec<Value> {
        vec![
            text(&self.id),
            blob(&self.row_id),
            Value::Integer(stored(self.row_version)),
            Value::Integer(stored(self.value)),
        ]
    }

    fn mac(&self) -> &[u8; 32] {
        &self.mac
    }

    fn set_mac(&mut self, mac: [u8; 32]) {
        self.mac = mac;
    }
}

impl MarkRow {
    /// Raises a mark; `false`, and nothing written, if it is as high already.
    pub(crate) fn raise(tx: &mut Transaction<'_>, id: String, value: u64) -> Result<bool, KeystoreError> {
        let found: Option<Self> = select_one(tx.counted(), tx.ring, "WHERE id = ?1", &[&id])?;
        match found {
            Some(row) if row.value >= value => return Ok(false),
            Some(mut row) => {
                let before = *row.mac();
                row.value = value;
                row.row_version += 1;
                tx.replace(&before, &mut row)?;
            }
            None => {
                let mut row = Self { id, row_id: random()?, row_version: 1, value, mac: [0; 32] };
                tx.insert(&mut row)?;
            }
        }
        Ok(true)
    }
}

/// Row of `purged`, never changed: a key of this identity was destroyed.
pub(crate) struct PurgedRow {
    pub(crate) row_id: [u8; 16],
    pub(crate) provider: ProviderId,
    pub(crate) name: String,
    pub(crate) at: i64,
    pub(crate) mac: [u8; 32],
}

impl Row for PurgedRow {
    const TABLE: Table = Table::Purged;
    const COLUMNS: &'static str = "row_id, provider, name, at, mac";

    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            row_id: row.get(0)?,
            provider: parsed(row, 1, |t| ProviderId::parse(t).ok())?,
            name: row.get(2)?,
            at: row.get(3)?,
            mac: row.get(4)?,
        })
    }

    fn place(&self) -> Place {
        Place { table: Self::TABLE, row_id: self.row_id, row_version: 1 }
    }

    fn plain(&self) -> Vec<Value> {
        vec![blob(&self.row_id), text(self.provider.as_str()), text(&self.name), Value::Integer(self.at)]
    }

    fn mac(&self) -> &[u8; 32] {
        &self.mac
    }

    fn set_mac(&mut self, mac: [u8; 32]) {
        self.mac = mac;
    }
}

/// Row of `sessions`: an attestation was recorded under this token identifier.
pub(crate) struct SessionRow {
    /// Keyed digest of the identifier.
    pub(crate) jti: [u8; 32],
    pub(crate) at: i64,
    pub(crate) until: i64,
    pub(crate) mac: [u8; 32],
}

impl Row for SessionRow {
    const TABLE: Table = Table::Sessions;
    const COLUMNS: &'static str = "jti, at, until, mac";

    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { jti: row.get(0)?, at: row.get(1)?, until: row.get(2)?, mac: row.get(3)? })
    }

    fn place(&self) -> Place {
        Place { table: Self::TABLE, row_id: row_id_of(&self.jti), row_version: 1 }
    }

    fn plain(&self) -> Vec<Value> {
        vec![blob(&self.jti), Value::Integer(self.at), Value::Integer(self.until)]
    }

    fn mac(&self) -> &[u8; 32] {
        &self.mac
    }

    fn set_mac(&mut self, mac: [u8; 32]) {
        self.mac = mac;
    }
}
