//! The ten minutes of `docs/reference-values.md`, as somebody types them.

mod page;

use std::path::Path;

use serde_json::Value;

#[test]
fn the_ten_minutes_of_the_page_of_reference_values_run() {
    let folder = tempfile::tempdir().unwrap();
    let script = page::commands("docs/reference-values.md");
    let (said, complained) = page::typed(&script, folder.path(), page::port());
    for odd in ["unreachable", "reference-invalid"] {
        assert!(!complained.contains(odd), "{odd}");
    }
    for (key, wanted) in [("early", false), ("db", true), ("next", true), ("still", true), ("late", false)] {
        assert_eq!(folder.path().join(format!("{key}.key")).exists(), wanted, "{key}.key");
    }
    assert_eq!(complained.matches("code: not-released").count(), 2, "{complained}");
    let read = |name: &str| -> Value {
        serde_json::from_str(&std::fs::read_to_string(folder.path().join(name)).unwrap()).unwrap()
    };
    let (first, next) = (read("fleet-1.json"), read("fleet-2.json"));
    assert_eq!((&first["serial"], &next["serial"], &next["note"]), (&1.into(), &2.into(), &"kernel 6.12.9".into()));
    assert_eq!(next["values"]["software.measurement"][0], "ab".repeat(48));
    for told in ["reference-missing", "reference-no-match", "rule-warning.unknown-reference"] {
        assert!(said.contains(told), "{told}");
    }
    // The review as people see it.
    let added = format!("+ {}", "ab".repeat(48));
    for told in [added.as_str(), "db-key", "to put it in force: keygate reference approve fleet --serial 2"] {
        assert!(said.contains(told), "{told}");
    }
    for decision in [r#""decision": "release""#, r#""decision": "deny""#] {
        assert!(said.contains(decision), "{decision}");
    }
}

/// The fences of this kind on the page.
fn blocks(kind: &str) -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference-values.md");
    let text = std::fs::read_to_string(page).unwrap();
    let begin = format!("\n```{kind}\n");
    let fences = text.split(&begin).skip(1);
    fences.map(|rest| rest.split("\n```").next().unwrap().to_owned()).collect()
}

#[test]
fn rule_and_policy_of_the_page_are_such() {
    let rules = keygate_policies::KeyRules::parse(blocks("json rule")[0].as_bytes()).unwrap();
    assert_eq!(rules.references(), ["fleet"]);
    let policy = keygate_policies::attestation::AttestationPolicy::parse(&blocks("policy")[0]).unwrap();
    assert!(policy.warnings().is_empty(), "{:?}", policy.warnings());
}
