//! The claims of a checked log, assembled. The table stands in `docs/evidence/event-logs.md`.

use serde_json::{Map, Value, json};

use crate::error::VerifyError;

use super::secure_boot::SecureBoot;
use super::windows::{self, Tagged};
use super::{Replayed, applications, loaders};

impl Replayed<'_> {
    /// What the log says, as far as it is believed: an object for rules, the same for a TPM and for a TDX guest.
    ///
    /// # Errors
    /// `malformed.signature-list`, `too-large.signature-list`, `too-large.sipa`.
    pub fn claims(&self) -> Result<Map<String, Value>, VerifyError> {
        let mut claims = Map::new();
        claims.insert("bank".into(), json!(self.bank().as_str()));
        claims.insert("event_count".into(), json!(self.events.len()));
        // Without them the log was refused; a rule may name what it relies on.
        claims.insert("separators_ok".into(), json!(true));
        applications::firmware_version(self, &mut claims);
        SecureBoot::of(self).claims(self.kind(), &mut claims)?;
        applications::claims(self, &mut claims);
        loaders::claims(self, &mut claims);
        windows::claims(self, &Tagged::of(self)?, &mut claims);
        if self.tail.dynamic_launch {
            claims.insert("dynamic_launch".into(), json!(true));
        }
        Ok(claims)
    }
}
