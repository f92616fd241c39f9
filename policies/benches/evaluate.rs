//! What a decision costs beside the same checks written by hand.
//! Performance floor, policies. `floor/*` is the bare work, the ratios at the end are what the engine adds to it.

#![allow(missing_docs)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use keygate_policies::release::{Asked, Authority, FreshnessShown, KeyRules};
use serde_json::{Map, Value, json};

const ISSUER: &str = "https://kms.example";
const LAUNCH: &str = "1f0a2ea2c7a3bd1dc2ee3e5f3a3be2a19b3c8f4e0d6d5b7a9c8e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e";
const HOST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn claims() -> Map<String, Value> {
    let mut claims = json!({
        "iss": ISSUER, "x-ms-attestation-type": "sevsnpvm",
        "keygate": {"kind": "snp", "anchor": "vendor", "debug": false, "known_forgeable": false},
        "x-ms-sevsnpvm-launchmeasurement": LAUNCH, "x-ms-sevsnpvm-hostdata": HOST, "x-ms-sevsnpvm-vmpl": 0,
        "x-ms-sevsnpvm-guestsvn": 8, "x-ms-sevsnpvm-is-debuggable": false, "x-ms-sevsnpvm-migration-allowed": false,
        "x-ms-sevsnpvm-chipid": "ab".repeat(64), "x-ms-sevsnpvm-signing-key": "vcek",
    });
    for index in 0..40 {
        claims[format!("x-ms-other-{index}")] = json!(index);
    }
    claims.as_object().cloned().unwrap_or_default()
}

fn conditions() -> Value {
    json!([
        {"claim": "x-ms-sevsnpvm-launchmeasurement", "equals": LAUNCH},
        {"claim": "x-ms-sevsnpvm-hostdata", "equals": HOST},
        {"claim": "x-ms-sevsnpvm-guestsvn", "greaterOrEquals": 8},
        {"claim": "x-ms-sevsnpvm-vmpl", "equals": "0"},
        {"claim": "x-ms-sevsnpvm-is-debuggable", "equals": "false"},
        {"claim": "keygate.known_forgeable", "equals": false},
    ])
}

/// A rule of `count` authorities, of which the last one vouches.
fn text(count: usize) -> Vec<u8> {
    let authority = |index: usize| match index + 1 == count {
        true => ISSUER.to_owned(),
        false => format!("https://shared{index}.region.attest.example/"),
    };
    let alternatives: Vec<Value> =
        (0..count).map(|index| json!({"authority": authority(index), "allOf": conditions()})).collect();
    json!({"version": "1.0.0", "anyOf": alternatives}).to_string().into_bytes()
}

/// The six tests and the guards of the same decision, written by hand: no trace, no rule, no options.
fn handwritten(claims: &Map<String, Value>) -> bool {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let integer = |name: &str| claims.get(name).and_then(Value::as_u64);
    let truth = |name: &str| claims.get(name).and_then(Value::as_bool);
    let keygate = claims.get("keygate");
    let ours = |name: &str| keygate.and_then(|keygate| keygate.get(name));
    text("x-ms-sevsnpvm-launchmeasurement") == Some(LAUNCH)
        && text("x-ms-sevsnpvm-hostdata") == Some(HOST)
        && integer("x-ms-sevsnpvm-guestsvn").is_some_and(|svn| svn >= 8)
        && integer("x-ms-sevsnpvm-vmpl") == Some(0)
        && truth("x-ms-sevsnpvm-is-debuggable") == Some(false)
        && truth("x-ms-sevsnpvm-migration-allowed") == Some(false)
        && text("x-ms-sevsnpvm-chipid").is_some_and(|chip| chip.bytes().any(|byte| byte != b'0'))
        && ours("known_forgeable") == Some(&Value::Bool(false))
        && ours("anchor").and_then(Value::as_str) == Some("vendor")
        && ours("debug") == Some(&Value::Bool(false))
}

fn decide(rules: &KeyRules, claims: &Map<String, Value>) -> bool {
    let authority = Authority { issuer: ISSUER, own: true };
    let asked = Asked {
        authority,
        claims,
        wrapping: "RSA_AES_KEY_WRAP_256",
        freshness: FreshnessShown::Once,
        references: keygate_policies::reference::References::none(),
    };
    rules.decide("release", &asked).permit
}

/// The median of 31 runs of 200 rounds, for the ratios; the careful figures are criterion's.
fn median<T>(mut work: impl FnMut() -> T) -> Duration {
    let mut runs: Vec<Duration> = (0..31)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..200 {
                black_box(work());
            }
            start.elapsed() / 200
        })
        .collect();
    runs.sort();
    runs.get(15).copied().unwrap_or_default()
}

fn main() {
    let claims = claims();
    let (few, many) = (text(1), text(60));
    let (Ok(six), Ok(sixty)) = (KeyRules::parse(&few), KeyRules::parse(&many)) else {
        eprintln!("the rules of the benchmark do not parse");
        std::process::exit(1);
    };
    assert!(handwritten(&claims) && decide(&six, &claims) && decide(&sixty, &claims));

    let mut criterion = Criterion::default().configure_from_args();
    criterion.bench_function("floor/handwritten_snp", |bench| bench.iter(|| handwritten(black_box(&claims))));
    criterion.bench_function("rule/6_leaves", |bench| bench.iter(|| decide(&six, black_box(&claims))));
    criterion.bench_function("rule/60_authorities", |bench| bench.iter(|| decide(&sixty, black_box(&claims))));
    criterion.bench_function("compile/rule", |bench| bench.iter(|| KeyRules::parse(black_box(&few))));
    criterion.bench_function("compile/60_authorities", |bench| bench.iter(|| KeyRules::parse(black_box(&many))));
    criterion.final_summary();

    let floor = median(|| handwritten(black_box(&claims)));
    let parse = median(|| serde_json::from_slice::<Value>(black_box(&few)));
    println!("\n{:<28}{:>12}{:>10}  over", "ratio", "time", "times");
    for (name, time, over, base) in [
        ("rule/6_leaves", median(|| decide(&six, black_box(&claims))), floor, "floor/handwritten_snp"),
        ("rule/60_authorities", median(|| decide(&sixty, black_box(&claims))), floor, "floor/handwritten_snp"),
        ("compile/rule", median(|| KeyRules::parse(black_box(&few))), parse, "serde_json of the same text"),
    ] {
        println!("{name:<28}{:>12}{:>9.1}x  {base}", format!("{time:?}"), time.as_secs_f64() / over.as_secs_f64());
    }
}
