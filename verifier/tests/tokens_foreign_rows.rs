//! Tokens as evidence: for every family a good token, and its twin in which one thing is wrong. Bad inputs, section 1.

mod tokens;

use keygate_verifier::tokens::{Profile, TokenBinding, TokenFault};
use keygate_verifier::{BoundKey, UnixTime};
use serde_json::{Value, json};
use tokens::foreign::{BIND, DECOY, Family, TEE, asked, recipient};
use tokens::{AUDIENCE, NOW, b64, hs256, set};

/// Families whose tokens have a place for our nonce.
fn with_nonce() -> impl Iterator<Item = Family> {
    Family::all().filter(|family| family.profile != Profile::Oidc)
}

#[test]
fn a_good_token_of_every_family_is_fresh_and_bound() {
    let tee = recipient(&TEE);
    for family in with_nonce() {
        let found = family.changed(&[]).unwrap_or_else(|fault| panic!("{:?}: {fault}", family.profile));
        assert!(found.is_fresh() && !found.is_debug(), "{:?}", family.profile);
        assert_eq!(found.is_companion(), family.profile == Profile::NvidiaNras);
        let bound = if found.is_companion() { BoundKey::Absent } else { BoundKey::Present(tee.clone()) };
        assert_eq!(found.bound_key(), &bound, "{:?}", family.profile);
        assert_eq!((found.issuer(), found.issuer_name()), (family.issuer, "configured"));
        assert_eq!(found.claims()["iss"], family.issuer);
        let keygate = &found.claims()["keygate"];
        assert_eq!(keygate["profile"], family.profile.as_str());
        assert_eq!((&keygate["debug"], &keygate["tee"]["debug"]), (&json!(false), &json!(false)));
        assert_eq!(keygate["issued_at"], NOW.secs() - 10);
        assert_eq!(found.expires(), NOW.plus(290));
        assert_eq!(found.signer().len(), 43);
    }
}

#[test]
fn a_generic_token_is_never_fresh() {
    let family = Family::of(Profile::Oidc);
    let tee = recipient(&TEE);
    let found = family.changed(&[]).unwrap();
    assert_eq!((found.is_fresh(), found.bound_key()), (false, &BoundKey::Present(tee.clone())));
    for place in ["/nonce", "/eat_nonce", "/jti"] {
        let token = family.token(&family.claims_with(&[(place, json!(b64(BIND)))]));
        assert_eq!(family.judge(&token, &family.keys(), &asked(&tee)).unwrap_err(), TokenFault::Freshness);
    }
}

#[test]
fn jwt_52_a_nonce_of_another_request_and_none_are_refused() {
    let tee = recipient(&TEE);
    for family in with_nonce() {
        let token = family.token(&family.claims());
        let other = TokenBinding::Nonce { bind: &[0x5b; 32], recipient: &tee };
        let refused = family.judge(&token, &family.keys(), &other).unwrap_err();
        assert_eq!((&refused, refused.code()), (&TokenFault::Freshness, "freshness-failed"), "{:?}", family.profile);
        // Without our challenge nothing is asked, and nothing is called fresh.
        let unbound = family.judge(&token, &family.keys(), &TokenBinding::Unbound).unwrap();
        assert!(!unbound.is_fresh());
        assert!(unbound.claims()["keygate"].get("nonce").is_none());
    }
}

#[test]
fn jwt_52_a_token_for_another_audience_is_refused() {
    for family in Family::all() {
        let refused = family.changed(&[("/aud", json!("https://other.example"))]).unwrap_err();
        assert_eq!(refused, TokenFault::Audience, "{:?}", family.profile);
        let refused = family.changed(&[("/aud", json!({ "a": AUDIENCE }))]).unwrap_err();
        assert_eq!(refused, TokenFault::Claim("aud"), "{:?}", family.profile);
        assert!(family.changed(&[("/aud", json!(["x", AUDIENCE]))]).is_ok(), "{:?}", family.profile);
    }
    for profile in [Profile::GoogleConfidentialSpace, Profile::Oidc] {
        assert_eq!(Family::of(profile).changed(&[("/aud", Value::Null)]).unwrap_err(), TokenFault::Claim("aud"));
    }
    let google = Family::of(Profile::GoogleConfidentialSpace);
    assert_eq!(google.changed(&[("/aud", json!("https://sts.googleapis.com"))]).unwrap_err(), TokenFault::Audience);
}

#[test]
fn jwt_28_29_an_issuer_that_only_looks_alike_is_refused() {
    for family in Family::all() {
        let good = family.issuer;
        for iss in [
            json!(format!("{good}/")),
            json!(good.to_uppercase()),
            json!(format!("{good}:443")),
            json!(good.replace("https://", "https://good@")),
            json!(good.replace("nras.attestation", "nras.attestation-stg").replace("https://", "https://test.")),
            json!([good]),
            json!(1),
            json!(""),
        ] {
            let refused = family.changed(&[("/iss", iss.clone())]).unwrap_err();
            assert_eq!(refused, TokenFault::Issuer, "{:?}: {iss}", family.profile);
        }
        let without = family.changed(&[("/iss", Value::Null)]);
        match family.profile {
            Profile::Ear => assert_eq!(without.unwrap().claims()["iss"], good),
            _ => assert_eq!(without.unwrap_err(), TokenFault::Claim("iss")),
        }
    }
}

#[test]
fn a_products_name_stands_for_its_configured_issuer_and_for_no_other() {
    let names = [(Profile::IntelTrustAuthority, "Intel Trust Authority"), (Profile::Ear, "CoCo-Attestation-Service")];
    for family in Family::all() {
        for (profile, name) in names {
            let found = family.changed(&[("/iss", json!(name))]);
            if family.profile == profile {
                let found = found.unwrap();
                assert_eq!((found.issuer(), &found.claims()["iss"]), (family.issuer, &json!(name)));
                assert_eq!(found.claims()["keygate"]["issuer"], family.issuer);
            } else {
                assert_eq!(found.unwrap_err(), TokenFault::Issuer, "{:?}", family.profile);
            }
        }
    }
}

#[test]
fn jwt_14_the_same_kid_with_another_key_is_refused() {
    let tee = recipient(&TEE);
    for family in with_nonce() {
        let kid = family.header()["kid"].clone();
        let others = set(&[family.impostor.jwk_with(json!({ "kid": kid }))]);
        let token = family.token(&family.claims());
        assert_eq!(family.judge(&token, &others, &asked(&tee)).unwrap_err(), TokenFault::Signature);
        let forged = family.signed(family.impostor, &family.header(), &family.claims());
        assert_eq!(family.judge(&forged, &family.keys(), &asked(&tee)).unwrap_err(), TokenFault::Signature);
        let empty = set(&[]);
        assert!(family.judge(&token, &empty, &asked(&tee)).unwrap_err().is_unknown_key());
    }
}

#[test]
fn jwt_01_02_03_only_the_algorithms_of_the_family() {
    let tee = recipient(&TEE);
    for family in with_nonce() {
        for alg in ["none", "None", "HS256", "ES512", "PS512", "EdDSA", "Ed25519", "eddsa", "RS1"] {
            // Attestation results are signed so too, and then the key must be of that type.
            let other_key = family.profile == Profile::Ear && alg == "EdDSA";
            let mut header = family.header();
            header["alg"] = json!(alg);
            let token = family.signed(family.signer, &header, &family.claims());
            let refused = family.judge(&token, &family.keys(), &asked(&tee)).unwrap_err();
            let expected = if other_key { TokenFault::WrongKey } else { TokenFault::Algorithm };
            assert_eq!(refused, expected, "{:?}: {alg}", family.profile);
        }
        let der = family.signer.key.public_key_to_pem().unwrap();
        let mut header = family.header();
        header["alg"] = json!("HS256");
        let mac = hs256(&der, &header, &family.claims());
        assert!(family.judge(&mac, &family.keys(), &asked(&tee)).is_err());
    }
}

#[test]
fn jwt_06_07_09_no_token_brings_its_key() {
    let tee = recipient(&TEE);
    for family in with_nonce() {
        let own = family.impostor.jwk_with(json!({ "kid": null }));
        for (name, value) in
            [("jwk", own.clone()), ("jku", json!("https://evil.example/certs")), ("x5u", json!("file:///etc/key.pem"))]
        {
            let mut header = family.header();
            header[name] = value;
            let token = family.signed(family.impostor, &header, &family.claims());
            let refused = family.judge(&token, &family.keys(), &asked(&tee)).unwrap_err();
            assert_eq!(refused.code(), "token-invalid", "{:?}: {name}: {refused}", family.profile);
            header.as_object_mut().unwrap().remove("kid");
            let token = family.signed(family.impostor, &header, &family.claims());
            let refused = family.judge(&token, &family.keys(), &asked(&tee)).unwrap_err();
            assert_eq!(refused.code(), "token-invalid", "{:?}: {name}: {refused}", family.profile);
        }
    }
}

#[test]
fn jwt_43_a_token_of_another_type_is_refused() {
    let tee = recipient(&TEE);
    for family in with_nonce() {
        for typ in [json!("keygate-attestation"), json!("at+jwt"), json!("JWT "), json!(["JWT"]), json!(1)] {
            let mut header = family.header();
            header["typ"] = typ.clone();
            let token = family.signed(family.signer, &header, &family.claims());
            let refused = family.judge(&token, &family.keys(), &asked(&tee)).unwrap_err();
            assert_eq!(refused, TokenFault::Type, "{:?}: {typ}", family.profile);
        }
    }
}

#[test]
fn jwt_25_26_times_are_held_and_an_old_token_with_a_long_end_is_refused() {
    let in_ten_years = NOW.secs() + 315_360_000;
    for family in Family::all() {
        for (changes, fault) in [
            (vec![("/exp", json!(NOW.secs() - 60))], TokenFault::Expired),
            (vec![("/iat", json!(NOW.secs() + 61))], TokenFault::NotYetValid),
            (vec![("/nbf", json!(NOW.secs() + 61))], TokenFault::NotYetValid),
            (vec![("/iat", json!(NOW.secs() - 315_360_000)), ("/exp", json!(in_ten_years))], TokenFault::TooOld),
            (vec![("/exp", Value::Null)], TokenFault::Claim("exp")),
            (vec![("/exp", json!(in_ten_years.to_string()))], TokenFault::Claim("exp")),
            (vec![("/exp", json!(1.8e9))], TokenFault::Claim("exp")),
            (vec![("/exp", json!(-1))], TokenFault::Claim("exp")),
            (vec![("/iat", Value::Null)], TokenFault::Claim("iat")),
            (vec![("/iat", json!("now"))], TokenFault::Claim("iat")),
        ] {
            let refused = family.changed(&changes).unwrap_err();
            assert_eq!(refused, fault, "{:?}: {changes:?}", family.profile);
        }
        assert!(family.changed(&[("/exp", json!(NOW.secs() - 59))]).is_ok(), "{:?}", family.profile);
    }
}

#[test]
fn jwt_50_nobody_writes_where_our_conclusions_stand() {
    for family in Family::all() {
        for value in [json!({}), json!({ "debug": false }), json!(1), json!("")] {
            let refused = family.changed(&[("/keygate", value)]).unwrap_err();
            assert!(matches!(refused, TokenFault::Profile(_)), "{:?}: {refused}", family.profile);
        }
    }
}

/// A token of one family says nothing to another, even under the same issuer and key.
#[test]
fn jwt_44_a_token_of_another_product_is_refused() {
    let tee = recipient(&TEE);
    for family in with_nonce() {
        for other in with_nonce().filter(|other| other.profile != family.profile) {
            let mut claims = other.claims();
            claims["iss"] = json!(family.issuer);
            claims["aud"] = json!(AUDIENCE);
            let token = family.signer.sign(&family.header(), &claims);
            let refused = family.judge(&token, &family.keys(), &asked(&tee));
            assert!(refused.is_err(), "{:?} took a token of {:?}", family.profile, other.profile);
        }
        // What an identity provider of the same company signs.
        let claims = json!({ "iss": family.issuer, "aud": AUDIENCE, "sub": "service-account", "iat": NOW.secs(),
            "exp": NOW.secs() + 60 });
        let token = family.signer.sign(&family.header(), &claims);
        assert_eq!(
            family.judge(&token, &family.keys(), &TokenBinding::Unbound).unwrap_err().code(),
            if family.profile == Profile::NvidiaNras { "malformed" } else { "token-invalid" }
        );
    }
}

#[test]
fn a_key_in_the_token_that_is_not_the_recipient_is_refused() {
    let decoy = recipient(&DECOY);
    for profile in [Profile::Maa, Profile::IntelTrustAuthority, Profile::Ear] {
        let family = Family::of(profile);
        let token = family.token(&family.claims());
        let refused = family.judge(&token, &family.keys(), &asked(&decoy)).unwrap_err();
        assert!(matches!(refused, TokenFault::Binding(_)), "{profile:?}: {refused}");
        assert_eq!(refused.code(), "binding-mismatch");
    }
    // Google's tokens have no key: the nonce alone holds the recipient, and a recipient without it is nobody.
    let google = Family::of(Profile::GoogleConfidentialSpace);
    let token = google.token(&google.claims());
    let unbound = google.judge(&token, &google.keys(), &TokenBinding::Unbound).unwrap();
    assert_eq!(unbound.bound_key(), &BoundKey::Absent);
}

#[test]
fn one_changed_character_anywhere_is_refused() {
    let tee = recipient(&TEE);
    for family in with_nonce() {
        let token = family.token(&family.claims());
        for at in (0..token.len()).step_by(7) {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(family.judge(&changed, &family.keys(), &asked(&tee)).is_err(), "{:?}: {at}", family.profile);
        }
    }
}

#[test]
fn a_token_of_the_future_is_refused_at_every_time_before() {
    let family = Family::of(Profile::Maa);
    let token = family.token(&family.claims());
    for now in [UnixTime::from_secs(0), NOW.plus(-71), NOW.plus(350), UnixTime::FOREVER] {
        assert!(family.judge_at(&token, &family.keys(), &TokenBinding::Unbound, now).is_err(), "{now}");
    }
}
