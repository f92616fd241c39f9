//! Front doors: each translates one dialect into the broker's words and its answers back. A door holds no rule, no cache, no key.
//!
//! Doors do not know each other; what ours share is [`problem`].

pub mod admin;
pub mod native;
pub mod problem;
