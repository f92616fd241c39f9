//! Any bytes as a public area: what is read has a name, is read again from its own bytes, and makes a credential or none.
#![no_main]

use keygate_verifier::tpm::{EndorsementRandomness, PublicArea, make_credential};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for head in [&[][..], &[0, 1, 0, 0x0b], &[0, 0x23, 0, 0x0b]] {
        let bytes = [head, bytes].concat();
        if let Ok(area) = PublicArea::parse(&bytes) {
            assert_eq!(PublicArea::parse(area.bytes()).as_ref().map(PublicArea::name), Ok(area.name()));
            let _ = area.check_attestation_key();
            let _ = make_credential(&area, area.name(), &[1; 32], &EndorsementRandomness(&[7; 128]));
        }
    }
});
