//! A path from a leaf to a pinned root at a given time. RFC 5280 section 6, with a fixed budget.

use std::sync::Arc;

use der::asn1::ObjectIdentifier;

use super::Certificate;
use crate::anchors::Anchor;
use crate::error::VerifyError;
use crate::memo::Memo;
use crate::signatures::Algorithm;
use crate::time::UnixTime;

/// Extensions that may be critical, because this module or the caller looks at them.
const UNDERSTOOD: &[ObjectIdentifier] = &[
    ObjectIdentifier::new_unwrap("2.5.29.19"), // basic constraints
    ObjectIdentifier::new_unwrap("2.5.29.15"), // key usage
    ObjectIdentifier::new_unwrap("2.5.29.14"), // subject key identifier
    ObjectIdentifier::new_unwrap("2.5.29.35"), // authority key identifier
];

/// What a technology fixes about its chains.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChainRules {
    /// Names the chain in refusals, kebab case.
    pub part: &'static str,
    /// The signature algorithms that may stand on the path.
    pub algorithms: &'static [Algorithm],
    /// The most CA certificates between leaf and root.
    pub intermediates: usize,
    /// Whether dates are judged at all: AMD and AWS and Intel all do.
    pub now: UnixTime,
    /// Extensions that may be critical on the leaf, because the caller reads them.
    pub leaf_extensions: &'static [ObjectIdentifier],
}

/// A chain that holds: every signature, date and constraint, from the leaf to the anchor.
#[derive(Debug, Clone)]
pub(crate) struct VerifiedChain {
    /// Leaf first, anchor last.
    pub links: Vec<Arc<Certificate>>,
    /// The anchor's name.
    pub anchor: String,
    /// The earliest end of any link.
    pub not_after: UnixTime,
}

impl VerifiedChain {
    fn assertion(links: Vec<Arc<Certificate>>, anchor: &Anchor) -> Self {
        let not_after = links.iter().map(|c| c.not_after()).min().unwrap_or(UnixTime::FOREVER);
        Self { links, anchor: anchor.name().to_owned(), not_after }
    }

    /// Each link but the root, with its issuer.
    pub fn issued(&self) -> impl Iterator<Item = (&Arc<Certificate>, &Arc<Certificate>)> {
        self.links.iter().zip(self.links.iter().skip(1))
    }
}

/// Finds the one path from `leaf` through `given` (in any order, each used at most once) to one of `anchors`.
///
/// # Errors
/// `chain-untrusted`: no path, a link that its issuer did not sign, a date outside validity, a CA that may not issue, an unknown
/// critical extension; `unsupported`: an algorithm that the technology does not use.
pub(crate) fn verify_chain<'a>(
    leaf: &Arc<Certificate>,
    given: &[Arc<Certificate>],
    anchors: impl Iterator<Item = &'a Anchor> + Clone,
    rules: &ChainRules,
    memo: &Memo,
) -> Result<VerifiedChain, VerifyError> {
    let mut links = vec![Arc::clone(leaf)];
    let mut current = Arc::clone(leaf);
    in_force(&current, rules.leaf_extensions, rules)?;
    loop {
        let mut named = anchors.clone().filter(|a| a.certificate().subject() == current.issuer());
        // Two anchors may share a name: the certificate says which key it means.
        let keyed = named.clone().find(|a| a.certificate().subject_key() == current.authority_key());
        if let Some(anchor) = keyed.or_else(|| named.next()) {
            let root = anchor.certificate();
            issued_by(&current, root, links.len().saturating_sub(1), rules, memo)?;
            in_force(root, &[], rules)?;
            links.push(Arc::clone(root));
            return Ok(VerifiedChain::assertion(links, anchor));
        }
        if links.len() > rules.intermediates {
            return Err(VerifyError::chain(rules.part, "the chain is longer than the technology's chains are"));
        }
        let issuer = given
            .iter()
            .find(|c| c.subject() == current.issuer() && links.iter().all(|l| l.digest() != c.digest()))
            .ok_or_else(|| VerifyError::chain(rules.part, "no path leads to a configured trust anchor"))?;
        issued_by(&current, issuer, links.len().saturating_sub(1), rules, memo)?;
        in_force(issuer, &[], rules)?;
        links.push(Arc::clone(issuer));
        current = Arc::clone(issuer);
    }
}

fn in_force(certificate: &Certificate, read: &[ObjectIdentifier], rules: &ChainRules) -> Result<(), VerifyError> {
    let name = certificate.common_name().unwrap_or_default();
    if rules.now < certificate.not_before() {
        let from = certificate.not_before();
        return Err(VerifyError::chain(rules.part, format!("certificate `{name}` is not valid before {from}")));
    }
    if rules.now > certificate.not_after() {
        let until = certificate.not_after();
        return Err(VerifyError::chain(rules.part, format!("certificate `{name}` ended on {until}")));
    }
    let understood = |id| UNDERSTOOD.contains(id) || read.contains(id);
    match certificate.extensions().iter().find(|e| e.critical && !understood(&e.id)) {
        None => Ok(()),
        Some(e) => Err(VerifyError::chain(
            rules.part,
            format!("certificate `{name}` has the unknown critical extension `{}`", e.id),
        )),
    }
}

/// `cas_below`: how many CA certificates stand between `issuer` and the leaf.
fn issued_by(
    certificate: &Certificate,
    issuer: &Certificate,
    cas_below: usize,
    rules: &ChainRules,
    memo: &Memo,
) -> Result<(), VerifyError> {
    let name = certificate.common_name().unwrap_or_default();
    let untrusted = |what: &str| Err(VerifyError::chain(rules.part, format!("certificate `{name}`: {what}")));
    if !issuer.is_ca() {
        return untrusted("its issuer may not issue certificates");
    }
    if issuer.path_length().is_some_and(|most| cas_below > usize::from(most)) {
        return untrusted("its issuer's path length is exceeded");
    }
    match (certificate.authority_key(), issuer.subject_key()) {
        (Some([]), _) => return untrusted("its authority key identifier is empty"),
        (Some(wanted), Some(is)) if wanted != is => return untrusted("it names another issuer key"),
        _ => {}
    }
    let algorithm = match certificate.algorithm() {
        Some(algorithm) if rules.algorithms.contains(&algorithm) => algorithm,
        _ => {
            let detail = format!("certificate `{name}` is signed by an algorithm that this technology does not use");
            return Err(VerifyError::unsupported(rules.part, detail));
        }
    };
    let seal = certificate.digest();
    if !memo.check_sealed(algorithm, issuer.key(), &seal, certificate.signed_bytes(), certificate.signature()) {
        return untrusted("it is not signed by the issuer that it names");
    }
    Ok(())
}
