//! What the store shows: keys without their material, rules, entries, reports.
//!
//! `native-api.md` section 3; `store-durability.md` sections 7 to 9 for state, head and reports.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::error::{KeyStateReason, KeystoreError};
use crate::key::{KeyType, Operation};
use crate::names::{KeyName, ProviderId, VersionId};
use crate::storage::sqlite::keys::KeyRows;

/// Counts the changes that could alter a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// A key and the epoch, read in one moment.
#[derive(Debug)]
pub struct Look {
    /// State of keys, rules, policies and trust.
    pub epoch: Epoch,
    /// The key; soft-deleted ones too.
    pub key: Option<KeyView>,
    /// The rows behind a key with one version, for
    /// [`Authorized::having_read`](crate::Authorized::having_read).
    pub read: Option<ReadRows>,
}

/// The rows that a look read, their secrets sealed as they lie in the store. A use that is given them
/// does not read them again; its commit compares them with the store as it is then.
pub struct ReadRows(pub(crate) Box<KeyRows>);

impl std::fmt::Debug for ReadRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReadRows(..)")
    }
}

/// A key without its material.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyView {
    /// Whose key.
    pub provider: ProviderId,
    /// Its name as written at its creation.
    pub name: KeyName,
    /// The store's own name of it: 16 random bytes.
    pub row_id: [u8; 16],
    /// Type and size of all its versions.
    pub key_type: KeyType,
    /// Grows with every change of the key.
    pub row_version: u64,
    /// Whether it may be used at all.
    pub enabled: bool,
    /// Unix seconds.
    pub not_before: Option<i64>,
    /// Unix seconds.
    pub expires: Option<i64>,
    /// Whether it may be released.
    pub exportable: bool,
    /// What may be done with it.
    pub operations: Vec<Operation>,
    /// Free text of the owner.
    pub tags: BTreeMap<String, String>,
    /// The release rule in force.
    pub rule: Option<RuleVersion>,
    /// Whether the rule can never change.
    pub immutable: bool,
    /// Unix seconds of the soft delete.
    pub deleted_at: Option<i64>,
    /// Unix seconds from which it may be destroyed without asking.
    pub purge_at: Option<i64>,
    /// Unix seconds.
    pub created: i64,
    /// Unix seconds.
    pub updated: i64,
    /// Its versions, newest last; of [`Keystore::look_version`](crate::Keystore::look_version) at
    /// most the one asked for.
    pub versions: Vec<VersionView>,
}

/// One version of a key without its material.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionView {
    /// Its identifier.
    pub id: VersionId,
    /// Unix seconds.
    pub created: i64,
    /// Whether it may be used.
    pub enabled: bool,
    /// Public JWK members, without `kid`.
    pub public: Map<String, Value>,
    /// Grows with every change of this version.
    pub row_version: u64,
}

/// A state of an object with versions: its identity and the version.
pub(crate) fn etag(row_id: &[u8; 16], row_version: u64) -> String {
    let (prefix, _) = row_id.split_at(8);
    format!("{}-{row_version}", hex::encode(prefix))
}

impl KeyView {
    /// Names this state of the key: 16 hex digits, a dash, the row version.
    pub fn etag(&self) -> String {
        etag(&self.row_id, self.row_version)
    }

    /// As [`KeyView::usable`] for a use that only looks back, at a door that lets old data be read outside the key's time
    /// ([`Authorized::at_any_time`](crate::Authorized::at_any_time)): deleted and disabled keys are refused.
    pub fn usable_at_any_time(&self) -> Result<(), KeystoreError> {
        match (self.deleted_at, self.enabled) {
            (Some(_), _) => Err(KeystoreError::KeyState(KeyStateReason::Deleted)),
            (None, false) => Err(KeystoreError::KeyState(KeyStateReason::Disabled)),
            (None, true) => Ok(()),
        }
    }

    /// Whether the key as a whole may be used at `now`, unix seconds; `key-state` if not.
    pub fn usable(&self, now: i64) -> Result<(), KeystoreError> {
        let reason = if self.deleted_at.is_some() {
            KeyStateReason::Deleted
        } else if !self.enabled {
            KeyStateReason::Disabled
        } else if self.not_before.is_some_and(|t| now < t) {
            KeyStateReason::NotYetValid
        } else if self.expires.is_some_and(|t| now >= t) {
            KeyStateReason::Expired
        } else {
            return Ok(());
        };
        Err(KeystoreError::KeyState(reason))
    }

    /// The version named, on or off; without a name the newest that is on.
    pub fn version(&self, id: Option<&VersionId>) -> Option<&VersionView> {
        match id {
            Some(id) => self.versions.iter().find(|v| v.id == *id),
            None => self.versions.iter().rev().find(|v| v.enabled),
        }
    }
}

/// A release rule as it stood from some moment on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleVersion {
    /// From 1.
    pub number: u64,
    /// Unix seconds.
    pub at: i64,
    /// Who set it.
    pub author: String,
    /// Why.
    pub reason: String,
    /// Its digest, as the rule's language defines it.
    pub digest: [u8; 32],
    /// Its text.
    pub document: String,
}

/// A policy of a provider as it stood from some moment on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyVersion {
    /// Which policy.
    pub kind: String,
    /// From 1.
    pub number: u64,
    /// Unix seconds.
    pub at: i64,
    /// Who set it.
    pub author: String,
    /// Why.
    pub reason: String,
    /// Its digest.
    pub digest: [u8; 32],
    /// Its text.
    pub document: String,
}

/// A bearer credential without its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialView {
    /// Whose.
    pub provider: ProviderId,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub roles: Vec<String>,
    /// To which keys.
    pub key_pattern: Option<String>,
    /// Unix seconds.
    pub expires: Option<i64>,
    /// Unix seconds.
    pub created: i64,
    /// Unix seconds of its end.
    pub revoked_at: Option<i64>,
}

/// One entry of the deny list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DenyEntry {
    /// `platform`, `measurement` or `issuer-key`.
    pub kind: String,
    /// What is denied.
    pub value: String,
    /// Why.
    pub reason: String,
    /// Unix seconds.
    pub at: i64,
    /// Who.
    pub author: String,
}

/// One record of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryView {
    /// From 1, without gaps.
    pub seq: u64,
    /// Unix seconds.
    pub at: i64,
    /// Kind of event.
    pub kind: String,
    /// Whose record.
    pub provider: ProviderId,
    /// Canonical JSON.
    pub body: String,
    /// Hash over this entry and all before it.
    pub hash: [u8; 32],
}

/// End of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Number of the last entry; 0 if there is none.
    pub seq: u64,
    /// Its hash.
    pub hash: [u8; 32],
    /// Its time, unix seconds.
    pub at: i64,
    /// The store.
    pub store_id: [u8; 16],
    /// Grows with every restore.
    pub incarnation: u32,
}

/// What the verification of the journal found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalVerdict {
    /// Every entry is as it was written, and none is missing.
    Intact {
        /// How many.
        entries: u64,
        /// The end.
        head: Head,
    },
    /// The first entry that is not.
    Broken {
        /// Its number.
        seq: u64,
        /// What happened to it.
        what: Damage,
    },
}

/// What happened to an entry of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Its content is another one.
    Changed,
    /// It is gone, later ones are there.
    Removed,
    /// It stands elsewhere.
    Reordered,
    /// Something stands here that was never written.
    Inserted,
    /// It and all after it are gone.
    CutOff,
}

impl Damage {
    /// `changed`, `removed`, `reordered`, `inserted` or `cut-off`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Reordered => "reordered",
            Self::Inserted => "inserted",
            Self::CutOff => "cut-off",
        }
    }
}

/// What a full check found in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// Rows whose authentication holds.
    pub rows: u64,
    /// Sealed cells that open.
    pub sealed: u64,
    /// Entries of the journal.
    pub entries: u64,
    /// Over all objects of the store, without the places where they rest: equal before a backup
    /// and after its restore.
    pub digest: [u8; 32],
}

/// What went into a backup, or came out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupReport {
    /// Rows of all tables, the journal included.
    pub rows: u64,
    /// Length of the file.
    pub bytes: u64,
    /// The store's incarnation when it was backed up, or now that it is restored.
    pub incarnation: u32,
    /// As [`CheckReport::digest`].
    pub digest: [u8; 32],
}

/// State of the store for health pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreStatus {
    /// The store.
    pub store_id: [u8; 16],
    /// Grows with every restore.
    pub incarnation: u32,
    /// State of keys, rules, policies and trust.
    pub epoch: u64,
    /// Entries of the journal.
    pub entries: u64,
    /// Highest time ever seen in the store, unix seconds.
    pub newest_time: i64,
    /// The same as it was when the store was opened: no clock of this process has said it. Unix seconds.
    pub seen_before: i64,
    /// Whether a flush or commit failed: nothing is served any more.
    pub failed: bool,
    /// How a roll-back of the whole store would be noticed; `none` without an anchor.
    pub rollback: &'static str,
}

/// What a service key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServicePurpose {
    /// Signing certificates.
    Ca,
    /// Signing receipts.
    Receipt,
    /// Signing attestation tokens.
    AttestationToken,
    /// Signing tokens in Azure Attestation's form: RSA.
    AzureToken,
    /// Signing keys that are released in Key Vault's form: RSA.
    KeyVaultRelease,
}

impl ServicePurpose {
    /// `ca`, `receipt`, `attestation-token`, `azure-token` or `key-vault-release`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ca => "ca",
            Self::Receipt => "receipt",
            Self::AttestationToken => "attestation-token",
            Self::AzureToken => "azure-token",
            Self::KeyVaultRelease => "key-vault-release",
        }
    }
}

/// A service key without its material.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceKeyView {
    /// Its identifier.
    pub kid: String,
    /// Unix seconds.
    pub created: i64,
    /// DER, leaf first.
    pub certificates: Vec<Vec<u8>>,
    /// Public JWK members.
    pub public: Map<String, Value>,
}

/// What the writer did since the store was opened, and how often it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Commits, each one flush.
    pub flushes: u64,
    /// SQL statements of the writer, transaction control included.
    pub statements: u64,
    /// Requests that went through the writer.
    pub requests: u64,
    /// Moments of the store that were read, each for one or more statements.
    pub reads: u64,
}
