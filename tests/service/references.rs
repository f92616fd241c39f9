//! Reference values beneath the doors: policies, sessions, signers that are gone, restarts and restores.
//! Threat model A6, P7, P21, P36, P40; `docs/reference-values.md`.

use std::sync::Arc;

use keygate::broker::*;
use keygate_keystore::{Change, FileRoot, KeyType, Keystore};
use keygate_verifier::Anchors;
use openssl::sha::sha256;
use serde_json::{Value, json};

use super::azure::*;
use super::broker::*;

const DAY: i64 = 86_400;

fn document(serial: u64, values: &[&str]) -> Value {
    json!({
        "name": "fleet", "serial": serial, "iat": NOW - 60, "exp": NOW + 30 * DAY,
        "values": {"software.measurement": values},
    })
}

/// Puts signed values in force as the store has them.
fn put(house: &House, jws: &str, serial: u64) {
    let object = json!({
        "jws": jws, "serial": serial, "imported_by": "a", "imported_at": NOW, "approved_by": "b", "approved_at": NOW,
    });
    let text = json!({"highest": serial, "in_force": object}).to_string();
    let digest = sha256(text.as_bytes());
    house.change(Change::SetPolicy { kind: "Reference:fleet".to_owned(), document: text, digest });
}

fn fleet(house: &House, serial: u64, values: &[&str]) {
    put(house, &reference(&document(serial, values)), serial);
}

fn rule() -> Value {
    let mut rules = rules(json!({}));
    rules["rules"]["default"]["anyOf"][0]["allOf"] = json!([{"claim": "software.measurement", "reference": "fleet"}]);
    rules
}

const POLICY: &str = r#"version=1.0; authorizationrules{
    r:[type=="x-keygate-reference.fleet.software.measurement", issuer=="AttestationService"]
    && [type=="software.measurement", issuer=="AttestationService", value==r.value] => permit();
}; issuancerules{};"#;

async fn released(house: &House) -> bool {
    house.broker.use_key(Workload::new().release(house, "db-key")).await.is_ok()
}

#[tokio::test]
async fn a_policy_and_its_tokens_follow_an_approval_and_an_expiry() {
    let azure = Azure::new();
    let (house, workload) = (&azure.house, Workload::new());
    house.key("db-key", KeyType::Oct256, json!({"freshness": "session"}));
    azure.set(AttestationType::Software, POLICY);
    let attest = async || house.broker.attest(workload.attest(house)).await;
    assert_eq!(attest().await.unwrap_err().code, Code::PolicyDenied);
    fleet(house, 1, &["00", &hex::encode(GOOD)]);
    let answer = attest().await.unwrap();
    assert!(answer.claims.keys().all(|name| !name.contains("reference")), "{:?}", answer.claims);
    let use_token = async |token: &str| house.broker.use_key(workload.release_by_token(house, "db-key", token)).await;
    use_token(&answer.token).await.unwrap();
    // What the policy does not name changes nothing of its tokens.
    let text = json!({"highest": 1}).to_string();
    let digest = sha256(text.as_bytes());
    house.change(Change::SetPolicy { kind: "Reference:other".to_owned(), document: text, digest });
    use_token(&answer.token).await.unwrap();
    // Other values, although these permit the same: the token was made under others.
    fleet(house, 2, &["11", &hex::encode(GOOD)]);
    assert_eq!(use_token(&answer.token).await.unwrap_err().code, Code::FreshnessFailed);
    let answer = attest().await.unwrap();
    use_token(&answer.token).await.unwrap();
    fleet(house, 3, &["11"]);
    assert_eq!(attest().await.unwrap_err().code, Code::PolicyDenied);
    assert_eq!(use_token(&answer.token).await.unwrap_err().code, Code::FreshnessFailed);
    // Time alone does the same.
    let mut soon = document(4, &[&hex::encode(GOOD)]);
    soon["exp"] = json!(NOW + 100);
    put(house, &reference(&soon), 4);
    let answer = attest().await.unwrap();
    use_token(&answer.token).await.unwrap();
    house.clock.set(NOW + 100);
    assert_eq!(use_token(&answer.token).await.unwrap_err().code, Code::FreshnessFailed);
    assert_eq!(attest().await.unwrap_err().code, Code::PolicyDenied);
}

/// A certificate over the key of `build` that ends at this time.
fn certificate(until: i64) -> Vec<u8> {
    let key = &SIGNERS[0].1;
    let mut builder = openssl::x509::X509Builder::new().unwrap();
    let time = |at| openssl::asn1::Asn1Time::from_unix(at).unwrap();
    builder.set_version(2).unwrap();
    builder.set_not_before(&time(NOW - 100)).unwrap();
    builder.set_not_after(&time(until)).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.sign(key, openssl::hash::MessageDigest::sha256()).unwrap();
    builder.build().to_pem().unwrap()
}

/// Signers of a configuration, and whether what `build` signed counts under it.
fn configurations() -> Vec<(Vec<ReferenceSigner>, bool)> {
    let bare = SIGNERS[0].1.public_key_to_pem().unwrap();
    let signer = |provider: Option<&str>, names: &[&str], pem: &[u8]| {
        let provider = provider.map(|id| ProviderId::parse(id).unwrap());
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        vec![ReferenceSigner::read("build", provider, names, pem).unwrap()]
    };
    vec![
        (reference_signers(), true),
        (Vec::new(), false),
        (reference_signers().split_off(1), false),
        (signer(None, &["fleet"], &bare), true),
        (signer(None, &["fleet-*"], &bare), false),
        (signer(Some("default"), &[], &bare), true),
        (signer(Some("other"), &[], &bare), false),
        (signer(None, &[], &certificate(NOW + 1)), true),
        (signer(None, &[], &certificate(NOW)), false),
    ]
}

#[tokio::test]
async fn what_the_configuration_says_of_signers_counts_for_what_is_in_force() {
    let mut house = House::new();
    house.key_with("db-key", KeyType::Oct256, &rule());
    fleet(&house, 1, &[&hex::encode(GOOD)]);
    for (n, (signers, wanted)) in configurations().into_iter().enumerate() {
        let mut anchors = Anchors::none();
        anchors.add("forge", EvidenceKind::Software, &house.software.root_der()).unwrap();
        let (keystore, clock) = (&house.keystore, &house.clock);
        let made = parts(keystore, clock, Arc::new(NoEndorser), Arc::default(), anchors, Limits::default());
        house.broker = Broker::open(Parts { reference_signers: signers, ..made }).unwrap();
        assert_eq!(released(&house).await, wanted, "configuration {n}");
        let reason = house.newest("key.use")["leaves"]
            .as_array()
            .unwrap()
            .iter()
            .find_map(|leaf| leaf["reason"].as_str().map(str::to_owned));
        let told = if n == 8 { "reference-expired" } else { "reference-missing" };
        assert_eq!(reason.as_deref(), (!wanted).then_some(told), "configuration {n}");
    }
}

#[tokio::test]
async fn what_is_in_force_outlives_a_restart_and_a_restore() {
    let house = House::new();
    house.key_with("db-key", KeyType::Oct256, &rule());
    fleet(&house, 1, &[&hex::encode(GOOD)]);
    let house = house.reopened("store.db");
    assert!(released(&house).await);
    let backup = house.dir.path().join("copy.kgb");
    house.keystore.backup(&backup, NOW).unwrap();
    let root = FileRoot::new(house.dir.path().join("root.key"));
    Keystore::restore(&backup, &house.dir.path().join("second.db"), &root, NOW).unwrap();
    let house = house.reopened("second.db");
    assert!(released(&house).await);
    // Of another provider they are nothing.
    let other = keygate_keystore::ProviderId::parse("other").unwrap();
    assert!(house.keystore.policies_under(&other, "Reference:", 10).unwrap().is_empty());
    let all = house.keystore.policies_under(&house.provider, "Reference:", 10).unwrap();
    assert_eq!(all.iter().map(|one| (one.kind.as_str(), one.number)).collect::<Vec<_>>(), [("Reference:fleet", 1)]);
}

#[tokio::test]
async fn what_nobody_wrote_denies_and_leaves_other_keys_alone() {
    let house = House::new();
    house.key_with("db-key", KeyType::Oct256, &rule());
    house.key("plain", KeyType::Oct256, json!({}));
    // A text that is no state, and a state whose object is of another name.
    for text in [r#"{"highest":1,"more":2}"#.to_owned(), "x".to_owned()] {
        let digest = sha256(text.as_bytes());
        house.change(Change::SetPolicy { kind: "Reference:fleet".to_owned(), document: text, digest });
        let refused = house.broker.use_key(Workload::new().release(&house, "db-key")).await.unwrap_err();
        assert_eq!(refused.code, Code::StoreCorrupt);
        house.broker.use_key(Workload::new().release(&house, "plain")).await.unwrap();
    }
    // A state under the digest of another.
    let text = json!({"highest": 1}).to_string();
    house.change(Change::SetPolicy { kind: "Reference:fleet".to_owned(), document: text, digest: [0; 32] });
    let refused = house.broker.use_key(Workload::new().release(&house, "db-key")).await.unwrap_err();
    assert_eq!(refused.code, Code::StoreCorrupt);
    // Values from the future, wherever they come from.
    let mut early = document(8, &[&hex::encode(GOOD)]);
    early["iat"] = json!(NOW + 61);
    put(&house, &reference(&early), 8);
    assert!(!released(&house).await);
    let mut other = document(9, &[&hex::encode(GOOD)]);
    other["name"] = json!("another");
    put(&house, &reference(&other), 9);
    assert!(!released(&house).await);
    fleet(&house, 10, &[&hex::encode(GOOD)]);
    assert!(released(&house).await);
}
