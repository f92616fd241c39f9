//! Any bytes as a file of endorsements, mostly the nine-member set: they are answered, none panics.
#![no_main]

use keygate_verifier::Endorsements;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut held = Endorsements::default();
    let _ = held.add_file(bytes);
});
