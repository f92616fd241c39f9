//! What a caller can make the service do: copies, records, work. Threat model P27, P42, P51, P52; `native-api.md` section 3.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use keygate::broker::*;
use keygate_keystore::{Change, KeyType, Space};
use keygate_verifier::{CollateralId, Endorsements};
use serde_json::json;

use super::azure::Azure;
use super::broker::*;

/// A library that counts how often it was asked for what it holds.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Endorser for Counting {
    fn fetch<'a>(&'a self, _: &'a [CollateralId], _: &'a str) -> BoxFuture<'a, Result<Endorsements, Fault>> {
        async { Err(Fault::new(Code::CollateralUnavailable, "")) }.boxed()
    }
    fn known(&self, _: EvidenceKind) -> Endorsements {
        self.0.fetch_add(1, Ordering::SeqCst);
        Endorsements::default()
    }
}

#[tokio::test]
async fn nothing_is_copied_for_a_challenge_that_is_not_live() {
    let library = Arc::new(Counting::default());
    let house = House::with(Limits::default(), Arc::clone(&library) as Arc<dyn Endorser>, |_| ());
    house.key("db-key", KeyType::Oct256, json!({}));
    let workload = Workload::new();
    let mut dead = workload.release_under(&house, [9; 32], "db-key");
    if let Proof::Evidence(proof) = &mut dead.proof {
        proof.endorsements = vec![b"rubbish".to_vec()];
    }
    assert_eq!(house.broker.use_key(dead).await.unwrap_err().code, Code::FreshnessFailed);
    let mut dead = workload.attest(&house);
    dead.evidence.challenge = [9; 32];
    assert_eq!(house.broker.attest(dead).await.unwrap_err().code, Code::FreshnessFailed);
    assert_eq!(library.0.load(Ordering::SeqCst), 0);
    house.broker.use_key(workload.release(&house, "db-key")).await.unwrap();
    assert_eq!(library.0.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn aud_01_one_evidence_is_told_no_twenty_times_a_minute_with_a_record() {
    let house = House::new();
    house.key("db-key", KeyType::Oct256, json!({}));
    let workload = Workload::new();
    let challenge = house.challenge();
    // The very same evidence again and again: a denial spends no challenge.
    let unknown = workload.release_under(&house, challenge, "nowhere");
    let Proof::Evidence(proof) = &unknown.proof else { panic!("no evidence") };
    let again = || {
        let proof = EvidenceProof {
            kind: proof.kind,
            data: proof.data.clone(),
            challenge,
            recipient: proof.recipient.clone(),
            runtime_data: None,
            init_data: None,
            endorsements: Vec::new(),
            beside: None,
        };
        request(&house, "nowhere", Usage::Release, Proof::Evidence(Box::new(proof)))
    };
    for _ in 0..20 {
        assert_eq!(house.broker.use_key(again()).await.unwrap_err().code, Code::NotReleased);
    }
    let before = house.records("key.use").len();
    let refused = house.broker.use_key(again()).await.unwrap_err();
    assert_eq!((refused.code, refused.retry_after), (Code::RateLimited, Some(1)));
    assert_eq!(house.records("key.use").len(), before, "no record beyond");
    // Others, and this workload with new evidence, are served.
    house.broker.use_key(workload.release(&house, "db-key")).await.unwrap();
    house.clock.advance(60);
    assert_eq!(house.broker.use_key(again()).await.unwrap_err().code, Code::NotReleased);
}

#[tokio::test]
async fn aud_01_refusals_leave_room_for_releases() {
    let house = House::new();
    house.key("db-key", KeyType::Oct256, json!({}));
    let (good, mut bad) = (Workload::new(), Workload::new());
    bad.evidence.measurement = [1; 48];
    house.keystore.measure_space_by(|_| Ok(Space { free: 100 << 20, whole: 100 << 30 }));
    let before = house.keystore.head().unwrap().seq;
    let refused = house.broker.use_key(bad.release(&house, "db-key")).await.unwrap_err();
    assert_eq!((refused.code, refused.retry_after), (Code::AuditUnavailable, Some(5)));
    assert_eq!(house.keystore.head().unwrap().seq, before);
    house.broker.use_key(good.release(&house, "db-key")).await.unwrap();
    assert_eq!(house.keystore.head().unwrap().seq, before + 1);
    house.keystore.measure_space_by(|_| Ok(Space { free: 300 << 20, whole: 100 << 30 }));
    assert_eq!(house.broker.use_key(bad.release(&house, "db-key")).await.unwrap_err().code, Code::NotReleased);
}

#[tokio::test]
async fn a_credential_that_was_revoked_after_it_was_read_decides_nothing() {
    let house = House::new();
    house.key("db-key", KeyType::Oct256, json!({}));
    house.employ("op");
    let wrap = || {
        let plaintext = b"x".to_vec().into();
        let usage = Usage::Wrap { alg: "A256GCM".into(), plaintext, aad: Vec::new() };
        let mut request = request(&house, "db-key", usage, Proof::None);
        request.caller = house.broker.caller(&house.seat(), Some(&format!("kg_{:_<43}", "op"))).unwrap();
        request
    };
    house.broker.use_key(wrap()).await.unwrap();
    let identified = wrap();
    house.change(Change::RevokeCredential { name: "op".into() });
    assert_eq!(house.broker.use_key(identified).await.unwrap_err().code, Code::CredentialInvalid);
    assert_eq!(house.newest("key.use")["decision"], "deny");
}

#[tokio::test]
async fn an_attestation_that_could_not_be_used_is_not_issued() {
    let house = House::new();
    let mut workload = Workload::new();
    workload.runtime_data = Some(json!({"a": "x".repeat(230_000)}).to_string().into_bytes());
    let refused = house.broker.attest(workload.attest(&house)).await.unwrap_err();
    assert_eq!(refused.code, Code::TooLarge);
    workload.runtime_data = Some(json!({"a": "x".repeat(30_000)}).to_string().into_bytes());
    house.broker.attest(workload.attest(&house)).await.unwrap();
}

/// The same statements, flushes and requests of the store for a key that is not there and a rule that is not met. What clocks say
/// of the two is in `tests/timing.rs`.
#[tokio::test]
async fn an_unknown_key_is_as_much_work_as_a_rule_that_is_not_met() {
    let house = House::new();
    house.key("db-key", KeyType::Oct256, json!({}));
    let mut workload = Workload::new();
    workload.evidence.measurement = [1; 48];
    let mut spent = Vec::new();
    for key in ["db-key", "db-kez", "db-key", "db-kez"] {
        let request = workload.release(&house, key);
        let before = house.keystore.counters();
        let refused = house.broker.use_key(request).await.unwrap_err();
        assert_eq!(refused.code, Code::NotReleased);
        let after = house.keystore.counters();
        spent.push((
            after.statements - before.statements,
            after.flushes - before.flushes,
            after.requests - before.requests,
        ));
    }
    // The first of each pair may warm what is remembered.
    assert_eq!(spent[2], spent[3], "{spent:?}");
}

/// Reading a draft is work that anybody may ask for: it waits its turn like the evidence beside it.
#[tokio::test]
async fn http_16_a_strangers_draft_is_read_where_work_is_bounded() {
    let azure = Azure::with_limits(Limits { verifications: 1, waiting: 1 });
    let drafted = || {
        let request = azure.request(AttestationType::SgxEnclave);
        azure.house.broker.azure_attest(AzureAttestRequest { draft_policy: Some("no policy".to_owned()), ..request })
    };
    let (first, second) = futures_util::join!(drafted(), drafted());
    assert_eq!(first.unwrap_err().kind, AzureFaultKind::PolicyParsingError);
    assert_eq!(second.unwrap_err().kind, AzureFaultKind::Unavailable);
}
