//! Real SEV-SNP reports: every entry of the evidence manifest, and the samples of other projects.
//!
//! Bad inputs, section 5; claims page, sections 4.2 and 4.6.

use keygate_verifier::{Code, Endorsements, Options, Outcome};
use serde_json::{Map, Value, json};

use crate::support::{Case, cases, skipped, time, vector, vectors_root};
use crate::{held, judge, verified, verifier};

/// Everything of a manifest entry but its ARK: the ARK is pinned.
fn endorsements(case: &Case) -> Endorsements {
    held(&[case.file("vek"), case.file("ask")])
}

/// The name of a member of the manifest in our claims.
fn claim_name(member: &str) -> Option<&'static str> {
    Some(match member {
        "version" => "report-version",
        "guest_svn" => "guestsvn",
        "policy" => "policy",
        "policy_debug" => "is-debuggable",
        "policy_smt" => "smt-allowed",
        "policy_migrate_ma" => "migration-allowed",
        "policy_single_socket" => "single-socket",
        "family_id" => "familyId",
        "image_id" => "imageId",
        "vmpl" => "vmpl",
        "platform_info" => "platform-info",
        "author_key_en" => "author-key-en",
        "mask_chip_key" => "mask-chip-key",
        "report_data" => "reportdata",
        "measurement" => "launchmeasurement",
        "host_data" => "hostdata",
        "id_key_digest" => "idkeydigest",
        "author_key_digest" => "authorkeydigest",
        "report_id" => "reportid",
        "report_id_ma" => "reportid-ma",
        "chip_id" => "chipid",
        "current_version" => "current-version",
        "committed_version" => "committed-version",
        "cpuid_fam_id" => "cpuid-family",
        "cpuid_mod_id" => "cpuid-model",
        "cpuid_step" => "cpuid-stepping",
        _ => return None,
    })
}

/// Compares every member of the manifest with our claim of it.
fn compare(id: &str, expected: &Map<String, Value>, claims: &Map<String, Value>) {
    let claim = |name: &str| {
        claims.get(&format!("x-ms-sevsnpvm-{name}")).unwrap_or_else(|| panic!("{id}: no claim `{name}`")).clone()
    };
    for (member, value) in expected {
        if let Some(name) = claim_name(member) {
            assert_eq!(&claim(name), value, "{id}: {member}");
            continue;
        }
        match member.as_str() {
            "sig_algo" => assert_eq!(value, &json!(1), "{id}"),
            "signing_key" => assert_eq!(claim("signing-key"), value.as_str().unwrap().to_lowercase(), "{id}"),
            "reported_tcb" | "committed_tcb" | "current_tcb" | "launch_tcb" => {
                // The real reports are of Milan and Genoa: boot loader, tee, four reserved bytes, snp, microcode.
                let bytes = hex::decode(value.as_str().unwrap()).unwrap();
                let prefix = match member.as_str() {
                    "reported_tcb" => String::new(),
                    other => format!("{}-", other.trim_end_matches("_tcb")),
                };
                for (name, at) in [("bootloader", 0), ("tee", 1), ("snpfw", 6), ("microcode", 7)] {
                    assert_eq!(claim(&format!("{prefix}{name}-svn")), json!(bytes[at]), "{id}: {member} {name}");
                }
            }
            other => panic!("{id}: nothing compares `{other}`"),
        }
    }
}

#[test]
fn every_manifest_entry_has_the_verdict_and_claims_that_others_found() {
    let cases = cases(&["snp"]);
    for case in &cases {
        let options = Options::show_all();
        let outcome = judge(&verifier(), &case.file("evidence"), &endorsements(case), &options, case.at().unwrap());
        if !case.verifies() {
            let refused = outcome.unwrap_err();
            // The three wrong certificates are those of other chips.
            assert_eq!(refused.kind(), Code::ChainUntrusted, "{}: {refused}", case.id);
            continue;
        }
        let verified = verified(outcome);
        let claims = verified.claims();
        compare(&case.id, case.claims().as_object().unwrap(), &claims);
        assert_eq!(claims["x-ms-attestation-type"], "sevsnpvm");
        assert_eq!(claims["keygate"]["revocation"], "not-checked");
        assert_eq!(claims["keygate"]["known_forgeable"], json!(case.id.contains("milan")), "{}", case.id);
        let extensions = &case.expected["vek_extensions"];
        assert_eq!(claims.get("x-ms-sevsnpvm-csp-id"), extensions.get("csp"), "{}", case.id);
    }
    assert!(cases.is_empty() || cases.len() == 16, "{} entries", cases.len());
}

#[test]
fn snp_15_real_debug_evidence_is_shown_and_not_accepted() {
    let Some(case) = cases(&["snp"]).into_iter().find(|c| c.id == "snp-v2-milan-vcek-377e6241") else {
        return;
    };
    let outcome =
        judge(&verifier(), &case.file("evidence"), &endorsements(&case), &Options::strict(), case.at().unwrap());
    let Ok(Outcome::NotAccepted { why, shown }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(why.code(), "debug-rejected");
    assert_eq!(shown.claims()["x-ms-sevsnpvm-is-debuggable"], json!(true));
}

#[test]
fn the_table_of_a_host_serves_as_endorsement_and_as_hint() {
    let Some(case) = cases(&["snp"]).into_iter().find(|c| c.files.contains_key("cert_table")) else { return };
    let (report, table, at) = (case.file("evidence"), case.file("cert_table"), case.at().unwrap());
    let mut held = Endorsements::default();
    assert_eq!(held.add_file(&table).unwrap(), 3);
    let options = Options::strict();
    verified(judge(&verifier(), &report, &held, &options, at));
    let extended = [report.as_slice(), &table].concat();
    verified(judge(&verifier(), &extended, &Endorsements::default(), &options, at));
    let wanted = judge(&verifier(), &report, &Endorsements::default(), &options, at);
    let Ok(Outcome::Wants(wishes)) = wanted else { panic!("{wanted:?}") };
    let names: Vec<_> = wishes.iter().map(ToString::to_string).collect();
    let chip = case.claims()["chip_id"].as_str().unwrap();
    assert_eq!(names, [format!("amd-genoa-vcek-{chip}-0a001754")]);
}

#[test]
fn snp_24_a_vlek_counts_only_while_it_lasts() {
    if vectors_root().is_none() {
        return skipped("the VLEK sample", 1);
    }
    let report = vector("trustee/snp/test-vlek-report.bin");
    let (vlek, chain) = (vector("trustee/snp/test-vlek.der"), vector("trustee/amd-roots/milan_ask_ark_asvk.pem"));
    let at = |text| judge(&verifier(), &report, &held(&[vlek.clone(), chain.clone()]), &Options::strict(), time(text));
    let inside = verified(at("2025-06-01T00:00:00Z"));
    assert_eq!(inside.claims()["x-ms-sevsnpvm-vmpl"], json!(1));
    assert_eq!(inside.claims()["x-ms-sevsnpvm-csp-id"], "CN=cc-us-east-2.amazonaws.com");
    // Its chip is masked: the provider and the product line can be denied.
    assert_eq!(inside.platforms(), ["snp-csp:CN=cc-us-east-2.amazonaws.com", "snp-product:milan"]);
    for outside in ["2024-12-09T00:00:00Z", "2025-12-11T00:00:00Z"] {
        assert_eq!(at(outside).unwrap_err().code(), "chain-untrusted", "{outside}");
    }
}

#[test]
fn a_vlek_without_its_issuer_wishes_for_it_and_without_itself_for_nothing() {
    if vectors_root().is_none() {
        return skipped("the VLEK sample", 2);
    }
    let report = vector("trustee/snp/test-vlek-report.bin");
    let at = time("2025-06-01T00:00:00Z");
    let alone =
        judge(&verifier(), &report, &held(&[vector("trustee/snp/test-vlek.der")]), &Options::strict(), at).unwrap();
    let Outcome::Wants(wishes) = alone else { panic!("{alone:?}") };
    assert_eq!(wishes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["amd-milan-vlek-issuer"]);
    let none = judge(&verifier(), &report, &Endorsements::default(), &Options::strict(), at).unwrap_err();
    assert_eq!(none.code(), "collateral-unavailable");
}

#[test]
fn other_projects_samples_verify_and_spoiled_ones_do_not() {
    if vectors_root().is_none() {
        return skipped("samples of other projects", 5);
    }
    let at = time("2025-06-01T00:00:00Z");
    for (report, endorsement) in [
        ("maa-sdk/samples/sevsnp-report.bin", "maa-sdk/samples/sevsnp-vcek-chain.pem"),
        ("maa-sdk/sidecar/snp_report.bin", "maa-sdk/sidecar/amd_chain.pem"),
        ("trustee/snp/test-report.bin", "trustee/snp/test-vcek.der"),
    ] {
        let held = held(&[vector(endorsement)]);
        verified(judge(&verifier(), &vector(report), &held, &Options::strict(), at));
    }
    for spoiled in ["trustee/snp/test-vcek-invalid-legacy.der", "trustee/snp/test-vcek-invalid-new.der"] {
        let held = held(&[vector(spoiled)]);
        let report = vector("trustee/snp/test-report.bin");
        let refused = judge(&verifier(), &report, &held, &Options::strict(), at).unwrap_err();
        assert_eq!(refused.code(), "chain-untrusted", "{spoiled}: {refused}");
    }
}

#[test]
fn snp_02_the_two_changes_that_trustee_tries_are_refused() {
    if vectors_root().is_none() {
        return skipped("changed samples", 2);
    }
    let held = held(&[vector("trustee/snp/test-vcek.der")]);
    let at = time("2025-06-01T00:00:00Z");
    for (index, code) in [(42, "signature-invalid"), (384, "tcb-rejected")] {
        let mut report = vector("trustee/snp/test-report.bin");
        report[index] += 1;
        assert_eq!(judge(&verifier(), &report, &held, &Options::strict(), at).unwrap_err().code(), code, "{index}");
    }
    let mut vcek = vector("trustee/snp/test-vcek.der");
    vcek[42] += 1;
    let mut held = Endorsements::default();
    held.add_certificate(&vcek);
    assert!(judge(&verifier(), &vector("trustee/snp/test-report.bin"), &held, &Options::strict(), at).is_err());
}

#[test]
fn azure_said_the_same_of_its_sample() {
    if vectors_root().is_none() {
        return skipped("the token of the Azure sample", 1);
    }
    let token = String::from_utf8(vector("maa-sdk/samples/sevsnp-token.jwt")).unwrap();
    let body = token.split('.').nth(1).unwrap().to_owned();
    let body = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, body).unwrap();
    let azure: Map<String, Value> = serde_json::from_slice(&body).unwrap();
    let held = held(&[vector("maa-sdk/samples/sevsnp-vcek-chain.pem")]);
    let report = vector("maa-sdk/samples/sevsnp-report.bin");
    let ours = verified(judge(&verifier(), &report, &held, &Options::strict(), time("2025-06-01T00:00:00Z"))).claims();
    let mut compared = 0;
    for (name, value) in azure.iter().filter(|(name, _)| name.starts_with("x-ms-sevsnpvm-")) {
        assert_eq!(ours.get(name), Some(value), "{name}");
        compared += 1;
    }
    assert_eq!(compared, 17);
    assert_eq!(ours["x-ms-attestation-type"], azure["x-ms-attestation-type"]);
}

#[test]
fn reports_inside_of_azure_hcl_reports_verify() {
    let cases = cases(&["azure-snp-vtpm"]);
    for case in &cases {
        let report = case.file("evidence").get(32..32 + 1184).unwrap().to_vec();
        let outcome = judge(&verifier(), &report, &held(&[case.file("vek")]), &Options::strict(), case.at().unwrap());
        compare(&case.id, case.claims()["snp"].as_object().unwrap(), &verified(outcome).claims());
    }
    assert!(cases.is_empty() || cases.len() == 3, "{} entries", cases.len());
}

/// Bytes of the report that a JSON document spells out field by field.
fn spelled(report: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let word = |out: &mut Vec<u8>, name: &str| out.extend((report[name].as_u64().unwrap() as u32).to_le_bytes());
    let long = |out: &mut Vec<u8>, name: &str| out.extend(report[name].as_u64().unwrap().to_le_bytes());
    let bytes =
        |value: &Value| -> Vec<u8> { value.as_array().unwrap().iter().map(|b| b.as_u64().unwrap() as u8).collect() };
    let tcb = |out: &mut Vec<u8>, name: &str| {
        let level = |part: &str| report[name][part].as_u64().unwrap() as u8;
        out.extend([level("bootloader"), level("tee"), 0, 0, 0, 0, level("snp"), level("microcode")]);
    };
    word(&mut out, "version");
    word(&mut out, "guest_svn");
    long(&mut out, "policy");
    out.extend(bytes(&report["family_id"]));
    out.extend(bytes(&report["image_id"]));
    word(&mut out, "vmpl");
    word(&mut out, "sig_algo");
    tcb(&mut out, "current_tcb");
    long(&mut out, "plat_info");
    word(&mut out, "key_info");
    out.extend([0; 4]);
    for name in ["report_data", "measurement", "host_data", "id_key_digest", "author_key_digest"] {
        out.extend(bytes(&report[name]));
    }
    out.extend(bytes(&report["report_id"]));
    out.extend(bytes(&report["report_id_ma"]));
    tcb(&mut out, "reported_tcb");
    for name in ["cpuid_fam_id", "cpuid_mod_id", "cpuid_step"] {
        out.push(report[name].as_u64().unwrap() as u8);
    }
    out.extend([0; 21]);
    out.extend(bytes(&report["chip_id"]));
    tcb(&mut out, "committed_tcb");
    for name in ["current", "committed"] {
        out.extend(["build", "minor", "major"].map(|part| report[name][part].as_u64().unwrap() as u8));
        out.push(0);
    }
    tcb(&mut out, "launch_tcb");
    out.resize(0x2a0, 0);
    for name in ["r", "s"] {
        out.extend(bytes(&report["signature"][name]));
    }
    out.resize(1184, 0);
    out
}

#[test]
fn a_report_of_bergamo_verifies_under_the_roots_of_genoa() {
    if vectors_root().is_none() {
        return skipped("the Bergamo sample", 1);
    }
    let sample: Value = serde_json::from_slice(&vector("trustee/snp/snp-evidence-e2e.json")).unwrap();
    let report = spelled(&sample["attestation_report"]);
    let chain = sample["cert_chain"].as_array().unwrap();
    let data: Vec<u8> = match &chain[0]["data"] {
        Value::String(text) => text.clone().into_bytes(),
        bytes => bytes.as_array().unwrap().iter().map(|b| b.as_u64().unwrap() as u8).collect(),
    };
    let at = time("2025-06-15T00:00:00Z");
    let claims = verified(judge(&verifier(), &report, &held(&[data]), &Options::strict(), at)).claims();
    assert_eq!(claims["x-ms-sevsnpvm-product"], "Genoa");
    assert_eq!(claims["x-ms-sevsnpvm-cpuid-model"], json!(0xa0));
    assert_eq!(claims["x-ms-sevsnpvm-vmpl"], json!(0));
    assert_eq!(claims["keygate"]["known_forgeable"], json!(false));
}
