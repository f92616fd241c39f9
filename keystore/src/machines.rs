//! Machines that prove themselves by a TPM: enrolled attestation keys, and the clock of each key as it was last seen.
//!
//! Threat model P6, P7 and P14; `bad-inputs.md` TPM-09, TPM-15, TPM-17, TPM-20. An attestation key counts by its record, which is
//! read anew for every use and held against the store in the commit of the use; the clock of a key moves in that commit
//! and never back.

use rusqlite::Connection;

use crate::error::KeystoreError;
use crate::keystore::Keystore;
use crate::names::ProviderId;
use crate::seal::KeyRing;
use crate::seal::secret::random;
use crate::storage::sqlite::machines::{ClockRow, EndorsementKeyRow, EnrolmentRow};
use crate::storage::sqlite::row::{Row, select, select_one};
use crate::storage::sqlite::transaction::Transaction;
use crate::storage::sqlite::unwritable;

/// The anchor of records whose endorsement key an operator vouched for by its digest.
pub const ALLOWED_EK: &str = "allowed-ek";
/// Clocks kept for one provider; then the one that was not seen for the longest time is forgotten.
const MOST_CLOCKS: i64 = 65_536;
/// Longest name of a TPM object: an algorithm and a SHA-512 digest.
const LONGEST_NAME: usize = 66;
/// Longest public area, in bytes.
const LONGEST_PUBLIC: usize = 4_096;

/// What the clock of a TPM says in a quote. TPM 2.0 Part 2, TPMS_CLOCK_INFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// Resets of the TPM; shifted by a constant of the key where the key is in no hierarchy of platform or endorsement.
    pub reset_count: u32,
    /// Restarts and resumptions since the reset; shifted likewise.
    pub restart_count: u32,
    /// Milliseconds.
    pub clock: u64,
}

/// What went back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WentBack {
    /// The count of resets.
    ResetCount,
    /// The count of restarts.
    RestartCount,
    /// The milliseconds.
    Clock,
}

impl WentBack {
    /// `reset-count`, `restart-count` or `clock`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ResetCount => "reset-count",
            Self::RestartCount => "restart-count",
            Self::Clock => "clock",
        }
    }
}

impl ClockReading {
    /// Whether this is not older than `earlier`, of the same key. Counts are compared modulo 2^32; after a reset or restart the
    /// milliseconds may begin again, since a TPM that lost power keeps only what it had written.
    ///
    /// # Errors
    /// What went back.
    pub fn follows(&self, earlier: &Self) -> Result<(), WentBack> {
        let ahead = |now: u32, before: u32| match now.wrapping_sub(before) {
            0 => Some(false),
            1..=0x7fff_ffff => Some(true),
            _ => None,
        };
        if ahead(self.reset_count, earlier.reset_count).ok_or(WentBack::ResetCount)? {
            return Ok(());
        }
        if ahead(self.restart_count, earlier.restart_count).ok_or(WentBack::RestartCount)? {
            return Ok(());
        }
        if self.clock >= earlier.clock { Ok(()) } else { Err(WentBack::Clock) }
    }
}

/// The machine behind a use: what the commit must find of it, and what it says of its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Name of its attestation key: algorithm (2 bytes, big-endian) and digest.
    pub ak_name: Vec<u8>,
    /// [`Enrolment::etag`] of the record that vouches for the key; none where a certificate or an operator's pin does.
    pub enrolment: Option<String>,
    /// What its quote says.
    pub clock: ClockReading,
}

/// An attestation key to be enrolled: whoever activated the credential has it and the endorsement key in one TPM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEnrolment {
    /// The machine: 1 to 64 of `a-z 0-9 . _ -`.
    pub machine: String,
    /// Name of the attestation key.
    pub ak_name: Vec<u8>,
    /// Its TPMT_PUBLIC.
    pub ak_public: Vec<u8>,
    /// SHA-256 of the endorsement key's SubjectPublicKeyInfo.
    pub ek: [u8; 32],
    /// SHA-256 of the endorsement key's certificate, where there is one.
    pub certificate: Option<[u8; 32]>,
    /// The operator's anchor that vouches for the endorsement key; [`ALLOWED_EK`]: the key must be among those allowed.
    pub anchor: String,
    /// Unix seconds at which the record ends.
    pub expires: i64,
}

/// A record of an attestation key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolment {
    /// The machine.
    pub machine: String,
    /// Name of the attestation key.
    pub ak_name: Vec<u8>,
    /// Its TPMT_PUBLIC.
    pub ak_public: Vec<u8>,
    /// SHA-256 of the endorsement key's SubjectPublicKeyInfo.
    pub ek: [u8; 32],
    /// SHA-256 of the endorsement key's certificate, where there was one.
    pub certificate: Option<[u8; 32]>,
    /// The operator's anchor that vouched for the endorsement key.
    pub anchor: String,
    /// Who enrolled it.
    pub owner: String,
    /// Unix seconds.
    pub enrolled: i64,
    /// Unix seconds.
    pub expires: i64,
    /// What the key was last seen to say; none before its first use.
    pub clock: Option<ClockReading>,
    /// Names this state of the record.
    pub etag: String,
}

/// An endorsement key that an operator vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedEk {
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub ek: [u8; 32],
    /// Why.
    pub reason: String,
    /// Unix seconds.
    pub at: i64,
    /// Who.
    pub author: String,
    /// Names this state of the entry.
    pub etag: String,
}

/// What the store knows of an attestation key, in one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownKey {
    /// Its record, ended ones included.
    pub enrolment: Option<Enrolment>,
    /// What it was last seen to say.
    pub clock: Option<ClockReading>,
}

pub(crate) const OF_MACHINE: &str = "WHERE provider = ?1 AND machine = ?2";
pub(crate) const OF_AK: &str = "WHERE provider = ?1 AND ak_name = ?2";
pub(crate) const OF_EK: &str = "WHERE provider = ?1 AND ek = ?2";

impl NewEnrolment {
    /// Refuses what no enrolment can be.
    pub(crate) fn acceptable(&self, now: i64) -> Result<(), KeystoreError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
        if !(1..=64).contains(&self.machine.len()) || !self.machine.bytes().all(plain) {
            return Err(KeystoreError::Malformed("a machine has a name of 1 to 64 of a-z 0-9 . _ -"));
        }
        if self.ak_name.is_empty() || self.ak_public.is_empty() || self.anchor.is_empty() || self.expires <= now {
            return Err(KeystoreError::Malformed("an enrolment has a key, an anchor and a time"));
        }
        if self.ak_name.len() > LONGEST_NAME || self.ak_public.len() > LONGEST_PUBLIC {
            return Err(KeystoreError::TooLarge("the attestation key is too long"));
        }
        Ok(())
    }
}

impl Machine {
    /// Finds record and clock as they must be and moves the clock; in the commit of the use.
    pub(crate) fn advance(
        &self,
        tx: &mut Transaction<'_>,
        provider: &ProviderId,
        now: i64,
    ) -> Result<(), KeystoreError> {
        if let Some(etag) = &self.enrolment {
            let key: [&dyn rusqlite::ToSql; 2] = [&provider.as_str(), &self.ak_name];
            let row: Option<EnrolmentRow> = select_one(tx.counted(), tx.ring, OF_AK, &key)?;
            let row = row.filter(|row| row.expires > now).ok_or(KeystoreError::NotEnrolled)?;
            if row.view(None).etag != *etag {
                return Err(KeystoreError::NotEnrolled);
            }
        }
        self.move_clock(tx, provider, now, MOST_CLOCKS)
    }

    fn move_clock(
        &self,
        tx: &mut Transaction<'_>,
        provider: &ProviderId,
        now: i64,
        most: i64,
    ) -> Result<(), KeystoreError> {
        if self.ak_name.len() > LONGEST_NAME {
            return Err(KeystoreError::TooLarge("the name of the attestation key is too long"));
        }
        let key: [&dyn rusqlite::ToSql; 2] = [&provider.as_str(), &self.ak_name];
        let found: Option<ClockRow> = select_one(tx.counted(), tx.ring, OF_AK, &key)?;
        let Some(mut row) = found else {
            make_room(tx, provider, most)?;
            let mut row = ClockRow {
                provider: provider.clone(),
                ak_name: self.ak_name.clone(),
                row_id: random()?,
                row_version: 1,
                reading: self.clock,
                seen: now,
                mac: [0; 32],
            };
            return tx.insert(&mut row).map(drop);
        };
        self.clock.follows(&row.reading).map_err(KeystoreError::WentBack)?;
        if row.reading == self.clock {
            return Ok(());
        }
        let before = *row.mac();
        (row.reading, row.seen) = (self.clock, row.seen.max(now));
        row.row_version += 1;
        tx.replace(&before, &mut row)
    }
}

/// Forgets the clock that was not seen for the longest time, where there are as many as are kept.
fn make_room(tx: &mut Transaction<'_>, provider: &ProviderId, most: i64) -> Result<(), KeystoreError> {
    let sql = "SELECT count(*) FROM clocks WHERE provider = ?1";
    let kept: i64 = tx
        .counted()
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row([provider.as_str()], |row| row.get(0)))
        .map_err(unwritable)?;
    if kept < most {
        return Ok(());
    }
    let oldest = "WHERE provider = ?1 ORDER BY seen LIMIT 1";
    let row: Option<ClockRow> = select_one(tx.counted(), tx.ring, oldest, &[&provider.as_str()])?;
    row.map_or(Ok(()), |row| forget(tx, &row))
}

fn forget(tx: &mut Transaction<'_>, row: &ClockRow) -> Result<(), KeystoreError> {
    tx.delete(row, OF_AK, &[&row.provider.as_str(), &row.ak_name])
}

/// Forgets the clock of a key whose record goes.
pub(crate) fn forget_clock(
    tx: &mut Transaction<'_>,
    provider: &ProviderId,
    ak_name: &[u8],
) -> Result<(), KeystoreError> {
    let row: Option<ClockRow> = select_one(tx.counted(), tx.ring, OF_AK, &[&provider.as_str(), &ak_name])?;
    row.map_or(Ok(()), |row| forget(tx, &row))
}

fn clock_of(
    conn: &Connection,
    ring: &KeyRing,
    provider: &ProviderId,
    ak_name: &[u8],
) -> Result<Option<ClockReading>, KeystoreError> {
    let row: Option<ClockRow> = select_one(conn, ring, OF_AK, &[&provider.as_str(), &ak_name])?;
    Ok(row.map(|row| row.reading))
}

fn shown(conn: &Connection, ring: &KeyRing, row: EnrolmentRow) -> Result<Enrolment, KeystoreError> {
    let clock = clock_of(conn, ring, &row.provider, &row.ak_name)?;
    Ok(row.view(clock))
}

impl Keystore {
    /// What is known of an attestation key, record and clock in one moment. Ended records are there too: compare
    /// [`Enrolment::expires`].
    pub fn attestation_key(&self, provider: &ProviderId, ak_name: &[u8]) -> Result<KnownKey, KeystoreError> {
        let ring = self.ring();
        self.read(|conn| {
            let key: [&dyn rusqlite::ToSql; 2] = [&provider.as_str(), &ak_name];
            let row: Option<EnrolmentRow> = select_one(conn, ring, OF_AK, &key)?;
            let clock = clock_of(conn, ring, provider, ak_name)?;
            Ok(KnownKey { enrolment: row.map(|row| row.view(clock)), clock })
        })
    }

    /// The record of a machine.
    pub fn enrolment(&self, provider: &ProviderId, machine: &str) -> Result<Option<Enrolment>, KeystoreError> {
        let ring = self.ring();
        self.read(|conn| {
            let row: Option<EnrolmentRow> = select_one(conn, ring, OF_MACHINE, &[&provider.as_str(), &machine])?;
            row.map(|row| shown(conn, ring, row)).transpose()
        })
    }

    /// At most `limit` records behind `after`, in the order of their machines; ended ones included.
    pub fn enrolments(
        &self,
        provider: &ProviderId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Enrolment>, KeystoreError> {
        let ring = self.ring();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(|conn| {
            let condition = "WHERE provider = ?1 AND machine > ?2 ORDER BY machine LIMIT ?3";
            let params: [&dyn rusqlite::ToSql; 3] = [&provider.as_str(), &after.unwrap_or_default(), &limit];
            let rows: Vec<EnrolmentRow> = select(conn, ring, condition, &params)?;
            rows.into_iter().map(|row| shown(conn, ring, row)).collect()
        })
    }

    /// Whether an attestation key of this name could be enrolled for the machine with this endorsement key: what
    /// [`Change::Enrol`](crate::Change::Enrol) asks again in its commit.
    ///
    /// # Errors
    /// `conflict`.
    pub fn may_enrol(
        &self,
        provider: &ProviderId,
        machine: &str,
        ek: &[u8; 32],
        ak_name: &[u8],
    ) -> Result<(), KeystoreError> {
        self.read(|conn| of_machine(conn, self.ring(), provider, (machine, ek, ak_name)).map(drop))
    }

    /// Whether an operator vouches for this endorsement key.
    pub fn is_allowed_ek(&self, provider: &ProviderId, ek: &[u8; 32]) -> Result<bool, KeystoreError> {
        self.read(|conn| is_allowed(conn, self.ring(), provider, ek))
    }

    /// The endorsement keys that an operator vouches for, in the order of their digests.
    pub fn allowed_eks(&self, provider: &ProviderId) -> Result<Vec<AllowedEk>, KeystoreError> {
        self.read(|conn| {
            let condition = "WHERE provider = ?1 ORDER BY ek";
            let rows: Vec<EndorsementKeyRow> = select(conn, self.ring(), condition, &[&provider.as_str()])?;
            Ok(rows.into_iter().map(EndorsementKeyRow::view).collect())
        })
    }
}

pub(crate) fn is_allowed(
    conn: &Connection,
    ring: &KeyRing,
    provider: &ProviderId,
    ek: &[u8; 32],
) -> Result<bool, KeystoreError> {
    let row: Option<EndorsementKeyRow> = select_one(conn, ring, OF_EK, &[&provider.as_str(), ek])?;
    Ok(row.is_some())
}

/// The record of a machine, if any; a name, an endorsement key or an attestation key that is somebody else's is a `conflict`.
pub(crate) fn of_machine(
    conn: &Connection,
    ring: &KeyRing,
    provider: &ProviderId,
    (machine, ek, ak_name): (&str, &[u8; 32], &[u8]),
) -> Result<Option<EnrolmentRow>, KeystoreError> {
    let provider = provider.as_str();
    let present: Option<EnrolmentRow> = select_one(conn, ring, OF_MACHINE, &[&provider, &machine])?;
    if present.as_ref().is_some_and(|row| row.ek != *ek) {
        return Err(KeystoreError::Conflict("this machine is enrolled with another endorsement key"));
    }
    let by_ek: Option<EnrolmentRow> = select_one(conn, ring, OF_EK, &[&provider, ek])?;
    if by_ek.is_some_and(|row| row.machine != machine) {
        return Err(KeystoreError::Conflict("this endorsement key is enrolled as another machine"));
    }
    let by_ak: Option<EnrolmentRow> = select_one(conn, ring, OF_AK, &[&provider, &ak_name])?;
    if by_ak.is_some_and(|row| row.machine != machine) {
        return Err(KeystoreError::Conflict("this attestation key is enrolled for another machine"));
    }
    Ok(present)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::FileRoot;

    fn at(reset_count: u32, restart_count: u32, clock: u64) -> ClockReading {
        ClockReading { reset_count, restart_count, clock }
    }

    #[test]
    fn tpm_09_counts_go_forward_modulo_2_to_the_32() {
        let before = at(5, 3, 1_000);
        for forward in [at(5, 3, 1_000), at(5, 3, 1_001), at(5, 4, 0), at(6, 0, 0), at(0x8000_0004, 0, 0)] {
            assert_eq!(forward.follows(&before), Ok(()), "{forward:?}");
        }
        for (back, what) in [
            (at(5, 3, 999), WentBack::Clock),
            (at(5, 2, 2_000), WentBack::RestartCount),
            (at(4, 9, 2_000), WentBack::ResetCount),
            (at(0x8000_0005, 0, 2_000), WentBack::ResetCount),
            (at(5, 0x8000_0003, 2_000), WentBack::RestartCount),
        ] {
            assert_eq!(back.follows(&before), Err(what), "{back:?}");
        }
        let edge = at(u32::MAX, u32::MAX, 1);
        assert_eq!(at(0, 0, 0).follows(&edge), Ok(()));
        assert_eq!(at(u32::MAX, 0, 0).follows(&edge), Ok(()));
        assert_eq!(edge.follows(&at(0, 0, 0)), Err(WentBack::ResetCount));
    }

    #[test]
    fn clocks_are_bounded_and_the_one_not_seen_for_longest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let root = FileRoot::create(&dir.path().join("root")).unwrap();
        let store = Keystore::create(&dir.path().join("store"), &root, 90, 1).unwrap();
        let provider = ProviderId::parse("default").unwrap();
        let see = |name: u8, now: i64| {
            let machine = Machine { ak_name: vec![0, 11, name], enrolment: None, clock: at(1, 1, 1) };
            let provider = provider.clone();
            store.writer().submit(move |tx| machine.move_clock(tx, &provider, now, 3)).unwrap();
        };
        let knows = |name: u8| store.attestation_key(&provider, &[0, 11, name]).unwrap().clock.is_some();
        for (name, now) in [(1, 30), (2, 10), (3, 20)] {
            see(name, now);
        }
        see(4, 40);
        assert_eq!([1, 2, 3, 4].map(knows), [true, false, true, true]);
        see(5, 50);
        assert_eq!([1, 3, 4, 5].map(knows), [true, false, true, true]);
        store.check(&mut |_, _| {}).unwrap();
    }
}
