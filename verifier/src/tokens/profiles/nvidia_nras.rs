//! NVIDIA Remote Attestation Service: a bundle of an overall token and one token per device, all of them signed by NVIDIA.
//! Relying party tokens, section 6.
//!
//! NVIDIA's Python library wraps the bundle into a token that it mints itself under a secret that everybody knows: that token is not
//! looked at, and neither are claims of a local verifier.

use serde_json::{Map, Value, json};

use super::Issuer;
use super::judge::{self, Checked, Rules, text};
use super::reading::{Reading, dbgstat, debug};
use crate::formats::json::{self, JsonFault};
use crate::time::UnixTime;
use crate::tokens::algorithm::JwsAlgorithm;
use crate::tokens::fault::TokenFault;

/// ES384 alone, an hour, no `typ`, no audience.
pub(super) const RULES: Rules = Rules {
    algorithms: &[JwsAlgorithm::ES384],
    typ: &["JWT"],
    typ_optional: true,
    kid: true,
    jwk: false,
    certificates: false,
    audience: false,
    product_names: &[],
    iss_optional: false,
    exp_optional: false,
    life: 3_600,
};

const MAX_BUNDLE: usize = 256 * 1024;
const MAX_DEVICES: usize = 32;
const SUBJECT: &str = "NVIDIA-PLATFORM-ATTESTATION";
const RESULT: &str = "x-nvidia-overall-att-result";
/// Where the library puts the answer of the service.
const REMOTE: &str = "REMOTE_GPU_CLAIMS";
const PREFIXES: [&str; 2] = ["x-nvidia-gpu-", "x-nvidia-switch-"];
/// Checks of the service whose failure is the device's, below either prefix.
const CHECKS: [&str; 5] = [
    "arch-check",
    "attestation-report-parsed",
    "attestation-report-nonce-match",
    "attestation-report-signature-verified",
    "attestation-report-cert-chain-fwid-match",
];

/// A detached bundle: `[["JWT", overall], {name: token, …}]`.
pub(super) struct Bundle {
    overall: String,
    devices: Vec<(String, String)>,
}

impl Bundle {
    /// Reads the text of a bundle of at most 256 KiB, also where the library wrapped it once.
    pub fn parse(text: &str) -> Result<Self, TokenFault> {
        if text.len() > MAX_BUNDLE {
            return Err(TokenFault::TooLarge("a bundle of more than 256 KiB"));
        }
        let value = json::value(text.as_bytes()).map_err(|fault| match fault {
            JsonFault::TooLarge => TokenFault::TooLarge("too deep or too many members"),
            JsonFault::Malformed | JsonFault::Number => TokenFault::Malformed("the bundle is not strict json"),
        })?;
        match wrapped(&value) {
            Some(inner) => Self::read(inner),
            None => Self::read(&value),
        }
    }

    fn read(value: &Value) -> Result<Self, TokenFault> {
        let fault = TokenFault::Malformed("not a bundle of an overall token and tokens by name");
        let Some([first, Value::Object(devices)]) = value.as_array().map(Vec::as_slice) else { return Err(fault) };
        let Some([Value::String(word), Value::String(overall)]) = first.as_array().map(Vec::as_slice) else {
            return Err(fault);
        };
        if devices.len() > MAX_DEVICES {
            return Err(TokenFault::TooLarge("more than 32 devices"));
        }
        let devices: Option<Vec<_>> =
            devices.iter().map(|(name, token)| Some((name.clone(), token.as_str()?.to_owned()))).collect();
        match devices.filter(|_| word == "JWT") {
            Some(devices) => Ok(Self { overall: overall.clone(), devices }),
            None => Err(fault),
        }
    }

    /// The overall token.
    pub fn overall(&self) -> &str {
        &self.overall
    }
}

fn wrapped(value: &Value) -> Option<&Value> {
    match value.as_array().map(Vec::as_slice) {
        Some([_, Value::Object(parts)]) if parts.len() == 1 => parts.get(REMOTE).filter(|inner| inner.is_array()),
        _ => None,
    }
}

/// Checks the overall token, then for each device that its token is the one the overall token means, and what it says.
pub(super) fn verify<'k>(text: &str, issuer: &Issuer<'k>, now: UnixTime) -> Result<(Checked<'k>, Reading), TokenFault> {
    let bundle = Bundle::parse(text)?;
    let mut overall = judge::check(&bundle.overall, issuer, now)?;
    if *judge::text(&overall.claims, "sub")? != *SUBJECT {
        return Err(TokenFault::Profile("`sub` is not a platform's attestation"));
    }
    if overall.claims.get(RESULT) != Some(&Value::Bool(true)) {
        return Err(TokenFault::Profile("the service's overall result is not good"));
    }
    let digests = digests(&overall.claims)?;
    if digests.len() != bundle.devices.len() {
        return Err(TokenFault::Binding("its overall token is about other devices"));
    }
    let nonce = judge::text(&overall.claims, "eat_nonce")?.into_owned();
    let mut reading = Reading { debug: false, companion: true, ..Reading::of("nvidia") };
    let mut devices = Map::new();
    for (name, token) in &bundle.devices {
        let digest = hex::encode(openssl::sha::sha256(token.as_bytes()));
        if digests.get(name).and_then(Value::as_str).is_none_or(|meant| !meant.eq_ignore_ascii_case(&digest)) {
            return Err(TokenFault::Binding("a device's token is not the one its overall token means"));
        }
        let device = judge::check(token, issuer, now)?;
        if *judge::text(&device.claims, "eat_nonce")? != *nonce {
            return Err(TokenFault::Binding("a device was attested for another nonce"));
        }
        appraise(name, &device.claims, &mut reading)?;
        overall.expires = overall.expires.min(device.expires);
        overall.not_after = overall.not_after.min(device.not_after);
        overall.issued = overall.issued.min(device.issued);
        devices.insert(name.clone(), Value::Object(device.claims));
    }
    reading.nonce_text(nonce);
    overall.claims.insert("submods".into(), Value::Object(devices));
    Ok((overall, reading))
}

/// `submods`: name to `["DIGEST", ["SHA-256", hex]]`, at least one.
fn digests(claims: &Map<String, Value>) -> Result<Map<String, Value>, TokenFault> {
    let fault = TokenFault::Claim("submods");
    let submods = claims.get("submods").and_then(Value::as_object).filter(|all| !all.is_empty());
    let mut digests = Map::new();
    for (name, entry) in submods.ok_or_else(|| fault.clone())? {
        let Some([word, pair]) = entry.as_array().map(Vec::as_slice) else { return Err(fault) };
        match pair.as_array().map(Vec::as_slice) {
            Some([hash, digest @ Value::String(_)]) if word == "DIGEST" && hash == "SHA-256" => {
                digests.insert(name.clone(), digest.clone());
            }
            _ => return Err(fault),
        }
    }
    Ok(digests)
}

fn appraise(name: &str, claims: &Map<String, Value>, reading: &mut Reading) -> Result<(), TokenFault> {
    if text(claims, "measres")? != "success" {
        return Err(TokenFault::Profile("a device's measurements are not the expected ones"));
    }
    for prefix in PREFIXES {
        let mut checks = CHECKS.iter().filter_map(|check| claims.get(&format!("{prefix}{check}")));
        if !checks.all(|done| *done == true) {
            return Err(TokenFault::Profile("a check of the service failed for a device"));
        }
    }
    let chains = claims.values().filter_map(|claim| claim.get("x-nvidia-cert-status"));
    let answers = claims.values().filter_map(|claim| claim.get("x-nvidia-cert-ocsp-status"));
    if !chains.chain(answers).all(|status| status == "valid" || status == "good") {
        return Err(TokenFault::Profile("a certificate behind a device is not good"));
    }
    let debugged = debug(&[dbgstat(claims.get("dbgstat"), &["disabled"])]);
    reading.debug |= debugged;
    reading.identity("nvidia-gpu", claims.get("ueid"));
    let mut device = Map::from_iter([("name".to_owned(), json!(name)), ("debug".to_owned(), json!(debugged))]);
    let told = [
        ("model", "hwmodel"),
        ("id", "ueid"),
        ("driver", "x-nvidia-gpu-driver-version"),
        ("firmware", "x-nvidia-gpu-vbios-version"),
        ("firmware", "x-nvidia-switch-bios-version"),
    ];
    for (name, claim) in told {
        if let Some(value @ Value::String(_)) = claims.get(claim) {
            device.insert(name.to_owned(), value.clone());
        }
    }
    device.insert("secure_boot".into(), json!(claims.get("secboot") == Some(&Value::Bool(true))));
    reading.gpu.push(Value::Object(device));
    Ok(())
}
