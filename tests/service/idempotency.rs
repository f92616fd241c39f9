//! Asking again under the same name. `native-api.md` section 3 *Idempotency-Key*; `bad-inputs.md` KEY-17, KEY-18, HTTP-15.

use keygate::broker::*;
use keygate_forge::binding::Question;
use keygate_keystore::KeyType;
use serde_json::json;

use super::broker::*;

const PATH: &str = "/v1/keys/db-key/release";

fn named(house: &House, workload: &Workload, challenge: [u8; 32], id: &str, body: &str) -> KeyRequest {
    let mut request = workload.release_under(house, challenge, "db-key");
    request.idempotency = IdempotencyKey::parse(id, PATH, body.as_bytes());
    assert!(request.idempotency.is_some());
    request
}

#[tokio::test]
async fn key_18_the_same_request_gets_the_same_sealed_answer() {
    let house = House::new();
    house.key("db-key", KeyType::Oct256, json!({}));
    let (workload, challenge) = (Workload::new(), house.challenge());
    let first = house.broker.use_key(named(&house, &workload, challenge, "id-1", "body")).await.unwrap();
    let again = house.broker.use_key(named(&house, &workload, challenge, "id-1", "body")).await.unwrap();
    assert_eq!(first.body["wrapped"], again.body["wrapped"]);
    let (mut one, mut two) = (check_receipt(&house, &first.body), check_receipt(&house, &again.body));
    assert_eq!(one["request_id"], "id-1");
    assert_eq!(one.take(), two.take());
    assert_eq!(house.newest("repeat")["of_entry"], check_receipt(&house, &first.body)["entry"]);
    assert_eq!(house.records("key.use").len(), 1);
}

#[tokio::test]
async fn key_17_the_same_name_for_another_request_is_a_conflict() {
    let house = House::new();
    house.key("db-key", KeyType::Oct256, json!({}));
    let (workload, challenge) = (Workload::new(), house.challenge());
    house.broker.use_key(named(&house, &workload, challenge, "id-1", "body")).await.unwrap();
    let other = named(&house, &workload, challenge, "id-1", "bodz");
    assert_eq!(house.broker.use_key(other).await.unwrap_err().code, Code::Conflict);
    let mut elsewhere = workload.release_under(&house, challenge, "db-key");
    elsewhere.idempotency = IdempotencyKey::parse("id-1", "/v1/keys/other/release", b"body");
    assert_eq!(house.broker.use_key(elsewhere).await.unwrap_err().code, Code::Conflict);
}

#[tokio::test]
async fn http_15_without_a_name_a_spent_challenge_is_stale() {
    let house = House::new();
    house.key("db-key", KeyType::Oct256, json!({}));
    let (workload, challenge) = (Workload::new(), house.challenge());
    house.broker.use_key(named(&house, &workload, challenge, "id-1", "body")).await.unwrap();
    let unnamed = house.broker.use_key(workload.release_under(&house, challenge, "db-key")).await;
    assert_eq!(unnamed.unwrap_err().code, Code::FreshnessFailed);
    house.clock.advance(300);
    let late = house.broker.use_key(named(&house, &workload, challenge, "id-1", "body")).await;
    assert_eq!(late.unwrap_err().code, Code::FreshnessFailed);
}

#[tokio::test]
async fn names_of_workloads_and_of_credentials_do_not_meet() {
    let house = House::new();
    house.key("db-key", KeyType::Oct256, json!({}));
    let (workload, challenge) = (Workload::new(), house.challenge());
    house.broker.use_key(named(&house, &workload, challenge, "id-1", "body")).await.unwrap();
    let mut request = named(&house, &workload, challenge, "id-1", "body");
    request.caller = Caller::Known {
        name: "op".into(),
        roles: vec!["key-user".into()],
        key_pattern: None,
        origin: Origin::Credential,
    };
    assert_eq!(house.broker.use_key(request).await.unwrap_err().code, Code::FreshnessFailed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixteen_at_once_get_one_sealed_answer() {
    let house = House::new();
    house.key("db-key", KeyType::Oct256, json!({}));
    let (workload, challenge) = (Workload::new(), house.challenge());
    let requests: Vec<_> = (0..16).map(|_| named(&house, &workload, challenge, "id-1", "body")).collect();
    let tasks: Vec<_> = requests
        .into_iter()
        .map(|request| {
            let broker = house.broker.clone();
            tokio::spawn(async move { broker.use_key(request).await.unwrap() })
        })
        .collect();
    let mut sealed = Vec::new();
    for task in tasks {
        let answer = task.await.unwrap();
        check_receipt(&house, &answer.body);
        sealed.push(answer.body["wrapped"].clone());
    }
    sealed.dedup();
    assert_eq!(sealed.len(), 1);
    assert_eq!(house.records("key.use").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_attestation_is_repeated_with_the_same_token() {
    let house = House::new();
    let (workload, challenge) = (Workload::new(), house.challenge());
    let question = Question { operation: "attest", ..Question::default() };
    let requests: Vec<_> = (0..8)
        .map(|_| {
            let mut request = workload.attest(&house);
            request.evidence = workload.proof(&house, challenge, &question);
            request.idempotency = IdempotencyKey::parse("id-1", "/v1/attestations", b"body");
            request
        })
        .collect();
    let tasks: Vec<_> = requests
        .into_iter()
        .map(|request| {
            let broker = house.broker.clone();
            tokio::spawn(async move { broker.attest(request).await.unwrap().token })
        })
        .collect();
    let mut tokens = Vec::new();
    for task in tasks {
        tokens.push(task.await.unwrap());
    }
    tokens.dedup();
    assert_eq!(tokens.len(), 1);
}

#[test]
fn a_name_is_one_to_64_visible_ascii_characters() {
    let long = "a".repeat(65);
    for name in ["", "a b", "a\u{e4}", "a\n", &long] {
        assert_eq!(IdempotencyKey::parse(name, "/", b""), None, "{name:?}");
    }
    assert!(IdempotencyKey::parse(&long[1..], "/", b"").is_some());
}
