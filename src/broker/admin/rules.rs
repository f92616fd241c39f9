//! Rules and options of keys: admitted, linted, set as a further version, compared, restored.
//!
//! `native-api.md` section 5, threat model P24; `bad-inputs.md` KEY-01, KEY-02, KEY-05, SGX-28, SNP-21.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::BTreeSet;

use keygate_keystore::{Change, KeyName, KeyView, KeystoreError, RuleDocument, RuleVersion};
use keygate_policies::json::{self as strict, Node};
use keygate_policies::{KeyRules, Limits, Severity};
use serde_json::{Value, json};

use super::keys::{changed, described as described_key, state};
use super::{Desk, Done, Plan, Reason, Refusal, values};
use crate::broker::error::{Code, Fault};

/// Rules that may be set.
pub(crate) struct Accepted {
    pub(crate) document: RuleDocument,
    warnings: Vec<Value>,
    forced: Option<String>,
}

impl Accepted {
    /// Document, warnings, and why it was forced.
    pub(crate) fn parts(accepted: Option<Self>) -> (Option<RuleDocument>, Vec<Value>, Option<String>) {
        match accepted {
            None => (None, Vec::new(), None),
            Some(accepted) => (Some(accepted.document), accepted.warnings, accepted.forced),
        }
    }
}

/// Admits rules and asks the linter. What it refuses must be forced with a reason; what means nothing cannot be forced.
///
/// # Errors
/// `rule-invalid` with what is wrong and where.
pub(crate) fn accept(node: &Node, force: Option<&Reason>) -> Result<Accepted, Refusal> {
    let rules = KeyRules::admit(node)
        .map_err(|diagnostics| Refusal::diagnosed(Code::RuleInvalid, "the rule does not parse", &diagnostics))?;
    let found = rules.lint();
    let refused = found.iter().any(|diagnostic| diagnostic.severity >= Severity::Refusal);
    if refused && force.is_none() {
        return Err(Refusal::diagnosed(
            Code::RuleInvalid,
            "the rule is unwise: it needs `force` with a reason",
            &found,
        ));
    }
    let document = RuleDocument { document: rules.canonical_text(), digest: rules.digest() };
    let forced = force.filter(|_| refused).map(|reason| reason.as_str().to_owned());
    Ok(Accepted { document, warnings: values(&found), forced })
}

/// A version of the rules, with its text.
pub(crate) fn described(version: &RuleVersion) -> Value {
    let document: Value = serde_json::from_str(&version.document).unwrap_or_default();
    json!({
        "number": version.number,
        "at": version.at,
        "author": version.author,
        "reason": version.reason,
        "digest": URL_SAFE_NO_PAD.encode(version.digest),
        "document": document,
    })
}

/// What differs between two documents: each place with what stood there and what stands there now, in the order of the places.
pub fn difference(before: &Value, after: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    compare("", before, after, &mut found);
    found.sort_by(|one, other| one["path"].as_str().cmp(&other["path"].as_str()));
    found
}

fn compare(path: &str, before: &Value, after: &Value, found: &mut Vec<Value>) {
    match (before, after) {
        _ if before == after => {}
        (Value::Object(old), Value::Object(new)) => {
            let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for name in names {
                let place = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
                compare(&place, old.get(name).unwrap_or(&Value::Null), new.get(name).unwrap_or(&Value::Null), found);
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for index in 0..old.len().max(new.len()) {
                let place = format!("{path}/{index}");
                compare(&place, old.get(index).unwrap_or(&Value::Null), new.get(index).unwrap_or(&Value::Null), found);
            }
        }
        _ => found.push(json!({"path": path, "before": before, "after": after})),
    }
}

impl Desk<'_> {
    /// The rules in force, with the entity tag of the key; null where there are none.
    ///
    /// # Errors
    /// `key-not-found`.
    pub fn show_rules(&self, name: &KeyName) -> Result<(String, Value), Refusal> {
        let view = self.found(name)?;
        Ok((
            view.etag(),
            json!({"key": view.name.as_str(), "immutable": view.immutable, "rule": view.rule.as_ref().map(described)}),
        ))
    }

    /// Every version of the rules, oldest first.
    ///
    /// # Errors
    /// `key-not-found`.
    pub fn rule_history(&self, name: &KeyName) -> Result<(String, Value), Refusal> {
        let view = self.found(name)?;
        let versions = self.broker.keystore.rule_history(&self.provider, name)?;
        Ok((
            view.etag(),
            json!({"key": view.name.as_str(), "versions": versions.iter().map(described).collect::<Vec<_>>()}),
        ))
    }

    /// What differs between two versions; without numbers between the last two.
    ///
    /// # Errors
    /// `key-not-found`, `not-found` for a version that is not there.
    pub fn rule_difference(
        &self,
        name: &KeyName,
        from: Option<u64>,
        to: Option<u64>,
    ) -> Result<(String, Value), Refusal> {
        let view = self.found(name)?;
        let versions = self.broker.keystore.rule_history(&self.provider, name)?;
        let newest = versions.last().map_or(0, |version| version.number);
        let to = to.unwrap_or(newest);
        let from = from.unwrap_or(to.saturating_sub(1));
        let text = |number: u64| match number {
            0 => Ok(Value::Null),
            _ => version(&versions, number).map(|version| serde_json::from_str(&version.document).unwrap_or_default()),
        };
        let changes = difference(&text(from)?, &text(to)?);
        Ok((view.etag(), json!({"key": view.name.as_str(), "from": from, "to": to, "changes": changes})))
    }

    /// Sets rules and options: a further version, in force at once.
    ///
    /// # Errors
    /// `rule-invalid`, `forbidden` where the rules are immutable, `key-not-found`, `key-state`.
    pub fn set_rules(
        &self,
        name: KeyName,
        rules: &Node,
        immutable: bool,
        force: Option<&Reason>,
        reason: Reason,
    ) -> Result<Done, Refusal> {
        let view = self.found(&name)?;
        let accepted = accept(rules, force)?;
        self.put_rules(&view, name, accepted, immutable, reason)
    }

    /// Sets an earlier version again, as a further version.
    ///
    /// # Errors
    /// `not-found` for a version that is not there, and as [`Desk::set_rules`].
    pub fn restore_rules(
        &self,
        name: KeyName,
        number: u64,
        force: Option<&Reason>,
        reason: Reason,
    ) -> Result<Done, Refusal> {
        let view = self.found(&name)?;
        let versions = self.broker.keystore.rule_history(&self.provider, &name)?;
        let wanted = version(&versions, number)?;
        // What had to be forced once has to be forced again.
        let damaged = || Fault::new(Code::StoreCorrupt, "").because("a stored rule does not parse");
        let text = wanted.document.as_bytes();
        let node = strict::parse(text, &Limits::request(text.len())).map_err(|_| damaged())?;
        let accepted = accept(&node, force)?;
        if accepted.document.digest != wanted.digest {
            return Err(damaged().into());
        }
        self.put_rules(&view, name, accepted, false, reason)
    }

    fn put_rules(
        &self,
        view: &KeyView,
        name: KeyName,
        accepted: Accepted,
        immutable: bool,
        reason: Reason,
    ) -> Result<Done, Refusal> {
        let if_match = self.expected(&view.etag())?;
        if view.immutable {
            return Err(Fault::new(Code::Forbidden, "the rules of this key are immutable").into());
        }
        let before = state(view);
        let digest = URL_SAFE_NO_PAD.encode(accepted.document.digest);
        let after = changed(&before, &[("rule_digest", json!(digest)), ("immutable", json!(immutable))]);
        let Accepted { document, mut warnings, forced } = accepted;
        warnings.extend(self.reference_warnings(&document.document)?);
        let change = Change::SetRules { name, rules: document, immutable };
        let done = self.change(Plan { change, if_match, reason, before, after, forced })?;
        let object = done.key.as_ref().map(described_key).unwrap_or_default();
        Ok(Done { warnings, ..self.done(&done, described_key(view), object) })
    }
}

fn version(versions: &[RuleVersion], number: u64) -> Result<&RuleVersion, Refusal> {
    let found = versions.iter().find(|version| version.number == number);
    Ok(found.ok_or(KeystoreError::NotFound("version of the rules"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_each_place_with_both_sides() {
        let before = json!({"rules": {"default": {"anyOf": [{"a/b": 1}]}}, "options": {}});
        let after = json!({"rules": {"default": {"anyOf": [{"a/b": 2}, {"c": 3}]}}, "options": {"debug": true}});
        let changes = difference(&before, &after);
        assert_eq!(
            changes,
            [
                json!({"path": "/options/debug", "before": null, "after": true}),
                json!({"path": "/rules/default/anyOf/0/a~1b", "before": 1, "after": 2}),
                json!({"path": "/rules/default/anyOf/1", "before": null, "after": {"c": 3}}),
            ]
        );
        assert!(difference(&after, &after).is_empty());
    }
}
