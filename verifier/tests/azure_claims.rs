//! Our claims beside those of tokens that Azure Attestation issued: the same names, the same types, and the same values where the
//! evidence is at hand. What the service adds (times, policy, run-time data, the default policy's own claims) is not the verifier's.

mod dcap;
mod support;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_forge::amd::{Amd, Product, SnpReport};
use keygate_forge::intel::TdxQuote;
use keygate_verifier::{Anchors, Endorsements, EvidenceKind, UnixTime, Verifier};
use serde_json::{Map, Value};

use dcap::lab::{Lab, NOW};

/// What the service says of its own: times, names, policy, data that came with the request, older names of other claims.
const SERVICE: &[&str] = &[
    "exp",
    "iat",
    "iss",
    "jti",
    "nbf",
    "x-ms-ver",
    "x-ms-policy-hash",
    "x-ms-policy-signer",
    "x-ms-runtime",
    "x-ms-sgx-ehd",
    "maa-ehd",
    "aas-ehd",
    "maa-attestationcollateral",
    "x-ms-compliance-status",
];
/// What the default policy of an SGX provider issues.
const DEFAULT_POLICY: &[&str] = &["is-debuggable", "product-id", "sgx-mrenclave", "sgx-mrsigner", "svn", "tee"];

fn body(token: &[u8]) -> Map<String, Value> {
    let token = std::str::from_utf8(token).expect("text").trim();
    let payload = token.split('.').nth(1).expect("a payload");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("a json object")
}

/// The claims of a token that the verifier has to make.
fn of_verifier(token: Map<String, Value>) -> Map<String, Value> {
    token
        .into_iter()
        .filter(|(name, _)| !SERVICE.contains(&name.as_str()) && !DEFAULT_POLICY.contains(&name.as_str()))
        .collect()
}

/// A value's type, and for text how long it is: hexadecimal digests are as long as Azure's.
fn shape(value: &Value) -> String {
    match value {
        Value::String(text) if text.bytes().all(|b| b.is_ascii_hexdigit()) => format!("hex of {} digits", text.len()),
        Value::String(_) => "text".to_owned(),
        Value::Bool(_) => "boolean".to_owned(),
        Value::Number(number) if number.is_u64() => "integer".to_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn recorded_tokens_of_sgx_and_open_enclave_say_the_same() {
    let Some(root) = support::vectors_root() else { return support::skipped("recorded tokens", 15) };
    let held = dcap::held(&support::vector("evidence/dcap-collateral/sgx-00906ed50000-2025-01-21-182bc0e9.json"));
    let claims = |file: &str| {
        let evidence = support::vector(&format!("maa-sdk/python/{file}"));
        let at = support::time("2025-02-05T10:43:45Z");
        dcap::judge(&dcap::vendor(), EvidenceKind::Sgx, &evidence, &held, at).expect("genuine").claims()
    };
    let ours = [("sgx_enclave", claims("sgx-quote.bin")), ("open_enclave", claims("oe-report.bin"))];
    let mut compared = 0;
    for entry in std::fs::read_dir(root.join("maa-sdk/python")).expect("the folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if !name.starts_with("token-") {
            continue;
        }
        let (_, ours) = ours.iter().find(|(kind, _)| name.contains(kind)).expect("one of the two");
        for (claim, value) in of_verifier(body(&std::fs::read(&path).expect("a file"))) {
            if claim != "x-ms-sgx-collateral" {
                assert_eq!(ours.get(&claim), Some(&value), "{name}: {claim}");
                continue;
            }
            // Texts and lists of 2021 are not at hand; the signer's chain was the same until 2025.
            let (theirs, ours) = (value.as_object().expect("an object"), ours[&claim].as_object().expect("an object"));
            assert!(theirs.keys().eq(ours.keys()), "{name}: {claim}");
            for (member, value) in theirs {
                assert_eq!(shape(value), shape(&ours[member]), "{name}: {member}");
                if ["quotehash", "qeidcertshash", "tcbinfocertshash"].contains(&member.as_str()) {
                    assert_eq!(ours[member], *value, "{name}: {member}");
                }
            }
        }
        compared += 1;
    }
    assert_eq!(compared, 15);
}

fn compare_shapes(document: &str, ours: &Map<String, Value>, names: usize) {
    let theirs = of_verifier(serde_json::from_slice(&support::vector(document)).expect("a json object"));
    assert_eq!(theirs.len(), names, "{document}");
    for (name, value) in theirs {
        let ours = ours.get(&name).unwrap_or_else(|| panic!("{document}: `{name}` is missing"));
        assert_eq!(shape(ours), shape(&value), "{document}: {name}");
    }
}

#[test]
fn the_documented_token_of_a_td_has_the_same_names_and_types() {
    if support::vectors_root().is_none() {
        return support::skipped("the documented TDX token", 1);
    }
    let ours = Lab::new().tdx(&TdxQuote::new([7; 64])).expect("accepted").claims();
    compare_shapes("maa-sdk/docs/token-body-tdxvm.json", &ours, 26);
}

#[test]
fn the_documented_token_of_a_sev_snp_guest_has_the_same_names_and_types() {
    if support::vectors_root().is_none() {
        return support::skipped("the documented SEV-SNP token", 1);
    }
    let amd = Amd::new(Product::Milan, NOW);
    let evidence = amd.evidence(&SnpReport::new([7; 64]));
    let mut anchors = Anchors::none();
    anchors.add("forge", EvidenceKind::Snp, &amd.ark_der()).expect("an anchor");
    let mut held = Endorsements::default();
    held.add_certificate(&evidence.vek);
    held.add_certificate(&evidence.authority);
    let verifier = Verifier::new(anchors);
    let now = UnixTime::from_secs(NOW);
    let ours = dcap::judge(&verifier, EvidenceKind::Snp, &evidence.report, &held, now).expect("genuine").claims();
    compare_shapes("maa-sdk/docs/token-body-sevsnpvm.json", &ours, 18);
}
