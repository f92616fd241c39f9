//! The payload of a request, in both of its forms, read into one. TPM and VBS attestation protocol, sections 2.1 to 2.3.
//!
//! Members that are not known are ignored, those that are must have their type, and no name stands twice anywhere. Bytes are base64url,
//! also padded or in the other alphabet.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::key_object::{KeyObject, Wire as KeyWire};
use super::platform_claim::PlatformClaim;
use super::request::Form;
use crate::error::VerifyError;
use crate::formats::base64url::decode_lenient;
use crate::formats::json;
use crate::formats::tcg::{Bank, PcrValues};

const PART: &str = "tpm-payload";
/// Registers of a TPM on a PC.
const REGISTERS: u32 = 24;
/// The most logs of one state.
const MAX_LOGS: usize = 8;
/// The most keys beside the one that signs.
const MAX_OTHER_KEYS: usize = 2;
/// The most claims of the client's own.
const MAX_CUSTOM: usize = 64;
/// The longest name of such a claim, in bytes.
const MAX_NAME: usize = 256;
/// The longest text in one, and the longest data of a relying party, in bytes.
const MAX_TEXT: usize = 4_096;
/// The most bytes of a context that is sent back.
const MAX_CONTEXT: usize = 1_024;

/// What a request holds.
pub(super) struct Payload {
    pub challenge: [u8; 16],
    pub service_context: Vec<u8>,
    /// base64url, as it was sent.
    pub rp_data: Option<String>,
    pub custom_claims: Vec<CustomClaim>,
    /// Signs the request.
    pub request_key: KeyObject,
    /// Whether the request must bind that key: the second form has a way to, the first has none.
    pub binds_key: bool,
    pub other_keys: Vec<KeyObject>,
    /// The machine now.
    pub current: State,
    /// The machine before it went to sleep, since it was last reset.
    pub boot: Option<State>,
}

/// One state of the machine, as it was sent.
pub(super) struct State {
    /// In the order of measurement.
    pub logs: Vec<Log>,
    /// DER: the certificate, those of its issuers behind it.
    pub aik_certificate: Option<Vec<u8>>,
    /// The attestation key.
    pub aik: KeyObject,
    pub pcrs: PcrValues,
    /// TPMS_ATTEST.
    pub quote: Vec<u8>,
    /// TPMT_SIGNATURE.
    pub signature: Vec<u8>,
}

/// A log as it was sent.
pub(super) struct Log {
    pub kind: LogKind,
    pub bytes: Vec<u8>,
}

/// Who wrote a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogKind {
    /// Firmware and boot loaders.
    Tcg,
    /// Linux.
    Ima,
}

/// What a client says of itself: believed by nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomClaim {
    /// Its name, without any prefix.
    pub name: String,
    /// Its value.
    pub value: CustomValue,
}

/// The value of a claim of a client's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CustomValue {
    /// `String`, also where no type is given.
    Text(String),
    /// `Integer`.
    Integer(i64),
    /// `Boolean`.
    Boolean(bool),
}

#[derive(Deserialize)]
struct Whole<'a> {
    #[serde(borrow)]
    att_type: Cow<'a, str>,
    #[serde(borrow)]
    att_data: &'a RawValue,
}

/// What both forms have.
#[derive(Deserialize)]
struct Shared {
    rp_data: Option<String>,
    challenge: String,
    service_context: String,
    custom_claims: Option<Vec<CustomWire>>,
}

#[derive(Deserialize)]
struct CustomWire {
    name: String,
    value: Value,
    value_type: Option<String>,
}

#[derive(Deserialize)]
struct First<'a> {
    tpm_att_data: FirstState,
    #[serde(borrow)]
    attest_key: &'a RawValue,
}

#[derive(Deserialize)]
struct FirstState {
    srtm_boot_log: String,
    srtm_resume_log: Option<String>,
    drtm_boot_log: Option<String>,
    drtm_resume_log: Option<String>,
    aik_cert: Option<String>,
    aik_pub: Box<RawValue>,
    current_claim: String,
    boot_claim: Option<String>,
}

#[derive(Deserialize)]
struct Second<'a> {
    tpm_att_data: Option<SecondStates>,
    #[serde(borrow)]
    request_key: KeyWire<'a>,
    #[serde(borrow)]
    other_keys: Option<Vec<KeyWire<'a>>>,
}

#[derive(Deserialize)]
struct SecondStates {
    current_attestation: StateWire,
    boot_attestation: Option<StateWire>,
}

#[derive(Deserialize)]
struct StateWire {
    logs: Vec<LogWire>,
    aik_cert: Option<String>,
    aik_pub: Box<RawValue>,
    pcrs: Vec<BankWire>,
    quote: String,
    signature: String,
}

#[derive(Deserialize)]
struct LogWire {
    r#type: String,
    log: String,
}

#[derive(Deserialize)]
struct BankWire {
    algorithm: u16,
    values: Vec<RegisterWire>,
}

#[derive(Deserialize)]
struct RegisterWire {
    index: u32,
    digest: String,
}

/// Reads a payload of this form.
///
/// # Errors
/// `malformed`, `too-large`; `unsupported` for what the secure kernel reports, and for hashes, logs and keys that are not served.
pub(super) fn read(text: &str, form: Form) -> Result<Payload, VerifyError> {
    json::object(text.as_bytes()).map_err(|_| malformed("the payload is not a strict json object within bounds"))?;
    let whole: Whole<'_> = part_of(text)?;
    match &*whole.att_type {
        "basic" => {}
        "vbs" => {
            let detail = "reports of the secure kernel (vbs) are not judged here: attest as `basic`";
            return Err(VerifyError::unsupported("vbs", detail));
        }
        _ => return Err(malformed("`att_type` is `basic`")),
    }
    let data = whole.att_data.get();
    let shared: Shared = part_of(data)?;
    let keys_and_states = match form {
        Form::First => first(part_of(data)?),
        Form::Second => second(part_of(data)?),
    };
    let (request_key, other_keys, current, boot) = keys_and_states?;
    let challenge = bytes(&shared.challenge)?;
    let challenge = challenge.try_into().map_err(|_| malformed("the challenge is 16 bytes"))?;
    let service_context = bytes(&shared.service_context)?;
    let rp_data = shared.rp_data.filter(|text| !text.is_empty());
    if let Some(text) = &rp_data {
        bytes(text)?;
        short(text, MAX_TEXT)?;
    }
    if service_context.len() > MAX_CONTEXT {
        return Err(too_many("the context"));
    }
    Ok(Payload {
        challenge,
        service_context,
        rp_data,
        custom_claims: custom(shared.custom_claims.unwrap_or_default())?,
        request_key,
        binds_key: form == Form::Second,
        other_keys,
        current,
        boot,
    })
}

type KeysAndStates = (KeyObject, Vec<KeyObject>, State, Option<State>);

fn first(data: First<'_>) -> Result<KeysAndStates, VerifyError> {
    let key = KeyObject::bare(data.attest_key)?;
    let wire = data.tpm_att_data;
    let logs = |texts: [Option<&String>; 2]| -> Result<Vec<Log>, VerifyError> {
        let present = texts.into_iter().flatten().filter(|text| !text.is_empty());
        present.map(|text| Ok(Log { kind: LogKind::Tcg, bytes: bytes(text)? })).collect()
    };
    let mut at_boot = logs([Some(&wire.srtm_boot_log), wire.drtm_boot_log.as_ref()])?;
    let mut after = logs([wire.srtm_resume_log.as_ref(), wire.drtm_resume_log.as_ref()])?;
    let state = |claim: &str, logs: Vec<Log>| -> Result<State, VerifyError> {
        let claim = PlatformClaim::parse(&bytes(claim)?)?;
        Ok(State {
            logs,
            aik_certificate: certificate(wire.aik_cert.as_deref())?,
            aik: KeyObject::bare(&wire.aik_pub)?,
            pcrs: claim.pcrs,
            quote: claim.quote,
            signature: claim.signature,
        })
    };
    let boot = match &wire.boot_claim {
        Some(claim) if !claim.is_empty() => Some(state(claim, std::mem::take(&mut at_boot))?),
        _ => None,
    };
    at_boot.append(&mut after);
    Ok((key, Vec::new(), state(&wire.current_claim, at_boot)?, boot))
}

fn second(data: Second<'_>) -> Result<KeysAndStates, VerifyError> {
    let key = KeyObject::read(&data.request_key)?;
    let other = data.other_keys.unwrap_or_default();
    if other.len() > MAX_OTHER_KEYS {
        return Err(too_many("the list of other keys"));
    }
    let other = other.iter().map(KeyObject::read).collect::<Result<_, _>>()?;
    let states = data.tpm_att_data.ok_or_else(|| malformed("the request holds nothing of a tpm"))?;
    let boot = states.boot_attestation.map(state).transpose()?;
    Ok((key, other, state(states.current_attestation)?, boot))
}

fn state(wire: StateWire) -> Result<State, VerifyError> {
    if wire.logs.len() > MAX_LOGS {
        return Err(too_many("the list of logs"));
    }
    Ok(State {
        logs: wire.logs.into_iter().map(log).collect::<Result<_, _>>()?,
        aik_certificate: certificate(wire.aik_cert.as_deref())?,
        aik: KeyObject::bare(&wire.aik_pub)?,
        pcrs: registers(wire.pcrs)?,
        quote: bytes(&wire.quote)?,
        signature: bytes(&wire.signature)?,
    })
}

fn log(wire: LogWire) -> Result<Log, VerifyError> {
    let kind = match wire.r#type.as_str() {
        "TCG" => LogKind::Tcg,
        "IMA" => LogKind::Ima,
        _ => return Err(VerifyError::unsupported(PART, "a log is of the type `TCG` or `IMA`")),
    };
    Ok(Log { kind, bytes: bytes(&wire.log)? })
}

fn registers(wire: Vec<BankWire>) -> Result<PcrValues, VerifyError> {
    let mut pcrs = PcrValues::new();
    for bank in wire {
        let known = Bank::from_id(bank.algorithm)
            .ok_or_else(|| VerifyError::unsupported(PART, "registers of a bank of another hash"))?;
        let mut registers = BTreeMap::new();
        for register in bank.values {
            let digest = bytes(&register.digest)?;
            if register.index >= REGISTERS || digest.len() != known.size() {
                return Err(malformed("a register has an index below 24 and a digest of its bank's length"));
            }
            if registers.insert(register.index, digest).is_some() {
                return Err(malformed("a register stands twice"));
            }
        }
        if registers.is_empty() || pcrs.insert(known, registers).is_some() {
            return Err(malformed("a bank has registers and stands once"));
        }
    }
    Ok(pcrs)
}

fn certificate(text: Option<&str>) -> Result<Option<Vec<u8>>, VerifyError> {
    text.filter(|text| !text.is_empty()).map(bytes).transpose()
}

fn custom(wire: Vec<CustomWire>) -> Result<Vec<CustomClaim>, VerifyError> {
    if wire.len() > MAX_CUSTOM {
        return Err(too_many("the list of custom claims"));
    }
    wire.into_iter().map(one_custom).collect()
}

fn one_custom(wire: CustomWire) -> Result<CustomClaim, VerifyError> {
    let bad = || malformed("a custom claim has a name and a value of its type: `String`, `Integer` or `Boolean`");
    short(&wire.name, MAX_NAME)?;
    if wire.name.is_empty() {
        return Err(bad());
    }
    let value = match (wire.value_type.as_deref().unwrap_or("String"), wire.value) {
        ("String", Value::String(text)) => {
            short(&text, MAX_TEXT)?;
            CustomValue::Text(text)
        }
        ("Integer", Value::Number(number)) => CustomValue::Integer(number.as_i64().ok_or_else(bad)?),
        ("Boolean", Value::Bool(truth)) => CustomValue::Boolean(truth),
        _ => return Err(bad()),
    };
    Ok(CustomClaim { name: wire.name, value })
}

fn part_of<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, VerifyError> {
    serde_json::from_str(text).map_err(|error| {
        let at = format!("line {}, column {}", error.line(), error.column());
        VerifyError::malformed(
            PART,
            format!("a member is missing or of another type, at {at} of the payload or its part"),
        )
    })
}

fn bytes(text: &str) -> Result<Vec<u8>, VerifyError> {
    decode_lenient(text).ok_or_else(|| malformed("a member of bytes is not base64url"))
}

fn short(text: &str, most: usize) -> Result<(), VerifyError> {
    if text.len() <= most {
        Ok(())
    } else {
        Err(VerifyError::too_large(PART, format!("a text of more than {most} bytes")))
    }
}

fn malformed(detail: &'static str) -> VerifyError {
    VerifyError::malformed(PART, detail)
}

fn too_many(what: &str) -> VerifyError {
    VerifyError::too_large(PART, format!("{what} is longer than is read"))
}
