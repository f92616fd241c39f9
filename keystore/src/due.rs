//! What is due by itself: deleted keys whose time is over, next versions, notices of them.
//!
//! `keyvault-api.md` section 2 (`scheduledPurgeDate`, KeyRotationPolicy). Keys are looked at in the order of their names, so
//! many at a time; nothing is done here. Whoever does it names the state that was looked at.

use rusqlite::Connection;

use crate::authorized::{Entry, Record};
use crate::change::MAX_VERSIONS;
use crate::error::KeystoreError;
use crate::key::KeyType;
use crate::keystore::Keystore;
use crate::names::{KeyName, ProviderId};
use crate::rotation::{Next, stored_rotation};
use crate::seal::KeyRing;
use crate::storage::sqlite::journal::acceptable;
use crate::storage::sqlite::keys::KeyRow;
use crate::storage::sqlite::row::{select, select_one, stored};
use crate::storage::sqlite::trust::MarkRow;

/// A key for which something is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueKey {
    /// The key.
    pub name: KeyName,
    /// Its state, as [`KeyView::etag`](crate::KeyView::etag).
    pub etag: String,
    /// What is due.
    pub what: Due,
}

/// What is due for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// It is deleted and its time is over.
    Purge,
    /// A new version; unix seconds at which it ends where its policy says so.
    Rotation {
        /// As [`RotationPolicy::ends`](crate::RotationPolicy::ends).
        expires: Option<i64>,
    },
    /// Its owner is to be told of its newest version, and was not.
    Notice(Next),
}

/// What was found among some keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DueKeys {
    /// In the order of their names.
    pub due: Vec<DueKey>,
    /// The name to go on behind; none if these were the last.
    pub after: Option<KeyName>,
}

/// The mark of a key's newest version whose notice was given: its number.
pub(crate) fn notice_mark(row_id: &[u8; 16]) -> String {
    format!("rotation-notice:{}", hex::encode(row_id))
}

/// A notice that its owner was told.
pub struct NoticeOrder {
    /// Whose key.
    pub provider: ProviderId,
    /// Which key.
    pub name: KeyName,
    /// The state that was looked at.
    pub etag: String,
    /// The audit record: it is the notice.
    pub record: Record,
    /// Unix seconds.
    pub now: i64,
}

impl Keystore {
    /// What is due at `now`, unix seconds, among at most `most` keys behind `after`. Disabled keys, and those whose newest
    /// version is, are left alone but for their end after a deletion; secrets, which are not made here, get no new version.
    pub fn due_keys(
        &self,
        provider: &ProviderId,
        after: Option<&KeyName>,
        most: usize,
        now: i64,
    ) -> Result<DueKeys, KeystoreError> {
        let ring = self.ring();
        let behind = after.map(KeyName::folded).unwrap_or_default();
        let limit = i64::try_from(most).unwrap_or(i64::MAX);
        self.read(|conn| {
            let condition = "WHERE provider = ?1 AND folded > ?2 ORDER BY folded LIMIT ?3";
            let keys: Vec<KeyRow> = select(conn, ring, condition, &[&provider.as_str(), &behind, &limit])?;
            let after = keys.last().filter(|_| keys.len() >= most).map(|key| key.name.clone());
            let mut due = Vec::new();
            for key in keys {
                if let Some(what) = due_of(conn, ring, &key, now)? {
                    due.push(DueKey { etag: key.etag(), name: key.name, what });
                }
            }
            Ok(DueKeys { due, after })
        })
    }

    /// Records a notice, once for each version of a key; none if it was given before.
    ///
    /// `key-not-found`; [`KeystoreError::PreconditionFailed`] if the key is not in the state named.
    pub fn note_rotation(&self, order: NoticeOrder) -> Result<Option<Entry>, KeystoreError> {
        let NoticeOrder { provider, name, etag, record, now } = order;
        acceptable(&record)?;
        self.writer().submit(move |tx| {
            tx.see_time(now);
            let key = KeyRow::find(tx.counted(), tx.ring, &provider, &name)?.ok_or(KeystoreError::KeyNotFound)?;
            if key.etag() != etag {
                return Err(KeystoreError::PreconditionFailed);
            }
            if !MarkRow::raise(tx, notice_mark(&key.row_id), key.versions)? {
                return Ok(None);
            }
            tx.append(&record).map(Some)
        })
    }
}

fn due_of(conn: &Connection, ring: &KeyRing, key: &KeyRow, now: i64) -> Result<Option<Due>, KeystoreError> {
    if key.deleted_at.is_some() {
        return Ok(key.purge_at.filter(|at| *at <= now).map(|_| Due::Purge));
    }
    if !key.enabled {
        return Ok(None);
    }
    let Some((_, policy)) = stored_rotation(conn, ring, &key.provider, &key.row_id)? else { return Ok(None) };
    let newest = key.load_last(conn, ring)?;
    // Whoever switched it off switched off what is used where no version is named: a successor would be on.
    if !newest.enabled {
        return Ok(None);
    }
    let next = policy.next(newest.created, key.expires);
    let passed = |at: Option<i64>| at.is_some_and(|at| at <= now);
    let can_rotate = key.key_type != KeyType::Secret && key.versions < MAX_VERSIONS;
    if passed(next.rotate) && can_rotate {
        return Ok(Some(Due::Rotation { expires: policy.ends(now) }));
    }
    let told = || -> Result<bool, KeystoreError> {
        let mark: Option<MarkRow> = select_one(conn, ring, "WHERE id = ?1", &[&notice_mark(&key.row_id)])?;
        Ok(mark.is_some_and(|mark| stored(mark.value) >= stored(key.versions)))
    };
    Ok(if passed(next.notify) && !told()? { Some(Due::Notice(next)) } else { None })
}
