//! Nitro documents that are genuine: every entry of the manifest, their claims, the binding, the exact counts of work.

mod fleet;
mod support;

use fleet::Fleet;
use keygate_forge::keys;
use keygate_forge::nitro::{Nitro, NitroDocument};
use keygate_verifier::{
    Anchors, Binding, BoundKey, Counts, Endorsements, Evidence, EvidenceKind, NativeBinding, Options, Outcome,
    RecipientKey, UnixTime, Verified, Verifier, VerifyError,
};
use serde_json::{Value, json};
use support::{Case, cases, skipped};

const NOW: i64 = 1_790_000_000;

fn evidence(bytes: &[u8]) -> Evidence<'_> {
    Evidence { kind: EvidenceKind::Nitro, bytes }
}

fn judge(verifier: &Verifier, bytes: &[u8], binding: &Binding, now: UnixTime) -> Result<Verified, VerifyError> {
    match verifier.verify(&evidence(bytes), binding, &Endorsements::default(), &Options::show_all(), now)? {
        Outcome::Verified(verified) => Ok(verified),
        other => panic!("neither verified nor refused: {other:?}"),
    }
}

fn under(root: &[u8]) -> Verifier {
    let mut anchors = Anchors::vendor().unwrap();
    anchors.add("throw-away", EvidenceKind::Nitro, root).unwrap();
    Verifier::new(anchors)
}

#[test]
fn every_entry_of_the_manifest_gets_the_manifests_verdict() {
    let all = cases(&["nitro"]);
    if all.is_empty() {
        return skipped("nitro", 13);
    }
    assert_eq!(all.len(), 13);
    let verifier = Verifier::new(Anchors::vendor().unwrap());
    for case in &all {
        // One entry has no date: its certificate does not even parse. Any time inside the chain's validity will do.
        let at = case.at().unwrap_or_else(|| support::time("2021-09-09T10:19:20Z"));
        match judge(&verifier, &case.file("evidence"), &Binding::Unbound, at) {
            Ok(verified) => {
                assert!(case.verifies(), "{}: verified, but {}", case.id, case.expected["reason"]);
                claims_are_those_of(case, &verified);
            }
            Err(refused) => assert!(!case.verifies(), "{}: {refused}", case.id),
        }
    }
}

#[test]
fn refused_entries_of_the_manifest_are_refused_by_their_codes() {
    let verifier = Verifier::new(Anchors::vendor().unwrap());
    for (id, code) in [
        ("nitro-neg-4164bfae", "malformed"),
        ("nitro-neg-15d4f223", "signature-invalid"),
        ("nitro-neg-e388022c", "malformed"),
        ("nitro-prod-54ae0f97-expired", "chain-untrusted"),
    ] {
        let Some(case) = support::case(id) else {
            return skipped("nitro", 4);
        };
        let at = case.at().unwrap_or_else(|| support::time("2021-09-09T10:19:20Z"));
        let refused = judge(&verifier, &case.file("evidence"), &Binding::Unbound, at).unwrap_err();
        assert_eq!(refused.code(), code, "{id}: {refused}");
    }
}

fn claims_are_those_of(case: &Case, verified: &Verified) {
    let claims = verified.claims();
    let (ours, theirs) = (&claims["nitro"], case.claims());
    assert_eq!(claims["x-ms-attestation-type"], "nitro");
    assert_eq!(claims["keygate"]["anchor"], "vendor");
    assert_eq!(claims["keygate"]["debug"], case.expected["debug"], "{}", case.id);
    assert_eq!(ours["module_id"], theirs["module_id"]);
    assert_eq!(ours["timestamp"], theirs["timestamp_ms"]);
    for name in ["nonce", "user_data", "public_key"] {
        assert_eq!(ours.get(name).unwrap_or(&Value::Null), &theirs[name], "{}: {name}", case.id);
    }
    // The manifest leaves out registers that are zero.
    let registers = ours["pcrs"].as_object().unwrap();
    assert_eq!(json!(registers.len()), theirs["pcr_count"]);
    let zero = json!("00".repeat(48));
    for (index, value) in registers {
        assert_eq!(value, theirs["pcrs"].get(index).unwrap_or(&zero), "{}: pcr {index}", case.id);
    }
    let image: Vec<&str> = ["0", "1", "2"].iter().map(|i| registers[*i].as_str().unwrap()).collect();
    assert_eq!(verified.measurements(), image);
    let (instance, _) = theirs["module_id"].as_str().unwrap().split_once("-enc").unwrap();
    assert_eq!(verified.platforms().last().unwrap(), &format!("nitro-module:{instance}"));
}

#[test]
fn the_window_of_a_document_is_its_leafs_and_ends_to_the_second() {
    let Some(case) = support::case("nitro-prod-54ae0f97") else {
        return skipped("nitro", 1);
    };
    let verifier = Verifier::new(Anchors::vendor().unwrap());
    let bytes = case.file("evidence");
    let end = support::time(case.expected["window"][1].as_str().unwrap());
    let verified = judge(&verifier, &bytes, &Binding::Unbound, end).unwrap();
    assert_eq!(verified.not_after(), end);
    assert_eq!(judge(&verifier, &bytes, &Binding::Unbound, end.plus(1)).unwrap_err().code(), "chain-untrusted");
}

#[test]
fn tagged_or_not_open_or_definite_absent_or_null_are_one_document() {
    let nitro = Nitro::new(NOW);
    let verifier = under(&nitro.root_der());
    for (tagged, definite, omit_absent) in [(false, false, false), (true, false, false), (false, true, true)] {
        let document = nitro.document(&NitroDocument { tagged, definite, omit_absent, ..NitroDocument::new() });
        let verified = judge(&verifier, &document, &Binding::Unbound, UnixTime::from_secs(NOW)).unwrap();
        assert_eq!(verified.anchor(), "throw-away");
        assert_eq!(verified.bound_key(), &BoundKey::Absent);
        assert!(verified.claims()["nitro"].get("nonce").is_none());
    }
}

fn recipients() -> [RecipientKey; 3] {
    let ec = |key: keys::Key| RecipientKey::from_spki(&keys::spki(&key)).unwrap();
    let rsa = openssl::rsa::Rsa::generate(2048).unwrap();
    let rsa = RecipientKey::rsa(&rsa.n().to_vec(), &rsa.e().to_vec()).unwrap();
    [rsa, ec(keys::p256()), ec(keys::p384())]
}

#[test]
fn a_bound_document_hands_out_the_recipient_and_nothing_else_does() {
    let nitro = Nitro::new(NOW);
    let verifier = under(&nitro.root_der());
    for recipient in recipients() {
        let native = NativeBinding::new([3; 32], "kms.example", &[4; 32], recipient.clone(), b"");
        let good = NitroDocument {
            nonce: Some(native.nonce().to_vec()),
            user_data: Some(native.user_data()),
            public_key: recipient.spki_der(),
            ..NitroDocument::new()
        };
        let judged = |document: &NitroDocument| {
            let binding = Binding::Native(Box::new(native.clone()));
            judge(&verifier, &nitro.document(document), &binding, UnixTime::from_secs(NOW))
        };
        assert_eq!(judged(&good).unwrap().bound_key(), &BoundKey::Present(recipient));

        let changed = |bytes: &Option<Vec<u8>>| {
            let mut bytes = bytes.clone().unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            Some(bytes)
        };
        let longer = |bytes: &Option<Vec<u8>>| bytes.clone().map(|b| [b, vec![0]].concat());
        let other = recipients()[1].spki_der();
        for (what, document, code) in [
            ("no nonce", NitroDocument { nonce: None, ..good.clone() }, "freshness-failed"),
            ("another nonce", NitroDocument { nonce: changed(&good.nonce), ..good.clone() }, "freshness-failed"),
            ("a longer nonce", NitroDocument { nonce: longer(&good.nonce), ..good.clone() }, "freshness-failed"),
            ("no user data", NitroDocument { user_data: None, ..good.clone() }, "binding-mismatch"),
            (
                "other user data",
                NitroDocument { user_data: changed(&good.user_data), ..good.clone() },
                "binding-mismatch",
            ),
            (
                "longer user data",
                NitroDocument { user_data: longer(&good.user_data), ..good.clone() },
                "binding-mismatch",
            ),
            ("another key", NitroDocument { public_key: other, ..good.clone() }, "binding-mismatch"),
            (
                "bytes after the key",
                NitroDocument { public_key: longer(&good.public_key), ..good.clone() },
                "binding-mismatch",
            ),
        ] {
            let refused = judged(&document).expect_err(what);
            assert_eq!(refused.code(), code, "{what}: {refused}");
        }
    }
}

#[test]
fn cold_warm_and_hot_do_five_two_and_one_signature_checks() {
    let fleet = Fleet::new(NOW);
    let verifier = under(fleet.root());
    let work = |bytes: &[u8]| {
        let before = verifier.counts();
        judge(&verifier, bytes, &Binding::Unbound, UnixTime::from_secs(NOW)).unwrap();
        let after = verifier.counts();
        let Counts { signature_checks, certificates_parsed, documents_parsed } = before;
        assert_eq!(documents_parsed, after.documents_parsed);
        (after.signature_checks - signature_checks, after.certificates_parsed - certificates_parsed)
    };
    let (one, two) = (fleet.enclave(), fleet.enclave());
    assert_eq!(work(&fleet.document(&one, b"1")), (5, 5), "cold");
    assert_eq!(work(&fleet.document(&two, b"1")), (2, 1), "warm: a new enclave on a known instance");
    assert_eq!(work(&fleet.document(&two, b"2")), (1, 0), "hot: a new document of a known enclave");
    assert_eq!(work(&fleet.document(&one, b"2")), (1, 0), "hot");
}

#[test]
fn p7_a_remembered_chain_is_still_held_against_the_clock() {
    let fleet = Fleet::new(NOW);
    let verifier = under(fleet.root());
    let document = fleet.document(&fleet.enclave(), b"1");
    judge(&verifier, &document, &Binding::Unbound, UnixTime::from_secs(NOW)).unwrap();
    let late = UnixTime::from_secs(NOW + 2 * 3_600 + 1);
    assert_eq!(judge(&verifier, &document, &Binding::Unbound, late).unwrap_err().code(), "chain-untrusted");
}

#[test]
fn inspect_shows_what_verify_would_claim() {
    let nitro = Nitro::new(NOW);
    let document = nitro.document(&NitroDocument::new());
    let shown = Verifier::inspect(&evidence(&document)).unwrap();
    let verified = judge(&under(&nitro.root_der()), &document, &Binding::Unbound, UnixTime::from_secs(NOW)).unwrap();
    assert_eq!(shown["nitro"], verified.claims()["nitro"]);
    assert_eq!(EvidenceKind::guess(&document), Some(EvidenceKind::Nitro));
}
