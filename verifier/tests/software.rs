//! Software statements: accepted under an operator's anchor and nowhere else, refused in everything that is wrong.

mod support;

use keygate_forge::software::{Software, SoftwareEvidence, SoftwareFault};
use keygate_forge::x509::{Cert, CertFault, Extension, name, usage};
use keygate_forge::{base64, keys};
use keygate_verifier::{
    Anchors, Binding, BoundKey, Endorsements, Evidence, EvidenceKind, NativeBinding, Options, Outcome, RecipientKey,
    UnixTime, Verified, Verifier, VerifyError,
};
use serde_json::json;
use support::{Rng, flips, mutations};

const NOW: i64 = 1_790_000_000;

fn under(roots: &[&[u8]]) -> Verifier {
    let mut anchors = Anchors::vendor().unwrap();
    for root in roots {
        anchors.add("software", EvidenceKind::Software, root).unwrap();
    }
    Verifier::new(anchors)
}

fn judge_at(verifier: &Verifier, text: &[u8], binding: &Binding, now: i64) -> Result<Verified, VerifyError> {
    let evidence = Evidence { kind: EvidenceKind::Software, bytes: text };
    let now = UnixTime::from_secs(now);
    match verifier.verify(&evidence, binding, &Endorsements::default(), &Options::strict(), now)? {
        Outcome::Verified(verified) => Ok(verified),
        Outcome::NotAccepted { why, .. } => Err(why),
        Outcome::Wants(wants) => panic!("software wants nothing, not {wants:?}"),
    }
}

fn judge(verifier: &Verifier, text: &str) -> Result<Verified, VerifyError> {
    judge_at(verifier, text.as_bytes(), &Binding::Unbound, NOW)
}

fn native() -> NativeBinding {
    let recipient = RecipientKey::from_spki(&keys::spki(&keys::p256())).unwrap();
    NativeBinding::new([3; 32], "kms.example", &[4; 32], recipient, b"")
}

#[test]
fn a_statement_is_accepted_under_its_anchor_and_says_only_software() {
    let software = Software::new(NOW);
    let verifier = under(&[&software.root_der()]);
    for with_authority in [false, true] {
        let verified = judge(
            &verifier,
            &software.evidence(&SoftwareEvidence { with_authority, ..SoftwareEvidence::new([9; 64]) }),
        )
        .unwrap();
        let claims = verified.claims();
        let mut names: Vec<&str> = claims.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["keygate", "software", "x-ms-attestation-type"]);
        assert_eq!(claims["x-ms-attestation-type"], "software");
        assert_eq!(claims["software"], json!({"measurement": "5a".repeat(48), "host": "forge.example"}));
        assert_eq!(claims["keygate"]["kind"], "software");
        assert_eq!(claims["keygate"]["anchor"], "software");
        assert_eq!(verified.measurements(), ["5a".repeat(48)]);
    }
}

#[test]
fn cfg_05_without_an_operators_anchor_every_statement_is_chain_untrusted() {
    let software = Software::new(NOW);
    let text = software.evidence(&SoftwareEvidence::new([9; 64]));
    for anchors in [Anchors::none(), Anchors::vendor().unwrap()] {
        let verifier = Verifier::new(anchors);
        assert_eq!(judge(&verifier, &text).unwrap_err().code(), "chain-untrusted");
        assert_eq!(verifier.counts().signature_checks, 0);
    }
    // An anchor for another kind does not vouch for software.
    let mut anchors = Anchors::none();
    anchors.add("mine", EvidenceKind::Nitro, &software.root_der()).unwrap();
    assert_eq!(judge(&Verifier::new(anchors), &text).unwrap_err().code(), "chain-untrusted");
}

#[test]
fn jwt_10_and_11_every_fault_of_the_forge_is_refused_by_its_code() {
    let software = Software::new(NOW);
    let verifier = under(&[&software.root_der()]);
    for fault in SoftwareFault::ALL {
        let before = verifier.counts().signature_checks;
        let text = software.evidence(&SoftwareEvidence { fault: Some(*fault), ..SoftwareEvidence::new([9; 64]) });
        let refused = judge(&verifier, &text).expect_err(&format!("{fault:?}"));
        assert!(fault.allows(refused.code()), "{fault:?}: {} ({refused})", refused.code());
        if matches!(refused.code(), "malformed" | "unsupported" | "too-large") {
            assert_eq!(verifier.counts().signature_checks, before, "{fault:?}");
        }
    }
}

#[test]
fn x509_faults_of_the_authority_are_refused_by_their_codes() {
    let software = Software::new(NOW);
    let verifier = under(&[&software.root_der()]);
    for fault in CertFault::ALL {
        let wanted =
            SoftwareEvidence { with_authority: true, authority_fault: Some(*fault), ..SoftwareEvidence::new([9; 64]) };
        let refused = judge(&verifier, &software.evidence(&wanted)).expect_err(&format!("{fault:?}"));
        let foreign = *fault == CertFault::ForeignSigner && refused.code() == "signature-invalid";
        assert!(foreign || fault.allows(refused.code()), "{fault:?}: {} ({refused})", refused.code());
    }
}

#[test]
fn a_bound_statement_hands_out_the_recipient_and_is_compared_whole() {
    let software = Software::new(NOW);
    let verifier = under(&[&software.root_der()]);
    let native = native();
    let binding = Binding::Native(Box::new(native.clone()));
    let good = SoftwareEvidence::new(*native.report_data());
    let verified = judge_at(&verifier, software.evidence(&good).as_bytes(), &binding, NOW).unwrap();
    assert_eq!(verified.bound_key(), &BoundKey::Present(native.recipient().clone()));
    for at in [0, 31, 32, 63] {
        let mut other = *native.report_data();
        other[at] ^= 1;
        let refused = judge_at(&verifier, software.evidence(&SoftwareEvidence::new(other)).as_bytes(), &binding, NOW);
        assert_eq!(refused.unwrap_err().code(), "binding-mismatch", "byte {at}");
    }
}

#[test]
fn jwt_26_a_bound_statement_is_at_most_ten_minutes_old_and_never_from_the_future() {
    let software = Software::new(NOW);
    let verifier = under(&[&software.root_der()]);
    let native = native();
    let binding = Binding::Native(Box::new(native.clone()));
    let at = |iat: i64, binding: &Binding| {
        let wanted = SoftwareEvidence { iat: Some(iat), ..SoftwareEvidence::new(*native.report_data()) };
        judge_at(&verifier, software.evidence(&wanted).as_bytes(), binding, NOW).map(drop)
    };
    at(NOW - 600, &binding).expect("ten minutes");
    at(NOW + 60, &binding).expect("a minute of leeway");
    at(NOW - 601, &Binding::Unbound).expect("no age rule where nothing is bound");
    assert_eq!(at(NOW - 601, &binding).unwrap_err().code(), "freshness-failed");
    assert_eq!(at(NOW + 61, &binding).unwrap_err().code(), "freshness-failed");
    assert_eq!(at(NOW + 61, &Binding::Unbound).unwrap_err().code(), "freshness-failed");
    assert_eq!(at(i64::MIN, &binding).unwrap_err().code(), "freshness-failed");
    assert_eq!(at(i64::MAX, &binding).unwrap_err().code(), "freshness-failed");
}

/// An attester whose statements are put together by hand.
struct Hand {
    key: keys::Key,
    root: Vec<u8>,
    leaf: Vec<u8>,
}

impl Hand {
    fn new(extensions: &[Extension]) -> Self {
        let (root_key, key) = (keys::p256(), keys::p256());
        let cert = |subject: &str, key: &keys::Key, extensions: Vec<Extension>| Cert {
            serial: vec![5],
            issuer: name(&[("CN", "root")]),
            subject: name(&[("CN", subject)]),
            not_before: NOW - 10,
            not_after: NOW + 10,
            raw_validity: None,
            spki: keys::spki(key),
            extensions,
            algorithm: keys::SigAlg::EcdsaSha256,
        };
        let root = cert("root", &root_key, vec![Extension::authority(None)]).sign(&root_key);
        let leaf = cert("leaf", &key, extensions.to_vec()).sign(&root_key);
        Self { key, root, leaf }
    }

    fn sign(&self, header: &str, payload: &str) -> String {
        let input = format!("{}.{}", base64::url(header.as_bytes()), base64::url(payload.as_bytes()));
        let signature = keys::ecdsa_fixed(&self.key, keys::SigAlg::EcdsaSha256, input.as_bytes(), 32);
        format!("{input}.{}", base64::url(&signature))
    }

    fn header(&self, chain: &[&[u8]]) -> String {
        let x5c: Vec<String> = chain.iter().map(|der| base64::standard(der)).collect();
        json!({"alg": "ES256", "typ": "keygate-software", "x5c": x5c}).to_string()
    }
}

fn payload() -> serde_json::Value {
    json!({"measurement": "0a".repeat(48), "host": "h", "report_data": "0b".repeat(64), "iat": NOW, "debug": false})
}

#[test]
fn jwt_11_the_chain_is_the_path_in_order_without_the_root() {
    let hand = Hand::new(&[Extension::end_entity()]);
    let verifier = under(&[&hand.root]);
    let statement = |chain: &[&[u8]]| judge(&verifier, &hand.sign(&hand.header(chain), &payload().to_string()));
    statement(&[&hand.leaf]).expect("the leaf alone");
    let (leaf, root) = (hand.leaf.as_slice(), hand.root.as_slice());
    for (what, chain) in
        [("root", vec![leaf, root]), ("leaf twice", vec![leaf, leaf]), ("root first", vec![root, leaf])]
    {
        assert_eq!(statement(&chain).expect_err(what).code(), "chain-untrusted", "{what}");
    }
    assert_eq!(statement(&[leaf; 5]).unwrap_err().code(), "too-large");
    let authority =
        Hand::new(&[Extension::authority(None), Extension::key_usage(usage::DIGITAL_SIGNATURE | usage::CERT_SIGN)]);
    let text = authority.sign(&authority.header(&[&authority.leaf]), &payload().to_string());
    assert_eq!(
        judge(&under(&[&authority.root]), &text).unwrap_err().code(),
        "chain-untrusted",
        "an authority signs nothing"
    );
}

#[test]
fn jwt_30_46_and_47_members_are_the_known_ones_in_their_one_form() {
    let hand = Hand::new(&[Extension::end_entity()]);
    let verifier = under(&[&hand.root]);
    let header = hand.header(&[&hand.leaf]);
    let judged = |payload: &str| judge(&verifier, &hand.sign(&header, payload)).map(drop);
    judged(&payload().to_string()).unwrap();
    for (name, value) in [
        ("iat", json!(1.5)),
        ("iat", json!("1790000000")),
        ("iat", json!(18_446_744_073_709_551_615u64)),
        ("debug", json!("false")),
        ("debug", json!(0)),
        ("measurement", json!("0A".repeat(48))),
        ("measurement", json!(format!("{} ", "0a".repeat(47)))),
        ("report_data", json!("0b".repeat(65))),
        ("extra", json!(null)),
    ] {
        let mut changed = payload();
        changed[name] = value.clone();
        assert_eq!(judged(&changed.to_string()).unwrap_err().code(), "malformed", "{name}: {value}");
    }
    for name in ["measurement", "host", "report_data", "iat", "debug"] {
        let mut less = payload();
        less.as_object_mut().unwrap().remove(name);
        assert_eq!(judged(&less.to_string()).unwrap_err().code(), "malformed", "{name}");
    }
    let mut long = payload();
    long["host"] = json!("h".repeat(256));
    assert_eq!(judged(&long.to_string()).unwrap_err().code(), "too-large");
    let glued = format!("{0}{0}", payload());
    assert_eq!(judged(&glued).unwrap_err().code(), "malformed");
    let exponent = payload().to_string().replace(&NOW.to_string(), "179e7");
    assert_eq!(judged(&exponent).unwrap_err().code(), "malformed");
}

#[test]
fn anchors_of_one_name_and_two_keys_both_vouch() {
    let (old, new) = (Software::new(NOW), Software::new(NOW));
    let verifier = under(&[&old.root_der(), &new.root_der()]);
    for software in [old, new] {
        judge(&verifier, &software.evidence(&SoftwareEvidence::new([9; 64]))).expect("either root");
    }
}

#[test]
fn a_known_attester_costs_one_signature_check() {
    let hand = Hand::new(&[Extension::end_entity()]);
    let verifier = under(&[&hand.root]);
    let text = hand.sign(&hand.header(&[&hand.leaf]), &payload().to_string());
    let mut seen = Vec::new();
    for _ in 0..2 {
        judge(&verifier, &text).unwrap();
        seen.push((verifier.counts().signature_checks, verifier.counts().certificates_parsed));
    }
    assert_eq!(seen, [(2, 1), (3, 1)]);
}

#[test]
fn every_bit_of_a_statement_counts() {
    let software = Software::new(NOW);
    let verifier = under(&[&software.root_der()]);
    let text = software.evidence(&SoftwareEvidence::new([9; 64])).into_bytes();
    judge_at(&verifier, &text, &Binding::Unbound, NOW).unwrap();
    for (at, mask) in flips(0..text.len(), 11) {
        let mut flipped = text.clone();
        flipped[at] ^= mask;
        assert!(
            judge_at(&verifier, &flipped, &Binding::Unbound, NOW).is_err(),
            "byte {at}, mask {mask:#04x}: accepted"
        );
    }
}

#[test]
fn mutations_of_a_statement_are_not_accepted_and_do_not_panic() {
    let software = Software::new(NOW);
    let verifier = under(&[&software.root_der()]);
    let text = software.evidence(&SoftwareEvidence::new([9; 64])).into_bytes();
    let mut random = Rng::new(0x736f_6674_0000_0001);
    let count = mutations(2_000, 250_000);
    for _ in 0..count {
        let mutated = random.mutated(&text);
        assert!(
            judge_at(&verifier, &mutated, &Binding::Unbound, NOW).is_err(),
            "{}",
            String::from_utf8_lossy(&mutated)
        );
    }
    support::tried("mutations of a software statement", count);
}
