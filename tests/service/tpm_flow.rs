//! `POST /attest/Tpm` from challenge to report, with forged machines. TPM and VBS attestation protocol; policy language, examples 40
//! and 48; each report has a twin that is refused.

use std::sync::Arc;

use actix_web::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate::broker::*;
use keygate_forge::azure_tpm::{Draft, Log, Machine, Tagged, Wanted, tag};
use keygate_keystore::Change;
use keygate_verifier::UnixTime;
use keygate_verifier::tokens::{Jwt, KeySet, verify_maa};
use openssl::sha::{sha1, sha256};
use serde_json::{Map, Value, json};

use super::broker::*;
use super::maa_door::{Told, employ, request, send, with_bearer};

const V: &str = "?api-version=2020-10-01";
pub const PERMIT: &str = "version=1.0; authorizationrules{=> permit();};";

/// A house that trusts the root of one machine's attestation key.
pub struct Lab {
    pub house: House,
    pub machine: Machine,
    reader: String,
}

/// Windows as it should be.
pub fn sound_log() -> Log {
    let loader = [
        (tag::BOOT_DEBUGGING, Tagged::Flag(false)),
        (tag::SAFE_MODE, Tagged::Flag(false)),
        (tag::WINPE, Tagged::Flag(false)),
        (tag::VBS_VSM_REQUIRED, Tagged::Flag(true)),
        (tag::VBS_IOMMU_REQUIRED, Tagged::Flag(true)),
    ];
    Log::windows(true, &loader, &[(tag::CODE_INTEGRITY, Tagged::Flag(true))])
}

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn unb64(text: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text.as_str().unwrap()).unwrap()
}

impl Lab {
    pub fn new(log: Log) -> Self {
        let machine = Machine::new(NOW, log);
        let house = House::with(Limits::default(), Arc::new(NoEndorser), |anchors| {
            anchors.add("forge", EvidenceKind::Tpm, &machine.root_der()).unwrap();
        });
        let reader = employ(&house, "attestation-reader");
        Self { house, machine, reader }
    }

    pub fn set(&self, policy: &str) {
        let payload = json!({"AttestationPolicy": b64(policy.as_bytes())}).to_string();
        let document = format!("{}.{}.", b64(br#"{"alg":"none"}"#), b64(payload.as_bytes()));
        let digest = sha256(policy.as_bytes());
        self.house.change(Change::SetPolicy { kind: "Tpm".to_owned(), document, digest });
    }

    /// One round with this inner message.
    pub async fn say(&self, message: &Value) -> Told {
        let body = json!({"data": b64(message.to_string().as_bytes())}).to_string();
        let asked = request(&Method::POST, &format!("/attest/Tpm{V}"), body);
        send(&self.house, with_bearer(asked, &self.reader)).await
    }

    /// A challenge with its context.
    pub async fn challenged(&self) -> (Vec<u8>, Vec<u8>) {
        let told = self.say(&json!({"payload": {"type": "aikcert"}})).await;
        let payload = payload(&told);
        (unb64(&payload["challenge"]), unb64(&payload["service_context"]))
    }

    /// A sound request for a fresh challenge, changed before it is signed.
    pub async fn ask(&self, wanted: impl FnOnce(&mut Wanted), change: impl FnOnce(&mut Draft)) -> Told {
        let (challenge, context) = self.challenged().await;
        let mut sound = Wanted::new(&challenge, &context);
        wanted(&mut sound);
        let mut draft = self.machine.draft(&sound);
        change(&mut draft);
        self.send(&draft).await
    }

    async fn send(&self, draft: &Draft) -> Told {
        self.say(&json!({"payload": {"request": draft.sign(&self.machine.request_key)}})).await
    }

    /// What a relying party reads in the report of a sound request.
    pub async fn report(&self) -> Map<String, Value> {
        self.relied(&self.ask(|_| (), |_| ()).await).claims
    }

    /// The report in an answer, as a relying party of the house checks it.
    pub fn relied(&self, told: &Told) -> Jwt {
        let report = payload(told)["report"].as_str().unwrap_or_else(|| panic!("{}", told.body)).to_owned();
        let keys = self.house.broker.azure_certs(&self.house.seat()).unwrap();
        let keys = KeySet::parse(keys.to_string().as_bytes()).unwrap();
        verify_maa(&report, &keys, "https://kms.example", UnixTime::from_secs(NOW)).unwrap()
    }
}

/// What is wrapped in an answer of 200.
fn payload(told: &Told) -> Value {
    assert_eq!(told.status, 200, "{}", told.body);
    told.has_heads("tpm");
    let inner: Value = serde_json::from_slice(&unb64(&told.body["data"])).unwrap();
    assert_eq!(inner.as_object().unwrap().len(), 1);
    inner["payload"].clone()
}

#[actix_web::test]
async fn a_machine_is_attested_in_two_rounds() {
    let lab = Lab::new(sound_log());
    lab.set("version=1.0; authorizationrules{[type==\"secureBootEnabled\", value==true] => permit();}; issuancerules{c:[type==\"secureBootEnabled\"] => issue(claim=c);};");
    let told = lab.ask(|_| (), |_| ()).await;
    let report = lab.relied(&told);
    let claims = &report.claims;
    assert_eq!(claims["secureBootEnabled"], true);
    let data = b64(b"relying party's own");
    assert_eq!((&claims["rp_data"], &claims["nonce"]), (&json!(data), &json!(data)));
    assert_eq!((&claims["ver"], &claims["x-ms-ver"]), (&json!("1.0"), &json!("1.0")));
    let jwk = keygate_forge::azure_tpm::rsa_jwk(&lab.machine.request_key);
    assert_eq!(claims["cnf"], json!({"jwk": jwk}));
    assert_eq!(claims["x-ms-tpm-request-key"], json!({"jwk": jwk, "info": {"tpm_quote": {"hash_alg": "sha-256"}}}));
    let at = |name: &str| claims[name].as_i64().unwrap();
    assert_eq!((at("iat"), at("nbf"), at("exp")), (NOW, NOW - 300, NOW + 86_400));
    assert_eq!(claims["jti"].as_str().unwrap().len(), 40);
    assert_eq!(claims["keygate"]["anchor"], "forge");
    for absent in ["pcrs", "events", "aikValidated", "x-ms-attestation-type", "x-ms-policy-signer"] {
        assert!(!claims.contains_key(absent), "{absent} was not issued");
    }
    let record = lab.house.newest("attestation");
    assert_eq!((&record["operation"], &record["decision"]), (&json!("attest.Tpm"), &json!("permit")));
    assert_eq!(record["claims"]["aikValidated"], true);
    assert_eq!(record["caller"], "attestation-reader");
    let trace = told.header("x-ms-request-id").unwrap().split('-').nth(1).unwrap().to_owned();
    assert_eq!(record["correlation"].as_str().unwrap().replace('-', ""), trace);
}

#[actix_web::test]
async fn the_head_of_a_report_has_the_certificate_or_its_digest() {
    let lab = Lab::new(sound_log());
    let head = |told: &Told| {
        let report = payload(told)["report"].as_str().unwrap().to_owned();
        let head: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(report.split('.').next().unwrap()).unwrap()).unwrap();
        head
    };
    lab.set(PERMIT);
    let told = lab.ask(|_| (), |_| ()).await;
    let shown = head(&told);
    let der = openssl::base64::decode_block(shown["x5c"][0].as_str().unwrap()).unwrap();
    let thumbprint = json!(b64(&sha1(&der)));
    assert_eq!((&shown["alg"], &shown["typ"], &shown["kid"]), (&json!("RS256"), &json!("JWT"), &thumbprint));
    assert!(shown.get("x5t").is_none() && shown.get("jku").is_none());
    // The key set knows the key under both of its names.
    let set = lab.house.broker.azure_certs(&lab.house.seat()).unwrap();
    let names: Vec<&Value> = set["keys"].as_array().unwrap().iter().map(|key| &key["kid"]).collect();
    assert!(names.len() == 2 && names.contains(&&thumbprint), "{names:?}");
    lab.set("version=1.0; authorizationrules{=> permit();}; issuancerules{=> issueproperty(type=\"omit_x5c\", value=true); => issueproperty(type=\"report_validity_in_minutes\", value=7);};");
    let told = lab.ask(|_| (), |_| ()).await;
    let shown = head(&told);
    assert_eq!((&shown["x5t"], shown.get("x5c")), (&thumbprint, None));
    let claims = lab.relied(&told).claims;
    assert_eq!(claims["exp"], json!(NOW + 420));
    assert!(!claims.contains_key("omit_x5c") && !claims.contains_key("report_validity_in_minutes"));
}

#[actix_web::test]
async fn without_a_policy_without_a_role_and_without_form_there_is_no_challenge() {
    let lab = Lab::new(sound_log());
    let init = json!({"payload": {"type": "aikcert"}, "metadata": {"os_ver": "10"}});
    lab.say(&init).await.is(400, "Bad request", "no policy");
    lab.say(&json!({"payload": {"type": "ekcert"}})).await.is(400, "InvalidParameter", "another type");
    lab.set(PERMIT);
    payload(&lab.say(&init).await);
    payload(&lab.say(&json!({"type": "aikcert"})).await);
    let body = json!({"data": b64(init.to_string().as_bytes())}).to_string();
    let anonymous = request(&Method::POST, &format!("/attest/Tpm{V}"), body.clone());
    send(&lab.house, anonymous).await.is(401, "Unauthorized", "nobody");
    let user = employ(&lab.house, "key-user");
    let without_role = with_bearer(request(&Method::POST, &format!("/attest/Tpm{V}"), body), &user);
    send(&lab.house, without_role).await.is(401, "Unauthorized", "another role");
    for (what, body) in [
        ("no data", json!({})),
        ("data that are no base64", json!({"data": "ä"})),
        ("data that are no json", json!({"data": b64(b"text")})),
        ("an empty object", json!({"data": b64(b"{}")})),
    ] {
        let asked = request(&Method::POST, &format!("/attest/Tpm{V}"), body.to_string());
        send(&lab.house, with_bearer(asked, &lab.reader)).await.is(400, "InvalidParameter", what);
    }
}

#[actix_web::test]
async fn a_challenge_is_good_once_here_and_for_five_minutes() {
    let lab = Lab::new(sound_log());
    lab.set(PERMIT);
    let (challenge, context) = lab.challenged().await;
    let draft = lab.machine.draft(&Wanted::new(&challenge, &context));
    lab.relied(&lab.send(&draft).await);
    lab.send(&draft).await.is(400, "InvalidParameter", "a second time");
    // Another signature over another request, with the same challenge.
    let mut again = draft.clone();
    again.payload["att_data"]["rp_data"] = json!("AAAA");
    lab.send(&again).await.is(400, "InvalidParameter", "spent");
    let other = |challenge: &[u8], context: &[u8]| lab.machine.draft(&Wanted::new(challenge, context));
    let (second, second_context) = lab.challenged().await;
    lab.send(&other(&challenge, &second_context)).await.is(400, "InvalidParameter", "the context of another challenge");
    lab.send(&other(&second, b"made up")).await.is(400, "InvalidParameter", "no context of ours");
    lab.house.clock.set(NOW + 299);
    lab.relied_later(&lab.send(&other(&second, &second_context)).await, NOW + 299);
    let (third, third_context) = lab.challenged().await;
    lab.house.clock.set(NOW + 299 + 300);
    lab.send(&other(&third, &third_context)).await.is(400, "InvalidParameter", "too late");
}

impl Lab {
    fn relied_later(&self, told: &Told, now: i64) {
        let report = payload(told)["report"].as_str().unwrap().to_owned();
        let keys = self.house.broker.azure_certs(&self.house.seat()).unwrap();
        let keys = KeySet::parse(keys.to_string().as_bytes()).unwrap();
        verify_maa(&report, &keys, "https://kms.example", UnixTime::from_secs(now)).unwrap();
    }
}

#[actix_web::test]
async fn what_does_not_hold_is_an_invalid_parameter() {
    let lab = Lab::new(sound_log());
    lab.set(PERMIT);
    type Case = (&'static str, fn(&mut Wanted), fn(&mut Draft));
    let cases: [Case; 8] = [
        ("another type", |_| (), |draft| draft.header["typ"] = json!("JWT")),
        ("another algorithm", |_| (), |draft| draft.header["alg"] = json!("RS256")),
        ("vbs", |_| (), |draft| draft.payload["att_type"] = json!("vbs")),
        ("no tpm's quote", |wanted| wanted.quote = |attest| attest.magic = 1, |_| ()),
        ("sha-1 alone", |wanted| wanted.banks = vec![4], |_| ()),
        ("registers left out", |wanted| wanted.registers = (0..23).collect(), |_| ()),
        ("a key that nothing binds", |wanted| wanted.bound = keygate_forge::azure_tpm::Bound::Nothing, |_| ()),
        (
            "no log",
            |_| (),
            |draft| draft.payload["att_data"]["tpm_att_data"]["current_attestation"]["logs"] = json!([]),
        ),
    ];
    for (what, wanted, change) in cases {
        lab.ask(wanted, change).await.is(400, "InvalidParameter", what);
    }
    let (challenge, context) = lab.challenged().await;
    let sound = lab.machine.draft(&Wanted::new(&challenge, &context));
    let by_other = sound.sign(&keygate_forge::azure_tpm::rsa());
    lab.say(&json!({"payload": {"request": by_other}})).await.is(400, "InvalidParameter", "another signer");
    lab.relied(&lab.send(&sound).await);
}

#[actix_web::test]
async fn a_policy_that_says_no_spends_nothing_and_is_recorded() {
    let lab = Lab::new(sound_log());
    let deny = "version=1.1; authorizationrules{[type==\"secureBootEnabled\", value==true] => deny(); => permit();};";
    lab.set(deny);
    let (challenge, context) = lab.challenged().await;
    let draft = lab.machine.draft(&Wanted::new(&challenge, &context));
    lab.send(&draft).await.is(400, "PolicyEvaluationError", "denied");
    let record = lab.house.newest("attestation");
    assert_eq!((&record["decision"], &record["code"]), (&json!("deny"), &json!("policy-denied.attestation-policy")));
    lab.set(PERMIT);
    lab.relied(&lab.send(&draft).await);
    // Registers are read, compared and never issued: example 48.
    lab.set("version=1.2; authorizationrules{=> permit();}; issuancerules{c:[type==\"pcrs\"] => issue(claim=c);};");
    lab.ask(|_| (), |_| ()).await.is(400, "PolicyEvaluationError", "read-only");
}

#[actix_web::test]
async fn example_40_the_mask_of_the_policy_says_which_registers_must_be_quoted() {
    let lab = Lab::new(sound_log());
    let few = |wanted: &mut Wanted| wanted.registers = (0..4).collect();
    lab.set("version=1.1; authorizationrules{=> permit();};");
    lab.ask(few, |_| ()).await.is(400, "InvalidParameter", "all registers by default");
    lab.set("version=1.1; configurationrules{=> issueproperty(type=\"required_pcr_mask\", value=15);}; authorizationrules{=> permit();};");
    lab.relied(&lab.ask(few, |_| ()).await);
    lab.ask(|wanted| wanted.registers = (0..3).collect(), |_| ()).await.is(400, "InvalidParameter", "one is missing");
}

#[actix_web::test]
async fn an_attestation_key_without_a_valid_certificate_is_told_where_the_policy_bears_it() {
    let lab = Lab::new(sound_log());
    let policy = |strict: bool| {
        format!(
            "version=1.1; configurationrules{{=> issueproperty(type=\"require_valid_aik_cert\", value={strict});}}; authorizationrules{{=> permit();}}; issuancerules{{c:[type==\"aikValidated\"] => issue(claim=c);}};"
        )
    };
    let without = |draft: &mut Draft| {
        let state = &mut draft.payload["att_data"]["tpm_att_data"]["current_attestation"];
        state.as_object_mut().unwrap().remove("aik_cert");
    };
    lab.set(&policy(true));
    assert_eq!(lab.report().await["aikValidated"], true);
    lab.ask(|_| (), without).await.is(400, "InvalidParameter", "nobody vouches");
    lab.set(&policy(false));
    let told = lab.relied(&lab.ask(|_| (), without).await).claims;
    assert_eq!((&told["aikValidated"], told["keygate"].get("anchor")), (&json!(false), None));
    assert_eq!(lab.report().await["aikValidated"], true, "where it can be, it is");
}

#[actix_web::test]
async fn a_denied_machine_is_refused_whatever_the_policy_says() {
    let lab = Lab::new(sound_log());
    lab.set(PERMIT);
    lab.report().await;
    let name = hex::encode(sha256(&lab.machine.aik.public_key_to_der().unwrap()));
    lab.house.change(Change::AddDeny { kind: "platform".into(), value: format!("tpm-ak:{name}") });
    lab.ask(|_| (), |_| ()).await.is(400, "InvalidParameter", "denied");
}

#[actix_web::test]
async fn custom_claims_stand_under_the_provider_s_names_and_satisfy_no_test_of_the_service() {
    let lab = Lab::new(sound_log());
    lab.set("version=1.0; authorizationrules{[type==\"secureBootEnabled\", value==true, issuer==\"AttestationService\"] => permit();}; issuancerules{c:[type==\"https://kms.example/custom-claims/team\", issuer==\"CustomClaim\"] => issue(type=\"team\", value=c.value); c:[type==\"team2\"] => issue(type=\"no\", value=c.value);};");
    let claims = json!([{"name": "team", "value": "blue"}, {"name": "team", "value": 7, "value_type": "Integer"}, {"name": "team2", "value": "x"}]);
    let told = lab.ask(|_| (), |draft| draft.payload["att_data"]["custom_claims"] = claims).await;
    let report = lab.relied(&told).claims;
    assert_eq!((&report["team"], report.get("no")), (&json!(["blue", 7]), None));
    let off = Lab::new(Log::windows(false, &[], &[]));
    off.set("version=1.0; authorizationrules{[type==\"secureBootEnabled\", value==true] => permit();};");
    let claims = json!([{"name": "secureBootEnabled", "value": true, "value_type": "Boolean"}]);
    let told = off.ask(|_| (), |draft| draft.payload["att_data"]["custom_claims"] = claims).await;
    told.is(400, "PolicyEvaluationError", "it is off, whatever the client says");
}

#[actix_web::test]
async fn the_first_form_is_served_and_its_key_is_only_possessed() {
    let lab = Lab::new(sound_log());
    lab.set(
        "version=1.0; authorizationrules{=> permit();}; issuancerules{c:[type==\"tpmVersion\"] => issue(claim=c);};",
    );
    let report = lab.relied(&lab.ask(|wanted| wanted.second = false, |_| ()).await).claims;
    assert_eq!((&report["tpmVersion"], report.get("x-ms-tpm-request-key")), (&json!(2), None));
    assert_eq!(report["cnf"]["jwk"], keygate_forge::azure_tpm::rsa_jwk(&lab.machine.request_key));
}

#[actix_web::test]
async fn the_trace_is_shown_to_whoever_asks() {
    let lab = Lab::new(sound_log());
    lab.set(PERMIT);
    let (challenge, context) = lab.challenged().await;
    let jws = lab.machine.request(&Wanted::new(&challenge, &context));
    let message = json!({"payload": {"request": jws}}).to_string();
    let body = json!({"data": b64(message.as_bytes())}).to_string();
    let asked = request(&Method::POST, &format!("/attest/Tpm{V}"), body).insert_header(("x-ms-keygate-trace", "true"));
    let told = send(&lab.house, with_bearer(asked, &lab.reader)).await;
    lab.relied(&told);
    assert!(told.body["trace"].as_array().is_some_and(|rules| rules.len() == 1), "{}", told.body);
}

#[actix_web::test]
async fn versions_1_0_and_1_1_see_verdicts_and_version_1_2_sees_events() {
    let lab = Lab::new(sound_log());
    let seen = |version: &str, kind: &str| {
        format!(
            "version={version}; authorizationrules{{=> permit();}}; issuancerules{{[type==\"{kind}\", issuer==\"AttestationService\"] => issue(type=\"seen\", value=true);}};"
        )
    };
    for (kind, old, new) in [
        ("aikValidated", true, true),
        ("aikPubHash", true, true),
        ("tpmVersion", true, true),
        ("secureBootEnabled", true, false),
        ("vbsReportPresent", true, false),
        ("iommuEnabled", true, false),
        ("events", false, true),
        ("pcrs", false, true),
        ("x-ms-tpm-request-key", false, true),
        ("bootEvents", false, false),
    ] {
        for (version, wanted) in [("1.0", old), ("1.1", old), ("1.2", new)] {
            lab.set(&seen(version, kind));
            assert_eq!(lab.report().await.contains_key("seen"), wanted, "{kind} in {version}");
        }
    }
}

#[actix_web::test]
async fn a_report_opens_no_key() {
    let lab = Lab::new(sound_log());
    lab.set("version=1.0; authorizationrules{=> permit();}; issuancerules{=> issue(type=\"team\", value=\"blue\");};");
    lab.house.key_with(
        "db",
        KeyType::Oct256,
        &json!({
            "rules": {"default": {"version": "1.0.0", "anyOf": [
                {"authority": "https://kms.example", "allOf": [{"claim": "team", "equals": "blue"}]}]}},
            "options": {"freshness": "issuer", "anchors": ["forge"]},
        }),
    );
    let told = lab.ask(|_| (), |_| ()).await;
    assert_eq!(lab.relied(&told).claims["team"], "blue");
    let jwk = keygate_forge::azure_tpm::rsa_jwk(&lab.machine.request_key);
    let proof = TokenProof {
        token: payload(&told)["report"].as_str().unwrap().to_owned().into(),
        recipient: RecipientKey::from_jwk(jwk.as_object().unwrap()).unwrap(),
        challenge: None,
    };
    let asked = super::broker::request(&lab.house, "db", Usage::Release, Proof::Token(Box::new(proof)));
    let refused = lab.house.broker.use_key(asked).await.err().map(|refused| refused.code);
    assert_eq!(refused, Some(Code::TokenInvalid));
}
