//! Whether a document is genuine and bound. AWS Nitro Enclaves, *Verifying the root of trust*, stricter in three places: our
//! clock as well as the document's, every certificate of the bundle on the path, the root's bytes pinned.

use std::sync::Arc;

use super::claims;
use super::wire::{Document, PART, SignedDocument};
use crate::anchors::{Anchor, AnchorScope};
use crate::binding::{Binding, NativeBinding, no_held_data};
use crate::error::VerifyError;
use crate::formats::x509::{Certificate, ChainRules, VerifiedChain, verify_chain};
use crate::kinds::EvidenceKind;
use crate::recipient::RecipientKey;
use crate::scheme::Given;
use crate::signatures::Algorithm;
use crate::time::UnixTime;
use crate::verified::{BoundKey, Genuine, Revocation};

const CHAIN: &str = "nitro-chain";
/// How far the document's clock may be ahead of ours, in milliseconds.
const LEEWAY_MS: i64 = 60_000;
/// The most CA certificates between leaf and root: a bundle of eight without its root.
const INTERMEDIATES: usize = 7;

/// Timestamp, chain, signature, binding; in this order.
pub(super) fn verify(signed: &SignedDocument<'_>, given: &Given<'_>) -> Result<Genuine, VerifyError> {
    let document = &signed.document;
    not_from_the_future(document, given.now)?;
    let chain = check_chain(document, given)?;
    in_force_when_made(document, &chain)?;
    let leaf = chain.links.first().ok_or_else(|| VerifyError::chain(CHAIN, "the chain is empty"))?;
    let message = &signed.message;
    if !given.memo.check_fresh(Algorithm::P384Raw, leaf.key(), &message.signed_bytes(), message.signature) {
        return Err(VerifyError::signature(PART, "the signature on the document is wrong"));
    }
    let bound = check_binding(document, given.binding)?;

    let mut genuine = Genuine::assertion(EvidenceKind::Nitro, &chain.anchor, bound);
    genuine.attested = claims::attested(document);
    genuine.debug = claims::is_debug(document);
    genuine.revocation = Revocation::NotDefined;
    genuine.platforms =
        [document.module_id, document.instance()].iter().map(|id| format!("nitro-module:{id}")).collect();
    genuine.measurements = document.image().map(hex::encode).collect();
    genuine.not_after = chain.not_after;
    Ok(genuine)
}

fn not_from_the_future(document: &Document<'_>, now: UnixTime) -> Result<(), VerifyError> {
    let latest = now.secs().saturating_mul(1_000).saturating_add(LEEWAY_MS);
    if document.timestamp_ms > latest {
        return Err(VerifyError::freshness(PART, "the document's timestamp lies in the future"));
    }
    Ok(())
}

/// The path: leaf, then the bundle from its end to its beginning, each certificate issued by the next, the first of the bundle
/// byte for byte a pinned root.
fn check_chain(document: &Document<'_>, given: &Given<'_>) -> Result<VerifiedChain, VerifyError> {
    let Some((root, issuing)) = document.bundle.split_first() else {
        return Err(VerifyError::chain(CHAIN, "`cabundle` is empty"));
    };
    let root = given.memo.certificate(root)?;
    let pinned: Vec<&Anchor> =
        given.anchors.of(AnchorScope::Nitro).filter(|anchor| anchor.digest() == root.digest()).collect();
    if pinned.is_empty() {
        return Err(VerifyError::chain(CHAIN, "`cabundle` does not begin with a configured root"));
    }
    let leaf = given.memo.certificate(document.certificate)?;
    if leaf.is_ca() || !leaf.may_sign_data() {
        return Err(VerifyError::chain(CHAIN, "the document's certificate is not one that signs documents"));
    }
    let mut upwards = Vec::with_capacity(issuing.len());
    for der in issuing.iter().rev() {
        upwards.push(given.memo.certificate(der)?);
    }
    in_order(&leaf, &upwards, &root)?;
    let rules = ChainRules {
        part: CHAIN,
        algorithms: &[Algorithm::P384Der],
        intermediates: INTERMEDIATES,
        now: given.now,
        leaf_extensions: &[],
    };
    let chain = verify_chain(&leaf, &upwards, pinned.into_iter(), &rules, given.memo)?;
    if chain.links.len() != upwards.len().saturating_add(2) {
        return Err(VerifyError::chain(CHAIN, "a certificate of `cabundle` is not on the path"));
    }
    Ok(chain)
}

fn in_order(leaf: &Arc<Certificate>, upwards: &[Arc<Certificate>], root: &Arc<Certificate>) -> Result<(), VerifyError> {
    let mut below = leaf;
    for above in upwards.iter().chain([root]) {
        if below.issuer() != above.subject() {
            return Err(VerifyError::chain(CHAIN, "`cabundle` is not in order, the root first"));
        }
        below = above;
    }
    Ok(())
}

/// Every certificate was in force at the document's own time too, so that an old document is not carried on a new chain.
fn in_force_when_made(document: &Document<'_>, chain: &VerifiedChain) -> Result<(), VerifyError> {
    let made = UnixTime::from_secs(document.timestamp_ms.div_euclid(1_000));
    if chain.links.iter().any(|link| made < link.not_before() || made > link.not_after()) {
        return Err(VerifyError::freshness(PART, format!("the document was made on {made}, outside its certificates")));
    }
    Ok(())
}

fn check_binding(document: &Document<'_>, binding: &Binding) -> Result<BoundKey, VerifyError> {
    match binding {
        Binding::Unbound => Ok(BoundKey::Absent),
        Binding::HeldData { .. } => Err(no_held_data()),
        Binding::Native(native) => check_native(document, native).map(BoundKey::Present),
    }
}

/// Keygate's contract, section 4: nonce, public key and user data, each compared whole.
fn check_native(document: &Document<'_>, native: &NativeBinding) -> Result<RecipientKey, VerifyError> {
    if document.nonce != Some(native.nonce().as_slice()) {
        return Err(VerifyError::freshness("nonce", "the document answers another challenge"));
    }
    let carried =
        document.public_key.ok_or_else(|| VerifyError::binding("public-key", "the document carries no public key"))?;
    let carried = RecipientKey::from_spki(carried)
        .map_err(|refused| VerifyError::binding("public-key", format!("no recipient's key: {}", refused.detail())))?;
    if carried != *native.recipient() {
        return Err(VerifyError::binding("public-key", "the document carries another key than the recipient's"));
    }
    if document.user_data != Some(native.user_data().as_slice()) {
        return Err(VerifyError::binding("user-data", "the document is bound to another request, host or recipient"));
    }
    Ok(carried)
}
