//! What a policy is, as written: sections, rules, conditions, actions, with the place of each.
//! Policy language, section 2.
//!
//! Two trees are equal where they mean the same text up to space, comments and the case of section names: places do not
//! count.

use crate::diagnostic::Span;

use super::claims::{ClaimValue, Property};
use super::functions::Function;

/// A node and its place. Equality looks at the node alone.
#[derive(Debug, Clone)]
pub(super) struct Placed<T> {
    pub(super) node: T,
    pub(super) span: Span,
}

impl<T> Placed<T> {
    pub(super) const fn new(node: T, span: Span) -> Self {
        Self { node, span }
    }
}

impl<T: PartialEq> PartialEq for Placed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.node == other.node
    }
}

/// The version a policy declares; it says what the rest of the text may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// `1.0`: authorization and issuance.
    V1_0,
    /// `1.1`: configuration too.
    V1_1,
    /// `1.2`: negated conditions and functions too.
    V1_2,
}

impl Version {
    pub(super) const ALL: [Self; 3] = [Self::V1_0, Self::V1_1, Self::V1_2];

    /// As written: `1.0`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
        }
    }
}

/// A section of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Section {
    /// `configurationrules`: how evidence is verified.
    Configuration,
    /// `authorizationrules`: whether anything is issued at all.
    Authorization,
    /// `issuancerules`: what the token says.
    Issuance,
}

impl Section {
    pub(super) const ALL: [Self; 3] = [Self::Configuration, Self::Authorization, Self::Issuance];

    /// As written, in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configurationrules",
            Self::Authorization => "authorizationrules",
            Self::Issuance => "issuancerules",
        }
    }

    /// The segment of a failing rule's path.
    pub(super) const fn segment(self) -> &'static str {
        match self {
            Self::Configuration => "configurationRules",
            Self::Authorization => "authorizationRules",
            Self::Issuance => "issuanceRules",
        }
    }
}

/// The whole text. A section that is absent is not the same as one that is empty.
#[derive(Debug, PartialEq)]
pub(super) struct Policy {
    pub(super) version: Version,
    pub(super) configuration: Option<Vec<Rule>>,
    pub(super) authorization: Vec<Rule>,
    pub(super) issuance: Option<Vec<Rule>>,
}

impl Policy {
    /// The rules of a section, none where it is absent.
    pub(super) fn rules(&self, section: Section) -> &[Rule] {
        match section {
            Section::Configuration => self.configuration.as_deref().unwrap_or_default(),
            Section::Authorization => &self.authorization,
            Section::Issuance => self.issuance.as_deref().unwrap_or_default(),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) conditions: Vec<Condition>,
    pub(super) action: Action,
    /// From the first condition, or the arrow, to the semicolon.
    pub(super) span: Span,
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.conditions == other.conditions && self.action == other.action
    }
}

#[derive(Debug, Clone)]
pub(super) struct Condition {
    pub(super) negated: bool,
    pub(super) binds: Option<Placed<String>>,
    pub(super) tests: Vec<Test>,
    pub(super) span: Span,
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.negated == other.negated && self.binds == other.binds && self.tests == other.tests
    }
}

/// `value >= 2`
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Test {
    pub(super) property: Property,
    pub(super) operator: Placed<Operator>,
    pub(super) operand: Placed<Expr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    pub(super) const ALL: [Self; 6] =
        [Self::Equal, Self::NotEqual, Self::LessOrEqual, Self::Less, Self::GreaterOrEqual, Self::Greater];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    pub(super) const fn orders(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expr {
    Literal(ClaimValue),
    Reference(Placed<String>, Property),
    Call(Function, Vec<Placed<Expr>>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    Permit,
    Deny,
    Make(Verb, Made),
}

/// What an action does with the claims it makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// Later rules see them.
    Add,
    /// The token says them too.
    Issue,
    /// They steer the engine and are never in the token.
    IssueProperty,
}

impl Verb {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Issue => "issue",
            Self::IssueProperty => "issueproperty",
        }
    }
}

impl Action {
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Deny => "deny",
            Self::Make(verb, _) => verb.as_str(),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Made {
    /// `claim = c`
    Copy(Placed<String>),
    /// `type = …, value = …`
    New { kind: Placed<Expr>, value: Placed<Expr> },
}
