//! Policies and certificate changes as Azure's tools signed them. Tokens and claims of Azure Attestation, signed policies.

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_verifier::tokens::{EmbeddedFault, EmbeddedJws, read_embedded};
use support::{Rng, flips, mutations, skipped, tried, vector, vectors_root};

/// Path, `alg` as written (`none`: unsigned), the claim of the payload (empty: a reset).
const RECORDED: [(&str, &str, &str); 9] = [
    ("docs/policy-signed.jws", "RSA256", "AttestationPolicy"),
    ("docs/policy-unsigned.jws", "none", "AttestationPolicy"),
    ("docs/policy-signer-add.jws", "RS256", "maa-policyCertificate"),
    ("python/policy-aad_set_policy_secured-aad-SgxEnclave-PUT.request.jws", "RSA256", "AttestationPolicy"),
    ("python/policy-aad_set_policy_unsecured-aad-SgxEnclave-PUT.request.jws", "none", "AttestationPolicy"),
    ("python/policy-aad_reset_policy_secured-aad-SgxEnclave-POST.request.jws", "RSA256", ""),
    ("python/policy-aad_reset_policy_unsecured-aad-SgxEnclave-POST.request.jws", "none", ""),
    ("python/policy-isolated_set_policy_secured-iso-SgxEnclave-PUT.request.jws", "RSA256", "AttestationPolicy"),
    ("python/certificates-01-add.request.json", "RSA256", "policyCertificate"),
];

fn recorded() -> Vec<(&'static str, String, &'static str, &'static str)> {
    if vectors_root().is_none() {
        skipped("recorded policies", RECORDED.len());
        return Vec::new();
    }
    RECORDED
        .iter()
        .map(|(path, alg, claim)| {
            let bytes = vector(&format!("maa-sdk/{path}"));
            let jws = match path.strip_suffix(".json") {
                Some(_) => serde_json::from_slice(&bytes).expect("a json string"),
                None => String::from_utf8(bytes).expect("text").trim_end().to_owned(),
            };
            (*path, jws, *alg, *claim)
        })
        .collect()
}

#[test]
fn recorded_policies_are_read_and_their_signer_named() {
    for (path, jws, alg, claim) in recorded() {
        let read = read_embedded(&jws).unwrap_or_else(|fault| panic!("{path}: {fault}"));
        if claim.is_empty() {
            assert!(read.payload.is_empty(), "{path}");
        } else {
            let payload: serde_json::Value = serde_json::from_slice(&read.payload).expect("json");
            assert!(payload.get(claim).is_some(), "{path}: {payload}");
        }
        match read.signer {
            None => assert_eq!(alg, "none", "{path}"),
            Some(signer) => {
                assert_eq!((signer.alg.as_str(), signer.kty, signer.certificates.len()), (alg, "RSA", 1), "{path}");
                let certificate = openssl::x509::X509::from_der(&signer.certificates[0]).expect("a certificate");
                let spki = certificate.public_key().unwrap().public_key_to_der().unwrap();
                assert_eq!(signer.spki, spki, "{path}");
            }
        }
    }
}

/// The bytes that the service answers with as `x-ms-policy-signer` are those that we name.
#[test]
fn the_recorded_answer_names_the_same_signer() {
    if vectors_root().is_none() {
        return skipped("a recorded signer", 2);
    }
    for name in ["aad_set_policy_secured-aad", "isolated_set_policy_secured-iso"] {
        let file = |end: &str| {
            let bytes = vector(&format!("maa-sdk/python/policy-{name}-SgxEnclave-PUT.{end}"));
            String::from_utf8(bytes).unwrap().trim_end().to_owned()
        };
        let signer = read_embedded(&file("request.jws")).unwrap().signer.expect("signed");
        let answer = file("response.jwt");
        let claims: serde_json::Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(answer.split('.').nth(1).unwrap()).unwrap()).unwrap();
        let said = &claims["x-ms-policy-signer"];
        assert_eq!(said["kty"], signer.kty);
        let first = base64::engine::general_purpose::STANDARD.encode(&signer.certificates[0]);
        assert_eq!(said["x5c"][0], first);
    }
}

/// A bit changed anywhere in a signed policy: refused, or the text of another policy that was never signed by that key.
#[test]
fn a_signed_policy_with_one_bit_changed_is_refused() {
    let mut count = 0;
    for (path, jws, alg, _) in recorded() {
        if alg == "none" {
            continue;
        }
        let signature_end = jws.len() - 1;
        for (at, mask) in flips(0..jws.len(), 29) {
            let mut bytes = jws.clone().into_bytes();
            bytes[at] ^= mask;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            let read = read_embedded(&changed);
            assert!(read.is_err(), "{path}: byte {at} of {signature_end}, mask {mask}");
            count += 1;
        }
    }
    tried("flipped bits of signed policies", count);
}

/// `KEYGATE_FULL=1` tries 200,000. Nothing that a mutation makes is signed: whatever is read all the same says `none`, or is the
/// same header, payload and signature in another spelling of base64.
#[test]
fn mutations_of_signed_policies_are_refused_without_a_panic() {
    let cases: Vec<_> = recorded().into_iter().filter(|(_, _, alg, _)| *alg != "none").collect();
    if cases.is_empty() {
        return;
    }
    let (mut rng, count) = (Rng::new(7_515), mutations(5_000, 200_000));
    for turn in 0..count {
        let (path, jws, _, _) = &cases[turn % cases.len()];
        let mutated = rng.mutated(jws.as_bytes());
        let text = String::from_utf8_lossy(&mutated);
        if let Ok(EmbeddedJws { signer: Some(_), .. }) = read_embedded(&text) {
            let segments = |text: &str| text.rsplit_once('.').map(|(signed, _)| signed.to_owned());
            assert_eq!(segments(&text), segments(jws), "{path}: turn {turn}: {text}");
        }
    }
    tried("mutations of signed policies", count);
}

#[test]
fn a_recorded_policy_loses_its_signer_with_its_signature_and_is_refused() {
    for (path, jws, alg, _) in recorded() {
        let unsigned = format!("{}.", jws.rsplit_once('.').expect("three segments").0);
        let read = read_embedded(&unsigned);
        if alg == "none" {
            assert!(read.is_ok(), "{path}");
            assert_eq!(read_embedded(&format!("{unsigned}AAAA")).unwrap_err(), EmbeddedFault::UnexpectedSignature);
        } else {
            assert_eq!(read.unwrap_err(), EmbeddedFault::Signature, "{path}");
        }
    }
}
