//! Reading a private or symmetric JWK.
//!
//! RFC 7517 and RFC 7518 section 6. Members that are not known are refused, and `alg`, `use` and
//! `key_ops` must say what the key can be used for here: a key marked for something else was not
//! meant for us.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{ec_key, rsa_key, symmetric};
use crate::encoding::pkcs1::RsaNumbers;
use crate::error::KeystoreError;
use crate::key::{Curve, KeyType};
use crate::material::{KeyMaterial, LONGEST_SECRET};
use crate::operations::{Algorithm, Purpose};

type Members = Map<String, Value>;

/// Members that say nothing about the key itself.
const DESCRIPTION: [&str; 6] = ["kty", "kid", "use", "key_ops", "alg", "ext"];
/// Values of `key_ops`, RFC 7517 section 4.3.
const KEY_OPS: [&str; 8] = ["sign", "verify", "encrypt", "decrypt", "wrapKey", "unwrapKey", "deriveKey", "deriveBits"];

/// Reads the key; see [`KeyMaterial::import`] for the errors.
pub fn read(members: &Members, declared: Option<KeyType>) -> Result<KeyMaterial, KeystoreError> {
    if members.contains_key("keys") {
        return Err(KeystoreError::Unsupported("one key at a time, not a set"));
    }
    let key = match text(members, "kty")? {
        "oct" => {
            only(members, &["k"])?;
            let bytes = decoded(members, "k")?;
            // a key of another length than AES has is a secret if declared one
            symmetric(&bytes, declared)?
        }
        "RSA" => rsa(members)?,
        "EC" => {
            only(members, &["crv", "x", "y", "d"])?;
            let curve = Curve::parse(text(members, "crv")?)?;
            let (x, y) = (decoded(members, "x")?, decoded(members, "y")?);
            ec_key(curve, &decoded(members, "d")?, Some((&x, &y)))?
        }
        _ => {
            return Err(KeystoreError::Unsupported("`kty` must be `oct`, `RSA` or `EC`"));
        }
    };
    check_description(members, key.key_type())?;
    Ok(key)
}

fn rsa(members: &Members) -> Result<KeyMaterial, KeystoreError> {
    if members.contains_key("oth") {
        return Err(KeystoreError::Unsupported("an RSA key has two primes here"));
    }
    only(members, &["n", "e", "d", "p", "q", "dp", "dq", "qi"])?;
    let number = |name| {
        let bytes = decoded(members, name)?;
        match bytes.first() {
            Some(0) | None => Err(KeystoreError::Malformed("a number in the JWK is empty or has a leading zero")),
            Some(_) => Ok(bytes),
        }
    };
    rsa_key(&RsaNumbers {
        n: &number("n")?,
        e: &number("e")?,
        d: &number("d")?,
        p: &number("p")?,
        q: &number("q")?,
        dp: &number("dp")?,
        dq: &number("dq")?,
        qi: &number("qi")?,
    })
}

/// `alg`, `use` and `key_ops` must agree with the key and with one another.
fn check_description(members: &Members, key_type: KeyType) -> Result<(), KeystoreError> {
    let contradiction = KeystoreError::Malformed("`alg`, `use` and the key contradict one another");
    let algorithm = optional(members, "alg")?.map(Algorithm::parse).transpose()?;
    let marked = match optional(members, "use")? {
        None => None,
        Some("sig") => Some(Purpose::Signing),
        Some("enc") => Some(Purpose::Encryption),
        Some(_) => return Err(KeystoreError::Unsupported("`use` must be `sig` or `enc`")),
    };
    let allowed: &[Purpose] = match (key_type.rsa_bits(), key_type.curve()) {
        (Some(_), _) => &[Purpose::Signing, Purpose::Encryption],
        (_, Some(_)) => &[Purpose::Signing],
        _ => &[Purpose::Encryption],
    };
    if marked.is_some_and(|purpose| !allowed.contains(&purpose)) {
        return Err(contradiction);
    }
    if let Some(algorithm) = algorithm {
        let agrees = marked.is_none_or(|purpose| purpose == algorithm.purpose());
        if !agrees || !algorithm.fits(key_type) {
            return Err(contradiction);
        }
    }
    let Some(operations) = members.get("key_ops") else {
        return Ok(());
    };
    let malformed = KeystoreError::Malformed("`key_ops` is not a list of distinct operations");
    let operations = operations.as_array().ok_or(malformed.clone())?;
    let known = |o: &Value| o.as_str().is_some_and(|o| KEY_OPS.contains(&o));
    let distinct = |(i, o)| !operations.iter().skip(i + 1).any(|other| other == o);
    if operations.len() > KEY_OPS.len() || !operations.iter().all(known) || !operations.iter().enumerate().all(distinct)
    {
        return Err(malformed);
    }
    Ok(())
}

fn only(members: &Members, numbers: &[&str]) -> Result<(), KeystoreError> {
    let known = |name: &String| DESCRIPTION.contains(&name.as_str()) || numbers.contains(&name.as_str());
    if members.keys().all(known) {
        return Ok(());
    }
    Err(KeystoreError::Malformed("the JWK has a member that is not known for its `kty`"))
}

fn text<'a>(members: &'a Members, name: &str) -> Result<&'a str, KeystoreError> {
    optional(members, name)?.ok_or(KeystoreError::Malformed("the JWK lacks a member"))
}

fn optional<'a>(members: &'a Members, name: &str) -> Result<Option<&'a str>, KeystoreError> {
    let not_text = KeystoreError::Malformed("a member of the JWK is not text");
    let member = members.get(name);
    member.map(|m| m.as_str().ok_or(not_text)).transpose()
}

/// Canonical base64url without padding.
fn decoded(members: &Members, name: &str) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    let text = text(members, name)?;
    if text.len() > LONGEST_SECRET.div_ceil(3) * 4 {
        return Err(KeystoreError::TooLarge("longer than any key"));
    }
    let decoded = URL_SAFE_NO_PAD.decode(text).map(Zeroizing::new);
    decoded.map_err(|_| KeystoreError::Malformed("a member of the JWK is not base64url"))
}
