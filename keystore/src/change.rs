//! Changes to keys, rules, credentials and trust, as orders.
//!
//! `native-api.md` section 3 for the objects, `store-durability.md` sections 6.2 and 9 for their
//! life. Every change moves the epoch, so that no decision made before it can be used after it.

mod apply;
mod keys;
mod machines;
mod restore;
mod rotation;
mod trust;
mod update;

pub(crate) use keys::{MAX_VERSIONS, destroy};

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::authorized::{Entry, Record, RepeatKey};
use crate::key::{KeyType, Operation};
use crate::key_backup::{AfterPurge, KeyBackup};
use crate::machines::NewEnrolment;
use crate::material::KeyMaterial;
use crate::names::{KeyName, ProviderId, VersionId};
use crate::recovery::Recovery;
use crate::rotation::RotationPolicy;
use crate::transfer::Transferred;
use crate::views::KeyView;

/// A change, who wants it, and on which state it rests.
pub struct ChangeOrder {
    /// Whose objects.
    pub provider: ProviderId,
    /// What changes.
    pub change: Change,
    /// Who wants it.
    pub author: String,
    /// Why.
    pub reason: String,
    /// The state it rests on.
    pub if_match: IfMatch,
    /// The audit record.
    pub record: Record,
    /// The caller's name for the request.
    pub repeat: Option<RepeatKey>,
    /// Only try: nothing is written, not even the record.
    pub dry_run: bool,
    /// Unix seconds.
    pub now: i64,
}

/// The state a change rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfMatch {
    /// The object must not exist.
    Absent,
    /// The object must have this [`KeyView::etag`].
    Version(String),
    /// The caller does not care.
    Any,
}

/// One change.
pub enum Change {
    /// A new key with its first version. Never overwrites.
    CreateKey {
        /// Its name.
        name: KeyName,
        /// Its type.
        key_type: KeyType,
        /// Its attributes.
        attributes: Attributes,
        /// Its release rule.
        rules: Option<RuleDocument>,
        /// Whether the rule can never change.
        immutable: bool,
        /// Made here, or brought.
        material: NewMaterial,
    },
    /// A further version, newest from now on.
    NewVersion {
        /// The key.
        name: KeyName,
        /// Made here, or brought.
        material: NewMaterial,
        /// What else changes about the key; it names no other version (`malformed`).
        update: KeyUpdate,
        /// Whether the new version is on.
        enabled: bool,
    },
    /// Attributes, one version's switch and the rule, in one.
    UpdateKey {
        /// The key.
        name: KeyName,
        /// What changes about it.
        update: KeyUpdate,
    },
    /// Other attributes.
    SetAttributes {
        /// The key.
        name: KeyName,
        /// What changes about them.
        changes: AttributeChanges,
    },
    /// One version on or off.
    SetVersionEnabled {
        /// The key.
        name: KeyName,
        /// The version.
        version: VersionId,
        /// On.
        enabled: bool,
    },
    /// A new version of the release rule.
    SetRules {
        /// The key.
        name: KeyName,
        /// The rule.
        rules: RuleDocument,
        /// Whether it can never change again.
        immutable: bool,
    },
    /// Soft delete: recoverable for the days that [`Recovery`] says now.
    DeleteKey {
        /// The key.
        name: KeyName,
    },
    /// Undo of the soft delete.
    RecoverKey {
        /// The key.
        name: KeyName,
    },
    /// Destroys a soft-deleted key for ever; under purge protection not before its end (`forbidden`).
    PurgeKey {
        /// The key.
        name: KeyName,
    },
    /// Puts a key back from its sealed copy. Never overwrites.
    RestoreKey {
        /// The copy, as [`Keystore::open_key_backup`](crate::Keystore::open_key_backup) found it genuine.
        backup: Box<KeyBackup>,
        /// Whether it may undo a purge.
        after_purge: AfterPurge,
    },
    /// A new version of the rotation policy of a key. Its etag is its number.
    SetRotation {
        /// The key.
        name: KeyName,
        /// The policy.
        policy: RotationPolicy,
    },
    /// What happens to deleted keys of the provider. Protection is never taken back, and under it the days never become
    /// fewer: `forbidden`. Its etag is its number.
    SetRecovery {
        /// From now on.
        recovery: Recovery,
    },
    /// A bearer credential. Only a keyed digest of the token is kept.
    CreateCredential {
        /// Its name.
        name: String,
        /// What it may do.
        roles: Vec<String>,
        /// To which keys.
        key_pattern: Option<String>,
        /// Unix seconds.
        expires: Option<i64>,
        /// The token.
        token: Zeroizing<String>,
    },
    /// Ends a credential.
    RevokeCredential {
        /// Its name.
        name: String,
    },
    /// Adds to the deny list.
    AddDeny {
        /// `platform`, `measurement` or `issuer-key`.
        kind: String,
        /// What is denied.
        value: String,
    },
    /// Takes from the deny list.
    RemoveDeny {
        /// `platform`, `measurement` or `issuer-key`.
        kind: String,
        /// What is denied.
        value: String,
    },
    /// A new version of a policy of the provider. Kinds that have a change of their own are `malformed`.
    SetPolicy {
        /// Which policy.
        kind: String,
        /// Its text.
        document: String,
        /// Its digest.
        digest: [u8; 32],
    },
    /// Enrols the attestation key of a machine; the same machine with the same endorsement key gets it in place of the one
    /// before. A name or a key that is another machine's is a `conflict`, and what is there stays. The author is the owner.
    Enrol(Box<NewEnrolment>),
    /// Ends the record of a machine, and forgets the clock of its key.
    RemoveEnrolment {
        /// The machine.
        machine: String,
    },
    /// Vouches for an endorsement key.
    AllowEk {
        /// SHA-256 of its SubjectPublicKeyInfo.
        ek: [u8; 32],
    },
    /// Vouches for it no more, and ends the record that rests on it.
    DisallowEk {
        /// SHA-256 of its SubjectPublicKeyInfo.
        ek: [u8; 32],
    },
}

/// Where key material comes from.
pub enum NewMaterial {
    /// The store makes it.
    Generate,
    /// The caller brings it.
    Import(KeyMaterial),
    /// It came sealed to a key of ours. If that key has changed since, the change is refused as
    /// [`KeystoreError::EpochMoved`](crate::KeystoreError::EpochMoved): open it again.
    Transferred(Transferred),
}

/// Attributes of a new key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
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
}

/// Changes to attributes; `None` leaves one as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttributeChanges {
    /// Whether it may be used at all.
    pub enabled: Option<bool>,
    /// Unix seconds, or none at all.
    pub not_before: Option<Option<i64>>,
    /// Unix seconds, or none at all.
    pub expires: Option<Option<i64>>,
    /// What may be done with it.
    pub operations: Option<Vec<Operation>>,
    /// Free text of the owner.
    pub tags: Option<BTreeMap<String, String>>,
}

/// What changes about a key beside its material, all of it in one commit; what is not said stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyUpdate {
    /// Attributes.
    pub attributes: AttributeChanges,
    /// One version on or off; of a key that gets a new version see [`Change::NewVersion`].
    pub version: Option<(VersionId, bool)>,
    /// A rule, and whether it can never change again. The digest and flag in force are no change, and no
    /// new version of the rule: only another one is `forbidden` where the stored one is immutable.
    pub rules: Option<(RuleDocument, bool)>,
}

/// A release rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleDocument {
    /// Its text, at most 256 KiB.
    pub document: String,
    /// Its digest, as the rule's language defines it.
    pub digest: [u8; 32],
}

/// What a change left.
#[derive(Clone, Debug)]
pub struct Changed {
    /// Of the object now; empty for objects without one.
    pub etag: String,
    /// Place of the record; none after a dry run.
    pub entry: Option<Entry>,
    /// The key, where a key changed and still exists.
    pub key: Option<KeyView>,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// Whether this is the answer to an earlier request.
    pub repeat: bool,
}
