//! A value that was found becomes JSON text, or a value that stands by itself; both metered.
//! RFC 8259, section 7; threat model, P22.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::fault::Fault;
use super::interpreter::length;
use super::node::{Node, View};
use crate::fuel::Fuel;

/// Levels that a walk over a value goes down: those that a query makes, and 128 of the data.
pub(super) const WALK: usize = super::DEPTH + 128;

/// Bytes that an element of a list takes, and a member of an object besides its name.
const ELEMENT: u64 = 80;
const MEMBER: u64 = 136;

/// Compact JSON.
pub(super) fn to_text(node: &Node<'_>, fuel: &mut Fuel) -> Result<String, Fault> {
    let mut writer = Writer { out: String::new(), fuel };
    writer.value(node, WALK)?;
    Ok(writer.out)
}

/// A copy that borrows nothing.
pub(super) fn to_value(node: &Node<'_>, fuel: &mut Fuel) -> Result<Value, Fault> {
    copy(node, WALK, fuel)
}

fn copy(node: &Node<'_>, levels: usize, fuel: &mut Fuel) -> Result<Value, Fault> {
    fuel.step(1)?;
    let levels = levels.checked_sub(1).ok_or(Fault::Nested)?;
    Ok(match node.view() {
        View::Null => Value::Null,
        View::Bool(truth) => Value::Bool(truth),
        View::Number(number) => Value::Number(number.clone()),
        View::Text(text) => {
            fuel.step(length(text.len()))?;
            fuel.bytes(text.len() as u64)?;
            Value::String(text.to_owned())
        }
        View::List(elements) => {
            fuel.bytes(ELEMENT * elements.len() as u64)?;
            Value::Array(elements.iter().map(|element| copy(&element, levels, fuel)).collect::<Result<_, _>>()?)
        }
        View::Object(members) => {
            fuel.bytes(MEMBER * members.len() as u64)?;
            let mut map = Map::with_capacity(members.len());
            for (name, value) in members.iter() {
                fuel.step(length(name.len()))?;
                fuel.bytes(name.len() as u64)?;
                map.insert(name.to_owned(), copy(&value, levels, fuel)?);
            }
            Value::Object(map)
        }
    })
}

struct Writer<'f> {
    out: String,
    fuel: &'f mut Fuel,
}

impl Writer<'_> {
    fn push(&mut self, text: &str) -> Result<(), Fault> {
        self.fuel.bytes(text.len() as u64)?;
        self.out.push_str(text);
        Ok(())
    }

    fn value(&mut self, node: &Node<'_>, levels: usize) -> Result<(), Fault> {
        self.fuel.step(1)?;
        let levels = levels.checked_sub(1).ok_or(Fault::Nested)?;
        match node.view() {
            View::Null => self.push("null"),
            View::Bool(truth) => self.push(if truth { "true" } else { "false" }),
            View::Number(number) => self.push(&number.to_string()),
            View::Text(text) => self.string(text),
            View::List(elements) => {
                self.push("[")?;
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        self.push(",")?;
                    }
                    self.value(&element, levels)?;
                }
                self.push("]")
            }
            View::Object(members) => {
                self.push("{")?;
                for (index, (name, value)) in members.iter().enumerate() {
                    if index > 0 {
                        self.push(",")?;
                    }
                    self.string(name)?;
                    self.push(":")?;
                    self.value(&value, levels)?;
                }
                self.push("}")
            }
        }
    }

    /// Paid for as a whole, then written: runs without escapes at once, four escapes for a step.
    fn string(&mut self, text: &str) -> Result<(), Fault> {
        let (mut escapes, mut written) = (0_usize, text.len() + 2);
        for byte in text.bytes() {
            let more = match byte {
                b'"' | b'\\' | 0x08 | 0x0c | b'\n' | b'\r' | b'\t' => 1,
                0..=0x1f => 5,
                _ => continue,
            };
            escapes += 1;
            written += more;
        }
        self.fuel.step(length(text.len() + 32 * escapes))?;
        self.fuel.bytes(written as u64)?;
        self.out.reserve(written);
        self.out.push('"');
        if escapes == 0 {
            self.out.push_str(text)
        } else {
            escape(&mut self.out, text)
        }
        self.out.push('"');
        Ok(())
    }
}

fn escape(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(place) = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
        let (run, escaped) = rest.split_at_checked(place).unwrap_or((rest, ""));
        let (first, behind) = escaped.split_at_checked(1).unwrap_or((escaped, ""));
        out.push_str(run);
        match first {
            "\"" => out.push_str("\\\""),
            "\\" => out.push_str("\\\\"),
            "\u{8}" => out.push_str("\\b"),
            "\u{c}" => out.push_str("\\f"),
            "\n" => out.push_str("\\n"),
            "\r" => out.push_str("\\r"),
            "\t" => out.push_str("\\t"),
            control => {
                let _ = write!(out, "\\u{:04x}", control.bytes().next().unwrap_or(0));
            }
        }
        rest = behind;
    }
    out.push_str(rest);
}
