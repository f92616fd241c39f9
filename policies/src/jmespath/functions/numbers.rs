//! `abs`, `avg`, `ceil`, `floor`, `sum`, `to_number`: integers stay exact, whole results are integers.
//! JMESPath specification, "Functions"; bad inputs, row JWT-46.

use serde_json::Number;

use super::super::compare::integer;
use super::super::fault::Fault;
use super::super::interpreter::Interpreter;
use super::super::node::{Node, View};
use super::arguments::Arguments;

pub(super) fn abs<'a>(given: &Arguments<'a>) -> Result<Node<'a>, Fault> {
    let number = given.number(0)?;
    let found = match integer(number) {
        Some(integer) => whole(integer.abs()),
        None => number.as_f64().and_then(|float| Number::from_f64(float.abs())),
    };
    found.map(Node::Number).ok_or_else(|| given.meaningless(BEYOND))
}

/// `ceil` and `floor`.
pub(super) fn round<'a>(given: &Arguments<'a>, how: fn(f64) -> f64) -> Result<Node<'a>, Fault> {
    let number = given.number(0)?;
    let found = match integer(number) {
        Some(integer) => whole(integer),
        None => number.as_f64().map(how).and_then(fraction),
    };
    found.map(Node::Number).ok_or_else(|| given.meaningless(BEYOND))
}

pub(super) fn sum<'a>(run: &mut Interpreter<'_>, given: &Arguments<'a>) -> Result<Node<'a>, Fault> {
    let total = total(run, given)?;
    let found = match total.fractions {
        None => whole(total.integers),
        Some(fractions) => fraction(float(total.integers) + fractions),
    };
    found.map(Node::Number).ok_or_else(|| given.meaningless(BEYOND))
}

pub(super) fn avg<'a>(run: &mut Interpreter<'_>, given: &Arguments<'a>) -> Result<Node<'a>, Fault> {
    let total = total(run, given)?;
    let count = i128::try_from(total.count).unwrap_or(i128::MAX);
    let found = match total.fractions {
        _ if count == 0 => return Ok(Node::null()),
        None if total.integers % count == 0 => whole(total.integers / count),
        fractions => fraction((float(total.integers) + fractions.unwrap_or(0.0)) / float(count)),
    };
    found.map(Node::Number).ok_or_else(|| given.meaningless(BEYOND))
}

/// A string that is a JSON number is that number; an integer beyond 64 bits is none that we could hold exactly.
pub(super) fn to_number<'a>(run: &mut Interpreter<'_>, given: &Arguments<'a>) -> Result<Node<'a>, Fault> {
    let value = given.value(0)?;
    match value.view() {
        View::Number(_) => Ok(value.clone()),
        View::Text(text) => {
            run.look(text.len())?;
            let begins = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
            let ends = text.ends_with(|last: char| last.is_ascii_digit());
            let read = if begins && ends { serde_json::from_str::<Number>(text).ok() } else { None };
            let exact = |number: &Number| integer(number).is_some() || text.contains(['.', 'e', 'E']) || text == "-0";
            Ok(read.filter(exact).map_or_else(Node::null, Node::Number))
        }
        _ => Ok(Node::null()),
    }
}

const BEYOND: &str = "result is beyond the numbers there are";

/// Integers summed exactly, fractions beside them if there are any.
struct Total {
    count: usize,
    integers: i128,
    fractions: Option<f64>,
}

fn total(run: &mut Interpreter<'_>, given: &Arguments<'_>) -> Result<Total, Fault> {
    let list = given.list(0)?;
    run.fuel.step(list.len() as u64)?;
    let mut total = Total { count: list.len(), integers: 0, fractions: None };
    for element in list.iter() {
        let Some(number) = element.as_number() else {
            return Err(given.wrong_within(0, "an array of numbers", &element));
        };
        match integer(number) {
            Some(integer) => total.integers = total.integers.saturating_add(integer),
            None => total.fractions = Some(total.fractions.unwrap_or(0.0) + number.as_f64().unwrap_or(0.0)),
        }
    }
    Ok(total)
}

fn whole(integer: i128) -> Option<Number> {
    u64::try_from(integer).map(Number::from).or_else(|_| i64::try_from(integer).map(Number::from)).ok()
}

/// Two to the 53rd: up to here every whole float is one integer and no other.
const EXACT: f64 = 9_007_199_254_740_992.0;

fn fraction(float: f64) -> Option<Number> {
    if float.fract() == 0.0 && float.abs() <= EXACT {
        #[allow(clippy::cast_possible_truncation)] // whole, and no larger than 2^53 in magnitude
        return Some(Number::from(float as i64));
    }
    Number::from_f64(float)
}

#[allow(clippy::cast_precision_loss)] // only beside fractions, where the result is a float anyway
const fn float(integer: i128) -> f64 {
    integer as f64
}
