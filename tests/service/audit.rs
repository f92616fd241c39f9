//! What is recorded, when, and what never is. Threat model P42 to P45; `bad-inputs.md` AUD-06.

use std::net::{IpAddr, Ipv4Addr};

use keygate::broker::*;
use keygate_keystore::{Damage, JournalVerdict, KeyType};
use serde_json::json;

use super::broker::*;

#[tokio::test]
async fn a_permit_is_recorded_with_everything_that_decided_it() {
    let house = House::new();
    let rule_digest = house.key("db-key", KeyType::Oct256, json!({}));
    let workload = Workload::new();
    let answer = house.broker.use_key(workload.release(&house, "db-key")).await.unwrap();
    let receipt = check_receipt(&house, &answer.body);
    let record = house.newest("key.use");
    assert_eq!(record["decision"], "permit");
    assert_eq!(record["operation"], "release");
    assert_eq!(record["key"], "db-key");
    assert_eq!(record["source"], "192.0.2.0/24");
    assert_eq!(record["rule"], "default");
    assert_eq!(record["freshness"], "once");
    assert_eq!(record["rule_digest"], b64(&rule_digest));
    for same in ["recipient", "request", "evidence_digest", "policy_digest"] {
        assert_eq!(record[same], receipt[same], "{same}");
    }
    assert_eq!(record["claims"]["software"]["measurement"], hex::encode(GOOD));
    let leaves = record["leaves"].as_array().unwrap();
    assert!(leaves.iter().any(|leaf| leaf["path"] == "software.measurement" && leaf["result"] == true));
}

#[tokio::test]
async fn a_denial_is_recorded_before_its_answer() {
    let house = House::new();
    house.key("db-key", KeyType::Oct256, json!({}));
    let mut workload = Workload::new();
    workload.evidence.measurement = [1; 48];
    let refused = house.broker.use_key(workload.release(&house, "db-key")).await.unwrap_err();
    let record = house.newest("key.use");
    assert_eq!(record["decision"], "deny");
    assert_eq!(record["code"], "rule-not-satisfied");
    assert_eq!(record["correlation"], refused.correlation);
    let failed = record["leaves"].as_array().unwrap().iter().find(|leaf| leaf["result"] == false).unwrap();
    assert_eq!((failed["path"].as_str(), failed["operator"].as_str()), (Some("software.measurement"), Some("equals")));
}

#[tokio::test]
async fn strangers_share_one_record_a_minute() {
    let house = House::new();
    house.key("db-key", KeyType::Oct256, json!({}));
    house.broker.tick();
    let before = house.keystore.status().entries;
    for host in 1..=100u8 {
        let mut request = Workload::new().release_under(&house, [host; 32], "db-key");
        request.seat.source = IpAddr::V4(Ipv4Addr::new(198, 51, 100, host));
        assert_eq!(house.broker.use_key(request).await.unwrap_err().code, Code::FreshnessFailed);
    }
    assert_eq!(house.keystore.status().entries, before);
    house.clock.advance(60);
    house.broker.tick();
    let record = house.newest("strangers");
    assert_eq!(record["count"], 100);
    assert_eq!(record["code"], "freshness-failed");
    assert_eq!(record["source"], "198.51.100.0/24");
    assert_eq!(house.keystore.status().entries, before + 1);
}

#[tokio::test]
async fn start_stop_and_clock_are_recorded() {
    let house = House::new();
    assert_eq!(house.newest("node")["operation"], "start");
    house.clock.trust(false);
    house.broker.tick();
    assert_eq!(house.newest("node")["fitness"], "clock-untrusted");
    house.clock.trust(true);
    house.broker.tick();
    assert_eq!(house.newest("node")["fitness"], "ready");
    house.broker.stop();
    assert_eq!(house.newest("node")["fitness"], "stopping");
    assert_eq!(house.broker.challenge(&house.seat()).unwrap_err().code, Code::Overloaded);
}

#[tokio::test]
async fn the_head_is_signed_and_the_journal_holds() {
    let house = House::new();
    house.key("db-key", KeyType::Oct256, json!({}));
    let workload = Workload::new();
    for _ in 0..5 {
        house.broker.use_key(workload.release(&house, "db-key")).await.unwrap();
    }
    let signed = house.broker.audit_head(&house.seat()).unwrap();
    let payload = open_jws(&house, &signed, "keygate-audit-head");
    let head = house.keystore.head().unwrap();
    assert_eq!(payload["entry"], head.seq);
    assert_eq!(payload["entry_hash"], b64(&head.hash));
    assert_eq!(house.broker.audit_head(&house.seat()).unwrap(), signed);
    house.broker.use_key(workload.release(&house, "db-key")).await.unwrap();
    assert_ne!(house.broker.audit_head(&house.seat()).unwrap(), signed);
    match house.keystore.verify_journal(&mut |_, _| ()).unwrap() {
        JournalVerdict::Intact { entries, .. } => assert_eq!(entries, head.seq + 1),
        JournalVerdict::Broken { seq, what } => panic!("entry {seq}: {}", Damage::as_str(what)),
    }
}

/// Canaries wherever a caller can put text; none of them is in any record or any refusal.
#[tokio::test]
async fn aud_06_what_a_caller_presents_is_in_no_record() {
    const CANARY: &str = "canary-5f2b";
    let house = House::new();
    let rules = json!({
        "rules": {"default": {"version": "1.0.0", "anyOf": [{"authority": "self", "allOf": [
            {"claim": "software.measurement", "equals": hex::encode(GOOD)},
            {"claim": "x-ms-runtime.secret", "notEquals": "other"}]}]}},
        "options": {"anchors": ["forge"], "freshness": "session"},
    });
    house.key_with("db-key", KeyType::Oct256, &rules);
    let mut workload = Workload::new();
    let secret = format!(r#"{{"secret": "{CANARY}", "{CANARY}": [1, "{CANARY}"]}}"#);
    workload.runtime_data = Some(secret.into_bytes());
    let canary = CANARY.as_bytes().to_vec();
    let mut refusals = Vec::new();

    let wrap = Usage::Wrap { alg: "A256GCM".into(), plaintext: canary.clone().into(), aad: canary.clone() };
    house.broker.use_key(workload.ask(&house, "db-key", wrap)).await.unwrap();
    for usage in [
        Usage::Wrap { alg: CANARY.into(), plaintext: canary.clone().into(), aad: canary.clone() },
        Usage::Unwrap { alg: "A256GCM".into(), ciphertext: canary.clone(), aad: canary.clone() },
        Usage::Generate { alg: CANARY.into(), bytes: 16, aad: canary.clone() },
        Usage::Sign { alg: CANARY.into(), digest: canary.clone() },
    ] {
        refusals.push(house.broker.use_key(workload.ask(&house, "db-key", usage)).await.unwrap_err());
    }
    let mut named = workload.release(&house, "db-key");
    named.idempotency = IdempotencyKey::parse(CANARY, CANARY, &canary);
    house.broker.use_key(named).await.unwrap();
    let mut endorsed = workload.release(&house, "db-key");
    if let Proof::Evidence(proof) = &mut endorsed.proof {
        proof.endorsements = vec![canary.clone()];
    }
    refusals.push(house.broker.use_key(endorsed).await.unwrap_err());
    let by_token = workload.release_by_token(&house, "db-key", CANARY);
    refusals.push(house.broker.use_key(by_token).await.unwrap_err());
    let mut attest = workload.attest(&house);
    attest.audience = Some(CANARY.into());
    refusals.push(house.broker.attest(attest).await.unwrap_err());
    let token = house.broker.attest(workload.attest(&house)).await.unwrap().token;
    house.broker.use_key(workload.release_by_token(&house, "db-key", &token)).await.unwrap();
    refusals.push(house.broker.caller(&house.seat(), Some(CANARY)).unwrap_err());

    house.broker.stop();
    let entries = house.keystore.entries(None, 1, 10_000).unwrap();
    assert!(entries.len() > 10);
    for entry in entries {
        assert!(!entry.body.contains(CANARY), "{}", entry.body);
        assert!(!entry.body.contains(&hex::encode(CANARY)), "{}", entry.body);
        assert!(!entry.body.contains(&token), "{}", entry.body);
    }
    for refused in refusals {
        assert!(!format!("{refused:?}").contains(CANARY), "{refused:?}");
    }
}
