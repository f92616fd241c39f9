//! The only door for foreign key material.
//!
//! `threat-model.md` P33 and `bad-inputs.md` KEY-14: what comes in is checked whole, once, and kept
//! in our own form; nothing is mended.

mod ec;
mod jwk;
mod rsa;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::encoding::pkcs1::RsaNumbers;
use crate::encoding::pkcs8::{self, PrivateKeyInfo};
use crate::encoding::sec1::{self, EcNumbers};
use crate::error::KeystoreError;
use crate::key::{Curve, KeyType};
use crate::material::{KeyMaterial, LONGEST_SECRET};

/// Longest PKCS#8 in bytes: RSA of 4096 bits takes under 2,400, in PEM under 3,400.
const LONGEST_PKCS8: usize = 8_192;

/// A key as it comes from outside.
pub enum ImportFormat<'a> {
    /// The bytes of an AES key or a secret; the type must be declared.
    Raw(&'a [u8]),
    /// A private or symmetric JWK (RFC 7517), its members already read without duplicates.
    Jwk(&'a Map<String, Value>),
    /// `PrivateKeyInfo` in DER (RFC 5208), without password.
    Pkcs8Der(&'a [u8]),
    /// The same in PEM (RFC 7468), one block labelled `PRIVATE KEY`.
    Pkcs8Pem(&'a [u8]),
}

impl KeyMaterial {
    /// Takes a foreign key in, if it is a good one and of the declared type.
    ///
    /// `malformed`: does not parse, contradicts itself or the declared type, or is no usable key (all
    /// zero, p = q, a scalar out of range, a point off the curve, a public part of another key).
    /// `unsupported`: encrypted, with attributes, of a size, curve or algorithm that is not served, or
    /// made by the generator of CVE-2017-15361. `too-large`: longer than any key.
    pub fn import(format: ImportFormat<'_>, declared: Option<KeyType>) -> Result<Self, KeystoreError> {
        let key = match format {
            ImportFormat::Raw(bytes) => {
                let declared = declared.ok_or(KeystoreError::Malformed("raw bytes need the type declared"))?;
                symmetric(bytes, Some(declared))?
            }
            ImportFormat::Jwk(members) => jwk::read(members, declared)?,
            ImportFormat::Pkcs8Der(bytes) => pkcs8_der(bytes)?,
            ImportFormat::Pkcs8Pem(text) => pkcs8_der(&pem(text)?)?,
        };
        match declared {
            Some(declared) if declared != key.key_type() => {
                Err(KeystoreError::Malformed("the key is not of the declared type"))
            }
            _ => Ok(key),
        }
    }
}

/// An AES key by its length, or a secret if that is declared.
fn symmetric(bytes: &[u8], declared: Option<KeyType>) -> Result<KeyMaterial, KeystoreError> {
    let by_length = || {
        let all = KeyType::ALL.into_iter();
        all.clone().find(|t| t.oct_length() == Some(bytes.len()))
    };
    let key_type = match declared {
        Some(declared) => declared,
        None => by_length().ok_or(KeystoreError::Unsupported("not the length of an AES key: declare it a secret"))?,
    };
    if bytes.len() > LONGEST_SECRET {
        return Err(KeystoreError::TooLarge("longer than a secret may be"));
    }
    if key_type.rsa_bits().is_some() || key_type.curve().is_some() {
        return Err(KeystoreError::Malformed("the key is not of the declared type"));
    }
    if key_type != KeyType::Secret && bytes.iter().all(|b| *b == 0) {
        return Err(KeystoreError::Malformed("the key is all zero"));
    }
    KeyMaterial::from_sealed_form(key_type, bytes)
}

fn pkcs8_der(bytes: &[u8]) -> Result<KeyMaterial, KeystoreError> {
    if bytes.len() > LONGEST_PKCS8 {
        return Err(KeystoreError::TooLarge("longer than a private key may be"));
    }
    match pkcs8::read(bytes)? {
        PrivateKeyInfo::Rsa(inner) => {
            let numbers = RsaNumbers::read(inner).ok_or(KeystoreError::Malformed("not an RSA private key"))?;
            rsa_key(&numbers)
        }
        PrivateKeyInfo::Ec(curve, inner) => {
            let malformed = || KeystoreError::Malformed("not an EC private key");
            let numbers = EcNumbers::read(inner).ok_or_else(malformed)?;
            if numbers.curve.is_some_and(|c| c != curve.object_identifier()) {
                return Err(KeystoreError::Malformed("two curves named in one key"));
            }
            let point = match numbers.point {
                Some(point) => Some(sec1::coordinates(curve, point).ok_or_else(malformed)?),
                None => None,
            };
            ec_key(curve, numbers.scalar, point)
        }
    }
}

fn rsa_key(numbers: &RsaNumbers<'_>) -> Result<KeyMaterial, KeystoreError> {
    let key_type = rsa::check(numbers)?;
    KeyMaterial::from_sealed_form(key_type, &numbers.write())
}

fn ec_key(curve: Curve, scalar: &[u8], point: Option<(&[u8], &[u8])>) -> Result<KeyMaterial, KeystoreError> {
    let (x, y) = ec::check(curve, scalar, point)?;
    KeyMaterial::from_sealed_form(curve.key_type(), &sec1::write(curve, scalar, &x, &y))
}

/// The bytes of the one block of a PEM file.
fn pem(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
    const END: &str = "-----END PRIVATE KEY-----";
    let malformed = KeystoreError::Malformed("not one PEM block `PRIVATE KEY`");
    if text.len() > LONGEST_PKCS8 {
        return Err(KeystoreError::TooLarge("longer than a private key may be"));
    }
    let text = str::from_utf8(text).map_err(|_| malformed.clone())?.trim();
    for other in ["ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"] {
        let label = text.strip_prefix("-----BEGIN ");
        if label.is_some_and(|rest| rest.strip_prefix(other).is_some()) {
            return Err(KeystoreError::Unsupported(
                "only PKCS#8 without password is served: convert it with `openssl pkcs8 -topk8 -nocrypt`",
            ));
        }
    }
    let body = text.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END)).ok_or(malformed.clone())?;
    let mut digits = Zeroizing::new(Vec::with_capacity(body.len()));
    digits.extend(body.bytes().filter(|b| !b.is_ascii_whitespace()));
    let decoded = STANDARD.decode(digits.as_slice()).map(Zeroizing::new);
    decoded.map_err(|_| malformed)
}
