//! A strict JSON reader: one text, one meaning, with the place of every value.
//! RFC 8259; bad inputs, rows JWT-46 to JWT-48, HTTP-07 and HTTP-08.
//!
//! Refused as `malformed`: bytes that are not UTF-8, a byte order mark, anything after the document, duplicate
//! member names (compared after escapes), lone surrogates, a NUL in a member name, integers that do not fit 64 bits.
//! Refused as `too-large`: whatever passes [`Limits`]. A number is an integer only in canonical form: `-0`, `1.0` and
//! `1e0` are [`Kind::Float`], whatever their value.

mod number;
mod reader;
mod text;

use serde_json::{Map, Number, Value};

use crate::diagnostic::{Diagnostic, Span};
use crate::limits::Limits;

/// Reads one JSON document.
///
/// # Errors
/// One [`Diagnostic`] with code `malformed` or `too-large`, at the first place where the text goes wrong.
///
/// ```
/// use keygate_policies::{Limits, json};
///
/// let node = json::parse(br#"{"svn": 9007199254740993}"#, &Limits::request(1024))?;
/// assert_eq!(node.get("svn").map(|svn| svn.to_value()), Some(9_007_199_254_740_993_u64.into()));
///
/// let twice = json::parse(br#"{"a": 1, "\u0061": 2}"#, &Limits::request(1024)).unwrap_err();
/// assert_eq!((twice.code, twice.column), ("malformed", 10));
/// # Ok::<(), keygate_policies::Diagnostic>(())
/// ```
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Node, Diagnostic> {
    reader::read(bytes, limits)
}

/// A value and its place in the text.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What the value is.
    pub kind: Kind,
    /// Where it stands.
    pub span: Span,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer in canonical form, within i64 or u64.
    Integer(i128),
    /// Any other number: with a fraction, an exponent, or a minus before zero.
    Float(f64),
    /// A string, escapes read.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// An object, members as written; no name stands twice.
    Object(Vec<Member>),
}

/// A member of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Name, escapes read.
    pub name: String,
    /// Place of the name with its quotes.
    pub name_span: Span,
    /// Value.
    pub value: Node,
}

impl Node {
    /// The members, if this is an object.
    #[must_use]
    pub fn as_object(&self) -> Option<&[Member]> {
        match &self.kind {
            Kind::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The elements, if this is a list.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.kind {
            Kind::List(nodes) => Some(nodes),
            _ => None,
        }
    }

    /// The text, if this is a string.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, if this is one in canonical form.
    #[must_use]
    pub fn as_integer(&self) -> Option<i128> {
        match self.kind {
            Kind::Integer(integer) => Some(integer),
            _ => None,
        }
    }

    /// The truth value, if this is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self.kind {
            Kind::Bool(truth) => Some(truth),
            _ => None,
        }
    }

    /// The member of that exact name, if this is an object that has it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.as_object()?.iter().find(|member| member.name == name).map(|member| &member.value)
    }

    /// What this is, for a message: `a list`, `a string`.
    #[must_use]
    pub fn describe(&self) -> &'static str {
        match self.kind {
            Kind::Null => "null",
            Kind::Bool(_) => "a truth value",
            Kind::Integer(_) => "an integer",
            Kind::Float(_) => "a number that is no integer in canonical form",
            Kind::Text(_) => "a string",
            Kind::List(_) => "a list",
            Kind::Object(_) => "an object",
        }
    }

    /// The same value without places. Integers stay exact.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(truth) => Value::Bool(*truth),
            Kind::Integer(integer) => integer_value(*integer),
            Kind::Float(float) => Number::from_f64(*float).map_or(Value::Null, Value::Number),
            Kind::Text(text) => Value::String(text.clone()),
            Kind::List(nodes) => Value::Array(nodes.iter().map(Node::to_value).collect()),
            Kind::Object(members) => Value::Object(
                members.iter().map(|member| (member.name.clone(), member.value.to_value())).collect::<Map<_, _>>(),
            ),
        }
    }
}

/// The reader admits nothing outside i64 and u64, so one of the two always fits.
pub(crate) fn integer_value(integer: i128) -> Value {
    match (u64::try_from(integer), i64::try_from(integer)) {
        (Ok(unsigned), _) => Value::from(unsigned),
        (_, Ok(signed)) => Value::from(signed),
        _ => Value::String(integer.to_string()),
    }
}
