//! Trust anchors: the vendors' roots, pinned and embedded, and those that an operator added.
//!
//! An anchor is looked up by technology and product, never as "any root" (P3). It is a pair of name and key: a clone with
//! the same name and another key is not it, nor is the same key under another name.

use std::sync::Arc;

use crate::endorsements::AmdProduct;
use crate::error::VerifyError;
use crate::formats::x509::{Certificate, key_of_spki};
use crate::kinds::EvidenceKind;
use crate::kinds::azure_vtpm::Paravisors;
use crate::roots;
use crate::signatures::PublicKey;
use crate::tpm::PublicArea;

/// What an operator's anchor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnchorPurpose {
    /// Evidence hangs on it.
    Attestation,
    /// Endorsement keys hang on it, by which machines are enrolled: TPMs alone. No evidence is believed for it.
    Endorsement,
}

impl AnchorPurpose {
    /// Reads the word of the settings, exactly.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "attestation" => Some(Self::Attestation),
            "endorsement" => Some(Self::Endorsement),
            _ => None,
        }
    }
}

/// What an anchor may vouch for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnchorScope {
    /// Intel SGX and TDX: both hang on the one Intel SGX Root CA.
    Intel(EvidenceKind),
    /// One AMD product line.
    Amd(AmdProduct),
    /// AWS Nitro Enclaves.
    Nitro,
    /// The software attester; no built-in anchor exists.
    Software,
    /// Certificates of TPM attestation keys; no built-in anchor exists.
    TpmAttestation,
    /// Certificates of TPM endorsement keys, at enrolment; no built-in anchor exists.
    TpmEndorsement,
    /// Endorsements of a utility VM: the root that a trusted did:x509 names by its fingerprint. Never among a verifier's own.
    UvmIssuer,
    /// Tokens that bring a certificate chain: a root pinned for one issuer. Never among a verifier's own.
    TokenIssuer,
}

/// One root certificate, what it may vouch for, and the name under which claims speak of it.
#[derive(Debug, Clone)]
pub struct Anchor {
    name: String,
    scope: AnchorScope,
    certificate: Arc<Certificate>,
}

impl Anchor {
    /// The claim `keygate.anchor`: `vendor`, `software`, or the operator's name.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// What it may vouch for.
    pub fn scope(&self) -> AnchorScope {
        self.scope
    }
    /// A root that the caller's trusted issuer names, for one verification.
    pub(crate) fn of_issuer(did: &str, root: Arc<Certificate>) -> Self {
        Self { name: did.to_owned(), scope: AnchorScope::UvmIssuer, certificate: root }
    }
    /// A root pinned for one issuer of tokens: a self-signed CA certificate.
    ///
    /// # Errors
    /// As [`Anchors::add`].
    pub(crate) fn of_tokens(der: &[u8]) -> Result<Self, VerifyError> {
        let certificate = own_ca(der)?;
        let name = certificate.common_name().unwrap_or_default();
        Ok(Self { name, scope: AnchorScope::TokenIssuer, certificate: Arc::new(certificate) })
    }
    pub(crate) fn certificate(&self) -> &Arc<Certificate> {
        &self.certificate
    }
    /// SHA-256 of the certificate's DER, 32 bytes.
    pub fn digest(&self) -> [u8; 32] {
        self.certificate.digest()
    }
}

/// All anchors of a verifier.
#[derive(Debug, Clone)]
pub struct Anchors {
    list: Vec<Anchor>,
    pins: Vec<PinnedKey>,
    paravisors: Paravisors,
}

impl Anchors {
    /// The name of the vendors' own anchors in claims and options.
    pub const VENDOR: &'static str = "vendor";

    /// The embedded vendor roots: Intel SGX Root CA, AMD ARK of Milan, Genoa and Turin, AWS Nitro Enclaves Root G1.
    ///
    /// # Errors
    /// An embedded file that is not the pinned one; a build that was tampered with.
    pub fn vendor() -> Result<Self, VerifyError> {
        let mut list = Vec::new();
        for root in roots::ALL {
            let certificate = Arc::new(Certificate::parse(root.der)?);
            if certificate.digest() != root.sha256 {
                return Err(VerifyError::chain("embedded-root", format!("`{}` is not the pinned root", root.file)));
            }
            for scope in root.scopes {
                list.push(Anchor {
                    name: Self::VENDOR.to_owned(),
                    scope: *scope,
                    certificate: Arc::clone(&certificate),
                });
            }
        }
        Ok(Self { list, pins: Vec::new(), paravisors: Paravisors::default() })
    }

    /// No anchors at all.
    pub fn none() -> Self {
        Self { list: Vec::new(), pins: Vec::new(), paravisors: Paravisors::default() }
    }

    /// Adds an operator's anchor for attestation: a self-signed CA certificate in DER for one kind of evidence. Adds an anchor,
    /// removes no check.
    ///
    /// For `snp` the product is read from the subject's common name (`ARK-Milan`, `ARK-Genoa`, `ARK-Turin`).
    ///
    /// # Errors
    /// `malformed` or `unsupported`: not a certificate, not a CA, not self-signed, a weak key, an unknown product, the reserved
    /// name `vendor`, or a duplicate.
    pub fn add(&mut self, name: &str, kind: EvidenceKind, der: &[u8]) -> Result<(), VerifyError> {
        self.add_for(name, kind, AnchorPurpose::Attestation, der)
    }

    /// The same for a purpose.
    ///
    /// # Errors
    /// As [`Anchors::add`]; `unsupported` for a purpose that the kind has not.
    pub fn add_for(
        &mut self,
        name: &str,
        kind: EvidenceKind,
        purpose: AnchorPurpose,
        der: &[u8],
    ) -> Result<(), VerifyError> {
        not_reserved(name)?;
        let certificate = own_ca(der)?;
        let scope = match (kind, purpose) {
            (EvidenceKind::Tpm, AnchorPurpose::Attestation) => AnchorScope::TpmAttestation,
            (EvidenceKind::Tpm, AnchorPurpose::Endorsement) => AnchorScope::TpmEndorsement,
            (_, AnchorPurpose::Endorsement) => {
                let detail = format!("kind `{}` has no anchors for enrolment", kind.as_str());
                return Err(VerifyError::unsupported("anchor", detail));
            }
            (EvidenceKind::Sgx | EvidenceKind::Tdx, _) => AnchorScope::Intel(kind),
            (EvidenceKind::AzureVtpm, _) => {
                let detail = "kind `azure-vtpm` hangs on anchors of the hardware below: add one of kind `snp` or `tdx`";
                return Err(VerifyError::unsupported("anchor", detail));
            }
            (EvidenceKind::Nitro, _) => AnchorScope::Nitro,
            (EvidenceKind::Software, _) => AnchorScope::Software,
            (EvidenceKind::Snp, _) => {
                let product = certificate.common_name().as_deref().and_then(AmdProduct::from_ark_name);
                AnchorScope::Amd(product.ok_or_else(|| {
                    VerifyError::unsupported("anchor", "the common name names no known product, such as `ARK-Milan`")
                })?)
            }
        };
        let digest = certificate.digest();
        if self.list.iter().any(|a| a.scope == scope && a.digest() == digest) {
            return Err(VerifyError::unsupported("anchor", "this certificate is an anchor already"));
        }
        self.list.push(Anchor { name: name.to_owned(), scope, certificate: Arc::new(certificate) });
        Ok(())
    }

    /// Pins one attestation key of a TPM: its SubjectPublicKeyInfo in DER, its TPMT_PUBLIC or its TPM2B_PUBLIC. An operator who pins
    /// a bare public key vouches for its attributes too; a public area is held against what makes an attestation key.
    ///
    /// # Errors
    /// `unsupported`: a kind other than `tpm`, a reserved name, a duplicate, a key of another type or size; `malformed`: no public
    /// key; `chain-untrusted.attestation-key`: a public area that is no attestation key's.
    pub fn pin(&mut self, name: &str, kind: EvidenceKind, key: &[u8]) -> Result<(), VerifyError> {
        not_reserved(name)?;
        if kind != EvidenceKind::Tpm {
            let detail = format!("kind `{}` has no pinned keys", kind.as_str());
            return Err(VerifyError::unsupported("anchor", detail));
        }
        let pin = PinnedKey::read(name, key)?;
        if self.pins.iter().any(|known| known.key.digest() == pin.key.digest()) {
            return Err(VerifyError::unsupported("anchor", "this key is pinned already"));
        }
        self.pins.push(pin);
        Ok(())
    }

    /// Names a launch as that of a paravisor on Azure, beside those that Microsoft signed: MRTD of TDX or launch measurement of
    /// SEV-SNP, 48 bytes.
    pub fn add_paravisor(&mut self, launch: [u8; 48]) {
        self.paravisors.add(launch);
    }

    pub(crate) fn paravisors(&self) -> &Paravisors {
        &self.paravisors
    }

    /// The pin of a key with these numbers.
    pub(crate) fn pinned(&self, key: &PublicKey) -> Option<&PinnedKey> {
        self.pins.iter().find(|pin| pin.key.digest() == key.digest())
    }

    /// The anchors of one scope.
    pub fn of(&self, scope: AnchorScope) -> impl Iterator<Item = &Anchor> + Clone {
        self.list.iter().filter(move |a| a.scope == scope)
    }
}

/// A key that an operator pinned.
#[derive(Debug, Clone)]
pub(crate) struct PinnedKey {
    /// The operator's name for it.
    pub name: String,
    /// The key.
    pub key: PublicKey,
    /// Its public area, where the operator gave that.
    pub area: Option<PublicArea>,
}

impl PinnedKey {
    fn read(name: &str, bytes: &[u8]) -> Result<Self, VerifyError> {
        // A public area begins with its size or with type 1 or 35, a key in DER with a sequence.
        if bytes.first() == Some(&0x30) {
            return Ok(Self { name: name.to_owned(), key: key_of_spki(bytes)?, area: None });
        }
        let area = PublicArea::parse(bytes)?;
        area.check_attestation_key()?;
        let key = area
            .public_key()
            .ok_or_else(|| VerifyError::unsupported("anchor", "the key is none that signatures are checked with"))?;
        Ok(Self { name: name.to_owned(), key, area: Some(area) })
    }
}

fn not_reserved(name: &str) -> Result<(), VerifyError> {
    if name.is_empty() || name == Anchors::VENDOR {
        return Err(VerifyError::unsupported("anchor", format!("`{name}` is a reserved name")));
    }
    Ok(())
}

/// A CA certificate that is issued and signed by itself.
fn own_ca(der: &[u8]) -> Result<Certificate, VerifyError> {
    let certificate = Certificate::parse(der)?;
    if !certificate.is_ca() || certificate.issuer() != certificate.subject() {
        return Err(VerifyError::unsupported("anchor", "an anchor is a self-issued CA certificate"));
    }
    if !crate::signatures::certificate_signed_by(&certificate, certificate.key()) {
        return Err(VerifyError::unsupported("anchor", "the certificate's signature over itself is wrong"));
    }
    Ok(certificate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_roots_are_the_pinned_ones_and_sign_themselves() {
        let anchors = Anchors::vendor().unwrap();
        assert_eq!(anchors.list.len(), 6);
        for anchor in &anchors.list {
            let certificate = anchor.certificate();
            // Intel's root is signed by ECDSA P-256, AMD's by RSA-PSS, AWS's by ECDSA P-384.
            assert!(crate::signatures::certificate_signed_by(certificate, certificate.key()), "{anchor:?}");
            assert!(certificate.is_ca());
        }
    }

    #[test]
    fn x509_13_an_anchor_name_is_not_reused_and_vendor_is_reserved() {
        let mut anchors = Anchors::vendor().unwrap();
        let intel = roots::INTEL_SGX_ROOT_CA.der;
        assert_eq!(anchors.add("vendor", EvidenceKind::Sgx, intel).unwrap_err().code(), "unsupported");
        assert_eq!(anchors.add("mine", EvidenceKind::Sgx, intel).unwrap_err().code(), "unsupported");
        assert!(anchors.add("mine", EvidenceKind::Nitro, intel).is_ok());
    }
}
