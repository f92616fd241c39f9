//! HKDF-SHA-256, through the function that derives message keys.

use keygate_keystore::primitives::hkdf;

use crate::vectors::{Tally, expect, run};

#[test]
fn cry_08_hkdf_sha256() {
    let expected = Tally { accepted: 83, refused: 3, unsupported: 0 };
    run("hkdf_sha256_test", expected, |case| {
        let length = case.test["size"].as_u64().unwrap() as usize;
        let (key, salt, info) = (case.bytes("ikm"), case.bytes("salt"), case.bytes("info"));
        let derived = hkdf::derive(&key, &salt, &info, length);
        expect(case, derived.map(|d| d.to_vec()), &case.bytes("okm"))
    });
}

#[test]
fn cry_08_info_separates_its_parts() {
    let label = "keygate/v1/data-wrap";
    assert_ne!(hkdf::info(label, &[b"ab", b"c"]), hkdf::info(label, &[b"a", b"bc"]));
    assert_ne!(hkdf::info(label, &[b"", b"a"]), hkdf::info(label, &[b"a", b""]));
}
