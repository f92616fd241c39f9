//! A change rests on a named state, is done once, can be tried, and says why. `native-api.md` section 3 *Admin*; KEY-17.

use keygate::broker::admin::Role;
use serde_json::json;

use super::office::{Ask, Office};

fn disable() -> Ask {
    Ask::post("/admin/v1/keys/k/disable", json!({"reason": "test"}))
}

#[actix_web::test]
async fn a_change_names_the_state_it_rests_on() {
    let office = Office::staffed().await;
    let made = office.key("k").await;
    let shown = office.by(Role::Auditor, Ask::get("/admin/v1/keys/k")).await.ok();
    assert_eq!(shown.etag.as_deref(), Some(made.as_str()), "a change and a reading name the same state");
    office.by(Role::KeyOfficer, disable()).await.is(428, "precondition-required");
    office.by(Role::KeyOfficer, disable().with("if-none-match", "*")).await.is(428, "precondition-required");
    for odd in ["x", "W/\"x\"", "\"a\", \"b\""] {
        office.by(Role::KeyOfficer, disable().on(odd)).await.is(400, "malformed");
    }
    let changed = office.by(Role::KeyOfficer, disable().on(&made)).await.ok();
    assert_ne!(changed.etag.as_deref(), Some(made.as_str()));
    office.by(Role::KeyOfficer, disable().on(&made)).await.is(409, "conflict");
    office.by(Role::KeyOfficer, disable().on("*")).await.ok();
    office
        .by(Role::KeyOfficer, Ask::post("/admin/v1/keys/nothing/disable", json!({"reason": "x"})).on("*"))
        .await
        .is(404, "key-not-found");
}

#[actix_web::test]
async fn every_reading_has_an_entity_tag_that_moves_with_what_is_read() {
    let office = Office::staffed().await;
    office.key("k").await;
    for (role, path) in [
        (Role::Auditor, "/admin/v1/keys"),
        (Role::Auditor, "/admin/v1/keys/k"),
        (Role::Auditor, "/admin/v1/keys/k/rules"),
        (Role::Auditor, "/admin/v1/keys/k/rules/history"),
        (Role::Auditor, "/admin/v1/deny"),
        (Role::Auditor, "/admin/v1/credentials"),
        (Role::Auditor, "/admin/v1/audit/1"),
        (Role::Operator, "/admin/v1/store"),
    ] {
        let etag = office.by(role, Ask::get(path)).await.ok().etag;
        assert!(etag.is_some_and(|etag| etag.len() > 2 && etag.starts_with('"') && etag.ends_with('"')), "{path}");
    }
    let before = office.by(Role::Auditor, Ask::get("/admin/v1/keys")).await.ok().etag;
    office.by(Role::KeyOfficer, disable().on("*")).await.ok();
    assert_ne!(office.by(Role::Auditor, Ask::get("/admin/v1/keys")).await.ok().etag, before);
}

#[actix_web::test]
async fn a_trial_says_what_would_change_and_changes_nothing() {
    let office = Office::staffed().await;
    let etag = office.key("k").await;
    let epoch = office.house.keystore.status().epoch;
    let digest = || office.house.keystore.check(&mut |_, _| {}).unwrap().digest;
    let before = digest();
    let mut ask = disable().on(&etag);
    ask.path += "?dry_run=true";
    let tried = office.by(Role::KeyOfficer, ask).await.ok();
    assert_eq!(
        (&tried.body["dry_run"], &tried.body["before"]["enabled"], &tried.body["key"]["enabled"]),
        (&json!(true), &json!(true), &json!(false))
    );
    assert!(tried.body.get("entry").is_none());
    let ask = Ask::post("/admin/v1/keys/new/create?dry_run=true", json!({"type": "oct-256", "reason": "x"}));
    let tried = office.by(Role::KeyOfficer, ask).await.ok();
    assert_eq!((tried.status, &tried.body["before"], &tried.body["key"]["name"]), (200, &json!(null), &json!("new")));
    assert_eq!((office.house.keystore.status().epoch, digest()), (epoch, before));
    assert_eq!(office.by(Role::Auditor, Ask::get("/admin/v1/keys/k")).await.ok().etag.as_deref(), Some(etag.as_str()));
    office.by(Role::Auditor, Ask::get("/admin/v1/keys/new")).await.is(404, "key-not-found");
    assert!(
        office.house.records("admin").iter().any(|record| record["trial"] == "dry-run"),
        "a trial is recorded as one"
    );
    let mut odd = disable().on("*");
    odd.path += "?dry_run=maybe";
    office.by(Role::KeyOfficer, odd).await.is(400, "malformed");
}

#[actix_web::test]
async fn the_same_request_is_done_once() {
    let office = Office::staffed().await;
    let etag = office.key("k").await;
    let rotate =
        || Ask::post("/admin/v1/keys/k/rotate", json!({"reason": "test"})).on(&etag).with("idempotency-key", "r-1");
    let first = office.by(Role::KeyOfficer, rotate()).await.ok();
    let again = office.by(Role::KeyOfficer, rotate()).await.ok();
    assert_eq!(
        (&again.body["repeat"], &again.body["entry"], &again.etag),
        (&json!(true), &first.body["entry"], &first.etag)
    );
    assert_eq!(again.body["key"]["versions"].as_array().unwrap().len(), 2);
    let record = office.house.newest("admin");
    assert_eq!(record["of_entry"], first.body["entry"]["number"]);
}

#[actix_web::test]
async fn key_17_one_request_key_is_one_request() {
    let office = Office::staffed().await;
    let etag = office.key("k").await;
    let ask = |verb: &str, reason: &str| {
        Ask::post(&format!("/admin/v1/keys/k/{verb}"), json!({"reason": reason}))
            .on(&etag)
            .with("idempotency-key", "r-1")
    };
    office.by(Role::KeyOfficer, ask("disable", "a")).await.ok();
    office.by(Role::KeyOfficer, ask("disable", "b")).await.is(409, "conflict");
    office.by(Role::KeyOfficer, ask("enable", "a")).await.is(409, "conflict");
    for odd in ["", "a b", &"x".repeat(65)] {
        office.by(Role::KeyOfficer, disable().on("*").with("idempotency-key", odd)).await.is(400, "malformed");
    }
    // Another officer's key of the same text is another key.
    let body = json!({"rules": super::office::good_rule(), "reason": "a"});
    let other = Ask::post("/admin/v1/keys/k/rules/set", body).on("*").with("idempotency-key", "r-1");
    assert!(office.by(Role::RuleOfficer, other).await.ok().body.get("repeat").is_none());
}

#[actix_web::test]
async fn every_change_says_why_and_by_whom() {
    let office = Office::staffed().await;
    office.key("k").await;
    for body in [json!({}), json!({"reason": ""}), json!({"reason": "a\nb"}), json!({"reason": "x".repeat(1_025)})] {
        office.by(Role::KeyOfficer, Ask::post("/admin/v1/keys/k/disable", body).on("*")).await.is(400, "malformed");
    }
    let ask = Ask::post("/admin/v1/keys/k/disable", json!({"reason": "ticket 7"})).on("*");
    let done = office.by(Role::KeyOfficer, ask).await.ok();
    let record = office.house.newest("admin");
    assert_eq!((record["reason"].as_str(), record["caller"].as_str()), (Some("ticket 7"), Some("key-officer")));
    assert_ne!(record["before_digest"], record["after_digest"]);
    let number = done.body["entry"]["number"].as_u64().unwrap();
    let entry = office.by(Role::Auditor, Ask::get(&format!("/admin/v1/audit/{number}"))).await.ok();
    assert_eq!((&entry.body["hash"], &entry.body["body"]), (&done.body["entry"]["hash"], &record));
}

#[actix_web::test]
async fn a_clock_that_is_not_believed_changes_nothing() {
    let office = Office::staffed().await;
    office.key("k").await;
    office.house.clock.trust(false);
    office.by(Role::KeyOfficer, disable().on("*")).await.is(503, "clock-untrusted");
}
