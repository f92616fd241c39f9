//! EAT attestation results: Veraison's, and those of Confidential Containers' Trustee.
//! Relying party tokens, section 5; draft-fv-rats-ear (status, trustworthiness vector); draft-ietf-rats-ar4si section 2.3.

use serde_json::{Map, Value};

use super::judge::{Rules, text};
use super::reading::{Reading, at, debuggable};
use super::tee_key;
use crate::tokens::algorithm::JwsAlgorithm;
use crate::tokens::fault::TokenFault;

/// The key is the verifier's identity: `iss` is missing or the product's name. Trustee's header carries the key too, which counts as
/// a name where the same key is held, or with certificates under a pinned root.
pub(super) const RULES: Rules = Rules {
    algorithms: &[
        JwsAlgorithm::ES256,
        JwsAlgorithm::ES384,
        JwsAlgorithm::RS256,
        JwsAlgorithm::RS384,
        JwsAlgorithm::EdDSA,
    ],
    typ: &["JWT", "eat+jwt"],
    typ_optional: true,
    kid: false,
    jwk: true,
    certificates: true,
    audience: false,
    product_names: &["CoCo-Attestation-Service"],
    iss_optional: true,
    exp_optional: true,
    life: 3_600,
};

const PROFILES: [&str; 2] = ["tag:github.com,2023:veraison/ear", "tag:github.com,2024:confidential-containers/Trustee"];
/// The submodule of the processor, whose workload has the key.
const CPU: &str = "cpu0";
const EVIDENCE: &str = "ear.veraison.annotated-evidence";
const VECTOR: [&str; 8] = [
    "instance-identity",
    "configuration",
    "executables",
    "file-system",
    "hardware",
    "runtime-opaque",
    "storage-opaque",
    "sourced-data",
];
/// Trustee's names of technologies, and ours.
const KINDS: [(&str, &str); 10] = [
    ("snp", "snp"),
    ("tdx", "tdx"),
    ("sgx", "sgx"),
    ("azsnpvtpm", "snp"),
    ("az-snp-vtpm", "snp"),
    ("aztdxvtpm", "tdx"),
    ("az-tdx-vtpm", "tdx"),
    ("cca", "cca"),
    ("csv", "csv"),
    ("se", "se"),
];
/// Attesters without any hardware.
const SAMPLES: [&str; 2] = ["sample", "sampledevice"];

/// What a verifier concludes of a submodule, better first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tier {
    None,
    Affirming,
    Warning,
    Contraindicated,
}

pub(super) fn read(claims: &Map<String, Value>) -> Result<Reading, TokenFault> {
    if !PROFILES.contains(&&*text(claims, "eat_profile")?) {
        return Err(TokenFault::Profile("`eat_profile` is none of an attestation result"));
    }
    let verifier = claims.get("ear.verifier-id").and_then(Value::as_object);
    let verifier = verifier.ok_or(TokenFault::Claim("ear.verifier-id"))?;
    text(verifier, "developer")?;
    text(verifier, "build")?;
    let submods = claims.get("submods").and_then(Value::as_object).filter(|submods| !submods.is_empty());
    let submods = submods.ok_or(TokenFault::Claim("submods"))?;

    let mut reading = Reading::of("unknown");
    reading.debug = false;
    for appraisal in submods.values() {
        let appraisal = appraisal.as_object().ok_or(TokenFault::Claim("submods"))?;
        reading.debug |= status(appraisal)? != Tier::Affirming;
        reading.debug |= SAMPLES.iter().any(|sample| at(appraisal, &[EVIDENCE, sample]).is_some());
    }
    if let Some(evidence) = at(claims, &["submods", CPU, EVIDENCE]).and_then(Value::as_object) {
        processor(evidence, &mut reading);
        if let Some(Value::Object(runtime)) = evidence.get("runtime_data_claims") {
            reading.nonce(runtime.get("nonce"));
            reading.key = runtime.get("tee-pubkey").map(tee_key::of_jwk).transpose()?;
        }
    }
    Ok(reading)
}

/// The status of an appraisal, never better than the worst of its vector. What is contraindicated is no evidence.
fn status(appraisal: &Map<String, Value>) -> Result<Tier, TokenFault> {
    let status = match appraisal.get("ear.status") {
        Some(Value::String(word)) => match word.as_str() {
            "none" => Some(Tier::None),
            "affirming" => Some(Tier::Affirming),
            "warning" => Some(Tier::Warning),
            "contraindicated" => Some(Tier::Contraindicated),
            _ => None,
        },
        Some(Value::Number(number)) => match number.as_i64() {
            Some(0) => Some(Tier::None),
            Some(2) => Some(Tier::Affirming),
            Some(32) => Some(Tier::Warning),
            Some(96) => Some(Tier::Contraindicated),
            _ => None,
        },
        _ => None,
    };
    let status = status.ok_or(TokenFault::Claim("ear.status"))?;
    let mut worst = Tier::None;
    match appraisal.get("ear.trustworthiness-vector") {
        None => {}
        Some(Value::Object(vector)) => {
            for (name, claim) in vector {
                let value = claim.as_i64().filter(|_| VECTOR.contains(&name.as_str())).and_then(tier);
                worst = worst.max(value.ok_or(TokenFault::Claim("ear.trustworthiness-vector"))?);
            }
        }
        Some(_) => return Err(TokenFault::Claim("ear.trustworthiness-vector")),
    }
    if status == Tier::Contraindicated || worst == Tier::Contraindicated {
        return Err(TokenFault::Profile("its verifier contraindicates it"));
    }
    if worst == Tier::Warning && status < Tier::Warning {
        return Err(TokenFault::Profile("its status is better than its worst claim"));
    }
    Ok(status)
}

/// The tier of a claim of the vector, one signed byte.
fn tier(value: i64) -> Option<Tier> {
    match value {
        -1..=1 => Some(Tier::None),
        2..=31 | -32..=-2 => Some(Tier::Affirming),
        32..=95 | -96..=-33 => Some(Tier::Warning),
        96..=127 | -128..=-97 => Some(Tier::Contraindicated),
        _ => None,
    }
}

/// What Trustee tells of the processor. A plain word of debug counts whatever the status says.
fn processor(evidence: &Map<String, Value>, reading: &mut Reading) {
    for (name, kind) in KINDS {
        let Some(Value::Object(tee)) = evidence.get(name) else { continue };
        reading.kind = kind;
        let body = at(tee, &["quote", "body"]).or_else(|| tee.get("body")).and_then(Value::as_object).unwrap_or(tee);
        reading.measure(
            body,
            [
                ("launch", "measurement"),
                ("mrtd", "mr_td"),
                ("rtmr0", "rtmr_0"),
                ("rtmr1", "rtmr_1"),
                ("rtmr2", "rtmr_2"),
                ("rtmr3", "rtmr_3"),
                ("mrenclave", "mr_enclave"),
            ],
        );
        reading.signed_by(body.get("mr_signer"));
        reading.identity("snp-chip", tee.get("chip_id"));
        reading.tcb_level(tee.get("tcb_status"), tee.get("advisory_ids"), tee.get("tcb_date"));
        let said = [
            tee.get("policy_debug_allowed").filter(|said| *said != 0 && *said != "0"),
            at(tee, &["td_attributes", "debug"]),
        ];
        reading.debug |= said.into_iter().any(|said| debuggable(said) == Some(true));
        // ATTRIBUTES in hex, little-endian; bit 1 is DEBUG.
        let flags = body.get("attributes.flags").and_then(Value::as_str).and_then(|flags| hex::decode(flags).ok());
        reading.debug |= flags.is_some_and(|flags| flags.first().is_none_or(|first| first & 2 != 0));
    }
    let samples = SAMPLES.iter().find(|sample| evidence.contains_key(**sample));
    if samples.is_some() {
        reading.kind = "sample";
    }
}
