//! What holds for every rule and every claim.
//! Threat model, P21 and P22; bad inputs, row X (release rule).

use std::collections::BTreeSet;

use keygate_policies::release::{Asked, Authority, Decision, FreshnessShown, KeyRules, ReleaseRule};
use keygate_policies::{Limits, canonical, json};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const ISSUER: &str = "https://attest.example";

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        (-3_i64..4).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        "[a-c]{0,2}".prop_map(Value::from),
        "-?[0-9]{1,3}".prop_map(Value::from),
    ]
}

fn operand_for(operator: &'static str) -> BoxedStrategy<Value> {
    match operator {
        "exists" => any::<bool>().prop_map(Value::from).boxed(),
        "equals" | "notEquals" | "contains" => scalar().boxed(),
        _ => prop_oneof![(-3_i64..4).prop_map(Value::from), (0_i64..5).prop_map(|n| json!(n.to_string()))].boxed(),
    }
}

/// A test over a few short names, so that rules and claims often meet.
fn test(operators: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let place = prop_oneof![
        "[a-c](\\.[a-c]){0,2}".prop_map(|path| ("claim", path)),
        "(/[a-c0-1]){1,2}".prop_map(|path| ("claimPointer", path)),
    ];
    (place, proptest::sample::select(operators)).prop_flat_map(|((member, path), operator)| {
        let member = if operator == "contains" { "claimPointer" } else { member };
        let path = if operator == "contains" && !path.starts_with('/') { format!("/{path}") } else { path };
        operand_for(operator).prop_map(move |operand| json!({member: path.clone(), operator: operand}))
    })
}

fn condition(operators: &'static [&'static str]) -> impl Strategy<Value = Value> {
    test(operators).prop_recursive(4, 16, 3, |inner| {
        (any::<bool>(), proptest::collection::vec(inner, 1..4))
            .prop_map(|(all, conditions)| json!({if all { "allOf" } else { "anyOf" }: conditions}))
    })
}

fn rule(operators: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let authority = prop_oneof![4 => Just(ISSUER), 1 => Just("https://other.example"), 1 => Just("self")];
    let alternative = (authority, any::<bool>(), proptest::collection::vec(condition(operators), 1..4)).prop_map(
        |(authority, all, conditions)| json!({"authority": authority, if all { "allOf" } else { "anyOf" }: conditions}),
    );
    proptest::collection::vec(alternative, 1..4).prop_map(|anyof| json!({"version": "1.0.0", "anyOf": anyof}))
}

fn claims() -> impl Strategy<Value = Map<String, Value>> {
    let value = prop_oneof![scalar(), Just(Value::Null), (-2.0..2.0_f64).prop_map(Value::from)].prop_recursive(
        3,
        24,
        4,
        |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[a-c]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        },
    );
    proptest::collection::btree_map("[a-c]", value, 0..4).prop_map(|map| map.into_iter().collect())
}

const ALL: &[&str] =
    &["equals", "notEquals", "less", "lessOrEquals", "greater", "greaterOrEquals", "exists", "contains"];

fn parsed(rule: &Value) -> ReleaseRule {
    ReleaseRule::parse(rule.to_string().as_bytes()).unwrap_or_else(|found| panic!("{rule}: {found:#?}"))
}

fn alone(rule: &Value, claims: &Map<String, Value>) -> Decision {
    parsed(rule).evaluate(&Authority { issuer: ISSUER, own: true }, claims)
}

/// Every path to a member or element of the claims, deepest last.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    let below: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(elements) => {
            elements.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect()
        }
        _ => Vec::new(),
    };
    for (name, value) in below {
        let at = format!("{at}/{name}");
        found.push(at.clone());
        places(value, &at, found);
    }
}

/// The claims without one member. An element of a list is not removed, since that would move its neighbours.
fn without(claims: &Map<String, Value>, place: &str) -> Map<String, Value> {
    let mut value = Value::Object(claims.clone());
    let (parent, name) = place.rsplit_once('/').unwrap();
    if let Some(Value::Object(members)) = value.pointer_mut(parent) {
        members.remove(name);
    }
    value.as_object().unwrap().clone()
}

fn is_negation_free(rule: &Value) -> bool {
    !rule.to_string().contains(r#""exists":false"#)
}

proptest! {
    #[test]
    fn p21_evaluation_is_total_and_the_same_twice(rule in rule(ALL), claims in claims()) {
        let first = alone(&rule, &claims);
        prop_assert_eq!(&first, &alone(&rule, &claims));
        prop_assert_eq!(first.permit, first.code.is_none());
        prop_assert!(!first.leaves.is_empty());
    }

    #[test]
    fn p21_a_printed_rule_is_the_same_rule(rule in rule(ALL), claims in claims()) {
        let once = parsed(&rule).to_value();
        let again = parsed(&once).to_value();
        prop_assert_eq!(canonical::text(&once), canonical::text(&again));
        prop_assert_eq!(canonical::text(&rule), canonical::text(&once));
        prop_assert_eq!(alone(&rule, &claims), alone(&once, &claims));
    }

    #[test]
    fn p21_one_more_condition_never_turns_deny_into_permit(
        rule in rule(ALL), more in condition(ALL), claims in claims()
    ) {
        let mut stricter = rule.clone();
        for alternative in stricter["anyOf"].as_array_mut().unwrap() {
            let kept = alternative.clone();
            let mut inner = kept.as_object().unwrap().clone();
            inner.remove("authority");
            *alternative = json!({"authority": kept["authority"], "allOf": [inner, more]});
        }
        prop_assert!(alone(&rule, &claims).permit || !alone(&stricter, &claims).permit);
    }

    #[test]
    fn p21_one_claim_less_never_turns_deny_into_permit(rule in rule(ALL), claims in claims()) {
        prop_assume!(is_negation_free(&rule));
        let before = alone(&rule, &claims).permit;
        let mut found = Vec::new();
        places(&Value::Object(claims.clone()), "", &mut found);
        for place in found {
            prop_assert!(before || !alone(&rule, &without(&claims, &place)).permit, "{}", place);
        }
    }

    #[test]
    fn p21_a_decision_has_a_leaf_for_every_test_of_a_vouching_authority(rule in rule(ALL), claims in claims()) {
        let decision = alone(&rule, &claims);
        let vouching = |alternative: &&Value| alternative["authority"] != "https://other.example";
        let tests: usize = rule["anyOf"].as_array().unwrap().iter().filter(vouching)
            .map(|alternative| alternative.to_string().matches("\"claim").count()).sum();
        prop_assert_eq!(decision.leaves.len(), tests.max(1));
        let places: BTreeSet<_> = decision.leaves.iter().map(|leaf| &leaf.at).collect();
        prop_assert_eq!(places.len(), decision.leaves.len());
    }

    #[test]
    fn p22_any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = json::parse(&bytes, &Limits::request(1_000));
        let _ = KeyRules::parse(&bytes);
    }

    #[test]
    fn p22_what_serde_json_writes_is_read_as_the_same_value(claims in claims()) {
        let value = Value::Object(claims);
        let read = json::parse(value.to_string().as_bytes(), &Limits::CLAIMS).unwrap().to_value();
        prop_assert_eq!(canonical::text(&read), canonical::text(&value));
        prop_assert_eq!(canonical::digest(&read), canonical::digest(&value));
    }
}

/// Guards included: from any claims of ours that are refused, taking any one claim away still refuses.
#[test]
fn p21_guards_are_not_escaped_by_silence() {
    let rule = json!({"version": "1.0.0", "anyOf": [{"authority": "self", "allOf": [{"claim": "m", "equals": "1"}]}]});
    let rules = KeyRules::parse(rule.to_string().as_bytes()).unwrap();
    let permit = |claims: &Map<String, Value>| {
        let authority = Authority { issuer: ISSUER, own: true };
        let asked = Asked {
            authority,
            claims,
            wrapping: "JWE",
            freshness: FreshnessShown::Once,
            references: keygate_policies::reference::References::none(),
        };
        rules.decide("release", &asked).permit
    };
    let sound = [
        json!({"m": "1", "keygate": {"kind": "snp", "anchor": "vendor", "debug": false}, "x-ms-sevsnpvm-vmpl": 0,
            "x-ms-sevsnpvm-migration-allowed": false, "x-ms-sevsnpvm-chipid": "ab", "x-ms-sevsnpvm-signing-key": "vcek"}),
        json!({"m": "1", "keygate": {"kind": "tdx", "anchor": "vendor", "debug": false,
            "tcb": {"status": "UpToDate", "advisories": []}}, "tdx_mrservicetd": "00", "tdx_tee_tcb_svn2": "00"}),
    ];
    let faults = [
        ("/keygate/anchor", json!("software")),
        ("/keygate/debug", json!(true)),
        ("/keygate/tcb/status", json!("OutOfDate")),
        ("/x-ms-sevsnpvm-vmpl", json!(1)),
        ("/x-ms-sevsnpvm-migration-allowed", json!(true)),
        ("/x-ms-sevsnpvm-chipid", json!("00")),
        ("/tdx_mrservicetd", json!("01")),
        ("/m", json!("2")),
    ];
    let mut judged = 0;
    for claims in &sound {
        assert!(permit(claims.as_object().unwrap()));
        for (place, fault) in &faults {
            let mut faulty = claims.clone();
            let Some(value) = faulty.pointer_mut(place) else { continue };
            *value = fault.clone();
            let faulty = faulty.as_object().unwrap();
            assert!(!permit(faulty), "{place}");
            let mut found = Vec::new();
            places(&Value::Object(faulty.clone()), "", &mut found);
            // the kind tells which claims must be there; it is ours to write and always written
            for removed in found.iter().filter(|removed| !["/keygate/kind", "/keygate"].contains(&removed.as_str())) {
                assert!(!permit(&without(faulty, removed)), "{place} without {removed}");
                judged += 1;
            }
        }
    }
    assert!(judged > 80, "{judged}");
}
