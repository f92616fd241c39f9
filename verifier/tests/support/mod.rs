//! What every test of the verifier shares: the vectors on disk, the evidence manifest, flips and mutations.
//!
//! The vectors are not part of this repository. `KEYGATE_VECTORS` names their folder, else `../shared/vectors` beside the
//! workspace is taken. Without them a test says so loudly and passes; under `CI` it fails.
#![allow(dead_code, reason = "each test file uses its own part of this module")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use keygate_verifier::UnixTime;
use serde_json::Value;

/// The folder of vectors, or `None` after a loud line; panics where `CI` is set and the folder is absent.
pub fn vectors_root() -> Option<PathBuf> {
    let root = match std::env::var_os("KEYGATE_VECTORS") {
        Some(named) => PathBuf::from(named),
        None => PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors")),
    };
    if root.join("evidence/MANIFEST.json").is_file() {
        return Some(root);
    }
    assert!(std::env::var_os("CI").is_none(), "no vectors in `{}`, and CI must not skip", root.display());
    None
}

/// Says loudly that `count` cases of `what` did not run.
pub fn skipped(what: &str, count: usize) {
    loudly(&format!("SKIPPED {count} cases of {what}: no vectors; set KEYGATE_VECTORS to their folder\n"));
}

/// The bytes of one file, by its path below the folder of vectors. Panics where it is missing.
pub fn vector(relative: &str) -> Vec<u8> {
    let root = vectors_root().expect("asked for only after `vectors_root` answered");
    let path = root.join(relative);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// One entry of the evidence manifest.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its name.
    pub id: String,
    /// Kind as the manifest spells it.
    pub kind: String,
    /// Role to path below `evidence/`.
    pub files: BTreeMap<String, String>,
    /// The manifest's object `expected`.
    pub expected: Value,
}

impl Case {
    /// The bytes of the file in a role, such as `evidence` or `collateral`.
    pub fn file(&self, role: &str) -> Vec<u8> {
        let path = self.files.get(role).unwrap_or_else(|| panic!("{}: no file `{role}`", self.id));
        vector(&format!("evidence/{path}"))
    }
    /// Whether the manifest says that the evidence verifies.
    pub fn verifies(&self) -> bool {
        self.expected["verifies"].as_bool().unwrap_or_else(|| panic!("{}: `verifies` is no boolean", self.id))
    }
    /// `expected.at`, the verifier's clock.
    pub fn at(&self) -> Option<UnixTime> {
        self.expected["at"].as_str().map(time)
    }
    /// `expected.claims`.
    pub fn claims(&self) -> &Value {
        &self.expected["claims"]
    }
}

/// The manifest's entries of these kinds, in its order; empty, after a loud line, where the vectors are absent.
pub fn cases(kinds: &[&str]) -> Vec<Case> {
    if vectors_root().is_none() {
        loudly(&format!(
            "SKIPPED every manifest entry of {kinds:?}: no vectors; set KEYGATE_VECTORS to their folder\n"
        ));
        return Vec::new();
    }
    let manifest: Vec<Value> = serde_json::from_slice(&vector("evidence/MANIFEST.json")).expect("the manifest is json");
    let text = |v: &Value| v.as_str().expect("text in the manifest").to_owned();
    let found: Vec<Case> = manifest
        .iter()
        .filter(|entry| kinds.iter().any(|kind| entry["kind"] == *kind))
        .map(|entry| Case {
            id: text(&entry["id"]),
            kind: text(&entry["kind"]),
            files: entry["files"]
                .as_object()
                .expect("files is an object")
                .iter()
                .filter_map(|(role, path)| Some((role.clone(), path.as_str()?.to_owned())))
                .collect(),
            expected: entry["expected"].clone(),
        })
        .collect();
    assert!(!found.is_empty(), "the manifest has no entry of {kinds:?}");
    found
}

/// The one manifest entry with this id, or `None` where the vectors are absent.
pub fn case(id: &str) -> Option<Case> {
    let kinds = ["sgx", "tdx", "snp", "nitro"];
    let found = cases(&kinds);
    if found.is_empty() {
        return None;
    }
    Some(found.into_iter().find(|c| c.id == id).unwrap_or_else(|| panic!("the manifest has no `{id}`")))
}

/// A time from RFC 3339 text.
pub fn time(text: &str) -> UnixTime {
    UnixTime::from_rfc3339(text).unwrap_or_else(|| panic!("`{text}` is no time"))
}

/// Bytes from hex.
pub fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap_or_else(|_| panic!("`{text}` is no hex"))
}

/// Whether the long form of a test is asked for: `KEYGATE_FULL=1`.
pub fn full() -> bool {
    std::env::var_os("KEYGATE_FULL").is_some_and(|v| v == "1")
}

/// The bits of `bytes` to flip, as (index, mask): all of them with `KEYGATE_FULL=1`, else every `step`-th.
pub fn flips(bytes: std::ops::Range<usize>, step: usize) -> impl Iterator<Item = (usize, u8)> {
    let step = if full() { 1 } else { step };
    (bytes.start * 8..bytes.end * 8).step_by(step).map(|bit| (bit / 8, 1 << (bit % 8)))
}

/// How many mutations to try: `few` by default, `many` with `KEYGATE_FULL=1`. The million of all kinds together:
/// `KEYGATE_FULL=1 cargo test --release -p keygate-verifier mutations`. Each test says how many it tried.
pub fn mutations(few: usize, many: usize) -> usize {
    if full() { many } else { few }
}

/// Says loudly, in the long form of a test, how many changes of `what` were tried.
pub fn tried(what: &str, count: usize) {
    if full() {
        loudly(&format!("TRIED {count} {what}\n"));
    }
}

/// A small deterministic generator (xorshift64*): the same seed gives the same run.
pub struct Rng(u64);

impl Rng {
    /// From a seed; zero is moved away from, since it would stand still.
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }
    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    /// A number below `end`; zero where `end` is zero.
    pub fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.bits() % end as u64) as usize }
    }
    /// `bytes` with one to four changes of structure: bytes set, flipped, cut out, doubled, put in, or the end cut off.
    /// Always different from `bytes`, unless `bytes` is empty.
    pub fn mutated(&mut self, bytes: &[u8]) -> Vec<u8> {
        loop {
            let mut changed = bytes.to_vec();
            for _ in 0..=self.below(3) {
                self.mutate(&mut changed);
            }
            if changed != bytes || bytes.is_empty() {
                return changed;
            }
        }
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let at = self.below(bytes.len());
        let end = (at + 1 + self.below(16)).min(bytes.len());
        match self.below(8) {
            0 => bytes[at] ^= 1 << self.below(8),
            1 => bytes[at] = self.bits() as u8,
            2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xfe, 0xff][self.below(6)],
            3 => drop(bytes.drain(at..end)),
            4 => {
                let copy = bytes[at..end].to_vec();
                let to = self.below(bytes.len());
                bytes.splice(to..to, copy);
            }
            5 => {
                let count = 1 + self.below(8);
                let put: Vec<u8> = (0..count).map(|_| self.bits() as u8).collect();
                bytes.splice(at..at, put);
            }
            6 => bytes.truncate(at),
            _ => {
                let other = self.below(bytes.len());
                bytes.swap(at, other);
            }
        }
    }
}

/// Not by a macro, whose words are kept back where a test succeeds.
fn loudly(line: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
}
