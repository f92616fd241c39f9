//! Tokens of ours as sessions. `native-api.md` section 5; threat model P6, P7, P18.

use keygate::broker::*;
use keygate::result::{Appraised, AttestationResult, NewToken, PolicyFacts, SigningKey, Source, token};
use keygate_forge::binding::Question;
use keygate_keystore::{Change, KeyType, ServicePurpose};
use serde_json::json;

use super::broker::*;

async fn token_for(house: &House, workload: &Workload) -> String {
    house.broker.attest(workload.attest(house)).await.unwrap().token
}

fn session() -> serde_json::Value {
    json!({"freshness": "session"})
}

#[tokio::test]
async fn a_session_opens_keys_that_allow_it_many_times() {
    let house = House::new();
    house.key("session", KeyType::Oct256, session());
    house.key("once", KeyType::Oct256, json!({}));
    let workload = Workload::new();
    let token = token_for(&house, &workload).await;
    for _ in 0..3 {
        let answer = house.broker.use_key(workload.release_by_token(&house, "session", &token)).await.unwrap();
        assert_eq!(workload.unseal(&answer).len(), 32);
        let receipt = check_receipt(&house, &answer.body);
        assert!(receipt.get("challenge").is_none());
    }
    let refused = house.broker.use_key(workload.release_by_token(&house, "once", &token)).await.unwrap_err();
    assert_eq!(refused.code, Code::NotReleased);
    assert_eq!(house.newest("key.use")["code"], "freshness-failed");
}

#[tokio::test]
async fn a_use_by_session_reads_the_store_once_and_commits_once() {
    let house = House::new();
    house.key("session", KeyType::Oct256, session());
    let workload = Workload::new();
    let token = token_for(&house, &workload).await;
    let once = async || {
        let before = house.keystore.counters();
        house.broker.use_key(workload.release_by_token(&house, "session", &token)).await.unwrap();
        let after = house.keystore.counters();
        let differences = (after.reads - before.reads, after.statements - before.statements);
        (differences, after.flushes - before.flushes, after.requests - before.requests)
    };
    // The first one also asks when the attestation was recorded; policies and deny list were read for that.
    let ((reads, _), flushes, _) = once().await;
    assert_eq!((reads, flushes), (2, 1));
    // Begin, the rows compared, the record, the head, commit.
    assert_eq!(once().await, ((1, 5), 1, 1));
    // Another record moves nothing that is remembered.
    house.broker.attest(workload.attest(&house)).await.unwrap();
    assert_eq!(once().await, ((1, 5), 1, 1));
    house.change(Change::AddDeny { kind: "platform".to_owned(), value: "elsewhere".to_owned() });
    let ((reads, _), ..) = once().await;
    assert_eq!(reads, 3, "policies and deny list are read for the new epoch");
}

#[tokio::test]
async fn an_answer_says_what_the_token_says() {
    let house = House::new();
    let mut workload = Workload::new();
    workload.runtime_data = Some(br#"{"a": 1}"#.to_vec());
    let answer = house.broker.attest(workload.attest(&house)).await.unwrap();
    assert_eq!(answer.claims["software"]["measurement"], hex::encode(GOOD));
    assert_eq!(answer.claims["keygate"]["anchor"], "forge");
    assert_eq!(answer.presented, *json!({"x-ms-runtime": {"a": 1}}).as_object().unwrap());
    assert_eq!(answer.expires_at, NOW + 600);
    let payload = payload(&answer.token);
    for (name, value) in &answer.claims {
        assert_eq!(payload[name], *value);
    }
    assert_eq!(payload["aud"], "https://kms.example");
    assert_eq!(payload["cnf"]["jkt"], b64(&workload.recipient.recipient().thumbprint()));
    assert_eq!(payload["x-ms-runtime"]["a"], 1);
}

fn payload(token: &str) -> serde_json::Value {
    use base64::Engine as _;
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn a_session_ends() {
    let house = House::new();
    house.key("short", KeyType::Oct256, json!({"freshness": "session", "session_seconds": 60}));
    let workload = Workload::new();
    let token = token_for(&house, &workload).await;
    house.clock.advance(60);
    house.broker.use_key(workload.release_by_token(&house, "short", &token)).await.unwrap();
    house.clock.advance(1);
    let refused = house.broker.use_key(workload.release_by_token(&house, "short", &token)).await.unwrap_err();
    assert_eq!(refused.code, Code::NotReleased);
    assert_eq!(house.newest("key.use")["code"], "freshness-failed");
    house.clock.set(NOW + 600);
    let refused = house.broker.use_key(workload.release_by_token(&house, "short", &token)).await.unwrap_err();
    assert_eq!(refused.code, Code::TokenInvalid);
}

#[tokio::test]
async fn a_token_is_for_its_recipient() {
    let house = House::new();
    house.key("session", KeyType::Oct256, session());
    let token = token_for(&house, &Workload::new()).await;
    let thief = Workload::new();
    let refused = house.broker.use_key(thief.release_by_token(&house, "session", &token)).await.unwrap_err();
    assert_eq!(refused.code, Code::BindingMismatch);
}

#[tokio::test]
async fn a_token_for_another_audience_or_provider_opens_nothing() {
    let house = House::new();
    house.key("session", KeyType::Oct256, session());
    let workload = Workload::new();
    let question = Question { operation: "attest", input: b"https://elsewhere.example", ..Question::default() };
    let mut request = workload.attest(&house);
    request.evidence = workload.proof(&house, house.challenge(), &question);
    request.audience = Some("https://elsewhere.example".into());
    let token = house.broker.attest(request).await.unwrap().token;
    let refused = house.broker.use_key(workload.release_by_token(&house, "session", &token)).await.unwrap_err();
    assert_eq!(refused.code, Code::TokenInvalid);

    let token = token_for(&house, &workload).await;
    let mut elsewhere = workload.release_by_token(&house, "session", &token);
    elsewhere.seat = house.seat_at("other.example");
    assert_eq!(house.broker.use_key(elsewhere).await.unwrap_err().code, Code::TokenInvalid);
}

#[tokio::test]
async fn every_changed_bit_of_a_token_is_refused() {
    let house = House::new();
    house.key("session", KeyType::Oct256, session());
    let workload = Workload::new();
    let token = token_for(&house, &workload).await;
    for at in (0..token.len()).step_by(29).chain([token.len() - 1]) {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        let refused = house.broker.use_key(workload.release_by_token(&house, "session", &changed)).await;
        assert_eq!(refused.unwrap_err().code, Code::TokenInvalid, "byte {at}");
    }
    let long = format!("{token}.{}", "A".repeat(300_000));
    for odd in ["", ".", "..", "a.b.c", "a.b", token.rsplit_once('.').unwrap().0, long.as_str()] {
        let refused = house.broker.use_key(workload.release_by_token(&house, "session", odd)).await.unwrap_err();
        assert_eq!(refused.code, Code::TokenInvalid);
    }
}

#[tokio::test]
async fn a_receipt_or_a_head_is_no_token() {
    let house = House::new();
    house.key("session", KeyType::Oct256, session());
    let workload = Workload::new();
    let answer = house.broker.use_key(workload.release(&house, "session")).await.unwrap();
    let head = house.broker.audit_head(&house.seat()).unwrap();
    for other in [answer.body["receipt"].as_str().unwrap(), &head] {
        let refused = house.broker.use_key(workload.release_by_token(&house, "session", other)).await.unwrap_err();
        assert_eq!(refused.code, Code::TokenInvalid);
    }
}

/// Whoever steals the signing key still has no row in the store.
#[tokio::test]
async fn a_token_that_no_commit_knows_opens_nothing() {
    let house = House::new();
    house.key("session", KeyType::Oct256, session());
    let workload = Workload::new();
    let real = token_for(&house, &workload).await;
    let kid = house.keystore.service_keys(&house.provider, ServicePurpose::AttestationToken).unwrap().remove(0).kid;
    let stolen = house.keystore.open_service_key(&house.provider, ServicePurpose::AttestationToken, &kid).unwrap();
    let key = SigningKey::from_sec1(&stolen.sealed_form(), Vec::new()).unwrap();
    let issuer = "https://kms.example";
    let read = token::read(&real, std::slice::from_ref(&key), issuer, NOW).unwrap();
    let result = AttestationResult {
        source: Source::Own(read.kind),
        attested: read.attested,
        presented: read.presented,
        evidence_digest: read.evidence_digest,
        sameness: read.evidence_digest,
        identities: read.identities,
        tcb: None,
        recipient: Some(workload.public()),
        not_after: keygate_verifier::UnixTime::FOREVER,
    };
    let policy = PolicyFacts { digest: read.policy_digest, hash: String::new(), signer: None };
    let appraised = Appraised { policy, issued: serde_json::Map::new(), references: None };
    let forge = |jti: &str| {
        let new = NewToken { issuer, audience: issuer, issued: NOW, expires: NOW + 600, jti };
        token::issue(&key, &new, &result, &appraised).unwrap()
    };
    let forged = forge("00000000000000000000000000000000");
    let refused = house.broker.use_key(workload.release_by_token(&house, "session", &forged)).await.unwrap_err();
    assert_eq!(refused.code, Code::TokenInvalid);
    // With the identifier of a real attestation it is that session, and nothing more.
    let twin = forge(&read.jti);
    house.broker.use_key(workload.release_by_token(&house, "session", &twin)).await.unwrap();
}

#[tokio::test]
async fn env_11_a_session_is_judged_anew_by_rule_and_deny_list() {
    let house = House::new();
    house.key("session", KeyType::Oct256, session());
    let workload = Workload::new();
    let token = token_for(&house, &workload).await;
    let ask = async || house.broker.use_key(workload.release_by_token(&house, "session", &token)).await;
    ask().await.unwrap();
    let mut tightened = rules(session());
    tightened["rules"]["default"]["anyOf"][0]["allOf"][0]["equals"] = json!("00");
    house.set_rules("session", &tightened);
    assert_eq!(ask().await.unwrap_err().code, Code::NotReleased);
    house.set_rules("session", &rules(session()));
    ask().await.unwrap();
    house.change(Change::AddDeny { kind: "measurement".into(), value: hex::encode(GOOD) });
    assert_eq!(ask().await.unwrap_err().code, Code::Revoked);
}

#[tokio::test]
async fn a_challenge_beside_a_token_is_spent_and_in_the_receipt() {
    let house = House::new();
    house.key("session", KeyType::Oct256, session());
    let workload = Workload::new();
    let token = token_for(&house, &workload).await;
    let challenge = house.challenge();
    let ask = || {
        let proof =
            TokenProof { token: token.clone().into(), recipient: workload.public(), challenge: Some(challenge) };
        request(&house, "session", Usage::Release, Proof::Token(Box::new(proof)))
    };
    let answer = house.broker.use_key(ask()).await.unwrap();
    assert_eq!(check_receipt(&house, &answer.body)["challenge"], b64(&challenge));
    assert_eq!(house.broker.use_key(ask()).await.unwrap_err().code, Code::FreshnessFailed);
}

#[tokio::test]
async fn an_attestation_spends_its_challenge() {
    let house = House::new();
    let workload = Workload::new();
    let question = Question { operation: "attest", ..Question::default() };
    let challenge = house.challenge();
    let mut codes = Vec::new();
    for _ in 0..2 {
        let mut request = workload.attest(&house);
        request.evidence = workload.proof(&house, challenge, &question);
        codes.push(house.broker.attest(request).await.err().map(|error| error.code));
    }
    assert_eq!(codes, [None, Some(Code::FreshnessFailed)]);
}
