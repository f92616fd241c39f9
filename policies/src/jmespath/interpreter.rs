//! A tree applied to a value, step by metered step.
//! JMESPath specification, each construct; threat model, P22.

use std::cmp::Ordering;

use serde_json::Value;

use super::ast::{Ast, Comparator, Over, Projection, Slice};
use super::compare;
use super::fault::Fault;
use super::functions;
use super::node::Node;
use crate::fuel::Fuel;

/// Bytes that an element of a list made on the way takes, and a member of an object.
const ELEMENT: u64 = 48;
const MEMBER: u64 = 80;

/// The steps that looking at `bytes` bytes takes: one for every 128.
pub(super) const fn length(bytes: usize) -> u64 {
    (bytes / 128) as u64
}

/// What `ast` finds in `data`.
pub(super) fn run<'a>(ast: &'a Ast, data: &'a Value, fuel: &mut Fuel) -> Result<Node<'a>, Fault> {
    Interpreter { fuel }.eval(ast, &Node::Data(data))
}

/// The budget, and what spends it.
pub(super) struct Interpreter<'f> {
    pub(super) fuel: &'f mut Fuel,
}

impl Interpreter<'_> {
    /// The value of `ast` where `at` is the current node.
    pub(super) fn eval<'a>(&mut self, ast: &'a Ast, at: &Node<'a>) -> Result<Node<'a>, Fault> {
        self.fuel.step(1)?;
        match ast {
            Ast::Current => Ok(at.clone()),
            Ast::Field(name) => self.field(name, at),
            Ast::Index(index) => Ok(element(at, *index)),
            Ast::Slice(slice) => self.slice(slice, at),
            Ast::Literal(value) => Ok(Node::Data(value)),
            Ast::Chain(parts) => {
                let mut found = at.clone();
                for part in parts {
                    found = self.eval(part, &found)?;
                }
                Ok(found)
            }
            Ast::Or(parts) => self.first(parts, at, true),
            Ast::And(parts) => self.first(parts, at, false),
            Ast::Not(inner) => Ok(Node::truth(!self.eval(inner, at)?.is_true())),
            Ast::Compare(left, comparator, right) => {
                let (left, right) = (self.eval(left, at)?, self.eval(right, at)?);
                self.compare(&left, *comparator, &right)
            }
            Ast::Project(projection) => self.project(projection, at),
            Ast::List(_) | Ast::Hash(_) if at.is_null() => Ok(Node::null()),
            Ast::List(parts) => {
                self.room(parts.len())?;
                let parts = parts.iter().map(|part| self.eval(part, at)).collect::<Result<_, _>>()?;
                Node::list(parts)
            }
            Ast::Hash(parts) => {
                self.members(parts.len())?;
                let member = |(name, part): &'a (String, Ast)| Ok((name.as_str(), self.eval(part, at)?));
                Node::object(parts.iter().map(member).collect::<Result<_, Fault>>()?)
            }
            Ast::Call(call) => functions::call(self, call, at),
        }
    }

    /// Pays for a list of `count` elements before it is made.
    pub(super) fn room(&mut self, count: usize) -> Result<(), Fault> {
        Ok(self.fuel.bytes(ELEMENT * (1 + count as u64))?)
    }

    /// Pays for an object of `count` members before it is made.
    pub(super) fn members(&mut self, count: usize) -> Result<(), Fault> {
        Ok(self.fuel.bytes(MEMBER * (1 + count as u64))?)
    }

    /// Pays for looking at `bytes` bytes of text.
    pub(super) fn look(&mut self, bytes: usize) -> Result<(), Fault> {
        Ok(self.fuel.step(length(bytes))?)
    }

    /// Adds one element to a list, paid for by step and bytes.
    pub(super) fn push<'a>(&mut self, list: &mut Vec<Node<'a>>, node: Node<'a>) -> Result<(), Fault> {
        self.fuel.step(1)?;
        self.fuel.bytes(ELEMENT)?;
        list.push(node);
        Ok(())
    }

    fn field<'a>(&mut self, name: &str, at: &Node<'a>) -> Result<Node<'a>, Fault> {
        let Some(members) = at.as_object() else { return Ok(Node::null()) };
        self.fuel.step(length(name.len() + members.search_length() * 16))?;
        Ok(members.get(name).unwrap_or_else(Node::null))
    }

    /// The first of `parts` that is true, or that is false; otherwise the last.
    fn first<'a>(&mut self, parts: &'a [Ast], at: &Node<'a>, wanted: bool) -> Result<Node<'a>, Fault> {
        let mut found = Node::null();
        for part in parts {
            found = self.eval(part, at)?;
            if found.is_true() == wanted {
                break;
            }
        }
        Ok(found)
    }

    fn compare<'a>(&mut self, left: &Node<'_>, by: Comparator, right: &Node<'_>) -> Result<Node<'a>, Fault> {
        let order = || left.as_number().zip(right.as_number()).and_then(|(left, right)| compare::numbers(left, right));
        let holds = match by {
            Comparator::Equal => Some(compare::equal(left, right, self.fuel)?),
            Comparator::NotEqual => Some(!compare::equal(left, right, self.fuel)?),
            Comparator::Less => order().map(Ordering::is_lt),
            Comparator::LessOrEqual => order().map(Ordering::is_le),
            Comparator::Greater => order().map(Ordering::is_gt),
            Comparator::GreaterOrEqual => order().map(Ordering::is_ge),
        };
        Ok(holds.map_or_else(Node::null, Node::truth))
    }

    fn project<'a>(&mut self, projection: &'a Projection, at: &Node<'a>) -> Result<Node<'a>, Fault> {
        let source = self.eval(&projection.source, at)?;
        let each = &projection.each;
        let mut found = Vec::new();
        if let Over::Values = projection.over {
            let Some(members) = source.as_object() else { return Ok(Node::null()) };
            for (_, value) in members.iter() {
                self.apply(each, &value, &mut found)?;
            }
            return Node::list(found);
        }
        let Some(elements) = source.as_list() else { return Ok(Node::null()) };
        for element in elements.iter() {
            match &projection.over {
                Over::Filtered(condition) if !self.eval(condition, &element)?.is_true() => {}
                Over::Flattened => match element.as_list() {
                    Some(inner) => {
                        self.fuel.step(1)?;
                        for element in inner.iter() {
                            self.apply(each, &element, &mut found)?;
                        }
                    }
                    None => self.apply(each, &element, &mut found)?,
                },
                _ => self.apply(each, &element, &mut found)?,
            }
        }
        Node::list(found)
    }

    /// `each` applied to one part of a projection; null is dropped.
    fn apply<'a>(&mut self, each: &'a Ast, part: &Node<'a>, found: &mut Vec<Node<'a>>) -> Result<(), Fault> {
        let value = self.eval(each, part)?;
        if value.is_null() { Ok(()) } else { self.push(found, value) }
    }

    fn slice<'a>(&mut self, slice: &Slice, at: &Node<'a>) -> Result<Node<'a>, Fault> {
        let Some(elements) = at.as_list() else { return Ok(Node::null()) };
        let mut found = Vec::new();
        for index in indices(slice, elements.len()) {
            if let Some(element) = elements.get(index) {
                self.push(&mut found, element)?;
            }
        }
        Node::list(found)
    }
}

/// The element at `index`, counted from the end where negative.
fn element<'a>(at: &Node<'a>, index: i64) -> Node<'a> {
    let find = || {
        let elements = at.as_list()?;
        let distance = usize::try_from(index.unsigned_abs()).ok()?;
        elements.get(if index < 0 { elements.len().checked_sub(distance)? } else { distance })
    };
    find().unwrap_or_else(Node::null)
}

/// The places that a slice of a list of `count` elements visits, in its order.
fn indices(slice: &Slice, count: usize) -> impl Iterator<Item = usize> {
    let count = i128::try_from(count).unwrap_or(i128::MAX);
    let step = i128::from(slice.step);
    let (low, high) = if step > 0 { (0, count) } else { (-1, count - 1) };
    let place = |bound: Option<i64>, missing: i128| match bound.map(i128::from) {
        None => missing,
        Some(bound) if bound < 0 => (bound + count).clamp(low, high),
        Some(bound) => bound.clamp(low, high),
    };
    let (first, last) = if step > 0 { (low, high) } else { (high, low) };
    let (mut at, end) = (place(slice.start, first), place(slice.stop, last));
    std::iter::from_fn(move || {
        let inside = if step > 0 { at < end } else { at > end };
        let found = usize::try_from(at).ok().filter(|_| inside);
        at += step;
        found
    })
}
