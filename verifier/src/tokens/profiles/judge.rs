//! The validation core of all families: signature, type, issuer, audience, times, in this order, and nothing decided before.
//! Relying party tokens, section 0; threat model, P15 to P17; bad inputs, rows JWT-06 to JWT-15 and JWT-25 to JWT-29.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::Issuer;
use crate::time::UnixTime;
use crate::tokens::algorithm::JwsAlgorithm;
use crate::tokens::fault::TokenFault;
use crate::tokens::jwk::{Entry, Key, KeyCertificate};
use crate::tokens::jws::{self, Opened, object};
use crate::tokens::jwt::{self, Times};

/// How far an issuer's clock may be from ours.
const LEEWAY: i64 = 60;

/// What a family fixes about its tokens.
pub(super) struct Rules {
    /// The algorithms it signs with.
    pub algorithms: &'static [JwsAlgorithm],
    /// The values of `typ`.
    pub typ: &'static [&'static str],
    /// Whether `typ` may be missing.
    pub typ_optional: bool,
    /// Whether the token must name its key.
    pub kid: bool,
    /// Whether a `jwk` in the header names the key by its value; elsewhere it is refused.
    pub jwk: bool,
    /// Whether certificates in the header count, under a root pinned for the issuer.
    pub certificates: bool,
    /// Whether a token always has an audience.
    pub audience: bool,
    /// Names of the product that stand in `iss` in place of the issuer.
    pub product_names: &'static [&'static str],
    /// Whether `iss` may be missing.
    pub iss_optional: bool,
    /// Whether `exp` may be missing where the settings have a greatest age.
    pub exp_optional: bool,
    /// The usual life of its tokens in seconds.
    pub life: i64,
}

impl Rules {
    /// Whether `said`, an `iss` or its absence, stands for the configured issuer.
    pub fn names(&self, issuer: &str, said: Option<&str>) -> bool {
        match said {
            Some(said) => said == issuer || self.product_names.contains(&said),
            None => self.iss_optional,
        }
    }
}

/// A token whose signature, issuer, audience, type and times hold.
pub(super) struct Checked<'k> {
    pub header: Map<String, Value>,
    pub claims: Map<String, Value>,
    /// SHA-256 of what was signed.
    pub digest: [u8; 32],
    /// The RFC 7638 thumbprint of the signing key.
    pub signer: String,
    /// What the key set says of the signing key's certificate.
    pub certificate: Option<&'k KeyCertificate>,
    pub issued: UnixTime,
    pub expires: UnixTime,
    /// The earlier of `expires` and the end of the certificates that counted.
    pub not_after: UnixTime,
}

/// Checks one compact token.
pub(super) fn check<'k>(token: &str, issuer: &Issuer<'k>, now: UnixTime) -> Result<Checked<'k>, TokenFault> {
    let rules = issuer.profile.rules();
    let opened = jws::open(token, rules.algorithms)?;
    let signer = signer(&opened, issuer, rules, now)?;
    let (thumbprint, certificate, ends) = match &signer {
        Signer::Held(key) => (key.thumbprint(), key.certificate.as_ref(), UnixTime::FOREVER),
        Signer::Brought(key, ends) => (key.thumbprint(), None, *ends),
    };
    let jws = opened.finish();
    if !rules.typ_optional || jws.header.contains_key("typ") {
        jwt::of_type(&jws.header, rules.typ)?;
    }
    let claims = object(&jws.payload, "the claims are not a strict json object")?;
    of_issuer(&claims, issuer, rules)?;
    for_us(&claims, issuer, rules)?;
    let max_age = issuer.max_age.unwrap_or(rules.life);
    let life = issuer.max_age.filter(|_| rules.exp_optional);
    let (expires, issued) = jwt::in_time(&claims, &Times { leeway: LEEWAY, max_age: Some(max_age), life }, now)?;
    if claims.contains_key("keygate") && !issuer.speaks_keygate() {
        return Err(TokenFault::Profile("it has a member `keygate`, where our own conclusions stand"));
    }
    Ok(Checked {
        header: jws.header,
        claims,
        digest: jws.signed_sha256,
        signer: thumbprint.ok_or(TokenFault::WrongKey)?,
        certificate,
        issued: issued.ok_or(TokenFault::Claim("iat"))?,
        expires,
        not_after: expires.min(ends),
    })
}

/// Where the key that signed comes from: nowhere else is a key taken from.
enum Signer<'k> {
    /// The issuer's key set.
    Held(&'k Key),
    /// A chain under a root pinned for the issuer, which ends then.
    Brought(Box<Key>, UnixTime),
}

fn signer<'k>(
    opened: &Opened<'_>,
    issuer: &Issuer<'k>,
    rules: &Rules,
    now: UnixTime,
) -> Result<Signer<'k>, TokenFault> {
    let brought = opened.header.get("jwk");
    if brought.is_some() && !rules.jwk {
        return Err(TokenFault::Header("`jwk` brings a key along"));
    }
    let x5c = opened.header.get("x5c").or_else(|| brought.and_then(|jwk| jwk.get("x5c")));
    let (algorithm, signed, signature) = (opened.algorithm, opened.signed(), opened.signature());
    let named = brought.map(by_value).transpose()?;
    if let Some(x5c) = x5c.filter(|_| rules.certificates && !issuer.roots.is_empty()) {
        let leaf = issuer.roots.leaf(x5c, now)?;
        if named.is_some_and(|named| named.key.digest() != leaf.key.digest()) {
            return Err(TokenFault::Certificate("it is not of the key in `jwk`"));
        }
        let key = Key { kid: None, algorithm: None, key: leaf.key, certificate: None };
        if !key.fits(algorithm) {
            return Err(TokenFault::WrongKey);
        }
        return match key.key.verify(algorithm.check(), signed, signature) {
            true => Ok(Signer::Brought(Box::new(key), leaf.not_after)),
            false => Err(TokenFault::Signature),
        };
    }
    if let Some(named) = named {
        // A key in the header is a name by value: it counts where the same key is held.
        let key = issuer.keys.of_value(&named.key).ok_or(TokenFault::UnknownKey)?;
        if opened.kid.is_some() && key.kid != opened.kid {
            return Err(TokenFault::Header("`kid` and `jwk` name two keys"));
        }
        if !key.fits(algorithm) {
            return Err(TokenFault::WrongKey);
        }
        return match key.key.verify(algorithm.check(), signed, signature) {
            true => Ok(Signer::Held(key)),
            false => Err(TokenFault::Signature),
        };
    }
    if opened.kid.is_none() {
        if rules.kid {
            return Err(TokenFault::Header("`kid` is missing"));
        }
        if issuer.keys.fitting(algorithm) > 1 {
            return Err(TokenFault::TooManyKeys);
        }
    }
    issuer.keys.signer(opened.kid.as_deref(), algorithm, signed, signature).map(Signer::Held)
}

fn by_value(jwk: &Value) -> Result<Key, TokenFault> {
    match jwk.as_object().map(Entry::read) {
        Some(Entry::Key(key)) => Ok(key),
        _ => Err(TokenFault::Header("`jwk` is no public key for signatures")),
    }
}

fn of_issuer(claims: &Map<String, Value>, issuer: &Issuer<'_>, rules: &Rules) -> Result<(), TokenFault> {
    let said = match claims.get("iss") {
        Some(Value::String(said)) => Some(said.as_str()),
        Some(_) => return Err(TokenFault::Issuer),
        None if rules.iss_optional => None,
        None => return Err(TokenFault::Claim("iss")),
    };
    if rules.names(issuer.issuer, said) { Ok(()) } else { Err(TokenFault::Issuer) }
}

fn for_us(claims: &Map<String, Value>, issuer: &Issuer<'_>, rules: &Rules) -> Result<(), TokenFault> {
    match claims.get("aud") {
        None if !rules.audience => Ok(()),
        _ if rules.audience && issuer.audiences.is_empty() => Err(TokenFault::Audience),
        _ => jwt::for_audience(claims, issuer.audiences),
    }
}

/// The value of a text claim.
pub(super) fn text<'c>(claims: &'c Map<String, Value>, name: &'static str) -> Result<Cow<'c, str>, TokenFault> {
    claims.get(name).and_then(Value::as_str).map(Cow::Borrowed).ok_or(TokenFault::Claim(name))
}
