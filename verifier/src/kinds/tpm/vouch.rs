//! Who vouches for an attestation key: an enrolment, the operator's pin, or a certificate. Threat model, P14 and P3.

use std::sync::Arc;

use super::wire::{AttestationKey, Document};
use crate::anchors::{AnchorScope, PinnedKey};
use crate::error::VerifyError;
use crate::formats::tpm::{
    ALGORITHMS, INTERMEDIATES, PublicArea, READ_EXTENSIONS, TpmMake, check_attestation_certificate,
    check_attestation_key,
};
use crate::formats::x509::{Certificate, ChainRules, VerifiedChain, check_listed, verify_chain};
use crate::scheme::Given;
use crate::signatures::PublicKey;
use crate::time::UnixTime;
use crate::verified::Revocation;

const PART: &str = "attestation-key";
const CHAIN: &str = "ak-chain";

/// How a key came to be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum By {
    /// A credential was activated through the endorsement key with this SHA-256 of its SubjectPublicKeyInfo.
    Enrolment { endorsement_key: [u8; 32] },
    /// A certificate of an authority, and what it says of the TPM.
    Certificate { make: TpmMake, serial: Vec<u8> },
    /// The operator pinned it.
    Pin,
}

/// An attestation key that is vouched for.
#[derive(Debug, Clone)]
pub(super) struct Vouched {
    /// Its public area; `None` where the operator pinned bare numbers.
    pub area: Option<PublicArea>,
    pub by: By,
    /// The operator's name of the anchor.
    pub anchor: String,
    pub revocation: Revocation,
    pub not_after: UnixTime,
}

/// Finds who vouches. An enrolment counts before a pin, a pin before a certificate.
///
/// # Errors
/// `chain-untrusted.attestation-key`: nobody, an enrolment that ended, or a public area that is no attestation key's;
/// `chain-untrusted.ak-chain`, `revoked.ak-chain`, `collateral-unavailable.ak-chain`, `unsupported.ak-chain` of the certificate;
/// `binding-mismatch.attestation-key`: the certificate is of another key, or the pinned key has another public area.
pub(super) fn vouch(document: &Document, key: &PublicKey, given: &Given<'_>) -> Result<Vouched, VerifyError> {
    let area = match &document.key {
        AttestationKey::Area(area) => Some(area.as_ref()),
        AttestationKey::Bare(_) => None,
    };
    if let Some(area) = area {
        check_attestation_key(area)?;
        if let Some(vouched) = enrolled(area, given)? {
            return Ok(vouched);
        }
    }
    if let Some(pin) = given.anchors.pinned(key) {
        return pinned(pin, area);
    }
    match (area, &document.certificate) {
        (Some(area), Some(certificate)) => certified(area, key, certificate, &document.chain, given),
        (None, _) => Err(VerifyError::chain(
            PART,
            "a bare public key is only good where it is pinned: send the public area as `ak`, or pin the key as a trust anchor",
        )),
        (Some(_), None) => Err(VerifyError::chain(
            PART,
            "nobody vouches for the attestation key: enrol the machine, send `ak_certificate` of an authority that is a trust anchor \
             of kind tpm, or pin the key as one",
        )),
    }
}

fn enrolled(area: &PublicArea, given: &Given<'_>) -> Result<Option<Vouched>, VerifyError> {
    let Some(known) = given.held.enrolled(area.name()) else { return Ok(None) };
    if given.now > known.not_after {
        let detail =
            format!("the enrolment of the attestation key ended on {}: enrol the machine again", known.not_after);
        return Err(VerifyError::chain(PART, detail));
    }
    Ok(Some(Vouched {
        area: Some(area.clone()),
        by: By::Enrolment { endorsement_key: known.endorsement_key },
        anchor: known.anchor.clone(),
        revocation: Revocation::NotDefined,
        not_after: known.not_after,
    }))
}

/// A public area that was pinned is the only one; a bare key that was pinned may come with an area, which then is held against what
/// makes an attestation key.
fn pinned(pin: &PinnedKey, area: Option<&PublicArea>) -> Result<Vouched, VerifyError> {
    if let (Some(pinned), Some(sent)) = (&pin.area, area)
        && pinned != sent
    {
        return Err(VerifyError::binding(PART, "the pinned key has another public area"));
    }
    Ok(Vouched {
        area: area.or(pin.area.as_ref()).cloned(),
        by: By::Pin,
        anchor: pin.name.clone(),
        revocation: Revocation::NotDefined,
        not_after: UnixTime::FOREVER,
    })
}

fn certified(
    area: &PublicArea,
    key: &PublicKey,
    certificate: &[u8],
    chain: &[Vec<u8>],
    given: &Given<'_>,
) -> Result<Vouched, VerifyError> {
    let leaf = given.memo.certificate(certificate)?;
    let make = check_attestation_certificate(&leaf, CHAIN)?;
    if leaf.key().digest() != key.digest() {
        return Err(VerifyError::binding(PART, "the certificate is of another attestation key"));
    }
    let chain = find_chain(&leaf, chain, given)?;
    let looked = check_listed(&chain, given.held, CHAIN, given.now, given.memo)?;
    Ok(Vouched {
        area: Some(area.clone()),
        by: By::Certificate { make, serial: leaf.serial().to_vec() },
        anchor: chain.anchor,
        revocation: looked.revocation,
        not_after: chain.not_after.min(looked.not_after),
    })
}

/// The path over what was sent; else over what is held too.
fn find_chain(leaf: &Arc<Certificate>, sent: &[Vec<u8>], given: &Given<'_>) -> Result<VerifiedChain, VerifyError> {
    let anchors = given.anchors.of(AnchorScope::TpmAttestation);
    if anchors.clone().next().is_none() {
        return Err(VerifyError::chain(CHAIN, "no trust anchor of kind tpm is configured"));
    }
    let rules = ChainRules {
        part: CHAIN,
        algorithms: ALGORITHMS,
        intermediates: INTERMEDIATES,
        now: given.now,
        leaf_extensions: READ_EXTENSIONS,
    };
    let mut issuers = Vec::new();
    for der in sent {
        issuers.push(given.memo.certificate(der)?);
    }
    let refused = match verify_chain(leaf, &issuers, anchors.clone(), &rules, given.memo) {
        Ok(chain) => return Ok(chain),
        Err(why) if given.held.certificates().is_empty() => return Err(why),
        Err(why) => why,
    };
    // What is held of other kinds need not parse.
    issuers.extend(given.held.certificates().iter().filter_map(|held| given.memo.held_certificate(held).ok()));
    verify_chain(leaf, &issuers, anchors, &rules, given.memo).map_err(|_| refused)
}
