//! Carrying out a change: material is made before, everything else happens in the commit.
//!
//! `store-durability.md` section 6.2 (R18, R19, R22).

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::{
    Change, ChangeOrder, Changed, IfMatch, KeyUpdate, NewMaterial, RuleDocument, keys, machines, restore, rotation,
    trust, update,
};
use crate::authorized::{Entry, Repeated, StoredAnswer};
use crate::error::KeystoreError;
use crate::key::KeyType;
use crate::keystore::Keystore;
use crate::material::KeyMaterial;
use crate::names::{KeyName, ProviderId};
use crate::perform::{self, Kept};
use crate::recovery::{self, Recovery, stored_recovery};
use crate::rotation::KIND as ROTATION_KIND;
use crate::storage::purged;
use crate::storage::sqlite::journal::acceptable;
use crate::storage::sqlite::keys::KeyRow;
use crate::storage::sqlite::row::select_one;
use crate::storage::sqlite::spent::AnswerRow;
use crate::storage::sqlite::transaction::Transaction;

/// Longest text of a rule or policy, in bytes.
const MAX_DOCUMENT: usize = 256 * 1024;
/// Longest author or reason, in bytes.
const MAX_REMARK: usize = 4096;

/// Who changes what on which state, and when.
pub(super) struct Context {
    pub(super) provider: ProviderId,
    pub(super) author: String,
    pub(super) reason: String,
    pub(super) if_match: IfMatch,
    /// Where nothing is set for the provider.
    pub(super) default_recovery: Recovery,
    pub(super) now: i64,
}

impl Context {
    /// What happens to deleted keys of the provider.
    pub(super) fn recovery(&self, tx: &Transaction<'_>) -> Result<Recovery, KeystoreError> {
        Ok(stored_recovery(tx.counted(), tx.ring, &self.provider)?.unwrap_or(self.default_recovery))
    }

    /// Refuses the change unless the object, with this etag or absent, is the one it rests on.
    pub(super) fn matches(&self, etag: Option<&str>) -> Result<(), KeystoreError> {
        let holds = match (&self.if_match, etag) {
            (IfMatch::Any, _) | (IfMatch::Absent, None) => true,
            (IfMatch::Version(wanted), Some(etag)) => wanted == etag,
            (IfMatch::Absent, Some(_)) | (IfMatch::Version(_), None) => false,
        };
        if holds { Ok(()) } else { Err(KeystoreError::PreconditionFailed) }
    }
}

/// What is kept of a change for repeats.
#[derive(Serialize, Deserialize)]
struct KeptChange {
    etag: String,
}

enum Done {
    Changed(Box<Changed>),
    Before(StoredAnswer),
}

impl Keystore {
    /// Changes keys, rules, credentials or trust, and moves the epoch.
    ///
    /// Errors: [`KeystoreError::PreconditionFailed`] if the object is not in the state named;
    /// `conflict` if it exists already, or for a request key with another body; `key-not-found`,
    /// `not-found`; `key-state` for deleted keys; `forbidden` for an immutable rule;
    /// [`KeystoreError::StoreFailed`], after which the node must stop.
    pub fn change(&self, order: ChangeOrder) -> Result<Changed, KeystoreError> {
        acceptable(&order.record)?;
        acceptable_texts(&order)?;
        let name = key_name(&order.change).cloned();
        let provider = order.provider.clone();
        if let Some(repeat) = &order.repeat {
            match self.repeat(&provider, &repeat.key, &repeat.body_digest, order.now)? {
                Repeated::New => {}
                Repeated::Answer(answer) => return self.changed_before(&provider, name, &answer),
                Repeated::OtherBody => return Err(other_body()),
            }
        }
        let change = self.with_material(&provider, order.change)?;
        let context = Context {
            provider: order.provider,
            author: order.author,
            reason: order.reason,
            if_match: order.if_match,
            default_recovery: Recovery::unprotected(self.identity().retention_days),
            now: order.now,
        };
        let (record, repeat, dry_run) = (order.record, order.repeat, order.dry_run);
        let tried: Arc<Mutex<Option<Changed>>> = Arc::default();
        let trying = Arc::clone(&tried);
        let wanted = name.clone();
        let ledger = purged::ledger_of(self.path());
        let done = self.writer().submit(move |tx| {
            tx.see_time(context.now);
            if let Some(repeat) = &repeat {
                let ring = tx.ring;
                let request = perform::request_digest(ring, &context.provider, &repeat.key)?;
                let kept: Option<AnswerRow> = select_one(tx.counted(), ring, "WHERE request = ?1", &[&request])?;
                match perform::repeated(ring, kept, &repeat.body_digest, context.now)? {
                    Repeated::New => {}
                    Repeated::Answer(answer) => return Ok(Done::Before(answer)),
                    Repeated::OtherBody => return Err(other_body()),
                }
            }
            let gone = purged_by(tx, &context, &change)?;
            let etag = apply(tx, &context, change)?;
            let key = match &wanted {
                Some(name) => KeyRow::find(tx.counted(), tx.ring, &context.provider, name)?
                    .map(|row| row.view(tx.conn, tx.ring))
                    .transpose()?,
                None => None,
            };
            let mut changed = Changed { etag, entry: None, key, dry_run, repeat: false };
            if dry_run {
                *trying.lock().unwrap_or_else(PoisonError::into_inner) = Some(changed);
                return Err(KeystoreError::Conflict("only tried"));
            }
            tx.move_epoch();
            let entry: Entry = tx.append(&record)?;
            if let Some(repeat) = &repeat {
                let kept = KeptChange { etag: changed.etag.clone() };
                let json =
                    serde_json::to_vec(&kept).map_err(|_| KeystoreError::Malformed("the answer has no JSON form"))?;
                Kept::seal(tx.ring, &context.provider, repeat, &json)?.keep(tx, entry, context.now)?;
            }
            // Before the commit: a backup made earlier must never bring the key back.
            if !gone.is_empty() {
                purged::add(&ledger, tx.ring, &gone)?;
            }
            changed.entry = Some(entry);
            Ok(Done::Changed(Box::new(changed)))
        });
        let tried = tried.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (done, tried) {
            (Err(KeystoreError::Conflict(_)), Some(tried)) => Ok(tried),
            (Ok(Done::Changed(changed)), _) => Ok(*changed),
            (Ok(Done::Before(answer)), _) => self.changed_before(&provider, name, &answer),
            (Err(e), _) => Err(e),
        }
    }

    fn changed_before(
        &self,
        provider: &ProviderId,
        name: Option<KeyName>,
        answer: &StoredAnswer,
    ) -> Result<Changed, KeystoreError> {
        let kept: KeptChange = serde_json::from_slice(&answer.body)
            .map_err(|_| KeystoreError::StoreCorrupt { object: "answers".to_owned() })?;
        let key = match name {
            Some(name) => self.look(provider, &name)?.key,
            None => None,
        };
        Ok(Changed { etag: kept.etag, entry: Some(answer.entry), key, dry_run: false, repeat: true })
    }

    /// Makes the material that the change asks for, on the caller's thread.
    fn with_material(&self, provider: &ProviderId, change: Change) -> Result<Change, KeystoreError> {
        let made = |material: NewMaterial, key_type: KeyType| match material {
            NewMaterial::Generate => KeyMaterial::generate(key_type).map(NewMaterial::Import),
            NewMaterial::Import(material) if material.key_type() == key_type => Ok(NewMaterial::Import(material)),
            NewMaterial::Transferred(key) if key.key_type() == key_type => Ok(NewMaterial::Transferred(key)),
            _ => Err(KeystoreError::Malformed("the material is not of the key's type")),
        };
        Ok(match change {
            Change::CreateKey { name, key_type, attributes, rules, immutable, material } => {
                let material = made(material, key_type)?;
                Change::CreateKey { name, key_type, attributes, rules, immutable, material }
            }
            Change::NewVersion { name, material, update, enabled } => {
                let key = self.look(provider, &name)?.key;
                let key_type = key.ok_or(KeystoreError::KeyNotFound)?.key_type;
                let material = made(material, key_type)?;
                Change::NewVersion { name, material, update, enabled }
            }
            other => other,
        })
    }
}

fn other_body() -> KeystoreError {
    KeystoreError::Conflict("the request key was used with another body")
}

/// The key that the change destroys.
fn purged_by(tx: &Transaction<'_>, context: &Context, change: &Change) -> Result<purged::Gone, KeystoreError> {
    let key = match change {
        Change::PurgeKey { name } => KeyRow::find(tx.counted(), tx.ring, &context.provider, name)?,
        _ => None,
    };
    Ok(key.map(|key| key.row_id).into_iter().collect())
}

fn key_name(change: &Change) -> Option<&KeyName> {
    match change {
        Change::CreateKey { name, .. }
        | Change::NewVersion { name, .. }
        | Change::UpdateKey { name, .. }
        | Change::SetAttributes { name, .. }
        | Change::SetVersionEnabled { name, .. }
        | Change::SetRules { name, .. }
        | Change::DeleteKey { name }
        | Change::RecoverKey { name }
        | Change::PurgeKey { name }
        | Change::SetRotation { name, .. } => Some(name),
        Change::RestoreKey { backup, .. } => Some(backup.name()),
        _ => None,
    }
}

fn acceptable_texts(order: &ChangeOrder) -> Result<(), KeystoreError> {
    let document = match &order.change {
        Change::CreateKey { rules: Some(RuleDocument { document, .. }), .. }
        | Change::UpdateKey { update: KeyUpdate { rules: Some((RuleDocument { document, .. }, _)), .. }, .. }
        | Change::NewVersion { update: KeyUpdate { rules: Some((RuleDocument { document, .. }, _)), .. }, .. }
        | Change::SetRules { rules: RuleDocument { document, .. }, .. }
        | Change::SetPolicy { document, .. } => document.len(),
        _ => 0,
    };
    if document > MAX_DOCUMENT {
        return Err(KeystoreError::TooLarge("the document is too long"));
    }
    if order.author.len() > MAX_REMARK || order.reason.len() > MAX_REMARK {
        return Err(KeystoreError::TooLarge("author or reason is too long"));
    }
    Ok(())
}

/// Writes the change and gives the new etag of the object.
fn apply(tx: &mut Transaction<'_>, context: &Context, change: Change) -> Result<String, KeystoreError> {
    match change {
        Change::CreateKey { name, key_type, attributes, rules, immutable, material } => {
            keys::create(tx, context, keys::NewKey { name, key_type, attributes, rules, immutable }, material)
        }
        Change::NewVersion { name, material, update, enabled } => {
            update::new_version(tx, context, &name, material, update, enabled)
        }
        Change::UpdateKey { name, update } => update::update(tx, context, &name, update),
        Change::SetAttributes { name, changes } => {
            update::update(tx, context, &name, KeyUpdate { attributes: changes, ..KeyUpdate::default() })
        }
        Change::SetVersionEnabled { name, version, enabled } => {
            update::update(tx, context, &name, KeyUpdate { version: Some((version, enabled)), ..KeyUpdate::default() })
        }
        Change::SetRules { name, rules, immutable } => update::set_rules(tx, context, &name, rules, immutable),
        Change::DeleteKey { name } => keys::delete(tx, context, &name),
        Change::RecoverKey { name } => keys::recover(tx, context, &name),
        Change::PurgeKey { name } => keys::purge(tx, context, &name),
        Change::RestoreKey { backup, after_purge } => restore::restore(tx, context, *backup, after_purge),
        Change::SetRotation { name, policy } => rotation::set(tx, context, &name, &policy),
        Change::SetRecovery { recovery } => trust::set_recovery(tx, context, recovery),
        Change::CreateCredential { name, roles, key_pattern, expires, token } => {
            trust::create_credential(tx, context, name, roles, key_pattern, expires, &token)
        }
        Change::RevokeCredential { name } => trust::revoke_credential(tx, context, &name),
        Change::AddDeny { kind, value } => trust::add_deny(tx, context, kind, value),
        Change::RemoveDeny { kind, value } => trust::remove_deny(tx, context, &kind, &value),
        Change::SetPolicy { kind, .. } if kind == recovery::KIND || kind.starts_with(ROTATION_KIND) => {
            Err(KeystoreError::Malformed("a policy of this kind has a change of its own"))
        }
        Change::SetPolicy { kind, document, digest } => trust::set_policy(tx, context, kind, document, digest),
        Change::Enrol(new) => machines::enrol(tx, context, *new),
        Change::RemoveEnrolment { machine } => machines::remove(tx, context, &machine),
        Change::AllowEk { ek } => machines::allow_ek(tx, context, ek),
        Change::DisallowEk { ek } => machines::disallow_ek(tx, context, &ek),
    }
}
