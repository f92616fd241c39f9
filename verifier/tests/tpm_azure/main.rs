//! Azure Attestation's requests for machines with a TPM, made by a forged machine. TPM and VBS attestation protocol, sections 2 to 5;
//! `bad-inputs.md` section 7. Each check has a request that differs in one thing and is refused.

mod keys;
mod machine;
mod request;

use keygate_forge::azure_tpm::{Draft, Log, Machine, Tagged, Wanted, tag};
use keygate_verifier::tpm_azure::{TpmAppraisal, TpmRequest, TpmRules};
use keygate_verifier::{Anchors, Endorsements, EvidenceKind, UnixTime, Verifier, VerifyError};
use serde_json::Value;

const NOW: i64 = 1_800_000_000;
const CHALLENGE: [u8; 16] = [0x5c; 16];

fn machine() -> Machine {
    let loader = [
        (tag::BOOT_DEBUGGING, Tagged::Flag(false)),
        (tag::VBS_VSM_REQUIRED, Tagged::Flag(true)),
        (tag::VBS_IOMMU_REQUIRED, Tagged::Flag(true)),
        (tag::SAFE_MODE, Tagged::Flag(false)),
        (tag::WINPE, Tagged::Flag(false)),
    ];
    Machine::new(NOW, Log::windows(true, &loader, &[(tag::CODE_INTEGRITY, Tagged::Flag(true))]))
}

fn verifier(machine: &Machine) -> Verifier {
    let mut anchors = Anchors::none();
    anchors.add("lab", EvidenceKind::Tpm, &machine.root_der()).unwrap();
    Verifier::new(anchors)
}

fn rules() -> TpmRules<'static> {
    TpmRules { require_valid_aik_cert: true, required_pcrs: 0x00ff_ffff, anchors: &["lab"] }
}

fn wanted() -> Wanted {
    Wanted::new(&CHALLENGE, b"context")
}

fn now() -> UnixTime {
    UnixTime::from_secs(NOW)
}

/// The whole way with these rules.
fn judged(machine: &Machine, jws: &str, rules: &TpmRules<'_>) -> Result<TpmAppraisal, VerifyError> {
    verifier(machine).appraise_tpm(&TpmRequest::read(jws)?, rules, &Endorsements::default(), now())
}

fn appraised(machine: &Machine, wanted: &Wanted) -> Result<TpmAppraisal, VerifyError> {
    judged(machine, &machine.request(wanted), &rules())
}

fn refused(machine: &Machine, wanted: &Wanted) -> String {
    appraised(machine, wanted).unwrap_err().full_code()
}

/// What becomes of a draft that was changed before it was signed.
fn changed(machine: &Machine, wanted: &Wanted, change: impl FnOnce(&mut Draft)) -> Result<TpmAppraisal, VerifyError> {
    let mut draft = machine.draft(wanted);
    change(&mut draft);
    judged(machine, &draft.sign(&machine.request_key), &rules())
}

fn code(told: Result<TpmAppraisal, VerifyError>) -> String {
    told.unwrap_err().full_code()
}

fn json_of(claims: &serde_json::Map<String, Value>, name: &str) -> Value {
    serde_json::from_str(claims[name].as_str().unwrap()).unwrap()
}

/// The current state in a payload of the second form.
fn state(draft: &mut Draft) -> &mut Value {
    &mut draft.payload["att_data"]["tpm_att_data"]["current_attestation"]
}
