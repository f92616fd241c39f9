//! Tokens of an attestation door as evidence: our own at its provider, our own elsewhere, and another Keygate's.
//!
//! `native-api.md` section 5 (such tokens are those of others, and their nonce is an echo); `relying-party-tokens.md` sections 0 and 1;
//! threat model P17, P20.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use keygate::broker::*;
use keygate::identity::{Discovery, Egress, Identity, KeySource, SystemResolver, VerifierSetup};
use keygate_forge::binding::{self, Question};
use keygate_forge::intel::{Intel, SgxFault, SgxQuote, Tee};
use keygate_keystore::{Change, KeyType};
use keygate_verifier::tokens::{Profile, TokenRoots};
use keygate_verifier::{Anchors, CollateralId, Endorsements, Verifier};
use openssl::sha::sha256;
use serde_json::{Value, json};

use super::broker::{HOST, House, NOW, Workload, b64, check_receipt, request};
use super::issuer::{Issuer, Said, SigningKey};
use super::keys::Played;

const OWN: &str = "https://kms.example";
const TENANT: &str = "https://kms.example/tenant-a";

/// Brings the same endorsements whatever is asked.
struct Shelf(Endorsements);

impl Endorser for Shelf {
    fn fetch<'a>(&'a self, _: &'a [CollateralId], _: &'a str) -> BoxFuture<'a, Result<Endorsements, Fault>> {
        async { Ok(self.0.clone()) }.boxed()
    }
    fn known(&self, _: EvidenceKind) -> Endorsements {
        self.0.clone()
    }
}

/// A house with a machine of Intel's, and a workload in an enclave on it.
struct Ward {
    house: House,
    intel: Intel,
    workload: Workload,
}

/// What is asked of the door.
#[derive(Default)]
struct Asked {
    /// Data beside the workload's key.
    more: Option<(&'static str, Value)>,
    nonce: Option<String>,
    draft: bool,
    debug: bool,
}

impl Ward {
    fn new() -> Self {
        Self::knowing(Vec::new())
    }

    fn knowing(verifiers: Vec<VerifierSetup>) -> Self {
        let intel = Intel::new(NOW);
        let mut shelf = Endorsements::default();
        shelf.add_file(intel.collateral(&intel.describe(Tee::Sgx)).as_bytes()).unwrap();
        let identity = Identity::default().with_verifiers(verifiers);
        let house = House::with_identity(Limits::default(), Arc::new(Shelf(shelf)), Arc::new(identity), |anchors| {
            anchors.add("forge", EvidenceKind::Sgx, &intel.root_der()).unwrap();
        });
        Self { house, intel, workload: Workload::with_key(KeyType::Rsa2048) }
    }

    /// A key for the enclave, on the word of `authority`.
    fn key(&self, name: &str, authority: &str, options: Value) {
        let mut all = json!({"freshness": "issuer", "anchors": ["forge"]});
        all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        self.house.key_with(
            name,
            KeyType::Oct256,
            &json!({
                "rules": {"default": {"version": "1.0.0", "anyOf": [{"authority": authority, "allOf": [
                    {"claim": "x-ms-sgx-mrenclave", "equals": "e1".repeat(32)},
                    {"claim": "x-ms-runtime.team", "equals": "blue"}]}]}},
                "options": all,
            }),
        );
    }

    fn seat(&self, provider: &str) -> Seat {
        let path = if provider == TENANT { "/tenant-a/attest" } else { "/attest" };
        let provider = self.house.broker.provider_for(HOST, path).unwrap();
        Seat { provider, ..self.house.seat() }
    }

    fn runtime(&self, asked: &Asked) -> Vec<u8> {
        let mut jwk = Value::Object(self.workload.recipient.public_jwk());
        jwk["kid"] = json!("TeeKey");
        jwk["key_ops"] = json!(["encrypt"]);
        let mut data = json!({"keys": [jwk], "team": "blue"});
        if let Some((name, value)) = &asked.more {
            data[*name] = value.clone();
        }
        data.to_string().into_bytes()
    }

    /// A token of the door at this provider.
    async fn token_at(&self, provider: &str, asked: Asked) -> String {
        let held = self.runtime(&asked);
        let mut data = [0; 64];
        data[..32].copy_from_slice(&sha256(&held));
        let mut quote = SgxQuote::new(data);
        quote.fault = asked.debug.then_some(SgxFault::Debug);
        let draft = "version=1.0; authorizationrules{=> permit();}; issuancerules{};";
        let request = AzureAttestRequest {
            seat: self.seat(provider),
            caller: Caller::Anonymous,
            attestation_type: AttestationType::SgxEnclave,
            evidence: self.intel.sgx_quote(&quote),
            runtime: Some(HeldData { bytes: held, json: true }),
            init: None,
            nonce: asked.nonce,
            draft_policy: asked.draft.then(|| draft.to_owned()),
            trace: false,
        };
        self.house.broker.azure_attest(request).await.unwrap().token
    }

    async fn token(&self) -> String {
        self.token_at(OWN, Asked::default()).await
    }

    async fn asked(&self, key: &str, token: &str, challenge: Option<[u8; 32]>) -> Result<Answer, Code> {
        let proof = TokenProof { token: token.to_owned().into(), recipient: self.workload.public(), challenge };
        let request = request(&self.house, key, Usage::Release, Proof::Token(Box::new(proof)));
        self.house.broker.use_key(request).await.map_err(|refused| refused.code)
    }

    async fn is_refused(&self, key: &str, token: &str, code: &str) {
        assert_eq!(self.asked(key, token, None).await.unwrap_err(), Code::NotReleased);
        assert_eq!(self.house.newest("key.use")["code"], code);
    }

    /// What this request is bound by.
    fn nonce(&self, challenge: &[u8; 32], key: &str) -> String {
        let question = Question { operation: "release", key, ..Question::default() };
        let input = self.workload.recipient.recipient().thumbprint_input();
        URL_SAFE_NO_PAD.encode(&binding::bind(challenge, HOST, &question, &input, b"")[..32])
    }

    /// The door's key set.
    fn certs(&self, provider: &str) -> Value {
        self.house.broker.azure_certs(&self.seat(provider)).unwrap()
    }
}

fn keygate(issuer: &str, keys: Box<dyn KeySource>) -> VerifierSetup {
    VerifierSetup {
        name: "sister".to_owned(),
        issuer: issuer.to_owned(),
        profile: Profile::Maa,
        provider: Some("default".to_owned()),
        audiences: Vec::new(),
        roots: TokenRoots::none(),
        max_age: None,
        is_keygate: true,
        keys: Some(keys),
    }
}

#[tokio::test]
async fn a_token_of_our_door_opens_a_key_on_the_word_of_our_url_and_never_on_that_of_self() {
    let ward = Ward::new();
    ward.key("url", OWN, json!({}));
    ward.key("self", "self", json!({}));
    ward.key("theirs", TENANT, json!({}));
    let token = ward.token().await;
    for _ in 0..2 {
        let answer = ward.asked("url", &token, None).await.unwrap();
        assert_eq!(ward.workload.unseal(&answer).len(), 32);
        check_receipt(&ward.house, &answer.body);
    }
    let record = ward.house.newest("key.use");
    assert_eq!((&record["decision"], &record["freshness"]), (&json!("permit"), &json!("issuer")));
    for key in ["self", "theirs"] {
        ward.is_refused(key, &token, "rule-not-satisfied").await;
    }
    // The same enclave, appraised here, is `self`, and our URL is another name for it.
    for key in ["self", "url"] {
        let challenge = ward.house.challenge();
        let question = Question { operation: "release", key, ..Question::default() };
        let input = ward.workload.recipient.recipient().thumbprint_input();
        let held = ward.runtime(&Asked::default());
        let bound = binding::bind(&challenge, HOST, &question, &input, &held);
        let proof = EvidenceProof {
            kind: EvidenceKind::Sgx,
            data: ward.intel.sgx_quote(&SgxQuote::new(bound)),
            challenge,
            recipient: ward.workload.public(),
            runtime_data: Some(held),
            init_data: None,
            endorsements: Vec::new(),
            beside: None,
        };
        let request = request(&ward.house, key, Usage::Release, Proof::Evidence(Box::new(proof)));
        assert!(ward.house.broker.use_key(request).await.is_ok(), "{key}");
    }
}

#[tokio::test]
async fn its_echo_of_a_nonce_is_no_freshness_and_what_the_workload_held_is() {
    let ward = Ward::new();
    ward.key("once", OWN, json!({"freshness": "once"}));
    let challenge = ward.house.challenge();
    let nonce = ward.nonce(&challenge, "once");
    let echoed = ward.token_at(OWN, Asked { nonce: Some(nonce.clone()), ..Asked::default() }).await;
    ward.is_refused("once", &echoed, "freshness-failed").await;
    assert_eq!(ward.asked("once", &echoed, Some(challenge)).await.unwrap_err(), Code::FreshnessFailed);
    let held = ward.token_at(OWN, Asked { more: Some(("nonce", json!(nonce))), ..Asked::default() }).await;
    assert!(ward.asked("once", &held, Some(challenge)).await.is_ok());
    assert_eq!(ward.house.newest("key.use")["freshness"], "once");
    assert_eq!(ward.asked("once", &held, Some(challenge)).await.unwrap_err(), Code::FreshnessFailed, "spent");
}

#[tokio::test]
async fn what_a_key_accepts_of_evidence_it_accepts_in_a_token_of_our_door() {
    let ward = Ward::new();
    ward.key("db", OWN, json!({}));
    ward.key("vendor", OWN, json!({"anchors": ["vendor"]}));
    let token = ward.token().await;
    assert!(ward.asked("db", &token, None).await.is_ok());
    ward.is_refused("vendor", &token, "chain-untrusted").await;
    let debug = ward.token_at(OWN, Asked { debug: true, ..Asked::default() }).await;
    ward.is_refused("db", &debug, "debug-rejected").await;
}

#[tokio::test]
async fn a_draft_and_whatever_the_door_did_not_sign_as_it_stands_is_refused() {
    let ward = Ward::new();
    ward.key("db", OWN, json!({}));
    let draft = ward.token_at(OWN, Asked { draft: true, ..Asked::default() }).await;
    assert_eq!(ward.asked("db", &draft, None).await.unwrap_err(), Code::TokenInvalid);
    let token = ward.token().await;
    let parts: Vec<&str> = token.split('.').collect();
    let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    assert!(ward.asked("db", &token, None).await.is_ok());
    // The same claims under a key of a stranger's that has our key's name.
    let kid = ward.certs(OWN)["keys"][0]["kid"].as_str().unwrap().to_owned();
    assert_eq!(ward.asked("db", &SigningKey::new(&kid).token(&claims), None).await.unwrap_err(), Code::TokenInvalid);
    claims["x-ms-sgx-svn"] = json!(9);
    let raised = format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(claims.to_string()), parts[2]);
    assert_eq!(ward.asked("db", &raised, None).await.unwrap_err(), Code::TokenInvalid);
    let thief = Ward { workload: Workload::with_key(KeyType::Rsa2048), ..ward };
    assert_eq!(thief.asked("db", &token, None).await.unwrap_err(), Code::BindingMismatch);
}

#[tokio::test]
async fn a_token_of_our_door_ends_after_eight_hours() {
    let ward = Ward::new();
    ward.key("db", OWN, json!({}));
    let token = ward.token().await;
    ward.house.clock.set(NOW + 28_800 + 59);
    assert!(ward.asked("db", &token, None).await.is_ok());
    ward.house.clock.set(NOW + 28_800 + 60);
    assert_eq!(ward.asked("db", &token, None).await.unwrap_err(), Code::TokenInvalid);
}

#[tokio::test]
async fn what_is_denied_is_denied_in_a_token_of_our_door() {
    let ward = Ward::new();
    ward.key("db", OWN, json!({}));
    let token = ward.token().await;
    let certificate = STANDARD.decode(ward.certs(OWN)["keys"][0]["x5c"][0].as_str().unwrap()).unwrap();
    let rsa = openssl::x509::X509::from_der(&certificate).unwrap().public_key().unwrap().rsa().unwrap();
    let number = |n: &openssl::bn::BigNumRef| URL_SAFE_NO_PAD.encode(n.to_vec());
    let input = format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, number(rsa.e()), number(rsa.n()));
    let signer = b64(&sha256(input.as_bytes())).as_str().unwrap().to_owned();
    for (kind, value) in [
        ("measurement", "e1".repeat(32)),
        ("measurement", "51".repeat(32)),
        // No claim says which processor it was.
        ("platform", format!("intel-fmspc:{}", hex::encode(ward.intel.platform.fmspc))),
        ("platform", hex::encode(ward.intel.platform.fmspc)),
        ("issuer-key", signer),
    ] {
        assert!(ward.asked("db", &token, None).await.is_ok(), "{kind} {value}");
        let kind = kind.to_owned();
        ward.house.change(Change::AddDeny { kind: kind.clone(), value: value.clone() });
        assert_eq!(ward.asked("db", &token, None).await.unwrap_err(), Code::Revoked, "{kind} {value}");
        ward.house.change(Change::RemoveDeny { kind, value });
    }
}

#[tokio::test]
async fn a_token_of_another_provider_counts_where_the_settings_say_so() {
    let alone = Ward::new();
    alone.key("db", TENANT, json!({}));
    let token = alone.token_at(TENANT, Asked::default()).await;
    assert_eq!(alone.asked("db", &token, None).await.unwrap_err(), Code::TokenInvalid, "nobody knows it there");

    let played = Played::of(&[]);
    let ward = Ward::knowing(vec![keygate(TENANT, Box::new(played.clone()))]);
    ward.key("db", TENANT, json!({}));
    let token = ward.token_at(TENANT, Asked::default()).await;
    played.says(&ward.certs(TENANT));
    ward.house.broker.renew_issuers().await;
    assert!(ward.asked("db", &token, None).await.is_ok());
    // What it says under `keygate` is read of a Keygate alone.
    let plain = VerifierSetup { is_keygate: false, ..keygate(TENANT, Box::new(played.clone())) };
    let ward = Ward { house: Ward::knowing(vec![plain]).house, ..ward };
    ward.key("db", TENANT, json!({}));
    ward.house.broker.renew_issuers().await;
    assert_eq!(ward.asked("db", &token, None).await.unwrap_err(), Code::TokenInvalid);
}

#[tokio::test]
async fn an_entry_of_the_settings_goes_before_the_doors_own_keys() {
    let stranger = SigningKey::new("s");
    let ward = Ward::knowing(vec![keygate(OWN, Box::new(Played::of(&[&stranger])))]);
    ward.key("db", OWN, json!({}));
    let token = ward.token().await;
    ward.house.broker.renew_issuers().await;
    assert_eq!(ward.asked("db", &token, None).await.unwrap_err(), Code::TokenInvalid);
}

/// A ward whose one provider has this issuer, over a store of its own.
fn sister(issuer: &str) -> Ward {
    let ward = Ward::new();
    let mut anchors = Anchors::none();
    anchors.add("forge", EvidenceKind::Sgx, &ward.intel.root_der()).unwrap();
    let mut shelf = Endorsements::default();
    shelf.add_file(ward.intel.collateral(&ward.intel.describe(Tee::Sgx)).as_bytes()).unwrap();
    let broker = Broker::open(Parts {
        keystore: ward.house.keystore.clone(),
        verifier: Verifier::new(anchors),
        library: Arc::new(Shelf(shelf)),
        identity: Arc::default(),
        clock: Arc::clone(&ward.house.clock) as Arc<dyn keygate::clock::Clock>,
        providers: vec![ProviderSetup {
            id: ward.house.provider.clone(),
            issuer: issuer.to_owned(),
            hosts: vec![HOST.to_owned()],
            prefix: String::new(),
            challenge_seconds: 300,
            token_seconds: 600,
            require_amd_crl: false,
            trust_model: TrustModel::Aad,
            policy_signers: Vec::new(),
            default_baseline: None,
            uvm_issuers: Vec::new(),
            uvm_minimum_svn: 0,
            azure_anchors: vec!["forge".to_owned()],
            schedule: Schedule::default(),
            enrolment: EnrolmentSetup::default(),
            vault: VaultSetup::default(),
            recovery_days: 7,
            purge_protection: true,
        }],
        reference_signers: Vec::new(),
        limits: Limits::default(),
    });
    Ward { house: House { broker: broker.unwrap(), ..ward.house }, ..ward }
}

#[tokio::test]
async fn another_keygate_is_found_by_discovery_at_its_url() {
    let site = Issuer::start(&[]);
    let sister = sister(&site.url);
    let serve = |ward: &Ward| {
        let document = ward.house.broker.azure_discovery(&ward.seat(OWN));
        let certs = ward.certs(OWN);
        site.says(|script| (script.document, script.keys) = (Said::json(&document), Said::json(&certs)));
    };
    serve(&sister);
    let egress = Egress::new(Arc::new(SystemResolver), Some(&site.root.pem()), vec!["localhost".to_owned()]).unwrap();
    let discovery = Discovery::new(site.url.clone(), Vec::new(), egress);
    let mut ward = Ward::knowing(vec![keygate(&site.url, Box::new(discovery))]);
    ward.key("db", &site.url, json!({}));
    ward.key("own", OWN, json!({}));
    let token = sister.token().await;
    ward.workload = sister.workload;
    assert!(ward.asked("db", &token, None).await.is_ok());
    assert_eq!(site.asked(), ["/.well-known/openid-configuration", "/certs"]);
    ward.is_refused("own", &token, "rule-not-satisfied").await;
}

#[tokio::test]
async fn a_vault_releases_to_a_token_of_its_own_attestation_door_and_to_no_neighbour_s() {
    use keygate::broker::vault::{ReleaseInput, Target, VaultAnswer, VaultRequest, VaultUsage};
    let ward = Ward::new();
    ward.key("db", OWN, json!({"explain": "attested"}));
    let ask = async |key: &str, token: &str| {
        let input = ReleaseInput { target: Target::Token(token.to_owned().into()), nonce: None, enc: None };
        let request = VaultRequest {
            seat: ward.seat(OWN),
            url: OWN.to_owned(),
            api_version: "7.4".to_owned(),
            key: KeySelector::parse(key, None).unwrap(),
            usage: VaultUsage::Release(input),
            caller: Caller::Anonymous,
            bearer: None,
        };
        ward.house.broker.use_vault_key(request).await.map_err(|refused| refused.error.code)
    };
    let VaultAnswer::Released(jws) = ask("db", &ward.token().await).await.unwrap() else { panic!("no release") };
    let payload = URL_SAFE_NO_PAD.decode(jws.split('.').nth(1).unwrap()).unwrap();
    let payload: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(payload["request"]["kid"], format!("{OWN}/keys/db"));
    let neighbour = ward.token_at(TENANT, Asked::default()).await;
    assert_eq!(ask("db", &neighbour).await.err(), Some(Code::TokenInvalid));
    ward.key("self", "self", json!({"explain": "attested"}));
    assert_eq!(ask("self", &ward.token().await).await.err(), Some(Code::RuleNotSatisfied));
}
