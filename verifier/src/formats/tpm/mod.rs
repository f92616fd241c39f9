//! Structures of a TPM 2.0: what it says (TPMS_ATTEST), what a key is (TPMT_PUBLIC), how a key signed (TPMT_SIGNATURE).
//!
//! TCG *Trusted Platform Module Library*, family 2.0, part 2 (structures) and part 1 (names, credentials). Every reader is total
//! and bounded, reads all of its bytes or refuses, and recognises what it does not serve in order to say so.

mod algorithm;
mod attest;
mod attestation_key;
mod certificate;
mod credential;
mod public;
mod quote;
mod selection;
mod signature;

pub(crate) use algorithm::Curve;
pub use attest::{Attest, Attested, ClockInfo};
pub(crate) use attestation_key::check_attestation_key;
pub use certificate::TpmMake;
pub(crate) use certificate::{
    ALGORITHMS, INTERMEDIATES, READ_EXTENSIONS, check_attestation_certificate, check_endorsement_certificate,
    without_padding,
};
pub use credential::{Credential, EndorsementRandomness, make_credential};
pub use public::{Attributes, PublicArea};
pub(crate) use public::{Key, Scheme};
pub(crate) use quote::{QuoteFacts, check_signature, verify_quote};
pub use selection::PcrSelection;
pub(crate) use signature::Signature;
