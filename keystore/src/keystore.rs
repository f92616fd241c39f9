//! The store as its user sees it: opening, reading, recording.
//!
//! `architecture.md` section 6; `store-durability.md` for what it promises. Uses of keys are in
//! `perform`, changes in `change`, copies in `backup`.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use crate::authorized::{Entry, Record, Repeated};
use crate::error::KeystoreError;
use crate::journal;
use crate::names::{KeyName, ProviderId, VersionId};
use crate::perform;
use crate::reserve::Gauge;
use crate::root::RootKey;
use crate::seal::KeyRing;
use crate::seal::derive::mac;
use crate::seal::ring::check_value;
use crate::seal::secret::random;
use crate::storage::files::{self, Lock};
use crate::storage::sqlite::census::{self, Depth};
use crate::storage::sqlite::database::{self, Readers};
use crate::storage::sqlite::head::{HeadState, Identity};
use crate::storage::sqlite::journal as entries;
use crate::storage::sqlite::keys::{KeyRow, KeyRows, RuleRow, VersionRow};
use crate::storage::sqlite::policies::PolicyRow;
use crate::storage::sqlite::row::{select, select_one};
use crate::storage::sqlite::spent::{AnswerRow, ChallengeRow};
use crate::storage::sqlite::trust::{CredentialRow, DenyRow, MarkRow, SessionRow};
use crate::storage::sqlite::{schema, unwritable};
use crate::storage::writer::{Shared, Writer};
use crate::views::{
    CheckReport, Counters, CredentialView, DenyEntry, EntryView, Epoch, Head, KeyView, Look, PolicyVersion, ReadRows,
    RuleVersion, StoreStatus,
};

/// What keyed digests are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacPurpose {
    /// Challenges. They change with every restore, and with each of two restores of one backup, so
    /// that challenges of before or elsewhere are worthless.
    Challenge,
    /// Blind indexes.
    Index,
    /// Plausible answers about things that do not exist.
    Decoy,
}

/// An open store. Clones are cheap and share it; the last one dropped closes it.
#[derive(Clone)]
pub struct Keystore {
    inner: Arc<Inner>,
}

struct Inner {
    identity: Identity,
    // Dropped first, so that the writer is the last to close the database.
    readers: Readers,
    writer: Writer,
    shared: Arc<Shared>,
    gauge: Gauge,
    seen_before: i64,
}

impl Keystore {
    /// Makes a store. An existing file is a `conflict`; `retention_days`, how long soft-deleted
    /// keys stay, is 7 to 90. `now` is unix seconds.
    pub fn create(file: &Path, root: &dyn RootKey, retention_days: u32, now: i64) -> Result<Self, KeystoreError> {
        if !(7..=90).contains(&retention_days) {
            return Err(KeystoreError::ConfigInvalid("deleted keys are kept 7 to 90 days".to_owned()));
        }
        let secret = root.load()?;
        let path = files::resolved(file)?;
        let lock = Lock::take(&path)?;
        let conn = database::create(&path)?;
        let store_id = random::<16>()?;
        let identity = Identity {
            store_id,
            incarnation: 1,
            root_check: check_value(&secret, &store_id),
            root_provider: root.describe(),
            retention_days,
            created: now,
        };
        let ring = KeyRing::derive(&secret, store_id, identity.incarnation);
        drop(secret);
        let head = HeadState::empty(now);
        conn.execute_batch("BEGIN IMMEDIATE").map_err(unwritable)?;
        identity.write(&conn, &ring)?;
        head.write(&conn, &ring, None)?;
        conn.execute_batch("COMMIT").map_err(unwritable)?;
        files::sync_directory_of(&path)?;
        Self::start(path, identity, ring, (head, now), conn, lock)
    }

    /// Opens a store. Nothing is written before the root key proved to be the right one and every row was looked at; then a
    /// store of an earlier version gets the tables that it lacks.
    ///
    /// Errors: [`KeystoreError::Busy`] while another process has it; [`KeystoreError::WrongRootKey`];
    /// `config-invalid` for a file that others can reach; `store-corrupt` for a schema, page, row,
    /// head or end of journal that is not what was written.
    pub fn open(file: &Path, root: &dyn RootKey, now: i64) -> Result<Self, KeystoreError> {
        let secret = root.load()?;
        let path = files::resolved(file)?;
        // Before the lock file is made: a path without a store stays untouched.
        drop(files::open_private(&path, files::Access::Write)?);
        let lock = Lock::take(&path)?;
        let mut conn = database::open_untouched(&path)?;
        let age = schema::compare(&conn)?;
        let (identity, ring) = Identity::read(&conn, &secret)?;
        drop(secret);
        let mut head = verified(&conn, &ring, &path)?;
        let seen_before = head.newest_time;
        head.newest_time = head.newest_time.max(now);
        database::prepare_writing(&conn)?;
        if age == schema::Age::Older {
            schema::migrate(&mut conn)?;
        }
        Self::start(path, identity, ring, (head, seen_before), conn, lock)
    }

    fn start(
        path: std::path::PathBuf,
        identity: Identity,
        ring: KeyRing,
        (head, seen_before): (HeadState, i64),
        conn: Connection,
        lock: Lock,
    ) -> Result<Self, KeystoreError> {
        let shared = Arc::new(Shared::new(ring, head));
        let inner = Inner {
            identity,
            readers: Readers::new(path),
            writer: Writer::start(conn, lock, Arc::clone(&shared))?,
            shared,
            gauge: Gauge::default(),
            seen_before,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub(crate) fn ring(&self) -> &KeyRing {
        &self.inner.shared.ring
    }

    pub(crate) fn writer(&self) -> &Writer {
        &self.inner.writer
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.inner.identity
    }

    pub(crate) fn last_epoch(&self) -> u64 {
        self.inner.shared.epoch()
    }

    pub(crate) fn gauge(&self) -> &Gauge {
        &self.inner.gauge
    }

    /// Where the store lies.
    pub fn path(&self) -> &Path {
        self.inner.readers.path()
    }

    /// Runs `read` on one moment of the store.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, KeystoreError>,
    ) -> Result<T, KeystoreError> {
        self.inner.readers.read(read)
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Shared {
        &self.inner.shared
    }

    /// State for health pages.
    pub fn status(&self) -> StoreStatus {
        let head = self.inner.shared.head();
        StoreStatus {
            store_id: self.ring().store_id,
            incarnation: self.ring().incarnation,
            epoch: head.epoch,
            entries: head.audit_seq,
            newest_time: head.newest_time,
            seen_before: self.inner.seen_before,
            failed: self.inner.shared.failed(),
            rollback: "none",
        }
    }

    /// What was done since the store was opened.
    pub fn counters(&self) -> Counters {
        Counters { reads: self.inner.readers.reads(), ..self.inner.shared.tally.figures() }
    }

    /// Called once when a commit or flush failed, or at once if one has: the node must stop
    /// answering and end. `f` must not hold the store.
    pub fn on_failure(&self, f: Box<dyn Fn() + Send + Sync>) {
        self.inner.shared.set_on_failure(f);
    }

    /// Finishes what waits, then closes the store for writing. What comes later is `sealed`.
    pub fn shutdown(&self) {
        self.inner.readers.close();
        self.inner.writer.stop();
    }

    /// HMAC-SHA-256 over parts, each behind its length, under a key of this store and purpose.
    pub fn mac(&self, purpose: MacPurpose, parts: &[&[u8]]) -> [u8; 32] {
        let ring = self.ring();
        let created = self.identity().created.to_be_bytes();
        let mut all: Vec<&[u8]> = vec![b"mac"];
        all.extend_from_slice(parts);
        let key = match purpose {
            MacPurpose::Challenge => {
                all.push(&created);
                &ring.challenge
            }
            MacPurpose::Index => &ring.index,
            MacPurpose::Decoy => &ring.decoy,
        };
        mac(key, &all)
    }

    /// What one use of a key needs, in one moment: as [`Keystore::look`], but of the versions at most
    /// one, that named or else the newest that is on. The work does not grow with their number.
    pub fn look_version(
        &self,
        provider: &ProviderId,
        name: &KeyName,
        wanted: Option<&VersionId>,
    ) -> Result<Look, KeystoreError> {
        self.look_at_one(provider, name, |row, conn, ring| row.view_version(conn, ring, wanted))
    }

    /// The same of the newest version, on or off.
    pub fn look_newest(&self, provider: &ProviderId, name: &KeyName) -> Result<Look, KeystoreError> {
        self.look_at_one(provider, name, KeyRow::view_last)
    }

    fn look_at_one(
        &self,
        provider: &ProviderId,
        name: &KeyName,
        view: impl FnOnce(&KeyRow, &Connection, &KeyRing) -> Result<(KeyView, Option<VersionRow>), KeystoreError>,
    ) -> Result<Look, KeystoreError> {
        let ring = self.ring();
        self.read(|conn| {
            let epoch = Epoch(HeadState::read(conn, ring)?.epoch);
            let Some(row) = KeyRow::find(conn, ring, provider, name)? else {
                return Ok(Look { epoch, key: None, read: None });
            };
            let (view, version) = view(&row, conn, ring)?;
            let read = version.map(|version| ReadRows(Box::new(KeyRows { key: row, version })));
            Ok(Look { epoch, key: Some(view), read })
        })
    }

    /// A key with all its versions, deleted ones included, and the epoch, in one moment.
    pub fn look(&self, provider: &ProviderId, name: &KeyName) -> Result<Look, KeystoreError> {
        let ring = self.ring();
        self.read(|conn| {
            let epoch = Epoch(HeadState::read(conn, ring)?.epoch);
            let key = KeyRow::find(conn, ring, provider, name)?.map(|row| row.view(conn, ring)).transpose()?;
            Ok(Look { epoch, key, read: None })
        })
    }

    /// The epoch.
    pub fn epoch(&self) -> Result<Epoch, KeystoreError> {
        self.read(|conn| Ok(Epoch(HeadState::read(conn, self.ring())?.epoch)))
    }

    /// At most `limit` keys behind `after`, in the order of their names without case; deleted ones
    /// included.
    pub fn list(
        &self,
        provider: &ProviderId,
        after: Option<&KeyName>,
        limit: usize,
    ) -> Result<Vec<KeyView>, KeystoreError> {
        let ring = self.ring();
        let after = after.map(KeyName::folded).unwrap_or_default();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(|conn| {
            let rows: Vec<KeyRow> = select(
                conn,
                ring,
                "WHERE provider = ?1 AND folded > ?2 ORDER BY folded LIMIT ?3",
                &[&provider.as_str(), &after, &limit],
            )?;
            rows.into_iter().map(|row| row.view(conn, ring)).collect()
        })
    }

    /// All versions of the rule of a key, oldest first; `key-not-found` without the key.
    pub fn rule_history(&self, provider: &ProviderId, name: &KeyName) -> Result<Vec<RuleVersion>, KeystoreError> {
        let ring = self.ring();
        self.read(|conn| {
            let key = KeyRow::find(conn, ring, provider, name)?.ok_or(KeystoreError::KeyNotFound)?;
            let condition = "WHERE key_id = ?1 ORDER BY number";
            let rows: Vec<RuleRow> = select(conn, ring, condition, &[&key.row_id])?;
            Ok(rows.into_iter().map(RuleRow::view).collect())
        })
    }

    /// The policy of this kind in force.
    pub fn policy(&self, provider: &ProviderId, kind: &str) -> Result<Option<PolicyVersion>, KeystoreError> {
        let condition = "WHERE provider = ?1 AND kind = ?2 ORDER BY number DESC LIMIT 1";
        self.read(|conn| {
            let row: Option<PolicyRow> = select_one(conn, self.ring(), condition, &[&provider.as_str(), &kind])?;
            Ok(row.map(PolicyRow::view))
        })
    }

    /// All versions of a policy, oldest first.
    pub fn policy_history(&self, provider: &ProviderId, kind: &str) -> Result<Vec<PolicyVersion>, KeystoreError> {
        let condition = "WHERE provider = ?1 AND kind = ?2 ORDER BY number";
        self.read(|conn| {
            let rows: Vec<PolicyRow> = select(conn, self.ring(), condition, &[&provider.as_str(), &kind])?;
            Ok(rows.into_iter().map(PolicyRow::view).collect())
        })
    }

    /// The policies in force whose kind begins with `prefix`, in the order of their kinds; at most `limit`.
    pub fn policies_under(
        &self,
        provider: &ProviderId,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<PolicyVersion>, KeystoreError> {
        let condition = "AS one WHERE provider = ?1 AND substr(kind, 1, ?2) = ?3 AND number = (SELECT max(number) \
            FROM policies AS other WHERE other.provider = one.provider AND other.kind = one.kind) ORDER BY kind LIMIT ?4";
        let length = i64::try_from(prefix.chars().count()).unwrap_or(i64::MAX);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(|conn| {
            let rows: Vec<PolicyRow> =
                select(conn, self.ring(), condition, &[&provider.as_str(), &length, &prefix, &limit])?;
            Ok(rows.into_iter().map(PolicyRow::view).collect())
        })
    }

    /// When the attestation with this token identifier was recorded, unix seconds.
    pub fn session(&self, jti: &str) -> Result<Option<i64>, KeystoreError> {
        let digest = self.ring().index("jti", &[jti.as_bytes()]);
        self.read(|conn| {
            let row: Option<SessionRow> = select_one(conn, self.ring(), "WHERE jti = ?1", &[&digest])?;
            Ok(row.map(|row| row.at))
        })
    }

    /// Whether a request was seen before. To be asked before any work for it.
    pub fn repeat(
        &self,
        provider: &ProviderId,
        key: &str,
        body_digest: &[u8; 32],
        now: i64,
    ) -> Result<Repeated, KeystoreError> {
        let ring = self.ring();
        let request = perform::request_digest(ring, provider, key)?;
        self.read(|conn| {
            let row: Option<AnswerRow> = select_one(conn, ring, "WHERE request = ?1", &[&request])?;
            perform::repeated(ring, row, body_digest, now)
        })
    }

    /// Whether a challenge is spent.
    pub fn challenge_spent(&self, digest: &[u8; 32]) -> Result<bool, KeystoreError> {
        self.read(|conn| {
            let row: Option<ChallengeRow> = select_one(conn, self.ring(), "WHERE digest = ?1", &[digest])?;
            Ok(row.is_some())
        })
    }

    /// Appends to the journal.
    pub fn record(&self, record: Record) -> Result<Entry, KeystoreError> {
        entries::acceptable(&record)?;
        self.writer().submit(move |tx| tx.append(&record))
    }

    /// Credentials in the order of their names, ended ones included.
    pub fn credentials(&self, provider: &ProviderId) -> Result<Vec<CredentialView>, KeystoreError> {
        let condition = "WHERE provider = ?1 ORDER BY name";
        self.read(|conn| {
            let rows: Vec<CredentialRow> = select(conn, self.ring(), condition, &[&provider.as_str()])?;
            Ok(rows.into_iter().map(CredentialRow::view).collect())
        })
    }

    /// The live credential with this token; it is found by a keyed digest only.
    pub fn credential_by_token(&self, token: &str, now: i64) -> Result<Option<CredentialView>, KeystoreError> {
        let digest = self.ring().index("credential", &[token.as_bytes()]);
        self.read(|conn| {
            let row: Option<CredentialRow> = select_one(conn, self.ring(), "WHERE token = ?1", &[&digest])?;
            Ok(row
                .filter(|row| crate::seal::secret::same(&row.token, &digest))
                .filter(|row| row.revoked_at.is_none() && row.expires.is_none_or(|t| now < t))
                .map(CredentialRow::view))
        })
    }

    /// The deny list.
    pub fn denied(&self, provider: &ProviderId) -> Result<Vec<DenyEntry>, KeystoreError> {
        let condition = "WHERE provider = ?1 ORDER BY kind, value";
        self.read(|conn| {
            let rows: Vec<DenyRow> = select(conn, self.ring(), condition, &[&provider.as_str()])?;
            Ok(rows.into_iter().map(DenyRow::view).collect())
        })
    }

    /// A high-water mark.
    pub fn mark(&self, id: &str) -> Result<Option<u64>, KeystoreError> {
        self.read(|conn| {
            let row: Option<MarkRow> = select_one(conn, self.ring(), "WHERE id = ?1", &[&id])?;
            Ok(row.map(|row| row.value))
        })
    }

    /// Records from `from_seq` on, of one provider or all, at most `limit`.
    pub fn entries(
        &self,
        provider: Option<&ProviderId>,
        from_seq: u64,
        limit: usize,
    ) -> Result<Vec<EntryView>, KeystoreError> {
        self.read(|conn| entries::entries(conn, self.ring(), provider, from_seq, limit))
    }

    /// End of the journal.
    pub fn head(&self) -> Result<Head, KeystoreError> {
        let ring = self.ring();
        self.read(|conn| Ok(journal::head_of(ring, &HeadState::read(conn, ring)?)))
    }

    /// Verifies every page, every row and every sealed cell; `progress` is told rows done and all.
    pub fn check(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<CheckReport, KeystoreError> {
        let ring = self.ring();
        self.read(|conn| {
            database::check_pages(conn, self.path())?;
            let head = HeadState::read(conn, ring)?;
            let counted = census::count(conn, ring, &head, Depth::Sealed, progress)?;
            Ok(CheckReport {
                rows: counted.rows,
                sealed: counted.sealed,
                entries: head.audit_seq,
                digest: counted.digest,
            })
        })
    }
}

/// Everything that is checked before a store is used: pages, head, end of the journal, and in
/// stores that are not very large every row.
pub(crate) fn verified(conn: &Connection, ring: &KeyRing, path: &Path) -> Result<HeadState, KeystoreError> {
    database::check_pages(conn, path)?;
    let head = HeadState::read(conn, ring)?;
    let last = entries::entries(conn, ring, None, head.audit_seq.max(1), 2)?;
    let fits = match last.as_slice() {
        [] => head.audit_seq == 0,
        [last] => last.seq == head.audit_seq && last.hash == head.audit_hash,
        _ => false,
    };
    if !fits {
        return Err(KeystoreError::StoreCorrupt { object: "the end of the journal".to_owned() });
    }
    if database::is_checked_whole(path) {
        census::count(conn, ring, &head, Depth::Rows, &mut |_, _| {})?;
    }
    Ok(head)
}
