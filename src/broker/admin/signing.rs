//! The keys that sign at the attestation door: listed, and followed by a fresh one.
//!
//! `native-api.md` section 2, `maa-rest-api.md` section 7; threat model P18. A fresh key is published before it signs, and one that signs
//! no more for as long as what it signed may live.

use serde_json::Value;

use super::{Desk, Done, Reason, Refusal};

impl Desk<'_> {
    /// The keys in the order they were made, and the entity tag of that list: its newest key.
    ///
    /// # Errors
    /// None; the keys are in memory.
    pub fn list_signing_keys(&self) -> Result<(String, Value), Refusal> {
        let told = self.ask.seat.provider.signers().azure().line().described(self.now);
        let newest = told.get("keys").and_then(Value::as_array).and_then(|keys| keys.last());
        let newest = newest.and_then(|key| key.get("kid")).and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok((newest, told))
    }

    /// Makes a successor of the key that signs: published now, signing once clients had time to read it.
    ///
    /// # Errors
    /// `conflict` while a successor waits, or where another list of keys was named.
    pub fn rotate_signing_key(&self, reason: Reason) -> Result<Done, Refusal> {
        let (etag, before) = self.list_signing_keys()?;
        self.expected(&etag)?;
        let keys = self.ask.seat.provider.signers().azure();
        if !self.ask.dry_run {
            keys.rotate(&self.broker.keystore, self.ask.seat.provider.setup(), self.now)?;
        }
        self.note(&reason)?;
        let (etag, after) = self.list_signing_keys()?;
        Ok(Done { object: after, before, etag, dry_run: self.ask.dry_run, ..Done::default() })
    }
}
