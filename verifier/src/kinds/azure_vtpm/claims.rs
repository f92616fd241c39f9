//! The claims of an Azure machine: those of its virtual TPM, and those of the hardware below, nested as Azure's tokens nest them.
//!
//! Claims page, section 4.5 (`azurevm`): `x-ms-isolation-tee` holds every claim of the hardware and its own `x-ms-runtime`.

use serde_json::{Map, Value, json};

use super::hcl::HclReport;
use crate::error::VerifyError;
use crate::formats::tcg::PcrValues;
use crate::recipient::RecipientKey;

/// Claims of the report alone; `hardware` are those of the SEV-SNP report or the TD quote.
pub(super) fn of_report(report: &HclReport<'_>, hardware: Map<String, Value>) -> Map<String, Value> {
    let mut claims = Map::new();
    let mut set = |name: &str, value: Value| drop(claims.insert(name.to_owned(), value));
    set("x-ms-attestation-type", json!("azurevm"));
    // The paravisor's word, which the hardware's report names by its digest. Where an event log came too, `tpm.boot.secure_boot`
    // is what the firmware measured.
    if let Some(on) = report.configuration("secure-boot").and_then(Value::as_bool) {
        set("secureboot", json!(on));
    }
    if let Some(id) = report.configuration("vmUniqueId").and_then(Value::as_str) {
        set("x-ms-azurevm-vmid", json!(id));
    }
    let mut tee = hardware;
    tee.insert("x-ms-runtime".to_owned(), Value::Object(report.claims().clone()));
    set("x-ms-isolation-tee", Value::Object(tee));
    claims
}

/// The keys of the virtual TPM, and who vouches for them.
///
/// # Errors
/// `malformed`: the endorsement key stands twice, or is no RSA key.
pub(super) fn keys(report: &HclReport<'_>, identity: &str, known: bool) -> Result<Map<String, Value>, VerifyError> {
    let mut tpm = Map::new();
    tpm.insert("ak".into(), json!({"spki_sha256": identity, "vouched_by": "paravisor", "paravisor_known": known}));
    if let Some(numbers) = report.endorsement_key()?
        && let Ok(key) = RecipientKey::rsa(&numbers.n, &numbers.e)
        && let Some(der) = key.spki_der()
    {
        tpm.insert("ek".into(), json!({"spki_sha256": hex::encode(openssl::sha::sha256(&der))}));
    }
    Ok(tpm)
}

/// The object `tpm`, and under Azure's name the registers that were quoted in a strong bank.
pub(super) fn add_tpm(claims: &mut Map<String, Value>, tpm: Map<String, Value>, pcrs: &PcrValues) {
    let strong = pcrs.iter().filter(|(bank, _)| bank.is_strong());
    let mut quoted: Vec<u32> = strong.flat_map(|(_, registers)| registers.keys().copied()).collect();
    quoted.sort_unstable();
    quoted.dedup();
    claims.insert("x-ms-azurevm-attested-pcrs".into(), json!(quoted));
    claims.insert("tpm".into(), Value::Object(tpm));
}
