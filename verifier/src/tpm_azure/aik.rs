//! Who vouches for the attestation key of a request: the operator's pin, or a certificate. TPM and VBS attestation protocol, section 3,
//! checks 4 and 5; threat model, P3 and P14.
//!
//! The protocol carries the numbers of the key and no public area, so that its attributes are the word of whoever vouches.

use std::sync::Arc;

use super::appraise::TpmRules;
use super::payload::State;
use crate::anchors::{AnchorScope, Anchors};
use crate::endorsements::Endorsements;
use crate::error::VerifyError;
use crate::formats::tpm::{ALGORITHMS, INTERMEDIATES, READ_EXTENSIONS, check_attestation_certificate};
use crate::formats::x509::{Certificate, ChainRules, check_listed, verify_chain};
use crate::memo::Memo;
use crate::time::UnixTime;

const PART: &str = "attestation-key";
const CHAIN: &str = "ak-chain";
/// The most bytes of one certificate with its issuers.
const MAX_CHAIN: usize = 64 << 10;

/// A key that is vouched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Vouched {
    /// The operator's name of the anchor.
    pub anchor: String,
}

/// Finds who vouches; `None` where nobody does and the rules bear with that.
///
/// # Errors
/// Where a valid certificate is required: `chain-untrusted.attestation-key` without one; `chain-untrusted.ak-chain`,
/// `revoked.ak-chain`, `unsupported.ak-chain`, `malformed` of the certificate; `binding-mismatch.attestation-key`: it is of another
/// key.
pub(super) fn vouch(
    state: &State,
    rules: &TpmRules<'_>,
    anchors: &Anchors,
    held: &Endorsements,
    now: UnixTime,
    memo: &Memo,
) -> Result<Option<Vouched>, VerifyError> {
    let counts = |name: &str| rules.anchors.contains(&name);
    if let Some(pin) = anchors.pinned(&state.aik.key).filter(|pin| counts(&pin.name)) {
        return Ok(Some(Vouched { anchor: pin.name.clone() }));
    }
    match certified(state, &counts, anchors, held, now, memo) {
        Ok(vouched) => Ok(Some(vouched)),
        Err(_) if !rules.require_valid_aik_cert => Ok(None),
        Err(why) => Err(why),
    }
}

fn certified(
    state: &State,
    counts: &impl Fn(&str) -> bool,
    anchors: &Anchors,
    held: &Endorsements,
    now: UnixTime,
    memo: &Memo,
) -> Result<Vouched, VerifyError> {
    let missing = || VerifyError::chain(PART, "the request brings no certificate of the attestation key");
    let mut sent = split(state.aik_certificate.as_deref().ok_or_else(missing)?)?.into_iter();
    let leaf = memo.certificate(sent.next().ok_or_else(missing)?)?;
    check_attestation_certificate(&leaf, CHAIN)?;
    if leaf.key().digest() != state.aik.key.digest() {
        return Err(VerifyError::binding(PART, "the certificate is of another attestation key"));
    }
    let mut issuers: Vec<Arc<Certificate>> = Vec::new();
    for der in sent {
        issuers.push(memo.certificate(der)?);
    }
    issuers.extend(held.certificates().iter().filter_map(|one| memo.held_certificate(one).ok()));
    let rules = ChainRules {
        part: CHAIN,
        algorithms: ALGORITHMS,
        intermediates: INTERMEDIATES,
        now,
        leaf_extensions: READ_EXTENSIONS,
    };
    let roots = anchors.of(AnchorScope::TpmAttestation).filter(|anchor| counts(anchor.name()));
    let chain = verify_chain(&leaf, &issuers, roots, &rules, memo)?;
    check_listed(&chain, held, CHAIN, now, memo)?;
    Ok(Vouched { anchor: chain.anchor })
}

/// Certificates in DER one behind the other: the key's, then those of its issuers.
fn split(mut bytes: &[u8]) -> Result<Vec<&[u8]>, VerifyError> {
    let bad = || VerifyError::malformed(PART, "the certificate of the attestation key is no certificate in der");
    if bytes.len() > MAX_CHAIN {
        return Err(VerifyError::too_large(PART, format!("certificates of more than {MAX_CHAIN} bytes")));
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        // A sequence with its length in two bytes, as every certificate has it.
        let [0x30, 0x82, high, low, ..] = *bytes else { return Err(bad()) };
        let length = usize::from(u16::from_be_bytes([high, low])).saturating_add(4);
        let (one, rest) = bytes.split_at_checked(length).ok_or_else(bad)?;
        found.push(one);
        bytes = rest;
        if found.len() > INTERMEDIATES.saturating_add(1) {
            return Err(VerifyError::too_large(PART, "more certificates than a chain of a tpm has"));
        }
    }
    Ok(found)
}
