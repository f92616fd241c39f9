//! Tokens of other verifiers as evidence: bound to this request or as new as their issuer says, for the key they vouch for, at the
//! providers they count for.
//!
//! `native-api.md` sections 4 (*token, once*), 5 (`freshness`) and 6; `relying-party-tokens.md` sections 0, 2 and 7; threat model
//! P17, P53.

use std::net::TcpListener;
use std::sync::Arc;

use keygate::broker::*;
use keygate::identity::{Identity, KeySource, VerifierSetup};
use keygate_forge::binding::{self, Question};
use keygate_keystore::{Change, KeyType};
use keygate_verifier::tokens::{Profile, TokenRoots};
use serde_json::{Value, json};

use super::broker::{HOST, House, NOW, Workload, b64, check_receipt, request};
use super::issuer::SigningKey;
use super::keys::Played;

const GOOGLE: &str = "https://confidentialcomputing.googleapis.com";
const PLAIN: &str = "https://verifier.example";
pub const IMAGE: &str = "sha256:67682bda769fae1ccf5183192b8daf37b64cae99c6c3302650f6f8bf5f0f95df";

pub fn verifier(name: &str, issuer: &str, profile: Profile, keys: impl KeySource + 'static) -> VerifierSetup {
    VerifierSetup {
        name: name.to_owned(),
        issuer: issuer.to_owned(),
        profile,
        provider: None,
        audiences: Vec::new(),
        roots: TokenRoots::none(),
        max_age: None,
        keys: Some(Box::new(keys)),
    }
}

/// A house that takes the word of Google's verifier, and of one without a family.
struct Stage {
    house: House,
    key: SigningKey,
    plain: SigningKey,
    source: Played,
    workload: Workload,
}

impl Stage {
    async fn new() -> Self {
        let stage = Self::unready();
        stage.house.broker.renew_issuers().await;
        stage
    }

    /// The same before any keys were fetched.
    fn unready() -> Self {
        let (key, plain) = (SigningKey::new("g"), SigningKey::new("p"));
        let source = Played::of(&[&key]);
        let google = verifier("gcs", GOOGLE, Profile::GoogleConfidentialSpace, source.clone());
        let other = verifier("plain", PLAIN, Profile::Oidc, Played::of(&[&plain]));
        let only = VerifierSetup {
            provider: Some("other".to_owned()),
            ..verifier("theirs", "https://theirs.example", Profile::Oidc, Played::of(&[&plain]))
        };
        let identity = Identity::new(Vec::new(), Vec::new()).with_verifiers(vec![google, other, only]);
        let house = House::with_identity(Limits::default(), Arc::new(NoEndorser), Arc::new(identity), |_| ());
        house.key_with("db", KeyType::Oct256, &rules(GOOGLE, json!({})));
        house.key_with("loose", KeyType::Oct256, &rules(PLAIN, json!({"freshness": "issuer"})));
        Self { house, key, plain, source, workload: Workload::new() }
    }

    /// What the workload asks its verifier to sign for a release of `key`.
    fn nonce(&self, challenge: &[u8; 32], host: &str, key: &str) -> Value {
        let question = Question { operation: "release", key, ..Question::default() };
        let input = self.workload.recipient.recipient().thumbprint_input();
        b64(&binding::bind(challenge, host, &question, &input, b"")[..32])
    }

    /// Sound claims of Google's about the good image.
    fn google(&self, nonce: Value) -> Value {
        json!({
            "iss": GOOGLE, "aud": "https://kms.example", "sub": "instance", "iat": NOW - 1, "nbf": NOW - 1, "exp": NOW + 3_599,
            "eat_nonce": nonce, "swname": "CONFIDENTIAL_SPACE", "oemid": 11_129, "hwmodel": "GCP_INTEL_TDX",
            "dbgstat": "disabled-since-boot", "secboot": true,
            "submods": {"container": {"image_digest": IMAGE}, "gce": {"instance_id": "8213"}},
        })
    }

    /// Sound claims of the one without a family, about the workload's key.
    fn plain(&self) -> Value {
        let jwk: Value = serde_json::from_str(&self.workload.public().thumbprint_input()).unwrap();
        json!({
            "iss": PLAIN, "aud": "https://kms.example", "iat": NOW - 1, "exp": NOW + 600, "cnf": {"jwk": jwk},
            "dbgstat": "disabled-since-boot", "submods": {"container": {"image_digest": IMAGE}},
        })
    }

    async fn asked(&self, key: &str, token: &str, challenge: Option<[u8; 32]>) -> Result<Answer, BrokerError> {
        self.house.broker.use_key(self.request(key, token, challenge)).await
    }

    fn request(&self, key: &str, token: &str, challenge: Option<[u8; 32]>) -> KeyRequest {
        let proof = TokenProof { token: token.to_owned().into(), recipient: self.workload.public(), challenge };
        request(&self.house, key, Usage::Release, Proof::Token(Box::new(proof)))
    }

    /// The code of a token of Google's with this change to sound claims, under a fresh challenge.
    async fn google_with(&self, change: impl FnOnce(&mut Value)) -> Result<Answer, Code> {
        let challenge = self.house.challenge();
        let mut claims = self.google(self.nonce(&challenge, HOST, "db"));
        change(&mut claims);
        self.asked("db", &self.key.token(&claims), Some(challenge)).await.map_err(|refused| refused.code)
    }

    async fn plain_with(&self, change: impl FnOnce(&mut Value)) -> Result<Answer, Code> {
        let mut claims = self.plain();
        change(&mut claims);
        self.asked("loose", &self.plain.token(&claims), None).await.map_err(|refused| refused.code)
    }

    fn true_code(&self) -> Value {
        self.house.newest("key.use")["code"].clone()
    }
}

/// The same key under another name.
pub fn named(key: &SigningKey, kid: &str) -> SigningKey {
    let mut key = key.clone();
    kid.clone_into(&mut key.kid);
    key
}

pub fn rules(authority: &str, options: Value) -> Value {
    json!({
        "rules": {"default": {"version": "1.0.0", "anyOf": [{"authority": authority, "allOf": [
            {"claim": "submods.container.image_digest", "equals": IMAGE}]}]}},
        "options": options,
    })
}

#[tokio::test]
async fn a_token_bound_to_this_request_opens_the_key_once() {
    let stage = Stage::new().await;
    let challenge = stage.house.challenge();
    let token = stage.key.token(&stage.google(stage.nonce(&challenge, HOST, "db")));
    let answer = stage.asked("db", &token, Some(challenge)).await.unwrap();
    assert_eq!(stage.workload.unseal(&answer).len(), 32);
    assert_eq!(check_receipt(&stage.house, &answer.body)["challenge"], b64(&challenge));
    let record = stage.house.newest("key.use");
    assert_eq!((&record["decision"], &record["freshness"]), (&json!("permit"), &json!("once")));
    assert!(record.get("policy").is_none(), "no policy of ours was asked: {record}");

    let again = stage.asked("db", &token, Some(challenge)).await.unwrap_err();
    assert_eq!(again.code, Code::FreshnessFailed);
    let without = stage.asked("db", &token, None).await.unwrap_err();
    assert_eq!(without.code, Code::BindingMismatch, "no key of the workload's is in it");
}

#[tokio::test]
async fn a_nonce_of_anything_else_is_none() {
    let stage = Stage::new().await;
    let (mine, other) = (stage.house.challenge(), stage.house.challenge());
    let elsewhere = [
        ("another challenge", stage.nonce(&other, HOST, "db")),
        ("another host", stage.nonce(&mine, "other.example", "db")),
        ("another key", stage.nonce(&mine, HOST, "loose")),
        ("none", json!("12345678")),
    ];
    for (what, nonce) in elsewhere {
        let token = stage.key.token(&stage.google(nonce));
        let refused = stage.asked("db", &token, Some(mine)).await.unwrap_err();
        assert_eq!(refused.code, Code::FreshnessFailed, "{what}");
    }
    let absent = stage.google_with(|claims| drop(claims.as_object_mut().unwrap().remove("eat_nonce"))).await;
    assert_eq!(absent.unwrap_err(), Code::FreshnessFailed);
    // Bound to the key of somebody else, who looks on.
    let thief = Stage { workload: Workload::new(), ..stage };
    let token = thief.key.token(&thief.google(thief.nonce(&mine, HOST, "db")));
    let victim = Workload::new();
    let proof = TokenProof { token: token.into(), recipient: victim.public(), challenge: Some(mine) };
    let stolen = request(&thief.house, "db", Usage::Release, Proof::Token(Box::new(proof)));
    assert_eq!(thief.house.broker.use_key(stolen).await.unwrap_err().code, Code::FreshnessFailed);
}

#[tokio::test]
async fn an_echoed_nonce_proves_nothing() {
    let stage = Stage::new().await;
    let challenge = stage.house.challenge();
    let mut claims = stage.plain();
    claims["nonce"] = stage.nonce(&challenge, HOST, "loose");
    claims["eat_nonce"] = claims["nonce"].clone();
    let refused = stage.asked("loose", &stage.plain.token(&claims), Some(challenge)).await.unwrap_err();
    assert_eq!(refused.code, Code::FreshnessFailed);
}

#[tokio::test]
async fn without_a_challenge_the_key_says_whether_its_issuers_word_is_enough() {
    let stage = Stage::new().await;
    for _ in 0..2 {
        let answer = stage.plain_with(|_| ()).await.unwrap();
        assert_eq!(stage.workload.unseal(&answer).len(), 32);
    }
    assert_eq!(stage.house.newest("key.use")["freshness"], "issuer");
    for freshness in ["once", "session"] {
        stage.house.set_rules("loose", &rules(PLAIN, json!({"freshness": freshness})));
        assert_eq!(stage.plain_with(|_| ()).await.unwrap_err(), Code::NotReleased);
        assert_eq!(stage.true_code(), "freshness-failed");
    }
}

#[tokio::test]
async fn an_answer_goes_to_the_key_in_the_token_and_to_no_other() {
    let stage = Stage::new().await;
    let none = stage.plain_with(|claims| drop(claims.as_object_mut().unwrap().remove("cnf"))).await;
    assert_eq!(none.unwrap_err(), Code::BindingMismatch);
    let token = stage.plain.token(&stage.plain());
    let thief = Stage { workload: Workload::new(), ..stage };
    assert_eq!(thief.asked("loose", &token, None).await.unwrap_err().code, Code::BindingMismatch);
}

#[tokio::test]
async fn a_token_counts_for_the_authority_that_a_rule_names() {
    let stage = Stage::new().await;
    for authority in ["self", PLAIN, "https://kms.example"] {
        stage.house.set_rules("db", &rules(authority, json!({})));
        assert_eq!(stage.google_with(|_| ()).await.unwrap_err(), Code::NotReleased, "{authority}");
        assert_eq!(stage.true_code(), "rule-not-satisfied");
    }
    stage.house.set_rules("db", &rules(GOOGLE, json!({})));
    stage.google_with(|_| ()).await.unwrap();
    let other = stage.google_with(|claims| claims["submods"]["container"]["image_digest"] = json!("sha256:00")).await;
    assert_eq!(other.unwrap_err(), Code::NotReleased);
    assert_eq!(stage.true_code(), "rule-not-satisfied");
}

#[tokio::test]
async fn a_token_does_not_speak_in_our_name() {
    let stage = Stage::new().await;
    let mut rules = rules(GOOGLE, json!({}));
    rules["rules"]["default"]["anyOf"][0]["allOf"][0] = json!({"claim": "keygate.kind", "equals": "token"});
    stage.house.set_rules("db", &rules);
    stage.google_with(|_| ()).await.unwrap();
    let debug = stage.google_with(|claims| claims["dbgstat"] = json!("enabled")).await;
    assert_eq!(debug.unwrap_err(), Code::NotReleased);
    assert_eq!(stage.true_code(), "debug-rejected");
    let ours = json!({"kind": "token", "debug": false, "anchor": "vendor"});
    assert_eq!(stage.google_with(|claims| claims["keygate"] = ours).await.unwrap_err(), Code::TokenInvalid);
}

#[tokio::test]
async fn a_token_that_is_not_sound_is_refused_before_the_key_is_looked_at() {
    let stage = Stage::new().await;
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 7] = [
        ("expired", |claims| claims["exp"] = json!(NOW - 61)),
        ("not yet", |claims| claims["nbf"] = json!(NOW + 61)),
        ("old", |claims| {
            claims["iat"] = json!(NOW - 3_661);
            claims["nbf"] = json!(NOW - 3_661);
        }),
        ("for others", |claims| claims["aud"] = json!("https://sts.googleapis.com")),
        ("no issuer of ours", |claims| claims["iss"] = json!(format!("{GOOGLE}/"))),
        ("of another provider's", |claims| claims["iss"] = json!("https://theirs.example")),
        ("of another family", |claims| claims["swname"] = json!("GCE")),
    ];
    for (what, change) in changes {
        assert_eq!(stage.google_with(change).await.unwrap_err(), Code::TokenInvalid, "{what}");
    }
    stage.google_with(|claims| claims["exp"] = json!(NOW - 59)).await.unwrap();
    // Another's key under the same name.
    let challenge = stage.house.challenge();
    let claims = stage.google(stage.nonce(&challenge, HOST, "db"));
    let forged = named(&stage.plain, "g").token(&claims);
    let refused = stage.asked("db", &forged, Some(challenge)).await.unwrap_err();
    assert_eq!(refused.code, Code::TokenInvalid);
}

#[tokio::test]
async fn a_key_of_the_issuer_is_fetched_when_a_token_names_it_and_once_a_minute() {
    let stage = Stage::unready();
    stage.google_with(|_| ()).await.unwrap();
    assert_eq!(stage.source.fetched(), 1);
    for _ in 0..3 {
        let challenge = stage.house.challenge();
        let stranger = named(&stage.plain, "nobody");
        let token = stranger.token(&stage.google(stage.nonce(&challenge, HOST, "db")));
        assert_eq!(stage.asked("db", &token, Some(challenge)).await.unwrap_err().code, Code::TokenInvalid);
    }
    assert_eq!(stage.source.fetched(), 1, "within the minute nobody is asked again");
}

/// Places where keys would be, in headers of tokens: whoever signed them, nobody is asked there.
#[tokio::test]
async fn jwt_07_08_09_no_address_in_a_header_is_dialled() {
    let stage = Stage::new().await;
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let place = socket.local_addr().unwrap();
    let headers = [
        json!({"jku": format!("http://{place}/certs")}),
        json!({"jku": format!("https://{place}/certs")}),
        json!({"jku": format!("https://verifier.example@{place}/certs")}),
        json!({"x5u": format!("http://{place}/chain.pem")}),
        json!({"x5u": "file:///etc/passwd"}),
    ];
    let asked = stage.source.fetched();
    for mut header in headers {
        for (key, kid, good) in [(&stage.plain, "p", true), (&stage.plain, "stranger", false), (&stage.key, "p", false)]
        {
            header["alg"] = json!("RS256");
            header["kid"] = json!(kid);
            let token = key.sign(&header, &stage.plain());
            let answer = stage.asked("loose", &token, None).await.map(drop).map_err(|refused| refused.code);
            assert_eq!(answer, if good { Ok(()) } else { Err(Code::TokenInvalid) }, "{header}");
        }
    }
    assert_eq!(socket.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(stage.source.fetched(), asked, "another issuer is not asked either");
}

#[tokio::test]
async fn while_an_issuer_is_silent_nothing_of_it_counts() {
    let stage = Stage::unready();
    stage.source.silent();
    assert_eq!(stage.google_with(|_| ()).await.unwrap_err(), Code::CollateralUnavailable);
}

#[tokio::test]
async fn what_is_denied_is_denied_in_a_token_too() {
    let stage = Stage::new().await;
    stage.google_with(|_| ()).await.unwrap();
    let jwk = stage.key.jwk();
    let input = format!(r#"{{"e":{},"kty":"RSA","n":{}}}"#, jwk["e"], jwk["n"]);
    let thumbprint = b64(&openssl::sha::sha256(input.as_bytes())).as_str().unwrap().to_owned();
    for (kind, value) in [("platform", "gce-instance:8213"), ("platform", "8213"), ("issuer-key", thumbprint.as_str())]
    {
        let (kind, value) = (kind.to_owned(), value.to_owned());
        stage.house.change(Change::AddDeny { kind: kind.clone(), value: value.clone() });
        assert_eq!(stage.google_with(|_| ()).await.unwrap_err(), Code::Revoked, "{kind} {value}");
        stage.house.change(Change::RemoveDeny { kind, value });
        stage.google_with(|_| ()).await.unwrap();
    }
}

#[tokio::test]
async fn an_issuer_of_evidence_is_none_of_people() {
    let stage = Stage::new().await;
    let token = stage.plain.token(&stage.plain());
    let refused = stage.house.broker.caller(&stage.house.seat(), Some(&token)).unwrap_err();
    assert_eq!(refused.code, Code::CredentialInvalid);
}
