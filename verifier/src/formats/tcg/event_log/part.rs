//! A log in parts: what it says of some registers alone, and what a later part of the same boot goes on with.

use super::EventLog;
use super::wire::{MAX_EVENTS, PART};
use crate::error::VerifyError;

impl EventLog<'_> {
    /// The log without what was measured into other registers, for a quote that leaves them out: nothing bears them out.
    #[must_use]
    pub fn in_registers(mut self, keep: impl Fn(u32) -> bool) -> Self {
        self.wire.events.retain(|event| keep(event.register));
        self
    }

    /// The log with a later part behind it, such as that of a resume.
    ///
    /// # Errors
    /// `unsupported.event-log`: the later part is of another kind or has digests of other algorithms; `too-large.event-log`: more
    /// events together than are read.
    pub fn followed_by(mut self, later: Self) -> Result<Self, VerifyError> {
        if self.kind != later.kind || self.wire.layout != later.wire.layout {
            return Err(VerifyError::unsupported(PART, "the parts of a log have digests of different algorithms"));
        }
        if self.wire.events.len().saturating_add(later.wire.events.len()) > MAX_EVENTS {
            return Err(VerifyError::too_large(PART, format!("more than {MAX_EVENTS} events")));
        }
        self.wire.events.extend(later.wire.events);
        Ok(self)
    }
}
