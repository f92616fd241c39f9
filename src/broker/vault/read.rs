//! What may be read of keys: their public parts and attributes, for whoever has a role for them. Nothing is recorded.
//!
//! `keyvault-api.md` section 2 (get, list, list versions), section 3 for paging. A key that a caller has no role for looks like none.

use keygate_keystore::{KeyName, KeyView, KeystoreError, VersionView};
use serde_json::Value;

use super::bundle::Bundle;
use crate::broker::Broker;
use crate::broker::admin::Desk;
use crate::broker::caller::Caller;
use crate::broker::challenge::random;
use crate::broker::error::{BrokerError, Code, Fault};
use crate::broker::providers::VaultSetup;
use crate::broker::request::{KeySelector, Seat};

/// Who may read a key.
pub(super) const READERS: [&str; 5] = ["key-user", "key-officer", "rule-officer", "purge-officer", "auditor"];
/// Who may see what was deleted.
const DELETED: [&str; 3] = ["key-officer", "purge-officer", "auditor"];
/// Who may have random bytes.
const DRAWERS: [&str; 2] = ["key-user", "key-officer"];
/// Most items of a page.
const PAGE: usize = 25;

/// A page, and the name to go on behind.
pub struct Page {
    /// The items.
    pub items: Vec<Value>,
    /// The name or version that the next page begins behind.
    pub next: Option<String>,
}

impl Broker {
    /// What an operator says of the vault.
    pub fn vault_setup<'s>(&self, seat: &'s Seat) -> &'s VaultSetup {
        &seat.provider.setup().vault
    }

    /// A bundle maker for a key of this vault.
    pub fn vault_bundle<'a>(&self, seat: &'a Seat, url: &'a str, view: &'a KeyView) -> Bundle<'a> {
        Bundle { url, recovery: (seat.provider.recoverable_days(), seat.provider.recovery_level()), view }
    }

    /// A key bundle: of the version named, or the newest.
    ///
    /// # Errors
    /// `auth-required`, `forbidden`, `key-not-found`.
    pub fn vault_key(&self, seat: &Seat, url: &str, key: &KeySelector, caller: &Caller) -> Result<Value, BrokerError> {
        let read = || {
            may(caller, &READERS, &key.name)?;
            let view = self.live(seat, &key.name)?;
            let version = match &key.version {
                Some(id) => view.version(Some(id)),
                None => view.versions.last(),
            };
            let version = version.ok_or(KeystoreError::KeyNotFound)?;
            Ok(self.vault_bundle(seat, url, &view).of(version))
        };
        read().map_err(|fault: Fault| self.refuse(seat, &fault))
    }

    /// A deleted key.
    ///
    /// # Errors
    /// As [`Broker::vault_key`].
    pub fn vault_deleted(&self, seat: &Seat, url: &str, name: &KeyName, caller: &Caller) -> Result<Value, BrokerError> {
        let read = || {
            may(caller, &DELETED, name)?;
            self.fit()?;
            let view = self.keystore.look(seat.provider.id(), name)?.key;
            let view = view.filter(|view| view.deleted_at.is_some()).ok_or(KeystoreError::KeyNotFound)?;
            let version = view.versions.last().ok_or(KeystoreError::KeyNotFound)?;
            Ok(self.vault_bundle(seat, url, &view).deleted(version))
        };
        read().map_err(|fault: Fault| self.refuse(seat, &fault))
    }

    /// A page of keys in the order of their names, live or deleted ones.
    ///
    /// # Errors
    /// `auth-required`, `forbidden`.
    pub fn vault_list(
        &self,
        seat: &Seat,
        url: &str,
        (deleted, after, limit): (bool, Option<KeyName>, usize),
        caller: &Caller,
    ) -> Result<Page, BrokerError> {
        let roles: &[&str] = if deleted { &DELETED } else { &READERS };
        let read = || {
            somebody(caller, roles)?;
            self.fit()?;
            let limit = limit.clamp(1, PAGE);
            let (mut items, mut after, mut last) = (Vec::new(), after, None);
            loop {
                let page = self.keystore.list(seat.provider.id(), after.as_ref(), PAGE)?;
                let is_last = page.len() < PAGE;
                for view in page {
                    let wanted = view.deleted_at.is_some() == deleted && caller.has_for(roles, &view.name);
                    if let Some(version) = view.versions.last().filter(|_| wanted) {
                        // There is a further page where the caller has a further key: others say nothing (ADM-09).
                        if items.len() == limit {
                            return Ok(Page { items, next: last });
                        }
                        let bundle = self.vault_bundle(seat, url, &view);
                        items.push(if deleted { bundle.deleted_item(version) } else { bundle.item(version) });
                        last = Some(view.name.as_str().to_owned());
                    }
                    after = Some(view.name);
                }
                if is_last {
                    return Ok(Page { items, next: None });
                }
            }
        };
        read().map_err(|fault: Fault| self.refuse(seat, &fault))
    }

    /// A page of the versions of a key, oldest first.
    ///
    /// # Errors
    /// As [`Broker::vault_key`].
    pub fn vault_versions(
        &self,
        seat: &Seat,
        url: &str,
        (name, after, limit): (&KeyName, Option<&str>, usize),
        caller: &Caller,
    ) -> Result<Page, BrokerError> {
        let read = || {
            may(caller, &READERS, name)?;
            let view = self.live(seat, name)?;
            let limit = limit.clamp(1, PAGE);
            let behind = |version: &&VersionView| after.is_none_or(|after| version.id.to_string() != after);
            let skipped = match after {
                None => 0,
                Some(_) => view.versions.iter().take_while(behind).count() + 1,
            };
            let bundle = self.vault_bundle(seat, url, &view);
            let rest = view.versions.get(skipped..).unwrap_or_default();
            let shown = rest.get(..limit).unwrap_or(rest);
            let next = (shown.len() < rest.len()).then(|| shown.last().map(|v| v.id.to_string())).flatten();
            Ok(Page { items: shown.iter().map(|version| bundle.version_item(version)).collect(), next })
        };
        read().map_err(|fault: Fault| self.refuse(seat, &fault))
    }

    /// Random bytes, 1 to 128.
    ///
    /// # Errors
    /// `auth-required`, `forbidden`, `malformed`.
    pub fn vault_random(&self, seat: &Seat, count: usize, caller: &Caller) -> Result<Vec<u8>, BrokerError> {
        let draw = || {
            somebody(caller, &DRAWERS)?;
            self.fit()?;
            match (1..=128).contains(&count) {
                true => random(count),
                false => Err(Fault::new(Code::Malformed, "`count` is 1 to 128")),
            }
        };
        draw().map_err(|fault: Fault| self.refuse(seat, &fault))
    }

    /// A key that is not deleted.
    fn live(&self, seat: &Seat, name: &KeyName) -> Result<KeyView, Fault> {
        self.fit()?;
        let view = self.keystore.look(seat.provider.id(), name)?.key;
        Ok(view.filter(|view| view.deleted_at.is_none()).ok_or(KeystoreError::KeyNotFound)?)
    }
}

impl Desk<'_> {
    /// A bundle maker for a key of the vault that the request is at.
    pub fn vault_bundle<'a>(&'a self, url: &'a str, view: &'a KeyView) -> Bundle<'a> {
        self.broker.vault_bundle(&self.ask.seat, url, view)
    }
}

/// Whether the caller has one of the roles at all.
fn somebody(caller: &Caller, roles: &[&str]) -> Result<(), Fault> {
    match caller {
        Caller::Anonymous => Err(Fault::new(Code::AuthRequired, "")),
        known if roles.iter().any(|role| known.has(role)) => Ok(()),
        Caller::Known { .. } => Err(Fault::new(Code::Forbidden, "")),
    }
}

/// Whether the caller has one of the roles for this key. One that its credential is not for looks like none.
fn may(caller: &Caller, roles: &[&str], name: &KeyName) -> Result<(), Fault> {
    somebody(caller, roles)?;
    match caller.has_for(roles, name) {
        true => Ok(()),
        false => Err(KeystoreError::KeyNotFound.into()),
    }
}
