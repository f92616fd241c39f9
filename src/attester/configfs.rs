//! The kernel's one interface to reports of virtual machines: a folder per request.
//!
//! Linux, `Documentation/ABI/testing/configfs-tsm-report`: make a folder below `tsm/report`, write up to 64 bytes to `inblob`,
//! read the report from `outblob` and what comes with it from `auxblob`. Every write adds one to `generation`, so a number that
//! is not ours tells that somebody else wrote into the folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{AttesterError, read_bounded, write_whole};

/// Below the root.
pub(super) const FOLDER: &str = "sys/kernel/config/tsm/report";
/// The most bytes of a report and of what comes with it; the kernel's own bound is lower.
const MAX_BLOB: u64 = 256 * 1024;

/// What the kernel gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Report {
    /// The report or quote.
    pub outblob: Vec<u8>,
    /// Certificates that the host put beside it; empty where there are none.
    pub auxblob: Vec<u8>,
}

/// Whether the kernel offers the interface.
pub(super) fn is_here(root: &Path) -> bool {
    root.join(FOLDER).is_dir()
}

/// A report over `data` by the provider of this name: `tdx_guest` or `sev_guest`.
pub(super) fn report(root: &Path, provider: &str, data: &[u8; 64]) -> Result<Report, AttesterError> {
    let folder = Folder::make(&root.join(FOLDER))?;
    ask(&folder.0, provider, data)
}

/// A folder of our own, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn make(parent: &Path) -> Result<Self, AttesterError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("keygate-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = parent.join(name);
        match fs::create_dir(&path) {
            Ok(()) => Ok(Self(path)),
            Err(source) => Err(AttesterError::Device { path, source }),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that stays behind costs a few bytes of kernel memory and spoils nothing.
        let _ = fs::remove_dir(&self.0);
    }
}

/// One request in a folder that was just made.
pub(super) fn ask(folder: &Path, provider: &str, data: &[u8; 64]) -> Result<Report, AttesterError> {
    let file = |name: &str| folder.join(name);
    let is = read_text(&file("provider"))?;
    if is != provider {
        let detail = format!("the reports of this machine are made by `{is}`, not by `{provider}`");
        return Err(AttesterError::Answer { path: file("provider"), detail });
    }
    let mut writes = 0;
    // Under a paravisor the guest may not ask for the most privileged level: the kernel names the lowest that it may.
    match read_text(&file("privlevel_floor")) {
        Ok(floor) if floor != "0" => {
            write_whole(&file("privlevel"), floor.as_bytes())?;
            writes += 1;
        }
        Ok(_) => {}
        Err(AttesterError::Device { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
        Err(other) => return Err(other),
    }
    write_whole(&file("inblob"), data)?;
    writes += 1;
    let outblob = read_bounded(&file("outblob"), MAX_BLOB)?;
    let auxblob = match read_bounded(&file("auxblob"), MAX_BLOB) {
        Ok(blob) => blob,
        Err(AttesterError::Device { source, .. }) if source.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(other) => return Err(other),
    };
    let generation = read_text(&file("generation"))?;
    if generation != writes.to_string() {
        return Err(AttesterError::Answer {
            path: file("generation"),
            detail: format!("somebody else wrote into the folder: {generation} writes, {writes} of them ours"),
        });
    }
    if outblob.is_empty() {
        return Err(AttesterError::Answer { path: file("outblob"), detail: "it is empty".to_owned() });
    }
    Ok(Report { outblob, auxblob })
}

fn read_text(path: &Path) -> Result<String, AttesterError> {
    let bytes = read_bounded(path, 256)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}
