//! Real reports with one bit turned, and with their structure disturbed.
//!
//! Bad inputs, section 0: no panic, and nothing changed is ever accepted.

use keygate_verifier::{Endorsements, Options, UnixTime};

use crate::support::{Case, Rng, cases, flips, mutations, tried};
use crate::{code, held, judge, verifier};

fn sample(id: &str) -> Option<(Vec<u8>, Endorsements, UnixTime)> {
    let case: Case = cases(&["snp"]).into_iter().find(|case| case.id == id)?;
    Some((case.file("evidence"), held(&[case.file("vek"), case.file("ask")]), case.at().unwrap()))
}

/// Turns bits of the whole report, signed part, signature and all that is reserved.
fn every_flip_is_refused(id: &str) {
    let Some((report, held, at)) = sample(id) else { return };
    let verifier = verifier();
    let judge = |report: &[u8]| code(judge(&verifier, report, &held, &Options::show_all(), at));
    assert_eq!(judge(&report), "verified");
    let mut count = 0;
    for (index, mask) in flips(0..report.len(), 23) {
        let mut flipped = report.clone();
        flipped[index] ^= mask;
        let code = judge(&flipped);
        assert!(!["verified", "wants", "debug-rejected"].contains(&code), "byte {index:#x}, bit {mask:#x}: {code}");
        count += 1;
    }
    tried(&format!("flipped bits of a report, {id}"), count);
}

#[test]
fn snp_02_every_bit_of_a_milan_report_of_version_2_counts() {
    every_flip_is_refused("snp-v2-milan-vcek-597d1fae");
}

#[test]
fn snp_02_every_bit_of_a_genoa_report_of_version_5_counts() {
    every_flip_is_refused("snp-v5-genoa-vcek-6d1ceffa");
}

#[test]
fn snp_02_every_bit_of_a_milan_report_under_a_vlek_counts() {
    every_flip_is_refused("snp-v3-milan-vlek-decdab94");
}

#[test]
fn snp_12_every_bit_of_a_vek_certificate_counts() {
    let Some(case) = cases(&["snp"]).into_iter().find(|c| c.id == "snp-v5-genoa-vcek-6d1ceffa") else { return };
    let (report, vek, at) = (case.file("evidence"), case.file("vek"), case.at().unwrap());
    let verifier = verifier();
    for (index, mask) in flips(0..vek.len(), 43) {
        let mut flipped = vek.clone();
        flipped[index] ^= mask;
        let mut held = Endorsements::default();
        held.add_certificate(&flipped);
        let code = code(judge(&verifier, &report, &held, &Options::show_all(), at));
        assert_ne!(code, "verified", "byte {index:#x}, bit {mask:#x}");
    }
}

#[test]
fn snp_01_mutations_of_reports_neither_panic_nor_pass() {
    let ids = ["snp-v2-milan-vcek-597d1fae", "snp-v5-genoa-vcek-6d1ceffa", "snp-v3-milan-vlek-decdab94"];
    let samples: Vec<_> = ids.iter().filter_map(|id| sample(id)).collect();
    let verifier = verifier();
    let mut random = Rng::new(0x5e5);
    let count = mutations(1_500, 500_000);
    for round in 0..count {
        let Some((report, held, at)) = samples.get(round % ids.len()) else { return };
        let changed = random.mutated(report);
        if changed.get(..1184) == Some(report.as_slice()) {
            continue; // only something behind the report changed: a table, and that is a hint
        }
        let code = code(judge(&verifier, &changed, held, &Options::show_all(), *at));
        assert_ne!(code, "verified", "round {round}");
    }
    tried("mutations of three reports", count);
}

#[test]
fn snp_14_mutations_of_tables_neither_panic_nor_lend_trust() {
    let Some(case) = cases(&["snp"]).into_iter().find(|c| c.files.contains_key("cert_table")) else { return };
    let (report, table, at) = (case.file("evidence"), case.file("cert_table"), case.at().unwrap());
    let verifier = verifier();
    let mut random = Rng::new(0x7ab1e);
    let count = mutations(1_000, 50_000);
    for _ in 0..count {
        let changed = random.mutated(&table);
        let mut held = Endorsements::default();
        let _ = held.add_file(&changed);
        // A table that still holds the right certificate is welcome: the certificate is believed by its chain alone.
        let extended = [report.as_slice(), &changed].concat();
        let _ = judge(&verifier, &extended, &Endorsements::default(), &Options::strict(), at);
    }
    tried("mutations of a host's table", count);
}
