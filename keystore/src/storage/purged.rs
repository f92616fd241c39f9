//! The ledger of purged keys: a file beside the store that outlives it.
//!
//! `store-durability.md` R29 and R34; STO-26 of `bad-inputs.md`. A backup made before a purge still
//! holds the key; the ledger tells the restore. One line per key: store, row, keyed digest. Lines of
//! other stores are kept and not judged; one of ours that does not verify is `store-corrupt`.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::files::{self, Access};
use crate::error::KeystoreError;
use crate::seal::KeyRing;
use crate::seal::secret::same;

/// Longest ledger, in bytes: some 400,000 keys.
const LONGEST: u64 = 64 << 20;

/// Names of the rows of keys that were purged.
pub(crate) type Gone = BTreeSet<[u8; 16]>;

/// Where the ledger of a store lies.
pub(crate) fn ledger_of(store: &Path) -> PathBuf {
    files::beside(store, ".purged")
}

fn damaged(path: &Path) -> KeystoreError {
    KeystoreError::StoreCorrupt { object: format!("ledger {}", path.display()) }
}

fn digest(ring: &KeyRing, row_id: &[u8; 16]) -> [u8; 32] {
    ring.index("purged", &[row_id])
}

fn line(ring: &KeyRing, row_id: &[u8; 16]) -> String {
    let (store, row) = (hex::encode(ring.store_id), hex::encode(row_id));
    format!("{store} {row} {}\n", hex::encode(digest(ring, row_id)))
}

fn text(path: &Path) -> Result<String, KeystoreError> {
    match path.symlink_metadata() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
        _ => {}
    }
    let mut text = String::new();
    let read = files::open_private(path, Access::Read)?.take(LONGEST + 1).read_to_string(&mut text);
    match read {
        Ok(length) if length as u64 <= LONGEST => Ok(text),
        _ => Err(damaged(path)),
    }
}

fn parsed(ring: &KeyRing, text: &str) -> Option<Gone> {
    let ours = hex::encode(ring.store_id);
    let mut gone = Gone::new();
    if !text.is_empty() && !text.ends_with('\n') {
        return None;
    }
    for line in text.lines() {
        let (store, rest) = line.split_once(' ')?;
        if store != ours {
            continue;
        }
        let (row, found) = rest.split_once(' ')?;
        let row_id: [u8; 16] = hex::decode(row).ok()?.try_into().ok()?;
        let found: [u8; 32] = hex::decode(found).ok()?.try_into().ok()?;
        if !same(&digest(ring, &row_id), &found) {
            return None;
        }
        gone.insert(row_id);
    }
    Some(gone)
}

/// The purged keys of this store that a ledger names; none if there is no ledger.
pub(crate) fn read(path: &Path, ring: &KeyRing) -> Result<Gone, KeystoreError> {
    parsed(ring, &text(path)?).ok_or_else(|| damaged(path))
}

/// Adds keys to a ledger; they are on the disk when this returns. The file is never seen half
/// written. `config-invalid` if it cannot be written, and then it is as it was.
pub(crate) fn add(path: &Path, ring: &KeyRing, more: &Gone) -> Result<(), KeystoreError> {
    let mut content = text(path)?;
    let there = parsed(ring, &content).ok_or_else(|| damaged(path))?;
    let before = content.len();
    more.difference(&there).for_each(|row_id| content.push_str(&line(ring, row_id)));
    if content.len() == before {
        return Ok(());
    }
    replace(path, content.as_bytes()).map_err(|e| match e {
        KeystoreError::StoreFailed(why) => KeystoreError::ConfigInvalid(why),
        other => other,
    })
}

fn replace(path: &Path, content: &[u8]) -> Result<(), KeystoreError> {
    let next = files::beside(path, ".next");
    // Of a process that ended while it wrote.
    let _ = std::fs::remove_file(&next);
    let mut file = files::create_private(&next)?;
    file.write_all(content)
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&next, path))
        .map_err(|e| files::failed(path, &e))?;
    files::sync_directory_of(path)
}
