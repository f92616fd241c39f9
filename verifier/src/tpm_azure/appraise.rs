//! Checks 4 to 11 in their order, and what they come to. TPM and VBS attestation protocol, sections 3 and 5.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::aik::{self, Vouched};
use super::bound_keys::{self, BoundKeys};
use super::logs::{self, Explained};
use super::payload::State;
use super::quoted::{self, Quoted};
use super::request::TpmRequest;
use crate::endorsements::Endorsements;
use crate::error::VerifyError;
use crate::formats::tcg::{Bank, PcrValues};
use crate::time::UnixTime;
use crate::verify::Verifier;

/// How strictly a request is judged: what a policy's configuration says, or its defaults, and the operator's settings.
#[derive(Debug, Clone, Copy)]
pub struct TpmRules<'a> {
    /// `require_valid_aik_cert`: refuse an attestation key that nothing vouches for, instead of saying so.
    pub require_valid_aik_cert: bool,
    /// `required_pcr_mask`: bit i set where register i must be quoted.
    pub required_pcrs: u32,
    /// Names of the anchors that may vouch.
    pub anchors: &'a [&'a str],
}

/// What a request showed.
#[derive(Debug)]
pub struct TpmAppraisal {
    vouched: Option<Vouched>,
    /// SHA-256 over the key's SubjectPublicKeyInfo.
    aik: [u8; 32],
    pcrs: PcrValues,
    current: Explained,
    boot_events: Option<String>,
    keys: BoundKeys,
    confirmed: Value,
    platforms: Vec<String>,
}

impl Verifier {
    /// Judges the evidence in a request: attestation key, quote, registers, logs, the state before a sleep, keys. Form and signature
    /// were checked when it was read; context and challenge are the caller's. `held`: issuers of attestation keys and their lists.
    ///
    /// # Errors
    /// Any [`VerifyError`]: the evidence is refused.
    pub fn appraise_tpm(
        &self,
        request: &TpmRequest,
        rules: &TpmRules<'_>,
        held: &Endorsements,
        now: UnixTime,
    ) -> Result<TpmAppraisal, VerifyError> {
        let (payload, memo) = (&request.payload, self.memo());
        let vouched = aik::vouch(&payload.current, rules, self.anchors(), held, now, memo)?;
        let qualifying_data = bound_keys::qualifying_data(payload)?;
        let quoted = Quoted::check(&payload.current, Some(&qualifying_data), memo)?;
        let bank = quoted.bank(rules.required_pcrs)?;
        let boot = match &payload.boot {
            None => None,
            Some(state) => Some((state, Quoted::check(state, None, memo)?)),
        };
        let mut boot_events = None;
        let mut earlier: Option<&State> = None;
        if let Some((state, before)) = &boot {
            quoted::before((*state, before), (&payload.current, &quoted))?;
            boot_events = Some(logs::explain(&[*state], before, bank)?.events);
            earlier = Some(*state);
        }
        let current = logs::explain_after(earlier, &payload.current, &quoted, bank)?;
        let keys = bound_keys::check(payload, memo)?;
        let unwritable = || VerifyError::unsupported("tpm-key", "the attestation key cannot be written");
        let aik = payload.current.aik.key.spki_sha256().ok_or_else(unwritable)?;
        Ok(TpmAppraisal {
            vouched,
            aik,
            pcrs: quoted.pcrs.clone(),
            current,
            boot_events,
            keys,
            confirmed: Value::Object(payload.request_key.jwk.clone()),
            platforms: vec![
                format!("tpm-ak:{}", hex::encode(aik)),
                format!("tpm-firmware:{:016x}", quoted.firmware_version),
            ],
        })
    }
}

impl TpmAppraisal {
    /// What every policy is told of the attestation key: `aikValidated`, `aikPubHash`, `tpmVersion`.
    pub fn key_claims(&self) -> Map<String, Value> {
        object(json!({
            "aikValidated": self.vouched.is_some(),
            "aikPubHash": STANDARD.encode(self.aik),
            "tpmVersion": 2,
        }))
    }

    /// The verdicts about the boot that policies of versions 1.0 and 1.1 are told. Section 5.1.
    pub fn boot_claims(&self) -> Map<String, Value> {
        let mut claims = self.current.verdicts.clone();
        // No report of the secure kernel is ever judged.
        claims.insert("vbsReportPresent".to_owned(), json!(false));
        claims
    }

    /// What policies of version 1.2 are told: texts of JSON. Section 5.2.
    pub fn log_claims(&self) -> Map<String, Value> {
        let mut claims = object(json!({"events": self.current.events, "pcrs": self.registers_text()}));
        let mut put = |name: &str, text: String| drop(claims.insert(name.to_owned(), Value::String(text)));
        if let Some(events) = &self.boot_events {
            put("bootEvents", events.clone());
        }
        if let Some(key) = &self.keys.request {
            put("x-ms-tpm-request-key", key.to_string());
        }
        if !self.keys.others.is_empty() {
            put("x-ms-tpm-other-keys", json!(self.keys.others).to_string());
        }
        claims
    }

    /// The registers of every bank that was quoted, by index.
    fn registers_text(&self) -> String {
        let mut registers: std::collections::BTreeMap<u32, Map<String, Value>> = std::collections::BTreeMap::new();
        for (bank, values) in &self.pcrs {
            for (index, digest) in values {
                let name = bank.as_str().to_ascii_uppercase();
                registers.entry(*index).or_default().insert(name, json!(URL_SAFE_NO_PAD.encode(digest)));
            }
        }
        let list: Vec<Value> =
            registers.into_iter().map(|(index, digests)| json!({"Index": index, "Digests": digests})).collect();
        json!({"PCRs": list}).to_string()
    }

    /// The JWK that signed the request.
    pub fn confirmed_key(&self) -> &Value {
        &self.confirmed
    }

    /// The same key with what binds it to the TPM; `None`: nothing does.
    pub fn attested_key(&self) -> Option<&Value> {
        self.keys.request.as_ref()
    }

    /// The operator's name of the anchor that vouches for the attestation key; `None`: none does.
    pub fn anchor(&self) -> Option<&str> {
        self.vouched.as_ref().map(|vouched| vouched.anchor.as_str())
    }

    /// Names for deny lists: `tpm-ak:` with the SHA-256 of the attestation key's SubjectPublicKeyInfo, and `tpm-firmware:`, in hex.
    pub fn platforms(&self) -> &[String] {
        &self.platforms
    }

    /// What a record keeps: the attestation key, who vouches for it, and the registers of the bank that counted.
    pub fn recorded(&self) -> Map<String, Value> {
        let mut claims = self.key_claims();
        if let Some(anchor) = self.anchor() {
            claims.insert("anchor".to_owned(), json!(anchor));
        }
        claims.insert("pcrs".to_owned(), registers_of(&self.pcrs, self.current.bank));
        claims
    }
}

fn registers_of(pcrs: &PcrValues, bank: Bank) -> Value {
    let values = pcrs.get(&bank).into_iter().flatten();
    let values: Map<String, Value> =
        values.map(|(index, digest)| (index.to_string(), json!(hex::encode(digest)))).collect();
    json!({bank.as_str(): values})
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
