//! What is recorded, what may stand in a record, and what is published of the journal.
//!
//! `architecture.md` section 11, threat model P42 to P45. The chain itself is the keystore's: an entry's predecessor is only
//! known inside the transaction.

pub mod event;
pub mod gather;
pub mod heads;

pub use event::{Event, Field, kind};
pub use gather::Strangers;
