//! Google Cloud Attestation for Confidential Space. OIDC tokens are signed by a key of the key set, PKI tokens by a certificate
//! under the root that Google publishes, pinned here.
//! Relying party tokens, section 2.

use serde_json::{Map, Value, json};

use super::judge::{Rules, text};
use super::reading::{Reading, at, dbgstat, debug};
use crate::tokens::algorithm::JwsAlgorithm;
use crate::tokens::fault::TokenFault;

/// An hour. The audience is the relying party's: a token for Google's own token service is for somebody else.
pub(super) const RULES: Rules = Rules {
    algorithms: &[JwsAlgorithm::RS256],
    typ: &["JWT"],
    typ_optional: true,
    kid: true,
    jwk: false,
    certificates: true,
    audience: true,
    product_names: &[],
    iss_optional: false,
    exp_optional: false,
    life: 3_600,
};

/// Google's number in `oemid`.
const OEM: u64 = 11_129;
const MAX_NONCES: usize = 6;

pub(super) fn read(claims: &Map<String, Value>) -> Result<Reading, TokenFault> {
    if text(claims, "swname")? != "CONFIDENTIAL_SPACE" || claims.get("oemid").and_then(Value::as_u64) != Some(OEM) {
        return Err(TokenFault::Profile("it is not about a workload of confidential space"));
    }
    let mut reading = Reading::of(match &*text(claims, "hwmodel")? {
        "GCP_AMD_SEV" => "sev",
        "GCP_AMD_SEV_ES" => "sev-es",
        "GCP_INTEL_TDX" => "tdx",
        _ => return Err(TokenFault::Profile("its hardware model is not confidential")),
    });
    reading.debug = debug(&[dbgstat(claims.get("dbgstat"), &["disabled-since-boot"])]);
    nonces(claims.get("eat_nonce"))?.into_iter().for_each(|nonce| reading.nonce_text(nonce));
    if let Some(secure) = claims.get("secboot") {
        reading.platform.insert("secure_boot".into(), secure.clone());
    }
    if let Some(container) = at(claims, &["submods", "container"]).and_then(Value::as_object) {
        reading.measure(container, [("image_digest", "image_digest")]);
        if let Some(digest @ Value::String(_)) = container.get("image_digest") {
            reading.workload.insert("image_digest".into(), digest.clone());
        }
        if let Some(Value::Array(signatures)) = container.get("image_signatures") {
            let signers: Vec<&Value> = signatures.iter().filter_map(|one| one.get("key_id")).collect();
            reading.workload.insert("signers".into(), json!(signers));
        }
    }
    let id = at(claims, &["submods", "gce", "instance_id"]);
    reading.instance = id.and_then(Value::as_str).map(str::to_owned);
    reading.identity("gce-instance", id);
    Ok(reading)
}

/// One text or up to six, each of 8 to 88 bytes.
fn nonces(claim: Option<&Value>) -> Result<Vec<String>, TokenFault> {
    let fault = TokenFault::Claim("eat_nonce");
    let list = match claim {
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) if (1..=MAX_NONCES).contains(&list.len()) => list.as_slice(),
        Some(one @ Value::String(_)) => std::slice::from_ref(one),
        Some(_) => return Err(fault),
    };
    let texts: Option<Vec<String>> = list.iter().map(|nonce| nonce.as_str().map(str::to_owned)).collect();
    texts.filter(|texts| texts.iter().all(|text| (8..=88).contains(&text.len()))).ok_or(fault)
}
