//! Where a cell rests, and what stands beside it: what a seal is bound to.
//!
//! `store-durability.md` section 3 (R5, R6).

use rusqlite::types::Value;
use sha2::{Digest, Sha256};

/// Number of the format that these bytes belong to.
pub(crate) const FORMAT: u8 = 1;

/// Tables whose rows are authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Table {
    /// Keys.
    Keys = 1,
    /// Versions of keys.
    Versions = 2,
    /// Release rules.
    Rules = 3,
    /// Policies of providers.
    Policies = 4,
    /// Bearer credentials.
    Credentials = 5,
    /// The deny list.
    Denies = 6,
    /// High-water marks.
    Marks = 7,
    /// Keys of the service itself.
    ServiceKeys = 8,
    /// Challenges that are spent.
    Challenges = 9,
    /// Answers kept for repeats.
    Answers = 10,
    /// Attestations by token identifier.
    Sessions = 11,
    /// Keys that were destroyed.
    Purged = 12,
    /// Enrolled attestation keys.
    Enrolments = 13,
    /// Endorsement keys that an operator vouches for.
    EndorsementKeys = 14,
    /// Clocks of TPMs.
    Clocks = 15,
}

impl Table {
    /// Every table, in the order in which they came.
    pub(crate) const ALL: [Self; 15] = [
        Self::Keys,
        Self::Versions,
        Self::Rules,
        Self::Policies,
        Self::Credentials,
        Self::Denies,
        Self::Marks,
        Self::ServiceKeys,
        Self::Challenges,
        Self::Answers,
        Self::Sessions,
        Self::Purged,
        Self::Enrolments,
        Self::EndorsementKeys,
        Self::Clocks,
    ];

    /// Its name in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Versions => "versions",
            Self::Rules => "rules",
            Self::Policies => "policies",
            Self::Credentials => "credentials",
            Self::Denies => "denies",
            Self::Marks => "marks",
            Self::ServiceKeys => "service_keys",
            Self::Challenges => "challenges",
            Self::Answers => "answers",
            Self::Sessions => "sessions",
            Self::Purged => "purged",
            Self::Enrolments => "enrolments",
            Self::EndorsementKeys => "endorsement_keys",
            Self::Clocks => "clocks",
        }
    }
}

/// What a seal or a MAC in a row is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Cell {
    /// The MAC over the whole row.
    Row = 0,
    /// The data key of a key object.
    DataKey = 1,
    /// Key material.
    Material = 2,
    /// An answer.
    Answer = 3,
}

/// One state of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) table: Table,
    pub(crate) row_id: [u8; 16],
    pub(crate) row_version: u64,
}

impl Place {
    /// The bytes that a seal is bound to, all of fixed width: 11 of label, format, store,
    /// incarnation, table, row, version, purpose, epoch, digest of the plain columns.
    pub(crate) fn bound(
        &self,
        store: &[u8; 16],
        incarnation: u32,
        cell: Cell,
        epoch: u32,
        columns: &[u8; 32],
    ) -> Vec<u8> {
        let mut out = Vec::with_capacity(100);
        out.extend_from_slice(b"keygate-row");
        out.push(FORMAT);
        out.extend_from_slice(store);
        out.extend_from_slice(&incarnation.to_be_bytes());
        out.extend_from_slice(&(self.table as u16).to_be_bytes());
        out.extend_from_slice(&self.row_id);
        out.extend_from_slice(&self.row_version.to_be_bytes());
        out.extend_from_slice(&(cell as u16).to_be_bytes());
        out.extend_from_slice(&epoch.to_be_bytes());
        out.extend_from_slice(columns);
        out
    }
}

/// Digest of plain columns in their order. Each value carries its kind and length.
pub(crate) struct Columns;

impl Columns {
    /// SHA-256 over kind (1 byte), length (8 bytes) and bytes of each value.
    pub(crate) fn of(values: &[Value]) -> [u8; 32] {
        let mut digest = Sha256::new();
        let mut add = |kind: u8, bytes: &[u8]| {
            digest.update([kind]);
            digest.update((bytes.len() as u64).to_be_bytes());
            digest.update(bytes);
        };
        for value in values {
            match value {
                Value::Null => add(0, b""),
                Value::Text(text) => add(1, text.as_bytes()),
                Value::Integer(number) => add(2, &number.to_be_bytes()),
                Value::Blob(bytes) => add(3, bytes),
                Value::Real(number) => add(4, &number.to_be_bytes()),
            }
        }
        digest.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_bytes_have_fixed_width() {
        let place = Place { table: Table::Keys, row_id: [3; 16], row_version: 9 };
        let bound = place.bound(&[1; 16], 2, Cell::DataKey, 4, &[5; 32]);
        assert_eq!(bound.len(), 11 + 1 + 16 + 4 + 2 + 16 + 8 + 2 + 4 + 32);
        assert!(bound.starts_with(b"keygate-row\x01"));
    }

    #[test]
    fn null_empty_and_zero_differ() {
        let text = |t: &str| Value::Text(t.to_owned());
        let digests = [
            Columns::of(&[Value::Null]),
            Columns::of(&[text("")]),
            Columns::of(&[Value::Blob(Vec::new())]),
            Columns::of(&[Value::Integer(0)]),
            Columns::of(&[text("a"), text("")]),
            Columns::of(&[text(""), text("a")]),
            Columns::of(&[text("a")]),
        ];
        for (i, a) in digests.iter().enumerate() {
            for b in &digests[i + 1..] {
                assert_ne!(a, b);
            }
        }
    }
}
