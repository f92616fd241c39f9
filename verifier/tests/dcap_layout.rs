//! Declared lengths: every one is used up exactly, wherever it stands in a quote.
//!
//! Catalogue of bad inputs, SGX-01 to SGX-04; Intel SGX DCAP Quoting Library API, *Quote Format*.

mod dcap;

use dcap::lab::{Lab, code};
use keygate_forge::intel::{SgxQuote, TdxQuote, TdxVersion, Tee};
use keygate_verifier::EvidenceKind;

/// Adds `by` to the little-endian 32-bit number at `at`.
fn grow(bytes: &mut [u8], at: usize, by: u32) {
    let field: &mut [u8; 4] = (&mut bytes[at..at + 4]).try_into().expect("four bytes");
    *field = (u32::from_le_bytes(*field) + by).to_le_bytes();
}

#[test]
fn sgx_03_signature_data_is_used_up() {
    let lab = Lab::new();
    let collateral = lab.collateral(Tee::Sgx, None);
    let sound = lab.intel.sgx_quote(&SgxQuote::new([7; 64]));
    assert_eq!(code(lab.judge(EvidenceKind::Sgx, &sound, &collateral)), "accepted");
    for extra in [0u8, 1] {
        // Bytes behind the certificates, inside the declared length.
        let mut stuffed = [sound.as_slice(), &[extra; 4]].concat();
        grow(&mut stuffed, 432, 4);
        assert_eq!(code(lab.judge(EvidenceKind::Sgx, &stuffed, &collateral)), "malformed", "{extra}");
    }
}

#[test]
fn sgx_03_nested_certification_data_is_used_up() {
    let lab = Lab::new();
    let collateral = lab.collateral(Tee::Tdx, None);
    for (version, signed) in [(TdxVersion::V4, 632), (TdxVersion::V5Td10, 638), (TdxVersion::V5Td15, 702)] {
        let sound = lab.intel.tdx_quote(&TdxQuote { version, ..TdxQuote::new([7; 64]) });
        assert_eq!(code(lab.judge(EvidenceKind::Tdx, &sound, &collateral)), "accepted");
        // Length of the signature data; signature, key and type; length of the outer certification data.
        let outer = signed + 4 + 64 + 64 + 2;
        let mut stuffed = [sound.as_slice(), &[0; 4]].concat();
        grow(&mut stuffed, signed, 4);
        assert_eq!(code(lab.judge(EvidenceKind::Tdx, &stuffed, &collateral)), "malformed", "{version:?}: data");
        grow(&mut stuffed, outer, 4);
        assert_eq!(code(lab.judge(EvidenceKind::Tdx, &stuffed, &collateral)), "malformed", "{version:?}: outer");
    }
}

#[test]
fn sgx_03_the_open_enclave_size_covers_the_quote() {
    let lab = Lab::new();
    let collateral = lab.collateral(Tee::Sgx, None);
    let padding = 70;
    let sound = lab.intel.sgx_quote(&SgxQuote { with_oe_header: true, padding, ..SgxQuote::new([7; 64]) });
    let (inner, quote) = (sound.len() - 16, sound.len() - 16 - padding);
    for (size, expected) in [
        (quote - 1, "malformed"),
        (quote, "accepted"),
        (inner, "accepted"),
        (inner + 1, "malformed"),
        (0, "malformed"),
        (usize::MAX, "malformed"),
    ] {
        let mut sized = sound.clone();
        sized[8..16].copy_from_slice(&u64::try_from(size).expect("64 bits").to_le_bytes());
        assert_eq!(code(lab.judge(EvidenceKind::Sgx, &sized, &collateral)), expected, "{size} of {inner}");
    }
    // Another version or report type is no Open Enclave header, and no quote either.
    for at in [0, 4] {
        let mut other = sound.clone();
        other[at] ^= 3;
        assert_eq!(code(lab.judge(EvidenceKind::Sgx, &other, &collateral)), "unsupported");
    }
}

#[test]
fn tdx_02_module_attributes_outside_the_mask_must_be_clear() {
    let lab = Lab::new();
    let masked = lab.changed(Tee::Tdx, |c| c.tdx_modules.iter_mut().for_each(|m| m.attributes_mask[0] = 0xf0));
    for (seam, expected) in [(0, "accepted"), (1, "tcb-rejected"), (0x10, "tcb-rejected")] {
        let mut wanted = TdxQuote::new([7; 64]);
        wanted.seam_attributes[0] = seam;
        let quote = lab.intel.tdx_quote(&wanted);
        assert_eq!(code(lab.judge(EvidenceKind::Tdx, &quote, &masked)), expected, "{seam:#04x}");
    }
}
