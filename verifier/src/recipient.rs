//! The recipient's public key: read once from a JWK, compared by value ever after, never by text.
//!
//! RFC 7517, RFC 7518 section 6, RFC 7638. Keygate's contract, section 3 *Recipient*.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use der::Decode;
use der::asn1::ObjectIdentifier;
use openssl::bn::BigNum;
use openssl::ec::EcKey;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::sha::Sha256;
use serde_json::{Map, Value};
use x509_cert::spki::SubjectPublicKeyInfoRef;

use crate::error::VerifyError;
use crate::formats::x509::rsa_numbers;
use crate::signatures;

const PART: &str = "recipient";
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// A curve that a recipient's key may be on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecipientCurve {
    /// P-256: coordinates of 32 bytes.
    P256,
    /// P-384: coordinates of 48 bytes.
    P384,
}

impl RecipientCurve {
    /// The JWK name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
        }
    }
    const fn size(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }
}

/// A public key that answers may be sealed to. Numbers only: two texts of the same key are the same key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RecipientKey {
    /// RSA: modulus of 2048, 3072 or 4096 bits, odd; exponent odd, 65537 to 2^32-1. Big-endian without leading zero bytes.
    Rsa {
        /// Modulus.
        n: Vec<u8>,
        /// Public exponent.
        e: Vec<u8>,
    },
    /// EC, a point on the curve; coordinates of exactly the curve's size, big-endian.
    Ec {
        /// The curve.
        curve: RecipientCurve,
        /// x coordinate.
        x: Vec<u8>,
        /// y coordinate.
        y: Vec<u8>,
    },
}

impl RecipientKey {
    /// Reads a public JWK. `wrapping` is the JWK algorithm family that the key must allow if it names `use`, `key_ops` or `alg`.
    ///
    /// # Errors
    /// `malformed` for a missing, badly encoded or unknown member and for private members; `unsupported` for another key type or
    /// size; `binding-mismatch` never: that is found later, against the evidence.
    pub fn from_jwk(jwk: &Map<String, Value>) -> Result<Self, VerifyError> {
        let bad = |what: String| VerifyError::malformed(PART, what);
        for name in jwk.keys() {
            match name.as_str() {
                "kty" | "n" | "e" | "crv" | "x" | "y" | "kid" | "use" | "key_ops" | "alg" => {}
                "x5c" | "x5u" | "jku" | "x5t" | "x5t#S256" => {
                    return Err(bad(format!(
                        "member `{name}` is refused: a recipient is its numbers and nothing else"
                    )));
                }
                "d" | "p" | "q" | "dp" | "dq" | "qi" | "oth" | "k" => {
                    return Err(bad(format!("member `{name}` is private and must never be sent")));
                }
                other => return Err(bad(format!("unknown member `{other}`"))),
            }
        }
        let text = |name: &str| match jwk.get(name) {
            Some(Value::String(text)) => Ok(text.as_str()),
            Some(_) => Err(bad(format!("member `{name}` is not text"))),
            None => Err(bad(format!("member `{name}` is missing"))),
        };
        let number = |name: &str| {
            let text = text(name)?;
            let bytes =
                URL_SAFE_NO_PAD.decode(text).map_err(|_| bad(format!("member `{name}` is not canonical base64url")))?;
            Ok::<_, VerifyError>(bytes)
        };
        let key = match text("kty")? {
            "RSA" => {
                if let Some(name) = ["crv", "x", "y"].iter().find(|n| jwk.contains_key(**n)) {
                    return Err(bad(format!("member `{name}` does not belong to an rsa key")));
                }
                Self::rsa(&number("n")?, &number("e")?)?
            }
            "EC" => {
                if let Some(name) = ["n", "e"].iter().find(|n| jwk.contains_key(**n)) {
                    return Err(bad(format!("member `{name}` does not belong to an ec key")));
                }
                let curve = match text("crv")? {
                    "P-256" => RecipientCurve::P256,
                    "P-384" => RecipientCurve::P384,
                    other => {
                        return Err(VerifyError::unsupported(
                            PART,
                            format!("curve `{other}`; P-256 and P-384 are supported"),
                        ));
                    }
                };
                Self::ec(curve, &number("x")?, &number("y")?)?
            }
            other => {
                return Err(VerifyError::unsupported(PART, format!("key type `{other}`; RSA and EC are supported")));
            }
        };
        key.allows_sealing(jwk)?;
        Ok(key)
    }

    /// An RSA key from its numbers.
    ///
    /// # Errors
    /// `malformed` for a leading zero byte, `unsupported` for another size or exponent.
    pub fn rsa(n: &[u8], e: &[u8]) -> Result<Self, VerifyError> {
        if n.first().is_none_or(|b| *b == 0) || e.first().is_none_or(|b| *b == 0) {
            return Err(VerifyError::malformed(PART, "modulus and exponent are written without leading zero bytes"));
        }
        let odd = |bytes: &[u8]| bytes.last().is_some_and(|b| b & 1 == 1);
        let full = matches!(n.len(), 256 | 384 | 512) && n.first().is_some_and(|b| b & 0x80 != 0);
        if !full || !odd(n) {
            return Err(VerifyError::unsupported(PART, "the modulus must be odd and of 2048, 3072 or 4096 bits"));
        }
        let exponent = e.iter().try_fold(0u32, |v, b| v.checked_mul(256)?.checked_add(u32::from(*b)));
        if !exponent.is_some_and(|e| e >= 65_537 && e % 2 == 1) {
            return Err(VerifyError::unsupported(PART, "the exponent must be odd, 65537 to 2^32-1"));
        }
        Ok(Self::Rsa { n: n.to_vec(), e: e.to_vec() })
    }

    /// An EC key from its coordinates.
    ///
    /// # Errors
    /// `malformed` for a wrong length or a point that is not on the curve.
    pub fn ec(curve: RecipientCurve, x: &[u8], y: &[u8]) -> Result<Self, VerifyError> {
        if x.len() != curve.size() || y.len() != curve.size() {
            let size = curve.size();
            return Err(VerifyError::malformed(
                PART,
                format!("coordinates on {} have exactly {size} bytes", curve.as_str()),
            ));
        }
        let key = Self::Ec { curve, x: x.to_vec(), y: y.to_vec() };
        if key.ec_key().is_none() {
            return Err(VerifyError::malformed(PART, format!("the point is not on {}", curve.as_str())));
        }
        Ok(key)
    }

    /// Reads a SubjectPublicKeyInfo in DER, as a Nitro document carries it: at most 1,024 bytes, nothing after it.
    ///
    /// # Errors
    /// `malformed` for any other bytes; `unsupported` for another key type, curve or size.
    pub fn from_spki(der: &[u8]) -> Result<Self, VerifyError> {
        let bad = || VerifyError::malformed(PART, "not a public key in der");
        if der.len() > 1_024 {
            return Err(VerifyError::too_large(PART, "a public key in der has at most 1024 bytes"));
        }
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| bad())?;
        let bytes = info.subject_public_key.as_bytes().ok_or_else(bad)?;
        if info.algorithm.oid == RSA {
            let (n, e) = rsa_numbers(bytes).map_err(|_| bad())?;
            return Self::rsa(n, e);
        }
        let named = |id| info.algorithm.parameters.and_then(|p| p.decode_as::<ObjectIdentifier>().ok()) == Some(id);
        let curve = match info.algorithm.oid {
            EC if named(P256) => RecipientCurve::P256,
            EC if named(P384) => RecipientCurve::P384,
            _ => return Err(VerifyError::unsupported(PART, "the key is neither rsa nor ec on p-256 or p-384")),
        };
        let (x, y) = bytes
            .split_first()
            .filter(|(form, _)| **form == 4)
            .and_then(|(_, point)| point.split_at_checked(curve.size()))
            .ok_or_else(bad)?;
        Self::ec(curve, x, y)
    }

    /// The thumbprint input J of RFC 7638, made anew from the numbers.
    pub fn thumbprint_input(&self) -> String {
        let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Rsa { n, e } => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, b64(e), b64(n)),
            Self::Ec { curve, x, y } => {
                format!(r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#, curve.as_str(), b64(x), b64(y))
            }
        }
    }

    /// The RFC 7638 thumbprint: SHA-256 of the input, 32 bytes.
    pub fn thumbprint(&self) -> [u8; 32] {
        // Not the function for one digest: it looks its algorithm up anew each time.
        let mut hash = Sha256::new();
        hash.update(self.thumbprint_input().as_bytes());
        hash.finish()
    }

    /// The SubjectPublicKeyInfo in DER, as a Nitro document carries it. `None` only if OpenSSL fails.
    pub fn spki_der(&self) -> Option<Vec<u8>> {
        match self {
            Self::Rsa { n, e } => {
                let rsa = Rsa::from_public_components(BigNum::from_slice(n).ok()?, BigNum::from_slice(e).ok()?).ok()?;
                PKey::from_rsa(rsa).ok()?.public_key_to_der().ok()
            }
            Self::Ec { .. } => PKey::from_ec_key(self.ec_key()?).ok()?.public_key_to_der().ok(),
        }
    }

    fn ec_key(&self) -> Option<EcKey<openssl::pkey::Public>> {
        let Self::Ec { x, y, .. } = self else {
            return None;
        };
        // The lengths are those of the curve, and tell which it is.
        signatures::ec_key(&[&[4], x.as_slice(), y].concat())
    }

    fn allows_sealing(&self, jwk: &Map<String, Value>) -> Result<(), VerifyError> {
        let no = |what: &str| Err(VerifyError::unsupported(PART, what.to_owned()));
        if let Some(usage) = jwk.get("use")
            && usage != "enc"
        {
            return no("`use` must be `enc`");
        }
        if let Some(ops) = jwk.get("key_ops") {
            if !ops.as_array().is_some_and(|ops| ops.iter().all(Value::is_string)) {
                return Err(VerifyError::malformed(PART, "member `key_ops` is no list of texts"));
            }
            let wanted: &[&str] = match self {
                Self::Rsa { .. } => &["encrypt", "wrapKey"],
                Self::Ec { .. } => &["deriveKey", "deriveBits"],
            };
            let allowed = ops.as_array().is_some_and(|ops| ops.iter().any(|op| wanted.iter().any(|w| op == w)));
            // A public ECDH key has no operation of its own: an empty list is its honest form (RFC 7517 section 4.3).
            let empty_ec = matches!(self, Self::Ec { .. }) && ops.as_array().is_some_and(Vec::is_empty);
            if !allowed && !empty_ec {
                return no("`key_ops` does not allow sealing to this key");
            }
        }
        if let Some(alg) = jwk.get("alg") {
            let wanted = match self {
                Self::Rsa { .. } => "RSA-OAEP-256",
                Self::Ec { .. } => "ECDH-ES+A256KW",
            };
            if alg != wanted {
                return no(&format!("`alg` must be `{wanted}`"));
            }
        }
        if let Some(kid) = jwk.get("kid")
            && !kid.is_string()
        {
            return Err(VerifyError::malformed(PART, "member `kid` is not text"));
        }
        Ok(())
    }
}
