//! Bearers of an issuer's tokens at the broker: whose tokens count, what they may do, how they are recorded.
//!
//! `bad-inputs.md` JWT-26 to JWT-29, JWT-43, JWT-52, DISC-14; threat model P17, P18, P45, P46.

use std::collections::BTreeMap;
use std::sync::Arc;

use keygate::broker::admin::{Action, Ask, Precondition, Role};
use keygate::broker::*;
use keygate::identity::{Identity, IssuerSetup};
use keygate_keystore::KeyType;
use keygate_verifier::UnixTime;
use serde_json::{Value, json};

use super::broker::{HOST, House, NOW, Workload, request};
use super::issuer::SigningKey;
use super::keys::{ISSUER, Played, setup};

/// A house that knows the bearers of two issuers: one of all providers, one of `other` alone.
struct Reception {
    house: House,
    key: SigningKey,
    foreign: SigningKey,
}

const FOREIGN: &str = "https://idp.other.example/t/";

fn roles() -> BTreeMap<String, Vec<String>> {
    let all: &[(&str, &[&str])] = &[
        ("Reader", &["attestation-reader"]),
        ("Attestation Contributor", &["attestation-contributor", "attestation-reader"]),
        ("Keys", &["key-user"]),
        ("Officer", &["key-officer"]),
        ("Chief", &["admin"]),
    ];
    all.iter().map(|(value, ours)| ((*value).to_owned(), ours.iter().map(|r| (*r).to_owned()).collect())).collect()
}

impl Reception {
    async fn new() -> Self {
        let (key, foreign) = (SigningKey::new("a"), SigningKey::new("a"));
        let everywhere = IssuerSetup { roles: roles(), ..setup("idp", ISSUER, Played::of(&[&key])) };
        let theirs = IssuerSetup {
            roles: roles(),
            provider: Some("other".to_owned()),
            ..setup("theirs", FOREIGN, Played::of(&[&foreign]))
        };
        let identity = Arc::new(Identity::new(vec![everywhere, theirs], Vec::new()));
        identity.renew(UnixTime::from_secs(NOW)).await;
        let house = House::with_identity(Limits::default(), Arc::new(NoEndorser), identity, |_| ());
        Self { house, key, foreign }
    }

    /// A token with `change` made to sound claims.
    fn token(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = json!({
            "iss": ISSUER, "aud": "https://attest.azure.net", "sub": "ann", "iat": NOW, "nbf": NOW, "exp": NOW + 3_600,
            "roles": ["Keys"],
        });
        change(&mut claims);
        self.key.token(&claims)
    }

    fn caller(&self, token: &str) -> Result<Caller, Code> {
        self.caller_at(HOST, token)
    }

    fn caller_at(&self, host: &str, token: &str) -> Result<Caller, Code> {
        self.house.broker.caller(&self.house.seat_at(host), Some(token)).map_err(|refused| refused.code)
    }

    fn with(&self, change: impl FnOnce(&mut Value)) -> Result<Caller, Code> {
        self.caller(&self.token(change))
    }

    fn roles(&self, values: Value) -> Vec<String> {
        match self.with(|claims| claims["roles"] = values) {
            Ok(Caller::Known { roles, .. }) => roles,
            other => panic!("{other:?}"),
        }
    }

    fn ask(&self, token: &str, action: Action) -> Ask {
        Ask {
            seat: self.house.seat(),
            bearer: Some(token.to_owned().into()),
            action,
            object: String::new(),
            precondition: Precondition::None,
            dry_run: false,
            idempotency: None,
            flaw: None,
        }
    }
}

const REFUSED: Result<Caller, Code> = Err(Code::CredentialInvalid);

#[tokio::test]
async fn a_bearer_has_the_roles_that_its_claims_stand_for() {
    let desk = Reception::new().await;
    let caller = desk.with(|_| ()).unwrap();
    assert_eq!(caller.name(), Some("oidc:idp:ann"));
    assert!(caller.has("key-user") && !caller.has("auditor"));
    assert_eq!(
        desk.roles(json!(["Attestation Contributor", "Reader"])),
        ["attestation-contributor", "attestation-reader"]
    );
    assert_eq!(desk.roles(json!("Attestation Contributor")).len(), 2);
    for nothing in [json!([]), json!(["keys", "KEYS", "Keys "]), json!(["Nobody"]), json!(null), json!({"Keys": true})]
    {
        assert_eq!(desk.roles(nothing), [""; 0]);
    }
    // Our own words are no values of a claim.
    assert_eq!(desk.roles(json!(["key-user", "admin"])), [""; 0]);
}

#[tokio::test]
async fn admin_goes_with_no_other_role() {
    let desk = Reception::new().await;
    assert_eq!(desk.roles(json!(["Chief"])), ["admin"]);
    assert_eq!(desk.roles(json!(["Chief", "Keys"])), ["key-user"]);
}

#[tokio::test]
async fn jwt_26_times_hold_and_an_old_token_is_refused_however_long_it_lives() {
    let desk = Reception::new().await;
    for sound in [NOW, NOW + 60, NOW - 86_400] {
        assert!(desk.with(|claims| (claims["iat"], claims["nbf"]) = (json!(sound), json!(sound))).is_ok(), "{sound}");
    }
    for (name, odd) in [
        ("iat", json!(NOW + 61)),
        ("nbf", json!(NOW + 61)),
        ("iat", json!(NOW - 86_461)),
        ("iat", json!(NOW - 10 * 365 * 86_400)),
        ("iat", json!(null)),
        ("iat", json!("now")),
        ("exp", json!(NOW - 60)),
        ("exp", json!(null)),
        ("exp", json!((NOW + 60).to_string())),
    ] {
        assert_eq!(desk.with(|claims| claims[name] = odd.clone()), REFUSED, "{name} {odd}");
    }
    assert!(desk.with(|claims| claims["exp"] = json!(NOW - 59)).is_ok(), "the leeway");
}

#[tokio::test]
async fn disc_14_an_issuer_whose_clock_is_ahead_is_a_minute_ahead_at_most() {
    let desk = Reception::new().await;
    assert!(desk.with(|claims| claims["iat"] = json!(NOW + 60)).is_ok());
    assert_eq!(desk.with(|claims| claims["iat"] = json!(NOW + 180)), REFUSED);
}

#[tokio::test]
async fn jwt_27_52_the_audience_is_a_member_and_is_there() {
    let desk = Reception::new().await;
    let of = |audience: Value| desk.with(|claims| claims["aud"] = audience);
    assert!(of(json!(["https://else.example", "https://attest.azure.net"])).is_ok());
    for odd in [
        json!([]),
        json!(7),
        json!(null),
        json!("https://attest.azure.net/"),
        json!("https://ATTEST.azure.net"),
        json!("https://kms-b.example"),
        json!(["https://attest.azure.net", 7]),
        json!({"https://attest.azure.net": true}),
    ] {
        assert_eq!(of(odd.clone()), REFUSED, "{odd}");
    }
}

#[tokio::test]
async fn jwt_28_29_the_issuer_is_one_text_byte_for_byte() {
    let desk = Reception::new().await;
    for odd in [
        json!([ISSUER]),
        json!({"iss": ISSUER}),
        json!(null),
        json!("https://idp.example/"),
        json!("https://IDP.example"),
        json!("https://idp.example:443"),
        json!("https://user@idp.example"),
        json!("https://idp%2Eexample"),
        json!("http://idp.example"),
        json!("https://\u{456}dp.example"),
        json!("https://kms.example"),
    ] {
        assert_eq!(desk.with(|claims| claims["iss"] = odd.clone()), REFUSED, "{odd}");
    }
}

#[tokio::test]
async fn a_token_of_one_issuer_is_none_of_another() {
    let desk = Reception::new().await;
    let claims = |issuer: &str| json!({"iss": issuer, "aud": "https://attest.azure.net", "sub": "ann", "iat": NOW, "exp": NOW + 60, "roles": ["Keys"]});
    // Both keys have one `kid`: what counts is whose set they are in.
    assert_eq!(desk.caller_at("other.example", &desk.foreign.token(&claims(ISSUER))), REFUSED);
    assert_eq!(desk.caller_at("other.example", &desk.key.token(&claims(FOREIGN))), REFUSED);
    let known = desk.caller_at("other.example", &desk.foreign.token(&claims(FOREIGN))).unwrap();
    assert_eq!(known.name(), Some("oidc:theirs:ann"));
}

#[tokio::test]
async fn adm_09_who_is_known_to_one_provider_is_nobody_to_the_others() {
    let desk = Reception::new().await;
    let token = desk.foreign.token(&json!({
        "iss": FOREIGN, "aud": "https://attest.azure.net", "sub": "eve", "iat": NOW, "exp": NOW + 60, "roles": ["Officer", "Keys"],
    }));
    assert!(desk.caller_at("other.example", &token).unwrap().has("key-officer"));
    assert_eq!(desk.caller(&token), REFUSED);
    let seat = Seat { provider: desk.house.broker.provider_for(HOST, "/tenant-a/v1").unwrap(), ..desk.house.seat() };
    assert_eq!(desk.house.broker.caller(&seat, Some(&token)).map_err(|e| e.code), REFUSED);
    let refused = desk.house.broker.administer(&desk.ask(&token, Action::KeyList), |_| Ok(())).unwrap_err();
    assert_eq!(refused.code, Code::CredentialInvalid);
}

#[tokio::test]
async fn jwt_43_what_we_issue_is_nobodys_credential() {
    let desk = Reception::new().await;
    let token = desk.house.broker.attest(Workload::new().attest(&desk.house)).await.unwrap().token;
    assert_eq!(desk.caller(&token), REFUSED);
    let refused = desk.house.broker.administer(&desk.ask(&token, Action::KeyList), |_| Ok(())).unwrap_err();
    assert_eq!(refused.code, Code::CredentialInvalid);
    // Also not where an issuer lends it its name and key: the type says what it is for.
    let claims = json!({
        "iss": ISSUER, "aud": "https://attest.azure.net", "sub": "ann", "iat": NOW, "exp": NOW + 60, "roles": ["Keys"],
    });
    let typed = |typ: &str| desk.key.sign(&json!({"alg": "RS256", "typ": typ, "kid": "a"}), &claims);
    assert!(desk.caller(&typed("at+jwt")).is_ok());
    for other in ["keygate-attestation", "keygate-receipt", "keygate-audit-head", "secevent+jwt", "logout+jwt", ""] {
        assert_eq!(desk.caller(&typed(other)), REFUSED, "{other}");
    }
}

#[tokio::test]
async fn a_subject_is_a_plain_name() {
    let desk = Reception::new().await;
    for sound in ["ann", "repo:o/r:environment:My Env", "auth0|1", &"s".repeat(255)] {
        let caller = desk.with(|claims| claims["sub"] = json!(sound)).unwrap();
        assert_eq!(caller.name(), Some(format!("oidc:idp:{sound}").as_str()));
    }
    for odd in [
        json!(""),
        json!(" ann"),
        json!("ann "),
        json!("a\nb"),
        json!("a\u{0}"),
        json!("\u{430}nn"),
        json!(7),
        json!(null),
        json!(["ann"]),
        json!("s".repeat(256)),
    ] {
        assert_eq!(desk.with(|claims| claims["sub"] = odd.clone()), REFUSED, "{odd}");
    }
}

#[tokio::test]
async fn what_is_no_token_is_looked_up_as_a_credential_and_refused_alike() {
    let desk = Reception::new().await;
    for odd in ["", ".", "..", "a.b.c", "kg_", "kg_x.y.z", "eyJhbGciOiJub25lIn0.e30.", &"a.".repeat(100_000)] {
        assert_eq!(desk.caller(odd), REFUSED);
    }
    let unsigned = desk.key.sign(&json!({"alg": "none", "kid": "a"}), &json!({"iss": ISSUER, "sub": "ann"}));
    assert_eq!(desk.caller(&unsigned), REFUSED);
}

#[tokio::test]
async fn an_issuer_that_was_never_reached_is_unavailable_and_its_token_not_invalid() {
    let key = SigningKey::new("a");
    let identity = Arc::new(Identity::new(vec![setup("idp", ISSUER, Played::of(&[&key]))], Vec::new()));
    let house = House::with_identity(Limits::default(), Arc::new(NoEndorser), identity, |_| ());
    let token = key.token(&json!({
        "iss": ISSUER, "aud": "https://attest.azure.net", "sub": "ann", "iat": NOW, "exp": NOW + 60, "roles": ["Reader"],
    }));
    let refused = house.broker.caller(&house.seat(), Some(&token)).unwrap_err();
    assert_eq!((refused.code, refused.retry_after), (Code::CollateralUnavailable, Some(5)));
    house.broker.prepare_caller(&house.seat(), Some(&token)).await;
    assert!(house.broker.caller(&house.seat(), Some(&token)).is_ok());
}

fn wrap(desk: &Reception, caller: &Caller, id: &str) -> KeyRequest {
    let usage = Usage::Wrap { alg: "A256GCM".to_owned(), plaintext: b"secret".to_vec().into(), aad: Vec::new() };
    let mut request = request(&desk.house, "db-key", usage, Proof::None);
    request.caller = caller.clone();
    request.idempotency = IdempotencyKey::parse(id, "/v1/keys/db-key/wrap", b"{}");
    request
}

#[tokio::test]
async fn a_token_that_ended_between_question_and_use_opens_nothing() {
    let desk = Reception::new().await;
    desk.house.key("db-key", KeyType::Oct256, json!({}));
    let caller = desk.with(|claims| claims["exp"] = json!(NOW + 100)).unwrap();
    let aged = desk.with(|claims| claims["iat"] = json!(NOW - 86_400 + 100)).unwrap();
    for caller in [&caller, &aged] {
        desk.house.clock.set(NOW + 159);
        desk.house.broker.use_key(wrap(&desk, caller, "before")).await.unwrap();
        assert_eq!(desk.house.newest("key.use")["caller"], "oidc:idp:ann");
        desk.house.clock.set(NOW + 160);
        let refused = desk.house.broker.use_key(wrap(&desk, caller, "after")).await.unwrap_err();
        assert_eq!(refused.code, Code::CredentialInvalid);
        assert_eq!(desk.house.newest("key.use")["decision"], "deny");
        desk.house.clock.set(NOW);
    }
}

#[tokio::test]
async fn names_of_requests_are_each_callers_own() {
    let desk = Reception::new().await;
    desk.house.key("db-key", KeyType::Oct256, json!({}));
    desk.house.employ("ann");
    let credential = desk.house.broker.caller(&desk.house.seat(), Some(&format!("kg_{:_<43}", "ann"))).unwrap();
    assert_eq!(credential.name(), Some("ann"));
    let (ann, bob) = (desk.with(|_| ()).unwrap(), desk.with(|claims| claims["sub"] = json!("bob")).unwrap());
    let mut seen = Vec::new();
    for caller in [&ann, &bob, &credential] {
        let first = desk.house.broker.use_key(wrap(&desk, caller, "id-1")).await.unwrap();
        let again = desk.house.broker.use_key(wrap(&desk, caller, "id-1")).await.unwrap();
        assert_eq!(first.body["ciphertext"], again.body["ciphertext"]);
        assert!(!seen.contains(&first.body["ciphertext"]));
        seen.push(first.body["ciphertext"].clone());
    }
    assert_eq!((desk.house.records("key.use").len(), desk.house.records("repeat").len()), (3, 3));
}

#[tokio::test]
async fn what_an_operator_asks_for_is_recorded_under_its_name() {
    let desk = Reception::new().await;
    let officer = desk.token(|claims| claims["roles"] = json!(["Officer"]));
    desk.house.broker.administer(&desk.ask(&officer, Action::KeyList), |_| Ok(())).unwrap();
    let record = desk.house.newest("admin");
    assert_eq!((&record["caller"], &record["decision"]), (&json!("oidc:idp:ann"), &json!("permit")));

    let powerless = desk.token(|claims| claims["roles"] = json!([]));
    let refused = desk.house.broker.administer(&desk.ask(&powerless, Action::KeyList), |_| Ok(())).unwrap_err();
    assert_eq!(refused.code, Code::Forbidden);
    let record = desk.house.newest("admin");
    assert_eq!((&record["caller"], &record["decision"]), (&json!("oidc:idp:ann"), &json!("deny")));
}

#[tokio::test]
async fn p46_a_bearer_may_what_its_roles_may_and_nothing_else() {
    let desk = Reception::new().await;
    let token = desk.token(|claims| claims["roles"] = json!(["Officer"]));
    for action in Action::ALL {
        let done = desk.house.broker.administer(&desk.ask(&token, *action), |_| Ok(()));
        let may = action.roles().contains(&Role::KeyOfficer);
        assert_eq!(done.map_err(|refused| refused.code), if may { Ok(()) } else { Err(Code::Forbidden) }, "{action:?}");
    }
}
