//! Any bytes as a TPMS_ATTEST, also behind the magic of a quote: what is read is the whole of it.
#![no_main]

use keygate_verifier::tpm::{Attest, Attested};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for bytes in [bytes.to_vec(), [&[0xff, 0x54, 0x43, 0x47, 0x80, 0x18], bytes].concat()] {
        if let Ok(attest) = Attest::parse(&bytes) {
            assert_eq!(attest.bytes(), bytes);
            if let Attested::Quote { selection, .. } = &attest.attested {
                assert!(selection.banks().all(|(_, registers)| !registers.is_empty()));
            }
        }
    }
});
