//! Counting every authenticated row of the store.
//!
//! `store-durability.md` R23 and R26: each row must verify, and together they must be what the
//! accumulator of the head says: nothing removed, nothing put back.

use rusqlite::Connection;

use super::head::{Accumulator, HeadState};
use super::keys::{KeyRow, RuleRow, VersionRow};
use super::machines::{ClockRow, EndorsementKeyRow, EnrolmentRow};
use super::policies::PolicyRow;
use super::row::{Row, each};
use super::service::ServiceKeyRow;
use super::spent::{AnswerRow, ChallengeRow};
use super::trust::{CredentialRow, DenyRow, MarkRow, PurgedRow, SessionRow};
use super::{schema, unreadable};
use crate::error::KeystoreError;
use crate::seal::KeyRing;
use crate::seal::derive::mac;

/// How deep to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// MACs and accumulator.
    Rows,
    /// Also open every sealed cell.
    Sealed,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) rows: u64,
    pub(crate) sealed: u64,
    /// Over the objects that a backup carries, wherever they rest.
    pub(crate) digest: [u8; 32],
}

struct Census<'a> {
    ring: &'a KeyRing,
    depth: Depth,
    rows: Accumulator,
    objects: Accumulator,
    counted: Counted,
    all: u64,
    progress: &'a mut dyn FnMut(u64, u64),
}

impl Census<'_> {
    fn row<R: Row>(&mut self, row: &R) -> Result<(), KeystoreError> {
        row.verify(self.ring)?;
        self.rows.add(self.ring, row.mac());
        self.counted.rows += 1;
        (self.progress)(self.counted.rows, self.all);
        Ok(())
    }

    fn object<R: Row>(&mut self, row: &R, secret: &[u8]) {
        let table = (R::TABLE as u16).to_be_bytes();
        let parts: [&[u8]; 4] = [b"object", &table, &row.plain_digest(), secret];
        self.objects.add(self.ring, &mac(&self.ring.index, &parts));
    }

    fn plain<R: Row>(&mut self, row: &R) -> Result<(), KeystoreError> {
        self.row(row)?;
        self.object(row, b"");
        Ok(())
    }
}

/// Reads every row. `conn` is in one read transaction with the head. The first row that is wrong is
/// `store-corrupt`, as is a sum that differs from the head's.
pub(crate) fn count(
    conn: &Connection,
    ring: &KeyRing,
    head: &HeadState,
    depth: Depth,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Counted, KeystoreError> {
    let mut census = Census {
        ring,
        depth,
        rows: Accumulator::default(),
        objects: Accumulator::default(),
        counted: Counted::default(),
        all: all_rows(conn)?,
        progress,
    };
    let (mut owned, mut found) = (0_u64, 0_u64);
    each::<KeyRow>(conn, &mut |row| {
        census.row(&row)?;
        if census.depth == Depth::Rows {
            return Ok(());
        }
        let data_key = row.open_data_key(ring)?;
        census.counted.sealed += 1;
        census.object(&row, data_key.expose());
        row.load_rule(conn, ring)?;
        for version in row.load_versions(conn, ring)? {
            let material = version.open_material(ring, &data_key)?;
            version.open_key(ring, &data_key, row.key_type)?;
            census.counted.sealed += 1;
            census.object(&version, &material);
            owned += 1;
        }
        Ok(())
    })?;
    each::<VersionRow>(conn, &mut |row| {
        found += 1;
        census.row(&row)
    })?;
    if depth == Depth::Sealed && owned != found {
        return Err(KeystoreError::StoreCorrupt { object: "versions without a key".to_owned() });
    }
    each::<ServiceKeyRow>(conn, &mut |row| {
        census.row(&row)?;
        if census.depth == Depth::Sealed {
            let material = row.open_material(ring)?;
            census.counted.sealed += 2;
            census.object(&row, &material);
        }
        Ok(())
    })?;
    each::<AnswerRow>(conn, &mut |row| {
        census.row(&row)?;
        if census.depth == Depth::Sealed {
            row.open(ring)?;
            census.counted.sealed += 1;
        }
        Ok(())
    })?;
    each::<RuleRow>(conn, &mut |row| census.plain(&row))?;
    each::<PolicyRow>(conn, &mut |row| census.plain(&row))?;
    each::<CredentialRow>(conn, &mut |row| census.plain(&row))?;
    each::<DenyRow>(conn, &mut |row| census.plain(&row))?;
    each::<MarkRow>(conn, &mut |row| census.plain(&row))?;
    each::<PurgedRow>(conn, &mut |row| census.plain(&row))?;
    if schema::has_machines(conn)? {
        each::<EnrolmentRow>(conn, &mut |row| census.plain(&row))?;
        each::<EndorsementKeyRow>(conn, &mut |row| census.plain(&row))?;
        each::<ClockRow>(conn, &mut |row| census.plain(&row))?;
    }
    each::<ChallengeRow>(conn, &mut |row| census.row(&row))?;
    each::<SessionRow>(conn, &mut |row| census.row(&row))?;
    if census.rows != head.accumulator {
        return Err(KeystoreError::StoreCorrupt { object: "the set of rows".to_owned() });
    }
    census.counted.digest = census.objects.0;
    Ok(census.counted)
}

fn all_rows(conn: &Connection) -> Result<u64, KeystoreError> {
    let mut all = 0;
    for table in schema::tables(conn)? {
        let sql = format!("SELECT count(*) FROM {}", table.name());
        let rows: i64 = conn.query_row(&sql, [], |row| row.get(0)).map_err(unreadable(table.name()))?;
        all += u64::try_from(rows).unwrap_or(0);
    }
    Ok(all)
}
