//! TPM 2.0 for those who enrol machines: public areas, attestations, credentials that prove where a key lives.
//!
//! TCG *Trusted Platform Module Library*, part 1, section 24; TCG *EK Credential Profile*. A quote as evidence is kind `tpm` of
//! [`crate::Verifier::verify`]; here is what an enrolment needs before: which key a certificate speaks of, and a secret that only
//! its TPM gives back.

pub use crate::formats::tpm::{
    Attest, Attested, Attributes, ClockInfo, Credential, EndorsementRandomness, PcrSelection, PublicArea,
    make_credential,
};

impl PublicArea {
    /// Whether the key is an attestation key by its attributes: restricted, signing, made in its TPM and fixed there, with a
    /// signature scheme. Says nothing of where it lives.
    ///
    /// # Errors
    /// `chain-untrusted.attestation-key`, with what is missing.
    pub fn check_attestation_key(&self) -> Result<(), crate::VerifyError> {
        crate::formats::tpm::check_attestation_key(self)
    }
}
