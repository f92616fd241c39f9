//! Forged evidence of every product, right, and wrong in exactly one way.
//!
//! Bad inputs, section 5.

use keygate_forge::amd::{Amd, Product, SigningKey, SnpFault, SnpReport, Tcb, policy};
use keygate_forge::x509::CertFault;
use keygate_verifier::{
    Binding, BoundKey, Endorsements, Evidence, EvidenceKind, NativeBinding, Options, Outcome, RecipientKey, UnixTime,
};
use serde_json::{Map, Value, json};

use crate::{NOW, chain, code, forge_verifier, judge, judge_forged, verified, verifier};

fn report() -> SnpReport {
    SnpReport::new([7; 64])
}

/// The code with which the fault is refused.
fn refused(amd: &Amd, fault: SnpFault) -> &'static str {
    let evidence = amd.evidence(&SnpReport { fault: Some(fault), ..report() });
    if fault.is_table() {
        let extended = [evidence.report.as_slice(), &evidence.table].concat();
        return code(judge_forged(amd, &extended, &Endorsements::default()));
    }
    code(judge_forged(amd, &evidence.report, &chain(&evidence)))
}

/// Every fault of a row, on every product, is refused by the code of the catalogue.
fn row(row: &str) {
    let faults: Vec<_> = SnpFault::ALL.iter().copied().filter(|f| f.row() == row).collect();
    assert!(!faults.is_empty(), "no fault of {row}");
    for product in Product::ALL {
        let amd = Amd::new(product, NOW);
        for fault in &faults {
            let code = refused(&amd, *fault);
            assert!(fault.allows(code), "{product:?} {fault:?}: {code}, not {}", fault.expected_code());
        }
    }
}

macro_rules! rows {
    ($($name:ident => $row:literal;)+) => { $( #[test] fn $name() { row($row); } )+ };
}

rows! {
    snp_01_unknown_versions_and_lengths => "SNP-01";
    snp_02_wrong_algorithm_and_oversized_numbers => "SNP-02";
    snp_03_big_endian_numbers => "SNP-03";
    snp_04_reserved_bytes_that_are_set => "SNP-04";
    snp_05_vcek_of_another_chip_is_chain_untrusted => "SNP-05";
    snp_07_certified_levels_that_are_not_the_reported_ones => "SNP-07";
    snp_08_committed_or_current_levels_below_the_reported_ones => "SNP-08";
    snp_09_levels_in_the_layout_of_the_other_family => "SNP-09";
    snp_10_the_other_sort_of_signing_key => "SNP-10";
    snp_11_no_signing_key_and_reserved_ones => "SNP-11";
    snp_12_chains_of_other_products_and_self_made_ones => "SNP-12";
    snp_13_a_salt_of_another_length => "SNP-13";
    snp_14_tables_that_are_no_tables => "SNP-14";
    snp_15_debug_evidence => "SNP-15";
    snp_24_a_vcek_before_and_after_its_validity => "SNP-24";
    snp_27_extensions_that_are_missing_doubled_or_out_of_range => "SNP-27";
}

#[test]
fn every_fault_of_the_forge_has_a_row_here() {
    let rows = ["01", "02", "03", "04", "05", "07", "08", "09", "10", "11", "12", "13", "14", "15", "24", "27"];
    for fault in SnpFault::ALL {
        assert!(rows.iter().any(|row| fault.row() == format!("SNP-{row}")), "{fault:?} {}", fault.row());
    }
}

#[test]
fn sound_evidence_of_every_product_version_and_key_is_accepted() {
    for product in Product::ALL {
        let amd = Amd::new(product, NOW);
        for version in 2..=5 {
            for signing_key in [SigningKey::Vcek, SigningKey::Vlek] {
                let evidence = amd.evidence(&SnpReport { version, signing_key, ..report() });
                let claims = verified(judge_forged(&amd, &evidence.report, &chain(&evidence))).claims();
                assert_eq!(claims["x-ms-sevsnpvm-product"], product.name(), "{version} {signing_key:?}");
                assert_eq!(claims["x-ms-sevsnpvm-report-version"], json!(version));
                assert_eq!(claims["x-ms-sevsnpvm-microcode-svn"], json!(219));
                assert_eq!(claims["x-ms-sevsnpvm-snpfw-svn"], json!(24));
                assert_eq!(claims["x-ms-sevsnpvm-bootloader-svn"], json!(4));
                let fmc = (product == Product::Turin).then(|| json!(1));
                assert_eq!(claims.get("x-ms-sevsnpvm-fmc-svn").cloned(), fmc);
                assert_eq!(claims["keygate"]["anchor"], "forge");
                let extended = [evidence.report.as_slice(), &evidence.table].concat();
                verified(judge_forged(&amd, &extended, &Endorsements::default()));
                // Under the vendors' roots the same evidence is somebody else's.
                let at = UnixTime::from_secs(NOW);
                let foreign = judge(&verifier(), &evidence.report, &chain(&evidence), &Options::strict(), at);
                assert_eq!(foreign.unwrap_err().code(), "chain-untrusted");
            }
        }
    }
}

#[test]
fn x509_01_to_14_faults_of_the_issuer_are_refused() {
    let amd = Amd::new(Product::Milan, NOW);
    for fault in CertFault::ALL {
        // Their own sort of key has no curve, so that this one cannot be shown.
        if *fault == CertFault::ExplicitCurve {
            continue;
        }
        let evidence = amd.evidence(&SnpReport { authority_fault: Some(*fault), ..report() });
        let code = code(judge_forged(&amd, &evidence.report, &chain(&evidence)));
        assert!(fault.allows(code), "{fault:?}: {code}, not {}", fault.expected_code());
    }
}

#[test]
fn snp_06_a_masked_chip_id_is_a_claim_and_its_certificate_must_be_at_hand() {
    let amd = Amd::new(Product::Genoa, NOW);
    let evidence = amd.evidence(&SnpReport { chip_id: Some([0; 64]), ..report() });
    let shown = verified(judge_forged(&amd, &evidence.report, &chain(&evidence)));
    assert_eq!(shown.claims()["x-ms-sevsnpvm-chipid"], "00".repeat(64));
    assert_eq!(shown.claims()["x-ms-sevsnpvm-signing-key"], "vcek");
    assert_eq!(shown.platforms(), ["snp-product:genoa"]);
    assert_eq!(code(judge_forged(&amd, &evidence.report, &Endorsements::default())), "collateral-unavailable");
    let named = amd.evidence(&report());
    let chip = format!("snp-chip:{}", hex::encode(amd.chip_id));
    let names = verified(judge_forged(&amd, &named.report, &chain(&named))).platforms().to_vec();
    assert_eq!(names, [chip, "snp-product:genoa".to_owned()]);
    // Under a provider's key the chip is masked: the provider is named.
    let lent = amd.evidence(&SnpReport { signing_key: SigningKey::Vlek, ..report() });
    let shown = verified(judge_forged(&amd, &lent.report, &chain(&lent)));
    let provider = shown.claims()["x-ms-sevsnpvm-csp-id"].as_str().unwrap().to_owned();
    assert_eq!(shown.platforms(), [format!("snp-csp:{provider}"), "snp-product:genoa".to_owned()]);
}

#[test]
fn snp_24_what_cannot_be_the_last_word_is_wished_for() {
    // The folder holds the certificate of another chip, or of this chip at another level.
    let amd = Amd::new(Product::Milan, NOW);
    let evidence = amd.evidence(&report());
    let other = Amd::new(Product::Milan, NOW).evidence(&report()).vek;
    let lower = amd.vcek_der(Tcb { microcode: 115, ..Tcb::default() });
    for (held, refused) in [(other, "chain-untrusted"), (lower, "tcb-rejected")] {
        let mut endorsements = Endorsements::default();
        endorsements.add_certificate(&held);
        let judged = |nothing_more: bool| {
            let options = Options { nothing_more, ..Options::strict() };
            judge(&forge_verifier(&amd), &evidence.report, &endorsements, &options, UnixTime::from_secs(NOW))
        };
        let wanted = judged(false);
        let Ok(Outcome::Wants(wishes)) = wanted else { panic!("{wanted:?}") };
        let levels = "040018db";
        assert_eq!(wishes.len(), 1);
        assert_eq!(wishes[0].to_string(), format!("amd-milan-vcek-{}-{levels}", hex::encode(amd.chip_id)));
        assert_eq!(code(judged(true)), refused);
    }
}

#[test]
fn snp_16_to_20_what_the_guest_and_platform_are_is_a_claim() {
    let amd = Amd::new(Product::Genoa, NOW);
    let evidence = amd.evidence(&SnpReport {
        version: 5,
        policy: policy::MUST_BE_ONE | policy::MIGRATE_MA | policy::SINGLE_SOCKET | 1 << 25,
        vmpl: u32::MAX,
        platform_info: 0xb0,
        author_key_en: true,
        author_key_digest: [9; 48],
        id_key_digest: [8; 48],
        report_id_ma: [3; 32],
        host_data: [5; 32],
        ..report()
    });
    let genuine = verified(judge_forged(&amd, &evidence.report, &chain(&evidence)));
    let claims = genuine.claims();
    let claim = |name: &str| claims[&format!("x-ms-sevsnpvm-{name}")].clone();
    for (name, value) in [
        ("vmpl", json!(4_294_967_295_u32)),
        ("migration-allowed", json!(true)),
        ("smt-allowed", json!(false)),
        ("single-socket", json!(true)),
        ("page-swap-disabled", json!(true)),
        ("is-debuggable", json!(false)),
        ("smt-enabled", json!(false)),
        ("ciphertext-hiding-enabled", json!(true)),
        ("alias-check-complete", json!(true)),
        ("tio-enabled", json!(true)),
        ("platform-info", json!("00000000000000b0")),
        ("policy", json!("0000000002160000")),
        ("author-key-en", json!(true)),
        ("authorkeydigest", json!("09".repeat(48))),
        ("idkeydigest", json!("08".repeat(48))),
        ("reportid-ma", json!("03".repeat(32))),
        ("hostdata", json!("05".repeat(32))),
    ] {
        assert_eq!(claim(name), value, "{name}");
    }
    assert!(genuine.check_init_data(&[5; 32]).is_ok());
    assert_eq!(genuine.check_init_data(&[6; 32]).unwrap_err().code(), "binding-mismatch");
    assert_eq!(genuine.measurements(), ["4d".repeat(48)]);
}

#[test]
fn snp_18_bits_of_a_later_version_are_malformed_in_an_earlier_one() {
    let amd = Amd::new(Product::Genoa, NOW);
    let judge = |version, policy, platform_info| {
        let evidence = amd.evidence(&SnpReport { version, policy, platform_info, ..report() });
        code(judge_forged(&amd, &evidence.report, &chain(&evidence)))
    };
    let usual = policy::MUST_BE_ONE;
    assert_eq!(judge(5, usual | 1 << 25, 1 << 7), "verified");
    assert_eq!(judge(3, usual | 1 << 25, 0), "malformed");
    assert_eq!(judge(3, usual, 1 << 7), "malformed");
    assert_eq!(judge(5, usual | 1 << 26, 0), "malformed");
    assert_eq!(judge(5, usual, 1 << 6), "malformed");
    assert_eq!(judge(5, 0, 0), "malformed");
    assert_eq!(judge(5, usual, 0), "verified");
    let evidence = amd.evidence(&report());
    for bit in 5..32 {
        let mut changed = evidence.report.clone();
        changed[0x48 + bit / 8] |= 1 << (bit % 8);
        assert_eq!(code(judge_forged(&amd, &changed, &chain(&evidence))), "malformed", "key info, bit {bit}");
    }
}

#[test]
fn snp_19_an_author_key_that_is_not_enabled_is_not_shown() {
    let amd = Amd::new(Product::Genoa, NOW);
    let evidence = amd.evidence(&SnpReport { author_key_digest: [9; 48], ..report() });
    let claims = verified(judge_forged(&amd, &evidence.report, &chain(&evidence))).claims();
    assert_eq!(claims["x-ms-sevsnpvm-author-key-en"], json!(false));
    assert_eq!(claims["x-ms-sevsnpvm-authorkeydigest"], "00".repeat(48));
}

#[test]
fn snp_22_and_23_report_data_are_compared_whole() {
    let amd = Amd::new(Product::Milan, NOW);
    let Value::Object(jwk) = json!({"kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})
    else {
        unreachable!()
    };
    let recipient = RecipientKey::from_jwk(&Map::from_iter(jwk)).unwrap();
    let native = NativeBinding::new([1; 32], "kms.example", &[2; 32], recipient.clone(), b"");
    let other = NativeBinding::new([3; 32], "kms.example", &[2; 32], recipient.clone(), b"");
    let good = *native.report_data();
    let verify = |report_data: [u8; 64], binding: &NativeBinding| {
        let evidence = amd.evidence(&SnpReport::new(report_data));
        forge_verifier(&amd).verify(
            &Evidence { kind: EvidenceKind::Snp, bytes: &evidence.report },
            &Binding::Native(Box::new(binding.clone())),
            &chain(&evidence),
            &Options::strict(),
            UnixTime::from_secs(NOW),
        )
    };
    assert_eq!(verified(verify(good, &native)).bound_key(), &BoundKey::Present(recipient));
    let mut swapped = good;
    swapped.rotate_left(32);
    let mut half = good;
    half[32..].fill(0);
    for wrong in [swapped, half, [0; 64]] {
        assert_eq!(code(verify(wrong, &native)), "binding-mismatch");
    }
    assert_eq!(code(verify(good, &other)), "binding-mismatch");
    let unbound = amd.evidence(&SnpReport::new(good));
    assert_eq!(verified(judge_forged(&amd, &unbound.report, &chain(&unbound))).bound_key(), &BoundKey::Absent);
}

#[test]
fn snp_10_the_certificate_itself_tells_which_sort_of_key_it_is() {
    let amd = Amd::new(Product::Genoa, NOW);
    for fault in [SnpFault::VlekNamedVcek, SnpFault::VcekNamedVlek] {
        let evidence = amd.evidence(&SnpReport { fault: Some(fault), ..report() });
        let refused = judge_forged(&amd, &evidence.report, &chain(&evidence)).unwrap_err();
        assert_eq!(refused.full_code(), "chain-untrusted.vek-certificate", "{fault:?}");
    }
}

#[test]
fn snp_08_the_four_levels_stand_in_order() {
    let amd = Amd::new(Product::Milan, NOW);
    let tcb = |microcode| Tcb { microcode, ..Tcb::default() };
    let judge = |reported, committed, current, launch| {
        let evidence = amd.evidence(&SnpReport {
            reported_tcb: tcb(reported),
            committed_tcb: tcb(committed),
            current_tcb: tcb(current),
            launch_tcb: tcb(launch),
            ..report()
        });
        code(judge_forged(&amd, &evidence.report, &chain(&evidence)))
    };
    assert_eq!(judge(5, 6, 7, 6), "verified");
    // The level at launch is a claim: a guest may have begun under older firmware.
    assert_eq!(judge(5, 6, 7, 1), "verified");
    assert_eq!(judge(5, 4, 7, 6), "tcb-rejected");
    assert_eq!(judge(5, 7, 6, 6), "tcb-rejected");
    assert_eq!(judge(5, 5, 4, 5), "tcb-rejected");
}

#[test]
fn snp_25_only_milan_is_known_to_be_forgeable() {
    for product in Product::ALL {
        let amd = Amd::new(product, NOW);
        let evidence = amd.evidence(&report());
        let claims = verified(judge_forged(&amd, &evidence.report, &chain(&evidence))).claims();
        assert_eq!(claims["keygate"]["known_forgeable"], json!(product == Product::Milan), "{product:?}");
    }
}

#[test]
fn snp_24_of_several_certificates_the_one_that_fits_and_lasts_is_taken() {
    let amd = Amd::new(Product::Milan, NOW);
    let good = amd.evidence(&report());
    let old = amd.evidence(&SnpReport { fault: Some(SnpFault::VcekExpired), ..report() });
    let other = Amd::new(Product::Milan, NOW).evidence(&report());
    let lower = amd.vcek_der(Tcb { microcode: 115, ..Tcb::default() });
    let mut held = Endorsements::default();
    for der in [&old.vek, &other.vek, &lower, &good.vek, &good.authority] {
        held.add_certificate(der);
    }
    verified(judge_forged(&amd, &good.report, &held));
    // However many are over, the one in force is found.
    let mut many = Endorsements::default();
    for _ in 0..9 {
        many.add_certificate(&amd.evidence(&SnpReport { fault: Some(SnpFault::VcekExpired), ..report() }).vek);
    }
    many.extend(&held);
    verified(judge_forged(&amd, &good.report, &many));
    // Several, of which none fits, are as good as none.
    let mut misfits = Endorsements::default();
    for der in [&other.vek, &lower] {
        misfits.add_certificate(der);
    }
    assert_eq!(code(judge_forged(&amd, &good.report, &misfits)), "wants");
    // One that fits in everything but did not sign.
    let mut impostor = Amd::new(Product::Milan, NOW);
    impostor.chip_id = amd.chip_id;
    let theirs = impostor.evidence(&report());
    assert_eq!(code(judge_forged(&amd, &good.report, &chain(&theirs))), "signature-invalid");
}

#[test]
fn a_report_without_cpuid_wishes_for_every_product_it_can_be_of() {
    for (product, expected) in [
        (Product::Milan, vec!["milan", "genoa"]),
        (Product::Genoa, vec!["milan", "genoa"]),
        (Product::Turin, vec!["turin"]),
    ] {
        let amd = Amd::new(product, NOW);
        let evidence = amd.evidence(&SnpReport { version: 2, ..report() });
        let outcome = judge_forged(&amd, &evidence.report, &Endorsements::default());
        let Ok(Outcome::Wants(wishes)) = outcome else { panic!("{outcome:?}") };
        let turin = product == Product::Turin;
        let chip = hex::encode(&amd.chip_id[..if turin { 8 } else { 64 }]);
        let levels = if turin { "01040018db" } else { "040018db" };
        let expected: Vec<_> = expected.iter().map(|name| format!("amd-{name}-vcek-{chip}-{levels}")).collect();
        assert_eq!(wishes.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
    }
}
