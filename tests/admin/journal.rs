//! The journal as auditors see it: listed, looked up, verified, held against heads and receipts. P43; AUD-04.

use keygate::broker::admin::Role;
use keygate_keystore::KeyType;
use serde_json::{Value, json};

use super::broker::{NOW, Workload};
use super::office::{Ask, Office};

async fn verify(office: &Office, body: Value) -> Value {
    office.by(Role::Auditor, Ask::post("/admin/v1/audit/verify", body)).await.ok().body
}

#[actix_web::test]
async fn entries_are_filtered_paged_and_looked_up() {
    let office = Office::staffed().await;
    office.key("k").await;
    office.key("other").await;
    office
        .by(Role::KeyOfficer, Ask::post("/admin/v1/keys/k/purge", json!({"reason": "x"})).on("*"))
        .await
        .is(403, "forbidden");
    let list = |query: &str| Ask::get(&format!("/admin/v1/audit?{query}"));
    let of_k = office.by(Role::Auditor, list("key=K&kind=admin")).await.ok().body;
    let of_k = of_k["entries"].as_array().unwrap();
    assert_eq!(of_k.len(), 3);
    assert!(of_k.iter().all(|entry| entry["body"]["key"] == "k"));
    let denied = office.by(Role::Auditor, list("key=k&decision=deny")).await.ok().body;
    assert_eq!(denied["entries"].as_array().unwrap().len(), 1);
    let correlation = denied["entries"][0]["body"]["correlation"].as_str().unwrap().to_owned();
    let found = office.by(Role::Auditor, Ask::get(&format!("/admin/v1/audit/{correlation}"))).await.ok().body;
    assert_eq!(found["number"], denied["entries"][0]["number"]);
    let page = office.by(Role::Auditor, list("limit=2")).await.ok().body;
    assert_eq!((page["entries"].as_array().unwrap().len(), page["next"].as_u64()), (2, Some(2)));
    let page = office.by(Role::Auditor, list("limit=2&after=2")).await.ok().body;
    assert_eq!(page["entries"][0]["number"], 3);
    let later = office.by(Role::Auditor, list(&format!("from={}", NOW + 1))).await.ok().body;
    assert_eq!((later["entries"].as_array().unwrap().len(), &later["next"]), (0, &json!(null)));
    for missing in ["999999", "0", "00000000-0000-4000-8000-000000000000"] {
        office.by(Role::Auditor, Ask::get(&format!("/admin/v1/audit/{missing}"))).await.is(404, "not-found");
    }
    office.by(Role::Auditor, Ask::get("/admin/v1/audit/no-entry")).await.is(400, "malformed");
}

#[actix_web::test]
async fn an_intact_journal_holds_its_heads_and_receipts() {
    let office = Office::staffed().await;
    office.house.key("db-key", KeyType::Oct256, json!({}));
    let workload = Workload::new();
    let answer = office.house.broker.use_key(workload.release(&office.house, "db-key")).await.unwrap();
    let receipt = answer.body["receipt"].as_str().unwrap();
    let head = office.house.broker.audit_head(&office.house.seat()).unwrap();
    let told = verify(&office, json!({"heads": [head], "receipts": [receipt]})).await;
    assert_eq!(told["verdict"], "intact");
    assert_eq!(told["entries"], office.entries() - 1, "as of before this very request was recorded");
    assert!(told["papers"].as_array().unwrap().iter().all(|paper| paper["holds"] == true), "{told}");
}

#[actix_web::test]
async fn a_paper_that_is_not_ours_does_not_hold() {
    let office = Office::staffed().await;
    let stranger = Office::staffed().await;
    let head = office.house.broker.audit_head(&office.house.seat()).unwrap();
    let foreign = stranger.house.broker.audit_head(&stranger.house.seat()).unwrap();
    let (message, signature) = head.rsplit_once('.').unwrap();
    let (header, _) = message.split_once('.').unwrap();
    let (_, payload) = foreign.rsplit_once('.').unwrap().0.split_once('.').unwrap();
    for (paper, what) in [
        (foreign.clone(), "not-ours"),
        (format!("{header}.{payload}.{signature}"), "not-ours"),
        (format!("{message}.AAAA"), "not-ours"),
        ("rubbish".to_owned(), "malformed"),
    ] {
        let told = verify(&office, json!({"heads": [paper]})).await;
        assert_eq!(
            (told["papers"][0]["holds"].as_bool(), told["papers"][0]["what"].as_str()),
            (Some(false), Some(what))
        );
    }
    let as_receipt = verify(&office, json!({"receipts": [head]})).await;
    assert_eq!(as_receipt["papers"][0]["what"], "not-ours", "a head is no receipt");
}

#[actix_web::test]
async fn aud_04_damage_of_each_kind_is_named() {
    let columns = "at, kind, provider, body, previous, hash, mac";
    for (sql, number, what) in [
        ("UPDATE journal SET body = '{}' WHERE seq = 4".to_owned(), 4, "changed"),
        ("DELETE FROM journal WHERE seq = 5".to_owned(), 5, "removed"),
        ("UPDATE journal SET seq = -1 WHERE seq = 6; UPDATE journal SET seq = 6 WHERE seq = 7; UPDATE journal SET seq = 7 WHERE seq = -1".to_owned(), 6, "reordered"),
        (format!("INSERT INTO journal (seq, {columns}) SELECT 10000, {columns} FROM journal WHERE seq = 3"), 0, "inserted"),
        ("DELETE FROM journal WHERE seq > 8".to_owned(), 9, "cut-off"),
    ] {
        let office = Office::staffed().await;
        let head = office.house.broker.audit_head(&office.house.seat()).unwrap();
        let entries = office.entries();
        office.tamper(&sql);
        let told = verify(&office, json!({"heads": [head]})).await;
        let number = if number == 0 { entries + 1 } else { number };
        assert_eq!((told["verdict"].as_str(), told["entry"].as_u64(), told["what"].as_str()), (Some("broken"), Some(number), Some(what)), "{sql}");
    }
}
