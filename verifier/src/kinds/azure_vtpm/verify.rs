//! Whether an Azure machine is genuine: hardware, paravisor, attestation key, quote, recipient; in this order.
//!
//! Threat model, P14 and P20; bad inputs, TPM-32 to TPM-37.

use serde_json::{Map, Value};

use super::claims;
use super::hcl::{Hardware, HclReport};
use super::wire::Document;
use crate::binding::{Binding, no_held_data};
use crate::endorsements::CollateralId;
use crate::error::VerifyError;
use crate::formats::tpm::{Attest, QuoteFacts, Signature, verify_quote};
use crate::kinds::tpm::claims::{add_quote, add_recipient};
use crate::kinds::tpm::logs::{log_claims, not_production};
use crate::kinds::tpm::recipient;
use crate::kinds::tpm::verify::sha1_alone;
use crate::kinds::{EvidenceKind, snp, tdx};
use crate::scheme::{Given, Parsed};
use crate::signatures::Algorithm;
use crate::verified::{BoundKey, Genuine, InitDataSlot, TpmState};

const UNKNOWN: &str = "nobody knows this launch as a paravisor: whoever has such hardware could play one. Add its measurement to \
    `azure_vtpm.paravisors` after checking it";

/// The document with what was read out of it.
pub(super) struct Evidence {
    pub document: Document,
}

impl Evidence {
    fn hardware<'a>(&'a self, report: &HclReport<'a>) -> Result<Box<dyn Parsed + 'a>, VerifyError> {
        match (report.hardware, &self.document.td_quote) {
            (Hardware::Snp(bytes), _) => snp::nested(bytes, self.document.certificates.clone()),
            (Hardware::Tdx, Some(quote)) => tdx::nested(quote),
            (Hardware::Tdx, None) => Err(VerifyError::malformed("td-quote", "a td report is signed by nobody")),
        }
    }
}

/// What the hardware's report must carry: the digest of the run-time data, then zeros.
fn below<'a>(given: &Given<'a>, binding: &'a Binding) -> Given<'a> {
    Given {
        anchors: given.anchors,
        binding,
        held: given.held,
        options: given.options,
        now: given.now,
        memo: given.memo,
        recurring: true,
    }
}

impl Parsed for Evidence {
    fn wants(&self, given: &Given<'_>) -> Result<Vec<CollateralId>, VerifyError> {
        let report = self.document.paravisor.report()?;
        self.hardware(&report)?.wants(given)
    }

    fn verify(&self, given: &Given<'_>) -> Result<Genuine, VerifyError> {
        let document = &self.document;
        let report = document.paravisor.report()?;
        let held = Binding::HeldData { runtime_sha256: Some(report.runtime_sha256()) };
        let mut genuine = self.hardware(&report)?.verify(&below(given, &held))?;

        let attest = Attest::parse(&document.quote)?;
        let signature = Signature::parse(&document.signature)?;
        let (key, _) = report.attestation_key()?;
        let sent = document.ak.as_ref().map(|area| area.public_key().map(|key| key.digest()));
        if sent.is_some_and(|sent| sent != Some(key.digest())) {
            return Err(VerifyError::binding("attestation-key", "the report names another attestation key than `ak`"));
        }
        let (qualifying_data, bound) = match given.binding {
            Binding::Unbound => (None, BoundKey::Absent),
            Binding::HeldData { .. } => return Err(no_held_data()),
            Binding::Native(native) => (native.report_data().get(..32), BoundKey::Present(native.recipient().clone())),
        };
        if !matches!(signature.algorithm(), Algorithm::TpmRsassa(_) | Algorithm::TpmRsapss(_)) {
            return Err(VerifyError::unsupported("tpm-signature", "the paravisor's attestation key is RSA"));
        }
        let facts =
            QuoteFacts { attest: &attest, signature: &signature, pcrs: &document.pcrs, key: &key, qualifying_data };
        let selection = verify_quote(&facts, given.memo)?;
        let resident = document.resident.as_ref();
        let resident = resident.map(|sent| recipient::check(sent, &attest, &key, given)).transpose()?;

        let logs = log_claims(&document.pcrs, document.event_log.as_deref(), document.ima_log.as_deref())?;
        let lax = not_production(&logs);
        let known = given.anchors.paravisors().know(&genuine.attested);
        let identity = key
            .spki_sha256()
            .map(hex::encode)
            .ok_or_else(|| VerifyError::malformed("hcl-runtime-data", "the attestation key cannot be written"))?;
        let hardware = std::mem::take(&mut genuine.attested);
        genuine.attested = claims::of_report(&report, hardware);
        let mut tpm = claims::keys(&report, &identity, known)?;
        add_quote(&mut tpm, &attest, &signature, &document.pcrs);
        add_recipient(&mut tpm, resident.as_ref());
        tpm.extend(logs);
        claims::add_tpm(&mut genuine.attested, tpm, &document.pcrs);
        genuine.resident = resident.map(|resident| resident.key);
        genuine.kind = EvidenceKind::AzureVtpm;
        genuine.bound = bound;
        genuine.init_data = InitDataSlot::None;
        genuine.sha1 = sha1_alone(selection, &signature);
        genuine.unproven = if known { lax } else { Some(("paravisor", UNKNOWN)) };
        genuine.platforms.push(format!("tpm-ak:{identity}"));
        genuine.platforms.push(format!("tpm-firmware:{:016x}", attest.firmware_version));
        if let Some(id) = report.configuration("vmUniqueId").and_then(Value::as_str) {
            genuine.platforms.push(format!("azure-vm:{}", id.to_ascii_lowercase()));
        }
        let strong = document.pcrs.iter().filter(|(bank, _)| bank.is_strong());
        genuine.measurements.extend(strong.flat_map(|(_, registers)| registers.values().map(hex::encode)));
        genuine.signed = Some(openssl::sha::sha256(&[document.quote.as_slice(), &document.signature].concat()));
        genuine.tpm = Some(TpmState {
            name: None,
            key: identity,
            reset_count: attest.clock.reset_count,
            restart_count: attest.clock.restart_count,
            clock: attest.clock.clock,
            safe: attest.clock.safe,
        });
        Ok(genuine)
    }

    fn inspect(&self) -> Map<String, Value> {
        let Ok(report) = self.document.paravisor.report() else { return Map::new() };
        let hardware = self.hardware(&report).map(|hardware| hardware.inspect()).unwrap_or_default();
        claims::of_report(&report, hardware)
    }
}
