//! What an appraisal concluded: claims by provenance, the key they are bound to, under which policy, until when.
//!
//! `native-api.md` sections 3 and 5, `maa-tokens-and-claims.md` section 4.6; threat model P20.

use keygate_verifier::{RecipientKey, UnixTime};
use openssl::sha::{Sha256, sha256};
use serde_json::{Map, Value};

/// Claims about run-time data stand under this name and nowhere else.
pub const RUNTIME: &str = "x-ms-runtime";
/// Claims about init-time data stand under this name and nowhere else.
pub const INIT_TIME: &str = "x-ms-inittime";

/// The appraisal policy that is built in: genuine and bound evidence is shown as it is, and the rule of each key decides.
/// In the language of Azure Attestation, so that its digest is comparable.
const SHOW_ALL: &str = "version= 1.0;authorizationrules{=> permit();};issuancerules{};";

/// The conclusion of one appraisal.
#[derive(Debug, Clone)]
pub struct AttestationResult {
    /// What hardware, firmware and verifier say, the object `keygate` among it.
    pub attested: Map<String, Value>,
    /// What the workload says, bound by a digest: at most [`RUNTIME`] and [`INIT_TIME`].
    pub presented: Map<String, Value>,
    /// SHA-256 of the evidence.
    pub evidence_digest: [u8; 32],
    /// SHA-256 of the appraisal policy.
    pub policy_digest: [u8; 32],
    /// Names of machine and workload for the deny list, see [`identity`].
    pub identities: Vec<[u8; 32]>,
    /// The only key that an answer may be sealed to.
    pub recipient: RecipientKey,
    /// The earliest end of what counted.
    pub not_after: UnixTime,
}

impl AttestationResult {
    /// The claims that a rule sees: attested and presented side by side, and our issuer.
    pub fn claims(&self, issuer: &str) -> Map<String, Value> {
        let mut claims = self.attested.clone();
        for (name, value) in &self.presented {
            claims.insert(name.clone(), value.clone());
        }
        claims.insert("iss".into(), Value::from(issuer));
        claims
    }
}

/// SHA-256 of the built-in appraisal policy.
pub fn policy_digest() -> [u8; 32] {
    sha256(SHOW_ALL.as_bytes())
}

/// The name under which a machine (`platform`) or a workload (`measurement`) is compared with the deny list: SHA-256
/// over sort and value, so that a token can carry it without telling more than its claims do.
pub fn identity(sort: &str, value: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(sort.as_bytes());
    hash.update(&[0]);
    hash.update(value.as_bytes());
    hash.finish()
}
