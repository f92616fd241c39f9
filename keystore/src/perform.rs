//! Using a key: one half on the caller's thread, one in the commit.
//!
//! `architecture.md` section 6 and `store-durability.md` R19. The caller's thread reads and opens the
//! key, uses it, wraps the outcome and seals the answer to be kept. The commit then compares epoch
//! and rows with what was decided on, spends the challenge, appends the record and keeps the
//! answer. Only after that is the outcome handed out; if it fails, the outcome is dropped.

mod count;
mod outcome;

use rusqlite::OptionalExtension;

pub use count::{ALARMING_GCM_USES, MOST_GCM_USES};

use count::Counted;
use outcome::outcome;

use crate::authorized::{
    AttestOrder, Authorized, Entry, Performed, Record, RepeatKey, Repeated, Sealing, Seen, Spend, StoredAnswer, Target,
};
use crate::error::{KeyStateReason, KeystoreError};
use crate::key::Operation;
use crate::keystore::Keystore;
use crate::machines::Machine;
use crate::material::KeyMaterial;
use crate::names::ProviderId;
use crate::seal::KeyRing;
use crate::storage::sqlite::head::HeadState;
use crate::storage::sqlite::journal::acceptable;
use crate::storage::sqlite::keys::{KeyRow, KeyRows, VersionRow};
use crate::storage::sqlite::row::{select_one, stored};
use crate::storage::sqlite::spent::{AnswerRow, seal_answer};
use crate::storage::sqlite::transaction::Transaction;
use crate::storage::sqlite::trust::SessionRow;
use crate::storage::sqlite::unwritable;
use crate::views::ReadRows;

/// A key that was opened for one use.
struct Opened {
    rows: Box<KeyRows>,
    material: KeyMaterial,
}

/// What the commit must find unchanged.
struct Unchanged {
    epoch: u64,
    provider: ProviderId,
    folded: String,
    number: i64,
    key_mac: [u8; 32],
    version_mac: [u8; 32],
}

/// An answer, sealed ahead of the commit that keeps it.
pub(crate) struct Kept {
    request: [u8; 32],
    body: [u8; 32],
    until: i64,
    answer: Vec<u8>,
}

/// What the commit found.
pub(crate) enum Written {
    /// This is the first time; here is the entry.
    New(Entry),
    /// The same request was answered meanwhile.
    Before(StoredAnswer),
}

impl Kept {
    /// Seals `answer` for repeats of a request.
    pub(crate) fn seal(
        ring: &KeyRing,
        provider: &ProviderId,
        repeat: &RepeatKey,
        answer: &[u8],
    ) -> Result<Self, KeystoreError> {
        let request = request_digest(ring, provider, &repeat.key)?;
        let (body, until) = (repeat.body_digest, repeat.until);
        let answer = seal_answer(ring, &request, &body, until, answer)?;
        Ok(Self { request, body, until, answer })
    }

    /// Keeps it beside `entry`; gives the answer of an earlier request of the same name, or
    /// `conflict` if that had another body.
    pub(crate) fn keep(
        self,
        tx: &mut Transaction<'_>,
        entry: Entry,
        now: i64,
    ) -> Result<Option<StoredAnswer>, KeystoreError> {
        let mut row = AnswerRow {
            request: self.request,
            body: self.body,
            until: self.until,
            entry,
            answer: self.answer,
            mac: [0; 32],
        };
        if tx.insert(&mut row)? {
            return Ok(None);
        }
        let condition = "WHERE request = ?1";
        let before: Option<AnswerRow> = select_one(tx.counted(), tx.ring, condition, &[&row.request])?;
        match before {
            Some(before) if before.until > now => match repeated(tx.ring, Some(before), &row.body, now)? {
                Repeated::Answer(answer) => Ok(Some(answer)),
                _ => Err(KeystoreError::Conflict(OTHER_BODY)),
            },
            Some(before) => {
                tx.delete(&before, condition, &[&before.request])?;
                tx.insert(&mut row)?;
                Ok(None)
            }
            None => Err(KeystoreError::StoreFailed("an answer vanished".to_owned())),
        }
    }
}

const OTHER_BODY: &str = "the request key was used with another body";

/// How a request is named in the store.
pub(crate) fn request_digest(ring: &KeyRing, provider: &ProviderId, key: &str) -> Result<[u8; 32], KeystoreError> {
    if !(1..=255).contains(&key.len()) {
        return Err(KeystoreError::Malformed("a request key has 1 to 255 bytes"));
    }
    Ok(ring.index("request", &[provider.as_str().as_bytes(), key.as_bytes()]))
}

/// Tells a repeat of the request from another one, given the answer that is kept under its name.
pub(crate) fn repeated(
    ring: &KeyRing,
    kept: Option<AnswerRow>,
    body: &[u8; 32],
    now: i64,
) -> Result<Repeated, KeystoreError> {
    Ok(match kept {
        Some(row) if row.until > now && row.body == *body => {
            Repeated::Answer(StoredAnswer { body: row.open(ring)?.to_vec(), entry: row.entry })
        }
        Some(row) if row.until > now => Repeated::OtherBody,
        _ => Repeated::New,
    })
}

impl Keystore {
    /// Uses a key once, as permitted.
    ///
    /// Errors: [`KeystoreError::EpochMoved`] if anything changed since the decision;
    /// [`KeystoreError::NotEnrolled`], [`KeystoreError::WentBack`] of the machine;
    /// [`KeystoreError::ChallengeSpent`]; `key-state`, `operation-not-allowed`, `key-not-found`;
    /// `conflict` for a request key with another body; what the operation itself refuses;
    /// [`KeystoreError::StoreFailed`], after which the node must stop.
    pub fn perform(&self, order: Authorized) -> Result<Performed, KeystoreError> {
        let Authorized { target, usage, sealing, seen, spend, record, repeat, now, read, at_any_time, machine } = order;
        acceptable(&record)?;
        if repeat.is_some() && matches!(sealing, Sealing::Clear) {
            return Err(KeystoreError::OperationNotAllowed("an answer in the clear is not kept"));
        }
        if let Some(repeat) = &repeat {
            let provider = &target.provider;
            match self.repeat(provider, &repeat.key, &repeat.body_digest, now)? {
                Repeated::New => {}
                Repeated::Answer(answer) => return performed_before(&answer),
                Repeated::OtherBody => return Err(KeystoreError::Conflict(OTHER_BODY)),
            }
        }
        let when = if at_any_time && usage.operation().looks_back() { None } else { Some(now) };
        let opened = self.open_for(&target, usage.operation(), &seen, read, when)?;
        let counted = Counted::of(&usage, &target.version);
        if let Some(counted) = &counted {
            counted.allow(self)?;
        }
        let (outcome, clear) = outcome(&opened, &target, usage, &sealing)?;
        let kept = match &repeat {
            None => None,
            Some(repeat) => {
                let json = serde_json::to_vec(&outcome)
                    .map_err(|_| KeystoreError::Malformed("the answer has no JSON form"))?;
                Some(Kept::seal(self.ring(), &target.provider, repeat, &json)?)
            }
        };
        let unchanged = Unchanged {
            epoch: seen.epoch.0,
            folded: target.name.folded(),
            provider: target.provider,
            number: stored(opened.rows.version.number),
            key_mac: opened.rows.key.mac,
            version_mac: opened.rows.version.mac,
        };
        drop(opened.material);
        let written = self.writer().submit(move |tx| {
            tx.see_time(now);
            unchanged.hold(tx)?;
            let written = commit(tx, kept, (spend, machine.as_ref()), &record, now)?;
            match (&written, counted) {
                (Written::New(_), Some(counted)) => counted.add(tx)?,
                (Written::New(_), None) | (Written::Before(_), _) => {}
            }
            Ok(written)
        })?;
        match written {
            Written::New(entry) => Ok(Performed { outcome, entry, repeat: false, clear }),
            Written::Before(answer) => performed_before(&answer),
        }
    }

    /// Records a successful attestation: spends its challenge, remembers the token's identifier
    /// with `now`, appends the record, keeps the answer for repeats. A repeat that the caller
    /// did not notice before is a `conflict`; asking [`Keystore::repeat`] then has the answer.
    pub fn attested(&self, order: AttestOrder) -> Result<Entry, KeystoreError> {
        acceptable(&order.record)?;
        let ring = self.ring();
        let kept = match &order.repeat {
            None => None,
            Some(repeat) => Some(Kept::seal(ring, &order.record.provider, repeat, &order.answer)?),
        };
        let mut session = SessionRow {
            jti: ring.index("jti", &[order.jti.as_bytes()]),
            at: order.now,
            until: order.jti_until,
            mac: [0; 32],
        };
        let (record, spend, machine, now) = (order.record, order.spend, order.machine, order.now);
        let written = self.writer().submit(move |tx| {
            tx.see_time(now);
            let written = commit(tx, kept, (spend, machine.as_ref()), &record, now)?;
            if matches!(written, Written::New(_)) && !tx.insert(&mut session)? {
                return Err(KeystoreError::Conflict("the token was recorded before"));
            }
            Ok(written)
        })?;
        match written {
            Written::New(entry) => Ok(entry),
            Written::Before(_) => Err(KeystoreError::Conflict("the request was answered before")),
        }
    }

    /// Opens the key out of the rows of the decision, and judges its state again.
    fn open_for(
        &self,
        target: &Target,
        operation: Operation,
        seen: &Seen,
        read: Option<ReadRows>,
        when: Option<i64>,
    ) -> Result<Opened, KeystoreError> {
        let ring = self.ring();
        let rows = match read {
            // The commit compares epoch and rows in any case; this spares work for nothing.
            Some(_) if self.last_epoch() > seen.epoch.0 => return Err(KeystoreError::EpochMoved),
            Some(ReadRows(rows)) if rows.are_of(target, seen) => rows,
            _ => Box::new(self.rows_of(target, seen)?),
        };
        permitted(&rows.key, &rows.version, operation, when)?;
        let data_key = rows.key.open_data_key(ring)?;
        let material = rows.version.open_key(ring, &data_key, rows.key.key_type)?;
        Ok(Opened { rows, material })
    }

    /// Reads the rows that a decision was made on.
    fn rows_of(&self, target: &Target, seen: &Seen) -> Result<KeyRows, KeystoreError> {
        let ring = self.ring();
        let rows = self.read(|conn| {
            if HeadState::read(conn, ring)?.epoch != seen.epoch.0 {
                return Err(KeystoreError::EpochMoved);
            }
            let key = KeyRow::find(conn, ring, &target.provider, &target.name)?.ok_or(KeystoreError::KeyNotFound)?;
            let condition = "WHERE key_id = ?1 AND row_id = ?2";
            let ids: [&dyn rusqlite::ToSql; 2] = [&key.row_id, target.version.as_bytes()];
            let version: VersionRow = select_one(conn, ring, condition, &ids)?.ok_or(KeystoreError::KeyNotFound)?;
            Ok(KeyRows { key, version })
        })?;
        if rows.are_of(target, seen) { Ok(rows) } else { Err(KeystoreError::EpochMoved) }
    }
}

impl KeyRows {
    /// Whether these are the rows of the decision.
    fn are_of(&self, target: &Target, seen: &Seen) -> bool {
        self.key.provider == target.provider
            && self.key.name.folded() == target.name.folded()
            && self.version.key_id == self.key.row_id
            && self.version.id == target.version
            && self.key.row_version == seen.key_row
            && self.version.row_version == seen.version_row
    }
}

/// Whether key and version may be used so; `when` is none where the key's time does not matter.
pub(crate) fn permitted(
    key: &KeyRow,
    version: &VersionRow,
    operation: Operation,
    when: Option<i64>,
) -> Result<(), KeystoreError> {
    let state = |reason| Err(KeystoreError::KeyState(reason));
    if key.deleted_at.is_some() {
        return state(KeyStateReason::Deleted);
    }
    if !key.enabled || !version.enabled {
        return state(KeyStateReason::Disabled);
    }
    if key.not_before.zip(when).is_some_and(|(t, now)| now < t) {
        return state(KeyStateReason::NotYetValid);
    }
    if key.expires.zip(when).is_some_and(|(t, now)| now >= t) {
        return state(KeyStateReason::Expired);
    }
    if !key.operations.contains(&operation) {
        return Err(KeystoreError::OperationNotAllowed("the key does not allow this operation"));
    }
    if operation == Operation::Release && !key.exportable {
        return Err(KeystoreError::OperationNotAllowed("the key is not exportable"));
    }
    Ok(())
}

impl Unchanged {
    /// Compares epoch, key row (and with it the rule) and version row with what was used.
    fn hold(&self, tx: &Transaction<'_>) -> Result<(), KeystoreError> {
        if tx.head.epoch != self.epoch {
            return Err(KeystoreError::EpochMoved);
        }
        let found: Option<([u8; 32], [u8; 32])> = tx
            .counted()
            .prepare_cached(
                "SELECT keys.mac, versions.mac FROM keys \
                 JOIN versions ON versions.key_id = keys.row_id AND versions.number = ?3 \
                 WHERE keys.provider = ?1 AND keys.folded = ?2",
            )
            .and_then(|mut statement| {
                let key = (self.provider.as_str(), &self.folded, self.number);
                statement.query_row(key, |row| Ok((row.get(0)?, row.get(1)?))).optional()
            })
            .map_err(unwritable)?;
        if found == Some((self.key_mac, self.version_mac)) { Ok(()) } else { Err(KeystoreError::EpochMoved) }
    }
}

/// What uses and attestations have in common in the commit.
fn commit(
    tx: &mut Transaction<'_>,
    kept: Option<Kept>,
    (spend, machine): (Spend, Option<&Machine>),
    record: &Record,
    now: i64,
) -> Result<Written, KeystoreError> {
    let entry = tx.next_entry(record);
    if let Some(kept) = kept
        && let Some(before) = kept.keep(tx, entry, now)?
    {
        return Ok(Written::Before(before));
    }
    if let Spend::Challenge { digest, until } = spend {
        tx.spend(digest, until)?;
    }
    if let Some(machine) = machine {
        machine.advance(tx, &record.provider, now)?;
    }
    tx.append(record).map(Written::New)
}

fn performed_before(answer: &StoredAnswer) -> Result<Performed, KeystoreError> {
    let outcome = serde_json::from_slice(&answer.body)
        .map_err(|_| KeystoreError::StoreCorrupt { object: "answers".to_owned() })?;
    Ok(Performed { outcome, entry: answer.entry, repeat: true, clear: None })
}
