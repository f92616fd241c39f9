//! Tokens that bring their certificates (Google's PKI tokens, EAR) count under a root pinned for their issuer, and under nothing
//! else. Rows JWT-06, JWT-10, JWT-11 and JWT-12.

mod tokens;

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keygate_verifier::UnixTime;
use keygate_verifier::tokens::{
    Foreign, Issuer, KeySet, Profile, TokenBinding, TokenFault, TokenRoots, verify_foreign,
};
use serde_json::{Value, json};
use tokens::certificates::Says;
use tokens::foreign::Family;
use tokens::{AUDIENCE, NOW, OTHER_P256, OTHER_RSA, P256, RSA, Signer, set};

/// The key between.
static MIDDLE: LazyLock<Signer> = LazyLock::new(|| Signer::ec("middle", "ES256"));

/// Leaf, intermediate and root over these keys.
struct Chain {
    leaf: String,
    middle: String,
    root: String,
    pinned: TokenRoots,
}

fn leaf(signer: &Signer, change: impl Fn(&mut Says<'_>)) -> String {
    let mut says =
        Says { subject: "leaf", issuer: "middle", signed_by: &MIDDLE.key, ca: None, ..Says::own("", &signer.key) };
    change(&mut says);
    says.x5c()
}

fn middle(ca: Option<bool>) -> String {
    Says { subject: "middle", issuer: "root", signed_by: &OTHER_P256.key, ca, ..Says::own("", &MIDDLE.key) }.x5c()
}

fn chain(signer: &Signer) -> Chain {
    let root = Says::own("root", &OTHER_P256.key).der();
    Chain {
        leaf: leaf(signer, |_| {}),
        middle: middle(Some(true)),
        root: STANDARD.encode(&root),
        pinned: TokenRoots::parse(&root).unwrap(),
    }
}

fn judge(
    family: &Family,
    token: &str,
    keys: &KeySet,
    roots: &TokenRoots,
    now: UnixTime,
) -> Result<Foreign, TokenFault> {
    let issuer = Issuer {
        name: "configured",
        issuer: family.issuer,
        profile: family.profile,
        keys,
        roots,
        audiences: &[AUDIENCE],
        max_age: None,
        is_keygate: false,
    };
    verify_foreign(token, &issuer, &TokenBinding::Unbound, now)
}

/// A token of the family whose header has these members and no `kid`.
fn token(family: &Family, members: Value) -> String {
    let mut header = family.header();
    header.as_object_mut().unwrap().remove("kid");
    header.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    family.signed(family.signer, &header, &family.claims())
}

fn google() -> Family {
    Family::of(Profile::GoogleConfidentialSpace)
}

#[test]
fn jwt_10_11_a_chain_counts_under_the_pinned_root_whole_and_in_order() {
    let none = set(&[]);
    for family in [google(), Family::of(Profile::Ear)] {
        let Chain { leaf, middle, root, pinned } = chain(family.signer);
        let with = |x5c: &[&String]| judge(&family, &token(&family, json!({ "x5c": x5c })), &none, &pinned, NOW);
        with(&[&leaf, &middle, &root]).unwrap_or_else(|fault| panic!("{:?}: {fault}", family.profile));
        assert!(with(&[&leaf, &middle]).is_ok(), "the root is ours anyway");
        let stranger = Says::own("root", &OTHER_RSA.key).x5c();
        for (what, x5c) in [
            ("incomplete", vec![&leaf]),
            ("incomplete", vec![&leaf, &root]),
            ("out of order", vec![&leaf, &root, &middle]),
            ("not the signer first", vec![&middle, &leaf, &root]),
            ("the root twice", vec![&leaf, &middle, &root, &root]),
            ("one twice", vec![&leaf, &middle, &middle, &root]),
            ("an unrelated one", vec![&leaf, &middle, &root, &stranger]),
            ("another root of that name", vec![&leaf, &middle, &stranger]),
            ("a root alone", vec![&root]),
            ("nothing", vec![]),
        ] {
            let refused = with(&x5c).unwrap_err();
            assert!(matches!(refused, TokenFault::Certificate(_)), "{:?}: {what}: {refused}", family.profile);
        }
        // The same chain where no root, or another, is pinned.
        let sent = token(&family, json!({ "x5c": [leaf, middle, root] }));
        let other = TokenRoots::parse(&Says::own("root", &OTHER_RSA.key).der()).unwrap();
        assert!(judge(&family, &sent, &none, &TokenRoots::none(), NOW).is_err());
        assert!(judge(&family, &sent, &none, &other, NOW).is_err());
        // A set of keys with the leaf's key does not stand in for the root.
        assert!(judge(&family, &sent, &family.keys(), &other, NOW).is_err());
        // Certificates end.
        assert!(judge(&family, &sent, &none, &pinned, UnixTime::from_secs(1_800_000_001)).is_err());
    }
}

#[test]
fn jwt_12_a_leaf_that_may_issue_or_signed_itself_is_refused() {
    let none = set(&[]);
    let family = google();
    let Chain { middle: between, root, pinned, .. } = chain(family.signer);
    let with = |leaf: String, between: &String| {
        judge(&family, &token(&family, json!({ "x5c": [leaf, between, root] })), &none, &pinned, NOW)
    };
    assert!(with(leaf(family.signer, |_| {}), &between).is_ok());
    assert!(with(leaf(family.signer, |says| says.ca = Some(true)), &between).is_err(), "an authority");
    assert!(with(leaf(family.signer, |says| says.signed_by = &RSA.key), &between).is_err(), "signed by itself");
    assert!(with(leaf(family.signer, |says| says.issuer = "other"), &between).is_err(), "of another issuer");
    assert!(with(leaf(family.signer, |says| says.valid = (1_700_000_000, NOW.secs() - 1)), &between).is_err(), "ended");
    assert!(with(leaf(family.signer, |says| says.valid = (NOW.secs() + 1, 1_800_000_000)), &between).is_err(), "early");
    assert!(with(leaf(family.signer, |_| {}), &middle(None)).is_err(), "between: no authority");
    assert!(with(leaf(&OTHER_RSA, |_| {}), &between).is_err(), "another key");
    assert!(with(leaf(&P256, |_| {}), &between).is_err(), "a key of another type");
    let itself = Says::own("root", &RSA.key).x5c();
    let alone = token(&family, json!({ "x5c": [itself] }));
    assert!(judge(&family, &alone, &none, &pinned, NOW).is_err());
    // Azure's profile never takes a certificate, whatever is pinned.
    let azure = Family::of(Profile::Maa);
    let sent = token(&azure, json!({ "x5c": [leaf(azure.signer, |_| {}), between, root] }));
    assert!(judge(&azure, &sent, &none, &pinned, NOW).is_err());
}

#[test]
fn jwt_06_10_the_key_in_an_ear_header_is_a_name_and_no_key() {
    let none = set(&[]);
    let ear = Family::of(Profile::Ear);
    let Chain { leaf, middle, root, pinned } = chain(ear.signer);
    let own = || ear.signer.jwk_with(json!({ "kid": null, "alg": "ES256" }));
    let held = || set(&[ear.signer.jwk_with(json!({ "kid": null })), OTHER_P256.jwk_with(json!({ "kid": null }))]);
    let plain = token(&ear, json!({ "jwk": own() }));
    assert!(judge(&ear, &plain, &held(), &TokenRoots::none(), NOW).is_ok(), "the same key is held");
    let other = set(&[OTHER_P256.jwk()]);
    let refused = judge(&ear, &plain, &other, &TokenRoots::none(), NOW).unwrap_err();
    assert!(refused.is_unknown_key());
    assert!(judge(&ear, &plain, &none, &pinned, NOW).unwrap_err().is_unknown_key(), "no chain");
    // Trustee puts the chain into the key.
    let mut endorsed = own();
    endorsed["x5c"] = json!([leaf, middle, root]);
    assert!(judge(&ear, &token(&ear, json!({ "jwk": endorsed })), &none, &pinned, NOW).is_ok());
    assert!(judge(&ear, &token(&ear, json!({ "jwk": endorsed })), &none, &TokenRoots::none(), NOW).is_err());
    // The key and the certificate are two.
    let two = token(&ear, json!({ "jwk": OTHER_P256.jwk_with(json!({"kid": null})), "x5c": [leaf, middle, root] }));
    assert!(judge(&ear, &two, &none, &pinned, NOW).is_err());
    assert!(judge(&ear, &two, &held(), &pinned, NOW).is_err());
    for bad in [json!(1), json!({}), json!({ "kty": "oct", "k": "AA" }), ear.signer.jwk_with(json!({ "d": "AA" }))] {
        assert!(judge(&ear, &token(&ear, json!({ "jwk": bad })), &held(), &TokenRoots::none(), NOW).is_err(), "{bad}");
    }
    // A token that names no key is not tried with several.
    let bare = token(&ear, json!({}));
    assert_eq!(judge(&ear, &bare, &held(), &TokenRoots::none(), NOW).unwrap_err(), TokenFault::TooManyKeys);
    assert!(judge(&ear, &bare, &ear.keys(), &TokenRoots::none(), NOW).is_ok());
}

#[test]
fn only_self_signed_authorities_are_pinned() {
    let root = Says::own("root", &OTHER_P256.key);
    let pem = openssl::x509::X509::from_der(&root.der()).unwrap().to_pem().unwrap();
    assert!(!TokenRoots::parse(&pem).unwrap().is_empty());
    assert!(!TokenRoots::parse(&[pem.clone(), pem].concat()).unwrap().is_empty());
    let no_ca = Says { ca: None, ..Says::own("root", &OTHER_P256.key) };
    let forged = Says { signed_by: &P256.key, ..Says::own("root", &OTHER_P256.key) };
    for bad in [no_ca.der(), forged.der(), Vec::new(), b"-----BEGIN".to_vec(), vec![0x30; 20_000]] {
        assert!(TokenRoots::parse(&bad).is_err());
    }
    assert!(TokenRoots::none().is_empty() && TokenRoots::default().is_empty());
}
