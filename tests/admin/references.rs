//! Reference values over the admin door and what they do to keys: proposed, reviewed, approved, retired, and nothing in between.
//! Threat model A6, P7, P21, P24, P35, P45, P46; `docs/reference-values.md`.

use keygate::broker::admin::Role;
use keygate_keystore::KeyType;
use serde_json::{Value, json};

use super::broker::{GOOD, NOW, SIGNERS, Workload, es256, reference};
use super::office::{Ask, Office, Reply};

const DAY: i64 = 86_400;

fn document(serial: u64, values: &[&str]) -> Value {
    json!({
        "name": "fleet", "serial": serial, "iat": NOW - 60, "exp": NOW + 30 * DAY,
        "values": {"software.measurement": values},
    })
}

fn good() -> String {
    hex::encode(GOOD)
}

async fn import(office: &Office, role: Role, name: &str, jws: &str) -> Reply {
    let ask =
        Ask::post(&format!("/admin/v1/references/{name}/import"), json!({"jws": jws, "reason": "a test"})).on("*");
    office.by(role, ask).await
}

async fn change(office: &Office, role: Role, verb: &str, mut body: Value) -> Reply {
    body["reason"] = json!("a test");
    office.by(role, Ask::post(&format!("/admin/v1/references/fleet/{verb}"), body).on("*")).await
}

async fn approve(office: &Office, serial: u64) -> Reply {
    change(office, Role::RuleOfficer, "approve", json!({"serial": serial})).await
}

/// A serial in force.
async fn in_force(office: &Office, serial: u64, values: &[&str]) {
    import(office, Role::KeyOfficer, "fleet", &reference(&document(serial, values))).await.ok();
    approve(office, serial).await.ok();
}

fn rules(test: &Value) -> Value {
    json!({
        "rules": {"default": {"version": "1.0.0", "anyOf": [{"authority": "self", "allOf": [test]}]}},
        "options": {"anchors": ["forge"]},
    })
}

fn by_reference() -> Value {
    json!({"claim": "software.measurement", "reference": "fleet"})
}

/// Whether the good workload gets the key, and if not, why, as the audit has it.
async fn released(office: &Office, key: &str) -> Result<u64, String> {
    let workload = Workload::new();
    let before = office.entries();
    let told = office.house.broker.use_key(workload.release(&office.house, key)).await;
    assert_eq!(office.entries(), before + 1, "{told:?}");
    let record = office.house.newest("key.use");
    let leaves = record["leaves"].as_array().unwrap();
    let leaf = leaves.iter().find(|leaf| leaf["operator"] == "reference").unwrap();
    match told {
        Ok(_) => Ok(leaf["serial"].as_u64().unwrap()),
        Err(_) => Err(leaf["reason"].as_str().unwrap().to_owned()),
    }
}

#[actix_web::test]
async fn twenty_keys_follow_one_approval_and_the_denial_says_why() {
    let office = Office::staffed().await;
    for n in 0..20 {
        office.house.key_with(&format!("key-{n}"), KeyType::Oct256, &rules(&by_reference()));
    }
    let all = async |wanted: Result<u64, &str>| {
        for n in [0, 7, 19] {
            assert_eq!(released(&office, &format!("key-{n}")).await, wanted.map_err(str::to_owned));
        }
    };
    all(Err("reference-missing")).await;
    import(&office, Role::KeyOfficer, "fleet", &reference(&document(1, &["00", &good()]))).await.ok();
    all(Err("reference-missing")).await;
    let review = office.by(Role::RuleOfficer, Ask::get("/admin/v1/references/fleet/review")).await.ok().body;
    assert_eq!(review["used_by"]["keys"].as_array().unwrap().len(), 20);
    assert_eq!(review["used_by"]["keys"][0], json!({"key": "key-0", "claims": ["software.measurement"]}));
    approve(&office, 1).await.ok();
    all(Ok(1)).await;
    // The next kernel: the running one is not among its values.
    import(&office, Role::KeyOfficer, "fleet", &reference(&document(2, &["00", "11"]))).await.ok();
    all(Ok(1)).await;
    let review = office.by(Role::Auditor, Ask::get("/admin/v1/references/fleet/review")).await.ok().body;
    let wanted = json!([{"claim": "software.measurement", "added": ["11"], "removed": [good()], "kept": 1}]);
    assert_eq!(review["changes"], wanted);
    approve(&office, 2).await.ok();
    all(Err("reference-no-match")).await;
    change(&office, Role::RuleOfficer, "retire", json!({})).await.ok();
    all(Err("reference-missing")).await;
    let other =
        json!({"name": "fleet", "serial": 3, "iat": NOW, "exp": NOW + DAY, "values": {"software.other": [good()]}});
    import(&office, Role::RuleOfficer, "fleet", &reference(&other)).await.ok();
    approve(&office, 3).await.ok();
    all(Err("reference-no-entry")).await;
}

#[actix_web::test]
async fn values_expire_between_two_uses_and_a_grace_ends() {
    let office = Office::staffed().await;
    office.house.key_with("db-key", KeyType::Oct256, &rules(&by_reference()));
    in_force(&office, 1, &[&good()]).await;
    import(&office, Role::KeyOfficer, "fleet", &reference(&document(2, &["11"]))).await.ok();
    for (until, code) in [(NOW, "malformed"), (NOW + 91 * DAY, "malformed")] {
        let body = json!({"serial": 2, "keep_previous": until});
        change(&office, Role::RuleOfficer, "approve", body).await.is(400, code);
    }
    let kept = json!({"serial": 2, "keep_previous": NOW + 300});
    let told = change(&office, Role::RuleOfficer, "approve", kept).await.ok().body;
    assert_eq!(told["reference"]["previous"]["serial"], 1, "{told}");
    assert_eq!(released(&office, "db-key").await, Ok(1));
    office.house.clock.set(NOW + 299);
    assert_eq!(released(&office, "db-key").await, Ok(1));
    office.house.clock.set(NOW + 300);
    assert_eq!(released(&office, "db-key").await, Err("reference-no-match".to_owned()));
    let shown = office.by(Role::Auditor, Ask::get("/admin/v1/references/fleet")).await.ok().body;
    assert_eq!(shown["reference"]["previous"], Value::Null, "{shown}");
    // A grace can be taken back before its end.
    in_force(&office, 3, &[&good()]).await;
    import(&office, Role::KeyOfficer, "fleet", &reference(&document(4, &["11"]))).await.ok();
    change(&office, Role::RuleOfficer, "approve", json!({"serial": 4, "keep_previous": NOW + 9_000})).await.ok();
    assert_eq!(released(&office, "db-key").await, Ok(3));
    change(&office, Role::RuleOfficer, "retire", json!({"what": "previous"})).await.ok();
    assert_eq!(released(&office, "db-key").await, Err("reference-no-match".to_owned()));
    change(&office, Role::RuleOfficer, "retire", json!({"what": "previous"})).await.is(404, "not-found");
    let mut soon = document(5, &[&good()]);
    soon["exp"] = json!(NOW + 400);
    import(&office, Role::KeyOfficer, "fleet", &reference(&soon)).await.ok();
    approve(&office, 5).await.ok();
    office.house.clock.set(NOW + 399);
    assert_eq!(released(&office, "db-key").await, Ok(5));
    office.house.clock.set(NOW + 400);
    assert_eq!(released(&office, "db-key").await, Err("reference-expired".to_owned()));
}

#[actix_web::test]
async fn what_is_not_signed_by_who_may_within_its_dates_is_refused_one_by_one() {
    let office = Office::staffed().await;
    in_force(&office, 5, &[&good()]).await;
    let (build, lab) = (&SIGNERS[0].1, &SIGNERS[1].1);
    let header = json!({"alg": "ES256", "typ": "keygate-reference+jwt"});
    let with = |name: &str, value: Value| {
        let mut document = document(6, &[&good()]);
        document[name] = value;
        document
    };
    let headed = |name: &str, value: Value| {
        let mut header = header.clone();
        header[name] = value;
        es256(build, &header, &document(6, &["11"]).to_string())
    };
    let good_one = reference(&document(6, &["11"]));
    let (text, _) = good_one.rsplit_once('.').unwrap();
    let mut torn = good_one.clone().into_bytes();
    let last = torn.len() - 5;
    torn[last] = if torn[last] == b'A' { b'B' } else { b'A' };
    let stranger = openssl::ec::EcKey::generate(build.ec_key().unwrap().group()).unwrap();
    let stranger = openssl::pkey::PKey::from_ec_key(stranger).unwrap();
    let plain = document(6, &["11"]).to_string();
    for (jws, code) in [
        (plain.clone(), "reference-invalid.unsigned"),
        (format!("{text}."), "reference-invalid.signer"),
        (headed("alg", json!("none")), "reference-invalid.algorithm"),
        (headed("alg", json!("HS256")), "reference-invalid.algorithm"),
        (headed("alg", json!("ES512")), "reference-invalid.algorithm"),
        (headed("typ", json!("JWT")), "reference-invalid.type"),
        (headed("kid", json!("somebody")), "reference-invalid.signer"),
        (headed("crit", json!(["x"])), "reference-invalid.jws"),
        (headed("jwk", json!({"kty": "EC"})), "reference-invalid.jws"),
        (String::from_utf8(torn).unwrap(), "reference-invalid.signer"),
        (es256(&stranger, &header, &plain), "reference-invalid.signer"),
        (es256(lab, &header, &plain), "reference-invalid.name"),
        (reference(&with("name", json!("other"))), "reference-invalid.name"),
        (reference(&with("provider", json!("other"))), "reference-invalid.provider"),
        (reference(&with("exp", json!(NOW))), "reference-invalid.expired"),
        (reference(&with("iat", json!(NOW + 61))), "reference-invalid.not-yet-valid"),
        (reference(&document(5, &["11"])), "reference-invalid.serial"),
        (reference(&document(4, &["11"])), "reference-invalid.serial"),
        (reference(&with("values", json!({}))), "reference-invalid"),
        (reference(&with("more", json!(1))), "reference-invalid"),
        (reference(&with("exp", json!(NOW + 800 * DAY))), "reference-invalid"),
    ] {
        let reply = import(&office, Role::KeyOfficer, "fleet", &jws).await;
        reply.is(422, "reference-invalid");
        assert_eq!(reply.body["reasons"][0]["code"], code, "{} {jws}", reply.body);
        let record = office.house.newest("admin");
        assert_eq!((&record["decision"], &record["operation"]), (&json!("deny"), &json!("reference.import")));
    }
    let long = reference(&with("note", json!("x".repeat(65_536))));
    import(&office, Role::KeyOfficer, "fleet", &long).await.is(413, "too-large");
    import(&office, Role::KeyOfficer, "Fleet", &good_one).await.is(400, "malformed");
    // What is right in all of that is taken, at the edge of its dates, and by the signer that may sign the name.
    import(&office, Role::KeyOfficer, "fleet", &reference(&with("iat", json!(NOW + 60)))).await.ok();
    let mut labs = document(1, &["11"]);
    labs["name"] = json!("lab-a");
    labs["provider"] = json!("default");
    import(&office, Role::KeyOfficer, "lab-a", &es256(lab, &header, &labs.to_string())).await.ok();
}

#[actix_web::test]
async fn who_imports_does_not_approve_by_that_role_and_each_step_is_recorded() {
    let office = Office::staffed().await;
    let jws = reference(&document(1, &[&good()]));
    for role in Role::ALL {
        let reply = import(&office, *role, "fleet", &jws).await;
        match role {
            Role::KeyOfficer => drop(reply.ok()),
            // By now the serial is used.
            Role::RuleOfficer => reply.is(422, "reference-invalid"),
            _ => reply.is(403, "forbidden"),
        }
    }
    for role in Role::ALL.iter().filter(|role| **role != Role::RuleOfficer) {
        change(&office, *role, "approve", json!({"serial": 1})).await.is(403, "forbidden");
        change(&office, *role, "retire", json!({})).await.is(403, "forbidden");
    }
    change(&office, Role::RuleOfficer, "approve", json!({"serial": 2})).await.is(409, "conflict");
    let kept = json!({"serial": 1, "keep_previous": NOW + 9});
    change(&office, Role::RuleOfficer, "approve", kept).await.is(400, "malformed");
    approve(&office, 1).await.ok();
    let record = office.house.newest("admin");
    let told = ["operation", "object", "serial", "decision", "reason"].map(|name| record[name].clone());
    assert_eq!(json!(told), json!(["reference.approve", "fleet", 1, "permit", "a test"]));
    approve(&office, 1).await.is(404, "not-found");
    // A credential for some keys only does not move what all keys may depend on.
    let body = json!({"roles": ["rule-officer"], "key_pattern": "db-*", "reason": "narrow"});
    let made = office.by(Role::Admin, Ask::post("/admin/v1/credentials/narrow/create", body)).await.ok();
    let token = made.body["credential"]["token"].as_str().unwrap();
    let next = reference(&document(2, &[&good()]));
    for (verb, body) in [
        ("import", json!({"jws": next, "reason": "x"})),
        ("approve", json!({"serial": 2, "reason": "x"})),
        ("retire", json!({"reason": "x"})),
    ] {
        let ask = Ask::post(&format!("/admin/v1/references/fleet/{verb}"), body).on("*");
        office.send(token, ask).await.is(403, "forbidden");
    }
}

#[actix_web::test]
async fn a_proposal_is_held_against_time_once_more_when_it_is_approved() {
    let office = Office::staffed().await;
    let mut soon = document(1, &[&good()]);
    soon["exp"] = json!(NOW + 100);
    import(&office, Role::KeyOfficer, "fleet", &reference(&soon)).await.ok();
    office.house.clock.set(NOW + 100);
    let late = approve(&office, 1).await;
    late.is(422, "reference-invalid");
    assert_eq!(late.body["reasons"][0]["code"], "reference-invalid.expired");
    let review = office.by(Role::RuleOfficer, Ask::get("/admin/v1/references/fleet/review")).await.ok().body;
    assert_eq!(review["proposed"]["state"], "expired");
    change(&office, Role::RuleOfficer, "retire", json!({"what": "proposed"})).await.ok();
    approve(&office, 1).await.is(404, "not-found");
    change(&office, Role::RuleOfficer, "retire", json!({"what": "both"})).await.is(400, "malformed");
}

#[actix_web::test]
async fn adm_18_there_is_an_end_to_names() {
    let office = Office::staffed().await;
    let jws = |name: &str| {
        let mut document = document(1, &[&good()]);
        document["name"] = json!(name);
        reference(&document)
    };
    for n in 0..256 {
        let text = json!({"highest": 1}).to_string();
        let digest = openssl::sha::sha256(text.as_bytes());
        let change = keygate_keystore::Change::SetPolicy { kind: format!("Reference:n-{n}"), document: text, digest };
        office.house.change(change);
    }
    import(&office, Role::KeyOfficer, "one-more", &jws("one-more")).await.is(413, "too-large");
    let known = import(&office, Role::KeyOfficer, "n-7", &jws("n-7")).await;
    known.is(422, "reference-invalid");
    let mut next = document(2, &[&good()]);
    next["name"] = json!("n-7");
    import(&office, Role::KeyOfficer, "n-7", &reference(&next)).await.ok();
}

#[actix_web::test]
async fn a_change_names_the_state_it_rests_on_and_a_trial_writes_nothing() {
    let office = Office::staffed().await;
    let jws = reference(&document(1, &[&good()]));
    let ask = |path: &str, body: Value| Ask::post(&format!("/admin/v1/references/fleet/{path}"), body);
    let bare = ask("import", json!({"jws": jws, "reason": "x"}));
    office.by(Role::KeyOfficer, bare.clone()).await.is(428, "precondition-required");
    office.by(Role::KeyOfficer, bare.clone().on("\"1\"")).await.is(409, "conflict");
    let trial = ask("import?dry_run=true", json!({"jws": jws, "reason": "x"}));
    let told = office.by(Role::KeyOfficer, trial.with("if-none-match", "*")).await.ok().body;
    assert_eq!((&told["dry_run"], &told["reference"]["state"]), (&json!(true), &json!("proposed")));
    office.by(Role::Auditor, Ask::get("/admin/v1/references/fleet")).await.is(404, "not-found");
    let made = office.by(Role::KeyOfficer, bare.clone().with("if-none-match", "*")).await.ok();
    assert_eq!(made.etag.as_deref(), Some("\"1\""));
    office.by(Role::KeyOfficer, bare.with("if-none-match", "*")).await.is(422, "reference-invalid");
    let approval = ask("approve", json!({"serial": 1, "reason": "x"}));
    office.by(Role::RuleOfficer, approval.clone().on("\"0\"")).await.is(409, "conflict");
    let once = approval.on("\"1\"").with("idempotency-key", "the-approval");
    let first = office.by(Role::RuleOfficer, once.clone()).await.ok().body;
    let again = office.by(Role::RuleOfficer, once).await.ok().body;
    assert_eq!((&first["entry"], &again["repeat"]), (&again["entry"], &json!(true)));
    assert_eq!(again["reference"]["in_force"]["serial"], 1);
    let listed = office.by(Role::KeyOfficer, Ask::get("/admin/v1/references")).await.ok().body;
    let one = &listed["references"][0];
    assert_eq!((&one["name"], &one["state"], &one["number"]), (&json!("fleet"), &json!("in-force"), &json!(2)));
    assert!(one["in_force"].get("values").is_none() && one["in_force"]["claims"]["software.measurement"] == 1);
}

#[actix_web::test]
async fn a_rule_that_names_what_does_not_count_is_warned_of() {
    let office = Office::staffed().await;
    let warned = async |test: Value| {
        let state = office.by(Role::RuleOfficer, Ask::get("/admin/v1/keys/db-key/rules")).await.ok().etag.unwrap();
        let body = json!({"rules": rules(&test), "reason": "x"});
        let ask = Ask::post("/admin/v1/keys/db-key/rules/set", body).on(&state);
        let told = office.by(Role::RuleOfficer, ask).await.ok().body;
        let codes = told["warnings"].as_array().cloned().unwrap_or_default();
        codes
            .iter()
            .map(|one| one["code"].as_str().unwrap().to_owned())
            .filter(|code| code.contains("reference"))
            .collect::<Vec<_>>()
    };
    office.key("db-key").await;
    assert_eq!(warned(by_reference()).await, ["rule-warning.unknown-reference"]);
    in_force(&office, 1, &[&good()]).await;
    assert!(warned(by_reference()).await.is_empty());
    let other = json!({"claim": "software.measuremint", "reference": "fleet"});
    assert_eq!(warned(other).await, ["rule-warning.reference-without-claim"]);
    let key = json!({"type": "oct-256", "exportable": true, "rules": rules(&json!({"claim": "software.measurement", "reference": "none"})), "reason": "x"});
    let both = json!({"roles": ["key-officer", "rule-officer"], "reason": "both"});
    let made = office.by(Role::Admin, Ask::post("/admin/v1/credentials/both/create", both)).await.ok();
    let token = made.body["credential"]["token"].as_str().unwrap();
    let told = office.send(token, Ask::post("/admin/v1/keys/other/create", key)).await.ok().body;
    assert!(told["warnings"].to_string().contains("unknown-reference"), "{told}");
}
