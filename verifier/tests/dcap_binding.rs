//! What the quote must carry, what it says about itself, and which anchor vouches.
//!
//! Keygate's contract, section 4; catalogue of bad inputs, SGX-26 to SGX-31, SGX-35, TDX-01, TDX-05, TDX-09, TDX-13.

mod dcap;

use dcap::lab::{Lab, NOW, code};
use keygate_forge::intel::{Intel, SgxQuote, TdxQuote, TdxVersion, Tee, attributes, td_attributes};
use keygate_verifier::{
    Anchors, Binding, BoundKey, Evidence, EvidenceKind, Genuine, NativeBinding, Options, Outcome, RecipientKey,
    UnixTime, Verifier,
};
use serde_json::json;

fn binding(challenge: u8) -> (Binding, [u8; 64], RecipientKey) {
    let point = openssl::bn::BigNum::from_u32(7).expect("a number");
    let group = openssl::ec::EcGroup::from_curve_name(openssl::nid::Nid::X9_62_PRIME256V1).expect("p-256");
    let mut context = openssl::bn::BigNumContext::new().expect("a context");
    let mut public = openssl::ec::EcPoint::new(&group).expect("a point");
    public.mul_generator2(&group, &point, &mut context).expect("a product");
    let bytes =
        public.to_bytes(&group, openssl::ec::PointConversionForm::UNCOMPRESSED, &mut context).expect("65 bytes");
    let recipient =
        RecipientKey::ec(keygate_verifier::RecipientCurve::P256, &bytes[1..33], &bytes[33..]).expect("a recipient");
    let native = NativeBinding::new([challenge; 32], "kms.example", &[9; 32], recipient.clone(), b"");
    let report_data = *native.report_data();
    (Binding::Native(Box::new(native)), report_data, recipient)
}

fn bound(lab: &Lab, kind: EvidenceKind, quote: &[u8], binding: &Binding) -> Result<Genuine, String> {
    let tee = if kind == EvidenceKind::Sgx { Tee::Sgx } else { Tee::Tdx };
    let held = dcap::held(lab.collateral(tee, None).as_bytes());
    let evidence = Evidence { kind, bytes: quote };
    match lab.verifier.verify(&evidence, binding, &held, &Options::strict(), UnixTime::from_secs(NOW)) {
        Ok(Outcome::Verified(verified)) => Ok((*verified).clone()),
        Ok(other) => Err(format!("{other:?}")),
        Err(why) => Err(why.code().to_owned()),
    }
}

#[test]
fn sgx_29_report_data_is_compared_whole() {
    let lab = Lab::new();
    let (asked, report_data, recipient) = binding(1);
    let verdict = |report_data: [u8; 64]| {
        let sgx = bound(&lab, EvidenceKind::Sgx, &lab.intel.sgx_quote(&SgxQuote::new(report_data)), &asked);
        let tdx = bound(&lab, EvidenceKind::Tdx, &lab.intel.tdx_quote(&TdxQuote::new(report_data)), &asked);
        assert_eq!(sgx.as_ref().err(), tdx.as_ref().err());
        sgx.map(|genuine| genuine.bound_key().clone())
    };
    assert_eq!(verdict(report_data), Ok(BoundKey::Present(recipient)));
    let mut halved = report_data;
    halved[32..].fill(0);
    let mut swapped = report_data;
    swapped.rotate_left(32);
    for wrong in [halved, swapped, binding(2).1] {
        assert_eq!(verdict(wrong), Err("binding-mismatch".to_owned()));
    }
    for at in 0..64 {
        let mut wrong = report_data;
        wrong[at] ^= 0x80;
        assert_eq!(verdict(wrong), Err("binding-mismatch".to_owned()), "byte {at}");
    }
}

#[test]
fn sgx_30_zero_report_data_binds_nothing() {
    let lab = Lab::new();
    let quote = lab.intel.sgx_quote(&SgxQuote::new([0; 64]));
    assert_eq!(code(bound(&lab, EvidenceKind::Sgx, &quote, &binding(1).0)), "binding-mismatch");
    let unbound = bound(&lab, EvidenceKind::Sgx, &quote, &Binding::Unbound).expect("genuine");
    assert_eq!(*unbound.bound_key(), BoundKey::Absent);
}

#[test]
fn sgx_27_flags_are_claims_and_kss_shows_its_fields() {
    let lab = Lab::new();
    let mut wanted = SgxQuote { config_id: [0xc0; 64], config_svn: 3, ..SgxQuote::new([7; 64]) };
    wanted.isv_ext_prod_id = [0xe0; 16];
    wanted.isv_family_id = [0xfa; 16];
    let plain = lab.sgx(&wanted).expect("accepted").claims();
    assert!(!plain.contains_key("x-ms-sgx-config-id"));
    assert_eq!(plain["x-ms-sgx-attributes-provision-key"], false);
    wanted.attributes[0] |= attributes::KSS | attributes::PROVISION_KEY;
    wanted.attributes[0] &= !attributes::MODE64;
    let claims = lab.sgx(&wanted).expect("accepted").claims();
    assert_eq!(claims["x-ms-sgx-config-id"], "c0".repeat(64));
    assert_eq!(claims["x-ms-sgx-config-svn"], 3);
    assert_eq!(claims["x-ms-sgx-isv-extended-product-id"], "e0".repeat(16));
    assert_eq!(claims["x-ms-sgx-isv-family-id"], "fa".repeat(16));
    assert_eq!(claims["x-ms-sgx-attributes-provision-key"], true);
    assert_eq!(claims["x-ms-sgx-attributes-mode64"], false);
    assert_eq!(claims["x-ms-sgx-attributes-init"], true);
}

#[test]
fn sgx_26_debug_is_accepted_only_where_it_is_allowed() {
    let lab = Lab::new();
    let collateral = lab.collateral(Tee::Sgx, None);
    for (debug, allow_debug, expected) in [
        (false, false, "accepted"),
        (false, true, "accepted"),
        (true, false, "debug-rejected"),
        (true, true, "accepted"),
    ] {
        let mut wanted = SgxQuote::new([7; 64]);
        if debug {
            wanted.attributes[0] |= attributes::DEBUG;
        }
        let options = Options { allow_debug, ..Options::strict() };
        let verdict = lab.judge_with(EvidenceKind::Sgx, &lab.intel.sgx_quote(&wanted), &collateral, &options);
        if let Ok(genuine) = &verdict {
            assert_eq!(genuine.claims()["keygate"]["debug"], debug);
        }
        assert_eq!(code(verdict), expected);
    }
}

#[test]
fn tdx_01_any_bit_of_the_debug_group_is_debug() {
    let lab = Lab::new();
    for bit in 0..64u32 {
        let td_attributes = td_attributes::SEPT_VE_DISABLE ^ 1u64 << bit;
        let verdict = lab.tdx(&TdxQuote { td_attributes, ..TdxQuote::new([7; 64]) });
        assert_eq!(code(verdict), if bit < 8 { "debug-rejected" } else { "accepted" }, "bit {bit}");
    }
}

#[test]
fn tdx_05_service_tds_and_attributes_are_claims() {
    let lab = Lab::new();
    let td_attributes = td_attributes::MIGRATABLE | td_attributes::PKS | td_attributes::KL | td_attributes::PERFMON;
    let wanted =
        TdxQuote { version: TdxVersion::V5Td15, mrservicetd: [0x5d; 48], td_attributes, ..TdxQuote::new([7; 64]) };
    let claims = lab.tdx(&wanted).expect("accepted").claims();
    assert_eq!(claims["tdx_mrservicetd"], "5d".repeat(48));
    for (name, set) in [
        ("debug", false),
        ("septve_disable", false),
        ("migratable", true),
        ("protection_keys", true),
        ("key_locker", true),
        ("perfmon", true),
    ] {
        assert_eq!(claims[&format!("tdx_td_attributes_{name}")], set, "{name}");
    }
    assert_eq!(claims["attester_tcb_status"], "UpToDate");
    assert_eq!(claims["dbgstat"], "disabled");
    let plain = lab.tdx(&TdxQuote::new([7; 64])).expect("accepted").claims();
    assert!(!plain.contains_key("tdx_mrservicetd") && !plain.contains_key("tdx_tee_tcb_svn2"));
}

#[test]
fn tdx_09_init_data_stands_in_the_configuration_field_with_zeros_behind() {
    let lab = Lab::new();
    let digest = [0xd1; 32];
    let with = |rest: u8| {
        let mut mrconfigid = [rest; 48];
        mrconfigid[..32].copy_from_slice(&digest);
        let mut config_id = [rest; 64];
        config_id[..32].copy_from_slice(&digest);
        let tdx = lab.tdx(&TdxQuote { mrconfigid, ..TdxQuote::new([7; 64]) }).expect("accepted");
        let mut sgx = SgxQuote { config_id, ..SgxQuote::new([7; 64]) };
        sgx.attributes[0] |= attributes::KSS;
        [tdx, lab.sgx(&sgx).expect("accepted")]
    };
    for genuine in with(0) {
        assert!(genuine.check_init_data(&digest).is_ok());
        assert_eq!(genuine.check_init_data(&[0; 32]).expect_err("other data").code(), "binding-mismatch");
    }
    for genuine in with(1) {
        assert_eq!(genuine.check_init_data(&digest).expect_err("more than a digest").code(), "binding-mismatch");
    }
}

#[test]
fn tdx_13_a_quote_of_one_tee_is_none_of_the_other() {
    let lab = Lab::new();
    let sgx = lab.intel.sgx_quote(&SgxQuote::new([7; 64]));
    let tdx = lab.intel.tdx_quote(&TdxQuote::new([7; 64]));
    assert_eq!(code(lab.judge(EvidenceKind::Tdx, &sgx, &lab.collateral(Tee::Sgx, None))), "unsupported");
    assert_eq!(code(lab.judge(EvidenceKind::Sgx, &tdx, &lab.collateral(Tee::Tdx, None))), "unsupported");
    assert_eq!(EvidenceKind::guess(&sgx), Some(EvidenceKind::Sgx));
    assert_eq!(EvidenceKind::guess(&tdx), Some(EvidenceKind::Tdx));
}

#[test]
fn sgx_35_platform_and_measurements_are_named_for_deny_lists() {
    let lab = Lab::new();
    let sgx = lab.sgx(&SgxQuote::new([7; 64])).expect("accepted");
    let platform = &lab.intel.platform;
    let names =
        [format!("intel-ppid:{}", hex::encode(platform.ppid)), format!("intel-fmspc:{}", hex::encode(platform.fmspc))];
    assert_eq!(sgx.platforms(), names);
    assert_eq!(sgx.measurements(), ["e1".repeat(32), "51".repeat(32)]);
    let tdx = lab.tdx(&TdxQuote::new([7; 64])).expect("accepted");
    assert_eq!(tdx.platforms(), names);
    assert_eq!(tdx.measurements(), ["7d".repeat(48)]);
}

#[test]
fn sgx_21_chain_and_collateral_lead_to_one_anchor() {
    let (ours, theirs) = (Lab::new(), Lab::new());
    let mut anchors = Anchors::vendor().expect("roots");
    for (name, lab) in [("ours", &ours), ("theirs", &theirs)] {
        anchors.add(name, EvidenceKind::Sgx, &lab.intel.root_der()).expect("an anchor");
    }
    let verifier = Verifier::new(anchors);
    let judge = |quote: &Lab, collateral: &Lab| {
        let quote = quote.intel.sgx_quote(&SgxQuote::new([7; 64]));
        let held = dcap::held(collateral.collateral(Tee::Sgx, None).as_bytes());
        let now = UnixTime::from_secs(NOW);
        dcap::judge_with(&verifier, EvidenceKind::Sgx, &quote, &held, &Options::strict(), now)
    };
    assert_eq!(judge(&ours, &ours).expect("accepted").anchor(), "ours");
    assert_eq!(judge(&theirs, &theirs).expect("accepted").anchor(), "theirs");
    assert_eq!(code(judge(&ours, &theirs)), "chain-untrusted");
    assert_eq!(code(judge(&theirs, &ours)), "chain-untrusted");
}

#[test]
fn an_anchor_vouches_for_its_own_kind() {
    let intel = Intel::new(NOW);
    let mut anchors = Anchors::vendor().expect("roots");
    anchors.add("lab", EvidenceKind::Tdx, &intel.root_der()).expect("an anchor");
    let lab = Lab { intel, verifier: Verifier::new(anchors) };
    assert_eq!(code(lab.tdx(&TdxQuote::new([7; 64]))), "accepted");
    assert_eq!(code(lab.sgx(&SgxQuote::new([7; 64]))), "chain-untrusted");
}

#[test]
fn inspect_shows_the_report_and_no_conclusion() {
    let lab = Lab::new();
    let quote = lab.intel.tdx_quote(&TdxQuote::new([7; 64]));
    let says = Verifier::inspect(&Evidence { kind: EvidenceKind::Tdx, bytes: &quote }).expect("it parses");
    assert_eq!(says["tdx_report_data"], json!("07".repeat(64)));
    assert!(!says.contains_key("attester_tcb_status") && !says.contains_key("keygate"));
}
