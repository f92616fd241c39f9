//! A JWS that brings its certificate along, as Azure's policy tools make them: signed policies, resets, certificate changes.
//! Tokens and claims of Azure Attestation: signed policies; REST contract: the wording of refusals.
//!
//! Tolerant where the tools differ and nowhere else: the spellings `RSA256` and `ECDH256`, ECDSA signatures in either form, `x5c` in
//! the header or in its `jwk`, both alphabets of base64. That the signature is right says who signed; whether that signer may
//! change anything is the caller's to say. Dates are not looked at: a signer stays registered until it is removed.

use base64::alphabet;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use base64::{DecodeError, Engine as _};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::formats::jose;
use crate::formats::json;
use crate::formats::x509::{Certificate, subject_public_key_info};
use crate::signatures::{Algorithm, PublicKey, certificate_signed_by};

const MAX_BYTES: usize = 256 * 1024;
const MAX_CERTIFICATES: usize = 8;

/// A JWS as it was read; signed by the key of its own certificate, or not at all.
#[derive(Debug, Clone)]
pub struct EmbeddedJws {
    /// The payload's bytes; empty for a reset.
    pub payload: Vec<u8>,
    /// The header.
    pub header: Map<String, Value>,
    /// Who signed. `None`: `alg` is `none`.
    pub signer: Option<EmbeddedSigner>,
}

/// The signer of an [`EmbeddedJws`]: nobody to trust until its key or certificate is found where signers are registered.
#[derive(Debug, Clone)]
pub struct EmbeddedSigner {
    /// `alg` as written.
    pub alg: String,
    /// `RSA` or `EC`.
    pub kty: &'static str,
    /// The certificates in DER, leaf first; each is signed by the next, the last by itself.
    pub certificates: Vec<Vec<u8>>,
    /// The leaf's SubjectPublicKeyInfo in DER.
    pub spki: Vec<u8>,
}

/// Why such a JWS was refused. The sentences are for its sender.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EmbeddedFault {
    /// More than 256 KiB.
    #[error("the jws is larger than 256 KiB")]
    TooLarge,
    /// No period at all.
    #[error("the jws is malformed: its first period is missing")]
    MissingFirstPeriod,
    /// One period only.
    #[error("the jws is malformed: its second period is missing")]
    MissingSecondPeriod,
    /// More than two periods.
    #[error("the jws is malformed: it has more than two periods")]
    MorePeriods,
    /// A character outside of base64.
    #[error("the jws is malformed: unknown base64 character, code {code}, glyph `{}`", glyph.escape_debug())]
    Base64 {
        /// Its code point.
        code: u32,
        /// The character.
        glyph: char,
    },
    /// Base64 that ends in the middle.
    #[error("the jws is malformed: a segment is cut off in the middle of its base64")]
    Base64End,
    /// The header is not a strict JSON object.
    #[error("the jws is malformed: its header is not a json object that says everything once")]
    Json,
    /// `crit` or `b64`.
    #[error("the jws header asks for an extension that is not supported")]
    Extension,
    /// `alg` is missing or not one of those accepted.
    #[error("the jws algorithm is not one of none, RS256, RSA256, ES256 and ECDH256")]
    Algorithm,
    /// `alg` is `none` and there is a signature all the same.
    #[error("the jws has a signature and says that it has none")]
    UnexpectedSignature,
    /// A certificate is missing, does not parse, or does not fit the next.
    #[error("the certificate of the jws is refused: {reason}")]
    Certificate {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The chain does not end in a certificate that may issue and is signed by itself.
    #[error("unable to find the issuer certificate for CN={common_name}")]
    NoIssuerCertificate {
        /// Of the certificate whose issuer is missing; empty where it has none.
        common_name: String,
    },
    /// The signature is wrong.
    #[error("the signature of the jws does not verify with the key of its certificate")]
    Signature,
}

/// Reads a JWS of at most 256 KiB and checks its signature over the segments as they stand.
///
/// # Errors
/// An [`EmbeddedFault`].
pub fn read_embedded(jws: &str) -> Result<EmbeddedJws, EmbeddedFault> {
    if jws.len() > MAX_BYTES {
        return Err(EmbeddedFault::TooLarge);
    }
    let (header, rest) = jws.split_once('.').ok_or(EmbeddedFault::MissingFirstPeriod)?;
    let (payload, signature) = rest.split_once('.').ok_or(EmbeddedFault::MissingSecondPeriod)?;
    if signature.contains('.') {
        return Err(EmbeddedFault::MorePeriods);
    }
    let signed = jws.get(..header.len().saturating_add(1).saturating_add(payload.len())).unwrap_or_default();
    let header = json::object(&decode(header)?).map_err(|_| EmbeddedFault::Json)?;
    let (payload, signature) = (decode(payload)?, decode(signature)?);
    if header.contains_key("crit") || header.contains_key("b64") {
        return Err(EmbeddedFault::Extension);
    }
    let alg = header.get("alg").and_then(Value::as_str).ok_or(EmbeddedFault::Algorithm)?;
    let kty = match alg {
        "none" if signature.is_empty() => return Ok(EmbeddedJws { payload, header, signer: None }),
        "none" => return Err(EmbeddedFault::UnexpectedSignature),
        "RS256" | "RSA256" => "RSA",
        "ES256" | "ECDH256" => "EC",
        _ => return Err(EmbeddedFault::Algorithm),
    };
    let alg = alg.to_owned();
    let certificates = certificates(&header)?;
    let leaf = chain(&certificates)?;
    let right = match (kty, leaf.key()) {
        ("RSA", key @ PublicKey::Rsa(..)) => key.verify(Algorithm::Pkcs1Sha256, signed.as_bytes(), &signature),
        // The Python client signs in DER, all others as RFC 7518 says.
        ("EC", key @ PublicKey::P256(..)) => [Algorithm::P256Raw, Algorithm::P256Der]
            .into_iter()
            .any(|form| key.verify(form, signed.as_bytes(), &signature)),
        _ => return Err(EmbeddedFault::Certificate { reason: "its key is not for the algorithm" }),
    };
    if !right {
        return Err(EmbeddedFault::Signature);
    }
    let spki = subject_public_key_info(leaf.der())
        .map_err(|_| EmbeddedFault::Certificate { reason: "its key does not parse" })?;
    Ok(EmbeddedJws { payload, header, signer: Some(EmbeddedSigner { alg, kty, certificates, spki }) })
}

/// Either alphabet, padded or not.
fn decode(segment: &str) -> Result<Vec<u8>, EmbeddedFault> {
    const TOLERANT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::URL_SAFE,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    if let Some(glyph) =
        segment.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '+' | '/' | '='))
    {
        return Err(EmbeddedFault::Base64 { code: u32::from(glyph), glyph });
    }
    TOLERANT.decode(segment.replace('+', "-").replace('/', "_")).map_err(|error| match error {
        DecodeError::InvalidByte(_, byte) => EmbeddedFault::Base64 { code: u32::from(byte), glyph: char::from(byte) },
        _ => EmbeddedFault::Base64End,
    })
}

/// `x5c` of the header or of its `jwk`; where both stand they are the same.
fn certificates(header: &Map<String, Value>) -> Result<Vec<Vec<u8>>, EmbeddedFault> {
    let refused = |reason| EmbeddedFault::Certificate { reason };
    let inner = header.get("jwk").and_then(|jwk| jwk.get("x5c"));
    let x5c = match (header.get("x5c"), inner) {
        (Some(outer), Some(inner)) if outer != inner => return Err(refused("the two x5c of its header differ")),
        (Some(x5c), _) | (None, Some(x5c)) => x5c,
        (None, None) => return Err(refused("its header has no x5c")),
    };
    let texts: Option<Vec<String>> =
        x5c.as_array().and_then(|list| list.iter().map(|text| text.as_str().map(str::to_owned)).collect());
    let texts = texts.ok_or_else(|| refused("its x5c is no list of texts"))?;
    jose::certificates(&texts, MAX_CERTIFICATES).map_err(|_| refused("its x5c is not 1 to 8 certificates in base64"))
}

/// The leaf of a chain in which each certificate is issued by the next and the last by itself.
fn chain(certificates: &[Vec<u8>]) -> Result<Certificate, EmbeddedFault> {
    let refused = |reason| EmbeddedFault::Certificate { reason };
    let parsed: Result<Vec<_>, _> = certificates.iter().map(|der| Certificate::parse(der)).collect();
    let mut parsed = parsed.map_err(|_| refused("it does not parse, or its key is of another type or size"))?;
    let root = parsed.last().ok_or_else(|| refused("its header has no x5c"))?;
    if root.issuer() != root.subject() || !root.is_ca() {
        let name = root.common_name().unwrap_or_default();
        let common_name = name.chars().filter(|c| !c.is_control()).take(256).collect();
        return Err(EmbeddedFault::NoIssuerCertificate { common_name });
    }
    for (below, (certificate, issuer)) in parsed.iter().zip(parsed.iter().skip(1)).enumerate() {
        if certificate.subject() == certificate.issuer() {
            return Err(refused("certificates follow the one that is its own issuer"));
        }
        if issuer.subject() != certificate.issuer() || !issuer.is_ca() {
            return Err(refused("it is not followed by the certificate of its issuer"));
        }
        if issuer.path_length().is_some_and(|most| below > usize::from(most)) {
            return Err(refused("the path length of its issuer is exceeded"));
        }
    }
    let issuers = parsed.iter().skip(1).chain([root]);
    if !parsed.iter().zip(issuers).all(|(certificate, issuer)| certificate_signed_by(certificate, issuer.key())) {
        return Err(refused("it is not signed by its issuer"));
    }
    Ok(parsed.swap_remove(0))
}
