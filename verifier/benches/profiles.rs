//! What a token of every family costs, key set parsed before (`warm`) and parsed anew (`cold`), beside the bare signature check and
//! beside `jsonwebtoken` on the same OpenSSL. Performance floors, section 8 (T7).
//!
//! The library is given its key and the claims as JSON, and looks at issuer and audience where the family has them: no times, no key
//! by name, no profile, no claims of ours. A bundle of NRAS is two tokens, for every column.

#![allow(missing_docs)]

#[path = "../../tests/benches/rounds.rs"]
mod rounds;
#[path = "../tests/tokens/mod.rs"]
mod tokens;

use std::hint::black_box;

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use keygate_verifier::tokens::{KeySet, Profile, TokenBinding};
use openssl::bn::{BigNum, BigNumRef};
use openssl::ec::EcKey;
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::{Padding, Rsa};
use openssl::sign::{RsaPssSaltlen, Verifier};
use rounds::Rounds;
use serde_json::{Value, json};
use tokens::foreign::{Family, asked, bundle, digest, recipient};
use tokens::library::install;
use tokens::{AUDIENCE, Signer};

/// The good tokens that one piece of evidence of this family has: one, or two in a bundle; and the text that is sent.
fn sent(family: &Family) -> (Vec<String>, String) {
    if family.profile != Profile::NvidiaNras {
        let token = family.signer.sign(&family.header(), &family.claims());
        return (vec![token.clone()], token);
    }
    let device = family.device(&[]);
    let claims = family.claims_with(&[("/submods", json!({ "GPU-0": digest(&device) }))]);
    let overall = family.signer.sign(&family.header(), &claims);
    let text = bundle(&overall, &[("GPU-0", &device)]);
    (vec![overall, device], text)
}

/// The signature check alone, with a key and a signature that were read before.
fn bare(signer: &Signer, alg: &str, token: &str) -> Box<dyn Fn()> {
    let (message, _) = token.rsplit_once('.').expect("three segments");
    let message = message.as_bytes().to_vec();
    let signature = signer.signature(alg, &message);
    let digest = match alg.get(2..) {
        Some("384") => MessageDigest::sha384(),
        _ => MessageDigest::sha256(),
    };
    if let Ok(key) = signer.key.ec_key() {
        let public = EcKey::from_public_key(key.group(), key.public_key()).expect("openssl");
        let (r, s) = signature.split_at(signature.len() / 2);
        let number = |bytes: &[u8]| BigNum::from_slice(bytes).expect("openssl");
        let signature = EcdsaSig::from_private_components(number(r), number(s)).expect("openssl");
        return Box::new(move || {
            let hashed = openssl::hash::hash(digest, &message).expect("openssl");
            assert!(signature.verify(&hashed, &public).expect("openssl"));
        });
    }
    let key = signer.key.rsa().expect("an rsa key");
    let number = |n: &BigNumRef| n.to_owned().expect("openssl");
    let public = Rsa::from_public_components(number(key.n()), number(key.e())).expect("openssl");
    let public = PKey::from_rsa(public).expect("openssl");
    let is_pss = alg.starts_with("PS");
    Box::new(move || {
        let mut verifier = Verifier::new(digest, &public).expect("openssl");
        if is_pss {
            verifier.set_rsa_padding(Padding::PKCS1_PSS).expect("openssl");
            verifier.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH).expect("openssl");
        }
        assert!(verifier.verify_oneshot(&signature, &message).expect("openssl"));
    })
}

/// What the library does with the family's tokens, its key read before.
fn library(family: &Family, tokens: Vec<String>) -> impl Fn() + use<> {
    let algorithm: Algorithm = family.alg.parse().expect("an algorithm");
    let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(family.signer.jwk()).expect("a key");
    let key = DecodingKey::from_jwk(&jwk).expect("a key");
    let mut validation = Validation::new(algorithm);
    // It reads the clock itself, and the tokens are of a day of the tests.
    validation.validate_exp = false;
    validation.required_spec_claims.clear();
    validation.set_issuer(&[family.issuer]);
    match family.claims().get("aud") {
        Some(_) => validation.set_audience(&[AUDIENCE]),
        None => validation.validate_aud = false,
    }
    move || {
        for token in &tokens {
            black_box(jsonwebtoken::decode::<Value>(black_box(token), &key, &validation).expect("it holds"));
        }
    }
}

fn main() {
    install();
    let mut rounds = Rounds::new();
    let workload: &'static _ = Box::leak(Box::new(recipient(&tokens::foreign::TEE)));
    for family in Family::all() {
        let name = family.profile.as_str();
        let (tokens, text) = sent(&family);
        let floor: &'static str = Box::leak(format!("floor/{name}").into_boxed_str());
        let bare: Vec<_> = tokens.iter().map(|token| bare(family.signer, family.alg, token)).collect();
        rounds.case(floor, Vec::new(), move || bare.iter().for_each(|check| check()));
        let library_name = format!("library/{name}");
        rounds.case(library_name.clone(), vec![(1.0, floor)], library(&family, tokens));

        let binding = || if family.profile == Profile::Oidc { TokenBinding::Unbound } else { asked(workload) };
        let keys = json!({ "keys": [family.signer.jwk()] }).to_string();
        let (set, warm, cold) = (KeySet::parse(keys.as_bytes()).expect("a key set"), binding(), binding());
        let family = Box::leak(Box::new(family));
        let (again, family): (String, &'static Family) = (text.clone(), family);
        rounds.case(format!("warm/{name}"), vec![(1.0, floor)], move || {
            family.judge(black_box(&text), &set, &warm).expect("it holds")
        });
        rounds.beside(library_name.clone());
        rounds.case(format!("cold/{name}"), vec![(1.0, floor)], move || {
            let set = KeySet::parse(black_box(keys.as_bytes())).expect("a key set");
            family.judge(black_box(&again), &set, &cold).expect("it holds")
        });
        rounds.beside(library_name);
    }
    rounds.run();
}
