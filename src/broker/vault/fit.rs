//! What fits a key at this door: operations of its type, tags, times, a release policy; and the texts of what does not.
//!
//! `keyvault-api.md` section 3, *Exportable-key rules* among it; `secure-key-release.md` section 1.

use std::collections::BTreeMap;

use keygate_keystore::{KeyType, Operation, RuleDocument};
use keygate_policies::KeyRules;
use keygate_policies::release::ReleaseRule;
use serde_json::{Value, json};

use super::bundle::HSM_TAG;
use super::keys::VaultPolicy;
use crate::broker::admin::Refusal;
use crate::broker::error::{Code, Fault};

/// How names of tags begin that are ours.
const OURS: &str = "keygate:";
/// Longest name or value of a tag, in characters.
const LONGEST_TAG: usize = 256;
/// Most tags of a key.
const MOST_TAGS: usize = 15;
/// Options of a key with a rule that this door makes.
const RULED: &str = r#"{"freshness":"issuer"}"#;
/// A refusal by one of the rules for exportable keys.
pub(super) fn skr(part: &'static str) -> Refusal {
    Fault::new(Code::Malformed, part).into()
}

pub(super) const SKR_1003: &str = "AKV.SKR.1003: `exportable` cannot be changed on an existing key";
pub(super) const SKR_1004: &str = "AKV.SKR.1004: an exportable key needs a release policy";
pub(super) const SKR_1005: &str = "AKV.SKR.1005: a key that is not exportable must not have a release policy";
pub(super) const SKR_1006: &str = "AKV.SKR.1006: a software key cannot be exportable: ask for the type with `-HSM`";
pub(super) const SKR_1016: &str = "AKV.SKR.1016: the release policy can only be set on the key without its version";
pub(super) const SKR_1020: &str = "AKV.SKR.1020: the release policy is immutable and cannot be modified";

/// Everything that a key of this type can do in Key Vault's manner.
pub(super) fn able(key_type: KeyType) -> &'static [Operation] {
    use Operation::{Decrypt, Encrypt, Sign, Unwrap, Verify, Wrap};
    match (key_type.rsa_bits(), key_type.curve()) {
        (Some(_), _) => &[Wrap, Decrypt, Encrypt, Unwrap, Sign, Verify],
        (_, Some(_)) => &[Sign, Verify],
        _ if key_type.oct_length().is_some() => &[Wrap, Decrypt, Encrypt, Unwrap, Sign, Verify],
        _ => &[],
    }
}

/// What is done with a key of this type if nobody says.
pub(super) fn usual(key_type: KeyType) -> Vec<Operation> {
    let usual = |operation: &Operation| {
        key_type.oct_length().is_none() || !matches!(operation, Operation::Sign | Operation::Verify)
    };
    able(key_type).iter().copied().filter(usual).collect()
}

/// The operations as the store keeps them: `release` goes with `exportable`.
pub(super) fn fit_operations(
    wanted: Option<Vec<Operation>>,
    key_type: KeyType,
    exportable: bool,
) -> Result<Vec<Operation>, Refusal> {
    let mut operations = wanted.unwrap_or_else(|| usual(key_type));
    // An exchange key, that other keys come in sealed to, does nothing else.
    if operations == [Operation::Import] && key_type.rsa_bits().is_some() && !exportable {
        return Ok(operations);
    }
    let fits = |operation: &Operation| able(key_type).contains(operation) || *operation == Operation::Export;
    if !operations.iter().all(fits) {
        return Err(Fault::new(Code::Malformed, "a key of this type does not do all of these operations").into());
    }
    operations.sort_unstable();
    operations.dedup();
    if exportable {
        operations.insert(0, Operation::Release);
    }
    Ok(operations)
}

pub(super) fn fit_tags(
    tags: Option<BTreeMap<String, String>>,
    hsm: bool,
) -> Result<Option<BTreeMap<String, String>>, Refusal> {
    let Some(mut tags) = tags else { return Ok(hsm.then(|| [(HSM_TAG.to_owned(), "1".to_owned())].into())) };
    let long = |text: &String| text.chars().count() > LONGEST_TAG;
    if tags.len() > MOST_TAGS || tags.iter().any(|(name, value)| name.is_empty() || long(name) || long(value)) {
        return Err(Fault::new(Code::Malformed, "a key has at most 15 tags of at most 256 characters").into());
    }
    if tags.keys().any(|name| name.to_ascii_lowercase().starts_with(OURS)) {
        return Err(Fault::new(Code::Malformed, "names of tags that begin with `keygate:` are the service's").into());
    }
    if hsm {
        tags.insert(HSM_TAG.to_owned(), "1".to_owned());
    }
    Ok(Some(tags))
}

pub(super) fn fit_times(not_before: Option<i64>, expires: Option<i64>) -> Result<(), Refusal> {
    match not_before.zip(expires) {
        Some((from, to)) if from >= to => Err(Fault::new(Code::Malformed, "`exp` must lie behind `nbf`").into()),
        _ => Ok(()),
    }
}

/// Reads a release policy, and puts it in the place of the rule for releases in what the key has. The options stay.
pub(super) fn with_policy(policy: &VaultPolicy, present: Option<&RuleDocument>) -> Result<KeyRules, Refusal> {
    let unfit = |diagnostics: Vec<keygate_policies::Diagnostic>| {
        Refusal::diagnosed(Code::Malformed, "the release policy is not valid", &diagnostics)
    };
    let rule = ReleaseRule::parse(&policy.document).map_err(unfit)?.to_value();
    let named = !KeyRules::parse(&policy.document).map_err(unfit)?.references().is_empty();
    let mut document: Value = match present {
        Some(present) => serde_json::from_str(&present.document).unwrap_or_default(),
        None => json!({"rules": {}, "options": serde_json::from_str::<Value>(RULED).unwrap_or_default()}),
    };
    let name = if document["rules"].get("release").is_some() { "release" } else { "default" };
    // No release policy of Key Vault's names reference values; what an officer set by the admin door may come back as it is.
    if named && document["rules"].get(name) != Some(&rule) {
        let why = "a release policy names no reference values: set the rule by the admin door";
        return Err(Fault::new(Code::Malformed, why).into());
    }
    document["rules"][name] = rule;
    KeyRules::parse(document.to_string().as_bytes()).map_err(unfit)
}

pub(super) fn document_of(rules: &KeyRules) -> RuleDocument {
    RuleDocument { document: rules.canonical_text(), digest: rules.digest() }
}

/// The rules that a text of ours stands for.
pub(super) fn options_alone(options: &str) -> Result<KeyRules, Refusal> {
    let text = format!(r#"{{"rules":{{}},"options":{options}}}"#);
    KeyRules::parse(text.as_bytes()).map_err(|_| Fault::new(Code::DependencyUnavailable, "").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(test: &str) -> VaultPolicy {
        let document =
            format!(r#"{{"version":"1.0.0","anyOf":[{{"authority":"https://x.example","allOf":[{test}]}}]}}"#);
        VaultPolicy { document: document.into_bytes(), immutable: false }
    }

    #[test]
    fn a_release_policy_names_no_reference_values_but_comes_back_as_an_officer_set_it() {
        let (plain, named) = (policy(r#"{"claim":"a","equals":"b"}"#), policy(r#"{"claim":"a","reference":"fleet"}"#));
        let refused = |policy: &VaultPolicy, present: Option<&RuleDocument>| {
            with_policy(policy, present).err().map(|refusal| refusal.into_fault().code)
        };
        assert_eq!(refused(&plain, None), None);
        assert_eq!(refused(&named, None), Some(Code::Malformed));
        let bare = KeyRules::parse(&named.document).unwrap();
        let present = document_of(&bare);
        assert_eq!(with_policy(&named, Some(&present)).ok().map(|rules| rules.digest()), Some(bare.digest()));
        let other = policy(r#"{"claim":"a","reference":"other"}"#);
        assert_eq!(refused(&other, Some(&present)), Some(Code::Malformed));
        assert_eq!(refused(&plain, Some(&present)), None);
    }
}
