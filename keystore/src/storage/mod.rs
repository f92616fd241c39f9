//! Where rows rest, and the one thread that writes them.
//!
//! `store-durability.md` section 6; `architecture.md` section 6. One backend so far: SQLite.

pub(crate) mod files;
pub(crate) mod purged;
pub(crate) mod sqlite;
pub(crate) mod writer;
