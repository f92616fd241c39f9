//! The claims of an Azure machine: those of its virtual TPM, and those of the hardware below, nested as Azure's tokens nest them.
//!
//! Claims page, section 4.5 (`azurevm`): `x-ms-isolation-tee` holds every claim of the hardware and its own `x-ms-runtime`.

use serde_json::{Map, Value, json};

use super::hcl::HclReport;

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
