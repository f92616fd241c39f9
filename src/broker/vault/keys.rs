//! Keys made, brought, changed, deleted, copied and put back, at an operator's desk and in Key Vault's manner.
//!
//! `keyvault-api.md` sections 2, 3 (*Exportable-key rules*) and 5 (*Key options*); `bad-inputs.md` KEY-02, KEY-05, KEY-14, KEY-19. The
//! door's clients name no state and no reason: a change rests on whatever is there, and the reason in the record is the request.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::{
    AfterPurge, AttributeChanges, Attributes, Change, Changed, IfMatch, KeyBackupOrder, KeyName, KeyType, KeyUpdate,
    KeyView, KeystoreError, NewMaterial, Operation, RuleDocument, Target, TransferOrder, TransferredKind, VersionId,
    Wrapping,
};
use keygate_policies::{KeyRules, Limits, json as strict};
use serde_json::{Value, json};

use super::bundle::HSM_TAG;
use super::fit::{
    SKR_1003, SKR_1004, SKR_1005, SKR_1006, SKR_1016, SKR_1020, document_of, fit_operations, fit_tags, fit_times,
    options_alone, skr, with_policy,
};
use crate::broker::admin::keys::{Brought, changed as with_members, names, state};
use crate::broker::admin::{Action, Desk, Plan, Reason, Refusal, rules};
use crate::broker::error::{Code, Fault};
use crate::broker::tend::{renewed, with_new_version};

/// Options of a key without one: roles alone govern it.
const UNRULED: &str = r#"{"clear":"credential","freshness":"issuer"}"#;
/// Longest copy of a key in bytes, so that as base64 it fits into a request.
const LONGEST_COPY: usize = 720 * 1_024;
/// Why a rule is set that the linter refuses: clients of this door cannot say it.
const FORCED: &str = "admitted at the Key Vault door, whose clients cannot give a reason";

/// Rules, and whether they can never change again.
type NewRules = (RuleDocument, bool);

/// A release policy as it was sent.
pub struct VaultPolicy {
    /// The document.
    pub document: Vec<u8>,
    /// Whether it can never change again.
    pub immutable: bool,
}

/// Switch and times.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lifetime {
    /// Whether it may be used.
    pub enabled: Option<bool>,
    /// Unix seconds.
    pub not_before: Option<i64>,
    /// Unix seconds.
    pub expires: Option<i64>,
}

/// Where the material comes from.
pub enum VaultMaterial {
    /// Made here, of this type.
    Made(KeyType),
    /// Brought in the clear.
    Brought(Brought, Option<KeyType>),
    /// Brought sealed to an exchange key of this vault.
    Sealed {
        /// The exchange key.
        exchange: KeyName,
        /// Which version of it.
        version: VersionId,
        /// How it is sealed.
        wrapping: Wrapping,
        /// What is sealed.
        ciphertext: Vec<u8>,
        /// What it is said to be.
        kind: TransferredKind,
    },
}

/// A key, or a further version of it.
pub struct NewVaultKey {
    /// Its material.
    pub material: VaultMaterial,
    /// Whether it was asked for as one of an HSM.
    pub hsm: bool,
    /// Switch and times.
    pub lifetime: Lifetime,
    /// Whether it may be released; none: as it was.
    pub exportable: Option<bool>,
    /// What may be done with it; none: everything that its type can.
    pub operations: Option<Vec<Operation>>,
    /// Free text of the owner.
    pub tags: Option<BTreeMap<String, String>>,
    /// The release policy.
    pub policy: Option<VaultPolicy>,
}

/// What changes about a key; what is not said stays.
#[derive(Default)]
pub struct VaultUpdate {
    /// Switch and times.
    pub lifetime: Lifetime,
    /// What may be done with it.
    pub operations: Option<Vec<Operation>>,
    /// Free text of the owner.
    pub tags: Option<BTreeMap<String, String>>,
    /// The release policy.
    pub policy: Option<VaultPolicy>,
    /// Said again; it cannot change.
    pub exportable: Option<bool>,
}

impl Desk<'_> {
    /// The reason in the record: clients of this door give none.
    fn vault_reason(&self) -> Reason {
        Reason::of_door("a request at the Key Vault door")
    }

    /// A rule that the linter refuses is admitted, and the record says so.
    fn forced(&self, rules: &KeyRules) -> Result<Option<String>, Refusal> {
        let text = rules.canonical_text();
        let node = strict::parse(text.as_bytes(), &Limits::RULES).map_err(|diagnostic| {
            Refusal::diagnosed(Code::Malformed, "the release policy is not valid", &[diagnostic])
        })?;
        let accepted = rules::accept(&node, Some(&Reason::of_door(FORCED)))?;
        Ok(rules::Accepted::parts(Some(accepted)).2)
    }

    /// Makes a key, or a further version of one that is there.
    ///
    /// # Errors
    /// `malformed` with the text of an exportable key's rule, `forbidden` for a policy without the role, `conflict` for a name whose key is
    /// deleted, what the import refuses.
    pub fn create_vault_key(&self, name: KeyName, new: NewVaultKey) -> Result<(KeyView, VersionId), Refusal> {
        let present = self.find(&name)?;
        match present {
            Some(view) if view.deleted_at.is_some() => {
                Err(Fault::new(Code::Conflict, "a deleted key has this name: recover or purge it").into())
            }
            Some(view) => self.add_vault_version(&view, new),
            None => self.make_vault_key(name, new),
        }
    }

    fn make_vault_key(&self, name: KeyName, new: NewVaultKey) -> Result<(KeyView, VersionId), Refusal> {
        let exportable = new.exportable.unwrap_or(false);
        match (exportable, &new.policy) {
            (true, _) if !new.hsm => return Err(skr(SKR_1006)),
            (true, None) => return Err(skr(SKR_1004)),
            (false, Some(_)) => return Err(skr(SKR_1005)),
            _ => {}
        }
        let (key_type, material) = new.material.material(self)?;
        let (rules, immutable) = match &new.policy {
            Some(policy) => {
                self.may(Action::RuleSet)?;
                (with_policy(policy, None)?, policy.immutable)
            }
            None => (options_alone(UNRULED)?, false),
        };
        let forced = if new.policy.is_some() { self.forced(&rules)? } else { None };
        let attributes = Attributes {
            enabled: true,
            not_before: new.lifetime.not_before,
            expires: new.lifetime.expires,
            exportable,
            operations: fit_operations(new.operations, key_type, exportable)?,
            tags: fit_tags(new.tags, new.hsm)?.unwrap_or_default(),
        };
        fit_times(attributes.not_before, attributes.expires)?;
        self.slowly()?;
        let enabled = new.lifetime.enabled.unwrap_or(true);
        let after = json!({
            "name": name.as_str(), "type": key_type.as_str(), "enabled": enabled, "not_before": attributes.not_before,
            "expires": attributes.expires, "exportable": exportable, "operations": names(&attributes.operations),
            "tags": attributes.tags, "immutable": immutable, "rule_digest": URL_SAFE_NO_PAD.encode(rules.digest()),
            "deleted": false,
        });
        let change = Change::CreateKey {
            name,
            key_type,
            attributes: Attributes { enabled, ..attributes },
            rules: Some(document_of(&rules)),
            immutable,
            material,
        };
        let (if_match, reason) = (IfMatch::Absent, self.vault_reason());
        self.newest(self.change(Plan { change, if_match, reason, before: Value::Null, after, forced })?)
    }

    fn add_vault_version(&self, view: &KeyView, new: NewVaultKey) -> Result<(KeyView, VersionId), Refusal> {
        let name = view.name.clone();
        if new.exportable.is_some_and(|exportable| exportable != view.exportable) {
            return Err(skr(SKR_1003));
        }
        let (key_type, material) = new.material.material(self)?;
        if key_type != view.key_type {
            let part = "a further version has the type and size of the key: take another name for another type";
            return Err(Fault::new(Code::Malformed, part).into());
        }
        let (rules, forced) = self.policy_update(view, new.policy.as_ref())?;
        let hsm = new.hsm || view.tags.contains_key(HSM_TAG);
        let tags = if new.tags.is_some() { fit_tags(new.tags, hsm)? } else { None };
        let operations = match new.operations {
            Some(wanted) => Some(fit_operations(Some(wanted), key_type, view.exportable)?),
            None => None,
        };
        let Lifetime { enabled, not_before, expires } = new.lifetime;
        let attributes = AttributeChanges {
            enabled: None,
            not_before: not_before.map(Some),
            expires: expires.map(Some),
            operations,
            tags,
        };
        fit_times(not_before.or(view.not_before), expires.or(view.expires))?;
        self.slowly()?;
        let update = KeyUpdate { attributes, version: None, rules };
        let after = with_members(&updated(view, &update), &[("versions", json!(view.versions.len() + 1))]);
        let change = Change::NewVersion { name, material, update, enabled: enabled.unwrap_or(true) };
        self.newest(self.change_vault(view, change, after, forced)?)
    }

    /// Makes a further version by itself; a rotation policy that gives versions a life gives the key its new end.
    ///
    /// # Errors
    /// `key-not-found`, `key-state`.
    pub fn rotate_vault_key(&self, name: &KeyName) -> Result<(KeyView, VersionId), Refusal> {
        let view = self.found(name)?;
        self.slowly()?;
        let policy = self.broker.keystore.rotation(&self.provider, name)?;
        let expires = policy.and_then(|policy| policy.ends(self.now));
        let after = with_new_version(&view, expires);
        let (material, update) = (NewMaterial::Generate, renewed(expires));
        let change = Change::NewVersion { name: name.clone(), material, update, enabled: true };
        self.newest(self.change_vault(&view, change, after, None)?)
    }

    /// Changes attributes and policy in one commit; the switch is that of the version.
    ///
    /// # Errors
    /// `key-not-found`, `key-state`, `malformed`, `forbidden` for a policy without the role.
    pub fn update_vault_key(
        &self,
        name: &KeyName,
        version: Option<VersionId>,
        changes: VaultUpdate,
    ) -> Result<(KeyView, VersionId), Refusal> {
        let view = self.found(name)?;
        let meant = match version {
            Some(id) => view.version(Some(&id)),
            None => view.versions.last(),
        };
        let meant = meant.ok_or(KeystoreError::KeyNotFound)?.id;
        if changes.exportable.is_some_and(|exportable| exportable != view.exportable) {
            return Err(skr(SKR_1003));
        }
        if version.is_some() && changes.policy.is_some() {
            return Err(skr(SKR_1016));
        }
        let (rules, forced) = self.policy_update(&view, changes.policy.as_ref())?;
        let Lifetime { enabled, not_before, expires } = changes.lifetime;
        fit_times(not_before.or(view.not_before), expires.or(view.expires))?;
        let operations = match changes.operations {
            Some(wanted) => Some(fit_operations(Some(wanted), view.key_type, view.exportable)?),
            None => None,
        };
        let hsm = view.tags.contains_key(HSM_TAG);
        let attributes = AttributeChanges {
            // A key that was switched off as a whole is on again with its version.
            enabled: (enabled == Some(true) && !view.enabled).then_some(true),
            not_before: not_before.map(Some),
            expires: expires.map(Some),
            operations,
            tags: if changes.tags.is_some() { fit_tags(changes.tags, hsm)? } else { None },
        };
        let switched = enabled.unwrap_or_else(|| view.version(Some(&meant)).is_some_and(|version| version.enabled));
        let versions =
            view.versions.iter().map(|v| json!([v.id.to_string(), if v.id == meant { switched } else { v.enabled }]));
        let versions = json!(versions.collect::<Vec<_>>());
        let update = KeyUpdate { attributes, version: enabled.map(|enabled| (meant, enabled)), rules };
        let after = with_members(&updated(&view, &update), &[("versions", versions)]);
        let changed = self.change_vault(&view, Change::UpdateKey { name: name.clone(), update }, after, forced)?;
        Ok((changed.key.ok_or(KeystoreError::KeyNotFound)?, meant))
    }

    /// What a policy in a request changes about the rules of a key that is there.
    fn policy_update(
        &self,
        view: &KeyView,
        policy: Option<&VaultPolicy>,
    ) -> Result<(Option<NewRules>, Option<String>), Refusal> {
        let Some(policy) = policy else { return Ok((None, None)) };
        if !view.exportable {
            return Err(skr(SKR_1005));
        }
        let present =
            view.rule.as_ref().map(|rule| RuleDocument { document: rule.document.clone(), digest: rule.digest });
        let rules = with_policy(policy, present.as_ref())?;
        let same = present.as_ref().is_some_and(|present| present.digest == rules.digest());
        if same && (view.immutable || !policy.immutable) {
            return Ok((None, None));
        }
        if view.immutable {
            return Err(skr(SKR_1020));
        }
        self.may(Action::RuleSet)?;
        Ok((Some((document_of(&rules), policy.immutable)), self.forced(&rules)?))
    }

    /// Deletes a key, so that it can be recovered.
    ///
    /// # Errors
    /// `key-not-found`, `conflict`, `rate-limited`.
    pub fn delete_vault_key(&self, name: &KeyName) -> Result<KeyView, Refusal> {
        let view = self.found(name)?;
        if view.deleted_at.is_some() {
            return Err(KeystoreError::KeyNotFound.into());
        }
        self.warily()?;
        let after = with_members(&state(&view), &[("deleted", json!(true))]);
        let changed = self.change_vault(&view, Change::DeleteKey { name: name.clone() }, after, None)?;
        Ok(changed.key.ok_or(KeystoreError::KeyNotFound)?)
    }

    /// Takes a deletion back.
    ///
    /// # Errors
    /// `key-not-found`.
    pub fn recover_vault_key(&self, name: &KeyName) -> Result<(KeyView, VersionId), Refusal> {
        let view = self.deleted_vault_key(name)?;
        let after = with_members(&state(&view), &[("deleted", json!(false))]);
        self.newest(self.change_vault(&view, Change::RecoverKey { name: name.clone() }, after, None)?)
    }

    /// Destroys a deleted key for ever.
    ///
    /// # Errors
    /// `key-not-found`, `forbidden` before the retention of a protected vault is over, `rate-limited`.
    pub fn purge_vault_key(&self, name: &KeyName) -> Result<(), Refusal> {
        self.deleted_vault_key(name)?;
        self.purge_key(name.clone(), self.vault_reason())?;
        Ok(())
    }

    /// A deleted key.
    ///
    /// # Errors
    /// `key-not-found`, also for a key that is not deleted.
    pub fn deleted_vault_key(&self, name: &KeyName) -> Result<KeyView, Refusal> {
        let view = self.found(name)?;
        match view.deleted_at {
            Some(_) => Ok(view),
            None => Err(Fault::new(Code::KeyNotFound, "").because("the key is not deleted").into()),
        }
    }

    /// A sealed copy of a key.
    ///
    /// # Errors
    /// `key-not-found`, `key-state`, `operation-not-allowed`.
    pub fn backup_vault_key(&self, name: &KeyName) -> Result<Vec<u8>, Refusal> {
        let view = self.found(name)?;
        if view.deleted_at.is_some() {
            return Err(KeystoreError::KeyNotFound.into());
        }
        let record = self.recorded_here(&self.vault_reason());
        let (provider, name) = (self.provider.clone(), view.name);
        let order = KeyBackupOrder { provider, name, record, now: self.now };
        let (copy, _) = self.broker.keystore.backup_key(order)?;
        self.is_recorded();
        if copy.len() > LONGEST_COPY {
            let part = "the copy of this key is too long to be put back through this door: use `keygate store backup`";
            return Err(Fault::new(Code::TooLarge, part).into());
        }
        Ok(copy)
    }

    /// Puts a key back from its sealed copy.
    ///
    /// # Errors
    /// `malformed` for what is no copy of this installation and vault, `forbidden` without the role that sets rules, `conflict` for a
    /// name that is taken.
    pub fn restore_vault_key(&self, copy: &[u8]) -> Result<(KeyView, VersionId), Refusal> {
        let opened = self.broker.keystore.open_key_backup(&self.provider, copy);
        let unfit = "this is no copy of a key of this vault";
        let backup = opened.map_err(|error| match error {
            KeystoreError::CryptoFailed => Fault::new(Code::Malformed, unfit),
            other => other.into(),
        })?;
        self.names(backup.name());
        self.covers(backup.name())?;
        // With the key comes its rule of then, or that it had none.
        self.may(Action::RuleSet)?;
        self.slowly()?;
        let after = json!({"name": backup.name().as_str(), "type": backup.key_type().as_str(), "deleted": false});
        let (backup, after_purge) = (Box::new(backup), AfterPurge::Allowed);
        let change = Change::RestoreKey { backup, after_purge };
        let (if_match, reason) = (IfMatch::Absent, self.vault_reason());
        self.newest(self.change(Plan { change, if_match, reason, before: Value::Null, after, forced: None })?)
    }

    /// Changes one key on the state that was looked at.
    pub(super) fn change_vault(
        &self,
        view: &KeyView,
        change: Change,
        after: Value,
        forced: Option<String>,
    ) -> Result<Changed, Refusal> {
        let if_match = IfMatch::Version(view.etag());
        let reason = self.vault_reason();
        self.change(Plan { change, if_match, reason, before: state(view), after, forced })
    }

    pub(super) fn change_beside(&self, change: Change, before: Value, after: Value) -> Result<Changed, Refusal> {
        let (if_match, reason) = (IfMatch::Any, self.vault_reason());
        self.change(Plan { change, if_match, reason, before, after, forced: None })
    }

    fn newest(&self, changed: Changed) -> Result<(KeyView, VersionId), Refusal> {
        let view = changed.key.ok_or(KeystoreError::KeyNotFound)?;
        let version = view.versions.last().ok_or(KeystoreError::KeyNotFound)?.id;
        Ok((view, version))
    }
}

/// The state of a key behind an update, for the digest of a record.
fn updated(view: &KeyView, update: &KeyUpdate) -> Value {
    let KeyUpdate { attributes, rules, .. } = update;
    let mut members = vec![
        ("enabled", json!(attributes.enabled.unwrap_or(view.enabled))),
        ("not_before", json!(attributes.not_before.unwrap_or(view.not_before))),
        ("expires", json!(attributes.expires.unwrap_or(view.expires))),
        ("operations", json!(names(attributes.operations.as_ref().unwrap_or(&view.operations)))),
        ("tags", json!(attributes.tags.as_ref().unwrap_or(&view.tags))),
    ];
    if let Some((rules, immutable)) = rules {
        members.push(("rule_digest", json!(URL_SAFE_NO_PAD.encode(rules.digest))));
        members.push(("immutable", json!(immutable)));
    }
    with_members(&state(view), &members)
}

impl VaultMaterial {
    fn material(self, desk: &Desk<'_>) -> Result<(KeyType, NewMaterial), Refusal> {
        match self {
            Self::Sealed { exchange, version, wrapping, ciphertext, kind } => {
                desk.covers(&exchange)?;
                let target = Target { provider: desk.provider.clone(), name: exchange, version };
                let order = TransferOrder { exchange_key: target, wrapping, ciphertext, kind, now: desk.now };
                let opened = desk.broker.keystore.open_transfer(&order).map_err(|error| match error {
                    KeystoreError::KeyNotFound => {
                        Fault::new(Code::Malformed, "the exchange key of `key_hsm` is not here")
                    }
                    KeystoreError::OperationNotAllowed(part) => Fault::new(Code::Malformed, part),
                    other => other.into(),
                })?;
                Ok((opened.key_type(), NewMaterial::Transferred(opened)))
            }
            Self::Made(KeyType::Secret) => Err(Fault::new(Code::Malformed, "this type of key is not made here").into()),
            Self::Made(key_type) => Ok((key_type, NewMaterial::Generate)),
            Self::Brought(brought, declared) => brought.material(declared),
        }
    }
}
