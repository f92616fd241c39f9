//! Every quote of the evidence manifest and of the samples beside it: verdict and claims.
//!
//! Where the set has a certificate of the attestation key, its authority's root is the anchor; else the key is pinned.

use std::collections::BTreeMap;

use keygate_forge::base64::url;
use keygate_verifier::{
    Anchors, Binding, Endorsements, Evidence, EvidenceKind, Options, Outcome, UnixTime, Verified, Verifier,
};
use openssl::base64::decode_block;
use openssl::pkey::PKey;
use serde_json::{Map, Value, json};

use crate::support::{Case, cases, unhex, vector, vectors_root};

/// Sixteen selections of eight bytes, then eight digests of up to 64 bytes, as tpm2-tools of 2018 wrote them, little-endian.
fn old_tool_values(file: &[u8]) -> Value {
    let half = |at: usize| u16::from_le_bytes([file[at], file[at + 1]]);
    assert_eq!((file.len(), file[0], half(4)), (668, 1, 0x0b), "one selection, of sha256");
    let map = u32::from_le_bytes([file[7], file[8], file[9], 0]);
    let indices: Vec<u32> = (0..24).filter(|index| map >> index & 1 == 1).collect();
    let value = |at: usize| {
        let start = 140 + at * 66;
        hex::encode(&file[start + 2..start + 2 + usize::from(half(start))])
    };
    let values: Map<String, Value> =
        indices.iter().enumerate().map(|(at, index)| (index.to_string(), json!(value(at)))).collect();
    json!({"sha256": values})
}

/// The document of an entry, and what vouches for its key.
fn document(case: &Case) -> (Value, Anchors, Endorsements) {
    let has = |role: &str| case.files.contains_key(role);
    let mut members = json!({
        "kind": "tpm",
        "quote": url(&case.file("evidence")),
        "signature": url(&case.file("signature")),
        "pcrs": match has("pcrs") {
            true => serde_json::from_slice(&case.file("pcrs")).unwrap(),
            false => old_tool_values(&case.file("pcr_file")),
        },
    });
    let spki = PKey::public_key_from_pem(&case.file("ak_public")).unwrap().public_key_to_der().unwrap();
    match ["ak_tpmt_public", "ak_tpm2b_public"].iter().find(|role| has(role)) {
        Some(role) => members["ak"] = json!(url(&case.file(role))),
        None => members["ak_key"] = json!(url(&spki)),
    }
    let (mut anchors, mut held) = (Anchors::none(), Endorsements::default());
    if has("ak_certificate") {
        members["ak_certificate"] = json!(url(&case.file("ak_certificate")));
        anchors.add("google", EvidenceKind::Tpm, &vector("evidence/roots/google/tpm-ek-root-1.der")).unwrap();
        held.add_certificate(&vector("evidence/roots/google/tpm-ek-intermediate-2.der"));
    } else {
        anchors.pin("pinned", EvidenceKind::Tpm, &spki).unwrap();
    }
    (members, anchors, held)
}

fn judge(
    document: &Value,
    anchors: &Anchors,
    held: &Endorsements,
    options: &Options,
    at: UnixTime,
) -> (String, Option<Verified>) {
    let text = document.to_string();
    let evidence = Evidence { kind: EvidenceKind::Tpm, bytes: text.as_bytes() };
    match Verifier::new(anchors.clone()).verify(&evidence, &Binding::Unbound, held, options, at) {
        Ok(Outcome::Verified(verified)) => ("verified".to_owned(), Some(verified)),
        Ok(Outcome::NotAccepted { why, .. }) => (why.full_code(), None),
        Ok(Outcome::Wants(ids)) => (format!("wants {ids:?}"), None),
        Err(why) => (why.full_code(), None),
    }
}

#[test]
fn every_quote_of_the_manifest_gets_its_verdict_and_its_claims() {
    let mut wrong = Vec::new();
    let found = cases(&["tpm-quote"]);
    for case in &found {
        let (members, anchors, held) = document(case);
        let at = case.at().unwrap_or(UnixTime::from_secs(1_700_000_000));
        let (verdict, verified) = judge(&members, &anchors, &held, &Options::show_all(), at);
        println!("{:<32} {verdict}", case.id);
        let Some(verified) = verified else {
            if case.verifies() {
                wrong.push(format!("{}: {verdict}", case.id));
            }
            continue;
        };
        assert!(case.verifies(), "{}", case.id);
        let claims = Value::Object(verified.claims());
        let expected = case.claims();
        let mut compared: Vec<(&str, &Value, Value)> = ["clock", "reset_count", "restart_count"]
            .iter()
            .map(|name| (*name, &expected[*name], claims["tpm"]["clock"][*name].clone()))
            .collect();
        compared.push(("safe", &expected["safe"], json!(i32::from(claims["tpm"]["clock"]["safe"] == true))));
        compared.push(("firmware_version", &expected["firmware_version"], claims["tpm"]["firmware_version"].clone()));
        if let Some(name) = expected.get("ak_name") {
            compared.push(("ak_name", name, claims["tpm"]["ak"]["name"].clone()));
        }
        if let Some(pcrs) = expected.get("pcrs") {
            compared.push(("pcrs", pcrs, claims["tpm"]["pcrs"].clone()));
        }
        for (what, wanted, is) in compared {
            if *wanted != is {
                wrong.push(format!("{}: {what} is {is}, wanted {wanted}", case.id));
            }
        }
        // Of SHA-1 alone it opens nothing; nobody's key is believed; a bit of the quote counts.
        let only_sha1 = case.id.ends_with("-sha1");
        let strict = judge(&members, &anchors, &held, &Options::strict(), at).0;
        assert_eq!(strict, if only_sha1 { "unsupported.pcr-bank" } else { "verified" }, "{}", case.id);
        let nobody = judge(&members, &Anchors::none(), &held, &Options::show_all(), at).0;
        assert!(nobody.starts_with("chain-untrusted."), "{}: {nobody}", case.id);
        let mut quote = case.file("evidence");
        *quote.last_mut().unwrap() ^= 1;
        let mut changed = members.clone();
        changed["quote"] = json!(url(&quote));
        assert_eq!(judge(&changed, &anchors, &held, &Options::show_all(), at).0, "binding-mismatch.pcr-digest");
    }
    assert!(found.is_empty() || found.len() == 7, "seven quotes, not {}", found.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_sample_of_trustee_verifies_under_its_key() {
    if vectors_root().is_none() {
        return;
    }
    let sample: Value = serde_json::from_slice(&vector("trustee/tpm/tpm_evidence.json")).unwrap();
    let bytes = |value: &Value| decode_block(value.as_str().unwrap()).unwrap();
    let spki = bytes(&sample["ak_public"]);
    let quote = &sample["tpm_quote"];
    let values: BTreeMap<String, &Value> =
        quote["pcrs"].as_array().unwrap().iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect();
    let document = json!({
        "kind": "tpm", "quote": url(&bytes(&quote["message"])), "signature": url(&bytes(&quote["signature"])),
        "ak_key": url(&spki), "pcrs": {"sha256": values},
    });
    let mut anchors = Anchors::none();
    anchors.pin("sample", EvidenceKind::Tpm, &spki).unwrap();
    let at = UnixTime::from_secs(1_700_000_000);
    let (verdict, verified) = judge(&document, &anchors, &Endorsements::default(), &Options::strict(), at);
    assert_eq!(verdict, "verified");
    let claims = Value::Object(verified.unwrap().claims());
    assert_eq!(unhex(claims["tpm"]["pcrs"]["sha256"]["0"].as_str().unwrap()), [0; 32]);
}
