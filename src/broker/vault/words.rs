//! The words of a use of a key at this door.
//!
//! `keyvault-api.md` sections 2 and 3, `secure-key-release.md` section 4.

use keygate_keystore::operations::raw::{RawCiphertext, RawPlaintext, Rsa15};
use keygate_keystore::{Operation, RawUse, Use, Wrapping};
use keygate_verifier::{NativeRequest, request_digest};
use zeroize::Zeroizing;

use crate::broker::caller::Caller;
use crate::broker::error::BrokerError;
use crate::broker::request::{KeySelector, Proof, Seat};

/// Use one key.
pub struct VaultRequest {
    /// Where it came in.
    pub seat: Seat,
    /// What the ids of keys begin with: `https://`, the host that was dialled with its port, and the prefix.
    pub url: String,
    /// As the query named it.
    pub api_version: String,
    /// Which key.
    pub key: KeySelector,
    /// What with it.
    pub usage: VaultUsage,
    /// Who asks, by a credential, a token of a person's issuer, or a certificate.
    pub caller: Caller,
    /// The bearer, where it is a token of a verifier.
    pub bearer: Option<Zeroizing<String>>,
}

/// What is to be done.
pub enum VaultUsage {
    /// The key itself, sealed to the key in the evidence.
    Release(ReleaseInput),
    /// An operation by an algorithm of Key Vault's.
    Raw(RawInput),
}

/// A release.
pub struct ReleaseInput {
    /// The evidence.
    pub target: Target,
    /// Comes back in the signed answer; says nothing about the evidence.
    pub nonce: Option<String>,
    /// How the key is sealed; none: [`Wrapping::CkmRsaAesKeyWrap`].
    pub enc: Option<Wrapping>,
}

/// What stands where a token is expected.
pub enum Target {
    /// A token of a verifier.
    Token(Zeroizing<String>),
    /// Raw evidence, or a token with its recipient and challenge: the proof of the native door, bound to a release at this one.
    Proof(Box<Proof>),
}

/// The input of an operation.
pub struct RawInput {
    /// `encrypt`, `decrypt`, `wrap`, `unwrap`, `sign` or `verify`.
    pub operation: Operation,
    /// Key Vault's name of the algorithm.
    pub alg: String,
    /// Plaintext, ciphertext, digest; of `verify` the signature.
    pub value: Zeroizing<Vec<u8>>,
    /// The initialisation vector.
    pub iv: Option<Vec<u8>>,
    /// The tag.
    pub tag: Option<Vec<u8>>,
    /// Authenticated beside it.
    pub aad: Vec<u8>,
    /// The digest, of `verify`.
    pub digest: Vec<u8>,
    /// Whether `RSA1_5` is served.
    pub rsa1_5: Rsa15,
}

impl RawInput {
    /// The use; a copy of the input goes into it.
    pub(super) fn to_use(&self) -> Use {
        let plaintext = || RawPlaintext {
            alg: self.alg.clone(),
            plaintext: self.value.clone(),
            iv: self.iv.clone(),
            aad: self.aad.clone(),
            rsa1_5: self.rsa1_5,
        };
        let ciphertext = || RawCiphertext {
            alg: self.alg.clone(),
            ciphertext: self.value.to_vec(),
            iv: self.iv.clone(),
            tag: self.tag.clone(),
            aad: self.aad.clone(),
            rsa1_5: self.rsa1_5,
        };
        Use::Raw(match self.operation {
            Operation::Encrypt => RawUse::Encrypt(plaintext()),
            Operation::Wrap => RawUse::Wrap(plaintext()),
            Operation::Decrypt => RawUse::Decrypt(ciphertext()),
            Operation::Unwrap => RawUse::Unwrap(ciphertext()),
            Operation::Verify => {
                RawUse::Verify { alg: self.alg.clone(), digest: self.digest.clone(), signature: self.value.to_vec() }
            }
            _ => RawUse::Sign { alg: self.alg.clone(), digest: self.value.to_vec() },
        })
    }

    /// Whether what comes out, or what can be had by it, is secret.
    pub(super) fn is_secret(&self) -> bool {
        match self.operation {
            Operation::Verify => false,
            // By an algorithm that opens more than it closes.
            Operation::Encrypt | Operation::Wrap => self.to_use().rules().contains(&Operation::Unwrap.as_str()),
            _ => true,
        }
    }
}

impl VaultUsage {
    /// What the key must allow.
    pub(super) fn operation(&self) -> Operation {
        match self {
            Self::Release(_) => Operation::Release,
            Self::Raw(input) => input.operation,
        }
    }

    /// Under whose names the rules must permit it to evidence.
    pub(super) fn rules(&self) -> Vec<&'static str> {
        match self {
            Self::Release(_) => Use::Release.rules(),
            // Anybody has evidence; whether a key is there and what it signed is for those whom its rule lets sign.
            Self::Raw(input) if input.operation == Operation::Verify => vec![Operation::Sign.as_str()],
            Self::Raw(input) => input.to_use().rules(),
        }
    }

    /// How the answer is sealed.
    pub(super) fn wrapping(&self) -> Option<Wrapping> {
        match self {
            Self::Release(input) => Some(input.enc.unwrap_or(Wrapping::CkmRsaAesKeyWrap)),
            Self::Raw(_) => None,
        }
    }
}

impl VaultRequest {
    /// What evidence for a release is bound to, and a challenge for any other use is for: Q of `native-api.md` section 4 with the
    /// operation `keyvault-` and its word. `wrapping` is `enc` as named; `input` is the nonce of a release, of other uses value,
    /// initialisation vector, tag and digest, each behind its length in 4 bytes.
    pub fn digest(&self) -> [u8; 32] {
        let version = self.key.version.map(|v| v.to_string()).unwrap_or_default();
        let operation = format!("keyvault-{}", self.usage.operation().as_str());
        let of = |wrapping: &str, alg: &str, input: &[u8], aad: &[u8]| {
            request_digest(&NativeRequest {
                operation: &operation,
                key: self.key.name.as_str(),
                version: &version,
                wrapping,
                alg,
                input,
                aad,
            })
        };
        match &self.usage {
            VaultUsage::Release(input) => {
                let enc = input.enc.map(Wrapping::as_str).unwrap_or_default();
                of(enc, "", input.nonce.as_deref().unwrap_or_default().as_bytes(), b"")
            }
            VaultUsage::Raw(input) => {
                let none = Vec::new();
                let mut whole = Zeroizing::new(Vec::new());
                let iv = input.iv.as_ref().unwrap_or(&none);
                let tag = input.tag.as_ref().unwrap_or(&none);
                for part in [input.value.as_slice(), iv, tag, &input.digest] {
                    whole.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
                    whole.extend(part);
                }
                of("", &input.alg, &whole, &input.aad)
            }
        }
    }
}

/// What a use gave.
pub enum VaultAnswer {
    /// A signed and sealed key: a compact JWS.
    Released(String),
    /// What an operation gave.
    Performed {
        /// Of the version that did it.
        kid: String,
        /// Ciphertext, plaintext or signature.
        value: Zeroizing<Vec<u8>>,
        /// Base64url.
        iv: Option<String>,
        /// Base64url.
        tag: Option<String>,
    },
    /// Whether a signature holds.
    Verified(bool),
}

/// A refusal of this door.
#[derive(Debug, Clone)]
pub struct VaultRefusal {
    /// As everywhere.
    pub error: Box<BrokerError>,
    /// A nonce that the evidence has to carry in a place which the workload fills: 43 characters of base64url.
    pub nonce: Option<String>,
    /// The option of the key that stands in the way.
    pub option: Option<&'static str>,
    /// Whether the request does not fit the key: another algorithm, another length.
    pub misfit: bool,
}

impl From<BrokerError> for VaultRefusal {
    fn from(error: BrokerError) -> Self {
        Self { error: Box::new(error), nonce: None, option: None, misfit: false }
    }
}

/// Reads `enc`: one of Key Vault's three names.
pub fn enc_of(name: &str) -> Option<Wrapping> {
    Wrapping::parse(name).ok().filter(|wrapping| *wrapping != Wrapping::Jwe)
}
