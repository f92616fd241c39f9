//! `keys`, `values`, `merge`: order is that of the data.
//! JMESPath specification, "Functions".

use std::collections::BTreeMap;

use super::super::fault::Fault;
use super::super::interpreter::Interpreter;
use super::super::node::Node;
use super::arguments::Arguments;

pub(super) fn keys<'a>(run: &mut Interpreter<'_>, given: &Arguments<'a>) -> Result<Node<'a>, Fault> {
    let members = given.object(0)?;
    run.fuel.step(members.len() as u64)?;
    run.room(members.len())?;
    Node::list(members.iter().map(|(name, _)| Node::Word(name)).collect())
}

pub(super) fn values<'a>(run: &mut Interpreter<'_>, given: &Arguments<'a>) -> Result<Node<'a>, Fault> {
    let members = given.object(0)?;
    run.fuel.step(members.len() as u64)?;
    run.room(members.len())?;
    Node::list(members.iter().map(|(_, value)| value).collect())
}

/// The last value of a name counts, at the place where the name stands first.
pub(super) fn merge<'a>(run: &mut Interpreter<'_>, given: &Arguments<'a>) -> Result<Node<'a>, Fault> {
    let mut merged: Vec<(&'a str, Node<'a>)> = Vec::new();
    let mut places: BTreeMap<&'a str, usize> = BTreeMap::new();
    for index in 0..given.count() {
        let members = given.object(index)?;
        run.fuel.step(2 * members.len() as u64)?;
        run.members(members.len())?;
        for (name, value) in members.iter() {
            run.look(name.len().saturating_mul(4))?;
            let place = *places.entry(name).or_insert(merged.len());
            match merged.get_mut(place) {
                Some((_, earlier)) => *earlier = value,
                None => merged.push((name, value)),
            }
        }
    }
    Node::object(merged)
}
