//! The keys that sign attestation tokens: listed, and followed by a fresh one.
//!
//! `native-api.md` section 2; threat model P18. A key that signs no more stays published for as long as what it signed may live.

use keygate_keystore::ServicePurpose;
use serde_json::{Value, json};

use super::{Desk, Done, Reason, Refusal};
use crate::broker::error::{Code, Fault};

impl Desk<'_> {
    /// The keys that sign tokens and receipts, oldest first, and the entity tag of the one that signs tokens now.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn list_signing_keys(&self) -> Result<(String, Value), Refusal> {
        let mut told = Vec::new();
        let mut newest = String::new();
        for purpose in [ServicePurpose::AttestationToken, ServicePurpose::Receipt] {
            let keys = self.broker.keystore.service_keys(&self.provider, purpose)?;
            let count = keys.len();
            for (place, key) in keys.into_iter().enumerate() {
                let signs = place + 1 == count;
                told.push(json!({
                    "kid": key.kid, "purpose": purpose.as_str(), "created": key.created,
                    "state": if signs { "signing" } else { "published" },
                }));
                if signs && purpose == ServicePurpose::AttestationToken {
                    newest = key.kid;
                }
            }
        }
        Ok((newest, json!({"signing_keys": told})))
    }
}

impl Desk<'_> {
    /// Makes a fresh key that signs tokens from now on.
    ///
    /// # Errors
    /// `unsupported` for now.
    pub fn rotate_signing_key(&self, reason: Reason) -> Result<Done, Refusal> {
        let _ = reason;
        Err(Fault::new(Code::Unsupported, "signing keys are not rotated by command yet").into())
    }
}
