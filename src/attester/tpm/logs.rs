//! The logs beside the registers: what the firmware and the kernel say was measured.
//!
//! TCG *PC Client Platform Firmware Profile*, section 10 (event log); Linux, `Documentation/ABI/testing/ima_policy` and
//! `security/IMA-templates`. Logs are read after the quote: one that is read before it could lack what the quote already has.

use std::io;
use std::path::{Path, PathBuf};

use crate::attester::{AttesterError, read_bounded};

/// Below the root.
const EVENT_LOG: &str = "sys/kernel/security/tpm0/binary_bios_measurements";
const IMA_LOG: &str = "sys/kernel/security/ima/binary_runtime_measurements";
/// The most bytes of a log: a request holds a mebibyte, and what is in it is written in base64url twice.
const MAX_LOG: u64 = 384 * 1_024;

/// Where a log is read from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum LogSource {
    /// The kernel's file, where there is one.
    #[default]
    Kernel,
    /// Nowhere.
    None,
    /// This file.
    File(PathBuf),
}

/// Which log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// The firmware's.
    Event,
    /// The kernel's integrity measurements.
    Ima,
}

impl Log {
    /// Reads it; `None` where the kernel has none, or none is wanted.
    ///
    /// # Errors
    /// A file that is named and absent, that may not be read, or that is too long.
    pub fn read(self, root: &Path, source: &LogSource) -> Result<Option<Vec<u8>>, AttesterError> {
        let (path, named) = match source {
            LogSource::None => return Ok(None),
            LogSource::File(path) => (path.clone(), true),
            LogSource::Kernel => (self.path(root), false),
        };
        match read_bounded(&path, MAX_LOG) {
            Ok(bytes) if bytes.is_empty() && !named => Ok(None),
            Ok(bytes) => Ok(Some(bytes)),
            Err(AttesterError::Device { source, .. }) if source.kind() == io::ErrorKind::NotFound && !named => Ok(None),
            Err(AttesterError::Device { path, source }) => Err(AttesterError::Log { path, detail: source.to_string() }),
            Err(AttesterError::Answer { path, detail }) => {
                Err(AttesterError::Log { path, detail: format!("it has {detail}") })
            }
            Err(other) => Err(other),
        }
    }

    /// The kernel's file.
    pub fn path(self, root: &Path) -> PathBuf {
        root.join(match self {
            Self::Event => EVENT_LOG,
            Self::Ima => IMA_LOG,
        })
    }
}
