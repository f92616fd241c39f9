//! Kinds that need endorsements: wishes, marks, init-time data, deny lists. Threat model P9, P10; `native-api.md` sections 3 to 5.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use keygate::broker::*;
use keygate_forge::amd::{Amd, Product, SnpReport};
use keygate_forge::binding::{self, Question};
use keygate_forge::intel::{Intel, TdxQuote, Tee};
use keygate_keystore::{Change, KeyType};
use keygate_verifier::{CollateralId, Endorsements};
use serde_json::{Value, json};

use super::broker::*;

/// A library whose content a test sets; it counts how often it was asked.
#[derive(Default)]
pub struct Shelf {
    content: Mutex<Option<Endorsements>>,
    fetches: AtomicUsize,
}

impl Shelf {
    pub fn put(&self, files: &[&[u8]]) {
        let mut content = Endorsements::default();
        for file in files {
            content.add_file(file).unwrap();
        }
        *self.content.lock().unwrap() = Some(content);
    }
    fn clear(&self) {
        *self.content.lock().unwrap() = None;
    }
    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

impl Endorser for Shelf {
    fn fetch<'a>(&'a self, _: &'a [CollateralId], _: &'a str) -> BoxFuture<'a, Result<Endorsements, Fault>> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        let content = self.content.lock().unwrap().clone();
        async move { content.ok_or_else(|| Fault::new(Code::CollateralUnavailable, "")) }.boxed()
    }
    fn known(&self, _: EvidenceKind) -> Endorsements {
        Endorsements::default()
    }
}

struct Machine {
    house: House,
    shelf: Arc<Shelf>,
    intel: Intel,
    amd: Amd,
    workload: Workload,
}

impl Machine {
    fn new() -> Self {
        let (intel, amd) = (Intel::new(NOW), Amd::new(Product::Milan, NOW));
        let shelf = Arc::new(Shelf::default());
        let library = Arc::clone(&shelf) as Arc<dyn Endorser>;
        let house = House::with(Limits::default(), library, |anchors| {
            anchors.add("forge", EvidenceKind::Tdx, &intel.root_der()).unwrap();
            anchors.add("forge", EvidenceKind::Snp, &amd.ark_der()).unwrap();
        });
        Self { house, shelf, intel, amd, workload: Workload::new() }
    }

    fn key(&self, name: &str, conditions: Value, options: Value) {
        let mut options = options;
        options["anchors"] = json!(["forge"]);
        let rule = json!({"version": "1.0.0", "anyOf": [{"authority": "self", "allOf": conditions}]});
        self.house.key_with(name, KeyType::Oct256, &json!({"rules": {"default": rule}, "options": options}));
    }

    fn collateral(&self, evaluation_number: u32) -> String {
        let wanted = self.intel.describe(Tee::Tdx);
        self.intel.collateral(&keygate_forge::intel::Collateral { evaluation_number, ..wanted })
    }

    fn bind(&self, challenge: [u8; 32], key: &str) -> [u8; 64] {
        let question = Question { operation: "release", key, ..Question::default() };
        let input = self.workload.recipient.recipient().thumbprint_input();
        binding::bind(&challenge, HOST, &question, &input, b"")
    }

    fn proof(&self, kind: EvidenceKind, challenge: [u8; 32], data: Vec<u8>) -> EvidenceProof {
        EvidenceProof {
            kind,
            data,
            challenge,
            recipient: self.workload.public(),
            runtime_data: None,
            init_data: None,
            endorsements: Vec::new(),
            beside: None,
        }
    }

    fn tdx(&self, key: &str, challenge: [u8; 32], endorsements: &[&[u8]]) -> KeyRequest {
        let quote = self.intel.tdx_quote(&TdxQuote::new(self.bind(challenge, key)));
        let mut proof = self.proof(EvidenceKind::Tdx, challenge, quote);
        proof.endorsements = endorsements.iter().map(|piece| piece.to_vec()).collect();
        request(&self.house, key, Usage::Release, Proof::Evidence(Box::new(proof)))
    }

    fn snp(&self, key: &str, change: impl FnOnce(&mut SnpReport), init_data: Option<&[u8]>) -> KeyRequest {
        let challenge = self.house.challenge();
        let mut report = SnpReport::new(self.bind(challenge, key));
        change(&mut report);
        let evidence = self.amd.evidence(&report);
        let mut proof = self.proof(EvidenceKind::Snp, challenge, evidence.report);
        proof.endorsements = vec![evidence.vek, evidence.authority];
        proof.init_data = init_data.map(<[u8]>::to_vec);
        request(&self.house, key, Usage::Release, Proof::Evidence(Box::new(proof)))
    }

    async fn ask(&self, request: KeyRequest) -> Option<Code> {
        self.house.broker.use_key(request).await.err().map(|refused| refused.code)
    }
}

fn mrtd() -> Value {
    json!([{"claim": "tdx_mrtd", "equals": "7d".repeat(48)}])
}

fn launch() -> Value {
    json!([{"claim": "x-ms-sevsnpvm-launchmeasurement", "equals": "4d".repeat(48)}])
}

#[tokio::test]
async fn what_is_missing_is_brought_once_the_challenge_is_live() {
    let machine = Machine::new();
    machine.key("db-key", mrtd(), json!({}));
    machine.shelf.put(&[machine.collateral(17).as_bytes()]);
    assert_eq!(machine.ask(machine.tdx("db-key", [9; 32], &[])).await, Some(Code::FreshnessFailed));
    assert_eq!(machine.shelf.fetches(), 0, "nothing is fetched for a challenge that is not ours");
    let request = machine.tdx("db-key", machine.house.challenge(), &[]);
    let answer = machine.house.broker.use_key(request).await.unwrap();
    assert_eq!(machine.workload.unseal(&answer).len(), 32);
    assert_eq!(machine.shelf.fetches(), 1);
}

#[tokio::test]
async fn what_cannot_be_brought_is_unavailable_and_spends_nothing() {
    let machine = Machine::new();
    machine.key("db-key", mrtd(), json!({}));
    let challenge = machine.house.challenge();
    let refused = machine.house.broker.use_key(machine.tdx("db-key", challenge, &[])).await.unwrap_err();
    assert_eq!((refused.code, refused.retry_after), (Code::CollateralUnavailable, Some(5)));
    machine.shelf.put(&[machine.collateral(17).as_bytes()]);
    assert_eq!(machine.ask(machine.tdx("db-key", challenge, &[])).await, None);
}

#[tokio::test]
async fn a_library_that_never_brings_it_is_asked_three_times_and_nothing_is_spent() {
    let machine = Machine::new();
    machine.key("db-key", mrtd(), json!({}));
    machine.shelf.put(&[]);
    let challenge = machine.house.challenge();
    assert_eq!(machine.ask(machine.tdx("db-key", challenge, &[])).await, Some(Code::CollateralUnavailable));
    assert_eq!(machine.shelf.fetches(), 3);
    machine.shelf.put(&[machine.collateral(17).as_bytes()]);
    assert_eq!(machine.ask(machine.tdx("db-key", challenge, &[])).await, None);
}

#[tokio::test]
async fn endorsements_of_a_request_serve_that_request_only() {
    let machine = Machine::new();
    machine.key("db-key", mrtd(), json!({}));
    let collateral = machine.collateral(17);
    let with = machine.tdx("db-key", machine.house.challenge(), &[collateral.as_bytes()]);
    assert_eq!(machine.ask(with).await, None);
    assert_eq!(machine.shelf.fetches(), 0);
    let without = machine.tdx("db-key", machine.house.challenge(), &[]);
    assert_eq!(machine.ask(without).await, Some(Code::CollateralUnavailable));
    let rubbish = machine.tdx("db-key", machine.house.challenge(), &[b"{}"]);
    assert_eq!(machine.ask(rubbish).await, Some(Code::Malformed));
}

#[tokio::test]
async fn a_request_brings_nothing_older_than_the_marks_and_never_moves_them() {
    let machine = Machine::new();
    machine.key("db-key", mrtd(), json!({}));
    let fresh = || machine.house.challenge();
    machine.shelf.put(&[machine.collateral(17).as_bytes()]);
    assert_eq!(machine.ask(machine.tdx("db-key", fresh(), &[])).await, None);
    machine.shelf.clear();
    // Older than the library's: refused. The same and newer: used.
    let bring =
        async |number: u32| machine.ask(machine.tdx("db-key", fresh(), &[machine.collateral(number).as_bytes()])).await;
    assert_eq!(bring(16).await, Some(Code::CollateralUnavailable));
    assert_eq!(bring(17).await, None);
    assert_eq!(bring(18).await, None);
    // Had 18 moved the marks, the library's 17 would be refused now.
    machine.shelf.put(&[machine.collateral(17).as_bytes()]);
    assert_eq!(machine.ask(machine.tdx("db-key", fresh(), &[])).await, None);
    machine.shelf.put(&[machine.collateral(18).as_bytes()]);
    assert_eq!(machine.ask(machine.tdx("db-key", fresh(), &[])).await, None);
    machine.shelf.clear();
    assert_eq!(bring(17).await, Some(Code::CollateralUnavailable));
}

#[tokio::test]
async fn a_patch_level_is_a_guard_of_the_key() {
    let machine = Machine::new();
    machine.key("strict", mrtd(), json!({}));
    machine.key(
        "loose",
        mrtd(),
        json!({"tcb": {"accept": ["UpToDate", "OutOfDate"], "advisories": ["INTEL-SA-00001"]}}),
    );
    let mut wanted = machine.intel.describe(Tee::Tdx);
    for level in &mut wanted.levels {
        level.status = "OutOfDate".to_owned();
        level.advisories = vec!["INTEL-SA-00001".to_owned()];
    }
    machine.shelf.put(&[machine.intel.collateral(&wanted).as_bytes()]);
    let fresh = || machine.house.challenge();
    assert_eq!(machine.ask(machine.tdx("strict", fresh(), &[])).await, Some(Code::NotReleased));
    assert_eq!(machine.house.newest("key.use")["code"], "tcb-rejected");
    assert_eq!(machine.ask(machine.tdx("loose", fresh(), &[])).await, None);
}

#[tokio::test]
async fn init_data_counts_where_its_digest_stands_in_the_report() {
    let machine = Machine::new();
    let data = br#"{"role": "primary"}"#;
    let mut conditions = launch();
    conditions.as_array_mut().unwrap().push(json!({"claim": "x-ms-inittime.role", "equals": "primary"}));
    machine.key("db-key", conditions, json!({}));
    let host_data = openssl::sha::sha256(data);
    let with = |host_data: [u8; 32]| move |report: &mut SnpReport| report.host_data = host_data;
    assert_eq!(machine.ask(machine.snp("db-key", with(host_data), Some(data))).await, None);
    assert_eq!(machine.ask(machine.snp("db-key", with(host_data), None)).await, Some(Code::NotReleased));
    let other = machine.snp("db-key", with([7; 32]), Some(data));
    assert_eq!(machine.ask(other).await, Some(Code::BindingMismatch));
    let text = b"not json";
    let bound = machine.snp("db-key", with(openssl::sha::sha256(text)), Some(text));
    assert_eq!(machine.ask(bound).await, Some(Code::NotReleased));
    // A kind without a field for it.
    machine.house.key("soft", KeyType::Oct256, json!({}));
    let mut request = machine.workload.release(&machine.house, "soft");
    if let Proof::Evidence(proof) = &mut request.proof {
        proof.init_data = Some(data.to_vec());
    }
    assert_eq!(machine.ask(request).await, Some(Code::Unsupported));
}

#[tokio::test]
async fn a_denied_chip_is_revoked() {
    let machine = Machine::new();
    machine.key("db-key", launch(), json!({}));
    assert_eq!(machine.ask(machine.snp("db-key", |_| (), None)).await, None);
    let chip = machine.house.newest("key.use")["claims"]["x-ms-sevsnpvm-chipid"].as_str().unwrap().to_owned();
    for value in [format!("snp-chip:{chip}"), chip] {
        machine.house.change(Change::AddDeny { kind: "platform".into(), value: value.clone() });
        assert_eq!(machine.ask(machine.snp("db-key", |_| (), None)).await, Some(Code::Revoked), "{value}");
        machine.house.change(Change::RemoveDeny { kind: "platform".into(), value });
        assert_eq!(machine.ask(machine.snp("db-key", |_| (), None)).await, None);
    }
}

/// What an operator may write is what evidence is compared with, for each kind that has a platform.
#[tokio::test]
async fn sgx_35_a_denied_processor_and_a_denied_instance_are_revoked() {
    let machine = Machine::new();
    let house = &machine.house;
    machine.key("db-key", mrtd(), json!({}));
    machine.key("nitro", json!([{"claim": "x-ms-attestation-type", "equals": "nitro"}]), json!({}));
    machine.shelf.put(&[machine.collateral(17).as_bytes()]);
    let tdx = async || machine.ask(machine.tdx("db-key", house.challenge(), &[])).await;
    let nitro = async || {
        let question = Question { operation: "release", key: "nitro", ..Question::default() };
        let proof = machine.workload.nitro_proof(house, house.challenge(), &question);
        machine.ask(request(house, "nitro", Usage::Release, Proof::Evidence(Box::new(proof)))).await
    };
    assert!(!matches!(tdx().await, Some(Code::Revoked)) && !matches!(nitro().await, Some(Code::Revoked)));
    let (ppid, fmspc) = (hex::encode(machine.intel.platform.ppid), hex::encode(machine.intel.platform.fmspc));
    let module = "i-00f0f0f0f0f0f0f0f-enc019b5640fdf630d6";
    for (value, on_tdx) in [
        (format!("intel-ppid:{ppid}"), true),
        (ppid, true),
        (format!("intel-fmspc:{fmspc}"), true),
        (format!("nitro-module:{module}"), false),
        (module.to_owned(), false),
        ("i-00f0f0f0f0f0f0f0f".to_owned(), false),
    ] {
        assert!(keygate::broker::admin::deny::Denial::parse("platform", &value).is_ok(), "{value}");
        house.change(Change::AddDeny { kind: "platform".into(), value: value.clone() });
        let told = (tdx().await, nitro().await);
        let revoked = |code: &Option<Code>| matches!(code, Some(Code::Revoked));
        assert_eq!((revoked(&told.0), revoked(&told.1)), (on_tdx, !on_tdx), "{value}: {told:?}");
        house.change(Change::RemoveDeny { kind: "platform".into(), value });
    }
    assert_eq!(tdx().await, None);
}

#[tokio::test]
async fn snp_06_evidence_of_another_privilege_level_is_denied_unless_the_rule_tests_it() {
    let machine = Machine::new();
    machine.key("plain", launch(), json!({}));
    let mut conditions = launch();
    conditions.as_array_mut().unwrap().push(json!({"claim": "x-ms-sevsnpvm-vmpl", "equals": 1}));
    machine.key("tests-it", conditions, json!({}));
    assert_eq!(machine.ask(machine.snp("plain", |report| report.vmpl = 1, None)).await, Some(Code::NotReleased));
    assert_eq!(machine.house.newest("key.use")["code"], "policy-denied");
    assert_eq!(machine.ask(machine.snp("plain", |_| (), None)).await, None);
    assert_eq!(machine.ask(machine.snp("tests-it", |report| report.vmpl = 1, None)).await, None);
}
