//! How many signatures are checked and how much is parsed: exact, for a quote seen for the first time, for a new quoting enclave's
//! report on a known platform, and for everything known but the quote.
//!
//! Performance floor, section 8, *Counts*: 9 / 2 / 1, and none before layout and version hold.

mod dcap;

use dcap::lab::{Lab, NOW};
use keygate_forge::intel::{CollateralFault, SgxFault, SgxQuote, TdxFault, TdxQuote, TdxVersion, Tee};
use keygate_verifier::{Counts, Endorsements, EvidenceKind, Options, UnixTime};

struct Counted {
    lab: Lab,
    held: Endorsements,
    kind: EvidenceKind,
}

impl Counted {
    fn new(kind: EvidenceKind) -> Self {
        let lab = Lab::new();
        let tee = if kind == EvidenceKind::Sgx { Tee::Sgx } else { Tee::Tdx };
        let held = dcap::held(lab.collateral(tee, None).as_bytes());
        Self { lab, held, kind }
    }

    fn quote(&self, report_data: u8, qe_svn: u16) -> Vec<u8> {
        match self.kind {
            EvidenceKind::Sgx => self.lab.intel.sgx_quote(&SgxQuote { qe_svn, ..SgxQuote::new([report_data; 64]) }),
            _ => self.lab.intel.tdx_quote(&TdxQuote { qe_svn, ..TdxQuote::new([report_data; 64]) }),
        }
    }

    /// What one verification cost, and its code.
    fn cost(&self, quote: &[u8]) -> (Counts, String) {
        let before = self.lab.verifier.counts();
        let now = UnixTime::from_secs(NOW);
        let options = Options::strict();
        let verdict = dcap::judge_with(&self.lab.verifier, self.kind, quote, &self.held, &options, now);
        let after = self.lab.verifier.counts();
        let counts = Counts {
            signature_checks: after.signature_checks - before.signature_checks,
            certificates_parsed: after.certificates_parsed - before.certificates_parsed,
            documents_parsed: after.documents_parsed - before.documents_parsed,
        };
        (counts, dcap::lab::code(verdict))
    }
}

fn cold_warm_hot(kind: EvidenceKind) {
    let counted = Counted::new(kind);
    let svn = if kind == EvidenceKind::Sgx { 8 } else { 4 };
    let first = counted.quote(1, svn);
    let (cold, verdict) = counted.cost(&first);
    assert_eq!(verdict, "accepted");
    assert_eq!(cold.signature_checks, 9);
    assert_eq!(cold.certificates_parsed, 3, "leaf, its CA, the signer; the root in the quote is the anchor");
    assert_eq!(cold.documents_parsed, 5, "chain text, TCB info, QE identity, two lists");

    // The forge signs the quoting enclave's report anew for every quote.
    let (warm, verdict) = counted.cost(&counted.quote(2, svn));
    assert_eq!(verdict, "accepted");
    assert_eq!(warm, Counts { signature_checks: 2, certificates_parsed: 0, documents_parsed: 0 });

    let (hot, verdict) = counted.cost(&first);
    assert_eq!(verdict, "accepted");
    assert_eq!(hot, Counts { signature_checks: 1, certificates_parsed: 0, documents_parsed: 0 });
}

#[test]
fn sgx_costs_nine_two_and_one_checks() {
    cold_warm_hot(EvidenceKind::Sgx);
}

#[test]
fn tdx_costs_nine_two_and_one_checks() {
    cold_warm_hot(EvidenceKind::Tdx);
}

#[test]
fn nothing_is_checked_before_layout_and_version_hold() {
    let counted = Counted::new(EvidenceKind::Sgx);
    let rows = ["SGX-01", "SGX-02", "SGX-03", "SGX-04", "SGX-05", "SGX-06", "SGX-23", "SGX-33", "SGX-34"];
    for fault in SgxFault::ALL.iter().filter(|f| rows.contains(&f.row())) {
        let quote = counted.lab.intel.sgx_quote(&SgxQuote { fault: Some(*fault), ..SgxQuote::new([1; 64]) });
        let (counts, verdict) = counted.cost(&quote);
        assert_eq!(counts.signature_checks, 0, "{fault:?}: {verdict}");
    }
    let counted = Counted::new(EvidenceKind::Tdx);
    for version in TdxVersion::ALL {
        for fault in TdxFault::ALL.iter().filter(|f| f.row() == "SGX-04" && f.applies_to(version)) {
            let wanted = TdxQuote { version, fault: Some(*fault), ..TdxQuote::new([1; 64]) };
            let (counts, verdict) = counted.cost(&counted.lab.intel.tdx_quote(&wanted));
            assert_eq!(counts.signature_checks, 0, "{fault:?}: {verdict}");
        }
    }
}

#[test]
fn a_refusal_costs_no_more_than_acceptance() {
    for fault in SgxFault::ALL {
        let counted = Counted::new(EvidenceKind::Sgx);
        let quote = counted.lab.intel.sgx_quote(&SgxQuote { fault: Some(*fault), ..SgxQuote::new([1; 64]) });
        let (counts, verdict) = counted.cost(&quote);
        assert!(counts.signature_checks <= 9, "{fault:?}: {verdict} after {}", counts.signature_checks);
    }
}

#[test]
fn a_wish_costs_only_the_quotes_own_signatures() {
    let mut counted = Counted::new(EvidenceKind::Tdx);
    counted.held = Endorsements::default();
    let (counts, verdict) = counted.cost(&counted.quote(1, 4));
    assert_eq!(verdict, "collateral-unavailable");
    assert_eq!(counts.signature_checks, 4, "PCK certificate, its CA, QE report, quote");
}

#[test]
fn env_05_endorsements_of_strangers_are_not_kept() {
    let counted = Counted::new(EvidenceKind::Sgx);
    let quote = counted.quote(1, 8);
    assert_eq!(counted.cost(&quote).1, "accepted");
    let before = counted.lab.verifier.remembered_bytes();
    let now = UnixTime::from_secs(NOW);
    for round in 0..50_u32 {
        // Genuine in form, long, signed by nobody, another text each time; and a long list of the right name.
        let strange = counted.lab.changed(Tee::Sgx, |c| {
            c.evaluation_number = 1_000 + round;
            c.levels[0].advisories = (0..500).map(|n| format!("INTEL-SA-{n}")).collect();
            c.revoked_by_ca = (0..500).map(|n| vec![1, (n / 128) as u8, (n % 128) as u8]).collect();
            c.fault = Some(CollateralFault::TcbInfoForeignSigner);
        });
        let mut held = counted.held.clone();
        held.extend(&dcap::held(strange.as_bytes()));
        let options = Options::strict();
        dcap::judge_with(&counted.lab.verifier, EvidenceKind::Sgx, &quote, &held, &options, now).expect("accepted");
    }
    // A signer's certificate for each round is all that can be left, and there is a bound for those.
    let grown = counted.lab.verifier.remembered_bytes() - before;
    assert!(grown < 50 * 8_192, "{grown} bytes");
    // What the library holds was parsed once and still is.
    let (hot, verdict) = counted.cost(&quote);
    assert_eq!(verdict, "accepted");
    assert_eq!((hot.certificates_parsed, hot.documents_parsed), (0, 0));
}
