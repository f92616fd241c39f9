//! The document: a JSON object of bytes in base64url and values of registers in hex. `docs/evidence/tpm.md`.
//!
//! Every member is known, stands once and has its bounds; what is inside is read as strictly, so that a document that parses holds
//! structures that parse.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::error::VerifyError;
use crate::formats::json::{self, JsonFault};
use crate::formats::tcg::{Bank, PcrValues, event_log, ima};
use crate::formats::tpm::{Attest, PublicArea, Signature};
use crate::formats::x509::key_of_spki;
use crate::signatures::PublicKey;

pub(super) const PART: &str = "tpm-document";
/// The most certificates in `ak_chain`.
const MAX_CHAIN: usize = 8;
/// The most bytes of any member but a log.
const MAX_MEMBER: usize = 16 * 1024;
/// The registers of the PC Client profile.
const REGISTERS: u32 = 24;

/// Who signed, as the document says it.
#[derive(Debug, Clone)]
pub(super) enum AttestationKey {
    /// Its public area, with attributes and name.
    Area(Box<PublicArea>),
    /// Its numbers alone: only good where an operator pinned them.
    Bare(PublicKey),
}

/// A key of the recipient's that lives in the TPM, and what the attestation key says of it.
#[derive(Debug, Clone)]
pub(super) struct ResidentKey {
    pub public: PublicArea,
    /// TPMS_ATTEST of TPM2_Certify.
    pub certify: Vec<u8>,
    /// TPMT_SIGNATURE over it.
    pub signature: Vec<u8>,
}

/// A document, not yet believed.
#[derive(Debug, Clone)]
pub(super) struct Document {
    /// TPMS_ATTEST.
    pub quote: Vec<u8>,
    /// TPMT_SIGNATURE.
    pub signature: Vec<u8>,
    pub key: AttestationKey,
    /// DER.
    pub certificate: Option<Vec<u8>>,
    /// Certificates above it, DER, in any order.
    pub chain: Vec<Vec<u8>>,
    pub pcrs: PcrValues,
    /// As the firmware wrote it.
    pub event_log: Option<Vec<u8>>,
    /// As the kernel wrote it.
    pub ima_log: Option<Vec<u8>>,
    pub resident: Option<ResidentKey>,
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// `malformed`, `too-large`, `unsupported` of the document; those of the structures in it; `signature-invalid.magic` for a quote
    /// that no TPM made.
    pub fn parse(bytes: &[u8]) -> Result<Self, VerifyError> {
        let members = json::object(bytes).map_err(|fault| match fault {
            JsonFault::TooLarge => VerifyError::too_large(PART, "more members or levels than a document has"),
            JsonFault::Malformed | JsonFault::Number => VerifyError::malformed(PART, "not a strict json object"),
        })?;
        let mut members = Members { rest: members, whole: "the document" };
        if members.text("kind")?.as_deref() != Some("tpm") {
            return Err(VerifyError::malformed(PART, "member `kind` is not `tpm`"));
        }
        let quote = members.required("quote")?;
        Attest::parse(&quote)?;
        let signature = members.required("signature")?;
        Signature::parse(&signature)?;
        let key = read_key(&mut members)?;
        let certificate = members.bytes("ak_certificate")?;
        let chain = read_chain(members.take("ak_chain"))?;
        if certificate.is_none() && !chain.is_empty() {
            return Err(VerifyError::malformed(PART, "`ak_chain` stands without `ak_certificate`"));
        }
        let pcrs = read_pcrs(members.take("pcrs"))?;
        let event_log = members.log("event_log", event_log::MAX_LOG)?;
        let ima_log = members.log("ima_log", ima::MAX_LOG)?;
        let resident = members.take("recipient_key").map(read_resident).transpose()?;
        members.finish()?;
        Ok(Self { quote, signature, key, certificate, chain, pcrs, event_log, ima_log, resident })
    }
}

/// Members of an object that are taken out one by one; none may be left.
struct Members {
    rest: Map<String, Value>,
    whole: &'static str,
}

impl Members {
    fn take(&mut self, name: &str) -> Option<Value> {
        self.rest.remove(name)
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, VerifyError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(VerifyError::malformed(PART, format!("member `{name}` is no text"))),
        }
    }

    fn bytes(&mut self, name: &str) -> Result<Option<Vec<u8>>, VerifyError> {
        self.text(name)?.map(|text| decode(&text, name)).transpose()
    }

    /// A log, which has its own bound.
    fn log(&mut self, name: &str, most: usize) -> Result<Option<Vec<u8>>, VerifyError> {
        self.text(name)?.map(|text| decode_bounded(&text, name, most)).transpose()
    }

    fn required(&mut self, name: &str) -> Result<Vec<u8>, VerifyError> {
        self.bytes(name)?.ok_or_else(|| VerifyError::malformed(PART, format!("member `{name}` is missing")))
    }

    fn finish(self) -> Result<(), VerifyError> {
        match self.rest.keys().next() {
            None => Ok(()),
            Some(_) => Err(VerifyError::malformed(PART, format!("{} has an unknown member", self.whole))),
        }
    }
}

fn decode(text: &str, name: &str) -> Result<Vec<u8>, VerifyError> {
    decode_bounded(text, name, MAX_MEMBER)
}

fn decode_bounded(text: &str, name: &str, most: usize) -> Result<Vec<u8>, VerifyError> {
    if text.len() > most / 3 * 4 {
        return Err(VerifyError::too_large(PART, format!("`{name}` has more than {most} bytes")));
    }
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| VerifyError::malformed(PART, format!("`{name}` is not base64url without padding")))
}

fn read_key(members: &mut Members) -> Result<AttestationKey, VerifyError> {
    match (members.bytes("ak")?, members.bytes("ak_key")?) {
        (Some(area), None) => Ok(AttestationKey::Area(Box::new(PublicArea::parse(&area)?))),
        (None, Some(key)) => Ok(AttestationKey::Bare(key_of_spki(&key)?)),
        (None, None) => Err(VerifyError::malformed(PART, "member `ak` is missing")),
        (Some(_), Some(_)) => Err(VerifyError::malformed(PART, "of `ak` and `ak_key` one stands, not both")),
    }
}

fn read_chain(value: Option<Value>) -> Result<Vec<Vec<u8>>, VerifyError> {
    let list = match value {
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(VerifyError::malformed(PART, "member `ak_chain` is no list")),
    };
    if list.len() > MAX_CHAIN {
        return Err(VerifyError::too_large(
            PART,
            format!("{} certificates in `ak_chain`, at most {MAX_CHAIN}", list.len()),
        ));
    }
    let one = |value: &Value| match value {
        Value::String(text) => decode(text, "ak_chain"),
        _ => Err(VerifyError::malformed(PART, "`ak_chain` is no list of texts")),
    };
    list.iter().map(one).collect()
}

/// Bank, index in decimal, value in lower-case hex of the bank's length.
fn read_pcrs(value: Option<Value>) -> Result<PcrValues, VerifyError> {
    let bad = |detail: String| VerifyError::malformed("pcrs", detail);
    let Some(Value::Object(banks)) = value else {
        return Err(bad("member `pcrs` is missing or no object".into()));
    };
    let mut values = PcrValues::new();
    for (name, registers) in banks {
        let bank = Bank::parse(&name)
            .ok_or_else(|| VerifyError::unsupported("pcr-bank", "sha1, sha256, sha384 and sha512 are the banks"))?;
        let Value::Object(registers) = registers else {
            return Err(bad(format!("bank `{name}` is no object")));
        };
        if registers.is_empty() {
            return Err(bad(format!("bank `{name}` has no registers")));
        }
        let mut read = BTreeMap::new();
        for (index, value) in registers {
            let number = index.parse::<u32>().ok().filter(|n| *n < REGISTERS && n.to_string() == index);
            let number = number.ok_or_else(|| bad(format!("bank `{name}` has an index that is no register's")))?;
            let value = value.as_str().and_then(lower_hex).filter(|value| value.len() == bank.size());
            let value = value.ok_or_else(|| {
                bad(format!("register {number} of `{name}` is not {} lower-case hex digits", bank.size() * 2))
            })?;
            read.insert(number, value);
        }
        values.insert(bank, read);
    }
    Ok(values)
}

fn lower_hex(text: &str) -> Option<Vec<u8>> {
    let lower = text.bytes().all(|byte| !byte.is_ascii_uppercase());
    lower.then(|| hex::decode(text).ok()).flatten()
}

fn read_resident(value: Value) -> Result<ResidentKey, VerifyError> {
    let Value::Object(members) = value else {
        return Err(VerifyError::malformed(PART, "member `recipient_key` is no object"));
    };
    let mut members = Members { rest: members, whole: "`recipient_key`" };
    let public = PublicArea::parse(&members.required("public")?)?;
    let certify = members.required("certify")?;
    Attest::parse(&certify)?;
    let signature = members.required("signature")?;
    Signature::parse(&signature)?;
    members.finish()?;
    Ok(ResidentKey { public, certify, signature })
}
