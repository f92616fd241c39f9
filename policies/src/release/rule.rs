//! A release rule: authorities, each with its conditions. There is no unparsed rule of this type.
//! Secure key release, section 1.

use serde_json::{Map, Value};

use super::admit::Admission;
use super::authority::RuleAuthority;
use super::decision::{Authority, Decision};
use super::operand::{Operand, Operator};
use super::path::ClaimPath;
use super::{eval, print};
use crate::diagnostic::{Diagnostic, Span};
use crate::json::{self, Node};
use crate::limits::Limits;
use crate::reference::References;

/// Key Vault's release policy, parsed: an OR over authorities.
#[derive(Debug, Clone)]
pub struct ReleaseRule {
    pub(crate) version: String,
    pub(crate) alternatives: Vec<Alternative>,
}

/// One authority and what its claims must say.
#[derive(Debug, Clone)]
pub struct Alternative {
    pub(crate) authority: RuleAuthority,
    pub(crate) written: String,
    pub(crate) conditions: Group,
    pub(crate) at: String,
    pub(crate) span: Span,
}

/// A list of conditions, never empty, and how they are joined.
#[derive(Debug, Clone)]
pub struct Group {
    pub(crate) join: Join,
    pub(crate) conditions: Vec<Condition>,
}

/// `allOf` or `anyOf`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// Every condition.
    All,
    /// At least one condition.
    Any,
}

impl Join {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::All => "allOf",
            Self::Any => "anyOf",
        }
    }
}

/// A test, or a list of conditions.
#[derive(Debug, Clone)]
pub enum Condition {
    /// One claim, one operator, one operand.
    Test(Test),
    /// A nested list.
    Group(Group),
}

/// One claim, one operator, one operand.
#[derive(Debug, Clone)]
pub struct Test {
    pub(crate) path: ClaimPath,
    pub(crate) operator: Operator,
    pub(crate) operand: Operand,
    pub(crate) at: String,
    pub(crate) span: Span,
}

impl ReleaseRule {
    /// Reads a bare rule document: `{"version", "anyOf": [authority, …]}`.
    ///
    /// # Errors
    /// Every diagnostic found: `malformed` or `too-large` where it is no JSON, else `rule-invalid`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Vec<Diagnostic>> {
        let node = json::parse(bytes, &Limits::RULES).map_err(|diagnostic| vec![diagnostic])?;
        Self::admit(&node)
    }

    /// The same from a node that was read before, for a rule within a larger document.
    ///
    /// # Errors
    /// As [`ReleaseRule::parse`].
    pub fn admit(node: &Node) -> Result<Self, Vec<Diagnostic>> {
        let mut admission = Admission::default();
        let rule = admission.rule(node, "");
        admission.finish(rule)
    }

    /// The rule alone over one token's claims, without the guards of a key's options and where no reference values count.
    /// The code of a denial is `rule-not-satisfied`.
    #[must_use]
    pub fn evaluate(&self, authority: &Authority<'_>, claims: &Map<String, Value>) -> Decision {
        self.evaluate_with(authority, claims, References::none())
    }

    /// The same with the reference values that count now.
    #[must_use]
    pub fn evaluate_with(
        &self,
        authority: &Authority<'_>,
        claims: &Map<String, Value>,
        references: &References,
    ) -> Decision {
        eval::rule_alone(self, authority, claims, references)
    }

    /// The rule as a JSON value, lists spelled in camel case, all else as written.
    #[must_use]
    pub fn to_value(&self) -> Value {
        print::rule(self)
    }
}

impl Group {
    /// Every test below, in the order of the document.
    pub(crate) fn tests(&self) -> Vec<&Test> {
        let mut tests = Vec::new();
        self.collect(&mut tests);
        tests
    }

    fn collect<'t>(&'t self, tests: &mut Vec<&'t Test>) {
        for condition in &self.conditions {
            match condition {
                Condition::Test(test) => tests.push(test),
                Condition::Group(group) => group.collect(tests),
            }
        }
    }
}
