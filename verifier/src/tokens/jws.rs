//! A compact JWS under a key set: bounded before it is split, its header read strictly, its key looked up. RFC 7515 sections 4
//! and 7.1, RFC 7797, RFC 8725; bad inputs, rows JWT-01 to JWT-24 and JWT-30 to JWT-36.

use serde_json::{Map, Value};

use super::algorithm::JwsAlgorithm;
use super::fault::TokenFault;
use super::jwk::{Key, sound_kid};
use super::keys::KeySet;
use crate::formats::jose::Compact;
use crate::formats::json::{self, JsonFault};

/// The most bytes of a token.
pub const MAX_TOKEN: usize = 64 * 1024;

/// A JWS whose signature is right.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Jws {
    /// The header, all of it signed.
    pub header: Map<String, Value>,
    /// The payload's bytes.
    pub payload: Vec<u8>,
    /// The algorithm that `alg` names.
    pub algorithm: JwsAlgorithm,
    /// The key's name as the header gives it.
    pub kid: Option<String>,
    /// SHA-256 of what was signed, the first two segments as sent: the same for every signature over them. What keeps a token from
    /// coming twice looks at this and never at the signature, which can be changed into another good one (ECDSA).
    pub signed_sha256: [u8; 32],
}

/// Checks a compact JWS: one of `algorithms`, under the key of `keys` that its `kid` names.
///
/// # Errors
/// A [`TokenFault`]; nothing is checked with a key before size, form, header and algorithm are right.
pub fn verify_jws(token: &str, keys: &KeySet, algorithms: &[JwsAlgorithm]) -> Result<Jws, TokenFault> {
    verify(token, keys, algorithms).map(|(jws, _)| jws)
}

pub(super) fn verify<'k>(
    token: &str,
    keys: &'k KeySet,
    algorithms: &[JwsAlgorithm],
) -> Result<(Jws, &'k Key), TokenFault> {
    let opened = open(token, algorithms)?;
    if opened.header.contains_key("jwk") {
        return Err(TokenFault::Header("`jwk` brings a key along"));
    }
    let key = keys.signer(opened.kid.as_deref(), opened.algorithm, opened.signed(), opened.signature())?;
    Ok((opened.finish(), key))
}

/// A JWS of an accepted algorithm whose signature nobody has checked yet.
pub(super) struct Opened<'t> {
    compact: Compact<'t>,
    pub header: Map<String, Value>,
    pub algorithm: JwsAlgorithm,
    pub kid: Option<String>,
}

impl Opened<'_> {
    /// What the signature is over.
    pub fn signed(&self) -> &[u8] {
        self.compact.signed
    }
    /// The signature's bytes.
    pub fn signature(&self) -> &[u8] {
        &self.compact.signature
    }
    /// To be called once the signature was found right.
    pub fn finish(self) -> Jws {
        let signed_sha256 = openssl::sha::sha256(self.compact.signed);
        let Self { compact, header, algorithm, kid } = self;
        Jws { header, payload: compact.payload, algorithm, kid, signed_sha256 }
    }
}

/// Takes a token apart and reads its header, all before any key is looked at. A `jwk` in the header is left to the caller.
pub(super) fn open<'t>(token: &'t str, algorithms: &[JwsAlgorithm]) -> Result<Opened<'t>, TokenFault> {
    let compact = split(token)?;
    let header = object(&compact.header, "the header is not a strict json object")?;
    let algorithm = match header.get("alg") {
        Some(Value::String(name)) => JwsAlgorithm::parse(name).filter(|named| algorithms.contains(named)),
        _ => None,
    }
    .ok_or(TokenFault::Algorithm)?;
    if let Some(refused) = REFUSED.iter().find(|(name, _)| header.contains_key(*name)) {
        return Err(TokenFault::Header(refused.1));
    }
    let kid = kid(&header)?;
    Ok(Opened { compact, header, algorithm, kid })
}

/// Header members that change what a JWS means.
const REFUSED: [(&str, &str); 3] = [
    ("crit", "`crit` asks for extensions, of which none is known"),
    ("b64", "`b64` is not supported"),
    ("zip", "`zip` is not supported"),
];

fn kid(header: &Map<String, Value>) -> Result<Option<String>, TokenFault> {
    match header.get("kid") {
        None => Ok(None),
        Some(Value::String(kid)) if sound_kid(kid) => Ok(Some(kid.clone())),
        Some(_) => Err(TokenFault::Header("`kid` is no text of at most 256 bytes")),
    }
}

/// What a token says about itself, checked by nobody: a selector of the configured issuer, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peek {
    /// `iss`, where it is text.
    pub issuer: Option<String>,
    /// `kid`, where it is text of at most 256 bytes.
    pub kid: Option<String>,
    /// `alg`, where it is text.
    pub algorithm: Option<String>,
}

/// Reads `iss`, `kid` and `alg` of a token without any check of its signature.
///
/// # Errors
/// `too-large`, `malformed`, or `token-invalid` for a JWE.
pub fn peek(token: &str) -> Result<Peek, TokenFault> {
    let compact = split(token)?;
    let header = object(&compact.header, "the header is not a strict json object")?;
    let claims = object(&compact.payload, "the claims are not a strict json object")?;
    let text = |members: &Map<String, Value>, name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
    Ok(Peek {
        issuer: text(&claims, "iss"),
        kid: text(&header, "kid").filter(|kid| sound_kid(kid)),
        algorithm: text(&header, "alg"),
    })
}

fn split(token: &str) -> Result<Compact<'_>, TokenFault> {
    if token.len() > MAX_TOKEN {
        return Err(TokenFault::TooLarge("more than 64 KiB"));
    }
    if token.bytes().filter(|byte| *byte == b'.').count() == 4 {
        return Err(TokenFault::Encrypted);
    }
    Compact::parse(token.as_bytes(), MAX_TOKEN)
        .map_err(|_| TokenFault::Malformed("not three segments in canonical base64url"))
}

/// Reads a strict object of a token; `otherwise` is the sentence where it is none.
pub(super) fn object(bytes: &[u8], otherwise: &'static str) -> Result<Map<String, Value>, TokenFault> {
    json::object(bytes).map_err(|fault| match fault {
        JsonFault::TooLarge => TokenFault::TooLarge("too deep or too many members"),
        JsonFault::Malformed => TokenFault::Malformed(otherwise),
        JsonFault::Number => TokenFault::Claim("a number that is out of range"),
    })
}
