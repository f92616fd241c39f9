//! What a checked list says.

use der::Decode as _;
use serde_json::{Map, Value, json};

use crate::formats::tcg::Bank;
use crate::formats::tcg::event_log::Registers;

use super::allow::AllowList;
use super::entry::Entry;
use super::{MeasuredFiles, PCR};

/// The most files and keys that one claim names; the count beside them is whole.
const MAX_NAMED: usize = 64;

/// The name of the first entry of a boot, and of a kernel that another started.
const BOOT_AGGREGATE: &[u8] = b"boot_aggregate";

/// Whether the first boot aggregate is the digest of PCR 0 to 9, of PCR 0 to 7 for SHA-1 and for older kernels.
pub(super) fn aggregate(entries: &[Entry<'_>], bank: Bank, quoted: &Registers) -> Option<bool> {
    let first = entries.first().filter(|entry| entry.name == BOOT_AGGREGATE)?;
    if first.algorithm() != Some(bank) {
        return None;
    }
    let over = |last: u32| {
        let parts: Option<Vec<&[u8]>> = (0..=last).map(|index| quoted.get(&index).map(Vec::as_slice)).collect();
        parts.map(|parts| bank.digest(&parts))
    };
    let (short, long) = (over(7), over(9));
    // Without PCR 8 and 9 nothing can be said of a digest that is not that of the first eight.
    match (short, long) {
        (Some(short), _) if short == first.digest => Some(true),
        (_, Some(long)) if bank != Bank::Sha1 => Some(long == first.digest),
        (Some(_), _) if bank == Bank::Sha1 => Some(false),
        _ => None,
    }
}

/// A keyring's certificate, as the kernel measured it.
struct KeyringEntry {
    keyring: String,
    sha256: String,
    /// RFC 4514 text of its subject.
    subject: String,
    /// The kernel's version, where it was measured before.
    kernel: Option<String>,
}

impl MeasuredFiles<'_> {
    /// `entries`, `entries_not_quoted`, `padded_sha1`, `boot_aggregate`, `boot_aggregate_matches`, `keyrings`.
    pub fn claims(&self) -> Map<String, Value> {
        let mut claims = Map::new();
        claims.insert("pcr".into(), json!(PCR));
        claims.insert("entries".into(), json!(self.entries.len()));
        claims.insert("entries_not_quoted".into(), json!(self.left));
        claims.insert("padded_sha1".into(), json!(self.padded));
        if let Some(first) = self.entries.first().filter(|entry| entry.name == BOOT_AGGREGATE) {
            let algorithm = first.algorithm().map_or("", Bank::as_str);
            claims.insert("boot_aggregate".into(), json!(format!("{algorithm}:{}", hex::encode(&first.digest))));
        }
        if let Some(matches) = self.aggregate {
            claims.insert("boot_aggregate_matches".into(), json!(matches));
        }
        let keyrings: Vec<Value> = self
            .keyrings()
            .take(MAX_NAMED)
            .map(|entry| json!({ "keyring": entry.keyring, "certificate_sha256": entry.sha256, "subject": entry.subject }))
            .collect();
        if !keyrings.is_empty() {
            claims.insert("keyrings".into(), json!(keyrings));
        }
        claims
    }

    /// What was measured and is not on a list: `unlisted_count`, and the first of them in `unlisted` as `algorithm:digest` and
    /// `path`. Buffers and the boot aggregate are no files.
    pub fn files_not_in(&self, allowed: &AllowList) -> Map<String, Value> {
        let (mut count, mut named) = (0_usize, Vec::new());
        let first = self.entries.first();
        for entry in self.entries.iter().filter(|entry| is_file(entry, first)) {
            let algorithm = entry.algorithm();
            // A digest of a file's Merkle tree is not a digest of the file.
            let plain = !entry.label.starts_with(b"verity:");
            if plain && algorithm.is_some_and(|bank| allowed.allows(bank, &entry.digest, entry.name)) {
                continue;
            }
            count = count.saturating_add(1);
            if named.len() < MAX_NAMED {
                named.push(json!({
                    "digest": format!("{}:{}", algorithm.map_or("", Bank::as_str), hex::encode(&entry.digest)),
                    "path": String::from_utf8_lossy(entry.name),
                }));
            }
        }
        let mut found = Map::new();
        found.insert("unlisted_count".into(), json!(count));
        found.insert("unlisted".into(), json!(named));
        found
    }

    /// Certificates of keyrings as events in Azure's form, numbered from `first_sequence`: `IMA_MEASUREMENT_EVENT` with
    /// `KernelVersion`, `Keyring`, `CertificateSubject`. To be joined to `Events` of the event log.
    pub fn azure_events(&self, first_sequence: u64) -> Vec<Value> {
        self.keyrings()
            .zip(first_sequence..)
            .map(|(entry, sequence)| {
                json!({
                    "EventSeq": sequence,
                    "EventType": 0,
                    "EventTypeString": "IMA_MEASUREMENT_EVENT",
                    "PcrIndex": PCR,
                    "ProcessedData": {
                        "KernelVersion": entry.kernel.unwrap_or_default(),
                        "Keyring": entry.keyring,
                        "CertificateSubject": entry.subject,
                    },
                })
            })
            .collect()
    }

    /// Certificates that were loaded into keyrings: buffers with the digest of their bytes, which parse.
    fn keyrings(&self) -> impl Iterator<Item = KeyringEntry> {
        let mut kernel = None;
        self.entries.iter().filter(|entry| entry.holds_buffer()).filter_map(move |entry| {
            if entry.name == b"kernel_version" {
                kernel = std::str::from_utf8(&entry.third).ok().map(|text| text.trim_end_matches('\0').to_owned());
                return None;
            }
            let keyring = std::str::from_utf8(entry.name).ok().filter(|name| name.starts_with('.'))?;
            let certificate = x509_cert::Certificate::from_der(&entry.third).ok()?;
            Some(KeyringEntry {
                keyring: keyring.to_owned(),
                sha256: hex::encode(Bank::Sha256.digest(&[&entry.third])),
                subject: certificate.tbs_certificate().subject().to_string(),
                kernel: kernel.clone(),
            })
        })
    }
}

/// Whether an entry may stand for a file. The name of a template is measured by nobody, and `ima-sig` has the fields of `ima-buf`: a
/// buffer is what has the digest of its bytes and no path. The kernel gives a file whose path is too long by its last part alone, which
/// may be `boot_aggregate`: an aggregate is the first entry, and what says the same again, as a kernel that this one started does.
fn is_file(entry: &Entry<'_>, first: Option<&Entry<'_>>) -> bool {
    let same =
        |first: &Entry<'_>| first.name == entry.name && first.label == entry.label && first.digest == entry.digest;
    let is_aggregate = entry.name == BOOT_AGGREGATE && first.is_some_and(same);
    let is_buffer = entry.holds_buffer() && !entry.name.starts_with(b"/");
    !is_aggregate && !is_buffer
}
