//! AMD's revocation list: looked at where one is held, demanded where the options say so.
//!
//! Bad inputs, section 9; threat model P10.

use keygate_forge::amd::{Amd, GUID_CRL, GUID_VCEK, Product, SigningKey, SnpEvidence, SnpReport, certificate_table};
use keygate_forge::keys;
use keygate_forge::x509::Crl;
use keygate_verifier::{Options, Outcome, UnixTime, VerifyError};

use crate::{NOW, chain, code, forge_verifier, judge, verified};

const DAY: i64 = 86_400;

fn demanding() -> Options {
    Options { require_amd_crl: true, ..Options::strict() }
}

/// Judges with these lists held.
fn with(amd: &Amd, evidence: &SnpEvidence, lists: &[Vec<u8>], options: &Options) -> Result<Outcome, VerifyError> {
    let mut held = chain(evidence);
    for list in lists {
        held.add_crl(list);
    }
    judge(&forge_verifier(amd), &evidence.report, &held, options, UnixTime::from_secs(NOW))
}

fn milan() -> (Amd, SnpEvidence) {
    let amd = Amd::new(Product::Milan, NOW);
    let evidence = amd.evidence(&SnpReport::new([7; 64]));
    (amd, evidence)
}

#[test]
fn without_a_list_the_claim_says_so_or_the_list_is_wished_for() {
    let (amd, evidence) = milan();
    let shown = verified(with(&amd, &evidence, &[], &Options::strict()));
    assert_eq!(shown.claims()["keygate"]["revocation"], "not-checked");
    assert!(shown.used().is_empty());
    let wanted = with(&amd, &evidence, &[], &demanding());
    let Ok(Outcome::Wants(wishes)) = wanted else { panic!("{wanted:?}") };
    assert_eq!(wishes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["amd-milan-vcek-crl"]);
}

#[test]
fn a_list_in_force_is_used_and_bounds_the_verdict() {
    let (amd, evidence) = milan();
    let list = amd.sign_crl(&amd.crl().numbered(41));
    for options in [Options::strict(), demanding()] {
        let genuine = verified(with(&amd, &evidence, std::slice::from_ref(&list), &options));
        assert_eq!(genuine.claims()["keygate"]["revocation"], "checked");
        let [used] = genuine.used() else { panic!("{:?}", genuine.used()) };
        assert_eq!(used.id.to_string(), "amd-milan-vcek-crl");
        assert_eq!(used.digest, keys::sha256(&list));
        assert_eq!(genuine.not_after(), UnixTime::from_secs(NOW + 90 * DAY));
    }
}

#[test]
fn x509_11_lists_with_and_without_a_number_have_one_scale() {
    let (amd, evidence) = milan();
    let version = |list: &Crl| {
        let genuine = verified(with(&amd, &evidence, &[amd.sign_crl(list)], &demanding()));
        genuine.used().first().expect("a list was used").version
    };
    let mut unnumbered = amd.crl().dated(NOW - DAY, NOW + DAY);
    unnumbered.extensions.remove(0);
    assert_eq!(version(&unnumbered), (NOW - DAY) as u64);
    assert_eq!(version(&amd.crl().numbered(5).dated(NOW - 1, NOW + DAY)), (NOW - 1) as u64);
    assert_eq!(version(&amd.crl().numbered(u64::MAX).dated(NOW - 2, NOW + DAY)), (NOW - 2) as u64);
}

#[test]
fn a_revoked_authority_is_refused_under_either_key() {
    for (signing_key, other) in [(SigningKey::Vcek, SigningKey::Vlek), (SigningKey::Vlek, SigningKey::Vcek)] {
        let amd = Amd::new(Product::Genoa, NOW);
        let evidence = amd.evidence(&SnpReport { signing_key, ..SnpReport::new([7; 64]) });
        let serial = |key| if key == SigningKey::Vcek { amd.ask_serial() } else { amd.asvk_serial() };
        let list = |key| amd.sign_crl(&amd.crl().revoking(&serial(key)));
        assert_eq!(code(with(&amd, &evidence, &[list(signing_key)], &Options::strict())), "revoked");
        assert_eq!(code(with(&amd, &evidence, &[list(other)], &demanding())), "verified");
    }
}

#[test]
fn an_older_list_does_not_hide_what_a_newer_one_says() {
    let (amd, evidence) = milan();
    let old = amd.sign_crl(&amd.crl().numbered(1).dated(NOW - 9 * DAY, NOW + 9 * DAY));
    let new = amd.sign_crl(&amd.crl().numbered(2).revoking(&amd.ask_serial()));
    for lists in [[old.clone(), new.clone()], [new, old]] {
        assert_eq!(code(with(&amd, &evidence, &lists, &Options::strict())), "revoked");
    }
}

#[test]
fn a_list_out_of_force_is_as_good_as_none() {
    let (amd, evidence) = milan();
    for (from, until) in [(NOW - 9 * DAY, NOW - 1), (NOW + 1, NOW + DAY)] {
        let list = amd.sign_crl(&amd.crl().dated(from, until));
        assert_eq!(code(with(&amd, &evidence, std::slice::from_ref(&list), &demanding())), "wants");
        assert_eq!(code(with(&amd, &evidence, &[list], &Options::strict())), "collateral-unavailable");
    }
    let last_second = amd.sign_crl(&amd.crl().dated(NOW - DAY, NOW));
    assert_eq!(code(with(&amd, &evidence, &[last_second], &demanding())), "verified");
}

#[test]
fn x509_09_lists_with_an_unknown_critical_extension_are_not_used() {
    let (amd, evidence) = milan();
    for list in [amd.crl().delta(1), amd.crl().with_distribution_point(&[])] {
        let list = amd.sign_crl(&list);
        assert_eq!(code(with(&amd, &evidence, &[list], &demanding())), "collateral-unavailable");
    }
}

#[test]
fn x509_10_a_list_of_another_issuer_with_the_same_name() {
    let (amd, evidence) = milan();
    // Signed by a key that is not the root's, under the root's name.
    let key = openssl::pkey::PKey::from_rsa(openssl::rsa::Rsa::generate(2048).unwrap()).unwrap();
    let foreign = amd.crl().sign(&key);
    assert_eq!(code(with(&amd, &evidence, std::slice::from_ref(&foreign), &Options::strict())), "chain-untrusted");
    // Beside a good one it changes nothing.
    let good = amd.sign_crl(&amd.crl());
    assert_eq!(code(with(&amd, &evidence, &[foreign, good], &demanding())), "verified");
}

#[test]
fn snp_14_a_list_in_the_hosts_table_is_never_a_reason_to_refuse() {
    let (amd, evidence) = milan();
    let ended = amd.sign_crl(&amd.crl().dated(NOW - 9 * DAY, NOW - 1));
    let key = openssl::pkey::PKey::from_rsa(openssl::rsa::Rsa::generate(2048).unwrap()).unwrap();
    let foreign = amd.crl().sign(&key);
    let judged = |list: &[u8], options: &Options| {
        let table = certificate_table(&[(GUID_VCEK, &evidence.vek), (GUID_CRL, list)], None);
        let report = [evidence.report.as_slice(), &table].concat();
        judge(&forge_verifier(&amd), &report, &chain(&evidence), options, UnixTime::from_secs(NOW))
    };
    for list in [&ended, &foreign, &b"0no list".to_vec()] {
        let shown = verified(judged(list, &Options::strict()));
        assert_eq!(shown.claims()["keygate"]["revocation"], "not-checked");
        assert_ne!(code(judged(list, &demanding())), "verified");
    }
    // The same list, held: its fault is told.
    assert_eq!(code(with(&amd, &evidence, &[ended], &Options::strict())), "collateral-unavailable");
    // One that holds is believed, also where it hurts.
    let sound = amd.sign_crl(&amd.crl());
    assert_eq!(verified(judged(&sound, &demanding())).claims()["keygate"]["revocation"], "checked");
    let revoking = amd.sign_crl(&amd.crl().revoking(&amd.ask_serial()));
    assert_eq!(code(judged(&revoking, &Options::strict())), "revoked");
}

#[test]
fn bytes_that_are_no_list_are_nobodys_list() {
    let (amd, evidence) = milan();
    let broken = b"0no list".to_vec();
    let shown = verified(with(&amd, &evidence, std::slice::from_ref(&broken), &Options::strict()));
    assert_eq!(shown.claims()["keygate"]["revocation"], "not-checked");
    assert_eq!(code(with(&amd, &evidence, &[broken], &demanding())), "wants");
}

#[test]
fn a_list_of_another_product_does_not_count() {
    let (amd, evidence) = milan();
    let genoa = Amd::new(Product::Genoa, NOW);
    let list = genoa.sign_crl(&genoa.crl());
    assert_eq!(code(with(&amd, &evidence, std::slice::from_ref(&list), &demanding())), "wants");
    let shown = verified(with(&amd, &evidence, &[list], &Options::strict()));
    assert_eq!(shown.claims()["keygate"]["revocation"], "not-checked");
}
