//! What an appraisal concluded: claims by provenance, the key they are bound to, under which policy, until when.
//!
//! `native-api.md` sections 3 and 5, `maa-tokens-and-claims.md` sections 3 and 4.6; threat model P20. In two steps: what the
//! verifier found ([`AttestationResult`]), and what the provider's attestation policy made of it ([`Appraised`]).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_verifier::{EvidenceKind, RecipientKey, Tcb, UnixTime};
use openssl::sha::Sha256;
use serde_json::{Map, Value, json};

use super::token::RESERVED;

/// Claims about run-time data stand under this name and nowhere else.
pub const RUNTIME: &str = "x-ms-runtime";
/// Claims about init-time data stand under this name and nowhere else.
pub const INIT_TIME: &str = "x-ms-inittime";
/// Claims of the parts of a composite stand under this name, each under its place, and nothing else does.
pub const PARTS: &str = "parts";
/// Under these names tokens of other verifiers say what the workload holds: it is in no record.
const HELD: [&str; 11] = [
    RUNTIME,
    INIT_TIME,
    "x-ms-sgx-ehd",
    "aas-ehd",
    "maa-ehd",
    "attester_held_data",
    "attester_runtime_data",
    "attester_inittime_data",
    "attester_user_data",
    "runtime_data",
    "runtime_data_claims",
];
/// What the platform says of a guest's own level: nothing of the workload's.
const PLATFORM: &str = "x-ms-isolation-tee";
/// Version of the claims, as Azure Attestation states it.
pub(crate) const CLAIMS_VERSION: &str = "1.0";

/// What the verifier found.
#[derive(Debug, Clone)]
pub struct AttestationResult {
    /// Who vouches for it.
    pub source: Source,
    /// What hardware, firmware and verifier say, the object `keygate` among it.
    pub attested: Map<String, Value>,
    /// What the workload says, bound by a digest: [`RUNTIME`] and [`INIT_TIME`]. Of a guest of Azure also words about its system, and
    /// nothing binds those: they count as the client's, and open nothing.
    pub presented: Map<String, Value>,
    /// SHA-256 of the evidence.
    pub evidence_digest: [u8; 32],
    /// The same evidence has this in any wrapping; no other has it.
    pub sameness: [u8; 32],
    /// Names of machine and workload for the deny list, see [`identity`].
    pub identities: Vec<[u8; 32]>,
    /// The verdict on an Intel platform.
    pub tcb: Option<Tcb>,
    /// The only key that an answer may be sealed to; none: no key can be used.
    pub recipient: Option<RecipientKey>,
    /// The earliest end of what counted.
    pub not_after: UnixTime,
}

impl AttestationResult {
    /// The claims as they may be recorded: without what the workload holds, wherever another verifier repeats it. Threat model P44.
    pub fn recorded(&self) -> Map<String, Value> {
        match &self.source {
            // Ours stands among what was presented.
            Source::Own(_) if !self.attested.contains_key(PARTS) => self.attested.clone(),
            _ => without_held(&self.attested),
        }
    }
}

fn without_held(claims: &Map<String, Value>) -> Map<String, Value> {
    let kept = claims.iter().filter(|(name, _)| !HELD.contains(&name.as_str()));
    let kept = kept.map(|(name, value)| match value {
        Value::Object(inner) if name != PLATFORM => (name.clone(), Value::Object(without_held(inner))),
        other => (name.clone(), other.clone()),
    });
    kept.collect()
}

/// Who vouches for a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Our own appraisal of evidence of this kind.
    Own(EvidenceKind),
    /// A verifier of somebody else's, by its issuer. Its claims are told as it told them; our policies are not applied.
    Foreign(String),
}

/// The attestation policy that was applied.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyFacts {
    /// SHA-256 of its text.
    pub digest: [u8; 32],
    /// `x-ms-policy-hash`: SHA-256 over the base64url of its text, base64url.
    pub hash: String,
    /// `x-ms-policy-signer`, where it was signed.
    pub signer: Option<Value>,
}

/// What the policy made of a result.
#[derive(Debug, Clone)]
pub struct Appraised {
    /// Which policy.
    pub policy: PolicyFacts,
    /// Claims that it issued. None of them has a name that the service gives.
    pub issued: Map<String, Value>,
    /// Names the reference values it was applied with; none where it names none.
    pub references: Option<[u8; 32]>,
}

impl AttestationResult {
    /// The claims that a token carries and a rule sees: attested and presented side by side, what the policy issued, and what
    /// the service says of both. What the service says cannot be issued over.
    pub fn claims(&self, issuer: &str, appraised: &Appraised) -> Map<String, Value> {
        let mut claims = appraised.issued.clone();
        claims.retain(|name, _| !RESERVED.contains(&name.as_str()) && name != PARTS);
        let mut put = |name: &str, value: Value| drop(claims.insert(name.to_owned(), value));
        for (name, value) in self.attested.iter().chain(&self.presented) {
            put(name, value.clone());
        }
        put("iss", json!(issuer));
        put("x-ms-ver", json!(CLAIMS_VERSION));
        put("x-ms-policy-hash", json!(appraised.policy.hash));
        if let Some(signer) = &appraised.policy.signer {
            put("x-ms-policy-signer", signer.clone());
        }
        claims
    }
}

impl PolicyFacts {
    /// The digest as it stands in tokens and records.
    pub fn digest_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.digest)
    }
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
