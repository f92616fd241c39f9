//! What holds for every attestation policy and every set of claims.
//! Threat model, P21 and P22; policy language, section 4.

mod generated;

use std::collections::BTreeMap;

use generated::{Chance, Kind, claims, pieces, rounds, rule};
use keygate_policies::attestation::{
    AttestationPolicy, ClaimSet, Evaluation, Outcome, Tracing, default_text, is_reserved, policy_hash,
};
use keygate_policies::fuel::Fuel;

const ALL: Kind = Kind { contrary: true };

fn parsed(text: &str) -> AttestationPolicy {
    AttestationPolicy::parse(text).unwrap_or_else(|found| panic!("{text}\n{found:#?}"))
}

fn evaluate(policy: &AttestationPolicy, claims: &ClaimSet) -> Evaluation {
    policy.evaluate(claims.clone(), &mut Fuel::service(), Tracing::Off)
}

/// A hundred thousand in a release build.
#[test]
fn what_is_printed_parses_to_the_same_policy() {
    let mut chance = Chance(0x2545_F491_4F6C_DD1D);
    for _ in 0..rounds(5_000, 100_000) {
        let text = pieces(&mut chance, ALL).text(&mut chance);
        let policy = parsed(&text);
        let print = policy.print();
        let again = parsed(&print);
        assert!(again == policy, "{text}\n{print}");
        assert_eq!(again.print(), print);
        assert_eq!(policy.text(), text);
    }
}

#[test]
fn policies_that_say_different_things_are_not_equal() {
    let mut chance = Chance(0x9E37_79B9_7F4A_7C15);
    let mut prints = BTreeMap::new();
    for _ in 0..rounds(700, 10_000) {
        let policy = parsed(&pieces(&mut chance, ALL).text(&mut chance));
        if let Some(other) = prints.insert(policy.print(), policy.clone()) {
            assert!(other == policy);
        }
    }
    let all: Vec<_> = prints.values().take(300).collect();
    for (index, one) in all.iter().enumerate() {
        assert!(all.iter().skip(index + 1).all(|other| one != other));
    }
}

#[test]
fn tracing_changes_nothing_and_two_runs_are_one() {
    let mut chance = Chance(0xD1B5_4A32_D192_ED03);
    let mut seen = BTreeMap::<_, usize>::new();
    for _ in 0..rounds(2_500, 50_000) {
        let policy = parsed(&pieces(&mut chance, ALL).text(&mut chance));
        let claims = claims(&mut chance);
        let traced = policy.evaluate(claims.clone(), &mut Fuel::service(), Tracing::On);
        let plain = evaluate(&policy, &claims);
        assert_eq!((&traced.outcome, traced.steps, traced.bytes), (&plain.outcome, plain.steps, plain.bytes));
        assert_eq!(traced, policy.evaluate(claims, &mut Fuel::service(), Tracing::On));
        assert!(plain.trace.0.is_empty());
        let faults = traced.trace.0.iter().filter(|rule| rule.fault.is_some()).count();
        assert_eq!(faults, usize::from(matches!(traced.outcome, Outcome::Error(_))));
        let verb = |verb: &str| traced.trace.0.iter().any(|rule| rule.fired && rule.action == verb);
        match &traced.outcome {
            Outcome::Permit { issued, .. } => {
                assert!(verb("permit") && !verb("deny"));
                assert!(issued.keys().all(|name| !is_reserved(name)));
            }
            Outcome::Deny(_) => assert!(verb("deny") || !verb("permit")),
            Outcome::Error(error) => assert!(!error.to_string().is_empty()),
        }
        *seen.entry(traced.outcome.code()).or_default() += 1;
    }
    assert!(seen.len() >= 3 && seen.values().all(|count| *count > 50), "{seen:?}");
}

#[test]
fn a_deny_more_never_opens_and_a_permit_less_never_opens() {
    let mut chance = Chance(0xA076_1D64_78BD_642F);
    let (mut closed, mut opened) = (0, 0);
    for _ in 0..rounds(2_000, 40_000) {
        let pieces = pieces(&mut chance, ALL);
        let claims = claims(&mut chance);
        let outcome = evaluate(&parsed(&pieces.text(&mut chance)), &claims).outcome;
        let (before, faulty) = (outcome.permits(), matches!(outcome, Outcome::Error(_)));

        let mut denying = pieces.clone();
        let deny = loop {
            let rule = rule(&mut chance, ALL, pieces.version, true);
            if rule.contains("deny()") {
                break rule;
            }
        };
        denying.authorization.insert(chance.below(pieces.authorization.len() + 1), deny);
        let after = evaluate(&parsed(&denying.text(&mut chance)), &claims).outcome.permits();
        assert!(before || !after, "{}", denying.text(&mut Chance(1)));
        closed += usize::from(before && !after);

        let mut fewer = pieces.clone();
        if let Some(at) = fewer.authorization.iter().position(|rule| rule.contains("permit()")) {
            fewer.authorization.remove(at);
            let after = evaluate(&parsed(&fewer.text(&mut chance)), &claims).outcome.permits();
            assert!(before || faulty || !after, "{}", fewer.text(&mut Chance(1)));
        }
        opened += usize::from(before);
    }
    assert!(closed > 50 && opened > 250, "{closed} closed, {opened} open");
}

#[test]
fn a_claim_less_never_opens_where_nothing_is_contrary() {
    let mut chance = Chance(0xE703_7ED1_A0B4_28DB);
    let mut closed = 0;
    for _ in 0..rounds(2_000, 40_000) {
        let policy = parsed(&pieces(&mut chance, Kind { contrary: false }).text(&mut chance));
        let claims = claims(&mut chance);
        let before = evaluate(&policy, &claims).outcome;
        if matches!(before, Outcome::Error(_)) {
            continue;
        }
        for gone in 0..claims.len() {
            let fewer = claims.iter().enumerate().filter(|(index, _)| *index != gone).map(|(_, claim)| claim.clone());
            let after = evaluate(&policy, &fewer.collect()).outcome;
            assert!(before.permits() || !after.permits(), "{}", policy.print());
            closed += usize::from(before.permits() && !after.permits());
        }
    }
    assert!(closed > 50, "{closed}");
}

#[test]
fn any_budget_too_small_is_a_denial() {
    let mut chance = Chance(0x8EBC_6AF0_9C88_C6E3);
    for _ in 0..rounds(700, 10_000) {
        let policy = parsed(&pieces(&mut chance, ALL).text(&mut chance));
        let claims = claims(&mut chance);
        let whole = evaluate(&policy, &claims);
        for (steps, bytes) in [(whole.steps, whole.bytes), (whole.steps / 2, 1 << 20), (1 << 20, whole.bytes / 2)] {
            let mut fuel = Fuel::new(steps, bytes);
            let part = policy.evaluate(claims.clone(), &mut fuel, Tracing::On);
            if steps >= whole.steps && bytes >= whole.bytes {
                assert_eq!(part.outcome, whole.outcome);
            } else {
                assert_eq!(part.outcome.code(), Some("budget-exceeded"), "{}", policy.print());
            }
            assert!(fuel.steps_spent() <= steps && fuel.bytes_spent() <= bytes);
        }
    }
}

#[test]
fn defaults_parse_and_permit() {
    for (kind, version) in [("SgxEnclave", "1.1"), ("OpenEnclave", "1.1"), ("SevSnpVm", "1.0"), ("tdxvm", "1.0")] {
        let policy = parsed(default_text(kind).unwrap());
        assert_eq!(policy.version().as_str(), version, "{kind}");
        assert!(evaluate(&policy, &ClaimSet::new()).outcome.permits(), "{kind}");
    }
    assert_eq!(parsed(default_text("SgxEnclave").unwrap()).configuration().sgx_tcb_identifier(), Some("azuredefault"));
    assert_eq!(default_text("Tpm"), None);
    assert_eq!(default_text("Nothing"), None);
    assert_ne!(policy_hash("version=1.0;"), policy_hash("version= 1.0;"));
}
