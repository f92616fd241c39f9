//! Whether a quote is genuine and bound. Threat model, P14: quote, attestation key, recipient; each check with its own refusal.

use super::claims;
use super::logs::{boot_claims, not_production};
use super::recipient;
use super::vouch::{By, Vouched, vouch};
use super::wire::{AttestationKey, Document};
use crate::binding::{Binding, no_held_data};
use crate::error::VerifyError;
use crate::formats::tpm::{Attest, PcrSelection, PublicArea, QuoteFacts, Scheme, Signature, verify_quote};
use crate::kinds::EvidenceKind;
use crate::scheme::Given;
use crate::signatures::PublicKey;
use crate::verified::{BoundKey, Genuine, TpmState};

/// Quote, attestation key, recipient, logs; in this order.
pub(super) fn verify(document: &Document, given: &Given<'_>) -> Result<Genuine, VerifyError> {
    let attest = Attest::parse(&document.quote)?;
    let signature = Signature::parse(&document.signature)?;
    let key = key_of(document)?;
    let qualifying_data = match given.binding {
        Binding::Unbound => None,
        Binding::HeldData { .. } => return Err(no_held_data()),
        Binding::Native(native) => native.report_data().get(..32),
    };
    let facts = QuoteFacts { attest: &attest, signature: &signature, pcrs: &document.pcrs, key: &key, qualifying_data };
    let selection = verify_quote(&facts, given.memo)?;
    let vouched = vouch(document, &key, given)?;
    if let Some(area) = &vouched.area {
        fits(area, &attest, &signature)?;
    }
    let resident = document.resident.as_ref();
    let resident = resident.map(|sent| recipient::check(sent, &attest, &key, given)).transpose()?;
    let boot = boot_claims(document)?;

    let bound = match given.binding {
        Binding::Native(native) => BoundKey::Present(native.recipient().clone()),
        Binding::Unbound | Binding::HeldData { .. } => BoundKey::Absent,
    };
    let mut genuine = Genuine::assertion(EvidenceKind::Tpm, &vouched.anchor, bound);
    let numbers = key.spki_sha256().map(hex::encode);
    let numbers = numbers.ok_or_else(|| VerifyError::unsupported("tpm-public", "the key cannot be written"))?;
    let name = vouched.area.as_ref().map(|area| hex::encode(area.name()));
    genuine.unproven = not_production(&boot);
    genuine.attested = claims::attested(document, &attest, &signature, &vouched, &numbers, resident.as_ref(), boot);
    genuine.resident = resident.map(|resident| resident.key);
    genuine.sha1 = sha1_alone(selection, &signature);
    genuine.revocation = vouched.revocation;
    genuine.platforms = platforms(&vouched, name.as_deref(), &numbers, &attest);
    let strong = document.pcrs.iter().filter(|(bank, _)| bank.is_strong());
    genuine.measurements = strong.flat_map(|(_, registers)| registers.values().map(hex::encode)).collect();
    genuine.not_after = vouched.not_after;
    genuine.signed = Some(openssl::sha::sha256(&[document.quote.as_slice(), &document.signature].concat()));
    genuine.tpm = Some(TpmState {
        key: numbers,
        name,
        reset_count: attest.clock.reset_count,
        restart_count: attest.clock.restart_count,
        clock: attest.clock.clock,
        safe: attest.clock.safe,
    });
    Ok(genuine)
}

/// Why a quote counts only where SHA-1 is accepted, if it does.
pub(in crate::kinds) fn sha1_alone(selection: &PcrSelection, signature: &Signature<'_>) -> Option<VerifyError> {
    if !selection.has_strong_bank() {
        return Some(VerifyError::unsupported("pcr-bank", "the quote is over registers of sha1 alone"));
    }
    let weak = !signature.hash.is_strong();
    weak.then(|| VerifyError::unsupported("tpm-signature", "the quote is signed over sha1"))
}

fn key_of(document: &Document) -> Result<PublicKey, VerifyError> {
    match &document.key {
        AttestationKey::Bare(key) => Ok(key.clone()),
        AttestationKey::Area(area) => area
            .public_key()
            .ok_or_else(|| VerifyError::unsupported("tpm-public", "the key is none that signatures are checked with")),
    }
}

/// Signer and scheme are those of the key: the qualified name is by the hash of its name, and the signature by its own scheme.
fn fits(area: &PublicArea, attest: &Attest<'_>, signature: &Signature<'_>) -> Result<(), VerifyError> {
    if attest.qualified_signer.get(..2) != area.name().get(..2) {
        let detail = "the quote names a signer by another hash than the attestation key's";
        return Err(VerifyError::binding("qualified-signer", detail));
    }
    if area.scheme() != Scheme::Signs(signature.scheme, signature.hash) {
        let detail = "the quote is signed by another scheme than the attestation key's";
        return Err(VerifyError::unsupported("tpm-signature", detail));
    }
    Ok(())
}

/// The key by name, and by the digest of its numbers: whoever has a certificate for them may write another public area around them.
fn platforms(vouched: &Vouched, name: Option<&str>, numbers: &str, attest: &Attest<'_>) -> Vec<String> {
    let mut platforms: Vec<String> = name.into_iter().chain([numbers]).map(|key| format!("tpm-ak:{key}")).collect();
    if let By::Enrolment { endorsement_key } = &vouched.by {
        platforms.push(format!("tpm-ek:{}", hex::encode(endorsement_key)));
    }
    platforms.push(format!("tpm-firmware:{:016x}", attest.firmware_version));
    platforms
}
