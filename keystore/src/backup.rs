//! Sealed copies of a whole store, and stores made of them.
//!
//! `store-durability.md` section 8 (R28, R29, R32). A backup is a snapshot of the database in a
//! sealed stream; it holds no root key. A restored store is written row by row under its next
//! incarnation, so that no cell of the old one fits into it; challenges, sessions and kept answers
//! stay behind, and challenges issued before cannot be verified any more.

mod copy;
mod stream;

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::authorized::Record;
use crate::error::KeystoreError;
use crate::journal;
use crate::keystore::{Keystore, verified};
use crate::names::ProviderId;
use crate::root::{RootKey, RootSecret};
use crate::seal::KeyRing;
use crate::seal::ring::check_value;
use crate::seal::secret::{random, same};
use crate::storage::files::{self, Lock};
use crate::storage::purged::{self, Gone};
use crate::storage::sqlite::census::{self, Counted, Depth};
use crate::storage::sqlite::head::{HeadState, Identity};
use crate::storage::sqlite::{database, schema, unreadable, unwritable};
use crate::views::{BackupReport, JournalVerdict};

const MAGIC: &[u8; 16] = b"keygate-backup-1";
/// Longest manifest, in bytes.
const MAX_MANIFEST: usize = 4096;

/// The first bytes of a backup, in the open: which store, which root key, which file key.
struct Header {
    store_id: [u8; 16],
    incarnation: u32,
    root_check: [u8; 32],
    created: i64,
    salt: [u8; 32],
}

const HEADER: usize = 16 + 16 + 4 + 32 + 8 + 32;

impl Header {
    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.store_id);
        out.extend_from_slice(&self.incarnation.to_be_bytes());
        out.extend_from_slice(&self.root_check);
        out.extend_from_slice(&self.created.to_be_bytes());
        out.extend_from_slice(&self.salt);
        out
    }

    fn read(bytes: &[u8; HEADER]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<16>()?;
        let (store_id, rest) = rest.split_first_chunk()?;
        let (incarnation, rest) = rest.split_first_chunk()?;
        let (root_check, rest) = rest.split_first_chunk()?;
        let (created, rest) = rest.split_first_chunk()?;
        let (salt, _) = rest.split_first_chunk()?;
        (magic == MAGIC).then_some(Self {
            store_id: *store_id,
            incarnation: u32::from_be_bytes(*incarnation),
            root_check: *root_check,
            created: i64::from_be_bytes(*created),
            salt: *salt,
        })
    }
}

/// What a backup holds, inside the sealed stream and before the snapshot.
#[derive(Serialize, Deserialize, PartialEq, Eq)]
struct Manifest {
    rows: u64,
    entries: u64,
    audit_hash: [u8; 32],
    digest: [u8; 32],
}

fn damaged_backup() -> KeystoreError {
    KeystoreError::StoreCorrupt { object: "backup".to_owned() }
}

/// A file that is removed again, with what SQLite keeps beside it.
struct Scratch<'a>(&'a Path);

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let _ = std::fs::remove_file(files::beside(self.0, suffix));
        }
    }
}

/// Gives a finished file its name; a file of that name is a `conflict`.
fn publish(from: &Path, to: &Path) -> Result<(), KeystoreError> {
    match std::fs::hard_link(from, to) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            return Err(KeystoreError::Conflict("the file exists already"));
        }
        Err(e) => return Err(files::failed(to, &e)),
    }
    std::fs::remove_file(from).map_err(|e| files::failed(from, &e))?;
    files::sync_directory_of(to)
}

fn absent(path: &Path) -> Result<(), KeystoreError> {
    match path.symlink_metadata() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        _ => Err(KeystoreError::Conflict("the file exists already")),
    }
}

/// Every row and every entry of a snapshot, counted and verified.
fn inspect(conn: &Connection, ring: &KeyRing) -> Result<(HeadState, Counted), KeystoreError> {
    let head = HeadState::read(conn, ring)?;
    let counted = census::count(conn, ring, &head, Depth::Sealed, &mut |_, _| {})?;
    match journal::verify(conn, ring, &head, &mut |_, _| {})? {
        JournalVerdict::Intact { .. } => Ok((head, counted)),
        JournalVerdict::Broken { seq, what } => {
            Err(KeystoreError::StoreCorrupt { object: format!("journal {seq} {}", what.as_str()) })
        }
    }
}

impl Keystore {
    /// Writes a sealed copy of the whole store, as of one moment, to a new file. The copy is
    /// verified as a whole before it is sealed: of a damaged store there is no backup. An existing
    /// file is a `conflict`. `now` is unix seconds.
    pub fn backup(&self, to: &Path, now: i64) -> Result<BackupReport, KeystoreError> {
        let to = files::resolved(to)?;
        absent(&to)?;
        let (snapshot, partial) = (files::beside(&to, ".snapshot"), files::beside(&to, ".partial"));
        drop(files::create_private(&snapshot)?);
        let _snapshot = Scratch(&snapshot);
        self.read(|conn| copy::snapshot(conn, &snapshot))?;

        let ring = self.ring();
        let conn = database::open_untouched(&snapshot)?;
        let (head, counted) = inspect(&conn, ring)?;
        drop(conn);
        let manifest = Manifest {
            rows: counted.rows,
            entries: head.audit_seq,
            audit_hash: head.audit_hash,
            digest: counted.digest,
        };
        let header = Header {
            store_id: ring.store_id,
            incarnation: ring.incarnation,
            root_check: self.identity().root_check,
            created: now,
            salt: random()?,
        };
        let file = files::create_private(&partial)?;
        let _partial = Scratch(&partial);
        let bytes = seal_file(file, &header, ring, &manifest, &snapshot).map_err(|e| files::failed(&partial, &e))?;
        publish(&partial, &to)?;
        Ok(BackupReport {
            rows: counted.rows + head.audit_seq,
            bytes,
            incarnation: ring.incarnation,
            digest: counted.digest,
        })
    }

    /// Makes a new store of a backup, under the next incarnation. The whole backup is verified
    /// before anything is written. Keys that the ledger `<to>.purged` names stay purged. Errors: `conflict` if `to` exists; [`KeystoreError::WrongRootKey`];
    /// `store-corrupt` if the backup is not whole.
    pub fn restore(from: &Path, to: &Path, root: &dyn RootKey, now: i64) -> Result<BackupReport, KeystoreError> {
        let ledger = purged::ledger_of(&files::resolved(to)?);
        Self::restore_with_ledger(from, to, &ledger, root, now)
    }

    /// As [`Keystore::restore`], with the ledger of purged keys of the lost store at another place;
    /// without such a file nothing counts as purged since. `<to>.purged` has them all afterwards.
    pub fn restore_with_ledger(
        from: &Path,
        to: &Path,
        ledger: &Path,
        root: &dyn RootKey,
        now: i64,
    ) -> Result<BackupReport, KeystoreError> {
        let secret = root.load()?;
        let to = files::resolved(to)?;
        absent(&to)?;
        let mut file = File::open(from).map_err(|e| files::failed(from, &e))?;
        let header = read_header(&mut file)?;
        if !same(&check_value(&secret, &header.store_id), &header.root_check) {
            return Err(KeystoreError::WrongRootKey);
        }
        let ring = KeyRing::derive(&secret, header.store_id, header.incarnation);
        let manifest = open_file(&mut file, &header, &ring, &mut io::sink())?;

        let _lock = Lock::take(&to)?;
        let snapshot = files::beside(&to, ".snapshot");
        let unsealed = files::create_private(&snapshot)?;
        let _snapshot = Scratch(&snapshot);
        let mut unsealed = BufWriter::new(unsealed);
        open_file(&mut file, &header, &ring, &mut unsealed)?;
        unsealed.flush().map_err(|e| files::failed(&snapshot, &e))?;
        drop(unsealed);

        let mut gone = purged::read(ledger, &ring)?;
        gone.append(&mut purged::read(&purged::ledger_of(&to), &ring)?);
        let partial = files::beside(&to, ".partial");
        let _partial = Scratch(&partial);
        let (rows, digest) = rewrite(&snapshot, &partial, &secret, &manifest, root, &mut gone, now)?;
        purged::add(&purged::ledger_of(&to), &ring, &gone)?;
        let bytes = std::fs::metadata(&partial).map_or(0, |m| m.len());
        publish(&partial, &to)?;
        Ok(BackupReport { rows, bytes, incarnation: header.incarnation.saturating_add(1), digest })
    }
}

fn seal_file(file: File, header: &Header, ring: &KeyRing, manifest: &Manifest, snapshot: &Path) -> io::Result<u64> {
    let header_bytes = header.bytes();
    let (aead, commitment) = stream::file_key(&ring.backup, &header.salt, &header_bytes);
    let mut out = BufWriter::new(file);
    out.write_all(&header_bytes)?;
    out.write_all(&commitment)?;
    let mut sealer = stream::Sealer::new(out, aead);
    let manifest = serde_json::to_vec(manifest)?;
    let length = u32::try_from(manifest.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    sealer.write_all(&length.to_be_bytes())?;
    sealer.write_all(&manifest)?;
    io::copy(&mut BufReader::new(File::open(snapshot)?), &mut sealer)?;
    let file = sealer.finish()?.into_inner().map_err(|e| e.into_error())?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}

fn read_header(file: &mut File) -> Result<Header, KeystoreError> {
    let mut bytes = [0; HEADER];
    file.read_exact(&mut bytes).map_err(|_| damaged_backup())?;
    Header::read(&bytes).ok_or_else(damaged_backup)
}

/// Opens the stream behind the header: gives the manifest, and the snapshot to `out`.
fn open_file(file: &mut File, header: &Header, ring: &KeyRing, out: &mut dyn Write) -> Result<Manifest, KeystoreError> {
    file.seek(SeekFrom::Start(HEADER as u64)).map_err(|_| damaged_backup())?;
    let mut found = [0; 32];
    file.read_exact(&mut found).map_err(|_| damaged_backup())?;
    let (aead, commitment) = stream::file_key(&ring.backup, &header.salt, &header.bytes());
    if !same(&commitment, &found) {
        return Err(damaged_backup());
    }
    // The manifest lies within the first chunk.
    let mut manifest = None;
    stream::open(BufReader::new(file), &aead, |chunk| {
        let mut rest = chunk;
        if manifest.is_none() {
            let (read, behind) = split_manifest(chunk).ok_or(io::ErrorKind::InvalidData)?;
            manifest = Some(read);
            rest = behind;
        }
        out.write_all(rest)
    })
    .map_err(|e| match e.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => damaged_backup(),
        kind => KeystoreError::StoreFailed(format!("restoring: {kind}")),
    })?;
    manifest.ok_or_else(damaged_backup)
}

fn split_manifest(chunk: &[u8]) -> Option<(Manifest, &[u8])> {
    let (length, rest) = chunk.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (manifest, rest) = rest.split_at_checked(length.min(MAX_MANIFEST + 1))?;
    (length <= MAX_MANIFEST).then(|| serde_json::from_slice(manifest).ok()).flatten().map(|manifest| (manifest, rest))
}

/// Writes the store of the next incarnation, and compares it with what the backup promised.
fn rewrite(
    snapshot: &Path,
    partial: &Path,
    secret: &RootSecret,
    manifest: &Manifest,
    root: &dyn RootKey,
    gone: &mut Gone,
    now: i64,
) -> Result<(u64, [u8; 32]), KeystoreError> {
    let old = database::open_untouched(snapshot)?;
    schema::compare(&old)?;
    let (identity, ring) = Identity::read(&old, secret)?;
    verified(&old, &ring, snapshot)?;
    let (head, counted) = inspect(&old, &ring)?;
    let found =
        Manifest { rows: counted.rows, entries: head.audit_seq, audit_hash: head.audit_hash, digest: counted.digest };
    if found != *manifest {
        return Err(damaged_backup());
    }
    let incarnation = identity.incarnation.checked_add(1).ok_or_else(damaged_backup)?;
    let next = Identity { incarnation, root_provider: root.describe(), created: now, ..identity };
    let next_ring = KeyRing::derive(secret, next.store_id, incarnation);
    let new = database::create(partial)?;
    new.execute_batch("BEGIN IMMEDIATE").map_err(unwritable)?;
    next.write(&new, &next_ring)?;
    let back = copy::brought_back(&old, gone)?;
    let again = back.len();
    let record = Record {
        provider: ProviderId::parse("keygate")?,
        at: now,
        kind: "store-restored".to_owned(),
        body: format!("{{\"incarnation\":{incarnation},\"purged\":{again}}}"),
    };
    copy::reseal(&old, &ring, &head, &new, &next_ring, &record, now)?;
    if inspect(&new, &next_ring)?.1.digest != manifest.digest {
        return Err(damaged_backup());
    }
    gone.append(&mut copy::purge_again(&new, &next_ring, &back, now)?);
    new.execute_batch("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)").map_err(unwritable)?;
    let (head, counted) = inspect(&new, &next_ring)?;
    new.close().map_err(|(_, e)| unreadable("store")(e))?;
    Ok((counted.rows + head.audit_seq, counted.digest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::FileRoot;

    /// A backup whose stream is genuine and whose manifest is `change`d.
    fn restored(change: fn(&mut Manifest)) -> Result<BackupReport, KeystoreError> {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let root = FileRoot::create(&path("root")).unwrap();
        let store = Keystore::create(&path("store"), &root, 90, 1).unwrap();
        files::create_private(&path("snapshot")).unwrap();
        store.read(|conn| copy::snapshot(conn, &path("snapshot"))).unwrap();
        let ring = store.ring();
        let header = Header {
            store_id: ring.store_id,
            incarnation: ring.incarnation,
            root_check: store.identity().root_check,
            created: 1,
            salt: [1; 32],
        };
        let mut manifest = Manifest { rows: 0, entries: 0, audit_hash: [0; 32], digest: [0; 32] };
        change(&mut manifest);
        let file = files::create_private(&path("copy")).unwrap();
        seal_file(file, &header, ring, &manifest, &path("snapshot")).unwrap();
        Keystore::restore(&path("copy"), &path("new"), &root, 1)
    }

    #[test]
    fn sto_25_a_snapshot_that_is_not_what_the_manifest_says_is_refused() {
        assert!(restored(|_| {}).is_ok());
        let changes: [fn(&mut Manifest); 4] =
            [|m| m.rows = 1, |m| m.entries = 1, |m| m.audit_hash = [1; 32], |m| m.digest = [1; 32]];
        for change in changes {
            assert_eq!(restored(change).unwrap_err().code(), "store-corrupt");
        }
    }
}
