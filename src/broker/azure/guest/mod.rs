//! `attest/AzureGuest`: a confidential machine on Azure attests itself with its virtual TPM, and the answer is sealed to that TPM.
//!
//! `maa-rest-api.md` section 3.5, `maa-tokens-and-claims.md` section 4.5. [`info`] translates what clients send into evidence of kind
//! `azure-vtpm`, [`claims`] tells the outcome under Azure's names, [`seal`] closes the answer. Nothing here is believed because a
//! client sent it: the verifier judges the evidence as it judges it at every other door.

mod claims;
mod info;
mod seal;

use keygate_verifier::{Genuine, RecipientKey};
use serde_json::{Map, Value, json};

use super::fault::{AzureFaultKind, Refused};
use crate::broker::error::{Code, Fault};
use crate::result::AttestationResult;
use crate::result::attestation_result::RUNTIME;

pub(super) use info::{GuestInfo, Said};
pub(super) use seal::{Fresh, seal};

/// The name of the certified key in `x-ms-runtime`.
const KEY_ID: &str = "TpmEphemeralEncryptionKey";

/// Adds to a result what its log says under Azure's names, and what the client says as its word. The key that the answer is sealed to
/// comes back: it lives in the machine's TPM, by the word of the TPM's attestation key.
///
/// # Errors
/// `debug-rejected.paravisor`: nobody knows the launch as a paravisor. Azure's relying parties read no `keygate.debug`, so no token is
/// made at all; `binding-mismatch.recipient-key`: no key was certified, or none of RSA.
pub(super) fn complete(genuine: &Genuine, result: &mut AttestationResult, said: &Said) -> Result<RecipientKey, Fault> {
    let known = result.attested.get("tpm").and_then(|tpm| tpm.pointer("/ak/paravisor_known")).and_then(Value::as_bool);
    if known != Some(true) {
        return Err(Fault::new(Code::DebugRejected, "paravisor").because("nobody knows this launch as a paravisor"));
    }
    let Some(key @ RecipientKey::Rsa { n, e }) = genuine.resident_key() else {
        let fault = Fault::new(Code::BindingMismatch, "recipient-key");
        return Err(fault.because("answers of this type are sealed to a key of rsa in the tpm"));
    };
    claims::measured(&mut result.attested);
    result.presented.extend(said.words.clone());
    let mut runtime = Map::from_iter([("client-payload".to_owned(), Value::Object(said.payload.clone()))]);
    runtime.insert("keys".to_owned(), json!([claims::jwk(KEY_ID, n, e)]));
    result.presented.insert(RUNTIME.to_owned(), Value::Object(runtime));
    Ok(key.clone())
}

/// A refusal in words of this type.
fn refused(code: Code, part: &'static str, message: &'static str) -> Refused {
    Refused::new(AzureFaultKind::InvalidParameter, code, part, message)
}
