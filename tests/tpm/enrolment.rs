//! Activation of credentials that another implementation made: `tpm2_makecredential`, without a TPM.

use std::fs;
use std::process::Command;

use keygate::attester::tpm::{EkKind, Enrolment, show};
use openssl::sha::sha256;
use openssl::x509::X509;

use crate::quoted::{bytes, options};
use crate::tpm_stage::{SoftTpm, found};

const SECRET: &[u8; 32] = b"thirty-two bytes that nobody has";

/// Credential and secret, each with its size in front, sealed to this public area for the object of this name.
fn make_credential(tpm: &SoftTpm, ek: &[u8], name: &str) -> (Vec<u8>, Vec<u8>) {
    let file = |name: &str| tpm.folder.path().join(name);
    let sized = [&u16::try_from(ek.len()).unwrap().to_be_bytes()[..], ek].concat();
    fs::write(file("ek.tpm2b"), sized).unwrap();
    fs::write(file("secret"), SECRET).unwrap();
    let made = Command::new("tpm2_makecredential")
        .args(["-T", "none", "-u", "ek.tpm2b", "-s", "secret", "-n", name, "-o", "blob"])
        .current_dir(tpm.folder.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let blob = fs::read(file("blob")).unwrap();
    assert_eq!(blob[..8], [0xba, 0xdc, 0xc0, 0xde, 0, 0, 0, 1]);
    let length = 2 + usize::from(u16::from_be_bytes([blob[8], blob[9]]));
    (blob[8..8 + length].to_vec(), blob[8 + length..].to_vec())
}

#[test]
fn credentials_open_with_every_kind_of_endorsement_key_and_for_this_key_alone() {
    let Some(tpm) = SoftTpm::start() else { return };
    if found("tpm2_makecredential").is_none() {
        assert!(std::env::var_os("CI").is_none(), "no tpm2_makecredential");
        return;
    }
    for (kind, certified) in [(EkKind::Rsa, true), (EkKind::P256, false), (EkKind::P384, true)] {
        let options = options(&tpm, |options| options.ek = Some(kind));
        let enrolment = Enrolment::begin(&options.root, &options.tpm).unwrap();
        let request = enrolment.request("db-1");
        assert_eq!(request["machine"], "db-1");
        assert_eq!(request.get("ek_certificate").is_some(), certified, "{kind:?}");
        let (ek, ak) = (bytes(&request["ek_public"]), bytes(&request["ak_public"]));
        assert_eq!(enrolment.ak_name(), format!("000b{}", hex::encode(sha256(&ak))));
        if certified {
            let certificate = X509::from_der(&bytes(&request["ek_certificate"])).unwrap();
            let issuer = X509::from_pem(&fs::read(tpm.issuer()).unwrap()).unwrap();
            assert!(certificate.verify(&issuer.public_key().unwrap()).unwrap());
            let key = certificate.public_key().unwrap();
            let inside = match key.rsa() {
                Ok(rsa) => rsa.n().to_vec(),
                Err(_) => x_of(&key.ec_key().unwrap()),
            };
            assert!(ek.windows(inside.len()).any(|window| window == inside), "{kind:?}: of another key");
        }
        let (credential, secret) = make_credential(&tpm, &ek, &enrolment.ak_name());
        assert_eq!(enrolment.activate(&credential, &secret).unwrap().as_slice(), SECRET, "{kind:?}");
        assert_eq!(enrolment.activate(&credential[2..], &secret[2..]).unwrap().as_slice(), SECRET, "{kind:?}");

        let other = format!("000b{}", hex::encode([9; 32]));
        let (credential, secret) = make_credential(&tpm, &ek, &other);
        let refused = enrolment.activate(&credential, &secret).unwrap_err();
        assert!(refused.to_string().contains("refused ActivateCredential"), "{refused}");
        assert_eq!(tpm.loaded(), [0_u32; 0]);
    }
}

#[test]
fn the_first_endorsement_key_with_a_certificate_is_taken_and_shown() {
    let Some(tpm) = SoftTpm::start() else { return };
    let options = options(&tpm, |_| {});
    let shown = show(&options.root, &options.tpm).unwrap();
    assert_eq!(shown["ek"]["kind"], "rsa");
    assert_eq!(shown["ek"]["issuer"], "CN=swtpm-localca");
    assert_eq!(shown["banks"], serde_json::json!({"sha256": 24, "sha384": 24}));
    assert_eq!(shown["event_log"], "none");
    assert_eq!(shown["ak"]["standing"], "made");
    let again = show(&options.root, &options.tpm).unwrap();
    assert_eq!((&again["ak"]["standing"], &again["ak"]["name"]), (&"kept".into(), &shown["ak"]["name"]));
    assert_eq!(tpm.loaded(), [0_u32; 0]);
}

/// The x coordinate of a public key.
fn x_of(key: &openssl::ec::EcKey<openssl::pkey::Public>) -> Vec<u8> {
    let mut context = openssl::bn::BigNumContext::new().unwrap();
    let (mut x, mut y) = (openssl::bn::BigNum::new().unwrap(), openssl::bn::BigNum::new().unwrap());
    key.public_key().affine_coordinates(key.group(), &mut x, &mut y, &mut context).unwrap();
    x.to_vec()
}
