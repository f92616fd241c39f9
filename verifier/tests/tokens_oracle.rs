//! Our verification beside that of `jsonwebtoken`: what we accept, it accepts, with the same claims; what it accepts and we do not
//! is one of our stricter rules, by name.
//!
//! The library's cryptography is a provider on OpenSSL of this test's own, so that the two share no check.

mod support;
mod tokens;

use std::collections::BTreeMap;
use std::sync::Once;

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::signature::{Error, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey, Validation};
use keygate_verifier::tokens::{KeySet, TokenFault};
use openssl::bn::BigNum;
use openssl::ec::EcGroup;
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Public};
use openssl::rsa::{Padding, Rsa};
use serde_json::{Value, json};
use support::{Rng, mutations, tried};
use tokens::{AUDIENCE, ISSUER, NOW, P256, P384, RSA, Signer, check, claims_with, set};

static PROVIDER: CryptoProvider =
    CryptoProvider { signer_factory: no_signer, verifier_factory: verifier, key_utils: KeyUtils::new_unimplemented() };

fn no_signer(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    Err(ErrorKind::InvalidAlgorithm.into())
}

struct Check(Algorithm, PKey<Public>);

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    let unfit = |_| ErrorKind::InvalidKeyFormat;
    let key = match (algorithm, key.kind()) {
        (
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512,
            DecodingKeyKind::RsaModulusExponent { n, e },
        ) => {
            let (n, e) = (BigNum::from_slice(n).map_err(unfit)?, BigNum::from_slice(e).map_err(unfit)?);
            PKey::from_rsa(Rsa::from_public_components(n, e).map_err(unfit)?).map_err(unfit)?
        }
        (Algorithm::ES256 | Algorithm::ES384, DecodingKeyKind::SecretOrDer(point)) => {
            let curve = if *algorithm == Algorithm::ES256 { Nid::X9_62_PRIME256V1 } else { Nid::SECP384R1 };
            let group = EcGroup::from_curve_name(curve).map_err(unfit)?;
            let mut context = openssl::bn::BigNumContext::new().map_err(unfit)?;
            let point = openssl::ec::EcPoint::from_bytes(&group, point, &mut context).map_err(unfit)?;
            PKey::from_ec_key(openssl::ec::EcKey::from_public_key(&group, &point).map_err(unfit)?).map_err(unfit)?
        }
        _ => return Err(ErrorKind::InvalidAlgorithm.into()),
    };
    Ok(Box::new(Check(*algorithm, key)))
}

impl Verifier<Vec<u8>> for Check {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        let wrong = |_| Error::new();
        let digest = match self.0 {
            Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 => MessageDigest::sha256(),
            Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => MessageDigest::sha384(),
            _ => MessageDigest::sha512(),
        };
        let mut checker = openssl::sign::Verifier::new(digest, &self.1).map_err(wrong)?;
        if matches!(self.0, Algorithm::PS256 | Algorithm::PS384 | Algorithm::PS512) {
            checker.set_rsa_padding(Padding::PKCS1_PSS).map_err(wrong)?;
            checker.set_rsa_pss_saltlen(openssl::sign::RsaPssSaltlen::DIGEST_LENGTH).map_err(wrong)?;
        }
        let der = match self.1.ec_key() {
            Err(_) => signature.clone(),
            Ok(key) => {
                let half = usize::try_from(key.group().degree()).unwrap() / 8;
                if signature.len() != 2 * half {
                    return Err(Error::new());
                }
                let number = |bytes: &[u8]| BigNum::from_slice(bytes).map_err(wrong);
                let (r, s) = signature.split_at(half);
                EcdsaSig::from_private_components(number(r)?, number(s)?).map_err(wrong)?.to_der().map_err(wrong)?
            }
        };
        match checker.verify_oneshot(&der, message) {
            Ok(true) => Ok(()),
            _ => Err(Error::new()),
        }
    }
}

impl JwtVerifier for Check {
    fn algorithm(&self) -> Algorithm {
        self.0
    }
}

/// What the library makes of a token; times are not its business here, since it reads the clock itself.
fn library(token: &str, signer: &Signer, algorithms: &[Algorithm]) -> Option<Value> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| PROVIDER.install_default().unwrap_or_else(|_| panic!("another provider is installed")));
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
