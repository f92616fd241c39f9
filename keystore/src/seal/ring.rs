//! The working keys of an open store.
//!
//! `store-durability.md` section 2: derived at start by purpose; the root key is dropped then.

use zeroize::Zeroizing;

use super::derive::{Purpose, mac, working_key};
use super::envelope;
use super::place::{Cell, Place};
use super::secret::{Secret, same};
use crate::error::KeystoreError;
use crate::root::RootSecret;

/// Epoch of the working keys. There is no rotation of them in this format yet.
pub(crate) const KEK_EPOCH: u32 = 1;

/// Every working key of one incarnation of one store.
pub(crate) struct KeyRing {
    pub(crate) store_id: [u8; 16],
    pub(crate) incarnation: u32,
    row: Secret,
    row_mac: Secret,
    pub(crate) audit: Secret,
    pub(crate) index: Secret,
    pub(crate) backup: Secret,
    pub(crate) key_backup: Secret,
    pub(crate) head: Secret,
    answer: Secret,
    pub(crate) challenge: Secret,
    pub(crate) decoy: Secret,
}

/// Tells whether a root key belongs to a store: 32 bytes.
pub(crate) fn check_value(root: &RootSecret, store: &[u8; 16]) -> [u8; 32] {
    *working_key(root.expose(), store, Purpose::Check, KEK_EPOCH).expose()
}

impl KeyRing {
    /// Derives all working keys.
    pub(crate) fn derive(root: &RootSecret, store_id: [u8; 16], incarnation: u32) -> Self {
        let of = |purpose| working_key(root.expose(), &store_id, purpose, KEK_EPOCH);
        Self {
            store_id,
            incarnation,
            row: of(Purpose::Row),
            row_mac: of(Purpose::RowMac),
            audit: of(Purpose::Audit),
            index: of(Purpose::Index),
            backup: of(Purpose::Backup),
            key_backup: of(Purpose::KeyBackup),
            head: of(Purpose::Head),
            answer: of(Purpose::Answer),
            challenge: working_key(root.expose(), &store_id, Purpose::Challenge, incarnation),
            decoy: of(Purpose::Decoy),
        }
    }

    fn bound(&self, place: &Place, cell: Cell, columns: &[u8; 32]) -> Vec<u8> {
        place.bound(&self.store_id, self.incarnation, cell, KEK_EPOCH, columns)
    }

    /// MAC of a row over its place, its plain columns and its sealed cells.
    pub(crate) fn row_mac(&self, place: &Place, contents: &[u8; 32]) -> [u8; 32] {
        mac(&self.row_mac, &[&self.bound(place, Cell::Row, contents)])
    }

    /// Fails as `store-corrupt` unless `found` is the MAC of the row.
    pub(crate) fn verify_row(&self, place: &Place, contents: &[u8; 32], found: &[u8; 32]) -> Result<(), KeystoreError> {
        if same(&self.row_mac(place, contents), found) { Ok(()) } else { Err(damaged(place)) }
    }

    fn key_for<'a>(&'a self, cell: Cell, data_key: Option<&'a Secret>) -> &'a Secret {
        match (data_key, cell) {
            (Some(data_key), _) => data_key,
            (None, Cell::Answer) => &self.answer,
            (None, _) => &self.row,
        }
    }

    /// Seals a cell under the data key of its object, or where there is none under the working key.
    pub(crate) fn seal(
        &self,
        data_key: Option<&Secret>,
        place: &Place,
        cell: Cell,
        columns: &[u8; 32],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, KeystoreError> {
        let bound = self.bound(place, cell, columns);
        envelope::seal(self.key_for(cell, data_key), KEK_EPOCH, &bound, plaintext)
    }

    /// Opens a cell; `store-corrupt` if it is not what was sealed at this place.
    pub(crate) fn open(
        &self,
        data_key: Option<&Secret>,
        place: &Place,
        cell: Cell,
        columns: &[u8; 32],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
        let bound = self.bound(place, cell, columns);
        envelope::open(self.key_for(cell, data_key), KEK_EPOCH, &bound, sealed).map_err(|_| damaged(place))
    }

    /// Opens a data key.
    pub(crate) fn open_data_key(
        &self,
        place: &Place,
        columns: &[u8; 32],
        sealed: &[u8],
    ) -> Result<Secret, KeystoreError> {
        let opened = self.open(None, place, Cell::DataKey, columns, sealed)?;
        Secret::from_slice(&opened).ok_or_else(|| damaged(place))
    }

    /// Keyed digest of something that must be found but not read.
    pub(crate) fn index(&self, what: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut all: Vec<&[u8]> = vec![what.as_bytes()];
        all.extend_from_slice(parts);
        mac(&self.index, &all)
    }
}

/// The row at this place is not what was written.
pub(crate) fn damaged(place: &Place) -> KeystoreError {
    KeystoreError::StoreCorrupt { object: format!("{} {}", place.table.name(), hex::encode(place.row_id)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::Table;

    fn ring(incarnation: u32) -> KeyRing {
        let root = RootSecret::from_bytes(Zeroizing::new([9; 32])).unwrap();
        KeyRing::derive(&root, [4; 16], incarnation)
    }

    const HERE: Place = Place { table: Table::Versions, row_id: [1; 16], row_version: 1 };

    #[test]
    fn sto_10_a_cell_opens_at_its_own_place_only() {
        let ring_1 = ring(1);
        let sealed = ring_1.seal(None, &HERE, Cell::Material, &[7; 32], b"x").unwrap();
        let open = |ring: &KeyRing, place: &Place, cell, columns: [u8; 32]| {
            ring.open(None, place, cell, &columns, &sealed).is_ok()
        };
        assert!(open(&ring_1, &HERE, Cell::Material, [7; 32]));
        let other = |f: fn(&mut Place)| {
            let mut place = HERE;
            f(&mut place);
            place
        };
        for place in [other(|p| p.table = Table::Keys), other(|p| p.row_id = [2; 16]), other(|p| p.row_version = 2)] {
            assert!(!open(&ring_1, &place, Cell::Material, [7; 32]));
        }
        assert!(!open(&ring_1, &HERE, Cell::DataKey, [7; 32]));
        assert!(!open(&ring_1, &HERE, Cell::Material, [8; 32]));
        assert!(!open(&ring(2), &HERE, Cell::Material, [7; 32]));
    }

    #[test]
    fn row_macs_cover_place_and_contents() {
        let ring = ring(1);
        let mac = ring.row_mac(&HERE, &[7; 32]);
        assert!(ring.verify_row(&HERE, &[7; 32], &mac).is_ok());
        let error = ring.verify_row(&HERE, &[8; 32], &mac).unwrap_err();
        assert_eq!(error.code(), "store-corrupt");
    }

    #[test]
    fn sto_10_no_cell_of_200_rows_opens_at_the_place_of_another() {
        let ring = ring(1);
        let place = |i: u8, row_version| Place { table: Table::Keys, row_id: [i; 16], row_version };
        // 100 rows, each in two states.
        let places: Vec<Place> = (0..100).flat_map(|i| [place(i, 1), place(i, 2)]).collect();
        let columns = [7; 32];
        let cells: Vec<Vec<u8>> = places
            .iter()
            .map(|place| ring.seal(None, place, Cell::DataKey, &columns, &[1; 32]))
            .collect::<Result<_, _>>()
            .unwrap();
        let mut opened = 0;
        for place in &places {
            for cell in &cells {
                let result = ring.open(None, place, Cell::DataKey, &columns, cell);
                opened += u32::from(result.is_ok());
            }
        }
        assert_eq!(opened, 200);
    }
}
