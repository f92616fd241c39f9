//! Our verification beside that of `jsonwebtoken`: what we accept, it accepts, with the same claims; what it accepts and we do not
//! is one of our stricter rules, by name.
//!
//! The library's cryptography is a provider on OpenSSL of the tests' own, so that the two share no check.

mod support;
mod tokens;

use std::collections::BTreeMap;

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use keygate_verifier::tokens::{KeySet, TokenFault};
use serde_json::{Value, json};
use support::{Rng, mutations, tried};
use tokens::library::install;
use tokens::{AUDIENCE, ISSUER, NOW, P256, P384, RSA, Signer, check, claims_with, set};

/// What the library makes of a token; times are not its business here, since it reads the clock itself.
fn library(token: &str, signer: &Signer, algorithms: &[Algorithm]) -> Option<Value> {
    install();
    let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(signer.jwk()).unwrap();
    let mut validation = Validation::new(algorithms[0]);
    validation.algorithms = algorithms.to_vec();
    validation.validate_exp = false;
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    jsonwebtoken::decode::<Value>(token, &DecodingKey::from_jwk(&jwk).unwrap(), &validation).ok().map(|t| t.claims)
}

fn keys(signer: &Signer) -> KeySet {
    set(&[signer.jwk()])
}

const SIGNERS: [(&std::sync::LazyLock<Signer>, &[&str], &[Algorithm]); 3] = [
    (
        &RSA,
        &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
        &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512],
    ),
    (&P256, &["ES256"], &[Algorithm::ES256]),
    (&P384, &["ES384"], &[Algorithm::ES384]),
];

/// Compares one token; answers with our stricter rule where the library accepts and we do not.
fn compare(token: &str, signer: &Signer, algorithms: &[Algorithm]) -> Option<TokenFault> {
    let theirs = library(token, signer, algorithms);
    match (check(token, &keys(signer)), theirs) {
        (Ok(ours), Some(theirs)) => {
            assert_eq!(Value::Object(ours.claims), theirs, "{token}");
            None
        }
        (Ok(ours), None) => panic!("we accept what the library does not: {:?} {:?}", ours.header, ours.claims),
        (Err(fault), Some(_)) => Some(fault),
        (Err(_), None) => None,
    }
}

#[test]
fn the_library_accepts_what_we_accept() {
    let headers = [
        json!({}),
        json!({ "kid": null }),
        json!({ "typ": null }),
        json!({ "kid": "other" }),
        json!({ "alg": "none" }),
        json!({ "alg": "HS256" }),
        json!({ "alg": "RS256" }),
        json!({ "alg": "PS256" }),
        json!({ "alg": "ES256" }),
        json!({ "alg": "ES384" }),
        json!({ "crit": ["x"], "x": 1 }),
        json!({ "jku": "https://evil.example" }),
        json!({ "zip": "DEF" }),
    ];
    let bodies = [
        json!({}),
        json!({ "aud": [AUDIENCE, "x"] }),
        json!({ "aud": ["x"] }),
        json!({ "aud": [] }),
        json!({ "aud": null }),
        json!({ "aud": 1 }),
        json!({ "iss": [ISSUER] }),
        json!({ "iss": [ISSUER, "x"] }),
        json!({ "iss": "x" }),
        json!({ "iss": null }),
        json!({ "exp": "x" }),
        json!({ "exp": null }),
        json!({ "exp": NOW.secs() }),
        json!({ "nbf": "x" }),
        json!({ "svn": 9_007_199_254_740_993_u64, "deep": { "a": [1, { "b": null }] } }),
    ];
    let mut stricter: BTreeMap<String, usize> = BTreeMap::new();
    let mut count = 0;
    for (signer, names, algorithms) in SIGNERS {
        for name in names {
            for header in &headers {
                for body in &bodies {
                    let mut changes = json!({ "alg": name });
                    changes.as_object_mut().unwrap().extend(header.as_object().unwrap().clone());
                    let token = signer.sign(&signer.header_with(changes), &claims_with(body.clone()));
                    if let Some(fault) = compare(&token, signer, algorithms) {
                        *stricter.entry(format!("{fault:?}")).or_default() += 1;
                    }
                    count += 1;
                }
            }
        }
    }
    println!("{count} tokens compared; stricter than the library: {stricter:?}");
    for rule in stricter.keys() {
        let known =
            rule.starts_with("Header(") || rule.starts_with("Claim(") || rule == "UnknownKey" || rule == "Issuer";
        assert!(known, "{rule}");
    }
    assert!(stricter.contains_key("UnknownKey"), "the library looks up no names");
}

/// `KEYGATE_FULL=1` tries 200,000.
#[test]
fn the_library_accepts_what_we_accept_of_mutations() {
    let (mut rng, count) = (Rng::new(8_725), mutations(3_000, 200_000));
    let goods: Vec<_> = SIGNERS
        .iter()
        .map(|(signer, names, algorithms)| {
            let header = signer.header_with(json!({ "alg": names[0] }));
            (signer, signer.sign(&header, &claims_with(json!({}))), *algorithms)
        })
        .collect();
    for turn in 0..count {
        let (signer, good, algorithms) = &goods[turn % goods.len()];
        let mutated = rng.mutated(good.as_bytes());
        let token = String::from_utf8_lossy(&mutated);
        assert!(check(&token, &keys(signer)).is_err() || token == *good, "turn {turn}: {token}");
        assert_eq!(compare(&token, signer, algorithms), None, "turn {turn}: {token}");
    }
    tried("mutations beside the library", count);
}
