//! Who vouches for an endorsement key: a certificate under an operator's root for endorsement, or an operator's word for this very key.
//!
//! Threat model P14; `bad-inputs.md` TPM-14 and TPM-15. A certificate that is shown must hold, whatever the operator says of its key.

use keygate_keystore::{ALLOWED_EK, ProviderId};
use keygate_verifier::tpm::PublicArea;
use keygate_verifier::{Endorsements, UnixTime};
use openssl::sha::sha256;

use super::EnrolRequest;
use crate::broker::Broker;
use crate::broker::error::{Code, Fault};

/// Certificates between that of an endorsement key and its root.
const LONGEST_CHAIN: usize = 8;

/// An endorsement key that somebody vouches for.
pub(super) struct Vouched {
    /// The operator's anchor, or [`ALLOWED_EK`].
    pub(super) anchor: String,
    /// SHA-256 of the key's SubjectPublicKeyInfo.
    pub(super) ek: [u8; 32],
    /// SHA-256 of the certificate.
    pub(super) certificate: Option<[u8; 32]>,
    /// The last second that the word counts; none: until it is taken back.
    pub(super) not_after: Option<UnixTime>,
}

impl Broker {
    /// Finds who vouches for the key.
    pub(super) fn vouch(
        &self,
        provider: &ProviderId,
        key: &PublicArea,
        request: &EnrolRequest,
        now: UnixTime,
    ) -> Result<Vouched, Fault> {
        let Some(certificate) = &request.certificate else {
            if !request.chain.is_empty() {
                return Err(Fault::new(Code::Malformed, "a chain without the certificate that it is for"));
            }
            return self.allowed(provider, key);
        };
        if request.chain.len() > LONGEST_CHAIN {
            return Err(Fault::new(Code::TooLarge, "the chain has more than 8 certificates"));
        }
        // What an operator laid beside the collateral counts too: intermediates, and revocation lists.
        let mut held = self.library.known(keygate_verifier::EvidenceKind::Tpm);
        let mut sent = Endorsements::default();
        for der in &request.chain {
            sent.add_certificate(der);
        }
        held.extend(&sent);
        let verified = self.verifier.verify_endorsement(certificate, key, &held, now)?;
        Ok(Vouched {
            anchor: verified.anchor,
            ek: verified.key_sha256,
            certificate: Some(sha256(certificate)),
            not_after: Some(verified.not_after),
        })
    }

    fn allowed(&self, provider: &ProviderId, key: &PublicArea) -> Result<Vouched, Fault> {
        let unusable = || Fault::new(Code::Unsupported, "endorsement-key");
        let ek = key.spki_sha256().ok_or_else(unusable)?;
        match self.keystore.is_allowed_ek(provider, &ek)? {
            true => Ok(Vouched { anchor: ALLOWED_EK.to_owned(), ek, certificate: None, not_after: None }),
            false => Err(Fault::new(Code::ChainUntrusted, "endorsement-key")
                .because("it has no certificate, and no operator vouches for it")),
        }
    }
}
