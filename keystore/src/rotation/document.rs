//! The document of a rotation policy.
//!
//! `keyvault-api.md` section 2: `lifetimeActions`, at most one of each type, and `attributes.expiryTime`. What
//! else a client sends in it says nothing and is not kept.

use serde::{Deserialize, Serialize};

use super::{Period, RotationPolicy, Trigger};
use crate::error::KeystoreError;

/// Longest document, in bytes.
const LONGEST: usize = 4_096;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(default)]
    lifetime_actions: Option<Vec<LifetimeAction>>,
    #[serde(default)]
    attributes: Option<Attributes>,
}

#[derive(Serialize, Deserialize)]
struct LifetimeAction {
    trigger: DocumentTrigger,
    action: Action,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DocumentTrigger {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time_after_create: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time_before_expiry: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Action {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attributes {
    #[serde(default)]
    expiry_time: Option<String>,
}

impl RotationPolicy {
    /// Reads a document. The type of an action has no case.
    ///
    /// `too-large`: beyond 4,096 bytes. `malformed`: everything else that is not a policy, and what
    /// [`RotationPolicy::new`] says.
    pub fn parse(text: &str) -> Result<Self, KeystoreError> {
        if text.len() > LONGEST {
            return Err(KeystoreError::TooLarge("longer than a rotation policy"));
        }
        let malformed = || KeystoreError::Malformed("not a rotation policy");
        if !text.trim_start().starts_with('{') {
            return Err(malformed());
        }
        let document: Document = serde_json::from_str(text).map_err(|_| malformed())?;
        let (mut rotate, mut notify) = (None, None);
        for LifetimeAction { trigger, action } in document.lifetime_actions.unwrap_or_default() {
            let place = match action.kind.to_ascii_lowercase().as_str() {
                "rotate" => &mut rotate,
                "notify" => &mut notify,
                _ => return Err(KeystoreError::Malformed("an action is of type `Rotate` or `Notify`")),
            };
            let trigger = match (trigger.time_after_create, trigger.time_before_expiry) {
                (Some(span), None) => Trigger::AfterCreate(Period::parse(&span)?),
                (None, Some(span)) => Trigger::BeforeExpiry(Period::parse(&span)?),
                _ => return Err(KeystoreError::Malformed("a trigger has one time")),
            };
            if place.replace(trigger).is_some() {
                return Err(KeystoreError::Malformed("two actions of one type"));
            }
        }
        let life = document.attributes.and_then(|attributes| attributes.expiry_time);
        Self::new(rotate, notify, life.map(|span| Period::parse(&span)).transpose()?)
    }

    /// The document, in one form.
    pub fn text(&self) -> String {
        let action = |kind: &str, trigger: Trigger| {
            let (after, before) = match trigger {
                Trigger::AfterCreate(span) => (Some(span.to_string()), None),
                Trigger::BeforeExpiry(span) => (None, Some(span.to_string())),
            };
            LifetimeAction {
                trigger: DocumentTrigger { time_after_create: after, time_before_expiry: before },
                action: Action { kind: kind.to_owned() },
            }
        };
        let rotate = self.rotate.map(|trigger| action("Rotate", trigger));
        let notify = self.notify.map(|trigger| action("Notify", trigger));
        let document = Document {
            lifetime_actions: Some(rotate.into_iter().chain(notify).collect()),
            attributes: Some(Attributes { expiry_time: self.life.map(|life| life.to_string()) }),
        };
        // Texts in lists always have a JSON form.
        serde_json::to_string(&document).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"id":"https://v/keys/k/rotationpolicy","lifetimeActions":[
        {"trigger":{"timeAfterCreate":"P90D","timeBeforeExpiry":null},"action":{"type":"rotate"}},
        {"trigger":{"timeBeforeExpiry":"P30D"},"action":{"type":"Notify"}}],
        "attributes":{"expiryTime":"P2Y","created":1,"updated":2}}"#;

    #[test]
    fn a_document_is_read_and_written_in_one_form() {
        let policy = RotationPolicy::parse(GOOD).unwrap();
        let text = policy.text();
        assert_eq!(
            text,
            r#"{"lifetimeActions":[{"trigger":{"timeAfterCreate":"P90D"},"action":{"type":"Rotate"}},"#.to_owned()
                + r#"{"trigger":{"timeBeforeExpiry":"P30D"},"action":{"type":"Notify"}}],"attributes":{"expiryTime":"P2Y"}}"#
        );
        assert_eq!(RotationPolicy::parse(&text).unwrap(), policy);
        assert_eq!(RotationPolicy::parse("{}").unwrap(), RotationPolicy::default());
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        for (from, to) in [
            ("Notify", "rotate"),
            ("Notify", "Delete"),
            ("P90D", "90 days"),
            (r#""P90D","timeBeforeExpiry":null"#, r#""P90D","timeBeforeExpiry":"P1D""#),
            (r#""timeBeforeExpiry":"P30D""#, ""),
            ("P2Y", "P1D"),
            (r#""expiryTime":"P2Y""#, r#""expiryTime":"P2Y","expiryTime":"P3Y""#),
        ] {
            let text = GOOD.replacen(from, to, 1);
            assert_ne!(text, GOOD);
            assert_eq!(RotationPolicy::parse(&text).map_err(|e| e.code()), Err("malformed"), "{to}");
        }
        for text in ["", "[]", "null", "{\"lifetimeActions\":{}}"] {
            assert_eq!(RotationPolicy::parse(text).map_err(|e| e.code()), Err("malformed"), "{text}");
        }
        let long = " ".repeat(LONGEST + 1);
        assert_eq!(RotationPolicy::parse(&long).map_err(|e| e.code()), Err("too-large"));
    }
}
