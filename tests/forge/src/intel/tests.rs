//! The forged quotes and collateral, checked with the `dcap-qvl` crate over OpenSSL.
//! Intel DCAP ECDSA quote library reference, appendix A; Intel PCS API version 4.

use super::*;
use crate::x509::CertFault;
use dcap_qvl::QuoteCollateralV3;
use dcap_qvl::config::{Config, CryptoProvider};
use dcap_qvl::verify::{QuoteVerifier, VerifiedReport};
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};

const NOW: i64 = 1_790_000_000;

#[derive(Debug)]
struct P256;

impl SignatureVerificationAlgorithm for P256 {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        use openssl::ec::{EcGroup, EcKey, EcPoint};
        let group = EcGroup::from_curve_name(openssl::nid::Nid::X9_62_PRIME256V1).unwrap();
        let mut context = openssl::bn::BigNumContext::new().unwrap();
        let point = EcPoint::from_bytes(&group, key, &mut context).map_err(|_| InvalidSignature)?;
        let key = EcKey::from_public_key(&group, &point).map_err(|_| InvalidSignature)?;
        let signature = openssl::ecdsa::EcdsaSig::from_der(signature).map_err(|_| InvalidSignature)?;
        match signature.verify(&keys::sha256(message), &key) {
            Ok(true) => Ok(()),
            _ => Err(InvalidSignature),
        }
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P256
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_SHA256
    }
}

struct OpenSsl;

impl CryptoProvider for OpenSsl {
    fn sig_algo() -> &'static dyn SignatureVerificationAlgorithm {
        &P256
    }

    fn sha256(data: &[u8]) -> [u8; 32] {
        keys::sha256(data)
    }

    fn sha384(data: &[u8]) -> [u8; 48] {
        keys::sha384(data)
    }
}

impl Config for OpenSsl {
    type X509 = dcap_qvl::x509::X509CertBackend;
    type SigEncoder = dcap_qvl::signature::DerSigEncoder;
    type Crypto = Self;
}

fn verify(intel: &Intel, quote: &[u8], collateral: &str) -> anyhow::Result<VerifiedReport> {
    let collateral: QuoteCollateralV3 = serde_json::from_str(collateral)?;
    QuoteVerifier::<OpenSsl>::new_with_config(intel.root_der()).verify(quote, &collateral, NOW as u64)
}

#[test]
fn sgx_quotes_are_up_to_date() {
    let intel = Intel::new(NOW);
    let collateral = intel.collateral(&intel.describe(Tee::Sgx));
    let quote = intel.sgx_quote(&SgxQuote::new([7; 64]));
    let report = verify(&intel, &quote, &collateral).unwrap();
    assert_eq!(report.status, "UpToDate");
    let body = report.report.as_sgx().unwrap();
    assert_eq!(body.report_data, [7; 64]);
    assert_eq!(body.mr_enclave, [0xe1; 32]);
    assert_eq!(body.mr_signer, [0x51; 32]);
    assert_eq!((body.isv_prod_id, body.isv_svn), (1, 2));
}

#[test]
fn sgx_quotes_of_later_versions_parse() {
    let intel = Intel::new(NOW);
    for version in [SgxVersion::V4, SgxVersion::V5] {
        let quote = intel.sgx_quote(&SgxQuote { version, ..SgxQuote::new([7; 64]) });
        let parsed = dcap_qvl::quote::Quote::parse(&quote).unwrap();
        assert_eq!(parsed.report.as_sgx().unwrap().report_data, [7; 64]);
        assert_eq!(parsed.inner_cert_type(), 5);
    }
}

#[test]
fn tcb_info_of_version_two_has_its_own_shape() {
    let intel = Intel::new(NOW);
    let text = intel.collateral(&Collateral { tcb_info_version: 2, ..intel.describe(Tee::Sgx) });
    let text: serde_json::Value = serde_json::from_str(&text).unwrap();
    let info: serde_json::Value = serde_json::from_str(text["tcb_info"].as_str().unwrap()).unwrap();
    assert_eq!(info.get("id"), None);
    assert_eq!(info["version"], 2);
    assert_eq!(info["tcbLevels"][0]["tcb"]["sgxtcbcomp05svn"], 255);
    assert_eq!(info["tcbLevels"][0]["tcb"]["pcesvn"], 13);
}

#[test]
fn tdx_quotes_of_every_version_are_up_to_date() {
    let intel = Intel::new(NOW);
    let collateral = intel.collateral(&intel.describe(Tee::Tdx));
    for version in TdxVersion::ALL {
        let quote = intel.tdx_quote(&TdxQuote { version, ..TdxQuote::new([7; 64]) });
        let report = verify(&intel, &quote, &collateral).unwrap();
        assert_eq!(report.status, "UpToDate", "{version:?}");
        let body = report.report.as_td10().unwrap();
        assert_eq!(body.report_data, [7; 64]);
        assert_eq!(body.mr_td, [0x7d; 48]);
        assert_eq!(body.rt_mr2, [0x12; 48]);
    }
}

#[test]
fn both_authorities_and_high_s_are_accepted() {
    for ca in [PckCa::Processor, PckCa::Platform] {
        let platform = Platform { ca, ..Platform::default() };
        let intel = Intel::with_platform(NOW, platform);
        let collateral = intel.collateral(&intel.describe(Tee::Sgx));
        let quote = intel.sgx_quote(&SgxQuote { high_s: true, ..SgxQuote::new([7; 64]) });
        assert_eq!(verify(&intel, &quote, &collateral).unwrap().status, "UpToDate");
    }
}

#[test]
fn open_enclave_header_is_sixteen_bytes() {
    let intel = Intel::new(NOW);
    let quote = intel.sgx_quote(&SgxQuote { with_oe_header: true, ..SgxQuote::new([7; 64]) });
    assert_eq!(quote[..8], [1, 0, 0, 0, 2, 0, 0, 0]);
    let length = u64::from_le_bytes(quote[8..16].try_into().unwrap()) as usize;
    let collateral = intel.collateral(&intel.describe(Tee::Sgx));
    assert_eq!(length, quote.len() - 16);
    assert!(verify(&intel, &quote[16..], &collateral).is_ok());
}

/// What the other reader says, in one line.
fn told(verdict: &anyhow::Result<VerifiedReport>) -> String {
    match verdict {
        Ok(report) => report.status.clone(),
        Err(error) => format!("{error}: {}", error.root_cause()),
    }
}

/// Faults that the other reader lets pass although the catalogue refuses them.
fn tolerated(fault: SgxFault) -> bool {
    use SgxFault as F;
    let surroundings =
        matches!(fault, F::Trailing | F::TooManyZeros | F::PemNul | F::PemLabel | F::PemText | F::SameNameAuthorities);
    // it reads the CPUSVN instead of the components, and the first FMSPC
    let pck = matches!(
        fault,
        F::PckEmptyKeyId
            | F::PckMissingComponent
            | F::PckDuplicateComponent
            | F::PckLargeComponent
            | F::PckNegativeComponent
            | F::PckPaddedComponent
            | F::PckFmspcTwice
    );
    surroundings || pck || matches!(fault, F::BoundTailSet | F::NotInitialised)
}

/// Faults of collateral that the other reader lets pass.
fn tolerated_collateral(fault: CollateralFault) -> bool {
    use CollateralFault as F;
    matches!(fault, F::OtherPceId | F::TcbInfoVersionFour | F::CrlsIssuedAhead)
}

#[test]
fn faulty_sgx_quotes_are_not_up_to_date() {
    let intel = Intel::new(NOW);
    let collateral = intel.collateral(&intel.describe(Tee::Sgx));
    let mut surprises = Vec::new();
    for fault in SgxFault::ALL {
        let quote = intel.sgx_quote(&SgxQuote { fault: Some(*fault), ..SgxQuote::new([7; 64]) });
        let verdict = verify(&intel, &quote, &collateral);
        eprintln!("{fault:?} {:?}", told(&verdict));
        if verdict.is_ok_and(|r| r.status == "UpToDate") && !tolerated(*fault) {
            surprises.push(*fault);
        }
    }
    assert_eq!(surprises, []);
}

#[test]
fn faulty_tdx_quotes_are_not_up_to_date() {
    let intel = Intel::new(NOW);
    let collateral = intel.collateral(&intel.describe(Tee::Tdx));
    let mut surprises = Vec::new();
    for version in TdxVersion::ALL {
        let quote =
            |fault, sgx_fault| intel.tdx_quote(&TdxQuote { version, fault, sgx_fault, ..TdxQuote::new([7; 64]) });
        for fault in TdxFault::ALL.iter().filter(|f| f.applies_to(version)) {
            let verdict = verify(&intel, &quote(Some(*fault), None), &collateral);
            eprintln!("{version:?} {fault:?} {:?}", told(&verdict));
            // the other reader skips the outer type, and minds the second version only where the first is old
            let tolerated = matches!(fault, TdxFault::SecondSvnLower | TdxFault::OuterTypeFive);
            if verdict.is_ok_and(|r| r.status == "UpToDate") && !tolerated {
                surprises.push(format!("{version:?} {fault:?}"));
            }
        }
        for fault in SgxFault::ALL.iter().filter(|f| f.on_tdx()) {
            let verdict = verify(&intel, &quote(None, Some(*fault)), &collateral);
            if verdict.is_ok_and(|r| r.status == "UpToDate") && !tolerated(*fault) {
                surprises.push(format!("{version:?} {fault:?}"));
            }
        }
    }
    assert!(surprises.is_empty(), "{surprises:?}");
}

#[test]
fn faulty_collateral_is_not_up_to_date() {
    let intel = Intel::new(NOW);
    let mut surprises = Vec::new();
    for tee in [Tee::Sgx, Tee::Tdx] {
        let quote = match tee {
            Tee::Sgx => intel.sgx_quote(&SgxQuote::new([7; 64])),
            Tee::Tdx => intel.tdx_quote(&TdxQuote::new([7; 64])),
        };
        for fault in CollateralFault::ALL.iter().filter(|f| f.applies_to(tee)) {
            let collateral = intel.collateral(&Collateral { fault: Some(*fault), ..intel.describe(tee) });
            let verdict = verify(&intel, &quote, &collateral);
            eprintln!("{tee:?} {fault:?} {:?}", told(&verdict));
            if verdict.is_ok_and(|r| r.status == "UpToDate") && !tolerated_collateral(*fault) {
                surprises.push(format!("{tee:?} {fault:?}"));
            }
        }
    }
    assert!(surprises.is_empty(), "{surprises:?}");
}

#[test]
fn faulty_authorities_are_refused() {
    let intel = Intel::new(NOW);
    let collateral = intel.collateral(&intel.describe(Tee::Sgx));
    let mut surprises = Vec::new();
    for fault in CertFault::ALL {
        let quote = intel.sgx_quote(&SgxQuote { authority_fault: Some(*fault), ..SgxQuote::new([7; 64]) });
        let verdict = verify(&intel, &quote, &collateral);
        eprintln!("{fault:?} {:?}", told(&verdict));
        let tolerated = matches!(fault, CertFault::NegativeSerial | CertFault::EmptyAuthorityKeyId);
        if verdict.is_ok_and(|r| r.status == "UpToDate") && !tolerated {
            surprises.push(*fault);
        }
    }
    assert_eq!(surprises, []);
}
