//! The catalogue of bad inputs against the tests of this repository: every row has a test that bears its id, or a named reason.
//!
//! `bad-inputs.md` sections 1 to 7, 9 to 11, 13 to 18. A test counts by its name (`sgx_01_…`, `http_08_and_09_…`, `snp_16_to_20_…`), a
//! case in a table of cases by its line `id = "KEY-03a"`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// How a row stands.
#[derive(Clone, Copy)]
pub enum Row {
    /// A test bears its id.
    Covered,
    /// None does, and why.
    Excused(&'static str),
}
use Row::{Covered, Excused};

#[path = "catalogue/rows.rs"]
mod rows;
use rows::ROWS;

/// Where the rows of the catalogue stand.
const SURFACES: [&str; 16] =
    ["jwt", "disc", "sgx", "tdx", "snp", "nit", "tpm", "x509", "pol", "key", "http", "adm", "sto", "aud", "cfg", "env"];

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

/// The ids in a name such as `sgx_01_…`, `http_08_and_09_…`, `snp_16_to_20_…`, `jwt_07_08_…` or `jwt_22_42_disc_11_…`.
fn ids_of_name(name: &str) -> Vec<String> {
    let number = |part: &str| part.parse::<u32>().ok().filter(|_| part.len() == 2);
    let mut parts = name.split('_').peekable();
    let mut found = Vec::new();
    while let Some(surface) = parts.next().filter(|part| SURFACES.contains(part)) {
        let mut last = None;
        while let Some(part) = parts.peek().copied() {
            let numbers = match (part, number(part), last) {
                (_, Some(one), _) => one..=one,
                ("and" | "to", None, Some(last)) => {
                    let joined = parts.clone().nth(1).and_then(number);
                    let Some(end) = joined else { break };
                    parts.next();
                    if part == "to" { last + 1..=end } else { end..=end }
                }
                _ => break,
            };
            parts.next();
            last = Some(*numbers.end());
            found.extend(numbers.map(|n| format!("{}-{n:02}", surface.to_ascii_uppercase())));
        }
        if last.is_none() {
            break;
        }
    }
    found
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
        ("JWT", 52),
        ("DISC", 17),
        ("X509", 14),
        ("POL", 20),
        ("ADM", 19),
        ("SGX", 35),
        ("TDX", 13),
        ("SNP", 27),
        ("NIT", 18),
        ("TPM", 39),
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
    assert_eq!(ids_of_name("jwt_22_42_disc_11_json"), ["JWT-22", "JWT-42", "DISC-11"]);
    assert_eq!(ids_of_name("jwt_07_08_sgx"), ["JWT-07", "JWT-08"]);
    assert!(ids_of_name("a_plain_name").is_empty());
    assert!(ids_of_name("http_2_is_off").is_empty());
    assert_eq!(name_of("    async fn sto_01_x() {"), Some("sto_01_x"));
    assert_eq!(name_of("    snp_04_y => \"SNP-04\";"), Some("snp_04_y"));
    assert_eq!(name_of("// fn sgx_01_z() is not here"), None);
    assert_eq!(id_of("id = \"KEY-03a\""), Some("KEY-03".to_owned()));
    assert_eq!(id_of("name = \"x\""), None);
}
