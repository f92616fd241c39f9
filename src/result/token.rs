//! Our own attestation token: issued by `/v1/attestations`, read back as a session.
//!
//! `native-api.md` section 5; `bad-inputs.md` section 1. ES256, `typ` `keygate-attestation`; a key of its own.
//!
//! The payload is what a rule would see for the same evidence (attested claims, [`RUNTIME`], [`INIT_TIME`]) and beside it the
//! members of [`RESERVED`]. No text of the caller stands under a name that freshness is read from.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use keygate_policies::{Limits, json};
use keygate_verifier::EvidenceKind;
use serde_json::{Map, Value, json};

use super::attestation_result::{Appraised, AttestationResult, INIT_TIME, RUNTIME};
use super::signer::SigningKey;
use super::{SigningFailed, jwt_provider};

/// The type in the header.
pub const TYPE: &str = "keygate-attestation";
/// Longest token that is issued or read, in bytes.
pub const LONGEST: usize = 256 * 1_024;
/// How far ahead an issue time may lie, in seconds.
const LEEWAY: i64 = 60;
/// Members that are about the token; a rule does not see them, so that it sees the same in evidence and token.
pub const RESERVED: [&str; 10] = [
    "aud",
    "iat",
    "exp",
    "jti",
    "cnf",
    "policy_digest",
    "reference_digest",
    "evidence_digest",
    "identities",
    "not_after",
];

/// What a new token says beside its claims.
#[derive(Debug, Clone, Copy)]
pub struct NewToken<'a> {
    /// The provider's issuer URL.
    pub issuer: &'a str,
    /// Whom it is for.
    pub audience: &'a str,
    /// Unix seconds.
    pub issued: i64,
    /// Unix seconds.
    pub expires: i64,
    /// Its identifier.
    pub jti: &'a str,
}

/// A token of ours that was read back: signature, type, issuer, audience and dates hold.
#[derive(Debug, Clone)]
pub struct SessionToken {
    /// Its identifier.
    pub jti: String,
    /// The kind of evidence it was issued for.
    pub kind: EvidenceKind,
    /// RFC 7638 thumbprint of the recipient.
    pub recipient: [u8; 32],
    /// SHA-256 of the appraisal policy.
    pub policy_digest: [u8; 32],
    /// Names the reference values that the policy was applied with; none where it names none.
    pub reference_digest: Option<[u8; 32]>,
    /// SHA-256 of the evidence.
    pub evidence_digest: [u8; 32],
    /// Names for the deny list.
    pub identities: Vec<[u8; 32]>,
    /// Attested claims.
    pub attested: Map<String, Value>,
    /// Presented claims.
    pub presented: Map<String, Value>,
    /// Unix seconds.
    pub expires: i64,
}

/// Why a token is not accepted; the audit learns which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Too long, not three parts, not strict JSON, a member missing or of another type.
    #[error("the token does not parse: {0}")]
    Malformed(&'static str),
    /// The header is none of ours: another type, algorithm or key.
    #[error("the token was not issued here")]
    NotOurs,
    /// The signature is wrong.
    #[error("the token's signature is wrong")]
    Signature,
    /// Issuer or audience is another.
    #[error("the token's {0} is another")]
    Elsewhere(&'static str),
    /// Past its end, or from the future.
    #[error("the token is expired or not yet valid")]
    Expired,
}

/// Issues a token.
///
/// # Errors
/// No key is bound, or no signature could be made.
pub fn issue(
    key: &SigningKey,
    new: &NewToken<'_>,
    result: &AttestationResult,
    appraised: &Appraised,
) -> Result<String, SigningFailed> {
    let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let recipient = result.recipient.as_ref().ok_or(SigningFailed("a token confirms a key"))?;
    let mut payload = result.claims(new.issuer, appraised);
    let identities: Vec<String> = result.identities.iter().map(|id| b64(id)).collect();
    let about = [
        ("aud", json!(new.audience)),
        ("iat", json!(new.issued)),
        ("exp", json!(new.expires)),
        ("jti", json!(new.jti)),
        ("cnf", json!({"jkt": b64(&recipient.thumbprint())})),
        ("policy_digest", json!(appraised.policy.digest_text())),
        ("evidence_digest", json!(b64(&result.evidence_digest))),
        ("identities", json!(identities)),
    ];
    payload.extend(about.map(|(name, value)| (name.to_owned(), value)));
    if let Some(digest) = &appraised.references {
        payload.insert("reference_digest".to_owned(), json!(b64(digest)));
    }
    key.jws(&key.header(TYPE, false), &Value::Object(payload))
}

/// Whether a token has a header of ours; nothing else of it is looked at.
pub fn has_our_header(token: &str, keys: &[SigningKey]) -> bool {
    let header = token.split('.').next().unwrap_or_default();
    keys.iter().any(|key| key.header(TYPE, false) == header)
}

/// Reads a token of ours back. `keys` are all whose tokens may still be alive; `issuer` is also the audience asked for.
///
/// # Errors
/// [`TokenFault`].
pub fn read(token: &str, keys: &[SigningKey], issuer: &str, now: i64) -> Result<SessionToken, TokenFault> {
    if token.len() > LONGEST {
        return Err(TokenFault::Malformed("longer than 256 KiB"));
    }
    let parts: Vec<&str> = token.split('.').collect();
    let [header, body, signature] = parts.as_slice() else {
        return Err(TokenFault::Malformed("not three parts"));
    };
    // Our headers have one spelling each: whoever has another header has another token (alg, typ, crit, jku and the like).
    let key = keys.iter().find(|key| key.header(TYPE, false) == *header).ok_or(TokenFault::NotOurs)?;
    jwt_provider::install();
    let message = format!("{header}.{body}");
    let point = DecodingKey::from_ec_der(key.point());
    let genuine = jsonwebtoken::crypto::verify(signature, message.as_bytes(), &point, Algorithm::ES256);
    if !matches!(genuine, Ok(true)) {
        return Err(TokenFault::Signature);
    }
    let body = URL_SAFE_NO_PAD.decode(body).map_err(|_| TokenFault::Malformed("payload is not base64url"))?;
    let node = json::parse(&body, &Limits::request(LONGEST)).map_err(|_| TokenFault::Malformed("payload"))?;
    let Value::Object(payload) = node.to_value() else {
        return Err(TokenFault::Malformed("payload is no object"));
    };
    judge(payload, issuer, now)
}

fn judge(mut payload: Map<String, Value>, issuer: &str, now: i64) -> Result<SessionToken, TokenFault> {
    let text = |name: &'static str| payload.get(name).and_then(Value::as_str).ok_or(TokenFault::Malformed(name));
    let number = |name: &'static str| payload.get(name).and_then(Value::as_i64).ok_or(TokenFault::Malformed(name));
    if text("iss")? != issuer {
        return Err(TokenFault::Elsewhere("issuer"));
    }
    if text("aud")? != issuer {
        return Err(TokenFault::Elsewhere("audience"));
    }
    let (issued, expires) = (number("iat")?, number("exp")?);
    if now >= expires || issued > now.saturating_add(LEEWAY) {
        return Err(TokenFault::Expired);
    }
    let jti = text("jti")?.to_owned();
    let kind = payload.get("keygate").and_then(|keygate| keygate.get("kind")).and_then(Value::as_str);
    let kind = kind.and_then(EvidenceKind::parse).ok_or(TokenFault::Malformed("keygate.kind"))?;
    let policy_digest = digest(text("policy_digest")?, "policy_digest")?;
    let reference_digest = match payload.get("reference_digest") {
        None => None,
        Some(_) => Some(digest(text("reference_digest")?, "reference_digest")?),
    };
    let evidence_digest = digest(text("evidence_digest")?, "evidence_digest")?;
    let confirmed = payload.get("cnf").and_then(|cnf| cnf.get("jkt")).and_then(Value::as_str);
    let recipient = digest(confirmed.ok_or(TokenFault::Malformed("cnf"))?, "cnf")?;
    let identities = match payload.get("identities") {
        Some(Value::Array(list)) => list
            .iter()
            .map(|id| digest(id.as_str().unwrap_or_default(), "identities"))
            .collect::<Result<Vec<_>, _>>()?,
        _ => return Err(TokenFault::Malformed("identities")),
    };
    let mut presented = Map::new();
    for name in [RUNTIME, INIT_TIME] {
        if let Some(value) = payload.remove(name) {
            presented.insert(name.to_owned(), value);
        }
    }
    for name in RESERVED.iter().chain(&["iss"]) {
        payload.remove(*name);
    }
    Ok(SessionToken {
        jti,
        kind,
        recipient,
        policy_digest,
        reference_digest,
        evidence_digest,
        identities,
        attested: payload,
        presented,
        expires,
    })
}

fn digest(text: &str, name: &'static str) -> Result<[u8; 32], TokenFault> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenFault::Malformed(name))?;
    bytes.try_into().map_err(|_| TokenFault::Malformed(name))
}
