//! The protected header of a JWE: the one we write, and the few we read.
//!
//! RFC 7516 section 4 and RFC 7518 section 4.6.1. A header with a member that is not known here is
//! refused, so `zip` and `crit` never take effect.

use serde::{Deserialize, Serialize};

use crate::error::KeystoreError;
use crate::key::Curve;

/// `alg` for RSA recipients.
pub const RSA_OAEP_256: &str = "RSA-OAEP-256";
/// `alg` for EC recipients.
pub const ECDH_ES_A256KW: &str = "ECDH-ES+A256KW";
/// `enc` for all.
pub const A256GCM: &str = "A256GCM";

/// The members, in the order in which they are written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    pub alg: String,
    pub enc: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub typ: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cty: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epk: Option<EphemeralKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apu: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apv: Option<String>,
}

/// `epk`: the sender's half of the Diffie-Hellman exchange.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EphemeralKey {
    kty: String,
    pub crv: String,
    pub x: String,
    pub y: String,
}

impl EphemeralKey {
    /// By the texts of its coordinates.
    pub fn new(curve: Curve, x: String, y: String) -> Self {
        Self { kty: "EC".to_owned(), crv: curve.as_str().to_owned(), x, y }
    }
}

impl Header {
    /// What we write: content type and recipient, and by which algorithms.
    pub fn new(alg: &str, kid: String, cty: &str) -> Self {
        Self {
            alg: alg.to_owned(),
            enc: A256GCM.to_owned(),
            kid: Some(kid),
            typ: None,
            cty: Some(cty.to_owned()),
            epk: None,
            apu: None,
            apv: None,
        }
    }

    /// The bytes, before base64url.
    pub fn write(&self) -> Result<Vec<u8>, KeystoreError> {
        serde_json::to_vec(self).map_err(|_| KeystoreError::Malformed("the header cannot be written"))
    }

    /// Reads a header for a recipient of this algorithm and name.
    ///
    /// No header, or one with unknown or repeated members, is `malformed`; other algorithms are
    /// `unsupported`; one that names another recipient is `crypto-failed`, as its key would not open.
    pub fn read(bytes: &[u8], alg: &str, kid: &str) -> Result<Self, KeystoreError> {
        let header: Self = serde_json::from_slice(bytes)
            .map_err(|_| KeystoreError::Malformed("the header of the JWE is not one we know"))?;
        if header.alg != alg || header.enc != A256GCM {
            return Err(KeystoreError::Unsupported("the JWE is not by the algorithms of this recipient"));
        }
        if header.kid.as_deref().is_some_and(|named| named != kid) {
            return Err(KeystoreError::CryptoFailed);
        }
        let agreement = header.epk.is_some() || header.apu.is_some() || header.apv.is_some();
        if agreement && alg != ECDH_ES_A256KW {
            return Err(KeystoreError::Malformed("the header has members of another algorithm"));
        }
        if header.epk.as_ref().is_some_and(|epk| epk.kty != "EC") {
            return Err(KeystoreError::Unsupported("`epk` is not an EC key"));
        }
        Ok(header)
    }
}
