//! `dcap-qvl`'s own verifier on OpenSSL: the oracle of the differential tests and the peer of the benches.

use std::sync::LazyLock;

use dcap_qvl::QuoteCollateralV3;
use dcap_qvl::config::{Config, CryptoProvider};
use dcap_qvl::verify::{QuoteVerifier, VerifiedReport};
use openssl::bn::BigNumContext;
use openssl::ec::{EcGroup, EcKey, EcPoint};
use openssl::ecdsa::EcdsaSig;
use openssl::nid::Nid;
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};

/// Made once, as ours is: neither side pays for it per check.
static GROUP: LazyLock<EcGroup> =
    LazyLock::new(|| EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("openssl has p-256"));

#[derive(Debug)]
struct P256;

impl P256 {
    fn check(key: &[u8], message: &[u8], signature: &[u8]) -> Result<bool, openssl::error::ErrorStack> {
        let point = EcPoint::from_bytes(&GROUP, key, &mut *BigNumContext::new()?)?;
        let key = EcKey::from_public_key(&GROUP, &point)?;
        EcdsaSig::from_der(signature)?.verify(&openssl::sha::sha256(message), &key)
    }
}

impl SignatureVerificationAlgorithm for P256 {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        match Self::check(key, message, signature) {
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

/// `dcap-qvl`'s configuration: its parsers, our OpenSSL.
pub struct OnOpenSsl;

impl CryptoProvider for OnOpenSsl {
    fn sig_algo() -> &'static dyn SignatureVerificationAlgorithm {
        &P256
    }
    fn sha256(data: &[u8]) -> [u8; 32] {
        openssl::sha::sha256(data)
    }
    fn sha384(data: &[u8]) -> [u8; 48] {
        openssl::sha::sha384(data)
    }
}

impl Config for OnOpenSsl {
    type X509 = dcap_qvl::x509::X509CertBackend;
    type SigEncoder = dcap_qvl::signature::DerSigEncoder;
    type Crypto = Self;
}

/// Its verifier under `root`, which accepts debug evidence and service TDs.
pub fn verifier(root: &[u8]) -> QuoteVerifier<OnOpenSsl> {
    QuoteVerifier::new_with_config(root.to_vec()).allow_debug(true).allow_service_td(true)
}

/// Its form of the nine-member collateral, where it can read it.
pub fn collateral(file: &[u8]) -> QuoteCollateralV3 {
    serde_json::from_slice(file).expect("nine members")
}

/// Its verdict, or its text.
pub fn judge(
    verifier: &QuoteVerifier<OnOpenSsl>,
    quote: &[u8],
    collateral: &QuoteCollateralV3,
    now: u64,
) -> Result<VerifiedReport, String> {
    verifier.verify(quote, collateral, now).map_err(|why| format!("{why:#}"))
}
