//! Whether the keys of a request are bound to its machine. TPM and VBS attestation protocol, section 2.2 and section 3, check 11.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::key_object::{Certified, Info, KeyObject};
use super::payload::{Payload, State};
use crate::error::VerifyError;
use crate::formats::bytes::Reader;
use crate::formats::tpm::{Attest, Attested, PublicArea, Signature, check_signature};
use crate::memo::Memo;

const PART: &str = "tpm-key";

/// What the quote of the current state must answer: the challenge, or a hash over the request's key and the challenge.
///
/// # Errors
/// `binding-mismatch.tpm-key`: a request of the second form leaves its key unbound.
pub(super) fn qualifying_data(payload: &Payload) -> Result<Vec<u8>, VerifyError> {
    match (&payload.request_key.info, payload.binds_key) {
        (Info::Quoted, _) => Ok(payload.request_key.quoted_with(&payload.challenge).to_vec()),
        (Info::Certified(_), _) | (Info::Unbound, false) => Ok(payload.challenge.to_vec()),
        (Info::Unbound, true) => {
            Err(VerifyError::binding(PART, "the key that signs the request is bound to nothing: quote or certify it"))
        }
    }
}

/// The keys of a request as policies see them.
#[derive(Debug)]
pub(super) struct BoundKeys {
    /// The key that signs; `None`: nothing binds it.
    pub request: Option<Value>,
    /// The others, bound or not.
    pub others: Vec<Value>,
}

/// Checks what binds the keys. That the quote covers the request's key was found when the quote was checked.
///
/// # Errors
/// `malformed`, `unsupported`, `binding-mismatch`, `freshness-failed` and `signature-invalid` of a certification;
/// `binding-mismatch.tpm-key`: another key says that the quote binds it.
pub(super) fn check(payload: &Payload, memo: &Memo) -> Result<BoundKeys, VerifyError> {
    let one = |key: &KeyObject| match &key.info {
        Info::Certified(certified) => {
            let told = check_certified(key, certified, &payload.current, &payload.challenge, memo)?;
            Ok(key.for_policies(Some(told)))
        }
        Info::Quoted | Info::Unbound => Ok(key.for_policies(None)),
    };
    if payload.other_keys.iter().any(|key| key.info == Info::Quoted) {
        return Err(VerifyError::binding(PART, "a quote binds the key that signs the request and no other"));
    }
    let others = payload.other_keys.iter().map(one).collect::<Result<_, VerifyError>>()?;
    let request = match payload.request_key.info {
        Info::Unbound => None,
        _ => Some(one(&payload.request_key)?),
    };
    Ok(BoundKeys { request, others })
}

/// A key that the attestation key certifies: magic, type, name, challenge, signature, and the JWK is the public area's key.
fn check_certified(
    key: &KeyObject,
    certified: &Certified,
    state: &State,
    challenge: &[u8],
    memo: &Memo,
) -> Result<Value, VerifyError> {
    let public = PublicArea::parse(&certified.public)?;
    let attest = Attest::parse(&certified.certification)?;
    let signature = Signature::parse(&certified.signature)?;
    if !signature.hash.is_strong() {
        return Err(VerifyError::unsupported("tpm-signature", "the certification is signed over sha1"));
    }
    let Attested::Certify { name, .. } = &attest.attested else {
        return Err(VerifyError::malformed("attest-type", "the attestation is of a quote, not of a name"));
    };
    if attest.extra_data != challenge {
        return Err(VerifyError::freshness("qualifying-data", "the certification answers another challenge"));
    }
    if *name != public.name() {
        return Err(VerifyError::binding(PART, "the certification is of another name than the public area's"));
    }
    if public.public_key().is_none_or(|inside| inside.digest() != key.key.digest()) {
        return Err(VerifyError::binding(PART, "the jwk is another key than the public area's"));
    }
    check_signature(&attest, &signature, &state.aik.key, memo, "certification")?;
    let mut area = Reader::new(public.bytes(), PART);
    area.take(2, "type")?;
    let name_alg = area.u16_be("name algorithm")?;
    let attributes = area.u32_be("attributes")?;
    let policy = area.sized_be("policy", 64)?;
    Ok(json!({"name_alg": name_alg, "obj_attr": attributes, "auth_policy": URL_SAFE_NO_PAD.encode(policy)}))
}
