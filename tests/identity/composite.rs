//! Several pieces in one request: a processor with its devices, tokens beside raw evidence, all bound to one request.
//!
//! `native-api.md` section 4 (*composite*); `relying-party-tokens.md` section 6; threat model P5, P17, P20.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use keygate::broker::*;
use keygate::identity::Identity;
use keygate_forge::binding::{self, Question};
use keygate_forge::intel::{Intel, TdxQuote, Tee};
use keygate_keystore::{Change, KeyType};
use keygate_verifier::tokens::Profile;
use keygate_verifier::{CollateralId, Endorsements};
use openssl::bn::BigNumContext;
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::nid::Nid;
use openssl::pkey::Private;
use openssl::sha::{sha256, sha384};
use serde_json::{Value, json};

use super::broker::{GOOD, HOST, House, NOW, Workload, b64, check_receipt, request};
use super::evidence::{GOOGLE, google_claims, verifier};
use super::issuer::SigningKey;
use super::keys::Played;

const NRAS: &str = "https://nras.attestation.nvidia.com";
const CONTRIBUTOR: &str = "kg_contributor________________________________";
const UEID: &str = "478176379286082186618948445787393647364802107249";

/// NVIDIA's service.
struct Nras(EcKey<Private>);

impl Nras {
    fn new() -> Self {
        Self(EcKey::generate(&EcGroup::from_curve_name(Nid::SECP384R1).unwrap()).unwrap())
    }

    fn jwk(&self) -> Value {
        let (mut x, mut y) = (openssl::bn::BigNum::new().unwrap(), openssl::bn::BigNum::new().unwrap());
        let mut context = BigNumContext::new().unwrap();
        self.0.public_key().affine_coordinates(self.0.group(), &mut x, &mut y, &mut context).unwrap();
        let number = |n: &openssl::bn::BigNumRef| URL_SAFE_NO_PAD.encode(n.to_vec_padded(48).unwrap());
        json!({"kty": "EC", "crv": "P-384", "kid": "nv", "x": number(&x), "y": number(&y)})
    }

    /// What deny lists know the key by.
    fn thumbprint(&self) -> String {
        let jwk = self.jwk();
        let input = format!(r#"{{"crv":"P-384","kty":"EC","x":{},"y":{}}}"#, jwk["x"], jwk["y"]);
        URL_SAFE_NO_PAD.encode(sha256(input.as_bytes()))
    }

    fn token(&self, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&json!({"alg": "ES384", "kid": "nv"})), part(claims));
        let signature = EcdsaSig::sign(&sha384(message.as_bytes()), &self.0).unwrap();
        let number = |n: &openssl::bn::BigNumRef| n.to_vec_padded(48).unwrap();
        let raw = [number(signature.r()), number(signature.s())].concat();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(raw))
    }

    /// A bundle about one good GPU, with these members of the device changed.
    fn bundle(&self, nonce: &str, ueid: &str, changes: &[(&str, Value)]) -> String {
        let mut device = json!({
            "iss": NRAS, "iat": NOW - 10, "nbf": NOW - 10, "exp": NOW + 290, "eat_nonce": nonce, "measres": "success",
            "dbgstat": "disabled", "secboot": true, "hwmodel": "GH100 A01 GSP BROM", "ueid": ueid,
        });
        for (name, value) in changes {
            device[*name] = value.clone();
        }
        let device = self.token(&device);
        let digest = json!(["DIGEST", ["SHA-256", hex::encode(sha256(device.as_bytes()))]]);
        let overall = self.token(&json!({
            "iss": NRAS, "iat": NOW - 10, "nbf": NOW - 10, "exp": NOW + 590, "sub": "NVIDIA-PLATFORM-ATTESTATION",
            "x-nvidia-ver": "3.0", "x-nvidia-overall-att-result": true, "eat_nonce": nonce, "submods": {"GPU-0": digest},
        }));
        json!([["JWT", overall], {"GPU-0": device}]).to_string()
    }
}

struct Stage {
    house: House,
    nras: Nras,
    google: SigningKey,
    workload: Workload,
}

impl Stage {
    async fn new() -> Self {
        let (nras, google) = (Nras::new(), SigningKey::new("g"));
        let played = Played::of(&[]);
        played.says(&json!({"keys": [nras.jwk()]}));
        let verifiers = vec![
            verifier("nras", NRAS, Profile::NvidiaNras, played),
            verifier("gcs", GOOGLE, Profile::GoogleConfidentialSpace, Played::of(&[&google])),
        ];
        let identity = Identity::default().with_verifiers(verifiers);
        let house = House::with_identity(Limits::default(), Arc::new(NoEndorser), Arc::new(identity), |_| ());
        house.broker.renew_issuers().await;
        let gpu = [("parts.1.x-nvidia-overall-att-result", json!(true)), ("parts.1.keygate.issuer", json!(NRAS))];
        let cpu = |place: &'static str| (place, json!(hex::encode(GOOD)));
        key(
            &house,
            "gpu",
            "self",
            &[&gpu[..], &[cpu("software.measurement"), cpu("parts.0.software.measurement")]].concat(),
        );
        key(&house, "cloud", GOOGLE, &[&gpu[..], &[("swname", json!("CONFIDENTIAL_SPACE"))]].concat());
        Self { house, nras, google, workload: Workload::new() }
    }

    fn bind(&self, challenge: &[u8; 32], key: &str) -> [u8; 64] {
        let question = Question { operation: "release", key, ..Question::default() };
        let input = self.workload.recipient.recipient().thumbprint_input();
        binding::bind(challenge, HOST, &question, &input, b"")
    }

    /// The nonce in hex.
    fn hex(&self, challenge: &[u8; 32], key: &str) -> String {
        hex::encode(&self.bind(challenge, key)[..32])
    }

    fn raw(&self, challenge: [u8; 32], key: &str) -> Value {
        let question = Question { operation: "release", key, ..Question::default() };
        let data = self.workload.evidence(&self.house, challenge, HOST, &question);
        json!({"kind": "software", "data": b64(&data)})
    }

    fn gpu(&self, challenge: &[u8; 32], key: &str) -> Value {
        token(self.nras.bundle(&self.hex(challenge, key), UEID, &[]))
    }

    fn cloud(&self, challenge: &[u8; 32], key: &str) -> Value {
        token(self.google.token(&google_claims(b64(&self.bind(challenge, key)[..32]))))
    }

    async fn asked(&self, key: &str, challenge: [u8; 32], parts: &[Value]) -> Result<Answer, Code> {
        let proof = proof(&self.workload, challenge, parts)?;
        self.house.broker.use_key(request(&self.house, key, Usage::Release, proof)).await.map_err(|why| why.code)
    }

    async fn refused(&self, key: &str, challenge: [u8; 32], parts: &[Value]) -> Code {
        self.asked(key, challenge, parts).await.unwrap_err()
    }

    /// The true code of a refusal about the key.
    async fn denied(&self, key: &str, challenge: [u8; 32], parts: &[Value]) -> Value {
        assert_eq!(self.refused(key, challenge, parts).await, Code::NotReleased);
        self.house.newest("key.use")["code"].clone()
    }
}

fn token(text: String) -> Value {
    json!({"token": text})
}

fn key(house: &House, name: &str, authority: &str, claims: &[(&str, Value)]) {
    let leaves: Vec<Value> = claims.iter().map(|(claim, value)| json!({"claim": claim, "equals": value})).collect();
    house.key_with(
        name,
        KeyType::Oct256,
        &json!({
            "rules": {"default": {"version": "1.0.0", "anyOf": [{"authority": authority, "allOf": leaves}]}},
            "options": {"anchors": ["forge"], "freshness": "session"},
        }),
    );
}

fn bytes(parts: &[Value]) -> Vec<u8> {
    json!({"parts": parts}).to_string().into_bytes()
}

/// As the native door makes it of a body.
fn proof(workload: &Workload, challenge: [u8; 32], parts: &[Value]) -> Result<Proof, Code> {
    let recipient = workload.public();
    let Composite { raw, tokens } = Composite::parse(&bytes(parts)).map_err(|fault| fault.code)?;
    Ok(match raw {
        None => Proof::Tokens(Box::new(TokensProof { tokens, challenge, recipient })),
        Some(raw) => Proof::Evidence(Box::new(EvidenceProof {
            kind: raw.kind,
            data: raw.data,
            challenge,
            recipient,
            runtime_data: None,
            init_data: None,
            endorsements: Vec::new(),
            beside: Some(tokens),
        })),
    })
}

#[tokio::test]
async fn a_processor_and_its_gpu_open_what_demands_both() {
    let stage = Stage::new().await;
    let challenge = stage.house.challenge();
    let parts = [stage.raw(challenge, "gpu"), stage.gpu(&challenge, "gpu")];
    // One without the other, and the other way round.
    let (alone, other) = (stage.house.challenge(), stage.house.challenge());
    let question = Question { operation: "release", key: "gpu", ..Question::default() };
    let single = Proof::Evidence(Box::new(stage.workload.proof(&stage.house, alone, &question)));
    let single = stage.house.broker.use_key(request(&stage.house, "gpu", Usage::Release, single)).await;
    assert_eq!(single.unwrap_err().code, Code::NotReleased);
    let turned = [stage.gpu(&other, "gpu"), stage.raw(other, "gpu")];
    assert_eq!(stage.denied("gpu", other, &turned).await, "rule-not-satisfied");

    let answer = stage.asked("gpu", challenge, &parts).await.unwrap();
    assert_eq!(stage.workload.unseal(&answer).len(), 32);
    let receipt = check_receipt(&stage.house, &answer.body);
    assert_eq!(receipt["evidence_digest"], b64(&sha256(&bytes(&parts))));
    let record = stage.house.newest("key.use");
    assert_eq!((&record["decision"], &record["freshness"]), (&json!("permit"), &json!("once")));
    assert_eq!(record["claims"]["keygate"]["lead"], 0);
    assert_eq!(record["claims"]["parts"]["1"]["submods"]["GPU-0"]["ueid"], UEID);
    assert_eq!(stage.refused("gpu", challenge, &parts).await, Code::FreshnessFailed, "spent");
}

#[tokio::test]
async fn a_token_leads_its_devices_where_there_is_no_raw_evidence() {
    let stage = Stage::new().await;
    let challenge = stage.house.challenge();
    let (cloud, gpu) = (stage.cloud(&challenge, "cloud"), stage.gpu(&challenge, "cloud"));
    assert!(stage.asked("cloud", challenge, &[cloud, gpu]).await.is_ok());
    let challenge = stage.house.challenge();
    let (cloud, gpu) = (stage.cloud(&challenge, "cloud"), stage.gpu(&challenge, "cloud"));
    assert_eq!(
        stage.refused("cloud", challenge, &[gpu.clone(), gpu.clone()]).await,
        Code::BindingMismatch,
        "devices alone"
    );
    let mut other = google_claims(b64(&stage.bind(&challenge, "cloud")[..32]));
    other["sub"] = json!("another instance");
    let both = [cloud, token(stage.google.token(&other)), gpu];
    assert_eq!(stage.refused("cloud", challenge, &both).await, Code::BindingMismatch, "two that lead");
}

#[tokio::test]
async fn a_part_that_is_not_bound_to_this_request_is_refused() {
    let stage = Stage::new().await;
    let (mine, other) = (stage.house.challenge(), stage.house.challenge());
    let raw = |challenge| stage.raw(challenge, "gpu");
    let thief = Workload::new();
    let question = Question { operation: "release", key: "gpu", ..Question::default() };
    let theirs = binding::bind(&mine, HOST, &question, &thief.recipient.recipient().thumbprint_input(), b"");
    let bundle = |nonce: &str| token(stage.nras.bundle(nonce, UEID, &[]));
    for (what, device) in [
        ("another challenge", stage.gpu(&other, "gpu")),
        ("another key", stage.gpu(&mine, "cloud")),
        ("another recipient", bundle(&hex::encode(&theirs[..32]))),
        ("in base64url", bundle(b64(&stage.bind(&mine, "gpu")[..32]).as_str().unwrap())),
        ("the other half", bundle(&hex::encode(&stage.bind(&mine, "gpu")[32..]))),
        ("a token of another request", stage.cloud(&other, "gpu")),
    ] {
        assert_eq!(stage.refused("gpu", mine, &[raw(mine), device]).await, Code::BindingMismatch, "{what}");
    }
    let lead = [raw(other), stage.gpu(&mine, "gpu")];
    assert_eq!(stage.refused("gpu", mine, &lead).await, Code::BindingMismatch, "the lead's challenge is another");
    let cloud = [stage.cloud(&other, "cloud"), stage.gpu(&mine, "cloud")];
    assert_eq!(stage.refused("cloud", mine, &cloud).await, Code::BindingMismatch, "a lead of another request");
    assert!(stage.asked("gpu", mine, &[raw(mine), stage.gpu(&mine, "gpu")]).await.is_ok());
}

#[tokio::test]
async fn claims_stand_under_their_part_and_are_never_merged() {
    let stage = Stage::new().await;
    let ask = async |claim: &str, value: Value| {
        key(&stage.house, &claim.replace('/', "-"), "self", &[(claim, value)]);
        let name = claim.replace('/', "-");
        let challenge = stage.house.challenge();
        let parts = [stage.cloud(&challenge, &name), stage.raw(challenge, &name), stage.gpu(&challenge, &name)];
        stage.asked(&name, challenge, &parts).await.is_ok()
    };
    assert!(ask("software.measurement", json!(hex::encode(GOOD))).await);
    assert!(ask("parts.1.software.measurement", json!(hex::encode(GOOD))).await);
    assert!(ask("parts.0.swname", json!("CONFIDENTIAL_SPACE")).await);
    assert!(ask("parts.2.submods.GPU-0.hwmodel", json!("GH100 A01 GSP BROM")).await);
    assert!(ask("parts.0.keygate.issuer", json!(GOOGLE)).await);
    assert!(!ask("swname", json!("CONFIDENTIAL_SPACE")).await);
    assert!(!ask("x-nvidia-overall-att-result", json!(true)).await);
    assert!(!ask("parts.0.software.measurement", json!(hex::encode(GOOD))).await);
    assert!(ask("iss", json!("https://kms.example")).await);
}

#[tokio::test]
async fn no_token_writes_parts_of_its_own() {
    let stage = Stage::new().await;
    let challenge = stage.house.challenge();
    for honest in [false, true] {
        let mut claims = google_claims(b64(&stage.bind(&challenge, "cloud")[..32]));
        claims["parts"] =
            json!({"1": {"x-nvidia-overall-att-result": true, "keygate": {"issuer": NRAS, "debug": false}}});
        let token_text = stage.google.token(&claims);
        if honest {
            let parts = [token(token_text), stage.gpu(&challenge, "cloud")];
            assert!(stage.asked("cloud", challenge, &parts).await.is_ok());
            assert_eq!(stage.house.newest("key.use")["claims"]["parts"]["0"].get("parts"), None);
        } else {
            let proof =
                TokenProof { token: token_text.into(), recipient: stage.workload.public(), challenge: Some(challenge) };
            let alone = request(&stage.house, "cloud", Usage::Release, Proof::Token(Box::new(proof)));
            assert_eq!(stage.house.broker.use_key(alone).await.unwrap_err().code, Code::NotReleased);
            assert_eq!(stage.house.newest("key.use")["code"], "rule-not-satisfied");
        }
    }
}

#[tokio::test]
async fn debug_of_any_part_is_debug() {
    let stage = Stage::new().await;
    let challenge = stage.house.challenge();
    let debugged = |key| token(stage.nras.bundle(&stage.hex(&challenge, key), UEID, &[("dbgstat", json!("enabled"))]));
    let parts = [stage.raw(challenge, "gpu"), debugged("gpu")];
    assert_eq!(stage.denied("gpu", challenge, &parts).await, "debug-rejected");
    let parts = [stage.cloud(&challenge, "cloud"), debugged("cloud")];
    assert_eq!(stage.denied("cloud", challenge, &parts).await, "debug-rejected", "a token leads");
    let parts = [stage.raw(challenge, "gpu"), stage.gpu(&challenge, "gpu")];
    assert!(stage.asked("gpu", challenge, &parts).await.is_ok());
}

#[tokio::test]
async fn what_is_denied_is_denied_in_every_part() {
    let stage = Stage::new().await;
    let ask = async || {
        let challenge = stage.house.challenge();
        let parts = [stage.raw(challenge, "gpu"), stage.gpu(&challenge, "gpu")];
        stage.asked("gpu", challenge, &parts).await
    };
    for (kind, value) in [
        ("platform", format!("nvidia-gpu:{UEID}")),
        ("measurement", hex::encode(GOOD)),
        ("issuer-key", stage.nras.thumbprint()),
    ] {
        assert!(ask().await.is_ok());
        let kind = kind.to_owned();
        stage.house.change(Change::AddDeny { kind: kind.clone(), value: value.clone() });
        assert_eq!(ask().await.unwrap_err(), Code::Revoked, "{kind} {value}");
        stage.house.change(Change::RemoveDeny { kind, value });
    }
}

#[tokio::test]
async fn no_part_counts_twice() {
    let stage = Stage::new().await;
    let challenge = stage.house.challenge();
    let (raw, gpu) = (stage.raw(challenge, "gpu"), stage.gpu(&challenge, "gpu"));
    let twice = [raw.clone(), gpu.clone(), gpu.clone()];
    assert_eq!(stage.refused("gpu", challenge, &twice).await, Code::Malformed);
    let again = |ueid| token(stage.nras.bundle(&stage.hex(&challenge, "gpu"), ueid, &[("hwmodel", json!("GH100"))]));
    let same = [raw.clone(), gpu.clone(), again(UEID)];
    assert_eq!(stage.refused("gpu", challenge, &same).await, Code::BindingMismatch, "one device in two bundles");
    assert!(stage.asked("gpu", challenge, &[raw, gpu, again("7")]).await.is_ok(), "two devices");
}

#[tokio::test]
async fn a_part_of_nobody_known_is_refused_and_so_is_a_session() {
    let stage = Stage::new().await;
    let challenge = stage.house.challenge();
    let stranger = Nras::new();
    let forged = token(stranger.bundle(&stage.hex(&challenge, "gpu"), UEID, &[]));
    let raw = || stage.raw(challenge, "gpu");
    assert_eq!(stage.refused("gpu", challenge, &[raw(), forged]).await, Code::TokenInvalid);
    let mut unknown = google_claims(b64(&stage.bind(&challenge, "gpu")[..32]));
    unknown["iss"] = json!("https://nobody.example");
    let unknown = token(stage.google.token(&unknown));
    assert_eq!(stage.refused("gpu", challenge, &[raw(), unknown]).await, Code::TokenInvalid);
    let session = stage.house.broker.attest(stage.workload.attest(&stage.house)).await.unwrap().token;
    assert_eq!(stage.refused("gpu", challenge, &[raw(), token(session)]).await, Code::TokenInvalid);
}

#[tokio::test]
async fn a_session_of_a_composite_keeps_its_parts_and_ends_with_the_first_of_them() {
    let stage = Stage::new().await;
    let challenge = stage.house.challenge();
    let question = Question { operation: "attest", ..Question::default() };
    let input = stage.workload.recipient.recipient().thumbprint_input();
    let bind = binding::bind(&challenge, HOST, &question, &input, b"");
    let data = stage.workload.evidence(&stage.house, challenge, HOST, &question);
    let gpu = stage.nras.bundle(&hex::encode(&bind[..32]), UEID, &[]);
    let parts = [json!({"kind": "software", "data": b64(&data)}), token(gpu)];
    let Proof::Evidence(evidence) = proof(&stage.workload, challenge, &parts).unwrap() else { panic!("raw evidence") };
    let request = AttestRequest { evidence: *evidence, ..stage.workload.attest(&stage.house) };
    let attested = stage.house.broker.attest(request).await.unwrap();
    assert_eq!(attested.expires_at, NOW + 290, "the device's token");
    assert_eq!(attested.claims["parts"]["1"]["keygate"]["gpu"][0]["id"], UEID);
    let ask = || stage.workload.release_by_token(&stage.house, "gpu", &attested.token);
    assert!(stage.house.broker.use_key(ask()).await.is_ok());
    stage.house.change(Change::AddDeny { kind: "platform".into(), value: format!("nvidia-gpu:{UEID}") });
    assert_eq!(stage.house.broker.use_key(ask()).await.unwrap_err().code, Code::Revoked);
}

#[tokio::test]
async fn a_policy_is_about_the_lead_and_sees_its_claims_alone() {
    let stage = Stage::new().await;
    stage.house.change(Change::CreateCredential {
        name: "contributor".to_owned(),
        roles: vec!["attestation-contributor".to_owned()],
        key_pattern: None,
        expires: None,
        token: CONTRIBUTOR.to_owned().into(),
    });
    let ask = async || {
        let challenge = stage.house.challenge();
        let parts = [stage.raw(challenge, "gpu"), stage.gpu(&challenge, "gpu")];
        stage.asked("gpu", challenge, &parts).await
    };
    let set = |text: &str| {
        let payload = json!({"AttestationPolicy": b64(text.as_bytes())}).to_string();
        let jws =
            format!("{}.{}.", b64(br#"{"alg":"none"}"#).as_str().unwrap(), b64(payload.as_bytes()).as_str().unwrap());
        let (seat, kind) = (stage.house.seat(), AttestationType::Software);
        stage.house.broker.azure_set_policy(&seat, Some(CONTRIBUTOR), kind, &jws).unwrap();
    };
    set(r#"version=1.0; authorizationrules{[type=="parts"] => deny(); => permit();};"#);
    assert!(ask().await.is_ok());
    set(
        r#"version=1.0; authorizationrules{=> permit();}; issuancerules{=> issue(type="parts", value="x"); => issue(type="team", value="blue");};"#,
    );
    assert!(ask().await.is_ok(), "and issues no parts");
    set(r#"version=1.0; authorizationrules{[type=="software"] => deny(); => permit();};"#);
    assert_eq!(ask().await.unwrap_err(), Code::PolicyDenied);
}

/// Has nothing at hand and fetches what fits.
struct Far(Endorsements);

impl Endorser for Far {
    fn fetch<'a>(&'a self, _: &'a [CollateralId], _: &'a str) -> BoxFuture<'a, Result<Endorsements, Fault>> {
        async { Ok(self.0.clone()) }.boxed()
    }
    fn known(&self, _: EvidenceKind) -> Endorsements {
        Endorsements::default()
    }
}

#[tokio::test]
async fn endorsements_of_the_lead_are_fetched_as_if_it_were_alone() {
    let intel = Intel::new(NOW);
    let mut far = Endorsements::default();
    far.add_file(intel.collateral(&intel.describe(Tee::Tdx)).as_bytes()).unwrap();
    let nras = Nras::new();
    let played = Played::of(&[]);
    played.says(&json!({"keys": [nras.jwk()]}));
    let identity = Identity::default().with_verifiers(vec![verifier("nras", NRAS, Profile::NvidiaNras, played)]);
    let house = House::with_identity(Limits::default(), Arc::new(Far(far)), Arc::new(identity), |anchors| {
        anchors.add("forge", EvidenceKind::Tdx, &intel.root_der()).unwrap();
    });
    key(
        &house,
        "gpu",
        "self",
        &[("parts.1.x-nvidia-overall-att-result", json!(true)), ("parts.0.keygate.kind", json!("tdx"))],
    );
    // The keys of the issuer were never fetched before, either.
    let stage = Stage { house, nras, google: SigningKey::new("g"), workload: Workload::new() };
    let challenge = stage.house.challenge();
    let quote = intel.tdx_quote(&TdxQuote::new(stage.bind(&challenge, "gpu")));
    let raw = json!({"kind": "tdx", "data": b64(&quote)});
    assert!(stage.asked("gpu", challenge, &[raw, stage.gpu(&challenge, "gpu")]).await.is_ok());
}
