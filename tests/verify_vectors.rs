//! Every piece of real SGX, TDX, SEV-SNP and Nitro evidence, through `keygate verify`: verdict, TCB and claims in one table.
//!
//! `cargo test --test verify_vectors -- --nocapture` prints the table. The files stay where they are: `KEYGATE_VECTORS` names
//! their folder (default `../shared/vectors`).

mod vectors;

use serde_json::Value;
use vectors::{Case, cases_of_the_manifest, cases_of_the_other_folders, claims_differ, keygate_verify, root};

/// What `keygate verify` is asked with: debug and every status but `Revoked` accepted.
const ACCEPTED: &[&str] = &[
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
    "TDRelaunchAdvised",
    "TDRelaunchAdvisedConfigurationNeeded",
];

#[test]
fn every_piece_of_real_evidence_gets_its_verdict() {
    let Some(root) = root() else { return };
    let mut cases = cases_of_the_manifest(&root);
    let of_the_manifest = cases.len();
    cases.extend(cases_of_the_other_folders(&root));
    println!("{:<44} {:<5} {:<10} {:<23} {:<8} note", "case", "kind", "verdict", "code or TCB status", "claims");
    let mut wrong = Vec::new();
    for case in &cases {
        let (row, faults) = judge(case);
        println!("{row}");
        wrong.extend(faults.into_iter().map(|f| format!("{}: {f}", case.id)));
    }
    println!("{} cases, {of_the_manifest} of them of the manifest, {} wrong", cases.len(), wrong.len());
    assert_eq!(of_the_manifest, 96, "sgx 34, tdx 33, snp 16, nitro 13");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn judge(case: &Case) -> (String, Vec<String>) {
    let mut faults = Vec::new();
    let said = keygate_verify(case, ACCEPTED);
    let text = |path: &str| said.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let verdict = text("/verdict");
    if verdict != case.verdict {
        faults.push(format!("verdict `{verdict}`, wanted `{}`: {}", case.verdict, text("/detail")));
    }
    if let Some(code) = case.code
        && text("/code") != code
    {
        faults.push(format!("code `{}`, wanted `{code}`: {}", text("/code"), text("/detail")));
    }
    let mut compared = 0;
    if verdict == "verified" {
        for (path, wanted) in &case.tcb {
            if said.pointer(path).unwrap_or(&Value::Null) != wanted {
                faults.push(format!("{path} is {:?}, wanted {wanted}", said.pointer(path)));
            }
        }
        for (path, wanted) in &case.claims {
            compared += 1;
            if let Some(fault) = claims_differ(&said, path, wanted) {
                faults.push(fault);
            }
        }
    } else if !matches!(text("/code").as_str(), "tcb-rejected" | "debug-rejected") && said.get("claims").is_some() {
        faults.push("a piece that is not genuine shows claims".to_owned());
    }
    let status = if verdict == "verified" { text("/tcb/status") } else { text("/code") };
    let kind = case.kind;
    let claims = if compared == 0 { "-".to_owned() } else { format!("{compared} equal") };
    (format!("{:<44} {kind:<5} {verdict:<10} {status:<23} {claims:<8} {}", case.id, case.note), faults)
}
