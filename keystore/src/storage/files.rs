//! Files that must be ours alone: the store, its lock, root keys, backups.
//!
//! `store-durability.md` section 6.1 and R20; faults STO-08 and STO-19 of `bad-inputs.md`.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{self as unix, FlockOperation, Mode, OFlags};

use crate::error::KeystoreError;
use crate::reserve::Space;

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reading.
    Read,
    /// Reading and writing.
    Write,
}

/// An input or output error on `path` as `store-failed`.
pub(crate) fn failed(path: &Path, error: &io::Error) -> KeystoreError {
    KeystoreError::StoreFailed(format!("`{}`: {}", path.display(), error.kind()))
}

fn refused(path: &Path, why: &str) -> KeystoreError {
    KeystoreError::ConfigInvalid(format!("`{}` {why}", path.display()))
}

/// Makes a new file of mode 0600; an existing one, or a link, is a `conflict`.
pub(crate) fn create_private(path: &Path) -> Result<File, KeystoreError> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match unix::open(path, flags, Mode::RUSR | Mode::WUSR) {
        Ok(fd) => Ok(File::from(fd)),
        Err(rustix::io::Errno::EXIST) => Err(KeystoreError::Conflict("the file exists already")),
        Err(e) => Err(failed(path, &e.into())),
    }
}

/// Opens an existing file. A link, something else than a file, another owner, or a mode that lets
/// others in is `config-invalid`; a missing file is `sealed`. Judged on the opened descriptor.
pub(crate) fn open_private(path: &Path, access: Access) -> Result<File, KeystoreError> {
    let mode = match access {
        Access::Read => OFlags::RDONLY,
        Access::Write => OFlags::RDWR,
    };
    let flags = mode | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let fd = match unix::open(path, flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(rustix::io::Errno::NOENT) => {
            let text = format!("`{}` is not there", path.display());
            return Err(KeystoreError::Sealed(text));
        }
        Err(rustix::io::Errno::LOOP) => return Err(refused(path, "is a symbolic link")),
        Err(rustix::io::Errno::ISDIR) => return Err(refused(path, "is not a file")),
        Err(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => {
            return Err(refused(path, "cannot be opened by us"));
        }
        Err(e) => return Err(failed(path, &e.into())),
    };
    let stat = unix::fstat(&fd).map_err(|e| failed(path, &e.into()))?;
    if unix::FileType::from_raw_mode(stat.st_mode) != unix::FileType::RegularFile {
        return Err(refused(path, "is not a file"));
    }
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(refused(path, "belongs to another user"));
    }
    if Mode::from_raw_mode(stat.st_mode).intersects(Mode::RWXG | Mode::RWXO) {
        return Err(refused(path, "lets other users in; its mode must be 0600"));
    }
    Ok(File::from(fd))
}

/// Flushes the directory that holds `path`, so that a new name in it lasts.
pub(crate) fn sync_directory_of(path: &Path) -> Result<(), KeystoreError> {
    let directory = directory_of(path);
    File::open(&directory).and_then(|d| d.sync_all()).map_err(|e| failed(&directory, &e))
}

fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// The same path with a directory free of links; the last part stays as it is.
pub(crate) fn resolved(path: &Path) -> Result<PathBuf, KeystoreError> {
    let name = path.file_name().ok_or_else(|| refused(path, "is not the name of a file"))?;
    let directory = directory_of(path);
    let resolved =
        directory.canonicalize().map_err(|e| refused(&directory, &format!("cannot be used: {}", e.kind())))?;
    Ok(resolved.join(name))
}

/// Room on the volume that a file lies on.
pub(crate) fn space(path: &Path) -> Result<Space, KeystoreError> {
    let stat = unix::statvfs(path).map_err(|e| failed(path, &e.into()))?;
    Ok(Space { free: stat.f_bavail.saturating_mul(stat.f_frsize), whole: stat.f_blocks.saturating_mul(stat.f_frsize) })
}

/// `path` with something added to its last part.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Refuses file systems whose locks and flushes cannot be relied on.
pub(crate) fn refuse_network(file: &File, path: &Path) -> Result<(), KeystoreError> {
    #[cfg(target_os = "linux")]
    {
        // NFS, SMB, CIFS, SMB2, 9P, AFS, Ceph.
        const NETWORK: [u32; 7] = [0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42, 0x0102_1997, 0x5346_414f, 0x00c3_6400];
        let stat = unix::fstatfs(file).map_err(|e| failed(path, &e.into()))?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        if NETWORK.contains(&(stat.f_type as u32)) {
            return Err(refused(path, "lies on a network file system"));
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, path);
    Ok(())
}

/// Exclusive hold on a store, by a lock on a file beside it. Dropped with its owner.
pub(crate) struct Lock {
    _held: File,
}

impl Lock {
    /// Takes the lock, or fails at once as [`KeystoreError::Busy`].
    pub(crate) fn take(store: &Path) -> Result<Self, KeystoreError> {
        let path = beside(store, ".lock");
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match unix::open(&path, flags, Mode::RUSR | Mode::WUSR) {
            Ok(fd) => fd,
            Err(rustix::io::Errno::LOOP) => return Err(refused(&path, "is a symbolic link")),
            Err(e) => return Err(failed(&path, &e.into())),
        };
        match unix::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _held: File::from(fd) }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(KeystoreError::Busy),
            Err(e) => Err(failed(&path, &e.into())),
        }
    }
}
