//! Reference values: which values of which claims count, by name, as somebody signed for them until some day.
//! RFC 9334, section 8.3 (*Reference Values*); threat model, A6, P7, P20 and P21.
//!
//! [`ReferenceDocument`] is what is signed: it is read once, strictly, and cannot be malformed afterwards. Whether its signature holds,
//! who may sign it and what time it is are the caller's to know; [`References`] holds what that caller found to count at one moment,
//! and is what rules and policies are judged with. Whatever does not count satisfies nothing.

mod document;
mod standing;

pub use document::{LONGEST_LIFE, MOST_CLAIMS, MOST_VALUES, REFERENCE_BYTES, ReferenceDocument, is_reference_name};
pub use standing::{CLAIM_PREFIX, Held, References, Standing};
