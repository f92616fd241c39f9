//! Single bits flipped, bytes moved, ends cut off: of real quotes and of their collateral. Nothing that is changed is accepted, but
//! where the bytes are not authenticated (docs/evidence/sgx.md and tdx.md name them), and then the claims are the same.
//!
//! `KEYGATE_FULL=1` flips every bit and tries 250,000 mutations of each of two quotes per kind.

mod dcap;
mod support;

use std::sync::Arc;

use keygate_verifier::{Endorsements, Evidence, Genuine, SignedDocument, Verifier};
use serde_json::{Map, Value};
use support::{Case, Rng, flips, mutations};

/// Two real samples of each kind.
const SAMPLES: &[&str] = &[
    "sgx-v3-00a067110000-f8b81014-a",
    "sgx-v3-00606a000000-c81a90ee-a",
    "tdx-v4-b0c06f000000-f1c85033-a",
    "tdx-v5-90c06f000000-d21a11db-b",
];

struct Sample {
    case: Case,
    quote: Vec<u8>,
    collateral: Vec<u8>,
    held: Endorsements,
    verifier: Verifier,
    claims: Map<String, Value>,
}

impl Sample {
    fn all() -> Vec<Self> {
        SAMPLES.iter().filter_map(|id| support::case(id)).map(Self::new).collect()
    }

    fn new(case: Case) -> Self {
        let (quote, collateral) = (case.file("evidence"), case.file("collateral"));
        let held = dcap::held(&collateral);
        let mut sample = Self { case, quote, collateral, held, verifier: dcap::vendor(), claims: Map::new() };
        sample.claims = said(&sample.judge(&sample.quote, &sample.held).expect("the sample verifies"));
        sample
    }

    fn judge(&self, quote: &[u8], held: &Endorsements) -> Result<Genuine, String> {
        let at = self.case.at().expect("a date");
        dcap::judge(&self.verifier, dcap::kind(&self.case.kind), quote, held, at)
    }

    /// Where the last certificate, the root, begins: nothing of it is used, the path ends at the pinned anchor.
    fn root_in_quote(&self) -> usize {
        let begin = b"-----BEGIN CERTIFICATE-----";
        (0..self.quote.len()).rev().find(|at| self.quote[*at..].starts_with(begin)).expect("a root")
    }
}

/// The claims without the digest of what was submitted.
fn said(genuine: &Genuine) -> Map<String, Value> {
    let mut claims = genuine.claims();
    if let Some(Value::Object(collateral)) = claims.get_mut("x-ms-sgx-collateral") {
        collateral.remove("quotehash");
    }
    claims
}

#[test]
fn every_flipped_bit_of_a_quote_is_refused() {
    for sample in Sample::all() {
        let root = sample.root_in_quote();
        let chain = sample.quote.windows(27).position(|w| w == b"-----BEGIN CERTIFICATE-----").expect("a chain");
        let mut flipped = 0;
        for (index, mask) in flips(0..chain, 23).chain(flips(chain..sample.quote.len(), 211)) {
            let mut quote = sample.quote.clone();
            quote[index] ^= mask;
            match sample.judge(&quote, &sample.held) {
                Err(_) => {}
                Ok(genuine) => {
                    assert!(index >= root, "{}: byte {index}, mask {mask:#04x}", sample.case.id);
                    assert_eq!(said(&genuine), sample.claims, "{}: byte {index}", sample.case.id);
                }
            }
            flipped += 1;
        }
        assert!(flipped > 400, "{flipped}");
        support::tried(&format!("flipped bits of a quote, {}", sample.case.id), flipped);
    }
}

#[test]
fn sgx_01_every_shorter_quote_is_malformed() {
    for sample in Sample::all() {
        let kind = dcap::kind(&sample.case.kind);
        for length in 0..sample.quote.len() {
            let refused = Verifier::inspect(&Evidence { kind, bytes: &sample.quote[..length] }).expect_err("shorter");
            assert_eq!(refused.code(), "malformed", "{}: {length}", sample.case.id);
        }
    }
}

#[test]
fn mutations_of_quotes_say_nothing_else() {
    for sample in Sample::all() {
        let mut random = Rng::new(0x5617);
        let count = mutations(400, 250_000);
        for round in 0..count {
            let mutated = random.mutated(&sample.quote);
            if let Ok(genuine) = sample.judge(&mutated, &sample.held) {
                assert_eq!(said(&genuine), sample.claims, "{}: round {round}", sample.case.id);
            }
        }
        support::tried(&format!("mutations of a quote, {}", sample.case.id), count);
    }
}

/// The set with one member replaced, through the doors that check nothing.
fn held_with(set: &Value, member: &str, bytes: &[u8]) -> Endorsements {
    let text = |name: &str| set[name].as_str().expect("text");
    let part = |name: &str| match name == member {
        true => bytes.to_vec(),
        false if name == "tcb_info" || name == "qe_identity" => text(name).as_bytes().to_vec(),
        false => hex::decode(text(name)).expect("hex"),
    };
    let chain = |name: &str| {
        let pem = openssl::x509::X509::stack_from_pem(text(name).as_bytes()).expect("a chain");
        pem.iter().map(|c| c.to_der().expect("der")).collect::<Vec<_>>()
    };
    let mut held = Endorsements::default();
    held.add_crl(&part("root_ca_crl"));
    held.add_crl(&part("pck_crl"));
    let document = |name: &str| {
        SignedDocument::new(part(name), part(&format!("{name}_signature")), chain(&format!("{name}_issuer_chain")))
    };
    held.add_tcb_info(Arc::new(document("tcb_info")));
    held.add_qe_identity(Arc::new(document("qe_identity")));
    held
}

#[test]
fn every_flipped_bit_of_collateral_is_refused() {
    for sample in Sample::all() {
        let set: Value = serde_json::from_slice(&sample.collateral).expect("json");
        for member in
            ["tcb_info", "tcb_info_signature", "qe_identity", "qe_identity_signature", "root_ca_crl", "pck_crl"]
        {
            let text = set[member].as_str().expect("text");
            let bytes = match member {
                "tcb_info" | "qe_identity" => text.as_bytes().to_vec(),
                _ => hex::decode(text).expect("hex"),
            };
            assert!(sample.judge(&sample.quote, &held_with(&set, member, &bytes)).is_ok(), "{member} unchanged");
            let step = (bytes.len() * 8 / 50).max(7);
            for (index, mask) in flips(0..bytes.len(), step) {
                let mut changed = bytes.clone();
                changed[index] ^= mask;
                let verdict = sample.judge(&sample.quote, &held_with(&set, member, &changed));
                assert!(verdict.is_err(), "{}: {member}, byte {index}, mask {mask:#04x}", sample.case.id);
            }
        }
    }
}

#[test]
fn mutations_of_collateral_are_refused_or_mean_the_same() {
    for sample in Sample::all() {
        let mut random = Rng::new(0xc011);
        let count = mutations(40, 10_000);
        for round in 0..count {
            let mutated = random.mutated(&sample.collateral);
            let mut held = Endorsements::default();
            if held.add_file(&mutated).is_err() {
                continue;
            }
            if let Ok(genuine) = sample.judge(&sample.quote, &held) {
                let collateral = |claims: &Map<String, Value>| claims.get("keygate").cloned();
                assert_eq!(collateral(&said(&genuine)), collateral(&sample.claims), "round {round}");
            }
        }
        support::tried(&format!("mutations of collateral, {}", sample.case.id), count);
    }
}
