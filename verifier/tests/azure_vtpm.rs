//! Evidence of kind `azure-vtpm`: every recorded machine, and each thing in which a twin may differ. Bad inputs, TPM-32 to TPM-37.

#[path = "dcap/mod.rs"]
mod dcap;
mod support;

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_verifier::{Anchors, Binding, Endorsements, Evidence, EvidenceKind, Options, Outcome, UnixTime, Verifier};
use serde_json::{Map, Value, json};
use support::{cases, time, vector, vectors_root};

/// A machine as it was recorded, in parts.
#[derive(Clone)]
struct Machine {
    hcl_report: Vec<u8>,
    td_quote: Option<Vec<u8>>,
    certificates: Vec<Vec<u8>>,
    quote: Vec<u8>,
    /// RSASSA with SHA-256, as it stands behind the header of a TPMT_SIGNATURE.
    signature: Vec<u8>,
    pcrs: Vec<String>,
}

impl Machine {
    fn document(&self) -> Map<String, Value> {
        let b64 = |bytes: &[u8]| json!(URL_SAFE_NO_PAD.encode(bytes));
        let length = u16::try_from(self.signature.len()).unwrap().to_be_bytes();
        let signature = [&[0x00, 0x14, 0x00, 0x0b][..], &length, &self.signature].concat();
        let registers: Map<String, Value> =
            self.pcrs.iter().enumerate().map(|(index, value)| (index.to_string(), json!(value))).collect();
        let mut document = Map::new();
        document.insert("kind".into(), json!("azure-vtpm"));
        document.insert("hcl_report".into(), b64(&self.hcl_report));
        if let Some(quote) = &self.td_quote {
            document.insert("td_quote".into(), b64(quote));
        }
        if !self.certificates.is_empty() {
            document.insert("certificates".into(), self.certificates.iter().map(|der| b64(der)).collect());
        }
        document.insert("quote".into(), b64(&self.quote));
        document.insert("signature".into(), b64(&signature));
        document.insert("pcrs".into(), json!({"sha256": registers}));
        document
    }

    fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(&self.document()).unwrap()
    }
}

fn judge(bytes: &[u8], held: &Endorsements, options: &Options, at: UnixTime) -> Result<Outcome, String> {
    let verifier = Verifier::new(Anchors::vendor().unwrap());
    let evidence = Evidence { kind: EvidenceKind::AzureVtpm, bytes };
    verifier.verify(&evidence, &Binding::Unbound, held, options, at).map_err(|error| error.full_code())
}

fn claims(outcome: Result<Outcome, String>) -> Map<String, Value> {
    match outcome {
        Ok(Outcome::Verified(verified)) => verified.claims(),
        other => panic!("{other:?}"),
    }
}

/// The entries of the evidence manifest that have every part.
fn recorded(id: &str) -> Machine {
    let folder = match id.contains("snp") {
        true => format!("evidence/azure-snp-vtpm/{id}"),
        false => format!("evidence/azure-tdx-vtpm/{id}"),
    };
    let file = |name: &str| vector(&format!("{folder}/{name}"));
    let pcrs: Value = serde_json::from_slice(&file("pcrs.json")).unwrap();
    Machine {
        hcl_report: file("hcl-report.bin"),
        td_quote: (!id.contains("snp")).then(|| file("td-quote.bin")),
        certificates: if id.contains("snp") { vec![file("vcek.der")] } else { Vec::new() },
        quote: file("tpm-quote.msg"),
        signature: file("tpm-quote.sig"),
        pcrs: pcrs["sha256"].as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned()).collect(),
    }
}

/// Base64 in either alphabet, padded or not.
fn base64(text: &str) -> Vec<u8> {
    let text = text.trim_end_matches('=').replace('+', "-").replace('/', "_");
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// Trustee's documents, versions 0 to 2.
fn trustee(path: &str) -> Machine {
    let document: Value = serde_json::from_slice(&vector(&format!("trustee/{path}"))).unwrap();
    let bytes = |value: &Value| match value {
        Value::Array(list) => list.iter().map(|byte| u8::try_from(byte.as_u64().unwrap()).unwrap()).collect(),
        Value::String(text) => hex::decode(text).unwrap_or_else(|_| base64(text)),
        other => panic!("{other}"),
    };
    let quote = document.get("tpm_quote").or_else(|| document.get("quote")).unwrap();
    let certificates = match document.get("vcek").and_then(Value::as_str) {
        None => Vec::new(),
        Some(pem) if pem.starts_with("-----") => openssl::x509::X509::stack_from_pem(pem.as_bytes())
            .unwrap()
            .iter()
            .map(|certificate| certificate.to_der().unwrap())
            .collect(),
        Some(der) => vec![base64(der)],
    };
    let hcl = document.get("hcl_report").or_else(|| document.get("report")).unwrap();
    Machine {
        hcl_report: bytes(hcl),
        td_quote: document.get("td_quote").map(bytes),
        certificates,
        quote: bytes(&quote["message"]),
        signature: bytes(&quote["signature"]),
        pcrs: quote["pcrs"].as_array().unwrap().iter().map(|value| hex::encode(bytes(value))).collect(),
    }
}

const TDX_NOW: &str = "2025-02-05T11:57:03Z";
const TDX_COLLATERAL: &str = "evidence/dcap-collateral/tdx-00806f050000-2025-01-21-0ecabbd6.json";

#[test]
fn every_recorded_machine_gets_the_expected_verdict_and_claims() {
    if vectors_root().is_none() {
        support::skipped("azure-vtpm", 12);
        return;
    }
    let mut table = String::new();
    for entry in cases(&["azure-snp-vtpm", "azure-tdx-vtpm"]) {
        assert!(entry.verifies(), "{}", entry.id);
        let expected = entry.claims();
        let verdict = if entry.files.contains_key("pcrs") {
            let machine = recorded(&entry.id);
            let (held, at) = match &machine.td_quote {
                None => (Endorsements::default(), entry.at().unwrap()),
                Some(_) => {
                    // The manifest's own time has no collateral of the day.
                    let then =
                        judge(&machine.bytes(), &Endorsements::default(), &Options::show_all(), entry.at().unwrap());
                    assert!(matches!(then, Ok(Outcome::Wants(_))), "{then:?}");
                    (dcap::held(&vector(TDX_COLLATERAL)), time(TDX_NOW))
                }
            };
            let claims = claims(judge(&machine.bytes(), &held, &Options::show_all(), at));
            let (tpm, tee) = (&claims["tpm"], &claims["x-ms-isolation-tee"]);
            let (hcl, said) = (&expected["hcl"], &expected["tpm"]);
            assert_eq!(claims["x-ms-azurevm-vmid"], hcl["vm_configuration"]["vmUniqueId"], "{}", entry.id);
            assert_eq!(claims["secureboot"], hcl["vm_configuration"]["secure-boot"]);
            assert_eq!(tee["x-ms-runtime"]["vm-configuration"], hcl["vm_configuration"]);
            assert_eq!(tee["x-ms-runtime"]["user-data"], hcl["user_data"]);
            for name in ["clock", "reset_count", "restart_count"] {
                assert_eq!(tpm["clock"][name], said[name], "{} {name}", entry.id);
            }
            assert_eq!(tpm["firmware_version"], said["firmware_version"]);
            assert_eq!(tpm["pcrs"]["sha256"], expected["pcrs_sha256"]);
            assert_eq!(claims["x-ms-azurevm-attested-pcrs"], said["pcr_select"][0][1]);
            let kind = if machine.td_quote.is_some() { "tdxvm" } else { "sevsnpvm" };
            assert_eq!(tee["x-ms-attestation-type"], kind);
            assert_eq!(claims["keygate"]["anchor"], "vendor");
            assert_eq!(
                claims["keygate"]["debug"],
                json!(kind == "tdxvm"),
                "no MRTD is known as a paravisor's by itself"
            );
            "verified"
        } else {
            partial(&entry.files, expected);
            "partial, as expected"
        };
        writeln!(table, "{:28} {verdict}", entry.id).unwrap();
    }
    for (path, at, version) in [
        ("az-snp-vtpm/evidence-v0.json", "2025-03-29T16:26:55Z", "6a063be9dd79f637"),
        ("az-snp-vtpm/evidence-v1.json", "2025-03-29T16:26:55Z", "6a063be9dd79f637"),
        ("az-snp-vtpm/evidence-v2.json", "2026-06-01T00:00:00Z", "5b0ce64ad1c1f637"),
        ("az-snp-vtpm/evidence-genoa.json", "2025-06-01T00:00:00Z", "f57dc09a507c6ecd"),
    ] {
        let claims = claims(judge(&trustee(path).bytes(), &Endorsements::default(), &Options::strict(), time(at)));
        let measured = claims["x-ms-isolation-tee"]["x-ms-sevsnpvm-launchmeasurement"].as_str().unwrap();
        assert!(measured.starts_with(version), "{path}: {measured}");
        writeln!(table, "{path:34} verified").unwrap();
    }
    let held = dcap::held(&vector(TDX_COLLATERAL));
    for path in ["az-tdx-vtpm/evidence-v0.json", "az-tdx-vtpm/evidence-v1.json"] {
        let machine = trustee(path);
        let claims = claims(judge(&machine.bytes(), &held, &Options::show_all(), time(TDX_NOW)));
        assert!(claims["tpm"]["pcrs"]["sha256"]["0"].as_str().unwrap().starts_with("782b20b10f55cc46"), "{path}");
        writeln!(table, "{path:34} verified").unwrap();
    }
    for (path, digest) in [("hcl-report-snp.bin", "1d0a466a"), ("hcl-report-tdx.bin", "e8f07961")] {
        let report = vector(&format!("maa-sdk/azure-vtpm/{path}"));
        let length = usize::try_from(u32::from_le_bytes(report[1232..1236].try_into().unwrap())).unwrap();
        let runtime = openssl::sha::sha256(&report[1236..1236 + length]);
        let at = if path.contains("snp") { 32 + 0x50 } else { 32 + 128 };
        assert_eq!(report[at..at + 32], runtime, "{path}");
        assert!(hex::encode(runtime).starts_with(digest));
        writeln!(table, "{path:34} binding holds").unwrap();
    }
    eprintln!("{table}");
}

/// Entries of which only some parts were published: what they have must read as the manifest says.
fn partial(files: &std::collections::BTreeMap<String, String>, expected: &Value) {
    let report = vector(&format!("evidence/{}", files["evidence"]));
    let length = usize::try_from(u32::from_le_bytes(report[1232..1236].try_into().unwrap())).unwrap();
    let runtime = &report[1236..1236 + length];
    assert_eq!(hex::encode(openssl::sha::sha256(runtime)), expected["hcl"]["variable_data_sha256"].as_str().unwrap());
    let runtime: Value = serde_json::from_slice(runtime).unwrap();
    assert_eq!(runtime["vm-configuration"], expected["hcl"]["vm_configuration"]);
}
