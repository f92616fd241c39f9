//! Claims and rules in, a decision with its reasons out.
//! Secure key release, sections 1, 2 and 7; native API, section 5.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::result_large_err)] // a diagnostic ends the reading of a document: no hot path returns one

pub mod canonical;
mod diagnostic;
pub mod json;
mod limits;
pub mod release;

pub use diagnostic::{Diagnostic, Severity, Span};
pub use limits::Limits;
pub use release::{Asked, Authority, Decision, FreshnessShown, KeyRules, ReleaseRule};
