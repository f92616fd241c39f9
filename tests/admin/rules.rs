//! Rules over the admin door: admitted, linted, forced, versioned, compared, restored, kept. P24; KEY-01, KEY-02, KEY-05, SGX-28, SNP-21.

use keygate::broker::admin::Role;
use serde_json::{Value, json};

use super::office::{Ask, Office, Reply, good_rule};

fn rule(tests: Value) -> Value {
    json!({"version": "1.0.0", "anyOf": [{"authority": "self", "allOf": tests}]})
}

async fn set(office: &Office, body: Value) -> Reply {
    office.by(Role::RuleOfficer, Ask::post("/admin/v1/keys/k/rules/set", body).on("*")).await
}

#[actix_web::test]
async fn key_01_a_rule_that_means_nothing_is_refused_with_its_place_and_cannot_be_forced() {
    let office = Office::staffed().await;
    office.key("k").await;
    for odd in [
        json!({"version": "1.0.0", "anyOf": []}),
        json!({"version": "2.0.0", "anyOf": [{"authority": "self", "allOf": [{"claim": "a", "equals": "b"}]}]}),
        rule(json!([])),
        rule(json!([{"claim": "a", "resembles": "b"}])),
        json!({"rules": {"default": good_rule()}, "options": {"freshnes": "once"}}),
    ] {
        for force in [None, Some("because")] {
            let mut body = json!({"rules": odd, "reason": "x"});
            if let Some(force) = force {
                body["force"] = json!(force);
            }
            let reply = set(&office, body).await;
            reply.is(422, "rule-invalid");
            let first = &reply.body["reasons"][0];
            assert_eq!(first["severity"], "error", "{first}");
            assert!(first["line"].as_u64().is_some_and(|line| line > 0) && first["message"].is_string(), "{first}");
        }
    }
    let shown = office.by(Role::RuleOfficer, Ask::get("/admin/v1/keys/k/rules")).await.ok();
    assert_eq!(shown.body["rule"]["number"], 1, "nothing of it was set");
}

#[actix_web::test]
async fn key_02_a_rule_for_no_workload_needs_to_be_forced_with_a_reason() {
    refused_unless_forced(
        rule(json!([{"claim": "x-ms-attestation-type", "equals": "sevsnpvm"}])),
        "rule-invalid.no-workload",
    )
    .await;
}

#[actix_web::test]
async fn sgx_28_a_signer_without_product_and_floor_needs_to_be_forced() {
    let tests = json!([{"claim": "x-ms-sgx-mrsigner", "equals": "1f".repeat(32)}]);
    refused_unless_forced(rule(tests), "rule-invalid.signer-alone").await;
    let floor = json!([
        {"claim": "x-ms-sgx-mrsigner", "equals": "1f".repeat(32)},
        {"claim": "x-ms-sgx-product-id", "equals": 7},
        {"claim": "x-ms-sgx-svn", "greaterOrEquals": 2},
    ]);
    let office = Office::staffed().await;
    office.key("k").await;
    set(&office, json!({"rules": rule(floor), "reason": "the twin that has both"})).await.ok();
}

#[actix_web::test]
async fn snp_21_family_and_image_id_alone_need_to_be_forced() {
    let tests = json!([{"claim": "x-ms-sevsnpvm-familyId", "equals": "01".repeat(16)}]);
    refused_unless_forced(rule(tests), "rule-invalid.family-alone").await;
}

async fn refused_unless_forced(rules: Value, code: &str) {
    let office = Office::staffed().await;
    office.key("k").await;
    let reply = set(&office, json!({"rules": rules, "reason": "x"})).await;
    reply.is(422, "rule-invalid");
    assert_eq!(reply.body["reasons"][0]["code"], code);
    for force in [json!(""), json!("  "), json!(true)] {
        set(&office, json!({"rules": rules, "reason": "x", "force": force})).await.is(400, "malformed");
    }
    let forced = set(&office, json!({"rules": rules, "reason": "x", "force": "a lab"})).await.ok();
    assert_eq!(forced.body["warnings"][0]["code"], code);
    let record = office.house.newest("admin");
    assert_eq!((record["forced"].as_str(), record["operation"].as_str()), (Some("a lab"), Some("rule.set")));
    // And again where it comes back later: nothing else is easier.
    set(&office, json!({"rules": good_rule(), "reason": "x"})).await.ok();
    let path = "/admin/v1/keys/k/rules/restore";
    let back = Ask::post(path, json!({"number": 2, "reason": "x"})).on("*");
    office.by(Role::RuleOfficer, back).await.is(422, "rule-invalid");
    let back = Ask::post(path, json!({"number": 2, "reason": "x", "force": "the lab again"})).on("*");
    office.by(Role::RuleOfficer, back).await.ok();
    assert_eq!(office.house.newest("admin")["forced"], "the lab again");
    // The same where a key is made with its rule.
    let made = json!({"type": "oct-256", "rules": rules, "reason": "x"});
    let by_both = Ask::post(
        "/admin/v1/credentials/both/create",
        json!({"roles": ["key-officer", "rule-officer"], "reason": "x"}),
    );
    let both = office.by(Role::Admin, by_both).await.ok().body["credential"]["token"].as_str().unwrap().to_owned();
    office.send(&both, Ask::post("/admin/v1/keys/new/create", made.clone())).await.is(422, "rule-invalid");
    let mut made = made;
    made["force"] = json!("a lab");
    office.send(&both, Ask::post("/admin/v1/keys/new/create", made)).await.ok();
}

#[actix_web::test]
async fn a_key_officer_sets_no_rule_not_even_with_a_new_key() {
    let office = Office::staffed().await;
    let body = json!({"type": "oct-256", "rules": good_rule(), "reason": "x"});
    office.by(Role::KeyOfficer, Ask::post("/admin/v1/keys/k/create", body)).await.is(403, "forbidden");
    office.by(Role::Auditor, Ask::get("/admin/v1/keys/k")).await.is(404, "key-not-found");
}

#[actix_web::test]
async fn key_05_an_immutable_rule_stays_through_everything() {
    let office = Office::staffed().await;
    let etag = office.key("k").await;
    let body = json!({"rules": good_rule(), "immutable": true, "reason": "for good"});
    let kept = office.by(Role::RuleOfficer, Ask::post("/admin/v1/keys/k/rules/set", body).on(&etag)).await.ok();
    let digest = kept.body["key"]["rule"]["digest"].clone();
    let other =
        json!({"rules": {"rules": {"default": good_rule()}, "options": {"debug": true}}, "force": "x", "reason": "x"});
    set(&office, other).await.is(403, "forbidden");
    let restore = Ask::post("/admin/v1/keys/k/rules/restore", json!({"number": 1, "reason": "x"})).on("*");
    office.by(Role::RuleOfficer, restore).await.is(403, "forbidden");
    let again = json!({"type": "secret", "exportable": true, "material": {"raw": "AAEC"}, "reason": "x"});
    office.by(Role::KeyOfficer, Ask::post("/admin/v1/keys/k/import", again)).await.is(409, "conflict");
    let version = json!({"material": {"raw": "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"}, "reason": "x"});
    let rotated = office.by(Role::KeyOfficer, Ask::post("/admin/v1/keys/k/rotate", version).on("*")).await.ok();
    assert_eq!((&rotated.body["key"]["rule"]["digest"], &rotated.body["key"]["immutable"]), (&digest, &json!(true)));
    let with_rule = json!({"rules": good_rule(), "reason": "x"});
    office.by(Role::KeyOfficer, Ask::post("/admin/v1/keys/k/rotate", with_rule).on("*")).await.is(400, "malformed");
}

#[actix_web::test]
async fn versions_of_a_rule_are_kept_compared_and_restored() {
    let office = Office::staffed().await;
    office.key("k").await;
    let second = json!({"rules": {"default": good_rule()}, "options": {"session_seconds": 900}});
    set(&office, json!({"rules": second, "reason": "longer sessions"})).await.ok();
    let history = office.by(Role::Auditor, Ask::get("/admin/v1/keys/k/rules/history")).await.ok().body;
    let versions = history["versions"].as_array().unwrap();
    assert_eq!(versions.len(), 2);
    assert_eq!(
        (versions[1]["author"].as_str(), versions[1]["reason"].as_str()),
        (Some("rule-officer"), Some("longer sessions"))
    );
    let diff = office.by(Role::Auditor, Ask::get("/admin/v1/keys/k/rules/diff")).await.ok().body;
    assert_eq!(diff["changes"], json!([{"path": "/options/session_seconds", "before": null, "after": 900}]));
    let restore = Ask::post("/admin/v1/keys/k/rules/restore", json!({"number": 1, "reason": "back"})).on("*");
    let restored = office.by(Role::RuleOfficer, restore).await.ok();
    assert_eq!(restored.body["key"]["rule"]["number"], 3);
    assert_eq!(restored.body["key"]["rule"]["digest"], versions[0]["digest"]);
    let missing = Ask::post("/admin/v1/keys/k/rules/restore", json!({"number": 9, "reason": "x"})).on("*");
    office.by(Role::RuleOfficer, missing).await.is(404, "not-found");
}
