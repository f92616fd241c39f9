//! Whether a quote is right. Threat model, P14: ordered checks, each with a refusal of its own.
//!
//! Part 3, section 18.4 (TPM2_Quote); part 1, section 17.5 (digest of selected registers).

use super::{Attest, Attested, PcrSelection, Signature};
use crate::error::VerifyError;
use crate::formats::tcg::PcrValues;
use crate::memo::Memo;
use crate::signatures::PublicKey;

/// A quote with everything that is held against it. Nothing about it is believed yet.
#[derive(Clone, Copy)]
pub(crate) struct QuoteFacts<'a> {
    /// The attestation.
    pub attest: &'a Attest<'a>,
    /// The signature over its bytes.
    pub signature: &'a Signature<'a>,
    /// The values of the registers, as they were given.
    pub pcrs: &'a PcrValues,
    /// The attestation key.
    pub key: &'a PublicKey,
    /// What the quote must answer; `None`: nothing is asked.
    pub qualifying_data: Option<&'a [u8]>,
}

/// Checks type, qualifying data, selection, digest and signature, in this order. The magic stands before all: without it there is
/// no [`Attest`]. Who vouches for the key is not asked here.
///
/// # Errors
/// `malformed.attest-type`, `freshness-failed.qualifying-data`, `binding-mismatch.pcr-selection`, `binding-mismatch.pcr-digest`,
/// `signature-invalid.quote`.
pub(crate) fn verify_quote<'a>(facts: &QuoteFacts<'a>, memo: &Memo) -> Result<&'a PcrSelection, VerifyError> {
    let attest = facts.attest;
    let Attested::Quote { selection, digest } = &attest.attested else {
        return Err(VerifyError::malformed("attest-type", "the attestation is of a name, not a quote"));
    };
    if facts.qualifying_data.is_some_and(|wanted| wanted != attest.extra_data) {
        return Err(VerifyError::freshness("qualifying-data", "the quote answers another challenge or request"));
    }
    if !selection.is_of(facts.pcrs) {
        let detail = "the values that were given are not exactly those of the registers that were quoted";
        return Err(VerifyError::binding("pcr-selection", detail));
    }
    if selection.digest(facts.pcrs, facts.signature.hash).as_deref() != Some(*digest) {
        return Err(VerifyError::binding("pcr-digest", "the values of the registers are not those that were quoted"));
    }
    check_signature(attest, facts.signature, facts.key, memo, "quote")?;
    Ok(selection)
}

/// Checks the signature over an attestation.
///
/// # Errors
/// `signature-invalid` with this part.
pub(crate) fn check_signature(
    attest: &Attest<'_>,
    signature: &Signature<'_>,
    key: &PublicKey,
    memo: &Memo,
    part: &'static str,
) -> Result<(), VerifyError> {
    let right =
        signature.of(key).is_some_and(|numbers| memo.check_fresh(signature.algorithm(), key, attest.bytes(), &numbers));
    if right { Ok(()) } else { Err(VerifyError::signature(part, "the attestation key did not sign this")) }
}
