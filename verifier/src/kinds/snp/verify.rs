//! The judgement of a report: layout, signing key, chain, signature, patch levels, revocation, binding, in this order.
//!
//! SEV-SNP firmware ABI (AMD 56860) sections 2.2, 7.3 and 10; threat model P3, P5, P9; bad inputs section 5.

use super::certs::Holder;
use super::chain::{self, Looked};
use super::claims;
use super::levels::Tcbs;
use super::select::{Candidate, Certificates, Found, wish};
use super::table::Table;
use super::wire::Report;
use crate::endorsements::{AmdProduct, AmdSigner, AmdTcb, CollateralId};
use crate::error::VerifyError;
use crate::formats::x509::VerifiedChain;
use crate::kinds::EvidenceKind;
use crate::scheme::Given;
use crate::signatures::Algorithm;
use crate::verified::{Genuine, InitDataSlot};

/// DEBUG of the guest policy.
const POLICY_DEBUG: u64 = 1 << 19;

/// What is wished for and not at hand.
pub(super) fn wants(report: &Report<'_>, table: &Table, given: &Given<'_>) -> Result<Vec<CollateralId>, VerifyError> {
    let signer = report.signer()?;
    report.signature()?;
    let certificates = Certificates::gather(given, table);
    let candidates = match certificates.find(report, signer, given) {
        Found::Fitting(candidates) => candidates,
        Found::Misfit(why) => return Err(why),
        Found::Nothing => return wish(report, signer),
    };
    let mut wishes = Vec::new();
    for candidate in &candidates {
        let product = candidate.vek.product;
        let mut add = |id: CollateralId| {
            if !wishes.contains(&id) {
                wishes.push(id);
            }
        };
        if signer == AmdSigner::Vlek && certificates.issuers(candidate).is_empty() {
            add(CollateralId::AmdIssuer { product, signer });
        }
        if chain::lacks_list(product, table, given) {
            add(CollateralId::AmdCrl { product, signer });
        }
    }
    Ok(wishes)
}

/// Judges the report.
pub(super) fn verify(report: &Report<'_>, table: &Table, given: &Given<'_>) -> Result<Genuine, VerifyError> {
    let signer = report.signer()?;
    let signature = report.signature()?;
    let certificates = Certificates::gather(given, table);
    let candidates = match certificates.find(report, signer, given) {
        Found::Fitting(candidates) => candidates,
        Found::Misfit(why) => return Err(why),
        Found::Nothing => {
            return Err(VerifyError::collateral("vek-certificate", "no certificate of the signing key is held"));
        }
    };
    let mut refused = None;
    for candidate in &candidates {
        match signed_by(candidate, report, &signature, &certificates, given) {
            Ok(chain) => return judge(report, candidate, &chain, table, given),
            Err(why) => drop(refused.get_or_insert(why)),
        }
    }
    Err(refused.unwrap_or_else(|| VerifyError::chain("vek-chain", "no certificate of the signing key leads to a root")))
}

/// The candidate's chain holds, and its key signed the report.
fn signed_by(
    candidate: &Candidate,
    report: &Report<'_>,
    signature: &[u8; 96],
    certificates: &Certificates,
    given: &Given<'_>,
) -> Result<VerifiedChain, VerifyError> {
    let chain = chain::verify(candidate, certificates, given)?;
    let key = candidate.certificate.key();
    if !given.check_report(Algorithm::P384Raw, key, report.signed(), signature) {
        return Err(VerifyError::signature("report", "the signature of the report is wrong"));
    }
    Ok(chain)
}

/// All that is left once the report is known to be the signing key's.
fn judge(
    report: &Report<'_>,
    candidate: &Candidate,
    chain: &VerifiedChain,
    table: &Table,
    given: &Given<'_>,
) -> Result<Genuine, VerifyError> {
    let product = candidate.vek.product;
    let tcbs = report.tcbs(product)?;
    in_order(&tcbs)?;
    let Looked { revocation, used, not_after } = chain::look_up(chain, candidate, table, given)?;
    let bound = given.binding.in_report_data(report.report_data)?;

    let mut genuine = Genuine::assertion(EvidenceKind::Snp, &chain.anchor, bound);
    genuine.attested = claims::of_report(report, &tcbs);
    claims::add_product(&mut genuine.attested, product);
    if let Holder::Provider(name) = &candidate.vek.holder {
        claims::add_provider(&mut genuine.attested, name);
    }
    genuine.debug = report.policy & POLICY_DEBUG != 0;
    genuine.revocation = revocation;
    // Reports of this family can be made in software: residual risk R6 of the threat model.
    genuine.known_forgeable = product == AmdProduct::Milan;
    genuine.platforms = platforms(report, candidate);
    genuine.measurements = vec![hex::encode(report.measurement)];
    genuine.not_after = chain.not_after.min(not_after);
    genuine.used = used.into_iter().collect();
    genuine.signed = Some(openssl::sha::sha256(&[report.signed(), &report.signature()?].concat()));
    genuine.init_data = InitDataSlot::Field(report.host_data.to_vec());
    Ok(genuine)
}

/// Names for deny lists: the chip where it is named, the provider whose key signed, and the product line.
fn platforms(report: &Report<'_>, candidate: &Candidate) -> Vec<String> {
    let chip = (!report.chip_masked()).then(|| format!("snp-chip:{}", hex::encode(report.chip_id)));
    let provider = match &candidate.vek.holder {
        Holder::Provider(name) => Some(format!("snp-csp:{name}")),
        Holder::Chip(_) => None,
    };
    let product = format!("snp-product:{}", candidate.vek.product.as_str().to_ascii_lowercase());
    chip.into_iter().chain(provider).chain([product]).collect()
}

/// Firmware runs at or above what is committed, and reports at most what is committed.
fn in_order(tcbs: &Tcbs) -> Result<(), VerifyError> {
    if !at_least(tcbs.committed, tcbs.reported) {
        return Err(VerifyError::tcb("committed-tcb", "the committed patch levels are below the reported ones"));
    }
    if !at_least(tcbs.current, tcbs.committed) {
        return Err(VerifyError::tcb("current-tcb", "the current patch levels are below the committed ones"));
    }
    Ok(())
}

/// Every part of `levels` is at least that of `floor`.
fn at_least(levels: AmdTcb, floor: AmdTcb) -> bool {
    levels.fmc >= floor.fmc
        && levels.bootloader >= floor.bootloader
        && levels.tee >= floor.tee
        && levels.snp >= floor.snp
        && levels.microcode >= floor.microcode
}
