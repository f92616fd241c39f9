//! Opening the database file, and connections that only read.
//!
//! `store-durability.md` section 6.1: settings; R12: nothing is written before the root key is known
//! to be the right one. Faults STO-09, STO-14, STO-18, STO-19 of `bad-inputs.md`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::{schema, unreadable, unwritable};
use crate::error::KeystoreError;
use crate::storage::files::{self, Access};

/// The oldest SQLite without the corruption of a reset write-ahead log.
const OLDEST_SQLITE: i32 = 3_051_003;
/// Up to this many bytes a store is read as a whole when it is opened.
pub(crate) const CHECKED_WHOLE: u64 = 256 * 1024 * 1024;
/// Up to this many bytes the indexes are compared with their tables too.
const CHECKED_DEEP: u64 = 32 * 1024 * 1024;
/// Most idle reading connections kept.
const KEPT_READERS: usize = 16;

fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // A plan never hangs on bound values: else some statements are compiled anew with every use.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.set_prepared_statement_cache_capacity(64);
    conn.execute_batch(
        "PRAGMA mmap_size = 0; PRAGMA cell_size_check = ON; PRAGMA foreign_keys = ON; \
         PRAGMA temp_store = MEMORY;",
    )?;
    Ok(conn)
}

/// Opens the file for writing; it must exist. Nothing is written yet, not even when it is closed.
pub(crate) fn open_untouched(path: &Path) -> Result<Connection, KeystoreError> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(KeystoreError::Unsupported("the library of SQLite is too old"));
    }
    let file = files::open_private(path, Access::Write)?;
    files::refuse_network(&file, path)?;
    let failed = unreadable("store");
    let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(&failed)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(&failed)?;
    Ok(conn)
}

/// Makes the connection the writing one.
pub(crate) fn prepare_writing(conn: &Connection) -> Result<(), KeystoreError> {
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(unwritable)?;
    if mode != "wal" {
        return Err(KeystoreError::ConfigInvalid("the store cannot have a write-ahead log here".to_owned()));
    }
    conn.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON; \
         PRAGMA secure_delete = ON; PRAGMA wal_autocheckpoint = 0;",
    )
    .map_err(unwritable)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map_err(unwritable)?;
    Ok(())
}

/// Makes a new file with the schema and without rows; an existing one is a `conflict`.
pub(crate) fn create(path: &Path) -> Result<Connection, KeystoreError> {
    let file = files::create_private(path)?;
    files::refuse_network(&file, path)?;
    drop(file);
    let mut conn = open_untouched(path)?;
    prepare_writing(&conn)?;
    schema::migrate(&mut conn)?;
    Ok(conn)
}

/// Whether the file is small enough to be read as a whole at start.
pub(crate) fn is_checked_whole(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|m| m.len() <= CHECKED_WHOLE)
}

/// Checks the pages of the file, and in small ones the indexes.
pub(crate) fn check_pages(conn: &Connection, path: &Path) -> Result<(), KeystoreError> {
    let length = std::fs::metadata(path).map_or(u64::MAX, |m| m.len());
    let pragma = if length <= CHECKED_DEEP {
        "PRAGMA integrity_check(1)"
    } else if length <= CHECKED_WHOLE {
        "PRAGMA quick_check(1)"
    } else {
        return Ok(());
    };
    let found: String = conn.query_row(pragma, [], |row| row.get(0)).map_err(unreadable("pages"))?;
    if found == "ok" { Ok(()) } else { Err(KeystoreError::StoreCorrupt { object: "pages".to_owned() }) }
}

/// Reading connections, made when needed and kept for the next reader.
pub(crate) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    reads: AtomicU64,
}

impl Readers {
    /// None yet.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::default(), reads: AtomicU64::default() }
    }

    /// Where the store is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn take(&self) -> Result<Connection, KeystoreError> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match kept {
            Some(conn) => Ok(conn),
            None => {
                let conn = connect(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(unreadable("store"))?;
                conn.execute_batch("PRAGMA query_only = ON").map_err(unreadable("store"))?;
                Ok(conn)
            }
        }
    }

    /// Runs `read` on one moment of the store.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, KeystoreError>,
    ) -> Result<T, KeystoreError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let conn = self.take()?;
        let run = |sql: &str| {
            conn.prepare_cached(sql).and_then(|mut statement| statement.execute([])).map_err(unreadable("store"))
        };
        run("BEGIN")?;
        let found = read(&conn);
        // A connection that cannot end its transaction is not used again.
        if run("COMMIT").is_ok() {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < KEPT_READERS {
                idle.push(conn);
            }
        }
        found
    }

    /// How often the store was read so far.
    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// Closes all idle connections.
    pub(crate) fn close(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    #[test]
    fn a_statement_is_compiled_once_whatever_is_bound() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        drop(create(&path).unwrap());
        let conn = connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        // Without the guarantee the planner of this one looks at the number, and wants to see the next.
        let mut joined = conn
            .prepare(
                "SELECT keys.mac, versions.mac FROM keys \
                 JOIN versions ON versions.key_id = keys.row_id AND versions.number = ?3 \
                 WHERE keys.provider = ?1 AND keys.folded = ?2",
            )
            .unwrap();
        for number in 0..4 {
            assert!(!joined.exists(("default", "k", number)).unwrap());
        }
        assert_eq!(joined.get_status(StatementStatus::RePrepare), 0);
    }
}
