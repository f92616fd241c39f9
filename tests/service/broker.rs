//! A house for one test: store in a temporary folder, forge roots, still clock, one provider; and a workload in it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keygate::broker::*;
use keygate::clock::StillClock;
use keygate::identity::Identity;
use keygate_forge::binding::{self, Question};
use keygate_forge::nitro::{Nitro, NitroDocument};
use keygate_forge::software::{Software, SoftwareEvidence};
use keygate_keystore::{
    Attributes, Change, ChangeOrder, FileRoot, IfMatch, KeyType, Keystore, NewMaterial, ProviderId, RecipientPrivate,
    Record, RuleDocument, Wrapped, unwrap_with,
};
use keygate_policies::{KeyRules, canonical};
use keygate_verifier::{Anchors, Verifier};
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::X509;
use serde_json::{Map, Value, json};

/// The time at which every test begins.
pub const NOW: i64 = 1_800_000_000;
/// The host that workloads dial.
pub const HOST: &str = "kms.example";
/// The measurement of the good workload.
pub const GOOD: [u8; 48] = [0x5a; 48];

pub struct House {
    pub broker: Arc<Broker>,
    pub keystore: Keystore,
    pub clock: Arc<StillClock>,
    pub software: Software,
    pub nitro: Nitro,
    pub provider: ProviderId,
    pub dir: tempfile::TempDir,
}

impl House {
    pub fn new() -> Self {
        Self::with_limits(Limits { verifications: 8, waiting: 512 })
    }

    pub fn with_limits(limits: Limits) -> Self {
        Self::with(limits, Arc::new(NoEndorser), |_| ())
    }

    /// A house whose endorsements come from `library` and whose verifier trusts more than the forge's Nitro and software roots.
    pub fn with(limits: Limits, library: Arc<dyn Endorser>, more: impl FnOnce(&mut Anchors)) -> Self {
        Self::with_identity(limits, library, Arc::default(), more)
    }

    /// A house that begins at another time.
    pub fn begun(now: i64, library: Arc<dyn Endorser>, more: impl FnOnce(&mut Anchors)) -> Self {
        Self::made(now, Limits::default(), library, Arc::default(), more)
    }

    /// The same, which knows people from elsewhere.
    pub fn with_identity(
        limits: Limits,
        library: Arc<dyn Endorser>,
        identity: Arc<Identity>,
        more: impl FnOnce(&mut Anchors),
    ) -> Self {
        Self::made(NOW, limits, library, identity, more)
    }

    fn made(
        now: i64,
        limits: Limits,
        library: Arc<dyn Endorser>,
        identity: Arc<Identity>,
        more: impl FnOnce(&mut Anchors),
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = FileRoot::create(&dir.path().join("root.key")).unwrap();
        let keystore = Keystore::create(&dir.path().join("store.db"), &root, 7, now).unwrap();
        let clock = Arc::new(StillClock::at(now));
        let (software, nitro) = (Software::new(now), Nitro::new(now));
        let mut anchors = Anchors::none();
        anchors.add("forge", EvidenceKind::Software, &software.root_der()).unwrap();
        anchors.add("forge", EvidenceKind::Nitro, &nitro.root_der()).unwrap();
        more(&mut anchors);
        let broker = assemble(&keystore, &clock, library, identity, anchors, limits);
        let provider = ProviderId::parse("default").unwrap();
        Self { broker, keystore, clock, software, nitro, provider, dir }
    }

    /// The same house after a restart of the process, or over another store file.
    pub fn reopened(self, file: &str) -> Self {
        self.reopened_with(file, |_| ())
    }

    /// The same with more trust anchors.
    pub fn reopened_with(self, file: &str, more: impl FnOnce(&mut Anchors)) -> Self {
        let Self { broker, keystore, clock, software, nitro, provider, dir } = self;
        drop(broker);
        keystore.shutdown();
        drop(keystore);
        let root = FileRoot::new(dir.path().join("root.key"));
        let keystore = Keystore::open(&dir.path().join(file), &root, NOW).unwrap();
        let mut anchors = Anchors::none();
        anchors.add("forge", EvidenceKind::Software, &software.root_der()).unwrap();
        more(&mut anchors);
        let broker = assemble(&keystore, &clock, Arc::new(NoEndorser), Arc::default(), anchors, Limits::default());
        Self { broker, keystore, clock, software, nitro, provider, dir }
    }

    pub fn seat(&self) -> Seat {
        self.seat_at(HOST)
    }

    pub fn seat_at(&self, host: &str) -> Seat {
        let provider = self.broker.provider_for(host, "/v1/challenges").unwrap();
        Seat { provider, source: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)), peer: None }
    }

    pub fn challenge(&self) -> [u8; 32] {
        self.broker.challenge(&self.seat()).unwrap().bytes
    }

    pub fn change(&self, change: Change) {
        self.order(&self.provider, change).unwrap();
    }

    pub fn change_of(&self, provider: &ProviderId, change: Change) {
        self.order(provider, change).unwrap();
    }

    fn order(&self, provider: &ProviderId, change: Change) -> Result<(), keygate_keystore::KeystoreError> {
        let record = Record { provider: provider.clone(), at: NOW, kind: "admin".into(), body: "{}".into() };
        let order = ChangeOrder {
            provider: provider.clone(),
            change,
            author: "test".into(),
            reason: "test".into(),
            if_match: IfMatch::Any,
            record,
            repeat: None,
            dry_run: false,
            now: NOW,
        };
        self.keystore.change(order).map(drop)
    }

    /// A key that the good workload may use for everything, with these options beside its rule.
    pub fn key(&self, name: &str, key_type: KeyType, options: Value) -> [u8; 32] {
        self.key_with(name, key_type, &rules(options))
    }

    pub fn key_with(&self, name: &str, key_type: KeyType, rules: &Value) -> [u8; 32] {
        let rules = KeyRules::parse(rules.to_string().as_bytes()).unwrap();
        let material = NewMaterial::Generate;
        self.change(Change::CreateKey {
            name: KeyName::parse(name).unwrap(),
            key_type,
            attributes: attributes(),
            rules: Some(RuleDocument { document: rules.canonical_text(), digest: rules.digest() }),
            immutable: false,
            material,
        });
        rules.digest()
    }

    pub fn set_rules(&self, name: &str, rules: &Value) {
        let rules = KeyRules::parse(rules.to_string().as_bytes()).unwrap();
        self.change(Change::SetRules {
            name: KeyName::parse(name).unwrap(),
            rules: RuleDocument { document: rules.canonical_text(), digest: rules.digest() },
            immutable: false,
        });
    }

    /// A credential of this name, for a caller that tests make up.
    pub fn employ(&self, name: &str) {
        self.change(Change::CreateCredential {
            name: name.to_owned(),
            roles: vec!["key-user".to_owned()],
            key_pattern: None,
            expires: None,
            token: format!("kg_{name:_<43}").into(),
        });
    }

    /// Records of a kind, oldest first, as JSON.
    pub fn records(&self, kind: &str) -> Vec<Value> {
        let entries = self.keystore.entries(None, 1, 100_000).unwrap();
        let fitting = entries.into_iter().filter(|entry| entry.kind == kind);
        fitting.map(|entry| serde_json::from_str(&entry.body).unwrap()).collect()
    }

    pub fn newest(&self, kind: &str) -> Value {
        self.records(kind).pop().unwrap_or_else(|| panic!("no record of kind {kind}"))
    }
}

fn assemble(
    keystore: &Keystore,
    clock: &Arc<StillClock>,
    library: Arc<dyn Endorser>,
    identity: Arc<Identity>,
    anchors: Anchors,
    limits: Limits,
) -> Arc<Broker> {
    Broker::open(parts(keystore, clock, library, identity, anchors, limits)).unwrap()
}

/// What the house's broker is made of.
pub fn parts(
    keystore: &Keystore,
    clock: &Arc<StillClock>,
    library: Arc<dyn Endorser>,
    identity: Arc<Identity>,
    anchors: Anchors,
    limits: Limits,
) -> Parts {
    let setup = |id: &str, host: &str, prefix: &str| ProviderSetup {
        id: ProviderId::parse(id).unwrap(),
        issuer: format!("https://{host}{prefix}"),
        hosts: vec![host.to_owned(), format!("also.{host}")],
        prefix: prefix.to_owned(),
        challenge_seconds: 300,
        token_seconds: 600,
        require_amd_crl: false,
        trust_model: TrustModel::Aad,
        policy_signers: Vec::new(),
        default_baseline: None,
        uvm_issuers: Vec::new(),
        uvm_minimum_svn: 0,
        // At `other` nobody has said that the attestation door may.
        azure_anchors: if id == "other" { Vec::new() } else { vec!["forge".to_owned()] },
        schedule: Schedule::default(),
        enrolment: keygate::broker::EnrolmentSetup::default(),
        vault: keygate::broker::VaultSetup::default(),
        recovery_days: 7,
        // The harsher of the two settings.
        purge_protection: true,
    };
    Parts {
        keystore: keystore.clone(),
        verifier: Verifier::new(anchors),
        library,
        identity,
        clock: Arc::clone(clock) as Arc<dyn keygate::clock::Clock>,
        providers: vec![
            setup("default", HOST, ""),
            setup("other", "other.example", ""),
            setup("tenant", HOST, "/tenant-a"),
        ],
        limits,
        reference_signers: reference_signers(),
    }
}

/// Keys that sign reference values in tests: `build` for any name, `lab` for names that begin so.
pub static SIGNERS: LazyLock<[(&str, PKey<Private>); 2]> = LazyLock::new(|| {
    let key = || {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
    };
    [("build", key()), ("lab", key())]
});

/// Both of them, for every provider.
pub fn reference_signers() -> Vec<ReferenceSigner> {
    let read = |(name, key): &(&str, PKey<Private>)| {
        let names = if *name == "lab" { vec!["lab-*".to_owned()] } else { Vec::new() };
        ReferenceSigner::read(name, None, names, &key.public_key_to_pem().unwrap()).unwrap()
    };
    SIGNERS.iter().map(read).collect()
}

/// A compact JWS with this header over this payload, by a P-256 key.
pub fn es256(key: &PKey<Private>, header: &Value, payload: &str) -> String {
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(payload));
    let digest = openssl::sha::sha256(text.as_bytes());
    let signature = EcdsaSig::sign(&digest, &key.ec_key().unwrap()).unwrap();
    let (r, s) = (signature.r().to_vec_padded(32).unwrap(), signature.s().to_vec_padded(32).unwrap());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode([r, s].concat()))
}

/// Reference values, signed by `build`.
pub fn reference(document: &Value) -> String {
    es256(&SIGNERS[0].1, &json!({"alg": "ES256", "typ": "keygate-reference+jwt"}), &document.to_string())
}

pub fn attributes() -> Attributes {
    Attributes {
        enabled: true,
        not_before: None,
        expires: None,
        exportable: true,
        operations: Operation::USES.to_vec(),
        tags: Default::default(),
    }
}

/// The good workload's measurement, from the forge's anchor.
pub fn rules(options: Value) -> Value {
    let mut options = options;
    options["anchors"] = json!(["forge"]);
    json!({
        "rules": {"default": {"version": "1.0.0", "anyOf": [{"authority": "self", "allOf": [
            {"claim": "software.measurement", "equals": hex::encode(GOOD)}]}]}},
        "options": options,
    })
}

/// A workload with its recipient key.
pub struct Workload {
    pub recipient: RecipientPrivate,
    pub evidence: SoftwareEvidence,
    pub runtime_data: Option<Vec<u8>>,
}

impl Workload {
    pub fn new() -> Self {
        Self::with_key(KeyType::EcP256)
    }

    pub fn with_key(key_type: KeyType) -> Self {
        Self {
            recipient: RecipientPrivate::generate(key_type).unwrap(),
            evidence: SoftwareEvidence::new([0; 64]),
            runtime_data: None,
        }
    }

    pub fn public(&self) -> RecipientKey {
        RecipientKey::from_jwk(&self.recipient.public_jwk()).unwrap()
    }

    /// Software evidence bound to this question.
    pub fn evidence(&self, house: &House, challenge: [u8; 32], host: &str, question: &Question<'_>) -> Vec<u8> {
        let input = self.recipient.recipient().thumbprint_input();
        let runtime_data = self.runtime_data.as_deref().unwrap_or_default();
        let report_data = binding::bind(&challenge, host, question, &input, runtime_data);
        let evidence = SoftwareEvidence { report_data, ..self.evidence.clone() };
        house.software.evidence(&evidence).into_bytes()
    }

    pub fn proof(&self, house: &House, challenge: [u8; 32], question: &Question<'_>) -> EvidenceProof {
        EvidenceProof {
            kind: EvidenceKind::Software,
            data: self.evidence(house, challenge, HOST, question),
            challenge,
            recipient: self.public(),
            runtime_data: self.runtime_data.clone(),
            init_data: None,
            endorsements: Vec::new(),
            beside: None,
        }
    }

    /// A Nitro document bound to this question.
    pub fn nitro_proof(&self, house: &House, challenge: [u8; 32], question: &Question<'_>) -> EvidenceProof {
        let input = self.recipient.recipient().thumbprint_input();
        let bind = binding::bind(&challenge, HOST, question, &input, b"");
        let mut document = NitroDocument::new();
        document.nonce = Some(challenge.to_vec());
        document.public_key = self.public().spki_der();
        document.user_data = Some(binding::nitro_user_data(&bind));
        EvidenceProof {
            kind: EvidenceKind::Nitro,
            data: house.nitro.document(&document),
            challenge,
            recipient: self.public(),
            runtime_data: None,
            init_data: None,
            endorsements: Vec::new(),
            beside: None,
        }
    }

    /// A sound request to release `key`.
    pub fn release(&self, house: &House, key: &str) -> KeyRequest {
        self.release_under(house, house.challenge(), key)
    }

    pub fn release_under(&self, house: &House, challenge: [u8; 32], key: &str) -> KeyRequest {
        let question = Question { operation: "release", key, ..Question::default() };
        let proof = self.proof(house, challenge, &question);
        request(house, key, Usage::Release, Proof::Evidence(Box::new(proof)))
    }

    /// A sound request with an input.
    pub fn ask(&self, house: &House, key: &str, usage: Usage) -> KeyRequest {
        let mut request = request(house, key, usage, Proof::None);
        let decimal;
        let none: &[u8] = &[];
        let (alg, input, aad) = match &request.usage {
            Usage::Release => ("", none, none),
            Usage::Unwrap { alg, ciphertext, aad } => (alg.as_str(), ciphertext.as_slice(), aad.as_slice()),
            Usage::Generate { alg, bytes, aad } => {
                decimal = bytes.to_string();
                (alg.as_str(), decimal.as_bytes(), aad.as_slice())
            }
            Usage::Sign { alg, digest } => (alg.as_str(), digest.as_slice(), none),
            Usage::Wrap { alg, plaintext, aad } => (alg.as_str(), plaintext.as_slice(), aad.as_slice()),
        };
        let operation = request.usage.operation().as_str();
        let question = Question { operation, key, alg, input, aad, ..Question::default() };
        request.proof = Proof::Evidence(Box::new(self.proof(house, house.challenge(), &question)));
        request
    }

    pub fn attest(&self, house: &House) -> AttestRequest {
        let question = Question { operation: "attest", ..Question::default() };
        AttestRequest {
            seat: house.seat(),
            evidence: self.proof(house, house.challenge(), &question),
            audience: None,
            caller: Caller::Anonymous,
            idempotency: None,
        }
    }

    /// A request to release `key` with a token.
    pub fn release_by_token(&self, house: &House, key: &str, token: &str) -> KeyRequest {
        let proof = TokenProof { token: token.to_owned().into(), recipient: self.public(), challenge: None };
        request(house, key, Usage::Release, Proof::Token(Box::new(proof)))
    }

    /// What is sealed in an answer.
    pub fn unseal(&self, answer: &Answer) -> Vec<u8> {
        let wrapped: Wrapped = serde_json::from_value(answer.body["wrapped"].clone()).unwrap();
        unwrap_with(&self.recipient, &wrapped).unwrap().to_vec()
    }
}

pub fn request(house: &House, key: &str, usage: Usage, proof: Proof) -> KeyRequest {
    KeyRequest {
        seat: house.seat(),
        key: KeySelector::parse(key, None).unwrap(),
        usage,
        wrapping: None,
        proof,
        caller: Caller::Anonymous,
        idempotency: None,
    }
}

/// Checks a receipt like a workload that pins nothing but the CA, and gives its payload.
pub fn check_receipt(house: &House, body: &Map<String, Value>) -> Value {
    let mut answer = body.clone();
    let Some(Value::String(receipt)) = answer.remove("receipt") else { panic!("no receipt") };
    let payload = open_jws(house, &receipt, "keygate-receipt");
    let digest = canonical::digest(&Value::Object(answer));
    assert_eq!(payload["answer"], json!(URL_SAFE_NO_PAD.encode(digest)));
    payload
}

/// Checks signature and chain of a compact JWS of the receipt key.
pub fn open_jws(house: &House, jws: &str, typ: &str) -> Value {
    let parts: Vec<&str> = jws.split('.').collect();
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    let header: Value = serde_json::from_slice(&decode(parts[0])).unwrap();
    assert_eq!(header["typ"], json!(typ));
    let der = |index: usize| STANDARD.decode(header["x5c"][index].as_str().unwrap()).unwrap();
    let (leaf, ca) = (X509::from_der(&der(0)).unwrap(), X509::from_der(&der(1)).unwrap());
    let pinned = X509::from_pem(house.broker.ca_pem(&house.provider).unwrap().as_bytes()).unwrap();
    assert_eq!(ca.to_der().unwrap(), pinned.to_der().unwrap());
    assert!(leaf.verify(&pinned.public_key().unwrap()).unwrap());
    let message = openssl::sha::sha256(format!("{}.{}", parts[0], parts[1]).as_bytes());
    let signature = decode(parts[2]);
    let number = |bytes: &[u8]| openssl::bn::BigNum::from_slice(bytes).unwrap();
    let signature =
        openssl::ecdsa::EcdsaSig::from_private_components(number(&signature[..32]), number(&signature[32..])).unwrap();
    assert!(signature.verify(&message, &leaf.public_key().unwrap().ec_key().unwrap()).unwrap());
    serde_json::from_slice(&decode(parts[1])).unwrap()
}

pub fn b64(bytes: &[u8]) -> Value {
    json!(URL_SAFE_NO_PAD.encode(bytes))
}
