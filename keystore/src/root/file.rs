//! Root key in a file of 32 raw bytes.
//!
//! `store-durability.md` section 4, row `file`; faults CFG-10, CFG-11 and STO-19 of `bad-inputs.md`.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::provider::{RootKey, RootSecret};
use crate::error::KeystoreError;
use crate::storage::files;

/// A root key in a file that only its owner can read.
pub struct FileRoot {
    path: PathBuf,
}

impl FileRoot {
    /// The root key in this file; nothing is read yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Makes a new root key in this file, mode 0600, and flushes file and directory. An existing
    /// file is a `conflict`.
    pub fn create(path: &Path) -> Result<Self, KeystoreError> {
        let mut bytes = Zeroizing::new([0; 32]);
        openssl::rand::rand_priv_bytes(bytes.as_mut_slice()).map_err(|_| KeystoreError::Randomness)?;
        let mut file = files::create_private(path)?;
        file.write_all(bytes.as_slice()).and_then(|()| file.sync_all()).map_err(|e| files::failed(path, &e))?;
        files::sync_directory_of(path)?;
        Ok(Self::new(path))
    }
}

impl RootKey for FileRoot {
    /// Fails as `sealed` if the file is not there, as `config-invalid` if it is a link, is not a
    /// file of ours that nobody else can read, or is not 32 bytes long.
    fn load(&self) -> Result<RootSecret, KeystoreError> {
        let mut file = files::open_private(&self.path, files::Access::Read)?;
        // One more than allowed, so that a longer file is noticed.
        let mut bytes = Zeroizing::new([0; 33]);
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match file.read(rest) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(files::failed(&self.path, &e)),
            }
        }
        let (key, _) = bytes.split_first_chunk::<32>().filter(|_| filled == 32).ok_or_else(|| {
            KeystoreError::ConfigInvalid(format!("the root key in `{}` is not 32 bytes long", self.path.display()))
        })?;
        RootSecret::from_bytes(Zeroizing::new(*key))
    }

    fn describe(&self) -> String {
        format!("file `{}`", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn code(path: &Path) -> &'static str {
        FileRoot::new(path).load().map(|_| "").unwrap_err().code()
    }

    #[test]
    fn a_created_key_loads_and_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root");
        let root = FileRoot::create(&path).unwrap();
        let first = *root.load().unwrap().expose();
        assert_eq!(first, *FileRoot::new(&path).load().unwrap().expose());
        assert_eq!(FileRoot::create(&path).err().unwrap().code(), "conflict");
        assert_eq!(first, *root.load().unwrap().expose());
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn cfg_10_a_root_key_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root");
        FileRoot::create(&path).unwrap();
        for mode in [0o644, 0o640, 0o604, 0o660, 0o601] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(code(&path), "config-invalid", "{mode:o}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
        assert!(FileRoot::new(&path).load().is_ok());
    }

    #[test]
    fn cfg_11_links_directories_and_other_lengths_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root");
        FileRoot::create(&path).unwrap();
        let link = dir.path().join("link");
        symlink(&path, &link).unwrap();
        assert_eq!(code(&link), "config-invalid");
        assert_eq!(code(dir.path()), "config-invalid");
        assert_eq!(code(&dir.path().join("absent")), "sealed");
        for length in [0, 31, 33, 64] {
            std::fs::write(&path, vec![1; length]).unwrap();
            assert_eq!(code(&path), "config-invalid", "{length}");
        }
        std::fs::write(&path, [0; 32]).unwrap();
        assert_eq!(code(&path), "config-invalid");
    }
}
