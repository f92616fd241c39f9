//! Any bytes as a quote of kind `tdx`: they are answered, none panics.
#![no_main]

use keygate_verifier::{Evidence, EvidenceKind, Verifier};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Verifier::inspect(&Evidence { kind: EvidenceKind::Tdx, bytes });
    let _ = EvidenceKind::guess(bytes);
});
