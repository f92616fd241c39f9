//! What anybody may ask of a provider: the keys of its tokens, its metadata, the TCB baselines.
//!
//! `maa-rest-api.md` sections 6 and 7.

use std::sync::Arc;

use keygate_verifier::tcb_baselines;
use serde_json::{Value, json};

use super::fault::AzureFault;
use super::keys::KeyLine;
use crate::broker::{Broker, Fault, ProviderRef, Seat};

/// Claims named in the metadata, as the original lists them.
const CLAIMS: [&str; 18] = [
    "is-debuggable",
    "sgx-mrsigner",
    "sgx-mrenclave",
    "product-id",
    "svn",
    "tee",
    "cnf",
    "nonce",
    "x-ms-ver",
    "x-ms-attestation-type",
    "x-ms-policy-hash",
    "x-ms-policy-signer",
    "x-ms-sgx-is-debuggable",
    "x-ms-sgx-mrenclave",
    "x-ms-sgx-mrsigner",
    "x-ms-sgx-svn",
    "x-ms-sgx-ehd",
    "x-ms-sgx-collateral",
];

impl Broker {
    /// The key set: every key that signed a token which is still alive, and the one that will sign next.
    ///
    /// # Errors
    /// `Unavailable` without a trusted clock.
    pub fn azure_certs(&self, seat: &Seat) -> Result<Value, AzureFault> {
        let now = self.clock.now().map_err(|why| self.refuse(seat, &why.into()))?.secs();
        let line = self.azure_keys(&seat.provider, now).map_err(|fault| self.refuse(seat, &fault))?;
        Ok(line.jwks(now))
    }

    /// The keys of a provider's tokens.
    pub(crate) fn azure_keys(&self, provider: &ProviderRef, now: i64) -> Result<Arc<KeyLine>, Fault> {
        provider.signers().azure().line(&self.keystore, provider.setup(), now)
    }

    /// The metadata document.
    pub fn azure_discovery(&self, seat: &Seat) -> Value {
        let base = seat.provider.issuer();
        json!({
            "issuer": base,
            "jwks_uri": format!("{base}/certs"),
            "revocation_endpoint": format!("{base}/revoke"),
            "response_types_supported": ["token", "none"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "claims_supported": CLAIMS,
        })
    }

    /// The TCB baselines of SGX platforms, and which of them `azuredefault` means here.
    pub fn azure_baselines(&self, seat: &Seat) -> Value {
        let selected = seat.provider.default_baseline();
        let rows = tcb_baselines().iter().map(|baseline| {
            json!({
                "tcbIdentifier": baseline.identifier,
                "tcbEvaluationDataNumber": baseline.evaluation_number,
                "tcbReleaseDate": baseline.recovery_date,
                "minimumPswLinuxVersion": baseline.minimum_psw_linux,
                "minimumPswWindowsVersion": baseline.minimum_psw_windows,
                "isSelectedTcb": selected == Some(baseline.identifier),
            })
        });
        json!({"tcbBaselines": rows.collect::<Vec<_>>()})
    }
}
