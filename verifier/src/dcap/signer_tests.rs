//! Who may sign TCB info and QE identity, under a throw-away root.

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::BasicConstraints;
use openssl::x509::{X509, X509Name};

use super::*;
use crate::anchors::Anchors;
use crate::binding::Binding;
use crate::endorsements::Endorsements;
use crate::memo::Memo;
use crate::options::Options;

const NOW: i64 = 1_790_000_000;

fn key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

fn certificate(subject: &str, key: &PKey<Private>, ca: bool, issuer: &PKey<Private>) -> Vec<u8> {
    let name = |text: &str| {
        let mut name = X509Name::builder().unwrap();
        name.append_entry_by_text("CN", text).unwrap();
        name.build()
    };
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&name(subject)).unwrap();
    builder.set_issuer_name(&name("Intel SGX Root CA")).unwrap();
    builder.set_not_before(&Asn1Time::from_unix(NOW - 1).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::from_unix(NOW + 1).unwrap()).unwrap();
    builder.set_pubkey(key).unwrap();
    let mut constraints = BasicConstraints::new();
    constraints.critical();
    if ca {
        constraints.ca();
    }
    builder.append_extension(constraints.build().unwrap()).unwrap();
    builder.sign(issuer, MessageDigest::sha256()).unwrap();
    builder.build().to_der().unwrap()
}

fn document(text: &[u8], signer: &PKey<Private>, chain: Vec<u8>) -> SignedDocument {
    let signature = EcdsaSig::sign(&openssl::sha::sha256(text), &signer.ec_key().unwrap()).unwrap();
    let number = |n: &openssl::bn::BigNumRef| n.to_vec_padded(32).unwrap();
    SignedDocument::new(text.to_vec(), [number(signature.r()), number(signature.s())].concat(), vec![chain])
}

#[test]
fn sgx_09_only_the_tcb_signing_certificate_signs_documents() {
    let (root, signer) = (key(), key());
    let mut anchors = Anchors::none();
    anchors.add("lab", EvidenceKind::Sgx, &certificate("Intel SGX Root CA", &root, true, &root)).unwrap();
    let (held, options, memo) = (Endorsements::default(), Options::strict(), Memo::new());
    let judge = |subject: &str, ca: bool, at: i64| {
        let now = UnixTime::from_secs(at);
        let given = Given {
            anchors: &anchors,
            binding: &Binding::Unbound,
            held: &held,
            options: &options,
            now,
            memo: &memo,
            recurring: false,
        };
        let anchor = super::anchors(&given, IntelTee::Sgx).next().unwrap();
        let document = document(b"{}", &signer, certificate(subject, &signer, ca, &root));
        check_document(&document, "tcb-info", anchor, &given).map(drop).map_err(|why| why.full_code())
    };
    assert_eq!(judge("Intel SGX TCB Signing", false, NOW), Ok(()));
    let untrusted = Err("chain-untrusted.tcb-signing".to_owned());
    assert_eq!(judge("Intel SGX TCB Signing 2", false, NOW), untrusted);
    assert_eq!(judge("Intel SGX PCK Platform CA", true, NOW), untrusted);
    assert_eq!(judge("Intel SGX TCB Signing", true, NOW), untrusted);
    // Remembered signatures do not outlive their certificates.
    assert_eq!(judge("Intel SGX TCB Signing", false, NOW + 2), untrusted);
    assert_eq!(judge("Intel SGX TCB Signing", false, NOW - 2), untrusted);
}
