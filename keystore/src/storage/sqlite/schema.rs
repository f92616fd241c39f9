//! The schema: made by migrations, compared as a whole before a store is used.
//!
//! `store-durability.md` sections 6.1 and 11; fault STO-18 of `bad-inputs.md`.

use rusqlite::Connection;
use sha2::{Digest, Sha256};

use super::unreadable;
use crate::error::KeystoreError;

mod embedded {
    refinery::embed_migrations!("src/storage/sqlite/migrations");
}

/// Makes all tables in an empty database, in one transaction.
pub(crate) fn migrate(conn: &mut Connection) -> Result<(), KeystoreError> {
    embedded::migrations::runner()
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

/// Refuses a schema that differs in anything from what the migrations make.
pub(crate) fn compare(conn: &Connection) -> Result<(), KeystoreError> {
    let mut fresh = Connection::open_in_memory().map_err(unreadable("schema"))?;
    migrate(&mut fresh)?;
    if digest(conn)? == digest(&fresh)? {
        Ok(())
    } else {
        Err(KeystoreError::SchemaUnknown("it is newer, older, or was altered by hand".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn altered(sql: &str) -> Result<(), KeystoreError> {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn).unwrap();
        conn.execute_batch(sql).unwrap();
        compare(&conn)
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
