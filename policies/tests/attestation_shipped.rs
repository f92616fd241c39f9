//! The policies to copy from, the examples of the page about them, and the policies met in the field.
//! `config/policies`, `docs/policy-language.md`; claims page, section 3; the recorded and documented policies.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_policies::attestation::{
    AttestationPolicy, ClaimSet, Outcome, Tracing, azure_message, default_text, policy_hash,
};
use keygate_policies::fuel::Fuel;
use keygate_policies::{Limits, json};
use serde_json::{Map, Value, json};

fn file(path: &str) -> String {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn parsed(text: &str) -> AttestationPolicy {
    AttestationPolicy::parse(text).unwrap_or_else(|found| panic!("{text}\n{found:#?}"))
}

fn outcome(policy: &AttestationPolicy, attested: &Value, presented: &Value) -> Outcome {
    let claims = ClaimSet::from_objects(attested.as_object().unwrap(), presented.as_object().unwrap());
    policy.evaluate(claims, &mut Fuel::service(), Tracing::Off).outcome
}

/// A kind, its claims where everything is as it should be, and the blanks of its policy with what to fill in.
type Kind = (&'static str, Value, Vec<(&'static str, &'static str)>);

fn kinds() -> [Kind; 5] {
    let sgx = json!({"x-ms-attestation-type": "sgx", "x-ms-sgx-is-debuggable": false, "x-ms-sgx-mrsigner": "aa",
        "x-ms-sgx-mrenclave": "bb", "x-ms-sgx-product-id": 1, "x-ms-sgx-svn": 2});
    let snp = json!({"x-ms-sevsnpvm-is-debuggable": false, "x-ms-sevsnpvm-migration-allowed": false,
        "x-ms-sevsnpvm-vmpl": 0, "x-ms-sevsnpvm-launchmeasurement": "aa", "x-ms-sevsnpvm-hostdata": "bb",
        "x-ms-sevsnpvm-guestsvn": 1});
    let tdx = json!({"tdx_td_attributes_debug": false, "attester_tcb_status": "UpToDate", "tdx_mrtd": "aa",
        "tdx_rtmr0": "b0", "tdx_rtmr1": "b1", "tdx_rtmr2": "b2"});
    let nitro = json!({"nitro": {"module_id": "i", "pcrs": {"0": "a0", "3": "a3", "8": "a8", "1": "00"}}});
    let software = json!({"software": {"measurement": "aa", "host": "h"}});
    [
        ("sgx", sgx, vec![("64 hex digits of the signer", "aa")]),
        ("snp", snp, vec![("96 hex digits of the launch measurement", "aa"), ("64 hex digits of HOST_DATA", "bb")]),
        (
            "tdx",
            tdx,
            vec![
                ("96 hex digits of MRTD", "aa"),
                ("96 hex digits of RTMR0", "b0"),
                ("96 hex digits of RTMR1", "b1"),
                ("96 hex digits of RTMR2", "b2"),
            ],
        ),
        (
            "nitro",
            nitro,
            vec![
                ("96 hex digits of the image", "a0"),
                ("96 hex digits of the role", "a3"),
                ("96 hex digits of the signer", "a8"),
            ],
        ),
        ("software", software, vec![("96 hex digits of the measurement", "aa")]),
    ]
}

#[test]
fn shipped_policies_deny_until_they_are_filled_in_and_then_every_test_counts() {
    let shipped: BTreeSet<String> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../config/policies"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(shipped, kinds().iter().map(|(kind, ..)| format!("{kind}.policy")).collect());
    let none = json!({});
    for (kind, claims, blanks) in kinds() {
        let mut text = file(&format!("config/policies/{kind}.policy"));
        let blank = parsed(&text);
        assert!(blank.warnings().is_empty(), "{kind}: {:#?}", blank.warnings());
        assert_eq!(outcome(&blank, &claims, &none).code(), Some("policy-denied"), "{kind}");
        for (blank, value) in blanks {
            assert_eq!(text.matches(blank).count(), 1, "{kind}: {blank}");
            text = text.replace(blank, value);
        }
        let policy = parsed(&text);
        assert!(outcome(&policy, &claims, &none).permits(), "{kind}: {:?}", outcome(&policy, &claims, &none));
        assert!(!outcome(&policy, &none, &claims).permits(), "{kind}: the client says it all itself");
        assert!(!outcome(&policy, &none, &none).permits(), "{kind}");
        for name in claims
            .as_object()
            .unwrap()
            .keys()
            .filter(|name| text.split("issuancerules").next().unwrap().contains(*name))
        {
            let mut other = claims.clone();
            other[name] = json!("another");
            assert!(!outcome(&policy, &other, &none).permits(), "{kind}: {name}");
        }
    }
    let text = file("config/policies/nitro.policy").replace("96 hex digits of the", "");
    assert!(!outcome(&parsed(&text), &json!({"nitro": {"pcrs": {"0": "0", "3": "0", "8": "0"}}}), &none).permits());
}

/// The fenced blocks of the page that begin with ```` ```WORD ````.
fn blocks(word: &str) -> Vec<String> {
    let page = file("docs/policy-language.md");
    let fence = format!("```{word}\n");
    let body = |rest: &str| rest.split("\n```").next().unwrap_or_default().to_owned();
    page.split(&fence).skip(1).map(body).collect()
}

#[test]
fn examples_of_the_page_are_what_they_say() {
    let policies = blocks("policy");
    assert!(policies.len() >= 5, "{}", policies.len());
    for text in &policies {
        parsed(text);
    }
    let refused = blocks("policy refused");
    let messages = blocks("text message");
    assert!(refused.len() == messages.len() && !refused.is_empty());
    for (text, message) in refused.iter().zip(&messages) {
        assert_eq!(&azure_message(&AttestationPolicy::parse(text).unwrap_err()[0]), message, "{text}");
    }
}

#[test]
fn the_trace_of_the_page_is_the_one_the_engine_gives() {
    let read = |text: &str| json::parse(text.as_bytes(), &Limits::CLAIMS).unwrap().to_value();
    let claims = ClaimSet::from_json(blocks("json claims")[0].as_bytes()).unwrap();
    let evaluation = parsed(&blocks("policy")[0]).evaluate(claims, &mut Fuel::service(), Tracing::On);
    let trace = serde_json::to_value(&evaluation.trace).unwrap();
    assert_eq!(trace, read(&blocks("json trace")[0]), "{trace:#}");
    let Outcome::Permit { issued, .. } = evaluation.outcome else { panic!("denied") };
    assert_eq!(Value::Object(issued), read(&blocks("json issued")[0]));
}

#[test]
fn every_warning_stands_in_the_page() {
    let page = file("docs/policy-language.md");
    let source = file("policies/src/attestation/lint.rs");
    let codes: Vec<&str> = source.split('"').filter(|word| word.starts_with("policy-warning.")).collect();
    assert!(codes.len() >= 8);
    for code in codes {
        assert!(page.contains(&format!("`{code}`")), "{code}");
    }
}

fn vectors() -> Option<PathBuf> {
    let folder = std::env::var_os("KEYGATE_VECTORS")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors")), PathBuf::from)
        .join("maa-sdk");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var_os("CI").is_none(), "vectors are absent, and CI is set");
    let line = "SKIPPED 1 test: no vectors, set KEYGATE_VECTORS\n";
    // Not by a macro, whose words are kept back where a test succeeds.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
    None
}

/// The payload of a token, and within it the policy: its own, or that of the token it carries.
fn policy_of(token: &str) -> Option<String> {
    let payload = URL_SAFE_NO_PAD.decode(token.trim().split('.').nth(1)?).ok()?;
    let payload: Map<String, Value> = serde_json::from_slice(&payload).ok()?;
    if let Some(inner) = payload.get("x-ms-policy") {
        return policy_of(inner.as_str()?);
    }
    let text = URL_SAFE_NO_PAD.decode(payload.get("AttestationPolicy")?.as_str()?.trim_end_matches('=')).ok()?;
    String::from_utf8(text).ok()
}

fn collect(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let token = name.starts_with("policy-") && (name.ends_with(".jws") || name.ends_with(".jwt"));
        let text = token.then(|| policy_of(&std::fs::read_to_string(&path).unwrap())).flatten();
        found.extend(text.map(|text| (name, text)));
    }
}

#[test]
fn policies_in_the_field_parse_and_their_digests_are_those_recorded() {
    let Some(folder) = vectors() else { return };
    let mut found = Vec::new();
    collect(&folder.join("python"), &mut found);
    collect(&folder.join("docs"), &mut found);
    assert!(found.len() >= 15, "{}", found.len());
    let facts: Value = serde_json::from_slice(&std::fs::read(folder.join("expected-facts.json")).unwrap()).unwrap();
    let mut digests = BTreeSet::new();
    for (name, text) in &found {
        let policy = parsed(text);
        assert_eq!(parsed(&policy.print()), policy, "{name}");
        digests.insert(policy_hash(text));
        let stem = name.split('.').next().unwrap();
        for key in [format!("python/{stem}"), format!("docs/{name}")] {
            let fact = &facts[&key];
            if let Some(recorded) = fact["policy_text"].as_str() {
                assert_eq!(recorded, text, "{name}");
            }
            if let Some(recorded) = fact["policy_hash"].as_str() {
                assert_eq!(recorded, policy_hash(text), "{name}");
            }
        }
    }
    for recorded in [
        "z0FRjKS0ssQTNur1V6BV8WIrh9M3fzgTo0EfHRvapWU",
        "bROrN897ZfWmWY2V0FLUlu3uwk5xatGnKYHn3zBbSlw",
        "egjnANIzEpS2WgpE4Nk-QEwM69XRCgTs42_G0qLlbnk",
        "RO-Stf0xnI2nBnZ0VlRnafFX0Pvzyd-zXlrPCNxc8bg",
    ] {
        assert!(digests.contains(recorded), "{recorded}: {digests:?}");
    }
}

#[test]
fn documented_policies_mean_what_they_were_written_for() {
    let Some(folder) = vectors() else { return };
    let read =
        |name: &str| parsed(&policy_of(&std::fs::read_to_string(folder.join("docs").join(name)).unwrap()).unwrap());
    let claims = |debug: bool| {
        json!({"x-ms-sgx-is-debuggable": debug, "x-ms-sgx-mrsigner": "aa", "x-ms-sgx-mrenclave": "bb",
               "x-ms-sgx-product-id": 1, "x-ms-sgx-svn": 2, "x-ms-attestation-type": "sgx"})
    };
    let none = json!({});
    let unsigned = read("policy-unsigned.jws");
    let Outcome::Permit { issued, .. } = outcome(&unsigned, &claims(true), &none) else { panic!("denied") };
    let expected = json!({"is-debuggable": true, "sgx-mrsigner": "aa", "sgx-mrenclave": "bb", "product-id": 1, "svn": 2,
        "tee": "sgx"});
    assert_eq!(Value::Object(issued), expected);
    assert!(!outcome(&unsigned, &none, &none).permits());

    let signed = read("policy-signed.jws");
    assert_eq!(outcome(&signed, &claims(true), &none).code(), Some("policy-denied"));
    assert!(outcome(&signed, &claims(false), &none).permits());
}

#[test]
fn the_default_of_sgx_issues_what_the_recorded_tokens_say() {
    let Some(folder) = vectors() else { return };
    let token = std::fs::read_to_string(folder.join("python/token-sgx_enclave-shared-binary.jwt")).unwrap();
    let body = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let body: Map<String, Value> = serde_json::from_slice(&body).unwrap();
    let attested: Map<String, Value> = body
        .iter()
        .filter(|(name, _)| name.starts_with("x-ms-"))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let policy = parsed(default_text("SgxEnclave").unwrap());
    let Outcome::Permit { issued, .. } = outcome(&policy, &Value::Object(attested), &json!({})) else {
        panic!("denied")
    };
    assert_eq!(issued.len(), 6);
    for (name, value) in issued {
        assert_eq!(body.get(&name), Some(&value), "{name}");
    }
}
