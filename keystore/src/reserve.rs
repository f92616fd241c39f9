//! Room on the disk that records of refusals leave to uses and changes.
//!
//! `native-api.md` section 3 and STO-03 of `bad-inputs.md`: a commit that finds no room ends the
//! node, so what strangers can cause is refused while there is still some.

use std::path::Path;
use std::sync::{PoisonError, RwLock};

use crate::authorized::{Entry, Record};
use crate::error::KeystoreError;
use crate::keystore::Keystore;
use crate::storage::files;

/// Bytes that are kept for uses and changes, but never more than a quarter of the volume.
const RESERVE: u64 = 256 << 20;

/// Room on the volume that the store lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes that we can still write.
    pub free: u64,
    /// Bytes of the whole volume.
    pub whole: u64,
}

impl Space {
    /// Whether more than the reserve is free.
    pub fn is_above_reserve(self) -> bool {
        self.free > RESERVE.min(self.whole / 4)
    }
}

type Measure = Box<dyn Fn(&Path) -> Result<Space, KeystoreError> + Send + Sync>;

/// How room is measured.
pub(crate) struct Gauge(RwLock<Measure>);

impl Default for Gauge {
    fn default() -> Self {
        Self(RwLock::new(Box::new(files::space)))
    }
}

impl Keystore {
    /// Appends a record that may be refused for lack of room: within the reserve of 256 MiB, or a
    /// quarter of a small volume, the journal is for uses and changes alone.
    ///
    /// [`KeystoreError::NoRoom`] then, and if the room cannot be measured; the node goes on. Other
    /// errors as of [`Keystore::record`].
    pub fn record_within_reserve(&self, record: Record) -> Result<Entry, KeystoreError> {
        let measure = self.gauge().0.read().unwrap_or_else(PoisonError::into_inner);
        let space = measure(self.path()).map_err(|_| KeystoreError::NoRoom)?;
        drop(measure);
        if space.is_above_reserve() { self.record(record) } else { Err(KeystoreError::NoRoom) }
    }

    /// Measures room otherwise than by asking the file system: for quotas it does not tell of, and
    /// for tests. `measure` is given the file of the store.
    pub fn measure_space_by(&self, measure: impl Fn(&Path) -> Result<Space, KeystoreError> + Send + Sync + 'static) {
        *self.gauge().0.write().unwrap_or_else(PoisonError::into_inner) = Box::new(measure);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_at_most_a_quarter_of_the_volume() {
        let above = |free, whole| Space { free, whole }.is_above_reserve();
        assert!(!above(256 << 20, 100 << 30));
        assert!(above((256 << 20) + 1, 100 << 30));
        assert!(!above(16 << 20, 64 << 20));
        assert!(above((16 << 20) + 1, 64 << 20));
        assert!(!above(0, 0));
    }
}
