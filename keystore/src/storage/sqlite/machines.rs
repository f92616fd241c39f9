//! Rows of enrolled attestation keys, of endorsement keys that an operator vouches for, and of the clocks of TPMs.
//!
//! Threat model P6 and P14; `bad-inputs.md` TPM-09, TPM-15, TPM-17.

use rusqlite::types::Value;

use super::row::{Row, blob, counter, parsed, stored, text};
use crate::machines::{AllowedEk, ClockReading, Enrolment};
use crate::names::ProviderId;
use crate::seal::{Place, Table};
use crate::views::etag;

/// Row of `enrolments`: one machine, one endorsement key, one attestation key.
#[derive(Clone)]
pub(crate) struct EnrolmentRow {
    pub(crate) provider: ProviderId,
    pub(crate) machine: String,
    pub(crate) row_id: [u8; 16],
    pub(crate) row_version: u64,
    pub(crate) ak_name: Vec<u8>,
    pub(crate) ak_public: Vec<u8>,
    pub(crate) ek: [u8; 32],
    pub(crate) certificate: Option<[u8; 32]>,
    pub(crate) anchor: String,
    pub(crate) owner: String,
    pub(crate) enrolled: i64,
    pub(crate) expires: i64,
    pub(crate) mac: [u8; 32],
}

impl Row for EnrolmentRow {
    const TABLE: Table = Table::Enrolments;
    const COLUMNS: &'static str = "provider, machine, row_id, row_version, ak_name, ak_public, ek, certificate, anchor, \
        owner, enrolled, expires, mac";

    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            provider: parsed(row, 0, |t| ProviderId::parse(t).ok())?,
            machine: row.get(1)?,
            row_id: row.get(2)?,
            row_version: counter(row, 3)?,
            ak_name: row.get(4)?,
            ak_public: row.get(5)?,
            ek: row.get(6)?,
            certificate: row.get(7)?,
            anchor: row.get(8)?,
            owner: row.get(9)?,
            enrolled: row.get(10)?,
            expires: row.get(11)?,
            mac: row.get(12)?,
        })
    }

    fn place(&self) -> Place {
        Place { table: Self::TABLE, row_id: self.row_id, row_version: self.row_version }
    }

    fn plain(&self) -> Vec<Value> {
        vec![
            text(self.provider.as_str()),
            text(&self.machine),
            blob(&self.row_id),
            Value::Integer(stored(self.row_version)),
            blob(&self.ak_name),
            blob(&self.ak_public),
            blob(&self.ek),
            self.certificate.as_ref().map_or(Value::Null, |digest| blob(digest)),
            text(&self.anchor),
            text(&self.owner),
            Value::Integer(self.enrolled),
            Value::Integer(self.expires),
        ]
    }

    fn mac(&self) -> &[u8; 32] {
        &self.mac
    }

    fn set_mac(&mut self, mac: [u8; 32]) {
        self.mac = mac;
    }
}

impl EnrolmentRow {
    /// What is shown of it, beside the clock of its key.
    pub(crate) fn view(self, clock: Option<ClockReading>) -> Enrolment {
        Enrolment {
            etag: etag(&self.row_id, self.row_version),
            machine: self.machine,
            ak_name: self.ak_name,
            ak_public: self.ak_public,
            ek: self.ek,
            certificate: self.certificate,
            anchor: self.anchor,
            owner: self.owner,
            enrolled: self.enrolled,
            expires: self.expires,
            clock,
        }
    }
}

/// Row of `endorsement_keys`.
pub(crate) struct EndorsementKeyRow {
    pub(crate) provider: ProviderId,
    pub(crate) ek: [u8; 32],
    pub(crate) row_id: [u8; 16],
    pub(crate) reason: String,
    pub(crate) at: i64,
    pub(crate) author: String,
    pub(crate) mac: [u8; 32],
}

impl Row for EndorsementKeyRow {
    const TABLE: Table = Table::EndorsementKeys;
    const COLUMNS: &'static str = "provider, ek, row_id, reason, at, author, mac";

    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            provider: parsed(row, 0, |t| ProviderId::parse(t).ok())?,
            ek: row.get(1)?,
            row_id: row.get(2)?,
            reason: row.get(3)?,
            at: row.get(4)?,
            author: row.get(5)?,
            mac: row.get(6)?,
        })
    }

    fn place(&self) -> Place {
        Place { table: Self::TABLE, row_id: self.row_id, row_version: 1 }
    }

    fn plain(&self) -> Vec<Value> {
        vec![
            text(self.provider.as_str()),
            blob(&self.ek),
            blob(&self.row_id),
            text(&self.reason),
            Value::Integer(self.at),
            text(&self.author),
        ]
    }

    fn mac(&self) -> &[u8; 32] {
        &self.mac
    }

    fn set_mac(&mut self, mac: [u8; 32]) {
        self.mac = mac;
    }
}

impl EndorsementKeyRow {
    /// What is shown of it.
    pub(crate) fn view(self) -> AllowedEk {
        AllowedEk { etag: etag(&self.row_id, 1), ek: self.ek, reason: self.reason, at: self.at, author: self.author }
    }
}

/// Row of `clocks`: the newest that an attestation key was seen to say.
pub(crate) struct ClockRow {
    pub(crate) provider: ProviderId,
    pub(crate) ak_name: Vec<u8>,
    pub(crate) row_id: [u8; 16],
    pub(crate) row_version: u64,
    pub(crate) reading: ClockReading,
    pub(crate) seen: i64,
    pub(crate) mac: [u8; 32],
}

impl Row for ClockRow {
    const TABLE: Table = Table::Clocks;
    const COLUMNS: &'static str =
        "provider, ak_name, row_id, row_version, reset_count, restart_count, clock, seen, mac";

    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            provider: parsed(row, 0, |t| ProviderId::parse(t).ok())?,
            ak_name: row.get(1)?,
            row_id: row.get(2)?,
            row_version: counter(row, 3)?,
            reading: ClockReading {
                reset_count: row.get(4)?,
                restart_count: row.get(5)?,
                clock: u64::from_be_bytes(row.get(6)?),
            },
            seen: row.get(7)?,
            mac: row.get(8)?,
        })
    }

    fn place(&self) -> Place {
        Place { table: Self::TABLE, row_id: self.row_id, row_version: self.row_version }
    }

    fn plain(&self) -> Vec<Value> {
        vec![
            text(self.provider.as_str()),
            blob(&self.ak_name),
            blob(&self.row_id),
            Value::Integer(stored(self.row_version)),
            Value::Integer(self.reading.reset_count.into()),
            Value::Integer(self.reading.restart_count.into()),
            blob(&self.reading.clock.to_be_bytes()),
            Value::Integer(self.seen),
        ]
    }

    fn mac(&self) -> &[u8; 32] {
        &self.mac
    }

    fn set_mac(&mut self, mac: [u8; 32]) {
        self.mac = mac;
    }
}
