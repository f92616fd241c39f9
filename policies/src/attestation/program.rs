//! A policy made ready: names numbered, identifiers resolved to places, queries parsed.
//! Policy language, sections 4 and 7 (aliases); performance floor, policies: compiled once, nothing is parsed per evaluation.

use crate::jmespath::Expression;

use super::ast::{self, Operator, Section, Verb};
use super::claims::{ClaimValue, Property};
use super::functions::Function;
use super::names::{Names, Numbering};
use super::reserved::is_reserved;

/// The short names that conditions may use for claims of SGX.
const ALIASES: [(&str, &str); 9] = [
    ("$is-debuggable", "x-ms-sgx-is-debuggable"),
    ("$product-id", "x-ms-sgx-product-id"),
    ("$sgx-mrsigner", "x-ms-sgx-mrsigner"),
    ("$sgx-mrenclave", "x-ms-sgx-mrenclave"),
    ("$svn", "x-ms-sgx-svn"),
    ("$tee", "x-ms-attestation-type"),
    ("$maa-ehd", "x-ms-sgx-ehd"),
    ("$aas-ehd", "x-ms-sgx-ehd"),
    ("$maa-attestationcollateral", "x-ms-sgx-collateral"),
];

/// What an alias stands for; any other name stands for itself.
pub(super) fn resolved(name: &str) -> &str {
    ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, claim)| claim)
}

/// Rules in order, and the claim types that their conditions name.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) names: Names,
    authorization: Vec<Rule>,
    issuance: Vec<Rule>,
    /// Conditions of the longest rule.
    pub(super) slots: usize,
}

#[derive(Debug)]
pub(super) struct Rule {
    pub(super) conditions: Vec<Condition>,
    pub(super) action: Action,
}

#[derive(Debug)]
pub(super) struct Condition {
    pub(super) negated: bool,
    /// The number of the type that a claim must have; the test that says so is not among `tests`.
    pub(super) kind: Option<usize>,
    pub(super) tests: Vec<Test>,
    /// Whether an operand has to be worked out.
    pub(super) computes: bool,
}

#[derive(Debug)]
pub(super) struct Test {
    pub(super) property: Property,
    pub(super) operator: Operator,
    pub(super) operand: Expr,
}

#[derive(Debug)]
pub(super) enum Expr {
    Literal(ClaimValue),
    /// A property of the claims that met the rule's condition of that number.
    Reference(usize, Property),
    JmesPath(Box<Expr>, Query),
    JsonToClaimValue(Box<Expr>),
    NegateBool(Box<Expr>),
    IsSubsetOf(Box<Pair>),
    AppendString(Box<Pair>),
    ContainsOnlyValue(Box<Pair>),
}

pub(super) type Pair = (Expr, Expr);

#[derive(Debug)]
pub(super) enum Query {
    /// Written out in the policy.
    Parsed(Expression),
    /// Put together during the evaluation.
    Computed(Box<Expr>),
}

#[derive(Debug)]
pub(super) enum Action {
    Permit,
    Deny,
    Copy(Verb, usize),
    New {
        verb: Verb,
        kind: Expr,
        value: Expr,
        /// Whether the name is the service's own; none where it is put together during the evaluation.
        reserved: Option<bool>,
    },
}

impl Program {
    pub(super) fn of(policy: &ast::Policy) -> Self {
        let mut names = Numbering::default();
        let mut compiled = |section: Section| -> Vec<Rule> {
            policy.rules(section).iter().filter_map(|written| rule(written, &mut names)).collect()
        };
        let (authorization, issuance) = (compiled(Section::Authorization), compiled(Section::Issuance));
        let slots = authorization.iter().chain(&issuance).map(|rule| rule.conditions.len()).max().unwrap_or_default();
        Self { names: names.finish(), authorization, issuance, slots }
    }

    pub(super) fn rules(&self, section: Section) -> &[Rule] {
        match section {
            Section::Configuration => &[],
            Section::Authorization => &self.authorization,
            Section::Issuance => &self.issuance,
        }
    }
}

/// `None` never happens to a rule that was checked: identifiers are bound, queries parse, arguments are as many as needed.
fn rule(written: &ast::Rule, names: &mut Numbering) -> Option<Rule> {
    let mut bound: Vec<Option<&str>> = Vec::new();
    let mut conditions = Vec::new();
    for condition in &written.conditions {
        conditions.push(self::condition(condition, names, &bound)?);
        bound.push(condition.binds.as_ref().map(|name| name.node.as_str()));
    }
    let action = match &written.action {
        ast::Action::Permit => Action::Permit,
        ast::Action::Deny => Action::Deny,
        ast::Action::Make(verb, ast::Made::Copy(name)) => Action::Copy(*verb, slot(&name.node, &bound)?),
        ast::Action::Make(verb, ast::Made::New { kind, value }) => {
            let reserved = match &kind.node {
                ast::Expr::Literal(ClaimValue::Text(name)) => Some(is_reserved(name)),
                _ => None,
            };
            let (kind, value) = (expression(&kind.node, &bound)?, expression(&value.node, &bound)?);
            Action::New { verb: *verb, kind, value, reserved }
        }
    };
    Some(Rule { conditions, action })
}

fn slot(name: &str, bound: &[Option<&str>]) -> Option<usize> {
    bound.iter().position(|mine| *mine == Some(name))
}

fn condition(written: &ast::Condition, names: &mut Numbering, bound: &[Option<&str>]) -> Option<Condition> {
    let mut kind = None;
    let mut tests = Vec::new();
    for test in &written.tests {
        let operator = test.operator.node;
        let operand = match (&test.operand.node, test.property) {
            (ast::Expr::Literal(ClaimValue::Text(name)), Property::Type) => {
                let name = resolved(name);
                if operator == Operator::Equal && kind.is_none() {
                    kind = Some(names.add(name));
                    continue;
                }
                Expr::Literal(ClaimValue::Text(name.to_owned()))
            }
            (other, _) => expression(other, bound)?,
        };
        tests.push(Test { property: test.property, operator, operand });
    }
    let computes = tests.iter().any(|test| !matches!(test.operand, Expr::Literal(_)));
    Some(Condition { negated: written.negated, kind, tests, computes })
}

fn expression(written: &ast::Expr, bound: &[Option<&str>]) -> Option<Expr> {
    let boxed = |expr: &ast::Placed<ast::Expr>| expression(&expr.node, bound).map(Box::new);
    let pair = |first: &ast::Placed<ast::Expr>, second: &ast::Placed<ast::Expr>| {
        Some(Box::new((expression(&first.node, bound)?, expression(&second.node, bound)?)))
    };
    Some(match written {
        ast::Expr::Literal(value) => Expr::Literal(value.clone()),
        ast::Expr::Reference(name, property) => Expr::Reference(slot(&name.node, bound)?, *property),
        ast::Expr::Call(function, arguments) => match (function, arguments.as_slice()) {
            (Function::JmesPath, [json, query]) => {
                let query = match &query.node {
                    ast::Expr::Literal(ClaimValue::Text(text)) => Query::Parsed(Expression::parse(text).ok()?),
                    _ => Query::Computed(boxed(query)?),
                };
                Expr::JmesPath(boxed(json)?, query)
            }
            (Function::JsonToClaimValue, [json]) => Expr::JsonToClaimValue(boxed(json)?),
            (Function::NegateBool, [truth]) => Expr::NegateBool(boxed(truth)?),
            (Function::IsSubsetOf, [part, whole]) => Expr::IsSubsetOf(pair(part, whole)?),
            (Function::AppendString, [head, tail]) => Expr::AppendString(pair(head, tail)?),
            (Function::ContainsOnlyValue, [set, value]) => Expr::ContainsOnlyValue(pair(set, value)?),
            _ => return None,
        },
    })
}
