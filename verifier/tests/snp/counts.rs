//! How much work a verdict costs, counted exactly.
//!
//! Performance floor, section 8: cold four signature checks (three without AMD's list), warm one and no certificate parsed.

use keygate_forge::amd::{Amd, Product, SigningKey, SnpFault, SnpReport};
use keygate_verifier::{Options, UnixTime};

use crate::{NOW, chain, code, forge_verifier, judge, verified};

#[test]
fn cold_takes_three_or_four_checks_and_warm_one() {
    for product in Product::ALL {
        for signing_key in [SigningKey::Vcek, SigningKey::Vlek] {
            for with_list in [false, true] {
                let amd = Amd::new(product, NOW);
                let verifier = forge_verifier(&amd);
                let wanted = |round: u8| SnpReport { signing_key, ..SnpReport::new([round; 64]) };
                let mut held = chain(&amd.evidence(&wanted(0)));
                if with_list {
                    held.add_crl(&amd.sign_crl(&amd.crl()));
                }
                let (now, mut last) = (UnixTime::from_secs(NOW), verifier.counts());
                let name = format!("{product:?} {signing_key:?} {with_list}");
                for (round, checks) in (1..).zip([3 + u64::from(with_list), 1, 1]) {
                    let evidence = amd.evidence(&wanted(round));
                    verified(judge(&verifier, &evidence.report, &held, &Options::strict(), now));
                    let counts = verifier.counts();
                    assert_eq!(counts.signature_checks - last.signature_checks, checks, "{name} round {round}");
                    if round == 1 {
                        let parsed = counts.certificates_parsed - last.certificates_parsed;
                        assert_eq!(parsed, 3, "{name}: what is held, and no embedded authority beside it");
                    } else {
                        assert_eq!(counts.certificates_parsed, last.certificates_parsed, "{name} round {round}");
                        assert_eq!(counts.documents_parsed, last.documents_parsed, "{name} round {round}");
                    }
                    last = counts;
                }
            }
        }
    }
}

#[test]
fn what_is_refused_by_layout_or_fit_costs_no_signature_check() {
    let amd = Amd::new(Product::Milan, NOW);
    for fault in SnpFault::ALL {
        if fault.is_table() {
            continue;
        }
        let evidence = amd.evidence(&SnpReport { fault: Some(*fault), ..SnpReport::new([7; 64]) });
        let verifier = forge_verifier(&amd);
        let held = chain(&evidence);
        let refused = code(judge(&verifier, &evidence.report, &held, &Options::strict(), UnixTime::from_secs(NOW)));
        let checks = verifier.counts().signature_checks;
        match refused {
            "malformed" | "unsupported" => assert_eq!(checks, 0, "{fault:?}"),
            _ => assert!(checks <= 6, "{fault:?}: {checks}"),
        }
        if matches!(fault, SnpFault::OtherChip | SnpFault::VcekTcbLower | SnpFault::SigningKeyNone | SnpFault::LongR) {
            assert_eq!(checks, 0, "{fault:?}");
        }
    }
}
