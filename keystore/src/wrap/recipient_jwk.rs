//! Reading a recipient from its public JWK.
//!
//! `native-api.md` section 3, *Recipient*; RFC 7517 section 4 for the members that say what a key is
//! for.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::recipient::{Recipient, RecipientKind};
use crate::error::KeystoreError;
use crate::key::Curve;

type Members = Map<String, Value>;

/// Longest text of a number: a modulus of 4096 bits takes 683 digits.
const LONGEST_NUMBER: usize = 700;

impl Recipient {
    /// Reads a public JWK whose members were read without duplicates.
    ///
    /// `malformed`: a private member, a certificate or a link to one, a member that is not known, a
    /// number that is not canonical base64url, and what [`Recipient::rsa`] and [`Recipient::ec`] say.
    /// `unsupported`: another kind of key, or one whose `use`, `key_ops` or `alg` do not allow sealing
    /// to it.
    pub fn from_jwk(members: &Members) -> Result<Self, KeystoreError> {
        let recipient = match required(members, "kty")? {
            "RSA" => {
                only(members, &["n", "e"])?;
                Self::rsa(&number(members, "n")?, &number(members, "e")?)?
            }
            "EC" => {
                only(members, &["crv", "x", "y"])?;
                let curve = Curve::parse(required(members, "crv")?)?;
                Self::ec(curve, &number(members, "x")?, &number(members, "y")?)?
            }
            _ => {
                return Err(KeystoreError::Unsupported("a recipient has an RSA or an EC key"));
            }
        };
        check_allowed(members, recipient.kind())?;
        Ok(recipient)
    }
}

fn check_allowed(members: &Members, kind: RecipientKind) -> Result<(), KeystoreError> {
    let (alg, operations): (&str, &[&str]) = match kind {
        RecipientKind::Rsa => ("RSA-OAEP-256", &["wrapKey", "encrypt", "unwrapKey", "decrypt"]),
        RecipientKind::Ec => ("ECDH-ES+A256KW", &["deriveKey", "deriveBits"]),
    };
    let forbidden = KeystoreError::Unsupported("`use`, `key_ops` or `alg` do not allow sealing");
    if text(members, "use")?.is_some_and(|u| u != "enc") {
        return Err(forbidden);
    }
    if text(members, "alg")?.is_some_and(|a| a != alg) {
        return Err(forbidden);
    }
    let Some(listed) = members.get("key_ops") else {
        return Ok(());
    };
    let malformed = KeystoreError::Malformed("`key_ops` is not a short list of texts");
    let listed = listed.as_array().filter(|l| l.len() <= 8);
    let names: Option<Vec<&str>> = listed.and_then(|l| l.iter().map(Value::as_str).collect());
    let names = names.ok_or(malformed)?;
    if names.iter().any(|name| operations.contains(name)) { Ok(()) } else { Err(forbidden) }
}

fn only(members: &Members, numbers: &[&str]) -> Result<(), KeystoreError> {
    const DESCRIPTION: [&str; 6] = ["kty", "kid", "use", "key_ops", "alg", "ext"];
    let known = |name: &String| DESCRIPTION.contains(&name.as_str()) || numbers.contains(&name.as_str());
    if members.keys().all(known) {
        return Ok(());
    }
    Err(KeystoreError::Malformed("the recipient has a member that a public key does not have"))
}

fn required<'a>(members: &'a Members, name: &str) -> Result<&'a str, KeystoreError> {
    text(members, name)?.ok_or(KeystoreError::Malformed("the recipient lacks a member"))
}

fn text<'a>(members: &'a Members, name: &str) -> Result<Option<&'a str>, KeystoreError> {
    let not_text = KeystoreError::Malformed("a member of the recipient is not text");
    let member = members.get(name);
    member.map(|m| m.as_str().ok_or(not_text)).transpose()
}

fn number(members: &Members, name: &str) -> Result<Vec<u8>, KeystoreError> {
    let text = required(members, name)?;
    if text.len() > LONGEST_NUMBER {
        return Err(KeystoreError::TooLarge("a number of the recipient is too long"));
    }
    URL_SAFE_NO_PAD.decode(text).map_err(|_| KeystoreError::Malformed("a number of the recipient is not base64url"))
}
