//! The quoting enclave: is its report signed by the platform, does it vouch for the attestation key, is it the one that Intel
//! publishes.
//!
//! Intel SGX DCAP Quoting Library API, *Quote verification*; Provisioning Certification Service API, *Get QE Identity*.

use super::documents::QeContent;
use super::levels::{Verdict, reached};
use super::quote::Quote;
use crate::error::VerifyError;
use crate::formats::bytes::Reader;
use crate::memo::Memo;
use crate::signatures::{Algorithm, PublicKey};

const PART: &str = "qe-report";

/// Checks that the platform's key signed the QE report and that the report names the attestation key. The same report comes with
/// every quote of the enclave, so its signature is remembered.
///
/// # Errors
/// `signature-invalid`.
pub(super) fn check_report(quote: &Quote<'_>, pck: &PublicKey, memo: &Memo) -> Result<(), VerifyError> {
    if !memo.check_kept(Algorithm::P256Raw, pck, &quote.qe_report, &quote.qe_report_signature) {
        return Err(VerifyError::signature(PART, "the platform's key did not sign the quoting enclave's report"));
    }
    let vouched = openssl::sha::sha256(&[quote.attestation_key.as_slice(), &quote.qe_authentication].concat());
    let report_data = quote.qe_report.last_chunk::<64>().and_then(|d| d.split_first_chunk::<32>());
    match report_data {
        Some((digest, rest)) if *digest == vouched && rest.iter().all(|b| *b == 0) => Ok(()),
        _ => {
            Err(VerifyError::signature("attestation-key", "the quoting enclave does not vouch for the attestation key"))
        }
    }
}

/// Compares the QE report with the identity that Intel publishes and finds its TCB verdict.
///
/// # Errors
/// `chain-untrusted`: another enclave; `tcb-rejected`: its SVN reaches no level.
pub(super) fn check_identity<'a>(quote: &Quote<'_>, identity: &'a QeContent) -> Result<&'a Verdict, VerifyError> {
    let mut report = Reader::new(&quote.qe_report, PART);
    report.take(16, "cpusvn")?;
    let misc_select = report.array::<4>("miscselect")?;
    report.take(28, "reserved")?;
    let attributes = report.array::<16>("attributes")?;
    report.take(32 + 32, "mrenclave")?;
    let mr_signer = report.array::<32>("mrsigner")?;
    report.take(96, "reserved")?;
    let product = report.u16_le("isvprodid")?;
    let svn = report.u16_le("isvsvn")?;

    let other = |what: &'static str| Err(VerifyError::chain("qe-identity", what));
    if *mr_signer != identity.mr_signer {
        return other("the quoting enclave is signed by another key than Intel's");
    }
    if product != identity.product {
        return other("the quoting enclave is another product");
    }
    if !equal_under(misc_select, &identity.misc_select, &identity.misc_select_mask) {
        return other("the quoting enclave's miscselect is not the published one");
    }
    if !equal_under(attributes, &identity.attributes, &identity.attributes_mask) {
        return other("the quoting enclave's attributes are not the published ones");
    }
    reached(&identity.levels, svn)
        .ok_or_else(|| VerifyError::tcb("qe-level", format!("the quoting enclave's svn {svn} reaches no tcb level")))
}

/// Whether two fields of the same size agree where `mask` has a one.
pub(super) fn equal_under<const N: usize>(found: &[u8; N], wanted: &[u8; N], mask: &[u8; N]) -> bool {
    found.iter().zip(wanted).zip(mask).all(|((found, wanted), mask)| found & mask == wanted & mask)
}
