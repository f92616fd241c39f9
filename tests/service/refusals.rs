//! Every way to be refused, one test each, named after the attack. `native-api.md` sections 3 and 4; threat model P4 to P6, P25 to P29.

use keygate::broker::*;
use keygate_forge::binding::Question;
use keygate_forge::software::SoftwareFault;
use keygate_keystore::{AttributeChanges, Attributes, Change, KeyType, NewMaterial, RuleDocument};
use keygate_policies::KeyRules;
use serde_json::json;

use super::broker::*;

const AAD: &[u8] = b"ctx";

/// A sound unwrap with every member that the binding covers, and the same question for its evidence.
struct Bound {
    host: &'static str,
    key: &'static str,
    version: &'static str,
    wrapping: &'static str,
    alg: &'static str,
    operation: &'static str,
    aad: &'static [u8],
    input: Vec<u8>,
    runtime_data: Vec<u8>,
}

struct Scene {
    house: House,
    workload: Workload,
    ciphertext: Vec<u8>,
}

impl Scene {
    async fn new() -> Self {
        let house = House::new();
        house.key("db-key", KeyType::Oct256, json!({}));
        let workload = Workload::new();
        let wrap = Usage::Wrap { alg: "A256GCM".into(), plaintext: b"secret".to_vec().into(), aad: AAD.to_vec() };
        let wrapped = house.broker.use_key(workload.ask(&house, "db-key", wrap)).await.unwrap();
        let ciphertext = decode(wrapped.body["ciphertext"].as_str().unwrap());
        Self { house, workload, ciphertext }
    }

    fn sound(&self) -> Bound {
        Bound {
            host: HOST,
            key: "db-key",
            version: "",
            wrapping: "JWE",
            alg: "A256GCM",
            operation: "unwrap",
            aad: AAD,
            input: self.ciphertext.clone(),
            runtime_data: b"runtime".to_vec(),
        }
    }

    /// Asks for the sound unwrap with evidence that is bound to `bound`.
    async fn ask(&self, bound: Bound, bound_challenge: Option<[u8; 32]>, holder: &Workload) -> Result<Answer, Code> {
        let challenge = self.house.challenge();
        let question = Question {
            operation: bound.operation,
            key: bound.key,
            version: bound.version,
            wrapping: bound.wrapping,
            alg: bound.alg,
            input: &bound.input,
            aad: bound.aad,
        };
        let mut attester = Workload::new();
        attester.runtime_data = Some(bound.runtime_data.clone());
        let input = holder.recipient.recipient().thumbprint_input();
        let in_evidence = bound_challenge.unwrap_or(challenge);
        let report_data =
            keygate_forge::binding::bind(&in_evidence, bound.host, &question, &input, &bound.runtime_data);
        let evidence = keygate_forge::software::SoftwareEvidence::new(report_data);
        let proof = EvidenceProof {
            kind: EvidenceKind::Software,
            data: self.house.software.evidence(&evidence).into_bytes(),
            challenge,
            recipient: self.workload.public(),
            runtime_data: Some(b"runtime".to_vec()),
            init_data: None,
            endorsements: Vec::new(),
            beside: None,
        };
        let usage = Usage::Unwrap { alg: "A256GCM".into(), ciphertext: self.ciphertext.clone(), aad: AAD.to_vec() };
        let mut request = request(&self.house, "db-key", usage, Proof::Evidence(Box::new(proof)));
        request.wrapping = Some(Wrapping::Jwe);
        self.house.broker.use_key(request).await.map_err(|error| error.code)
    }

    async fn refused(&self, bound: Bound) {
        let refused = self.ask(bound, None, &self.workload).await;
        assert_eq!(refused.unwrap_err(), Code::BindingMismatch);
        // The twin that differs in this one thing is accepted.
        let answer = self.ask(self.sound(), None, &self.workload).await.unwrap();
        assert_eq!(self.workload.unseal(&answer), b"secret");
    }
}

fn decode(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap()
}

macro_rules! bound_to_another {
    ($($test:ident: $member:ident = $value:expr;)*) => {
        $(#[tokio::test]
        async fn $test() {
            let scene = Scene::new().await;
            let mut bound = scene.sound();
            bound.$member = $value;
            scene.refused(bound).await;
        })*
    };
}

bound_to_another! {
    evidence_bound_to_another_host_is_a_mismatch: host = "also.kms.example";
    evidence_bound_to_another_operation_is_a_mismatch: operation = "release";
    evidence_bound_to_another_key_is_a_mismatch: key = "db-kez";
    evidence_bound_to_the_key_in_another_case_is_a_mismatch: key = "DB-key";
    evidence_bound_to_another_version_is_a_mismatch: version = "00000000000000000000000000000000";
    evidence_bound_to_another_wrapping_is_a_mismatch: wrapping = "";
    evidence_bound_to_another_algorithm_is_a_mismatch: alg = "A128GCM";
    evidence_bound_to_another_input_is_a_mismatch: input = vec![0; 16];
    evidence_bound_to_another_aad_is_a_mismatch: aad = b"ctx2";
    evidence_bound_to_other_runtime_data_is_a_mismatch: runtime_data = b"runtimf".to_vec();
}

#[tokio::test]
async fn evidence_bound_to_another_challenge_is_a_mismatch() {
    let scene = Scene::new().await;
    let other = scene.house.challenge();
    let refused = scene.ask(scene.sound(), Some(other), &scene.workload).await;
    assert_eq!(refused.unwrap_err(), Code::BindingMismatch);
    scene.ask(scene.sound(), None, &scene.workload).await.unwrap();
}

#[tokio::test]
async fn key_06_evidence_bound_to_another_recipient_is_a_mismatch() {
    let scene = Scene::new().await;
    let refused = scene.ask(scene.sound(), None, &Workload::new()).await;
    assert_eq!(refused.unwrap_err(), Code::BindingMismatch);
    scene.ask(scene.sound(), None, &scene.workload).await.unwrap();
}

#[tokio::test]
async fn a_challenge_that_is_not_ours_alive_and_unspent_is_stale() {
    let house = House::new();
    house.key("db-key", KeyType::Oct256, json!({}));
    let workload = Workload::new();
    let stale = async |challenge: [u8; 32]| {
        let refused = house.broker.use_key(workload.release_under(&house, challenge, "db-key")).await;
        assert_eq!(refused.unwrap_err().code, Code::FreshnessFailed);
    };
    for bit in [0, 31, 32, 127, 128, 255] {
        let mut challenge = house.challenge();
        challenge[bit / 8] ^= 1 << (bit % 8);
        stale(challenge).await;
    }
    stale([0; 32]).await;
    stale(house.broker.challenge(&house.seat_at("other.example")).unwrap().bytes).await;
    let challenge = house.challenge();
    house.broker.use_key(workload.release_under(&house, challenge, "db-key")).await.unwrap();
    stale(challenge).await;
    let challenge = house.challenge();
    house.clock.advance(299);
    house.broker.use_key(workload.release_under(&house, challenge, "db-key")).await.unwrap();
    let challenge = house.challenge();
    house.clock.advance(300);
    stale(challenge).await;
}

#[tokio::test]
async fn a_refused_attempt_does_not_spend_the_challenge() {
    let house = House::new();
    house.key("db-key", KeyType::Oct256, json!({}));
    let mut workload = Workload::new();
    let challenge = house.challenge();
    workload.evidence.measurement = [1; 48];
    let refused = house.broker.use_key(workload.release_under(&house, challenge, "db-key")).await.unwrap_err();
    assert_eq!(refused.code, Code::NotReleased);
    workload.evidence.measurement = GOOD;
    house.broker.use_key(workload.release_under(&house, challenge, "db-key")).await.unwrap();
}

#[test]
fn challenges_are_all_different() {
    let house = House::new();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..10_000 {
        assert!(seen.insert(house.challenge()));
    }
    assert_eq!(house.keystore.status().entries, house.keystore.head().unwrap().seq);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn http_19_of_64_parallel_replays_exactly_one_succeeds() {
    let house = House::new();
    house.key("db-key", KeyType::Oct256, json!({}));
    let workload = Workload::new();
    let challenge = house.challenge();
    let requests: Vec<_> = (0..64).map(|_| workload.release_under(&house, challenge, "db-key")).collect();
    let tasks = requests.into_iter().map(|request| {
        let broker = house.broker.clone();
        tokio::spawn(async move { broker.use_key(request).await })
    });
    let mut released = 0;
    for task in tasks.collect::<Vec<_>>() {
        match task.await.unwrap() {
            Ok(_) => released += 1,
            Err(error) => assert_eq!(error.code, Code::FreshnessFailed),
        }
    }
    assert_eq!(released, 1);
    let permits = house.records("key.use").iter().filter(|r| r["decision"] == "permit").count();
    assert_eq!(permits, 1);
}

#[tokio::test]
async fn every_fault_of_the_evidence_has_its_own_code() {
    let house = House::new();
    house.key("db-key", KeyType::Oct256, json!({}));
    for fault in SoftwareFault::ALL.iter().filter(|fault| **fault != SoftwareFault::Debug) {
        let mut workload = Workload::new();
        workload.evidence.fault = Some(*fault);
        let refused = house.broker.use_key(workload.release(&house, "db-key")).await.unwrap_err();
        assert!(fault.allows(refused.code.as_str()), "{fault:?}: {}", refused.code.as_str());
    }
    house.broker.use_key(Workload::new().release(&house, "db-key")).await.unwrap();
}

/// Every denial that depends on the key is one answer; the audit has the true code.
#[tokio::test]
async fn key_09_what_depends_on_the_key_is_one_answer() {
    let house = House::new();
    let workload = Workload::new();
    let set = |name: &str, changes: AttributeChanges| {
        house.change(Change::SetAttributes { name: KeyName::parse(name).unwrap(), changes });
    };
    for name in ["disabled", "deleted", "expired", "early", "no-release", "not-met", "other-anchor", "no-rule"] {
        house.key(name, KeyType::Oct256, json!({}));
    }
    set("disabled", AttributeChanges { enabled: Some(false), ..Default::default() });
    set("expired", AttributeChanges { expires: Some(Some(NOW - 1)), ..Default::default() });
    set("early", AttributeChanges { not_before: Some(Some(NOW + 1)), ..Default::default() });
    set("no-release", AttributeChanges { operations: Some(vec![Operation::Unwrap]), ..Default::default() });
    house.change(Change::DeleteKey { name: KeyName::parse("deleted").unwrap() });
    let other = json!({"version": "1.0.0", "anyOf": [{"authority": "self", "allOf": [
        {"claim": "software.measurement", "equals": "00"}]}]});
    house.set_rules("not-met", &json!({"rules": {"default": other}, "options": {"anchors": ["forge"]}}));
    let mut vendor = rules(json!({}));
    vendor["options"] = json!({});
    house.set_rules("other-anchor", &vendor);
    house.set_rules("no-rule", &json!({"rules": {}, "options": {"anchors": ["forge"]}}));
    let exportable = Attributes { exportable: false, ..attributes() };
    let document = KeyRules::parse(rules(json!({})).to_string().as_bytes()).unwrap();
    house.change(Change::CreateKey {
        name: KeyName::parse("kept").unwrap(),
        key_type: KeyType::Oct256,
        attributes: exportable,
        rules: Some(RuleDocument { document: document.canonical_text(), digest: document.digest() }),
        immutable: false,
        material: NewMaterial::Generate,
    });

    for (name, code) in [
        ("unknown", "key-not-found"),
        ("disabled", "key-state"),
        ("deleted", "key-state"),
        ("expired", "key-state"),
        ("early", "key-state"),
        ("no-release", "operation-not-allowed"),
        ("kept", "operation-not-allowed"),
        ("not-met", "rule-not-satisfied"),
        ("other-anchor", "chain-untrusted"),
        ("no-rule", "operation-not-allowed"),
    ] {
        let refused = house.broker.use_key(workload.release(&house, name)).await.unwrap_err();
        assert_eq!(refused.code, Code::NotReleased, "{name}");
        assert_eq!(refused.detail, Code::NotReleased.title(), "{name}");
        assert!(refused.reasons.is_none() && refused.retry_after.is_none(), "{name}");
        let record = house.newest("key.use");
        assert_eq!((record["code"].as_str(), record["decision"].as_str()), (Some(code), Some("deny")), "{name}");
        assert_eq!(record["correlation"], refused.correlation);
    }
    // The twin that is allowed everything.
    house.key("open", KeyType::Oct256, json!({}));
    house.broker.use_key(workload.release(&house, "open")).await.unwrap();
}

#[tokio::test]
async fn debug_evidence_is_a_guard_of_the_key() {
    let house = House::new();
    house.key("strict", KeyType::Oct256, json!({}));
    house.key("loose", KeyType::Oct256, json!({"debug": true}));
    let mut workload = Workload::new();
    workload.evidence.debug = true;
    let refused = house.broker.use_key(workload.release(&house, "strict")).await.unwrap_err();
    assert_eq!(refused.code, Code::NotReleased);
    assert_eq!(house.newest("key.use")["code"], "debug-rejected");
    house.broker.use_key(workload.release(&house, "loose")).await.unwrap();
}

#[tokio::test]
async fn key_07_a_wrapping_that_the_key_leaves_out_is_not_released() {
    let house = House::new();
    house.key("jwe-only", KeyType::Oct256, json!({"wrappings": ["JWE"]}));
    let rsa = Workload::with_key(KeyType::Rsa2048);
    let refused = house.broker.use_key(rsa.release(&house, "jwe-only")).await.unwrap_err();
    assert_eq!(refused.code, Code::NotReleased);
    assert_eq!(house.newest("key.use")["code"], "operation-not-allowed");
    house.broker.use_key(Workload::new().release(&house, "jwe-only")).await.unwrap();
}

#[tokio::test]
async fn reasons_are_told_where_the_key_says_so_and_to_roles() {
    let house = House::new();
    house.key("silent", KeyType::Oct256, json!({}));
    house.key("explains", KeyType::Oct256, json!({"explain": "attested"}));
    let mut workload = Workload::new();
    workload.evidence.measurement = [1; 48];
    let told = house.broker.use_key(workload.release(&house, "explains")).await.unwrap_err();
    assert_eq!(told.code, Code::RuleNotSatisfied);
    let reasons = told.reasons.unwrap();
    assert_eq!(reasons[0]["path"], "software.measurement");
    assert_eq!(reasons[0]["observed"], hex::encode([1; 48]));

    house.employ("op");
    let known = |roles: &[&str], pattern: &str| Caller::Known {
        name: "op".into(),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        key_pattern: Some(pattern.to_owned()),
        origin: Origin::Credential,
    };
    for (caller, code) in [
        (known(&["key-user"], "*"), Code::RuleNotSatisfied),
        (known(&["auditor"], "sil*"), Code::RuleNotSatisfied),
        (known(&["auditor"], "other"), Code::NotReleased),
        (known(&["admin", "key-officer"], "*"), Code::NotReleased),
    ] {
        let mut request = workload.release(&house, "silent");
        request.caller = caller;
        assert_eq!(house.broker.use_key(request).await.unwrap_err().code, code);
    }
    let mut request = workload.release(&house, "nothing");
    request.caller = known(&["auditor"], "*");
    assert_eq!(house.broker.use_key(request).await.unwrap_err().code, Code::KeyNotFound);
}

#[tokio::test]
async fn a_denied_measurement_is_revoked_with_the_next_request() {
    let house = House::new();
    house.key("db-key", KeyType::Oct256, json!({}));
    let workload = Workload::new();
    house.broker.use_key(workload.release(&house, "db-key")).await.unwrap();
    let value = hex::encode(GOOD);
    house.change(Change::AddDeny { kind: "measurement".into(), value: value.clone() });
    let refused = house.broker.use_key(workload.release(&house, "db-key")).await.unwrap_err();
    assert_eq!(refused.code, Code::Revoked);
    assert_eq!(house.newest("key.use")["code"], "revoked.deny-list");
    let refused = house.broker.attest(workload.attest(&house)).await.unwrap_err();
    assert_eq!(refused.code, Code::Revoked);
    // The same for a key that does not exist: it says nothing about keys.
    let refused = house.broker.use_key(workload.release(&house, "nothing")).await.unwrap_err();
    assert_eq!(refused.code, Code::Revoked);
    house.change(Change::RemoveDeny { kind: "measurement".into(), value });
    house.broker.use_key(workload.release(&house, "db-key")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn key_08_after_a_disable_is_acknowledged_nothing_is_released() {
    let house = House::new();
    house.key("db-key", KeyType::Oct256, json!({}));
    let workload = Workload::new();
    let requests: Vec<_> = (0..40).map(|_| workload.release(&house, "db-key")).collect();
    let tasks: Vec<_> = requests
        .into_iter()
        .map(|request| {
            let broker = house.broker.clone();
            tokio::spawn(async move { broker.use_key(request).await.map(|answer| check(&answer)) })
        })
        .collect();
    let changes = AttributeChanges { enabled: Some(false), ..Default::default() };
    house.change(Change::SetAttributes { name: KeyName::parse("db-key").unwrap(), changes });
    let acknowledged = house.keystore.head().unwrap().seq;
    for task in tasks {
        if let Ok(entry) = task.await.unwrap() {
            assert!(entry <= acknowledged, "released as entry {entry}, disabled by {acknowledged}");
        }
    }
    let refused = house.broker.use_key(workload.release(&house, "db-key")).await.unwrap_err();
    assert_eq!(refused.code, Code::NotReleased);

    fn check(answer: &Answer) -> u64 {
        let receipt = answer.body["receipt"].as_str().unwrap();
        let payload = decode(receipt.split('.').nth(1).unwrap());
        serde_json::from_slice::<serde_json::Value>(&payload).unwrap()["entry"].as_u64().unwrap()
    }
}

#[tokio::test]
async fn key_12_every_failure_to_decrypt_is_the_same() {
    let scene = Scene::new().await;
    let (house, workload) = (&scene.house, &scene.workload);
    house.key("second", KeyType::Oct256, json!({}));
    let mut variants = Vec::new();
    for at in [0, 4, 10, 20, scene.ciphertext.len() - 1] {
        let mut changed = scene.ciphertext.clone();
        changed[at] ^= 1;
        variants.push(("db-key", changed, AAD));
    }
    variants.push(("db-key", scene.ciphertext.clone(), b"other aad"));
    variants.push(("second", scene.ciphertext.clone(), AAD));
    variants.push(("db-key", Vec::new(), AAD));
    variants.push(("db-key", vec![7; 10], AAD));
    for (key, ciphertext, aad) in variants {
        let usage = Usage::Unwrap { alg: "A256GCM".into(), ciphertext, aad: aad.to_vec() };
        let refused = house.broker.use_key(workload.ask(house, key, usage)).await.unwrap_err();
        assert_eq!((refused.code, refused.detail.as_str()), (Code::CryptoFailed, Code::CryptoFailed.title()));
    }
}

#[tokio::test]
async fn an_untrusted_clock_releases_and_signs_nothing() {
    let house = House::new();
    house.key("db-key", KeyType::Oct256, json!({}));
    let workload = Workload::new();
    let (release, attest) = (workload.release(&house, "db-key"), workload.attest(&house));
    house.clock.trust(false);
    assert_eq!(house.broker.use_key(release).await.unwrap_err().code, Code::ClockUntrusted);
    assert_eq!(house.broker.attest(attest).await.unwrap_err().code, Code::ClockUntrusted);
    assert_eq!(house.broker.challenge(&house.seat()).unwrap_err().code, Code::ClockUntrusted);
    assert_eq!(house.broker.audit_head(&house.seat()).unwrap_err().code, Code::ClockUntrusted);
    assert_ne!(house.broker.fitness(), Fitness::Ready);
    house.clock.trust(true);
    house.broker.use_key(workload.release(&house, "db-key")).await.unwrap();
}

#[tokio::test]
async fn without_proof_only_wrap_is_served_and_only_to_its_role() {
    let house = House::new();
    house.key("db-key", KeyType::Oct256, json!({}));
    house.employ("op");
    let known = |role: &str| Caller::Known {
        name: "op".into(),
        roles: vec![role.into()],
        key_pattern: None,
        origin: Origin::Credential,
    };
    let wrap = || Usage::Wrap { alg: "A256GCM".into(), plaintext: b"x".to_vec().into(), aad: Vec::new() };
    let ask = async |usage: Usage, key: &str, caller: Caller| {
        let mut request = request(&house, key, usage, Proof::None);
        request.caller = caller;
        house.broker.use_key(request).await
    };
    assert!(ask(wrap(), "db-key", known("key-user")).await.is_ok());
    assert_eq!(house.newest("key.use")["caller"], "op");
    let code = |answer: Result<Answer, BrokerError>| answer.unwrap_err().code;
    assert_eq!(code(ask(wrap(), "nothing", known("key-user")).await), Code::KeyNotFound);
    assert_eq!(code(ask(wrap(), "db-key", known("key-officer")).await), Code::Forbidden);
    assert_eq!(code(ask(wrap(), "nothing", known("key-officer")).await), Code::Forbidden);
    assert_eq!(code(ask(wrap(), "db-key", Caller::Anonymous).await), Code::AuthRequired);
    assert_eq!(code(ask(Usage::Release, "db-key", known("key-user")).await), Code::AuthRequired);
}
