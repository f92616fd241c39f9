//! Keys over the admin door: made, brought, rotated, switched, deleted, recovered, destroyed. `store-durability.md` section 9.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate::broker::admin::Role;
use keygate::broker::{Code, KeyName};
use keygate_keystore::{Change, RotationPolicy};
use openssl::ec::{EcGroup, EcKey};
use openssl::nid::Nid;
use openssl::pkey::PKey;
use serde_json::{Value, json};

use super::broker::{NOW, Workload, rules};
use super::office::{Ask, Office, Reply};

fn create(name: &str, body: Value) -> Ask {
    Ask::post(&format!("/admin/v1/keys/{name}/create"), body)
}

fn import(name: &str, body: Value) -> Ask {
    Ask::post(&format!("/admin/v1/keys/{name}/import"), body)
}

async fn act(office: &Office, role: Role, verb: &str, etag: &str) -> Reply {
    office.by(role, Ask::post(&format!("/admin/v1/keys/k/{verb}"), json!({"reason": "test"})).on(etag)).await
}

#[actix_web::test]
async fn every_type_can_be_made_and_shows_only_its_public_part() {
    let office = Office::staffed().await;
    for (key_type, operations) in [
        ("oct-128", json!(["unwrap", "wrap", "generate"])),
        ("oct-256", json!(["unwrap", "wrap", "generate"])),
        ("rsa-2048", json!(["unwrap", "wrap", "generate", "sign"])),
        ("ec-p256", json!(["sign"])),
        ("ec-p384", json!(["sign"])),
        ("ec-p521", json!(["sign"])),
    ] {
        let made = office.by(Role::KeyOfficer, create(key_type, json!({"type": key_type, "reason": "x"}))).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let key = &made.body["key"];
        assert_eq!(
            (&key["type"], &key["operations"], &key["exportable"]),
            (&json!(key_type), &operations, &json!(false))
        );
        let public = key["versions"][0]["key"].as_object().unwrap();
        for private in ["d", "k", "p", "q", "dp", "dq", "qi"] {
            assert!(!public.contains_key(private), "{key_type} {private}");
        }
    }
    let asked = create("s", json!({"type": "secret", "exportable": true, "reason": "x"}));
    assert!(office.by(Role::KeyOfficer, asked).await.status >= 400, "a secret is brought, not made");
}

#[actix_web::test]
async fn what_a_key_cannot_do_is_refused_when_it_is_made() {
    let office = Office::staffed().await;
    for body in [
        json!({"type": "oct-256", "operations": ["release"], "reason": "x"}),
        json!({"type": "ec-p256", "operations": ["unwrap"], "reason": "x"}),
        json!({"type": "rsa-2048", "operations": ["import"], "reason": "x"}),
        json!({"type": "rsa-2048", "operations": ["export"], "reason": "x"}),
    ] {
        office.by(Role::KeyOfficer, create("k", body)).await.is(403, "operation-not-allowed");
    }
    for body in [
        json!({"type": "oct-256"}),
        json!({"reason": "x"}),
        json!({"type": "oct-256", "reason": "x", "oddity": 1}),
        json!({"type": "oct-256", "reason": "x", "immutable": true}),
        json!({"type": "oct-256", "reason": "x", "not_before": 20, "expires": 10}),
        json!({"type": "oct-256", "reason": "x", "expires": 1.5}),
        json!({"type": "oct-256", "reason": "x", "operations": ["sign", "sign"]}),
    ] {
        let what = body.to_string();
        let reply = office.by(Role::KeyOfficer, create("k", body)).await;
        assert_eq!((reply.status, reply.code()), (400, "malformed"), "{what}");
    }
    let twice =
        Ask { body: Some(r#"{"type":"oct-256","type":"oct-128","reason":"x"}"#.into()), ..create("k", json!({})) };
    office.by(Role::KeyOfficer, twice).await.is(400, "malformed");
    office.by(Role::KeyOfficer, create("-k", json!({"type": "oct-256", "reason": "x"}))).await.is(400, "malformed");
}

#[actix_web::test]
async fn key_14_what_is_brought_is_a_good_key_or_refused() {
    let office = Office::staffed().await;
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let der = key.private_key_to_pkcs8().unwrap();
    let pem = String::from_utf8(key.private_key_to_pem_pkcs8().unwrap()).unwrap();
    let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    for (name, body) in [
        ("raw", json!({"type": "oct-128", "material": {"raw": b64(&[7; 16])}, "reason": "x"})),
        (
            "secret",
            json!({"type": "secret", "exportable": true, "material": {"raw": b64(b"any bytes")}, "reason": "x"}),
        ),
        ("jwk", json!({"material": {"jwk": {"kty": "oct", "k": b64(&[9; 32])}}, "reason": "x"})),
        ("der", json!({"material": {"pkcs8": b64(&der)}, "reason": "x"})),
        ("pem", json!({"material": {"pem": pem}, "reason": "x"})),
    ] {
        assert_eq!(office.by(Role::KeyOfficer, import(name, body)).await.ok().status, 201, "{name}");
    }
    let mut longer = der.clone();
    longer.push(0);
    for body in [
        json!({"type": "oct-128", "material": {"raw": b64(&[0; 16])}, "reason": "x"}),
        json!({"type": "oct-256", "material": {"raw": b64(&[7; 16])}, "reason": "x"}),
        json!({"type": "rsa-2048", "material": {"pkcs8": b64(&der)}, "reason": "x"}),
        json!({"material": {"pkcs8": b64(&longer)}, "reason": "x"}),
        json!({"material": {"raw": b64(&[7; 16])}, "reason": "x"}),
    ] {
        let what = body.to_string();
        let reply = office.by(Role::KeyOfficer, import("bad", body)).await;
        assert_eq!(reply.status, 400, "{what}");
    }
    let journal = office.by(Role::Auditor, Ask::get("/admin/v1/audit?limit=500")).await.ok().body.to_string();
    assert!(!journal.contains(&b64(&[7; 16])) && !journal.contains(&b64(b"any bytes")), "AUD-06");
}

#[actix_web::test]
async fn key_19_a_name_is_taken_whatever_its_case_and_never_overwritten() {
    let office = Office::staffed().await;
    office.key("Disk-Key").await;
    for name in ["disk-key", "DISK-KEY"] {
        office.by(Role::KeyOfficer, create(name, json!({"type": "oct-256", "reason": "x"}))).await.is(409, "conflict");
    }
    let shown = office.by(Role::Auditor, Ask::get("/admin/v1/keys/DISK-key")).await.ok();
    assert_eq!((shown.body["name"].as_str(), shown.body["versions"].as_array().unwrap().len()), (Some("Disk-Key"), 1));
}

#[actix_web::test]
async fn a_version_is_added_and_switched_alone() {
    let office = Office::staffed().await;
    let etag = office.key("k").await;
    let rotated = act(&office, Role::KeyOfficer, "rotate", &etag).await.ok();
    let versions = rotated.body["key"]["versions"].as_array().unwrap().clone();
    assert_eq!(versions.len(), 2);
    let old = versions[0]["version"].as_str().unwrap();
    let off =
        act(&office, Role::KeyOfficer, &format!("versions/{old}/disable").replace("//", "/"), &rotated.etag.unwrap())
            .await;
    // The path names the version: `keys/k/versions/V/disable`.
    let off = off.ok();
    assert_eq!(
        (&off.body["key"]["versions"][0]["enabled"], &off.body["key"]["versions"][1]["enabled"]),
        (&json!(false), &json!(true))
    );
    let missing = "0".repeat(32);
    let reply = act(&office, Role::KeyOfficer, &format!("versions/{missing}/disable"), &off.etag.unwrap()).await;
    reply.is(404, "key-not-found");
}

#[actix_web::test]
async fn after_an_acknowledged_disable_nothing_is_released() {
    let office = Office::staffed().await;
    let etag = office.key("k").await;
    let rule = json!({"rules": rules(json!({})), "reason": "the test's workload", "force": "a test"});
    let ask = Ask::post("/admin/v1/keys/k/rules/set", rule).on(&etag);
    let etag = office.by(Role::RuleOfficer, ask).await.ok().etag.unwrap();
    let workload = Workload::new();
    office.house.broker.use_key(workload.release(&office.house, "k")).await.unwrap();
    let etag = act(&office, Role::KeyOfficer, "disable", &etag).await.ok().etag.unwrap();
    let refused = office.house.broker.use_key(workload.release(&office.house, "k")).await.unwrap_err();
    assert_eq!(refused.code, Code::NotReleased);
    act(&office, Role::KeyOfficer, "enable", &etag).await.ok();
    office.house.broker.use_key(workload.release(&office.house, "k")).await.unwrap();
}

#[actix_web::test]
async fn after_an_acknowledged_denial_a_measurement_opens_nothing() {
    let office = Office::staffed().await;
    let etag = office.key("k").await;
    let rule = json!({"rules": rules(json!({})), "reason": "the test's workload", "force": "a test"});
    office.by(Role::RuleOfficer, Ask::post("/admin/v1/keys/k/rules/set", rule).on(&etag)).await.ok();
    let workload = Workload::new();
    office.house.broker.use_key(workload.release(&office.house, "k")).await.unwrap();
    let denial = json!({"kind": "measurement", "value": "5a".repeat(48), "reason": "a leak in this build"});
    office.by(Role::TrustOfficer, Ask::post("/admin/v1/deny/add", denial.clone())).await.ok();
    office.by(Role::TrustOfficer, Ask::post("/admin/v1/deny/add", denial.clone())).await.is(409, "conflict");
    office.house.broker.use_key(workload.release(&office.house, "k")).await.unwrap_err();
    let listed = office.by(Role::TrustOfficer, Ask::get("/admin/v1/deny")).await.ok();
    let etag = format!("\"{}\"", listed.body["denied"][0]["etag"].as_str().unwrap());
    let remove = || Ask::post("/admin/v1/deny/remove", denial.clone());
    office.by(Role::TrustOfficer, remove()).await.is(428, "precondition-required");
    office.by(Role::TrustOfficer, remove().on("\"0011223344556677\"")).await.is(409, "conflict");
    office.by(Role::TrustOfficer, remove().on(&etag)).await.ok();
    office.house.broker.use_key(workload.release(&office.house, "k")).await.unwrap();
}

/// `keyvault-api.md` section 2, KeyRotationPolicy: `expiryTime` is for every version that a rotation makes, by hand too.
#[actix_web::test]
async fn a_version_made_by_hand_ends_when_the_rotation_policy_says() {
    let office = Office::staffed().await;
    let etag = office.key("k").await;
    let rotated = act(&office, Role::KeyOfficer, "rotate", &etag).await.ok();
    assert_eq!(rotated.body["key"]["expires"], Value::Null);
    let policy = RotationPolicy::parse(r#"{"attributes":{"expiryTime":"P60D"}}"#).unwrap();
    office.house.change(Change::SetRotation { name: KeyName::parse("k").unwrap(), policy });
    let again = act(&office, Role::KeyOfficer, "rotate", &rotated.etag.unwrap()).await.ok();
    assert_eq!(again.body["key"]["expires"], NOW + 60 * 86_400);
}

#[actix_web::test]
async fn adm_13_a_key_is_destroyed_only_after_its_retention() {
    let office = Office::staffed().await;
    let etag = office.key("k").await;
    act(&office, Role::PurgeOfficer, "purge", &etag).await.is(409, "conflict");
    let deleted = act(&office, Role::KeyOfficer, "delete", &etag).await.ok();
    let purge_at = deleted.body["key"]["purge_at"].as_i64().unwrap();
    assert_eq!(purge_at - deleted.body["key"]["deleted_at"].as_i64().unwrap(), 7 * 86_400);
    let etag = deleted.etag.unwrap();
    act(&office, Role::KeyOfficer, "enable", &etag).await.is(409, "key-state");
    office.by(Role::KeyOfficer, create("k", json!({"type": "oct-256", "reason": "x"}))).await.is(409, "conflict");
    office.house.clock.set(purge_at - 1);
    act(&office, Role::PurgeOfficer, "purge", &etag).await.is(403, "forbidden");
    let recovered = act(&office, Role::KeyOfficer, "recover", &etag).await.ok();
    let again = act(&office, Role::KeyOfficer, "delete", &recovered.etag.unwrap()).await.ok();
    office.house.clock.set(again.body["key"]["purge_at"].as_i64().unwrap());
    act(&office, Role::PurgeOfficer, "purge", &again.etag.unwrap()).await.ok();
    office.by(Role::Auditor, Ask::get("/admin/v1/keys/k")).await.is(404, "key-not-found");
}

#[actix_web::test]
async fn r36_a_flood_of_deletions_raises_an_alarm_and_a_hold() {
    let office = Office::staffed().await;
    for n in 0..12 {
        office.by(Role::KeyOfficer, create(&format!("k{n}"), json!({"type": "oct-128", "reason": "x"}))).await.ok();
    }
    let delete = |n: usize| Ask::post(&format!("/admin/v1/keys/k{n}/delete"), json!({"reason": "x"})).on("*");
    for n in 0..10 {
        office.by(Role::KeyOfficer, delete(n)).await.ok();
    }
    office.by(Role::KeyOfficer, delete(10)).await.is(429, "rate-limited");
    assert_eq!(office.house.records("alarm").len(), 1);
    let held = office.by(Role::KeyOfficer, delete(10)).await;
    held.is(429, "rate-limited");
    assert_eq!(held.retry_after.as_deref(), Some("900"));
    assert_eq!(office.house.records("alarm").len(), 1, "one alarm, not one a request");
    office.house.clock.advance(900);
    office.by(Role::KeyOfficer, delete(10)).await.ok();
}

#[actix_web::test]
async fn adm_18_lists_are_paged() {
    let office = Office::staffed().await;
    for n in 0..5 {
        office.by(Role::KeyOfficer, create(&format!("k{n}"), json!({"type": "oct-128", "reason": "x"}))).await.ok();
    }
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let page = office.by(Role::Auditor, Ask::get(&format!("/admin/v1/keys?limit=2{after}"))).await.ok();
        let keys = page.body["keys"].as_array().unwrap();
        assert!(keys.len() <= 2);
        found.extend(keys.iter().map(|key| key["name"].as_str().unwrap().to_owned()));
        match page.body["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(found, ["k0", "k1", "k2", "k3", "k4"]);
    for odd in ["limit=x", "limit=-1", "limit=2&limit=3", "oddity=1", "after=%2f"] {
        office.by(Role::Auditor, Ask::get(&format!("/admin/v1/keys?{odd}"))).await.is(400, "malformed");
    }
}

#[actix_web::test]
async fn key_13_no_key_is_wrapped_under_a_key_by_name() {
    let office = Office::staffed().await;
    office.key("k").await;
    for material in
        [json!({"wrapped": "AAEC", "under": "k"}), json!({"key": "k"}), json!({"raw": "AAEC", "under": "k"})]
    {
        let body = json!({"type": "secret", "exportable": true, "material": material, "reason": "x"});
        office.by(Role::KeyOfficer, import("copy", body)).await.is(400, "malformed");
    }
}

#[actix_web::test]
async fn key_19_of_parallel_creations_one_wins() {
    let office = Office::staffed().await;
    let names = ["k", "K", "k", "K", "k", "K", "k", "K"];
    let all = names.map(|name| office.by(Role::KeyOfficer, create(name, json!({"type": "oct-256", "reason": "x"}))));
    let mut statuses: Vec<u16> = futures_util::future::join_all(all).await.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
}
