//! The workload's side: challenge, evidence, ask, check the receipt, unseal.
//!
//! Keygate's contract, sections 3 and 4. The only pin is the provider's CA. Nothing that was unsealed is given to anybody before
//! the receipt was checked; there is no switch to skip that. [`open_release`] does the same for the answers of a Key Vault.

mod receipt;
mod released_key;
mod resident;
pub(crate) mod signed;
mod transport;

use std::sync::PoisonError;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::{KeyType, RecipientPrivate, Unsealer, Wrapped, unwrap_with};
use keygate_policies::canonical;
use keygate_verifier::{NativeBinding, NativeRequest, RecipientKey, request_digest};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::attester::{Attester, AttesterError, Wanted};
pub use receipt::CheckedReceipt;
pub use released_key::{Expect, LONGEST_RELEASE, ReleasePolicy, ReleasedKey, open_release};
pub use transport::{ClientError, Connection};

/// What is asked of a key. Members that are absent are empty.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// `release`, `unwrap`, `generate`, `sign` or `attest`.
    pub operation: &'static str,
    /// Key name; empty for `attest`.
    pub key: String,
    /// Key version, or empty.
    pub version: String,
    /// Wrapping, or empty for the default of the recipient's type.
    pub wrapping: String,
    /// Algorithm, or empty.
    pub alg: String,
    /// Ciphertext or digest, the number of bytes in decimal, or the audience.
    pub input: Vec<u8>,
    /// Additional authenticated data.
    pub aad: Vec<u8>,
}

/// What came back, after every check.
pub struct Given {
    /// The answer without its receipt.
    pub answer: Map<String, Value>,
    /// What was sealed to us: the key, the opened plaintext, the data key, the signature.
    pub secret: Zeroizing<Vec<u8>>,
    /// What the receipt says.
    pub receipt: CheckedReceipt,
}

impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Given").field("answer", &self.answer).finish_non_exhaustive()
    }
}

/// A workload that talks to one provider.
pub struct Workload<'a> {
    connection: &'a Connection,
    attester: &'a dyn Attester,
    recipient: Box<dyn Unsealer>,
    fault: resident::Fault,
}

/// Where the recipient's key is made and kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecipientPlace {
    /// EC P-256, in memory.
    Ec,
    /// RSA-2048, in memory.
    Rsa,
    /// RSA-2048, in the attester's hardware, which it never leaves.
    Hardware,
}

impl<'a> Workload<'a> {
    /// A workload with a fresh recipient key.
    ///
    /// # Errors
    /// No randomness; hardware that makes no such key.
    pub fn new(
        connection: &'a Connection,
        attester: &'a dyn Attester,
        place: RecipientPlace,
    ) -> Result<Self, ClientError> {
        let in_memory = |kind| -> Result<Box<dyn Unsealer>, ClientError> {
            let made = RecipientPrivate::generate(kind).map_err(|e| ClientError::local(e.code(), e.to_string()))?;
            Ok(Box::new(made))
        };
        let (recipient, fault) = match place {
            RecipientPlace::Ec => (in_memory(KeyType::EcP256)?, resident::Fault::default()),
            RecipientPlace::Rsa => (in_memory(KeyType::Rsa2048)?, resident::Fault::default()),
            RecipientPlace::Hardware => {
                let key = attester.resident_key().map_err(|e| attester_fault(&e))?;
                let (recipient, fault) = resident::Resident::new(key)?;
                (Box::new(recipient) as Box<dyn Unsealer>, fault)
            }
        };
        Ok(Self { connection, attester, recipient, fault })
    }

    /// Evidence for one request, with everything that goes beside it: the proof of the contract, section 3.
    async fn proof(&self, ask: &Ask, now: i64) -> Result<(Map<String, Value>, String, [u8; 32]), ClientError> {
        let (text, challenge) = self.connection.challenge().await?;
        let public = self.recipient.recipient().jwk();
        let key = RecipientKey::from_jwk(&public).map_err(|e| ClientError::local(e.code(), e.to_string()))?;
        let q = digest(ask);
        let spki =
            key.spki_der().ok_or_else(|| ClientError::local("unsupported", "the recipient's key cannot be encoded"))?;
        let binding = NativeBinding::new(challenge, self.connection.host(), &q, key, b"");
        let wanted = Wanted {
            report_data: *binding.report_data(),
            nonce: *binding.nonce(),
            public_key_der: spki,
            user_data: binding.user_data(),
            now,
        };
        let evidence = self.attester.evidence(&wanted).map_err(|e| attester_fault(&e))?;
        let mut proof = Map::new();
        proof
            .insert("evidence".into(), json!({"kind": self.attester.kind(), "data": URL_SAFE_NO_PAD.encode(evidence)}));
        proof.insert("challenge".into(), json!(text));
        proof.insert("recipient".into(), Value::Object(public));
        Ok((proof, text, q))
    }

    /// Attests: `{token, claims, presented, expires_at}`.
    ///
    /// # Errors
    /// The server's refusal, or a connection that failed.
    pub async fn attest(&self, audience: &str, now: i64) -> Result<Value, ClientError> {
        let ask = Ask { operation: "attest", input: audience.as_bytes().to_vec(), ..Ask::default() };
        let (mut body, ..) = self.proof(&ask, now).await?;
        if !audience.is_empty() {
            body.insert("aud".into(), json!(audience));
        }
        self.connection.post("/v1/attestations", &Value::Object(body), None).await
    }

    /// Uses a key: asks, checks the receipt, unseals.
    ///
    /// # Errors
    /// The server's refusal; `answer-not-authentic`: the receipt does not hold, nothing was used.
    pub async fn use_key(&self, ask: &Ask, now: i64) -> Result<Given, ClientError> {
        let (mut body, challenge, q) = self.proof(ask, now).await?;
        if !ask.wrapping.is_empty() {
            body.insert("wrapping".into(), json!(ask.wrapping));
        }
        if !ask.alg.is_empty() {
            body.insert("alg".into(), json!(ask.alg));
        }
        if !ask.aad.is_empty() {
            body.insert("aad".into(), json!(URL_SAFE_NO_PAD.encode(&ask.aad)));
        }
        match ask.operation {
            "unwrap" => drop(body.insert("ciphertext".into(), json!(URL_SAFE_NO_PAD.encode(&ask.input)))),
            "sign" => drop(body.insert("digest".into(), json!(URL_SAFE_NO_PAD.encode(&ask.input)))),
            "generate" => {
                let bytes =
                    std::str::from_utf8(&ask.input).ok().and_then(|t| t.parse::<u32>().ok()).unwrap_or_default();
                body.insert("bytes".into(), json!(bytes));
            }
            _ => {}
        }
        let version = if ask.version.is_empty() { String::new() } else { format!("/versions/{}", ask.version) };
        let path = format!("/v1/keys/{}{version}/{}", ask.key, ask.operation);
        let id = hex::encode(openssl::sha::sha256(challenge.as_bytes()));
        let body = Value::Object(body);
        let answer = self.connection.post_again(&path, &body, id.get(..32).unwrap_or_default()).await?;
        self.open(answer, ask, &challenge, &q)
    }

    fn open(&self, answer: Value, ask: &Ask, challenge: &str, q: &[u8; 32]) -> Result<Given, ClientError> {
        let Value::Object(mut answer) = answer else {
            return Err(ClientError::not_authentic("the answer is no object"));
        };
        let Some(Value::String(signed)) = answer.remove("receipt") else {
            return Err(ClientError::not_authentic("the answer has no receipt"));
        };
        let receipt = receipt::check(&signed, self.connection.authority())?;
        let digest = canonical::object_digest(&answer);
        receipt.matches("answer", &URL_SAFE_NO_PAD.encode(digest))?;
        receipt.matches("request", &URL_SAFE_NO_PAD.encode(q))?;
        receipt.matches("challenge", challenge)?;
        receipt.matches("recipient", &URL_SAFE_NO_PAD.encode(self.recipient.recipient().thumbprint()))?;
        receipt.matches("operation", ask.operation)?;
        let wrapped = answer.get("wrapped").cloned().unwrap_or_default();
        let wrapped: Wrapped = serde_json::from_value(wrapped)
            .map_err(|_| ClientError::not_authentic("the answer holds nothing that is sealed to us"))?;
        let secret = unwrap_with(self.recipient.as_ref(), &wrapped).map_err(|e| {
            let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner).take();
            fault.map_or_else(|| ClientError::local(e.code(), e.to_string()), |fault| attester_fault(&fault))
        })?;
        Ok(Given { answer, secret, receipt })
    }
}

fn attester_fault(error: &AttesterError) -> ClientError {
    ClientError::local("attester", format!("{error}; {}", error.help()))
}

fn digest(ask: &Ask) -> [u8; 32] {
    request_digest(&NativeRequest {
        operation: ask.operation,
        key: &ask.key,
        version: &ask.version,
        wrapping: &ask.wrapping,
        alg: &ask.alg,
        input: &ask.input,
        aad: &ask.aad,
    })
}
