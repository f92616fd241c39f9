//! Published heads and kept receipts, held against the journal: what was signed once must still stand there.
//!
//! `native-api.md` section 3 (*Receipt*, `GET /v1/audit/head`), threat model P43. A journal whose end was cut off, or that was written
//! anew with the store's own keys, contradicts what others kept of it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keygate_keystore::{Keystore, KeystoreError, ProviderId, ServicePurpose};
use keygate_policies::{Limits, json};
use openssl::bn::BigNum;
use openssl::ecdsa::EcdsaSig;
use openssl::sha::sha256;
use openssl::x509::X509;
use serde_json::{Map, Value};

use crate::result::receipt::{HEAD_TYPE, TYPE};

/// What somebody kept.
#[derive(Debug, Clone, Copy)]
pub enum Paper<'a> {
    /// A published head.
    Head(&'a str),
    /// A receipt.
    Receipt(&'a str),
}

/// Holds each paper against the journal of the store. One answer each: `paper` (`head` or `receipt`), `holds`, and the `entry` it is
/// about or `what` is wrong: `not-ours`, `malformed`, `another-store`, `cut-off`, `changed`, `not-this-use`.
///
/// # Errors
/// The store cannot be read.
pub fn hold<'a>(
    keystore: &Keystore,
    provider: &ProviderId,
    papers: impl Iterator<Item = Paper<'a>>,
) -> Result<Vec<Value>, KeystoreError> {
    let signers = keystore.service_keys(provider, ServicePurpose::Receipt)?;
    let leaves: Vec<Vec<u8>> = signers.into_iter().filter_map(|key| key.certificates.into_iter().next()).collect();
    let judge = Judge { keystore, leaves };
    papers.map(|paper| judge.judge(paper)).collect()
}

struct Judge<'a> {
    keystore: &'a Keystore,
    leaves: Vec<Vec<u8>>,
}

impl Judge<'_> {
    fn judge(&self, paper: Paper<'_>) -> Result<Value, KeystoreError> {
        let (name, text, typ) = match paper {
            Paper::Head(text) => ("head", text, HEAD_TYPE),
            Paper::Receipt(text) => ("receipt", text, TYPE),
        };
        let told = |entry: Option<u64>, wrong: Option<&str>| {
            let mut told = serde_json::json!({"paper": name, "holds": wrong.is_none()});
            if let Some(entry) = entry {
                told["entry"] = entry.into();
            }
            if let Some(wrong) = wrong {
                told["what"] = wrong.into();
            }
            Ok(told)
        };
        let payload = match self.open(text.trim(), typ) {
            Ok(payload) => payload,
            Err(wrong) => return told(None, Some(wrong)),
        };
        let member = |name: &str| payload.get(name).and_then(Value::as_str);
        let hash = member("entry_hash").and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        let (Some(number), Some(hash)) = (payload.get("entry").and_then(Value::as_u64), hash) else {
            return told(None, Some("malformed"));
        };
        let head = self.keystore.head()?;
        if member("store").is_some_and(|store| store != hex::encode(head.store_id)) {
            return told(Some(number), Some("another-store"));
        }
        if number > head.seq {
            return told(Some(number), Some("cut-off"));
        }
        if number == 0 {
            let empty = matches!(paper, Paper::Head(_)) && hash.iter().all(|byte| *byte == 0);
            return told(Some(number), (!empty).then_some("changed"));
        }
        let entries = match self.keystore.entries(None, number, 1) {
            Err(KeystoreError::StoreCorrupt { .. }) => return told(Some(number), Some("changed")),
            other => other?,
        };
        let Some(entry) = entries.iter().find(|entry| entry.seq == number) else {
            return told(Some(number), Some("removed"));
        };
        if entry.hash.as_slice() != hash {
            return told(Some(number), Some("changed"));
        }
        let body: Value = serde_json::from_str(&entry.body).unwrap_or_default();
        let fits = |name: &str| match (member(name), body.get(name).and_then(Value::as_str)) {
            (Some(said), Some(recorded)) => said == recorded,
            _ => true,
        };
        let same_use =
            matches!(paper, Paper::Head(_)) || ["operation", "recipient", "request"].iter().all(|name| fits(name));
        told(Some(number), (!same_use).then_some("not-this-use"))
    }

    /// The payload of a compact JWS that one of the provider's receipt keys signed.
    fn open(&self, text: &str, typ: &str) -> Result<Map<String, Value>, &'static str> {
        let (message, signature) = text.rsplit_once('.').ok_or("malformed")?;
        let (header, payload) = message.split_once('.').ok_or("malformed")?;
        let header = object(header).ok_or("malformed")?;
        let is = |name: &str, wanted: &str| header.get(name).and_then(Value::as_str) == Some(wanted);
        if !is("alg", "ES256") || !is("typ", typ) || header.contains_key("crit") {
            return Err("not-ours");
        }
        let chain = header.get("x5c").and_then(Value::as_array).ok_or("not-ours")?;
        let leaf =
            chain.first().and_then(Value::as_str).and_then(|leaf| STANDARD.decode(leaf).ok()).ok_or("malformed")?;
        // Only a certificate that this store made for this purpose counts.
        let ours = self.leaves.iter().find(|known| **known == leaf).ok_or("not-ours")?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| "malformed")?;
        match signed(ours, message.as_bytes(), &signature) {
            Ok(true) => object(payload).ok_or("malformed"),
            Ok(false) | Err(_) => Err("not-ours"),
        }
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    match json::parse(&bytes, &Limits::request(64 * 1_024)).ok()?.to_value() {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

fn signed(leaf: &[u8], message: &[u8], signature: &[u8]) -> Result<bool, openssl::error::ErrorStack> {
    let Some((r, s)) = signature.split_at_checked(32).filter(|(_, s)| s.len() == 32) else { return Ok(false) };
    let key = X509::from_der(leaf)?.public_key()?.ec_key()?;
    let signature = EcdsaSig::from_private_components(BigNum::from_slice(r)?, BigNum::from_slice(s)?)?;
    signature.verify(&sha256(message), &key)
}
