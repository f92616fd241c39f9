//! Microsoft Azure Attestation: SGX and Open Enclave, SEV-SNP, TDX, Azure's VMs, TPM and VBS.
//! Relying party tokens, section 1; secure key release, section 3; tokens and claims of Azure Attestation, sections 1 to 4.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::Issuer;
use super::judge::{Checked, Rules, text};
use super::keygate;
use super::reading::{Reading, at, debug, debuggable};
use super::tee_key;
use crate::formats::base64url::decode_lenient;
use crate::time::UnixTime;
use crate::tokens::algorithm::JwsAlgorithm;
use crate::tokens::fault::TokenFault;
use crate::tokens::jws::object;

/// RS256 alone: a draft token has `none`. Eight hours, no audience.
pub(super) const RULES: Rules = Rules {
    algorithms: &[JwsAlgorithm::RS256],
    typ: &["JWT"],
    typ_optional: false,
    kid: true,
    jwk: false,
    certificates: false,
    audience: false,
    product_names: &[],
    iss_optional: false,
    exp_optional: false,
    life: 28_800,
};

const TDX_PROFILE: &str = "https://aka.ms/maa-eat-profile-tdxvm";
const SGX_SVN: [(&str, &str); 3] =
    [("product_id", "x-ms-sgx-product-id"), ("isv", "x-ms-sgx-svn"), ("config", "x-ms-sgx-config-svn")];
const SNP_SVN: [(&str, &str); 5] = [
    ("guest", "x-ms-sevsnpvm-guestsvn"),
    ("bootloader", "x-ms-sevsnpvm-bootloader-svn"),
    ("tee", "x-ms-sevsnpvm-tee-svn"),
    ("firmware", "x-ms-sevsnpvm-snpfw-svn"),
    ("microcode", "x-ms-sevsnpvm-microcode-svn"),
];

pub(super) fn read(checked: &Checked<'_>, issuer: &Issuer<'_>, now: UnixTime) -> Result<Reading, TokenFault> {
    from_home(checked, issuer, now)?;
    let claims = &checked.claims;
    if text(claims, "x-ms-ver")? != "1.0" {
        return Err(TokenFault::Profile("`x-ms-ver` is not 1.0"));
    }
    let kind = text(claims, "x-ms-attestation-type")?;
    let mut reading = hardware(&kind, claims)?;
    match &*kind {
        "azurevm" => machine(claims, &mut reading)?,
        "tdxvm" if claims.get("eat_profile").is_some_and(|profile| profile != TDX_PROFILE) => {
            return Err(TokenFault::Profile("`eat_profile` is not Azure's for tdx"));
        }
        _ => {}
    }
    if let Some(hash) = claims.get("x-ms-policy-hash") {
        reading.workload.insert("policy_hash".into(), hash.clone());
    }
    if let Some(runtime) = runtime(claims)? {
        reading.key = runtime.get("keys").map(tee_key::of_key_list).transpose()?.flatten();
        reading.nonce(runtime.get("nonce"));
        payload_nonces(&runtime).into_iter().for_each(|nonce| reading.nonce_text(nonce));
    }
    if issuer.is_keygate {
        keygate::read(claims, &mut reading)?;
    }
    Ok(reading)
}

/// `jku` and the certificate of the key, where they stand, are the issuer's own. Instances of one deployment share keys: there the
/// certificate alone says for whom the key signs.
fn from_home(checked: &Checked<'_>, issuer: &Issuer<'_>, now: UnixTime) -> Result<(), TokenFault> {
    let home = |jku: &Value| jku.as_str().and_then(|jku| jku.strip_suffix("/certs")) == Some(issuer.issuer);
    if checked.header.get("jku").is_some_and(|jku| !home(jku)) {
        return Err(TokenFault::Header("`jku` is not the issuer's key set"));
    }
    let Some(certificate) = checked.certificate else { return Ok(()) };
    if certificate.self_signed && certificate.self_issued.as_deref() != Some(issuer.issuer) {
        return Err(TokenFault::Certificate("its subject and its issuer are not the issuer of the token"));
    }
    if now < certificate.not_before || now > certificate.not_after {
        return Err(TokenFault::Certificate("it is not in force"));
    }
    Ok(())
}

fn hardware(kind: &str, claims: &Map<String, Value>) -> Result<Reading, TokenFault> {
    let mut reading = match kind {
        "sgx" | "openenclave" => Reading::of("sgx"),
        "sevsnpvm" => Reading::of("snp"),
        "tdxvm" => Reading::of("tdx"),
        "azurevm" => Reading::of("none"),
        "tpm" => Reading::of("tpm"),
        "vbs" => Reading::of("vbs"),
        _ => return Err(TokenFault::Profile("its attestation type is unknown")),
    };
    match reading.kind {
        "sgx" => {
            reading.measure(claims, [("mrenclave", "x-ms-sgx-mrenclave")]);
            reading.signed_by(claims.get("x-ms-sgx-mrsigner"));
            reading.version(claims, SGX_SVN);
            reading.debug = debug(&[debuggable(claims.get("x-ms-sgx-is-debuggable"))]);
        }
        "snp" => {
            reading.measure(claims, [("launch", "x-ms-sevsnpvm-launchmeasurement")]);
            reading.version(claims, SNP_SVN);
            reading.debug = debug(&[debuggable(claims.get("x-ms-sevsnpvm-is-debuggable"))]);
        }
        "tdx" => {
            reading.measure(claims, super::intel_trust_authority::TDX);
            reading.version(claims, [("seam", "tdx_seamsvn")]);
            reading.debug = debug(&[debuggable(claims.get("tdx_td_attributes_debug"))]);
            reading.tcb_status(claims.get("attester_tcb_status"));
        }
        _ => {}
    }
    Ok(reading)
}

/// A virtual machine: its hardware stands one level below, its operating system beside that. Without hardware below it is any VM.
fn machine(claims: &Map<String, Value>, reading: &mut Reading) -> Result<(), TokenFault> {
    if let Some(tee) = claims.get("x-ms-isolation-tee") {
        let tee = tee.as_object().ok_or(TokenFault::Claim("x-ms-isolation-tee"))?;
        match &*text(tee, "x-ms-attestation-type")? {
            kind @ ("sevsnpvm" | "tdxvm") => *reading = hardware(kind, tee)?,
            _ => return Err(TokenFault::Profile("its machine is isolated by something unknown")),
        }
    }
    let debugged = ["bootdebug", "kerneldebug", "hypervisordebug"]
        .iter()
        .any(|what| debuggable(claims.get(&format!("x-ms-azurevm-{what}-enabled"))) == Some(true));
    reading.debug |= debugged;
    if let Some(secure) = claims.get("secureboot") {
        reading.platform.insert("secure_boot".into(), secure.clone());
    }
    let id = claims.get("x-ms-azurevm-vmid");
    reading.instance = id.and_then(Value::as_str).map(str::to_owned);
    reading.identity("azure-vm", id);
    Ok(())
}

/// What the workload gave to be bound: `x-ms-runtime`, or for SGX its older form, the held data as they were. Never what stands
/// under `x-ms-isolation-tee`.
fn runtime(claims: &Map<String, Value>) -> Result<Option<Map<String, Value>>, TokenFault> {
    let kind = claims.get("x-ms-attestation-type").and_then(Value::as_str).unwrap_or_default();
    match claims.get("x-ms-runtime") {
        // No report binds them there.
        _ if matches!(kind, "tpm" | "vbs") => return Ok(None),
        Some(Value::Object(runtime)) => return Ok(Some(runtime.clone())),
        Some(_) => return Err(TokenFault::Claim("x-ms-runtime")),
        None => {}
    }
    let sgx = matches!(kind, "sgx" | "openenclave");
    let held = ["x-ms-sgx-ehd", "maa-ehd", "aas-ehd"].iter().find_map(|name| claims.get(*name)).filter(|_| sgx);
    // Held data need not be JSON: then there is no key and no nonce in them.
    let held = held.and_then(Value::as_str).and_then(decode_lenient);
    Ok(held.and_then(|held| object(&held, "").ok()))
}

/// The nonce of a client payload: the library of the guest writes it in base64, whatever it was given.
fn payload_nonces(runtime: &Map<String, Value>) -> Vec<String> {
    let Some(nonce) = at(runtime, &["client-payload", "nonce"]).and_then(Value::as_str) else { return Vec::new() };
    let decoded = STANDARD.decode(nonce).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    [Some(nonce.to_owned()), decoded].into_iter().flatten().collect()
}
