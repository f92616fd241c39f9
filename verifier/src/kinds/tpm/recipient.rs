//! A recipient's key that lives in the TPM: TPM2_Certify by the attestation key. Part 3, section 18.2; bad inputs, TPM-36.

use super::wire::ResidentKey;
use crate::binding::Binding;
use crate::error::VerifyError;
use crate::formats::tpm::{Attest, Attested, Curve, Key, PublicArea, Signature, check_signature};
use crate::recipient::{RecipientCurve, RecipientKey};
use crate::scheme::Given;
use crate::signatures::PublicKey;

const PART: &str = "recipient-key";

/// A key that was found to live in the TPM.
#[derive(Debug, Clone)]
pub(in crate::kinds) struct Resident {
    /// Its name.
    pub name: Vec<u8>,
    /// Its numbers.
    pub key: RecipientKey,
}

/// Type, qualifying data, name, signature, attributes, and the key itself against the recipient that is bound.
///
/// # Errors
/// `malformed.attest-type`, `freshness-failed.recipient-key`, `binding-mismatch.recipient-key`, `signature-invalid.recipient-key`,
/// `chain-untrusted.recipient-key` for a key that can leave the TPM, came from outside or does not decrypt.
pub(in crate::kinds) fn check(
    sent: &ResidentKey,
    quote: &Attest<'_>,
    attestation_key: &PublicKey,
    given: &Given<'_>,
) -> Result<Resident, VerifyError> {
    let certify = Attest::parse(&sent.certify)?;
    let signature = Signature::parse(&sent.signature)?;
    let Attested::Certify { name, .. } = &certify.attested else {
        return Err(VerifyError::malformed("attest-type", "what certifies the recipient's key is a quote"));
    };
    if certify.extra_data != quote.extra_data {
        return Err(VerifyError::freshness(PART, "the recipient's key was certified for another challenge or request"));
    }
    if certify.qualified_signer != quote.qualified_signer {
        return Err(VerifyError::binding(PART, "another key than the quote's certified the recipient's key"));
    }
    if *name != sent.public.name() {
        return Err(VerifyError::binding(PART, "the certified name is of another key"));
    }
    if !signature.hash.is_strong() && !given.options.allow_sha1 {
        return Err(VerifyError::unsupported(PART, "the recipient's key is certified over sha1"));
    }
    check_signature(&certify, &signature, attestation_key, given.memo, PART)?;
    check_attributes(&sent.public)?;
    let Some(key) = recipient_of(&sent.public) else {
        return Err(VerifyError::binding(PART, "the certified key is none that answers are sealed to"));
    };
    if let Binding::Native(native) = given.binding
        && key != *native.recipient()
    {
        return Err(VerifyError::binding(PART, "the certified key is another than the recipient's"));
    }
    Ok(Resident { name: sent.public.name().to_vec(), key })
}

fn check_attributes(public: &PublicArea) -> Result<(), VerifyError> {
    let has = public.attributes();
    let wanted = [
        (has.decrypt(), "it does not decrypt"),
        (!has.restricted(), "it is restricted: it opens nothing for a caller"),
        (has.fixed_tpm(), "it is not fixed to its tpm"),
        (has.fixed_parent(), "it is not fixed to its parent"),
        (has.sensitive_data_origin(), "its secret part was not made by the tpm"),
    ];
    match wanted.iter().find(|(holds, _)| !holds) {
        None => Ok(()),
        Some((_, why)) => {
            Err(VerifyError::chain(PART, format!("the recipient's key does not live in the tpm alone: {why}")))
        }
    }
}

fn recipient_of(public: &PublicArea) -> Option<RecipientKey> {
    match public.key() {
        Key::Rsa { n, e } => RecipientKey::rsa(n, e).ok(),
        Key::Ec { curve, point } => {
            let (x, y) = point.get(1..)?.split_at_checked(curve.size())?;
            let curve = match curve {
                Curve::P256 => RecipientCurve::P256,
                Curve::P384 => RecipientCurve::P384,
            };
            RecipientKey::ec(curve, x, y).ok()
        }
    }
}
