//! A JWT: a JWS whose payload is claims, held against what is expected of its issuer. RFC 7519 sections 4.1 and 7.2, RFC 8725
//! section 3; bad inputs, rows JWT-25 to JWT-29.

use serde_json::{Map, Value};

use super::algorithm::JwsAlgorithm;
use super::fault::TokenFault;
use super::jwk::Key;
use super::jws::{self, object};
use super::keys::KeySet;
use crate::time::UnixTime;

/// What must hold for tokens of one issuer; all of it comes from settings.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// `iss`, byte for byte.
    pub issuer: &'a str,
    /// `aud` must be one of these, or a list with one of these in it. Empty: `aud` is not looked at.
    pub audiences: &'a [&'a str],
    /// The algorithms that the issuer signs with.
    pub algorithms: &'a [JwsAlgorithm],
    /// `typ` must be one of these, without regard to case (RFC 7515 section 4.1.9). Empty: `typ` is not looked at.
    pub typ: &'a [&'a str],
    /// Seconds by which the issuer's clock may differ; less than zero counts as zero.
    pub leeway: i64,
    /// The most seconds since `iat`. `None`: `exp` alone decides.
    pub max_age: Option<i64>,
}

/// A JWT that is what was expected.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Jwt {
    /// The header.
    pub header: Map<String, Value>,
    /// The claims.
    pub claims: Map<String, Value>,
    /// The algorithm that `alg` names.
    pub algorithm: JwsAlgorithm,
    /// The key's name as the header gives it.
    pub kid: Option<String>,
    /// `exp`.
    pub expires: UnixTime,
    /// `iat`, where there is one.
    pub issued: Option<UnixTime>,
    /// As in [`Jws::signed_sha256`](super::Jws::signed_sha256).
    pub signed_sha256: [u8; 32],
}

/// Checks a token of one issuer at a time.
///
/// `exp` is required, `nbf` and `iat` count where they stand, and each must be an integer. A token is good up to, not including,
/// `exp` and the leeway.
///
/// # Errors
/// A [`TokenFault`].
pub fn verify_jwt(token: &str, keys: &KeySet, expected: &Expected<'_>, now: UnixTime) -> Result<Jwt, TokenFault> {
    verify(token, keys, expected, now).map(|(jwt, _)| jwt)
}

pub(super) fn verify<'k>(
    token: &str,
    keys: &'k KeySet,
    expected: &Expected<'_>,
    now: UnixTime,
) -> Result<(Jwt, &'k Key), TokenFault> {
    let (jws, key) = jws::verify(token, keys, expected.algorithms)?;
    of_type(&jws.header, expected.typ)?;
    let claims = object(&jws.payload, "the claims are not a strict json object")?;
    if claims.get("iss").ok_or(TokenFault::Claim("iss"))?.as_str() != Some(expected.issuer) {
        return Err(TokenFault::Issuer);
    }
    for_audience(&claims, expected.audiences)?;
    let (expires, issued) = in_time(&claims, &Times::of(expected), now)?;
    let (kid, algorithm, signed_sha256) = (jws.kid, jws.algorithm, jws.signed_sha256);
    Ok((Jwt { header: jws.header, claims, algorithm, kid, expires, issued, signed_sha256 }, key))
}

pub(super) fn of_type(header: &Map<String, Value>, expected: &[&str]) -> Result<(), TokenFault> {
    match header.get("typ") {
        _ if expected.is_empty() => Ok(()),
        Some(Value::String(typ)) if expected.iter().any(|name| name.eq_ignore_ascii_case(typ)) => Ok(()),
        _ => Err(TokenFault::Type),
    }
}

pub(super) fn for_audience(claims: &Map<String, Value>, expected: &[&str]) -> Result<(), TokenFault> {
    let is_ours = |name: &Value| name.as_str().is_some_and(|name| expected.contains(&name));
    match claims.get("aud") {
        _ if expected.is_empty() => Ok(()),
        Some(Value::Array(names)) if !names.iter().all(Value::is_string) => Err(TokenFault::Claim("aud")),
        Some(Value::Array(names)) if names.iter().any(is_ours) => Ok(()),
        Some(name @ Value::String(_)) if is_ours(name) => Ok(()),
        Some(Value::Array(_) | Value::String(_)) => Err(TokenFault::Audience),
        _ => Err(TokenFault::Claim("aud")),
    }
}

/// What is asked of the times of a token.
pub(super) struct Times {
    /// Seconds by which the issuer's clock may differ; less than zero counts as zero.
    pub leeway: i64,
    /// The most seconds since `iat`, which must then be there.
    pub max_age: Option<i64>,
    /// Seconds after `iat` at which a token without `exp` ends. `None`: `exp` is required.
    pub life: Option<i64>,
}

impl Times {
    fn of(expected: &Expected<'_>) -> Self {
        Self { leeway: expected.leeway, max_age: expected.max_age, life: None }
    }
}

/// `exp` and `iat`, when `now` lies between them.
pub(super) fn in_time(
    claims: &Map<String, Value>,
    times: &Times,
    now: UnixTime,
) -> Result<(UnixTime, Option<UnixTime>), TokenFault> {
    let leeway = times.leeway.max(0);
    let issued = seconds(claims, "iat")?;
    let expires = match (seconds(claims, "exp")?, issued, times.life) {
        (Some(expires), _, _) => expires,
        (None, Some(issued), Some(life)) => issued.plus(life),
        (None, _, _) => return Err(TokenFault::Claim("exp")),
    };
    if now >= expires.plus(leeway) {
        return Err(TokenFault::Expired);
    }
    for begins in [seconds(claims, "nbf")?, issued].into_iter().flatten() {
        if begins > now.plus(leeway) {
            return Err(TokenFault::NotYetValid);
        }
    }
    if let Some(most) = times.max_age {
        let issued = issued.ok_or(TokenFault::Claim("iat"))?;
        if now > issued.plus(most).plus(leeway) {
            return Err(TokenFault::TooOld);
        }
    }
    Ok((expires, issued))
}

/// A time in whole seconds from zero; a fraction, a text or more than 63 bits is none.
fn seconds(claims: &Map<String, Value>, name: &'static str) -> Result<Option<UnixTime>, TokenFault> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => match value.as_i64().filter(|seconds| *seconds >= 0) {
            Some(seconds) => Ok(Some(UnixTime::from_secs(seconds))),
            None => Err(TokenFault::Claim(name)),
        },
    }
}
