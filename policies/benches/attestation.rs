//! What an attestation policy costs beside the same checks written by hand.
//! Performance floor, policies. Claims are in memory, the policy is compiled; the copy of the claims that an evaluation
//! consumes is made outside the measure.

#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{BatchSize, Criterion};
use keygate_policies::attestation::{AttestationPolicy, ClaimSet, Outcome, Tracing, default_text};
use keygate_policies::fuel::Fuel;
use serde_json::{Map, Value, json};

const LAUNCH: &str = "1f0a2ea2c7a3bd1dc2ee3e5f3a3be2a19b3c8f4e0d6d5b7a9c8e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e";

const STRICT: &str = r#"version=1.0;
authorizationrules {
    [type=="x-ms-sevsnpvm-is-debuggable", value==true, issuer=="AttestationService"] => deny();
    [type=="x-ms-sevsnpvm-launchmeasurement", issuer=="AttestationService",
     value=="1f0a2ea2c7a3bd1dc2ee3e5f3a3be2a19b3c8f4e0d6d5b7a9c8e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e"]
        && [type=="x-ms-sevsnpvm-guestsvn", value>=8, issuer=="AttestationService"]
        && [type=="x-ms-sevsnpvm-vmpl", value==0, issuer=="AttestationService"]
        && [type=="x-ms-sevsnpvm-is-debuggable", value==false, issuer=="AttestationService"] => permit();
};
issuancerules {
    c:[type=="x-ms-sevsnpvm-guestsvn"] => issue(type="svn", value=c.value);
    c:[type=="x-ms-sevsnpvm-hostdata"] => issue(type="host", value=c.value);
};"#;

const LOG: &str = r#"version=1.2;
authorizationrules { => permit(); };
issuancerules {
    c:[type=="events", issuer=="AttestationService"]
        => add(type="sb", value=JmesPath(c.value, "Events[?EventTypeString=='EV_EFI_VARIABLE_DRIVER_CONFIG' && ProcessedData.UnicodeName=='SecureBoot']"));
    c:[type=="sb"] => issue(type="secureBootEnabled", value=JsonToClaimValue(JmesPath(c.value, "length(@)==`1` && @[0].ProcessedData.VariableData=='AQ'")));
    ![type=="secureBootEnabled"] => issue(type="secureBootEnabled", value=false);
};"#;

fn snp() -> Map<String, Value> {
    let mut claims = json!({
        "x-ms-attestation-type": "sevsnpvm", "x-ms-sevsnpvm-launchmeasurement": LAUNCH,
        "x-ms-sevsnpvm-hostdata": "ab".repeat(32), "x-ms-sevsnpvm-vmpl": 0, "x-ms-sevsnpvm-guestsvn": 8,
        "x-ms-sevsnpvm-is-debuggable": false, "x-ms-sevsnpvm-migration-allowed": false,
        "x-ms-sevsnpvm-chipid": "ab".repeat(64), "x-ms-sevsnpvm-signing-key": "vcek",
    });
    for index in 0..50 {
        claims[format!("x-ms-sevsnpvm-other-{index}")] = json!(index);
    }
    claims.as_object().cloned().unwrap_or_default()
}

fn sgx() -> Map<String, Value> {
    let claims = json!({
        "x-ms-attestation-type": "sgx", "x-ms-sgx-is-debuggable": false, "x-ms-sgx-product-id": 1, "x-ms-sgx-svn": 3,
        "x-ms-sgx-mrsigner": "cd".repeat(32), "x-ms-sgx-mrenclave": "ef".repeat(32), "x-ms-sgx-report-data": "00".repeat(64),
    });
    claims.as_object().cloned().unwrap_or_default()
}

fn events(count: usize) -> Map<String, Value> {
    let event = |n: usize| {
        json!({"EventSeq": n, "EventType": 1, "EventTypeString": "EV_EVENT_TAG", "PcrIndex": n % 24,
               "ProcessedData": {"EVENT_TRUSTBOUNDARY": {"EVENT_CODEINTEGRITY": true}}})
    };
    let mut list: Vec<Value> = (0..count).map(event).collect();
    list.push(
        json!({"EventSeq": count, "EventType": 2, "EventTypeString": "EV_EFI_VARIABLE_DRIVER_CONFIG", "PcrIndex": 7,
                     "ProcessedData": {"UnicodeName": "SecureBoot", "VariableData": "AQ"}}),
    );
    let mut claims = Map::new();
    claims.insert("events".to_owned(), json!({"Events": list}));
    claims
}

/// The strict policy by hand: no trace, no rules, no issuers.
fn handwritten(claims: &Map<String, Value>) -> bool {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let integer = |name: &str| claims.get(name).and_then(Value::as_u64);
    let truth = |name: &str| claims.get(name).and_then(Value::as_bool);
    text("x-ms-sevsnpvm-launchmeasurement") == Some(LAUNCH)
        && integer("x-ms-sevsnpvm-guestsvn").is_some_and(|svn| svn >= 8)
        && integer("x-ms-sevsnpvm-vmpl") == Some(0)
        && truth("x-ms-sevsnpvm-is-debuggable") == Some(false)
}

fn evaluated(policy: &AttestationPolicy, claims: ClaimSet, tracing: Tracing) -> Outcome {
    policy.evaluate(claims, &mut Fuel::service(), tracing).outcome
}

fn main() {
    let none = Map::new();
    let fifty = format!(
        "version=1.2;authorizationrules{{=>permit();}};issuancerules{{{}}};",
        "c:[type==\"x-ms-sevsnpvm-guestsvn\", value>=8] => issue(type=\"svn\", value=c.value);".repeat(50)
    );
    let texts = [
        ("default_snp", default_text("SevSnpVm").unwrap_or_default(), snp()),
        ("default_sgx", default_text("SgxEnclave").unwrap_or_default(), sgx()),
        ("strict_snp", STRICT, snp()),
        ("50_rules_snp", fifty.as_str(), snp()),
        ("log_300_events", LOG, events(300)),
    ];
    let mut criterion = Criterion::default().configure_from_args();
    let claims = snp();
    assert!(handwritten(&claims));
    criterion.bench_function("floor/handwritten_snp", |bench| bench.iter(|| handwritten(black_box(&claims))));
    for (name, text, claims) in &texts {
        let Ok(policy) = AttestationPolicy::parse(text) else {
            eprintln!("policy {name} does not parse");
            std::process::exit(1);
        };
        let incoming = ClaimSet::from_objects(claims, &none);
        assert!(evaluated(&policy, incoming.clone(), Tracing::On).permits(), "{name}");
        for (word, tracing) in [("evaluate", Tracing::Off), ("traced", Tracing::On)] {
            criterion.bench_function(&format!("{word}/{name}"), |bench| {
                let copy = || incoming.clone();
                bench.iter_batched(copy, |claims| evaluated(&policy, claims, tracing), BatchSize::SmallInput);
            });
        }
        criterion.bench_function(&format!("claims/{name}"), |bench| {
            bench.iter(|| ClaimSet::from_objects(black_box(claims), &none));
        });
        criterion.bench_function(&format!("compile/{name}"), |bench| {
            bench.iter(|| AttestationPolicy::parse(black_box(text)));
        });
    }
    criterion.final_summary();
}
