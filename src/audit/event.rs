//! One record: an allow-list of fields, each with its own way of being made harmless.
//!
//! Threat model P44; `bad-inputs.md` AUD-05 and AUD-06. There is no way to record a text under a name that is not in [`Field`],
//! and no field for anything that a caller presents in confidence: bodies, tokens, plaintexts, run-time data, recipients' keys.
//!
//! Reading a record: `kind` is one of [`kind`], the body is canonical JSON (RFC 8785). Decisions have `decision` (`permit` or
//! `deny`), `operation`, `key`, `code` where denied, `correlation`, and `at` in unix seconds.

use std::collections::BTreeMap;

use keygate_keystore::{ProviderId, Record};
use keygate_policies::canonical;
use keygate_policies::release::{Leaf, Observed};
use openssl::sha::sha256;
use serde_json::{Map, Value, json};

/// Longest text of a field, in characters; more is cut and its digest told.
const LONGEST_TEXT: usize = 256;
/// Longest canonical text of the claims, in bytes; more is replaced by its digest.
const LONGEST_CLAIMS: usize = 32 * 1_024;
/// Most leaves of a decision that are recorded, failed ones first.
const MOST_LEAVES: usize = 64;

/// Kinds of records.
pub mod kind {
    /// A key was used, or its use was denied to a caller whose evidence held.
    pub const USE: &str = "key.use";
    /// The kept answer of an earlier use or attestation was handed out again.
    pub const REPEAT: &str = "repeat";
    /// A token was issued, or denied to a caller whose evidence held.
    pub const ATTESTATION: &str = "attestation";
    /// Refusals of one minute, before evidence held: counted by provider, source prefix and code.
    pub const STRANGERS: &str = "strangers";
    /// A service key was made.
    pub const SERVICE_KEY: &str = "service-key";
    /// The node started, stopped, or changed its fitness.
    pub const NODE: &str = "node";
    /// An operator changed something, or was refused to.
    pub const ADMIN: &str = "admin";
    /// A machine was enrolled, or a step on the way was done or refused.
    pub const ENROLMENT: &str = "enrolment";
    /// Something that an operator must look at.
    pub const ALARM: &str = "alarm";
}

/// Everything that may be recorded beside claims and leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // each name is its own explanation, and its text is its name in the record
pub enum Field {
    After,
    Anchor,
    AttestationKey,
    Audience,
    Before,
    Code,
    Correlation,
    Count,
    Decision,
    Detail,
    Door,
    EndorsementKey,
    Endorsements,
    Evidence,
    ExchangeKey,
    Fitness,
    Forced,
    Freshness,
    Jti,
    Key,
    KeyVersion,
    Kid,
    Minute,
    Object,
    Op,
    OfEntry,
    Policy,
    Purpose,
    Reason,
    Recipient,
    Request,
    RequestId,
    Rule,
    RuleName,
    Samples,
    Serial,
    Source,
    Trial,
    Caller,
    Wrapping,
}

impl Field {
    /// Its name in the record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::After => "after_digest",
            Self::Anchor => "anchor",
            Self::AttestationKey => "attestation_key",
            Self::Audience => "audience",
            Self::Before => "before_digest",
            Self::Caller => "caller",
            Self::Code => "code",
            Self::Correlation => "correlation",
            Self::Count => "count",
            Self::Decision => "decision",
            Self::Detail => "detail",
            Self::Door => "door",
            Self::EndorsementKey => "endorsement_key",
            Self::Endorsements => "endorsements",
            Self::Evidence => "evidence_digest",
            Self::ExchangeKey => "exchange_key",
            Self::Fitness => "fitness",
            Self::Forced => "forced",
            Self::Freshness => "freshness",
            Self::Jti => "jti_digest",
            Self::Key => "key",
            Self::KeyVersion => "version",
            Self::Kid => "kid",
            Self::Minute => "minute",
            Self::Object => "object",
            Self::Op => "operation",
            Self::OfEntry => "of_entry",
            Self::Policy => "policy_digest",
            Self::Purpose => "purpose",
            Self::Reason => "reason",
            Self::Recipient => "recipient",
            Self::Request => "request",
            Self::RequestId => "request_id_digest",
            Self::Rule => "rule_digest",
            Self::RuleName => "rule",
            Self::Samples => "samples",
            Self::Serial => "serial",
            Self::Source => "source",
            Self::Trial => "trial",
            Self::Wrapping => "wrapping",
        }
    }
}

/// A record in the making.
#[derive(Debug, Clone)]
pub struct Event {
    kind: &'static str,
    provider: ProviderId,
    at: i64,
    /// Its members, each in canonical form already: names of ours are ASCII, so that the order of the map is the canonical one.
    members: BTreeMap<&'static str, String>,
}

impl Event {
    /// An event of this kind at this time, unix seconds.
    pub fn new(kind: &'static str, provider: &ProviderId, at: i64) -> Self {
        let members = BTreeMap::from([("at", at.to_string())]);
        Self { kind, provider: provider.clone(), at, members }
    }

    fn member(mut self, name: &'static str, value: &Value) -> Self {
        self.members.insert(name, canonical::text(value));
        self
    }

    /// Words of ours: codes, operations, names that were parsed. Cut if they are long all the same.
    #[must_use]
    pub fn word(self, field: Field, text: &str) -> Self {
        self.member(field.as_str(), &Value::String(short(text)))
    }

    /// A number.
    #[must_use]
    pub fn number(self, field: Field, number: u64) -> Self {
        self.member(field.as_str(), &json!(number))
    }

    /// A digest that was made elsewhere, as base64url.
    #[must_use]
    pub fn digest(self, field: Field, digest: &[u8; 32]) -> Self {
        self.member(field.as_str(), &Value::String(base64url(digest)))
    }

    /// The caller's own text: only its digest is kept.
    #[must_use]
    pub fn hidden(self, field: Field, text: &[u8]) -> Self {
        self.digest(field, &sha256(text))
    }

    /// A short list of words of ours.
    #[must_use]
    pub fn words(self, field: Field, words: &[String]) -> Self {
        let words: Vec<String> = words.iter().take(16).map(|word| short(word)).collect();
        self.member(field.as_str(), &json!(words))
    }

    /// The attested claims; never the presented ones.
    #[must_use]
    pub fn claims(mut self, attested: &Map<String, Value>) -> Self {
        let text = canonical::object_text(attested);
        if text.len() > LONGEST_CLAIMS {
            let instead = json!({"digest": base64url(&sha256(text.as_bytes())), "bytes": text.len()});
            return self.member("claims", &instead);
        }
        self.members.insert("claims", text);
        self
    }

    /// What the decision looked at. What a presented claim was found to be is left out.
    #[must_use]
    pub fn leaves(self, leaves: &[Leaf], presented: &[&str]) -> Self {
        let mut sorted: Vec<&Leaf> = leaves.iter().collect();
        sorted.sort_by_key(|leaf| leaf.result);
        let left_out = sorted.len().saturating_sub(MOST_LEAVES);
        let shown = sorted.into_iter().take(MOST_LEAVES).map(|leaf| {
            let mut leaf = leaf.clone();
            if is_presented(&leaf.path, presented) && !leaf.observed.is_absent() {
                leaf.observed = Observed::Value(json!("(presented)"));
            }
            serde_json::to_value(leaf).unwrap_or(Value::Null)
        });
        let shown = self.member("leaves", &shown.collect());
        if left_out > 0 { shown.member("leaves_left_out", &json!(left_out)) } else { shown }
    }

    /// The record for the journal.
    pub fn record(&self) -> Record {
        let length = self.members.iter().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>();
        let mut body = String::with_capacity(length + 1);
        for (name, value) in &self.members {
            body.push_str(if body.is_empty() { "{\"" } else { ",\"" });
            body.push_str(name);
            body.push_str("\":");
            body.push_str(value);
        }
        body.push('}');
        Record { provider: self.provider.clone(), at: self.at, kind: self.kind.to_owned(), body }
    }
}

/// Whether a leaf's path, dotted or a JSON pointer, lies below one of these names.
fn is_presented(path: &str, names: &[&str]) -> bool {
    let first = path.trim_start_matches('/').split(['.', '/']).next().unwrap_or_default();
    names.contains(&first)
}

/// Cuts a long text and tells the digest of the whole. Control characters are escaped by JSON.
fn short(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        None => text.to_owned(),
        Some((cut, _)) => {
            let digest = base64url(&sha256(text.as_bytes()));
            format!("{}… sha256:{digest}", text.get(..cut).unwrap_or_default())
        }
    }
}

fn base64url(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        Event::new(kind::USE, &ProviderId::parse("default").unwrap(), 1_800_000_000)
    }

    #[test]
    fn aud_05_long_texts_are_cut_and_controls_escaped() {
        let body = event().word(Field::Key, &format!("a\n\"{}", "x".repeat(1 << 20))).record().body;
        assert!(body.len() < 1_000);
        assert!(body.contains(r#"a\n\""#) && body.contains("sha256:"));
        assert!(!body.contains('\n'));
    }

    #[test]
    fn aud_06_hidden_texts_and_presented_claims_are_never_there() {
        let leaf = |path: &str| Leaf {
            path: path.to_owned(),
            operator: "equals",
            expected: json!("wanted"),
            observed: Observed::Value(json!("canary-1")),
            result: false,
            reason: None,
            serial: None,
            kind: keygate_policies::release::LeafKind::Rule,
            at: String::new(),
        };
        let leaves = [leaf("x-ms-runtime.a"), leaf("/x-ms-runtime/a/b"), leaf("x-ms-inittime")];
        let body = event()
            .hidden(Field::Audience, b"canary-2")
            .leaves(&leaves, &["x-ms-runtime", "x-ms-inittime"])
            .record()
            .body;
        assert!(!body.contains("canary"), "{body}");
        assert!(event().leaves(&[leaf("x-ms-runtime2.a")], &["x-ms-runtime"]).record().body.contains("canary-1"));
    }

    #[test]
    fn a_body_is_canonical_json() {
        let claims =
            Map::from_iter([("b\"".to_owned(), json!([1, "é\n"])), ("a".to_owned(), json!({"d": 1, "c": 1.5}))]);
        let event = event().claims(&claims).leaves(&[], &[]).number(Field::OfEntry, 7).word(Field::Key, "\"");
        let body = event.words(Field::Samples, &["x".to_owned()]).digest(Field::Rule, &[7; 32]).record().body;
        let value: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body, canonical::text(&value));
        assert_eq!(value["claims"], Value::Object(claims));
    }

    #[test]
    fn claims_beyond_the_bound_are_a_digest() {
        let claims = Map::from_iter([("a".to_owned(), json!("b".repeat(LONGEST_CLAIMS)))]);
        let body = event().claims(&claims).record().body;
        assert!(body.len() < 500 && body.contains("digest"));
    }
}
