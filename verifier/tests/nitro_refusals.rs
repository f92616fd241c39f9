//! Nitro documents that are wrong in one thing: the rows NIT-01 to NIT-18 of the catalogue of bad inputs, flips, mutations.

mod fleet;
mod support;

use fleet::{Enclave, Fleet, with};
use keygate_forge::nitro::{Nitro, NitroDocument, NitroFault};
use keygate_forge::x509::{CertFault, Extension, usage};
use keygate_forge::{cbor, keys};
use keygate_verifier::{
    Anchors, Binding, Endorsements, Evidence, EvidenceKind, NativeBinding, Options, Outcome, RecipientKey, UnixTime,
    Verifier, VerifyError,
};
use support::{Rng, flips, mutations, skipped};

const NOW: i64 = 1_790_000_000;

fn judge_at(verifier: &Verifier, bytes: &[u8], binding: &Binding, now: i64) -> Result<(), VerifyError> {
    let evidence = Evidence { kind: EvidenceKind::Nitro, bytes };
    let now = UnixTime::from_secs(now);
    match verifier.verify(&evidence, binding, &Endorsements::default(), &Options::strict(), now)? {
        Outcome::Verified(_) => Ok(()),
        Outcome::NotAccepted { why, .. } => Err(why),
        Outcome::Wants(wants) => panic!("nitro wants nothing, not {wants:?}"),
    }
}

fn judge(verifier: &Verifier, bytes: &[u8]) -> Result<(), VerifyError> {
    judge_at(verifier, bytes, &Binding::Unbound, NOW)
}

fn under(root: &[u8]) -> Verifier {
    let mut anchors = Anchors::vendor().unwrap();
    anchors.add("throw-away", EvidenceKind::Nitro, root).unwrap();
    Verifier::new(anchors)
}

/// Every fault that the forge knows of this row is refused by its code, without a signature check where the bytes alone are at
/// fault; the twin without the fault is accepted. At least `least` faults there are.
fn row(row: &str, least: usize) {
    let nitro = Nitro::new(NOW);
    let verifier = under(&nitro.root_der());
    judge(&verifier, &nitro.document(&NitroDocument::new())).expect("the twin without a fault");
    let mut tried = 0;
    for fault in NitroFault::ALL.iter().filter(|fault| fault.row() == row) {
        let before = verifier.counts().signature_checks;
        let document = nitro.document(&NitroDocument { fault: Some(*fault), ..NitroDocument::new() });
        let refused = judge(&verifier, &document).expect_err(&format!("{fault:?}"));
        assert!(fault.allows(refused.code()), "{fault:?}: {} ({refused})", refused.code());
        if matches!(refused.code(), "malformed" | "unsupported" | "too-large") {
            assert_eq!(
                verifier.counts().signature_checks,
                before,
                "{fault:?}: cryptography for bytes that do not parse"
            );
        }
        tried += 1;
    }
    assert!(tried >= least, "{row}: {tried} faults, at least {least} are known");
}

#[test]
fn every_fault_of_the_forge_stands_in_a_row_that_is_tested_here() {
    let tested = ["01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "13", "15", "17"];
    for fault in NitroFault::ALL {
        assert!(tested.iter().any(|n| fault.row() == format!("NIT-{n}")), "{fault:?}: {}", fault.row());
    }
}

#[test]
fn nit_01_other_envelopes_are_malformed() {
    row("NIT-01", 4);
}

#[test]
fn nit_02_other_algorithms_are_unsupported() {
    row("NIT-02", 5);
}

#[test]
fn nit_03_critical_headers_are_malformed() {
    row("NIT-03", 1);
}

#[test]
fn nit_04_other_signatures_are_signature_invalid() {
    row("NIT-04", 6);
}

#[test]
fn nit_05_a_detached_payload_is_malformed() {
    row("NIT-05", 1);
}

#[test]
fn nit_06_other_encodings_are_malformed() {
    row("NIT-06", 17);
}

#[test]
fn nit_06_every_truncation_is_refused() {
    let nitro = Nitro::new(NOW);
    let verifier = under(&nitro.root_der());
    let document = nitro.document(&NitroDocument { nonce: Some(vec![1; 32]), ..NitroDocument::new() });
    for length in 0..document.len() {
        let refused = judge(&verifier, &document[..length]).expect_err("a truncated document");
        assert_eq!(refused.code(), "malformed", "{length} bytes");
    }
    assert_eq!(verifier.counts().signature_checks, 0);
}

#[test]
fn nit_07_a_debug_enclave_is_debug_rejected() {
    row("NIT-07", 1);
    let nitro = Nitro::new(NOW);
    let verifier = under(&nitro.root_der());
    let mut document = NitroDocument::new();
    document.pcrs.insert(0, vec![0; 48]);
    assert_eq!(judge(&verifier, &nitro.document(&document)).unwrap_err().code(), "debug-rejected");
    let mut document = NitroDocument::new();
    document.pcrs.insert(3, vec![0; 48]);
    judge(&verifier, &nitro.document(&document)).expect("register 3 is no measurement of the image");
}

#[test]
fn nit_07_real_debug_documents_are_debug_rejected() {
    for id in ["nitro-debug-1c921bd7", "nitro-debug-46591b92", "nitro-debug-370e2893"] {
        let Some(case) = support::case(id) else {
            return skipped("nitro debug documents", 3);
        };
        let verifier = Verifier::new(Anchors::vendor().unwrap());
        let at = case.at().unwrap().secs();
        let refused = judge_at(&verifier, &case.file("evidence"), &Binding::Unbound, at).unwrap_err();
        assert_eq!(refused.code(), "debug-rejected", "{id}");
    }
}

#[test]
fn nit_08_registers_that_do_not_exist_or_fit_are_malformed() {
    row("NIT-08", 3);
    let nitro = Nitro::new(NOW);
    let verifier = under(&nitro.root_der());
    let mut document = NitroDocument::new();
    for index in 0..32 {
        document.pcrs.entry(index).or_insert_with(|| vec![7; 48]);
    }
    judge(&verifier, &nitro.document(&document)).expect("a module has 32 registers");
    document.pcrs.remove(&1);
    judge(&verifier, &nitro.document(&document)).expect("no register but the first must be there");
    document.pcrs.remove(&0);
    assert_eq!(judge(&verifier, &nitro.document(&document)).unwrap_err().code(), "malformed");
}

#[test]
fn nit_09_other_bundles_are_chain_untrusted() {
    row("NIT-09", 6);
}

#[test]
fn nit_09_a_certificate_that_is_not_on_the_path_is_chain_untrusted() {
    let fleet = Fleet::new(NOW);
    let enclave = fleet.enclave();
    let verifier = under(fleet.root());
    judge(&verifier, &fleet.document(&enclave, b"1")).unwrap();
    let (zone, namesake) = (fleet.bundle[2].clone(), fleet.namesake_of_root());
    for (at, extra, what) in [
        (1, &zone, "after the root"),
        (4, &zone, "at the end"),
        (0, &zone, "before the root"),
        (1, &namesake, "in order by its names, and yet not on the path"),
    ] {
        let mut bundle: Vec<_> = fleet.bundle.iter().map(|der| cbor::bytes(der)).collect();
        bundle.insert(at, cbor::bytes(extra));
        let members = with(fleet.members(&enclave, b"1"), "cabundle", cbor::array(&bundle));
        let refused = judge(&verifier, &enclave.sign(&cbor::map(&members))).expect_err(what);
        assert_eq!(refused.code(), "chain-untrusted", "{what}");
    }
}

#[test]
fn nit_09_the_bundle_is_in_order_between_its_ends_too() {
    let fleet = Fleet::new(NOW);
    let enclave = fleet.enclave();
    let verifier = under(fleet.root());
    let mut bundle: Vec<_> = fleet.bundle.iter().map(|der| cbor::bytes(der)).collect();
    bundle.swap(1, 2);
    let members = with(fleet.members(&enclave, b"1"), "cabundle", cbor::array(&bundle));
    assert_eq!(judge(&verifier, &enclave.sign(&cbor::map(&members))).unwrap_err().code(), "chain-untrusted");
    assert_eq!(verifier.counts().signature_checks, 0);
}

#[test]
fn nit_09_an_authority_does_not_sign_documents() {
    let fleet = Fleet::new(NOW);
    let verifier = under(fleet.root());
    let refused = |extensions: &[Extension], key| {
        let enclave: Enclave = fleet.enclave_with(key, extensions);
        judge(&verifier, &fleet.document(&enclave, b"1")).unwrap_err().code()
    };
    let both = usage::DIGITAL_SIGNATURE | usage::CERT_SIGN;
    let authority = [Extension::authority(None), Extension::key_usage(both)];
    assert_eq!(refused(&authority, keys::p384()), "chain-untrusted");
    let other_use = [Extension::end_entity(), Extension::key_usage(usage::CRL_SIGN)];
    assert_eq!(refused(&other_use, keys::p384()), "chain-untrusted");
    let right = [Extension::end_entity(), Extension::key_usage(usage::DIGITAL_SIGNATURE)];
    assert_eq!(refused(&right, keys::p256()), "signature-invalid", "es384 is not for p-256");
}

#[test]
fn nit_10_a_root_with_the_right_name_and_another_key_is_chain_untrusted() {
    row("NIT-10", 1);
    let nitro = Nitro::new(NOW);
    let vendor = Verifier::new(Anchors::vendor().unwrap());
    let refused = judge(&vendor, &nitro.document(&NitroDocument::new())).unwrap_err();
    assert_eq!(refused.code(), "chain-untrusted", "the forge's root has the name of the real one");
    assert_eq!(vendor.counts().signature_checks, 0);
    assert_eq!(
        judge(&Verifier::new(Anchors::none()), &nitro.document(&NitroDocument::new())).unwrap_err().code(),
        "chain-untrusted"
    );
}

#[test]
fn nit_11_old_documents_and_documents_from_the_future_are_refused() {
    row("NIT-11", 4);
    let nitro = Nitro::new(NOW);
    let verifier = under(&nitro.root_der());
    let at = |ms: i64| {
        let timestamp_ms = Some(u64::try_from(NOW * 1_000 + ms).unwrap());
        judge(&verifier, &nitro.document(&NitroDocument { timestamp_ms, ..NitroDocument::new() }))
    };
    at(60_000).expect("a minute of leeway");
    assert_eq!(at(60_001).unwrap_err().code(), "freshness-failed");
    // The forge's leaf begins a minute ago.
    at(-60_000).expect("made in the first second of the leaf");
    assert_eq!(at(-60_001).unwrap_err().code(), "freshness-failed");
}

#[test]
fn nit_12_our_clock_decides_not_the_documents() {
    let nitro = Nitro::new(NOW);
    let verifier = under(&nitro.root_der());
    let document = nitro.document(&NitroDocument::new());
    judge(&verifier, &document).unwrap();
    // The document's own time lies inside every certificate; ours does not.
    let refused = judge_at(&verifier, &document, &Binding::Unbound, NOW + 4 * 3_600).unwrap_err();
    assert_eq!(refused.code(), "chain-untrusted");
    let refused = judge_at(&verifier, &document, &Binding::Unbound, NOW - 3_600).unwrap_err();
    assert_eq!(refused.code(), "freshness-failed");
}

#[test]
fn nit_13_members_have_at_most_1024_bytes() {
    row("NIT-13", 3);
    let nitro = Nitro::new(NOW);
    let verifier = under(&nitro.root_der());
    let full = Some(vec![1; 1_024]);
    let document =
        NitroDocument { nonce: full.clone(), user_data: full.clone(), public_key: full, ..NitroDocument::new() };
    judge(&verifier, &nitro.document(&document)).expect("1024 bytes in each");
}

fn bound(public_key: Option<Vec<u8>>) -> Result<(), VerifyError> {
    let nitro = Nitro::new(NOW);
    let verifier = under(&nitro.root_der());
    let recipient = RecipientKey::from_spki(&keys::spki(&keys::p256())).unwrap();
    let native = NativeBinding::new([3; 32], "kms.example", &[4; 32], recipient.clone(), b"");
    let document = NitroDocument {
        nonce: Some(native.nonce().to_vec()),
        user_data: Some(native.user_data()),
        public_key: public_key.map(|key| if key.is_empty() { recipient.spki_der().unwrap() } else { key }),
        ..NitroDocument::new()
    };
    judge_at(&verifier, &nitro.document(&document), &Binding::Native(Box::new(native)), NOW)
}

#[test]
fn nit_13_a_recipient_is_a_public_key_in_der_of_a_supported_size() {
    bound(Some(Vec::new())).expect("the recipient's own key");
    let small = openssl::rsa::Rsa::generate(1_024).unwrap().public_key_to_der().unwrap();
    for other in [small, b"not der".to_vec(), keys::point(&keys::p256())] {
        assert_eq!(bound(Some(other)).unwrap_err().code(), "binding-mismatch");
    }
}

#[test]
fn nit_14_no_public_key_is_binding_mismatch() {
    assert_eq!(bound(None).unwrap_err().code(), "binding-mismatch");
}

#[test]
fn nit_15_junk_in_members_is_malformed() {
    row("NIT-15", 9);
    let nitro = Nitro::new(NOW);
    let verifier = under(&nitro.root_der());
    for junk in ["i-", "i--enc", "i-0-enc", "i-0-encX", "i-0g-enc0", "I-0-enc0", "i-0-enc0 ", "0-enc0", "i-0"] {
        let document = NitroDocument { module_id: junk.to_owned(), ..NitroDocument::new() };
        assert_eq!(judge(&verifier, &nitro.document(&document)).unwrap_err().code(), "malformed", "{junk}");
    }
    let long = NitroDocument { module_id: format!("i-0-enc{}", "0".repeat(64)), ..NitroDocument::new() };
    assert_eq!(judge(&verifier, &nitro.document(&long)).unwrap_err().code(), "malformed");
}

#[test]
fn nit_16_registers_are_claims_whatever_their_values() {
    // A value copied from documentation is as good as any: the rule decides.
    let nitro = Nitro::new(NOW);
    let verifier = under(&nitro.root_der());
    let mut document = NitroDocument::new();
    for index in [3, 4, 8] {
        document.pcrs.insert(index, vec![0xff; 48]);
    }
    judge(&verifier, &nitro.document(&document)).unwrap();
}

#[test]
fn nit_17_a_second_member_pcrs_is_malformed() {
    row("NIT-17", 1);
}

#[test]
fn nit_18_a_nitrotpm_document_is_another_profile() {
    let fleet = Fleet::new(NOW);
    let enclave = fleet.enclave();
    let verifier = under(fleet.root());
    let mut members = fleet.members(&enclave, b"1");
    let pcrs = members.remove(3);
    members.push((cbor::text("nitrotpm_pcrs"), pcrs.1.clone()));
    assert_eq!(judge(&verifier, &enclave.sign(&cbor::map(&members))).unwrap_err().code(), "unsupported");
    members.insert(0, pcrs);
    assert_eq!(judge(&verifier, &enclave.sign(&cbor::map(&members))).unwrap_err().code(), "unsupported", "mixed");
    let unknown = with(fleet.members(&enclave, b"1"), "something", cbor::null());
    assert_eq!(judge(&verifier, &enclave.sign(&cbor::map(&unknown))).unwrap_err().code(), "malformed");
}

#[test]
fn x509_faults_of_the_instances_certificate_are_refused_by_their_codes() {
    let nitro = Nitro::new(NOW);
    let verifier = under(&nitro.root_der());
    for fault in CertFault::ALL {
        let document = nitro.document(&NitroDocument { authority_fault: Some(*fault), ..NitroDocument::new() });
        let refused = judge(&verifier, &document).expect_err(&format!("{fault:?}"));
        // A certificate that somebody else signed is a wrong signature on the path.
        let foreign = *fault == CertFault::ForeignSigner && refused.code() == "signature-invalid";
        assert!(foreign || fault.allows(refused.code()), "{fault:?}: {} ({refused})", refused.code());
    }
}

/// Two real documents, with the time at which each verifies.
fn samples() -> Vec<(Vec<u8>, i64)> {
    ["nitro-prod-54ae0f97", "nitro-prod-b9db8022"]
        .iter()
        .filter_map(|id| support::case(id))
        .map(|case| (case.file("evidence"), case.at().unwrap().secs()))
        .collect()
}

#[test]
fn every_bit_of_a_real_document_counts() {
    let samples = samples();
    if samples.is_empty() {
        return skipped("bit flips of nitro", 2);
    }
    for (bytes, now) in samples {
        let verifier = Verifier::new(Anchors::vendor().unwrap());
        judge_at(&verifier, &bytes, &Binding::Unbound, now).unwrap();
        for (at, mask) in flips(0..bytes.len(), 61) {
            let mut flipped = bytes.clone();
            flipped[at] ^= mask;
            let verdict = judge_at(&verifier, &flipped, &Binding::Unbound, now);
            assert!(verdict.is_err(), "byte {at}, mask {mask:#04x}: accepted");
        }
        support::tried("flipped bits of a nitro document", flips(0..bytes.len(), 61).count());
    }
}

#[test]
fn mutations_of_real_documents_are_not_accepted_and_do_not_panic() {
    let samples = samples();
    if samples.is_empty() {
        return skipped("mutations of nitro", 2);
    }
    let mut random = Rng::new(0x6e69_7472_6f00_0001);
    for (bytes, now) in samples {
        let verifier = Verifier::new(Anchors::vendor().unwrap());
        let count = mutations(500, 125_000);
        for _ in 0..count {
            let mutated = random.mutated(&bytes);
            assert!(judge_at(&verifier, &mutated, &Binding::Unbound, now).is_err(), "{}", hex::encode(&mutated));
        }
        support::tried("mutations of a nitro document", count);
    }
}
