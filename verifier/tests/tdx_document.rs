//! A TDX quote with the CC event log of its guest. Catalogue of bad inputs, rows TDX-07 and TDX-08.
//!
//! Real evidence: the log of manifest entry `ccel-gcp-cos113` belongs to the quote `tdx-v4-00806f050000-00b2526a`.

mod dcap;
mod support;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_verifier::{EvidenceKind, Genuine};
use serde_json::json;
use support::{Case, case, vector};

fn document(quote: &[u8], log: &[u8]) -> Vec<u8> {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    json!({ "kind": "tdx", "quote": encode(quote), "event_log": encode(log) }).to_string().into_bytes()
}

fn judge(case: &Case, bytes: &[u8]) -> Result<Genuine, String> {
    let held = dcap::held(&case.file("collateral"));
    dcap::judge(&dcap::vendor(), EvidenceKind::Tdx, bytes, &held, case.at().unwrap())
}

fn pair() -> Option<(Case, Vec<u8>, Vec<u8>)> {
    let case = case("tdx-v4-00806f050000-00b2526a-a")?;
    let quote = case.file("evidence");
    Some((case, quote, vector("evidence/eventlog/ccel-gcp-cos113.bin")))
}

/// Where each event of the log begins, and its end.
fn events(log: &[u8]) -> Vec<usize> {
    let number = |at: usize| u32::from_le_bytes(log[at..at + 4].try_into().unwrap()) as usize;
    let mut starts = vec![32 + number(28)];
    while *starts.last().unwrap() < log.len() {
        let at = *starts.last().unwrap();
        starts.push(at + 66 + number(at + 62));
    }
    starts
}

#[test]
fn a_log_that_belongs_to_the_quote_becomes_a_claim() {
    let Some((case, quote, log)) = pair() else { return };
    let bare = judge(&case, &quote).unwrap();
    assert!(!bare.claims().contains_key("tdx_boot"));
    let genuine = judge(&case, &document(&quote, &log)).unwrap();
    assert_eq!(genuine.signed_sha256(), bare.signed_sha256(), "the same evidence in another wrapping");
    let mut claims = genuine.claims();
    let boot = claims.remove("tdx_boot").unwrap();
    assert_eq!(claims, bare.claims());
    assert_eq!(boot["secure_boot"], false);
    assert_eq!(boot["application_count"], 2);
    assert_eq!(boot["secure_boot_variables"]["db_count"], 1);
    // With the padding of its table.
    for padding in [0, 0xff] {
        let padded = [&log[..], &[padding; 4_096]].concat();
        assert_eq!(judge(&case, &document(&quote, &padded)).unwrap().claims()["tdx_boot"], boot);
    }
    assert_eq!(EvidenceKind::guess(&document(&quote, &log)), Some(EvidenceKind::Tdx));
}

#[test]
fn tdx_07_registers_that_the_log_does_not_give() {
    let Some((case, quote, log)) = pair() else { return };
    let mismatch = Err("binding-mismatch".to_owned());
    let code = |log: &[u8]| judge(&case, &document(&quote, log)).map(drop);
    assert_eq!(code(&log), Ok(()));
    let starts = events(&log);
    for window in starts.windows(2) {
        // An event left out, an event twice.
        let (from, to) = (window[0], window[1]);
        assert_eq!(code(&[&log[..from], &log[to..]].concat()), mismatch, "{from}");
        assert_eq!(code(&[&log[..to], &log[from..to], &log[to..]].concat()), mismatch, "{from}");
        // Another register, and one that there is not.
        let mut moved = log.clone();
        moved[from] = if log[from] == 1 { 2 } else { 1 };
        assert_eq!(code(&moved), mismatch, "{from}");
        for register in [0, 5, 0xff] {
            moved[from] = register;
            assert_eq!(code(&moved), Err("malformed".to_owned()), "{from} {register}");
        }
    }
    // Digests of another algorithm in the bank.
    let mut other = log.clone();
    other[60] = 0x0b;
    assert_eq!(code(&other), Err("malformed".to_owned()));
    // The log of another guest.
    assert_eq!(code(&vector("evidence/eventlog/ccel-data-grub.bin")), mismatch);
    assert_eq!(code(&[]), Err("malformed".to_owned()));
}

#[test]
fn tdx_08_text_that_nothing_measures_is_no_claim() {
    let Some((case, quote, log)) = pair() else { return };
    let boot = |log: &[u8]| judge(&case, &document(&quote, log)).unwrap().claims()["tdx_boot"].clone();
    let believed = boot(&log);
    for window in events(&log).windows(2) {
        let (from, to) = (window[0], window[1]);
        // Every byte of the payload and the type are forged, one event at a time: no claim says something new.
        let mut forged = log.clone();
        forged[from + 66..to].iter_mut().for_each(|byte| *byte ^= 0x20);
        let claims = boot(&forged);
        for (name, value) in claims.as_object().unwrap() {
            match name.as_str() {
                "applications" | "application_count" | "boot_files" | "secure_boot_variables" => {}
                _ => assert_eq!(value, &believed[name], "{from} {name}"),
            }
        }
        for (name, value) in claims["secure_boot_variables"].as_object().unwrap() {
            assert_eq!(value, &believed["secure_boot_variables"][name], "{from} {name}");
        }
        let listed = |claims: &serde_json::Value| claims["applications"].as_array().unwrap().clone();
        let all = listed(&claims);
        assert!(listed(&believed).iter().all(|digest| all.contains(digest)), "{from}: none disappears");
        let mut retyped = log.clone();
        retyped[from + 4..from + 8].copy_from_slice(&0x1234_5678_u32.to_le_bytes());
        // A boot order that was measured without its name is by coincidence what a failing firmware measures.
        let claims = match judge(&case, &document(&quote, &retyped)) {
            Ok(genuine) => genuine.claims()["tdx_boot"].clone(),
            Err(code) => {
                assert_eq!(code, "malformed", "{from}");
                continue;
            }
        };
        assert!(claims.get("secure_boot").is_none_or(|on| *on == believed["secure_boot"]), "{from}");
    }
}

#[test]
fn the_document_has_its_members_and_no_others() {
    let Some((case, quote, log)) = pair() else { return };
    let good = String::from_utf8(document(&quote, &log)).unwrap();
    for bad in [
        good.replace("\"tdx\"", "\"tpm\""),
        good.replacen("{", "{\"more\":1,", 1),
        good.replacen("{", "{\"kind\":\"tdx\",", 1),
        good.replacen("\"event_log\"", "\"eventlog\"", 1),
        good.replacen("\"quote\":\"", "\"quote\":\"=", 1),
        format!("{good} x"),
        "{}".to_owned(),
    ] {
        assert_eq!(judge(&case, bad.as_bytes()).unwrap_err(), "malformed", "{}", &bad[..40.min(bad.len())]);
    }
}
