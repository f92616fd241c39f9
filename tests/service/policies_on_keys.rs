//! What attestation policies do to keys: they stand before every use, and rules see what they issue. `bad-inputs.md` POL rows.

use keygate::broker::*;
use keygate_keystore::Change;
use openssl::sha::sha256;
use serde_json::json;

use super::azure::*;
use super::broker::*;

/// The rule of a key sees what a token would carry, the policy's claims among it, under our issuer.
#[tokio::test]
async fn a_rule_sees_what_the_policy_issued() {
    let azure = Azure::new();
    let workload = Workload::new();
    let mut rules = rules(json!({}));
    rules["rules"]["default"]["anyOf"][0]["allOf"] = json!([
        {"claim": "team", "equals": "blue"},
        {"claim": "iss", "equals": format!("https://{HOST}")},
        {"claim": "x-ms-ver", "equals": "1.0"},
    ]);
    azure.house.key_with("db-key", keygate_keystore::KeyType::Oct256, &rules);
    let ask = async || azure.house.broker.use_key(workload.release(&azure.house, "db-key")).await;
    assert_eq!(ask().await.unwrap_err().code, Code::NotReleased);
    let issuing = |team: &str| {
        format!(
            r#"version=1.0; authorizationrules{{=> permit();}}; issuancerules{{=> issue(type="team", value="{team}");}};"#
        )
    };
    azure.set(AttestationType::Software, &issuing("red"));
    assert_eq!(ask().await.unwrap_err().code, Code::NotReleased);
    azure.set(AttestationType::Software, &issuing("blue"));
    ask().await.unwrap();
    let token = azure.house.broker.attest(workload.attest(&azure.house)).await.unwrap();
    assert_eq!(token.claims["team"], "blue");
    // A policy cannot say what the hardware says.
    let forged = r#"version=1.0; authorizationrules{=> permit();}; issuancerules{=> issue(type="team", value="blue"); => issue(type="software", value="x"); => issue(type="iss", value="evil");};"#;
    azure.set(AttestationType::Software, forged);
    ask().await.unwrap();
    let claims = azure.house.broker.attest(workload.attest(&azure.house)).await.unwrap().claims;
    assert_eq!(claims["software"]["measurement"], hex::encode(GOOD));
}

#[tokio::test]
async fn pol_11_a_policy_with_a_deny_stops_a_release_and_the_next_policy_counts_at_once() {
    let azure = Azure::new();
    let workload = Workload::new();
    azure.house.key("db-key", keygate_keystore::KeyType::Oct256, json!({}));
    let ask = async || azure.house.broker.use_key(workload.release(&azure.house, "db-key")).await;
    ask().await.unwrap();
    azure.set(AttestationType::Software, "version=1.0; authorizationrules{=> permit(); => deny();};");
    assert_eq!(ask().await.unwrap_err().code, Code::PolicyDenied);
    assert_eq!(azure.house.newest("key.use")["decision"], "deny");
    assert_eq!(azure.house.broker.attest(workload.attest(&azure.house)).await.unwrap_err().code, Code::PolicyDenied);
    azure.set(AttestationType::Software, PERMIT);
    ask().await.unwrap();
    // pol_01: a policy that is empty permits nothing.
    azure.set(AttestationType::Software, "version=1.0; authorizationrules{};");
    assert_eq!(ask().await.unwrap_err().code, Code::PolicyDenied);
    azure.reset(AttestationType::Software);
    ask().await.unwrap();
    // Another provider's policy is none of this one's.
    let seat = azure.house.seat_at("other.example");
    let refused =
        azure.house.broker.azure_set_policy(&seat, Some(CONTRIBUTOR), AttestationType::Software, &unsecured(DENY));
    assert_eq!(refused.unwrap_err().kind, AzureFaultKind::Unauthorized);
    ask().await.unwrap();
}

/// No operation has a way around the policy.
#[tokio::test]
async fn pol_19_one_policy_stands_before_every_operation() {
    let azure = Azure::new();
    let workload = Workload::new();
    azure.house.key("db-key", keygate_keystore::KeyType::Oct256, json!({}));
    azure.house.key("signer", keygate_keystore::KeyType::EcP256, json!({}));
    let usages = || {
        [
            ("db-key", Usage::Release),
            ("db-key", Usage::Generate { alg: "A256GCM".into(), bytes: 32, aad: Vec::new() }),
            ("db-key", Usage::Wrap { alg: "A256GCM".into(), plaintext: b"x".to_vec().into(), aad: Vec::new() }),
            ("db-key", Usage::Unwrap { alg: "A256GCM".into(), ciphertext: vec![0; 64], aad: Vec::new() }),
            ("signer", Usage::Sign { alg: "ES256".into(), digest: vec![7; 32] }),
        ]
    };
    for (permitted, text) in [(true, PERMIT), (false, DENY)] {
        azure.set(AttestationType::Software, text);
        for (key, usage) in usages() {
            let operation = usage.operation();
            let told = azure.house.broker.use_key(workload.ask(&azure.house, key, usage)).await;
            let denied = told.err().is_some_and(|refused| refused.code == Code::PolicyDenied);
            assert_eq!(denied, !permitted, "{operation:?}");
        }
        let attested = azure.house.broker.attest(workload.attest(&azure.house)).await;
        assert_eq!(attested.is_ok(), permitted);
    }
}

#[tokio::test]
async fn pol_16_a_stored_policy_that_does_not_compile_denies() {
    let azure = Azure::new();
    let workload = Workload::new();
    azure.house.key("db-key", keygate_keystore::KeyType::Oct256, json!({}));
    let text = "version=9.9; authorizationrules{=> permit();};";
    let change =
        Change::SetPolicy { kind: "Software".to_owned(), document: unsecured(text), digest: sha256(text.as_bytes()) };
    azure.house.change(change);
    let refused = azure.house.broker.use_key(workload.release(&azure.house, "db-key")).await.unwrap_err();
    assert_eq!(refused.code, Code::StoreCorrupt);
}

#[tokio::test]
async fn a_session_ends_with_the_policy_it_began_under() {
    let azure = Azure::new();
    let workload = Workload::new();
    azure.house.key("db-key", keygate_keystore::KeyType::Oct256, json!({"freshness": "session"}));
    let token = azure.house.broker.attest(workload.attest(&azure.house)).await.unwrap().token;
    let ask = async || azure.house.broker.use_key(workload.release_by_token(&azure.house, "db-key", &token)).await;
    ask().await.unwrap();
    // The policy of another kind changes nothing.
    azure.set(AttestationType::SgxEnclave, PERMIT);
    ask().await.unwrap();
    azure.set(AttestationType::Software, "version=1.0; authorizationrules { => permit(); };");
    assert_eq!(ask().await.unwrap_err().code, Code::FreshnessFailed);
}
