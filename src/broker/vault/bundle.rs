//! A key as Key Vault shows it: KeyBundle, KeyItem, DeletedKeyBundle, and the words of its members.
//!
//! `keyvault-api.md` section 2 (*Shapes*) and 3. Binary members are base64url without padding, times unix seconds.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::{KeyType, KeyView, Operation, RuleVersion, VersionId, VersionView};
use serde_json::{Map, Value, json};

/// Name of the tag that says a key was asked for as one of an HSM (`RSA-HSM`): it is shown with that type again. No tag of an owner:
/// names that begin so are refused.
pub const HSM_TAG: &str = "keygate:hsm";
/// What the service fills in for a release policy.
const CONTENT_TYPE: &str = "application/json; charset=utf-8";

/// What can be done with a key, in Key Vault's words.
pub const fn key_ops() -> [(&'static str, Operation); 8] {
    [
        ("encrypt", Operation::Encrypt),
        ("decrypt", Operation::Decrypt),
        ("sign", Operation::Sign),
        ("verify", Operation::Verify),
        ("wrapKey", Operation::Wrap),
        ("unwrapKey", Operation::Unwrap),
        ("import", Operation::Import),
        ("export", Operation::Export),
    ]
}

/// The id of a version, from the store's name of it (`name/versions/hex`).
pub(super) fn versioned(url: &str, kid: &str) -> Option<String> {
    let (name, version) = kid.split_once("/versions/")?;
    Some(format!("{url}/keys/{name}/{version}"))
}

/// A key and one of its versions, to be shown under a vault's URL.
pub struct Bundle<'a> {
    /// `https://HOST[:PORT]` and prefix.
    pub url: &'a str,
    /// How long a deleted key can be recovered, in days, and the word for what may be done with it.
    pub(crate) recovery: (u32, &'static str),
    /// The key.
    pub view: &'a KeyView,
}

impl Bundle<'_> {
    /// A KeyBundle of one version.
    pub fn of(&self, version: &VersionView) -> Value {
        let mut bundle = json!({"key": self.jwk(version), "attributes": self.attributes(version), "tags": self.tags()});
        if let Some(policy) = self.release_policy() {
            bundle["release_policy"] = policy;
        }
        bundle
    }

    /// A DeletedKeyBundle.
    pub fn deleted(&self, version: &VersionView) -> Value {
        self.with_deletion(self.of(version))
    }

    /// A KeyItem of the key, without version.
    pub fn item(&self, version: &VersionView) -> Value {
        json!({"kid": self.id(), "attributes": self.attributes(version), "tags": self.tags()})
    }

    /// A KeyItem of one version.
    pub fn version_item(&self, version: &VersionView) -> Value {
        json!({"kid": self.versioned_id(version.id), "attributes": self.attributes(version), "tags": self.tags()})
    }

    /// A DeletedKeyItem.
    pub fn deleted_item(&self, version: &VersionView) -> Value {
        self.with_deletion(self.item(version))
    }

    /// The id without version.
    pub fn id(&self) -> String {
        format!("{}/keys/{}", self.url, self.view.name)
    }

    /// The id of a version.
    pub fn versioned_id(&self, version: VersionId) -> String {
        format!("{}/keys/{}/{version}", self.url, self.view.name)
    }

    /// The release policy, where the key has a rule for release.
    pub fn release_policy(&self) -> Option<Value> {
        let rule = policy_of(self.view.rule.as_ref()?)?;
        Some(json!({
            "contentType": CONTENT_TYPE,
            "data": URL_SAFE_NO_PAD.encode(rule.to_string()),
            "immutable": self.view.immutable,
        }))
    }

    /// What may be shown of the key itself.
    fn jwk(&self, version: &VersionView) -> Value {
        let mut jwk = public(&version.public);
        let plain = base_type(self.view.key_type);
        let kty = if self.is_hsm() { format!("{plain}-HSM") } else { plain.to_owned() };
        jwk.insert("kid".into(), json!(self.versioned_id(version.id)));
        jwk.insert("kty".into(), json!(kty));
        jwk.insert("key_ops".into(), json!(self.operations()));
        Value::Object(jwk)
    }

    /// The same for the answer to a release, where the type is always the plain one. `secure-key-release.md` section 6.
    pub(super) fn released_jwk(&self, version: &VersionView, key_hsm: String) -> Value {
        let mut jwk = public(&version.public);
        jwk.insert("kid".into(), json!(self.versioned_id(version.id)));
        jwk.insert("kty".into(), json!(base_type(self.view.key_type)));
        jwk.insert("key_ops".into(), json!(self.operations()));
        jwk.insert("key_hsm".into(), json!(key_hsm));
        Value::Object(jwk)
    }

    fn is_hsm(&self) -> bool {
        self.view.tags.contains_key(HSM_TAG)
    }

    fn operations(&self) -> Vec<&'static str> {
        let has = |operation: &Operation| self.view.operations.contains(operation);
        key_ops().into_iter().filter(|(_, operation)| has(operation)).map(|(word, _)| word).collect()
    }

    fn tags(&self) -> Value {
        let own = self.view.tags.iter().filter(|(name, _)| name.as_str() != HSM_TAG);
        Value::Object(own.map(|(name, value)| (name.clone(), json!(value))).collect())
    }

    /// The attributes of a version; time and state of the key as a whole are those of all its versions.
    pub(super) fn attributes(&self, version: &VersionView) -> Value {
        let view = self.view;
        let mut attributes = json!({
            "enabled": view.enabled && version.enabled,
            "created": version.created,
            "updated": view.updated.max(version.created),
            "recoverableDays": self.recovery.0,
            "recoveryLevel": self.recovery.1,
            "exportable": view.exportable,
            "hsmPlatform": "0",
        });
        let times = [("nbf", view.not_before), ("exp", view.expires)];
        for (name, time) in times.into_iter().filter_map(|(name, time)| Some((name, time?))) {
            attributes[name] = json!(time);
        }
        attributes
    }

    fn with_deletion(&self, mut bundle: Value) -> Value {
        bundle["recoveryId"] = json!(format!("{}/deletedkeys/{}", self.url, self.view.name));
        bundle["deletedDate"] = json!(self.view.deleted_at);
        bundle["scheduledPurgeDate"] = json!(self.view.purge_at);
        bundle
    }
}

/// The rule for release, as its own document.
pub(super) fn policy_of(rule: &RuleVersion) -> Option<Value> {
    let document: Value = serde_json::from_str(&rule.document).ok()?;
    let rules = document.get("rules")?;
    rules.get("release").or_else(|| rules.get("default")).cloned()
}

/// `kty` of software keys.
fn base_type(key_type: KeyType) -> &'static str {
    match (key_type.rsa_bits(), key_type.curve()) {
        (Some(_), _) => "RSA",
        (_, Some(_)) => "EC",
        _ => "oct",
    }
}

fn public(members: &Map<String, Value>) -> Map<String, Value> {
    let mut jwk = members.clone();
    if jwk.get("crv").and_then(Value::as_str) == Some("secp256k1") {
        jwk.insert("crv".into(), json!("P-256K"));
    }
    jwk
}
