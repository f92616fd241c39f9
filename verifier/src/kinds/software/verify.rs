//! Whether a statement is genuine and bound: chain to an operator's anchor, signature, age, binding.
//!
//! RFC 5280 section 6, RFC 7515 section 5.2; Keygate's contract, section 4 *Binding*.

use super::claims;
use super::wire::{MAX_CHAIN, PART, Statement};
use crate::anchors::AnchorScope;
use crate::binding::{Binding, no_held_data};
use crate::error::VerifyError;
use crate::formats::x509::{ChainRules, VerifiedChain, verify_chain};
use crate::kinds::EvidenceKind;
use crate::scheme::Given;
use crate::signatures::Algorithm;
use crate::time::UnixTime;
use crate::verified::{BoundKey, Genuine, Revocation};

const CHAIN: &str = "software-chain";
/// How far the statement's clock may be ahead of ours, in seconds.
const LEEWAY: i64 = 60;
/// How old a bound statement may be, in seconds.
const MAX_AGE: i64 = 600;

/// Age, chain, signature, binding; in this order.
pub(super) fn verify(statement: &Statement<'_>, given: &Given<'_>) -> Result<Genuine, VerifyError> {
    check_age(statement, given.binding, given.now)?;
    let chain = check_chain(statement, given)?;
    let leaf = chain.links.first().ok_or_else(|| VerifyError::chain(CHAIN, "the chain is empty"))?;
    if !given.memo.check_fresh(Algorithm::P256Raw, leaf.key(), statement.signed, &statement.signature) {
        return Err(VerifyError::signature(PART, "the signature on the statement is wrong"));
    }
    let bound = check_binding(statement, given.binding)?;

    let mut genuine = Genuine::assertion(EvidenceKind::Software, &chain.anchor, bound);
    genuine.attested = claims::attested(statement);
    genuine.debug = statement.debug;
    genuine.revocation = Revocation::NotDefined;
    genuine.platforms = vec![format!("software-key:{}", hex::encode(leaf.key().digest()))];
    genuine.measurements = vec![hex::encode(statement.measurement)];
    genuine.not_after = chain.not_after;
    Ok(genuine)
}

fn check_age(statement: &Statement<'_>, binding: &Binding, now: UnixTime) -> Result<(), VerifyError> {
    if statement.issued_at > now.plus(LEEWAY) {
        return Err(VerifyError::freshness(PART, "the statement's `iat` lies in the future"));
    }
    match binding {
        Binding::Unbound | Binding::HeldData { .. } => Ok(()),
        Binding::Native(_) if statement.issued_at.plus(MAX_AGE) < now => {
            Err(VerifyError::freshness(PART, format!("the statement is older than {MAX_AGE} seconds")))
        }
        Binding::Native(_) => Ok(()),
    }
}

/// The path: `x5c` in its order, each certificate issued by the next, the last by an anchor of this kind.
fn check_chain(statement: &Statement<'_>, given: &Given<'_>) -> Result<VerifiedChain, VerifyError> {
    let anchors: Vec<_> = given.anchors.of(AnchorScope::Software).collect();
    if anchors.is_empty() {
        return Err(VerifyError::chain(CHAIN, "no trust anchor is configured for the software attester"));
    }
    let mut links = Vec::with_capacity(statement.chain.len());
    for der in &statement.chain {
        links.push(given.memo.certificate(der)?);
    }
    let Some((leaf, issuers)) = links.split_first() else {
        return Err(VerifyError::chain(CHAIN, "the chain is empty"));
    };
    if leaf.is_ca() || !leaf.may_sign_data() {
        return Err(VerifyError::chain(CHAIN, "the statement's certificate is not one that signs statements"));
    }
    let rules = ChainRules {
        part: CHAIN,
        algorithms: &[Algorithm::P256Der, Algorithm::P384Der],
        intermediates: MAX_CHAIN,
        now: given.now,
        leaf_extensions: &[],
    };
    let chain = verify_chain(leaf, issuers, anchors.into_iter(), &rules, given.memo)?;
    // All but the anchor must be what was sent, in the order in which it was sent.
    let sent = links.iter().map(|link| link.digest());
    if !chain.links.iter().take(chain.links.len().saturating_sub(1)).map(|link| link.digest()).eq(sent) {
        return Err(VerifyError::chain(CHAIN, "`x5c` is not the path in order, leaf first and without the root"));
    }
    Ok(chain)
}

fn check_binding(statement: &Statement<'_>, binding: &Binding) -> Result<BoundKey, VerifyError> {
    match binding {
        Binding::Unbound => Ok(BoundKey::Absent),
        Binding::HeldData { .. } => Err(no_held_data()),
        Binding::Native(native) if statement.report_data == *native.report_data() => {
            Ok(BoundKey::Present(native.recipient().clone()))
        }
        Binding::Native(_) => {
            Err(VerifyError::binding("report-data", "the statement is bound to another request, host or recipient"))
        }
    }
}
