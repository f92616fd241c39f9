//! The catalogue of bad inputs against the tests of this repository: every row has a test that bears its id, or a named reason.
//!
//! `bad-inputs.md` sections 3 to 6, 11, 13, 15 to 18. A test counts by its name (`sgx_01_…`, `http_08_and_09_…`, `snp_16_to_20_…`), a
//! case in a table of cases by its line `id = "KEY-03a"`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// How a row stands.
#[derive(Clone, Copy)]
enum Row {
    /// A test bears its id.
    Covered,
    /// None does, and why.
    Excused(&'static str),
}
use Row::{Covered, Excused};

const POSTGRESQL: &str = "later: PostgreSQL as a store";
const LOGS: &str = "later: event logs of run-time measurements";
const NO_SINKS: &str = "the audit is part of the store: it has no file and no sink of its own";

#[rustfmt::skip]
const ROWS: &[(&str, &str, Row)] = &[
    ("SGX-01", "cut off at any length", Covered),
    ("SGX-02", "bytes behind the end", Covered),
    ("SGX-03", "a signature length that lies", Covered),
    ("SGX-04", "version, body and kind that do not fit", Covered),
    ("SGX-05", "another attestation key type", Covered),
    ("SGX-06", "a quoting enclave not of Intel", Covered),
    ("SGX-07", "attestation key not bound by the quoting enclave", Covered),
    ("SGX-08", "quoting enclave signed by another platform", Covered),
    ("SGX-09", "identity of the quoting enclave absent or wrong", Covered),
    ("SGX-10", "identity of the other quoting enclave", Covered),
    ("SGX-11", "TCB info of another platform", Covered),
    ("SGX-12", "TCB info of another kind or version", Covered),
    ("SGX-13", "TCB info written anew", Covered),
    ("SGX-14", "too few components", Covered),
    ("SGX-15", "levels out of order", Covered),
    ("SGX-16", "components partly higher", Covered),
    ("SGX-17", "statuses other than up to date", Covered),
    ("SGX-18", "older collateral than was seen", Covered),
    ("SGX-19", "collateral past its end", Covered),
    ("SGX-20", "revoked certificates, lists of others", Covered),
    ("SGX-21", "chains in disorder or of another root", Covered),
    ("SGX-22", "an empty authority key id", Covered),
    ("SGX-23", "other certification data", Covered),
    ("SGX-24", "PEM without measure", Covered),
    ("SGX-25", "an odd extension of the platform's certificate", Covered),
    ("SGX-26", "debug", Covered),
    ("SGX-27", "attribute bits", Covered),
    ("SGX-28", "a rule on the signer alone", Covered),
    ("SGX-29", "report data bound otherwise", Covered),
    ("SGX-30", "report data of zeros", Covered),
    ("SGX-31", "run-time data with two keys", Covered),
    ("SGX-32", "numbers of a signature out of range", Covered),
    ("SGX-33", "authentication data without measure", Covered),
    ("SGX-34", "a local report for a quote", Covered),
    ("SGX-35", "a denied platform", Covered),
    ("TDX-01", "debug bits", Covered),
    ("TDX-02", "another module", Covered),
    ("TDX-03", "no identity of the module", Covered),
    ("TDX-04", "the two paths of module versions", Covered),
    ("TDX-05", "service domains", Covered),
    ("TDX-06", "a second version below the first", Covered),
    ("TDX-07", "registers replayed from a log", Excused(LOGS)),
    ("TDX-08", "text of a log that nothing measures", Excused(LOGS)),
    ("TDX-09", "init data without its digest", Covered),
    ("TDX-10", "key of another virtual machine's TPM", Excused("later: kind azure-vtpm")),
    ("TDX-11", "features wider than the rule", Covered),
    ("TDX-12", "TCB info of SGX", Covered),
    ("TDX-13", "one kind offered as the other", Covered),
    ("SNP-01", "unknown versions and lengths", Covered),
    ("SNP-02", "another signature algorithm", Covered),
    ("SNP-03", "numbers in the other byte order", Covered),
    ("SNP-04", "reserved bytes", Covered),
    ("SNP-05", "certificate of another chip", Covered),
    ("SNP-06", "a masked chip", Covered),
    ("SNP-07", "certified levels that differ", Covered),
    ("SNP-08", "levels that contradict each other", Covered),
    ("SNP-09", "levels in another product's layout", Covered),
    ("SNP-10", "the other sort of signing key", Covered),
    ("SNP-11", "no signing key", Covered),
    ("SNP-12", "authorities of another product", Covered),
    ("SNP-13", "another salt length", Covered),
    ("SNP-14", "odd tables of certificates", Covered),
    ("SNP-15", "debug", Covered),
    ("SNP-16", "a migration agent", Covered),
    ("SNP-17", "another privilege level", Covered),
    ("SNP-18", "platform bits against a rule", Covered),
    ("SNP-19", "author and id keys", Covered),
    ("SNP-20", "host data without init data", Covered),
    ("SNP-21", "a rule on host-chosen ids alone", Covered),
    ("SNP-22", "bound in the wrong half", Covered),
    ("SNP-23", "no nonce where one was given", Covered),
    ("SNP-24", "a chip's certificate past its end", Covered),
    ("SNP-25", "families whose reports can be forged", Covered),
    ("SNP-26", "microcode below a floor", Covered),
    ("SNP-27", "odd extensions of a chip's certificate", Covered),
    ("NIT-01", "arrays and tags of the envelope", Covered),
    ("NIT-02", "algorithms and where they stand", Covered),
    ("NIT-03", "critical headers", Covered),
    ("NIT-04", "signatures of another length", Covered),
    ("NIT-05", "no payload", Covered),
    ("NIT-06", "encodings that are not the one", Covered),
    ("NIT-07", "debug mode", Covered),
    ("NIT-08", "registers absent or odd", Covered),
    ("NIT-09", "bundles in disorder", Covered),
    ("NIT-10", "another root of the same name", Covered),
    ("NIT-11", "documents too old or of the future", Covered),
    ("NIT-12", "dates at our clock, not the document's", Covered),
    ("NIT-13", "members beyond their bound", Covered),
    ("NIT-14", "no public key", Covered),
    ("NIT-15", "odd module id, other digest", Covered),
    ("NIT-16", "digests from examples", Covered),
    ("NIT-17", "registers twice", Covered),
    ("NIT-18", "the other profile of documents", Covered),
    ("KEY-01", "rules that the grammar does not know", Covered),
    ("KEY-02", "a rule that names no workload", Covered),
    ("KEY-03", "an absent claim", Covered),
    ("KEY-04", "spellings of an authority", Covered),
    ("KEY-05", "an immutable rule", Covered),
    ("KEY-06", "recipients that cannot be sealed to", Covered),
    ("KEY-07", "a wrapping that is left out", Covered),
    ("KEY-08", "a key that changes after the decision", Covered),
    ("KEY-09", "a foreign, guessed or tricky name", Covered),
    ("KEY-10", "rotation between decision and use", Covered),
    ("KEY-11", "a key that is not to leave", Covered),
    ("KEY-12", "unwrap as an oracle", Covered),
    ("KEY-13", "a key under itself", Covered),
    ("KEY-14", "imports of weak or odd keys", Covered),
    ("KEY-15", "lengths at the edges", Covered),
    ("KEY-16", "a nonce that the caller chose", Covered),
    ("KEY-17", "the same idempotency key, another body", Covered),
    ("KEY-18", "the same after a crash", Covered),
    ("KEY-19", "two creations of one name", Covered),
    ("KEY-20", "creations without end", Covered),
    ("KEY-21", "rotation under load", Covered),
    ("HTTP-01", "slow heads and bodies", Covered),
    ("HTTP-02", "floods of HTTP/2", Covered),
    ("HTTP-03", "heads with two meanings", Covered),
    ("HTTP-04", "bodies beyond the limit", Covered),
    ("HTTP-05", "compressed bodies", Covered),
    ("HTTP-06", "other content types", Covered),
    ("HTTP-07", "JSON without measure", Covered),
    ("HTTP-08", "members twice", Covered),
    ("HTTP-09", "unknown members", Covered),
    ("HTTP-10", "odd paths", Covered),
    ("HTTP-11", "a version parameter", Excused("later: Azure's dialect doors, which alone have one")),
    ("HTTP-12", "hosts of others", Covered),
    ("HTTP-13", "heads without measure", Covered),
    ("HTTP-14", "old TLS and junk", Covered),
    ("HTTP-15", "a client that hangs up", Covered),
    ("HTTP-16", "overload", Covered),
    ("HTTP-17", "echoes in answers", Covered),
    ("HTTP-18", "other methods", Covered),
    ("HTTP-19", "parallel replays", Covered),
    ("HTTP-20", "heads beyond ascii", Covered),
    ("STO-01", "kill -9", Covered),
    ("STO-02", "unsynced writes lost or torn", Covered),
    ("STO-03", "a full disk", Covered),
    ("STO-04", "a disk that does not read", Excused("needs a failing disk; flipped and missing bytes are STO-06")),
    ("STO-05", "a failed flush", Covered),
    ("STO-06", "flipped bits", Covered),
    ("STO-07", "a log removed or exchanged", Covered),
    ("STO-08", "two processes", Covered),
    ("STO-09", "an old SQLite", Covered),
    ("STO-10", "rows and columns exchanged", Covered),
    ("STO-11", "plain columns changed", Covered),
    ("STO-12", "the whole file of yesterday", Covered),
    ("STO-13", "a copy opened elsewhere", Excused("later: anchors outside of the store; status says there is none")),
    ("STO-14", "another root key", Covered),
    ("STO-15", "no root key", Covered),
    ("STO-16", "a crash during rotation of keys or migration", Excused("later: rotation of the root key; one format so far")),
    ("STO-17", "another format", Covered),
    ("STO-18", "a schema altered by hand", Covered),
    ("STO-19", "a store that others can reach", Covered),
    ("STO-20", "failover in the middle of a commit", Excused(POSTGRESQL)),
    ("STO-21", "a replica that lags", Excused(POSTGRESQL)),
    ("STO-22", "a hostile database server", Excused(POSTGRESQL)),
    ("STO-23", "pools, deadlocks, serialization", Excused(POSTGRESQL)),
    ("STO-24", "two nodes with one lease", Excused(POSTGRESQL)),
    ("STO-25", "damaged backups", Covered),
    ("STO-26", "a purged key restored", Covered),
    ("STO-27", "secrets in the files", Covered),
    ("STO-28", "a lost counter of uses", Excused("there is no counter: every message has its own key (KEY-16)")),
    ("STO-29", "overwriting", Covered),
    ("STO-30", "SQL in names", Covered),
    ("CFG-01", "unknown names and types", Covered),
    ("CFG-02", "secrets that others can read", Covered),
    ("CFG-03", "TLS that cannot serve", Covered),
    ("CFG-04", "an open admin listener", Covered),
    ("CFG-05", "evidence of the software attester", Covered),
    ("CFG-06", "no audit", Covered),
    ("CFG-07", "a bad file while running", Excused("settings are read at the start only")),
    ("CFG-08", "settings from the environment", Covered),
    ("CFG-09", "core files", Covered),
    ("CFG-10", "files exchanged between check and read", Covered),
    ("CFG-11", "odd root keys", Covered),
    ("CFG-12", "bundles of anchors", Excused("anchors are embedded or named in the settings; there are no bundles")),
    ("ENV-01", "a clock that jumps", Covered),
    ("ENV-02", "time zones", Excused("times are unix seconds; nothing reads a zone")),
    ("ENV-03", "a machine paused or resumed twice", Excused("later: leases; a clock that jumps is ENV-01")),
    ("ENV-04", "no entropy at boot", Excused("the system's generator waits; needs a machine that boots")),
    ("ENV-05", "out of memory", Covered),
    ("ENV-06", "no descriptors", Covered),
    ("ENV-07", "a starved processor", Excused("needs a control group; what sheds load is HTTP-16")),
    ("ENV-08", "no network", Covered),
    ("ENV-09", "signals and double starts", Covered),
    ("ENV-10", "a slow disk", Excused("needs a slow disk; a writer that stalls fills its bounded queue, which is tested without the row's id")),
    ("ENV-11", "verdicts from before", Covered),
    ("ENV-12", "failures remembered", Covered),
    ("ENV-13", "a blocked log", Covered),
    ("AUD-01", "a full disk under the audit", Covered),
    ("AUD-02", "a sink that hangs", Excused(NO_SINKS)),
    ("AUD-03", "a log file exchanged", Excused(NO_SINKS)),
    ("AUD-04", "records changed", Covered),
    ("AUD-05", "control characters in fields", Covered),
    ("AUD-06", "secrets in records", Covered),
    ("AUD-07", "a crash before the answer", Excused("an entry is never changed later; a repeat has its own; STO-01 counts such answers")),
    ("AUD-08", "a clock that steps back", Covered),
];

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten().map(|e| e.path()) {
        if entry.is_dir() && !entry.ends_with("target") {
            walk(&entry, found);
        } else if entry.extension().is_some_and(|e| e == "rs" || e == "toml") {
            found.push(entry);
        }
    }
}

/// The ids in a name such as `sgx_01_…`, `http_08_and_09_…` or `snp_16_to_20_…`.
fn ids_of_name(name: &str) -> Vec<String> {
    let mut parts = name.split('_');
    let surface = parts.next().unwrap_or_default().to_ascii_uppercase();
    let number = |part: Option<&str>| part.filter(|p| p.len() == 2).and_then(|p| p.parse::<u32>().ok());
    let Some(mut last) = number(parts.next()) else { return Vec::new() };
    let mut numbers = vec![last];
    let rest: Vec<_> = parts.collect();
    for pair in rest.chunks_exact(2) {
        match (pair[0], number(Some(pair[1]))) {
            ("and", Some(next)) => numbers.push(next),
            ("to", Some(end)) => numbers.extend(last + 1..=end),
            _ => break,
        }
        last = *numbers.last().unwrap_or(&last);
    }
    numbers.into_iter().map(|n| format!("{surface}-{n:02}")).collect()
}

/// The name of a test in a line of Rust: a function, or a name that a macro makes one of.
fn name_of(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = line.strip_prefix("async ").unwrap_or(line);
    let end = |text: &str| text.find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
    match line.strip_prefix("fn ") {
        Some(rest) => end(rest).filter(|at| rest[*at..].starts_with('(')).map(|at| &rest[..at]),
        None => end(line).filter(|at| line[*at..].starts_with(" =>")).map(|at| &line[..at]),
    }
}

/// `KEY-03` of a line `id = "KEY-03a"`.
fn id_of(line: &str) -> Option<String> {
    let text = line.trim().strip_prefix("id = \"")?.strip_suffix('"')?;
    let (surface, number) = text.split_once('-')?;
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    (digits.len() == 2).then(|| format!("{surface}-{digits}"))
}

fn ids_in_sources() -> BTreeMap<String, usize> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests", "verifier", "policies", "keystore"] {
        walk(&root.join(folder), &mut files);
    }
    let mut found = BTreeMap::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for line in text.lines() {
            let ids = match file.extension().is_some_and(|e| e == "rs") {
                true => name_of(line).map(ids_of_name).unwrap_or_default(),
                false => id_of(line).into_iter().collect(),
            };
            ids.into_iter().for_each(|id| *found.entry(id).or_insert(0) += 1);
        }
    }
    found
}

#[test]
fn every_row_of_the_catalogue_has_a_test_or_a_reason() {
    let found = ids_in_sources();
    let mut surfaces: BTreeMap<&str, (usize, usize, usize)> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (id, what, row) in ROWS {
        let tests = found.get(*id).copied().unwrap_or(0);
        let count = surfaces.entry(id.split('-').next().unwrap()).or_default();
        match (row, tests) {
            (Covered, 0) => wrong.push(format!("{id} ({what}) is neither tested nor excused")),
            (Excused(why), 1..) => wrong.push(format!("{id} ({what}) is tested and excused: {why}")),
            (Excused(why), 0) => {
                count.1 += 1;
                println!("excused {id} ({what}): {why}");
            }
            (Covered, _) => count.0 += 1,
        }
        count.2 += tests;
    }
    for (surface, (covered, excused, tests)) in &surfaces {
        println!("{surface:<5} {covered:>3} rows covered by {tests:>4} tests and cases, {excused:>2} excused");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_is_whole_and_every_excuse_says_something() {
    let lengths = [
        ("SGX", 35),
        ("TDX", 13),
        ("SNP", 27),
        ("NIT", 18),
        ("KEY", 21),
        ("HTTP", 20),
        ("STO", 30),
        ("CFG", 12),
        ("ENV", 13),
        ("AUD", 8),
    ];
    let wanted: BTreeSet<String> =
        lengths.iter().flat_map(|(s, n)| (1..=*n).map(move |i| format!("{s}-{i:02}"))).collect();
    let here: BTreeSet<String> = ROWS.iter().map(|(id, ..)| (*id).to_owned()).collect();
    assert_eq!(wanted, here);
    assert_eq!(ROWS.len(), here.len(), "a row stands twice");
    for (id, what, row) in ROWS {
        assert!(!what.is_empty(), "{id}");
        assert!(!matches!(row, Excused(why) if why.len() < 10), "{id}");
    }
}

#[test]
fn names_are_read_as_they_are_meant() {
    assert_eq!(ids_of_name("sgx_01_cut_off"), ["SGX-01"]);
    assert_eq!(ids_of_name("http_08_and_09_bodies"), ["HTTP-08", "HTTP-09"]);
    assert_eq!(ids_of_name("snp_16_to_18_claims"), ["SNP-16", "SNP-17", "SNP-18"]);
    assert!(ids_of_name("a_plain_name").is_empty());
    assert_eq!(name_of("    async fn sto_01_x() {"), Some("sto_01_x"));
    assert_eq!(name_of("    snp_04_y => \"SNP-04\";"), Some("snp_04_y"));
    assert_eq!(name_of("// fn sgx_01_z() is not here"), None);
    assert_eq!(id_of("id = \"KEY-03a\""), Some("KEY-03".to_owned()));
    assert_eq!(id_of("name = \"x\""), None);
}
