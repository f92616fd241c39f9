//! The JSON document of Azure's clients: what parses has a report's length, certificates and bounded endorsements.
#![no_main]

use keygate_verifier::SnpDocument;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(document) = SnpDocument::parse(bytes) {
        assert!(document.report.len() == 1184 && document.uvm.len() <= 8);
        assert!(document.endorsements().is_ok_and(|held| held.len() <= 8));
    }
});
