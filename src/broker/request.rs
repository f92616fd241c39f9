//! The words a request is made of, whatever door it came through.
//!
//! `native-api.md` section 3; `architecture.md` section 7. Doors build these; nothing in here is believed yet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use keygate_keystore::{KeyName, KeystoreError, VersionId, Wrapping};
use keygate_verifier::{EvidenceKind, NativeRequest, RecipientKey, request_digest};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::caller::Caller;
use super::composite::{Tokens, TokensProof};
use super::providers::ProviderRef;
use crate::identity::PeerCertificate;

/// Where a request came in: the provider that its host names, and the address it came from.
#[derive(Clone)]
pub struct Seat {
    /// The provider, under the host that was dialled.
    pub provider: ProviderRef,
    /// The peer's address.
    pub source: IpAddr,
    /// The client's certificate, where it showed one that says something here.
    pub peer: Option<Arc<PeerCertificate>>,
}

impl Seat {
    /// The network that a source is counted under: /24 of IPv4, /48 of IPv6.
    pub fn source_prefix(&self) -> String {
        match self.source.to_canonical() {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                format!("{}/24", Ipv4Addr::new(a, b, c, 0))
            }
            IpAddr::V6(address) => {
                let [a, b, c, ..] = address.segments();
                format!("{}/48", Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
            }
        }
    }
}

/// A key as a path names it.
#[derive(Debug, Clone)]
pub struct KeySelector {
    /// Its name; kept as sent.
    pub name: KeyName,
    /// One version of it.
    pub version: Option<VersionId>,
}

impl KeySelector {
    /// Reads name and version as they stand in a path.
    ///
    /// # Errors
    /// `malformed`.
    pub fn parse(name: &str, version: Option<&str>) -> Result<Self, KeystoreError> {
        Ok(Self { name: KeyName::parse(name)?, version: version.map(VersionId::parse).transpose()? })
    }
}

/// What the caller shows to prove what it is.
pub enum Proof {
    /// Nothing; only a credential may do then.
    None,
    /// Evidence, bound to this request.
    Evidence(Box<EvidenceProof>),
    /// A token that was issued for evidence before.
    Token(Box<TokenProof>),
    /// A composite of tokens, bound to this request.
    Tokens(Box<TokensProof>),
}

/// Evidence and what it is bound to.
pub struct EvidenceProof {
    /// The kind it claims to be.
    pub kind: EvidenceKind,
    /// The bytes as the hardware gave them.
    pub data: Vec<u8>,
    /// The challenge it answers.
    pub challenge: [u8; 32],
    /// The key that answers are to be sealed to.
    pub recipient: RecipientKey,
    /// Bound by the binding itself.
    pub runtime_data: Option<Vec<u8>>,
    /// Bound by a field of the hardware's.
    pub init_data: Option<Vec<u8>>,
    /// For this request only.
    pub endorsements: Vec<Vec<u8>>,
    /// Tokens beside it, where it is the lead of a composite.
    pub beside: Option<Tokens>,
}

/// A token and the key it confirms.
pub struct TokenProof {
    /// As sent.
    pub token: Zeroizing<String>,
    /// The key that answers are to be sealed to.
    pub recipient: RecipientKey,
    /// Spent where it is sent: makes the receipt say for which question it is.
    pub challenge: Option<[u8; 32]>,
}

/// What is to be done, with its input decoded.
pub enum Usage {
    /// The key itself, sealed.
    Release,
    /// Decrypt under the key; the plaintext is sealed.
    Unwrap {
        /// Algorithm as sent.
        alg: String,
        /// What an earlier wrap or generate gave.
        ciphertext: Vec<u8>,
        /// Authenticated beside it.
        aad: Vec<u8>,
    },
    /// A fresh data key, under the key and sealed.
    Generate {
        /// Algorithm as sent.
        alg: String,
        /// Its length.
        bytes: usize,
        /// Authenticated beside it.
        aad: Vec<u8>,
    },
    /// Sign a digest; the signature is sealed.
    Sign {
        /// Algorithm as sent.
        alg: String,
        /// The digest.
        digest: Vec<u8>,
    },
    /// Encrypt under the key.
    Wrap {
        /// Algorithm as sent.
        alg: String,
        /// What is encrypted.
        plaintext: Zeroizing<Vec<u8>>,
        /// Authenticated beside it.
        aad: Vec<u8>,
    },
}

impl Usage {
    /// The operation's word.
    pub fn operation(&self) -> keygate_keystore::Operation {
        use keygate_keystore::Operation;
        match self {
            Self::Release => Operation::Release,
            Self::Unwrap { .. } => Operation::Unwrap,
            Self::Generate { .. } => Operation::Generate,
            Self::Sign { .. } => Operation::Sign,
            Self::Wrap { .. } => Operation::Wrap,
        }
    }
}

/// The caller's name for a request, and what it covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// 1 to 64 visible ASCII characters.
    pub key: String,
    /// SHA-256 over path and body, byte for byte.
    pub digest: [u8; 32],
}

impl IdempotencyKey {
    /// Reads the header's value for a request of this path and body; anything but 1 to 64 visible ASCII characters is none.
    pub fn parse(key: &str, path: &str, body: &[u8]) -> Option<Self> {
        let fits = (1..=64).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| {
            let mut hash = openssl::sha::Sha256::new();
            hash.update(path.as_bytes());
            hash.update(&[0]);
            hash.update(body);
            Self { key: key.to_owned(), digest: hash.finish() }
        })
    }
}

/// Use one key.
pub struct KeyRequest {
    /// Where it came in.
    pub seat: Seat,
    /// Which key.
    pub key: KeySelector,
    /// What with it.
    pub usage: Usage,
    /// How the answer is to be sealed; the recipient's default if none is named.
    pub wrapping: Option<Wrapping>,
    /// What is shown.
    pub proof: Proof,
    /// Who asks, where a credential was sent.
    pub caller: Caller,
    /// The caller's name for the request.
    pub idempotency: Option<IdempotencyKey>,
}

impl KeyRequest {
    /// Q of `native-api.md` section 4.
    pub fn digest(&self) -> [u8; 32] {
        let version = self.key.version.map(|v| v.to_string()).unwrap_or_default();
        let decimal;
        let none: &[u8] = &[];
        let (alg, input, aad) = match &self.usage {
            Usage::Release => ("", none, none),
            Usage::Unwrap { alg, ciphertext, aad } => (alg.as_str(), ciphertext.as_slice(), aad.as_slice()),
            Usage::Generate { alg, bytes, aad } => {
                decimal = bytes.to_string();
                (alg.as_str(), decimal.as_bytes(), aad.as_slice())
            }
            Usage::Sign { alg, digest } => (alg.as_str(), digest.as_slice(), none),
            Usage::Wrap { alg, plaintext, aad } => (alg.as_str(), plaintext.as_slice(), aad.as_slice()),
        };
        request_digest(&NativeRequest {
            operation: self.usage.operation().as_str(),
            key: self.key.name.as_str(),
            version: &version,
            wrapping: self.wrapping.map(Wrapping::as_str).unwrap_or_default(),
            alg,
            input,
            aad,
        })
    }
}

/// Judge evidence and issue a token.
pub struct AttestRequest {
    /// Where it came in.
    pub seat: Seat,
    /// The evidence.
    pub evidence: EvidenceProof,
    /// Whom the token is for; this provider if none is named.
    pub audience: Option<String>,
    /// Who asks, where a credential was sent.
    pub caller: Caller,
    /// The caller's name for the request.
    pub idempotency: Option<IdempotencyKey>,
}

impl AttestRequest {
    /// Q of `native-api.md` section 4.
    pub fn digest(&self) -> [u8; 32] {
        request_digest(&NativeRequest {
            operation: "attest",
            key: "",
            version: "",
            wrapping: "",
            alg: "",
            input: self.audience.as_deref().unwrap_or_default().as_bytes(),
            aad: b"",
        })
    }
}

/// The answer to a use: everything secret in it is sealed.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The members of the native door's answer, `receipt` among them.
    pub body: Map<String, Value>,
}

/// The answer to an attestation.
#[derive(Debug, Clone, PartialEq)]
pub struct AttestAnswer {
    /// The token.
    pub token: String,
    /// Attested claims.
    pub claims: Map<String, Value>,
    /// Presented claims.
    pub presented: Map<String, Value>,
    /// Unix seconds.
    pub expires_at: i64,
}
