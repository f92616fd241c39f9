//! The signing keys of the attestation door, as operators see and rotate them.
//!
//! `maa-rest-api.md` section 7: whatever signs is published before. Successors come by schedule too; see `[signing]` in the settings.

use serde_json::{Value, json};

use super::{Desk, Done, Reason, Refusal};
use crate::broker::error::{Code, Fault};

impl Desk<'_> {
    /// Each key with its state: `published` (signs soon), `signing`, `retiring` (what it signed may be alive).
    ///
    /// # Errors
    /// `not-found` where the provider is gone.
    pub fn signing_keys(&self) -> Result<Value, Refusal> {
        Ok(self.broker.known_provider(&self.provider)?.signers().azure().line().described(self.now))
    }

    /// Makes a successor now. It signs once it has been published for as long as the settings say.
    ///
    /// # Errors
    /// `conflict` while a successor waits.
    pub fn rotate_signing_key(&self, reason: &Reason) -> Result<Done, Refusal> {
        let provider = self.broker.known_provider(&self.provider)?;
        let keys = provider.signers().azure();
        let before = keys.line().described(self.now);
        if self.ask.dry_run {
            keys.line().may_rotate(self.now)?;
            return Ok(Done { object: before.clone(), before, dry_run: true, ..Done::default() });
        }
        self.note(reason)?;
        keys.rotate(&self.broker.keystore, provider.setup(), self.now)?;
        let object = keys.line().described(self.now);
        if object == before {
            return Err(Fault::new(Code::StoreCorrupt, "").because("a new key is not there").into());
        }
        Ok(Done { object, before: json!(null), ..Done::default() })
    }
}
