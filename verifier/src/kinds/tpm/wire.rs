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
use crate::signatures::{PublicKey, has_roca_fingerprint};

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
pub(in crate::kinds) struct ResidentKey {
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
        let mut members = Members::of(bytes, PART)?;
        if members.text("kind")?.as_deref() != Some("tpm") {
            return Err(VerifyError::malformed(PART, "member `kind` is not `tpm`"));
        }
        let quote = members.required("quote")?;
        Attest::parse(&quote)?;
        let signature = members.required("signature")?;
        Signature::parse(&signature)?;
        let key = read_key(&mut members)?;
        let certificate = members.bytes("ak_certificate")?;
        let chain = members.certificates("ak_chain")?;
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
pub(in crate::kinds) struct Members {
    rest: Map<String, Value>,
    part: &'static str,
    whole: &'static str,
}

impl Members {
    /// The members of a document.
    ///
    /// # Errors
    /// `malformed`, `too-large`: not one strict JSON object.
    pub fn of(document: &[u8], part: &'static str) -> Result<Self, VerifyError> {
        let rest = json::object(document).map_err(|fault| match fault {
            JsonFault::TooLarge => VerifyError::too_large(part, "more members or levels than a document has"),
            JsonFault::Malformed | JsonFault::Number => VerifyError::malformed(part, "not a strict json object"),
        })?;
        Ok(Self { rest, part, whole: "the document" })
    }

    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.rest.remove(name)
    }

    pub fn text(&mut self, name: &str) -> Result<Option<String>, VerifyError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(VerifyError::malformed(self.part, format!("member `{name}` is no text"))),
        }
    }

    pub fn bytes(&mut self, name: &str) -> Result<Option<Vec<u8>>, VerifyError> {
        let part = self.part;
        self.text(name)?.map(|text| decode(&text, name, part)).transpose()
    }

    /// A log, which has its own bound.
    pub fn log(&mut self, name: &str, most: usize) -> Result<Option<Vec<u8>>, VerifyError> {
        let part = self.part;
        self.text(name)?.map(|text| decode_bounded(&text, name, part, most)).transpose()
    }

    pub fn required(&mut self, name: &str) -> Result<Vec<u8>, VerifyError> {
        self.bytes(name)?.ok_or_else(|| VerifyError::malformed(self.part, format!("member `{name}` is missing")))
    }

    /// A list of certificates in DER, at most eight.
    pub fn certificates(&mut self, name: &str) -> Result<Vec<Vec<u8>>, VerifyError> {
        let list = match self.take(name) {
            None => return Ok(Vec::new()),
            Some(Value::Array(list)) => list,
            Some(_) => return Err(VerifyError::malformed(self.part, format!("member `{name}` is no list"))),
        };
        if list.len() > MAX_CHAIN {
            let detail = format!("{} certificates in `{name}`, at most {MAX_CHAIN}", list.len());
            return Err(VerifyError::too_large(self.part, detail));
        }
        let one = |value: &Value| match value {
            Value::String(text) => decode(text, name, self.part),
            _ => Err(VerifyError::malformed(self.part, format!("`{name}` is no list of texts"))),
        };
        list.iter().map(one).collect()
    }

    pub fn finish(self) -> Result<(), VerifyError> {
        match self.rest.keys().next() {
            None => Ok(()),
            Some(_) => Err(VerifyError::malformed(self.part, format!("{} has an unknown member", self.whole))),
        }
    }
}

fn decode(text: &str, name: &str, part: &'static str) -> Result<Vec<u8>, VerifyError> {
    decode_bounded(text, name, part, MAX_MEMBER)
}

fn decode_bounded(text: &str, name: &str, part: &'static str, most: usize) -> Result<Vec<u8>, VerifyError> {
    if text.len() > most / 3 * 4 {
        return Err(VerifyError::too_large(part, format!("`{name}` has more than {most} bytes")));
    }
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| VerifyError::malformed(part, format!("`{name}` is not base64url without padding")))
}

fn read_key(members: &mut Members) -> Result<AttestationKey, VerifyError> {
    match (members.bytes("ak")?, members.bytes("ak_key")?) {
        (Some(area), None) => Ok(AttestationKey::Area(Box::new(PublicArea::parse(&area)?))),
        (None, Some(key)) => {
            let key = key_of_spki(&key)?;
            if key.modulus().is_some_and(|n| has_roca_fingerprint(&n)) {
                return Err(VerifyError::revoked("tpm-public", "the key can be factored: CVE-2017-15361"));
            }
            Ok(AttestationKey::Bare(key))
        }
        (None, None) => Err(VerifyError::malformed(PART, "member `ak` is missing")),
        (Some(_), Some(_)) => Err(VerifyError::malformed(PART, "of `ak` and `ak_key` one stands, not both")),
    }
}

/// Bank, index in decimal, value in lower-case hex of the bank's length.
pub(in crate::kinds) fn read_pcrs(value: Option<Value>) -> Result<PcrValues, VerifyError> {
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

pub(in crate::kinds) fn read_resident(value: Value) -> Result<ResidentKey, VerifyError> {
    let Value::Object(members) = value else {
        return Err(VerifyError::malformed(PART, "member `recipient_key` is no object"));
    };
    let mut members = Members { rest: members, part: PART, whole: "`recipient_key`" };
    let public = PublicArea::parse(&members.required("public")?)?;
    let certify = members.required("certify")?;
    Attest::parse(&certify)?;
    let signature = members.required("signature")?;
    Signature::parse(&signature)?;
    members.finish()?;
    Ok(ResidentKey { public, certify, signature })
}
