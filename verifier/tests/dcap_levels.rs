//! TCB levels, modules and the quoting enclave: which level counts, how verdicts meet, which document is taken.
//!
//! Catalogue of bad inputs, SGX-15 to SGX-18, TDX-04 to TDX-06, X509-11.

mod dcap;

use std::collections::BTreeSet;

use dcap::lab::{Lab, NOW, code};
use keygate_forge::intel::{CollateralFault, SgxQuote, SvnLevel, TcbLevel, TdxQuote, TdxVersion, Tee};
use keygate_verifier::{
    Binding, CollateralId, Endorsements, Evidence, EvidenceKind, Genuine, IntelTee, Options, Outcome, TcbStatus,
    UnixTime,
};

const NEEDS: [&str; 7] = [
    "UpToDate",
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
    "Revoked",
];

fn sgx_shown(lab: &Lab, collateral: &str) -> Result<Genuine, String> {
    let quote = lab.intel.sgx_quote(&SgxQuote::new([7; 64]));
    lab.judge_with(EvidenceKind::Sgx, &quote, collateral, &Options::show_all())
}

fn status(genuine: &Genuine) -> TcbStatus {
    genuine.tcb().expect("a verdict").status
}

#[test]
fn sgx_15_the_order_of_levels_in_the_text_does_not_decide() {
    let lab = Lab::new();
    let base = lab.intel.describe(Tee::Sgx).levels;
    let level = |up: u8, status: &str| {
        let mut level: TcbLevel = base[0].clone();
        level.components[0] -= up;
        level.status = status.to_owned();
        level
    };
    let sorted = vec![level(0, "SWHardeningNeeded"), level(1, "OutOfDate"), level(3, "Revoked")];
    // The same level twice: the worse of the two counts, wherever it stands.
    let twice = vec![level(0, "UpToDate"), level(0, "ConfigurationNeeded"), level(1, "OutOfDate")];
    for (levels, expected) in [(sorted, "SWHardeningNeeded"), (twice, "ConfigurationNeeded")] {
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let shuffled = order.iter().map(|i| levels[*i].clone()).collect();
            let collateral = lab.changed(Tee::Sgx, |c| c.levels = shuffled);
            let genuine = sgx_shown(&lab, &collateral).expect("a level is reached");
            assert_eq!(status(&genuine).as_str(), expected, "{order:?}");
        }
    }
}

#[test]
fn sgx_16_the_first_level_with_every_component_reached_counts() {
    let lab = Lab::new();
    let base = lab.intel.describe(Tee::Sgx).levels;
    let collateral = lab.changed(Tee::Sgx, |c| {
        // Higher in one component and lower in all others: not reached. The next one asks for less everywhere.
        let mut mixed = base[0].clone();
        mixed.components = [0; 16];
        mixed.components[0] = base[0].components[0] + 1;
        let mut reached = base[0].clone();
        reached.components[3] = 0;
        reached.status = "SWHardeningNeeded".to_owned();
        c.levels = vec![mixed, reached];
    });
    assert_eq!(status(&sgx_shown(&lab, &collateral).expect("reached")), TcbStatus::SWHardeningNeeded);
}

#[test]
fn sgx_17_a_status_is_accepted_only_by_name_and_revoked_never() {
    let lab = Lab::new();
    let quote = lab.intel.sgx_quote(&SgxQuote::new([7; 64]));
    for text in NEEDS {
        let collateral = lab.changed(Tee::Sgx, |c| c.levels.iter_mut().for_each(|l| l.status = text.to_owned()));
        let named = TcbStatus::parse(text).expect("a status");
        for accepted in TcbStatus::ALL {
            let options = Options { accept_tcb: BTreeSet::from([*accepted]), ..Options::strict() };
            let verdict = lab.judge_with(EvidenceKind::Sgx, &quote, &collateral, &options);
            let expected = *accepted == named && named != TcbStatus::Revoked;
            assert_eq!(verdict.is_ok(), expected, "{text} where {accepted} is accepted");
            if let Err(code) = verdict {
                assert_eq!(code, "tcb-rejected");
            }
        }
    }
}

#[test]
fn what_is_revoked_is_shown_and_not_accepted() {
    let lab = Lab::new();
    let quote = lab.intel.sgx_quote(&SgxQuote::new([7; 64]));
    let held = dcap::held(lab.collateral(Tee::Sgx, Some(CollateralFault::StatusRevoked)).as_bytes());
    let evidence = Evidence { kind: EvidenceKind::Sgx, bytes: &quote };
    let now = UnixTime::from_secs(NOW);
    let outcome = lab.verifier.verify(&evidence, &Binding::Unbound, &held, &Options::show_all(), now);
    match outcome.expect("genuine") {
        Outcome::NotAccepted { why, shown } => {
            assert_eq!(why.code(), "tcb-rejected");
            assert_eq!(status(&shown), TcbStatus::Revoked);
            assert_eq!(shown.claims()["keygate"]["tcb"]["status"], "Revoked");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_quoting_enclave_drags_the_platform_along() {
    let lab = Lab::new();
    for (platform, qe, merged) in [
        ("UpToDate", "UpToDate", "UpToDate"),
        ("UpToDate", "OutOfDate", "OutOfDate"),
        ("SWHardeningNeeded", "OutOfDate", "OutOfDate"),
        ("ConfigurationNeeded", "OutOfDate", "OutOfDateConfigurationNeeded"),
        ("ConfigurationAndSWHardeningNeeded", "OutOfDate", "OutOfDateConfigurationNeeded"),
        ("OutOfDateConfigurationNeeded", "OutOfDate", "OutOfDateConfigurationNeeded"),
        ("OutOfDate", "OutOfDate", "OutOfDate"),
        ("UpToDate", "ConfigurationNeeded", "UpToDate"),
        ("SWHardeningNeeded", "UpToDate", "SWHardeningNeeded"),
    ] {
        let collateral = lab.changed(Tee::Sgx, |c| {
            c.levels[0].status = platform.to_owned();
            c.levels[0].advisories = vec!["INTEL-SA-2".to_owned(), "INTEL-SA-1".to_owned()];
            c.qe_identity.levels = vec![SvnLevel { advisories: vec!["INTEL-SA-1".to_owned()], ..SvnLevel::new(8, qe) }];
        });
        let genuine = sgx_shown(&lab, &collateral).expect("shown");
        let tcb = genuine.tcb().expect("a verdict");
        assert_eq!((tcb.status.as_str(), tcb.qe_status.as_str()), (merged, qe), "{platform}");
        assert_eq!(tcb.advisories, ["INTEL-SA-1", "INTEL-SA-2"], "every level that counted, sorted, once");
    }
    let revoked = lab.collateral(Tee::Sgx, Some(CollateralFault::QeRevoked));
    assert_eq!(code(sgx_shown(&lab, &revoked)), "tcb-rejected");
}

#[test]
fn sgx_18_the_highest_evaluation_number_in_force_counts_and_is_told() {
    let lab = Lab::new();
    let quote = lab.intel.sgx_quote(&SgxQuote::new([7; 64]));
    let numbered = |number: u32, status: &str| {
        lab.changed(Tee::Sgx, |c| {
            c.evaluation_number = number;
            c.levels.iter_mut().for_each(|l| l.status = status.to_owned());
        })
    };
    let judge = |files: &[&str]| {
        let mut held = Endorsements::default();
        for file in files {
            held.add_file(file.as_bytes()).expect("collateral");
        }
        let now = UnixTime::from_secs(NOW);
        dcap::judge_with(&lab.verifier, EvidenceKind::Sgx, &quote, &held, &Options::show_all(), now).expect("shown")
    };
    let (older, newer) = (numbered(17, "UpToDate"), numbered(19, "OutOfDate"));
    for files in [[&*older, &*newer], [&*newer, &*older]] {
        let genuine = judge(&files);
        let tcb = genuine.tcb().expect("a verdict");
        assert_eq!((tcb.evaluation_number, tcb.status), (19, TcbStatus::OutOfDate));
        let fmspc = lab.intel.platform.fmspc;
        let used = genuine.used().iter().find(|u| u.id == CollateralId::IntelTcbInfo { tee: IntelTee::Sgx, fmspc });
        assert_eq!(used.expect("told").version, 19);
        assert_eq!(genuine.used().len(), 4);
        assert!(genuine.used().iter().all(|u| u.not_after >= genuine.not_after()));
    }
    // One that is signed and says something unknown is final: no older one is looked for.
    let unknown = numbered(20, "ProbablyFine");
    let mut held = dcap::held(older.as_bytes());
    held.extend(&dcap::held(unknown.as_bytes()));
    let now = UnixTime::from_secs(NOW);
    let verdict = dcap::judge_with(&lab.verifier, EvidenceKind::Sgx, &quote, &held, &Options::show_all(), now);
    assert_eq!(code(verdict), "tcb-rejected");
    // A document that nobody signed makes room for the next one.
    let mut forged = lab.intel.describe(Tee::Sgx);
    forged.evaluation_number = 99;
    forged.fault = Some(CollateralFault::TcbInfoForeignSigner);
    let genuine = judge(&[&lab.intel.collateral(&forged), &older, &newer]);
    assert_eq!(genuine.tcb().expect("a verdict").evaluation_number, 19);
}

#[test]
fn x509_11_of_two_lists_the_newer_counts() {
    let lab = Lab::new();
    let quote = lab.intel.sgx_quote(&SgxQuote::new([7; 64]));
    let serial = lab.intel.pck_serial();
    let list = |number: u64, revoked: bool| {
        lab.changed(Tee::Sgx, |c| {
            c.crl_number = number;
            if revoked {
                c.revoked_by_ca.push(serial.clone());
            }
        })
    };
    for (revoked, clear, expected) in [(8, 7, "revoked"), (7, 8, "accepted")] {
        let mut held = Endorsements::default();
        for file in [list(revoked, true), list(clear, false)] {
            held.add_file(file.as_bytes()).expect("collateral");
        }
        let now = UnixTime::from_secs(NOW);
        let verdict = dcap::judge_with(&lab.verifier, EvidenceKind::Sgx, &quote, &held, &Options::strict(), now);
        assert_eq!(code(verdict), expected);
    }
}

fn td(lab: &Lab, wanted: &TdxQuote, collateral: &str) -> Result<Genuine, String> {
    lab.judge_with(EvidenceKind::Tdx, &lab.intel.tdx_quote(wanted), collateral, &Options::show_all())
}

#[test]
fn tdx_04_module_version_zero_is_judged_by_the_platforms_levels() {
    let lab = Lab::new();
    let sound = lab.collateral(Tee::Tdx, None);
    let svn = |minor: u8, major: u8| {
        let mut wanted = TdxQuote::new([7; 64]);
        wanted.tee_tcb_svn[0] = minor;
        wanted.tee_tcb_svn[1] = major;
        wanted
    };
    // Version 1: the first two components do not count, the module's own levels do.
    let genuine = td(&lab, &svn(4, 1), &sound).expect("shown");
    let tcb = genuine.tcb().expect("a verdict");
    assert_eq!((tcb.status, tcb.module_status), (TcbStatus::OutOfDate, Some(TcbStatus::OutOfDate)));
    // Version 0: they count, and there is no verdict on the module.
    for (minor, expected) in [(5, TcbStatus::UpToDate), (4, TcbStatus::OutOfDate)] {
        let genuine = td(&lab, &svn(minor, 0), &sound).expect("shown");
        let tcb = genuine.tcb().expect("a verdict");
        assert_eq!((tcb.status, tcb.module_status), (expected, None), "{minor}");
    }
    assert_eq!(code(td(&lab, &svn(1, 0), &sound)), "tcb-rejected");
    assert_eq!(code(td(&lab, &svn(6, 2), &sound)), "collateral-unavailable", "no identity of version 2");
}

#[test]
fn tdx_06_the_second_svn_changes_the_status() {
    let lab = Lab::new();
    let sound = lab.collateral(Tee::Tdx, None);
    let configured = lab.changed(Tee::Tdx, |c| c.levels[0].status = "ConfigurationNeeded".to_owned());
    let verdict = |launched: u8, current: u8, collateral: &str| {
        let mut wanted = TdxQuote { version: TdxVersion::V5Td15, ..TdxQuote::new([7; 64]) };
        wanted.tee_tcb_svn[0] = launched;
        wanted.tee_tcb_svn2[0] = current;
        td(&lab, &wanted, collateral).map(|genuine| status(&genuine))
    };
    assert_eq!(verdict(6, 6, &sound), Ok(TcbStatus::UpToDate));
    assert_eq!(verdict(3, 6, &sound), Ok(TcbStatus::TDRelaunchAdvised));
    assert_eq!(verdict(3, 6, &configured), Ok(TcbStatus::TDRelaunchAdvisedConfigurationNeeded));
    assert_eq!(verdict(3, 3, &sound), Ok(TcbStatus::OutOfDate));
    assert_eq!(verdict(6, 3, &sound), Ok(TcbStatus::OutOfDate), "the module in force is older than the launch's");
    assert_eq!(verdict(6, 0, &sound), Err("tcb-rejected".to_owned()), "it must reach a level as well");
    // A TD 1.0 body has no second version: the launch decides.
    let mut wanted = TdxQuote { version: TdxVersion::V5Td10, ..TdxQuote::new([7; 64]) };
    wanted.tee_tcb_svn[0] = 3;
    assert_eq!(td(&lab, &wanted, &sound).map(|g| status(&g)), Ok(TcbStatus::OutOfDate));
}

#[test]
fn tdx_06_advisories_of_an_older_module_in_force_count() {
    let lab = Lab::new();
    let collateral = lab.changed(Tee::Tdx, |c| {
        let module = c.tdx_modules.iter_mut().find(|module| module.id == "TDX_01").expect("described");
        let advised = SvnLevel { advisories: vec!["INTEL-SA-1".to_owned()], ..SvnLevel::new(3, "OutOfDate") };
        module.levels = vec![SvnLevel::new(5, "UpToDate"), advised];
        c.levels[1].date = "2024-03-13T00:00:00Z".to_owned();
        c.levels[1].advisories = vec!["INTEL-SA-2".to_owned()];
    });
    // Component 0 is judged by the module's levels, component 2 by the platform's.
    let verdict = |launched: [u8; 2], current: [u8; 2]| {
        let mut wanted = TdxQuote { version: TdxVersion::V5Td15, ..TdxQuote::new([7; 64]) };
        [wanted.tee_tcb_svn[0], wanted.tee_tcb_svn[2]] = launched;
        [wanted.tee_tcb_svn2[0], wanted.tee_tcb_svn2[2]] = current;
        let tcb = td(&lab, &wanted, &collateral).expect("shown").tcb().expect("a verdict").clone();
        (tcb.status, tcb.advisories.join(" "), tcb.date.chars().take(4).collect::<String>())
    };
    let expect = |status, advisories: &str, year: &str| (status, advisories.to_owned(), year.to_owned());
    assert_eq!(verdict([6, 5], [6, 5]), expect(TcbStatus::UpToDate, "", "2026"));
    assert_eq!(verdict([6, 5], [3, 5]), expect(TcbStatus::OutOfDate, "INTEL-SA-1", "2026"));
    assert_eq!(verdict([6, 5], [6, 1]), expect(TcbStatus::OutOfDate, "INTEL-SA-2", "2024"));
    assert_eq!(verdict([6, 5], [3, 1]), expect(TcbStatus::OutOfDate, "INTEL-SA-1 INTEL-SA-2", "2024"));
    assert_eq!(verdict([3, 5], [6, 5]), expect(TcbStatus::TDRelaunchAdvised, "INTEL-SA-1", "2026"));
}

#[test]
fn version_2_of_tcb_info_is_read_for_sgx() {
    let lab = Lab::new();
    let collateral = lab.changed(Tee::Sgx, |c| c.tcb_info_version = 2);
    assert_eq!(
        code(lab.judge(EvidenceKind::Sgx, &lab.intel.sgx_quote(&SgxQuote::new([7; 64])), &collateral)),
        "accepted"
    );
    let older = lab.changed(Tee::Sgx, |c| {
        c.tcb_info_version = 2;
        c.levels[0].components[1] += 1;
    });
    assert_eq!(status(&sgx_shown(&lab, &older).expect("shown")), TcbStatus::OutOfDate);
}
