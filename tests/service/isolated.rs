//! Providers whose policies are signed: who may change them, and by what. `maa-rest-api.md` sections 4 and 5,
//! `maa-tokens-and-claims.md` sections 6 to 8; `bad-inputs.md` POL-12.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keygate::broker::*;
use keygate::clock::StillClock;
use keygate_keystore::{Change, ChangeOrder, FileRoot, IfMatch, Keystore, ProviderId, Record};
use keygate_verifier::{Anchors, Verifier};
use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer as OpensslSigner;
use openssl::x509::extension::BasicConstraints;
use openssl::x509::{X509, X509Name};
use serde_json::{Map, Value, json};

use super::broker::NOW;

const TOKEN: &str = "kg_contributor________________________________";
const SGX: AttestationType = AttestationType::SgxEnclave;
const TEXT: &str = "version=1.0; authorizationrules{=> permit();}; issuancerules{};";

/// A key with a self-signed certificate, as policy signers have them.
pub struct Signer {
    key: PKey<Private>,
    pub der: Vec<u8>,
}

impl Signer {
    pub fn new(name: &str) -> Self {
        Self::made(name, true)
    }

    fn made(name: &str, ca: bool) -> Self {
        Self::on(Nid::X9_62_PRIME256V1, name, ca)
    }

    fn on(curve: Nid, name: &str, ca: bool) -> Self {
        let group = EcGroup::from_curve_name(curve).unwrap();
        let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
        let mut subject = X509Name::builder().unwrap();
        subject.append_entry_by_nid(Nid::COMMONNAME, name).unwrap();
        let subject = subject.build();
        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        builder.set_subject_name(&subject).unwrap();
        builder.set_issuer_name(&subject).unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.set_not_before(&Asn1Time::from_unix(NOW - 86_400).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::from_unix(NOW + 86_400 * 365).unwrap()).unwrap();
        if ca {
            builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        }
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        Self { der: builder.build().to_der().unwrap(), key }
    }

    /// A JWS over this payload, in the spelling of the JavaScript client.
    pub fn sign(&self, payload: &str) -> String {
        let header = json!({"alg": "ES256", "x5c": [STANDARD.encode(&self.der)]});
        let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(payload));
        let mut signer = OpensslSigner::new(MessageDigest::sha256(), &self.key).unwrap();
        let der = signer.sign_oneshot_to_vec(text.as_bytes()).unwrap();
        let signature = openssl::ecdsa::EcdsaSig::from_der(&der).unwrap();
        let mut raw = signature.r().to_vec_padded(32).unwrap();
        raw.extend(signature.s().to_vec_padded(32).unwrap());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(raw))
    }

    pub fn certificate(&self, claim: &str) -> String {
        json!({claim: {"kty": "EC", "x5c": [STANDARD.encode(&self.der)]}}).to_string()
    }
}

pub fn policy(text: &str) -> String {
    json!({"AttestationPolicy": URL_SAFE_NO_PAD.encode(text)}).to_string()
}

fn unsecured(payload: &str) -> String {
    format!("eyJhbGciOiJub25lIn0.{}.", URL_SAFE_NO_PAD.encode(payload))
}

/// One isolated and one shared provider.
pub struct House {
    broker: Arc<Broker>,
    keystore: Keystore,
    _dir: tempfile::TempDir,
}

impl House {
    pub fn new(signers: &[&Signer]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = FileRoot::create(&dir.path().join("root.key")).unwrap();
        let keystore = Keystore::create(&dir.path().join("store.db"), &root, 7, NOW).unwrap();
        let setup = |id: &str, trust_model, policy_signers| ProviderSetup {
            id: ProviderId::parse(id).unwrap(),
            issuer: format!("https://{id}.example"),
            hosts: vec![format!("{id}.example")],
            prefix: String::new(),
            challenge_seconds: 300,
            token_seconds: 600,
            require_amd_crl: false,
            trust_model,
            policy_signers,
            default_baseline: None,
            uvm_issuers: Vec::new(),
            uvm_minimum_svn: 0,
            azure_anchors: vec!["forge".to_owned()],
            schedule: Schedule::default(),
            enrolment: keygate::broker::EnrolmentSetup::default(),
            vault: keygate::broker::VaultSetup::default(),
            recovery_days: 7,
            purge_protection: false,
        };
        let first = signers.iter().map(|signer| signer.der.clone()).collect();
        let providers =
            vec![setup("iso", TrustModel::Isolated, first), setup("shared", TrustModel::Shared, Vec::new())];
        for provider in ["iso", "shared"] {
            let provider = ProviderId::parse(provider).unwrap();
            let record = Record { provider: provider.clone(), at: NOW, kind: "admin".into(), body: "{}".into() };
            let change = Change::CreateCredential {
                name: format!("contributor-{provider}"),
                roles: vec!["attestation-contributor".into()],
                key_pattern: None,
                expires: None,
                token: format!("{TOKEN}{provider}").into(),
            };
            let order = ChangeOrder {
                provider,
                change,
                author: "test".into(),
                reason: "test".into(),
                if_match: IfMatch::Any,
                record,
                repeat: None,
                dry_run: false,
                now: NOW,
            };
            keystore.change(order).unwrap();
        }
        let parts = Parts {
            keystore: keystore.clone(),
            verifier: Verifier::new(Anchors::none()),
            library: Arc::new(NoEndorser),
            clock: Arc::new(StillClock::at(NOW)),
            providers,
            identity: Arc::default(),
            limits: Limits::default(),
            reference_signers: Vec::new(),
        };
        Self { broker: Broker::open(parts).unwrap(), keystore, _dir: dir }
    }

    fn seat(&self, id: &str) -> Seat {
        let provider = self.broker.provider_for(&format!("{id}.example"), "/policies").unwrap();
        Seat { provider, source: IpAddr::V4(Ipv4Addr::LOCALHOST), peer: None }
    }

    pub fn set(&self, jws: &str) -> Result<Map<String, Value>, AzureFault> {
        self.broker.azure_set_policy(&self.seat("iso"), Some(&format!("{TOKEN}iso")), SGX, jws).map(body)
    }
    fn reset(&self, jws: &str) -> Result<Map<String, Value>, AzureFault> {
        self.broker.azure_reset_policy(&self.seat("iso"), Some(&format!("{TOKEN}iso")), SGX, jws).map(body)
    }
    pub fn add(&self, jws: &str) -> Result<Map<String, Value>, AzureFault> {
        self.broker.azure_add_certificate(&self.seat("iso"), Some(&format!("{TOKEN}iso")), jws).map(body)
    }
    pub fn remove(&self, jws: &str) -> Result<Map<String, Value>, AzureFault> {
        self.broker.azure_remove_certificate(&self.seat("iso"), Some(&format!("{TOKEN}iso")), jws).map(body)
    }
    fn listed(&self) -> usize {
        let told = self.broker.azure_certificates(&self.seat("iso"), Some(&format!("{TOKEN}iso"))).unwrap();
        body(told)["x-ms-policy-certificates"]["keys"].as_array().unwrap().len()
    }
}

fn body(token: AzureToken) -> Map<String, Value> {
    let part = token.token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn is(told: Result<Map<String, Value>, AzureFault>, kind: AzureFaultKind, says: &str) {
    let refused = told.unwrap_err();
    assert_eq!(refused.kind, kind, "{}", refused.message);
    assert!(refused.message.contains(says), "{}", refused.message);
}

#[test]
fn pol_12_only_a_registered_signer_changes_policies() {
    let (one, stranger) = (Signer::new("one"), Signer::new("one"));
    let house = House::new(&[&one]);
    let told = house.set(&one.sign(&policy(TEXT))).unwrap();
    assert_eq!(told["x-ms-policy-result"], "Updated");
    assert_eq!(told["x-ms-policy-signer"]["x5c"], json!([STANDARD.encode(&one.der)]));
    is(house.set(&unsecured(&policy(TEXT))), AzureFaultKind::InvalidOperation, "isolated");
    is(house.set(&stranger.sign(&policy(TEXT))), AzureFaultKind::InvalidOperation, "registered");
    is(house.reset("eyJhbGciOiJub25lIn0.."), AzureFaultKind::InvalidOperation, "isolated");
    is(house.reset(&stranger.sign("")), AzureFaultKind::InvalidOperation, "registered");
    // The certificate of another beside our own signature, and a signature over something else.
    let mut borrowed = stranger.sign(&policy(TEXT));
    let header = json!({"alg": "ES256", "x5c": [STANDARD.encode(&one.der)]});
    let rest = borrowed.split_off(borrowed.find('.').unwrap());
    borrowed = format!("{}{rest}", URL_SAFE_NO_PAD.encode(header.to_string()));
    is(house.set(&borrowed), AzureFaultKind::InvalidOperation, "signature");
    // A certificate that may not issue does not vouch for itself.
    let leaf = Signer::made("leaf", false);
    is(house.set(&leaf.sign(&policy(TEXT))), AzureFaultKind::InvalidParameter, "CN=leaf");
    assert_eq!(house.reset(&one.sign("")).unwrap()["x-ms-policy-result"], "Removed");
    // A payload with no policy is neither.
    is(house.set(&one.sign("{}")), AzureFaultKind::InvalidOperation, "AttestationPolicy");
    is(house.set(&one.sign("")), AzureFaultKind::InvalidOperation, "AttestationPolicy");
    is(house.reset(&one.sign(&policy(TEXT))), AzureFaultKind::InvalidOperation, "empty");
    is(house.set("no jws"), AzureFaultKind::InvalidOperation, "first period");
}

#[test]
fn signers_are_added_and_removed_by_signers_and_the_last_one_stays() {
    let (one, two, three) = (Signer::new("one"), Signer::new("two"), Signer::new("three"));
    let house = House::new(&[&one]);
    assert_eq!(house.listed(), 1);
    is(house.add(&two.sign(&two.certificate("policyCertificate"))), AzureFaultKind::InvalidOperation, "registered");
    is(
        house.remove(&one.sign(&one.certificate("policyCertificate"))),
        AzureFaultKind::InvalidOperation,
        "last policy signer",
    );
    for (signer, claim) in [
        (&two, "policyCertificate"),
        (&two, "maa-policyCertificate"),
        (&three, "aas-policyCertificate"),
        (&three, "x-ms-policyCertificate"),
    ] {
        let told = house.add(&one.sign(&signer.certificate(claim))).unwrap();
        assert_eq!(told["x-ms-policycertificates-result"], "IsPresent", "adding twice is well");
        let thumbprint = hex::encode_upper(openssl::hash::hash(MessageDigest::sha1(), &signer.der).unwrap());
        assert_eq!(told["x-ms-certificate-thumbprint"], json!(thumbprint));
    }
    assert_eq!(house.listed(), 3);
    house.set(&two.sign(&policy(TEXT))).unwrap();
    for _ in 0..2 {
        let told = house.remove(&one.sign(&two.certificate("policyCertificate"))).unwrap();
        assert_eq!(told["x-ms-policycertificates-result"], "IsAbsent", "removing twice is well");
    }
    is(house.set(&two.sign(&policy(TEXT))), AzureFaultKind::InvalidOperation, "registered");
    is(house.add(&one.sign("{}")), AzureFaultKind::InvalidOperation, "maa-policyCertificate");
    let odd = json!({"policyCertificate": {"kty": "EC", "x5c": ["AAAA"]}}).to_string();
    is(house.add(&one.sign(&odd)), AzureFaultKind::InvalidParameter, "no certificate");
    assert_eq!(house.listed(), 2);
}

/// With such a one as the last signer nobody could change anything any more.
#[test]
fn a_certificate_whose_signatures_are_never_read_is_no_signer() {
    let (one, odd) = (Signer::new("one"), Signer::on(Nid::SECP384R1, "odd", true));
    let house = House::new(&[&one]);
    let add = |signer: &Signer| house.add(&one.sign(&signer.certificate("policyCertificate")));
    is(add(&odd), AzureFaultKind::InvalidParameter, "P-256");
    let mut longer = Signer::new("longer");
    longer.der.push(0);
    assert!(add(&longer).is_err(), "a byte behind it");
    add(&Signer::new("two")).unwrap();
    assert_eq!(house.listed(), 2);
}

/// Threat model P25: what a signer may do is looked at again where it is done.
#[test]
fn pol_12_a_removed_signer_sets_nothing_once_its_removal_is_answered() {
    let (one, two) = (Signer::new("one"), Signer::new("two"));
    let house = House::new(&[&one, &two]);
    let versions = || house.keystore.policy_history(&ProviderId::parse("iso").unwrap(), SGX.as_str()).unwrap().len();
    let (by_two, add, remove) = (
        two.sign(&policy(TEXT)),
        one.sign(&two.certificate("policyCertificate")),
        one.sign(&two.certificate("maa-policyCertificate")),
    );
    for _ in 0..10 {
        house.add(&add).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| while house.set(&by_two).is_ok() {});
            }
            let begun = versions();
            while versions() < begun + 4 {
                std::thread::yield_now();
            }
            house.remove(&remove).unwrap();
            let answered = versions();
            std::thread::sleep(std::time::Duration::from_millis(50));
            assert_eq!(versions(), answered);
        });
    }
}

#[test]
fn a_shared_provider_shows_to_anybody_and_changes_for_nobody() {
    let one = Signer::new("one");
    let house = House::new(&[&one]);
    let (seat, bearer) = (house.seat("shared"), format!("{TOKEN}shared"));
    let shown = body(house.broker.azure_policy(&seat, None, SGX).unwrap());
    assert!(shown["x-ms-policy"].as_str().unwrap().starts_with("eyJhbGciOiJub25lIn0."));
    let listed = body(house.broker.azure_certificates(&seat, None).unwrap());
    assert_eq!(listed["x-ms-policy-certificates"], json!({"keys": []}));
    for told in [
        house.broker.azure_set_policy(&seat, Some(&bearer), SGX, &unsecured(&policy(TEXT))),
        house.broker.azure_reset_policy(&seat, Some(&bearer), SGX, "eyJhbGciOiJub25lIn0.."),
        house.broker.azure_add_certificate(&seat, Some(&bearer), &one.sign(&one.certificate("policyCertificate"))),
    ] {
        assert_eq!(told.unwrap_err().kind, AzureFaultKind::InvalidOperation);
    }
    // Clients send a bearer with every call: what anybody may read asks for none.
    house.broker.azure_policy(&seat, Some("kg_nobody"), SGX).unwrap();
}

#[tokio::test]
async fn a_shared_provider_attests_no_machine_by_its_tpm() {
    let house = House::new(&[&Signer::new("one")]);
    for (provider, kind) in [("shared", AzureFaultKind::InvalidOperation), ("iso", AzureFaultKind::PolicyNotSet)] {
        let data = br#"{"payload":{"type":"aikcert"}}"#.to_vec();
        let asked = AzureTpmRequest { seat: house.seat(provider), caller: Caller::Anonymous, data, trace: false };
        assert_eq!(house.broker.azure_attest_tpm(asked).await.unwrap_err().kind, kind, "{provider}");
    }
}
