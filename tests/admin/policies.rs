//! Attestation policies over the admin door: checked, set on a named state, kept as versions, compared, restored. P24, P35;
//! POL-01, POL-09, POL-12, POL-15, POL-17.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate::broker::admin::Role;
use openssl::sha::sha256;
use serde_json::{Value, json};

use super::office::{Ask, Office, Reply};

const FIRST: &str = "version=1.0;\nauthorizationrules{\n  => permit();\n};\nissuancerules{};\n";
const SECOND: &str =
    "version=1.0;\nauthorizationrules{\n  [type==\"x-ms-sgx-svn\", value>=2] => permit();\n};\nissuancerules{};\n";

async fn post(office: &Office, path: &str, body: Value, state: &str) -> Reply {
    let ask = Ask::post(&format!("/admin/v1/policies/{path}"), body).on(state);
    office.by(Role::AttestationContributor, ask).await
}

async fn get(office: &Office, path: &str) -> Reply {
    office.by(Role::AttestationReader, Ask::get(&format!("/admin/v1/policies/{path}"))).await.ok()
}

fn set(text: &str) -> Value {
    json!({"policy": text, "reason": "a test"})
}

fn digest(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(sha256(text.as_bytes()))
}

#[actix_web::test]
async fn a_policy_is_set_kept_as_a_version_compared_reset_and_restored() {
    let office = Office::staffed().await;
    let before = get(&office, "SgxEnclave").await;
    assert_eq!((&before.body["policy"]["state"], before.etag.as_deref()), (&json!("default"), Some("\"0\"")));
    let first = post(&office, "SgxEnclave/set", set(FIRST), "\"0\"").await.ok();
    assert_eq!(first.etag.as_deref(), Some("\"1\""));
    assert_eq!(first.body["policy"]["digest"], digest(FIRST));
    let record = office.house.newest("admin");
    assert_eq!((record["operation"].as_str(), record["object"].as_str()), (Some("policy.set"), Some("SgxEnclave")));
    // A name is found without regard to case and told in its one form.
    post(&office, "sgxenclave/set", json!({"policy": SECOND, "reason": "a floor"}), "\"1\"").await.ok();
    let shown = get(&office, "SgxEnclave").await.body;
    assert_eq!((&shown["policy"]["text"], &shown["policy"]["number"]), (&json!(SECOND), &json!(2)));
    let diff = get(&office, "SgxEnclave/diff").await.body;
    let marks: Vec<_> = diff["lines"].as_array().unwrap().iter().map(|line| line["mark"].as_str().unwrap()).collect();
    assert_eq!((marks.concat().as_str(), &diff["from"], &diff["to"]), ("  -+  ", &json!(1), &json!(2)));
    let reset = post(&office, "SgxEnclave/reset", json!({"reason": "back"}), "\"2\"").await.ok();
    assert_eq!((&reset.body["policy"]["state"], &reset.body["policy"]["number"]), (&json!("reset"), &json!(3)));
    assert_eq!(reset.body["policy"]["text"], before.body["policy"]["text"]);
    assert_eq!(get(&office, "SgxEnclave/diff?from=0&to=3").await.body["lines"], json!([]));
    let back = json!({"number": 2, "reason": "after all"});
    let restored = post(&office, "SgxEnclave/restore", back, "\"3\"").await.ok();
    assert_eq!((&restored.body["policy"]["text"], restored.etag.as_deref()), (&json!(SECOND), Some("\"4\"")));
    let history = get(&office, "SgxEnclave/history").await.body;
    let versions = history["versions"].as_array().unwrap();
    let authors: Vec<_> = versions.iter().map(|version| version["author"].as_str().unwrap()).collect();
    assert_eq!(authors, ["attestation-contributor"; 4]);
    assert_eq!((&versions[1]["reason"], &versions[3]["digest"]), (&json!("a floor"), &versions[1]["digest"]));
    let missing = json!({"number": 9, "reason": "x"});
    post(&office, "SgxEnclave/restore", missing, "*").await.is(404, "not-found");
    // Of the other types nothing changed, and a list has no texts.
    let all = office.by(Role::Auditor, Ask::get("/admin/v1/policies")).await.ok().body;
    let all = all["policies"].as_array().unwrap();
    assert_eq!(all.iter().filter(|one| one["state"] == "default").count(), all.len() - 1);
    assert!(all.iter().all(|one| one.get("text").is_none() && one.get("jws").is_none()));
}

#[actix_web::test]
async fn what_is_stored_is_the_document_that_came_and_a_text_becomes_an_unsecured_one() {
    let office = Office::staffed().await;
    let payload = json!({"AttestationPolicy": URL_SAFE_NO_PAD.encode(FIRST)}).to_string();
    let jws = format!("eyJhbGciOiJub25lIn0.{}.", URL_SAFE_NO_PAD.encode(payload));
    let made = post(&office, "Nitro/set", set(FIRST), "*").await.ok();
    assert_eq!(made.body["policy"]["jws"], jws.as_str());
    let brought = post(&office, "Software/set", json!({"jws": jws, "reason": "x"}), "*").await.ok();
    assert_eq!((&brought.body["policy"]["jws"], &brought.body["policy"]["text"]), (&json!(jws), &json!(FIRST)));
    assert_eq!(brought.body["policy"]["signed"], false);
    for odd in ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJub25lIn0.."] {
        let reply = post(&office, "Software/set", json!({"jws": odd, "reason": "x"}), "*").await;
        reply.is(422, "policy-invalid");
    }
    for odd in [json!({"reason": "x"}), json!({"jws": jws, "policy": FIRST, "reason": "x"}), json!({"policy": 7})] {
        post(&office, "Software/set", odd, "*").await.is(400, "malformed");
    }
    assert_eq!(get(&office, "Software").await.body["policy"]["number"], 1);
}

#[actix_web::test]
async fn pol_17_a_policy_that_does_not_parse_is_never_set() {
    let office = Office::staffed().await;
    post(&office, "SgxEnclave/set", set(FIRST), "*").await.ok();
    for odd in ["", "// nothing", "permit();", "version=9.9; authorizationrules{=> permit();};"] {
        let reply = post(&office, "SgxEnclave/set", set(odd), "*").await;
        reply.is(422, "policy-invalid");
        let first = &reply.body["reasons"][0];
        assert!(first["line"].as_u64().is_some() && first["message"].is_string(), "{first}");
    }
    assert_eq!(get(&office, "SgxEnclave").await.body["policy"]["number"], 1, "nothing of it was set");
}

#[actix_web::test]
async fn pol_09_a_name_of_the_service_is_issued_with_a_warning_only() {
    let office = Office::staffed().await;
    let issuing = |name: &str| {
        format!(
            "version=1.0; authorizationrules{{=> permit();}}; issuancerules{{=> issue(type=\"{name}\", value=1);}};"
        )
    };
    let reserved = post(&office, "SgxEnclave/set", set(&issuing("iss")), "*").await.ok().body;
    let own = post(&office, "SgxEnclave/set", set(&issuing("svn")), "*").await.ok().body;
    let about = |body: &Value| {
        let warnings = body["warnings"].as_array().cloned().unwrap_or_default();
        warnings.iter().filter(|warning| warning["message"].as_str().unwrap().contains("iss")).count()
    };
    assert!(about(&reserved) > about(&own), "{reserved} {own}");
}

#[actix_web::test]
async fn pol_15_a_change_on_an_older_state_is_a_conflict() {
    let office = Office::staffed().await;
    post(&office, "TdxVm/set", set(FIRST), "\"1\"").await.is(409, "conflict");
    post(&office, "TdxVm/set", set(FIRST), "\"0\"").await.ok();
    post(&office, "TdxVm/set", set(SECOND), "\"0\"").await.is(409, "conflict");
    post(&office, "TdxVm/reset", json!({"reason": "x"}), "\"0\"").await.is(409, "conflict");
    let unnamed = Ask::post("/admin/v1/policies/TdxVm/set", set(SECOND));
    office.by(Role::AttestationContributor, unnamed.clone()).await.is(428, "precondition-required");
    let absent = unnamed.with("if-none-match", "*");
    office.by(Role::AttestationContributor, absent).await.is(409, "conflict");
    assert_eq!(get(&office, "TdxVm").await.body["policy"]["text"], FIRST, "the twin that named the state stands");
    // Two who read the same state: one of them is told.
    let (one, other) =
        (post(&office, "TdxVm/set", set(SECOND), "\"1\"").await, post(&office, "TdxVm/set", set(FIRST), "\"1\"").await);
    assert_eq!((one.status, other.status), (200, 409));
}

#[actix_web::test]
async fn a_trial_changes_nothing_and_a_repeat_is_done_once() {
    let office = Office::staffed().await;
    let tried = post(&office, "SgxEnclave/set?dry_run=true", set(SECOND), "*").await.ok().body;
    assert_eq!((&tried["policy"]["text"], &tried["before"]["state"]), (&json!(SECOND), &json!("default")));
    assert_eq!(get(&office, "SgxEnclave").await.body["policy"]["state"], "default");
    let ask = || Ask::post("/admin/v1/policies/SgxEnclave/set", set(SECOND)).on("*").with("idempotency-key", "once");
    let first = office.by(Role::AttestationContributor, ask()).await.ok();
    let again = office.by(Role::AttestationContributor, ask()).await.ok();
    assert_eq!((&again.body["repeat"], &again.body["entry"]), (&json!(true), &first.body["entry"]));
    assert_eq!(again.body["policy"]["number"], 1);
    let other = Ask::post("/admin/v1/policies/SgxEnclave/set", set(FIRST)).on("*").with("idempotency-key", "once");
    office.by(Role::AttestationContributor, other).await.is(409, "conflict");
}

#[actix_web::test]
async fn a_type_that_is_not_served_is_not_found() {
    let office = Office::staffed().await;
    for name in ["VbsEnclave", "sgx", "x"] {
        let ask = Ask::get(&format!("/admin/v1/policies/{name}"));
        office.by(Role::AttestationReader, ask).await.is(404, "not-found");
    }
    let tpm = get(&office, "Tpm").await.body;
    assert_eq!((&tpm["policy"]["text"], &tpm["policy"]["digest"]), (&Value::Null, &Value::Null));
}
