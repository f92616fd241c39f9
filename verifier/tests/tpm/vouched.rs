//! Who vouches for an attestation key: certificate, pin, enrolment; and that each vouches for what it is for.

use std::sync::Arc;

use keygate_forge::tpm::{EK_USAGE, Signs, Tpm, TpmFault, TpmQuote};
use keygate_forge::x509::{CertFault, Crl, Extension, key_id, name, usage};
use keygate_forge::{der, keys};
use keygate_verifier::tpm::{PublicArea, attestation_key_name};
use keygate_verifier::{
    AnchorPurpose, Anchors, Binding, Endorsements, EnrolledKey, EvidenceKind, Options, UnixTime, Verifier, VerifyError,
};
use serde_json::json;

use crate::{NOW, asked, binding, judge, judge_with, sound, under};

fn code<T>(verdict: Result<T, VerifyError>) -> String {
    verdict.map_or_else(|why| why.full_code(), |_| "verified".to_owned())
}

fn pinned(key: &[u8]) -> Verifier {
    let mut anchors = Anchors::none();
    anchors.pin("desk", EvidenceKind::Tpm, key).unwrap();
    Verifier::new(anchors)
}

/// A document without a certificate, for this binding.
fn bare(tpm: &Tpm, fault: Option<TpmFault>) -> Vec<u8> {
    let native = binding(&keys::p256());
    tpm.document(&TpmQuote { certified: false, fault, ..TpmQuote::new(asked(&native)) })
}

#[test]
fn a_pinned_key_is_the_one_that_counts() {
    for signs in crate::SIGNS {
        let (tpm, other) = (Tpm::new(NOW, signs), Tpm::new(NOW, signs));
        let judge =
            |verifier: &Verifier, fault| judge(verifier, &bare(&tpm, fault), &Binding::Unbound, &Options::strict());
        let area = tpm.ak_object().area();
        for pin in [tpm.ak_spki(), area.clone(), [&(area.len() as u16).to_be_bytes()[..], &area].concat()] {
            let said = judge(&pinned(&pin), None).unwrap();
            assert_eq!(said.anchor(), "desk");
            assert_eq!(said.claims()["tpm"]["ak"]["vouched_by"], "pinned");
        }
        assert_eq!(code(judge(&pinned(&other.ak_spki()), None)), "chain-untrusted.attestation-key");
        // Only a pin makes a bare key good: by its digest, or with the pinned area by its name.
        let said = judge(&pinned(&tpm.ak_spki()), Some(TpmFault::BareKey)).unwrap();
        let digest = hex::encode(keys::sha256(&tpm.ak_spki()));
        assert_eq!(said.claims()["tpm"]["ak"]["spki_sha256"], json!(digest));
        assert_eq!(said.platforms()[0], format!("tpm-ak:{digest}"));
        let said = judge(&pinned(&area), Some(TpmFault::BareKey)).unwrap();
        assert_eq!(said.claims()["tpm"]["ak"]["name"], json!(hex::encode(tpm.ak_object().name())));
        assert_eq!(code(judge(&pinned(&other.ak_spki()), Some(TpmFault::BareKey))), "chain-untrusted.attestation-key");
        // A pin is not for a key whose own public area says that it signs what it is given.
        assert_eq!(
            code(judge(&pinned(&tpm.ak_spki()), Some(TpmFault::Unrestricted))),
            "chain-untrusted.attestation-key"
        );
    }
}

#[test]
fn a_pinned_public_area_is_the_only_one() {
    let tpm = Tpm::new(NOW, Signs::P256);
    let mut object = tpm.ak_object();
    object.policy = vec![1; 32];
    let verdict = judge(&pinned(&object.area()), &bare(&tpm, None), &Binding::Unbound, &Options::strict());
    assert_eq!(code(verdict), "binding-mismatch.attestation-key");
    let mut anchors = Anchors::none();
    let mut unrestricted = tpm.ak_object();
    unrestricted.attributes &= !(1 << 16);
    let pin = |anchors: &mut Anchors, name: &str, kind, key: &[u8]| code(anchors.pin(name, kind, key));
    assert_eq!(pin(&mut anchors, "desk", EvidenceKind::Tpm, &unrestricted.area()), "chain-untrusted.attestation-key");
    assert_eq!(pin(&mut anchors, "vendor", EvidenceKind::Tpm, &tpm.ak_spki()), "unsupported.anchor");
    assert_eq!(pin(&mut anchors, "desk", EvidenceKind::Snp, &tpm.ak_spki()), "unsupported.anchor");
    assert_eq!(pin(&mut anchors, "desk", EvidenceKind::Tpm, &tpm.ak_spki()), "verified");
    assert_eq!(pin(&mut anchors, "again", EvidenceKind::Tpm, &tpm.ak_object().area()), "unsupported.anchor");
}

#[test]
fn an_enrolment_vouches_until_it_ends() {
    let tpm = Tpm::new(NOW, Signs::P256);
    let document = bare(&tpm, None);
    let area = PublicArea::parse(&tpm.ak_object().area()).unwrap();
    assert_eq!(attestation_key_name(&document).unwrap().as_deref(), Some(area.name()));
    let enrolled = |public: &PublicArea, not_after: i64| {
        let mut held = Endorsements::default();
        held.add_enrolled(Arc::new(EnrolledKey {
            public: public.clone(),
            anchor: "makers".to_owned(),
            endorsement_key: [0xe4; 32],
            not_after: UnixTime::from_secs(not_after),
        }));
        held
    };
    let verifier = Verifier::new(Anchors::none());
    let judge = |held: &Endorsements| {
        judge_with(&verifier, &document, &Binding::Unbound, held, &Options::strict(), UnixTime::from_secs(NOW))
    };
    let said = judge(&enrolled(&area, NOW)).unwrap();
    assert_eq!((said.anchor(), said.not_after()), ("makers", UnixTime::from_secs(NOW)));
    let claims = said.claims();
    assert_eq!(claims["tpm"]["ak"]["vouched_by"], "enrolment");
    assert_eq!(claims["tpm"]["ek"]["spki_sha256"], json!("e4".repeat(32)));
    assert!(said.platforms().contains(&format!("tpm-ek:{}", "e4".repeat(32))));
    assert_eq!(code(judge(&enrolled(&area, NOW - 1))), "chain-untrusted.attestation-key");
    let other = PublicArea::parse(&Tpm::new(NOW, Signs::P256).ak_object().area()).unwrap();
    assert_eq!(code(judge(&enrolled(&other, NOW))), "chain-untrusted.attestation-key");
    // The same key under another public area has another name, and was not enrolled.
    let mut object = tpm.ak_object();
    object.policy = vec![1; 32];
    let renamed = PublicArea::parse(&object.area()).unwrap();
    assert_eq!(code(judge(&enrolled(&renamed, NOW))), "chain-untrusted.attestation-key");
}

#[test]
fn an_anchor_is_for_one_kind_and_one_purpose() {
    let tpm = Tpm::new(NOW, Signs::P256);
    let (document, bound) = sound(&tpm);
    let judged = |add: &dyn Fn(&mut Anchors)| {
        let mut anchors = Anchors::vendor().unwrap();
        add(&mut anchors);
        code(judge(&Verifier::new(anchors), &document, &bound, &Options::strict()))
    };
    let root = tpm.root_der();
    assert_eq!(judged(&|anchors| anchors.add("a", EvidenceKind::Tpm, &root).unwrap()), "verified");
    let endorsement = AnchorPurpose::Endorsement;
    assert_eq!(
        judged(&|anchors| anchors.add_for("a", EvidenceKind::Tpm, endorsement, &root).unwrap()),
        "chain-untrusted.ak-chain"
    );
    assert_eq!(judged(&|anchors| anchors.add("a", EvidenceKind::Nitro, &root).unwrap()), "chain-untrusted.ak-chain");
    assert_eq!(judged(&|anchors| anchors.add("a", EvidenceKind::Sgx, &root).unwrap()), "chain-untrusted.ak-chain");
    assert_eq!(judged(&|_| ()), "chain-untrusted.ak-chain");
    let clone = Tpm::new(NOW, Signs::P256).root_der();
    assert_eq!(judged(&|anchors| anchors.add("a", EvidenceKind::Tpm, &clone).unwrap()), "chain-untrusted.ak-chain");
    let other = code(Anchors::none().add_for("a", EvidenceKind::Nitro, endorsement, &root));
    assert_eq!(other, "unsupported.anchor");
}

#[test]
fn tpm_14_x509_01_03_04_05_06_07_13_14_the_certificate_holds_in_every_way() {
    let tpm = Tpm::new(NOW, Signs::P256);
    let native = binding(&keys::p256());
    for fault in CertFault::ALL.iter().filter(|fault| fault.applies_to(&tpm.ak_cert())) {
        // Faults of authorities are none on the certificate of a key.
        if matches!(fault, CertFault::NotAuthority | CertFault::NoBasicConstraints | CertFault::NoCertSign) {
            continue;
        }
        let quote = TpmQuote { certificate_fault: Some(*fault), ..TpmQuote::new(asked(&native)) };
        let bound = Binding::Native(Box::new(native.clone()));
        let refused = judge(&under(&tpm), &tpm.document(&quote), &bound, &Options::strict()).expect_err("refused");
        assert!(fault.allows(refused.code()), "{fault:?}: {}", refused.full_code());
    }
}

/// A document whose certificate was changed before it was signed.
fn with_certificate(tpm: &Tpm, change: impl FnOnce(&mut keygate_forge::x509::Cert)) -> String {
    let mut cert = tpm.ak_cert();
    change(&mut cert);
    let mut document: serde_json::Value = serde_json::from_slice(&sound(tpm).0).unwrap();
    document["ak_certificate"] = json!(keygate_forge::base64::url(&cert.sign(tpm.issuer_key())));
    code(judge(&under(tpm), document.to_string().as_bytes(), &Binding::Unbound, &Options::strict()))
}

#[test]
fn usages_of_certificates_are_those_of_attestation_keys() {
    let tpm = Tpm::new(NOW, Signs::P256);
    let extended = |oid: &str| der::sequence(&[der::oid(oid)]);
    assert_eq!(with_certificate(&tpm, |_| ()), "verified");
    // None at all is none that speaks against it.
    assert_eq!(with_certificate(&tpm, |c| c.extensions.retain(|e| e.oid != "2.5.29.37")), "verified");
    assert_eq!(
        with_certificate(&tpm, |c| c.extension_mut("2.5.29.37").value = extended("1.3.6.1.5.5.7.3.2")),
        "chain-untrusted.ak-chain"
    );
    assert_eq!(with_certificate(&tpm, |c| c.extension_mut("2.5.29.37").critical = true), "verified");
    // As Google's authority writes it: an endorsement certificate whose key may sign and do nothing else.
    let google = |c: &mut keygate_forge::x509::Cert| c.extension_mut("2.5.29.37").value = extended(EK_USAGE);
    assert_eq!(with_certificate(&tpm, google), "verified");
    let encrypts = |c: &mut keygate_forge::x509::Cert| {
        google(c);
        *c.extension_mut("2.5.29.15") = Extension::key_usage(usage::DIGITAL_SIGNATURE | 0x20);
    };
    assert_eq!(with_certificate(&tpm, encrypts), "chain-untrusted.ak-chain");
    let anything = |c: &mut keygate_forge::x509::Cert| {
        google(c);
        c.extensions.retain(|e| e.oid != "2.5.29.15");
    };
    assert_eq!(with_certificate(&tpm, anything), "chain-untrusted.ak-chain");
    // The alternative name may be critical because it is read: one that cannot be read is refused.
    assert_eq!(
        with_certificate(&tpm, |c| c.extension_mut("2.5.29.17").value = vec![0x30, 0x03, 0xa4]),
        "chain-untrusted.ak-chain"
    );
}

#[test]
fn a_revocation_list_that_is_held_counts() {
    let tpm = Tpm::new(NOW, Signs::P256);
    let document = sound(&tpm).0;
    let issuer = name(&[("O", "Forge"), ("CN", "Forge TPM Issuing CA")]);
    let judge = |serials: &[&[u8]]| {
        let crl = Crl::new(issuer.clone(), &key_id(tpm.issuer_key()), keys::SigAlg::EcdsaSha256);
        let crl = serials.iter().fold(crl.dated(NOW - 60, NOW + 60), |crl, serial| crl.revoking(serial));
        let mut held = Endorsements::default();
        held.add_crl(&crl.sign(tpm.issuer_key()));
        let now = UnixTime::from_secs(NOW);
        code(judge_with(&under(&tpm), &document, &Binding::Unbound, &held, &Options::strict(), now))
    };
    assert_eq!(judge(&[&[0x41, 8]]), "verified");
    assert_eq!(judge(&[&[0x41, 7]]), "revoked.ak-chain");
}
