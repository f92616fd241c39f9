//! The admin door over a real store: who may do what, on which state, for what reason, and what is recorded of it.
//!
//! `native-api.md` sections 2 and 3; threat model P24, P45, P46, P48. One binary, one file a topic; `office.rs` is what they share.

#[path = "../service/broker.rs"]
#[allow(dead_code)]
mod broker;
mod credentials;
mod enrolments;
mod journal;
mod keys;
mod office;
mod policies;
mod references;
mod roles;
mod rules;
mod states;
