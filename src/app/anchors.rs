//! Files of trust anchors: certificates of authorities, and keys that are pinned.

use keygate_verifier::{AnchorPurpose, Anchors, EvidenceKind};
use openssl::pkey::PKey;
use openssl::x509::X509;

use super::certificates;

/// Adds every certificate of a file (PEM or DER), or pins the public key in it: PEM, DER, or a TPM's public area.
///
/// # Errors
/// What is wrong with the file, as a sentence.
pub fn add_file(
    anchors: &mut Anchors,
    name: &str,
    kind: EvidenceKind,
    purpose: AnchorPurpose,
    bytes: &[u8],
) -> Result<(), String> {
    if let Some(key) = pinned(kind, bytes) {
        if purpose != AnchorPurpose::Attestation {
            return Err(
                "a key is pinned for attestation; for enrolment give the certificate of an authority".to_owned()
            );
        }
        return anchors.pin(name, kind, &key).map_err(|e| e.detail().to_owned());
    }
    for der in certificates(bytes).ok_or("it holds no certificate")? {
        anchors.add_for(name, kind, purpose, &der).map_err(|e| e.detail().to_owned())?;
    }
    Ok(())
}

/// The public key of a file that is no certificate's.
fn pinned(kind: EvidenceKind, bytes: &[u8]) -> Option<Vec<u8>> {
    if kind != EvidenceKind::Tpm {
        return None;
    }
    if bytes.starts_with(b"-----BEGIN PUBLIC KEY-----") {
        return PKey::public_key_from_pem(bytes).ok()?.public_key_to_der().ok();
    }
    let is_text = bytes.starts_with(b"-----BEGIN ");
    (!is_text && X509::from_der(bytes).is_err()).then(|| bytes.to_vec())
}
