//! A rule over claims: total, without side effects, and nothing is skipped that would explain a denial.
//! Secure key release, section 2; threat model, P21 and P22.

use serde_json::{Map, Value, json};

use super::authority::canonical;
use super::decision::{Asked, Authority, Decision, Leaf, LeafKind, Observed};
use super::document::KeyRules;
use super::guards;
use super::operand::{Operand, Operator};
use super::print;
use super::rule::{Alternative, Condition, Group, Join, ReleaseRule, Test};
use crate::limits::{OBSERVED_CHARS, OBSERVED_ELEMENTS};
use crate::reference::{Held, References};

/// Guards and rule together. The use is permitted where every guard of the options holds and one vouching authority's
/// conditions hold, with every hardware guard (P9) either holding or left to a test of that same authority.
pub(crate) fn decide(rules: &KeyRules, operation: &str, asked: &Asked<'_>) -> Decision {
    let guards = guards::examine(rules.options(), operation, asked);
    let found = rules.rule(operation);
    let judged = found.map(|(_, rule)| judge(rule, &asked.authority, asked.claims, asked.references));
    let Judged { alternatives, leaves } = judged.unwrap_or_default();

    let holding = || alternatives.iter().filter(|alternative| alternative.holds);
    let deciding =
        holding().find(|alternative| guards.hardware_holds(alternative.tests_that_hold())).or_else(|| holding().next());
    let waivers = deciding.map(|alternative| alternative.tests_that_hold().collect::<Vec<_>>());
    let guarded = guards.settle(&waivers.unwrap_or_default());

    let code = match (found, guarded.options, deciding) {
        (None, _, _) => Some("operation-not-allowed"),
        (_, Some(code), _) => Some(code),
        (_, None, None) => Some("rule-not-satisfied"),
        (_, None, Some(_)) => guarded.hardware,
    };
    let mut all = guarded.leaves;
    all.extend(leaves);
    Decision { permit: code.is_none(), code, rule: found.map(|(name, _)| name), leaves: all }
}

/// A rule without the guards of a key's options.
pub(crate) fn rule_alone(
    rule: &ReleaseRule,
    authority: &Authority<'_>,
    claims: &Map<String, Value>,
    references: &References,
) -> Decision {
    let judged = judge(rule, authority, claims, references);
    let permit = judged.alternatives.iter().any(|alternative| alternative.holds);
    let code = (!permit).then_some("rule-not-satisfied");
    Decision { permit, code, rule: None, leaves: judged.leaves }
}

#[derive(Default)]
struct Judged<'r> {
    alternatives: Vec<Outcome<'r>>,
    leaves: Vec<Leaf>,
}

/// What came of one vouching authority's conditions.
struct Outcome<'r> {
    holds: bool,
    tests: Vec<(&'r Test, bool)>,
}

impl<'r> Outcome<'r> {
    fn tests_that_hold(&self) -> impl Iterator<Item = &'r Test> {
        self.tests.iter().filter(|(_, holds)| *holds).map(|(test, _)| *test)
    }
}

fn judge<'r>(
    rule: &'r ReleaseRule,
    authority: &Authority<'_>,
    claims: &Map<String, Value>,
    references: &References,
) -> Judged<'r> {
    let issuer = canonical(authority.issuer);
    let mut judged = Judged::default();
    for alternative in &rule.alternatives {
        if alternative.authority.vouches(authority, issuer.as_deref()) {
            let mut tests = Vec::new();
            let holds = group(&alternative.conditions, (claims, references), &mut tests, &mut judged.leaves);
            judged.alternatives.push(Outcome { holds, tests });
        }
    }
    if judged.alternatives.is_empty() {
        judged.leaves.push(nobody_vouches(&rule.alternatives, authority));
    }
    judged
}

fn group<'r>(
    group: &'r Group,
    given: (&Map<String, Value>, &References),
    tests: &mut Vec<(&'r Test, bool)>,
    leaves: &mut Vec<Leaf>,
) -> bool {
    let (mut all, mut any) = (!group.conditions.is_empty(), false);
    for condition in &group.conditions {
        let holds = match condition {
            Condition::Group(inner) => self::group(inner, given, tests, leaves),
            Condition::Test(test) => {
                let leaf = look(test, given);
                tests.push((test, leaf.result));
                leaves.push(leaf);
                leaves.last().is_some_and(|leaf| leaf.result)
            }
        };
        all &= holds;
        any |= holds;
    }
    match group.join {
        Join::All => all,
        Join::Any => any,
    }
}

fn look(test: &Test, (claims, references): (&Map<String, Value>, &References)) -> Leaf {
    let claim = test.path.find(claims);
    let held = match (test.operator, &test.operand) {
        (Operator::Reference, Operand::Text(name)) => Some(references.hold(name, &test.path, claim)),
        _ => None,
    };
    let serial = match held {
        Some(Held::Match(serial)) => Some(serial),
        _ => None,
    };
    Leaf {
        path: test.path.as_str().to_owned(),
        operator: test.operator.as_str(),
        expected: print::operand(&test.operand),
        observed: observed(claim),
        result: held.map_or_else(|| test.operator.holds(claim, &test.operand), |_| serial.is_some()),
        reason: held.and_then(Held::reason),
        serial,
        kind: LeafKind::Rule,
        at: test.at.clone(),
    }
}

/// The one leaf of a rule none of whose authorities is the issuer.
fn nobody_vouches(alternatives: &[Alternative], authority: &Authority<'_>) -> Leaf {
    let known = alternatives.iter().map(|alternative| alternative.authority.as_str());
    Leaf {
        path: "iss".to_owned(),
        operator: "oneOf",
        expected: json!(known.collect::<Vec<_>>()),
        observed: Observed::Value(json!(authority.issuer)),
        result: false,
        reason: None,
        serial: None,
        kind: LeafKind::Rule,
        at: alternatives.first().map_or_else(String::new, |first| first.at.trim_end_matches("[0]").to_owned()),
    }
}

/// What a decision records of a claim: scalars whole, long texts cut, short lists of scalars whole, the rest described.
pub(crate) fn observed(claim: Option<&Value>) -> Observed {
    let Some(claim) = claim else {
        return Observed::Absent;
    };
    Observed::Value(match claim {
        Value::String(text) => match text.char_indices().nth(OBSERVED_CHARS) {
            Some((cut, _)) => json!(format!("{}…", text.get(..cut).unwrap_or_default())),
            None => claim.clone(),
        },
        Value::Array(elements) if is_short(elements) => claim.clone(),
        Value::Array(elements) => json!(format!("(list of {})", elements.len())),
        Value::Object(members) => json!(format!("(object of {})", members.len())),
        _ => claim.clone(),
    })
}

fn is_short(elements: &[Value]) -> bool {
    let short = |element: &Value| match element {
        Value::Array(_) | Value::Object(_) => false,
        Value::String(text) => text.len() <= OBSERVED_CHARS,
        _ => true,
    };
    elements.len() <= OBSERVED_ELEMENTS && elements.iter().all(short)
}
