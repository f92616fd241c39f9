//! The algorithms by which keys are used, and which key fits which.
//!
//! Names after RFC 7518; `A128KWP` and its like after RFC 5649, as key vaults call them.

use crate::error::KeystoreError;
use crate::key::{Curve, KeyType};
use crate::primitives::key_wrap::Padding;

/// An algorithm of wrap, unwrap, generate or sign.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum Algorithm {
    A128Gcm,
    A192Gcm,
    A256Gcm,
    A128Kw,
    A192Kw,
    A256Kw,
    A128Kwp,
    A192Kwp,
    A256Kwp,
    RsaOaep256,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
}

/// What an algorithm is for; a key marked for one is not used for the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Wrap, unwrap, generate.
    Encryption,
    /// Sign.
    Signing,
}

/// How an algorithm of encryption works on the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Encryption {
    Gcm,
    KeyWrap(Padding),
    Oaep,
}

impl Algorithm {
    /// Every algorithm, in the order of their numbers in a ciphertext.
    pub const ALL: [Self; 19] = [
        Self::A128Gcm,
        Self::A192Gcm,
        Self::A256Gcm,
        Self::A128Kw,
        Self::A192Kw,
        Self::A256Kw,
        Self::A128Kwp,
        Self::A192Kwp,
        Self::A256Kwp,
        Self::RsaOaep256,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::A128Gcm => "A128GCM",
            Self::A192Gcm => "A192GCM",
            Self::A256Gcm => "A256GCM",
            Self::A128Kw => "A128KW",
            Self::A192Kw => "A192KW",
            Self::A256Kw => "A256KW",
            Self::A128Kwp => "A128KWP",
            Self::A192Kwp => "A192KWP",
            Self::A256Kwp => "A256KWP",
            Self::RsaOaep256 => "RSA-OAEP-256",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
        }
    }

    /// Reads the name on the wire; another one is `unsupported`.
    pub fn parse(text: &str) -> Result<Self, KeystoreError> {
        Self::ALL
            .into_iter()
            .find(|a| a.as_str() == text)
            .ok_or(KeystoreError::Unsupported("the algorithm is not served"))
    }

    /// What it is for.
    pub fn purpose(self) -> Purpose {
        match self.encryption() {
            Some(_) => Purpose::Encryption,
            None => Purpose::Signing,
        }
    }

    /// Whether a key of this type can be used by it.
    pub fn fits(self, key_type: KeyType) -> bool {
        match self {
            Self::A128Gcm | Self::A128Kw | Self::A128Kwp => key_type == KeyType::Oct128,
            Self::A192Gcm | Self::A192Kw | Self::A192Kwp => key_type == KeyType::Oct192,
            Self::A256Gcm | Self::A256Kw | Self::A256Kwp => key_type == KeyType::Oct256,
            Self::RsaOaep256 | Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512 => {
                key_type.rsa_bits().is_some()
            }
            Self::Es256 => key_type.curve() == Some(Curve::P256),
            Self::Es384 => key_type.curve() == Some(Curve::P384),
            Self::Es512 => key_type.curve() == Some(Curve::P521),
        }
    }

    /// Reads the name, for use with a key: one for another type of key, or for another purpose, is
    /// `operation-not-allowed`.
    pub(crate) fn parse_for(text: &str, key_type: KeyType, purpose: Purpose) -> Result<Self, KeystoreError> {
        let algorithm = Self::parse(text)?;
        if algorithm.purpose() != purpose || !algorithm.fits(key_type) {
            return Err(KeystoreError::OperationNotAllowed("the algorithm does not fit the key"));
        }
        Ok(algorithm)
    }

    pub(crate) fn encryption(self) -> Option<Encryption> {
        match self {
            Self::A128Gcm | Self::A192Gcm | Self::A256Gcm => Some(Encryption::Gcm),
            Self::A128Kw | Self::A192Kw | Self::A256Kw => Some(Encryption::KeyWrap(Padding::None)),
            Self::A128Kwp | Self::A192Kwp | Self::A256Kwp => Some(Encryption::KeyWrap(Padding::Kwp)),
            Self::RsaOaep256 => Some(Encryption::Oaep),
            _ => None,
        }
    }

    /// Its number in a ciphertext. Never changed, never used again for another.
    pub(crate) fn number(self) -> Option<u8> {
        match self {
            Self::A128Gcm => Some(1),
            Self::A192Gcm => Some(2),
            Self::A256Gcm => Some(3),
            Self::A128Kw => Some(4),
            Self::A192Kw => Some(5),
            Self::A256Kw => Some(6),
            Self::A128Kwp => Some(7),
            Self::A192Kwp => Some(8),
            Self::A256Kwp => Some(9),
            Self::RsaOaep256 => Some(10),
            _ => None,
        }
    }
}
