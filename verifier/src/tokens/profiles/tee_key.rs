//! The workload's key as the families write it, read to its numbers.
//! Secure key release, section 3 (*which key may receive the released key*); relying party tokens, sections 3 and 5.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::formats::base64url::decode_lenient;
use crate::formats::x509::subject_public_key_info;
use crate::recipient::{RecipientCurve, RecipientKey};
use crate::tokens::fault::TokenFault;

/// A key that answers may be sealed to, with the name that the workload gave it.
#[derive(Debug)]
pub(super) struct TeeKey {
    pub key: RecipientKey,
    pub kid: Option<String>,
}

const UNFIT: TokenFault = TokenFault::Profile("the workload's key is none that answers can be sealed to");

/// Chooses from `x-ms-runtime.keys`: the first RSA key for encryption, and no other if that one is unfit.
pub(super) fn of_key_list(keys: &Value) -> Result<Option<TeeKey>, TokenFault> {
    let keys = keys.as_array().ok_or(TokenFault::Claim("x-ms-runtime.keys"))?;
    let Some(jwk) = keys.iter().filter_map(Value::as_object).find(|jwk| is_for_encryption(jwk)) else {
        return Ok(None);
    };
    let kid = jwk.get("kid").and_then(Value::as_str).filter(|kid| !kid.is_empty() && kid.len() <= 256).ok_or(UNFIT)?;
    let key = match (jwk.contains_key("n"), jwk.get("x5c")) {
        (false, Some(x5c)) => certified(x5c).filter(|key| matches!(key, RecipientKey::Rsa { .. })),
        _ => rsa(jwk),
    };
    Ok(Some(TeeKey { key: key.ok_or(UNFIT)?, kid: Some(kid.to_owned()) }))
}

fn is_for_encryption(jwk: &Map<String, Value>) -> bool {
    let purpose = |name: &str| jwk.get(name).is_some_and(|purpose| purpose == "enc");
    // One client of the field writes a single operation as bare text.
    let operations = match jwk.get("key_ops") {
        Some(Value::Array(operations)) => operations.iter().any(|operation| operation == "encrypt"),
        Some(operation) => operation == "encrypt",
        None => false,
    };
    jwk.get("kty").is_some_and(|kty| kty == "RSA") && (purpose("use") || purpose("key_use") || operations)
}

/// A JWK in a place that is for the workload's key and nothing else: `tee-pubkey`, `cnf.jwk`. Its `alg` and `use` are its maker's habit
/// and choose nothing; private members are refused.
pub(super) fn of_jwk(jwk: &Value) -> Result<TeeKey, TokenFault> {
    let jwk = jwk.as_object().ok_or(UNFIT)?;
    if ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].iter().any(|name| jwk.contains_key(*name)) {
        return Err(UNFIT);
    }
    let key = match jwk.get("kty").and_then(Value::as_str) {
        Some("RSA") => rsa(jwk),
        Some("EC") => ec(jwk),
        _ => None,
    };
    let kid = jwk.get("kid").and_then(Value::as_str).filter(|kid| kid.len() <= 256).map(str::to_owned);
    Ok(TeeKey { key: key.ok_or(UNFIT)?, kid })
}

/// Which end of a modulus comes first in data that Intel's clients hold.
#[derive(Debug, Clone, Copy)]
pub(super) enum Order {
    /// SGX.
    LittleEndian,
    /// TDX.
    BigEndian,
}

/// Data of an exponent in four bytes, little-endian, and a modulus.
pub(super) fn of_held_data(held: &[u8], order: Order) -> Option<TeeKey> {
    let (exponent, modulus) = held.split_first_chunk::<4>()?;
    let exponent = u32::from_le_bytes(*exponent).to_be_bytes();
    let mut modulus = modulus.to_vec();
    if matches!(order, Order::LittleEndian) {
        modulus.reverse();
    }
    let key = RecipientKey::rsa(without_zeros(&modulus), without_zeros(&exponent)).ok()?;
    Some(TeeKey { key, kid: None })
}

fn rsa(jwk: &Map<String, Value>) -> Option<RecipientKey> {
    let (n, e) = (number(jwk, "n")?, number(jwk, "e")?);
    RecipientKey::rsa(without_zeros(&n), without_zeros(&e)).ok()
}

fn ec(jwk: &Map<String, Value>) -> Option<RecipientKey> {
    let curve = match jwk.get("crv")?.as_str()? {
        "P-256" => RecipientCurve::P256,
        "P-384" => RecipientCurve::P384,
        _ => return None,
    };
    RecipientKey::ec(curve, &number(jwk, "x")?, &number(jwk, "y")?).ok()
}

fn certified(x5c: &Value) -> Option<RecipientKey> {
    let der = STANDARD.decode(x5c.as_array()?.first()?.as_str()?).ok().filter(|der| der.len() <= 16 * 1024)?;
    RecipientKey::from_spki(&subject_public_key_info(&der).ok()?).ok()
}

fn number(jwk: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    decode_lenient(jwk.get(name)?.as_str()?)
}

fn without_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}
