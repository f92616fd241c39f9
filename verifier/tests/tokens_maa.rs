//! Tokens of an Azure-style service under a made-up key: what its relying party looks at beside a JWT's own rules. Bad inputs,
//! rows JWT-06 to JWT-09, JWT-12 and JWT-43.

mod tokens;

use keygate_verifier::tokens::{JwsAlgorithm, KeySet, TokenFault, maa_kid, verify_jws, verify_maa};
use serde_json::{Value, json};
use tokens::certificates::Says;
use tokens::{ISSUER, NOW, OTHER_RSA, P256, RSA, Signer, claims_with, set};

fn kid(signer: &Signer) -> String {
    maa_kid(&signer.key.public_key_to_der().unwrap())
}

/// The service's own certificate may issue nothing.
fn certificate(signer: &Signer) -> Says<'_> {
    Says { ca: Some(false), ..Says::own(ISSUER, &signer.key) }
}

fn keys_of(says: &Says<'_>, kid: &str) -> KeySet {
    set(&[json!({ "x5c": [says.x5c()], "kid": kid, "kty": "RSA" })])
}

fn keys() -> KeySet {
    keys_of(&certificate(&RSA), &kid(&RSA))
}

fn header() -> Value {
    json!({ "alg": "RS256", "jku": format!("{ISSUER}/certs"), "kid": kid(&RSA), "typ": "JWT" })
}

fn token(changes: Value) -> String {
    let mut header = header();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(header.as_object_mut().unwrap().remove(name)),
            _ => header[name] = value.clone(),
        }
    }
    RSA.sign(&header, &claims_with(json!({ "aud": null, "x-ms-ver": "1.0" })))
}

fn verify(token: &str, keys: &KeySet) -> Result<(), TokenFault> {
    verify_maa(token, keys, ISSUER, NOW).map(|jwt| assert_eq!(jwt.claims["x-ms-ver"], "1.0"))
}

#[test]
fn jwt_07_08_jku_is_the_issuers_or_absent() {
    assert_eq!(verify(&token(json!({})), &keys()), Ok(()));
    assert_eq!(verify(&token(json!({ "jku": null })), &keys()), Ok(()));
    for jku in [
        json!("https://evil.example/certs"),
        json!("https://issuer.example@evil.example/certs"),
        json!("https://issuer.example.evil.example/certs"),
        json!("https://issuer.example/certs/"),
        json!("https://issuer.example/certs?x"),
        json!("https://issuer.example//certs"),
        json!("https://ISSUER.example/certs"),
        json!("https://issuer.example/certs/certs"),
        json!("https://issuer.example"),
        json!(["https://issuer.example/certs"]),
        json!(""),
    ] {
        assert!(matches!(verify(&token(json!({ "jku": jku })), &keys()), Err(TokenFault::Header(_))), "{jku}");
    }
}

#[test]
fn jwt_06_43_the_header_is_of_an_attestation_token() {
    for typ in [json!(null), json!("at+jwt"), json!(1)] {
        assert_eq!(verify(&token(json!({ "typ": typ })), &keys()), Err(TokenFault::Type), "{typ}");
    }
    for alg in ["RS384", "RS512", "PS256", "none", "RSA256"] {
        assert_eq!(verify(&token(json!({ "alg": alg })), &keys()), Err(TokenFault::Algorithm), "{alg}");
    }
    assert!(matches!(verify(&token(json!({ "jwk": RSA.jwk() })), &keys()), Err(TokenFault::Header(_))));
    assert!(matches!(verify(&token(json!({ "kid": null })), &keys()), Err(TokenFault::Header(_))));
    assert_eq!(verify(&token(json!({ "kid": "other" })), &keys()), Err(TokenFault::UnknownKey));
    // The same key set carries an ES256 token no further.
    let ec = set(&[P256.jwk(), json!({ "x5c": [certificate(&RSA).x5c()], "kid": kid(&RSA), "kty": "RSA" })]);
    let es256 = P256.token(&claims_with(json!({ "x-ms-ver": "1.0" })));
    assert!(verify_jws(&es256, &ec, &[JwsAlgorithm::ES256]).is_ok());
    assert_eq!(verify(&es256, &ec), Err(TokenFault::Algorithm));
}

#[test]
fn jwt_12_the_certificate_is_the_issuers_own_and_in_force() {
    let good = token(json!({}));
    let refused = |says: Says<'_>| {
        let outcome = verify(&good, &keys_of(&says, &kid(&RSA)));
        assert!(matches!(outcome, Err(TokenFault::Certificate(_))), "{} by {}: {outcome:?}", says.subject, says.issuer);
    };
    let other = "https://other.example";
    refused(Says { subject: other, issuer: other, ..certificate(&RSA) });
    refused(Says { subject: other, ..certificate(&RSA) });
    refused(Says { issuer: other, ..certificate(&RSA) });
    refused(Says { subject: "https://issuer.example/", issuer: "https://issuer.example/", ..certificate(&RSA) });
    refused(Says {
        subject: "https://issuer.example|unit",
        issuer: "https://issuer.example|unit",
        ..certificate(&RSA)
    });
    refused(Says { signed_by: &OTHER_RSA.key, ..certificate(&RSA) });
    refused(Says { valid: (NOW.secs() + 1, NOW.secs() + 100), ..certificate(&RSA) });
    refused(Says { valid: (NOW.secs() - 100, NOW.secs() - 1), ..certificate(&RSA) });
    assert_eq!(
        verify(&good, &keys_of(&Says { valid: (NOW.secs(), NOW.secs()), ..certificate(&RSA) }, &kid(&RSA))),
        Ok(())
    );
    // Numbers without a certificate say nothing about whose key it is.
    let bare = set(&[RSA.jwk_with(json!({ "kid": kid(&RSA) }))]);
    assert!(matches!(verify(&good, &bare), Err(TokenFault::Certificate(_))));
    let both = set(&[RSA.jwk_with(json!({ "kid": kid(&RSA), "x5c": [certificate(&RSA).x5c()] }))]);
    assert_eq!(verify(&good, &both), Ok(()));
}

#[test]
fn the_kid_follows_from_the_key() {
    let named = |name: &str| verify(&token(json!({ "kid": name })), &keys_of(&certificate(&RSA), name));
    assert_eq!(named(&kid(&RSA)), Ok(()));
    for other in [kid(&OTHER_RSA).as_str(), "rsa-1", kid(&RSA).trim_end_matches('='), ""] {
        assert!(matches!(named(other), Err(TokenFault::Certificate(_))), "{other}");
    }
}

/// A certificate as large as those that carry evidence.
#[test]
fn a_certificate_may_carry_the_evidence_of_its_service() {
    let filled = |bytes: usize| {
        let certificate = openssl::x509::X509::from_der(&certificate(&RSA).der()).unwrap();
        let mut builder = openssl::x509::X509::builder().unwrap();
        builder.set_version(2).unwrap();
        builder.set_serial_number(certificate.serial_number()).unwrap();
        builder.set_subject_name(certificate.subject_name()).unwrap();
        builder.set_issuer_name(certificate.issuer_name()).unwrap();
        builder.set_not_before(certificate.not_before()).unwrap();
        builder.set_not_after(certificate.not_after()).unwrap();
        builder.set_pubkey(&RSA.key).unwrap();
        let id = openssl::asn1::Asn1Object::from_str("1.3.6.1.4.1.311.105.1000.1").unwrap();
        let value = openssl::asn1::Asn1OctetString::new_from_bytes(&vec![b'e'; bytes]).unwrap();
        builder.append_extension(openssl::x509::X509Extension::new_from_der(&id, false, &value).unwrap()).unwrap();
        builder.sign(&RSA.key, openssl::hash::MessageDigest::sha256()).unwrap();
        let x5c = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, builder.build().to_der().unwrap());
        set(&[json!({ "x5c": [x5c], "kid": kid(&RSA), "kty": "RSA" })])
    };
    assert_eq!(verify(&token(json!({})), &filled(40_000)), Ok(()));
    assert!(filled(70_000).is_empty());
}
