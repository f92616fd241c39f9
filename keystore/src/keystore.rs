//! The store as its user sees it.
//!
//! `architecture.md` section 6; `store-durability.md` for what it promises.

use std::path::Path;
use std::sync::Arc;

use crate::authorized::{AttestOrder, Authorized, Entry, Performed, Record, Repeated};
use crate::change::{ChangeOrder, Changed};
use crate::error::KeystoreError;
use crate::material::KeyMaterial;
use crate::names::{KeyName, ProviderId};
use crate::root::RootKey;
use crate::views::*;

/// What keyed digests are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacPurpose {
    /// Challenges; the key changes with every restore.
    Challenge,
    /// Blind indexes.
    Index,
    /// Plausible answers about things that do not exist.
    Decoy,
}

/// An open store. Clones are cheap and share it.
#[derive(Clone)]
pub struct Keystore {
    _inner: Arc<()>,
}

#[allow(unused_variables)]
impl Keystore {
    /// Makes a store; an existing file is a `conflict`. `retention_days` 7 to 90.
    pub fn create(
        file: &Path,
        root: &dyn RootKey,
        retention_days: u32,
        now: i64,
    ) -> Result<Self, KeystoreError> {
        todo!()
    }
    /// Opens a store.
    pub fn open(file: &Path, root: &dyn RootKey, now: i64) -> Result<Self, KeystoreError> {
        todo!()
    }
    /// State for health pages.
    pub fn status(&self) -> StoreStatus {
        todo!()
    }
    /// What the writer did.
    pub fn counters(&self) -> Counters {
        todo!()
    }
    /// Called once when a flush or commit failed.
    pub fn on_failure(&self, f: Box<dyn Fn() + Send + Sync>) {
        todo!()
    }
    /// Drains the writer and stops it.
    pub fn shutdown(&self) {
        todo!()
    }
    /// HMAC-SHA-256 over length-prefixed parts.
    pub fn mac(&self, purpose: MacPurpose, parts: &[&[u8]]) -> [u8; 32] {
        todo!()
    }
    /// A key and the epoch, in one moment.
    pub fn look(&self, provider: &ProviderId, name: &KeyName) -> Result<Look, KeystoreError> {
        todo!()
    }
    /// The epoch.
    pub fn epoch(&self) -> Result<Epoch, KeystoreError> {
        todo!()
    }
    /// Keys in the order of their folded names.
    pub fn list(
        &self,
        provider: &ProviderId,
        after: Option<&KeyName>,
        limit: usize,
    ) -> Result<Vec<KeyView>, KeystoreError> {
        todo!()
    }
    /// All versions of the rule of a key, oldest first.
    pub fn rule_history(
        &self,
        provider: &ProviderId,
        name: &KeyName,
    ) -> Result<Vec<RuleVersion>, KeystoreError> {
        todo!()
    }
    /// The policy in force.
    pub fn policy(
        &self,
        provider: &ProviderId,
        kind: &str,
    ) -> Result<Option<PolicyVersion>, KeystoreError> {
        todo!()
    }
    /// All versions of a policy, oldest first.
    pub fn policy_history(
        &self,
        provider: &ProviderId,
        kind: &str,
    ) -> Result<Vec<PolicyVersion>, KeystoreError> {
        todo!()
    }
    /// Uses a key.
    pub fn perform(&self, order: Authorized) -> Result<Performed, KeystoreError> {
        todo!()
    }
    /// Records an attestation.
    pub fn attested(&self, order: AttestOrder) -> Result<Entry, KeystoreError> {
        todo!()
    }
    /// When the attestation with this token identifier was recorded, unix seconds.
    pub fn session(&self, jti: &str) -> Result<Option<i64>, KeystoreError> {
        todo!()
    }
    /// Whether a request was seen before.
    pub fn repeat(
        &self,
        provider: &ProviderId,
        key: &str,
        body_digest: &[u8; 32],
        now: i64,
    ) -> Result<Repeated, KeystoreError> {
        todo!()
    }
    /// Whether a challenge is spent.
    pub fn challenge_spent(&self, digest: &[u8; 32]) -> Result<bool, KeystoreError> {
        todo!()
    }
    /// Appends to the journal.
    pub fn record(&self, record: Record) -> Result<Entry, KeystoreError> {
        todo!()
    }
    /// Changes keys, rules, credentials or trust.
    pub fn change(&self, order: ChangeOrder) -> Result<Changed, KeystoreError> {
        todo!()
    }
    /// Credentials by name.
    pub fn credentials(&self, provider: &ProviderId) -> Result<Vec<CredentialView>, KeystoreError> {
        todo!()
    }
    /// The live credential with this token.
    pub fn credential_by_token(
        &self,
        token: &str,
        now: i64,
    ) -> Result<Option<CredentialView>, KeystoreError> {
        todo!()
    }
    /// The deny list.
    pub fn denied(&self, provider: &ProviderId) -> Result<Vec<DenyEntry>, KeystoreError> {
        todo!()
    }
    /// A high-water mark.
    pub fn mark(&self, id: &str) -> Result<Option<u64>, KeystoreError> {
        todo!()
    }
    /// Raises high-water marks; lower values change nothing.
    pub fn raise_marks(&self, marks: &[(String, u64)]) -> Result<(), KeystoreError> {
        todo!()
    }
    /// Records from `from_seq` on.
    pub fn entries(
        &self,
        provider: Option<&ProviderId>,
        from_seq: u64,
        limit: usize,
    ) -> Result<Vec<EntryView>, KeystoreError> {
        todo!()
    }
    /// End of the journal.
    pub fn head(&self) -> Result<Head, KeystoreError> {
        todo!()
    }
    /// Verifies the whole journal; `progress(done, all)`.
    pub fn verify_journal(
        &self,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<JournalVerdict, KeystoreError> {
        todo!()
    }
    /// Verifies every row; `progress(done, all)`.
    pub fn check(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<CheckReport, KeystoreError> {
        todo!()
    }
    /// Writes a sealed copy of the whole store.
    pub fn backup(&self, to: &Path, now: i64) -> Result<BackupReport, KeystoreError> {
        todo!()
    }
    /// Makes a store of a backup.
    pub fn restore(
        from: &Path,
        to: &Path,
        root: &dyn RootKey,
        now: i64,
    ) -> Result<BackupReport, KeystoreError> {
        todo!()
    }
    /// Service keys, newest last.
    pub fn service_keys(
        &self,
        provider: &ProviderId,
        purpose: ServicePurpose,
    ) -> Result<Vec<ServiceKeyView>, KeystoreError> {
        todo!()
    }
    /// Opens a service key.
    pub fn open_service_key(
        &self,
        provider: &ProviderId,
        purpose: ServicePurpose,
        kid: &str,
    ) -> Result<KeyMaterial, KeystoreError> {
        todo!()
    }
    /// Stores a service key; an existing `kid` is a `conflict`.
    #[allow(clippy::too_many_arguments)]
    pub fn put_service_key(
        &self,
        provider: &ProviderId,
        purpose: ServicePurpose,
        kid: &str,
        certificates: &[Vec<u8>],
        material: &KeyMaterial,
        record: Record,
        now: i64,
    ) -> Result<(), KeystoreError> {
        todo!()
    }
}
