//! Credentials: the first admin, what admins may grant, names in one form, tenants apart. P46, P48; ADM-01, ADM-02, ADM-09, ADM-12.

use keygate::broker::admin::Role;
use serde_json::json;

use super::broker::NOW;
use super::office::{Ask, Office};

fn make(name: &str, roles: &[&str]) -> Ask {
    Ask::post(&format!("/admin/v1/credentials/{name}/create"), json!({"roles": roles, "reason": "test"}))
}

#[actix_web::test]
async fn the_first_admin_holds_all_until_there_is_another() {
    let office = Office::bare();
    let first = office.first.clone();
    office.send(&first, Ask::post("/admin/v1/keys/k/create", json!({"type": "oct-256", "reason": "x"}))).await.ok();
    office.send(&first, Ask::get("/admin/v1/store")).await.ok();
    let admin = office.send(&first, make("root", &["admin"])).await.ok().body["credential"]["token"].clone();
    office.send(&first, Ask::get("/admin/v1/store")).await.is(401, "token-invalid");
    let admin = admin.as_str().unwrap();
    office.send(admin, Ask::get("/admin/v1/credentials")).await.ok();
    office.send(admin, Ask::get("/admin/v1/store")).await.is(403, "forbidden");
    // Nor does it come back when the other one ends.
    office.send(admin, make("root-2", &["admin"])).await.ok();
    office.send(admin, Ask::post("/admin/v1/credentials/root-2/revoke", json!({"reason": "x"})).on("*")).await.ok();
    office.send(&first, Ask::get("/admin/v1/store")).await.is(401, "token-invalid");
}

#[actix_web::test]
async fn the_first_admin_ends_after_seven_days() {
    let office = Office::bare();
    office.house.clock.set(NOW + 7 * 86_400 - 1);
    office.send(&office.first, Ask::get("/admin/v1/store")).await.ok();
    office.house.clock.set(NOW + 7 * 86_400);
    office.send(&office.first, Ask::get("/admin/v1/store")).await.is(401, "token-invalid");
    let again = office.house.broker.first_admin(&office.house.provider, 60);
    assert_eq!(again.err().map(|fault| fault.code.as_str()), Some("conflict"), "there is no second first admin");
}

#[actix_web::test]
async fn a_token_is_told_once_and_never_kept() {
    let office = Office::bare();
    let made = office.send(&office.first, make("aud", &["auditor"]).with("idempotency-key", "a-1")).await.ok();
    let token = made.body["credential"]["token"].as_str().unwrap().to_owned();
    assert!(token.strip_prefix("kg_").is_some_and(|rest| rest.len() == 43));
    let again = office.send(&office.first, make("aud", &["auditor"]).with("idempotency-key", "a-1")).await.ok();
    assert_eq!(again.body["repeat"], true);
    assert!(!again.body.to_string().contains("kg_"));
    for path in ["/admin/v1/credentials", "/admin/v1/credentials/aud", "/admin/v1/audit"] {
        let shown = office.send(&office.first, Ask::get(path)).await.ok().body.to_string();
        assert!(!shown.contains("kg_") && !shown.contains(&token), "{path}");
    }
    office.send(&token, Ask::get("/admin/v1/audit")).await.ok();
}

#[actix_web::test]
async fn a_trial_makes_no_token() {
    let office = Office::bare();
    let mut ask = make("aud", &["auditor"]);
    ask.path += "?dry_run=true";
    let tried = office.send(&office.first, ask).await.ok();
    assert!(!tried.body.to_string().contains("kg_"));
    office.send(&office.first, Ask::get("/admin/v1/credentials/aud")).await.is(404, "not-found");
}

#[actix_web::test]
async fn adm_01_names_and_roles_are_canonical_or_refused() {
    let office = Office::bare();
    for name in ["ROOT", "Root", ".root", "_root"] {
        office.send(&office.first, make(name, &["auditor"])).await.is(400, "malformed");
    }
    for roles in [
        json!(["Auditor"]),
        json!([" auditor"]),
        json!(["auditor", "auditor"]),
        json!([]),
        json!(["root"]),
        json!("auditor"),
    ] {
        let ask = Ask::post("/admin/v1/credentials/a/create", json!({"roles": roles, "reason": "x"}));
        office.send(&office.first, ask).await.is(400, "malformed");
    }
}

#[actix_web::test]
async fn adm_02_a_name_is_taken_once_and_stays_taken() {
    let office = Office::bare();
    office.send(&office.first, make("ops", &["operator"])).await.ok();
    office.send(&office.first, make("ops", &["operator"])).await.is(409, "conflict");
    office
        .send(&office.first, Ask::post("/admin/v1/credentials/ops/revoke", json!({"reason": "x"})).on("*"))
        .await
        .ok();
    office.send(&office.first, make("ops", &["operator"])).await.is(409, "conflict");
}

#[actix_web::test]
async fn an_admin_only_grants_and_never_to_itself() {
    let office = Office::staffed().await;
    let admin = Role::Admin;
    office.by(admin, make("admin", &["key-officer"])).await.is(403, "forbidden");
    office.by(admin, make("both", &["admin", "key-officer"])).await.is(403, "forbidden");
    office.by(admin, make("both", &["operator", "auditor"])).await.ok();
}

#[actix_web::test]
async fn a_revoked_or_expired_credential_is_none() {
    let office = Office::staffed().await;
    let auditor = office.token(Role::Auditor).to_owned();
    let ask = Ask::post(
        "/admin/v1/credentials/short/create",
        json!({"roles": ["auditor"], "expires": NOW + 60, "reason": "x"}),
    );
    let short = office.by(Role::Admin, ask).await.ok().body["credential"]["token"].as_str().unwrap().to_owned();
    office.send(&short, Ask::get("/admin/v1/audit")).await.ok();
    let shown = office.by(Role::Admin, Ask::get("/admin/v1/credentials/auditor")).await.ok();
    let revoke = || Ask::post("/admin/v1/credentials/auditor/revoke", json!({"reason": "left"}));
    office.by(Role::Admin, revoke()).await.is(428, "precondition-required");
    office.by(Role::Admin, revoke().on("\"0011223344556677\"")).await.is(409, "conflict");
    office.by(Role::Admin, revoke().on(shown.etag.as_deref().unwrap())).await.ok();
    office.send(&auditor, Ask::get("/admin/v1/audit")).await.is(401, "token-invalid");
    office.house.clock.advance(60);
    office.send(&short, Ask::get("/admin/v1/audit")).await.is(401, "token-invalid");
}

#[actix_web::test]
async fn adm_12_the_last_admin_and_the_last_auditor_stay() {
    let office = Office::staffed().await;
    let revoke =
        |name: &str| Ask::post(&format!("/admin/v1/credentials/{name}/revoke"), json!({"reason": "x"})).on("*");
    office.by(Role::Admin, revoke("auditor")).await.is(409, "conflict");
    office.by(Role::Admin, revoke("admin")).await.is(409, "conflict");
    office.by(Role::Admin, make("aud-2", &["auditor"])).await.ok();
    office.by(Role::Admin, revoke("auditor")).await.ok();
    office.by(Role::Admin, revoke("aud-2")).await.is(409, "conflict");
}

#[actix_web::test]
async fn adm_09_one_provider_knows_nothing_of_another() {
    let office = Office::staffed().await;
    office.key("k").await;
    office.by(Role::Auditor, Ask::get("/admin/v1/keys/k").at("other.example")).await.is(401, "token-invalid");
    let ask = Ask::post(
        "/admin/v1/credentials/root/create",
        json!({"roles": ["admin"], "provider": "other", "reason": "the tenant's own admin"}),
    );
    let other = office.by(Role::Admin, ask).await.ok().body["credential"]["token"].as_str().unwrap().to_owned();
    office.send(&other, Ask::get("/admin/v1/credentials")).await.is(401, "token-invalid");
    let listed = office.send(&other, Ask::get("/admin/v1/credentials").at("other.example")).await.ok();
    assert_eq!(listed.body["credentials"].as_array().unwrap().len(), 1);
    let back = Ask::post(
        "/admin/v1/credentials/x/create",
        json!({"roles": ["auditor"], "provider": "default", "reason": "x"}),
    );
    office.send(&other, back.at("other.example")).await.is(403, "forbidden");
}

#[actix_web::test]
async fn a_credential_for_some_keys_sees_no_others() {
    let office = Office::staffed().await;
    for name in ["db-1", "web-1", "db-2"] {
        office.key(name).await;
    }
    let ask = Ask::post(
        "/admin/v1/credentials/db/create",
        json!({"roles": ["key-officer"], "key_pattern": "DB-*", "reason": "x"}),
    );
    let token = office.by(Role::Admin, ask).await.ok().body["credential"]["token"].as_str().unwrap().to_owned();
    let listed = office.send(&token, Ask::get("/admin/v1/keys?limit=1")).await.ok();
    assert_eq!((listed.body["keys"][0]["name"].as_str(), listed.body["next"].as_str()), (Some("db-1"), Some("db-1")));
    let listed = office.send(&token, Ask::get("/admin/v1/keys?limit=2&after=db-1")).await.ok();
    assert_eq!((listed.body["keys"].as_array().unwrap().len(), &listed.body["next"]), (1, &json!(null)));
    office.send(&token, Ask::get("/admin/v1/keys/web-1")).await.is(404, "key-not-found");
    office.send(&token, Ask::get("/admin/v1/keys/nothing")).await.is(404, "key-not-found");
    let ask = Ask::post("/admin/v1/keys/web-2/create", json!({"type": "oct-256", "reason": "x"}));
    office.send(&token, ask).await.is(404, "key-not-found");
}

#[actix_web::test]
async fn adm_04_every_credential_that_is_none_is_told_the_same() {
    let office = Office::staffed().await;
    office.by(Role::Admin, make("stays", &["auditor"])).await.ok();
    let gone = office.by(Role::Admin, make("gone", &["auditor"])).await.ok().body["credential"]["token"].clone();
    office.by(Role::Admin, Ask::post("/admin/v1/credentials/gone/revoke", json!({"reason": "x"})).on("*")).await.ok();
    let mut told = Vec::new();
    for token in [gone.as_str().unwrap(), &office.first, "kg_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "x"] {
        let mut reply = office.send(token, Ask::get("/admin/v1/audit")).await;
        reply.body["instance"] = json!(null);
        told.push((reply.status, reply.body));
    }
    assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "{told:?}");
}

#[actix_web::test]
async fn adm_07_a_refusal_never_carries_a_token() {
    let office = Office::staffed().await;
    for ask in [make("auditor", &["auditor"]), make("a", &["nobody"]), make("a", &["admin", "auditor"])] {
        let reply = office.by(Role::Admin, ask).await;
        assert!(reply.status >= 400 && !reply.body.to_string().contains("kg_"), "{}", reply.body);
    }
}
