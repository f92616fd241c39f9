//! What a quote says, as claims: `x-ms-attestation-type` and the object `tpm`. `docs/evidence/tpm.md`.

use serde_json::{Map, Value, json};

use super::recipient::Resident;
use super::vouch::{By, Vouched};
use super::wire::{AttestationKey, Document};
use crate::formats::tcg::PcrValues;
use crate::formats::tpm::{Attest, Signature, TpmMake};

/// The claims of a document whose checks all held. `boot` has what the logs gave.
pub(super) fn attested(
    document: &Document,
    attest: &Attest<'_>,
    signature: &Signature<'_>,
    vouched: &Vouched,
    numbers: &str,
    resident: Option<&Resident>,
    boot: Map<String, Value>,
) -> Map<String, Value> {
    let mut tpm = Map::new();
    tpm.insert("ak".into(), key(vouched, numbers));
    match &vouched.by {
        By::Enrolment { endorsement_key } => {
            tpm.insert("ek".into(), json!({"spki_sha256": hex::encode(endorsement_key)}));
        }
        By::Certificate { .. } | By::Pin => {}
    }
    add_quote(&mut tpm, attest, signature, &document.pcrs);
    add_recipient(&mut tpm, resident);
    tpm.extend(boot);
    claims(tpm)
}

/// What a quote says: values of registers, how it was signed, clock and counters, firmware.
pub(in crate::kinds) fn add_quote(
    tpm: &mut Map<String, Value>,
    attest: &Attest<'_>,
    signature: &Signature<'_>,
    values: &PcrValues,
) {
    tpm.insert("pcrs".into(), pcrs(values));
    tpm.insert("signature".into(), json!({"scheme": signature.scheme.as_str(), "hash": signature.hash.as_str()}));
    clock(tpm, attest);
}

/// That the recipient's key lives in the TPM, where that was shown.
pub(in crate::kinds) fn add_recipient(tpm: &mut Map<String, Value>, resident: Option<&Resident>) {
    if let Some(resident) = resident {
        tpm.insert("recipient".into(), json!({"resident": true, "name": hex::encode(&resident.name)}));
    }
}

/// What a document says, for `keygate inspect`: nothing of it was checked.
pub(super) fn unverified(document: &Document) -> Map<String, Value> {
    let mut tpm = Map::new();
    tpm.insert("pcrs".into(), pcrs(&document.pcrs));
    let name = match &document.key {
        AttestationKey::Area(area) => json!({"name": hex::encode(area.name())}),
        AttestationKey::Bare(key) => json!({"spki_sha256": key.spki_sha256().map(hex::encode)}),
    };
    tpm.insert("ak".into(), name);
    if let Ok(attest) = Attest::parse(&document.quote) {
        clock(&mut tpm, &attest);
        tpm.insert("qualifying_data".into(), json!(hex::encode(attest.extra_data)));
    }
    claims(tpm)
}

fn claims(tpm: Map<String, Value>) -> Map<String, Value> {
    let mut claims = Map::new();
    claims.insert("x-ms-attestation-type".into(), json!("tpm"));
    claims.insert("tpm".into(), Value::Object(tpm));
    claims
}

fn pcrs(values: &PcrValues) -> Value {
    let bank = |registers: &std::collections::BTreeMap<u32, Vec<u8>>| -> Map<String, Value> {
        registers.iter().map(|(index, value)| (index.to_string(), json!(hex::encode(value)))).collect()
    };
    values
        .iter()
        .map(|(name, registers)| (name.as_str().to_owned(), Value::Object(bank(registers))))
        .collect::<Map<_, _>>()
        .into()
}

/// The attestation key. What a certificate says of the TPM is its authority's word, and stands as such.
fn key(vouched: &Vouched, numbers: &str) -> Value {
    let mut key = Map::new();
    if let Some(area) = &vouched.area {
        key.insert("name".into(), json!(hex::encode(area.name())));
    }
    key.insert("spki_sha256".into(), json!(numbers));
    let by = match &vouched.by {
        By::Enrolment { .. } => "enrolment",
        By::Certificate { make, serial } => {
            key.insert("certificate".into(), certificate(make, serial));
            "certificate"
        }
        By::Pin => "pinned",
    };
    key.insert("vouched_by".into(), json!(by));
    Value::Object(key)
}

fn certificate(make: &TpmMake, serial: &[u8]) -> Value {
    let mut certificate = Map::new();
    certificate.insert("serial".into(), json!(hex::encode(serial)));
    let said = [("manufacturer", &make.manufacturer), ("model", &make.model), ("version", &make.version)];
    for (name, text) in said {
        if let Some(text) = text {
            certificate.insert(name.into(), json!(text));
        }
    }
    Value::Object(certificate)
}

fn clock(tpm: &mut Map<String, Value>, attest: &Attest<'_>) {
    let clock = &attest.clock;
    tpm.insert(
        "clock".into(),
        json!({
            "clock": clock.clock,
            "reset_count": clock.reset_count,
            "restart_count": clock.restart_count,
            "safe": clock.safe,
        }),
    );
    tpm.insert("firmware_version".into(), json!(format!("{:016x}", attest.firmware_version)));
}
