//! Which files may run: digests, and perhaps the paths they may stand at.

use std::collections::{BTreeMap, BTreeSet};

use crate::formats::tcg::Bank;

/// Allowed files by algorithm and digest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList {
    /// An empty set of paths: anywhere.
    files: BTreeMap<(Bank, Vec<u8>), BTreeSet<Vec<u8>>>,
}

impl AllowList {
    /// Allows a digest, at one path or anywhere. A digest that was allowed anywhere stays so. `false` where the digest is not of
    /// the algorithm's length, and nothing was allowed.
    pub fn allow(&mut self, algorithm: Bank, digest: &[u8], path: Option<&str>) -> bool {
        if digest.len() != algorithm.size() {
            return false;
        }
        let key = (algorithm, digest.to_vec());
        match (self.files.get_mut(&key), path) {
            (None, None) => drop(self.files.insert(key, BTreeSet::new())),
            (None, Some(path)) => drop(self.files.insert(key, BTreeSet::from([path.as_bytes().to_vec()]))),
            (Some(paths), None) => paths.clear(),
            (Some(paths), Some(_)) if paths.is_empty() => {}
            (Some(paths), Some(path)) => drop(paths.insert(path.as_bytes().to_vec())),
        }
        true
    }

    /// How many digests are allowed.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether nothing is allowed.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether a file with this digest may stand at this path.
    pub(super) fn allows(&self, algorithm: Bank, digest: &[u8], path: &[u8]) -> bool {
        self.files.get(&(algorithm, digest.to_vec())).is_some_and(|paths| paths.is_empty() || paths.contains(path))
    }
}
