//! Identity and head of a store: what ties all rows together.
//!
//! `store-durability.md` section 7 (R23, R26): the accumulator is the sum of keyed digests of all
//! rows, so that it follows a change at once and a row removed or put back does not fit. At rest
//! the sum is masked, so that the digests of single rows cannot be learnt from its changes.

use rusqlite::{Connection, params};

use super::row::{counter, stored};
use super::{unreadable, unwritable};
use crate::error::KeystoreError;
use crate::root::RootSecret;
use crate::seal::KeyRing;
use crate::seal::derive::mac;
use crate::seal::place::FORMAT;
use crate::seal::ring::check_value;
use crate::seal::secret::{random, same};

/// The row that says which store this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) store_id: [u8; 16],
    pub(crate) incarnation: u32,
    pub(crate) root_check: [u8; 32],
    pub(crate) root_provider: String,
    pub(crate) retention_days: u32,
    pub(crate) created: i64,
}

impl Identity {
    fn mac(&self, ring: &KeyRing) -> [u8; 32] {
        mac(
            &ring.head,
            &[
                b"store",
                &[FORMAT],
                &self.store_id,
                &self.incarnation.to_be_bytes(),
                &self.root_check,
                self.root_provider.as_bytes(),
                &self.retention_days.to_be_bytes(),
                &self.created.to_be_bytes(),
            ],
        )
    }

    /// Writes it, instead of the one before.
    pub(crate) fn write(&self, conn: &Connection, ring: &KeyRing) -> Result<(), KeystoreError> {
        conn.execute(
            "INSERT OR REPLACE INTO store (id, format, store_id, incarnation, root_check, \
             root_provider, retention_days, created, mac) VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                FORMAT,
                self.store_id,
                self.incarnation,
                self.root_check,
                self.root_provider,
                self.retention_days,
                self.created,
                self.mac(ring)
            ],
        )
        .map_err(unwritable)?;
        Ok(())
    }

    /// Reads it, and derives the working keys if the root key belongs to this store. Another root
    /// key is [`KeystoreError::WrongRootKey`].
    pub(crate) fn read(conn: &Connection, root: &RootSecret) -> Result<(Self, KeyRing), KeystoreError> {
        let (format, identity, found): (i64, Self, [u8; 32]) = conn
            .query_row(
                "SELECT format, store_id, incarnation, root_check, root_provider, retention_days, \
                 created, mac FROM store",
                [],
                |row| {
                    let identity = Self {
                        store_id: row.get(1)?,
                        incarnation: row.get(2)?,
                        root_check: row.get(3)?,
                        root_provider: row.get(4)?,
                        retention_days: row.get(5)?,
                        created: row.get(6)?,
                    };
                    Ok((row.get(0)?, identity, row.get(7)?))
                },
            )
            .map_err(unreadable("store"))?;
        if format != i64::from(FORMAT) {
            return Err(KeystoreError::SchemaUnknown(format!("format {format}")));
        }
        if !same(&check_value(root, &identity.store_id), &identity.root_check) {
            return Err(KeystoreError::WrongRootKey);
        }
        let ring = KeyRing::derive(root, identity.store_id, identity.incarnation);
        if !same(&identity.mac(&ring), &found) {
            return Err(KeystoreError::StoreCorrupt { object: "store".to_owned() });
        }
        Ok((identity, ring))
    }
}

/// Sum of the keyed digests of all rows, modulo 2^256; the lowest byte first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Accumulator(pub(crate) [u8; 32]);

impl Accumulator {
    fn element(ring: &KeyRing, row_mac: &[u8; 32]) -> [u8; 32] {
        mac(&ring.head, &[b"element", row_mac])
    }

    /// Counts a row in.
    pub(crate) fn add(&mut self, ring: &KeyRing, row_mac: &[u8; 32]) {
        let mut carry = 0;
        for (sum, part) in self.0.iter_mut().zip(Self::element(ring, row_mac)) {
            let total = u16::from(*sum) + u16::from(part) + carry;
            [*sum, _] = total.to_le_bytes();
            carry = total >> 8;
        }
    }

    /// Counts a row out.
    pub(crate) fn remove(&mut self, ring: &KeyRing, row_mac: &[u8; 32]) {
        let mut borrow = 0;
        for (sum, part) in self.0.iter_mut().zip(Self::element(ring, row_mac)) {
            let total = 0x100 + u16::from(*sum) - u16::from(part) - borrow;
            [*sum, _] = total.to_le_bytes();
            borrow = 1 - (total >> 8);
        }
    }
}

/// State of the whole store after a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeadState {
    /// Counts commits.
    pub(crate) generation: u64,
    /// Counts changes that could alter a decision.
    pub(crate) epoch: u64,
    pub(crate) accumulator: Accumulator,
    pub(crate) audit_seq: u64,
    pub(crate) audit_hash: [u8; 32],
    pub(crate) audit_at: i64,
    /// Highest time ever seen.
    pub(crate) newest_time: i64,
    /// Challenges that expired up to here are forgotten, and count as spent.
    pub(crate) pruned_through: i64,
}

impl HeadState {
    /// Of a store without rows.
    pub(crate) fn empty(now: i64) -> Self {
        Self {
            generation: 0,
            epoch: 1,
            accumulator: Accumulator::default(),
            audit_seq: 0,
            audit_hash: [0; 32],
            audit_at: 0,
            newest_time: now,
            pruned_through: i64::MIN,
        }
    }

    fn masked(&self, ring: &KeyRing, salt: &[u8; 16]) -> [u8; 32] {
        let mut masked = mac(&ring.head, &[b"mask", &self.generation.to_be_bytes(), salt]);
        for (byte, part) in masked.iter_mut().zip(self.accumulator.0) {
            *byte ^= part;
        }
        masked
    }

    fn mac(&self, ring: &KeyRing, salt: &[u8; 16]) -> [u8; 32] {
        mac(
            &ring.head,
            &[
                b"head",
                &[FORMAT],
                &ring.store_id,
                &ring.incarnation.to_be_bytes(),
                &self.generation.to_be_bytes(),
                &self.epoch.to_be_bytes(),
                salt,
                &self.accumulator.0,
                &self.audit_seq.to_be_bytes(),
                &self.audit_hash,
                &self.audit_at.to_be_bytes(),
                &self.newest_time.to_be_bytes(),
                &self.pruned_through.to_be_bytes(),
            ],
        )
    }

    /// Writes it. `before` is the generation it follows, which must still stand in the database;
    /// `None` writes the first one.
    pub(crate) fn write(&self, conn: &Connection, ring: &KeyRing, before: Option<u64>) -> Result<(), KeystoreError> {
        let salt = random::<16>()?;
        let sql = match before {
            None => {
                "INSERT INTO head (generation, epoch, salt, accumulator, audit_seq, audit_hash, \
                 audit_at, newest_time, pruned_through, mac, id) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 1 + 0 * ?11)"
            }
            Some(_) => {
                "UPDATE head SET generation = ?1, epoch = ?2, salt = ?3, accumulator = ?4, \
                 audit_seq = ?5, audit_hash = ?6, audit_at = ?7, newest_time = ?8, \
                 pruned_through = ?9, mac = ?10 WHERE id = 1 AND generation = ?11"
            }
        };
        let written = conn
            .prepare_cached(sql)
            .and_then(|mut statement| {
                statement.execute(params![
                    stored(self.generation),
                    stored(self.epoch),
                    salt,
                    self.masked(ring, &salt),
                    stored(self.audit_seq),
                    self.audit_hash,
                    self.audit_at,
                    self.newest_time,
                    self.pruned_through,
                    self.mac(ring, &salt),
                    stored(before.unwrap_or_default()),
                ])
            })
            .map_err(unwritable)?;
        if written == 1 {
            Ok(())
        } else {
            Err(KeystoreError::StoreFailed("the head was changed by somebody else".to_owned()))
        }
    }

    /// Reads and verifies it.
    pub(crate) fn read(conn: &Connection, ring: &KeyRing) -> Result<Self, KeystoreError> {
        let failed = unreadable("head");
        let (mut head, salt, found) = conn
            .prepare_cached(
                "SELECT generation, epoch, salt, accumulator, audit_seq, audit_hash, audit_at, \
                 newest_time, pruned_through, mac FROM head",
            )
            .and_then(|mut statement| {
                statement.query_row([], |row| {
                    let head = Self {
                        generation: counter(row, 0)?,
                        epoch: counter(row, 1)?,
                        accumulator: Accumulator(row.get(3)?),
                        audit_seq: counter(row, 4)?,
                        audit_hash: row.get(5)?,
                        audit_at: row.get(6)?,
                        newest_time: row.get(7)?,
                        pruned_through: row.get(8)?,
                    };
                    Ok((head, row.get::<_, [u8; 16]>(2)?, row.get::<_, [u8; 32]>(9)?))
                })
            })
            .map_err(failed)?;
        // Masking twice is no mask.
        head.accumulator.0 = head.masked(ring, &salt);
        if same(&head.mac(ring, &salt), &found) {
            Ok(head)
        } else {
            Err(KeystoreError::StoreCorrupt { object: "head".to_owned() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    #[test]
    fn the_accumulator_forgets_order_and_undoes() {
        let root = RootSecret::from_bytes(Zeroizing::new([9; 32])).unwrap();
        let ring = KeyRing::derive(&root, [4; 16], 1);
        let (mut a, mut b) = (Accumulator::default(), Accumulator::default());
        for i in 0..100 {
            a.add(&ring, &[i; 32]);
            b.add(&ring, &[99 - i; 32]);
        }
        assert_eq!(a, b);
        let before = a;
        a.add(&ring, &[200; 32]);
        assert_ne!(a, before);
        a.remove(&ring, &[200; 32]);
        assert_eq!(a, before);
        for i in 0..100 {
            a.remove(&ring, &[i; 32]);
        }
        assert_eq!(a, Accumulator::default());
        a.remove(&ring, &[1; 32]);
        a.add(&ring, &[1; 32]);
        assert_eq!(a, Accumulator::default());
    }
}
