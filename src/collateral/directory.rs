//! Offline endorsements: a file or a folder of files recognised by their content.

use std::fs;
use std::io;
use std::path::Path;

use keygate_verifier::Endorsements;

/// The most files that a folder may hold, its folders included.
const MAX_FILES: usize = 10_000;
/// The largest file that is read.
const MAX_BYTES: u64 = 8 << 20;

/// Reads a file or, with everything below it, a folder. Returns what is held and the files that were not recognised.
///
/// # Errors
/// A path that cannot be read, or a folder with too many files.
pub fn read_path(path: &Path) -> io::Result<(Endorsements, Vec<String>)> {
    let mut held = Endorsements::default();
    let mut strange = Vec::new();
    let mut waiting = vec![path.to_path_buf()];
    let mut files = 0usize;
    while let Some(next) = waiting.pop() {
        if fs::metadata(&next)?.is_dir() {
            let mut inside: Vec<_> = fs::read_dir(&next)?.map(|e| e.map(|e| e.path())).collect::<io::Result<_>>()?;
            inside.sort();
            waiting.extend(inside);
            continue;
        }
        files = files.saturating_add(1);
        if files > MAX_FILES {
            return Err(io::Error::other(format!("more than {MAX_FILES} files")));
        }
        let name = next.display().to_string();
        if fs::metadata(&next)?.len() > MAX_BYTES {
            strange.push(format!("{name}: larger than {MAX_BYTES} bytes"));
            continue;
        }
        if let Err(why) = held.add_file(&fs::read(&next)?) {
            strange.push(format!("{name}: {}", why.detail()));
        }
    }
    Ok((held, strange))
}
