//! Bodies of this door: JSON read strictly, unknown members ignored, binary members in any of the four spellings of base64.
//!
//! `keyvault-api.md` sections 1 to 3.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::broker::vault::{Lifetime, RawInput, Rsa15, VaultPolicy, key_ops};
use crate::broker::{Code, Fault, JsonLimits, Operation, json};

/// Bytes of a body; the listener bounds them too.
pub(super) const LARGEST: usize = 1 << 20;
/// Bytes that are encrypted, decrypted, wrapped or unwrapped at once.
const LARGEST_VALUE: usize = 256 * 1_024;
/// Characters of a nonce.
const LONGEST_NONCE: usize = 1_024;

pub(super) fn malformed(what: &'static str) -> Fault {
    Fault::new(Code::Malformed, what)
}

/// An object of a body.
pub(super) struct Members(pub(super) Map<String, Value>);

impl Members {
    /// Reads a body. Duplicate members are `malformed`.
    pub(super) fn read(body: &[u8]) -> Result<Self, Fault> {
        let node = json::parse(body, &JsonLimits::request(LARGEST)).map_err(|diagnostic| {
            Fault::new(Code::of(diagnostic.code), "the body is no strict json").because(diagnostic.to_string())
        })?;
        match node.to_value() {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(malformed("the body is no object")),
        }
    }

    /// A member; null is none.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Fault> {
        let text = |value: &Value| value.as_str().is_some();
        match self.get(name) {
            None => Ok(None),
            Some(value) if text(value) => Ok(value.as_str()),
            Some(_) => Err(malformed("a member that must be text is none")),
        }
    }

    /// A text that must be there.
    pub(super) fn needed(&self, name: &'static str, missing: &'static str) -> Result<&str, Fault> {
        self.text(name)?.ok_or(malformed(missing))
    }

    /// A switch.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Fault> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(malformed("a member that must be true or false is neither")),
        }
    }

    /// A whole number.
    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, Fault> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => value.as_i64().map(Some).ok_or(malformed("a member that must be a whole number is none")),
        }
    }

    /// An object.
    pub(super) fn object(&self, name: &str) -> Result<Option<Self>, Fault> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Object(members)) => Ok(Some(Self(members.clone()))),
            Some(_) => Err(malformed("a member that must be an object is none")),
        }
    }

    /// A binary member.
    pub(super) fn bytes(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        self.text(name)?.map(binary).transpose()
    }

    /// `key_ops`, in the store's words.
    pub(super) fn operations(&self) -> Result<Option<Vec<Operation>>, Fault> {
        let Some(listed) = self.get("key_ops") else { return Ok(None) };
        let listed = listed.as_array().ok_or(malformed("`key_ops` is no list"))?;
        let read = listed.iter().map(|word| {
            let word = word.as_str().unwrap_or_default();
            let known = key_ops().into_iter().find(|(name, _)| *name == word);
            known.map(|(_, operation)| operation).ok_or(malformed("`key_ops` has an operation that is not known"))
        });
        read.collect::<Result<Vec<_>, _>>().map(Some)
    }

    /// `tags`.
    pub(super) fn tags(&self) -> Result<Option<BTreeMap<String, String>>, Fault> {
        let Some(tags) = self.object("tags")? else { return Ok(None) };
        let read = tags.0.into_iter().map(|(name, value)| match value {
            Value::String(value) => Ok((name, value)),
            _ => Err(malformed("a tag is no text")),
        });
        read.collect::<Result<_, _>>().map(Some)
    }

    /// `attributes`: switch, times, and whether it may be released.
    pub(super) fn attributes(&self) -> Result<(Lifetime, Option<bool>), Fault> {
        let Some(attributes) = self.object("attributes")? else { return Ok((Lifetime::default(), None)) };
        let lifetime = Lifetime {
            enabled: attributes.flag("enabled")?,
            not_before: attributes.number("nbf")?,
            expires: attributes.number("exp")?,
        };
        Ok((lifetime, attributes.flag("exportable")?))
    }

    /// `release_policy`.
    pub(super) fn policy(&self) -> Result<Option<VaultPolicy>, Fault> {
        let Some(policy) = self.object("release_policy")? else { return Ok(None) };
        let document = policy.bytes("data")?.ok_or(malformed("`release_policy.data` is missing"))?;
        if let Some(kind) = policy.text("contentType")?
            && !kind.to_ascii_lowercase().starts_with("application/json")
        {
            return Err(malformed("`release_policy.contentType` is `application/json`"));
        }
        Ok(Some(VaultPolicy { document, immutable: policy.flag("immutable")?.unwrap_or(false) }))
    }

    /// The input of an operation.
    pub(super) fn input(&self, operation: Operation, rsa1_5: Rsa15) -> Result<RawInput, Fault> {
        let alg = self.needed("alg", "`alg` is missing")?.to_owned();
        let value = self.bytes("value")?.ok_or(malformed("`value` is missing"))?;
        if value.len() > LARGEST_VALUE {
            return Err(Fault::new(Code::TooLarge, "`value` is larger than is taken at once"));
        }
        let digest = match operation {
            Operation::Verify => self.bytes("digest")?.ok_or(malformed("`digest` is missing"))?,
            _ => Vec::new(),
        };
        Ok(RawInput {
            operation,
            alg,
            value: Zeroizing::new(value),
            iv: self.bytes("iv")?,
            tag: self.bytes("tag")?,
            aad: self.bytes("aad")?.unwrap_or_default(),
            digest,
            rsa1_5,
        })
    }

    /// The nonce of a release.
    pub(super) fn nonce(&self) -> Result<Option<String>, Fault> {
        match self.text("nonce")? {
            Some(nonce) if nonce.len() > LONGEST_NONCE => Err(Fault::new(Code::TooLarge, "`nonce` is too long")),
            nonce => Ok(nonce.map(str::to_owned)),
        }
    }
}

/// Reads base64 with either alphabet, padded or not.
pub(super) fn binary(text: &str) -> Result<Vec<u8>, Fault> {
    let wrong = malformed("a binary member is no base64");
    let body = text.trim_end_matches('=');
    if text.len() - body.len() > 2 {
        return Err(wrong);
    }
    let standard: String = body
        .chars()
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    STANDARD_NO_PAD.decode(Zeroizing::new(standard).as_bytes()).map_err(|_| wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_has_four_spellings() {
        for text in ["-_8", "+/8", "-_8=", "+/8="] {
            assert_eq!(binary(text).unwrap(), [0xfb, 0xff], "{text}");
        }
        assert_eq!(binary("").unwrap(), [0u8; 0]);
        for wrong in ["a", "YR", "a b=", "YQ===", "%%"] {
            assert!(binary(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn members_are_of_their_type_and_stand_once() {
        let code = |body: &str| match Members::read(body.as_bytes()) {
            Err(fault) => Some(fault.code),
            Ok(members) => members.attributes().map(drop).and_then(|()| members.tags().map(drop)).err().map(|f| f.code),
        };
        assert_eq!(code(r#"{"attributes":{"enabled":true,"nbf":1,"x":[]},"tags":{"a":"b"},"unknown":{}}"#), None);
        for wrong in [
            r#"{"attributes":{"enabled":"true"}}"#,
            r#"{"attributes":{"exp":1.5}}"#,
            r#"{"attributes":[]}"#,
            r#"{"tags":{"a":1}}"#,
            r#"{"tags":{},"tags":{}}"#,
            "[]",
            "",
        ] {
            assert_eq!(code(wrong), Some(Code::Malformed), "{wrong}");
        }
    }
}
