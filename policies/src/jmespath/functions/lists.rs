//! `map`, `max`, `max_by`, `min`, `min_by`, `sort`, `sort_by`.
//! JMESPath specification, "Functions"; bad inputs, row POL-04.

use std::cmp::Ordering;

use super::super::compare::numbers;
use super::super::fault::Fault;
use super::super::interpreter::{Interpreter, length};
use super::super::node::Node;
use super::arguments::{Arguments, of_kind};

pub(super) fn map<'a>(run: &mut Interpreter<'_>, given: &Arguments<'a>) -> Result<Node<'a>, Fault> {
    let each = given.reference(0)?;
    let mut found = Vec::new();
    for element in given.list(1)?.iter() {
        let value = run.eval(each, &element)?;
        run.push(&mut found, value)?;
    }
    Node::list(found)
}

/// `max` and `min`: the first element that no other exceeds in that direction.
pub(super) fn extreme<'a>(
    run: &mut Interpreter<'_>,
    given: &Arguments<'a>,
    wanted: Ordering,
) -> Result<Node<'a>, Fault> {
    let mut best: Option<Node<'a>> = None;
    for element in given.scalars(run, 0)?.iter() {
        run.look(text_length(&element))?;
        if best.as_ref().is_none_or(|best| order(&element, best) == wanted) {
            best = Some(element);
        }
    }
    Ok(best.unwrap_or_else(Node::null))
}

/// `max_by` and `min_by`.
pub(super) fn extreme_by<'a>(
    run: &mut Interpreter<'_>,
    given: &Arguments<'a>,
    wanted: Ordering,
) -> Result<Node<'a>, Fault> {
    let mut best: Option<(Node<'a>, Node<'a>)> = None;
    for (key, element) in keyed(run, given)? {
        run.look(text_length(&key))?;
        if best.as_ref().is_none_or(|(best, _)| order(&key, best) == wanted) {
            best = Some((key, element));
        }
    }
    Ok(best.map_or_else(Node::null, |(_, element)| element))
}

pub(super) fn sort<'a>(run: &mut Interpreter<'_>, given: &Arguments<'a>) -> Result<Node<'a>, Fault> {
    let list = given.scalars(run, 0)?;
    run.room(list.len())?;
    let mut sorted: Vec<Node<'a>> = list.iter().collect();
    sorting(run, sorted.iter())?;
    sorted.sort_by(order);
    Node::list(sorted)
}

/// Elements with equal keys keep their order.
pub(super) fn sort_by<'a>(run: &mut Interpreter<'_>, given: &Arguments<'a>) -> Result<Node<'a>, Fault> {
    let mut sorted = keyed(run, given)?;
    sorting(run, sorted.iter().map(|(key, _)| key))?;
    sorted.sort_by(|(left, _), (right, _)| order(left, right));
    Node::list(sorted.into_iter().map(|(_, element)| element).collect())
}

/// Every element of the first argument with what the second gives for it: all numbers, or all strings.
fn keyed<'a>(run: &mut Interpreter<'_>, given: &Arguments<'a>) -> Result<Vec<(Node<'a>, Node<'a>)>, Fault> {
    const EXPECTED: &str = "an expression that gives only numbers or only strings";
    let list = given.list(0)?;
    let by = given.reference(1)?;
    run.room(list.len().saturating_mul(2))?;
    let mut found = Vec::with_capacity(list.len());
    let mut texts = None;
    for element in list.iter() {
        let key = run.eval(by, &element)?;
        if !of_kind(&key, *texts.get_or_insert(key.as_text().is_some())) {
            return Err(given.wrong_within(1, EXPECTED, &key));
        }
        found.push((key, element));
    }
    Ok(found)
}

/// Pays for sorting by `keys` before it is done, since a comparison cannot fail half way: every key is looked at once and
/// once more for every four comparisons that it may take part in.
fn sorting<'n, 'a: 'n>(
    run: &mut Interpreter<'_>,
    keys: impl ExactSizeIterator<Item = &'n Node<'a>>,
) -> Result<(), Fault> {
    let rounds = 1 + u64::from(keys.len().max(1).ilog2()) / 4;
    let looks: u64 = keys.map(|key| 1 + length(text_length(key))).sum();
    Ok(run.fuel.step(looks.saturating_mul(rounds))?)
}

fn text_length(node: &Node<'_>) -> usize {
    node.as_text().map_or(0, str::len)
}

/// Strings by code point, numbers by value; total over a list of only one of them.
fn order(left: &Node<'_>, right: &Node<'_>) -> Ordering {
    match (left.as_text(), right.as_text()) {
        (Some(left), Some(right)) => left.cmp(right),
        _ => left.as_number().zip(right.as_number()).and_then(|(l, r)| numbers(l, r)).unwrap_or(Ordering::Equal),
    }
}
