//! Any bytes as a key set: read or refused, without a panic, and never more keys than entries may be.
#![no_main]

use keygate_verifier::tokens::{JwsAlgorithm, KeySet};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(keys) = KeySet::parse(bytes) {
        assert!(keys.len() <= 256);
        for algorithm in JwsAlgorithm::ALL {
            assert!(keys.check(None, algorithm, b"message", &[0; 64]).is_err());
        }
    }
});
