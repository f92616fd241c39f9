//! An issuer named by the certificates that it signs with. did:x509 method specification, version 0.
//!
//! `did:x509:0:sha256:<fingerprint of an authority>::eku:<object identifier>`: of the method's forms the one that makers of utility
//! VMs use. The fingerprint must be the root's here.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use der::Decode;
use der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::ExtendedKeyUsage;

use super::PART;
use crate::error::VerifyError;
use crate::formats::x509::Certificate;

const METHOD: &str = "did:x509:0:sha256:";
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");

/// What an issuer's name demands of a chain.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Issuer {
    /// SHA-256 of the root's certificate in DER.
    pub root: [u8; 32],
    /// The key usage that the signer's certificate carries.
    usage: ObjectIdentifier,
}

impl Issuer {
    /// Reads the name.
    ///
    /// # Errors
    /// `unsupported`: another method, version, hash or policy than the one form above, or more than one policy.
    pub fn parse(did: &str) -> Result<Self, VerifyError> {
        let unsupported = |what: &'static str| VerifyError::unsupported(PART, what);
        let rest = did.strip_prefix(METHOD).ok_or_else(|| unsupported("the issuer is no did:x509 with sha-256"))?;
        let (fingerprint, policy) = rest.split_once("::").ok_or_else(|| unsupported("the issuer has no policy"))?;
        let root = URL_SAFE_NO_PAD.decode(fingerprint).ok().and_then(|bytes| bytes.try_into().ok());
        let usage = policy.strip_prefix("eku:").and_then(|id| ObjectIdentifier::new(id).ok());
        match (root, usage) {
            (Some(root), Some(usage)) => Ok(Self { root, usage }),
            (None, _) => Err(unsupported("the issuer's fingerprint is no sha-256")),
            (_, None) => Err(unsupported("the issuer's policy is not one extended key usage")),
        }
    }

    /// Whether a certificate carries the key usage.
    pub fn allows(&self, signer: &Certificate) -> bool {
        let usages = signer.extension(&EXTENDED_KEY_USAGE).and_then(|value| ExtendedKeyUsage::from_der(value).ok());
        usages.is_some_and(|usages| usages.0.contains(&self.usage))
    }
}

#[cfg(test)]
mod tests {
    use super::super::MICROSOFT_UVM_ISSUER;
    use super::*;

    #[test]
    fn one_form_of_the_method_is_read() {
        let issuer = Issuer::parse(MICROSOFT_UVM_ISSUER).unwrap();
        assert_eq!(hex::encode(issuer.root), "23ffe2b8bdb9a1711515d4cffda04bc7f793d513c76c243f1020507d8669b7db");
        assert_eq!(issuer.usage.to_string(), "1.3.6.1.4.1.311.76.59.1.2");
        for (from, to) in [
            ("did:x509:0", "did:x509:1"),
            ("did:x509", "did:web"),
            ("sha256", "sha384"),
            ("I__iuL", "I__iu"),
            ("t9s::", "t9s=::"),
            ("I__i", "I//i"),
            ("::eku", ":eku"),
            ("::eku:", "::subject:CN:"),
            ("59.1.2", "59.1.2::eku:1.2.3"),
            ("59.1.2", "59.1."),
            ("1.3.6.1.4.1.311.76.59.1.2", ""),
        ] {
            let did = MICROSOFT_UVM_ISSUER.replacen(from, to, 1);
            assert_ne!(did, MICROSOFT_UVM_ISSUER);
            assert_eq!(Issuer::parse(&did).unwrap_err().code(), "unsupported", "{did}");
        }
    }
}
