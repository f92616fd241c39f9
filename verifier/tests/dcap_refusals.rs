//! Every fault that the forge knows of quotes and collateral, each with the code the catalogue of bad inputs gives it; the sound
//! twin is accepted.
//!
//! Catalogue of bad inputs, sections 3, 4 and 9.

mod dcap;

use keygate_forge::intel::{
    CollateralFault, Intel, PckCa, Platform, SgxFault, SgxQuote, SgxVersion, TdxFault, TdxQuote, TdxVersion, Tee,
};
use keygate_verifier::{Anchors, Endorsements, EvidenceKind, Genuine, Options, UnixTime, Verifier};

const NOW: i64 = 1_790_000_000;

/// A hierarchy, a verifier that has its root as an anchor, and the collateral of both TEEs.
struct Lab {
    intel: Intel,
    verifier: Verifier,
}

impl Lab {
    fn new() -> Self {
        let intel = Intel::new(NOW);
        let mut anchors = Anchors::vendor().expect("vendor roots");
        for kind in [EvidenceKind::Sgx, EvidenceKind::Tdx] {
            anchors.add("lab", kind, &intel.root_der()).expect("an anchor");
        }
        Self { intel, verifier: Verifier::new(anchors) }
    }

    fn collateral(&self, tee: Tee, fault: Option<CollateralFault>) -> String {
        let mut wanted = self.intel.describe(tee);
        wanted.fault = fault;
        self.intel.collateral(&wanted)
    }

    fn judge(&self, kind: EvidenceKind, quote: &[u8], collateral: &str) -> Result<Genuine, String> {
        let mut held = Endorsements::default();
        held.add_file(collateral.as_bytes()).map_err(|why| why.code().to_owned())?;
        dcap::judge_with(&self.verifier, kind, quote, &held, &Options::strict(), UnixTime::from_secs(NOW))
    }

    fn sgx(&self, wanted: &SgxQuote) -> Result<Genuine, String> {
        self.judge(EvidenceKind::Sgx, &self.intel.sgx_quote(wanted), &self.collateral(Tee::Sgx, None))
    }

    fn tdx(&self, wanted: &TdxQuote) -> Result<Genuine, String> {
        self.judge(EvidenceKind::Tdx, &self.intel.tdx_quote(wanted), &self.collateral(Tee::Tdx, None))
    }
}

fn code(verdict: Result<Genuine, String>) -> String {
    verdict.err().unwrap_or_else(|| "accepted".to_owned())
}

#[test]
fn sound_quotes_of_every_format_are_accepted() {
    let lab = Lab::new();
    for with_oe_header in [false, true] {
        for padding in [0, 70, 4096] {
            let wanted = SgxQuote { with_oe_header, padding, ..SgxQuote::new([7; 64]) };
            assert_eq!(code(lab.sgx(&wanted)), "accepted", "{with_oe_header} {padding}");
        }
    }
    for (nul_terminated, root_second, high_s) in [(false, false, false), (true, true, false), (true, false, true)] {
        let wanted = SgxQuote { nul_terminated, root_second, high_s, ..SgxQuote::new([7; 64]) };
        assert_eq!(code(lab.sgx(&wanted)), "accepted", "{nul_terminated} {root_second} {high_s}");
    }
    for version in TdxVersion::ALL {
        for padding in [0, 70, 4096] {
            let wanted = TdxQuote { version, padding, ..TdxQuote::new([7; 64]) };
            assert_eq!(code(lab.tdx(&wanted)), "accepted", "{version:?} {padding}");
        }
    }
}

#[test]
fn every_fault_of_an_sgx_quote_is_refused_by_its_code() {
    let lab = Lab::new();
    for fault in SgxFault::ALL {
        for with_oe_header in [false, true] {
            let wanted = SgxQuote { with_oe_header, fault: Some(*fault), ..SgxQuote::new([7; 64]) };
            let found = code(lab.sgx(&wanted));
            assert!(fault.allows(&found), "{} {fault:?}: {found}", fault.row());
        }
    }
}

#[test]
fn sgx_04_an_enclave_in_version_4_or_5_is_unsupported() {
    let lab = Lab::new();
    for version in [SgxVersion::V4, SgxVersion::V5] {
        assert_eq!(code(lab.sgx(&SgxQuote { version, ..SgxQuote::new([7; 64]) })), "unsupported");
    }
}

#[test]
fn every_fault_of_a_tdx_quote_is_refused_by_its_code() {
    let lab = Lab::new();
    for version in TdxVersion::ALL {
        for fault in SgxFault::ALL.iter().filter(|f| f.on_tdx()) {
            let found = code(lab.tdx(&TdxQuote { version, sgx_fault: Some(*fault), ..TdxQuote::new([7; 64]) }));
            assert!(fault.allows(&found), "{} {fault:?} on {version:?}: {found}", fault.row());
        }
        for fault in TdxFault::ALL.iter().filter(|f| f.applies_to(version)) {
            let found = code(lab.tdx(&TdxQuote { version, fault: Some(*fault), ..TdxQuote::new([7; 64]) }));
            assert!(fault.allows(&found), "{} {fault:?} on {version:?}: {found}", fault.row());
        }
    }
}

#[test]
fn every_fault_of_collateral_is_refused_by_its_code() {
    let lab = Lab::new();
    let sgx = lab.intel.sgx_quote(&SgxQuote::new([7; 64]));
    let tdx = lab.intel.tdx_quote(&TdxQuote { version: TdxVersion::V5Td15, ..TdxQuote::new([7; 64]) });
    for (tee, kind, quote) in [(Tee::Sgx, EvidenceKind::Sgx, &sgx), (Tee::Tdx, EvidenceKind::Tdx, &tdx)] {
        assert_eq!(code(lab.judge(kind, quote, &lab.collateral(tee, None))), "accepted");
        for fault in CollateralFault::ALL.iter().filter(|f| f.applies_to(tee)) {
            let found = code(lab.judge(kind, quote, &lab.collateral(tee, Some(*fault))));
            // A document of the other TEE is no document for this quote: the right one is wished for, since a service
            // holds both and fetches what it lacks. Before version 3 every TCB info was one of SGX.
            let other = match fault {
                CollateralFault::QeIdentityOfOtherTee | CollateralFault::TcbInfoOfOtherTee => true,
                CollateralFault::TcbInfoVersionOne | CollateralFault::TcbInfoVersionTwo => tee == Tee::Tdx,
                _ => false,
            };
            let allowed = fault.allows(&found) || (other && found == "collateral-unavailable");
            assert!(allowed, "{} {fault:?} for {tee:?}: {found}", fault.row());
        }
    }
}

#[test]
fn both_pck_authorities_certify() {
    for ca in [PckCa::Processor, PckCa::Platform] {
        let intel = Intel::with_platform(NOW, Platform { ca, ..Platform::default() });
        let mut anchors = Anchors::none();
        anchors.add("lab", EvidenceKind::Sgx, &intel.root_der()).expect("an anchor");
        let lab = Lab { intel, verifier: Verifier::new(anchors) };
        let genuine = lab.sgx(&SgxQuote::new([7; 64])).expect("accepted");
        assert_eq!(genuine.anchor(), "lab");
    }
}
