//! The cases: one for each entry of the evidence manifest, and one for each sample of the other folders.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

/// One call of `keygate verify` and what it must say.
pub struct Case {
    pub id: String,
    pub kind: &'static str,
    pub evidence: PathBuf,
    pub endorsements: Vec<PathBuf>,
    pub at: String,
    pub verdict: &'static str,
    pub code: Option<&'static str>,
    pub tcb: Vec<(&'static str, Value)>,
    pub claims: Vec<(&'static str, Value)>,
    pub note: String,
}

/// The folder of the vectors, or `None` with a loud line; in CI its absence is a failure.
pub fn root() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors");
    let root = std::env::var_os("KEYGATE_VECTORS").map_or(default, PathBuf::from);
    if root.join("evidence/MANIFEST.json").is_file() {
        return Some(root);
    }
    assert!(std::env::var_os("CI").is_none(), "the evidence vectors are not at {}", root.display());
    let line = format!("SKIPPED 96 manifest cases and the samples beside them: no vectors at {}\n", root.display());
    // Not by a macro, whose words are kept back where a test succeeds.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
    None
}

/// Runs the binary and reads what it says.
pub fn keygate_verify(case: &Case, accepted: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keygate"));
    command.args(["--format", "json", "verify", "--kind", case.kind, "--allow-debug", "--at", &case.at]);
    for status in accepted {
        command.args(["--accept-tcb", status]);
    }
    for path in &case.endorsements {
        command.arg("--endorsements").arg(path);
    }
    let output = command.arg(&case.evidence).output().expect("keygate runs");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| {
        panic!("{}: no json ({e}): {}", case.id, String::from_utf8_lossy(&output.stderr));
    });
    let code = if said["verdict"] == "verified" { 0 } else { 1 };
    assert_eq!(output.status.code(), Some(code), "{}: exit code", case.id);
    said
}

/// Compares one claim; `None`: equal.
pub fn claims_differ(said: &Value, path: &str, wanted: &Value) -> Option<String> {
    let found = said.pointer(path).unwrap_or(&Value::Null);
    let same = match (found, wanted) {
        (Value::Null, Value::Null) => true,
        (Value::String(f), Value::String(w)) => f.trim_start_matches("0x").eq_ignore_ascii_case(w),
        (f, w) => f == w,
    };
    (!same).then(|| format!("{path} is {found}, wanted {wanted}"))
}

fn kind_of(entry: &Value) -> Option<&'static str> {
    ["sgx", "tdx", "snp", "nitro"].into_iter().find(|k| entry["kind"] == *k)
}

/// All `sgx`, `tdx`, `snp` and `nitro` entries of the manifest.
pub fn cases_of_the_manifest(root: &Path) -> Vec<Case> {
    let folder = root.join("evidence");
    let text = std::fs::read_to_string(folder.join("MANIFEST.json")).unwrap();
    let entries: Vec<Value> = serde_json::from_str(&text).unwrap();
    entries.iter().filter_map(|e| Some(case(&folder, e, kind_of(e)?))).collect()
}

fn case(folder: &Path, entry: &Value, kind: &'static str) -> Case {
    let expected = &entry["expected"];
    let file = |name: &str| entry["files"].get(name).and_then(Value::as_str).map(|f| folder.join(f));
    let intel = kind == "sgx" || kind == "tdx";
    let partial = intel && expected["scope"] != "full";
    let verifies = expected["verifies"] == true && !partial;
    let at = expected["at"].as_str().unwrap_or("2024-06-01T00:00:00Z").to_owned();
    let endorsements = ["collateral", "vek", "ask", "asvk"].iter().filter_map(|name| file(name)).collect();
    let claims = if verifies { claims_of(kind, &expected["claims"]) } else { Vec::new() };
    Case {
        id: entry["id"].as_str().unwrap().to_owned(),
        kind,
        evidence: file("evidence").unwrap(),
        endorsements,
        at,
        verdict: if verifies { "verified" } else { "refused" },
        // An altered piece without collateral is refused for whatever is found first.
        code: (partial && expected["verifies"] == true).then_some("collateral-unavailable"),
        tcb: if verifies && intel { tcb_of(expected) } else { Vec::new() },
        claims,
        note: expected["reason"].as_str().or(expected["scope"].as_str()).unwrap_or_default().chars().take(60).collect(),
    }
}

fn tcb_of(expected: &Value) -> Vec<(&'static str, Value)> {
    let relaunch = &expected["tcb_status_with_relaunch_check"];
    let status = if relaunch.is_null() { &expected["tcb_status"] } else { relaunch };
    let mut advisories: Vec<String> = serde_json::from_value(expected["advisory_ids"].clone()).unwrap_or_default();
    advisories.sort();
    vec![
        ("/tcb/status", status.clone()),
        ("/tcb/qe_status", expected["qe_status"].clone()),
        ("/tcb/module_status", expected["tdx_module_status"].clone()),
        ("/tcb/date", expected["tcb_date"].clone()),
        ("/tcb/evaluation_number", expected["tcb_evaluation_data_number"].clone()),
        ("/tcb/advisories", json!(advisories)),
    ]
}

const SGX: &[(&str, &str)] = &[
    ("cpu_svn", "/claims/x-ms-sgx-cpusvn"),
    ("misc_select", "/claims/x-ms-sgx-miscselect"),
    ("attributes", "/claims/x-ms-sgx-attributes"),
    ("mr_enclave", "/claims/x-ms-sgx-mrenclave"),
    ("mr_signer", "/claims/x-ms-sgx-mrsigner"),
    ("isv_prod_id", "/claims/x-ms-sgx-product-id"),
    ("isv_svn", "/claims/x-ms-sgx-svn"),
    ("report_data", "/claims/x-ms-sgx-report-data"),
    ("debug", "/claims/x-ms-sgx-is-debuggable"),
];
const TDX: &[(&str, &str)] = &[
    ("tee_tcb_svn", "/claims/tdx_tee_tcb_svn"),
    ("mr_seam", "/claims/tdx_mrseam"),
    ("mr_signer_seam", "/claims/tdx_mrsignerseam"),
    ("seam_attributes", "/claims/tdx_seam_attributes"),
    ("td_attributes", "/claims/tdx_td_attributes"),
    ("xfam", "/claims/tdx_xfam"),
    ("mr_td", "/claims/tdx_mrtd"),
    ("mr_config_id", "/claims/tdx_mrconfigid"),
    ("mr_owner", "/claims/tdx_mrowner"),
    ("mr_owner_config", "/claims/tdx_mrownerconfig"),
    ("rtmr0", "/claims/tdx_rtmr0"),
    ("rtmr1", "/claims/tdx_rtmr1"),
    ("rtmr2", "/claims/tdx_rtmr2"),
    ("rtmr3", "/claims/tdx_rtmr3"),
    ("report_data", "/claims/tdx_report_data"),
    ("mr_service_td", "/claims/tdx_mrservicetd"),
    ("tee_tcb_svn_2", "/claims/tdx_tee_tcb_svn2"),
    ("tee_tcb_svn2", "/claims/tdx_tee_tcb_svn2"),
    ("debug", "/claims/tdx_td_attributes_debug"),
];
const SNP: &[(&str, &str)] = &[
    ("version", "/claims/x-ms-sevsnpvm-report-version"),
    ("guest_svn", "/claims/x-ms-sevsnpvm-guestsvn"),
    ("policy_debug", "/claims/x-ms-sevsnpvm-is-debuggable"),
    ("policy_smt", "/claims/x-ms-sevsnpvm-smt-allowed"),
    ("policy_migrate_ma", "/claims/x-ms-sevsnpvm-migration-allowed"),
    ("family_id", "/claims/x-ms-sevsnpvm-familyId"),
    ("image_id", "/claims/x-ms-sevsnpvm-imageId"),
    ("vmpl", "/claims/x-ms-sevsnpvm-vmpl"),
    ("report_data", "/claims/x-ms-sevsnpvm-reportdata"),
    ("measurement", "/claims/x-ms-sevsnpvm-launchmeasurement"),
    ("host_data", "/claims/x-ms-sevsnpvm-hostdata"),
    ("id_key_digest", "/claims/x-ms-sevsnpvm-idkeydigest"),
    ("author_key_digest", "/claims/x-ms-sevsnpvm-authorkeydigest"),
    ("report_id", "/claims/x-ms-sevsnpvm-reportid"),
    ("signing_key", "/claims/x-ms-sevsnpvm-signing-key"),
    ("chip_id", "/claims/x-ms-sevsnpvm-chipid"),
];
const NITRO: &[(&str, &str)] = &[
    ("module_id", "/claims/nitro/module_id"),
    ("timestamp_ms", "/claims/nitro/timestamp"),
    ("nonce", "/claims/nitro/nonce"),
    ("user_data", "/claims/nitro/user_data"),
    ("public_key", "/claims/nitro/public_key"),
];

fn claims_of(kind: &str, said: &Value) -> Vec<(&'static str, Value)> {
    let names = match kind {
        "sgx" => SGX,
        "tdx" => TDX,
        "snp" => SNP,
        _ => NITRO,
    };
    let mut claims: Vec<_> =
        names.iter().filter_map(|(theirs, ours)| Some((*ours, said.get(*theirs)?.clone()))).collect();
    if let Some(pcrs) = said.get("pcrs").and_then(Value::as_object) {
        for (index, value) in pcrs {
            claims.push((pcr(index), value.clone()));
        }
    }
    if let Some(tcb) = said.get("reported_tcb").and_then(Value::as_str) {
        let bytes = hex::decode(tcb).unwrap();
        // Printed as a number: the first byte of the text is the last of the field. Milan and Genoa.
        for (path, index) in [("bootloader", 7), ("tee", 6), ("snpfw", 1), ("microcode", 0)] {
            let path: &'static str = format!("/claims/x-ms-sevsnpvm-{path}-svn").leak();
            claims.push((path, json!(bytes[7 - index])));
        }
    }
    claims
}

fn pcr(index: &str) -> &'static str {
    format!("/claims/nitro/pcrs/{index}").leak()
}

/// The samples of `maa-sdk` and `trustee` that are of these kinds, each at a time inside the collateral held for its platform.
pub fn cases_of_the_other_folders(root: &Path) -> Vec<Case> {
    let mut cases = Vec::new();
    let collateral = |names: &[&str]| names.iter().map(|n| root.join(n)).collect::<Vec<_>>();
    let mut add = |id: &str,
                   kind,
                   file: &str,
                   endorsements: &[&str],
                   at: &str,
                   verdict,
                   code,
                   claims: Vec<(&'static str, Value)>| {
        cases.push(Case {
            id: id.to_owned(),
            kind,
            evidence: root.join(file),
            endorsements: collateral(endorsements),
            at: at.to_owned(),
            verdict,
            code,
            tcb: Vec::new(),
            claims,
            note: String::new(),
        });
    };
    let sgx = "evidence/dcap-collateral/sgx-00906ed50000-2025-01-21-182bc0e9.json";
    let enclave = |enclave: &str, signer: &str| {
        vec![("/claims/x-ms-sgx-mrenclave", json!(enclave)), ("/claims/x-ms-sgx-mrsigner", json!(signer))]
    };
    let (mre, mrs) = (
        "b779202618becb636768e5d902f28d524222735fafb539ea9ba07c3fc171a1c2",
        "2c1a44952ae8207135c6c29b75b8c029372ee94b677e15c20bd42340f10d41aa",
    );
    for (id, file) in [
        ("maa-python-oe-report", "maa-sdk/python/oe-report.bin"),
        ("maa-python-sgx-quote", "maa-sdk/python/sgx-quote.bin"),
        ("maa-cpp-oe-release", "maa-sdk/cpp/oe-release.oe-report.bin"),
    ] {
        add(id, "sgx", file, &[sgx], "2025-02-01T00:00:00Z", "verified", None, enclave(mre, mrs));
    }
    add(
        "maa-cpp-oe-debug",
        "sgx",
        "maa-sdk/cpp/oe-debug.oe-report.bin",
        &[sgx],
        "2025-02-01T00:00:00Z",
        "verified",
        None,
        enclave(
            "292a1f4b519e46627eb2478a3d9851405653c5b4b0a6925de843834d9216850e",
            "4aea5f9a0ed04b11f889aadfe6a1d376213a29a95a85ce7337ae6f7fece6610c",
        ),
    );
    for flavour in ["debug", "release", "prodid", "securityversion"] {
        let debug = ("/claims/x-ms-sgx-is-debuggable", json!(flavour == "debug"));
        let (product, svn) = match flavour {
            "prodid" => (Some(9999), None),
            "securityversion" => (None, Some(8888)),
            _ => (None, None),
        };
        let mut claims = vec![debug];
        claims.extend(product.map(|p| ("/claims/x-ms-sgx-product-id", json!(p))));
        claims.extend(svn.map(|s| ("/claims/x-ms-sgx-svn", json!(s))));
        for (tool, ending) in [("intel", "sgx-quote"), ("oe", "oe-report")] {
            let mut claims = claims.clone();
            if tool == "oe" {
                claims.retain(|(path, _)| *path != "/claims/x-ms-sgx-is-debuggable" || flavour == "debug");
            }
            let file = format!("maa-sdk/samples/{tool}-{flavour}.{ending}.bin");
            let id = format!("maa-sample-{tool}-{flavour}");
            add(&id, "sgx", &file, &[sgx], "2025-02-01T00:00:00Z", "verified", None, claims);
        }
    }
    add(
        "maa-sample-sevsnp",
        "snp",
        "maa-sdk/samples/sevsnp-report.bin",
        &["maa-sdk/samples/sevsnp-vcek-chain.pem"],
        "2024-06-01T00:00:00Z",
        "verified",
        None,
        vec![("/claims/x-ms-sevsnpvm-microcode-svn", json!(115))],
    );
    add(
        "maa-sidecar-snp",
        "snp",
        "maa-sdk/sidecar/snp_report.bin",
        &["maa-sdk/sidecar/amd_chain.pem"],
        "2024-06-01T00:00:00Z",
        "verified",
        None,
        Vec::new(),
    );
    let dcap = |kind: &str| format!("maa-sdk/dcap/{kind}_quote_collateral.json");
    add(
        "maa-dcap-sgx",
        "sgx",
        "maa-sdk/dcap/sgx_quote.bin",
        &[&dcap("sgx")],
        "2025-07-04T10:28:44Z",
        "verified",
        None,
        vec![],
    );
    add(
        "maa-dcap-tdx",
        "tdx",
        "maa-sdk/dcap/tdx_quote.bin",
        &[&dcap("tdx")],
        "2025-07-04T10:16:31Z",
        "verified",
        None,
        vec![],
    );
    trustee(&mut add);
    cases
}

type Add<'a> = dyn FnMut(&str, &'static str, &str, &[&str], &str, &'static str, Option<&'static str>, Vec<(&'static str, Value)>)
    + 'a;

fn trustee(add: &mut Add<'_>) {
    let milan = "trustee/amd-roots/milan_ask_ark_asvk.pem";
    let report = "trustee/snp/test-report.bin";
    add(
        "trustee-snp-report",
        "snp",
        report,
        &["trustee/snp/test-vcek.der", milan],
        "2024-06-01T00:00:00Z",
        "verified",
        None,
        vec![],
    );
    for (id, vcek) in [("legacy", "test-vcek-invalid-legacy.der"), ("new", "test-vcek-invalid-new.der")] {
        let vcek = format!("trustee/snp/{vcek}");
        add(
            &format!("trustee-snp-vcek-{id}"),
            "snp",
            report,
            &[&vcek, milan],
            "2024-06-01T00:00:00Z",
            "refused",
            None,
            vec![],
        );
    }
    let vlek = "trustee/snp/test-vlek-report.bin";
    let held = ["trustee/snp/test-vlek.der", milan];
    let vmpl = vec![("/claims/x-ms-sevsnpvm-vmpl", json!(1)), ("/claims/x-ms-sevsnpvm-signing-key", json!("vlek"))];
    add("trustee-snp-vlek", "snp", vlek, &held, "2025-06-01T00:00:00Z", "verified", None, vmpl);
    add(
        "trustee-snp-vlek-ended",
        "snp",
        vlek,
        &held,
        "2026-06-01T00:00:00Z",
        "refused",
        Some("chain-untrusted"),
        vec![],
    );
    // The second is the manifest's `tdx-v5-90c06f000000-586c2be0`: genuine, and below every TCB level.
    let level = Some("tcb-rejected");
    for (file, collateral, at, verdict, code) in [
        ("tdx_quote_4.dat", "tdx-50806f000000-2023-06-18-492e9e9f.json", "2023-06-28T08:03:58Z", "verified", None),
        ("tdx_quote_5.dat", "tdx-90c06f000000-2025-06-05-c4ddfe13.json", "2025-06-24T12:41:58Z", "refused", level),
        ("tdx_quote_6.dat", "tdx-00a06d080000-2025-10-27-1f0912a2.json", "2025-11-04T20:45:20Z", "verified", None),
    ] {
        let held = format!("evidence/dcap-collateral/{collateral}");
        let id = format!("trustee-{}", file.trim_end_matches(".dat"));
        add(&id, "tdx", &format!("trustee/tdx/{file}"), &[&held], at, verdict, code, vec![]);
    }
    let occlum = "trustee/sgx/occlum_quote.dat";
    add(
        "trustee-sgx-occlum",
        "sgx",
        occlum,
        &[],
        "2024-06-01T00:00:00Z",
        "refused",
        Some("collateral-unavailable"),
        vec![],
    );
}
