//! `starts_with`, `ends_with`, `equals_ignore_case`, `join`.
//! JMESPath specification, "Functions"; policy language, section 5.

use super::super::fault::Fault;
use super::super::interpreter::Interpreter;
use super::super::node::Node;
use super::arguments::Arguments;

/// `starts_with` and `ends_with`.
pub(super) fn affix<'a>(
    run: &mut Interpreter<'_>,
    given: &Arguments<'a>,
    has: fn(&str, &str) -> bool,
) -> Result<Node<'a>, Fault> {
    let (text, part) = (given.text(0)?, given.text(1)?);
    run.look(part.len())?;
    Ok(Node::truth(has(text, part)))
}

/// ASCII letters are folded, nothing else is: no two different characters beyond them ever count as one.
pub(super) fn equals_ignore_case<'a>(run: &mut Interpreter<'_>, given: &Arguments<'a>) -> Result<Node<'a>, Fault> {
    let (left, right) = (given.text(0)?, given.text(1)?);
    run.look(left.len())?;
    Ok(Node::truth(left.eq_ignore_ascii_case(right)))
}

pub(super) fn join<'a>(run: &mut Interpreter<'_>, given: &Arguments<'a>) -> Result<Node<'a>, Fault> {
    let (glue, list) = (given.text(0)?, given.list(1)?);
    run.fuel.step(list.len() as u64)?;
    let mut length = glue.len().saturating_mul(list.len().saturating_sub(1));
    for element in list.iter() {
        match element.as_text() {
            Some(text) => length = length.saturating_add(text.len()),
            None => return Err(given.wrong_within(1, "an array of strings", &element)),
        }
    }
    run.look(length)?;
    run.fuel.bytes(length as u64)?;
    let mut joined = String::with_capacity(length);
    for (index, element) in list.iter().enumerate() {
        if index > 0 {
            joined.push_str(glue);
        }
        joined.push_str(element.as_text().unwrap_or_default());
    }
    Ok(Node::text(joined))
}
