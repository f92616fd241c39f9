//! What checking a token costs, beside the bare signature check. Performance floors, section 8 (T7), and the trap that a key is read
//! more dearly than it is used: the key set is read once, outside of the clock.
//!
//! Result lines are `name, µs, ratio to its floor`; both are measured in the same run and the best round counts.

#[path = "../tests/tokens/mod.rs"]
mod tokens;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use criterion::Criterion;
use keygate_verifier::tokens::verify_jwt;
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::sign::Verifier;
use serde_json::json;
use tokens::{EXPECTED, NOW, P256, RSA, Signer, claims_with, set};

#[derive(Default)]
struct Results(RefCell<BTreeMap<String, f64>>);

impl Results {
    fn case(&self, c: &mut Criterion, name: &str, timed: impl Fn()) {
        c.bench_function(name, |bench| {
            bench.iter_custom(|rounds| {
                let start = Instant::now();
                for _ in 0..rounds {
                    timed();
                }
                let total = start.elapsed();
                let micros = total.as_secs_f64() * 1e6 / rounds as f64;
                let mut best = self.0.borrow_mut();
                best.entry(name.to_owned()).and_modify(|known| *known = known.min(micros)).or_insert(micros);
                total
            });
        });
    }

    fn line(&self, name: &str, floor: &str) {
        let best = self.0.borrow();
        if let (Some(micros), Some(floor)) = (best.get(name), best.get(floor)) {
            println!("{name}, {micros:.1}, {:.3}", micros / floor);
        }
    }
}

/// About 2 KB, as an attestation token of an Azure-style service is.
fn token(signer: &Signer) -> String {
    signer.token(&claims_with(json!({ "x-ms-runtime": { "keys": [RSA.jwk(), RSA.jwk()] }, "text": "x".repeat(400) })))
}

fn main() {
    let results = Results::default();
    let mut c = Criterion::default().configure_from_args();
    let (rs256, es256) = (token(&RSA), token(&P256));
    let keys = set(&[RSA.jwk(), P256.jwk()]);

    let (signed, _) = rs256.rsplit_once('.').expect("three segments");
    let signature = RSA.signature("RS256", signed.as_bytes());
    let public = RSA.key.rsa().expect("an rsa key");
    let number = |n: &openssl::bn::BigNumRef| n.to_owned().expect("openssl");
    let public = openssl::rsa::Rsa::from_public_components(number(public.n()), number(public.e())).expect("openssl");
    let public = openssl::pkey::PKey::from_rsa(public).expect("openssl");
    results.case(&mut c, "floor/rs256_verify", || {
        let mut verifier = Verifier::new(MessageDigest::sha256(), &public).expect("openssl");
        assert!(verifier.verify_oneshot(&signature, signed.as_bytes()).expect("openssl"));
    });

    let (signed, _) = es256.rsplit_once('.').expect("three segments");
    let key = P256.key.ec_key().expect("an ec key");
    let public = openssl::ec::EcKey::from_public_key(key.group(), key.public_key()).expect("openssl");
    let signature = EcdsaSig::sign(&openssl::sha::sha256(signed.as_bytes()), &key).expect("openssl");
    results.case(&mut c, "floor/es256_verify", || {
        assert!(signature.verify(&openssl::sha::sha256(signed.as_bytes()), &public).expect("openssl"));
    });

    for (name, token) in [("token/verify_rs256", &rs256), ("token/verify_es256", &es256)] {
        results.case(&mut c, name, || assert!(verify_jwt(black_box(token), &keys, &EXPECTED, NOW).is_ok()));
    }
    let other = set(&[P256.jwk()]);
    results.case(&mut c, "refuse/unknown_kid", || {
        assert!(verify_jwt(black_box(&rs256), &other, &EXPECTED, NOW).unwrap_err().is_unknown_key());
    });
    c.final_summary();
    for name in ["token/verify_rs256", "refuse/unknown_kid"] {
        results.line(name, "floor/rs256_verify");
    }
    results.line("token/verify_es256", "floor/es256_verify");
}
