//! AWS Nitro Enclaves: an attestation document signed by the Nitro hypervisor of one instance.
//!
//! AWS Nitro Enclaves User Guide, *Verifying the root of trust*, and the COSE and CBOR layout of the Nitro Security Module's
//! attestation process.
//!
//! # What the hardware promises
//!
//! An enclave is a virtual machine cut off its parent instance: no disk, no network, memory that the parent cannot read. The
//! Nitro Security Module measures the enclave image at start (PCR 0 the whole image, 1 kernel and boot ram disk, 2 the
//! application, 3 the parent's role, 4 the parent's instance id, 8 the image's signing certificate; the enclave may extend
//! 16 to 31) and signs a document over all of them. Whoever is in the enclave puts up to three things into it, at most
//! 1,024 bytes each: a nonce, a public key and user data. A document whose chain ends in the AWS root says: *this image ran
//! in an enclave on this instance when the document was made, and it asked for these three things to be signed*.
//!
//! # What it does not promise
//!
//! * The root is a service of AWS, not a chip: trust in the Nitro card, its firmware and the issuing service is one piece, and
//!   no version of it is told. There is no TCB status and no revocation list; the leaf certificate lives about three hours.
//! * The time in the document is the hypervisor's. It is held against our clock, and never used instead of it.
//! * A debug enclave has a console that the parent reads; its measurements are all zero.
//! * NitroTPM documents are another profile and are not read here.
//!
//! # What this folder checks
//!
//! `wire`: the layout, every byte of it, before any cryptography. `verify`: timestamp, path to the pinned root with its
//! dates at our clock and at the document's, signature, binding. `claims`: the object `nitro`.

mod claims;
mod verify;
mod wire;

use serde_json::{Map, Value};

use crate::endorsements::CollateralId;
use crate::error::VerifyError;
use crate::scheme::{Given, Parsed, Scheme};
use crate::verified::Genuine;
use wire::SignedDocument;

/// The scheme of this kind.
pub(crate) struct Nitro;

impl Scheme for Nitro {
    fn parse<'a>(&self, bytes: &'a [u8]) -> Result<Box<dyn Parsed + 'a>, VerifyError> {
        Ok(Box::new(SignedDocument::parse(bytes)?))
    }

    fn looks_like(&self, bytes: &[u8]) -> bool {
        SignedDocument::parse(bytes).is_ok()
    }
}

impl Parsed for SignedDocument<'_> {
    /// Everything is inside: the chain comes with the document, the root is pinned.
    fn wants(&self, _given: &Given<'_>) -> Result<Vec<CollateralId>, VerifyError> {
        Ok(Vec::new())
    }

    fn verify(&self, given: &Given<'_>) -> Result<Genuine, VerifyError> {
        verify::verify(self, given)
    }

    fn inspect(&self) -> Map<String, Value> {
        claims::attested(&self.document)
    }
}
