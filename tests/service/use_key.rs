//! Every operation and every kind through the whole pipeline. `native-api.md` sections 3 and 4.

use keygate::broker::*;
use keygate_forge::binding::Question;
use keygate_keystore::KeyType;
use serde_json::json;

use super::broker::*;

#[tokio::test]
async fn software_evidence_releases_a_key_with_a_receipt() {
    let house = House::new();
    let rule_digest = house.key("db-key", KeyType::Oct256, json!({}));
    let workload = Workload::new();
    let challenge = house.challenge();
    let answer = house.broker.use_key(workload.release_under(&house, challenge, "db-key")).await.unwrap();

    assert_eq!(workload.unseal(&answer).len(), 32);
    let kid = answer.body["key"]["kid"].as_str().unwrap();
    assert!(kid.starts_with("db-key/versions/"));
    assert_eq!(answer.body["key"]["kty"], "oct");

    let receipt = check_receipt(&house, &answer.body);
    let question = Question { operation: "release", key: "db-key", ..Question::default() };
    assert_eq!(receipt["iss"], "https://kms.example");
    assert_eq!(receipt["operation"], "release");
    assert_eq!(receipt["kid"], kid);
    assert_eq!(receipt["challenge"], b64(&challenge));
    assert_eq!(receipt["request"], b64(&question.digest()));
    assert_eq!(receipt["recipient"], b64(&workload.recipient.recipient().thumbprint()));
    assert_eq!(receipt["rule_digest"], b64(&rule_digest));
    assert_eq!(receipt["iat"], NOW);

    let entry = house.keystore.entries(None, receipt["entry"].as_u64().unwrap(), 1).unwrap().remove(0);
    assert_eq!(receipt["entry_hash"], b64(&entry.hash));
    assert_eq!(entry.kind, "key.use");
}

#[tokio::test]
async fn a_nitro_document_releases_an_rsa_key_to_an_rsa_recipient() {
    let house = House::new();
    let rules = json!({
        "rules": {"release": {"version": "1.0.0", "anyOf": [{"authority": "self", "allOf": [
            {"claim": "nitro.pcrs.0", "equals": "a0".repeat(48)}]}]}},
        "options": {"anchors": ["forge"]},
    });
    house.key_with("rsa", KeyType::Rsa2048, &rules);
    let workload = Workload::with_key(KeyType::Rsa2048);
    let question = Question { operation: "release", key: "rsa", ..Question::default() };
    let proof = workload.nitro_proof(&house, house.challenge(), &question);
    let proof = Proof::Evidence(Box::new(proof));
    let answer = house.broker.use_key(request(&house, "rsa", Usage::Release, proof)).await.unwrap();
    assert_eq!(answer.body["wrapped"]["wrapping"], "RSA_AES_KEY_WRAP_256");
    assert_eq!(answer.body["key"]["kty"], "RSA");
    let key = openssl::pkey::PKey::private_key_from_pkcs8(&workload.unseal(&answer)).unwrap();
    assert_eq!(key.bits(), 2048);
    check_receipt(&house, &answer.body);
}

#[tokio::test]
async fn what_is_wrapped_is_unwrapped_and_what_is_generated_too() {
    let house = House::new();
    house.key("data", KeyType::Oct256, json!({}));
    let workload = Workload::new();
    let (alg, aad) = ("A256GCM".to_owned(), b"ctx".to_vec());

    let wrap = Usage::Wrap { alg: alg.clone(), plaintext: b"a secret".to_vec().into(), aad: aad.clone() };
    let wrapped = house.broker.use_key(workload.ask(&house, "data", wrap)).await.unwrap();
    assert!(wrapped.body.get("wrapped").is_none() && wrapped.body.get("receipt").is_none());
    let ciphertext = decode(&wrapped.body["ciphertext"]);
    let unwrap = Usage::Unwrap { alg: alg.clone(), ciphertext, aad: aad.clone() };
    let answer = house.broker.use_key(workload.ask(&house, "data", unwrap)).await.unwrap();
    assert_eq!(workload.unseal(&answer), b"a secret");
    assert_eq!(check_receipt(&house, &answer.body)["kid"], wrapped.body["kid"]);

    let generate = Usage::Generate { alg: alg.clone(), bytes: 48, aad: aad.clone() };
    let made = house.broker.use_key(workload.ask(&house, "data", generate)).await.unwrap();
    let data_key = workload.unseal(&made);
    assert_eq!((data_key.len(), made.body["alg"].as_str()), (48, Some("A256GCM")));
    check_receipt(&house, &made.body);
    let unwrap = Usage::Unwrap { alg, ciphertext: decode(&made.body["ciphertext"]), aad };
    let answer = house.broker.use_key(workload.ask(&house, "data", unwrap)).await.unwrap();
    assert_eq!(workload.unseal(&answer), data_key);
}

#[tokio::test]
async fn a_signature_is_sealed_and_verifies() {
    let house = House::new();
    house.key("signer", KeyType::EcP256, json!({}));
    let workload = Workload::new();
    let digest = openssl::sha::sha256(b"message").to_vec();
    let sign = Usage::Sign { alg: "ES256".into(), digest: digest.clone() };
    let answer = house.broker.use_key(workload.ask(&house, "signer", sign)).await.unwrap();
    assert_eq!(workload.unseal(&answer).len(), 64);
    assert_eq!(answer.body["alg"], "ES256");
    check_receipt(&house, &answer.body);
}

#[tokio::test]
async fn key_10_without_a_version_the_newest_is_used_and_named() {
    use keygate_keystore::{Change, KeyUpdate, NewMaterial};
    let house = House::new();
    house.key("turning", KeyType::Oct256, json!({}));
    let workload = Workload::new();
    let first = house.broker.use_key(workload.release(&house, "turning")).await.unwrap();
    let name = KeyName::parse("turning").unwrap();
    house.change(Change::NewVersion {
        name,
        material: NewMaterial::Generate,
        update: KeyUpdate::default(),
        enabled: true,
    });
    let second = house.broker.use_key(workload.release(&house, "turning")).await.unwrap();
    assert_ne!(first.body["key"]["kid"], second.body["key"]["kid"]);
    assert_ne!(workload.unseal(&first), workload.unseal(&second));
    assert_eq!(check_receipt(&house, &second.body)["kid"], second.body["key"]["kid"]);
}

#[tokio::test]
async fn key_21_an_old_ciphertext_is_unwrapped_by_the_version_it_names() {
    use keygate_keystore::{Change, KeyUpdate, NewMaterial};
    let house = House::new();
    house.key("turning", KeyType::Oct256, json!({}));
    let workload = Workload::new();
    let wrap = || Usage::Wrap { alg: "A256GCM".into(), plaintext: b"old".to_vec().into(), aad: Vec::new() };
    let old = house.broker.use_key(workload.ask(&house, "turning", wrap())).await.unwrap();
    let name = KeyName::parse("turning").unwrap();
    house.change(Change::NewVersion {
        name,
        material: NewMaterial::Generate,
        update: KeyUpdate::default(),
        enabled: true,
    });
    let new = house.broker.use_key(workload.ask(&house, "turning", wrap())).await.unwrap();
    assert_ne!(old.body["kid"], new.body["kid"]);
    for wrapped in [&old, &new] {
        let ciphertext = decode(&wrapped.body["ciphertext"]);
        let unwrap = Usage::Unwrap { alg: "A256GCM".into(), ciphertext, aad: Vec::new() };
        let answer = house.broker.use_key(workload.ask(&house, "turning", unwrap)).await.unwrap();
        assert_eq!((workload.unseal(&answer), &answer.body["kid"]), (b"old".to_vec(), &wrapped.body["kid"]));
    }
}

#[tokio::test]
async fn runtime_data_is_a_claim_under_its_own_name() {
    let house = House::new();
    let rules = json!({
        "rules": {"release": {"version": "1.0.0", "anyOf": [{"authority": "self", "allOf": [
            {"claim": "software.measurement", "equals": hex::encode(GOOD)},
            {"claim": "x-ms-runtime.role", "equals": "primary"}]}]}},
        "options": {"anchors": ["forge"]},
    });
    house.key_with("db-key", KeyType::Oct256, &rules);
    let mut workload = Workload::new();
    workload.runtime_data = Some(br#"{"role": "primary", "software": {"measurement": "x"}}"#.to_vec());
    house.broker.use_key(workload.release(&house, "db-key")).await.unwrap();
    workload.runtime_data = Some(br#"{"role": "secondary"}"#.to_vec());
    let refused = house.broker.use_key(workload.release(&house, "db-key")).await.unwrap_err();
    assert_eq!(refused.code, Code::NotReleased);
    workload.runtime_data = Some(br#"{"role": "secondary", "role": "primary"}"#.to_vec());
    let refused = house.broker.use_key(workload.release(&house, "db-key")).await.unwrap_err();
    assert_eq!(refused.code, Code::Malformed);
}

fn decode(text: &serde_json::Value) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text.as_str().unwrap()).unwrap()
}
