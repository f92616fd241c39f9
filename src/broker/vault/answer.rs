//! The answer to a release: the sealed key in its bundle, signed for the host of the vault.
//!
//! `secure-key-release.md` section 6.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::{KeyView, Outcome, VersionId, Wrapped, Wrapping};
use serde_json::json;

use super::words::{ReleaseInput, VaultRequest};
use crate::broker::Broker;
use crate::broker::error::{Code, Fault};

impl Broker {
    /// Signs what the store sealed; `key_id` is the workload's name of the key that it is sealed to.
    pub(super) fn release_answer(
        &self,
        request: &VaultRequest,
        (input, key_id, view, version): (&ReleaseInput, &str, &KeyView, VersionId),
        outcome: &Outcome,
        now: i64,
    ) -> Result<String, Fault> {
        let damaged = || Fault::new(Code::DependencyUnavailable, "").because("an outcome lacks what was asked for");
        let Some(
            Wrapped::RsaAesKeyWrap256 { ciphertext }
            | Wrapped::RsaAesKeyWrap384 { ciphertext }
            | Wrapped::CkmRsaAesKeyWrap { ciphertext },
        ) = &outcome.wrapped
        else {
            return Err(damaged());
        };
        let version = view.version(Some(&version)).ok_or_else(damaged)?;
        let enc = input.enc.unwrap_or(Wrapping::CkmRsaAesKeyWrap).as_str();
        let key_hsm = json!({
            "schema_version": "1.0",
            "header": {"kid": key_id, "alg": "dir", "enc": enc},
            "ciphertext": ciphertext,
        });
        let setup = request.seat.provider.setup();
        let bundle = self.vault_bundle(&request.seat, &request.url, view);
        let mut asked = json!({
            "api-version": request.api_version,
            "enc": enc,
            "kid": match request.key.version {
                Some(named) => bundle.versioned_id(named),
                None => bundle.id(),
            },
        });
        if let Some(nonce) = &input.nonce {
            asked["nonce"] = json!(nonce);
        }
        let mut key = json!({
            "key": bundle.released_jwk(version, URL_SAFE_NO_PAD.encode(key_hsm.to_string())),
            "attributes": bundle.attributes(version),
        });
        if let Some(policy) = bundle.release_policy() {
            key["release_policy"] = policy;
        }
        let payload = json!({"request": asked, "response": {"key": key}});
        let signer = request.seat.provider.signers().release(&self.keystore, setup, now)?;
        Ok(signer.jws(&payload)?)
    }
}
