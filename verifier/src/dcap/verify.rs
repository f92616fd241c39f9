//! The order of checks of a quote: chain, quoting enclave, quote, collateral, revocation, levels.
//!
//! Intel SGX DCAP Quoting Library API and Intel TDX DCAP Quoting Library API, *Quote verification*. Every signature is checked over
//! the exact bytes received; nine of them when nothing is known yet, two when only the quoting enclave's report is new, one when
//! that was seen as well. Dates, lists and levels are looked at every time.

use std::sync::Arc;

use super::collateral::{Held, first_good};
use super::documents::{QeIdentity, Signer, TcbInfo};
use super::levels::{Verdict, after_relaunch_check};
use super::pck::PckChain;
use super::quote::{Body, Quote, TdReport};
use super::{INTEL_QE_VENDOR, quoting_enclave};
use crate::anchors::{Anchor, AnchorScope};
use crate::endorsements::{CollateralId, IntelTee, SignedDocument};
use crate::error::VerifyError;
use crate::formats::x509::{Certificate, ChainRules, Crl, VerifiedChain, check_crl, verify_chain};
use crate::kinds::EvidenceKind;
use crate::scheme::Given;
use crate::signatures::{Algorithm, PublicKey};
use crate::time::UnixTime;
use crate::verified::{Tcb, TcbStatus, UsedCollateral};

/// What vouches for a genuine quote.
pub(crate) struct Platform {
    /// The anchor's name.
    pub anchor: String,
    pub tcb: Tcb,
    pub ppid: Option<Vec<u8>>,
    pub fmspc: [u8; 6],
    pub used: Vec<UsedCollateral>,
    pub not_after: UnixTime,
    pub digests: Digests,
}

/// SHA-256 of the collateral that counted; the claim `x-ms-sgx-collateral` shows them.
pub(crate) struct Digests {
    pub tcb_info: [u8; 32],
    pub tcb_info_certificates: [u8; 32],
    pub qe_identity: [u8; 32],
    pub qe_identity_certificates: [u8; 32],
    pub root_crl: [u8; 32],
}

/// The collateral that is lacking for `quote`. A wish is only made for a quote whose own signatures hold: nobody can have
/// collateral fetched for a platform that Intel never certified.
///
/// # Errors
/// Any refusal that needs no collateral.
pub(crate) fn missing(quote: &Quote<'_>, given: &Given<'_>) -> Result<Vec<CollateralId>, VerifyError> {
    check_vendor(quote)?;
    let chain = pck_chain(quote, given)?;
    let missing = Held::find(given, quote.tee, &chain).missing(quote.tee, &chain);
    if !missing.is_empty() {
        verify_pck_chain(&chain, quote.tee, given)?;
        check_signatures(quote, &chain, given)?;
    }
    Ok(missing)
}

/// Judges the quote up to its binding.
///
/// # Errors
/// Any refusal; see the modules of the single steps.
pub(crate) fn appraise(quote: &Quote<'_>, given: &Given<'_>) -> Result<Platform, VerifyError> {
    check_vendor(quote)?;
    let pck = pck_chain(quote, given)?;
    let (chain, anchor) = verify_pck_chain(&pck, quote.tee, given)?;
    check_signatures(quote, &pck, given)?;

    let held = Held::find(given, quote.tee, &pck);
    let (tcb_info, tcb_document, tcb_signer) = first_good(&held.tcb_infos, "tcb-info", |(document, info)| {
        Ok((info, *document, check_document(document, "tcb-info", anchor, given)?))
    })?;
    let (qe_identity, qe_document, qe_signer) =
        first_good(&held.qe_identities, "qe-identity", |(document, identity)| {
            Ok((identity, *document, check_document(document, "qe-identity", anchor, given)?))
        })?;
    let check = |certificate: &Certificate, issuer: &Certificate, crl: &Crl, part| {
        check_crl(certificate, issuer, crl, part, given.now, given.memo)
    };
    let root = anchor.certificate();
    let root_crl = first_good(&held.root_crls, "root-crl", |crl| {
        check(&pck.issuer, root, crl, "root-crl")?;
        for signer in [&tcb_signer, &qe_signer] {
            check(&signer.leaf, root, crl, "root-crl")?;
        }
        Ok(crl)
    })?;
    let pck_crl =
        first_good(&held.pck_crls, "pck-crl", |crl| check(&pck.leaf, &pck.issuer, crl, "pck-crl").map(|()| crl))?;

    let tcb = judge(quote, &pck, tcb_info, qe_identity)?;
    let fmspc = pck.platform.fmspc;
    let used = vec![
        used_document(CollateralId::IntelTcbInfo { tee: quote.tee, fmspc }, tcb_document, &tcb_info.term),
        used_document(CollateralId::IntelQeIdentity { tee: quote.tee }, qe_document, &qe_identity.term),
        used_crl(CollateralId::IntelPckCrl { ca: pck.ca }, pck_crl),
        used_crl(CollateralId::IntelRootCrl, root_crl),
    ];
    let ends = used.iter().map(|u| u.not_after);
    let ends = ends.chain([chain.not_after, tcb_signer.leaf.not_after(), qe_signer.leaf.not_after()]);
    Ok(Platform {
        anchor: chain.anchor.clone(),
        tcb,
        ppid: pck.platform.ppid.clone(),
        fmspc,
        not_after: ends.min().unwrap_or(given.now),
        used,
        digests: Digests {
            tcb_info: tcb_document.digest(),
            tcb_info_certificates: tcb_signer.digest,
            qe_identity: qe_document.digest(),
            qe_identity_certificates: qe_signer.digest,
            root_crl: root_crl.digest(),
        },
    })
}

impl Platform {
    /// Names for deny lists.
    pub fn names(&self) -> Vec<String> {
        let ppid = self.ppid.as_ref().map(|ppid| format!("intel-ppid:{}", hex::encode(ppid)));
        ppid.into_iter().chain([format!("intel-fmspc:{}", hex::encode(self.fmspc))]).collect()
    }
}

fn check_vendor(quote: &Quote<'_>) -> Result<(), VerifyError> {
    if quote.vendor == INTEL_QE_VENDOR {
        return Ok(());
    }
    let vendor = hex::encode(quote.vendor);
    Err(VerifyError::chain("qe-vendor", format!("the quoting enclave's vendor `{vendor}` is not Intel")))
}

fn rules(part: &'static str, intermediates: usize, now: UnixTime) -> ChainRules {
    ChainRules { part, algorithms: &[Algorithm::P256Der], intermediates, now, leaf_extensions: &[] }
}

/// The quote's chain, read once for both questions that are asked of a quote.
fn pck_chain(quote: &Quote<'_>, given: &Given<'_>) -> Result<Arc<PckChain>, VerifyError> {
    if let Some(known) = quote.pck.get() {
        return Ok(Arc::clone(known));
    }
    let read = PckChain::read(&quote.chain, anchors(given, quote.tee), given.memo)?;
    Ok(Arc::clone(quote.pck.get_or_init(|| read)))
}

fn anchors<'a>(given: &Given<'a>, tee: IntelTee) -> impl Iterator<Item = &'a Anchor> + Clone {
    let kind = match tee {
        IntelTee::Sgx => EvidenceKind::Sgx,
        IntelTee::Tdx => EvidenceKind::Tdx,
    };
    given.anchors.of(AnchorScope::Intel(kind))
}

/// Leaf, PCK CA, anchor: nothing else. Answers with the anchor as well: the rest of the collateral must lead to the same one.
fn verify_pck_chain<'a>(
    pck: &PckChain,
    tee: IntelTee,
    given: &Given<'a>,
) -> Result<(VerifiedChain, &'a Anchor), VerifyError> {
    let rules = rules("pck-chain", 1, given.now);
    let chain = verify_chain(&pck.leaf, &pck.others, anchors(given, tee), &rules, given.memo)?;
    let [_, ca, root] = chain.links.as_slice() else {
        return Err(VerifyError::chain("pck-chain", "the PCK certificate is not issued by a PCK CA under a root"));
    };
    let anchor = anchors(given, tee).find(|a| a.digest() == root.digest());
    match anchor {
        Some(anchor) if ca.digest() == pck.issuer.digest() => Ok((chain, anchor)),
        _ => Err(VerifyError::chain("pck-chain", "several certificates of the quote have the name of its PCK CA")),
    }
}

/// From the PCK down: the quoting enclave's report, the attestation key in it, the quote.
fn check_signatures(quote: &Quote<'_>, pck: &PckChain, given: &Given<'_>) -> Result<(), VerifyError> {
    quoting_enclave::check_report(quote, pck.leaf.key(), given.memo)?;
    let point = [&[4], quote.attestation_key.as_slice()].concat();
    let key = PublicKey::from_point(&point)
        .ok_or_else(|| VerifyError::signature("attestation-key", "the attestation key is not on p-256"))?;
    if given.check_report(Algorithm::P256Raw, &key, &quote.signed, &quote.signature) {
        return Ok(());
    }
    Err(VerifyError::signature("quote", "the attestation key did not sign the quote"))
}

/// Checks who signed a document and that they did; the signer is issued by the anchor itself.
fn check_document(
    document: &SignedDocument,
    part: &'static str,
    anchor: &Anchor,
    given: &Given<'_>,
) -> Result<Arc<Signer>, VerifyError> {
    let signer = document.signer(given.memo)?;
    let rules = rules("tcb-signing", 0, given.now);
    verify_chain(&signer.leaf, &[], std::iter::once(anchor), &rules, given.memo)?;
    if signer.leaf.is_ca() || signer.leaf.common_name().as_deref() != Some("Intel SGX TCB Signing") {
        return Err(VerifyError::chain("tcb-signing", "the signer is not the TCB signing certificate"));
    }
    let key = signer.leaf.key();
    if given.memo.check_sealed(Algorithm::P256Raw, key, &document.seal, &document.text, &document.signature) {
        return Ok(signer);
    }
    Err(VerifyError::signature(part, "the signature on the document is wrong"))
}

/// The TCB verdict: platform, module, quoting enclave, and for a TD 1.5 the module in force now.
fn judge(quote: &Quote<'_>, pck: &PckChain, info: &TcbInfo, identity: &QeIdentity) -> Result<Tcb, VerifyError> {
    let qe = quoting_enclave::check_identity(quote, identity.content.as_ref().map_err(Clone::clone)?)?;
    let content = info.content.as_ref().map_err(Clone::clone)?;
    let (components, pce_svn) = (&pck.platform.components, pck.platform.pce_svn);
    let (verdict, module_status) = match &quote.body {
        Body::Enclave(_) => (content.platform(components, pce_svn, None)?.with_part(qe), None),
        Body::Td(report) => {
            let launch = TdVerdict::find(content, pck, &report.base.tee_tcb_svn)?;
            check_module(report, launch.module)?;
            let mut verdict = launch.verdict.with_part(qe);
            if let Some((current_svn, _)) = &report.newer {
                let current = TdVerdict::find(content, pck, current_svn)?.verdict.with_part(qe);
                verdict.status = after_relaunch_check(verdict.status, current.status);
                verdict.date = verdict.date.min(current.date);
                verdict.advisories.extend(current.advisories);
            }
            (verdict, launch.module_status)
        }
    };
    let mut advisories = verdict.advisories;
    advisories.sort_unstable();
    advisories.dedup();
    Ok(Tcb {
        status: verdict.status,
        qe_status: qe.status,
        module_status,
        date: verdict.date.to_string(),
        evaluation_number: info.term.evaluation_number,
        advisories,
    })
}

/// A platform's verdict together with that of the TDX module that one SVN names.
struct TdVerdict<'a> {
    verdict: Verdict,
    module: &'a super::levels::TdxModule,
    module_status: Option<TcbStatus>,
}

impl<'a> TdVerdict<'a> {
    fn find(content: &'a super::documents::TcbContent, pck: &PckChain, svn: &[u8; 16]) -> Result<Self, VerifyError> {
        let platform = content.platform(&pck.platform.components, pck.platform.pce_svn, Some(svn))?;
        let (module, own) = content.module(svn)?;
        let verdict = own.map_or_else(|| platform.clone(), |own| platform.with_part(own));
        Ok(Self { verdict, module, module_status: own.map(|own| own.status) })
    }
}

/// The module's signer and attributes as Intel publishes them; attributes outside the mask must be clear.
fn check_module(report: &TdReport, module: &super::levels::TdxModule) -> Result<(), VerifyError> {
    let attributes = &report.base.seam_attributes;
    let stray = attributes.iter().zip(&module.attributes_mask).any(|(found, mask)| found & !mask != 0);
    if report.base.mr_signer_seam != module.mr_signer {
        return Err(VerifyError::tcb("tdx-module", "the tdx module is signed by another key than the published one"));
    }
    if stray || !quoting_enclave::equal_under(attributes, &module.attributes, &module.attributes_mask) {
        return Err(VerifyError::tcb("tdx-module", "the tdx module's attributes are not the published ones"));
    }
    Ok(())
}

fn used_document(id: CollateralId, document: &SignedDocument, term: &super::documents::Term) -> UsedCollateral {
    UsedCollateral {
        id,
        version: u64::from(term.evaluation_number),
        digest: document.digest(),
        not_after: term.next_update,
    }
}

fn used_crl(id: CollateralId, crl: &Crl) -> UsedCollateral {
    let not_after = crl.next_update().unwrap_or(crl.this_update());
    UsedCollateral { id, version: crl.number(), digest: crl.digest(), not_after }
}

#[cfg(test)]
#[path = "signer_tests.rs"]
mod signer_tests;
