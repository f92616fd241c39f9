//! An endorsement of a utility VM: any bytes are answered, none panics.
#![no_main]

use keygate_verifier::UvmEndorsement;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = UvmEndorsement::inspect(bytes);
});
