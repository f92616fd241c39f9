//! TPM 2.0: a quote over registers that firmware, loader and operating system extended while the machine started.
//!
//! TCG *Trusted Platform Module Library*, family 2.0, part 1 sections 17 (PCR), 31 (attestation) and 34 (restricted keys); threat
//! model, P14. The document is JSON of our own: `docs/evidence/tpm.md`.
//!
//! # What the hardware promises
//!
//! A register can only be extended, and starts anew only with the machine. A restricted key signs nothing that begins as what the
//! TPM itself says, unless the TPM said it. So a quote says: *the TPM of this key had these values in its registers when it was given
//! these 32 bytes*. What the values mean, the event logs tell, as far as they replay to them.
//!
//! # What it does not promise
//!
//! * A key's attributes are its own word until somebody vouches for the key: an enrolment, in which a secret came back through the
//!   endorsement key of a TPM that a maker certified; a certificate of an authority that the operator trusts; or the operator, who
//!   pinned it. Without one of them nothing is believed.
//! * The TPM reports what it was told. Firmware that is not honest about itself measures what it likes; memory of the machine is open
//!   to whoever has the machine. A TPM is no confidential computing.
//! * Who can reset the TPM without the machine (a discrete chip with its pins within reach), or replay its bus, can extend what he
//!   likes.
//! * Clock, counters and firmware version are shifted by a constant of each key, for keys outside the endorsement and platform
//!   hierarchies: they compare with themselves alone.
//!
//! # How the files follow each other
//!
//! [`wire`] reads the document, [`vouch`] finds who vouches for the attestation key, [`verify`] says in which order all is judged,
//! [`recipient`] looks at a recipient's key that lives in the TPM, [`logs`] is where event logs become claims, [`claims`] spells
//! the outcome.

pub(super) mod claims;
pub(super) mod logs;
pub(super) mod recipient;
pub(super) mod verify;
mod vouch;
pub(super) mod wire;

use serde_json::{Map, Value};

use crate::endorsements::CollateralId;
use crate::error::VerifyError;
use crate::scheme::{Given, Parsed, Scheme};
use crate::verified::Genuine;
use wire::{AttestationKey, Document};

/// The scheme of this kind.
pub(crate) struct Tpm;

impl Scheme for Tpm {
    fn parse<'a>(&self, bytes: &'a [u8]) -> Result<Box<dyn Parsed + 'a>, VerifyError> {
        Ok(Box::new(Document::parse(bytes)?))
    }

    fn looks_like(&self, bytes: &[u8]) -> bool {
        bytes.first() == Some(&b'{') && Document::parse(bytes).is_ok()
    }
}

impl Parsed for Document {
    /// Everything is inside, or enrolled, or pinned.
    fn wants(&self, _given: &Given<'_>) -> Result<Vec<CollateralId>, VerifyError> {
        Ok(Vec::new())
    }

    fn verify(&self, given: &Given<'_>) -> Result<Genuine, VerifyError> {
        verify::verify(self, given)
    }

    fn inspect(&self) -> Map<String, Value> {
        claims::unverified(self)
    }
}

/// The name of the attestation key in a document of kind `tpm`, so that its enrolment can be looked up; `None` where the document
/// brings a bare public key. Says nothing of the key.
///
/// # Errors
/// As the layout of the document is refused.
pub fn attestation_key_name(bytes: &[u8]) -> Result<Option<Vec<u8>>, VerifyError> {
    crate::verify::bounded(crate::EvidenceKind::Tpm, bytes)?;
    Ok(match Document::parse(bytes)?.key {
        AttestationKey::Area(area) => Some(area.name().to_vec()),
        AttestationKey::Bare(_) => None,
    })
}
