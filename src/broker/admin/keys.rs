//! Keys: made, brought, shown, rotated, switched, deleted, recovered, destroyed. No use of a key is here, and no key in the clear.
//!
//! `native-api.md` section 2 (`keygate key`), `store-durability.md` section 9, `bad-inputs.md` KEY-05, KEY-14, KEY-19, ADM-09, ADM-13.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::{
    AttributeChanges, Attributes, Change, ImportFormat, KeyMaterial, KeyName, KeyType, KeyView, KeystoreError,
    NewMaterial, Operation, RuleVersion, VersionId,
};
use keygate_policies::json::Node;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::pace::Deletion;
use super::rules::{self, Accepted};
use super::{Action, Desk, Done, Plan, Reason, Refusal};
use crate::audit::{Event, Field, kind};
use crate::broker::error::{Code, Fault};
use crate::broker::tend::{renewed, with_new_version};
use crate::telemetry;

/// Most keys of one page.
const MOST_LISTED: usize = 500;
/// Most tags of a key, and the longest name or value of one, in characters.
const MOST_TAGS: usize = 32;
const LONGEST_TAG: usize = 256;

/// Where the material of a key comes from.
pub enum Brought {
    /// Made here.
    Nothing,
    /// The bytes of an AES key or a secret.
    Raw(Zeroizing<Vec<u8>>),
    /// A private or symmetric JWK.
    Jwk(Map<String, Value>),
    /// PKCS#8, DER.
    Pkcs8Der(Zeroizing<Vec<u8>>),
    /// PKCS#8, PEM.
    Pkcs8Pem(Zeroizing<Vec<u8>>),
}

/// A key to be made or brought.
pub struct NewKey {
    /// Its type; may be left out where the material tells.
    pub key_type: Option<KeyType>,
    /// Whether it may be released.
    pub exportable: bool,
    /// Whether it may be used.
    pub enabled: bool,
    /// Unix seconds.
    pub not_before: Option<i64>,
    /// Unix seconds.
    pub expires: Option<i64>,
    /// What may be done with it; everything its type can if not said.
    pub operations: Option<Vec<Operation>>,
    /// Free text of the owner.
    pub tags: BTreeMap<String, String>,
    /// Rules and options.
    pub rules: Option<Node>,
    /// Whether they can never change.
    pub immutable: bool,
    /// Why a rule that the linter refuses is set all the same.
    pub force: Option<Reason>,
    /// Its material.
    pub material: Brought,
    /// Why.
    pub reason: Reason,
}

/// What changes about a key; what is not said stays.
#[derive(Default)]
pub struct KeyChanges {
    /// Whether it may be used.
    pub enabled: Option<bool>,
    /// Unix seconds, or no limit.
    pub not_before: Option<Option<i64>>,
    /// Unix seconds, or no limit.
    pub expires: Option<Option<i64>>,
    /// What may be done with it.
    pub operations: Option<Vec<Operation>>,
    /// Free text of the owner.
    pub tags: Option<BTreeMap<String, String>>,
}

/// A key as operators see it: never its material.
pub(crate) fn described(view: &KeyView) -> Value {
    let versions = view.versions.iter().map(|version| {
        let mut public = version.public.clone();
        public.insert("kid".into(), json!(format!("{}/versions/{}", view.name, version.id)));
        json!({"version": version.id.to_string(), "created": version.created, "enabled": version.enabled, "key": public})
    });
    json!({
        "name": view.name.as_str(),
        "type": view.key_type.as_str(),
        "enabled": view.enabled,
        "not_before": view.not_before,
        "expires": view.expires,
        "exportable": view.exportable,
        "operations": names(&view.operations),
        "tags": view.tags,
        "immutable": view.immutable,
        "rule": view.rule.as_ref().map(rules::described),
        "deleted_at": view.deleted_at,
        "purge_at": view.purge_at,
        "created": view.created,
        "updated": view.updated,
        "versions": versions.collect::<Vec<_>>(),
    })
}

/// What a change can change, for the digests of a record.
pub(crate) fn state(view: &KeyView) -> Value {
    json!({
        "name": view.name.as_str(),
        "type": view.key_type.as_str(),
        "enabled": view.enabled,
        "not_before": view.not_before,
        "expires": view.expires,
        "exportable": view.exportable,
        "operations": names(&view.operations),
        "tags": view.tags,
        "immutable": view.immutable,
        "rule_digest": view.rule.as_ref().map(|rule: &RuleVersion| URL_SAFE_NO_PAD.encode(rule.digest)),
        "deleted": view.deleted_at.is_some(),
        "versions": view.versions.iter().map(|v| json!([v.id.to_string(), v.enabled])).collect::<Vec<_>>(),
    })
}

/// The state with some members changed.
pub(crate) fn changed(state: &Value, members: &[(&str, Value)]) -> Value {
    let mut after = state.clone();
    for (name, value) in members {
        after[*name] = value.clone();
    }
    after
}

pub(crate) fn names(operations: &[Operation]) -> Vec<&'static str> {
    operations.iter().map(|operation| operation.as_str()).collect()
}

/// Everything that a key of this type can do.
fn able(key_type: KeyType, exportable: bool) -> Vec<Operation> {
    use Operation::{Generate, Release, Sign, Unwrap, Wrap};
    let all: &[Operation] = match key_type {
        KeyType::Secret => &[Release],
        KeyType::Oct128 | KeyType::Oct192 | KeyType::Oct256 => &[Release, Unwrap, Wrap, Generate],
        KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => &[Release, Unwrap, Wrap, Generate, Sign],
        KeyType::EcP256 | KeyType::EcP384 | KeyType::EcP521 => &[Release, Sign],
        // No form of the native door's is for this curve.
        KeyType::EcP256K => &[],
    };
    all.iter().copied().filter(|operation| exportable || *operation != Release).collect()
}

fn fit_operations(wanted: &[Operation], key_type: KeyType, exportable: bool) -> Result<(), Refusal> {
    if key_type == KeyType::EcP256K {
        return Err(Fault::new(Code::Unsupported, "no operation here is for a key of this type").into());
    }
    let able = able(key_type, exportable);
    if wanted.iter().all(|operation| able.contains(operation)) {
        return Ok(());
    }
    let part = match exportable || !wanted.contains(&Operation::Release) {
        true => "a key of this type does not do all of these operations",
        false => "only an exportable key can be released",
    };
    Err(Fault::new(Code::OperationNotAllowed, part).into())
}

fn fit_tags(tags: &BTreeMap<String, String>) -> Result<(), Refusal> {
    let long = |text: &String| text.chars().count() > LONGEST_TAG;
    if tags.len() > MOST_TAGS || tags.iter().any(|(name, value)| name.is_empty() || long(name) || long(value)) {
        return Err(Fault::new(Code::TooLarge, "too many tags, or one is too long").into());
    }
    Ok(())
}

fn fit_times(not_before: Option<i64>, expires: Option<i64>) -> Result<(), Refusal> {
    match (not_before, expires) {
        (Some(from), Some(to)) if from >= to => {
            Err(Fault::new(Code::Malformed, "the key ends before it begins").into())
        }
        _ => Ok(()),
    }
}

impl Brought {
    pub(crate) fn material(self, declared: Option<KeyType>) -> Result<(KeyType, NewMaterial), Refusal> {
        let format = match &self {
            Self::Nothing => {
                let declared = declared.ok_or(KeystoreError::Malformed("the type of a new key must be named"))?;
                return Ok((declared, NewMaterial::Generate));
            }
            Self::Raw(bytes) => ImportFormat::Raw(bytes),
            Self::Jwk(members) => ImportFormat::Jwk(members),
            Self::Pkcs8Der(bytes) => ImportFormat::Pkcs8Der(bytes),
            Self::Pkcs8Pem(bytes) => ImportFormat::Pkcs8Pem(bytes),
        };
        let material = KeyMaterial::import(format, declared)?;
        Ok((material.key_type(), NewMaterial::Import(material)))
    }
}

impl Desk<'_> {
    /// The key that the action is about, if there is one.
    pub(crate) fn find(&self, name: &KeyName) -> Result<Option<KeyView>, Refusal> {
        self.covers(name)?;
        Ok(self.broker.keystore.look(&self.provider, name)?.key)
    }

    pub(crate) fn found(&self, name: &KeyName) -> Result<KeyView, Refusal> {
        Ok(self.find(name)?.ok_or(KeystoreError::KeyNotFound)?)
    }

    /// A page of keys in the order of their names, and the name to go on behind. Only keys that the credential is for.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn list_keys(&self, after: Option<&KeyName>, limit: usize) -> Result<(Vec<Value>, Option<String>), Refusal> {
        let limit = limit.clamp(1, MOST_LISTED);
        let mut after = after.cloned();
        let mut listed = Vec::new();
        loop {
            let page = self.broker.keystore.list(&self.provider, after.as_ref(), limit)?;
            let full = page.len() == limit;
            for view in page {
                if listed.len() == limit {
                    return Ok((listed, after.map(|name| name.as_str().to_owned())));
                }
                after = Some(view.name.clone());
                if self.covers(&view.name).is_ok() {
                    listed.push(described(&view));
                }
            }
            if !full {
                return Ok((listed, None));
            }
            if listed.len() == limit {
                return Ok((listed, after.map(|name| name.as_str().to_owned())));
            }
        }
    }

    /// One key, deleted ones too, and its entity tag.
    ///
    /// # Errors
    /// `key-not-found`.
    pub fn show_key(&self, name: &KeyName) -> Result<(String, Value), Refusal> {
        let view = self.found(name)?;
        Ok((view.etag(), described(&view)))
    }

    /// Makes a key, or takes a foreign one in. Never overwrites.
    ///
    /// # Errors
    /// `conflict` for a name that is taken, `forbidden` for rules without the role, `rule-invalid`, what the import refuses.
    pub fn create_key(&self, name: KeyName, new: NewKey) -> Result<Done, Refusal> {
        self.covers(&name)?;
        let if_match = self.expected_absent()?;
        let accepted = match &new.rules {
            None if new.immutable => return Err(Fault::new(Code::Malformed, "there is no rule to keep").into()),
            None => None,
            Some(node) => {
                self.may(Action::RuleSet)?;
                Some(rules::accept(node, new.force.as_ref())?)
            }
        };
        fit_tags(&new.tags)?;
        fit_times(new.not_before, new.expires)?;
        let (key_type, material) = new.material.material(new.key_type)?;
        let operations = new.operations.unwrap_or_else(|| able(key_type, new.exportable));
        fit_operations(&operations, key_type, new.exportable)?;
        self.slowly()?;
        let after = json!({
            "name": name.as_str(), "type": key_type.as_str(), "enabled": new.enabled, "not_before": new.not_before,
            "expires": new.expires, "exportable": new.exportable, "operations": names(&operations), "tags": new.tags,
            "immutable": new.immutable, "deleted": false,
            "rule_digest": accepted.as_ref().map(|rules| URL_SAFE_NO_PAD.encode(rules.document.digest)),
        });
        let attributes = Attributes {
            enabled: new.enabled,
            not_before: new.not_before,
            expires: new.expires,
            exportable: new.exportable,
            operations,
            tags: new.tags,
        };
        let (document, mut warnings, forced) = Accepted::parts(accepted);
        if let Some(rules) = &document {
            warnings.extend(self.reference_warnings(&rules.document)?);
        }
        let change =
            Change::CreateKey { name, key_type, attributes, rules: document, immutable: new.immutable, material };
        let plan = Plan { change, if_match, reason: new.reason, before: Value::Null, after, forced };
        let changed = self.change(plan)?;
        let object = changed.key.as_ref().map(described).unwrap_or_default();
        Ok(Done { warnings, ..self.done(&changed, Value::Null, object) })
    }

    /// Adds a version, made here or brought; it is the newest from now on. The rule stays as it is; a rotation policy that gives
    /// versions a life gives the key its new end.
    ///
    /// # Errors
    /// `key-not-found`, `key-state`, what the import refuses.
    pub fn rotate_key(&self, name: KeyName, material: Brought, reason: Reason) -> Result<Done, Refusal> {
        let view = self.found(&name)?;
        let (_, material) = material.material(Some(view.key_type))?;
        self.expected(&view.etag())?;
        self.slowly()?;
        let policy = self.broker.keystore.rotation(&self.provider, &name)?;
        let expires = policy.and_then(|policy| policy.ends(self.now));
        let after = with_new_version(&view, expires);
        let change = Change::NewVersion { name, material, update: renewed(expires), enabled: true };
        self.change_key(&view, change, after, reason)
    }

    /// Changes attributes.
    ///
    /// # Errors
    /// `key-not-found`, `key-state`, `operation-not-allowed` for what the key cannot do.
    pub fn set_key(&self, name: KeyName, changes: KeyChanges, reason: Reason) -> Result<Done, Refusal> {
        let view = self.found(&name)?;
        if let Some(operations) = &changes.operations {
            fit_operations(operations, view.key_type, view.exportable)?;
        }
        fit_tags(changes.tags.as_ref().unwrap_or(&view.tags))?;
        let not_before = changes.not_before.unwrap_or(view.not_before);
        let expires = changes.expires.unwrap_or(view.expires);
        fit_times(not_before, expires)?;
        let after = changed(
            &state(&view),
            &[
                ("enabled", json!(changes.enabled.unwrap_or(view.enabled))),
                ("not_before", json!(not_before)),
                ("expires", json!(expires)),
                ("operations", json!(names(changes.operations.as_ref().unwrap_or(&view.operations)))),
                ("tags", json!(changes.tags.as_ref().unwrap_or(&view.tags))),
            ],
        );
        let changes = AttributeChanges {
            enabled: changes.enabled,
            not_before: changes.not_before,
            expires: changes.expires,
            operations: changes.operations,
            tags: changes.tags,
        };
        self.change_key(&view, Change::SetAttributes { name, changes }, after, reason)
    }

    /// Switches a key, or one version of it, on or off.
    ///
    /// # Errors
    /// `key-not-found`, `key-state`.
    pub fn switch_key(
        &self,
        name: KeyName,
        version: Option<VersionId>,
        enabled: bool,
        reason: Reason,
    ) -> Result<Done, Refusal> {
        let Some(version) = version else {
            return self.set_key(name, KeyChanges { enabled: Some(enabled), ..KeyChanges::default() }, reason);
        };
        let view = self.found(&name)?;
        view.version(Some(&version)).ok_or(KeystoreError::KeyNotFound)?;
        let states: Vec<Value> = view
            .versions
            .iter()
            .map(|v| json!([v.id.to_string(), if v.id == version { enabled } else { v.enabled }]))
            .collect();
        let after = changed(&state(&view), &[("versions", json!(states))]);
        self.change_key(&view, Change::SetVersionEnabled { name, version, enabled }, after, reason)
    }

    /// Soft delete: recoverable for the days of the provider.
    ///
    /// # Errors
    /// `key-not-found`, `key-state`; `rate-limited` for too many deletions in an hour, and while an alarm holds them.
    pub fn delete_key(&self, name: KeyName, reason: Reason) -> Result<Done, Refusal> {
        let view = self.found(&name)?;
        self.expected(&view.etag())?;
        self.warily()?;
        let after = changed(&state(&view), &[("deleted", json!(true))]);
        self.change_key(&view, Change::DeleteKey { name }, after, reason)
    }

    /// Takes a soft delete back.
    ///
    /// # Errors
    /// `key-not-found`, `conflict` for a key that is not deleted.
    pub fn recover_key(&self, name: KeyName, reason: Reason) -> Result<Done, Refusal> {
        let view = self.found(&name)?;
        let after = changed(&state(&view), &[("deleted", json!(false))]);
        self.change_key(&view, Change::RecoverKey { name }, after, reason)
    }

    /// Destroys a deleted key for ever: by another role than the one that deleted it, and where the provider is protected not before
    /// the retention is over.
    ///
    /// # Errors
    /// `key-not-found`, `conflict` for a key that is not deleted, `forbidden` before the retention is over, `rate-limited` as for
    /// deletions.
    pub fn purge_key(&self, name: KeyName, reason: Reason) -> Result<Done, Refusal> {
        let view = self.found(&name)?;
        self.expected(&view.etag())?;
        match view.purge_at {
            None => return Err(KeystoreError::Conflict("the key is not deleted").into()),
            Some(at) if self.now < at && self.broker.keystore.recovery(&self.provider)?.purge_protection() => {
                return Err(Fault::new(Code::Forbidden, "the retention of the key is not over").into());
            }
            Some(_) => {}
        }
        self.warily()?;
        self.change_key(&view, Change::PurgeKey { name }, Value::Null, reason)
    }

    /// Changes one key that was looked at.
    pub(super) fn change_key(
        &self,
        view: &KeyView,
        change: Change,
        after: Value,
        reason: Reason,
    ) -> Result<Done, Refusal> {
        let if_match = self.expected(&view.etag())?;
        let changed = self.change(Plan { change, if_match, reason, before: state(view), after, forced: None })?;
        let object = changed.key.as_ref().map(described).unwrap_or_default();
        Ok(self.done(&changed, described(view), object))
    }

    pub(crate) fn slowly(&self) -> Result<(), Refusal> {
        if self.ask.dry_run || self.broker.pace.create(&self.provider, self.now) {
            return Ok(());
        }
        Err(Refusal::passing("too many new keys in an hour", 60))
    }

    pub(crate) fn warily(&self) -> Result<(), Refusal> {
        if self.ask.dry_run {
            return Ok(());
        }
        let seconds = match self.broker.pace.delete(&self.provider, self.now) {
            Deletion::Fits => return Ok(()),
            Deletion::Held(seconds) => seconds,
            Deletion::Alarm(seconds) => {
                telemetry::alarm("too many deletions in an hour");
                let alarm = Event::new(kind::ALARM, &self.provider, self.now)
                    .word(Field::Op, self.ask.action.as_str())
                    .word(Field::Caller, self.author())
                    .word(Field::Detail, "too many deletions in an hour: none is taken for 15 minutes");
                self.broker.keystore.record(alarm.record())?;
                seconds
            }
        };
        Err(Refusal::passing("deletions are on hold", seconds))
    }
}
