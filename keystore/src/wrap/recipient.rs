//! The public key to which an answer is sealed.
//!
//! `native-api.md` section 3, *Recipient*: RSA of 2048, 3072 or 4096 bits, or EC on P-256 or P-384,
//! compared by value and named by its RFC 7638 thumbprint.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::ec::EcKey;
use openssl::pkey::{PKey, Public};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::encoding::pkcs1;
use crate::error::KeystoreError;
use crate::key::Curve;
use crate::material::PublicPart;
use crate::primitives::{ecdh, oaep};

/// A public key that was checked and may be sealed to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recipient {
    key: RecipientKey,
    thumbprint: [u8; 32],
}

/// RSA or EC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecipientKind {
    /// Takes either wrapping.
    Rsa,
    /// Takes `JWE` only.
    Ec,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum RecipientKey {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    Ec { curve: Curve, x: Vec<u8>, y: Vec<u8> },
}

impl Recipient {
    /// An RSA key by modulus and exponent, both big-endian without leading zeros.
    ///
    /// `malformed`: a leading zero, an even number. `unsupported`: a modulus of other than 2048, 3072 or
    /// 4096 bits, an exponent below 65537 or from 2^32.
    pub fn rsa(n: &[u8], e: &[u8]) -> Result<Self, KeystoreError> {
        if n.first() == Some(&0) || e.first() == Some(&0) {
            return Err(KeystoreError::Malformed("a number has a leading zero"));
        }
        if !matches!(pkcs1::bits(n), 2048 | 3072 | 4096) {
            return Err(KeystoreError::Unsupported("the modulus must have 2048, 3072 or 4096 bits"));
        }
        let odd = |number: &[u8]| number.last().is_some_and(|b| b & 1 == 1);
        if !odd(n) || !odd(e) {
            return Err(KeystoreError::Malformed("modulus and exponent must be odd"));
        }
        let exponent = e.iter().try_fold(0_u32, |value, byte| value.checked_mul(256)?.checked_add(u32::from(*byte)));
        if exponent.is_none_or(|value| value < 65_537) {
            return Err(KeystoreError::Unsupported("the exponent must be from 65537 to below 2^32"));
        }
        Ok(Self::named(RecipientKey::Rsa { n: n.to_vec(), e: e.to_vec() }))
    }

    /// An EC key by the coordinates of its point, each as long as the field.
    ///
    /// `malformed`: another length, off the curve. `unsupported`: P-521.
    pub fn ec(curve: Curve, x: &[u8], y: &[u8]) -> Result<Self, KeystoreError> {
        if !matches!(curve, Curve::P256 | Curve::P384) {
            return Err(KeystoreError::Unsupported("a recipient lies on P-256 or P-384"));
        }
        ecdh::public_key(curve, x, y)?;
        Ok(Self::named(RecipientKey::Ec { curve, x: x.to_vec(), y: y.to_vec() }))
    }

    pub(crate) fn of(public: &PublicPart) -> Result<Self, KeystoreError> {
        match public {
            PublicPart::Rsa { n, e } => Self::rsa(n, e),
            PublicPart::Ec { curve, x, y } => Self::ec(*curve, x, y),
            PublicPart::Symmetric => Err(KeystoreError::Unsupported("a recipient has an RSA or an EC key")),
        }
    }

    fn named(key: RecipientKey) -> Self {
        let thumbprint = Sha256::digest(thumbprint_input(&key)).into();
        Self { key, thumbprint }
    }

    /// RSA or EC.
    pub fn kind(&self) -> RecipientKind {
        match self.key {
            RecipientKey::Rsa { .. } => RecipientKind::Rsa,
            RecipientKey::Ec { .. } => RecipientKind::Ec,
        }
    }

    /// The SHA-256 thumbprint of RFC 7638.
    pub fn thumbprint(&self) -> [u8; 32] {
        self.thumbprint
    }

    /// What the thumbprint is made over: the required members in the order of RFC 7638, made anew from
    /// the numbers. The `J` of `native-api.md` section 4.
    pub fn thumbprint_input(&self) -> String {
        thumbprint_input(&self.key)
    }

    /// The members of its public JWK.
    pub fn jwk(&self) -> Map<String, Value> {
        let public = match self.key.clone() {
            RecipientKey::Rsa { n, e } => PublicPart::Rsa { n, e },
            RecipientKey::Ec { curve, x, y } => PublicPart::Ec { curve, x, y },
        };
        public.jwk()
    }

    /// The curve of an EC key.
    pub fn curve(&self) -> Option<Curve> {
        match self.key {
            RecipientKey::Ec { curve, .. } => Some(curve),
            RecipientKey::Rsa { .. } => None,
        }
    }

    /// Bytes of the modulus; 0 of an EC key.
    pub(super) fn modulus_length(&self) -> usize {
        match &self.key {
            RecipientKey::Rsa { n, .. } => n.len(),
            RecipientKey::Ec { .. } => 0,
        }
    }

    pub(super) fn kid(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.thumbprint)
    }

    pub(super) fn rsa_key(&self) -> Option<Result<PKey<Public>, KeystoreError>> {
        match &self.key {
            RecipientKey::Rsa { n, e } => Some(oaep::public_key(n, e)),
            RecipientKey::Ec { .. } => None,
        }
    }

    pub(super) fn ec_key(&self) -> Option<(Curve, Result<EcKey<Public>, KeystoreError>)> {
        match &self.key {
            RecipientKey::Ec { curve, x, y } => Some((*curve, ecdh::public_key(*curve, x, y))),
            RecipientKey::Rsa { .. } => None,
        }
    }
}

fn thumbprint_input(key: &RecipientKey) -> String {
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    match key {
        RecipientKey::Rsa { n, e } => {
            format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text(e), text(n))
        }
        RecipientKey::Ec { curve, x, y } => {
            format!(r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#, curve.as_str(), text(x), text(y))
        }
    }
}
