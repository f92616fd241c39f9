//! What comes of an evaluation: a permit with what is issued, a denial, or a fault. All but the first close the door.
//! Policy language, sections 4 and 8.

use std::fmt;

use serde_json::{Map, Value};

use super::ast::Section;
use super::trace::Trace;
use crate::fuel::Exhausted;
use crate::limits::ISSUED_BYTES;

/// One evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// What came of it.
    pub outcome: Outcome,
    /// What each rule did; empty under [`Tracing::Off`](super::Tracing::Off).
    pub trace: Trace,
    /// Steps it took; the same whether it was traced or not.
    pub steps: u64,
    /// Bytes of values it made, likewise.
    pub bytes: u64,
}

/// What came of an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// At least one `permit()` and no `deny()`.
    Permit {
        /// Claims for the token: a scalar, or a list where a type was issued several times, in order.
        issued: Map<String, Value>,
        /// Properties that steer token and engine, and are never in the token.
        properties: Map<String, Value>,
    },
    /// The policy says no.
    Deny(DenyReason),
    /// The evaluation failed, which is a no as well.
    Error(EvalError),
}

/// Why a policy says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenyReason {
    /// A `deny()` ran.
    Denied,
    /// No `permit()` ran.
    NotPermitted,
}

/// An evaluation that failed, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvalError {
    /// The section of the rule.
    pub section: Section,
    /// The rule, counted from 0 within its section.
    pub rule: usize,
    /// The line of the rule in the text; 0 where the failure is that of the whole.
    pub line: usize,
    /// What failed.
    pub fault: EvalFault,
}

/// What failed. No value of a claim is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EvalFault {
    /// The budget ran out.
    Exhausted(Exhausted),
    /// More is issued than a token may hold.
    IssuedTooMuch,
    /// Raw registers cannot be issued.
    ReadOnly,
    /// A function was given what it does not take.
    Function {
        /// Its name.
        function: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// The type of a claim to be made is not one string.
    Kind(&'static str),
    /// A property that is unknown, has another type, or was set to another value before.
    Property(&'static str),
}

impl EvalFault {
    /// `budget-exceeded` or `policy-error`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Exhausted(_) | Self::IssuedTooMuch => "budget-exceeded",
            Self::ReadOnly | Self::Function { .. } | Self::Kind(_) | Self::Property(_) => "policy-error",
        }
    }
}

impl From<Exhausted> for EvalFault {
    fn from(exhausted: Exhausted) -> Self {
        Self::Exhausted(exhausted)
    }
}

impl fmt::Display for EvalFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exhausted(exhausted) => exhausted.fmt(f),
            Self::IssuedTooMuch => write!(f, "policy issues more than {ISSUED_BYTES} bytes"),
            Self::ReadOnly => f.write_str("value of a read-only claim cannot be issued"),
            Self::Function { function, problem } => write!(f, "{function}: {problem}"),
            Self::Kind(problem) | Self::Property(problem) => f.write_str(problem),
        }
    }
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "{}, rule on line {}: ", self.section.as_str(), self.line)?;
        }
        self.fault.fmt(f)
    }
}

impl std::error::Error for EvalError {}

impl Outcome {
    /// Whether it is a permit.
    #[must_use]
    pub const fn permits(&self) -> bool {
        matches!(self, Self::Permit { .. })
    }

    /// `None` for a permit; `policy-denied`, `policy-error` or `budget-exceeded`.
    #[must_use]
    pub const fn code(&self) -> Option<&'static str> {
        match self {
            Self::Permit { .. } => None,
            Self::Deny(_) => Some("policy-denied"),
            Self::Error(error) => Some(error.fault.code()),
        }
    }

    /// The message of a `PolicyEvaluationError`; empty for a permit.
    #[must_use]
    pub fn azure_message(&self) -> String {
        let reason = match self {
            Self::Permit { .. } => return String::new(),
            Self::Deny(DenyReason::Denied) => "A Deny claim was issued, authorization failed.".to_owned(),
            Self::Deny(DenyReason::NotPermitted) => "A Permit claim was not issued, authorization failed.".to_owned(),
            Self::Error(error) => format!("{error}."),
        };
        format!("A policy evaluation error has occurred. Policy Engine Exception: {reason}")
    }
}
