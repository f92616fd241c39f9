//! The JSON document of Azure's clients: recorded, forged, and spoiled in one way.

use keygate_forge::amd::{Amd, Product, SnpReport, azure_document};
use keygate_forge::base64 as forge_base64;
use keygate_verifier::{Options, SnpDocument, UnixTime};
use serde_json::{Value, json};

use crate::support::{Rng, mutations, skipped, time, tried, vector, vectors_root};
use crate::{NOW, forge_verifier, judge, verified, verifier};

fn forged() -> (Amd, Value) {
    let amd = Amd::new(Product::Genoa, NOW);
    let text = amd.evidence(&SnpReport::new([7; 64])).azure_document(&[]);
    (amd, serde_json::from_str(&text).unwrap())
}

fn parse(document: &Value) -> Result<SnpDocument, &'static str> {
    SnpDocument::parse(document.to_string().as_bytes()).map_err(|why| why.code())
}

/// Bytes of a member that the documents carry in base64url.
fn decoded(text: &str) -> Vec<u8> {
    base64_url(text).unwrap()
}

fn base64_url(text: &str) -> Option<Vec<u8>> {
    base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text).ok()
}

#[test]
fn the_recorded_document_is_that_of_the_recorded_report() {
    if vectors_root().is_none() {
        return skipped("the recorded document", 1);
    }
    let request: Value = serde_json::from_slice(&vector("maa-sdk/samples/sevsnp-request.json")).unwrap();
    let document = SnpDocument::parse(&decoded(request["report"].as_str().unwrap())).unwrap();
    assert_eq!(document.report, vector("maa-sdk/samples/sevsnp-report.bin"));
    assert!(document.uvm.is_empty());
    let held = document.endorsements().unwrap();
    assert_eq!(held.len(), 3);
    verified(judge(&verifier(), &document.report, &held, &Options::strict(), time("2025-06-01T00:00:00Z")));
}

#[test]
fn a_forged_document_verifies_with_its_certificates_in_any_order() {
    let amd = Amd::new(Product::Milan, NOW);
    let evidence = amd.evidence(&SnpReport::new([7; 64]));
    let pieces = [evidence.vek.as_slice(), &evidence.authority, &evidence.root];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let chain = forge_base64::pem_chain(order.map(|at: usize| pieces[at]));
        let text = azure_document(&evidence.report, chain.as_bytes(), &[]);
        let document = SnpDocument::parse(text.as_bytes()).unwrap();
        let held = document.endorsements().unwrap();
        let at = UnixTime::from_secs(NOW);
        verified(judge(&forge_verifier(&amd), &document.report, &held, &Options::strict(), at));
    }
}

#[test]
fn endorsements_may_be_missing_empty_or_some() {
    let (_, sound) = forged();
    let with = |endorsements: Value| {
        let mut document = sound.clone();
        document["Endorsements"] = endorsements;
        parse(&document).map(|d| d.uvm)
    };
    let inner = |text: &str| json!(forge_base64::url(text.as_bytes()));
    for none in [json!(null), json!(""), inner("{}"), inner(r#"{"Uvm":null}"#), inner(r#"{"Uvm":[]}"#)] {
        assert_eq!(with(none.clone()), Ok(vec![]), "{none}");
    }
    assert_eq!(with(inner(r#"{"Uvm":["AQI","Aw=="]}"#)), Ok(vec![vec![1, 2], vec![3]]));
    assert_eq!(with(inner(&format!(r#"{{"Uvm":[{}]}}"#, ["\"AQ\""; 8].join(",")))).map(|uvm| uvm.len()), Ok(8));
    assert_eq!(with(inner(&format!(r#"{{"Uvm":[{}]}}"#, ["\"AQ\""; 9].join(",")))), Err("too-large"));
    for bad in [
        r#"{"Uvm":"AQ"}"#,
        r#"{"Uvm":["A"]}"#,
        r#"{"Uvm":[1]}"#,
        r#"{"Uvm":[null]}"#,
        r#"{"Uvm":[],"Uvm":[]}"#,
        r#"[["AQ"]]"#,
        "null",
        "{} {}",
    ] {
        assert_eq!(with(inner(bad)), Err("malformed"), "{bad}");
    }
    for bad in [json!([]), json!({"Uvm": []}), json!(1), json!("%")] {
        assert_eq!(with(bad.clone()), Err("malformed"), "{bad}");
    }
}

#[test]
fn base64_may_be_padded_and_of_either_alphabet() {
    let (_, sound) = forged();
    let expected = parse(&sound).unwrap();
    for member in ["SnpReport", "VcekCertChain"] {
        let text = sound[member].as_str().unwrap();
        let padded = format!("{text}{}", "=".repeat((4 - text.len() % 4) % 4));
        for form in [padded.clone(), padded.replace('-', "+").replace('_', "/"), text.replace('-', "+")] {
            let mut document = sound.clone();
            document[member] = json!(form);
            assert_eq!(parse(&document).as_ref(), Ok(&expected), "{member}");
        }
        for bad in [format!("{text}\n"), format!(" {text}"), format!("{padded}===="), text[1..].to_owned() + "."] {
            let mut document = sound.clone();
            document[member] = json!(bad);
            assert_eq!(parse(&document), Err("malformed"), "{member}");
        }
    }
}

#[test]
fn members_stand_once_and_have_their_type() {
    let (_, sound) = forged();
    let (report, chain) = (sound["SnpReport"].as_str().unwrap(), sound["VcekCertChain"].as_str().unwrap());
    let text = |members: &str| SnpDocument::parse(members.as_bytes()).map(drop).map_err(|why| why.code());
    let both = format!(r#""SnpReport":"{report}","VcekCertChain":"{chain}""#);
    assert_eq!(text(&format!("{{{both}}}")), Ok(()));
    assert_eq!(text(&format!(r#"{{{both},"Other":[{{"a":1,"a":2}}]}}"#)), Ok(()), "unknown members are not looked at");
    for bad in [
        format!(r#"{{{both},"SnpReport":"{report}"}}"#),
        format!(r#"{{{both},"\u0053npReport":"{report}"}}"#),
        format!(r#"{{{both},"Endorsements":null,"Endorsements":null}}"#),
        format!(r#"{{"SnpReport":"{report}"}}"#),
        format!(r#"{{"VcekCertChain":"{chain}"}}"#),
        format!(r#"{{"snpReport":"{report}","VcekCertChain":"{chain}"}}"#),
        format!(r#"["{report}","{chain}",null]"#),
        format!("{{{both}}}{{}}"),
        format!("\u{feff}{{{both}}}"),
        String::new(),
    ] {
        assert_eq!(text(&bad), Err("malformed"), "{}", &bad[..bad.len().min(40)]);
    }
    for member in ["SnpReport", "VcekCertChain"] {
        for wrong in [json!(null), json!(1), json!(["AQ"]), json!({}), json!(""), json!("AQ")] {
            let mut document = sound.clone();
            document[member] = wrong.clone();
            assert_eq!(parse(&document), Err("malformed"), "{member} {wrong}");
        }
    }
}

#[test]
fn lengths_and_counts_are_bounded() {
    let (amd, sound) = forged();
    let report = decoded(sound["SnpReport"].as_str().unwrap());
    let chain = decoded(sound["VcekCertChain"].as_str().unwrap());
    let code = |report: &[u8], chain: &[u8]| {
        SnpDocument::parse(azure_document(report, chain, &[]).as_bytes()).map(drop).map_err(|why| why.code())
    };
    assert_eq!(code(&report, &chain), Ok(()));
    assert_eq!(code(&report[..1183], &chain), Err("malformed"));
    assert_eq!(code(&[report.as_slice(), &[0]].concat(), &chain), Err("malformed"));
    assert_eq!(code(&report, b"\n"), Err("malformed"));
    assert_eq!(code(&report, &amd.ark_der()), Err("malformed"), "der is no pem");
    let certificates = |count| {
        forge_base64::pem_chain(std::iter::repeat_n(amd.ark_der(), count).collect::<Vec<_>>().iter().map(Vec::as_slice))
    };
    assert_eq!(code(&report, certificates(8).as_bytes()), Ok(()));
    assert_eq!(code(&report, certificates(9).as_bytes()), Err("too-large"));
    let mut long = sound.to_string().into_bytes();
    long.resize(256 * 1024, b' ');
    assert!(SnpDocument::parse(&long).is_ok());
    long.push(b' ');
    assert_eq!(SnpDocument::parse(&long).unwrap_err().code(), "too-large");
}

#[test]
fn disturbed_documents_are_read_without_a_panic() {
    let (_, sound) = forged();
    let (sound, mut rng) = (sound.to_string().into_bytes(), Rng::new(0x5e7));
    let count = mutations(300, 100_000);
    for _ in 0..count {
        if let Ok(document) = SnpDocument::parse(&rng.mutated(&sound)) {
            assert_eq!(document.report.len(), 1184);
        }
    }
    tried("disturbed documents", count);
}
