//! The store of a folder, opened by a command on the machine itself. Keygate's contract, section 2 (`store`, `audit verify`).

use std::path::{Path, PathBuf};

use keygate_keystore::{FileRoot, Keystore, KeystoreError};

use super::exit::Failure;
use super::time::now;
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
        let file = self.file.display();
        let help = match error {
            KeystoreError::Busy => "stop the service first: one process at a time has the store".to_owned(),
            KeystoreError::WrongRootKey | KeystoreError::Sealed(_) => {
                "give the root key that belongs to this store".to_owned()
            }
            KeystoreError::StoreCorrupt { .. } | KeystoreError::SchemaUnknown(_) => {
                "keep the file as it is for an examination, and restore the newest backup".to_owned()
            }
            KeystoreError::Conflict(_) => "name a file that does not exist: nothing is ever overwritten".to_owned(),
            KeystoreError::ConfigInvalid(_) => {
                return Failure::config(
                    format!("`{file}`: {error}"),
                    "see the owner and the mode of store and root key",
                );
            }
            _ => "see the code in docs/errors.md".to_owned(),
        };
        Failure::unavailable(error.code(), format!("`{file}`: {error}"), help)
    }
}
