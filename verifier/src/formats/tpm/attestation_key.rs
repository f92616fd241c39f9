//! What makes a key an attestation key. Part 1, section 34 (restricted signing keys); bad inputs, TPM-10.

use super::public::{PublicArea, Scheme};
use crate::error::VerifyError;

const PART: &str = "attestation-key";

/// The key signs only what its TPM made, cannot leave it, and was made in it.
///
/// # Errors
/// `chain-untrusted.attestation-key`, with what is missing.
pub(crate) fn check_attestation_key(public: &PublicArea) -> Result<(), VerifyError> {
    let has = public.attributes();
    let wanted = [
        (has.restricted(), "it is not restricted: it signs whatever it is given"),
        (has.sign(), "it does not sign"),
        (!has.decrypt(), "it decrypts"),
        (has.fixed_tpm(), "it is not fixed to its tpm"),
        (has.fixed_parent(), "it is not fixed to its parent"),
        (has.sensitive_data_origin(), "its secret part was not made by the tpm"),
        (matches!(public.scheme(), Scheme::Signs(..)), "it has no signature scheme"),
    ];
    match wanted.iter().find(|(holds, _)| !holds) {
        None => Ok(()),
        Some((_, why)) => Err(VerifyError::chain(PART, format!("the key is no attestation key: {why}"))),
    }
}
