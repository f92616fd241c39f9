//! Front doors: each translates a dialect of HTTP into the broker's words and back. A door holds no rule, no cache and no key.
//!
//! Doors do not know each other; they share the shape of a refusal, [`problem`], of what a caller shows (`proof`), and what a
//! head says alike in both of Azure's dialects (`head`).

pub mod admin;
mod head;
pub mod keyvault;
pub mod maa;
pub mod native;
pub mod problem;
mod proof;
