//! The question and the answer: what was shown, whether the key may be used, and why.
//! Secure key release, section 2 item 11; native API, sections 3 (`reasons`) and 7 (`rule try`).

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::reference::References;

/// What an attester shows when it asks for a key.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Who vouches for the claims.
    pub authority: Authority<'a>,
    /// The payload of our token for this evidence, or of the foreign token; already verified.
    pub claims: &'a Map<String, Value>,
    /// How the answer is to be sealed, for example `RSA_AES_KEY_WRAP_256`.
    pub wrapping: &'a str,
    /// How new the evidence was shown to be.
    pub freshness: FreshnessShown,
    /// The reference values that count now, those at least that the rules name.
    pub references: &'a References,
}

/// Who vouches for the claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authority<'a> {
    /// The issuer as configured; the token's own `iss` was compared with it byte for byte before.
    pub issuer: &'a str,
    /// True for this provider's own appraisal of raw evidence; then the authority `self` counts too.
    pub own: bool,
}

/// How new the evidence was shown to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FreshnessShown {
    /// Bound to this very request by a challenge of ours.
    Once,
    /// A token of ours whose challenge was spent `age` seconds ago.
    Session {
        /// Seconds since the challenge was spent.
        age: u64,
    },
    /// A foreign token without our nonce, within the time its issuer says.
    IssuerOnly,
}

/// Permit or deny, with every leaf that was looked at. There is no third outcome.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Decision {
    /// True where the key may be used.
    pub permit: bool,
    /// The code of the denial: `operation-not-allowed`, `freshness-failed`, `chain-untrusted`, `debug-rejected`,
    /// `tcb-rejected`, `rule-not-satisfied` or `policy-denied`; the first that applies, in this order. `None` on permit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// The rule that decided: its own, `default`, or `None` where the operation has neither.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleName>,
    /// Guards first, then the tests of the authorities that vouch, in the order of the document.
    pub leaves: Vec<Leaf>,
}

impl Decision {
    /// The leaves that did not hold: the reasons told to whoever may know them.
    pub fn failed(&self) -> impl Iterator<Item = &Leaf> {
        self.leaves.iter().filter(|leaf| !leaf.result)
    }
}

/// One test of one claim and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Leaf {
    /// The claim: a dotted path, a JSON pointer, or for a guard what it looks at.
    pub path: String,
    /// `equals`, …, or the guard's own: `oneOf`, `within`, `atLeast`, `leftToRule`.
    pub operator: &'static str,
    /// The operand.
    pub expected: Value,
    /// What stood there.
    #[serde(skip_serializing_if = "Observed::is_absent")]
    pub observed: Observed,
    /// Whether it holds.
    pub result: bool,
    /// Of a test against reference values that does not hold, why: `reference-missing`, `reference-expired`, `reference-no-entry` or
    /// `reference-no-match`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Of a test against reference values that holds, the serial of those it was met by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<u64>,
    /// From the key's rule, or a guard beside it.
    pub kind: LeafKind,
    /// Place in the document: `rules.release.anyOf[0].allOf[1]`, `options.tcb.accept`; for guards without option empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub at: String,
}

/// Where a leaf comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LeafKind {
    /// A test of the key's rule.
    Rule,
    /// A safe default or an option of the key (threat model, P9; native API, section 5).
    Guard,
}

/// What a claim was found to be. Long texts are cut, long lists and objects are described, not copied.
#[derive(Debug, Clone, PartialEq)]
pub enum Observed {
    /// No such claim.
    Absent,
    /// The claim.
    Value(Value),
}

impl Observed {
    /// True where there was no such claim.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

impl Serialize for Observed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absent => serializer.serialize_none(),
            Self::Value(value) => value.serialize(serializer),
        }
    }
}

/// The rules a key may hold: one per operation, and one for those without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleName {
    /// For operations without a rule of their own.
    Default,
    /// The key itself, sealed.
    Release,
    /// Decrypt under the key.
    Unwrap,
    /// A fresh data key.
    Generate,
    /// Sign.
    Sign,
    /// Encrypt under the key.
    Wrap,
}

impl RuleName {
    /// All names, `default` first.
    pub const ALL: [Self; 6] = [Self::Default, Self::Release, Self::Unwrap, Self::Generate, Self::Sign, Self::Wrap];

    /// As written in the document.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Release => "release",
            Self::Unwrap => "unwrap",
            Self::Generate => "generate",
            Self::Sign => "sign",
            Self::Wrap => "wrap",
        }
    }

    /// The name as written, exactly.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.as_str() == name)
    }
}
