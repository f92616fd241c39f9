//! Finds, among the certificates at hand, the one of the key that signed a report; or names the one that is wished for.
//!
//! VCEK and VLEK certificates and KDS interface (AMD 57230) sections 3 and 4; threat model P9.

use std::sync::Arc;

use super::certs::{self, Holder, Vek};
use super::table::Table;
use super::wire::Report;
use crate::endorsements::{AmdProduct, AmdSigner, CollateralId};
use crate::error::VerifyError;
use crate::formats::x509::Certificate;
use crate::roots;
use crate::scheme::Given;

const PART: &str = "vek-certificate";
/// The most certificates of the same chip (or of no chip) and level that are tried: AMD issues one anew at every request.
const MAX_FITTING: usize = 8;
/// The most issuers of the same name that are tried.
const MAX_ISSUERS: usize = 4;
/// Bytes that the reading of a VEK's extensions takes, about.
const VEK_WEIGHT: usize = 512;

/// A certificate that speaks of the report's product, key, chip and patch level. Its chain is not looked at yet.
#[derive(Clone)]
pub(super) struct Candidate {
    pub certificate: Arc<Certificate>,
    pub vek: Arc<Vek>,
    pub signer: AmdSigner,
}

/// What was found among the certificates at hand.
pub(super) enum Found {
    /// These fit; those in force stand first.
    Fitting(Vec<Candidate>),
    /// One is held, and it does not fit.
    Misfit(VerifyError),
    /// None, or several of which none fits.
    Nothing,
}

/// All certificates at hand.
pub(super) struct Certificates {
    held: Vec<Arc<Certificate>>,
    /// Came with the evidence: used where they fit, and never a reason to refuse. A host's table may be older than its firmware.
    hints: Vec<Arc<Certificate>>,
    /// What was wrong with held bytes that were meant to be a VEK's certificate.
    broken_veks: Vec<VerifyError>,
    /// What was wrong with the first held bytes that were no certificate.
    broken: Option<VerifyError>,
}

impl Certificates {
    /// Parses what is at hand; a piece that stands twice counts once.
    pub fn gather(given: &Given<'_>, table: &Table) -> Self {
        let mut all = Self { held: Vec::new(), hints: Vec::new(), broken_veks: Vec::new(), broken: None };
        for bytes in given.held.certificates() {
            match given.memo.held_certificate(bytes) {
                Ok(certificate) => all.held.push(certificate),
                Err(why) if certs::resembles_vek(&bytes.der) => all.broken_veks.push(why),
                Err(why) => all.broken = all.broken.or(Some(why)),
            }
        }
        let hints = table.certificates.iter().filter_map(|der| given.memo.certificate(der).ok());
        all.hints = hints.filter(|hint| all.held.iter().all(|known| known.digest() != hint.digest())).collect();
        all
    }

    /// The certificate of the key that signed `report`.
    pub fn find(&self, report: &Report<'_>, signer: AmdSigner, given: &Given<'_>) -> Found {
        let candidate = |certificate: &Arc<Certificate>| {
            fit(certificate, report, signer, given).map(|vek| Candidate {
                certificate: Arc::clone(certificate),
                vek,
                signer,
            })
        };
        let mut fitting = Vec::new();
        let mut misfits = self.broken_veks.clone();
        for certificate in self.held.iter().filter(|c| certs::is_vek(c)) {
            match candidate(certificate) {
                Ok(found) => fitting.push(found),
                Err(why) => misfits.push(why),
            }
        }
        fitting.extend(self.hints.iter().filter(|c| certs::is_vek(c)).filter_map(|c| candidate(c).ok()));
        if fitting.is_empty() {
            let mut misfits = misfits.into_iter();
            return match (misfits.next(), misfits.next()) {
                // Where nothing more can be brought, what is there is judged; else the one that fits is wished for.
                (Some(why), None) if given.options.nothing_more => Found::Misfit(why),
                _ => Found::Nothing,
            };
        }
        let in_force =
            |c: &Candidate| c.certificate.not_before() <= given.now && given.now <= c.certificate.not_after();
        fitting.sort_by_key(|candidate| !in_force(candidate));
        fitting.truncate(MAX_FITTING);
        Found::Fitting(fitting)
    }

    /// Certificates at hand with the name of the candidate's issuer.
    pub fn issuers(&self, candidate: &Candidate) -> Vec<Arc<Certificate>> {
        let named = |c: &&Arc<Certificate>| c.subject() == candidate.certificate.issuer();
        self.held.iter().chain(&self.hints).filter(named).take(MAX_ISSUERS).map(Arc::clone).collect()
    }

    /// The embedded ASK, where it may be the candidate's issuer. Asked for when nothing at hand was: reading it costs.
    pub fn embedded_issuer(&self, candidate: &Candidate, given: &Given<'_>) -> Option<Arc<Certificate>> {
        if candidate.signer != AmdSigner::Vcek {
            return None;
        }
        let embedded = given.memo.held_certificate(roots::amd_ask(candidate.vek.product)).ok()?;
        (embedded.subject() == candidate.certificate.issuer()).then_some(embedded)
    }

    /// Why some held bytes are no certificate, if there were such.
    pub fn broken(&self) -> Option<&VerifyError> {
        self.broken.as_ref()
    }
}

/// What is wished for when nothing was found.
///
/// # Errors
/// `collateral-unavailable` where nobody can be asked: for a VLEK's certificate, or without a chip identifier.
pub(super) fn wish(report: &Report<'_>, signer: AmdSigner) -> Result<Vec<CollateralId>, VerifyError> {
    if signer == AmdSigner::Vlek {
        return Err(VerifyError::collateral(
            PART,
            "the certificate of the provider's key has to come with the evidence",
        ));
    }
    if report.chip_masked() {
        return Err(VerifyError::collateral(
            PART,
            "the report names no chip, its certificate has to come with the evidence",
        ));
    }
    report
        .products
        .iter()
        .map(|product| {
            let length = if *product == AmdProduct::Turin { 8 } else { 64 };
            let chip_id = report.chip_id.iter().take(length).copied().collect();
            Ok(CollateralId::AmdVcek { product: *product, chip_id, tcb: report.tcbs(*product)?.reported })
        })
        .collect()
}

/// Whether the certificate speaks of the key that the report names.
fn fit(
    certificate: &Arc<Certificate>,
    report: &Report<'_>,
    signer: AmdSigner,
    given: &Given<'_>,
) -> Result<Arc<Vek>, VerifyError> {
    let product = certs::product(certificate)?;
    if !report.products.contains(&product) {
        return Err(VerifyError::chain(
            PART,
            format!("the certificate is for {}, the report from another product", product.as_str()),
        ));
    }
    if certs::signer(certificate)? != signer {
        return Err(VerifyError::chain(PART, "the report names the other sort of signing key"));
    }
    let vek = given.memo.document(&certificate.digest(), VEK_WEIGHT, || Vek::read(certificate))?;
    match &vek.holder {
        Holder::Chip(id) if !report.chip_masked() && id != report.chip_id => {
            return Err(VerifyError::chain(PART, "the certificate is for another chip"));
        }
        Holder::Chip(_) | Holder::Provider(_) => {}
    }
    if vek.tcb != report.tcbs(product)?.reported {
        return Err(VerifyError::tcb(PART, "the certified patch levels are not the reported ones"));
    }
    Ok(vek)
}
