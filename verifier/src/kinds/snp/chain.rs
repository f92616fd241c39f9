//! The path from a signing key's certificate over ASK or ASVK to the pinned ARK, and AMD's revocation list.
//!
//! VCEK and VLEK certificates and KDS interface (AMD 57230) sections 3 and 4; threat model P3, P9, P10.

use std::sync::Arc;

use super::select::{Candidate, Certificates};
use super::table::Table;
use crate::anchors::{Anchor, AnchorScope};
use crate::endorsements::{AmdProduct, AmdSigner, CollateralId};
use crate::error::{Code, VerifyError};
use crate::formats::x509::{Certificate, ChainRules, Crl, VerifiedChain, check_crl, verify_chain};
use crate::scheme::Given;
use crate::signatures::Algorithm;
use crate::time::UnixTime;
use crate::verified::{Revocation, UsedCollateral};

const PART: &str = "vek-chain";
const CRL_PART: &str = "amd-crl";
/// The most revocation lists of one issuer that are looked at.
const MAX_LISTS: usize = 8;

/// Finds the path of `candidate`. Every issuer and anchor of the right name is tried, a handful at most.
pub(super) fn verify(
    candidate: &Candidate,
    certificates: &Certificates,
    given: &Given<'_>,
) -> Result<VerifiedChain, VerifyError> {
    let product = candidate.vek.product;
    let rules = ChainRules {
        part: PART,
        algorithms: &[Algorithm::PssSha384],
        intermediates: 1,
        now: given.now,
        leaf_extensions: &[],
    };
    let mut refused = None;
    let held = certificates.issuers(candidate).into_iter();
    let embedded = std::iter::once_with(|| certificates.embedded_issuer(candidate, given)).flatten();
    for issuer in held.chain(embedded) {
        if issuer.common_name().as_deref() != Some(issuer_name(product, candidate.signer).as_str()) {
            refused.get_or_insert(VerifyError::chain(PART, "the issuer is not the product's authority of such keys"));
            continue;
        }
        for anchor in anchors(&issuer, product, given) {
            let given_issuer = std::slice::from_ref(&issuer);
            match verify_chain(&candidate.certificate, given_issuer, std::iter::once(anchor), &rules, given.memo) {
                Ok(chain) => return Ok(chain),
                Err(why) => drop(refused.get_or_insert(why)),
            }
        }
    }
    // Bytes that are no certificate may have been the right issuer: they are the better reason.
    let why = certificates.broken().cloned().or(refused);
    Err(why.unwrap_or_else(|| VerifyError::chain(PART, "no path leads to a configured trust anchor")))
}

/// The anchors of the product; those whose key the issuer names, if it names one.
fn anchors<'a>(issuer: &Certificate, product: AmdProduct, given: &'a Given<'_>) -> Vec<&'a Anchor> {
    let all: Vec<_> = given.anchors.of(AnchorScope::Amd(product)).collect();
    let named: Vec<_> = all
        .iter()
        .copied()
        .filter(|a| issuer.authority_key().is_some_and(|key| a.certificate().subject_key() == Some(key)))
        .collect();
    if named.is_empty() { all } else { named }
}

/// AMD's own names: `SEV-Milan` issues VCEKs, `SEV-VLEK-Milan` VLEKs.
fn issuer_name(product: AmdProduct, signer: AmdSigner) -> String {
    match signer {
        AmdSigner::Vcek => format!("SEV-{}", product.as_str()),
        AmdSigner::Vlek => format!("SEV-VLEK-{}", product.as_str()),
    }
}

/// What the look at revocation lists gave.
pub(super) struct Looked {
    pub revocation: Revocation,
    pub used: Option<UsedCollateral>,
    pub not_after: UnixTime,
}

/// Looks every link up on the lists of its issuer. AMD's list is the ARK's; it names ASKs and ASVKs.
///
/// # Errors
/// `revoked` if any list in force says so; `collateral-unavailable` when a list is demanded and none is at hand; the fault of the
/// first held list when none can be used. A list that the host put beside the report is a hint: it can revoke, its faults refuse
/// nothing.
pub(super) fn look_up(
    chain: &VerifiedChain,
    candidate: &Candidate,
    table: &Table,
    given: &Given<'_>,
) -> Result<Looked, VerifyError> {
    let mut looked = Looked { revocation: Revocation::NotChecked, used: None, not_after: UnixTime::FOREVER };
    let mut refused = None;
    let lists = lists(table, given);
    for (certificate, issuer) in chain.issued().filter(|(_, issuer)| issuer.may_sign_crl()) {
        for list in lists.iter().filter(|list| list.crl.issuer() == issuer.subject()).take(MAX_LISTS) {
            match check_crl(certificate, issuer, &list.crl, CRL_PART, given.now, given.memo) {
                Ok(()) => looked.note(&list.crl, candidate),
                Err(why) if why.kind() == Code::Revoked => return Err(why),
                Err(why) if list.held => drop(refused.get_or_insert(why)),
                Err(_) => {}
            }
        }
    }
    match (looked.revocation, refused) {
        (Revocation::NotChecked, Some(why)) => Err(why),
        (Revocation::NotChecked, None) if given.options.require_amd_crl => {
            Err(VerifyError::collateral(CRL_PART, "no revocation list of amd is held"))
        }
        _ => Ok(looked),
    }
}

/// Whether a list is demanded and none in force is at hand.
pub(super) fn lacks_list(product: AmdProduct, table: &Table, given: &Given<'_>) -> bool {
    if !given.options.require_amd_crl {
        return false;
    }
    let lists = lists(table, given);
    let usable = |anchor: &Anchor| {
        let name = anchor.certificate().subject();
        lists.iter().any(|list| list.crl.issuer() == name && list.crl.in_force(given.now))
    };
    !given.anchors.of(AnchorScope::Amd(product)).any(usable)
}

/// A revocation list, and whether it is held or came in the host's table.
struct List {
    crl: Arc<Crl>,
    held: bool,
}

/// The lists at hand, the held ones first. Bytes that are no list are nobody's list.
fn lists(table: &Table, given: &Given<'_>) -> Vec<List> {
    let held = given.held.crls().iter().filter_map(|bytes| bytes.crl(given.memo).ok());
    let hints = table.crls.iter().filter_map(|der| given.memo.parsed(|| Crl::parse(der)).ok());
    held.map(|crl| List { crl, held: true }).chain(hints.map(|crl| List { crl, held: false })).collect()
}

impl Looked {
    /// The newest list counts as the one that was used; the look lasts until the last of them ends.
    fn note(&mut self, crl: &Crl, candidate: &Candidate) {
        // The time of issue, never the number: AMD need not number its lists, and one scale has to hold for all of them.
        let version = u64::try_from(crl.this_update().secs()).unwrap_or_default();
        self.revocation = Revocation::Checked;
        if self.used.as_ref().is_some_and(|used| used.version >= version) {
            return;
        }
        let not_after = crl.next_update().unwrap_or(UnixTime::FOREVER);
        self.not_after = not_after;
        self.used = Some(UsedCollateral {
            id: CollateralId::AmdCrl { product: candidate.vek.product, signer: candidate.signer },
            version,
            digest: crl.digest(),
            not_after,
        });
    }
}
