//! The schema: made by migrations, compared as a whole before a store is used.
//!
//! `store-durability.md` sections 6.1 and 11; fault STO-18 of `bad-inputs.md`.

use refinery::Target;
use rusqlite::Connection;
use sha2::{Digest, Sha256};

use super::unreadable;
use crate::error::KeystoreError;
use crate::seal::Table;

mod embedded {
    refinery::embed_migrations!("src/storage/sqlite/migrations");
}

/// The tables that the first schema had.
const FIRST_TABLES: usize = 12;

/// How old a schema is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// What this version makes.
    Current,
    /// What an earlier version made; [`migrate`] adds what is missing.
    Older,
}

/// Makes all tables that are missing, in one transaction.
pub(crate) fn migrate(conn: &mut Connection) -> Result<(), KeystoreError> {
    migrate_to(conn, Target::Latest)
}

fn migrate_to(conn: &mut Connection, target: Target) -> Result<(), KeystoreError> {
    embedded::migrations::runner()
        .set_target(target)
        .set_grouped(true)
        .run(conn)
        .map(|_| ())
        .map_err(|e| KeystoreError::StoreFailed(format!("migration: {}", e.kind())))
}

/// Digest over everything that the schema has: tables, indexes, views, triggers.
fn digest(conn: &Connection) -> Result<[u8; 32], KeystoreError> {
    let failed = unreadable("schema");
    let mut statement =
        conn.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name").map_err(&failed)?;
    let mut rows = statement.query([]).map_err(&failed)?;
    let mut digest = Sha256::new();
    while let Some(row) = rows.next().map_err(&failed)? {
        for column in 0..4 {
            let text: Option<String> = row.get(column).map_err(&failed)?;
            let text = text.unwrap_or_default();
            digest.update((text.len() as u64).to_be_bytes());
            digest.update(text);
        }
    }
    Ok(digest.finalize().into())
}

/// Refuses a schema that differs in anything from what the migrations make, now or up to an earlier version.
pub(crate) fn compare(conn: &Connection) -> Result<Age, KeystoreError> {
    let found = digest(conn)?;
    for (target, age) in [(Target::Latest, Age::Current), (Target::Version(1), Age::Older)] {
        let mut fresh = Connection::open_in_memory().map_err(unreadable("schema"))?;
        migrate_to(&mut fresh, target)?;
        if found == digest(&fresh)? {
            return Ok(age);
        }
    }
    Err(KeystoreError::SchemaUnknown("it is newer, older, or was altered by hand".to_owned()))
}

/// Whether the tables of machines are there. The schema was compared: without them it is an earlier one.
pub(crate) fn has_machines(conn: &Connection) -> Result<bool, KeystoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'enrolments')";
    conn.query_row(sql, [], |row| row.get(0)).map_err(unreadable("schema"))
}

/// The authenticated tables that are there.
pub(crate) fn tables(conn: &Connection) -> Result<&'static [Table], KeystoreError> {
    let all = &Table::ALL;
    Ok(if has_machines(conn)? { all } else { all.get(..FIRST_TABLES).unwrap_or(all) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn altered(sql: &str) -> Result<(), KeystoreError> {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn).unwrap();
        conn.execute_batch(sql).unwrap();
        compare(&conn).map(drop)
    }

    #[test]
    fn an_earlier_schema_is_known_and_becomes_the_current_one() {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate_to(&mut conn, Target::Version(1)).unwrap();
        assert_eq!((compare(&conn).unwrap(), tables(&conn).unwrap().len()), (Age::Older, FIRST_TABLES));
        migrate(&mut conn).unwrap();
        assert_eq!((compare(&conn).unwrap(), tables(&conn).unwrap().len()), (Age::Current, 15));
        conn.execute_batch("DROP INDEX clocks_seen").unwrap();
        assert_eq!(compare(&conn).unwrap_err().code(), "store-corrupt");
    }

    #[test]
    fn sto_18_a_schema_altered_by_hand_is_refused() {
        assert!(altered("").is_ok());
        for sql in [
            "CREATE TRIGGER t AFTER INSERT ON keys BEGIN DELETE FROM denies; END",
            "CREATE VIEW v AS SELECT * FROM keys",
            "CREATE INDEX i ON journal (kind)",
            "ALTER TABLE keys ADD COLUMN extra TEXT",
            "DROP TABLE purged",
        ] {
            assert_eq!(altered(sql).unwrap_err().code(), "store-corrupt", "{sql}");
        }
    }
}
