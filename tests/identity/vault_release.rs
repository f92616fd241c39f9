//! Secure key release at the Key Vault door: who gets a key, in which form, and who does not.
//!
//! `secure-key-release.md`; `bad-inputs.md` KEY-02 to KEY-09, JWT rows by their code.

use actix_web::http::Method;
use keygate_forge::binding::Question;
use keygate_keystore::KeyType;
use serde_json::{Value, json};

use super::broker::{HOST, NOW, Workload, b64};
use super::vault::*;

#[actix_web::test]
async fn the_key_comes_sealed_to_the_key_in_the_token_in_every_form() {
    let vault = Vault::new().await;
    let made = vault.import("db", secret(), policy()).await.ok();
    assert_eq!(made["key"]["kty"], "oct-HSM");
    assert!(made["key"].get("k").is_none());
    for (enc, named) in [
        (None, "CKM_RSA_AES_KEY_WRAP"),
        (Some("CKM_RSA_AES_KEY_WRAP"), "CKM_RSA_AES_KEY_WRAP"),
        (Some("RSA_AES_KEY_WRAP_256"), "RSA_AES_KEY_WRAP_256"),
        (Some("RSA_AES_KEY_WRAP_384"), "RSA_AES_KEY_WRAP_384"),
    ] {
        let told = vault.release("db", &vault.token(), enc).await.ok();
        let (payload, key) = vault.open(&told);
        assert_eq!(key, SECRET, "{named}");
        let asked = &payload["request"];
        assert_eq!(asked["enc"], named);
        assert_eq!((&asked["nonce"], &asked["api-version"]), (&json!("n0"), &json!("2025-07-01")));
        assert_eq!(asked["kid"], format!("https://{HOST}:8443/keys/db"));
        let key = &payload["response"]["key"];
        assert_eq!(key["key"]["kid"], made["key"]["kid"]);
        assert_eq!(key["key"]["kty"], "oct");
        assert_eq!(key["attributes"]["exportable"], true);
        assert_eq!(key["release_policy"], made["release_policy"]);
        let record = vault.record();
        assert_eq!((&record["decision"], &record["door"]), (&json!("permit"), &json!("key-vault")));
        assert_eq!(record["claims"]["x-ms-attestation-type"], "sevsnpvm");
        assert!(record["claims"].get("x-ms-runtime").is_none(), "what the workload holds is in no record: {record}");
    }
}

#[actix_web::test]
async fn each_thing_that_differs_is_refused_by_its_code() {
    let vault = Vault::new().await;
    vault.import("db", secret(), policy()).await.ok();
    vault.release("db", &vault.token(), None).await.ok();
    let other = Workload::with_key(KeyType::Rsa2048);
    let refused = async |what: &str, token: String, status: u16, word: &str| {
        let told = vault.release("db", &token, None).await;
        assert_eq!((told.status, told.word()), (status, word), "{what}: {}", told.body);
    };
    let with = |change: &dyn Fn(&mut Value)| vault.token_with(|claims| change(claims));
    refused("measurement", with(&|c| c["x-ms-sevsnpvm-launchmeasurement"] = json!("00")), 403, "rule-not-satisfied")
        .await;
    refused("debug", with(&|c| c["x-ms-sevsnpvm-is-debuggable"] = json!(true)), 403, "debug-rejected").await;
    refused("over", with(&|c| c["exp"] = json!(NOW - 61)), 400, "token-invalid").await;
    refused("not yet", with(&|c| c["nbf"] = json!(NOW + 61)), 400, "token-invalid").await;
    refused("no end", with(&|c| drop(c.as_object_mut().unwrap().remove("exp"))), 400, "token-invalid").await;
    refused("issuer", with(&|c| c["iss"] = json!(format!("{ISSUER}/"))), 400, "token-invalid").await;
    refused("ours", with(&|c| c["keygate"] = json!({})), 400, "token-invalid").await;
    refused("key", vault.stranger.token(&vault.claims()), 400, "token-invalid").await;
    refused("no key", with(&|c| c["x-ms-runtime"] = json!({})), 400, "binding-mismatch").await;
    let nested = json!({"x-ms-runtime": {"keys": [vault.wrap_key()]}});
    refused(
        "nested",
        with(&|c| {
            c["x-ms-runtime"] = json!({});
            c["x-ms-isolation-tee"] = nested.clone();
        }),
        400,
        "binding-mismatch",
    )
    .await;
    refused("use", with(&|c| c["x-ms-runtime"]["keys"][0]["key_ops"] = json!(["sign"])), 400, "binding-mismatch").await;
    refused(
        "no name",
        with(&|c| drop(c["x-ms-runtime"]["keys"][0].as_object_mut().unwrap().remove("kid"))),
        400,
        "token-invalid",
    )
    .await;
    // A key of the workload that asks for it, not of the one before.
    let mut jwk = Value::Object(other.recipient.public_jwk());
    jwk["kid"] = json!("TeeWrapKey");
    jwk["key_ops"] = json!(["encrypt"]);
    let told = vault.release("db", &with(&|c| c["x-ms-runtime"]["keys"][0] = jwk.clone()), None).await.ok();
    let sealed = told["value"].as_str().unwrap().to_owned();
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| vault.open(&json!({"value": sealed})))).is_err());
    refused("no token", "x".to_owned(), 400, "token-invalid").await;
    for body in [json!({}), json!({"target": 3}), json!({"target": vault.token(), "enc": "JWE"}), json!({"target": {}})]
    {
        let told = vault.post("/keys/db/release", "key-user", body).await;
        assert_eq!((told.status, told.word()), (400, "malformed"), "{}", told.body);
    }
}

#[actix_web::test]
async fn key_09_whoever_has_no_role_learns_nothing_of_the_key() {
    let vault = Vault::new().await;
    vault.import("db", secret(), policy()).await.ok();
    vault.create("plain", json!({"kty": "RSA"})).await;
    let bad = vault.token_with(|c| c["x-ms-sevsnpvm-launchmeasurement"] = json!("00"));
    let mut told = Vec::new();
    for (name, token) in [("db", &bad), ("plain", &vault.token()), ("nothing", &vault.token())] {
        let body = json!({"target": token});
        let answer = vault.send(Method::POST, &format!("/keys/{name}/release"), Some(token), Some(body)).await;
        answer.is(403, "AccessDenied");
        let mut body = answer.body.clone();
        body["error"]["innererror"]["correlation"] = json!("");
        told.push(body);
        assert_ne!(vault.record()["code"], "not-released", "the record has the true code");
    }
    assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "{told:?}");
    // Who has a role for it is told.
    vault.release("nothing", &vault.token(), None).await.is(404, "KeyNotFound");
    vault.release("plain", &vault.token(), None).await.is(403, "AccessDenied");
    let explained = vault.release("db", &bad, None).await;
    explained.is(403, "AttestationDenied");
    assert_eq!(explained.body["error"]["innererror"]["failed"][0]["path"], "x-ms-sevsnpvm-launchmeasurement");
}

#[actix_web::test]
async fn a_release_asks_who_it_is_before_it_looks_at_the_body() {
    let vault = Vault::new().await;
    vault.import("db", secret(), policy()).await.ok();
    let told = vault.send(Method::POST, "/keys/db//release", None, None).await;
    told.is(401, "Unauthorized");
    let challenge = told.challenge.unwrap();
    assert_eq!(
        challenge,
        format!("Bearer authorization=\"https://{HOST}:8443/default\", resource=\"https://example:8443\"")
    );
    let body = || Some(json!({"target": vault.token()}));
    vault.send(Method::POST, "/keys/db//release", Some("kg_nobody"), body()).await.is(401, "Unauthorized");
    // The token itself is somebody.
    vault.send(Method::POST, "/keys/db//release", Some(&vault.token()), body()).await.ok();
    vault.send(Method::GET, "/keys/db/", Some(&vault.token()), None).await.is(403, "ForbiddenByRbac");
}

#[actix_web::test]
async fn raw_evidence_stands_where_a_token_would() {
    let vault = Vault::new().await;
    let measurement = hex::encode(super::broker::GOOD);
    let own = json!({"version": "1.0.0", "anyOf": [{"authority": "self", "allOf": [
        {"claim": "software.measurement", "equals": measurement}]}]});
    vault.import("db", secret(), policy_of(&own, false)).await.ok();
    let rules = json!({"rules": {"default": own}, "options": {"anchors": ["forge"], "freshness": "issuer"}});
    vault.house.set_rules("db", &rules);
    let proof = |operation: &'static str, input: &[u8]| {
        let challenge = vault.house.challenge();
        let question =
            Question { operation, key: "db", input, wrapping: "RSA_AES_KEY_WRAP_256", ..Question::default() };
        let data = vault.workload.evidence(&vault.house, challenge, HOST, &question);
        json!({"evidence": {"kind": "software", "data": b64(&data)}, "challenge": b64(&challenge),
            "recipient": vault.workload.recipient.public_jwk()})
    };
    let ask = async |target: Value| {
        let body = json!({"target": target, "enc": "RSA_AES_KEY_WRAP_256", "nonce": "n0"});
        vault.post("/keys/db/release", "key-user", body).await
    };
    let target = proof("keyvault-release", b"n0");
    let told = ask(target.clone()).await.ok();
    assert!(told["value"].as_str().unwrap().matches('.').count() == 2);
    // The same once more, bound to a release at the native door, bound to another nonce of the answer.
    let again = ask(target).await;
    assert_eq!((again.status, again.word()), (403, "freshness-failed"));
    for target in [proof("release", b"n0"), proof("keyvault-release", b"n1")] {
        let told = ask(target).await;
        assert_eq!((told.status, told.word()), (400, "binding-mismatch"), "{}", told.body);
    }
}

#[actix_web::test]
async fn key_07_an_option_of_the_key_leaves_sha_1_out() {
    let vault = Vault::new().await;
    vault.import("db", secret(), policy()).await.ok();
    let options = json!({"freshness": "issuer", "wrappings": ["RSA_AES_KEY_WRAP_256"]});
    vault.house.set_rules("db", &json!({"rules": {"default": rule()}, "options": options}));
    vault.release("db", &vault.token(), None).await.is(403, "AccessDenied");
    vault.release("db", &vault.token(), Some("RSA_AES_KEY_WRAP_384")).await.is(403, "AccessDenied");
    vault.release("db", &vault.token(), Some("RSA_AES_KEY_WRAP_256")).await.ok();
    // A key that wants a challenge of ours opens to no token without one.
    vault.house.set_rules("db", &json!({"rules": {"default": rule()}, "options": {}}));
    let told = vault.release("db", &vault.token(), None).await;
    assert_eq!((told.status, told.word()), (403, "freshness-failed"));
}

#[actix_web::test]
async fn pkcs8_and_secrets_of_any_length_are_released() {
    let vault = Vault::new().await;
    let odd = json!({"kty": "oct-HSM", "k": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg"});
    vault.import("odd", odd, policy()).await.ok();
    let told = vault.release("odd", &vault.token(), None).await.ok();
    assert_eq!(vault.open(&told).1, (0..31).collect::<Vec<u8>>());
    for (name, body) in [("rsa", json!({"kty": "RSA-HSM"})), ("ec", json!({"kty": "EC-HSM", "crv": "P-384"}))] {
        let mut body = body;
        body["attributes"] = json!({"exportable": true});
        body["release_policy"] = policy();
        vault.create(name, body).await;
        let told = vault.release(name, &vault.token(), Some("RSA_AES_KEY_WRAP_256")).await.ok();
        let (payload, key) = vault.open(&told);
        let key = openssl::pkey::PKey::private_key_from_der(&key).unwrap();
        let public = &payload["response"]["key"]["key"];
        match name {
            "rsa" => assert_eq!(public["n"], b64(&key.rsa().unwrap().n().to_vec())),
            _ => assert_eq!(public["crv"], "P-384"),
        }
    }
}
