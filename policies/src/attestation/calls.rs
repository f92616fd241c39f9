//! Expressions over the claims that a rule's conditions met; the six functions among them.
//! Policy language, section 5.
//!
//! Where the page says *one value*, equal values count as one: a set has no doubles.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;

use super::claim_json::{self, Texts, Unreadable};
use super::claims::{Claim, Mark, Property, Scalar};
use super::outcome::EvalFault;
use super::program::{Expr, Pair, Query};
use crate::fuel::Fuel;
use crate::jmespath::{Expression, Fault};

/// What an expression sees.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) claims: &'a [Claim],
    /// The claims that met each condition of the rule.
    pub(super) slots: &'a [Vec<u32>],
}

/// What an expression spends, and what it has read before.
pub(super) struct Purse<'f> {
    pub(super) fuel: &'f mut Fuel,
    pub(super) texts: Texts,
}

/// One member of a set, and where it comes from.
#[derive(Debug, Clone)]
pub(super) struct Item<'a> {
    pub(super) scalar: Scalar<'a>,
    pub(super) mark: Mark,
}

type Evaluated<T> = Result<T, EvalFault>;

/// Bytes of text that one step compares, hashes or copies.
const TEXT_A_STEP: usize = 64;

/// Steps beside the first for work over a text.
pub(super) const fn text_steps(bytes: usize) -> u64 {
    (bytes / TEXT_A_STEP) as u64
}

impl<'a> Scene<'a> {
    /// The set that an expression stands for.
    pub(super) fn set(self, expr: &'a Expr, purse: &mut Purse<'_>) -> Evaluated<Vec<Item<'a>>> {
        let free = |scalar| vec![Item { scalar, mark: Mark::Free }];
        Ok(match expr {
            Expr::Literal(value) => free(value.scalar()),
            Expr::Reference(slot, property) => {
                let found = self.slots.get(*slot).map(Vec::as_slice).unwrap_or_default();
                purse.fuel.step(found.len() as u64)?;
                found.iter().filter_map(|index| self.claim(*index)).map(|claim| item(claim, *property)).collect()
            }
            Expr::JmesPath(json, query) => {
                let (data, query, mark) = self.question(json, query, purse)?;
                let text = query.search_text(&data, purse.fuel).map_err(queried)?;
                vec![Item { scalar: Scalar::Text(Cow::Owned(text)), mark }]
            }
            Expr::JsonToClaimValue(json) => {
                let (value, mark) = self.json_or_text(json, purse)?;
                let mark = if mark > Mark::Free { Mark::Log } else { Mark::Free };
                spread(&value, mark, purse)?
            }
            Expr::NegateBool(truth) => match self.one(truth, "NegateBool", "argument", purse)?.scalar {
                Scalar::Boolean(truth) => free(Scalar::Boolean(!truth)),
                _ => return Err(wrong("NegateBool", "argument is not a boolean")),
            },
            Expr::IsSubsetOf(pair) => free(Scalar::Boolean(self.is_subset(pair, purse)?)),
            Expr::AppendString(pair) => {
                let (head, one) = self.text(&pair.0, "AppendString", "first argument", purse)?;
                let (tail, other) = self.text(&pair.1, "AppendString", "second argument", purse)?;
                let length = head.len() + tail.len();
                purse.fuel.step(1 + text_steps(length))?;
                purse.fuel.bytes(length as u64)?;
                let mut text = head.into_owned();
                text.push_str(&tail);
                vec![Item { scalar: Scalar::Text(Cow::Owned(text)), mark: one.max(other) }]
            }
            Expr::ContainsOnlyValue(pair) => {
                let set = self.set(&pair.0, purse)?;
                let value = self.one(&pair.1, "ContainsOnlyValue", "second argument", purse)?.scalar;
                let mut only = !set.is_empty();
                for member in &set {
                    only &= equal(&member.scalar, &value, purse.fuel)?;
                }
                free(Scalar::Boolean(only))
            }
        })
    }

    pub(super) fn claim(self, index: u32) -> Option<&'a Claim> {
        self.claims.get(usize::try_from(index).ok()?)
    }

    /// The member of a set that has one and needs no list for it: what is written in the policy, and a property of a single claim.
    /// It spends what [`Scene::set`] spends.
    pub(super) fn plain(self, expr: &'a Expr, purse: &mut Purse<'_>) -> Evaluated<Option<Item<'a>>> {
        match expr {
            Expr::Literal(value) => Ok(Some(Item { scalar: value.scalar(), mark: Mark::Free })),
            Expr::Reference(slot, property) => {
                let Some([index]) = self.slots.get(*slot).map(Vec::as_slice) else { return Ok(None) };
                let Some(claim) = self.claim(*index) else { return Ok(None) };
                purse.fuel.step(1)?;
                Ok(Some(item(claim, *property)))
            }
            _ => Ok(None),
        }
    }

    /// The one value of a set.
    pub(super) fn one(
        self,
        expr: &'a Expr,
        function: &'static str,
        which: &str,
        purse: &mut Purse<'_>,
    ) -> Evaluated<Item<'a>> {
        if let Some(only) = self.plain(expr, purse)? {
            return Ok(only);
        }
        let mut members = self.set(expr, purse)?.into_iter();
        let Some(first) = members.next() else {
            return Err(wrong(function, format!("{which} has no value")));
        };
        for member in members {
            if !equal(&member.scalar, &first.scalar, purse.fuel)? {
                return Err(wrong(function, format!("{which} has more than one value")));
            }
        }
        Ok(first)
    }

    fn text(
        self,
        expr: &'a Expr,
        function: &'static str,
        which: &str,
        purse: &mut Purse<'_>,
    ) -> Evaluated<(Cow<'a, str>, Mark)> {
        let item = self.one(expr, function, which, purse)?;
        match item.scalar {
            Scalar::Text(text) => Ok((text, item.mark)),
            _ => Err(wrong(function, format!("{which} is not a string"))),
        }
    }

    fn is_subset(self, pair: &'a Pair, purse: &mut Purse<'_>) -> Evaluated<bool> {
        let (part, whole) = (self.set(&pair.0, purse)?, self.set(&pair.1, purse)?);
        for member in part.iter().chain(&whole) {
            let text = if let Scalar::Text(text) = &member.scalar { text.len() } else { 0 };
            purse.fuel.step(1 + text_steps(text))?;
        }
        let whole: HashSet<&Scalar<'_>> = whole.iter().map(|member| &member.scalar).collect();
        Ok(part.iter().all(|member| whole.contains(&member.scalar)))
    }

    /// Data and query of a `JmesPath`, and the mark of what it gives.
    fn question(self, json: &'a Expr, query: &'a Query, purse: &mut Purse<'_>) -> Evaluated<(Data, Expression, Mark)> {
        const NAME: &str = "JmesPath";
        purse.fuel.step(1)?;
        let (data, mark) = match self.json(json, NAME, purse)? {
            (Ok(data), mark) => (data, mark),
            (Err(_), _) => return Err(wrong(NAME, "first argument is not JSON")),
        };
        match query {
            Query::Parsed(query) => Ok((data, query.clone(), mark)),
            Query::Computed(expr) => {
                let (text, other) = self.text(expr, NAME, "second argument", purse)?;
                if text.is_empty() {
                    return Err(wrong(NAME, "second argument is empty"));
                }
                let query = Expression::parse_metered(&text, purse.fuel).map_err(queried)?;
                Ok((data, query, mark.max(other)))
            }
        }
    }

    /// The value of a JSON text. A query's result is taken as it is, without writing and reading its text; what stands in
    /// a claim is read once. The inner error is a text that is no JSON.
    fn json(
        self,
        expr: &'a Expr,
        function: &'static str,
        purse: &mut Purse<'_>,
    ) -> Evaluated<(Result<Data, Cow<'a, str>>, Mark)> {
        if let Expr::JmesPath(json, query) = expr {
            let (data, query, mark) = self.question(json, query, purse)?;
            let found = query.search(&data, purse.fuel).map_err(queried)?;
            return Ok((Ok(Data::Made(found)), mark));
        }
        let (text, mark) = self.text(expr, function, "first argument", purse)?;
        if text.is_empty() && function == "JmesPath" {
            return Err(wrong(function, "first argument is empty"));
        }
        let read = match self.only_claim(expr) {
            Some(claim) => purse.texts.of_claim(claim, &text, purse.fuel).map(Data::Kept),
            None => claim_json::read(&text, purse.fuel).map(Data::Made),
        };
        match read {
            Ok(data) => Ok((Ok(data), mark)),
            Err(Unreadable::Syntax) => Ok((Err(text), mark)),
            Err(Unreadable::Refused(problem)) => Err(wrong(function, format!("first argument is not read: {problem}"))),
            Err(Unreadable::Exhausted(exhausted)) => Err(exhausted.into()),
        }
    }

    fn only_claim(self, expr: &Expr) -> Option<u32> {
        let Expr::Reference(slot, Property::Value) = expr else { return None };
        self.slots.get(*slot)?.first().copied()
    }

    /// The argument of `JsonToClaimValue`: a text that is no JSON is a string.
    fn json_or_text(self, expr: &'a Expr, purse: &mut Purse<'_>) -> Evaluated<(Data, Mark)> {
        purse.fuel.step(1)?;
        match self.json(expr, "JsonToClaimValue", purse)? {
            (Ok(data), mark) => Ok((data, mark)),
            (Err(text), mark) => {
                purse.fuel.bytes(text.len() as u64)?;
                Ok((Data::Made(Value::String(text.into_owned())), mark))
            }
        }
    }
}

/// JSON that a query made, or that stands in a claim.
enum Data {
    Made(Value),
    Kept(Arc<Value>),
}

impl std::ops::Deref for Data {
    type Target = Value;

    fn deref(&self) -> &Value {
        match self {
            Self::Made(value) => value,
            Self::Kept(value) => value,
        }
    }
}

fn item(claim: &Claim, property: Property) -> Item<'_> {
    let mark = if property == Property::Value { claim.mark } else { Mark::Free };
    Item { scalar: claim.scalar(property), mark }
}

/// The claim values of a JSON value: one for a scalar, one for each element of a list, none for null.
fn spread<'a>(value: &Value, mark: Mark, purse: &mut Purse<'_>) -> Evaluated<Vec<Item<'a>>> {
    let elements = match value {
        Value::Array(elements) => elements.as_slice(),
        other => std::slice::from_ref(other),
    };
    let in_list = value.is_array();
    let mut items = Vec::with_capacity(elements.len());
    for element in elements {
        purse.fuel.step(1)?;
        let scalar = match element {
            Value::Null => continue,
            Value::Bool(truth) => Scalar::Boolean(*truth),
            Value::Number(number) => match number.as_i64() {
                Some(integer) => Scalar::Integer(integer),
                None => return Err(wrong("JsonToClaimValue", "number is no 64-bit integer")),
            },
            Value::String(text) => {
                purse.fuel.bytes(text.len() as u64)?;
                Scalar::Text(Cow::Owned(text.clone()))
            }
            Value::Array(_) | Value::Object(_) if in_list => {
                return Err(wrong("JsonToClaimValue", "element of a list is itself a list or an object"));
            }
            Value::Array(_) | Value::Object(_) => return Err(wrong("JsonToClaimValue", "an object is no claim value")),
        };
        items.push(Item { scalar, mark });
    }
    Ok(items)
}

/// Whether two values are the same; those of different types never are.
pub(super) fn equal(one: &Scalar<'_>, other: &Scalar<'_>, fuel: &mut Fuel) -> Evaluated<bool> {
    let text = match (one, other) {
        (Scalar::Text(one), Scalar::Text(other)) if one.len() == other.len() => one.len(),
        _ => 0,
    };
    fuel.step(1 + text_steps(text))?;
    Ok(one == other)
}

fn queried(fault: Fault) -> EvalFault {
    match fault {
        Fault::Exhausted(exhausted) => EvalFault::Exhausted(exhausted),
        other => wrong("JmesPath", other.to_string()),
    }
}

fn wrong(function: &'static str, problem: impl Into<String>) -> EvalFault {
    EvalFault::Function { function, problem: problem.into() }
}
