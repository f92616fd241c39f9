//! Route by role: the matrix of P46, and a record for each attempt (P45).

use std::collections::BTreeSet;

use keygate::broker::admin::Role;
use serde_json::{Value, json};

use super::office::{Ask, Office, good_rule};

/// A route, the action that its record names, who may, and a body.
struct Route {
    method: &'static str,
    path: &'static str,
    action: &'static str,
    may: &'static [&'static str],
    body: fn() -> Value,
}

const READERS: &[&str] = &["key-officer", "rule-officer", "purge-officer", "auditor"];
const POLICY_READERS: &[&str] = &["attestation-reader", "attestation-contributor", "auditor"];
const RULE_READERS: &[&str] = &["key-officer", "rule-officer", "auditor"];

fn none() -> Value {
    Value::Null
}
fn why() -> Value {
    json!({"reason": "matrix"})
}

fn get(path: &'static str, action: &'static str, may: &'static [&'static str]) -> Route {
    Route { method: "get", path, action, may, body: none }
}
fn post(path: &'static str, action: &'static str, may: &'static [&'static str], body: fn() -> Value) -> Route {
    Route { method: "post", path, action, may, body }
}

/// Every route but the pages that show no object. Written by hand: what stands here is the contract, not the code.
fn routes() -> Vec<Route> {
    vec![
        get("/admin/v1/keys", "key.list", READERS),
        get("/admin/v1/keys/{name}", "key.show", READERS),
        post(
            "/admin/v1/keys/{name}/create",
            "key.create",
            &["key-officer"],
            || json!({"type": "oct-256", "reason": "x"}),
        ),
        post(
            "/admin/v1/keys/{name}/import",
            "key.import",
            &["key-officer"],
            || json!({"type": "secret", "exportable": true, "material": {"raw": "AAEC"}, "reason": "x"}),
        ),
        post("/admin/v1/keys/{name}/rotate", "key.rotate", &["key-officer"], why),
        post("/admin/v1/keys/{name}/set", "key.set", &["key-officer"], || json!({"tags": {"a": "b"}, "reason": "x"})),
        post("/admin/v1/keys/{name}/enable", "key.enable", &["key-officer"], why),
        post("/admin/v1/keys/{name}/disable", "key.disable", &["key-officer"], why),
        post("/admin/v1/keys/{name}/delete", "key.delete", &["key-officer"], why),
        post("/admin/v1/keys/{name}/recover", "key.recover", &["key-officer"], why),
        post("/admin/v1/keys/{name}/purge", "key.purge", &["purge-officer"], why),
        get("/admin/v1/keys/{name}/rules", "rule.show", RULE_READERS),
        get("/admin/v1/keys/{name}/rules/history", "rule.history", RULE_READERS),
        get("/admin/v1/keys/{name}/rules/diff", "rule.diff", RULE_READERS),
        post(
            "/admin/v1/keys/{name}/rules/set",
            "rule.set",
            &["rule-officer"],
            || json!({"rules": good_rule(), "reason": "x"}),
        ),
        post(
            "/admin/v1/keys/{name}/rules/restore",
            "rule.restore",
            &["rule-officer"],
            || json!({"number": 1, "reason": "x"}),
        ),
        get("/admin/v1/policies", "policy.list", POLICY_READERS),
        get("/admin/v1/policies/{type}", "policy.show", POLICY_READERS),
        get("/admin/v1/policies/{type}/history", "policy.history", POLICY_READERS),
        get("/admin/v1/policies/{type}/diff", "policy.diff", POLICY_READERS),
        post(
            "/admin/v1/policies/{type}/set",
            "policy.set",
            &["attestation-contributor"],
            || json!({"policy": "version=1.0; authorizationrules{=> permit();};", "reason": "x"}),
        ),
        post("/admin/v1/policies/{type}/reset", "policy.reset", &["attestation-contributor"], why),
        post(
            "/admin/v1/policies/{type}/restore",
            "policy.restore",
            &["attestation-contributor"],
            || json!({"number": 1, "reason": "x"}),
        ),
        get("/admin/v1/references", "reference.list", RULE_READERS),
        get("/admin/v1/references/{name}", "reference.show", RULE_READERS),
        get("/admin/v1/references/{name}/review", "reference.review", RULE_READERS),
        post(
            "/admin/v1/references/{name}/import",
            "reference.import",
            &["key-officer", "rule-officer"],
            || json!({"jws": "a.b.c", "reason": "x"}),
        ),
        post(
            "/admin/v1/references/{name}/approve",
            "reference.approve",
            &["rule-officer"],
            || json!({"serial": 1, "reason": "x"}),
        ),
        post("/admin/v1/references/{name}/retire", "reference.retire", &["rule-officer"], why),
        get("/admin/v1/signing-keys", "signing-key.list", &["trust-officer", "attestation-reader", "auditor"]),
        post("/admin/v1/signing-keys/rotate", "signing-key.rotate", &["trust-officer"], why),
        get("/admin/v1/deny", "deny.list", &["trust-officer", "auditor"]),
        post("/admin/v1/deny/add", "deny.add", &["trust-officer"], denial),
        post("/admin/v1/deny/remove", "deny.remove", &["trust-officer"], denial),
        get("/admin/v1/enrolments", "enrolment.list", &["trust-officer", "auditor"]),
        get("/admin/v1/enrolments/{name}", "enrolment.show", &["trust-officer", "auditor"]),
        post("/admin/v1/enrolments/{name}/remove", "enrolment.remove", &["trust-officer"], why),
        get("/admin/v1/endorsement-keys", "endorsement-key.list", &["trust-officer", "auditor"]),
        post("/admin/v1/endorsement-keys/allow", "endorsement-key.allow", &["trust-officer"], endorsement_key),
        post("/admin/v1/endorsement-keys/disallow", "endorsement-key.disallow", &["trust-officer"], endorsement_key),
        get("/admin/v1/credentials", "credential.list", &["admin", "auditor"]),
        get("/admin/v1/credentials/{name}", "credential.show", &["admin", "auditor"]),
        post(
            "/admin/v1/credentials/{name}/create",
            "credential.create",
            &["admin"],
            || json!({"roles": ["auditor"], "reason": "x"}),
        ),
        post("/admin/v1/credentials/{name}/revoke", "credential.revoke", &["admin"], why),
        get("/admin/v1/audit", "audit.list", &["auditor"]),
        get("/admin/v1/audit/{entry}", "audit.show", &["auditor"]),
        post("/admin/v1/audit/verify", "audit.verify", &["auditor"], || json!({})),
        get("/admin/v1/store", "store.status", &["operator"]),
        get("/admin/v1/store/check", "store.check", &["operator"]),
        post("/admin/v1/store/backup", "store.backup", &["operator"], why),
    ]
}

fn endorsement_key() -> Value {
    json!({"ek": "0a".repeat(32), "reason": "x"})
}

fn denial() -> Value {
    json!({"kind": "platform", "value": "0a".repeat(16), "reason": "x"})
}

fn ask(route: &Route) -> Ask {
    let path = route.path.replace("{name}", "k").replace("{entry}", "1").replace("{type}", "SgxEnclave");
    match route.method {
        "get" => Ask::get(&path),
        _ if route.action.starts_with("audit.") || route.action.starts_with("store.") => {
            Ask::post(&path, (route.body)())
        }
        // A trial: the matrix asks who may, and changes nothing. Creations rest on nothing.
        _ if route.path.ends_with("/create")
            || route.path.ends_with("/import")
            || route.path.ends_with("/add")
            || route.path.ends_with("/allow") =>
        {
            Ask::post(&format!("{path}?dry_run=true"), (route.body)())
        }
        _ => Ask::post(&format!("{path}?dry_run=true"), (route.body)()).on("*"),
    }
}

#[actix_web::test]
async fn every_route_is_for_its_roles_and_every_attempt_is_recorded_once() {
    let office = Office::staffed().await;
    office.key("k").await;
    // The signing keys are made, as they are in a service that runs; else whoever asks first makes one, with a record of its own.
    office.house.broker.tick();
    for route in routes() {
        for role in Role::ALL {
            let before = office.entries();
            let reply = office.by(*role, ask(&route)).await;
            let what = format!("{} {} by {}: {}", route.method, route.path, role.as_str(), reply.body);
            let record = office.house.newest("admin");
            assert_eq!(office.entries(), before + 1, "{what}");
            assert_eq!(record["operation"], route.action, "{what}");
            assert_eq!(record["caller"], role.as_str(), "{what}");
            if route.may.contains(&role.as_str()) {
                assert!(![401, 403].contains(&reply.status), "{what}");
                assert_eq!(record["decision"] == "permit", reply.status < 300, "{what}");
            } else {
                reply.is(403, "forbidden");
                assert_eq!(
                    (record["decision"].as_str(), record["code"].as_str()),
                    (Some("deny"), Some("forbidden")),
                    "{what}"
                );
                let instance = reply.body["instance"].as_str().unwrap().trim_start_matches("urn:uuid:");
                assert_eq!(record["correlation"], instance, "{what}");
            }
        }
    }
}

#[actix_web::test]
async fn every_route_that_is_described_stands_in_the_matrix() {
    let document = serde_json::to_value(keygate::doors::admin::document()).unwrap();
    let described: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(move |m| (m.clone(), path.clone())))
        .filter(|(_, path)| path != "/metrics")
        .collect();
    let listed: BTreeSet<_> = routes().iter().map(|r| (r.method.to_owned(), r.path.to_owned())).collect();
    assert_eq!(described, listed);
}

#[actix_web::test]
async fn without_a_credential_nothing_is_told_and_strangers_are_counted() {
    let office = Office::staffed().await;
    office.key("k").await;
    for route in routes() {
        let before = office.entries();
        office.send("", ask(&route)).await.is(401, "auth-required");
        office.send("kg_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", ask(&route)).await.is(401, "token-invalid");
        assert_eq!(office.entries(), before, "{}", route.path);
    }
    office.house.clock.advance(61);
    office.house.broker.tick();
    let counted = office.house.newest("strangers");
    assert_eq!(counted["count"], routes().len());
}

#[actix_web::test]
async fn adm_10_what_is_not_listed_is_not_routed() {
    let office = Office::staffed().await;
    for path in [
        "/admin/v1/keys/k/release",
        "/admin/v1/keys/k/versions",
        "/admin/v1/policies/Tpm/try",
        "/admin/v1/store/restore",
    ] {
        for ask in [Ask::get(path), Ask::post(path, json!({"reason": "x"}))] {
            let reply = office.send(&office.first, ask).await;
            assert!(matches!(reply.status, 404 | 405), "{path}: {}", reply.status);
        }
    }
    assert_eq!(office.send(&office.first, Ask::post("/admin/v1/keys", json!({}))).await.status, 405);
}

#[actix_web::test]
async fn metrics_are_for_operators_and_the_page_is_for_all() {
    let office = Office::staffed().await;
    office.send("", Ask::get("/metrics")).await.is(401, "auth-required");
    office.by(Role::Admin, Ask::get("/metrics")).await.is(403, "forbidden");
    assert!([200, 404].contains(&office.by(Role::Operator, Ask::get("/metrics")).await.status));
    assert_eq!(office.send("", Ask::get("/docs")).await.status, 200);
    assert_eq!(office.send("", Ask::get("/openapi.json")).await.ok().body["info"]["title"], "Keygate admin");
}

#[actix_web::test]
async fn adm_06_no_request_names_a_file_a_command_or_an_address() {
    let document = serde_json::to_value(keygate::doors::admin::document()).unwrap();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let mut members = BTreeSet::new();
    for schema in schemas.values() {
        members.extend(schema["properties"].as_object().into_iter().flat_map(|all| all.keys().cloned()));
    }
    assert!(members.contains("reason"), "the sweep sees members");
    for word in
        ["path", "file", "filename", "directory", "url", "uri", "host", "address", "command", "sink", "plugin", "port"]
    {
        assert!(!members.contains(word), "{word}");
    }
}
