//! One key of a key set. RFC 7517 sections 4 and 9, RFC 7518 section 6, RFC 8037 section 2.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use openssl::bn::{BigNum, BigNumContext};
use serde_json::{Map, Value};

use super::algorithm::JwsAlgorithm;
use crate::formats::x509::{Certificate, only_common_name, subject_public_key_info};
use crate::signatures::{PublicKey, certificate_signed_by, has_roca_fingerprint};
use crate::time::UnixTime;

/// The longest `kid`, in bytes.
pub(super) const MAX_KID: usize = 256;
/// The largest certificate of a signing key: an Azure-style service carries its own evidence in it.
const MAX_CERTIFICATE: usize = 64 * 1024;
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A public key that may check signatures, and all that its set says about it.
#[derive(Debug)]
pub(super) struct Key {
    pub kid: Option<String>,
    pub algorithm: Option<JwsAlgorithm>,
    pub key: PublicKey,
    pub certificate: Option<KeyCertificate>,
}

/// What the first certificate of `x5c` says.
#[derive(Debug)]
pub(super) struct KeyCertificate {
    /// The common name, where subject and issuer are the same name and consist of it alone.
    pub self_issued: Option<String>,
    /// Whether it is signed by its own key.
    pub self_signed: bool,
    /// The key in DER.
    pub spki: Vec<u8>,
    /// SHA-1 over the certificate, as `x5t` has it. A name and no more.
    pub thumbprint: [u8; 20],
    pub not_before: UnixTime,
    pub not_after: UnixTime,
}

/// What an entry of a key set comes to.
pub(super) enum Entry {
    /// A key for signatures.
    Key(Key),
    /// Of another use, type or size, or contradicting itself.
    Ignored,
    /// A symmetric key: whoever can read the set could sign.
    Symmetric,
}

impl Entry {
    pub fn read(jwk: &Map<String, Value>) -> Self {
        if jwk.get("kty").and_then(Value::as_str) == Some("oct") {
            return Self::Symmetric;
        }
        Key::read(jwk).map_or(Self::Ignored, Self::Key)
    }
}

/// The key in a JWK of RSA or a NIST curve that stands for itself: no private part, and strong enough. What the key is for is
/// not asked.
pub(crate) fn public_key(jwk: &Map<String, Value>) -> Option<PublicKey> {
    if PRIVATE.iter().any(|name| jwk.contains_key(*name)) {
        return None;
    }
    match jwk.get("kty")?.as_str()? {
        "RSA" => rsa(jwk),
        "EC" => ec(jwk),
        _ => None,
    }
}

impl Key {
    fn read(jwk: &Map<String, Value>) -> Option<Self> {
        if PRIVATE.iter().any(|name| jwk.contains_key(*name)) || !for_checking(jwk) {
            return None;
        }
        let kid = match jwk.get("kid") {
            None => None,
            Some(Value::String(kid)) if sound_kid(kid) => Some(kid.clone()),
            Some(_) => return None,
        };
        let algorithm = match jwk.get("alg") {
            None => None,
            Some(Value::String(name)) => Some(JwsAlgorithm::parse(name)?),
            Some(_) => return None,
        };
        let certified = match jwk.get("x5c") {
            None => None,
            Some(x5c) => certificate(x5c),
        };
        let key = match (jwk.get("kty")?.as_str()?, &certified) {
            ("RSA", _) if jwk.contains_key("n") => rsa(jwk)?,
            ("EC", _) if jwk.contains_key("x") => ec(jwk)?,
            ("OKP", None) => okp(jwk)?,
            ("RSA", Some(certificate)) => same_type(certificate, |key| matches!(key, PublicKey::Rsa(..)))?,
            ("EC", Some(certificate)) => same_type(certificate, |key| !matches!(key, PublicKey::Rsa(..)))?,
            _ => return None,
        };
        // A key set in which certificate and numbers differ does not say which key it means.
        if certified.as_ref().is_some_and(|certificate| certificate.key().digest() != key.digest()) {
            return None;
        }
        let certificate = certified.and_then(|certificate| KeyCertificate::of(&certificate));
        let read = Self { kid, algorithm, key, certificate };
        algorithm.is_none_or(|algorithm| read.fits(algorithm)).then_some(read)
    }

    /// Whether the key is of the algorithm's type and curve, and is not kept for another algorithm.
    pub fn fits(&self, algorithm: JwsAlgorithm) -> bool {
        use JwsAlgorithm::{ES256, ES384, ES512, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
        let family = match algorithm {
            RS256 | RS384 | RS512 | PS256 | PS384 | PS512 => matches!(self.key, PublicKey::Rsa(..)),
            ES256 => matches!(self.key, PublicKey::P256(..)),
            ES384 => matches!(self.key, PublicKey::P384(..)),
            ES512 => matches!(self.key, PublicKey::P521(..)),
            EdDSA => matches!(self.key, PublicKey::Ed25519(..)),
        };
        family && self.algorithm.is_none_or(|named| named == algorithm)
    }
}

impl Key {
    /// The RFC 7638 thumbprint in base64url. `None` only if OpenSSL fails.
    pub fn thumbprint(&self) -> Option<String> {
        let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let input = match &self.key {
            PublicKey::Rsa(key, _) => {
                let rsa = key.rsa().ok()?;
                let (n, e) = (b64(&rsa.n().to_vec()), b64(&rsa.e().to_vec()));
                format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#)
            }
            PublicKey::P256(key, _) | PublicKey::P384(key, _) | PublicKey::P521(key, _) => {
                let (curve, size) = match &self.key {
                    PublicKey::P256(..) => ("P-256", 32),
                    PublicKey::P384(..) => ("P-384", 48),
                    _ => ("P-521", 66),
                };
                let mut context = BigNumContext::new().ok()?;
                let (mut x, mut y) = (BigNum::new().ok()?, BigNum::new().ok()?);
                key.public_key().affine_coordinates(key.group(), &mut x, &mut y, &mut context).ok()?;
                let (x, y) = (b64(&x.to_vec_padded(size).ok()?), b64(&y.to_vec_padded(size).ok()?));
                format!(r#"{{"crv":"{curve}","kty":"EC","x":"{x}","y":"{y}"}}"#)
            }
            PublicKey::Ed25519(key, _) => {
                let x = b64(&key.raw_public_key().ok()?);
                format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)
            }
        };
        Some(b64(&openssl::sha::sha256(input.as_bytes())))
    }
}

impl KeyCertificate {
    fn of(certificate: &Certificate) -> Option<Self> {
        let same = certificate.subject() == certificate.issuer();
        Some(Self {
            self_issued: if same { only_common_name(certificate.subject()) } else { None },
            self_signed: same && certificate_signed_by(certificate, certificate.key()),
            spki: subject_public_key_info(certificate.der()).ok()?,
            thumbprint: openssl::sha::sha1(certificate.der()),
            not_before: certificate.not_before(),
            not_after: certificate.not_after(),
        })
    }
}

/// Whether a `kid` may be looked up at all: a name, compared byte for byte and never read as anything else.
pub(super) fn sound_kid(kid: &str) -> bool {
    kid.len() <= MAX_KID && !kid.contains('\0')
}

/// `use` and `key_ops`, where present, allow the checking of signatures.
fn for_checking(jwk: &Map<String, Value>) -> bool {
    let signing = jwk.get("use").is_none_or(|purpose| purpose == "sig");
    let verifying = match jwk.get("key_ops") {
        None => true,
        Some(Value::Array(operations)) => operations.iter().any(|operation| operation == "verify"),
        Some(_) => false,
    };
    signing && verifying
}

fn certificate(x5c: &Value) -> Option<Certificate> {
    let der = STANDARD.decode(x5c.as_array()?.first()?.as_str()?).ok()?;
    Certificate::parse_at_most(&der, MAX_CERTIFICATE).ok()
}

/// The certified key, when it is of the type that `kty` says.
fn same_type(certificate: &Certificate, is: impl Fn(&PublicKey) -> bool) -> Option<PublicKey> {
    Some(certificate.key().clone()).filter(|key| is(key) && sound(key))
}

/// Whether a key is not one of those that can be factored.
fn sound(key: &PublicKey) -> bool {
    key.modulus().is_none_or(|n| !has_roca_fingerprint(&n))
}

fn number(jwk: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(jwk.get(name)?.as_str()?).ok()
}

fn rsa(jwk: &Map<String, Value>) -> Option<PublicKey> {
    let (n, e) = (number(jwk, "n")?, number(jwk, "e")?);
    let zeros = |bytes: &[u8]| bytes.iter().take_while(|byte| **byte == 0).count();
    let (n, e) = (n.get(zeros(&n)..)?, e.get(zeros(&e)..)?);
    PublicKey::from_rsa(n, e).filter(sound)
}

/// The curve is what `crv` says, and each coordinate has exactly its size.
fn ec(jwk: &Map<String, Value>) -> Option<PublicKey> {
    let size = match jwk.get("crv")?.as_str()? {
        "P-256" => 32,
        "P-384" => 48,
        "P-521" => 66,
        _ => return None,
    };
    let (x, y) = (number(jwk, "x")?, number(jwk, "y")?);
    if x.len() != size || y.len() != size {
        return None;
    }
    PublicKey::from_point(&[&[4], x.as_slice(), y.as_slice()].concat())
}

/// Ed25519 alone: the other curves of the type are for agreement, or not used by tokens.
fn okp(jwk: &Map<String, Value>) -> Option<PublicKey> {
    if jwk.get("crv")?.as_str()? != "Ed25519" || jwk.contains_key("y") {
        return None;
    }
    PublicKey::from_ed25519(&number(jwk, "x")?.try_into().ok()?)
}
