//! The signing keys of the attestation door, as operators see and rotate them.
//!
//! `maa-rest-api.md` section 7: whatever signs is published before. Successors come by schedule too; see `[signing]` in the settings.

use serde_json::Value;

use super::{Desk, Done, Reason, Refusal};
use crate::broker::error::{Code, Fault};

impl Desk<'_> {
    /// Each key with its state: `published` (signs soon), `signing`, `retiring` (what it signed may be alive). The newest one names
    /// the state of the list.
    ///
    /// # Errors
    /// `not-found` where the provider is gone.
    pub fn list_signing_keys(&self) -> Result<(String, Value), Refusal> {
        let provider = self.broker.known_provider(&self.provider)?;
        let told = self.broker.azure_keys(&provider, self.now)?.described(self.now);
        let newest = told.get("keys").and_then(Value::as_array).and_then(|keys| keys.last());
        let kid = newest.and_then(|key| key.get("kid")).and_then(Value::as_str).unwrap_or_default();
        // A kid may hold what an entity tag may not.
        Ok((kid.chars().filter(char::is_ascii_alphanumeric).collect(), told))
    }

    /// Makes a successor now. It signs once it has been published for as long as the settings say.
    ///
    /// # Errors
    /// `conflict` while a successor waits, or where another list was named.
    pub fn rotate_signing_key(&self, reason: &Reason) -> Result<Done, Refusal> {
        let provider = self.broker.known_provider(&self.provider)?;
        let keys = provider.signers().azure();
        let _alone = self.broker.pace.signed();
        let (etag, before) = self.list_signing_keys()?;
        self.expected(&etag)?;
        self.broker.azure_keys(&provider, self.now)?.may_rotate(self.now)?;
        self.note(reason)?;
        if self.ask.dry_run {
            return Ok(Done { object: before.clone(), before, etag, dry_run: true, ..Done::default() });
        }
        keys.rotate(&self.broker.keystore, provider.setup(), self.now)?;
        let (etag, object) = self.list_signing_keys()?;
        if object == before {
            return Err(Fault::new(Code::StoreCorrupt, "").because("a new key is not there").into());
        }
        Ok(Done { object, etag, ..Done::default() })
    }
}
