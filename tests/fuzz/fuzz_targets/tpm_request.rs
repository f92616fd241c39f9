//! Requests of machines with a TPM: any text, and any payload in either form under a signature of its own key's making or nobody's.
//! What is read has a challenge and was signed; nothing is vouched for under no anchors.
#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_verifier::tpm_azure::{TpmRequest, TpmRules};
use keygate_verifier::{Anchors, Endorsements, UnixTime, Verifier};
use libfuzzer_sys::fuzz_target;

fn read(text: &str) {
    let Ok(request) = TpmRequest::read(text) else { return };
    let verifier = Verifier::new(Anchors::none());
    let rules = TpmRules { require_valid_aik_cert: true, required_pcrs: 0, anchors: &["lab"] };
    let now = UnixTime::from_secs(1_750_000_000);
    assert!(verifier.appraise_tpm(&request, &rules, &Endorsements::default(), now).is_err());
}

fuzz_target!(|bytes: &[u8]| {
    read(&String::from_utf8_lossy(bytes));
    for typ in ["attReq", "attReqV2"] {
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"PS256","typ":"{typ}"}}"#));
        read(&format!("{header}.{}.AAAA", URL_SAFE_NO_PAD.encode(bytes)));
    }
});
