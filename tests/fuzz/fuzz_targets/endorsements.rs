//! Any bytes as a file of endorsements: recognised or refused, without a panic.
#![no_main]

use keygate_verifier::Endorsements;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Endorsements::default().add_file(bytes);
    let _ = Endorsements::from_archive(bytes);
});
