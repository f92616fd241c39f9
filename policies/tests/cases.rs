//! Runs every case in `cases/release`: a rule, claims, and what must come of them.
//! Bad inputs, the rows each test is named after.
//!
//! A file is `[base]` and a list of `[[case]]`; a case states only what differs from the base, so that each reads as the
//! twin of its neighbours.

use std::path::PathBuf;

use keygate_policies::release::{Asked, Authority, FreshnessShown, KeyRules};
use keygate_policies::{Diagnostic, Limits, Severity, json};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    base: Given,
    case: Vec<Case>,
}

#[derive(Deserialize, Default, Clone)]
#[serde(deny_unknown_fields)]
struct Given {
    rule: Option<String>,
    claims: Option<String>,
    issuer: Option<String>,
    own: Option<bool>,
    operation: Option<String>,
    wrapping: Option<String>,
    freshness: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    #[serde(default)]
    given: Given,
    expect: Expect,
    /// The code of the denial, the diagnostic or the finding.
    code: Option<String>,
    /// A text that one failed leaf's path, or one message or help, must have.
    says: Option<String>,
    because: String,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Debug)]
#[serde(rename_all = "lowercase")]
enum Expect {
    Permit,
    Deny,
    /// Does not parse.
    Invalid,
    /// Parses, the linter refuses it unless forced.
    Refused,
    /// Parses, the linter warns.
    Warned,
    /// Parses, the linter has nothing to say of that code.
    Quiet,
}

fn run(name: &str) {
    let path = folder().join(format!("{name}.toml"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file: File = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(!file.case.is_empty());
    for case in &file.case {
        let place = format!("{name}, case {} ({})", case.id, case.because);
        judge(&place, case, &case.given.over(&file.base));
    }
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/release"))
}

impl Given {
    fn over(&self, base: &Self) -> Self {
        Self {
            rule: self.rule.clone().or(base.rule.clone()),
            claims: self.claims.clone().or(base.claims.clone()),
            issuer: self.issuer.clone().or(base.issuer.clone()),
            own: self.own.or(base.own),
            operation: self.operation.clone().or(base.operation.clone()),
            wrapping: self.wrapping.clone().or(base.wrapping.clone()),
            freshness: self.freshness.clone().or(base.freshness.clone()),
        }
    }
}

fn judge(place: &str, case: &Case, given: &Given) {
    let parsed = KeyRules::parse(given.rule.as_ref().expect(place).as_bytes());
    if case.expect == Expect::Invalid {
        let found = parsed.expect_err(place);
        return expect_finding(place, case, &found, Severity::Error);
    }
    let rules = parsed.unwrap_or_else(|found| panic!("{place}: {found:#?}"));
    let again = KeyRules::parse(rules.canonical_text().as_bytes()).expect(place);
    assert_eq!((again.canonical_text(), again.digest()), (rules.canonical_text(), rules.digest()), "{place}");
    match case.expect {
        Expect::Permit | Expect::Deny => decide(place, case, given, &rules),
        Expect::Refused => expect_finding(place, case, &rules.lint(), Severity::Refusal),
        Expect::Warned => expect_finding(place, case, &rules.lint(), Severity::Warning),
        Expect::Quiet => {
            let found = rules.lint();
            assert!(!found.iter().any(|finding| Some(finding.code) == case.code.as_deref()), "{place}: {found:#?}");
        }
        Expect::Invalid => unreachable!(),
    }
}

fn expect_finding(place: &str, case: &Case, found: &[Diagnostic], severity: Severity) {
    let fits = |finding: &&Diagnostic| {
        Some(finding.code) == case.code.as_deref()
            && finding.severity == severity
            && case.says.as_ref().is_none_or(|says| {
                finding.message.contains(says)
                    || finding.rule == *says
                    || finding.help.as_ref().is_some_and(|help| help.contains(says))
            })
    };
    let finding = found.iter().find(fits).unwrap_or_else(|| panic!("{place}: {found:#?}"));
    assert!(!finding.message.ends_with('.') && !finding.message.starts_with(char::is_uppercase), "{place}");
}

fn decide(place: &str, case: &Case, given: &Given, rules: &KeyRules) {
    let claims = json::parse(given.claims.as_ref().expect(place).as_bytes(), &Limits::CLAIMS).expect(place);
    let Value::Object(claims) = claims.to_value() else { panic!("{place}: claims are no object") };
    let issuer = given.issuer.as_deref().or_else(|| claims.get("iss")?.as_str()).unwrap_or_default();
    let asked = Asked {
        references: keygate_policies::reference::References::none(),
        authority: Authority { issuer, own: given.own.unwrap_or(false) },
        claims: &claims,
        wrapping: given.wrapping.as_deref().unwrap_or("RSA_AES_KEY_WRAP_256"),
        freshness: shown(given.freshness.as_deref().unwrap_or("once")),
    };
    let operation = given.operation.as_deref().unwrap_or("release");
    let decision = rules.decide(operation, &asked);
    let trace = serde_json::to_string_pretty(&decision).expect(place);
    assert_eq!(decision.permit, case.expect == Expect::Permit, "{place}: {trace}");
    assert_eq!(decision.code, case.code.as_deref(), "{place}: {trace}");
    assert_eq!(decision, rules.decide(operation, &asked), "{place}");
    if let Some(says) = &case.says {
        assert!(decision.failed().any(|leaf| leaf.path == *says), "{place}: {trace}");
    }
}

fn shown(written: &str) -> FreshnessShown {
    match written {
        "once" => FreshnessShown::Once,
        "issuer" => FreshnessShown::IssuerOnly,
        session => FreshnessShown::Session { age: session.parse().expect("seconds") },
    }
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
    http_08_duplicate_members_are_malformed => "http-08",
    jwt_46_integers_above_two_to_the_53_are_exact => "jwt-46",
    jwt_47_only_canonical_integers_count => "jwt-47",
    jwt_49_dots_navigate_and_pointers_reach => "jwt-49",
    jwt_50_a_claim_counts_only_under_its_authority => "jwt-50",
    jwt_51_absent_is_not_false => "jwt-51",
    key_01_what_the_grammar_does_not_know_is_rule_invalid => "key-01",
    key_02_a_rule_without_workload_is_refused => "key-02",
    key_03_an_absent_claim_meets_nothing => "key-03",
    jwt_44_the_same_claims_of_another_issuer => "jwt-44",
    key_04_authorities_compare_in_canonical_form => "key-04",
    key_07_a_wrapping_the_option_leaves_out_is_refused => "key-07",
    nit_07_debug_evidence_opens_nothing => "nit-07",
    nit_08_a_register_that_is_not_there_is_not_met => "nit-08",
    nit_16_sample_digests_are_warned_of => "nit-16",
    sgx_17_only_accepted_tcb_statuses_open_a_key => "sgx-17",
    sgx_28_a_signer_alone_is_refused => "sgx-28",
    snp_06_a_masked_chip_under_a_vcek_opens_nothing => "snp-06",
    snp_17_another_vmpl_opens_nothing => "snp-17",
    snp_21_family_and_image_alone_are_refused => "snp-21",
    snp_25_a_rule_can_refuse_forgeable_platforms => "snp-25",
    snp_26_a_floor_of_the_microcode_refuses_older_processors => "snp-26",
    tdx_11_features_and_attributes_are_bound_by_a_rule => "tdx-11",
    anchors_bind_whatever_the_rule_says => "anchors",
    composites_are_guarded_part_by_part => "composite",
    freshness_binds_whatever_the_rule_says => "freshness",
    migration_agents_and_service_tds_open_nothing => "hardware",
    operations_take_their_own_rule_or_the_default => "operations",
    options_are_typed => "options",
}
