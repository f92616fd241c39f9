//! Machines with a TPM: enrolled, used, taken back. Threat model P6, P7, P14; `bad-inputs.md` TPM-09 and TPM-14 to TPM-20, TPM-38.

use keygate::broker::*;
use keygate_forge::binding::{self, Question};
use keygate_forge::x509::Cert;
use keygate_keystore::{ALLOWED_EK, Change, KeyType};
use keygate_verifier::tpm::PublicArea;
use keygate_verifier::{AnchorPurpose, Anchors};
use serde_json::{Value, json};

use super::azure::{CONTRIBUTOR, unsecured};
use super::broker::*;
use super::machine::{Machine, Maker};

const PERMIT: &str = "version=1.0; authorizationrules{=> permit();}; issuancerules{};";

pub struct Fleet {
    pub house: House,
    pub maker: Maker,
    pub workload: Workload,
}

pub fn enroller(name: &str) -> Caller {
    Caller::Known {
        name: name.to_owned(),
        origin: Origin::Credential,
        roles: vec!["machine-enroller".to_owned()],
        key_pattern: None,
    }
}

impl Fleet {
    pub fn new() -> Self {
        let maker = Maker::new("Forge TPM Root", NOW);
        let root = maker.root();
        let trust = |anchors: &mut Anchors| {
            anchors.add_for("fleet", EvidenceKind::Tpm, AnchorPurpose::Endorsement, &root).unwrap();
        };
        let house = House::with(Limits::default(), std::sync::Arc::new(NoEndorser), trust);
        set_policy(&house);
        for name in ["ops", "other"] {
            house.employ(name);
        }
        let fleet = Self { house, maker, workload: Workload::new() };
        fleet.key("db-key", json!({}));
        fleet
    }

    pub fn key(&self, name: &str, options: Value) {
        let mut options = options;
        options["anchors"] = json!(["fleet", ALLOWED_EK]);
        let rule = json!({"version": "1.0.0", "anyOf": [{"authority": "self", "allOf": [
            {"claim": "tpm.pcrs.sha256.7", "equals": "7a".repeat(32)}]}]});
        self.house.key_with(name, KeyType::Oct256, &json!({"rules": {"default": rule}, "options": options}));
    }

    pub fn request(&self, machine: &Machine, name: &str) -> EnrolRequest {
        EnrolRequest {
            seat: self.house.seat(),
            caller: enroller("ops"),
            machine: name.to_owned(),
            certificate: Some(self.maker.certificate(machine, |_| ())),
            chain: Vec::new(),
            endorsement_key: machine.ek_public(),
            attestation_key: machine.ak_public(),
        }
    }

    pub fn activation(&self, id: &str, secret: Vec<u8>) -> ActivateRequest {
        ActivateRequest { seat: self.house.seat(), caller: enroller("ops"), id: id.to_owned(), secret: secret.into() }
    }

    pub async fn begin(&self, machine: &Machine, name: &str) -> Result<Begun, BrokerError> {
        self.house.broker.enrol(self.request(machine, name)).await
    }

    pub async fn finish(&self, machine: &Machine, begun: &Begun) -> Result<Activated, BrokerError> {
        let secret = machine.activate(&begun.credential_blob, &begun.encrypted_secret, &machine.ak_name()).unwrap();
        self.house.broker.activate(self.activation(&begun.id, secret)).await
    }

    pub async fn enrol(&self, machine: &Machine, name: &str) -> Result<Activated, BrokerError> {
        let begun = self.begin(machine, name).await?;
        self.finish(machine, &begun).await
    }

    fn proof(&self, machine: &Machine, challenge: [u8; 32], question: &Question<'_>) -> EvidenceProof {
        let input = self.workload.recipient.recipient().thumbprint_input();
        let bind = binding::bind(&challenge, HOST, question, &input, b"");
        EvidenceProof {
            kind: EvidenceKind::Tpm,
            data: machine.document(&bind[..32]),
            challenge,
            recipient: self.workload.public(),
            runtime_data: None,
            init_data: None,
            endorsements: Vec::new(),
            beside: None,
        }
    }

    pub fn release(&self, machine: &Machine, key: &str) -> KeyRequest {
        let question = Question { operation: "release", key, ..Question::default() };
        let proof = self.proof(machine, self.house.challenge(), &question);
        request(&self.house, key, Usage::Release, Proof::Evidence(Box::new(proof)))
    }

    /// Releases the key to this machine: the code and part of a refusal, or none.
    pub async fn ask(&self, machine: &Machine) -> Option<(Code, String)> {
        refused(self.house.broker.use_key(self.release(machine, "db-key")).await)
    }

    pub async fn token(&self, machine: &Machine) -> Result<String, BrokerError> {
        let question = Question { operation: "attest", ..Question::default() };
        let evidence = self.proof(machine, self.house.challenge(), &question);
        let seat = self.house.seat();
        let request = AttestRequest { seat, evidence, audience: None, caller: Caller::Anonymous, idempotency: None };
        self.house.broker.attest(request).await.map(|answer| answer.token)
    }

    pub fn clock_of(&self, machine: &Machine) -> Option<keygate_keystore::ClockReading> {
        self.house.keystore.attestation_key(&self.house.provider, &machine.ak_name()).unwrap().clock
    }

    pub fn reopened(self, file: &str) -> Self {
        let root = self.maker.root();
        self.reopened_with(file, |anchors| {
            anchors.add_for("fleet", EvidenceKind::Tpm, AnchorPurpose::Endorsement, &root).unwrap();
        })
    }

    /// With other trust anchors than before.
    pub fn reopened_with(self, file: &str, trust: impl FnOnce(&mut Anchors)) -> Self {
        Self { house: self.house.reopened_with(file, trust), ..self }
    }
}

fn set_policy(house: &House) {
    house.change(Change::CreateCredential {
        name: "contributor".to_owned(),
        roles: vec!["attestation-contributor".to_owned()],
        key_pattern: None,
        expires: None,
        token: CONTRIBUTOR.to_owned().into(),
    });
    let (seat, policy) = (house.seat(), unsecured(PERMIT));
    house.broker.azure_set_policy(&seat, Some(CONTRIBUTOR), AttestationType::TpmMachine, &policy).unwrap();
}

/// The code, and the part in front of what to do.
pub fn refused<T>(done: Result<T, BrokerError>) -> Option<(Code, String)> {
    done.err().map(|error| (error.code, error.detail.split(':').next().unwrap_or_default().to_owned()))
}

pub fn is(code: Code, part: &str) -> Option<(Code, String)> {
    Some((code, part.to_owned()))
}

#[tokio::test]
async fn an_enrolled_machine_opens_keys_and_every_step_is_recorded() {
    let (fleet, machine) = (Fleet::new(), Machine::new());
    assert_eq!(fleet.ask(&machine).await, is(Code::ChainUntrusted, "attestation-key"), "nobody vouches for it yet");
    let begun = fleet.begin(&machine, "web-1").await.unwrap();
    assert_eq!(begun.expires, NOW + 300);
    assert_eq!(fleet.ask(&machine).await, is(Code::ChainUntrusted, "attestation-key"), "nor while it is begun");
    let done = fleet.finish(&machine, &begun).await.unwrap();
    let (name, expires) = (machine.ak_name(), NOW + 365 * 86_400);
    assert_eq!(done, Activated { machine: "web-1".into(), ak_name: name.clone(), anchor: "fleet".into(), expires });
    let answer = fleet.house.broker.use_key(fleet.release(&machine, "db-key")).await.unwrap();
    assert_eq!(fleet.workload.unseal(&answer).len(), 32);
    let claims = &fleet.house.newest("key.use")["claims"];
    assert_eq!(
        (claims["keygate"]["anchor"].as_str(), claims["tpm"]["ak"]["vouched_by"].as_str()),
        (Some("fleet"), Some("enrolment"))
    );
    assert_eq!(claims["tpm"]["ek"]["spki_sha256"], hex::encode(machine.ek_digest()));

    let records = fleet.house.records("enrolment");
    let steps: Vec<_> = records
        .iter()
        .map(|record| (record["operation"].as_str().unwrap(), record["decision"].as_str().unwrap()))
        .collect();
    assert_eq!(steps, [("enrolment.begin", "permit"), ("enrolment.activate", "permit")]);
    for record in &records {
        assert_eq!((record["object"].as_str(), record["caller"].as_str()), (Some("web-1"), Some("ops")));
        assert_eq!(record["attestation_key"], hex::encode(&name));
        assert_eq!(record["endorsement_key"], hex::encode(machine.ek_digest()));
        assert_eq!(record["anchor"], "fleet");
    }
    let record = fleet.house.keystore.enrolment(&fleet.house.provider, "web-1").unwrap().unwrap();
    let certificate = openssl::sha::sha256(&fleet.request(&machine, "web-1").certificate.unwrap());
    assert_eq!((record.owner.as_str(), record.ek, record.ak_public), ("ops", machine.ek_digest(), machine.ak_public()));
    assert_ne!(record.certificate, Some(certificate), "two certificates of one key are two");
    // Another provider has not enrolled it, and no secret is in any record.
    let other = keygate_keystore::ProviderId::parse("other").unwrap();
    assert!(fleet.house.keystore.attestation_key(&other, &name).unwrap().enrolment.is_none());
}

/// Whether the certificate is what it must be, is the verifier's; here is that its word counts.
#[tokio::test]
async fn tpm_14_an_endorsement_key_hangs_under_an_anchor_for_endorsement() {
    let (fleet, machine, other) = (Fleet::new(), Machine::new(), Machine::new());
    let stranger = Maker::new("Another Root", NOW);
    let with = async |certificate: Vec<u8>| {
        let request = EnrolRequest { certificate: Some(certificate), ..fleet.request(&machine, "web-1") };
        refused(fleet.house.broker.enrol(request).await)
    };
    let signed = |change: fn(&mut Cert)| fleet.maker.certificate(&machine, change);
    assert_eq!(with(stranger.certificate(&machine, |_| ())).await, is(Code::ChainUntrusted, "ek-chain"));
    assert_eq!(with(signed(|cert| cert.not_after = NOW - 1)).await, is(Code::ChainUntrusted, "ek-chain"));
    assert_eq!(with(signed(|cert| drop(cert.extensions.remove(2)))).await, is(Code::ChainUntrusted, "ek-chain"));
    assert_eq!(with(fleet.maker.certificate(&other, |_| ())).await, is(Code::BindingMismatch, "endorsement-key"));
    let padded = |padding: &[u8]| [&signed(|_| ())[..], padding].concat();
    assert_eq!(with(padded(&[7; 16])).await, is(Code::Malformed, "ek-certificate"));
    assert_eq!(with(padded(&[0xff; 16])).await, None);
    assert_eq!(fleet.house.newest("enrolment")["decision"], "permit");
    let newest = fleet.house.records("enrolment");
    let denied = newest.iter().filter(|record| record["decision"] == "deny").count();
    assert_eq!(denied, 5, "each refusal of a known caller has a record");
    assert_eq!(fleet.house.keystore.enrolments(&fleet.house.provider, None, 10).unwrap(), []);
}

#[tokio::test]
async fn keys_that_are_not_what_they_must_be_are_refused() {
    let (fleet, machine) = (Fleet::new(), Machine::new());
    let with = async |change: &dyn Fn(&mut EnrolRequest)| {
        let mut request = fleet.request(&machine, "web-1");
        change(&mut request);
        refused(fleet.house.broker.enrol(request).await).map(|(code, _)| code)
    };
    assert_eq!(with(&|_| ()).await, None);
    // Each attribute of the attestation key: tpm_10 at enrolment.
    for attributes in [0x0004_0072, 0x0007_0072, 0x0005_0070, 0x0005_0062, 0x0005_0052, 0x0001_0072] {
        let wrong = with(&|request| request.attestation_key = machine.ak_public_with(attributes)).await;
        assert_eq!(wrong, Some(Code::ChainUntrusted), "{attributes:08x}");
    }
    for attributes in [0x0002_00b2, 0x0001_00b2, 0x0007_00b2, 0x0003_00b0, 0x0003_0092] {
        let wrong = with(&|request| request.endorsement_key = machine.ek_public_with(attributes)).await;
        assert_eq!(wrong, Some(Code::ChainUntrusted), "{attributes:08x}");
    }
    assert_eq!(with(&|request| request.endorsement_key = machine.ak_public()).await, Some(Code::ChainUntrusted));
    assert_eq!(with(&|request| request.attestation_key.truncate(60)).await, Some(Code::Malformed));
    for name in ["", "Web-1", "web 1", &"a".repeat(65)] {
        assert_eq!(with(&|request| request.machine = name.to_owned()).await, Some(Code::Malformed), "{name:?}");
    }
    assert_eq!(with(&|request| request.chain = vec![vec![0x30]; 9]).await, Some(Code::TooLarge));
}

#[tokio::test]
async fn tpm_15_without_a_certificate_an_operator_must_have_allowed_this_key() {
    let (fleet, machine) = (Fleet::new(), Machine::new());
    let bare = || EnrolRequest { certificate: None, ..fleet.request(&machine, "web-1") };
    let untrusted = is(Code::ChainUntrusted, "endorsement-key");
    assert_eq!(refused(fleet.house.broker.enrol(bare()).await), untrusted);
    fleet.house.change(Change::AllowEk { ek: Machine::new().ek_digest() });
    assert_eq!(refused(fleet.house.broker.enrol(bare()).await), untrusted, "another key was allowed");
    fleet.house.change(Change::AllowEk { ek: machine.ek_digest() });
    let begun = fleet.house.broker.enrol(bare()).await.unwrap();
    let again = fleet.house.broker.enrol(bare()).await.unwrap();
    assert_eq!(fleet.finish(&machine, &begun).await.unwrap().anchor, ALLOWED_EK);
    assert_eq!(fleet.ask(&machine).await, None);
    // Taken back: the record that rests on it is over, and what was begun ends in nothing.
    fleet.house.change(Change::DisallowEk { ek: machine.ek_digest() });
    assert_eq!(fleet.ask(&machine).await, is(Code::ChainUntrusted, "attestation-key"));
    assert_eq!(refused(fleet.finish(&machine, &again).await), is(Code::ChainUntrusted, "enrolment"));
    // What an operator allows does not make a certificate good.
    fleet.house.change(Change::AllowEk { ek: machine.ek_digest() });
    let stranger = Maker::new("Another Root", NOW).certificate(&machine, |_| ());
    let shown = EnrolRequest { certificate: Some(stranger), ..bare() };
    assert_eq!(refused(fleet.house.broker.enrol(shown).await), is(Code::ChainUntrusted, "ek-chain"));
    let chain = EnrolRequest { chain: vec![fleet.maker.root()], ..bare() };
    assert_eq!(refused(fleet.house.broker.enrol(chain).await).map(|(code, _)| code), Some(Code::Malformed));
}

#[tokio::test]
async fn tpm_16_a_secret_counts_once_from_its_caller_in_time_and_for_its_key() {
    let (fleet, machine) = (Fleet::new(), Machine::new());
    let mismatch = is(Code::BindingMismatch, "activation");
    let begin = async || fleet.begin(&machine, "web-1").await.unwrap();
    let secret_of =
        |begun: &Begun| machine.activate(&begun.credential_blob, &begun.encrypted_secret, &machine.ak_name()).unwrap();
    // A credential for one key is none for another, nor in another machine.
    let begun = begin().await;
    let other = machine.with_another_ak();
    assert_eq!(machine.activate(&begun.credential_blob, &begun.encrypted_secret, &other.ak_name()), None);
    let stranger = Machine::new();
    let elsewhere = std::panic::catch_unwind(|| {
        stranger.activate(&begun.credential_blob, &begun.encrypted_secret, &machine.ak_name())
    });
    assert!(!matches!(elsewhere, Ok(Some(_))));
    // Guessed: the attempt is gone, and the right secret comes too late.
    for wrong in [Vec::new(), vec![0; 32], [&secret_of(&begun)[..], &[0]].concat()] {
        let begun = begin().await;
        let mut told = Vec::new();
        for secret in [wrong, secret_of(&begun)] {
            let error = fleet.house.broker.activate(fleet.activation(&begun.id, secret)).await.unwrap_err();
            told.push((error.code, error.detail, error.reasons));
        }
        assert_eq!(told[0], told[1], "one answer for both");
        assert_eq!(told[0].0, Code::BindingMismatch);
    }
    // Another caller's secret, right or wrong, ends nothing.
    let theirs = ActivateRequest { caller: enroller("other"), ..fleet.activation(&begun.id, secret_of(&begun)) };
    assert_eq!(refused(fleet.house.broker.activate(theirs).await), mismatch);
    // Of two at the same time one wins; afterwards nobody does.
    let both = [secret_of(&begun), secret_of(&begun)]
        .map(|secret| fleet.house.broker.activate(fleet.activation(&begun.id, secret)));
    let both = futures_util::future::join_all(both).await;
    assert_eq!(both.iter().filter(|done| done.is_ok()).count(), 1);
    assert_eq!(refused(fleet.finish(&machine, &begun).await), mismatch);
    // Too late.
    let begun = begin().await;
    fleet.house.clock.advance(300);
    assert_eq!(refused(fleet.finish(&machine, &begun).await), mismatch);
    for id in ["", "AAAA", "AAAAAAAAAAAAAAAAAAAAAA", "../x"] {
        let refusal = fleet.house.broker.activate(fleet.activation(id, vec![0; 32])).await;
        assert_eq!(refused(refusal), mismatch, "{id}");
    }
    assert_eq!(fleet.house.keystore.enrolments(&fleet.house.provider, None, 10).unwrap().len(), 1);
    // No secret is in any record.
    let all = fleet.house.keystore.entries(None, 1, 10_000).unwrap();
    assert!(all.iter().all(|entry| !entry.body.contains(&hex::encode(secret_of(&begun)))));
}

#[tokio::test]
async fn a_restart_forgets_what_waits() {
    let (fleet, machine) = (Fleet::new(), Machine::new());
    let begun = fleet.begin(&machine, "web-1").await.unwrap();
    let fleet = fleet.reopened("store.db");
    assert_eq!(refused(fleet.finish(&machine, &begun).await), is(Code::BindingMismatch, "activation"));
}

#[tokio::test]
async fn tpm_17_a_name_is_one_machines_and_the_old_record_stays() {
    let (fleet, machine, intruder) = (Fleet::new(), Machine::new(), Machine::new());
    // Both were begun while the name was free: the one that comes back first has it.
    let (first, second) =
        (fleet.begin(&machine, "web-1").await.unwrap(), fleet.begin(&intruder, "web-1").await.unwrap());
    fleet.finish(&machine, &first).await.unwrap();
    let conflict = Some(Code::Conflict);
    let code = |done: Result<Activated, BrokerError>| done.err().map(|error| error.code);
    assert_eq!(code(fleet.finish(&intruder, &second).await), conflict);
    assert_eq!(code(fleet.enrol(&intruder, "web-1").await), conflict);
    assert_eq!(code(fleet.enrol(&machine, "web-2").await), conflict, "one endorsement key, one machine");
    assert_eq!(
        (fleet.ask(&machine).await, fleet.ask(&intruder).await),
        (None, is(Code::ChainUntrusted, "attestation-key"))
    );
    // The same machine with a new key: the old one is over.
    let renewed = machine.with_another_ak();
    fleet.enrol(&renewed, "web-1").await.unwrap();
    assert_eq!(
        (fleet.ask(&renewed).await, fleet.ask(&machine).await),
        (None, is(Code::ChainUntrusted, "attestation-key"))
    );
    fleet.house.change(Change::RemoveEnrolment { machine: "web-1".to_owned() });
    fleet.enrol(&intruder, "web-1").await.unwrap();
}

#[tokio::test]
async fn tpm_18_only_a_machine_enroller_enrols() {
    let (fleet, machine) = (Fleet::new(), Machine::new());
    let begun = fleet.begin(&machine, "web-1").await.unwrap();
    let before = fleet.house.keystore.status().entries;
    let as_caller = async |caller: Caller| {
        let begin =
            fleet.house.broker.enrol(EnrolRequest { caller: caller.clone(), ..fleet.request(&machine, "web-1") }).await;
        let end =
            fleet.house.broker.activate(ActivateRequest { caller, ..fleet.activation(&begun.id, vec![0; 32]) }).await;
        (begin.err().map(|error| error.code), end.err().map(|error| error.code))
    };
    assert_eq!(as_caller(Caller::Anonymous).await, (Some(Code::AuthRequired), Some(Code::AuthRequired)));
    assert_eq!(fleet.house.keystore.status().entries, before, "strangers are counted, not recorded");
    let roles = keygate::broker::admin::Role::ALL.iter().map(|role| role.as_str().to_owned());
    let roles: Vec<String> = roles.filter(|role| role != "machine-enroller").collect();
    let all_others = Caller::Known { name: "ops".into(), origin: Origin::Credential, roles, key_pattern: None };
    assert_eq!(as_caller(all_others).await, (Some(Code::Forbidden), Some(Code::Forbidden)));
    let record = fleet.house.newest("enrolment");
    assert_eq!(
        (record["operation"].as_str(), record["code"].as_str()),
        (Some("enrolment.activate"), Some("forbidden"))
    );
    fleet.finish(&machine, &begun).await.unwrap();
}

#[tokio::test]
async fn a_credential_that_ended_meanwhile_enrols_nothing() {
    let (fleet, machine) = (Fleet::new(), Machine::new());
    let begun = fleet.begin(&machine, "web-1").await.unwrap();
    fleet.house.change(Change::RevokeCredential { name: "ops".to_owned() });
    assert_eq!(refused(fleet.finish(&machine, &begun).await).map(|(code, _)| code), Some(Code::CredentialInvalid));
    assert_eq!(fleet.house.keystore.enrolments(&fleet.house.provider, None, 10).unwrap(), []);
}

#[tokio::test]
async fn tpm_38_what_is_denied_enrols_nothing_and_opens_nothing() {
    let (fleet, machine) = (Fleet::new(), Machine::new());
    let names = [
        format!("tpm-ek:{}", hex::encode(machine.ek_digest())),
        format!("tpm-ak:{}", hex::encode(machine.ak_name())),
        // Whatever public area is written around the key.
        format!("tpm-ak:{}", hex::encode(PublicArea::parse(&machine.ak_public()).unwrap().spki_sha256().unwrap())),
        hex::encode(machine.ek_digest()),
    ];
    let begun = fleet.begin(&machine, "web-1").await.unwrap();
    for value in names {
        assert!(keygate::broker::admin::deny::Denial::parse("platform", &value).is_ok(), "{value}");
        fleet.house.change(Change::AddDeny { kind: "platform".into(), value: value.clone() });
        assert_eq!(refused(fleet.begin(&machine, "web-1").await), is(Code::Revoked, "deny-list"), "{value}");
        fleet.house.change(Change::RemoveDeny { kind: "platform".into(), value });
    }
    let value = format!("tpm-ek:{}", hex::encode(machine.ek_digest()));
    let deny = || fleet.house.change(Change::AddDeny { kind: "platform".into(), value: value.clone() });
    deny();
    assert_eq!(refused(fleet.finish(&machine, &begun).await), is(Code::Revoked, "deny-list"), "denied meanwhile");
    fleet.house.change(Change::RemoveDeny { kind: "platform".into(), value: value.clone() });
    fleet.enrol(&machine, "web-1").await.unwrap();
    assert_eq!(fleet.ask(&machine).await, None);
    for value in [value.clone(), "tpm-firmware:2024010100000001".to_owned()] {
        assert!(keygate::broker::admin::deny::Denial::parse("platform", &value).is_ok(), "{value}");
        fleet.house.change(Change::AddDeny { kind: "platform".into(), value: value.clone() });
        assert_eq!(fleet.ask(&machine).await, is(Code::Revoked, "deny-list"), "{value}");
        fleet.house.change(Change::RemoveDeny { kind: "platform".into(), value });
    }
}

#[tokio::test]
async fn attempts_of_one_caller_are_bounded() {
    let (fleet, machine) = (Fleet::new(), Machine::new());
    for _ in 0..32 {
        fleet.begin(&machine, "web-1").await.unwrap();
    }
    assert_eq!(fleet.begin(&machine, "web-1").await.unwrap_err().code, Code::RateLimited);
    let others = EnrolRequest { caller: enroller("other"), ..fleet.request(&machine, "web-1") };
    fleet.house.broker.enrol(others).await.unwrap();
    fleet.house.clock.advance(300);
    fleet.begin(&machine, "web-1").await.unwrap();
}
