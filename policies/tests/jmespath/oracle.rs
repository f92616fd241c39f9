//! Beside the crate `jmespath` 0.5: the same query over the same data has the same answer, but for the rules below.

use std::collections::BTreeMap;

use jmespath::{ErrorReason, RuntimeError};
use keygate_policies::fuel::Fuel;
use keygate_policies::jmespath::Expression;
use serde_json::Value;

use crate::maker::Maker;

/// An answer of either: a value, or the kind of the fault.
type Answer = Result<Value, String>;

fn ours(query: &str, data: &Value) -> Answer {
    let mut fuel = Fuel::new(10_000_000, 1 << 30);
    let found = Expression::parse(query).and_then(|query| query.search(data, &mut fuel));
    found.map_err(|fault| fault.kind().to_owned())
}

fn kind(reason: &ErrorReason) -> String {
    let kind = match reason {
        ErrorReason::Parse(message) if message.contains("valid f64") => "no number",
        ErrorReason::Parse(_) => "syntax",
        ErrorReason::Runtime(RuntimeError::InvalidSlice) => "invalid-value",
        ErrorReason::Runtime(RuntimeError::UnknownFunction(_)) => "unknown-function",
        ErrorReason::Runtime(RuntimeError::InvalidType { .. } | RuntimeError::InvalidReturnType { .. }) => {
            "invalid-type"
        }
        ErrorReason::Runtime(_) => "invalid-arity",
    };
    kind.to_owned()
}

fn theirs(query: &str, data: &Value) -> Answer {
    let found = jmespath::compile(query).and_then(|query| query.search(data));
    match found {
        Ok(found) => Ok(serde_json::to_value(&*found).unwrap()),
        Err(fault) => Err(kind(&fault.reason)),
    }
}

/// Numbers by value, since the oracle makes every result of arithmetic a fraction; members in any order.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            let (left, right) = (left.as_f64().unwrap(), right.as_f64().unwrap());
            (left - right).abs() <= 1e-12 * left.abs().max(right.abs())
        }
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

fn agree(ours: &Answer, theirs: &Answer) -> bool {
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => same(ours, theirs),
        (Err(ours), Err(theirs)) => ours == theirs,
        _ => false,
    }
}

/// Where we differ on purpose. A rule names what has to be true of query and answers for it to explain a difference.
fn rule(query: &str, ours: &Answer, theirs: &Answer) -> Option<&'static str> {
    let arithmetic = ["abs(", "avg(", "ceil(", "floor(", "sum("].iter().any(|name| query.contains(name));
    let is = |answer: &Answer, kind: &str| answer.as_ref().is_err_and(|found| found == kind);
    Some(match () {
        () if is(ours, "unknown-function") || is(ours, "invalid-arity") => "names and counts are judged by the parser",
        () if is(theirs, "no number") => "the average of nothing is null",
        () if is(ours, "syntax") && query.contains('&') => "`&` begins an argument and nothing else",
        () if is(ours, "syntax") && misses_comma(query) => "arguments and elements are parted by one comma each",
        () if query.contains("to_string(") && arithmetic => "whole results are written as integers",
        () => return None,
    })
}

/// Whether what we miss in `query` is a comma, or what should follow one.
fn misses_comma(query: &str) -> bool {
    let message = Expression::parse(query).map_or_else(|fault| fault.to_string(), |_| String::new());
    let closes = ["found `)`", "found `]`"].iter().any(|found| message.contains(found));
    message.contains("where `,` or") || closes && message.contains("where an expression")
}

/// Whether they agree, or the rule by which they do not.
fn compare(query: &str, data: &Value) -> Option<&'static str> {
    let (ours, theirs) = (ours(query, data), theirs(query, data));
    if agree(&ours, &theirs) {
        return None;
    }
    let found = rule(query, &ours, &theirs);
    assert!(found.is_some(), "{query}\nover {data}\nours   {ours:?}\ntheirs {theirs:?}");
    found
}

fn rounds(few: u64) -> u64 {
    if std::env::var_os("KEYGATE_FULL").is_some() { few * 50 } else { few }
}

#[test]
fn generated_queries_have_the_oracles_answers() {
    let (mut values, mut nulls, mut faults) = (0, 0, 0);
    let mut differences: BTreeMap<&str, u64> = BTreeMap::new();
    let rounds = rounds(20_000);
    for seed in 0..rounds {
        let mut maker = Maker::new(seed);
        let depth = 1 + maker.below(4);
        let (query, data) = (maker.query(depth), maker.value(3));
        if let Some(rule) = compare(&query, &data) {
            *differences.entry(rule).or_default() += 1;
        }
        match ours(&query, &data) {
            Ok(Value::Null) => nulls += 1,
            Ok(_) => values += 1,
            Err(_) => faults += 1,
        }
    }
    println!("{rounds} queries: {values} values, {nulls} nulls, {faults} faults; known differences: {differences:?}");
    assert!(values > rounds / 4, "too few of the queries find something");
    assert!(differences.values().sum::<u64>() < rounds / 50, "{differences:?}");
}

#[test]
fn any_order_of_tokens_is_taken_or_refused_by_both() {
    let mut taken = 0;
    let mut differences: BTreeMap<&str, u64> = BTreeMap::new();
    let rounds = rounds(100_000);
    for seed in 0..rounds {
        let soup = Maker::new(seed).soup();
        taken += u64::from(Expression::parse(&soup).is_ok());
        if let Some(rule) = compare(&soup, &Value::Null) {
            *differences.entry(rule).or_default() += 1;
        }
    }
    println!("{rounds} soups, {taken} of them queries; known differences: {differences:?}");
    assert!(taken > rounds / 100);
}
