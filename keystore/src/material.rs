//! A key in the clear.
//!
//! Sealed forms after `store-durability.md` R10, read by the reader of their own type
//! (`performance-floor.md` section 3, trap 1).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::ec::EcKey;
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::encoding::pkcs1::{self, RsaNumbers};
use crate::encoding::{pkcs8, sec1};
use crate::error::KeystoreError;
use crate::key::{Curve, KeyType};
use crate::primitives::{ecdh, random};

/// Longest secret in bytes, `store-durability.md` R10.
pub const LONGEST_SECRET: usize = 65_536;

/// A key in the clear, zeroed when dropped. It can be neither printed, copied nor serialized:
///
/// ```compile_fail
/// fn printed<T: std::fmt::Debug>() {}
/// printed::<keygate_keystore::KeyMaterial>();
/// ```
///
/// ```compile_fail
/// fn copied<T: Clone>() {}
/// copied::<keygate_keystore::KeyMaterial>();
/// ```
///
/// ```compile_fail
/// fn serialized<T: serde::Serialize>() {}
/// serialized::<keygate_keystore::KeyMaterial>();
/// ```
pub struct KeyMaterial {
    key_type: KeyType,
    /// Raw bytes, PKCS#1 DER, or SEC1 DER with curve and public point.
    sealed_form: Zeroizing<Vec<u8>>,
    public: PublicPart,
}

/// What may be shown of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PublicPart {
    /// Nothing but that it is a symmetric key or a secret.
    Symmetric,
    /// Modulus and public exponent, big-endian without leading zeros.
    Rsa {
        /// The modulus.
        n: Vec<u8>,
        /// The public exponent.
        e: Vec<u8>,
    },
    /// The public point, coordinates as long as the field.
    Ec {
        /// The curve it lies on.
        curve: Curve,
        /// First coordinate.
        x: Vec<u8>,
        /// Second coordinate.
        y: Vec<u8>,
    },
}

impl PublicPart {
    /// The members of a public JWK (RFC 7517), without `kid`; a symmetric key is `kty` alone.
    pub fn jwk(&self) -> Map<String, Value> {
        let members = match self {
            Self::Symmetric => vec![("kty", "oct".to_owned())],
            Self::Rsa { n, e } => {
                vec![("kty", "RSA".to_owned()), ("n", URL_SAFE_NO_PAD.encode(n)), ("e", URL_SAFE_NO_PAD.encode(e))]
            }
            Self::Ec { curve, x, y } => vec![
                ("kty", "EC".to_owned()),
                ("crv", curve.as_str().to_owned()),
                ("x", URL_SAFE_NO_PAD.encode(x)),
                ("y", URL_SAFE_NO_PAD.encode(y)),
            ],
        };
        let named = members.into_iter();
        named.map(|(name, value)| (name.to_owned(), Value::String(value))).collect()
    }
}

impl KeyMaterial {
    /// Makes a new key from the operating system's randomness.
    ///
    /// A secret is the caller's to choose: `operation-not-allowed`.
    pub fn generate(key_type: KeyType) -> Result<Self, KeystoreError> {
        if let Some(length) = key_type.oct_length() {
            return Self::from_sealed_form(key_type, &random::secret(length)?);
        }
        let made = match (key_type.rsa_bits(), key_type.curve()) {
            (Some(bits), _) => generate_rsa(bits),
            (_, Some(curve)) => generate_ec(curve),
            _ => {
                return Err(KeystoreError::OperationNotAllowed("a secret is imported, never generated"));
            }
        };
        Self::from_sealed_form(key_type, &made.map_err(|_| KeystoreError::Randomness)?)
    }

    /// Reads the form in which a key is kept. What it holds was checked when it was made or
    /// imported; here only its shape must fit the type, else `malformed`.
    pub fn from_sealed_form(key_type: KeyType, bytes: &[u8]) -> Result<Self, KeystoreError> {
        let public = shape(key_type, bytes).ok_or(KeystoreError::Malformed("the key does not fit its type"))?;
        Ok(Self { key_type, sealed_form: Zeroizing::new(bytes.to_vec()), public })
    }

    /// Type and size.
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// What may be shown of it.
    pub fn public(&self) -> &PublicPart {
        &self.public
    }

    /// The members of its public JWK, see [`PublicPart::jwk`].
    pub fn public_part(&self) -> Map<String, Value> {
        self.public.jwk()
    }

    /// The form in which the key is kept, to be sealed at once: raw bytes, PKCS#1 DER, or SEC1 DER.
    pub fn sealed_form(&self) -> Zeroizing<Vec<u8>> {
        self.sealed_form.clone()
    }

    /// The form in which the key is released: raw bytes, or PKCS#8 DER for RSA and EC.
    pub fn handed_out_form(&self) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
        Ok(match &self.public {
            PublicPart::Symmetric => self.sealed_form.clone(),
            PublicPart::Rsa { .. } => pkcs8::write_rsa(&self.sealed_form),
            PublicPart::Ec { curve, .. } => pkcs8::write_ec(*curve, &self.sealed_form)
                .ok_or(KeystoreError::Malformed("the key does not fit its type"))?,
        })
    }

    /// Content type of [`KeyMaterial::handed_out_form`], for the header of a JWE.
    pub fn content_type(&self) -> &'static str {
        match self.public {
            PublicPart::Symmetric => "application/octet-stream",
            PublicPart::Rsa { .. } | PublicPart::Ec { .. } => "application/pkcs8",
        }
    }

    /// The bytes of an AES key or a secret.
    pub(crate) fn symmetric(&self) -> &[u8] {
        &self.sealed_form
    }

    /// The key, ready for use by OpenSSL. The object is not kept: `performance-floor.md` trap 2.
    pub(crate) fn rsa(&self) -> Result<PKey<Private>, KeystoreError> {
        let read = Rsa::private_key_from_der(&self.sealed_form).and_then(PKey::from_rsa);
        read.map_err(|_| KeystoreError::CryptoFailed)
    }

    /// The key, ready for use by OpenSSL.
    pub(crate) fn ec(&self) -> Result<EcKey<Private>, KeystoreError> {
        EcKey::private_key_from_der(&self.sealed_form).map_err(|_| KeystoreError::CryptoFailed)
    }
}

fn shape(key_type: KeyType, bytes: &[u8]) -> Option<PublicPart> {
    if let Some(bits) = key_type.rsa_bits() {
        let numbers = RsaNumbers::read(bytes)?;
        if pkcs1::bits(numbers.n) != bits {
            return None;
        }
        return Some(PublicPart::Rsa { n: numbers.n.to_vec(), e: numbers.e.to_vec() });
    }
    if let Some(curve) = key_type.curve() {
        let (_, x, y) = sec1::read_own(curve, bytes)?;
        return Some(PublicPart::Ec { curve, x: x.to_vec(), y: y.to_vec() });
    }
    let fits = match key_type.oct_length() {
        Some(length) => bytes.len() == length,
        None => (1..=LONGEST_SECRET).contains(&bytes.len()),
    };
    fits.then_some(PublicPart::Symmetric)
}

fn generate_rsa(bits: usize) -> Result<Zeroizing<Vec<u8>>, ErrorStack> {
    let key = Rsa::generate(bits as u32)?;
    Ok(Zeroizing::new(key.private_key_to_der()?))
}

fn generate_ec(curve: Curve) -> Result<Zeroizing<Vec<u8>>, ErrorStack> {
    let key = EcKey::generate(ecdh::group(curve)?)?;
    // the group is named, so the encoder writes its name, the scalar and the public point
    Ok(Zeroizing::new(key.private_key_to_der()?))
}
