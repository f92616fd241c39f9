//! What a restart, a restore and a stopped store leave of what was promised. Threat model P6, P42; `bad-inputs.md` AUD-01, KEY-18.

use keygate::broker::*;
use keygate_keystore::{FileRoot, KeyType, Keystore};
use serde_json::json;

use super::broker::*;

#[tokio::test]
async fn a_spent_challenge_stays_spent_and_a_kept_answer_kept() {
    let house = House::new();
    house.key("db-key", KeyType::Oct256, json!({}));
    let workload = Workload::new();
    let (spent, live) = (house.challenge(), house.challenge());
    let named = |house: &House| {
        let mut request = workload.release_under(house, spent, "db-key");
        request.idempotency = IdempotencyKey::parse("id-1", "/", b"body");
        request
    };
    let first = house.broker.use_key(named(&house)).await.unwrap();
    let house = house.reopened("store.db");
    let again = house.broker.use_key(named(&house)).await.unwrap();
    assert_eq!(first.body["wrapped"], again.body["wrapped"]);
    assert_eq!(check_receipt(&house, &first.body), check_receipt(&house, &again.body));
    let refused = house.broker.use_key(workload.release_under(&house, spent, "db-key")).await.unwrap_err();
    assert_eq!(refused.code, Code::FreshnessFailed);
    house.broker.use_key(workload.release_under(&house, live, "db-key")).await.unwrap();
}

#[tokio::test]
async fn a_session_survives_a_restart() {
    let house = House::new();
    house.key("session", KeyType::Oct256, json!({"freshness": "session"}));
    let workload = Workload::new();
    let token = house.broker.attest(workload.attest(&house)).await.unwrap().token;
    let house = house.reopened("store.db");
    house.broker.use_key(workload.release_by_token(&house, "session", &token)).await.unwrap();
}

#[tokio::test]
async fn a_restored_store_refuses_the_challenges_of_before() {
    let house = House::new();
    house.key("db-key", KeyType::Oct256, json!({}));
    let workload = Workload::new();
    let challenge = house.challenge();
    let (backup, root) = (house.dir.path().join("backup"), FileRoot::new(house.dir.path().join("root.key")));
    house.keystore.backup(&backup, NOW).unwrap();
    Keystore::restore(&backup, &house.dir.path().join("restored.db"), &root, NOW).unwrap();
    let house = house.reopened("restored.db");
    let refused = house.broker.use_key(workload.release_under(&house, challenge, "db-key")).await.unwrap_err();
    assert_eq!(refused.code, Code::FreshnessFailed);
    house.broker.use_key(workload.release(&house, "db-key")).await.unwrap();
}

#[tokio::test]
async fn aud_01_without_a_place_for_the_record_nothing_is_released() {
    let house = House::new();
    house.key("db-key", KeyType::Oct256, json!({}));
    let mut workload = Workload::new();
    let sound = workload.release(&house, "db-key");
    workload.evidence.measurement = [1; 48];
    let denied = workload.release(&house, "db-key");
    house.keystore.shutdown();
    for request in [sound, denied] {
        let refused = house.broker.use_key(request).await.unwrap_err();
        assert_eq!(refused.code, Code::AuditUnavailable, "{refused}");
    }
}
