//! Fetched endorsements on disk, one file each, named by the endorsement. Public material only.
//!
//! Written as a temporary file, flushed, renamed (R20). A file that does not read is as good as none.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use keygate_verifier::{CollateralId, Endorsements};

/// The largest file that is read back.
const LIMIT: u64 = 8 << 20;

/// The most files in the folder: chips are many, and a stranger can name more than there are.
const KEPT_FILES: usize = 20_000;

/// A folder of endorsements, or none.
pub struct DiskCache {
    folder: Option<PathBuf>,
    files: AtomicUsize,
}

impl DiskCache {
    /// A cache in this folder, made when first written.
    pub fn new(folder: Option<PathBuf>) -> Self {
        let files = folder.as_ref().and_then(|f| fs::read_dir(f).ok()).map_or(0, Iterator::count);
        Self { folder, files: AtomicUsize::new(files) }
    }

    fn path(&self, id: &CollateralId) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(format!("{id}.json")))
    }

    /// What is kept of `id`.
    pub fn read(&self, id: &CollateralId) -> Option<Endorsements> {
        let path = self.path(id)?;
        if fs::metadata(&path).ok()?.len() > LIMIT {
            return None;
        }
        Endorsements::from_archive(&fs::read(&path).ok()?).ok()
    }

    /// Keeps `held` under `id`. A disk that does not take it costs a fetch later, nothing else.
    pub fn write(&self, id: &CollateralId, held: &Endorsements) {
        let Some(path) = self.path(id) else { return };
        if !path.exists() && self.files.fetch_add(1, Ordering::Relaxed) >= KEPT_FILES {
            self.files.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        if let Err(why) = write(&path, &held.to_archive()) {
            tracing::warn!(endorsement = %id, %why, "could not be kept on disk");
        }
    }
}

fn write(path: &std::path::Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().ok_or(std::io::ErrorKind::NotFound)?;
    fs::create_dir_all(folder)?;
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(folder)?.sync_all()
}
