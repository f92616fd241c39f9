//! Every row of the catalogue's evidence sections is forged by a fault, made with a member, or listed as made elsewhere.
//! Catalogue of bad inputs, sections 3 to 7 and 9.

use keygate_forge::amd::SnpFault;
use keygate_forge::intel::{CollateralFault, SgxFault, TdxFault};
use keygate_forge::nitro::NitroFault;
use keygate_forge::software::SoftwareFault;
use keygate_forge::tpm::TpmFault;
use keygate_forge::uvm::UvmFault;
use keygate_forge::x509::CertFault;
use std::collections::BTreeSet;

/// Stable codes of section 0 that a verifier answers with.
const CODES: &[&str] = &[
    "malformed",
    "unsupported",
    "too-large",
    "signature-invalid",
    "chain-untrusted",
    "revoked",
    "collateral-unavailable",
    "tcb-rejected",
    "debug-rejected",
    "binding-mismatch",
    "freshness-failed",
];

/// Rows that a caller makes by setting a member, no fault needed.
const BY_MEMBER: &[(&str, &str)] = &[
    ("SGX-15", "order of `Collateral::levels`"),
    ("SGX-18", "`Collateral::evaluation_number`"),
    ("SGX-29", "`SgxQuote::report_data`"),
    ("SGX-30", "`SgxQuote::report_data`"),
    ("SGX-35", "`Platform::ppid`"),
    ("TDX-05", "`TdxQuote::mrservicetd`"),
    ("TDX-09", "`TdxQuote::mrconfigid` and its neighbours"),
    ("TDX-11", "`TdxQuote::xfam` and `td_attributes`"),
    ("TDX-12", "`Intel::describe(Tee::Sgx)` beside a TDX quote"),
    ("TDX-13", "the same `report_data` in both quotes"),
    ("SNP-06", "`SnpReport::mask_chip_key`"),
    ("SNP-16", "`SnpReport::policy` and `report_id_ma`"),
    ("SNP-17", "`SnpReport::vmpl`"),
    ("SNP-18", "`SnpReport::platform_info`"),
    ("SNP-19", "`SnpReport::author_key_en` and both digests"),
    ("SNP-20", "`SnpReport::host_data`"),
    ("SNP-21", "`SnpReport::family_id` and `image_id`"),
    ("SNP-22", "`SnpReport::report_data`"),
    ("SNP-23", "`SnpReport::report_data`"),
    ("SNP-25", "`Product::Milan`"),
    ("SNP-26", "`SnpReport::with_tcb`"),
    ("NIT-12", "`NitroDocument::timestamp_ms`"),
    ("NIT-14", "`NitroDocument::public_key`"),
    ("NIT-16", "`NitroDocument::pcrs`"),
    ("TPM-09", "`TpmQuote::clock`, `reset_count` and `restart_count`"),
    ("TPM-38", "`Object::unique` and `TpmQuote::firmware_version`"),
    ("X509-11", "`Collateral::crl_number` and `Crl::numbered`"),
];

/// Rows about rules, logs or formats that this forge does not make.
const ELSEWHERE: &[&str] = &[
    "SGX-28", "SGX-31", "TDX-07", "TDX-08", "TDX-10", "NIT-18", "X509-12", "TPM-16", "TPM-17", "TPM-18", "TPM-19",
    "TPM-20", "TPM-21", "TPM-22", "TPM-23", "TPM-24", "TPM-25", "TPM-26", "TPM-27", "TPM-28", "TPM-29", "TPM-30",
    "TPM-31", "TPM-32", "TPM-33", "TPM-34", "TPM-35", "TPM-37",
];

fn faults() -> Vec<(&'static str, &'static str)> {
    let mut out = Vec::new();
    out.extend(SgxFault::ALL.iter().map(|f| (f.row(), f.expected_code())));
    out.extend(TdxFault::ALL.iter().map(|f| (f.row(), f.expected_code())));
    out.extend(CollateralFault::ALL.iter().map(|f| (f.row(), f.expected_code())));
    out.extend(SnpFault::ALL.iter().map(|f| (f.row(), f.expected_code())));
    out.extend(NitroFault::ALL.iter().map(|f| (f.row(), f.expected_code())));
    out.extend(UvmFault::ALL.iter().map(|f| (f.row(), f.expected_code())));
    out.extend(TpmFault::ALL.iter().map(|f| (f.row(), f.expected_code())));
    out.extend(SoftwareFault::ALL.iter().map(|f| (f.row(), f.expected_code())));
    out.extend(CertFault::ALL.iter().map(|f| (f.row(), f.expected_code())));
    out
}

#[test]
fn every_row_is_made_somewhere() {
    let mut made: BTreeSet<&str> = faults().into_iter().map(|(row, _)| row).collect();
    made.extend(BY_MEMBER.iter().map(|(row, _)| *row));
    made.extend(ELSEWHERE);
    let sections = [("SGX", 35), ("TDX", 13), ("SNP", 27), ("NIT", 18), ("TPM", 39), ("X509", 14)];
    let missing: Vec<String> = sections
        .iter()
        .flat_map(|(name, last)| (1..=*last).map(move |n| format!("{name}-{n:02}")))
        .filter(|row| !made.contains(row.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn codes_are_stable_codes() {
    for (row, code) in faults() {
        assert!(CODES.contains(&code), "{row} {code}");
    }
    assert!(SgxFault::QeSigner.allows("tcb-rejected"));
    assert!(SgxFault::QeSigner.allows("chain-untrusted"));
    assert!(!SgxFault::QeSigner.allows("malformed"));
}
