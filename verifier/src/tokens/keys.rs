//! The key set of one issuer. RFC 7517 section 5; bad inputs, rows DISC-08, DISC-10, DISC-11 and JWT-42.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::algorithm::JwsAlgorithm;
use super::fault::TokenFault;
use super::jwk::{Entry, Key};
use crate::error::VerifyError;
use crate::formats::json::{self, JsonFault};
use crate::signatures::PublicKey;

const PART: &str = "key-set";
const MAX_BYTES: usize = 512 * 1024;
const MAX_KEYS: usize = 256;
/// How many keys are tried for a token without `kid`.
const MAX_CANDIDATES: usize = 4;

/// The public keys of one issuer, read once. Cheap to clone.
#[derive(Clone, Default)]
pub struct KeySet {
    keys: Vec<Arc<Key>>,
}

impl KeySet {
    /// Reads a JWK set of at most 512 KiB and 256 entries. An entry is a key by its numbers (`n` and `e`, `x` and `y`), by the first
    /// certificate of its `x5c`, or by both where they are the same key. Entries of another use, type or size, with private
    /// members or contradicting themselves are left out: the set may be empty, and then no token is good.
    ///
    /// # Errors
    /// `too-large`; `malformed` for anything but a strict JSON object with a list `keys` of objects, or a `kid` that stands for two
    /// keys; `unsupported` for a set with a symmetric key.
    pub fn parse(bytes: &[u8]) -> Result<Self, VerifyError> {
        if bytes.len() > MAX_BYTES {
            return Err(VerifyError::too_large(PART, format!("{} bytes, at most {MAX_BYTES}", bytes.len())));
        }
        let set = json::object(bytes).map_err(|fault| match fault {
            JsonFault::TooLarge => VerifyError::too_large(PART, "too deep or too many members"),
            JsonFault::Malformed | JsonFault::Number => VerifyError::malformed(PART, "not a strict json object"),
        })?;
        let Some(Value::Array(entries)) = set.get("keys") else {
            return Err(VerifyError::malformed(PART, "member `keys` is no list"));
        };
        if entries.len() > MAX_KEYS {
            return Err(VerifyError::too_large(PART, format!("{} keys, at most {MAX_KEYS}", entries.len())));
        }
        let mut keys: Vec<Arc<Key>> = Vec::new();
        for entry in entries {
            let Value::Object(jwk) = entry else {
                return Err(VerifyError::malformed(PART, "a key is no object"));
            };
            match Entry::read(jwk) {
                Entry::Ignored => {}
                Entry::Symmetric => return Err(VerifyError::unsupported(PART, "a key of the set is symmetric")),
                Entry::Key(key) => {
                    if keys.iter().any(|k| k.kid.is_some() && k.kid == key.kid && k.key.digest() != key.key.digest()) {
                        return Err(VerifyError::malformed(PART, "one `kid` stands for two keys"));
                    }
                    keys.push(Arc::new(key));
                }
            }
        }
        Ok(Self { keys })
    }

    /// How many keys can check signatures.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key can check signatures: then no token is good.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether there is a key of this `kid`, compared byte for byte.
    pub fn has(&self, kid: &str) -> bool {
        self.kids().any(|known| known == kid)
    }

    /// The `kid` of each key that has one, in the set's order.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().filter_map(|key| key.kid.as_deref())
    }

    /// Whether any key stands in both sets, by its numbers. A set that shares nothing with its forerunner is worth an alarm.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.keys.iter().any(|key| other.keys.iter().any(|known| known.key.digest() == key.key.digest()))
    }

    /// The key of these numbers, whatever its name: for tokens that name their key by its value.
    pub(super) fn of_value(&self, key: &PublicKey) -> Option<&Key> {
        self.keys.iter().map(Arc::as_ref).find(|known| known.key.digest() == key.digest())
    }

    /// How many keys are for this algorithm.
    pub(super) fn fitting(&self, algorithm: JwsAlgorithm) -> usize {
        self.keys.iter().filter(|key| key.fits(algorithm)).count()
    }

    /// Checks `signature` over `message` under the key named by `kid`, or, without a name, under each key that is for `algorithm`
    /// while there are at most four.
    ///
    /// # Errors
    /// [`TokenFault::UnknownKey`], [`TokenFault::WrongKey`], [`TokenFault::TooManyKeys`], [`TokenFault::Signature`].
    pub fn check(
        &self,
        kid: Option<&str>,
        algorithm: JwsAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), TokenFault> {
        self.signer(kid, algorithm, message, signature).map(|_| ())
    }

    /// The same; answers with the key that signed.
    pub(super) fn signer(
        &self,
        kid: Option<&str>,
        algorithm: JwsAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<&Key, TokenFault> {
        if kid.is_some_and(|kid| !self.has(kid)) || self.is_empty() {
            return Err(TokenFault::UnknownKey);
        }
        let named = |key: &Key| kid.is_none() || key.kid.as_deref() == kid;
        let candidates: Vec<&Key> =
            self.keys.iter().map(Arc::as_ref).filter(|key| named(key) && key.fits(algorithm)).collect();
        match candidates.len() {
            0 => return Err(TokenFault::WrongKey),
            1..=MAX_CANDIDATES => {}
            _ => return Err(TokenFault::TooManyKeys),
        }
        candidates
            .into_iter()
            .find(|key| key.key.verify(algorithm.check(), message, signature))
            .ok_or(TokenFault::Signature)
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| (&key.kid, &key.key))).finish()
    }
}
