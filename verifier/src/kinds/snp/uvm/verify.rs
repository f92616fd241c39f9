//! Whether an endorsement holds for a report: issuer, chain, signature, measurement, version; in this order.
//!
//! did:x509 method specification, version 0, section *Verification*; RFC 5280 section 6.

use std::sync::Arc;

use super::did::Issuer;
use super::wire::{Header, MAX_CHAIN, Signed};
use super::{PART, UvmEndorsement, UvmTrust};
use crate::anchors::Anchor;
use crate::error::VerifyError;
use crate::formats::x509::{Certificate, ChainRules, VerifiedChain, verify_chain};
use crate::kinds::EvidenceKind;
use crate::memo::Memo;
use crate::signatures::Algorithm;
use crate::time::UnixTime;
use crate::verified::Genuine;
use crate::verify::Verifier;

const CHAIN: &str = "uvm-chain";
/// How far the signer's clock may be ahead of ours, in seconds.
const LEEWAY: i64 = 60;
/// What authorities of code signing sign with; Microsoft's use RSASSA-PKCS1-v1_5 with SHA-384.
const ALGORITHMS: &[Algorithm] = &[
    Algorithm::Pkcs1Sha256,
    Algorithm::Pkcs1Sha384,
    Algorithm::Pkcs1Sha512,
    Algorithm::PssSha384,
    Algorithm::P256Der,
    Algorithm::P384Der,
];

impl Verifier {
    /// Judges an endorsement of the utility VM that a genuine SEV-SNP report speaks of. The chain is judged at the time of signing
    /// that the endorsement tells, its authorities at `now` as well; without such a time everything at `now`.
    ///
    /// # Errors
    /// `malformed`, `unsupported`, `too-large`: no endorsement of a known form, or evidence of another kind; `chain-untrusted`: not
    /// an issuer that is trusted, or its chain does not hold; `signature-invalid`; `freshness-failed`: signed in the future;
    /// `binding-mismatch`: another launch measurement; `tcb-rejected`: a version below the minimum.
    pub fn verify_uvm(
        &self,
        cose: &[u8],
        genuine: &Genuine,
        trust: &UvmTrust<'_>,
        now: UnixTime,
    ) -> Result<UvmEndorsement, VerifyError> {
        if genuine.kind() != EvidenceKind::Snp {
            return Err(VerifyError::unsupported(PART, "only sev-snp reports have endorsements of a utility vm"));
        }
        let signed = Signed::parse(cose)?;
        let (header, payload) = (&signed.header, &signed.payload);
        if !trust.issuers.contains(&header.issuer) {
            return Err(VerifyError::chain(PART, format!("the issuer `{}` is not trusted", header.issuer)));
        }
        let (chain, not_after) = check_chain(header, now, self.memo())?;
        let signer = chain.links.first().ok_or_else(|| VerifyError::chain(CHAIN, "the chain is empty"))?;
        let message = &signed.message;
        // The same endorsement comes with every report of an image: a right signature is remembered.
        if !self.memo().check_kept(header.algorithm, signer.key(), &message.signed_bytes(), message.signature) {
            return Err(VerifyError::signature(PART, "the signature on the endorsement is wrong"));
        }
        if genuine.measurements() != [hex::encode(payload.launch_measurement)] {
            return Err(VerifyError::binding("uvm-measurement", "the endorsement is for another launch measurement"));
        }
        if payload.guest_svn < trust.minimum_svn {
            let detail = format!("the utility vm has version {}, at least {}", payload.guest_svn, trust.minimum_svn);
            return Err(VerifyError::tcb("uvm-svn", detail));
        }
        Ok(UvmEndorsement {
            issuer_did: header.issuer.to_owned(),
            feed: header.feed.to_owned(),
            guest_svn: payload.guest_svn,
            launch_measurement: payload.launch_measurement,
            signed_at: header.signing_time,
            not_after,
        })
    }

    /// The first of several endorsements that holds; `None` where there are none.
    ///
    /// # Errors
    /// The refusal of the first, if none holds.
    pub fn find_uvm(
        &self,
        endorsements: &[Vec<u8>],
        genuine: &Genuine,
        trust: &UvmTrust<'_>,
        now: UnixTime,
    ) -> Result<Option<UvmEndorsement>, VerifyError> {
        let mut refused = None;
        for cose in endorsements {
            match self.verify_uvm(cose, genuine, trust, now) {
                Ok(endorsement) => return Ok(Some(endorsement)),
                Err(why) => drop(refused.get_or_insert(why)),
            }
        }
        refused.map_or(Ok(None), Err)
    }
}

/// The path: `x5chain` in its order, from a signer with the issuer's key usage to the root that the issuer names. Answers with the
/// earliest end of what has to be in force now.
fn check_chain(header: &Header<'_>, now: UnixTime, memo: &Memo) -> Result<(VerifiedChain, UnixTime), VerifyError> {
    let issuer = Issuer::parse(header.issuer)?;
    let mut links = Vec::with_capacity(header.chain.len());
    for der in &header.chain {
        links.push(memo.certificate(der)?);
    }
    let [signer, between @ .., root] = links.as_slice() else {
        return Err(VerifyError::chain(CHAIN, "the chain has no signer below its root"));
    };
    if root.digest() != issuer.root {
        return Err(VerifyError::chain(CHAIN, "the chain does not end with the root that the issuer names"));
    }
    check_signer(signer, header, &issuer)?;
    let at = match header.signing_time {
        Some(signed) if signed > now.plus(LEEWAY) => {
            return Err(VerifyError::freshness(PART, "the endorsement was signed in the future"));
        }
        Some(signed) => signed,
        None => now,
    };
    let anchor = Anchor::of_issuer(header.issuer, Arc::clone(root));
    let rules =
        ChainRules { part: CHAIN, algorithms: ALGORITHMS, intermediates: MAX_CHAIN, now: at, leaf_extensions: &[] };
    let chain = verify_chain(signer, between, std::iter::once(&anchor), &rules, memo)?;
    if !chain.links.iter().map(|link| link.digest()).eq(links.iter().map(|link| link.digest())) {
        return Err(VerifyError::chain(CHAIN, "`x5chain` is not the path in order, the signer first"));
    }
    let counting = if header.signing_time.is_some() { chain.links.get(1..) } else { Some(chain.links.as_slice()) };
    let not_after = counting.unwrap_or_default().iter().map(|link| link.not_after()).min().unwrap_or(now);
    if not_after < now {
        return Err(VerifyError::chain(CHAIN, format!("an authority of the chain ended on {not_after}")));
    }
    Ok((chain, not_after))
}

fn check_signer(signer: &Certificate, header: &Header<'_>, issuer: &Issuer) -> Result<(), VerifyError> {
    if signer.is_ca() || !signer.may_sign_data() {
        return Err(VerifyError::chain(CHAIN, "the signer's certificate is not one that signs data"));
    }
    if !issuer.allows(signer) {
        return Err(VerifyError::chain(CHAIN, "the signer's certificate lacks the key usage that the issuer names"));
    }
    if header.signer.is_some_and(|digest| digest != signer.digest()) {
        return Err(VerifyError::chain(CHAIN, "`x5t` is not the digest of the signer's certificate"));
    }
    Ok(())
}
