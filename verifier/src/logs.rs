//! Logs of what was measured, for those who hold the registers that a quote vouched for.
//!
//! A log is not evidence: it says what the registers stand for, and is believed as far as they bear it out. The kinds that carry
//! one check it on the way; this door is for whoever replays a log by itself.

pub use crate::formats::tcg::event_log::{EventLog, LogKind, MAX_EVENTS, MAX_LOG, Registers, Replayed};
pub use crate::formats::tcg::ima::{
    AllowList, ImaLog, MAX_ENTRIES as MAX_IMA_ENTRIES, MAX_LOG as MAX_IMA_LOG, MeasuredFiles,
};
pub use crate::formats::tcg::{Bank, PcrValues};
