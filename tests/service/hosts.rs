//! Providers of one node: told apart by host and prefix, strangers to each other. `native-api.md` section 3 *Hosts*.

use keygate::broker::*;
use keygate_forge::binding::Question;
use keygate_keystore::{Change, KeyType, NewMaterial, ProviderId, RuleDocument};
use keygate_policies::KeyRules;
use serde_json::json;

use super::broker::*;

/// A seat of the provider under `/tenant-a`, with its key `db-key`.
fn tenant(house: &House) -> Seat {
    let rules = KeyRules::parse(rules(json!({})).to_string().as_bytes()).unwrap();
    house.change_of(
        &ProviderId::parse("tenant").unwrap(),
        Change::CreateKey {
            name: KeyName::parse("db-key").unwrap(),
            key_type: KeyType::Oct256,
            attributes: attributes(),
            rules: Some(RuleDocument { document: rules.canonical_text(), digest: rules.digest() }),
            immutable: false,
            material: NewMaterial::Generate,
        },
    );
    let provider = house.broker.provider_for(HOST, "/tenant-a/v1/challenges").unwrap();
    Seat { provider, ..house.seat() }
}

async fn ask(house: &House, seat: &Seat, challenge: [u8; 32], bound_host: &str) -> Option<Code> {
    let workload = Workload::new();
    let question = Question { operation: "release", key: "db-key", ..Question::default() };
    let mut proof = workload.proof(house, challenge, &question);
    proof.data = workload.evidence(house, challenge, bound_host, &question);
    let mut request = request(house, "db-key", Usage::Release, Proof::Evidence(Box::new(proof)));
    request.seat = seat.clone();
    house.broker.use_key(request).await.err().map(|refused| refused.code)
}

#[test]
fn http_12_a_host_has_one_provider_and_a_prefix_is_a_whole_segment() {
    let house = House::new();
    let found = |host: &str, path: &str| {
        let provider = house.broker.provider_for(host, path)?;
        Some((provider.id().to_string(), provider.host().to_owned()))
    };
    let is = |id: &str, host: &str| Some((id.to_owned(), host.to_owned()));
    assert_eq!(found(HOST, "/v1/challenges"), is("default", HOST));
    assert_eq!(found("KMS.example:8443", "/v1/challenges"), is("default", HOST));
    assert_eq!(found("also.kms.example", "/"), is("default", "also.kms.example"));
    assert_eq!(found(HOST, "/tenant-a/v1/challenges"), is("tenant", "kms.example/tenant-a"));
    assert_eq!(found(HOST, "/tenant-ab/v1/challenges"), is("default", HOST));
    for other in ["kms.example.", "evil.example", "", "kms.example.evil.example", "xkms.example"] {
        assert_eq!(found(other, "/v1/challenges"), None, "{other}");
    }
    assert_eq!(house.broker.prefixes(), ["/tenant-a", ""]);
}

#[tokio::test]
async fn evidence_is_bound_to_host_and_prefix() {
    let house = House::new();
    let seat = tenant(&house);
    let fresh = || house.broker.challenge(&seat).unwrap().bytes;
    assert_eq!(house.broker.challenge(&seat).unwrap().host, "kms.example/tenant-a");
    assert_eq!(ask(&house, &seat, fresh(), "kms.example/tenant-a").await, None);
    for other in [HOST, "kms.example/", "kms.example/tenant-b", "KMS.example/tenant-a", "kms.example:443/tenant-a"] {
        assert_eq!(ask(&house, &seat, fresh(), other).await, Some(Code::BindingMismatch), "{other}");
    }
}

#[tokio::test]
async fn key_09_a_key_of_another_provider_is_no_key() {
    let house = House::new();
    let seat = tenant(&house);
    assert_eq!(ask(&house, &house.seat(), house.challenge(), HOST).await, Some(Code::NotReleased));
    assert_eq!(house.newest("key.use")["code"], "key-not-found");
    let stale = ask(&house, &seat, house.challenge(), "kms.example/tenant-a").await;
    assert_eq!(stale, Some(Code::FreshnessFailed), "a challenge of another provider");
}

#[test]
fn each_provider_has_keys_of_its_own() {
    let house = House::new();
    let [first, second] = [HOST, "other.example"].map(|host| house.broker.jwks(&house.seat_at(host)));
    let kids = |set: &serde_json::Value| -> Vec<String> {
        set["keys"].as_array().unwrap().iter().map(|key| key["kid"].to_string()).collect()
    };
    assert!(kids(&first).iter().all(|kid| !kids(&second).contains(kid)));
    let other = ProviderId::parse("other").unwrap();
    // One CA for the node: the `ca.pem` of `init` is the only pin, whatever provider answers.
    assert_eq!(house.broker.ca_pem(&house.provider).unwrap(), house.broker.ca_pem(&other).unwrap());
}
