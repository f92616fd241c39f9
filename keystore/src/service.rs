//! The service's own keys, and marks of collateral: what the node keeps for itself.
//!
//! `store-durability.md` R2; `architecture.md` section 6, table family `marks`.

use crate::authorized::Record;
use crate::error::KeystoreError;
use crate::keystore::Keystore;
use crate::material::KeyMaterial;
use crate::names::ProviderId;
use crate::seal::secret::random;
use crate::storage::sqlite::journal::acceptable;
use crate::storage::sqlite::row::{select, select_one};
use crate::storage::sqlite::service::{ServiceKeyRow, joined};
use crate::storage::sqlite::trust::MarkRow;
use crate::views::{ServiceKeyView, ServicePurpose};

/// Longest certificate chain, in bytes.
const MAX_CERTIFICATES: usize = 256 * 1024;

impl Keystore {
    /// Service keys of a purpose, newest last.
    pub fn service_keys(
        &self,
        provider: &ProviderId,
        purpose: ServicePurpose,
    ) -> Result<Vec<ServiceKeyView>, KeystoreError> {
        let condition = "WHERE provider = ?1 AND purpose = ?2 ORDER BY number";
        let params: [&dyn rusqlite::ToSql; 2] = [&provider.as_str(), &purpose.as_str()];
        self.read(|conn| {
            let rows: Vec<ServiceKeyRow> = select(conn, self.ring(), condition, &params)?;
            rows.into_iter().map(ServiceKeyRow::view).collect()
        })
    }

    /// Opens a service key; `not-found` if there is none of this `kid`.
    pub fn open_service_key(
        &self,
        provider: &ProviderId,
        purpose: ServicePurpose,
        kid: &str,
    ) -> Result<KeyMaterial, KeystoreError> {
        let condition = "WHERE provider = ?1 AND purpose = ?2 AND kid = ?3";
        let params: [&dyn rusqlite::ToSql; 3] = [&provider.as_str(), &purpose.as_str(), &kid];
        self.read(|conn| {
            let row: Option<ServiceKeyRow> = select_one(conn, self.ring(), condition, &params)?;
            row.ok_or(KeystoreError::NotFound("service key"))?.open_key(self.ring())
        })
    }

    /// Stores a service key with its certificates, DER, leaf first. An existing `kid` is a
    /// `conflict`.
    #[allow(clippy::too_many_arguments)]
    pub fn put_service_key(
        &self,
        provider: &ProviderId,
        purpose: ServicePurpose,
        kid: &str,
        certificates: &[Vec<u8>],
        material: &KeyMaterial,
        record: Record,
        now: i64,
    ) -> Result<(), KeystoreError> {
        acceptable(&record)?;
        if kid.is_empty() || kid.len() > 255 {
            return Err(KeystoreError::Malformed("a key id has 1 to 255 bytes"));
        }
        if certificates.iter().map(Vec::len).sum::<usize>() > MAX_CERTIFICATES {
            return Err(KeystoreError::TooLarge("the certificates are too long"));
        }
        let public = serde_json::to_string(&material.public_part())
            .map_err(|_| KeystoreError::Malformed("the public part has no JSON form"))?;
        let mut row = ServiceKeyRow {
            provider: provider.clone(),
            purpose: purpose.as_str().to_owned(),
            number: 0,
            kid: kid.to_owned(),
            row_id: random()?,
            created: now,
            key_type: material.key_type(),
            certificates: joined(certificates),
            public,
            data_key: Vec::new(),
            material: Vec::new(),
            mac: [0; 32],
        };
        let sealed_form = material.sealed_form();
        self.writer().submit(move |tx| {
            tx.see_time(now);
            let condition = "WHERE provider = ?1 AND purpose = ?2 ORDER BY number";
            let params: [&dyn rusqlite::ToSql; 2] = [&row.provider.as_str(), &row.purpose];
            let others: Vec<ServiceKeyRow> = select(tx.counted(), tx.ring, condition, &params)?;
            if others.iter().any(|other| other.kid == row.kid) {
                return Err(KeystoreError::Conflict("a service key of this id exists"));
            }
            row.number = others.last().map_or(0, |other| other.number) + 1;
            row.seal_material(tx.ring, &sealed_form)?;
            tx.insert(&mut row)?;
            tx.move_epoch();
            tx.append(&record)?;
            Ok(())
        })
    }

    /// Destroys a service key that signs no more: everything it signed has ended. The newest of a purpose stays.
    ///
    /// Errors: `not-found`; `conflict` for the newest.
    pub fn retire_service_key(
        &self,
        provider: &ProviderId,
        purpose: ServicePurpose,
        kid: &str,
        record: Record,
        now: i64,
    ) -> Result<(), KeystoreError> {
        acceptable(&record)?;
        let (provider, kid) = (provider.clone(), kid.to_owned());
        self.writer().submit(move |tx| {
            tx.see_time(now);
            let condition = "WHERE provider = ?1 AND purpose = ?2 ORDER BY number";
            let params: [&dyn rusqlite::ToSql; 2] = [&provider.as_str(), &purpose.as_str()];
            let mut rows: Vec<ServiceKeyRow> = select(tx.counted(), tx.ring, condition, &params)?;
            let at = rows.iter().position(|row| row.kid == kid).ok_or(KeystoreError::NotFound("service key"))?;
            if at.saturating_add(1) == rows.len() {
                return Err(KeystoreError::Conflict("the newest service key stays"));
            }
            let row = rows.swap_remove(at);
            let one = "WHERE provider = ?1 AND purpose = ?2 AND kid = ?3";
            tx.delete(&row, one, &[&provider.as_str(), &purpose.as_str(), &kid])?;
            tx.move_epoch();
            tx.append(&record)?;
            Ok(())
        })
    }

    /// Raises high-water marks; values that are not higher change nothing.
    pub fn raise_marks(&self, marks: &[(String, u64)]) -> Result<(), KeystoreError> {
        let mut higher = Vec::new();
        for (id, value) in marks {
            if i64::try_from(*value).is_err() || id.len() > 1024 {
                return Err(KeystoreError::TooLarge("a mark is too large"));
            }
            if self.mark(id)?.is_none_or(|before| before < *value) {
                higher.push((id.clone(), *value));
            }
        }
        if higher.is_empty() {
            return Ok(());
        }
        self.writer().submit(move |tx| {
            for (id, value) in higher {
                MarkRow::raise(tx, id, value)?;
            }
            Ok(())
        })
    }
}
