//! The receipt, checked before anything that came with it is used. Keygate's contract, section 3 *Receipt*.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keygate_policies::{Limits, json};
use openssl::asn1::Asn1Object;
use openssl::bn::BigNum;
use openssl::ecdsa::EcdsaSig;
use openssl::stack::Stack;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::{X509, X509StoreContext};
use serde_json::{Map, Value};
use x509_cert::der::Decode as _;
use x509_cert::der::oid::AssociatedOid as _;
use x509_cert::ext::pkix::ExtendedKeyUsage;

use super::ClientError;
use crate::result::receipt::{PURPOSE, TYPE};

/// A receipt whose signature, chain and purpose hold.
#[derive(Debug)]
pub struct CheckedReceipt {
    payload: Map<String, Value>,
    compact: String,
}

impl CheckedReceipt {
    /// The compact JWS as it came, to keep for `audit verify --receipt`.
    pub fn compact(&self) -> &str {
        &self.compact
    }

    /// A member of the payload, as text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.payload.get(name).and_then(Value::as_str)
    }

    /// The number of the audit entry.
    pub fn entry(&self) -> Option<u64> {
        self.payload.get("entry").and_then(Value::as_u64)
    }

    /// A member must be this text.
    ///
    /// # Errors
    /// `answer-not-authentic`.
    pub fn matches(&self, name: &str, wanted: &str) -> Result<(), ClientError> {
        if self.text(name) == Some(wanted) {
            return Ok(());
        }
        Err(ClientError::not_authentic(format!("the receipt's `{name}` is not that of our request")))
    }
}

/// Checks a compact JWS under the provider's CA.
///
/// # Errors
/// `answer-not-authentic`.
pub(super) fn check(signed: &str, authority: &X509) -> Result<CheckedReceipt, ClientError> {
    let bad = |what: &str| ClientError::not_authentic(what.to_owned());
    let mut parts = signed.split('.');
    let (Some(head), Some(payload), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(bad("the receipt has not three parts"));
    };
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| bad("the receipt is not base64url"));
    let object = |bytes: &[u8]| match json::parse(bytes, &Limits::request(64 * 1024)).map(|n| n.to_value()) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err(bad("the receipt is no json")),
    };
    let header = object(&decoded(head)?)?;
    let is = |name: &str, wanted: &str| header.get(name).and_then(Value::as_str) == Some(wanted);
    if !is("alg", "ES256") || !is("typ", TYPE) || header.contains_key("crit") {
        return Err(bad("the receipt's header is not that of a receipt"));
    }
    let chain = header.get("x5c").and_then(Value::as_array).ok_or_else(|| bad("the receipt names no certificates"))?;
    let ders: Vec<Vec<u8>> = chain
        .iter()
        .map(|c| c.as_str().and_then(|c| STANDARD.decode(c).ok()))
        .collect::<Option<_>>()
        .filter(|c: &Vec<Vec<u8>>| (1..=4).contains(&c.len()))
        .ok_or_else(|| bad("the receipt's certificates do not parse"))?;
    let leaf_der = ders.first().ok_or_else(|| bad("the receipt names no certificates"))?;
    let leaf = X509::from_der(leaf_der).map_err(|_| bad("the receipt's certificate does not parse"))?;
    if !chains(&leaf, &ders, authority).unwrap_or(false) {
        return Err(bad("the receipt's certificate does not chain to the CA that is pinned"));
    }
    if !for_receipts(leaf_der) {
        return Err(bad("the receipt's certificate is for another purpose"));
    }
    let message = signed.rsplit_once('.').map(|(m, _)| m).unwrap_or_default();
    if !signed_by(&leaf, message.as_bytes(), &decoded(signature)?).unwrap_or(false) {
        return Err(bad("the receipt's signature is wrong"));
    }
    Ok(CheckedReceipt { payload: object(&decoded(payload)?)?, compact: signed.to_owned() })
}

fn chains(leaf: &X509, ders: &[Vec<u8>], authority: &X509) -> Result<bool, openssl::error::ErrorStack> {
    let mut store = X509StoreBuilder::new()?;
    store.add_cert(authority.clone())?;
    let store = store.build();
    let mut between = Stack::new()?;
    for der in ders.iter().skip(1) {
        between.push(X509::from_der(der)?)?;
    }
    X509StoreContext::new()?.init(&store, leaf, &between, |context| context.verify_cert())
}

/// Whether the one extended key usage is [`PURPOSE`]. Its arcs are larger than the reader of object identifiers counts, so the
/// encoding is compared: `SEQUENCE { OBJECT IDENTIFIER }`.
fn for_receipts(der: &[u8]) -> bool {
    let Ok(certificate) = x509_cert::Certificate::from_der(der) else { return false };
    let Ok(purpose) = Asn1Object::from_str(PURPOSE) else { return false };
    let id = purpose.as_slice();
    let Ok(length) = u8::try_from(id.len()) else { return false };
    let wanted = [&[0x30, length.saturating_add(2), 0x06, length], id].concat();
    let extensions = certificate.tbs_certificate().extensions().map(Vec::as_slice).unwrap_or_default();
    let usage = extensions.iter().find(|e| e.extn_id == ExtendedKeyUsage::OID);
    usage.is_some_and(|e| e.extn_value.as_bytes() == wanted)
}

fn signed_by(leaf: &X509, message: &[u8], signature: &[u8]) -> Result<bool, openssl::error::ErrorStack> {
    let Some((r, s)) = signature.split_at_checked(32).filter(|(_, s)| s.len() == 32) else {
        return Ok(false);
    };
    let key = leaf.public_key()?.ec_key()?;
    let signature = EcdsaSig::from_private_components(BigNum::from_slice(r)?, BigNum::from_slice(s)?)?;
    signature.verify(&openssl::sha::sha256(message), &key)
}
