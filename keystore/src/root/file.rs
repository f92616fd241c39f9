//! Root key in a file of 32 raw bytes.
//!
//! `store-durability.md` section 4, row `file`; faults CFG-10, CFG-11 and STO-19 of `bad-inputs.md`.

use std::path::{Path, PathBuf};

use super::provider::{RootKey, RootSecret};
use crate::error::KeystoreError;

/// A root key in a file that only its owner can read.
pub struct FileRoot {
    path: PathBuf,
}

impl FileRoot {
    /// The root key in this file; nothing is read yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Makes a new root key in this file, mode 0600. An existing file is a `conflict`.
    pub fn create(path: &Path) -> Result<Self, KeystoreError> {
        let _ = path;
        todo!()
    }
}

impl RootKey for FileRoot {
    fn load(&self) -> Result<RootSecret, KeystoreError> {
        todo!()
    }

    fn describe(&self) -> String {
        format!("file `{}`", self.path.display())
    }
}
