//! The release half: one rule per operation of a key, the options beside it, and the decision.
//! Secure key release, sections 1, 2 and 7; native API, section 5.

mod admit;
mod authority;
mod decision;
mod document;
mod eval;
mod guards;
mod lint;
mod operand;
mod options;
mod path;
mod print;
mod rule;

pub use decision::{Asked, Authority, Decision, FreshnessShown, Leaf, LeafKind, Observed, RuleName};
pub use document::KeyRules;
pub use options::{Clear, Explain, Freshness, Options, Tcb, TcbStatus, Wrappings};
pub use rule::ReleaseRule;
