//! What the store is asked to do with a key, in one order that carries everything.
//!
//! `architecture.md` section 6: [`Authorized`] is the capability that
//! [`Keystore::perform`](crate::Keystore::perform) demands; what was decided, used, recorded and
//! spent becomes true in one commit.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::key::Operation;
use crate::machines::Machine;
use crate::names::{KeyName, ProviderId, VersionId};
use crate::operations::raw::{RawAlgorithm, RawCiphertext, RawPlaintext};
use crate::views::{Epoch, ReadRows};
use crate::wrap::{Recipient, Wrapped, Wrapping};

/// Proof that a permit was reached, and for exactly what. Its fields are private and it can be
/// used once.
pub struct Authorized {
    pub(crate) target: Target,
    pub(crate) usage: Use,
    pub(crate) sealing: Sealing,
    pub(crate) seen: Seen,
    pub(crate) spend: Spend,
    pub(crate) record: Record,
    pub(crate) repeat: Option<RepeatKey>,
    pub(crate) now: i64,
    pub(crate) read: Option<ReadRows>,
    pub(crate) at_any_time: bool,
    pub(crate) machine: Option<Machine>,
}

impl Authorized {
    /// Asserts that this use was permitted. The only constructor; the broker's decision is its
    /// only caller. `now` is unix seconds.
    #[allow(clippy::too_many_arguments)]
    pub fn assertion(
        target: Target,
        usage: Use,
        sealing: Sealing,
        seen: Seen,
        spend: Spend,
        record: Record,
        repeat: Option<RepeatKey>,
        now: i64,
    ) -> Self {
        Self { target, usage, sealing, seen, spend, record, repeat, now, read: None, at_any_time: false, machine: None }
    }

    /// Hands over the rows of the [`Look`](crate::Look) that this was decided on. Rows of another key or
    /// state are not used; those that are missing are read anew.
    #[must_use]
    pub fn having_read(mut self, rows: Option<ReadRows>) -> Self {
        self.read = rows;
        self
    }

    /// Names the machine whose TPM proved itself: the commit holds its record and its clock against the store, and moves the
    /// clock.
    #[must_use]
    pub fn of_machine(mut self, machine: Option<Machine>) -> Self {
        self.machine = machine;
        self
    }

    /// Lets a use that only looks back ([`Operation::looks_back`]) happen before the key's `not_before` and
    /// after its `expires`: the rule of key vaults, whose old data must stay readable. Other uses are
    /// refused there all the same.
    #[must_use]
    pub fn at_any_time(mut self) -> Self {
        self.at_any_time = true;
        self
    }
}

/// One version of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whose key.
    pub provider: ProviderId,
    /// Which key.
    pub name: KeyName,
    /// Which version of it.
    pub version: VersionId,
}

/// A use of a key with its input.
pub enum Use {
    /// The key itself leaves, wrapped for the recipient.
    Release,
    /// Decrypt, and wrap the plaintext for the recipient.
    Unwrap {
        /// Algorithm name.
        alg: String,
        /// What an earlier wrap or generate gave.
        ciphertext: Vec<u8>,
        /// Authenticated beside it; the same bytes as then.
        aad: Vec<u8>,
    },
    /// Make a data key: under this key, and wrapped for the recipient.
    Generate {
        /// Algorithm name.
        alg: String,
        /// Length of the data key, 1 to 1024.
        bytes: usize,
        /// Authenticated beside it.
        aad: Vec<u8>,
    },
    /// Sign a digest; the signature travels wrapped for the recipient.
    Sign {
        /// JWS algorithm name.
        alg: String,
        /// The digest, as long as the algorithm's hash.
        digest: Vec<u8>,
    },
    /// Encrypt; the answer is ciphertext and needs no recipient.
    Wrap {
        /// Algorithm name.
        alg: String,
        /// What is encrypted.
        plaintext: Zeroizing<Vec<u8>>,
        /// Authenticated beside it.
        aad: Vec<u8>,
    },
    /// A use in the raw form of a dialect door.
    Raw(RawUse),
}

/// A use of a key in a raw form, see [`operations::raw`](crate::operations::raw).
pub enum RawUse {
    /// Encrypt; the parts of the answer are ciphertext and need no recipient.
    Encrypt(RawPlaintext),
    /// The same for a key, by an algorithm for keys.
    Wrap(RawPlaintext),
    /// Decrypt.
    Decrypt(RawCiphertext),
    /// The same for a key, by an algorithm for keys.
    Unwrap(RawCiphertext),
    /// Sign a digest.
    Sign {
        /// Algorithm name.
        alg: String,
        /// The digest, as long as the algorithm's hash.
        digest: Vec<u8>,
    },
    /// Check a signature; the answer is yes or no and needs no recipient.
    Verify {
        /// Algorithm name.
        alg: String,
        /// The digest, as long as the algorithm's hash.
        digest: Vec<u8>,
        /// The signature.
        signature: Vec<u8>,
    },
}

impl RawUse {
    /// The operation that the key must allow.
    pub fn operation(&self) -> Operation {
        match self {
            Self::Encrypt(_) => Operation::Encrypt,
            Self::Wrap(_) => Operation::Wrap,
            Self::Decrypt(_) => Operation::Decrypt,
            Self::Unwrap(_) => Operation::Unwrap,
            Self::Sign { .. } => Operation::Sign,
            Self::Verify { .. } => Operation::Verify,
        }
    }

    /// Whether nothing in the outcome is secret.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Self::Encrypt(_) | Self::Wrap(_) | Self::Verify { .. })
    }

    /// Whether it is an encryption that is counted.
    pub(crate) fn is_counted(&self) -> bool {
        match self {
            Self::Encrypt(input) | Self::Wrap(input) => {
                RawAlgorithm::parse(&input.alg).is_ok_and(RawAlgorithm::is_counted)
            }
            _ => false,
        }
    }
}

impl Use {
    /// The operation that the key must allow.
    pub fn operation(&self) -> Operation {
        match self {
            Self::Release => Operation::Release,
            Self::Unwrap { .. } => Operation::Unwrap,
            Self::Generate { .. } => Operation::Generate,
            Self::Sign { .. } => Operation::Sign,
            Self::Wrap { .. } => Operation::Wrap,
            Self::Raw(raw) => raw.operation(),
        }
    }

    /// The operations under whose names a rule must permit it; none where no rule is needed. Encrypting
    /// by an algorithm that opens more than it closes is judged as `unwrap` too.
    pub fn rules(&self) -> Vec<&'static str> {
        let mut rules: Vec<&'static str> = self.operation().rule().into_iter().collect();
        if let Self::Raw(RawUse::Encrypt(input) | RawUse::Wrap(input)) = self
            && RawAlgorithm::parse(&input.alg).is_ok_and(RawAlgorithm::opens_more)
        {
            rules.push(Operation::Unwrap.as_str());
        }
        rules
    }
}

/// How the outcome leaves.
pub enum Sealing {
    /// Wrapped for the key that the evidence bound.
    For {
        /// That key.
        recipient: Recipient,
        /// The manner of wrapping, as the request named it.
        wrapping: Wrapping,
    },
    /// Wrapped for the key that the evidence bound; the request named no manner of wrapping. It is
    /// [`Wrapping::default_for`] the recipient, and [`Wrapping::Jwe`] for an empty answer, which
    /// `RSA_AES_KEY_WRAP_256` cannot carry.
    ByDefault {
        /// That key.
        recipient: Recipient,
    },
    /// In the open; only for uses in whose outcome nothing is secret: [`Use::Wrap`], and of the raw forms
    /// encrypt, wrap and verify.
    NotSealed,
    /// **In the clear**, in [`Performed::clear`]: for the raw forms decrypt, unwrap and sign of a door whose
    /// clients know no sealed form, where the key's option `clear` allows it (`native-api.md` section 5).
    /// Never a default, never for a release, and never kept for repeats. The broker's decision is the
    /// only one to ask for it.
    Clear,
}

/// What the decision was made on; from [`Look`](crate::Look).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// State of keys, rules, policies and trust.
    pub epoch: Epoch,
    /// [`KeyView::row_version`](crate::KeyView::row_version).
    pub key_row: u64,
    /// [`VersionView::row_version`](crate::VersionView::row_version).
    pub version_row: u64,
}

/// What the commit uses up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spend {
    /// Nothing: the proof was a token, whose life is its own.
    Nothing,
    /// A challenge, once.
    Challenge {
        /// Its digest.
        digest: [u8; 32],
        /// Unix seconds at which it expires; the spending is remembered until then.
        until: i64,
    },
}

/// An audit record, as it goes into the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose record.
    pub provider: ProviderId,
    /// Unix seconds.
    pub at: i64,
    /// Kind of event.
    pub kind: String,
    /// Canonical JSON without secrets, at most 64 KiB.
    pub body: String,
}

/// The caller's name for a request, so that asking again gives the same answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepeatKey {
    /// 1 to 255 bytes chosen by the caller.
    pub key: String,
    /// SHA-256 of the request.
    pub body_digest: [u8; 32],
    /// Unix seconds until which the answer is kept.
    pub until: i64,
}

/// What a use gave; out of the store only after the commit reached the disk.
pub struct Performed {
    /// The answer.
    pub outcome: Outcome,
    /// Its place in the journal.
    pub entry: Entry,
    /// Whether this is the kept answer of an earlier request.
    pub repeat: bool,
    /// Plaintext or signature, of [`Sealing::Clear`] alone. Zeroed when dropped; it is in no journal and in
    /// no kept answer.
    pub clear: Option<Zeroizing<Vec<u8>>>,
}

/// The answer to a use. Everything secret in it is wrapped; what leaves in the clear is not in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// `name/versions/hex`.
    pub kid: String,
    /// Public JWK members, of releases and signatures with an asymmetric key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<Map<String, Value>>,
    /// The algorithm used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    /// What wrap and generate encrypted, base64url without padding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ciphertext: Option<String>,
    /// Initialisation vector of a raw encryption, base64url without padding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iv: Option<String>,
    /// Tag of a raw encryption, base64url without padding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Whether the signature holds, of verify.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid: Option<bool>,
    /// What is for the recipient alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrapped: Option<Wrapped>,
}

/// Place of a record in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// From 1, without gaps.
    pub seq: u64,
    /// Hash over this entry and all before it.
    pub hash: [u8; 32],
    /// Unix seconds.
    pub at: i64,
}

/// Success of an attestation, to be recorded.
pub struct AttestOrder {
    /// The challenge that the evidence answered.
    pub spend: Spend,
    /// Identifier of the token issued.
    pub jti: String,
    /// Unix seconds at which that token expires; the identifier is remembered until then.
    pub jti_until: i64,
    /// The audit record.
    pub record: Record,
    /// The caller's name for the request.
    pub repeat: Option<RepeatKey>,
    /// The machine whose TPM proved itself, as of [`Authorized::of_machine`].
    pub machine: Option<Machine>,
    /// The answer to keep for repeats; sealed in the store, at most 256 KiB.
    pub answer: Vec<u8>,
    /// Unix seconds.
    pub now: i64,
}

/// A kept answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnswer {
    /// JSON of an [`Outcome`], or the bytes given in [`AttestOrder::answer`].
    pub body: Vec<u8>,
    /// Place of the record of the first request.
    pub entry: Entry,
}

/// Whether a request was seen before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repeated {
    /// Never, or its answer is forgotten.
    New,
    /// The same request: here is its answer.
    Answer(StoredAnswer),
    /// The same key came with another body: refuse as `conflict`.
    OtherBody,
}
