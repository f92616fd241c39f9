//! The relying party of an Azure-style attestation service: what its own clients look at, and what they leave out.
//! Tokens and claims of Azure Attestation: the header, the key set at `/certs`, the certificate of the signing key.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use openssl::sha::Sha256;
use serde_json::Value;

use super::algorithm::JwsAlgorithm;
use super::fault::TokenFault;
use super::jwk::KeyCertificate;
use super::jwt::{self, Expected, Jwt};
use super::keys::KeySet;
use crate::time::UnixTime;

/// How far the service's clock may be from ours.
const LEEWAY: i64 = 60;

/// The `kid` of a key that an Azure-style service made for itself: standard base64 of SHA-256 over the PEM text of its
/// SubjectPublicKeyInfo, lines of 64 characters, and one NUL byte.
pub fn maa_kid(spki_der: &[u8]) -> String {
    let body = STANDARD.encode(spki_der);
    let mut hash = Sha256::new();
    hash.update(b"-----BEGIN PUBLIC KEY-----\n");
    for line in body.as_bytes().chunks(64) {
        hash.update(line);
        hash.update(b"\n");
    }
    hash.update(b"-----END PUBLIC KEY-----\n\0");
    STANDARD.encode(hash.finish())
}

/// Checks a token of the Azure-style service at `issuer` (its base, without a slash at the end) under the key set that was fetched
/// from there.
///
/// RS256, type `JWT`, `iss` and times as in [`verify_jwt`](super::verify_jwt) with a leeway of 60 seconds. Then the key: the token
/// must name it; its certificate must be issued and signed by itself under the name `CN=issuer`, be in force, and its `kid`
/// must follow from it: from the key ([`maa_kid`]), or, as reports on TPMs have it, base64url of SHA-1 over the certificate. A `jku` must be the issuer's `/certs`; nothing is ever fetched from it.
///
/// # Errors
/// A [`TokenFault`].
pub fn verify_maa(token: &str, keys: &KeySet, issuer: &str, now: UnixTime) -> Result<Jwt, TokenFault> {
    let expected = Expected {
        issuer,
        audiences: &[],
        algorithms: &[JwsAlgorithm::RS256],
        typ: &["JWT"],
        leeway: LEEWAY,
        max_age: None,
    };
    let (jwt, key) = jwt::verify(token, keys, &expected, now)?;
    let home = |jku: &Value| jku.as_str().and_then(|jku| jku.strip_suffix("/certs")) == Some(issuer);
    if jwt.header.get("jku").is_some_and(|jku| !home(jku)) {
        return Err(TokenFault::Header("`jku` is not the issuer's key set"));
    }
    let kid = jwt.kid.as_deref().ok_or(TokenFault::Header("`kid` is missing"))?;
    let certificate = key.certificate.as_ref().ok_or(TokenFault::Certificate("the key has none"))?;
    fits(certificate, kid, issuer, now)?;
    Ok(jwt)
}

fn fits(certificate: &KeyCertificate, kid: &str, issuer: &str, now: UnixTime) -> Result<(), TokenFault> {
    if certificate.self_issued.as_deref() != Some(issuer) {
        return Err(TokenFault::Certificate("its subject and its issuer are not the issuer of the token"));
    }
    if !certificate.self_signed {
        return Err(TokenFault::Certificate("it is not signed by its own key"));
    }
    if maa_kid(&certificate.spki) != kid && URL_SAFE_NO_PAD.encode(certificate.thumbprint) != kid {
        return Err(TokenFault::Certificate("the `kid` does not follow from its key"));
    }
    if now < certificate.not_before || now > certificate.not_after {
        return Err(TokenFault::Certificate("it is not in force"));
    }
    Ok(())
}
