//! Bodies of tokens in Azure Attestation's form.
//!
//! `maa-tokens-and-claims.md` sections 1.1, 3, 4 and 5.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_verifier::tpm_azure::TpmAppraisal;
use openssl::sha::sha256;
use serde_json::{Map, Value, json};

use super::attest::HeldData;
use super::keys::TOKEN_LIFE;
use crate::result::attestation_result::{CLAIMS_VERSION, PARTS};
use crate::result::token::RESERVED;
use crate::result::{Appraised, AttestationResult, PolicyFacts};

/// Seconds before its issue from which a report on a TPM counts.
const TPM_SKEW: i64 = 300;
/// Life of a token about a policy or a certificate, in seconds.
const MANAGEMENT_LIFE: i64 = 3_600;

/// The body of an attestation token. What the rule of a key would see is in it, member by member.
pub(super) fn attestation(
    result: &AttestationResult,
    appraised: &Appraised,
    issuer: &str,
    runtime: Option<&HeldData>,
    nonce: Option<&str>,
    jti: &[u8; 32],
    now: i64,
) -> Map<String, Value> {
    let mut body = result.claims(issuer, appraised);
    let mut put = |name: &str, value: Value| drop(body.insert(name.to_owned(), value));
    if let Some(collateral) = result.attested.get("x-ms-sgx-collateral") {
        put("maa-attestationcollateral", collateral.clone());
        if let Some(data) = runtime.filter(|data| !data.json) {
            for name in ["x-ms-sgx-ehd", "aas-ehd", "maa-ehd"] {
                put(name, json!(URL_SAFE_NO_PAD.encode(&data.bytes)));
            }
        }
    }
    if let Some(nonce) = nonce {
        put("nonce", json!(nonce));
    }
    put("jti", json!(hex::encode(jti)));
    if let Some(keygate) = body.get_mut("keygate").and_then(Value::as_object_mut) {
        // For deny lists of whoever accepts the token; not all of them stand in a claim.
        let names: Vec<String> = result.identities.iter().map(|id| URL_SAFE_NO_PAD.encode(id)).collect();
        keygate.insert("identities".to_owned(), json!(names));
    }
    dated(&mut body, now, TOKEN_LIFE);
    body
}

/// What a report on a machine with a TPM is made of.
pub(super) struct TpmReport<'a> {
    pub(super) appraisal: &'a TpmAppraisal,
    /// What the policy issued.
    pub(super) issued: &'a Map<String, Value>,
    pub(super) policy: &'a PolicyFacts,
    pub(super) issuer: &'a str,
    /// The relying party's own data.
    pub(super) rp_data: Option<&'a str>,
    pub(super) identities: &'a [[u8; 32]],
    pub(super) jti: &'a str,
    /// Unix seconds.
    pub(super) issued_at: i64,
    /// Seconds.
    pub(super) life: i64,
}

/// The body of a report: what the policy issued, the key that asked, and what the service says of both. Nothing of the evidence is
/// in it by itself. TPM and VBS attestation protocol, section 5.3.
pub(super) fn tpm_report(of: &TpmReport<'_>) -> Map<String, Value> {
    let mut body = of.issued.clone();
    body.retain(|name, _| !RESERVED.contains(&name.as_str()) && name != PARTS);
    let mut put = |name: &str, value: Value| drop(body.insert(name.to_owned(), value));
    put("iss", json!(of.issuer));
    for name in ["ver", "x-ms-ver"] {
        put(name, json!(CLAIMS_VERSION));
    }
    put("x-ms-policy-hash", json!(of.policy.hash));
    if let Some(signer) = &of.policy.signer {
        put("x-ms-policy-signer", signer.clone());
    }
    if let Some(data) = of.rp_data {
        put("rp_data", json!(data));
        put("nonce", json!(data));
    }
    put("cnf", json!({"jwk": of.appraisal.confirmed_key()}));
    if let Some(key) = of.appraisal.attested_key() {
        put("x-ms-tpm-request-key", key.clone());
    }
    let names: Vec<String> = of.identities.iter().map(|id| URL_SAFE_NO_PAD.encode(id)).collect();
    let mut keygate = Map::from_iter([("kind".to_owned(), json!("tpm")), ("identities".to_owned(), json!(names))]);
    if let Some(anchor) = of.appraisal.anchor() {
        keygate.insert("anchor".to_owned(), json!(anchor));
    }
    put("keygate", Value::Object(keygate));
    put("jti", json!(of.jti));
    dated(&mut body, of.issued_at, of.life);
    body.insert("nbf".to_owned(), json!(of.issued_at.saturating_sub(TPM_SKEW)));
    body
}

/// The body of a token about a policy or a certificate, to which `members` are added.
pub(super) fn management<const N: usize>(issuer: &str, now: i64, members: [(&str, Value); N]) -> Map<String, Value> {
    let mut body = Map::from_iter([("iss".to_owned(), json!(issuer))]);
    body.extend(members.into_iter().map(|(name, value)| (name.to_owned(), value)));
    dated(&mut body, now, MANAGEMENT_LIFE);
    body
}

/// Dates as clients compare them with their own clock, with no leeway for the future: `nbf` is `iat`, and neither is rounded up.
fn dated(body: &mut Map<String, Value>, now: i64, life: i64) {
    for (name, at) in [("iat", now), ("nbf", now), ("exp", now.saturating_add(life))] {
        body.insert(name.to_owned(), json!(at));
    }
}

/// `x-ms-policy-token-hash`: SHA-256 over the uploaded text as it came.
pub(super) fn upload_hash(jws: &str) -> String {
    URL_SAFE_NO_PAD.encode(sha256(jws.as_bytes()))
}
