//! Quotes that other projects publish: Azure's SDKs and samples, Trustee. They verify where collateral for their platform is held,
//! inside its dates; elsewhere every signature of theirs holds and only collateral is lacking.

mod dcap;
mod support;

use keygate_verifier::{Endorsements, Evidence, EvidenceKind, Genuine, UnixTime, Verifier};
use serde_json::{Value, json};

/// File below the vectors' folder, kind, and claims that its manifest states.
struct Known {
    path: &'static str,
    kind: EvidenceKind,
    claims: &'static [(&'static str, &'static str)],
    /// With how many sets of collateral, each in the middle of its dates, it verifies.
    verifies: usize,
}

const fn sgx(path: &'static str, verifies: usize, claims: &'static [(&'static str, &'static str)]) -> Known {
    Known { path, kind: EvidenceKind::Sgx, claims, verifies }
}

const fn tdx(path: &'static str, verifies: usize, claims: &'static [(&'static str, &'static str)]) -> Known {
    Known { path, kind: EvidenceKind::Tdx, claims, verifies }
}

const FILES: &[Known] = &[
    sgx(
        "maa-sdk/python/sgx-quote.bin",
        5,
        &[
            ("x-ms-sgx-mrenclave", "\"b779202618becb636768e5d902f28d524222735fafb539ea9ba07c3fc171a1c2\""),
            ("x-ms-sgx-mrsigner", "\"2c1a44952ae8207135c6c29b75b8c029372ee94b677e15c20bd42340f10d41aa\""),
            ("x-ms-sgx-product-id", "1"),
            ("x-ms-sgx-svn", "1"),
            ("x-ms-sgx-is-debuggable", "false"),
        ],
    ),
    sgx("maa-sdk/python/oe-report.bin", 5, &[("x-ms-sgx-product-id", "1"), ("x-ms-sgx-is-debuggable", "false")]),
    sgx("maa-sdk/cpp/oe-release.oe-report.bin", 5, &[("x-ms-sgx-is-debuggable", "false")]),
    sgx(
        "maa-sdk/cpp/oe-debug.oe-report.bin",
        5,
        &[
            ("x-ms-sgx-mrenclave", "\"292a1f4b519e46627eb2478a3d9851405653c5b4b0a6925de843834d9216850e\""),
            ("x-ms-sgx-is-debuggable", "true"),
        ],
    ),
    sgx("maa-sdk/samples/intel-debug.sgx-quote.bin", 4, &[("x-ms-sgx-is-debuggable", "true")]),
    sgx("maa-sdk/samples/intel-release.sgx-quote.bin", 4, &[("x-ms-sgx-is-debuggable", "false")]),
    sgx("maa-sdk/samples/intel-prodid.sgx-quote.bin", 4, &[("x-ms-sgx-product-id", "9999")]),
    sgx("maa-sdk/samples/intel-securityversion.sgx-quote.bin", 4, &[("x-ms-sgx-svn", "8888")]),
    sgx("maa-sdk/samples/oe-debug.oe-report.bin", 5, &[("x-ms-sgx-is-debuggable", "true")]),
    sgx("maa-sdk/samples/oe-release.oe-report.bin", 5, &[("x-ms-sgx-is-debuggable", "false")]),
    sgx("maa-sdk/samples/oe-prodid.oe-report.bin", 5, &[("x-ms-sgx-product-id", "9999")]),
    sgx("maa-sdk/samples/oe-securityversion.oe-report.bin", 5, &[("x-ms-sgx-svn", "8888")]),
    sgx(
        "maa-sdk/dcap/sgx_quote.bin",
        1,
        &[("x-ms-sgx-mrenclave", "\"33d8736db756ed4997e04ba358d27833188f1932ff7b1d156904d3f560452fbb\"")],
    ),
    tdx(
        "maa-sdk/dcap/tdx_quote.bin",
        5,
        &[("tdx_td_attributes", "\"0000001000000000\""), ("tdx_xfam", "\"e702060000000000\"")],
    ),
    sgx("trustee/sgx/occlum_quote.dat", 4, &[]),
    tdx(
        "trustee/tdx/tdx_quote_4.dat",
        1,
        &[("tdx_td_attributes", "\"0100001000000000\""), ("tdx_td_attributes_debug", "true")],
    ),
    tdx("trustee/tdx/tdx_quote_5.dat", 0, &[]),
    tdx(
        "trustee/tdx/tdx_quote_6.dat",
        1,
        &[(
            "tdx_mrconfigid",
            "\"889abf4718f037e38d74464c11e7c91a6e9890b5546409e1e7df9de7a51ca93152bf847bd2440328e90adb18b150ed67\"",
        )],
    ),
    tdx("trustee/az-tdx-vtpm/td-quote.bin", 6, &[("tdx_xfam", "\"e718060000000000\"")]),
];

/// A set of collateral and the middle of its dates.
struct Set {
    name: String,
    held: Endorsements,
    middle: UnixTime,
}

fn sets() -> Vec<Set> {
    let root = support::vectors_root().expect("vectors");
    let mut sets = Vec::new();
    for folder in ["evidence/dcap-collateral", "dcap-collateral-more"] {
        for entry in std::fs::read_dir(root.join(folder)).expect("the folder") {
            let path = entry.expect("an entry").path();
            if path.extension().is_none_or(|e| e != "json") {
                continue;
            }
            let bytes = std::fs::read(&path).expect("a file");
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            sets.push(Set { name, held: dcap::held(&bytes), middle: middle(&bytes) });
        }
    }
    assert!(sets.len() > 30, "{} sets", sets.len());
    sets
}

fn middle(set: &[u8]) -> UnixTime {
    let set: Value = serde_json::from_slice(set).expect("json");
    let mut from = i64::MIN;
    let mut until = i64::MAX;
    for member in ["tcb_info", "qe_identity"] {
        let document: Value = serde_json::from_str(set[member].as_str().expect("text")).expect("json");
        let date = |name: &str| support::time(document[name].as_str().expect("a date")).secs();
        from = from.max(date("issueDate"));
        until = until.min(date("nextUpdate"));
    }
    UnixTime::from_secs(from + (until - from) / 2)
}

fn check(known: &Known, verifier: &Verifier, sets: &[Set]) {
    let bytes = support::vector(known.path);
    let says = Verifier::inspect(&Evidence { kind: known.kind, bytes: &bytes }).expect("it parses");
    for (name, value) in known.claims {
        assert_eq!(says.get(*name), Some(&serde_json::from_str(value).expect("json")), "{}: {name}", known.path);
    }
    assert_eq!(EvidenceKind::guess(&bytes), Some(known.kind), "{}", known.path);
    let mut verified: Vec<(&str, Genuine)> = Vec::new();
    for set in sets {
        match dcap::judge(verifier, known.kind, &bytes, &set.held, set.middle) {
            Ok(genuine) => verified.push((&set.name, genuine)),
            // The PCK is younger or older than some sets.
            Err(code) if code == "collateral-unavailable" || code == "chain-untrusted" || code == "tcb-rejected" => {}
            Err(code) => panic!("{} with {}: {code}", known.path, set.name),
        }
    }
    for (name, genuine) in &verified {
        let claims = genuine.claims();
        for (claim, value) in &says {
            assert_eq!(claims.get(claim), Some(value), "{} with {name}: {claim}", known.path);
        }
        if known.kind == EvidenceKind::Sgx {
            let digest = hex::encode(openssl::sha::sha256(&bytes));
            assert_eq!(claims["x-ms-sgx-collateral"]["quotehash"], json!(digest));
        }
    }
    assert_eq!(
        verified.len(),
        known.verifies,
        "{}: {:?}",
        known.path,
        verified.iter().map(|v| v.0).collect::<Vec<_>>()
    );
}

#[test]
fn quotes_of_other_projects_verify_where_collateral_is_held() {
    if support::vectors_root().is_none() {
        support::skipped("quotes of other projects", FILES.len());
        return;
    }
    let verifier = dcap::vendor();
    let sets = sets();
    for known in FILES {
        check(known, &verifier, &sets);
    }
}

#[test]
fn their_own_signatures_hold_without_collateral() {
    if support::vectors_root().is_none() {
        support::skipped("quotes of other projects", FILES.len());
        return;
    }
    // Inside the life of every certificate among them.
    for known in FILES {
        let bytes = support::vector(known.path);
        let verifier = dcap::vendor();
        let verdicts: Vec<String> = ["2020-10-15T00:00:00Z", "2022-06-01T00:00:00Z", "2025-07-01T00:00:00Z"]
            .iter()
            .map(|at| dcap::judge(&verifier, known.kind, &bytes, &Endorsements::default(), support::time(at)))
            .map(|verdict| verdict.map(drop).expect_err("nothing is held"))
            .collect();
        assert!(verdicts.iter().any(|code| code == "collateral-unavailable"), "{}: {verdicts:?}", known.path);
        let mut broken = bytes;
        broken[100] ^= 1;
        let verdicts: Vec<String> = ["2020-10-15T00:00:00Z", "2022-06-01T00:00:00Z", "2025-07-01T00:00:00Z"]
            .iter()
            .map(|at| dcap::judge(&verifier, known.kind, &broken, &Endorsements::default(), support::time(at)))
            .map(|verdict| verdict.map(drop).expect_err("nothing is held"))
            .collect();
        assert!(verdicts.iter().any(|code| code == "signature-invalid"), "{}: {verdicts:?}", known.path);
        assert!(verdicts.iter().all(|code| code != "collateral-unavailable"), "nothing is wished for a forged quote");
    }
}
