//! Any bytes as a document of reference values: read or refused; what is read is read again from its own text, unchanged, and every value
//! of it is met by itself under its own claim.
#![no_main]

use std::sync::Arc;

use keygate_policies::ReleaseRule;
use keygate_policies::attestation::ClaimSet;
use keygate_policies::reference::{ReferenceDocument, References, Standing};
use keygate_policies::release::{Authority, claim_at};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, json};

fuzz_target!(|bytes: &[u8]| {
    let Ok(document) = ReferenceDocument::parse(bytes) else { return };
    let again = ReferenceDocument::parse(document.canonical_text().as_bytes()).expect("its own text is read");
    assert!(again == document);
    let mut references = References::default();
    references.insert(document.name(), Standing::InForce(vec![Arc::new(document.clone())]));
    references.add_claims(&mut ClaimSet::new(), &Map::new());
    for claim in document.claims().take(4) {
        let member = if claim.starts_with('/') { "claimPointer" } else { "claim" };
        let test = json!({member: claim, "reference": document.name()});
        let rule = json!({"version": "1.0.0", "anyOf": [{"authority": "self", "allOf": [test]}]}).to_string();
        let rule = ReleaseRule::parse(rule.as_bytes()).expect("a claim of a document can be named by a rule");
        let mut claims = Map::new();
        // The claim with its first value, where its path leads through objects alone.
        let names: Vec<&str> = claim.split('.').collect();
        if member == "claim" {
            let value = document.values(claim).and_then(<[_]>::first).cloned().expect("no list is empty");
            let nested = names.iter().skip(1).rev().fold(value, |inner, name| json!({*name: inner}));
            claims.insert((*names.first().expect("a path has a name")).to_owned(), nested);
            assert!(claim_at(claim, &claims).is_ok_and(|found| found.is_some()));
        }
        let decision = rule.evaluate_with(&Authority { issuer: "x", own: true }, &claims, &references);
        assert_eq!(decision.permit, member == "claim");
    }
});
