//! Any bytes as evidence of kind `tpm`: parsing ends, without a panic.
#![no_main]

use keygate_verifier::{Evidence, EvidenceKind, Verifier};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Verifier::inspect(&Evidence { kind: EvidenceKind::Tpm, bytes });
});
