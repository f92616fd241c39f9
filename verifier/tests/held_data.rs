//! Data that a workload holds, bound by the first half of the report data: Azure Attestation's binding.
//!
//! Every recorded pair of evidence and run-time data; each refused when one thing is different.

mod dcap;
mod support;

use keygate_forge::amd::{Amd, Product, SnpReport};
use keygate_forge::intel::{SgxQuote, TdxQuote, Tee, attributes};
use keygate_forge::nitro::{Nitro, NitroDocument};
use keygate_verifier::{
    Anchors, Binding, BoundKey, Endorsements, Evidence, EvidenceKind, Genuine, Options, Outcome, UnixTime, Verifier,
};

use dcap::lab::{Lab, NOW};

fn held_data(digest: Option<[u8; 32]>) -> Binding {
    Binding::HeldData { runtime_sha256: digest }
}

fn judge(
    verifier: &Verifier,
    kind: EvidenceKind,
    bytes: &[u8],
    held: &Endorsements,
    digest: Option<[u8; 32]>,
    at: UnixTime,
) -> Result<Genuine, String> {
    match verifier.verify(&Evidence { kind, bytes }, &held_data(digest), held, &Options::show_all(), at) {
        Ok(Outcome::Verified(verified)) => Ok((*verified).clone()),
        Ok(other) => Err(format!("{other:?}")),
        Err(why) => Err(why.full_code()),
    }
}

/// Accepted with its own digest and with none, refused with a digest that differs in one bit.
fn check_pair(name: &str, kind: EvidenceKind, evidence: &[u8], data: &[u8], held: &Endorsements, at: &str) {
    let digest = openssl::sha::sha256(data);
    let verdict = |digest| judge(&dcap::vendor(), kind, evidence, held, digest, support::time(at));
    for digest in [Some(digest), None] {
        let genuine = verdict(digest).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(*genuine.bound_key(), BoundKey::Absent, "{name}: held data bind no recipient");
    }
    for at in 0..32 {
        let mut other = digest;
        other[at] ^= 1;
        assert_eq!(verdict(Some(other)).err().as_deref(), Some("binding-mismatch.report-data"), "{name}: byte {at}");
    }
}

/// The JSON behind Azure's hardware report: its length at 1232, itself at 1236.
fn runtime_of_hcl(report: &[u8]) -> &[u8] {
    let length = u32::from_le_bytes(report[1232..1236].try_into().expect("four bytes"));
    &report[1236..1236 + usize::try_from(length).expect("a length")]
}

#[test]
fn every_recorded_sgx_pair_is_bound_and_no_other_data_are() {
    if support::vectors_root().is_none() {
        return support::skipped("recorded SGX pairs", 12);
    }
    let held = dcap::held(&support::vector("evidence/dcap-collateral/sgx-00906ed50000-2025-01-21-182bc0e9.json"));
    let pairs = [
        ("python/sgx-quote.bin", "python/runtime-data.json"),
        ("python/oe-report.bin", "python/runtime-data.json"),
        ("cpp/oe-release.oe-report.bin", "cpp/runtime-data.json"),
        ("cpp/oe-debug.oe-report.bin", "cpp/runtime-data.json"),
        ("samples/intel-debug.sgx-quote.bin", "samples/intel-debug.runtime-data.bin"),
        ("samples/intel-release.sgx-quote.bin", "samples/intel-release.runtime-data.bin"),
        ("samples/intel-prodid.sgx-quote.bin", "samples/intel-prodid.runtime-data.bin"),
        ("samples/intel-securityversion.sgx-quote.bin", "samples/intel-securityversion.runtime-data.bin"),
        ("samples/oe-debug.oe-report.bin", "samples/oe-debug.runtime-data.bin"),
        ("samples/oe-release.oe-report.bin", "samples/oe-release.runtime-data.bin"),
        ("samples/oe-prodid.oe-report.bin", "samples/oe-prodid.runtime-data.bin"),
        ("samples/oe-securityversion.oe-report.bin", "samples/oe-securityversion.runtime-data.bin"),
    ];
    for (evidence, data) in pairs {
        let file = |name: &str| support::vector(&format!("maa-sdk/{name}"));
        check_pair(evidence, EvidenceKind::Sgx, &file(evidence), &file(data), &held, "2025-02-05T10:43:45Z");
    }
}

#[test]
fn the_recorded_report_of_a_container_group_is_bound_and_another_blob_is_not() {
    if support::vectors_root().is_none() {
        return support::skipped("the recorded SEV-SNP pair", 1);
    }
    let file = |name: &str| support::vector(&format!("maa-sdk/sidecar/{name}"));
    let (report, held) = (file("snp_report.bin"), dcap::held(&file("amd_chain.pem")));
    let at = "2023-06-01T00:00:00Z";
    check_pair("sidecar", EvidenceKind::Snp, &report, &file("runtime-data.json"), &held, at);
    let other = openssl::sha::sha256(&file("key-blob-other.json"));
    let refused = judge(&dcap::vendor(), EvidenceKind::Snp, &report, &held, Some(other), support::time(at));
    assert_eq!(refused.err().as_deref(), Some("binding-mismatch.report-data"));
    let policy = openssl::sha::sha256(&file("uvm_security_policy.bin"));
    let genuine = judge(&dcap::vendor(), EvidenceKind::Snp, &report, &held, None, support::time(at)).expect("genuine");
    assert!(genuine.check_init_data(&policy).is_ok(), "host data are the digest of the policy");
}

#[test]
fn the_recorded_hardware_reports_of_azure_bind_their_keys() {
    if support::vectors_root().is_none() {
        return support::skipped("Azure's hardware reports", 4);
    }
    let hcl = support::vector("trustee/az-tdx-vtpm/hcl-report.bin");
    let quote = support::vector("trustee/az-tdx-vtpm/td-quote.bin");
    let held = dcap::held(&support::vector("evidence/dcap-collateral/tdx-00806f050000-2025-01-21-0ecabbd6.json"));
    check_pair("td", EvidenceKind::Tdx, &quote, runtime_of_hcl(&hcl), &held, "2025-02-05T00:00:00Z");
    for case in support::cases(&["azure-snp-vtpm"]) {
        let hcl = case.file("evidence");
        let at = case.at().expect("a time").to_string();
        let held = dcap::held(&case.file("vek"));
        check_pair(&case.id, EvidenceKind::Snp, &hcl[32..32 + 1184], runtime_of_hcl(&hcl), &held, &at);
    }
}

#[test]
fn the_other_half_of_the_report_data_is_zero() {
    let lab = Lab::new();
    let amd = Amd::new(Product::Genoa, NOW);
    let digest = openssl::sha::sha256(b"held");
    let mut anchors = Anchors::none();
    anchors.add("forge", EvidenceKind::Snp, &amd.ark_der()).expect("an anchor");
    let snp_verifier = Verifier::new(anchors);
    let now = UnixTime::from_secs(NOW);
    let verdicts = |report_data: [u8; 64]| {
        let intel = |kind, tee, quote: &[u8]| {
            let held = dcap::held(lab.collateral(tee, None).as_bytes());
            judge(&lab.verifier, kind, quote, &held, Some(digest), now).err()
        };
        let evidence = amd.evidence(&SnpReport::new(report_data));
        let mut held = Endorsements::default();
        held.add_certificate(&evidence.vek);
        held.add_certificate(&evidence.authority);
        [
            intel(EvidenceKind::Sgx, Tee::Sgx, &lab.intel.sgx_quote(&SgxQuote::new(report_data))),
            intel(EvidenceKind::Tdx, Tee::Tdx, &lab.intel.tdx_quote(&TdxQuote::new(report_data))),
            judge(&snp_verifier, EvidenceKind::Snp, &evidence.report, &held, Some(digest), now).err(),
        ]
    };
    let mut sound = [0; 64];
    sound[..32].copy_from_slice(&digest);
    assert_eq!(verdicts(sound), [None, None, None]);
    let mismatch = || Some("binding-mismatch.report-data".to_owned());
    for at in [32, 47, 63] {
        let mut wrong = sound;
        wrong[at] = 1;
        assert_eq!(verdicts(wrong), [mismatch(), mismatch(), mismatch()], "byte {at}");
    }
    let mut swapped = sound;
    swapped.rotate_left(32);
    assert_eq!(verdicts(swapped), [mismatch(), mismatch(), mismatch()]);
}

#[test]
fn kinds_without_report_data_know_no_held_data() {
    let nitro = Nitro::new(NOW);
    let mut anchors = Anchors::none();
    anchors.add("forge", EvidenceKind::Nitro, &nitro.root_der()).expect("an anchor");
    let verifier = Verifier::new(anchors);
    let document = nitro.document(&NitroDocument::new());
    let verdict = |binding: &Binding| {
        let evidence = Evidence { kind: EvidenceKind::Nitro, bytes: &document };
        let now = UnixTime::from_secs(NOW);
        verifier.verify(&evidence, binding, &Endorsements::default(), &Options::show_all(), now)
    };
    assert!(matches!(verdict(&Binding::Unbound), Ok(Outcome::Verified(_))));
    for digest in [None, Some([0; 32])] {
        let refused = verdict(&held_data(digest)).expect_err("no report data");
        assert_eq!(refused.full_code(), "unsupported.binding");
    }
}

#[test]
fn an_enclave_without_kss_carries_no_init_time_data() {
    let lab = Lab::new();
    let mut config_id = [0; 64];
    config_id[..32].copy_from_slice(&[0xd1; 32]);
    let mut wanted = SgxQuote { config_id, ..SgxQuote::new([7; 64]) };
    let without = lab.sgx(&wanted).expect("accepted").check_init_data(&[0xd1; 32]);
    assert_eq!(without.expect_err("no such field").code(), "unsupported");
    wanted.attributes[0] |= attributes::KSS;
    assert!(lab.sgx(&wanted).expect("accepted").check_init_data(&[0xd1; 32]).is_ok());
}
