//! What can be wrong with a query, or with what it meets.
//! JMESPath specification, "Errors"; bad inputs, rows POL-02 and POL-04.

use super::{DEPTH, QUERY_BYTES};
use crate::fuel::Exhausted;

/// Why a query has no answer. Offsets are bytes of the query's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The text is no query.
    #[error("{message} at offset {offset} of the query")]
    Syntax {
        /// Where.
        offset: usize,
        /// What is wrong there.
        message: String,
    },
    /// The text is longer than [`QUERY_BYTES`].
    #[error("query of {bytes} bytes is longer than {QUERY_BYTES}")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// Expressions stand within expressions more than [`DEPTH`] times.
    #[error("query is nested deeper than {DEPTH} at offset {offset}")]
    TooDeep {
        /// Where the bound is passed.
        offset: usize,
    },
    /// No function has that name.
    #[error("unknown function `{name}` at offset {offset} of the query")]
    UnknownFunction {
        /// Where the name stands.
        offset: usize,
        /// The name, cut to 64 characters.
        name: String,
    },
    /// A function is given too few or too many arguments.
    #[error("function `{function}` takes {expected}, not {found}, at offset {offset} of the query")]
    Arity {
        /// Where the name stands.
        offset: usize,
        /// Its name.
        function: &'static str,
        /// What it takes, for example `2 arguments`.
        expected: &'static str,
        /// How many there are.
        found: usize,
    },
    /// A function is given a value that it does not take.
    #[error(
        "function `{function}` takes {expected} as argument {argument}, not {found}, at offset {offset} of the query"
    )]
    Type {
        /// Where the function's name stands.
        offset: usize,
        /// Its name.
        function: &'static str,
        /// Which argument, from 1.
        argument: usize,
        /// What it takes.
        expected: &'static str,
        /// What it is given: JMESPath's name of the type, `expression`, or for an element that name too.
        found: &'static str,
    },
    /// A value of the right type that means nothing: a slice step of zero, a sum beyond all numbers.
    #[error("{message} at offset {offset} of the query")]
    Value {
        /// Where.
        offset: usize,
        /// What is wrong.
        message: &'static str,
    },
    /// The query puts more than [`DEPTH`] lists or objects around its data, or the data itself has no end of them.
    #[error("value is nested too deeply")]
    Nested,
    /// The budget is spent.
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
}

impl Fault {
    /// The specification's word for it: `syntax`, `invalid-type`, `invalid-arity`, `unknown-function`, `invalid-value`;
    /// and ours for the bounds: `too-large`, `budget-exceeded`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "syntax",
            Self::TooLarge { .. } | Self::TooDeep { .. } | Self::Nested => "too-large",
            Self::UnknownFunction { .. } => "unknown-function",
            Self::Arity { .. } => "invalid-arity",
            Self::Type { .. } => "invalid-type",
            Self::Value { .. } => "invalid-value",
            Self::Exhausted(exhausted) => exhausted.code(),
        }
    }

    /// Where in the query, if the fault has a place there.
    #[must_use]
    pub const fn offset(&self) -> Option<usize> {
        match self {
            Self::Syntax { offset, .. }
            | Self::TooDeep { offset }
            | Self::UnknownFunction { offset, .. }
            | Self::Arity { offset, .. }
            | Self::Type { offset, .. }
            | Self::Value { offset, .. } => Some(*offset),
            Self::TooLarge { .. } | Self::Nested | Self::Exhausted(_) => None,
        }
    }

    pub(super) fn syntax(offset: usize, message: impl Into<String>) -> Self {
        Self::Syntax { offset, message: message.into() }
    }
}
