//! Rows of the service's own keys: certificates, receipts, attestation tokens.
//!
//! `store-durability.md` R2: ordinary key objects, each under a data key of its own.

use rusqlite::types::Value;

use super::row::{Row, blob, counter, parsed, stored, text};
use crate::error::KeystoreError;
use crate::key::KeyType;
use crate::material::KeyMaterial;
use crate::names::ProviderId;
use crate::seal::ring::damaged;
use crate::seal::{Cell, KeyRing, Place, Secret, Table};
use crate::views::ServiceKeyView;

/// Row of `service_keys`, never changed.
pub(crate) struct ServiceKeyRow {
    pub(crate) provider: ProviderId,
    pub(crate) purpose: String,
    /// From 1, in the order of creation.
    pub(crate) number: u64,
    pub(crate) kid: String,
    pub(crate) row_id: [u8; 16],
    pub(crate) created: i64,
    pub(crate) key_type: KeyType,
    /// Each certificate behind its length in four bytes.
    pub(crate) certificates: Vec<u8>,
    /// Public JWK members as JSON.
    pub(crate) public: String,
    pub(crate) data_key: Vec<u8>,
    pub(crate) material: Vec<u8>,
    pub(crate) mac: [u8; 32],
}

impl Row for ServiceKeyRow {
    const TABLE: Table = Table::ServiceKeys;
    const COLUMNS: &'static str = "provider, purpose, number, kid, row_id, created, key_type, \
        certificates, public, data_key, material, mac";

    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            provider: parsed(row, 0, |t| ProviderId::parse(t).ok())?,
            purpose: row.get(1)?,
            number: counter(row, 2)?,
            kid: row.get(3)?,
            row_id: row.get(4)?,
            created: row.get(5)?,
            key_type: parsed(row, 6, |t| KeyType::parse(t).ok())?,
            certificates: row.get(7)?,
            public: row.get(8)?,
            data_key: row.get(9)?,
            material: row.get(10)?,
            mac: row.get(11)?,
        })
    }

    fn place(&self) -> Place {
        Place { table: Self::TABLE, row_id: self.row_id, row_version: 1 }
    }

    fn plain(&self) -> Vec<Value> {
        vec![
            text(self.provider.as_str()),
            text(&self.purpose),
            Value::Integer(stored(self.number)),
            text(&self.kid),
            blob(&self.row_id),
            Value::Integer(self.created),
            text(self.key_type.as_str()),
            blob(&self.certificates),
            text(&self.public),
        ]
    }

    fn sealed(&self) -> Vec<&[u8]> {
        vec![&self.data_key, &self.material]
    }

    fn mac(&self) -> &[u8; 32] {
        &self.mac
    }

    fn set_mac(&mut self, mac: [u8; 32]) {
        self.mac = mac;
    }
}

impl ServiceKeyRow {
    /// Seals material, in its sealed form, under a fresh data key.
    pub(crate) fn seal_material(&mut self, ring: &KeyRing, sealed_form: &[u8]) -> Result<(), KeystoreError> {
        let data_key = Secret::random()?;
        let (place, columns) = (self.place(), self.plain_digest());
        self.data_key = ring.seal(None, &place, Cell::DataKey, &columns, data_key.expose())?;
        let key = Some(&data_key);
        self.material = ring.seal(key, &place, Cell::Material, &columns, sealed_form)?;
        Ok(())
    }

    /// Opens the material in its sealed form.
    pub(crate) fn open_material(&self, ring: &KeyRing) -> Result<zeroize::Zeroizing<Vec<u8>>, KeystoreError> {
        let (place, columns) = (self.place(), self.plain_digest());
        let data_key = ring.open_data_key(&place, &columns, &self.data_key)?;
        ring.open(Some(&data_key), &place, Cell::Material, &columns, &self.material)
    }

    /// Opens the material as a key.
    pub(crate) fn open_key(&self, ring: &KeyRing) -> Result<KeyMaterial, KeystoreError> {
        let form = self.open_material(ring)?;
        KeyMaterial::from_sealed_form(self.key_type, &form).map_err(|_| damaged(&self.place()))
    }

    /// What is shown of it.
    pub(crate) fn view(self) -> Result<ServiceKeyView, KeystoreError> {
        let corrupt = damaged(&self.place());
        let public = serde_json::from_str(&self.public).map_err(|_| corrupt.clone())?;
        Ok(ServiceKeyView {
            certificates: split(&self.certificates).ok_or(corrupt)?,
            kid: self.kid,
            created: self.created,
            public,
        })
    }
}

/// Each certificate behind its length in four bytes.
pub(crate) fn joined(certificates: &[Vec<u8>]) -> Vec<u8> {
    let parts: Vec<&[u8]> = certificates.iter().map(Vec::as_slice).collect();
    crate::seal::derive::joined(&parts)
}

fn split(mut joined: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut parts = Vec::new();
    while !joined.is_empty() {
        let (length, rest) = joined.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (part, rest) = rest.split_at_checked(length)?;
        parts.push(part.to_vec());
        joined = rest;
    }
    Some(parts)
}
