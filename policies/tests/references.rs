//! Reference values in rules and policies: what counts holds, what does not says why. Threat model P7, P21, P24.

use std::sync::Arc;

use keygate_policies::attestation::{AttestationPolicy, ClaimSet, Outcome, Tracing};
use keygate_policies::fuel::Fuel;
use keygate_policies::reference::{ReferenceDocument, References, Standing};
use keygate_policies::{Asked, Authority, FreshnessShown, KeyRules, Severity};
use proptest::prelude::*;
use serde_json::{Value, json};

fn document(serial: u64, values: Value) -> Arc<ReferenceDocument> {
    let text = json!({"name": "fleet", "serial": serial, "iat": 1, "exp": 2, "values": values}).to_string();
    Arc::new(ReferenceDocument::parse(text.as_bytes()).unwrap())
}

fn in_force(values: Value) -> References {
    let mut references = References::default();
    references.insert("fleet", Standing::InForce(vec![document(7, values)]));
    references
}

fn claims() -> Value {
    json!({
        "keygate": {"kind": "nitro", "anchor": "vendor", "debug": false},
        "nitro": {"pcrs": {"0": "aa", "1": "bb"}}, "list": ["x", "y"], "flag": true,
    })
}

fn rules(test: &Value) -> Result<KeyRules, String> {
    let rule = json!({"version": "1.0.0", "anyOf": [{"authority": "self", "allOf": [test]}]});
    KeyRules::parse(rule.to_string().as_bytes()).map_err(|found| found[0].to_string())
}

/// The reason of the only leaf of the rule, or what it was met by.
fn told(test: &Value, references: &References) -> Result<u64, String> {
    let (rules, claims) = (rules(test).unwrap(), claims());
    let decision = rules.decide(
        "release",
        &Asked {
            authority: Authority { issuer: "https://kms.example", own: true },
            claims: claims.as_object().unwrap(),
            wrapping: "JWE",
            freshness: FreshnessShown::Once,
            references,
        },
    );
    let leaf = decision.leaves.iter().find(|leaf| leaf.operator == "reference").unwrap();
    assert_eq!(decision.permit, leaf.result);
    assert_eq!(leaf.expected, "fleet");
    match decision.permit {
        true => Ok(leaf.serial.unwrap()),
        false => Err(leaf.reason.unwrap().to_owned()),
    }
}

#[test]
fn a_test_holds_while_the_values_count_and_says_why_it_does_not() {
    let by_path = json!({"claim": "nitro.pcrs.0", "reference": "fleet"});
    let by_pointer = json!({"claimPointer": "/nitro/pcrs/0", "reference": "fleet"});
    let refused = |reason: &str| Err(reason.to_owned());
    assert_eq!(told(&by_path, &in_force(json!({"nitro.pcrs.0": ["zz", "aa"]}))), Ok(7));
    assert_eq!(told(&by_pointer, &in_force(json!({"/nitro/pcrs/0": ["aa"]}))), Ok(7));
    assert_eq!(told(&json!({"claim": "list", "reference": "fleet"}), &in_force(json!({"list": ["y", "x"]}))), Ok(7));
    assert_eq!(told(&json!({"claim": "flag", "reference": "fleet"}), &in_force(json!({"flag": ["true"]}))), Ok(7));
    // Each differs in one thing.
    assert_eq!(told(&by_path, &in_force(json!({"nitro.pcrs.0": ["zz", "ab"]}))), refused("reference-no-match"));
    assert_eq!(told(&by_path, &in_force(json!({"/nitro/pcrs/0": ["aa"]}))), refused("reference-no-entry"));
    assert_eq!(told(&by_pointer, &in_force(json!({"nitro.pcrs.0": ["aa"]}))), refused("reference-no-entry"));
    assert_eq!(told(&by_path, References::none()), refused("reference-missing"));
    let mut expired = References::default();
    expired.insert("fleet", Standing::Expired);
    assert_eq!(told(&by_path, &expired), refused("reference-expired"));
    let absent = json!({"claim": "nitro.pcrs.9", "reference": "fleet"});
    assert_eq!(told(&absent, &in_force(json!({"nitro.pcrs.9": ["aa"]}))), refused("reference-no-match"));
    let list = json!({"claim": "list", "reference": "fleet"});
    assert_eq!(told(&list, &in_force(json!({"list": ["x"]}))), refused("reference-no-match"));
}

#[test]
fn tpm_21_an_empty_reference_state_denies() {
    let test = json!({"claim": "nitro.pcrs.0", "reference": "fleet"});
    let mut empty = References::default();
    assert!(told(&test, &empty).is_err());
    empty.insert("fleet", Standing::InForce(Vec::new()));
    assert!(told(&test, &empty).is_err());
    empty.insert("fleet", Standing::InForce(vec![document(7, json!({"nitro.pcrs.0": ["aa"]}))]));
    assert_eq!(told(&test, &empty), Ok(7));
}

#[test]
fn key_01_a_test_names_one_reference_in_its_one_form() {
    let good = json!({"claim": "nitro.pcrs.0", "reference": "fleet"});
    let parsed = rules(&good).unwrap();
    assert_eq!(parsed.references(), ["fleet"]);
    assert_eq!(parsed.to_value()["rules"]["default"]["anyOf"][0]["allOf"][0], good);
    for bad in [
        json!({"claim": "a", "reference": "Fleet"}),
        json!({"claim": "a", "reference": "a.b"}),
        json!({"claim": "a", "reference": ""}),
        json!({"claim": "a", "reference": 7}),
        json!({"claim": "a", "reference": true}),
        json!({"claim": "a", "reference": ["fleet"]}),
        json!({"claim": "a", "reference": "fleet", "equals": "x"}),
        json!({"claim": "a", "references": "fleet"}),
        json!({"reference": "fleet"}),
    ] {
        assert!(rules(&bad).is_err(), "{bad}");
    }
}

#[test]
fn key_02_a_reference_names_a_workload_and_a_name_that_nothing_stands_behind_is_told() {
    let parsed = rules(&json!({"claim": "nitro.pcrs.0", "reference": "fleet"})).unwrap();
    assert!(parsed.lint().is_empty(), "{:?}", parsed.lint());
    let platform = rules(&json!({"claim": "x-ms-attestation-type", "reference": "fleet"})).unwrap();
    assert_eq!(platform.lint()[0].code, "rule-invalid.no-workload");
    let (fitting, other) = (document(7, json!({"nitro.pcrs.0": ["aa"]})), document(7, json!({"nitro.pcrs.1": ["aa"]})));
    let lint = |known: Vec<&'static ReferenceDocument>| parsed.lint_references(&|_| known.clone());
    let kept = |document: &Arc<ReferenceDocument>| -> &'static ReferenceDocument {
        Box::leak(Box::new(ReferenceDocument::clone(document)))
    };
    assert!(lint(vec![kept(&fitting)]).is_empty());
    let warned = lint(vec![kept(&other)]);
    assert_eq!((warned[0].code, warned[0].severity), ("rule-warning.reference-without-claim", Severity::Warning));
    assert_eq!(lint(Vec::new())[0].code, "rule-warning.unknown-reference");
}

fn permitted(text: &str, references: &References) -> bool {
    let policy = AttestationPolicy::parse(text).unwrap();
    let claims = claims();
    let attested = claims.as_object().unwrap();
    let custom = json!({"nitro.pcrs.0": "aa", "x-keygate-reference.fleet.nitro.pcrs.0": "aa"});
    let mut incoming = ClaimSet::from_objects(attested, custom.as_object().unwrap());
    references.add_claims(&mut incoming, attested);
    matches!(
        policy.evaluate(incoming, &mut Fuel::service(), Tracing::Off).outcome,
        Outcome::Permit { issued, .. } if issued.keys().all(|name| !name.starts_with("x-keygate-reference"))
    )
}

#[test]
fn a_policy_holds_a_claim_against_the_values_of_a_name() {
    let text = r#"version=1.0; authorizationrules{
        r:[type=="x-keygate-reference.fleet.nitro.pcrs.0", issuer=="AttestationService"]
        && [type=="nitro.pcrs.0", issuer=="AttestationService", value==r.value] => permit();
    }; issuancerules{};"#;
    assert!(permitted(text, &in_force(json!({"nitro.pcrs.0": ["zz", "aa"]}))));
    assert!(!permitted(text, &in_force(json!({"nitro.pcrs.0": ["zz"]}))));
    assert!(!permitted(text, &in_force(json!({"nitro.pcrs.1": ["aa"]}))));
    assert!(!permitted(text, References::none()), "what the client says is no reference value");
    let mut expired = References::default();
    expired.insert("fleet", Standing::Expired);
    assert!(!permitted(text, &expired));
    // A policy cannot bring them into a token.
    let issuing = r#"version=1.0; authorizationrules{=> permit();};
        issuancerules{c:[type=="x-keygate-reference.fleet.nitro.pcrs.0"] => issue(claim=c);};"#;
    assert!(permitted(issuing, &in_force(json!({"nitro.pcrs.0": ["aa"]}))));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = ReferenceDocument::parse(&bytes);
    }

    #[test]
    fn what_is_read_is_read_again_from_its_own_text(
        name in "[a-z0-9][a-z0-9_-]{0,63}", serial in 1_u64..1 << 53, iat in 0_i64..200_000_000_000, life in 1_i64..60_000_000,
        values in proptest::collection::btree_map("[a-z]{1,8}(\\.[a-z0-9]{1,6}){0,3}", proptest::collection::btree_set("[ -~]{1,20}", 1..5), 1..8),
    ) {
        let text = json!({"name": name, "serial": serial, "iat": iat, "exp": iat + life, "values": values}).to_string();
        let read = ReferenceDocument::parse(text.as_bytes()).map_err(|found| TestCaseError::fail(found[0].to_string()))?;
        prop_assert_eq!(read.claims().count(), values.len());
        prop_assert_eq!(ReferenceDocument::parse(read.canonical_text().as_bytes()).unwrap(), read);
    }
}
