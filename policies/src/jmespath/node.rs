//! A value during evaluation: a piece of the data or the query as it stands there, or something made on the way.
//! JMESPath specification, "Data types"; threat model, P22.
//!
//! What is made is shared, never copied: a node costs a few words however large the value is. That is why every walk over
//! a whole value ([`super::compare`], [`super::print`]) is metered by itself: two shared levels of ten elements are a
//! hundred elements to whoever walks them.

use std::rc::Rc;

use serde_json::{Map, Number, Value};

use super::DEPTH;
use super::fault::Fault;

/// A value. Data and query outlive the evaluation.
#[derive(Debug, Clone)]
pub(super) enum Node<'a> {
    /// A piece of the data or a literal.
    Data(&'a Value),
    /// A number that was made.
    Number(Number),
    /// A name of a member or of a type.
    Word(&'a str),
    /// A string that was made.
    Text(Rc<String>),
    /// A list that was made.
    List(Rc<Made<Node<'a>>>),
    /// An object that was made; no name stands twice.
    Object(Rc<Made<(&'a str, Node<'a>)>>),
}

/// Parts of a list or object that was made, and how many such levels it has.
#[derive(Debug)]
pub(super) struct Made<T> {
    depth: usize,
    parts: Vec<T>,
}

/// What a value is, for those who look into it.
pub(super) enum View<'n, 'a> {
    Null,
    Bool(bool),
    Number(&'n Number),
    Text(&'n str),
    List(Elements<'n, 'a>),
    Object(Members<'n, 'a>),
}

/// The elements of a list.
#[derive(Clone, Copy)]
pub(super) enum Elements<'n, 'a> {
    Data(&'a [Value]),
    Made(&'n [Node<'a>]),
}

/// The members of an object.
#[derive(Clone, Copy)]
pub(super) enum Members<'n, 'a> {
    Data(&'a Map<String, Value>),
    Made(&'n [(&'a str, Node<'a>)]),
}

static NULL: Value = Value::Null;
static TRUE: Value = Value::Bool(true);
static FALSE: Value = Value::Bool(false);

impl<'a> Node<'a> {
    pub(super) fn null() -> Self {
        Self::Data(&NULL)
    }

    pub(super) fn truth(truth: bool) -> Self {
        Self::Data(if truth { &TRUE } else { &FALSE })
    }

    pub(super) fn text(text: String) -> Self {
        Self::Text(Rc::new(text))
    }

    /// A list of `parts`, one level above the deepest of them.
    pub(super) fn list(parts: Vec<Self>) -> Result<Self, Fault> {
        let depth = level(parts.iter())?;
        Ok(Self::List(Rc::new(Made { depth, parts })))
    }

    /// An object of `parts`, one level above the deepest of them; names are distinct.
    pub(super) fn object(parts: Vec<(&'a str, Self)>) -> Result<Self, Fault> {
        let depth = level(parts.iter().map(|(_, value)| value))?;
        Ok(Self::Object(Rc::new(Made { depth, parts })))
    }

    /// Levels of lists and objects that were made; those of the data are the data's.
    fn depth(&self) -> usize {
        match self {
            Self::List(made) => made.depth,
            Self::Object(made) => made.depth,
            Self::Data(_) | Self::Number(_) | Self::Word(_) | Self::Text(_) => 0,
        }
    }

    pub(super) fn view(&self) -> View<'_, 'a> {
        match self {
            Self::Data(Value::Null) => View::Null,
            Self::Data(Value::Bool(truth)) => View::Bool(*truth),
            Self::Data(Value::Number(number)) | Self::Number(number) => View::Number(number),
            Self::Data(Value::String(text)) => View::Text(text),
            Self::Word(text) => View::Text(text),
            Self::Text(text) => View::Text(text),
            Self::Data(Value::Array(elements)) => View::List(Elements::Data(elements)),
            Self::List(made) => View::List(Elements::Made(&made.parts)),
            Self::Data(Value::Object(members)) => View::Object(Members::Data(members)),
            Self::Object(made) => View::Object(Members::Made(&made.parts)),
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Data(Value::Null))
    }

    /// Everything but null, false, and what is empty.
    pub(super) fn is_true(&self) -> bool {
        match self.view() {
            View::Null => false,
            View::Bool(truth) => truth,
            View::Number(_) => true,
            View::Text(text) => !text.is_empty(),
            View::List(elements) => elements.len() > 0,
            View::Object(members) => members.len() > 0,
        }
    }

    pub(super) fn as_list(&self) -> Option<Elements<'_, 'a>> {
        match self.view() {
            View::List(elements) => Some(elements),
            _ => None,
        }
    }

    pub(super) fn as_object(&self) -> Option<Members<'_, 'a>> {
        match self.view() {
            View::Object(members) => Some(members),
            _ => None,
        }
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match self.view() {
            View::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn as_number(&self) -> Option<&Number> {
        match self.view() {
            View::Number(number) => Some(number),
            _ => None,
        }
    }

    /// JMESPath's name of the type.
    pub(super) fn type_name(&self) -> &'static str {
        match self.view() {
            View::Null => "null",
            View::Bool(_) => "boolean",
            View::Number(_) => "number",
            View::Text(_) => "string",
            View::List(_) => "array",
            View::Object(_) => "object",
        }
    }
}

fn level<'n, 'a: 'n>(parts: impl Iterator<Item = &'n Node<'a>>) -> Result<usize, Fault> {
    let depth = 1 + parts.map(Node::depth).max().unwrap_or(0);
    if depth > DEPTH { Err(Fault::Nested) } else { Ok(depth) }
}

impl<'n, 'a> Elements<'n, 'a> {
    pub(super) fn len(self) -> usize {
        match self {
            Self::Data(values) => values.len(),
            Self::Made(nodes) => nodes.len(),
        }
    }

    pub(super) fn get(self, index: usize) -> Option<Node<'a>> {
        match self {
            Self::Data(values) => values.get(index).map(Node::Data),
            Self::Made(nodes) => nodes.get(index).cloned(),
        }
    }

    pub(super) fn iter(self) -> impl DoubleEndedIterator<Item = Node<'a>> + ExactSizeIterator {
        (0..self.len()).map(move |index| self.get(index).unwrap_or_else(Node::null))
    }
}

impl<'n, 'a> Members<'n, 'a> {
    pub(super) fn len(self) -> usize {
        match self {
            Self::Data(members) => members.len(),
            Self::Made(members) => members.len(),
        }
    }

    pub(super) fn get(self, name: &str) -> Option<Node<'a>> {
        match self {
            Self::Data(members) => members.get(name).map(Node::Data),
            Self::Made(members) => members.iter().find(|(found, _)| *found == name).map(|(_, value)| value.clone()),
        }
    }

    /// How many members a look-up by name may have to pass.
    pub(super) fn search_length(self) -> usize {
        match self {
            Self::Data(_) => 0,
            Self::Made(members) => members.len(),
        }
    }

    pub(super) fn iter(self) -> impl Iterator<Item = (&'a str, Node<'a>)> + use<'n, 'a> {
        let (data, made) = match self {
            Self::Data(members) => (Some(members), None),
            Self::Made(members) => (None, Some(members)),
        };
        let data = data.into_iter().flatten().map(|(name, value)| (name.as_str(), Node::Data(value)));
        data.chain(made.into_iter().flatten().map(|(name, value)| (*name, value.clone())))
    }
}
