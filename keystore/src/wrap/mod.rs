//! Sealing what leaves the service to the key of a recipient.
//!
//! `native-api.md` section 3, *Sealed answers only*.

use serde::{Deserialize, Serialize};

use crate::error::KeystoreError;

/// The ways to seal an answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Wrapping {
    /// A fresh AES-256 key under RSA-OAEP with SHA-256, then AES-KWP (RFC 5649) of the answer.
    RsaAesKeyWrap256,
    /// JWE in compact form: `RSA-OAEP-256` or `ECDH-ES+A256KW`, with `A256GCM`.
    Jwe,
}

impl Wrapping {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RsaAesKeyWrap256 => "RSA_AES_KEY_WRAP_256",
            Self::Jwe => "JWE",
        }
    }

    /// Reads the name on the wire; another one is `unsupported`.
    pub fn parse(text: &str) -> Result<Self, KeystoreError> {
        match text {
            "RSA_AES_KEY_WRAP_256" => Ok(Self::RsaAesKeyWrap256),
            "JWE" => Ok(Self::Jwe),
            _ => Err(KeystoreError::Unsupported("the wrapping is not served")),
        }
    }
}

/// A sealed answer, as it stands in the JSON of a reply.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "wrapping", deny_unknown_fields)]
pub enum Wrapped {
    /// The two ciphertexts one behind the other, base64url without padding.
    #[serde(rename = "RSA_AES_KEY_WRAP_256")]
    RsaAesKeyWrap256 {
        /// Modulus-long RSA-OAEP ciphertext, then the AES-KWP ciphertext.
        ciphertext: String,
    },
    /// The five parts of a compact JWE.
    #[serde(rename = "JWE")]
    Jwe {
        /// The compact serialization.
        jwe: String,
    },
}

/// Placeholder until the wrapping half has it.
pub struct Recipient;
