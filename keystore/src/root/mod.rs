//! Root-key providers: where the one secret that opens a store comes from.
//!
//! `store-durability.md` section 4 lists them.

mod file;
mod provider;

pub use file::FileRoot;
pub use provider::{RootKey, RootSecret};
