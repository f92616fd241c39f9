//! What a caller must not get at the Key Vault door: keys beyond its pattern, rules beyond its role, records that hide a change.
//!
//! `keyvault-api.md` sections 2, 3 and 5; threat model P24, P27, P42, P46; `bad-inputs.md` KEY-05, KEY-09, ADM-09.

use actix_web::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::Change;
use serde_json::{Value, json};

use super::broker::{NOW, b64};
use super::vault::*;

const DAY: i64 = 86_400;

impl Vault {
    /// A credential of these roles for the keys of a pattern.
    fn limited(&self, name: &str, roles: &[&str], pattern: Option<&str>) -> String {
        let token = credential(name);
        self.house.change(Change::CreateCredential {
            name: name.to_owned(),
            roles: roles.iter().map(ToString::to_string).collect(),
            key_pattern: pattern.map(ToOwned::to_owned),
            expires: None,
            token: token.clone().into(),
        });
        token
    }

    async fn as_who(&self, who: &str, path: &str, body: Value) -> Told {
        self.send(Method::POST, path, Some(who), Some(body)).await
    }

    /// Deletes a key, and lets its time pass.
    async fn end(&self, name: &str) {
        self.delete(&format!("/keys/{name}"), "key-officer").await.ok();
        self.house.clock.advance(91 * DAY);
        assert_eq!(self.delete(&format!("/deletedkeys/{name}"), "purge-officer").await.status, 204);
    }
}

fn without_correlation(told: &Told) -> (u16, Value) {
    let mut body = told.body.clone();
    body["error"]["innererror"]["correlation"] = json!("");
    (told.status, body)
}

/// P27: a signature is checked for whoever may read the key, and for a workload that meets a rule; nobody else learns by it that a key is there.
#[actix_web::test]
async fn key_09_checking_a_signature_tells_nobody_that_a_key_is_there() {
    let vault = Vault::new().await;
    vault.create("web", json!({"kty": "RSA"})).await;
    vault
        .import("ruled", json!({"kty": "oct-HSM", "k": secret()["k"], "key_ops": ["sign", "verify"]}), policy())
        .await
        .ok();
    let digest = b64(&openssl::sha::sha256(b"m"));
    let of = |name: &str, alg: &str, length: usize| {
        (format!("/keys/{name}//verify"), json!({"alg": alg, "digest": digest, "value": b64(&vec![1; length])}))
    };
    let limited = vault.limited("dbuser", &["key-user"], Some("db-*"));
    let operator = vault.limited("op", &["operator"], None);
    let stranger = vault.token_with(|c| c["x-ms-sevsnpvm-launchmeasurement"] = json!("00"));
    for who in [&limited, &operator, &stranger] {
        let mut told = Vec::new();
        for (name, alg, length) in [("web", "RS256", 256), ("ruled", "HS256", 32), ("nothing", "RS256", 256)] {
            let (path, body) = of(name, alg, length);
            told.push(without_correlation(&vault.as_who(who, &path, body).await));
        }
        assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "{told:?}");
        assert_eq!(told[0].0, 403, "{told:?}");
    }
    let (path, body) = of("ruled", "HS256", 32);
    assert_eq!(vault.post(&path, "key-user", body.clone()).await.ok()["value"], false);
    assert_eq!(vault.post(&path, "auditor", body.clone()).await.ok()["value"], false);
    assert_eq!(vault.as_who(&vault.token(), &path, body).await.ok()["value"], false, "this one meets the rule");
}

/// P24: a copy brings back the rule of then. Whoever may not set a rule may not set it that way either.
#[actix_web::test]
async fn key_05_a_copy_brings_no_older_rule_back_without_the_role() {
    let vault = Vault::new().await;
    let loose = json!({"version": "1.0.0", "anyOf": [{"authority": ISSUER, "allOf": [
        {"claim": "x-ms-attestation-type", "equals": "sevsnpvm"}]}]});
    vault.import("db", secret(), policy_of(&loose, false)).await.ok();
    let copy = vault.post("/keys/db/backup", "key-officer", json!({})).await.ok();
    vault.patch("/keys/db/", json!({"release_policy": policy()})).await.ok();
    vault.end("db").await;
    vault.post("/keys/restore", "key-officer", copy.clone()).await.is(403, "ForbiddenByRbac");
    vault.get("/keys/db/", "key-officer").await.is(404, "KeyNotFound");
    vault.post("/keys/restore", "all", copy).await.ok();
}

#[actix_web::test]
async fn a_copy_of_an_unruled_key_does_not_take_a_rule_off_without_the_role() {
    let vault = Vault::new().await;
    vault.create("k", json!({"kty": "RSA"})).await;
    let copy = vault.post("/keys/k/backup", "key-officer", json!({})).await.ok();
    vault.house.set_rules("k", &json!({"rules": {"default": rule()}, "options": {"clear": "token"}}));
    vault.end("k").await;
    vault.post("/keys/restore", "key-officer", copy).await.is(403, "ForbiddenByRbac");
}

/// Every change is recorded with what it was about.
#[actix_web::test]
async fn the_record_of_a_restore_names_the_key() {
    let vault = Vault::new().await;
    vault.create("k", json!({"kty": "RSA"})).await;
    let copy = vault.post("/keys/k/backup", "key-officer", json!({})).await.ok();
    vault.end("k").await;
    vault.post("/keys/restore", "all", copy).await.ok();
    let record = vault.house.newest("admin");
    assert_eq!((&record["operation"], &record["key"]), (&json!("key.restore"), &json!("k")), "{record}");
}

/// The digests of a record are those of the state before and behind it: a rule that changes shows there.
#[actix_web::test]
async fn p24_the_record_of_a_change_shows_that_the_rule_changed() {
    let vault = Vault::new().await;
    vault.import("db", secret(), policy()).await.ok();
    let made = vault.house.newest("admin");
    let other = json!({"version": "1.0.0", "anyOf": [{"authority": ISSUER, "allOf": [{"claim": "a", "equals": "b"}]}]});
    vault.patch("/keys/db/", json!({"release_policy": policy_of(&other, false)})).await.ok();
    let set = vault.house.newest("admin");
    assert_ne!(set["before_digest"], set["after_digest"], "{set}");
    assert_ne!(made["after_digest"], set["after_digest"]);
    for change in [
        json!({"tags": {"a": "b"}}),
        json!({"key_ops": ["wrapKey"]}),
        json!({"attributes": {"enabled": false}}),
        json!({"attributes": {"enabled": true, "exp": NOW + 9}}),
        json!({"release_policy": policy_of(&other, true)}),
    ] {
        let before = vault.house.newest("admin");
        vault.patch("/keys/db/", change.clone()).await.ok();
        let after = vault.house.newest("admin");
        assert_eq!(before["after_digest"], after["before_digest"], "{change}");
        assert_ne!(after["before_digest"], after["after_digest"], "{change}");
    }
}

/// ADM-09: a page ends where the last key of the caller stands; what lies behind it does not show.
#[actix_web::test]
async fn adm_09_a_next_link_tells_of_no_key_beyond_the_pattern() {
    let vault = Vault::new().await;
    vault.create("db-1", json!({"kty": "EC"})).await;
    let limited = vault.limited("dbuser", &["key-user", "key-officer"], Some("db-*"));
    let page = async || {
        let path = "/keys?api-version=7.4&maxresults=1";
        vault.send(Method::GET, path, Some(&limited), None).await.ok()
    };
    assert_eq!(page().await["nextLink"], Value::Null);
    vault.create("web", json!({"kty": "EC"})).await;
    assert_eq!(page().await["nextLink"], Value::Null, "another's key");
    vault.create("db-2", json!({"kty": "EC"})).await;
    let first = page().await;
    assert_eq!(first["value"].as_array().unwrap().len(), 1);
    assert!(first["nextLink"].is_string());
}

/// A key that was in use becomes no exchange key: what it sealed would open by a role alone.
#[actix_web::test]
async fn a_key_in_use_becomes_no_exchange_key() {
    let vault = Vault::new().await;
    vault.create("k", json!({"kty": "RSA-HSM"})).await;
    vault.house.set_rules("k", &json!({"rules": {"default": rule()}, "options": {}}));
    let told = vault
        .send(Method::PATCH, "/keys/k/", Some(&credential("key-officer")), Some(json!({"key_ops": ["import"]})))
        .await;
    assert_ne!(told.status, 200, "{}", told.body);
}

/// ADM-09: no verb reaches beyond the pattern of a credential, and none tells whether something is there.
#[actix_web::test]
async fn adm_09_no_verb_reaches_beyond_a_pattern() {
    let vault = Vault::new().await;
    vault.create("web", json!({"kty": "RSA"})).await;
    vault.create("gone", json!({"kty": "RSA"})).await;
    let copy = vault.post("/keys/web/backup", "key-officer", json!({})).await.ok();
    vault.delete("/keys/gone", "key-officer").await.ok();
    let roles = ["key-user", "key-officer", "rule-officer", "purge-officer", "auditor"];
    let limited = vault.limited("db", &roles, Some("db-*"));
    let value = b64(&[1; 32]);
    let policy = json!({"lifetimeActions": []});
    for (method, path, body) in [
        (Method::GET, "/keys/NAME/", None),
        (Method::GET, "/keys/NAME/versions", None),
        (Method::GET, "/keys/NAME/rotationpolicy", None),
        (Method::GET, "/deletedkeys/NAME", None),
        (Method::PUT, "/keys/NAME/rotationpolicy", Some(policy)),
        (Method::POST, "/keys/NAME/create", Some(json!({"kty": "RSA"}))),
        (Method::PUT, "/keys/NAME", Some(json!({"key": secret()}))),
        (Method::PATCH, "/keys/NAME/", Some(json!({"tags": {}}))),
        (Method::DELETE, "/keys/NAME", None),
        (Method::DELETE, "/deletedkeys/NAME", None),
        (Method::POST, "/deletedkeys/NAME/recover", Some(json!({}))),
        (Method::POST, "/keys/NAME/backup", Some(json!({}))),
        (Method::POST, "/keys/NAME/rotate", Some(json!({}))),
        (Method::POST, "/keys/NAME/release", Some(json!({"target": vault.token()}))),
        (Method::POST, "/keys/NAME/wrapkey", Some(json!({"alg": "RSA-OAEP", "value": value}))),
        (Method::POST, "/keys/NAME/encrypt", Some(json!({"alg": "RSA-OAEP", "value": value}))),
        (Method::POST, "/keys/NAME/unwrapkey", Some(json!({"alg": "RSA-OAEP", "value": value}))),
        (Method::POST, "/keys/NAME/decrypt", Some(json!({"alg": "RSA-OAEP", "value": value}))),
        (Method::POST, "/keys/NAME/sign", Some(json!({"alg": "RS256", "value": value}))),
        (Method::POST, "/keys/NAME/verify", Some(json!({"alg": "RS256", "digest": value, "value": value}))),
    ] {
        let mut told = Vec::new();
        for name in ["web", "gone", "nothing"] {
            let answer = vault.send(method.clone(), &path.replace("NAME", name), Some(&limited), body.clone()).await;
            assert!((400..500).contains(&answer.status), "{method} {path} {name}: {}", answer.body);
            told.push(without_correlation(&answer));
        }
        assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "{method} {path}: {told:?}");
    }
    let restored = vault.as_who(&limited, "/keys/restore", copy).await;
    restored.is(404, "KeyNotFound");
    for path in ["/keys", "/deletedkeys"] {
        let listed = vault.send(Method::GET, path, Some(&limited), None).await.ok();
        assert_eq!(listed["value"], json!([]), "{path}");
    }
}

/// P18, JWT-43: a session token of ours is neither a bearer nor a target here.
#[actix_web::test]
async fn jwt_43_what_looks_like_a_token_of_ours_is_verified_where_it_counts() {
    let vault = Vault::new().await;
    vault.import("db", secret(), policy()).await.ok();
    let issuer = vault.house.seat().provider.issuer().to_owned();
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = part(json!({"iss": issuer, "exp": NOW + 99, "iat": NOW}));
    for header in [
        json!({"alg": "ES256", "typ": "keygate-attestation", "kid": "x"}),
        json!({"alg": "none"}),
        json!({"alg": "RS256", "kid": "x"}),
    ] {
        let token = format!("{}.{claims}.{}", part(header), URL_SAFE_NO_PAD.encode([1; 64]));
        let told = vault.release("db", &token, None).await;
        assert_eq!(told.status, 400, "{}", told.body);
        let body = json!({"alg": "A256KW", "value": b64(&[1; 40])});
        vault.as_who(&token, "/keys/db/unwrapkey", body).await.is(401, "Unauthorized");
    }
}

/// A bearer that is sent for a release is one that counts: what only looks like a verifier's token is none.
#[actix_web::test]
async fn the_bearer_of_a_release_is_verified() {
    let vault = Vault::new().await;
    vault.import("db", secret(), policy()).await.ok();
    let release = async |bearer: &str| {
        let body = json!({"target": vault.token(), "nonce": "n"});
        vault.as_who(bearer, "/keys/db/release", body).await
    };
    release(&vault.token()).await.ok();
    release(&vault.token_with(|claims| claims["jti"] = json!("a2"))).await.ok();
    let forged = vault.stranger.token(&vault.claims());
    release(&forged).await.is(401, "Unauthorized");
    let over = vault.token_with(|claims| claims["exp"] = json!(NOW - 61));
    release(&over).await.is(401, "Unauthorized");
}

/// No number in a body is too large to be reckoned with.
#[actix_web::test]
async fn times_at_the_edge_of_numbers_are_reckoned_with() {
    let vault = Vault::new().await;
    vault.create("k", json!({"kty": "oct-HSM"})).await;
    let before = json!({"lifetimeActions": [
        {"trigger": {"timeBeforeExpiry": "P100Y"}, "action": {"type": "Rotate"}},
        {"trigger": {"timeAfterCreate": "P100Y"}, "action": {"type": "Notify"}}]});
    let officer = credential("key-officer");
    vault.send(Method::PUT, "/keys/k/rotationpolicy", Some(&officer), Some(before)).await.ok();
    for times in [json!({"exp": i64::MAX}), json!({"nbf": i64::MIN, "exp": i64::MIN + 1}), json!({"exp": -1})] {
        vault.patch("/keys/k/", json!({"attributes": times})).await.ok();
        vault.house.broker.tick();
        vault.get("/keys/k/", "key-user").await.ok();
        vault.get("/keys", "key-user").await.ok();
    }
    vault.patch("/keys/k/", json!({"attributes": {"exp": 1_u64 << 63}})).await.is(400, "BadParameter");
}

/// `keyvault-api.md` section 2 (KeyRotationPolicy): whoever rotates, a version has the life that the policy gives it.
#[actix_web::test]
async fn a_rotation_gives_the_key_the_end_that_its_policy_says() {
    let vault = Vault::new().await;
    vault.create("k", json!({"kty": "EC", "attributes": {"exp": NOW + 9}})).await;
    let policy = json!({"lifetimeActions": [], "attributes": {"expiryTime": "P90D"}});
    let officer = credential("key-officer");
    vault.send(Method::PUT, "/keys/k/rotationpolicy", Some(&officer), Some(policy)).await.ok();
    let rotated = vault.post("/keys/k/rotate", "key-officer", json!({})).await.ok();
    assert_eq!(rotated["attributes"]["exp"], NOW + 90 * DAY);
}

/// P26: a switch stays where it was put. What is switched off here is the version, and nothing puts another in its place by itself.
#[actix_web::test]
async fn p26_what_was_switched_off_is_not_on_again_by_rotation() {
    let vault = Vault::new().await;
    vault.import("k", secret(), policy()).await.ok();
    vault.import("on", secret(), policy()).await.ok();
    let rotation = json!({"lifetimeActions": [{"trigger": {"timeAfterCreate": "P30D"}, "action": {"type": "Rotate"}}]});
    let officer = credential("key-officer");
    for name in ["k", "on"] {
        let path = format!("/keys/{name}/rotationpolicy");
        vault.send(Method::PUT, &path, Some(&officer), Some(rotation.clone())).await.ok();
    }
    vault.patch("/keys/k/", json!({"attributes": {"enabled": false}})).await.ok();
    vault.house.clock.advance(31 * DAY);
    vault.house.broker.tick();
    let versions = async |name: &str| {
        let listed = vault.get(&format!("/keys/{name}/versions"), "key-user").await.ok();
        listed["value"].as_array().unwrap().len()
    };
    assert_eq!((versions("on").await, versions("k").await), (2, 1));
}

/// P24: what is immutable is so for everybody, also by way of a copy that was made before.
#[actix_web::test]
async fn key_05_an_older_copy_does_not_make_an_immutable_rule_mutable() {
    let vault = Vault::new().await;
    vault.import("db", secret(), policy()).await.ok();
    let older = vault.post("/keys/db/backup", "key-officer", json!({})).await.ok();
    vault.end("db").await;
    vault.post("/keys/restore", "all", older.clone()).await.ok();
    vault.patch("/keys/db/", json!({"release_policy": policy_of(&rule(), true)})).await.ok();
    let frozen = vault.post("/keys/db/backup", "key-officer", json!({})).await.ok();
    vault.end("db").await;
    vault.post("/keys/restore", "all", older).await.is(403, "ForbiddenByRbac");
    let restored = vault.post("/keys/restore", "all", frozen).await.ok();
    assert_eq!(restored["release_policy"]["immutable"], true);
}
