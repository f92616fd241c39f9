//! A query as a tree. Chains are flat, so that `a.b.c` and `a || b || c` are one level deep however long they are.
//! JMESPath specification, "Grammar".

use serde_json::Value;

use super::functions::Function;

/// An expression: given the current node, it has a value.
#[derive(Debug, PartialEq)]
pub(super) enum Ast {
    /// `@`
    Current,
    /// A member's name.
    Field(String),
    /// `[n]`; negative from the end.
    Index(i64),
    /// `[start:stop:step]`
    Slice(Slice),
    /// A literal or a raw string.
    Literal(Value),
    /// Each applied to what the one before it found: sub-expressions, index expressions and pipes.
    Chain(Vec<Self>),
    /// The first that is true, or the last.
    Or(Vec<Self>),
    /// The first that is false, or the last.
    And(Vec<Self>),
    /// `!`
    Not(Box<Self>),
    /// Two sides compared.
    Compare(Box<Self>, Comparator, Box<Self>),
    /// An expression applied to each of many; nulls are dropped.
    Project(Box<Projection>),
    /// `[a, b]`
    List(Vec<Self>),
    /// `{a: b}`
    Hash(Vec<(String, Self)>),
    /// A function and its arguments.
    Call(Call),
}

/// A call, and where the function's name stands.
#[derive(Debug, PartialEq)]
pub(super) struct Call {
    pub(super) function: Function,
    pub(super) arguments: Vec<Argument>,
    pub(super) offset: usize,
}

/// What a function is given.
#[derive(Debug, PartialEq)]
pub(super) enum Argument {
    /// A value.
    Value(Ast),
    /// `&expression`, to be applied by the function.
    Reference(Ast),
}

/// How two sides are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A slice as written; the step is never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) start: Option<i64>,
    pub(super) stop: Option<i64>,
    pub(super) step: i64,
}

/// A projection.
#[derive(Debug, PartialEq)]
pub(super) struct Projection {
    /// What is projected.
    pub(super) source: Ast,
    /// Which parts of it.
    pub(super) over: Over,
    /// What is applied to each part.
    pub(super) each: Ast,
}

/// The parts that a projection visits.
#[derive(Debug, PartialEq)]
pub(super) enum Over {
    /// Elements of a list: `[*]` and slices.
    Elements,
    /// Values of an object: `*`
    Values,
    /// Elements, lists among them opened once: `[]`
    Flattened,
    /// Elements for which this is true: `[?…]`
    Filtered(Ast),
}
