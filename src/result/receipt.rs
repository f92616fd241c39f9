//! The receipt: what we say we did, so that a workload knows who answered before it uses what it unsealed.
//!
//! `native-api.md` section 3 *Receipt*. Compact JWS, ES256, `typ` `keygate-receipt`, `x5c` up to the provider's CA. Every digest,
//! the challenge and the thumbprint are base64url without padding.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::SigningFailed;
use super::signer::SigningKey;

/// The type in the header.
pub const TYPE: &str = "keygate-receipt";
/// The type of a signed audit head, the one other thing that the receipt key signs.
pub const HEAD_TYPE: &str = "keygate-audit-head";
/// Extended key usage of a receipt certificate, and of no other under the provider's CA: a stolen TLS key signs no receipts.
pub const PURPOSE: &str = "2.25.187243920874013294871209873401982734.1";

/// What a receipt says.
#[derive(Debug, Clone)]
pub struct Receipt<'a> {
    /// The provider's issuer URL.
    pub issuer: &'a str,
    /// Unix seconds.
    pub issued: i64,
    /// Number of the audit entry.
    pub entry: u64,
    /// Hash of the audit entry.
    pub entry_hash: [u8; 32],
    /// `release`, `unwrap`, …
    pub operation: &'a str,
    /// The key used: `name/versions/hex`.
    pub kid: &'a str,
    /// The challenge that was spent.
    pub challenge: Option<[u8; 32]>,
    /// The caller's `Idempotency-Key`.
    pub request_id: Option<&'a str>,
    /// Thumbprint of the key that the answer is sealed to.
    pub recipient: [u8; 32],
    /// Q of `native-api.md` section 4.
    pub request: [u8; 32],
    /// SHA-256 over the RFC 8785 form of the answer without `receipt`.
    pub answer: [u8; 32],
    /// Digest of rules and options that permitted it.
    pub rule_digest: [u8; 32],
    /// Digest of the appraisal policy.
    pub policy_digest: Option<[u8; 32]>,
    /// SHA-256 of the evidence.
    pub evidence_digest: [u8; 32],
}

impl Receipt<'_> {
    /// The payload.
    pub fn payload(&self) -> Value {
        let b64 = |bytes: &[u8; 32]| json!(URL_SAFE_NO_PAD.encode(bytes));
        let mut payload = Map::new();
        let mut put = |name: &str, value: Value| drop(payload.insert(name.to_owned(), value));
        put("iss", json!(self.issuer));
        put("iat", json!(self.issued));
        put("entry", json!(self.entry));
        put("entry_hash", b64(&self.entry_hash));
        put("operation", json!(self.operation));
        put("kid", json!(self.kid));
        if let Some(challenge) = &self.challenge {
            put("challenge", b64(challenge));
        }
        if let Some(id) = self.request_id {
            put("request_id", json!(id));
        }
        put("recipient", b64(&self.recipient));
        put("request", b64(&self.request));
        put("answer", b64(&self.answer));
        put("rule_digest", b64(&self.rule_digest));
        if let Some(digest) = &self.policy_digest {
            put("policy_digest", b64(digest));
        }
        put("evidence_digest", b64(&self.evidence_digest));
        Value::Object(payload)
    }

    /// Signs it. `header` is [`SigningKey::header`] of the same key with [`TYPE`] and its chain.
    ///
    /// # Errors
    /// No signature could be made.
    pub fn sign(&self, key: &SigningKey, header: &str) -> Result<String, SigningFailed> {
        key.jws(header, &self.payload())
    }
}
