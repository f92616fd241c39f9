//! What an attestation policy costs beside the same checks written by hand.
//! Performance floor, policies. Claims are in memory, the policy is compiled; the claims that an evaluation consumes
//! are made outside of the measure.

#![allow(missing_docs)]

#[path = "../../tests/benches/rounds.rs"]
mod rounds;

use std::hint::black_box;

use keygate_policies::attestation::{AttestationPolicy, ClaimSet, Outcome, Tracing, default_text};
use keygate_policies::fuel::Fuel;
use rounds::{Rounds, V};
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

/// What the verifier says of a report of version 3: as many claims, as long names and values.
fn snp() -> Map<String, Value> {
    let mut claims = json!({
        "x-ms-attestation-type": "sevsnpvm",
        "keygate": {"kind": "snp", "anchor": "vendor", "debug": false, "known_forgeable": false,
                    "profile": "azure", "not_after": 1_800_003_600},
    });
    let mut add = |name: &str, value: Value| claims[format!("x-ms-sevsnpvm-{name}")] = value;
    for (name, bytes) in [
        ("familyId", 16),
        ("imageId", 16),
        ("reportdata", 64),
        ("hostdata", 32),
        ("reportid", 32),
        ("reportid-ma", 32),
        ("chipid", 64),
        ("idkeydigest", 48),
        ("authorkeydigest", 48),
        ("policy", 8),
        ("platform-info", 8),
    ] {
        add(name, json!("ab".repeat(bytes)));
    }
    for (name, value) in [
        ("report-version", 3),
        ("guestsvn", 8),
        ("vmpl", 0),
        ("cpuid-family", 25),
        ("cpuid-model", 17),
        ("cpuid-stepping", 1),
    ] {
        add(name, json!(value));
    }
    for name in [
        "author-key-en",
        "mask-chip-key",
        "is-debuggable",
        "migration-allowed",
        "single-socket",
        "cxl-allowed",
        "mem-aes-256-xts",
        "rapl-dis",
        "ciphertext-hiding",
        "smt-allowed",
        "smt-enabled",
        "tsme-enabled",
        "ecc-enabled",
        "rapl-disabled",
        "ciphertext-hiding-enabled",
        "alias-check-complete",
    ] {
        add(name, json!(false));
    }
    for (name, text) in [
        ("launchmeasurement", LAUNCH),
        ("signing-key", "vcek"),
        ("current-version", "1.55.22"),
        ("committed-version", "1.55.22"),
        ("product", "Genoa"),
    ] {
        add(name, json!(text));
    }
    for prefix in ["", "committed-", "current-", "launch-"] {
        for level in ["bootloader", "tee", "snpfw", "microcode"] {
            add(&format!("{prefix}{level}-svn"), json!(9));
        }
    }
    claims.as_object().cloned().unwrap_or_default()
}

/// A policy of 40 rules as an operator writes them: 20 about what is authorized, one of which permits, and 20 claims for the token.
fn forty() -> String {
    let mut text = String::from("version=1.2;\nauthorizationrules {\n");
    for name in ["is-debuggable", "migration-allowed", "mask-chip-key"] {
        text +=
            &format!("    [type==\"x-ms-sevsnpvm-{name}\", value==true, issuer==\"AttestationService\"] => deny();\n");
    }
    let levels = ["", "committed-", "current-", "launch-"].map(|prefix| {
        ["bootloader", "tee", "snpfw", "microcode"].map(|level| format!("x-ms-sevsnpvm-{prefix}{level}-svn"))
    });
    for name in levels.as_flattened() {
        text += &format!("    [type==\"{name}\", value<3, issuer==\"AttestationService\"] => deny();\n");
    }
    text += &format!(
        "    [type==\"x-ms-sevsnpvm-launchmeasurement\", value==\"{LAUNCH}\", issuer==\"AttestationService\"]\n"
    );
    text += "        && [type==\"x-ms-sevsnpvm-guestsvn\", value>=8, issuer==\"AttestationService\"]\n";
    text += "        && [type==\"x-ms-sevsnpvm-vmpl\", value==0, issuer==\"AttestationService\"] => permit();\n};\nissuancerules {\n";
    for name in ["guestsvn", "hostdata", "launchmeasurement", "product"] {
        text += &format!("    c:[type==\"x-ms-sevsnpvm-{name}\"] => issue(type=\"{name}\", value=c.value);\n");
    }
    for name in levels.as_flattened() {
        let short = name.trim_start_matches("x-ms-sevsnpvm-");
        text += &format!("    c:[type==\"{name}\"] => issue(type=\"{short}\", value=c.value);\n");
    }
    text + "};\n"
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

/// What the log policy asks, by hand, over the same text.
fn handwritten_log(text: &str) -> bool {
    let Ok(log) = serde_json::from_str::<Value>(text) else { return false };
    let events = log.get("Events").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut found = events.iter().filter_map(|event| {
        let said = event.get("EventTypeString")?.as_str()? == "EV_EFI_VARIABLE_DRIVER_CONFIG";
        let data = event.get("ProcessedData")?;
        (said && data.get("UnicodeName")?.as_str()? == "SecureBoot").then_some(data)
    });
    let only = found.next().filter(|_| found.next().is_none());
    only.and_then(|data| data.get("VariableData")) == Some(&json!("AQ"))
}

fn evaluated(policy: &AttestationPolicy, claims: ClaimSet, tracing: Tracing) -> Outcome {
    policy.evaluate(claims, &mut Fuel::service(), tracing).outcome
}

fn main() {
    let none = Map::new();
    let fifty = format!(
        "version=1.2;authorizationrules{{=>permit();}};issuancerules{{{}}};",
        "c:[type==\"x-ms-sevsnpvm-guestsvn\", value>=8] => issue(type=\"svn\", value=c.value);".repeat(49)
    );
    let (forty, snp, log) = (forty(), snp(), events(300));
    let by_hand = (1.0, "floor/handwritten_snp");
    let texts = [
        ("default_sgx", default_text("SgxEnclave").unwrap_or_default(), sgx(), by_hand),
        ("default_snp", default_text("SevSnpVm").unwrap_or_default(), snp.clone(), by_hand),
        ("strict_snp", STRICT, snp.clone(), by_hand),
        ("40_rules_snp", forty.as_str(), snp.clone(), by_hand),
        ("50_rules_snp", fifty.as_str(), snp.clone(), by_hand),
        ("jmespath_300_events", LOG, log.clone(), (1.0, "floor/handwritten_300_events")),
    ];
    let text = log.get("events").map(Value::to_string).unwrap_or_default();
    assert!(handwritten(&snp) && handwritten_log(&text));
    let mut rounds = Rounds::new();
    rounds.case("floor/handwritten_snp", Vec::new(), || handwritten(black_box(&snp)));
    rounds.case("floor/handwritten_300_events", Vec::new(), || handwritten_log(black_box(&text)));
    for (name, text, claims, floor) in &texts {
        let policy = AttestationPolicy::parse(text).unwrap_or_else(|found| panic!("policy {name}: {found:?}"));
        let incoming = ClaimSet::from_objects(claims, &none);
        assert!(evaluated(&policy, incoming, Tracing::On).permits(), "{name}");
        for (word, tracing) in [("evaluate", Tracing::Off), ("traced", Tracing::On)] {
            let (policy, made) = (policy.clone(), || ClaimSet::from_objects(claims, &none));
            rounds.fed(format!("{word}/{name}"), vec![*floor], made, move |claims| evaluated(&policy, claims, tracing));
        }
        rounds.case(format!("claims/{name}"), vec![(1.0, V)], || ClaimSet::from_objects(black_box(claims), &none));
        rounds.case(format!("compile/{name}"), vec![(1.0, V)], || AttestationPolicy::parse(black_box(text)));
    }
    rounds.run();
}
