//! Encryption and authentication at rest.
//!
//! `store-durability.md` sections 2 and 3: working keys by purpose, envelopes bound to their
//! place, authenticated plain columns.

pub(crate) mod derive;
pub(crate) mod envelope;
pub(crate) mod place;
pub(crate) mod ring;
pub(crate) mod secret;

pub(crate) use place::{Cell, Columns, Place, Table};
pub(crate) use ring::KeyRing;
pub(crate) use secret::Secret;
