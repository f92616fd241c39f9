//! The rules to copy from, and the examples of the page about them, are what they say.
//! `config/rules`, `docs/release-rules.md`, `docs/evidence/tokens.md`, `composite.md`.

use std::path::PathBuf;

use keygate_policies::release::{Asked, Authority, FreshnessShown, KeyRules};
use keygate_policies::{Limits, Severity, json};
use serde_json::{Map, Value, json};

fn file(path: &str) -> String {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn decide(rules: &KeyRules, claims: &Value) -> keygate_policies::Decision {
    let asked = Asked {
        references: keygate_policies::reference::References::none(),
        authority: Authority { issuer: "https://kms.example", own: true },
        claims: claims.as_object().unwrap(),
        wrapping: "JWE",
        freshness: FreshnessShown::Once,
    };
    rules.decide("release", &asked)
}

/// Sets a dotted path to a value.
fn set(claims: &mut Value, path: &str, value: Value) {
    let mut here = claims;
    for name in path.split('.') {
        if here.is_null() {
            *here = Value::Object(Map::new());
        }
        here = &mut here[name];
    }
    *here = value;
}

/// Claims that meet the rule: what every kind says of itself, and each tested claim at its operand.
fn meeting(kind: &str, rules: &KeyRules) -> Value {
    let anchor = rules.options().anchors[0].clone();
    let mut claims = json!({"keygate": {"kind": kind, "anchor": anchor, "debug": false}});
    if matches!(kind, "sgx" | "tdx") {
        claims["keygate"]["tcb"] = json!({"status": "UpToDate", "advisories": []});
    }
    if kind == "snp" {
        set(&mut claims, "x-ms-sevsnpvm-migration-allowed", json!(false));
        set(&mut claims, "x-ms-sevsnpvm-chipid", json!("ab"));
        set(&mut claims, "x-ms-sevsnpvm-signing-key", json!("vcek"));
    }
    for (path, operand) in tests(rules) {
        set(&mut claims, &path, operand);
    }
    claims
}

fn tests(rules: &KeyRules) -> Vec<(String, Value)> {
    let conditions = rules.to_value()["rules"]["default"]["anyOf"][0]["allOf"].as_array().unwrap().clone();
    let test = |condition: &Value| {
        let condition = condition.as_object().unwrap();
        let operand = condition.iter().find(|(name, _)| *name != "claim").map(|(_, operand)| operand.clone());
        (condition["claim"].as_str().unwrap().to_owned(), operand.unwrap())
    };
    conditions.iter().map(test).collect()
}

#[test]
fn shipped_rules_pass_the_linter_and_every_test_of_theirs_counts() {
    for kind in ["sgx", "tdx", "snp", "nitro", "software"] {
        let rules = KeyRules::parse(file(&format!("config/rules/{kind}.json")).as_bytes())
            .unwrap_or_else(|found| panic!("{kind}: {found:#?}"));
        let lint = rules.lint();
        assert!(lint.iter().all(|finding| finding.severity == Severity::Warning), "{kind}: {lint:#?}");
        let blanks = lint.iter().filter(|finding| finding.code == "rule-warning.sample-digest").count();
        assert!(blanks > 0, "{kind}: the blanks to fill in are warned of");
        let others = lint.len() - blanks;
        assert_eq!(others, usize::from(kind == "software"), "{kind}: {lint:#?}");

        let claims = meeting(kind, &rules);
        let decision = decide(&rules, &claims);
        assert!(decision.permit, "{kind}: {decision:#?}");
        for (path, _) in tests(&rules) {
            let mut other = claims.clone();
            set(&mut other, &path, json!("other"));
            assert_eq!(decide(&rules, &other).code, Some("rule-not-satisfied"), "{kind}: {path}");
        }
    }
}

#[test]
fn snp_25_the_shipped_rule_refuses_forgeable_platforms() {
    let rules = KeyRules::parse(file("config/rules/snp.json").as_bytes()).unwrap();
    let mut claims = meeting("snp", &rules);
    set(&mut claims, "keygate.known_forgeable", json!(true));
    let decision = decide(&rules, &claims);
    assert_eq!(decision.code, Some("rule-not-satisfied"));
    assert!(decision.failed().all(|leaf| leaf.path == "keygate.known_forgeable"));
}

/// The fenced blocks of the page about rules whose first line is ```` ```json WORD ````.
fn blocks(word: &str) -> Vec<String> {
    blocks_of("docs/release-rules.md", word)
}

fn blocks_of(page: &str, word: &str) -> Vec<String> {
    let page = file(page);
    let fence = format!("```json {word}\n");
    let body = |rest: &str| rest.split("\n```").next().unwrap_or_default().to_owned();
    page.split(&fence).skip(1).map(body).collect()
}

#[test]
fn examples_of_the_page_parse_or_are_refused_as_it_says() {
    let rules = blocks("rule");
    assert!(rules.len() >= 4);
    for text in rules {
        let rules = KeyRules::parse(text.as_bytes()).unwrap_or_else(|found| panic!("{text}: {found:#?}"));
        assert!(rules.lint().iter().all(|finding| finding.severity == Severity::Warning), "{text}");
    }
    let refused = blocks("refused");
    assert!(!refused.is_empty());
    for text in refused {
        assert!(KeyRules::parse(text.as_bytes()).is_err(), "{text}");
    }
    let forced = blocks("forced");
    assert!(!forced.is_empty());
    for text in forced {
        let lint = KeyRules::parse(text.as_bytes()).unwrap().lint();
        assert!(lint.iter().any(|finding| finding.severity == Severity::Refusal), "{text}");
    }
}

/// The rules to copy from the pages about tokens and composites: one per family, none without a workload, none of a part of anybody.
#[test]
fn rules_for_foreign_tokens_parse_and_name_a_workload() {
    let (rules, composites) =
        (blocks_of("docs/evidence/tokens.md", "rule"), blocks_of("docs/evidence/composite.md", "rule"));
    assert_eq!((rules.len(), composites.len()), (7, 1));
    for text in rules.into_iter().chain(composites) {
        let rules = KeyRules::parse(text.as_bytes()).unwrap_or_else(|found| panic!("{text}: {found:#?}"));
        let found = rules.lint();
        assert!(found.iter().all(|finding| finding.severity == Severity::Warning), "{text}");
        assert!(found.iter().all(|finding| finding.code != "rule-warning.part-of-anybody"), "{text}");
    }
}

#[test]
fn the_denial_of_the_page_is_the_one_the_engine_gives() {
    let read = |text: &str| json::parse(text.as_bytes(), &Limits::CLAIMS).unwrap().to_value();
    let rules = KeyRules::parse(blocks("rule")[0].as_bytes()).unwrap();
    let claims = read(&blocks("claims")[0]);
    let decision = serde_json::to_value(decide(&rules, &claims)).unwrap();
    assert_eq!(decision, read(&blocks("decision")[0]), "{decision:#}");
}
