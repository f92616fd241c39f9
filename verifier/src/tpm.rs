//! TPM 2.0 for those who enrol machines: public areas, attestations, certificates of endorsement keys, and credentials that prove
//! where a key lives.
//!
//! TCG *Trusted Platform Module Library*, part 1, section 24; TCG *EK Credential Profile*. A quote as evidence is kind `tpm` of
//! [`crate::Verifier::verify`]; here is what an enrolment needs before: which key a certificate speaks of, and a secret that only
//! its TPM gives back.

use crate::anchors::AnchorScope;
use crate::endorsements::Endorsements;
use crate::error::VerifyError;
use crate::formats::tpm::{
    ALGORITHMS, INTERMEDIATES, READ_EXTENSIONS, check_attestation_key, check_endorsement_certificate, without_padding,
};
use crate::formats::x509::{ChainRules, check_listed, verify_chain};
use crate::time::UnixTime;
use crate::verified::Revocation;
use crate::verify::Verifier;

pub use crate::formats::tpm::{
    Attest, Attested, Attributes, ClockInfo, Credential, EndorsementRandomness, PcrSelection, PublicArea, TpmMake,
    make_credential,
};
pub use crate::kinds::tpm::attestation_key_name;

const CHAIN: &str = "ek-chain";

impl PublicArea {
    /// Whether the key is an attestation key by its attributes: restricted, signing, made in its TPM and fixed there, with a
    /// signature scheme. Says nothing of where it lives.
    ///
    /// # Errors
    /// `chain-untrusted.attestation-key`, with what is missing.
    pub fn check_attestation_key(&self) -> Result<(), VerifyError> {
        check_attestation_key(self)
    }

    /// SHA-256 of the key's SubjectPublicKeyInfo in DER: the identity `tpm-ek:<hex>` of deny lists. `None` only if OpenSSL fails.
    pub fn spki_sha256(&self) -> Option<[u8; 32]> {
        self.public_key()?.spki_sha256()
    }
}

/// What an endorsement key's certificate was found to vouch for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedEndorsement {
    /// The operator's name of the anchor.
    pub anchor: String,
    /// SHA-256 of the key's SubjectPublicKeyInfo: the identity `tpm-ek:<hex>` of deny lists.
    pub key_sha256: [u8; 32],
    /// The earliest end of any certificate of the path.
    pub not_after: UnixTime,
    /// Maker, model and version of the TPM, in the maker's words.
    pub make: TpmMake,
    /// Whether revocation lists were held and looked at.
    pub revocation: Revocation,
}

impl Verifier {
    /// Whether `certificate` vouches for this endorsement key under an anchor for enrolment.
    ///
    /// `certificate` is DER, as read from an NV index: padding of zero or FF bytes may follow it. Intermediates may be among `held`,
    /// so may revocation lists; a list that is held and names a certificate of the path refuses it.
    ///
    /// # Errors
    /// `malformed.ek-certificate`, `chain-untrusted.endorsement-key` (the public area is no endorsement key's),
    /// `chain-untrusted.ek-chain` (no path, dates, usages, no anchor), `binding-mismatch.endorsement-key` (the certificate is of
    /// another key), `revoked.ek-chain`, `unsupported`.
    pub fn verify_endorsement(
        &self,
        certificate: &[u8],
        key: &PublicArea,
        held: &Endorsements,
        now: UnixTime,
    ) -> Result<VerifiedEndorsement, VerifyError> {
        key.check_endorsement_key()?;
        let leaf = self.memo().certificate(without_padding(certificate)?)?;
        let make = check_endorsement_certificate(&leaf, CHAIN)?;
        let same = key.public_key().filter(|public| public.digest() == leaf.key().digest());
        let Some(key_sha256) = same.and_then(|public| public.spki_sha256()) else {
            return Err(VerifyError::binding("endorsement-key", "the certificate is of another endorsement key"));
        };
        let mut issuers = Vec::new();
        for held in held.certificates() {
            issuers.push(self.memo().held_certificate(held)?);
        }
        let anchors = self.anchors().of(AnchorScope::TpmEndorsement);
        if anchors.clone().next().is_none() {
            return Err(VerifyError::chain(CHAIN, "no trust anchor for enrolment is configured"));
        }
        let rules = ChainRules {
            part: CHAIN,
            algorithms: ALGORITHMS,
            intermediates: INTERMEDIATES,
            now,
            leaf_extensions: READ_EXTENSIONS,
        };
        let chain = verify_chain(&leaf, &issuers, anchors, &rules, self.memo())?;
        let looked = check_listed(&chain, held, CHAIN, now, self.memo())?;
        Ok(VerifiedEndorsement {
            anchor: chain.anchor,
            key_sha256,
            not_after: chain.not_after.min(looked.not_after),
            make,
            revocation: looked.revocation,
        })
    }
}
