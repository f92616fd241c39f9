//! Bodies as clients send them, and as nobody should. `maa-rest-api.md` section 3; `vectors/maa-sdk`; `bad-inputs.md` section 13.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::wire::{AttestBody, LARGEST_JWS_BODY, read_attest, read_jws};
use super::{owns, takes_text};
use crate::broker::{AttestationType, Code, Fault, HeldData};

use AttestationType::{OpenEnclave, SevSnpVm, SgxEnclave, TdxVm, Tpm};

/// A file of the vectors; none where they are not held.
fn vector(name: &str) -> Option<Vec<u8>> {
    let folder = std::env::var_os("KEYGATE_VECTORS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors"), PathBuf::from);
    match std::fs::read(folder.join("maa-sdk").join(name)) {
        Ok(bytes) => Some(bytes),
        Err(_) if !folder.exists() => None,
        Err(error) => panic!("{name}: {error}"),
    }
}

fn read(body: &Value, kind: AttestationType) -> Result<AttestBody, Fault> {
    read_attest(body.to_string().as_bytes(), kind, false)
}

fn code(body: &Value, kind: AttestationType) -> Option<Code> {
    read(body, kind).err().map(|fault| fault.code)
}

fn held(bytes: &[u8], json: bool) -> Option<HeldData> {
    Some(HeldData { bytes: bytes.to_vec(), json })
}

#[test]
fn recorded_bodies_are_read_as_their_client_meant_them() {
    let Some(data) = vector("python/runtime-data.json") else { return };
    let (quote, report) = (vector("python/sgx-quote.bin").unwrap(), vector("python/oe-report.bin").unwrap());
    for (name, kind, evidence, json, draft) in [
        ("sgx_enclave-aad-binary", SgxEnclave, &quote, false, false),
        ("sgx_enclave-aad-json", SgxEnclave, &quote, true, false),
        ("open_enclave-aad-binary", OpenEnclave, &report, false, false),
        ("open_enclave-aad-json", OpenEnclave, &report, true, false),
        ("open_enclave-aad-json-draft", OpenEnclave, &report, true, true),
    ] {
        let body = vector(&format!("python/request-{name}.json")).unwrap();
        let read = read_attest(&body, kind, false).unwrap();
        assert_eq!(read.attestation_type, kind, "{name}");
        assert!(read.evidence == *evidence, "{name}");
        assert_eq!((read.runtime, read.init, read.nonce), (held(&data, json), None, None), "{name}");
        assert_eq!(read.draft_policy.is_some(), draft, "{name}");
        // The same body is none of the other type's.
        let other = if kind == SgxEnclave { OpenEnclave } else { SgxEnclave };
        assert_eq!(read_attest(&body, other, false).unwrap_err().code, Code::Malformed, "{name}");
    }
    let snp = read_attest(&vector("samples/sevsnp-request.json").unwrap(), SevSnpVm, false).unwrap();
    let document: Value = serde_json::from_slice(&snp.evidence).unwrap();
    let inner = URL_SAFE_NO_PAD.decode(document["SnpReport"].as_str().unwrap().trim_end_matches('='));
    assert!(inner.unwrap() == vector("samples/sevsnp-report.bin").unwrap());
    let tpm = read_attest(&vector("python/tpm-init.request.json").unwrap(), Tpm, false).unwrap();
    assert!(tpm.evidence.starts_with(b"{\"payload\""));
}

#[test]
fn the_first_version_has_a_body_of_its_own() {
    let Some(body) = vector("samples/legacy-post.attest.body.json") else { return };
    let read = read_attest(&body, SgxEnclave, true).unwrap();
    assert_eq!(read.attestation_type, OpenEnclave, "its quote has the head of a report");
    assert!(read.runtime.is_some_and(|data| !data.json && data.bytes.starts_with(b"-----BEGIN PUBLIC KEY")));
    assert_eq!(read_attest(&body, SgxEnclave, false).unwrap_err().code, Code::Malformed);
    assert_eq!(read_attest(&body, SevSnpVm, true).unwrap_err().code, Code::Malformed);
    let plain = json!({"Quote": "AwAC", "EnclaveHeldData": "YWJj"}).to_string();
    let read = read_attest(plain.as_bytes(), SgxEnclave, true).unwrap();
    assert_eq!((read.attestation_type, read.runtime), (SgxEnclave, held(b"abc", false)));
    let both = json!({"Quote": "AwAC", "quote": "AwAC"}).to_string();
    assert_eq!(read_attest(both.as_bytes(), SgxEnclave, true).unwrap_err().code, Code::Malformed);
    let newer = json!({"quote": "AwAC"}).to_string();
    assert!(read_attest(newer.as_bytes(), SgxEnclave, true).is_ok());
}

#[test]
fn recorded_signed_texts_are_read_to_the_byte() {
    let Some(add) = vector("python/certificates-01-add.request.json") else { return };
    let jws: String = serde_json::from_slice(&add).unwrap();
    assert_eq!(read_jws(&add, Some("policyCertificateToAdd")).unwrap(), jws);
    for name in [
        "policy-aad_set_policy_unsecured-aad-SgxEnclave-PUT.request.jws",
        "policy-aad_set_policy_secured-aad-SgxEnclave-PUT.request.jws",
        "policy-aad_reset_policy_unsecured-aad-SgxEnclave-POST.request.jws",
    ] {
        let bare = vector(&format!("python/{name}")).unwrap();
        assert_eq!(read_jws(&bare, None).unwrap().as_bytes(), bare.trim_ascii(), "{name}");
    }
}

#[test]
fn a_signed_text_has_three_forms_and_no_fourth() {
    let jws = "eyJhbGciOiJub25lIn0..";
    let add = Some("policyCertificateToAdd");
    for body in
        [jws, &format!("{jws}\r\n"), &format!("\"{jws}\""), &format!(r#" {{"policyCertificateToAdd":"{jws}","x":1}} "#)]
    {
        assert_eq!(read_jws(body.as_bytes(), add).unwrap(), jws, "{body}");
    }
    assert_eq!(read_jws(b"", add).unwrap(), "", "what it lacks is told by whoever reads it");
    let code = |body: &[u8], member| read_jws(body, member).unwrap_err().code;
    for body in [
        &br#"{"policyCertificateToRemove":"a.b.c"}"#[..],
        br#"{"policyCertificateToAdd":"a.b.c","policyCertificateToAdd":"a.b.c"}"#,
        br#"{"policyCertificateToAdd":{"kty":"RSA"}}"#,
        br#""a.b.c" "a.b.c""#,
        br#""a.b.c"#,
        b"a.\xff.c",
    ] {
        assert_eq!(code(body, add), Code::Malformed, "{}", String::from_utf8_lossy(body));
    }
    assert_eq!(code(br#"{"policyCertificateToAdd":"a.b.c"}"#, None), Code::Malformed, "a policy is no object");
    let (fits, long) = ("a".repeat(256 * 1_024), "a".repeat(256 * 1_024 + 1));
    assert!(read_jws(fits.as_bytes(), add).is_ok() && fits.len() < LARGEST_JWS_BODY);
    assert_eq!(code(long.as_bytes(), add), Code::TooLarge);
    assert_eq!(code(format!("\"{long}\"").as_bytes(), add), Code::TooLarge);
}

#[test]
fn http_08_and_09_unknown_members_are_ignored_and_double_ones_refused() {
    let extra =
        json!({"quote": "AwAC", "x": {"y": [1]}, "runtimeData": {"data": "YQ", "dataType": "Binary", "z": null}});
    assert_eq!(read(&extra, SgxEnclave).unwrap().runtime, held(b"a", false));
    for body in [
        r#"{"quote":"AwAC","quote":"AwAC"}"#,
        r#"{"quote":"AwAC","\u0071uote":"AwAC"}"#,
        r#"{"quote":"AwAC","x":1,"x":1}"#,
        r#"{"quote":"AwAC","runtimeData":{"data":"YQ","data":"Yg"}}"#,
        r#"{"quote":"AwAC"}{}"#,
        "\u{feff}{\"quote\":\"AwAC\"}",
        r#"["AwAC"]"#,
        r#""AwAC""#,
        "",
    ] {
        assert_eq!(read_attest(body.as_bytes(), SgxEnclave, false).unwrap_err().code, Code::Malformed, "{body}");
    }
}

#[test]
fn http_07_bodies_without_measure_are_too_large() {
    let deep = format!(r#"{{"quote":"AwAC","x":{}{}}}"#, "[".repeat(32), "]".repeat(32));
    let wide = format!(r#"{{"quote":"AwAC","x":[{}]}}"#, vec!["0"; 4_097].join(","));
    let name = format!(r#"{{"quote":"AwAC","{}":0}}"#, "n".repeat(65_536));
    for body in [deep, wide, name] {
        assert_eq!(read_attest(body.as_bytes(), SgxEnclave, false).unwrap_err().code, Code::TooLarge);
    }
    let data = |bytes: usize| json!({"quote": "AwAC", "runtimeData": {"data": URL_SAFE_NO_PAD.encode(vec![7; bytes])}});
    assert_eq!(code(&data(65_536), SgxEnclave), None);
    assert_eq!(code(&data(65_537), SgxEnclave), Some(Code::TooLarge));
    assert_eq!(code(&data(80_000), SgxEnclave), Some(Code::TooLarge));
    for (member, most) in [("nonce", 1_024), ("draftPolicyForAttestation", 256 * 1_024)] {
        let text = |length: usize| json!({"quote": "AwAC", member: "x".repeat(length)});
        assert_eq!(code(&text(most), SgxEnclave), None, "{member}");
        assert_eq!(code(&text(most + 1), SgxEnclave), Some(Code::TooLarge), "{member}");
    }
}

#[test]
fn binary_members_are_base64_of_either_alphabet_padded_or_not() {
    let bytes = [0xfb, 0xff, 0xbf, 0xfe];
    for text in [STANDARD.encode(bytes), URL_SAFE.encode(bytes), URL_SAFE_NO_PAD.encode(bytes)] {
        assert_eq!(read(&json!({"quote": text}), SgxEnclave).unwrap().evidence, bytes, "{text}");
    }
    for text in ["YR", "YQ===", "Y Q=", "YQ\n", "Y", "Y=Q=", "YQ.", "ÿ"] {
        assert_eq!(code(&json!({"quote": text}), SgxEnclave), Some(Code::Malformed), "{text}");
    }
    for missing in
        [json!({}), json!({"quote": null}), json!({"quote": ""}), json!({"report": "AwAC"}), json!({"quote": 7})]
    {
        assert_eq!(code(&missing, SgxEnclave), Some(Code::Malformed), "{missing}");
    }
}

#[test]
fn held_data_is_absent_binary_or_an_object() {
    let with = |data: Value| json!({"quote": "AwAC", "runtimeData": data, "initTimeData": data});
    for absent in [
        json!(null),
        json!({}),
        json!({"data": null, "dataType": "JSON"}),
        json!({"data": "", "dataType": ""}),
        json!({"data": "", "dataType": "Binary"}),
    ] {
        let read = read(&with(absent.clone()), SgxEnclave).unwrap();
        assert_eq!((read.runtime, read.init), (None, None), "{absent}");
    }
    let object = URL_SAFE_NO_PAD.encode(r#"{"a":1}"#);
    for (word, json) in
        [("Binary", false), ("BINARY", false), ("", false), ("JSON", true), ("Json", true), ("json", true)]
    {
        let read = read(&with(json!({"data": object, "dataType": word})), SgxEnclave).unwrap();
        assert_eq!((&read.runtime, &read.init), (&held(br#"{"a":1}"#, json), &read.runtime), "{word}");
    }
    assert_eq!(read(&with(json!({"data": object})), SgxEnclave).unwrap().runtime, held(br#"{"a":1}"#, false));
    for wrong in [
        json!("e30"),
        json!([]),
        json!({"data": "e30", "dataType": "XML"}),
        json!({"data": "", "dataType": "XML"}),
        json!({"data": "e30", "dataType": 1}),
        json!({"data": {"a": 1}, "dataType": "JSON"}),
    ] {
        assert_eq!(code(&with(wrong.clone()), SgxEnclave), Some(Code::Malformed), "{wrong}");
    }
    for text in ["[]", "1", "\"a\"", "{", "{}{}", "{\"a\":1,\"a\":2}", "\u{feff}{}"] {
        let data = |word: &str| with(json!({"data": URL_SAFE_NO_PAD.encode(text), "dataType": word}));
        assert_eq!(code(&data("JSON"), SgxEnclave), Some(Code::Malformed), "{text}");
        assert_eq!(code(&data("Binary"), SgxEnclave), None, "{text}");
    }
    let latin = json!({"data": URL_SAFE_NO_PAD.encode(b"{\"a\":\"\xe4\"}"), "dataType": "JSON"});
    assert_eq!(code(&with(latin), SgxEnclave), Some(Code::Malformed), "no utf-8");
}

#[test]
fn a_nonce_is_text_or_the_digits_of_a_number() {
    let nonce = |nonce: Value| read(&json!({"report": "AwAC", "nonce": nonce}), SevSnpVm).map(|read| read.nonce);
    assert_eq!(nonce(json!("00x")).unwrap().as_deref(), Some("00x"));
    assert_eq!(nonce(json!(18_446_744_073_709_551_615_u64)).unwrap().as_deref(), Some("18446744073709551615"));
    assert_eq!(nonce(json!(-7)).unwrap().as_deref(), Some("-7"));
    assert_eq!(nonce(json!(null)).unwrap(), None);
    for wrong in [json!(1.5), json!(true), json!([1]), json!({})] {
        assert_eq!(nonce(wrong.clone()).unwrap_err().code, Code::Malformed, "{wrong}");
    }
}

#[test]
fn a_draft_is_none_of_the_members_for_tdx() {
    let draft = |kind, member: &str| {
        let body = json!({member: "AwAC", "draftPolicyForAttestation": "version=1.0;"});
        read(&body, kind).unwrap().draft_policy
    };
    assert_eq!(draft(TdxVm, "quote"), None);
    assert_eq!(draft(SevSnpVm, "report").as_deref(), Some("version=1.0;"));
    let number = json!({"report": "AwAC", "draftPolicyForAttestation": 7});
    assert_eq!(code(&number, SevSnpVm), Some(Code::Malformed));
}

#[test]
fn the_door_owns_its_places_and_takes_text_in_two() {
    for (path, owned, text) in [
        ("/policies/SgxEnclave", true, true),
        ("/policies/SgxEnclave:reset", true, true),
        ("/certificates:add", true, true),
        ("/certificates", true, true),
        ("/attest/SgxEnclave", true, false),
        ("/certs", true, false),
        ("/certsx", false, false),
        ("/policiesx", false, false),
        ("/v1/policies", false, false),
    ] {
        assert_eq!((owns(path), takes_text(path)), (owned, text), "{path}");
    }
}

/// Steps of xorshift: the same mutations in every run.
fn step(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state >> 16).unwrap_or(0)
}

#[test]
fn mutated_bodies_are_read_or_refused_and_never_panic() {
    const GOOD: &str = r#"{"quote":"AwAC-_==","report":"AQAAAAIAAAA","data":"e30","Quote":"AwAC","EnclaveHeldData":"YQ","runtimeData":{"data":"eyJhIjoxfQ","dataType":"JSON"},"initTimeData":{"data":"","dataType":""},"draftPolicyForAttestation":"version=1.0;","nonce":12,"policyCertificateToAdd":"eyJhbGciOiJub25lIn0.."}"#;
    let (mut state, mut read) = (0x9e37_79b9_7f4a_7c15, 0);
    for _ in 0..20_000 {
        let mut body = GOOD.as_bytes().to_vec();
        for _ in 0..=step(&mut state) % 3 {
            let (at, other) = (step(&mut state) % body.len(), step(&mut state) % GOOD.len());
            match step(&mut state) % 4 {
                0 => body[at] = b"\"{}[],:\\0-e\xff"[step(&mut state) % 12],
                1 if body.len() > 1 => drop(body.remove(at)),
                2 => body.insert(at, GOOD.as_bytes()[other]),
                _ => body.truncate(at + 1),
            }
        }
        for kind in AttestationType::ALL {
            read += usize::from(read_attest(&body, *kind, false).is_ok());
            let _ = read_attest(&body, *kind, true);
        }
        let _ = (read_jws(&body, None), read_jws(&body, Some("policyCertificateToAdd")));
    }
    assert!(read > 0, "some mutations change only a value");
}
