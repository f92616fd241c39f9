//! The layout against another reader, and the numbers of a signature one by one.
//!
//! SEV-SNP firmware ABI (AMD 56860) sections 7.3 and 10; bad inputs, SNP-02 and SNP-03.

use keygate_forge::amd::{Amd, Product, SigningKey, SnpReport, Tcb};
use keygate_forge::keys;
use keygate_verifier::{Evidence, EvidenceKind, Verifier};
use serde_json::{Map, Value, json};
use sev::firmware::guest::AttestationReport;
use sev::firmware::host::TcbVersion;
use sev::parser::ByteParser;

use crate::support::{Rng, cases, mutations, tried};
use crate::{NOW, chain, code, judge_forged};

const R: usize = 0x2a0;
const S: usize = R + 72;

fn ours(report: &[u8]) -> Option<Map<String, Value>> {
    Verifier::inspect(&Evidence { kind: EvidenceKind::Snp, bytes: report }).ok()
}

fn theirs(report: &[u8]) -> Option<AttestationReport> {
    AttestationReport::from_bytes(report).ok()
}

/// Both readers saw the same.
fn agree(ours: &Map<String, Value>, theirs: &AttestationReport) {
    let claim = |name: &str| ours.get(&format!("x-ms-sevsnpvm-{name}")).cloned().unwrap_or(Value::Null);
    let bit = |name: &str, value: bool| assert_eq!(claim(name), json!(value), "{name}");
    for (name, bytes) in [
        ("familyId", &theirs.family_id[..]),
        ("imageId", &theirs.image_id),
        ("reportdata", &theirs.report_data),
        ("launchmeasurement", &theirs.measurement),
        ("hostdata", &theirs.host_data),
        ("idkeydigest", &theirs.id_key_digest),
        ("reportid", &theirs.report_id),
        ("reportid-ma", &theirs.report_id_ma),
        ("chipid", &theirs.chip_id),
    ] {
        assert_eq!(claim(name), hex::encode(bytes), "{name}");
    }
    assert_eq!(claim("report-version"), json!(theirs.version));
    assert_eq!(claim("guestsvn"), json!(theirs.guest_svn));
    assert_eq!(claim("vmpl"), json!(theirs.vmpl));
    assert_eq!(claim("cpuid-family"), json!(theirs.cpuid_fam_id));
    assert_eq!(claim("cpuid-model"), json!(theirs.cpuid_mod_id));
    assert_eq!(claim("cpuid-stepping"), json!(theirs.cpuid_step));
    assert_eq!(claim("current-version"), theirs.current.to_string());
    assert_eq!(claim("committed-version"), theirs.committed.to_string());
    assert_eq!(claim("launch-mit-vector"), json!(theirs.launch_mit_vector.map(|v| format!("{v:016x}"))));
    assert_eq!(claim("current-mit-vector"), json!(theirs.current_mit_vector.map(|v| format!("{v:016x}"))));
    let (policy, platform, key) = (&theirs.policy, &theirs.plat_info, &theirs.key_info);
    bit("smt-allowed", policy.smt_allowed());
    bit("migration-allowed", policy.migrate_ma_allowed());
    bit("is-debuggable", policy.debug_allowed());
    bit("single-socket", policy.single_socket_required());
    bit("cxl-allowed", policy.cxl_allowed());
    bit("aes-256-xts", policy.mem_aes_256_xts());
    bit("rapl-disabled-by-policy", policy.rapl_dis());
    bit("ciphertext-hiding-by-policy", policy.ciphertext_hiding());
    bit("smt-enabled", platform.smt_enabled());
    bit("tsme-enabled", platform.tsme_enabled());
    bit("ecc-enabled", platform.ecc_enabled());
    bit("rapl-disabled", platform.rapl_disabled());
    bit("ciphertext-hiding-enabled", platform.ciphertext_hiding_enabled());
    let since = |version, name: &str, value: bool| {
        let expected = if theirs.version >= version { json!(value) } else { Value::Null };
        assert_eq!(claim(name), expected, "{name}");
    };
    since(3, "alias-check-complete", platform.alias_check_complete());
    since(5, "page-swap-disabled", policy.page_swap_disabled());
    since(5, "tio-enabled", platform.tio_enabled());
    bit("author-key-en", key.author_key_en());
    bit("mask-chip-key", key.mask_chip_key());
    let signing_key = match key.signing_key() {
        0 => "vcek",
        1 => "vlek",
        7 => "none",
        _ => "reserved",
    };
    assert_eq!(claim("signing-key"), signing_key);
    let levels = |prefix: &str, tcb: &TcbVersion| {
        let level = |name: &str| claim(&format!("{prefix}{name}-svn"));
        assert_eq!(level("fmc"), json!(tcb.fmc), "{prefix}");
        assert_eq!(level("bootloader"), json!(tcb.bootloader), "{prefix}");
        assert_eq!(level("tee"), json!(tcb.tee), "{prefix}");
        assert_eq!(level("snpfw"), json!(tcb.snp), "{prefix}");
        assert_eq!(level("microcode"), json!(tcb.microcode), "{prefix}");
    };
    levels("", &theirs.reported_tcb);
    levels("committed-", &theirs.committed_tcb);
    levels("current-", &theirs.current_tcb);
    levels("launch-", &theirs.launch_tcb);
}

/// Forged reports whose fields all differ, of every product and version.
fn forged() -> Vec<Vec<u8>> {
    let mut reports = Vec::new();
    let tcb = |n: u8| Tcb { fmc: n, bootloader: n + 1, tee: n + 2, snp: n + 3, microcode: n + 4 };
    for product in Product::ALL {
        let amd = Amd::new(product, NOW);
        for version in 2..=5 {
            for signing_key in [SigningKey::Vcek, SigningKey::Vlek] {
                reports.push(amd.report(&SnpReport {
                    version,
                    signing_key,
                    guest_svn: 77,
                    vmpl: 3,
                    family_id: [1; 16],
                    image_id: [2; 16],
                    author_key_en: true,
                    current_tcb: tcb(50),
                    reported_tcb: tcb(10),
                    committed_tcb: tcb(30),
                    launch_tcb: tcb(20),
                    current_version: [1, 2, 3],
                    committed_version: [4, 5, 6],
                    launch_mit_vector: 0x1122_3344_5566_7788,
                    current_mit_vector: 0x99aa_bbcc_ddee_ff00,
                    ..SnpReport::new([7; 64])
                }));
            }
        }
    }
    reports
}

#[test]
fn another_reader_sees_the_same_in_every_sound_report() {
    let real: Vec<_> = cases(&["snp"]).iter().map(|case| case.file("evidence")).collect();
    let mut compared = 0;
    for report in real.iter().chain(&forged()) {
        let ours = ours(report).expect("ours reads it");
        // The other reader cannot tell the layout of a version 2 report without a chip id.
        let Some(theirs) = theirs(report) else {
            assert_eq!((report[0], &report[0x1a0..0x1e0]), (2, &[0; 64][..]));
            continue;
        };
        agree(&ours, &theirs);
        compared += 1;
    }
    assert_eq!(compared, real.len() + 24 - 3);
}

#[test]
fn mutations_look_the_same_to_another_reader_where_both_read_them() {
    let reports = forged();
    let mut random = Rng::new(5);
    let mut both = 0;
    let count = mutations(2_000, 250_000);
    for round in 0..count {
        let mut report = reports[round % reports.len()].clone();
        for _ in 0..=random.below(3) {
            let at = random.below(R);
            report[at] = random.bits() as u8;
        }
        if let (Some(ours), Some(theirs)) = (ours(&report), theirs(&report)) {
            agree(&ours, &theirs);
            both += 1;
        }
    }
    assert!(both > 300, "{both}");
    tried("mutations of a report beside the crate `sev`", count);
}

#[test]
fn snp_01_and_where_the_other_reader_is_too_kind() {
    let amd = Amd::new(Product::Genoa, NOW);
    let good = amd.report(&SnpReport { version: 5, ..SnpReport::new([7; 64]) });
    let mut newer = good.clone();
    newer[0] = 9;
    assert!(theirs(&newer).is_some() && ours(&newer).is_none());
    let mut venice = good;
    venice[0x188..0x18a].copy_from_slice(&[0x1a, 0x50]);
    assert!(theirs(&venice).is_some() && ours(&venice).is_none());
}

/// Both numbers of a signature, 48 bytes big-endian each, put where the report has them.
fn with_numbers(report: &[u8], r: &[u8], s: &[u8]) -> Vec<u8> {
    let mut report = report.to_vec();
    for (at, number) in [(R, r), (S, s)] {
        report[at..at + 72].fill(0);
        for (to, from) in report[at..at + 72].iter_mut().zip(number.iter().rev()) {
            *to = *from;
        }
    }
    report
}

#[test]
fn snp_03_signature_numbers_at_the_edges() {
    let amd = Amd::new(Product::Milan, NOW);
    let evidence = amd.evidence(&SnpReport::new([7; 64]));
    let held = chain(&evidence);
    let number = |at: usize| evidence.report[at..at + 48].iter().rev().copied().collect::<Vec<_>>();
    let (r, s) = (number(R), number(S));
    let order = keys::order(&keys::p384());
    let (zero, one, ones) = (vec![0; 48], [vec![0; 47], vec![1]].concat(), vec![0xff; 48]);
    let mut below_order = order.clone();
    *below_order.last_mut().unwrap() -= 1;
    let flipped = keys::flip_s(amd.vcek_key(), &[r.as_slice(), &s].concat());
    let judge = |r: &[u8], s: &[u8]| code(judge_forged(&amd, &with_numbers(&evidence.report, r, s), &held));
    assert_eq!(judge(&r, &s), "verified");
    // ECDSA itself lets s and order - s stand for each other; the signed bytes are the same.
    assert_eq!(judge(&flipped[..48], &flipped[48..]), "verified");
    for bad in [&zero, &one, &ones, &order, &below_order] {
        assert_eq!(judge(bad, &s), "signature-invalid");
        assert_eq!(judge(&r, bad), "signature-invalid");
        assert_eq!(judge(bad, bad), "signature-invalid");
    }
    assert_eq!(judge(&s, &r), "signature-invalid");
    // A number that is right but for a multiple of 2^384.
    for at in (R + 48..R + 72).chain(S + 48..S + 72) {
        let mut report = evidence.report.clone();
        report[at] = 1;
        assert_eq!(code(judge_forged(&amd, &report, &held)), "signature-invalid", "{at:#x}");
    }
}
