//! Finding, reading and counting the vectors.

use std::io::Write;
use std::path::PathBuf;

use keygate_keystore::KeystoreError;
use serde_json::Value;

/// One case: the group it stands in, and the case itself.
pub struct Case {
    pub group: Value,
    pub test: Value,
}

impl Case {
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        hex::decode(self.test[name].as_str().unwrap()).unwrap()
    }

    pub fn text(&self, name: &str) -> &str {
        self.test[name].as_str().unwrap()
    }

    pub fn id(&self) -> String {
        format!("{} {}", self.test["tcId"], self.test["comment"])
    }
}

/// What became of the cases of a file.
#[derive(Default, Debug, PartialEq, Eq)]
pub struct Tally {
    pub accepted: usize,
    pub refused: usize,
    pub unsupported: usize,
}

/// What our function did with a case, when a valid one is accepted.
pub enum Outcome {
    Accepted,
    Refused(KeystoreError),
}

/// Runs every case of a file. `judge` accepts only with the expected output. A case labelled valid may be
/// refused as `unsupported` alone, one labelled otherwise must be refused.
pub fn run(file: &str, expected: Tally, judge: impl Fn(&Case) -> Outcome) {
    let Some(cases) = cases(file) else { return };
    let mut tally = Tally::default();
    let total = cases.len();
    for case in cases {
        match (case.text("result"), judge(&case)) {
            ("valid", Outcome::Accepted) => tally.accepted += 1,
            (_, Outcome::Refused(error)) if error.code() == "unsupported" => tally.unsupported += 1,
            ("invalid" | "acceptable", Outcome::Refused(_)) => tally.refused += 1,
            ("valid", Outcome::Refused(error)) => {
                panic!("{file} {}: valid, refused: {error:?}", case.id())
            }
            (label, Outcome::Accepted) => panic!("{file} {}: {label}, accepted", case.id()),
            (label, _) => panic!("{file} {}: label {label}", case.id()),
        }
    }
    println!(
        "{file}: {} valid accepted, {} invalid refused, {} unsupported refused",
        tally.accepted, tally.refused, tally.unsupported
    );
    assert_eq!(tally.accepted + tally.refused + tally.unsupported, total);
    assert_eq!(tally, expected, "{file}");
}

/// Every case of a file, or nothing (said loudly) where the vectors are not at hand.
fn cases(file: &str) -> Option<Vec<Case>> {
    let folder = std::env::var_os("KEYGATE_VECTORS")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors")), PathBuf::from);
    let path = folder.join("wycheproof").join(format!("{file}.json"));
    let Ok(text) = std::fs::read_to_string(&path) else {
        let words = format!("SKIPPED: every case of `{file}`, the vectors are not at hand");
        assert!(std::env::var_os("CI").is_none(), "{words}");
        // not by a macro, whose words are kept back where a test succeeds
        let line = format!("{words}\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return None;
    };
    let document: Value = serde_json::from_str(&text).unwrap();
    let groups = document["testGroups"].as_array().unwrap();
    let mut cases = Vec::new();
    for group in groups {
        for test in group["tests"].as_array().unwrap() {
            let mut group = group.clone();
            group.as_object_mut().unwrap().remove("tests");
            cases.push(Case { group, test: test.clone() });
        }
    }
    let number = document["numberOfTests"].as_u64().unwrap() as usize;
    assert_eq!(cases.len(), number, "{file}: cases are missing");
    Some(cases)
}

/// Accepted if the output is the expected one, and loud if it is another.
pub fn expect(case: &Case, output: Result<impl AsRef<[u8]>, KeystoreError>, wanted: &[u8]) -> Outcome {
    match output {
        Ok(output) if output.as_ref() == wanted => Outcome::Accepted,
        Ok(_) if case.text("result") == "valid" => panic!("{}: another output", case.id()),
        Ok(_) => Outcome::Accepted,
        Err(error) => Outcome::Refused(error),
    }
}
