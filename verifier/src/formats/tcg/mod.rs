//! What the Trusted Computing Group defined and several kinds of evidence share.
//!
//! TCG, *Trusted Platform Module Library*, family 2.0; *PC Client Platform Firmware Profile*.

mod bank;
pub(crate) mod event_log;
pub(crate) mod ima;

pub use bank::{Bank, PcrValues};
