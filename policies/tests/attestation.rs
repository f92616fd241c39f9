//! Runs every case in `cases/attestation`: a policy, claims, and what must come of them.
//! Policy language, section 9 (`MAA-01` to `MAA-50`) and what it leaves open; bad inputs, section 10.
//!
//! `claims` are an object of what the service says, `custom` of what the client says; a list is several claims.

use std::path::PathBuf;

use keygate_policies::attestation::{AttestationPolicy, ClaimSet, Outcome, Tracing, azure_message};
use keygate_policies::fuel::Fuel;
use keygate_policies::{Diagnostic, Limits, Severity, json};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    policy: String,
    claims: Option<String>,
    custom: Option<String>,
    expect: Expect,
    /// Of the denial, the fault or the diagnostic.
    code: Option<String>,
    issued: Option<String>,
    properties: Option<String>,
    /// A text that the message has.
    says: Option<String>,
    /// The failing rule, whole.
    rule: Option<String>,
    /// Line and column of the diagnostic.
    at: Option<[usize; 2]>,
    /// A text that the proposal has.
    help: Option<String>,
    /// The code of a warning that the policy earns.
    warns: Option<String>,
    /// The code of a warning that it does not earn.
    quiet: Option<String>,
    because: String,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Debug)]
#[serde(rename_all = "lowercase")]
enum Expect {
    Permit,
    Deny,
    /// The evaluation fails.
    Error,
    /// Does not parse.
    Invalid,
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/attestation"))
}

fn run(name: &str) {
    let path = folder().join(format!("{name}.toml"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file: File = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(!file.case.is_empty());
    let failed: Vec<String> = file
        .case
        .iter()
        .filter_map(|case| {
            let place = format!("{name}, case {} ({})", case.id, case.because);
            std::panic::catch_unwind(|| judge(&place, case)).err().map(|_| place)
        })
        .collect();
    assert!(failed.is_empty(), "{} of {} failed:\n{}", failed.len(), file.case.len(), failed.join("\n"));
}

fn object(place: &str, text: Option<&String>) -> Map<String, Value> {
    let Some(text) = text else { return Map::new() };
    let node = json::parse(text.as_bytes(), &Limits::CLAIMS).unwrap_or_else(|fault| panic!("{place}: {fault}"));
    node.to_value().as_object().cloned().unwrap_or_else(|| panic!("{place}: no object"))
}

fn judge(place: &str, case: &Case) {
    let parsed = AttestationPolicy::parse(&case.policy);
    if case.expect == Expect::Invalid {
        return refused(place, case, &parsed.expect_err(place));
    }
    let policy = parsed.unwrap_or_else(|found| panic!("{place}: {found:#?}"));
    let again = AttestationPolicy::parse(&policy.print()).unwrap_or_else(|found| panic!("{place}: {found:#?}"));
    assert!(again == policy && again.print() == policy.print(), "{place}: {}", policy.print());
    warned(place, case, policy.warnings());

    let incoming = ClaimSet::from_objects(&object(place, case.claims.as_ref()), &object(place, case.custom.as_ref()));
    let evaluation = policy.evaluate(incoming.clone(), &mut Fuel::service(), Tracing::On);
    let printed = again.evaluate(incoming.clone(), &mut Fuel::service(), Tracing::On);
    assert_eq!((printed.outcome.code(), printed.steps), (evaluation.outcome.code(), evaluation.steps), "{place}");
    let untraced = policy.evaluate(incoming, &mut Fuel::service(), Tracing::Off);
    assert_eq!((&untraced.outcome, untraced.steps), (&evaluation.outcome, evaluation.steps), "{place}");
    let trace = serde_json::to_string_pretty(&evaluation.trace).unwrap();
    let found = match &evaluation.outcome {
        Outcome::Permit { .. } => Expect::Permit,
        Outcome::Deny(_) => Expect::Deny,
        Outcome::Error(_) => Expect::Error,
    };
    assert_eq!(found, case.expect, "{place}: {:?}\n{trace}", evaluation.outcome);
    assert_eq!(evaluation.outcome.code(), case.code.as_deref(), "{place}");
    let message = evaluation.outcome.azure_message();
    assert!(case.says.as_ref().is_none_or(|says| message.contains(says)), "{place}: {message}");
    if let Outcome::Permit { issued, properties } = &evaluation.outcome {
        for (text, found) in [(&case.issued, issued), (&case.properties, properties)] {
            assert!(text.is_none() || *found == object(place, text.as_ref()), "{place}: {found:?}\n{trace}");
        }
    }
}

fn refused(place: &str, case: &Case, found: &[Diagnostic]) {
    let [fault] = found else { panic!("{place}: {found:#?}") };
    assert_eq!(fault.severity, Severity::Error, "{place}");
    assert_eq!(Some(fault.code), case.code.as_deref(), "{place}: {fault:#?}");
    assert!(case.says.as_ref().is_none_or(|says| fault.message.contains(says)), "{place}: {fault:#?}");
    assert!(case.rule.as_ref().is_none_or(|rule| fault.rule == *rule), "{place}: {fault:#?}");
    assert!(case.at.is_none_or(|at| at == [fault.line, fault.column]), "{place}: {fault:#?}");
    let help = fault.help.as_deref().unwrap_or_default();
    assert!(case.help.as_ref().is_none_or(|text| help.contains(text.as_str())), "{place}: {fault:#?}");
    assert!(!fault.message.starts_with(char::is_uppercase) && !fault.message.ends_with('.'), "{place}: {fault}");
    let message = azure_message(fault);
    assert_eq!(message.lines().count(), 5, "{place}: {message}");
    assert!(message.contains(&format!("Failing rule: '{}'", fault.rule)), "{place}: {message}");
}

fn warned(place: &str, case: &Case, warnings: &[Diagnostic]) {
    assert!(warnings.iter().all(|warning| warning.severity == Severity::Warning), "{place}");
    let earned = |code: &String| warnings.iter().any(|warning| warning.code == code);
    assert!(case.warns.as_ref().is_none_or(earned), "{place}: {warnings:#?}");
    assert!(!case.quiet.as_ref().is_some_and(earned), "{place}: {warnings:#?}");
}

macro_rules! cases {
    ($($test:ident => $file:literal),* $(,)?) => {
        $(#[test] fn $test() { run($file) })*

        #[test]
        fn every_file_of_cases_is_run() {
            let mut here: Vec<String> = std::fs::read_dir(folder())
                .unwrap()
                .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
                .collect();
            here.sort();
            let mut run = vec![$($file.to_owned()),*];
            run.sort();
            assert_eq!(here, run);
        }
    };
}

cases! {
    the_fifty_worked_examples => "worked-examples",
    sections_and_rules_have_one_form => "structure",
    words_have_one_form => "words",
    conditions_mean_one_thing => "conditions",
    functions_at_their_edges => "functions",
    what_is_issued_and_as_what => "issuance",
    raw_evidence_stays_where_it_is => "read-only",
    what_is_only_unwise_is_told => "warnings",
    pol_01_a_text_that_says_nothing_is_refused => "pol-01",
    pol_05_there_are_no_patterns_that_take_for_ever => "pol-05",
    pol_07_values_of_different_types_are_different => "pol-07",
    pol_08_a_claim_issued_twice_is_a_list => "pol-08",
    pol_09_names_of_the_service_are_ignored_and_warned_of => "pol-09",
    pol_10_nothing_of_the_world_can_be_asked_for => "pol-10",
    pol_11_a_deny_wins => "pol-11",
    pol_13_deceiving_characters_stand_in_strings_only => "pol-13",
    pol_14_ends_of_lines_mean_one_thing => "pol-14",
    pol_18_values_are_never_patterns => "pol-18",
    pol_20_each_test_in_both_senses => "pol-20",
}
