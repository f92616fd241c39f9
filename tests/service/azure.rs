//! The attestation door's use cases: evidence to tokens, policies, signers, keys. `maa-rest-api.md`, `maa-tokens-and-claims.md`;
//! `bad-inputs.md` POL and JWT rows that need a whole service.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use keygate::broker::*;
use keygate_forge::amd::{Amd, Product, SnpReport};
use keygate_forge::intel::{Intel, SgxQuote, TdxQuote, Tee};
use keygate_keystore::Change;
use keygate_verifier::tokens::{Jwt, KeySet, verify_maa};
use keygate_verifier::{CollateralId, Endorsements, UnixTime};
use openssl::sha::sha256;
use serde_json::{Map, Value, json};

use super::broker::*;

/// A library that holds what the forge's Intel publishes.
pub struct Held(pub Endorsements);

impl Endorser for Held {
    fn fetch<'a>(&'a self, _: &'a [CollateralId], _: &'a str) -> BoxFuture<'a, Result<Endorsements, Fault>> {
        let held = self.0.clone();
        async move { Ok(held) }.boxed()
    }
    fn known(&self, _: EvidenceKind) -> Endorsements {
        self.0.clone()
    }
}

/// A house that trusts the forge's hardware, and its managers.
pub struct Azure {
    pub house: House,
    intel: Intel,
    amd: Amd,
}

pub const READER: &str = "kg_reader_____________________________________";
pub const CONTRIBUTOR: &str = "kg_contributor________________________________";
const HELD: &[u8] = br#"{"jwk": {"kty":"EC"}}"#;

impl Azure {
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    pub fn with_limits(limits: Limits) -> Self {
        let (intel, amd) = (Intel::new(NOW), Amd::new(Product::Milan, NOW));
        let mut held = Endorsements::default();
        for tee in [Tee::Sgx, Tee::Tdx] {
            held.add_file(intel.collateral(&intel.describe(tee)).as_bytes()).unwrap();
        }
        let house = House::with(limits, Arc::new(Held(held)), |anchors| {
            for kind in [EvidenceKind::Sgx, EvidenceKind::Tdx] {
                anchors.add("forge", kind, &intel.root_der()).unwrap();
            }
            anchors.add("forge", EvidenceKind::Snp, &amd.ark_der()).unwrap();
        });
        for (name, role, token) in
            [("reader", "attestation-reader", READER), ("contributor", "attestation-contributor", CONTRIBUTOR)]
        {
            house.change(Change::CreateCredential {
                name: name.to_owned(),
                roles: vec![role.to_owned()],
                key_pattern: None,
                expires: None,
                token: token.to_owned().into(),
            });
        }
        Self { house, intel, amd }
    }

    /// A sound request of this type over [`HELD`].
    pub fn request(&self, attestation_type: AttestationType) -> AzureAttestRequest {
        self.request_over(attestation_type, HELD)
    }

    /// The same over other data.
    pub fn request_over(&self, attestation_type: AttestationType, held: &[u8]) -> AzureAttestRequest {
        let mut report_data = [0; 64];
        report_data[..32].copy_from_slice(&sha256(held));
        let evidence = match attestation_type {
            AttestationType::TdxVm => self.intel.tdx_quote(&TdxQuote::new(report_data)),
            AttestationType::SevSnpVm => {
                self.amd.evidence(&SnpReport::new(report_data)).azure_document(&[]).into_bytes()
            }
            other => {
                let with_oe_header = other == AttestationType::OpenEnclave;
                self.intel.sgx_quote(&SgxQuote { with_oe_header, ..SgxQuote::new(report_data) })
            }
        };
        AzureAttestRequest {
            seat: self.house.seat(),
            caller: Caller::Anonymous,
            attestation_type,
            evidence,
            runtime: Some(HeldData { bytes: held.to_vec(), json: true }),
            init: None,
            nonce: None,
            draft_policy: None,
            trace: false,
        }
    }

    pub async fn attest(&self, request: AzureAttestRequest) -> Result<String, AzureFault> {
        self.house.broker.azure_attest(request).await.map(|answer| answer.token)
    }

    /// What a relying party reads in a token of ours.
    pub fn relied(&self, token: &str) -> Jwt {
        self.relied_at(token, NOW)
    }

    fn relied_at(&self, token: &str, at: i64) -> Jwt {
        verify_maa(token, &self.keys(), &format!("https://{HOST}"), UnixTime::from_secs(at)).unwrap()
    }

    fn keys(&self) -> KeySet {
        let keys = self.house.broker.azure_certs(&self.house.seat()).unwrap();
        KeySet::parse(keys.to_string().as_bytes()).unwrap()
    }

    pub fn set(&self, kind: AttestationType, text: &str) {
        let seat = self.house.seat();
        self.house.broker.azure_set_policy(&seat, Some(CONTRIBUTOR), kind, &unsecured(text)).unwrap();
    }

    pub fn reset(&self, kind: AttestationType) {
        let seat = self.house.seat();
        self.house.broker.azure_reset_policy(&seat, Some(CONTRIBUTOR), kind, "eyJhbGciOiJub25lIn0..").unwrap();
    }
}

pub fn unsecured(text: &str) -> String {
    let payload = json!({"AttestationPolicy": b64(text.as_bytes())});
    format!("eyJhbGciOiJub25lIn0.{}.", b64(payload.to_string().as_bytes()))
}

fn b64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn body_of(token: &str) -> Map<String, Value> {
    use base64::Engine as _;
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

pub const PERMIT: &str = "version=1.0; authorizationrules{=> permit();}; issuancerules{};";
pub const DENY: &str = "version=1.0; authorizationrules{=> deny();}; issuancerules{};";
const TYPES: [AttestationType; 4] =
    [AttestationType::SgxEnclave, AttestationType::OpenEnclave, AttestationType::TdxVm, AttestationType::SevSnpVm];

#[tokio::test]
async fn no_token_is_made_under_an_anchor_of_the_operators_that_does_not_say_so() {
    let azure = Azure::new();
    for kind in [AttestationType::SgxEnclave, AttestationType::SevSnpVm] {
        azure.attest(azure.request(kind)).await.unwrap();
        let there = AzureAttestRequest { seat: azure.house.seat_at("other.example"), ..azure.request(kind) };
        let refused = azure.attest(there).await.unwrap_err();
        assert!(refused.message.contains("anchor"), "{}", refused.message);
        azure.house.clock.advance(60);
        azure.house.broker.tick();
        assert_eq!(azure.house.newest("strangers")["code"], "chain-untrusted");
    }
}

#[tokio::test]
async fn every_type_is_attested_and_its_token_relied_on() {
    let azure = Azure::new();
    for (attestation_type, said) in TYPES.into_iter().zip(["sgx", "sgx", "tdxvm", "sevsnpvm"]) {
        let token = azure.attest(azure.request(attestation_type)).await.unwrap();
        let claims = azure.relied(&token).claims;
        assert_eq!(claims["x-ms-attestation-type"], json!(said));
        assert_eq!(claims["x-ms-runtime"], json!({"jwk": {"kty": "EC"}}));
        assert_eq!((&claims["x-ms-ver"], &claims["iss"]), (&json!("1.0"), &json!(format!("https://{HOST}"))));
        let number = |name: &str| claims[name].as_i64().unwrap();
        assert_eq!((number("nbf"), number("exp") - number("iat")), (number("iat"), 28_800));
        assert!(claims["jti"].as_str().is_some_and(|jti| jti.len() == 64));
        // The twin: one byte of what was held differs.
        let mut other = azure.request(attestation_type);
        other.runtime.as_mut().unwrap().bytes[2] ^= 1;
        let refused = azure.attest(other).await.unwrap_err();
        assert_eq!(refused.kind, AzureFaultKind::InvalidParameter, "{}", refused.message);
    }
    let recorded = azure.house.records("attestation");
    assert_eq!(recorded.len(), TYPES.len(), "one record each; refusals of what is not bound are counted");
    assert_eq!(recorded[0]["operation"], "attest.SgxEnclave");
}

#[tokio::test]
async fn data_are_bound_and_shown_as_their_type_says() {
    let azure = Azure::new();
    let mut request = azure.request(AttestationType::SgxEnclave);
    request.runtime.as_mut().unwrap().json = false;
    request.nonce = Some("7".to_owned());
    let claims = azure.relied(&azure.attest(request).await.unwrap()).claims;
    assert!(!claims.contains_key("x-ms-runtime"));
    for name in ["x-ms-sgx-ehd", "aas-ehd", "maa-ehd"] {
        assert_eq!(claims[name], json!(b64(HELD)));
    }
    assert_eq!(claims["nonce"], "7");
    assert_eq!(claims["maa-attestationcollateral"], claims["x-ms-sgx-collateral"]);
    assert_eq!(claims["tee"], "sgx", "issued by the default policy");

    let mut request = azure.request(AttestationType::SgxEnclave);
    request.runtime = None;
    let claims = azure.relied(&azure.attest(request).await.unwrap()).claims;
    assert!(!claims.contains_key("x-ms-runtime") && !claims.contains_key("x-ms-sgx-ehd"));

    // Init-time data are compared with CONFIGID, which is zero here.
    let mut request = azure.request(AttestationType::SgxEnclave);
    request.init = Some(HeldData { bytes: b"x".to_vec(), json: false });
    assert_eq!(azure.attest(request).await.unwrap_err().kind, AzureFaultKind::InvalidParameter);
    // What is a quote for one operation is none for the other.
    for (sent, asked) in [
        (AttestationType::SgxEnclave, AttestationType::OpenEnclave),
        (AttestationType::OpenEnclave, AttestationType::SgxEnclave),
        (AttestationType::TdxVm, AttestationType::SgxEnclave),
        (AttestationType::SevSnpVm, AttestationType::TdxVm),
    ] {
        let mut request = azure.request(sent);
        request.attestation_type = asked;
        assert_eq!(azure.attest(request).await.unwrap_err().kind, AzureFaultKind::InvalidParameter, "{sent:?}");
    }
}

#[tokio::test]
async fn a_draft_is_evaluated_and_nobody_vouches_for_it() {
    let azure = Azure::new();
    let draft = r#"version=1.0; authorizationrules{[type=="x-ms-sgx-svn", value>=2] => permit();}; issuancerules{=> issue(type="team", value="blue");};"#;
    let mut request = azure.request(AttestationType::SgxEnclave);
    request.draft_policy = Some(draft.to_owned());
    let token = azure.attest(request).await.unwrap();
    assert!(token.ends_with('.') && token.split('.').count() == 3);
    assert_eq!(body_of(&token)["team"], "blue");
    assert!(verify_maa(&token, &azure.keys(), &format!("https://{HOST}"), UnixTime::from_secs(NOW)).is_err());
    let mut denied = azure.request(AttestationType::SgxEnclave);
    denied.draft_policy = Some(draft.replace(">=2", ">=3"));
    assert_eq!(azure.attest(denied).await.unwrap_err().kind, AzureFaultKind::PolicyEvaluationError);
    let mut broken = azure.request(AttestationType::SgxEnclave);
    broken.draft_policy = Some(draft.replace("==", "="));
    let refused = azure.attest(broken).await.unwrap_err();
    assert_eq!(refused.kind, AzureFaultKind::PolicyParsingError);
    assert!(refused.message.contains("Offending symbol: '='"), "{}", refused.message);
    // What is wrong with the evidence is told first.
    let mut both = azure.request(AttestationType::SgxEnclave);
    both.draft_policy = Some(draft.replace("==", "="));
    both.runtime.as_mut().unwrap().bytes[2] ^= 1;
    assert_eq!(azure.attest(both).await.unwrap_err().kind, AzureFaultKind::InvalidParameter);
}

#[tokio::test]
async fn a_token_of_the_door_without_a_key_of_the_workloads_is_no_proof_and_never_a_credential() {
    let azure = Azure::new();
    let workload = Workload::new();
    azure.house.key("db-key", keygate_keystore::KeyType::Oct256, json!({"freshness": "session"}));
    let token = azure.attest(azure.request(AttestationType::SgxEnclave)).await.unwrap();
    azure.relied(&token);
    let ask = workload.release_by_token(&azure.house, "db-key", &token);
    assert_eq!(azure.house.broker.use_key(ask).await.unwrap_err().code, Code::BindingMismatch);
    assert_eq!(azure.house.broker.caller(&azure.house.seat(), Some(&token)).unwrap_err().code, Code::CredentialInvalid);
    // The twin that is one: a token of the native door is a proof.
    let session = azure.house.broker.attest(workload.attest(&azure.house)).await.unwrap().token;
    azure.house.broker.use_key(workload.release_by_token(&azure.house, "db-key", &session)).await.unwrap();
}

#[tokio::test]
async fn pol_17_a_policy_that_does_not_parse_changes_nothing() {
    let azure = Azure::new();
    let (seat, kind) = (azure.house.seat(), AttestationType::SgxEnclave);
    let broker = &azure.house.broker;
    azure.set(kind, PERMIT);
    let before = broker.azure_policy(&seat, Some(READER), kind).unwrap().token;
    let refused = broker.azure_set_policy(&seat, Some(CONTRIBUTOR), kind, &unsecured("version=1.0;")).unwrap_err();
    assert_eq!(refused.kind, AzureFaultKind::PolicyParsingError);
    let after = broker.azure_policy(&seat, Some(READER), kind).unwrap().token;
    assert_eq!(body_of(&before)["x-ms-policy"], body_of(&after)["x-ms-policy"]);
    assert_eq!(azure.house.newest("admin")["operation"], "policy.show", "every call is recorded");
    assert_eq!(azure.house.newest("admin")["caller"], "reader");
}

#[tokio::test]
async fn policies_are_kept_as_they_came_and_told_with_their_hashes() {
    let azure = Azure::new();
    let (seat, broker, kind) = (azure.house.seat(), &azure.house.broker, AttestationType::SgxEnclave);
    let jws = unsecured(PERMIT);
    let set = azure.relied(&broker.azure_set_policy(&seat, Some(CONTRIBUTOR), kind, &jws).unwrap().token).claims;
    assert_eq!(set["x-ms-policy-result"], "Updated");
    assert_eq!(set["x-ms-policy-token-hash"], json!(b64(&sha256(jws.as_bytes()))));
    assert!(!set.contains_key("jti") && !set.contains_key("x-ms-policy-signer"));
    assert_eq!(set["exp"].as_i64().unwrap() - set["iat"].as_i64().unwrap(), 3_600);
    let shown = azure.relied(&broker.azure_policy(&seat, Some(READER), kind).unwrap().token).claims;
    assert_eq!(shown["x-ms-policy"], json!(jws));
    let token = azure.attest(azure.request(kind)).await.unwrap();
    let hash = "z0FRjKS0ssQTNur1V6BV8WIrh9M3fzgTo0EfHRvapWU";
    assert_eq!(azure.relied(&token).claims["x-ms-policy-hash"], hash);
    azure.reset(kind);
    let shown = azure.relied(&broker.azure_policy(&seat, Some(READER), kind).unwrap().token).claims;
    let default = shown["x-ms-policy"].as_str().unwrap();
    assert!(default.starts_with("eyJhbGciOiJub25lIn0.") && default != jws);
    let tpm = broker.azure_policy(&seat, Some(READER), AttestationType::Tpm).unwrap().token;
    assert_eq!(body_of(&tpm)["x-ms-policy"], "eyJhbGciOiJub25lIn0..");
}

#[tokio::test]
async fn managers_are_told_apart_by_their_roles() {
    let azure = Azure::new();
    let (seat, broker, kind) = (azure.house.seat(), &azure.house.broker, AttestationType::SgxEnclave);
    let jws = unsecured(PERMIT);
    let unauthorized = |told: Result<AzureToken, AzureFault>| {
        assert_eq!(told.unwrap_err().kind, AzureFaultKind::Unauthorized);
    };
    unauthorized(broker.azure_policy(&seat, None, kind));
    unauthorized(broker.azure_policy(&seat, Some("kg_nobody"), kind));
    unauthorized(broker.azure_set_policy(&seat, Some(READER), kind, &jws));
    unauthorized(broker.azure_reset_policy(&seat, Some(READER), kind, "eyJhbGciOiJub25lIn0.."));
    unauthorized(broker.azure_certificates(&seat, None));
    broker.azure_policy(&seat, Some(CONTRIBUTOR), kind).unwrap();
    broker.azure_set_policy(&seat, Some(CONTRIBUTOR), kind, &jws).unwrap();
    // A credential of one provider is nobody at another.
    unauthorized(broker.azure_policy(&azure.house.seat_at("other.example"), Some(READER), kind));
    // jwt_43: what we issue is no bearer.
    let token = azure.attest(azure.request(kind)).await.unwrap();
    unauthorized(broker.azure_policy(&seat, Some(&token), kind));
    // An instance that is not isolated has no signers.
    let listed = azure.relied(&broker.azure_certificates(&seat, Some(READER)).unwrap().token).claims;
    assert_eq!(listed["x-ms-policy-certificates"], json!({"keys": []}));
    let refused = broker.azure_add_certificate(&seat, Some(CONTRIBUTOR), &jws).unwrap_err();
    assert_eq!(refused.kind, AzureFaultKind::InvalidOperation);
}

#[tokio::test]
async fn a_trace_is_for_whoever_may_read_policies() {
    let azure = Azure::new();
    let traced = |bearer: Option<&str>| {
        let mut request = azure.request(AttestationType::SgxEnclave);
        request.caller = azure.house.broker.caller(&request.seat, bearer).unwrap();
        request.trace = true;
        azure.house.broker.azure_attest(request)
    };
    assert_eq!(traced(None).await.unwrap_err().kind, AzureFaultKind::Unauthorized);
    let trace = traced(Some(READER)).await.unwrap().trace.unwrap();
    assert!(trace.as_array().is_some_and(|rules| rules.len() >= 7), "{trace}");
    azure.set(AttestationType::SgxEnclave, DENY);
    let refused = traced(Some(READER)).await.unwrap_err();
    assert_eq!(refused.kind, AzureFaultKind::PolicyEvaluationError);
    assert!(refused.trace.is_some());
    assert!(
        azure.house.broker.azure_attest(azure.request(AttestationType::SgxEnclave)).await.unwrap_err().trace.is_none()
    );
}

/// Spaces in a document, and padding behind a quote, make no other evidence of it: one denial more each would fill the disk.
#[tokio::test]
async fn aud_01_evidence_in_another_wrapping_is_the_same_evidence() {
    let azure = Azure::new();
    let quote = azure.request(AttestationType::SgxEnclave).evidence;
    // Behind Open Enclave's header stands the quote that was told no often enough.
    for (kind, expected) in [
        (AttestationType::SevSnpVm, (5, 20)),
        (AttestationType::SgxEnclave, (5, 20)),
        (AttestationType::OpenEnclave, (25, 0)),
    ] {
        azure.set(kind, DENY);
        let before = azure.house.records("attestation").len();
        let sound = match kind {
            AttestationType::OpenEnclave => {
                let size = (quote.len() as u64).to_le_bytes();
                [&[1, 0, 0, 0, 2, 0, 0, 0], size.as_slice(), &quote].concat()
            }
            AttestationType::SgxEnclave => quote.clone(),
            other => azure.request(other).evidence,
        };
        let mut limited = 0;
        for round in 0..25 {
            let mut request = azure.request(kind);
            request.evidence = sound.clone();
            let filler = if kind == AttestationType::SevSnpVm { b' ' } else { 0 };
            request.evidence.extend(std::iter::repeat_n(filler, round));
            let refused = azure.attest(request).await.unwrap_err();
            limited += usize::from(refused.kind == AzureFaultKind::RateLimited);
        }
        assert_eq!((limited, azure.house.records("attestation").len() - before), expected, "{kind:?}");
        // The twin: another quote over the same data is other evidence, and is told what the policy says.
        let refused = azure.attest(azure.request(kind)).await.unwrap_err();
        assert_eq!(refused.kind, AzureFaultKind::PolicyEvaluationError, "{kind:?}");
    }
}

#[tokio::test]
async fn signing_keys_are_published_before_they_sign_and_kept_while_a_token_lives() {
    let azure = Azure::new();
    let (seat, broker, clock) = (azure.house.seat(), &azure.house.broker, &azure.house.clock);
    // Each key stands in the set under two names.
    let published = || broker.azure_certs(&seat).unwrap()["keys"].as_array().unwrap().len() / 2;
    let sgx = AttestationType::SgxEnclave;
    assert_eq!(published(), 1);
    // A key is due after ninety days, by the clock's tick.
    clock.set(NOW + 90 * 86_400);
    broker.tick();
    assert_eq!(published(), 2);
    let show = || broker.azure_policy(&seat, Some(READER), sgx).unwrap().token;
    let kid = |token: &str| azure.relied_at(token, clock_now(clock)).kid.unwrap();
    let old = kid(&show());
    clock.advance(3_599);
    let last = show();
    assert_eq!(kid(&last), old);
    clock.advance(1);
    let new = kid(&show());
    assert_ne!(new, old);
    // A token of the old key is relied on until its end.
    kid(&last);
    clock.advance(28_800 + 302);
    broker.tick();
    assert_eq!(published(), 1);
    assert_eq!(kid(&show()), new);
    let recorded = azure.house.records("service-key");
    let about: Vec<_> =
        recorded.iter().filter(|r| r["purpose"] == "azure-token").map(|r| r["operation"].clone()).collect();
    assert!(about.contains(&json!("schedule")) && about.contains(&json!("retire")), "{about:?}");
}

fn clock_now(clock: &keygate::clock::StillClock) -> i64 {
    use keygate::clock::Clock as _;
    clock.now().unwrap().secs()
}
