//! Equality and order. Numbers by value, exactly; objects without regard to order.
//! JMESPath specification, "Comparison operators"; bad inputs, rows JWT-46 and POL-04.

use std::cmp::Ordering;

use serde_json::Number;

use super::fault::Fault;
use super::interpreter::length;
use super::node::{Node, View};
use super::print::WALK;
use crate::fuel::Fuel;

/// Whether both are the same value.
pub(super) fn equal(left: &Node<'_>, right: &Node<'_>, fuel: &mut Fuel) -> Result<bool, Fault> {
    walk(left, right, WALK, fuel)
}

fn walk(left: &Node<'_>, right: &Node<'_>, levels: usize, fuel: &mut Fuel) -> Result<bool, Fault> {
    fuel.step(1)?;
    let levels = levels.checked_sub(1).ok_or(Fault::Nested)?;
    match (left.view(), right.view()) {
        (View::Null, View::Null) => Ok(true),
        (View::Bool(left), View::Bool(right)) => Ok(left == right),
        (View::Number(left), View::Number(right)) => Ok(numbers(left, right) == Some(Ordering::Equal)),
        (View::Text(left), View::Text(right)) if left.len() == right.len() => {
            fuel.step(length(left.len()))?;
            Ok(left == right)
        }
        (View::List(left), View::List(right)) if left.len() == right.len() => {
            for (left, right) in left.iter().zip(right.iter()) {
                if !walk(&left, &right, levels, fuel)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (View::Object(left), View::Object(right)) if left.len() == right.len() => {
            let search = length(right.search_length() * 16);
            for (name, left) in left.iter() {
                fuel.step(length(name.len()) + search)?;
                let Some(right) = right.get(name) else { return Ok(false) };
                if !walk(&left, &right, levels, fuel)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// The order of two numbers by their exact values, integers and fractions mixed.
pub(super) fn numbers(left: &Number, right: &Number) -> Option<Ordering> {
    match (integer(left), integer(right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        (Some(left), None) => mixed(left, right.as_f64()?),
        (None, Some(right)) => mixed(right, left.as_f64()?).map(Ordering::reverse),
        (None, None) => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

/// The number as an integer, if it is kept as one.
pub(super) fn integer(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

/// Two to the 64th: every integer of ours is below it in magnitude, every whole float below it fits i128.
const BEYOND: f64 = 18_446_744_073_709_551_616.0;

fn mixed(left: i128, right: f64) -> Option<Ordering> {
    if right.is_nan() {
        return None;
    }
    if right >= BEYOND {
        return Some(Ordering::Less);
    }
    if right <= -BEYOND {
        return Some(Ordering::Greater);
    }
    let whole = right.trunc();
    #[allow(clippy::cast_possible_truncation)] // whole, and below 2^64 in magnitude
    let order = left.cmp(&(whole as i128));
    let fraction = right - whole;
    Some(order.then_with(|| 0.0_f64.partial_cmp(&fraction).unwrap_or(Ordering::Equal)))
}
