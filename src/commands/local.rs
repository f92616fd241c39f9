//! The store of a folder, opened by a command on the machine itself. Keygate's contract, section 2 (`store`, `audit verify`).

use std::path::{Path, PathBuf};

use keygate_keystore::{FileRoot, Keystore, KeystoreError};

use super::exit::Failure;
use super::init::from_app;
use super::time::now;
use crate::app::store_error;
use crate::settings::Settings;

/// Where a folder's store and root key are.
pub struct LocalStore {
    pub(super) file: PathBuf,
    pub(super) root: FileRoot,
}

impl LocalStore {
    /// Finds them by the folder's configuration.
    ///
    /// # Errors
    /// Configuration.
    pub fn of(dir: &Path) -> Result<Self, Failure> {
        let environment: Vec<_> = std::env::vars().collect();
        let settings = Settings::read(&dir.join("keygate.toml"), &environment)?;
        let root = FileRoot::new(settings.path(&settings.root_key.file));
        Ok(Self { file: settings.path(&settings.store.file), root })
    }

    /// Opens the store; one process at a time can.
    ///
    /// # Errors
    /// As the keystore's.
    pub fn open(&self) -> Result<Keystore, Failure> {
        Keystore::open(&self.file, &self.root, now()?).map_err(|e| self.failure(&e))
    }

    /// What a keystore error means to whoever runs the command.
    pub fn failure(&self, error: &KeystoreError) -> Failure {
        from_app(store_error(&self.file, error))
    }
}
