//! Keys managed at the Key Vault door, and used in the clear.
//!
//! `keyvault-api.md` sections 2, 3 and 5; `bad-inputs.md` KEY-05, KEY-08, KEY-11 to KEY-16, KEY-19.

use actix_web::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::broker::{HOST, NOW, b64};
use super::vault::*;

fn url(path: &str) -> String {
    format!("https://{HOST}:8443{path}")
}

#[actix_web::test]
async fn a_key_lives_as_a_bundle_says() {
    let vault = Vault::new().await;
    let body = json!({"kty": "RSA", "key_size": 2048, "tags": {"team": "blue"}, "attributes": {"exp": NOW + 90}});
    let first = vault.create("k1", body).await;
    let kid = first["key"]["kid"].as_str().unwrap();
    let version = kid.rsplit('/').next().unwrap().to_owned();
    assert_eq!(kid, url(&format!("/keys/k1/{version}")));
    assert_eq!(first["tags"], json!({"team": "blue"}));
    assert_eq!(first["key"]["key_ops"].as_array().unwrap().len(), 6);
    assert_eq!(first["attributes"]["exp"], NOW + 90);
    assert!(first.get("release_policy").is_none());
    for path in ["/keys/k1", "/keys/k1/", &format!("/keys/k1/{version}")] {
        assert_eq!(vault.get(path, "key-user").await.ok(), first, "{path}");
    }
    let second = vault.create("k1", json!({"kty": "RSA"})).await;
    assert_ne!(second["key"]["kid"], first["key"]["kid"]);
    let third = vault.post("/keys/k1/rotate", "key-officer", json!({})).await.ok();
    assert_eq!(vault.get("/keys/k1/", "auditor").await.ok()["key"], third["key"]);
    let listed = vault.get("/keys/k1/versions?api-version=7.4&maxresults=2", "key-user").await.ok();
    assert_eq!(listed["value"].as_array().unwrap().len(), 2);
    let next = listed["nextLink"].as_str().unwrap().strip_prefix(&url("")).unwrap().to_owned();
    let rest = vault.get(&next, "key-user").await.ok();
    assert_eq!((rest["value"].as_array().unwrap().len(), &rest["nextLink"]), (1, &Value::Null));
    // The switch is that of the version, everything else the key's.
    let path = format!("/keys/k1/{version}");
    let off = vault.patch(&path, json!({"attributes": {"enabled": false}, "tags": {}})).await.ok();
    assert_eq!((&off["attributes"]["enabled"], &off["tags"]), (&json!(false), &json!({})));
    assert_eq!(vault.get("/keys/k1/", "key-user").await.ok()["attributes"]["enabled"], true);
    vault.create("k0", json!({"kty": "EC", "crv": "P-256K"})).await;
    let listed = vault.get("/keys?api-version=7.4&maxresults=1", "key-user").await.ok();
    assert_eq!(listed["value"][0]["kid"], url("/keys/k0"));
    let next = listed["nextLink"].as_str().unwrap().strip_prefix(&url("")).unwrap().to_owned();
    assert_eq!(vault.get(&next, "key-user").await.ok()["value"][0]["kid"], url("/keys/k1"));
}

#[actix_web::test]
async fn what_is_deleted_can_be_recovered_and_what_is_purged_restored() {
    let vault = Vault::new().await;
    let made = vault.create("k1", json!({"kty": "oct-HSM", "key_size": 256})).await;
    let copy = vault.post("/keys/k1/backup", "key-officer", json!({})).await.ok();
    vault.post("/keys/k1/backup", "key-user", json!({})).await.is(403, "ForbiddenByRbac");
    vault.get("/deletedkeys/k1", "key-officer").await.is(404, "KeyNotFound");
    let deleted = vault.delete("/keys/k1", "key-officer").await.ok();
    assert_eq!(deleted["recoveryId"], url("/deletedkeys/k1"));
    assert!(deleted["scheduledPurgeDate"].as_i64() > deleted["deletedDate"].as_i64());
    vault.get("/keys/k1/", "key-user").await.is(404, "KeyNotFound");
    assert_eq!(vault.get("/deletedkeys", "key-officer").await.ok()["value"].as_array().unwrap().len(), 1);
    vault.post("/keys/k1/create", "all", json!({"kty": "RSA"})).await.is(409, "ObjectIsDeletedButRecoverable");
    let recovered = vault.post("/deletedkeys/k1/recover", "key-officer", json!({})).await.ok();
    assert_eq!(recovered["key"], made["key"]);
    let again = vault.post("/keys/restore", "all", copy.clone()).await;
    assert_eq!(again.status, 409, "{}", again.body);
    vault.delete("/keys/k1", "key-officer").await.ok();
    vault.delete("/deletedkeys/k1", "key-officer").await.is(403, "ForbiddenByRbac");
    let kept = vault.delete("/deletedkeys/k1", "purge-officer").await;
    assert_eq!((kept.status, kept.word()), (403, "forbidden"), "the vault is protected: {}", kept.body);
    let mut damaged = copy.clone();
    damaged["value"] = json!("AAAA");
    vault.post("/keys/restore", "key-officer", damaged).await.is(400, "BadParameter");
}

#[actix_web::test]
async fn a_key_without_a_rule_is_governed_by_roles() {
    let vault = Vault::new().await;
    vault.create("k1", json!({"kty": "RSA"})).await;
    let plain = b64(&[9; 32]);
    let wrap = json!({"alg": "RSA-OAEP-256", "value": plain});
    let told = vault.post("/keys/k1//wrapkey", "key-user", wrap.clone()).await.ok();
    let unwrap = json!({"alg": "RSA-OAEP-256", "value": told["value"]});
    let opened = vault.post("/keys/k1/unwrapkey", "key-user", unwrap.clone()).await.ok();
    assert_eq!((&opened["value"], &opened["kid"]), (&plain, &told["kid"]));
    vault.post("/keys/k1//unwrapkey", "key-officer", unwrap.clone()).await.is(403, "ForbiddenByRbac");
    let token = vault.token();
    let told = vault.send(Method::POST, "/keys/k1//unwrapkey", Some(&token), Some(unwrap.clone())).await;
    told.is(403, "AccessDenied");
    let mut other = unwrap.clone();
    other["value"] = b64(&[1; 256]);
    vault.post("/keys/k1//unwrapkey", "key-user", other).await.is(400, "BadParameter");
    // Every algorithm is asked whether it fits, and RSA1_5 is not served.
    for (alg, status) in [("A256KW", 400), ("RSA1_5", 400), ("RSA-OAEP", 200), ("x", 400)] {
        let told = vault.post("/keys/k1//wrapkey", "key-user", json!({"alg": alg, "value": plain})).await;
        assert_eq!(told.status, status, "{alg}: {}", told.body);
    }
    let digest = b64(&openssl::sha::sha256(b"m"));
    let signed = vault.post("/keys/k1//sign", "key-user", json!({"alg": "PS256", "value": digest})).await.ok();
    let verify = json!({"alg": "PS256", "digest": digest, "value": signed["value"]});
    assert_eq!(vault.post("/keys/k1//verify", "key-user", verify.clone()).await.ok()["value"], true);
    let mut wrong = verify;
    wrong["digest"] = b64(&openssl::sha::sha256(b"n"));
    assert_eq!(vault.post("/keys/k1//verify", "key-user", wrong).await.ok()["value"], false);
    vault.post("/keys/k1//sign", "key-user", json!({"alg": "PS256", "value": "AAAA"})).await.is(400, "BadParameter");
}

#[actix_web::test]
async fn key_16_symmetric_keys_make_their_own_iv() {
    let vault = Vault::new().await;
    vault.create("k1", json!({"kty": "oct-HSM", "key_size": 256})).await;
    let body = json!({"alg": "A256GCM", "value": b64(b"plaintext"), "aad": b64(b"aad")});
    let told = vault.post("/keys/k1//encrypt", "key-user", body.clone()).await.ok();
    assert_eq!(URL_SAFE_NO_PAD.decode(told["iv"].as_str().unwrap()).unwrap().len(), 12);
    let mut back = told.clone();
    back["alg"] = json!("A256GCM");
    let opened = vault.post("/keys/k1//decrypt", "key-user", back.clone()).await.ok();
    assert_eq!(opened["value"], b64(b"plaintext"));
    back["aad"] = b64(b"other");
    vault.post("/keys/k1//decrypt", "key-user", back).await.is(400, "BadParameter");
    let mut own = body;
    own["iv"] = b64(&[0; 12]);
    let told = vault.post("/keys/k1//encrypt", "key-user", own).await;
    assert_eq!(told.status, 400, "{}", told.body);
}

#[actix_web::test]
async fn key_08_the_time_of_a_key_binds_what_looks_forward_and_its_switch_binds_everything() {
    let vault = Vault::new().await;
    vault.create("k1", json!({"kty": "RSA"})).await;
    let wrap = json!({"alg": "RSA-OAEP", "value": b64(&[9; 16])});
    let told = vault.post("/keys/k1//wrapkey", "key-user", wrap.clone()).await.ok();
    let unwrap = json!({"alg": "RSA-OAEP", "value": told["value"]});
    for (times, open) in [(json!({"exp": NOW - 1}), false), (json!({"nbf": NOW + 9, "exp": NOW + 99}), false)] {
        vault.patch("/keys/k1/", json!({"attributes": times})).await.ok();
        let told = vault.post("/keys/k1//wrapkey", "key-user", wrap.clone()).await;
        assert_eq!(told.status == 200, open);
        told.is(403, "KeyDisabled");
        vault.post("/keys/k1//unwrapkey", "key-user", unwrap.clone()).await.ok();
    }
    vault.patch("/keys/k1/", json!({"attributes": {"enabled": false}})).await.ok();
    vault.post("/keys/k1//unwrapkey", "key-user", unwrap).await.is(403, "KeyDisabled");
}

#[actix_web::test]
async fn attested_use_in_the_clear_needs_the_option_and_a_nonce_for_this_request() {
    let vault = Vault::new().await;
    vault
        .import("db", json!({"kty": "oct-HSM", "k": secret()["k"], "key_ops": ["wrapKey", "unwrapKey"]}), policy())
        .await
        .ok();
    let wrapped =
        vault.post("/keys/db//wrapkey", "key-user", json!({"alg": "A256KW", "value": b64(&[5; 32])})).await.ok();
    let body = json!({"alg": "A256KW", "value": wrapped["value"]});
    let ask = async |token: &str, body: &Value| {
        vault.send(Method::POST, "/keys/db//unwrapkey", Some(token), Some(body.clone())).await
    };
    let named = |nonce: &str| vault.token_with(|claims| claims["x-ms-runtime"]["nonce"] = json!(nonce));
    // The option is the key's, and its name is told to whoever met the rule.
    let refused = ask(&vault.token(), &body).await;
    refused.is(403, "AccessDenied");
    assert_eq!(refused.body["error"]["innererror"]["option"], "clear");
    vault.post("/keys/db//unwrapkey", "key-user", body.clone()).await.is(403, "AccessDenied");
    let options = json!({"freshness": "issuer", "clear": "token"});
    vault.house.set_rules("db", &json!({"rules": {"default": rule()}, "options": options}));

    let nonce = ask(&vault.token(), &body).await.nonce();
    assert_eq!(nonce.len(), 43);
    let token = named(&nonce);
    let opened = ask(&token, &body).await.ok();
    assert_eq!(opened["value"], b64(&[5; 32]));
    assert_eq!(vault.record()["freshness"], "once");
    // Once, for this input, at this key, by a place that the workload fills.
    ask(&token, &body).await.nonce();
    let nonce = ask(&vault.token(), &body).await.nonce();
    let other =
        vault.post("/keys/db//wrapkey", "key-user", json!({"alg": "A256KW", "value": b64(&[6; 32])})).await.ok();
    let other = json!({"alg": "A256KW", "value": other["value"]});
    ask(&named(&nonce), &other).await.nonce();
    let echoed = vault.token_with(|claims| {
        claims["nonce"] = json!(nonce);
        claims["rp_data"] = json!(nonce);
    });
    ask(&echoed, &body).await.nonce();
    // A challenge of the native door is none here.
    let native = URL_SAFE_NO_PAD.encode(vault.house.challenge());
    ask(&named(&native), &body).await.nonce();
    ask(&named(&nonce), &body).await.ok();
    // Who does not meet the rule gets no nonce, and a role alone is not enough.
    let bad = vault.token_with(|claims| claims["x-ms-sevsnpvm-launchmeasurement"] = json!("00"));
    ask(&bad, &body).await.is(403, "AccessDenied");
    vault.post("/keys/db//unwrapkey", "key-user", body.clone()).await.is(403, "AccessDenied");
    let over = vault.token_with(|claims| claims["exp"] = json!(NOW - 61));
    ask(&over, &body).await.is(401, "Unauthorized");
}

#[actix_web::test]
async fn exportable_keys_have_their_rules() {
    let vault = Vault::new().await;
    let create = async |name: &str, body: Value| vault.post(&format!("/keys/{name}/create"), "all", body).await;
    let exportable = json!({"exportable": true});
    for (tag, body) in [
        ("AKV.SKR.1004", json!({"kty": "RSA-HSM", "attributes": exportable})),
        ("AKV.SKR.1005", json!({"kty": "RSA-HSM", "release_policy": policy()})),
        ("AKV.SKR.1006", json!({"kty": "RSA", "attributes": exportable, "release_policy": policy()})),
    ] {
        let told = create("k", body).await;
        told.is(400, "BadParameter");
        assert!(told.message().starts_with(tag), "{}", told.body);
    }
    create("k", json!({"kty": "RSA-HSM", "attributes": exportable, "release_policy": policy()})).await.ok();
    let told = create("k", json!({"kty": "RSA-HSM", "attributes": {"exportable": false}})).await;
    assert!(told.message().starts_with("AKV.SKR.1003"), "{}", told.body);
    let made = vault.get("/keys/k/", "key-user").await.ok();
    let version = made["key"]["kid"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let told = vault.patch(&format!("/keys/k/{version}"), json!({"release_policy": policy()})).await;
    assert!(told.message().starts_with("AKV.SKR.1016"), "{}", told.body);
    let frozen =
        json!({"version": "1.0.0", "anyOf": [{"authority": ISSUER, "anyOf": [{"claim": "a", "equals": "b"}]}]});
    let set = vault.patch("/keys/k/", json!({"release_policy": policy_of(&frozen, true)})).await.ok();
    assert_eq!(set["release_policy"]["immutable"], true);
    // key_05: through an update, and through a new version of the key.
    let told = vault.patch("/keys/k/", json!({"release_policy": policy()})).await;
    assert!(told.message().starts_with("AKV.SKR.1020"), "{}", told.body);
    let told = create("k", json!({"kty": "RSA-HSM", "release_policy": policy()})).await;
    assert!(told.message().starts_with("AKV.SKR.1020"), "{}", told.body);
    create("k", json!({"kty": "RSA-HSM", "release_policy": policy_of(&frozen, true)})).await.ok();
    for wrong in [json!({"data": "e30"}), json!({}), policy_of(&json!({"version": "2.0.0", "anyOf": []}), false)] {
        let told = create("w", json!({"kty": "RSA-HSM", "attributes": exportable, "release_policy": wrong})).await;
        told.is(400, "BadParameter");
    }
    // A policy that names no workload is admitted, and the record says so (KEY-02).
    let loose = json!({"version": "1.0.0", "anyOf": [{"authority": ISSUER, "allOf": [
        {"claim": "x-ms-attestation-type", "equals": "sevsnpvm"}]}]});
    create("loose", json!({"kty": "RSA-HSM", "attributes": exportable, "release_policy": policy_of(&loose, false)}))
        .await
        .ok();
    assert!(vault.house.newest("admin")["forced"].as_str().is_some(), "{}", vault.house.newest("admin"));
    // Rules are an officer's own.
    let body = json!({"kty": "RSA-HSM", "attributes": exportable, "release_policy": policy()});
    vault.post("/keys/n/create", "key-officer", body).await.is(403, "ForbiddenByRbac");
}

#[actix_web::test]
async fn key_14_material_that_is_wrong_is_not_taken_in() {
    let vault = Vault::new().await;
    let import = async |key: Value| {
        let body = json!({"key": key});
        vault.send(Method::PUT, "/keys/k", Some(&credential("key-officer")), Some(body)).await
    };
    for key in [
        json!({"kty": "oct", "k": ""}),
        json!({"kty": "oct", "k": b64(&[1; 65])}),
        json!({"kty": "oct", "k": b64(&[0; 32])}),
        json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"}),
        json!({"kty": "EC", "crv": "P-256", "x": b64(&[1; 32]), "y": b64(&[1; 32]), "d": b64(&[1; 32])}),
        json!({"kty": "OKP"}),
        json!({}),
    ] {
        let told = import(key.clone()).await;
        told.is(400, "BadParameter");
    }
    let rsa = openssl::rsa::Rsa::generate(2048).unwrap();
    let number = |n: &openssl::bn::BigNumRef| b64(&n.to_vec());
    let jwk = json!({"kty": "RSA", "n": number(rsa.n()), "e": number(rsa.e()), "d": number(rsa.d()),
        "p": number(rsa.p().unwrap()), "q": number(rsa.q().unwrap()), "dp": number(rsa.dmp1().unwrap()),
        "dq": number(rsa.dmq1().unwrap()), "qi": number(rsa.iqmp().unwrap())});
    let made = import(jwk).await.ok();
    assert_eq!(made["key"]["n"], number(rsa.n()));
    assert!(["d", "p", "q", "dp", "dq", "qi"].iter().all(|secret| made["key"].get(secret).is_none()));
}

#[actix_web::test]
async fn rotation_policies_and_random_bytes() {
    let vault = Vault::new().await;
    vault.create("k", json!({"kty": "RSA"})).await;
    let empty = vault.get("/keys/k/rotationpolicy", "key-officer").await.ok();
    assert_eq!((&empty["lifetimeActions"], &empty["attributes"]["expiryTime"]), (&json!([]), &Value::Null));
    let policy = json!({"lifetimeActions": [{"trigger": {"timeAfterCreate": "P30D"}, "action": {"type": "rotate"}}],
        "attributes": {"expiryTime": "P90D"}});
    let key_officer = credential("key-officer");
    let set = vault.send(Method::PUT, "/keys/k/rotationpolicy", Some(&key_officer), Some(policy)).await.ok();
    assert_eq!(set["id"], url("/keys/k/rotationpolicy"));
    assert_eq!(set["attributes"]["expiryTime"], "P90D");
    assert_eq!(vault.get("/keys/k/rotationpolicy", "auditor").await.ok(), set);
    let short = json!({"attributes": {"expiryTime": "P5D"}});
    vault.send(Method::PUT, "/keys/k/rotationpolicy", Some(&key_officer), Some(short)).await.is(400, "BadParameter");
    let drawn = vault.post("/rng", "key-user", json!({"count": 16})).await.ok();
    assert_eq!(URL_SAFE_NO_PAD.decode(drawn["value"].as_str().unwrap()).unwrap().len(), 16);
    for count in [0, 129] {
        vault.post("/rng", "key-user", json!({"count": count})).await.is(400, "BadParameter");
    }
    vault.get("/keys/k//attestation", "key-user").await.is(501, "NotImplemented");
    vault.post("/rng", "auditor", json!({"count": 1})).await.is(403, "ForbiddenByRbac");
}

#[actix_web::test]
async fn a_key_comes_in_sealed_to_an_exchange_key_which_does_nothing_else() {
    use keygate_keystore::{Recipient, Wrapped, Wrapping, wrap};
    let vault = Vault::new().await;
    let made = vault.create("kek", json!({"kty": "RSA-HSM", "key_ops": ["import"]})).await;
    assert_eq!(made["key"]["key_ops"], json!(["import"]));
    let number = |name: &str| URL_SAFE_NO_PAD.decode(made["key"][name].as_str().unwrap()).unwrap();
    let recipient = Recipient::rsa(&number("n"), &number("e")).unwrap();
    let blob = |kid: &str, secret: &[u8]| {
        let sealed = wrap(&recipient, Wrapping::CkmRsaAesKeyWrap, secret, "application/octet-stream").unwrap();
        let Wrapped::CkmRsaAesKeyWrap { ciphertext } = sealed else { panic!("another form") };
        let blob = json!({"schema_version": "1.0.0", "ciphertext": ciphertext, "generator": "test",
            "header": {"kid": kid, "alg": "dir", "enc": "CKM_RSA_AES_KEY_WRAP"}});
        json!({"key": {"kty": "oct-HSM", "key_hsm": b64(blob.to_string().as_bytes())}})
    };
    let import = async |name: &str, body: Value| {
        vault.send(Method::PUT, &format!("/keys/{name}"), Some(&credential("key-officer")), Some(body)).await
    };
    let kid = made["key"]["kid"].as_str().unwrap().to_owned();
    let taken = import("in", blob(&kid, &SECRET)).await.ok();
    assert_eq!(taken["key"]["kty"], "oct-HSM");
    // The same key: what one wraps the other opens.
    vault.create("plain", json!({"kty": "RSA-HSM"})).await;
    import("twin", json!({"key": secret()})).await.ok();
    let wrapped =
        vault.post("/keys/in//wrapkey", "key-user", json!({"alg": "A256KW", "value": b64(&[5; 32])})).await.ok();
    let body = json!({"alg": "A256KW", "value": wrapped["value"]});
    assert_eq!(vault.post("/keys/twin//unwrapkey", "key-user", body).await.ok()["value"], b64(&[5; 32]));
    // Another length, another vault, a key that is none for exchange, a ciphertext with one bit changed.
    import("no", blob(&kid, &SECRET[..31])).await.is(400, "BadParameter");
    import("no", blob(&kid.replace(HOST, "other.example"), &SECRET)).await.is(400, "BadParameter");
    let plain = vault.get("/keys/plain/", "key-user").await.ok();
    import("no", blob(plain["key"]["kid"].as_str().unwrap(), &SECRET)).await.is(400, "BadParameter");
    let told = vault.post("/keys/kek//wrapkey", "key-user", json!({"alg": "RSA-OAEP", "value": "AAAA"})).await;
    told.is(403, "AccessDenied");
    let told = vault.post("/keys/two/create", "all", json!({"kty": "RSA-HSM", "key_ops": ["import", "sign"]})).await;
    told.is(400, "BadParameter");
}

#[actix_web::test]
async fn a_client_certificate_beside_the_token_is_what_the_option_credential_asks_for() {
    let mut vault = Vault::new().await;
    let key = json!({"kty": "oct-HSM", "k": secret()["k"], "key_ops": ["wrapKey", "unwrapKey"]});
    vault.import("db", key, policy()).await.ok();
    let wrap = json!({"alg": "A256KW", "value": b64(&[5; 32])});
    let wrapped = vault.post("/keys/db//wrapkey", "key-user", wrap.clone()).await.ok();
    let body = json!({"alg": "A256KW", "value": wrapped["value"]});
    let options = json!({"freshness": "issuer", "clear": "credential"});
    vault.house.set_rules("db", &json!({"rules": {"default": rule()}, "options": options}));
    let ask = async |vault: &Vault, token: &str| {
        vault.send(Method::POST, "/keys/db//unwrapkey", Some(token), Some(body.clone())).await
    };
    ask(&vault, &vault.token()).await.is(403, "AccessDenied");
    vault.peer = Some(vault.known.clone());
    let nonce = ask(&vault, &vault.token()).await.nonce();
    let token = vault.token_with(|claims| claims["x-ms-runtime"]["nonce"] = json!(nonce));
    let opened = ask(&vault, &token).await.ok();
    assert_eq!(opened["value"], b64(&[5; 32]));
    assert_eq!(vault.record()["caller"], "cert:pod");
    // The certificate alone is a role: enough to wrap, not to unwrap.
    vault.send(Method::POST, "/keys/db//wrapkey", None, Some(wrap)).await.ok();
    vault.send(Method::POST, "/keys/db//unwrapkey", None, Some(body.clone())).await.is(403, "AccessDenied");
}
