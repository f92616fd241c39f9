//! Trust anchors: the vendors' roots, pinned and embedded, and those that an operator added.
//!
//! An anchor is looked up by technology and product, never as "any root" (P3). It is a pair of name and key: a clone with
//! the same name and another key is not it, nor is the same key under another name.

use std::sync::Arc;

use crate::endorsements::AmdProduct;
use crate::error::VerifyError;
use crate::formats::x509::Certificate;
use crate::kinds::EvidenceKind;
use crate::roots;

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
        Ok(Self { list })
    }

    /// No anchors at all.
    pub fn none() -> Self {
        Self { list: Vec::new() }
    }

    /// Adds an operator's anchor: a self-signed CA certificate in DER for one kind of evidence. Adds an anchor, removes no check.
    ///
    /// For `snp` the product is read from the subject's common name (`ARK-Milan`, `ARK-Genoa`, `ARK-Turin`).
    ///
    /// # Errors
    /// `malformed` or `unsupported`: not a certificate, not a CA, not self-signed, a weak key, an unknown product, the reserved
    /// name `vendor`, or a duplicate.
    pub fn add(&mut self, name: &str, kind: EvidenceKind, der: &[u8]) -> Result<(), VerifyError> {
        if name.is_empty() || name == Self::VENDOR {
            return Err(VerifyError::unsupported("anchor", format!("`{name}` is a reserved name")));
        }
        let certificate = own_ca(der)?;
        let scope = match kind {
            EvidenceKind::Sgx | EvidenceKind::Tdx => AnchorScope::Intel(kind),
            EvidenceKind::Nitro => AnchorScope::Nitro,
            EvidenceKind::Software => AnchorScope::Software,
            EvidenceKind::Snp => {
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

    /// The anchors of one scope.
    pub fn of(&self, scope: AnchorScope) -> impl Iterator<Item = &Anchor> + Clone {
        self.list.iter().filter(move |a| a.scope == scope)
    }
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
