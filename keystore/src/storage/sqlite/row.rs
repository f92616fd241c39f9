//! What all authenticated rows have in common.
//!
//! `store-durability.md` section 3 (R5, R6): place, plain columns, sealed cells, MAC.

use rusqlite::types::Value;
use rusqlite::{Connection, ToSql};
use sha2::{Digest, Sha256};

use super::unreadable;
use crate::error::KeystoreError;
use crate::seal::{Columns, KeyRing, Place, Table};

/// A row whose MAC is over everything in it.
pub(crate) trait Row: Sized {
    /// Its table.
    const TABLE: Table;
    /// All its columns: the plain ones, the sealed ones, the MAC.
    const COLUMNS: &'static str;

    /// Takes it out of a result with these columns.
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self>;
    /// Which state of which row this is.
    fn place(&self) -> Place;
    /// The plain columns.
    fn plain(&self) -> Vec<Value>;
    /// The sealed columns.
    fn sealed(&self) -> Vec<&[u8]> {
        Vec::new()
    }
    /// Its MAC.
    fn mac(&self) -> &[u8; 32];
    /// Gives it its MAC.
    fn set_mac(&mut self, mac: [u8; 32]);

    /// Digest of the plain columns, to which the sealed ones are bound.
    fn plain_digest(&self) -> [u8; 32] {
        Columns::of(&self.plain())
    }

    /// Digest of plain and sealed columns.
    fn contents(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(self.plain_digest());
        for cell in self.sealed() {
            digest.update((cell.len() as u64).to_be_bytes());
            digest.update(cell);
        }
        digest.finalize().into()
    }

    /// Computes its MAC anew.
    fn authenticate(&mut self, ring: &KeyRing) {
        self.set_mac(ring.row_mac(&self.place(), &self.contents()));
    }

    /// Fails as `store-corrupt` unless its MAC is right.
    fn verify(&self, ring: &KeyRing) -> Result<(), KeystoreError> {
        ring.verify_row(&self.place(), &self.contents(), self.mac())
    }

    /// Everything, in the order of the columns.
    fn values(&self) -> Vec<Value> {
        let mut values = self.plain();
        values.extend(self.sealed().into_iter().map(|c| Value::Blob(c.to_vec())));
        values.push(Value::Blob(self.mac().to_vec()));
        values
    }

    /// The statement that writes it; `verb` is `INSERT`, or `INSERT OR REPLACE`.
    fn statement(verb: &str) -> String {
        let marks = vec!["?"; Self::COLUMNS.split(',').count()].join(", ");
        let (table, columns) = (Self::TABLE.name(), Self::COLUMNS);
        format!("{verb} INTO {table} ({columns}) VALUES ({marks})")
    }
}

/// All rows that match, verified, in the order of the condition.
pub(crate) fn select<R: Row>(
    conn: &Connection,
    ring: &KeyRing,
    condition: &str,
    params: &[&dyn ToSql],
) -> Result<Vec<R>, KeystoreError> {
    let failed = unreadable(R::TABLE.name());
    let sql = format!("SELECT {} FROM {} {condition}", R::COLUMNS, R::TABLE.name());
    let mut statement = conn.prepare_cached(&sql).map_err(&failed)?;
    let mut rows = statement.query(params).map_err(&failed)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(&failed)? {
        let row = R::read(row).map_err(&failed)?;
        row.verify(ring)?;
        found.push(row);
    }
    Ok(found)
}

/// The rows that match and verify; those that are not what was written are passed over.
pub(crate) fn select_whole<R: Row>(
    conn: &Connection,
    ring: &KeyRing,
    condition: &str,
    params: &[&dyn ToSql],
) -> Result<Vec<R>, KeystoreError> {
    let failed = unreadable(R::TABLE.name());
    let sql = format!("SELECT {} FROM {} {condition}", R::COLUMNS, R::TABLE.name());
    let mut statement = conn.prepare_cached(&sql).map_err(&failed)?;
    let mut rows = statement.query(params).map_err(&failed)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(&failed)? {
        if let Ok(row) = R::read(row)
            && row.verify(ring).is_ok()
        {
            found.push(row);
        }
    }
    Ok(found)
}

/// The one row that matches, verified.
pub(crate) fn select_one<R: Row>(
    conn: &Connection,
    ring: &KeyRing,
    condition: &str,
    params: &[&dyn ToSql],
) -> Result<Option<R>, KeystoreError> {
    Ok(select(conn, ring, condition, params)?.into_iter().next())
}

/// Visits every row of a table, without keeping them.
pub(crate) fn each<R: Row>(
    conn: &Connection,
    visit: &mut dyn FnMut(R) -> Result<(), KeystoreError>,
) -> Result<(), KeystoreError> {
    let failed = unreadable(R::TABLE.name());
    let sql = format!("SELECT {} FROM {}", R::COLUMNS, R::TABLE.name());
    let mut statement = conn.prepare(&sql).map_err(&failed)?;
    let mut rows = statement.query([]).map_err(&failed)?;
    while let Some(row) = rows.next().map_err(&failed)? {
        visit(R::read(row).map_err(&failed)?)?;
    }
    Ok(())
}

/// The first 16 bytes of a digest: the row's own name where the key of a table is a digest.
pub(crate) fn row_id_of(digest: &[u8; 32]) -> [u8; 16] {
    let mut id = [0; 16];
    for (to, from) in id.iter_mut().zip(digest) {
        *to = *from;
    }
    id
}

/// A counter as SQLite keeps it. Counters never come near the limit.
pub(crate) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A counter as SQLite gave it; a negative one was never written.
pub(crate) fn counter(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// A flag; other numbers than 0 and 1 were never written.
pub(crate) fn flag(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<bool> {
    match row.get(column)? {
        0_i64 => Ok(false),
        1 => Ok(true),
        other => Err(rusqlite::Error::IntegralValueOutOfRange(column, other)),
    }
}

/// A text, as a value.
pub(crate) fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

/// Bytes, as a value.
pub(crate) fn blob(value: &[u8]) -> Value {
    Value::Blob(value.to_vec())
}

/// A number or nothing, as a value.
pub(crate) fn int_or_null(value: Option<i64>) -> Value {
    value.map_or(Value::Null, Value::Integer)
}

/// A text or nothing, as a value.
pub(crate) fn text_or_null(value: Option<&str>) -> Value {
    value.map_or(Value::Null, text)
}

/// Reads a text that has a form of its own; another form was never written.
pub(crate) fn parsed<T>(
    row: &rusqlite::Row<'_>,
    column: usize,
    parse: impl FnOnce(&str) -> Option<T>,
) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    parse(&text).ok_or_else(|| rusqlite::Error::InvalidColumnType(column, String::new(), rusqlite::types::Type::Text))
}
