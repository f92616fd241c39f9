//! Rows of keys, their versions and their release rules.
//!
//! `store-durability.md` section 3: the data key of a key object is sealed to the key's row, and
//! with it to every plain column and to the rule in force; material is sealed under the data key.

use std::collections::BTreeMap;

use rusqlite::Connection;
use rusqlite::types::Value;

use super::row::{Row, blob, counter, flag, int_or_null, parsed, select, select_one, stored, text};
use crate::error::KeystoreError;
use crate::key::{KeyType, Operation};
use crate::material::KeyMaterial;
use crate::names::{KeyName, ProviderId, VersionId};
use crate::seal::ring::damaged;
use crate::seal::{Cell, KeyRing, Place, Secret, Table};
use crate::views::{KeyView, RuleVersion, VersionView, etag};

/// Row of `keys`.
pub(crate) struct KeyRow {
    pub(crate) provider: ProviderId,
    pub(crate) name: KeyName,
    pub(crate) row_id: [u8; 16],
    pub(crate) row_version: u64,
    pub(crate) key_type: KeyType,
    pub(crate) enabled: bool,
    pub(crate) not_before: Option<i64>,
    pub(crate) expires: Option<i64>,
    pub(crate) exportable: bool,
    pub(crate) operations: Vec<Operation>,
    pub(crate) tags: BTreeMap<String, String>,
    /// Number of the rule in force; 0 without one.
    pub(crate) rule_number: u64,
    /// Contents of its row.
    pub(crate) rule_contents: Option<[u8; 32]>,
    pub(crate) immutable: bool,
    pub(crate) deleted_at: Option<i64>,
    pub(crate) purge_at: Option<i64>,
    pub(crate) created: i64,
    pub(crate) updated: i64,
    /// How many versions there are.
    pub(crate) versions: u64,
    pub(crate) data_key: Vec<u8>,
    pub(crate) mac: [u8; 32],
}

impl Row for KeyRow {
    const TABLE: Table = Table::Keys;
    const COLUMNS: &'static str = "provider, folded, name, row_id, row_version, key_type, enabled, \
        not_before, expires, exportable, operations, tags, rule_number, rule_contents, immutable, \
        deleted_at, purge_at, created, updated, versions, data_key, mac";

    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let name = parsed(row, 2, |t| KeyName::parse(t).ok())?;
        parsed(row, 1, |folded| (folded == name.folded()).then_some(()))?;
        Ok(Self {
            provider: parsed(row, 0, |t| ProviderId::parse(t).ok())?,
            name,
            row_id: row.get(3)?,
            row_version: counter(row, 4)?,
            key_type: parsed(row, 5, |t| KeyType::parse(t).ok())?,
            enabled: flag(row, 6)?,
            not_before: row.get(7)?,
            expires: row.get(8)?,
            exportable: flag(row, 9)?,
            operations: parsed(row, 10, operations)?,
            tags: parsed(row, 11, |t| serde_json::from_str(t).ok())?,
            rule_number: counter(row, 12)?,
            rule_contents: row.get(13)?,
            immutable: flag(row, 14)?,
            deleted_at: row.get(15)?,
            purge_at: row.get(16)?,
            created: row.get(17)?,
            updated: row.get(18)?,
            versions: counter(row, 19)?,
            data_key: row.get(20)?,
            mac: row.get(21)?,
        })
    }

    fn place(&self) -> Place {
        Place { table: Self::TABLE, row_id: self.row_id, row_version: self.row_version }
    }

    fn plain(&self) -> Vec<Value> {
        let operations: Vec<&str> = self.operations.iter().map(|o| o.as_str()).collect();
        vec![
            text(self.provider.as_str()),
            text(&self.name.folded()),
            text(self.name.as_str()),
            blob(&self.row_id),
            Value::Integer(stored(self.row_version)),
            text(self.key_type.as_str()),
            Value::Integer(self.enabled.into()),
            int_or_null(self.not_before),
            int_or_null(self.expires),
            Value::Integer(self.exportable.into()),
            text(&operations.join(",")),
            // A map of texts always has a JSON form.
            text(&serde_json::to_string(&self.tags).unwrap_or_default()),
            Value::Integer(stored(self.rule_number)),
            self.rule_contents.map_or(Value::Null, |c| blob(&c)),
            Value::Integer(self.immutable.into()),
            int_or_null(self.deleted_at),
            int_or_null(self.purge_at),
            Value::Integer(self.created),
            Value::Integer(self.updated),
            Value::Integer(stored(self.versions)),
        ]
    }

    fn sealed(&self) -> Vec<&[u8]> {
        vec![&self.data_key]
    }

    fn mac(&self) -> &[u8; 32] {
        &self.mac
    }

    fn set_mac(&mut self, mac: [u8; 32]) {
        self.mac = mac;
    }
}

fn operations(text: &str) -> Option<Vec<Operation>> {
    text.split(',').filter(|name| !name.is_empty()).map(|name| Operation::parse(name).ok()).collect()
}

impl KeyRow {
    /// The key of this name, verified.
    pub(crate) fn find(
        conn: &Connection,
        ring: &KeyRing,
        provider: &ProviderId,
        name: &KeyName,
    ) -> Result<Option<Self>, KeystoreError> {
        select_one(conn, ring, "WHERE provider = ?1 AND folded = ?2", &[&provider.as_str(), &name.folded()])
    }

    /// Opens the data key.
    pub(crate) fn open_data_key(&self, ring: &KeyRing) -> Result<Secret, KeystoreError> {
        ring.open_data_key(&self.place(), &self.plain_digest(), &self.data_key)
    }

    /// Seals the data key to the columns as they are now.
    pub(crate) fn seal_data_key(&mut self, ring: &KeyRing, data_key: &Secret) -> Result<(), KeystoreError> {
        let (place, columns) = (self.place(), self.plain_digest());
        self.data_key = ring.seal(None, &place, Cell::DataKey, &columns, data_key.expose())?;
        Ok(())
    }

    /// Its versions, verified, newest last. One missing is `store-corrupt`.
    pub(crate) fn load_versions(&self, conn: &Connection, ring: &KeyRing) -> Result<Vec<VersionRow>, KeystoreError> {
        let rows: Vec<VersionRow> = select(conn, ring, "WHERE key_id = ?1 ORDER BY number", &[&self.row_id])?;
        let complete = rows.len() as u64 == self.versions && rows.iter().all(|v| v.key_id == self.row_id);
        complete.then_some(rows).ok_or_else(|| damaged(&self.place()))
    }

    /// The version named, verified.
    pub(crate) fn load_version(
        &self,
        conn: &Connection,
        ring: &KeyRing,
        id: &VersionId,
    ) -> Result<Option<VersionRow>, KeystoreError> {
        let condition = "WHERE key_id = ?1 AND row_id = ?2";
        select_one(conn, ring, condition, &[&self.row_id, id.as_bytes()])
    }

    /// The newest version, on or off, verified.
    pub(crate) fn load_last(&self, conn: &Connection, ring: &KeyRing) -> Result<VersionRow, KeystoreError> {
        let ids: [&dyn rusqlite::ToSql; 2] = [&self.row_id, &stored(self.versions)];
        let row = select_one(conn, ring, "WHERE key_id = ?1 AND number = ?2", &ids)?;
        row.ok_or_else(|| damaged(&self.place()))
    }

    /// The newest version that is on, verified. One missing or touched on the way to it is
    /// `store-corrupt`: an older one is never taken for it.
    fn load_newest(&self, conn: &Connection, ring: &KeyRing) -> Result<Option<VersionRow>, KeystoreError> {
        let condition = "WHERE key_id = ?1 AND number = ?2";
        for number in (1..=self.versions).rev() {
            let ids: [&dyn rusqlite::ToSql; 2] = [&self.row_id, &stored(number)];
            let row: VersionRow = select_one(conn, ring, condition, &ids)?.ok_or_else(|| damaged(&self.place()))?;
            if row.enabled {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// The rule in force, verified against what the key is bound to.
    pub(crate) fn load_rule(&self, conn: &Connection, ring: &KeyRing) -> Result<Option<RuleRow>, KeystoreError> {
        let Some(contents) = self.rule_contents else {
            return Ok(None);
        };
        let row: Option<RuleRow> =
            select_one(conn, ring, "WHERE key_id = ?1 AND number = ?2", &[&self.row_id, &stored(self.rule_number)])?;
        match row {
            Some(row) if row.contents() == contents && row.key_id == self.row_id => Ok(Some(row)),
            _ => Err(damaged(&self.place())),
        }
    }

    /// Names this state of the key, as [`KeyView::etag`].
    pub(crate) fn etag(&self) -> String {
        etag(&self.row_id, self.row_version)
    }

    /// What is shown of it.
    pub(crate) fn view(&self, conn: &Connection, ring: &KeyRing) -> Result<KeyView, KeystoreError> {
        let versions = self.load_versions(conn, ring)?;
        let rule = self.load_rule(conn, ring)?;
        self.shown(&versions, rule)
    }

    /// What is shown of it for one use: at most one version, that named or else the newest on; and
    /// that version's row.
    pub(crate) fn view_version(
        &self,
        conn: &Connection,
        ring: &KeyRing,
        wanted: Option<&VersionId>,
    ) -> Result<(KeyView, Option<VersionRow>), KeystoreError> {
        let version = match wanted {
            Some(id) => self.load_version(conn, ring, id)?,
            None => self.load_newest(conn, ring)?,
        };
        let rule = self.load_rule(conn, ring)?;
        Ok((self.shown(version.as_slice(), rule)?, version))
    }

    /// The same of the newest version, on or off.
    pub(crate) fn view_last(
        &self,
        conn: &Connection,
        ring: &KeyRing,
    ) -> Result<(KeyView, Option<VersionRow>), KeystoreError> {
        let version = self.load_last(conn, ring)?;
        let rule = self.load_rule(conn, ring)?;
        Ok((self.shown(std::slice::from_ref(&version), rule)?, Some(version)))
    }

    fn shown(&self, versions: &[VersionRow], rule: Option<RuleRow>) -> Result<KeyView, KeystoreError> {
        Ok(KeyView {
            versions: versions.iter().map(VersionRow::view).collect::<Result<_, _>>()?,
            rule: rule.map(RuleRow::view),
            provider: self.provider.clone(),
            name: self.name.clone(),
            row_id: self.row_id,
            key_type: self.key_type,
            row_version: self.row_version,
            enabled: self.enabled,
            not_before: self.not_before,
            expires: self.expires,
            exportable: self.exportable,
            operations: self.operations.clone(),
            tags: self.tags.clone(),
            immutable: self.immutable,
            deleted_at: self.deleted_at,
            purge_at: self.purge_at,
            created: self.created,
            updated: self.updated,
        })
    }
}

/// A key with one of its versions, as they were read in one moment: verified, their secrets sealed.
pub(crate) struct KeyRows {
    pub(crate) key: KeyRow,
    pub(crate) version: VersionRow,
}

/// Row of `versions`.
pub(crate) struct VersionRow {
    pub(crate) key_id: [u8; 16],
    /// From 1, in the order of creation.
    pub(crate) number: u64,
    pub(crate) id: VersionId,
    pub(crate) row_version: u64,
    pub(crate) created: i64,
    pub(crate) enabled: bool,
    /// Public JWK members as JSON.
    pub(crate) public: String,
    pub(crate) material: Vec<u8>,
    pub(crate) mac: [u8; 32],
}

impl Row for VersionRow {
    const TABLE: Table = Table::Versions;
    const COLUMNS: &'static str = "key_id, number, row_id, row_version, created, enabled, public, material, mac";

    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            key_id: row.get(0)?,
            number: counter(row, 1)?,
            id: VersionId::from_bytes(row.get(2)?),
            row_version: counter(row, 3)?,
            created: row.get(4)?,
            enabled: flag(row, 5)?,
            public: row.get(6)?,
            material: row.get(7)?,
            mac: row.get(8)?,
        })
    }

    fn place(&self) -> Place {
        Place { table: Self::TABLE, row_id: *self.id.as_bytes(), row_version: self.row_version }
    }

    fn plain(&self) -> Vec<Value> {
        vec![
            blob(&self.key_id),
            Value::Integer(stored(self.number)),
            blob(self.id.as_bytes()),
            Value::Integer(stored(self.row_version)),
            Value::Integer(self.created),
            Value::Integer(self.enabled.into()),
            text(&self.public),
        ]
    }

    fn sealed(&self) -> Vec<&[u8]> {
        vec![&self.material]
    }

    fn mac(&self) -> &[u8; 32] {
        &self.mac
    }

    fn set_mac(&mut self, mac: [u8; 32]) {
        self.mac = mac;
    }
}

impl VersionRow {
    /// Seals material, in its sealed form, to the columns as they are now.
    pub(crate) fn seal_material(
        &mut self,
        ring: &KeyRing,
        data_key: &Secret,
        sealed_form: &[u8],
    ) -> Result<(), KeystoreError> {
        let (place, columns) = (self.place(), self.plain_digest());
        let key = Some(data_key);
        self.material = ring.seal(key, &place, Cell::Material, &columns, sealed_form)?;
        Ok(())
    }

    /// Opens the material in its sealed form.
    pub(crate) fn open_material(
        &self,
        ring: &KeyRing,
        data_key: &Secret,
    ) -> Result<zeroize::Zeroizing<Vec<u8>>, KeystoreError> {
        let (place, columns) = (self.place(), self.plain_digest());
        ring.open(Some(data_key), &place, Cell::Material, &columns, &self.material)
    }

    /// Opens the material as a key.
    pub(crate) fn open_key(
        &self,
        ring: &KeyRing,
        data_key: &Secret,
        key_type: KeyType,
    ) -> Result<KeyMaterial, KeystoreError> {
        let form = self.open_material(ring, data_key)?;
        KeyMaterial::from_sealed_form(key_type, &form).map_err(|_| damaged(&self.place()))
    }

    fn view(&self) -> Result<VersionView, KeystoreError> {
        let public = serde_json::from_str(&self.public).map_err(|_| damaged(&self.place()))?;
        Ok(VersionView {
            id: self.id,
            created: self.created,
            enabled: self.enabled,
            public,
            row_version: self.row_version,
        })
    }
}

/// Row of `rules`, never changed.
pub(crate) struct RuleRow {
    pub(crate) key_id: [u8; 16],
    pub(crate) number: u64,
    pub(crate) row_id: [u8; 16],
    pub(crate) at: i64,
    pub(crate) author: String,
    pub(crate) reason: String,
    pub(crate) digest: [u8; 32],
    pub(crate) document: String,
    pub(crate) mac: [u8; 32],
}

impl Row for RuleRow {
    const TABLE: Table = Table::Rules;
    const COLUMNS: &'static str = "key_id, number, row_id, at, author, reason, digest, document, mac";

    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            key_id: row.get(0)?,
            number: counter(row, 1)?,
            row_id: row.get(2)?,
            at: row.get(3)?,
            author: row.get(4)?,
            reason: row.get(5)?,
            digest: row.get(6)?,
            document: row.get(7)?,
            mac: row.get(8)?,
        })
    }

    fn place(&self) -> Place {
        Place { table: Self::TABLE, row_id: self.row_id, row_version: 1 }
    }

    fn plain(&self) -> Vec<Value> {
        vec![
            blob(&self.key_id),
            Value::Integer(stored(self.number)),
            blob(&self.row_id),
            Value::Integer(self.at),
            text(&self.author),
            text(&self.reason),
            blob(&self.digest),
            text(&self.document),
        ]
    }

    fn mac(&self) -> &[u8; 32] {
        &self.mac
    }

    fn set_mac(&mut self, mac: [u8; 32]) {
        self.mac = mac;
    }
}

impl RuleRow {
    /// What is shown of it.
    pub(crate) fn view(self) -> RuleVersion {
        RuleVersion {
            number: self.number,
            at: self.at,
            author: self.author,
            reason: self.reason,
            digest: self.digest,
            document: self.document,
        }
    }
}
