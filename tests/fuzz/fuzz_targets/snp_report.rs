//! An SEV-SNP report, plain or with a certificate table behind it: any bytes are answered, none panics.
#![no_main]

use keygate_verifier::{Evidence, EvidenceKind, Verifier};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Verifier::inspect(&Evidence { kind: EvidenceKind::Snp, bytes });
    let _ = EvidenceKind::guess(bytes);
});
