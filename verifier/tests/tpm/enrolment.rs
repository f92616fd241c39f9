//! What an enrolment rests on: the certificate of an endorsement key, and a credential that only its TPM opens.

use keygate_forge::der;
use keygate_forge::keys;
use keygate_forge::tpm::{AK_USAGE, Signs, Tpm, rsa};
use keygate_forge::x509::{Cert, CertFault, Extension, usage};
use keygate_verifier::tpm::{EndorsementRandomness, PublicArea, VerifiedEndorsement, make_credential};
use keygate_verifier::{AnchorPurpose, Anchors, Endorsements, EvidenceKind, UnixTime, Verifier, VerifyError};

use crate::NOW;
use crate::support::{cases, time};

/// A verifier for enrolment under the throw-away root, and its intermediate.
fn office(tpm: &Tpm) -> (Verifier, Endorsements) {
    let mut anchors = Anchors::none();
    anchors.add_for("makers", EvidenceKind::Tpm, AnchorPurpose::Endorsement, &tpm.root_der()).unwrap();
    let mut held = Endorsements::default();
    held.add_certificate(&tpm.issuer_der());
    (Verifier::new(anchors), held)
}

fn verify(tpm: &Tpm, certificate: &[u8]) -> Result<VerifiedEndorsement, VerifyError> {
    let (verifier, held) = office(tpm);
    let key = PublicArea::parse(&tpm.ek_object().area()).unwrap();
    verifier.verify_endorsement(certificate, &key, &held, UnixTime::from_secs(NOW))
}

fn code(tpm: &Tpm, change: impl FnOnce(&mut Cert)) -> String {
    let mut cert = tpm.ek_cert();
    change(&mut cert);
    verify(tpm, &cert.sign(tpm.issuer_key())).map_or_else(|why| why.full_code(), |_| "verified".to_owned())
}

#[test]
fn tpm_14_the_certificate_of_an_endorsement_key_is_of_it_and_for_it() {
    let tpm = Tpm::new(NOW, Signs::P256);
    let found = verify(&tpm, &tpm.ek_cert().sign(tpm.issuer_key())).unwrap();
    assert_eq!(found.anchor, "makers");
    assert_eq!(found.make.manufacturer.as_deref(), Some("id:464F5247"));
    assert_eq!(found.make.model.as_deref(), Some("forge"));
    assert_eq!(code(&tpm, |cert| cert.spki = keys::spki(&rsa())), "binding-mismatch.endorsement-key");
    let extended = |oid: &str| der::sequence(&[der::oid(oid)]);
    assert_eq!(
        code(&tpm, |cert| cert.extension_mut("2.5.29.37").value = extended(AK_USAGE)),
        "chain-untrusted.ek-chain"
    );
    assert_eq!(code(&tpm, |cert| cert.extensions.retain(|e| e.oid != "2.5.29.37")), "chain-untrusted.ek-chain");
    assert_eq!(
        code(&tpm, |cert| *cert.extension_mut("2.5.29.15") = Extension::key_usage(usage::DIGITAL_SIGNATURE)),
        "chain-untrusted.ek-chain"
    );
    assert_eq!(
        code(&tpm, |cert| *cert.extension_mut("2.5.29.19") = Extension::authority(None)),
        "chain-untrusted.ek-chain"
    );
    for fault in CertFault::ALL.iter().filter(|fault| fault.applies_to(&tpm.ek_cert())) {
        if matches!(fault, CertFault::NotAuthority | CertFault::NoBasicConstraints | CertFault::NoCertSign) {
            continue;
        }
        let refused = verify(&tpm, &tpm.ek_cert().sign_with(tpm.issuer_key(), Some(*fault))).expect_err("refused");
        assert!(fault.allows(refused.code()), "{fault:?}: {}", refused.full_code());
    }
    // Signed by itself, it leads nowhere.
    let own = tpm.ek_cert();
    let selfsigned = Cert { issuer: own.subject.clone(), ..own }.sign(&keys::p256());
    assert_eq!(verify(&tpm, &selfsigned).unwrap_err().full_code(), "chain-untrusted.ek-chain");
}

#[test]
fn tpm_14_only_padding_may_follow_a_certificate_of_an_index() {
    let tpm = Tpm::new(NOW, Signs::P256);
    let certificate = tpm.ek_cert().sign(tpm.issuer_key());
    let with = |rest: &[u8]| {
        let bytes = [certificate.as_slice(), rest].concat();
        verify(&tpm, &bytes).map_or_else(|why| why.full_code(), |_| "verified".to_owned())
    };
    assert_eq!(with(&[0; 300]), "verified");
    assert_eq!(with(&[0xff; 300]), "verified");
    for rest in [&[0, 0xff][..], &[1], &[0, 0, 1], &certificate] {
        assert_eq!(with(rest), "malformed.ek-certificate");
    }
    assert_eq!(verify(&tpm, b"").unwrap_err().full_code(), "malformed.ek-certificate");
}

#[test]
fn an_endorsement_key_is_one_by_its_attributes() {
    let tpm = Tpm::new(NOW, Signs::P256);
    let (verifier, held) = office(&tpm);
    let certificate = tpm.ek_cert().sign(tpm.issuer_key());
    let judge = |bits: u32| {
        let mut object = tpm.ek_object();
        object.attributes ^= bits;
        let key = PublicArea::parse(&object.area()).unwrap();
        let verdict = verifier.verify_endorsement(&certificate, &key, &held, UnixTime::from_secs(NOW));
        let name = [&[0, 0x0b][..], &[1; 32]].concat();
        let made = make_credential(&key, &name, &[1; 32], &EndorsementRandomness(&[2; 128]));
        assert_eq!(verdict.is_ok(), made.is_ok());
        verdict.map_or_else(|why| why.full_code(), |_| "verified".to_owned())
    };
    assert_eq!(judge(0), "verified");
    // Restricted, decrypt, sign, fixedTPM, fixedParent, sensitiveDataOrigin.
    for bit in [16, 17, 18, 1, 4, 5] {
        assert_eq!(judge(1 << bit), "chain-untrusted.endorsement-key", "bit {bit}");
    }
}

#[test]
fn tpm_15_without_an_anchor_for_enrolment_no_certificate_counts() {
    let tpm = Tpm::new(NOW, Signs::P256);
    let certificate = tpm.ek_cert().sign(tpm.issuer_key());
    let key = PublicArea::parse(&tpm.ek_object().area()).unwrap();
    let (_, held) = office(&tpm);
    let mut anchors = Anchors::vendor().unwrap();
    anchors.add("attests", EvidenceKind::Tpm, &tpm.root_der()).unwrap();
    let refused = Verifier::new(anchors).verify_endorsement(&certificate, &key, &held, UnixTime::from_secs(NOW));
    assert_eq!(refused.unwrap_err().full_code(), "chain-untrusted.ek-chain");
}

#[test]
fn the_certificate_of_a_software_tpm_is_verified_and_that_of_another_key_is_not() {
    let Some(case) = cases(&["tpm-quote"]).into_iter().find(|case| case.id == "tpm-swtpm-ecc") else { return };
    let mut anchors = Anchors::none();
    anchors.add_for("swtpm", EvidenceKind::Tpm, AnchorPurpose::Endorsement, &case.file("ek_root")).unwrap();
    let verifier = Verifier::new(anchors);
    let mut held = Endorsements::default();
    held.add_certificate(&case.file("ek_issuer"));
    let key = PublicArea::parse(&case.file("ek_tpm2b_public")).unwrap();
    let now = time("2026-12-01T00:00:00Z");
    let found = verifier.verify_endorsement(&case.file("ek_certificate"), &key, &held, now).unwrap();
    assert_eq!((found.anchor.as_str(), found.make.model.as_deref()), ("swtpm", Some("swtpm")));
    let other = PublicArea::parse(&Tpm::new(NOW, Signs::P256).ek_object().area()).unwrap();
    let refused = verifier.verify_endorsement(&case.file("ek_certificate"), &other, &held, now).unwrap_err();
    assert_eq!(refused.full_code(), "binding-mismatch.endorsement-key");
    let without = verifier.verify_endorsement(&case.file("ek_certificate"), &key, &Endorsements::default(), now);
    assert_eq!(without.unwrap_err().full_code(), "chain-untrusted.ek-chain");
}
