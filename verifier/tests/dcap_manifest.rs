//! Every SGX and TDX entry of the evidence manifest: verdict, status, advisories and every claim.
//!
//! The manifest spells fields as Intel's structures do; the claims as Azure Attestation does.

mod dcap;
mod support;

use keygate_verifier::{Endorsements, Genuine, UnixTime};
use serde_json::Value;
use support::Case;

/// The manifest's name of a field, and the claim that carries it.
const SGX_CLAIMS: &[(&str, &str)] = &[
    ("cpu_svn", "x-ms-sgx-cpusvn"),
    ("misc_select", "x-ms-sgx-miscselect"),
    ("attributes", "x-ms-sgx-attributes"),
    ("mr_enclave", "x-ms-sgx-mrenclave"),
    ("mr_signer", "x-ms-sgx-mrsigner"),
    ("isv_prod_id", "x-ms-sgx-product-id"),
    ("isv_svn", "x-ms-sgx-svn"),
    ("report_data", "x-ms-sgx-report-data"),
    ("debug", "x-ms-sgx-is-debuggable"),
];
const TDX_CLAIMS: &[(&str, &str)] = &[
    ("tee_tcb_svn", "tdx_tee_tcb_svn"),
    ("tee_tcb_svn2", "tdx_tee_tcb_svn2"),
    ("mr_seam", "tdx_mrseam"),
    ("mr_signer_seam", "tdx_mrsignerseam"),
    ("seam_attributes", "tdx_seam_attributes"),
    ("td_attributes", "tdx_td_attributes"),
    ("xfam", "tdx_xfam"),
    ("mr_td", "tdx_mrtd"),
    ("mr_config_id", "tdx_mrconfigid"),
    ("mr_owner", "tdx_mrowner"),
    ("mr_owner_config", "tdx_mrownerconfig"),
    ("mr_service_td", "tdx_mrservicetd"),
    ("rtmr0", "tdx_rtmr0"),
    ("rtmr1", "tdx_rtmr1"),
    ("rtmr2", "tdx_rtmr2"),
    ("rtmr3", "tdx_rtmr3"),
    ("report_data", "tdx_report_data"),
    ("debug", "tdx_td_attributes_debug"),
];

fn judge(case: &Case) -> Result<Genuine, String> {
    let held = if case.files.contains_key("collateral") {
        dcap::held(&case.file("collateral"))
    } else {
        Endorsements::default()
    };
    let at = case.at().unwrap_or(UnixTime::from_rfc3339("2024-06-01T00:00:00Z").expect("a date"));
    dcap::judge(&dcap::vendor(), dcap::kind(&case.kind), &case.file("evidence"), &held, at)
}

fn check_claims(case: &Case, genuine: &Genuine) {
    let claims = genuine.claims();
    let names = if case.kind == "sgx" { SGX_CLAIMS } else { TDX_CLAIMS };
    let expected = case.claims().as_object().expect("claims");
    for (theirs, ours) in names {
        let Some(value) = expected.get(*theirs) else {
            assert!(!claims.contains_key(*ours), "{}: {ours} is not in the evidence", case.id);
            continue;
        };
        assert_eq!(claims.get(*ours), Some(value), "{}: {ours}", case.id);
    }
    assert_eq!(genuine.is_debug(), expected["debug"].as_bool().expect("debug"), "{}", case.id);
    let fmspc = expected["pck"]["fmspc"].as_str().expect("fmspc").to_lowercase();
    assert!(genuine.platforms().contains(&format!("intel-fmspc:{fmspc}")), "{}", case.id);
}

fn check_tcb(case: &Case, genuine: &Genuine) {
    let expected = &case.expected;
    let tcb = genuine.tcb().expect("a verdict");
    let text = |name: &str| expected[name].as_str();
    let status = text("tcb_status_with_relaunch_check").or(text("tcb_status"));
    assert_eq!(Some(tcb.status.as_str()), status, "{}", case.id);
    assert_eq!(Some(tcb.qe_status.as_str()), text("qe_status"), "{}", case.id);
    assert_eq!(tcb.module_status.map(|s| s.as_str()), text("tdx_module_status"), "{}", case.id);
    assert_eq!(Some(tcb.date.as_str()), text("tcb_date"), "{}", case.id);
    assert_eq!(Some(u64::from(tcb.evaluation_number)), expected["tcb_evaluation_data_number"].as_u64(), "{}", case.id);
    let mut advisories: Vec<&str> =
        expected["advisory_ids"].as_array().expect("advisories").iter().filter_map(Value::as_str).collect();
    advisories.sort_unstable();
    assert_eq!(tcb.advisories, advisories, "{}", case.id);
}

fn run(kind: &str, entries: usize) {
    let cases = support::cases(&[kind]);
    if cases.is_empty() {
        return;
    }
    assert_eq!(cases.len(), entries, "the manifest's entries of {kind}");
    for case in &cases {
        let full = case.expected["scope"] == "full";
        match judge(case) {
            Ok(genuine) => {
                assert!(case.verifies() && full, "{}: verified, expected {}", case.id, case.expected["reason"]);
                check_claims(case, &genuine);
                check_tcb(case, &genuine);
            }
            Err(code) => {
                assert!(!(case.verifies() && full), "{}: refused with {code}", case.id);
                assert_eq!(code, expected_code(case), "{}: {}", case.id, case.expected["reason"]);
            }
        }
    }
}

/// The code that goes with the manifest's reason.
fn expected_code(case: &Case) -> &'static str {
    let reason = case.expected["reason"].as_str().unwrap_or_default();
    match reason {
        r if r.starts_with("PCK leaf is not issued") => "chain-untrusted",
        r if r.starts_with("the quote signature") => "signature-invalid",
        r if r.starts_with("certification data type 3") => "unsupported",
        r if r.contains("no TCB level matches") => "tcb-rejected",
        _ => "collateral-unavailable",
    }
}

#[test]
fn every_sgx_entry_of_the_manifest_has_its_verdict_and_claims() {
    run("sgx", 34);
}

#[test]
fn every_tdx_entry_of_the_manifest_has_its_verdict_and_claims() {
    run("tdx", 33);
}
