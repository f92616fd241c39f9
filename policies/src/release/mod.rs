//! The release half: one rule per operation of a key, the options beside it, and the decision.
//! Secure key release, sections 1, 2 and 7; native API, section 5.

mod admit;
mod authority;
mod decision;
mod document;
mod eval;
mod guards;
mod lint;
mod named;
pub(crate) mod operand;
mod options;
pub(crate) mod path;
mod print;
mod rule;

pub use decision::{Asked, Authority, Decision, FreshnessShown, Leaf, LeafKind, Observed, RuleName};
pub use document::KeyRules;
pub use named::ReferenceTest;
pub use options::{Clear, Explain, Freshness, Options, Tcb, TcbStatus, Wrappings};
pub use rule::ReleaseRule;

use serde_json::{Map, Value};

/// The claim at a path as rules write it: names parted by dots, or a JSON pointer that begins with `/`.
///
/// # Errors
/// What is wrong with the path.
pub fn claim_at<'c>(path: &str, claims: &'c Map<String, Value>) -> Result<Option<&'c Value>, &'static str> {
    Ok(path::ClaimPath::read(path)?.find(claims))
}
