//! A request as it came: a compact JWS that the key in its own payload signed. TPM and VBS attestation protocol, section 2.

use std::fmt;

use serde_json::Value;

use super::payload::{self, CustomClaim, Payload};
use crate::error::VerifyError;
use crate::formats::jose::Compact;
use crate::formats::json;
use crate::signatures::Algorithm;

const PART: &str = "tpm-request";
/// The most bytes of a request.
pub const MAX_REQUEST: usize = 1 << 20;
/// Header members that change what a JWS means.
const REFUSED: [&str; 3] = ["crit", "b64", "zip"];

/// Which of the two forms a request has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `attReq`: the state of the machine is in claims that Windows makes.
    First,
    /// `attReqV2`: the state of the machine stands member by member.
    Second,
}

/// A request that is well-formed and signed by the key in it. Nothing else about it is believed yet.
pub struct TpmRequest {
    pub(super) payload: Payload,
    signed: [u8; 32],
}

impl TpmRequest {
    /// Takes a compact JWS apart, at most 1 MiB, and checks its signature: PS256 alone, under the key of its payload, which proves
    /// that the sender has that key and no more (checks 1 and 2 of section 3).
    ///
    /// # Errors
    /// `malformed`, `too-large`; `unsupported` for a report of VBS, another algorithm, another form; `signature-invalid`.
    pub fn read(jws: &str) -> Result<Self, VerifyError> {
        let compact = Compact::parse(jws.as_bytes(), MAX_REQUEST)?;
        let form = form(&compact.header)?;
        let text = std::str::from_utf8(&compact.payload)
            .map_err(|_| VerifyError::malformed(PART, "the payload is not utf-8"))?;
        let payload = payload::read(text, form)?;
        let key = &payload.request_key.key;
        if !key.verify(Algorithm::PssSha256, compact.signed, &compact.signature) {
            let detail = "the request is not signed by the key in its payload, with PS256";
            return Err(VerifyError::signature(PART, detail));
        }
        Ok(Self { payload, signed: openssl::sha::sha256(compact.signed) })
    }

    /// The challenge that it says it answers, 16 bytes.
    pub fn challenge(&self) -> &[u8; 16] {
        &self.payload.challenge
    }

    /// What came with the challenge, as it was sent back.
    pub fn service_context(&self) -> &[u8] {
        &self.payload.service_context
    }

    /// The relying party's own data: base64url as it was sent, at most 4 KiB.
    pub fn rp_data(&self) -> Option<&str> {
        self.payload.rp_data.as_deref()
    }

    /// What the client says of itself, believed by nobody.
    pub fn custom_claims(&self) -> &[CustomClaim] {
        &self.payload.custom_claims
    }

    /// SHA-256 over what was signed: the same for every signature over it.
    pub fn signed_sha256(&self) -> &[u8; 32] {
        &self.signed
    }
}

impl fmt::Debug for TpmRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tpm request {}", hex::encode(self.signed))
    }
}

/// Algorithm and type of the header; members that are not known are ignored, as RFC 7515 section 4 has it.
fn form(header: &[u8]) -> Result<Form, VerifyError> {
    let header =
        json::object(header).map_err(|_| VerifyError::malformed(PART, "the header is not a strict json object"))?;
    if REFUSED.iter().any(|name| header.contains_key(*name)) {
        return Err(VerifyError::unsupported(PART, "the header asks for an extension; none is known"));
    }
    if header.get("alg").and_then(Value::as_str) != Some("PS256") {
        return Err(VerifyError::unsupported(PART, "requests are signed with PS256 and nothing else"));
    }
    match header.get("typ").and_then(Value::as_str) {
        Some("attReq") => Ok(Form::First),
        Some("attReqV2") => Ok(Form::Second),
        _ => Err(VerifyError::malformed(PART, "the type of the request is neither `attReq` nor `attReqV2`")),
    }
}
