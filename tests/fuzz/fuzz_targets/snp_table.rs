//! A certificate table as a file of endorsements: what is held never exceeds what was read.
#![no_main]

use keygate_verifier::Endorsements;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut held = Endorsements::default();
    if let Ok(found) = held.add_file(bytes) {
        assert!(held.len() <= found);
    }
});
