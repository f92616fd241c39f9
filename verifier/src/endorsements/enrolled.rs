//! Attestation keys of enrolled machines: what a store remembers of an enrolment, handed in for one verification.
//!
//! Threat model, P14: a key counts because a secret that was hidden for it came back through the endorsement key of its TPM.

use crate::time::UnixTime;
use crate::tpm::PublicArea;

/// An attestation key that was enrolled: its credential was activated under an endorsement key that an operator's root vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolledKey {
    /// The key.
    pub public: PublicArea,
    /// The operator's name of the anchor that the endorsement key's certificate led to.
    pub anchor: String,
    /// SHA-256 of the endorsement key's SubjectPublicKeyInfo.
    pub endorsement_key: [u8; 32],
    /// The last second that the enrolment counts.
    pub not_after: UnixTime,
}
