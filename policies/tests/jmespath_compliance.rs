//! Every official compliance case of JMESPath, as it is published. `jmespath_compliance/README.md` says from where.

#![allow(missing_docs)]

use std::path::PathBuf;

use keygate_policies::fuel::Fuel;
use keygate_policies::jmespath::Expression;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Suite {
    given: Value,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    expression: String,
    #[serde(default, deserialize_with = "present")]
    result: Option<Value>,
    error: Option<String>,
}

/// A result of `null` is a result.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
struct Exceptions {
    exception: Vec<Exception>,
}

#[derive(Deserialize)]
struct Exception {
    file: String,
    expression: String,
    reason: String,
}

/// The data writes `1.0` where we write `1`: numbers are compared by value, everything else as it is.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(name, left)| right.get(name).is_some_and(|right| same(left, right)))
        }
        _ => left == right,
    }
}

/// What is wrong with our answer, if anything.
fn judge(suite: &Suite, case: &Case) -> Option<String> {
    let mut fuel = Fuel::service();
    let found = Expression::parse(&case.expression).and_then(|query| query.search(&suite.given, &mut fuel));
    match (&found, &case.result, &case.error) {
        (Ok(found), Some(wanted), None) => (!same(found, wanted)).then(|| format!("{found} instead of {wanted}")),
        (Err(fault), None, Some(kind)) => (fault.kind() != kind).then(|| format!("`{fault}` instead of {kind}")),
        (Ok(found), None, Some(kind)) => Some(format!("{found} instead of {kind}")),
        (Err(fault), Some(wanted), None) => Some(format!("`{fault}` instead of {wanted}")),
        // a case of the benchmarks: it has to have an answer
        (Ok(_), None, None) => None,
        (Err(fault), None, None) => Some(format!("`{fault}` in a benchmark")),
        (_, Some(_), Some(_)) => Some("the case asks for a result and an error".to_owned()),
    }
}

#[test]
fn every_compliance_case_has_the_published_answer() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/jmespath_compliance");
    let exceptions: Exceptions =
        toml::from_str(&std::fs::read_to_string(folder.join("exceptions.toml")).unwrap()).unwrap();
    assert!(exceptions.exception.iter().all(|exception| !exception.reason.is_empty()));
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let (mut files, mut cases, mut errors, mut excepted) = (0, 0, 0, 0);
    let mut wrong = Vec::new();
    for path in paths {
        let file = path.file_stem().unwrap().to_str().unwrap();
        let suites: Vec<Suite> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        files += 1;
        for suite in &suites {
            for case in &suite.cases {
                cases += 1;
                errors += usize::from(case.error.is_some());
                let known = exceptions
                    .exception
                    .iter()
                    .any(|exception| exception.file == file && exception.expression == case.expression);
                excepted += usize::from(known);
                match (judge(suite, case), known) {
                    (Some(why), false) => wrong.push(format!("{file}: {}: {why}", case.expression)),
                    (None, true) => wrong.push(format!("{file}: {}: no exception any more", case.expression)),
                    _ => {}
                }
            }
        }
    }
    println!("{cases} cases of {files} files, {errors} of them errors, {excepted} exceptions");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!((files, excepted), (16, exceptions.exception.len()));
    assert!(cases > 800 && errors > 140, "{cases} {errors}");
}
