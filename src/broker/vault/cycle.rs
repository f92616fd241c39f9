//! The rotation policy of a key, at an operator's desk.
//!
//! `keyvault-api.md` section 2 (KeyRotationPolicy).

use keygate_keystore::{Change, KeyName, KeystoreError, RotationPolicy};
use serde_json::{Value, json};

use crate::broker::admin::{Desk, Refusal};
use crate::broker::error::{Code, Fault};

impl Desk<'_> {
    /// The rotation policy in force; of a key that has none, one that does nothing.
    ///
    /// # Errors
    /// `key-not-found`.
    pub fn vault_rotation(&self, url: &str, name: &KeyName) -> Result<Value, Refusal> {
        self.live_vault_key(name)?;
        self.rotation_now(url, name)
    }

    /// Sets it. `document` is the text as it was sent.
    ///
    /// # Errors
    /// `key-not-found`, `malformed`.
    pub fn set_vault_rotation(&self, url: &str, name: &KeyName, document: &str) -> Result<Value, Refusal> {
        self.live_vault_key(name)?;
        let policy = RotationPolicy::parse(document).map_err(|error| match error {
            KeystoreError::Malformed(part) | KeystoreError::TooLarge(part) => Fault::new(Code::Malformed, part),
            other => other.into(),
        })?;
        let before = self.rotation_now(url, name)?;
        let after = json!({"document": policy.text()});
        self.change_beside(Change::SetRotation { name: name.clone(), policy }, before, after)?;
        self.rotation_now(url, name)
    }

    fn live_vault_key(&self, name: &KeyName) -> Result<(), Refusal> {
        match self.found(name)?.deleted_at {
            None => Ok(()),
            Some(_) => Err(KeystoreError::KeyNotFound.into()),
        }
    }

    fn rotation_now(&self, url: &str, name: &KeyName) -> Result<Value, Refusal> {
        let history = self.broker.keystore.rotation_history(&self.provider, name)?;
        let text = history.last().map(|version| version.policy.text()).unwrap_or_default();
        let mut shown: Value = serde_json::from_str(&text)
            .unwrap_or_else(|_| json!({"lifetimeActions": [], "attributes": {"expiryTime": null}}));
        shown["id"] = json!(format!("{url}/keys/{name}/rotationpolicy"));
        if let Some((first, last)) = history.first().zip(history.last()) {
            shown["attributes"]["created"] = json!(first.at);
            shown["attributes"]["updated"] = json!(last.at);
        }
        Ok(shown)
    }
}
