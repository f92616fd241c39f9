//! Any bytes as a document of kind `azure-vtpm`, and as the paravisor's report in one that is sound else: they are answered, none
//! panics.
#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_verifier::{Evidence, EvidenceKind, Verifier};
use libfuzzer_sys::fuzz_target;

/// A quote of register 0 in the SHA-256 bank, nothing asked.
const QUOTE: &[u8] = &[
    0xff, 0x54, 0x43, 0x47, 0x80, 0x18, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 1, 0, 0x0b, 3, 1, 0, 0, 0, 0,
];
const SIGNATURE: &[u8] = &[0, 0x14, 0, 0x0b, 0, 1, 1];

fuzz_target!(|bytes: &[u8]| {
    let _ = Verifier::inspect(&Evidence { kind: EvidenceKind::AzureVtpm, bytes });
    let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let parts = format!(
        r#"{{"kind":"azure-vtpm","runtime_data":"{}","snp_report":"{}","quote":"{}","signature":"{}","pcrs":{{"sha256":{{"0":"{}"}}}}}}"#,
        b64(bytes),
        b64(bytes),
        b64(QUOTE),
        b64(SIGNATURE),
        "00".repeat(32),
    );
    let _ = Verifier::inspect(&Evidence { kind: EvidenceKind::AzureVtpm, bytes: parts.as_bytes() });
    let around = format!(
        r#"{{"kind":"azure-vtpm","hcl_report":"{}","quote":"{}","signature":"{}","pcrs":{{"sha256":{{"0":"{}"}}}}}}"#,
        b64(bytes),
        b64(QUOTE),
        b64(SIGNATURE),
        "00".repeat(32),
    );
    let _ = Verifier::inspect(&Evidence { kind: EvidenceKind::AzureVtpm, bytes: around.as_bytes() });
});
