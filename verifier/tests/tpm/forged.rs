//! One thing wrong at a time, by the stable code of its row; the twin without it is accepted.

use keygate_forge::keys;
use keygate_forge::tpm::{Signs, Tpm, TpmFault, TpmQuote};
use keygate_verifier::{Binding, BoundKey, Options};
use openssl::bn::BigNum;
use serde_json::{Value, json};

use crate::{NOW, SIGNS, asked, binding, judge, under};

/// What a document with this fault is refused with; `resident`: the recipient's key lives in the TPM.
fn refusal(tpm: &Tpm, fault: TpmFault) -> String {
    let recipient = keys::p256();
    let native = binding(&recipient);
    let mut quote = TpmQuote::new(asked(&native));
    if fault.is_of_resident() {
        quote.resident = Some(recipient);
    }
    let verifier = under(tpm);
    let bound = Binding::Native(Box::new(native));
    let sound = judge(&verifier, &tpm.document(&quote), &bound, &Options::strict());
    assert!(sound.is_ok(), "the twin of {fault:?} is refused: {}", sound.unwrap_err());
    quote.fault = Some(fault);
    let refused = judge(&verifier, &tpm.document(&quote), &bound, &Options::strict());
    refused.map_or_else(|why| why.full_code(), |_| "verified".to_owned())
}

fn rows(rows: &[&str]) {
    let mut wrong = Vec::new();
    let mut tried = 0;
    for signs in SIGNS {
        let tpm = Tpm::new(NOW, signs);
        for fault in TpmFault::ALL.iter().filter(|fault| rows.contains(&fault.row())) {
            // An RSA key has no ECDSA signature that could be too long.
            if *fault == TpmFault::LongNumber && matches!(signs, Signs::Rsassa | Signs::Rsapss) {
                continue;
            }
            tried += 1;
            let code = refusal(&tpm, *fault);
            if !fault.allows(code.split('.').next().unwrap()) {
                wrong.push(format!("{signs:?} {fault:?} ({}): {code}, wanted {}", fault.row(), fault.expected_code()));
            }
        }
    }
    assert!(tried > 0, "no fault of {rows:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn tpm_01_and_02_only_a_quote_that_a_tpm_made() {
    rows(&["TPM-01", "TPM-02"]);
}

#[test]
fn tpm_03_to_05_registers_by_bank_and_index() {
    rows(&["TPM-03", "TPM-04", "TPM-05"]);
}

#[test]
fn tpm_07_and_08_digest_and_answer() {
    rows(&["TPM-07", "TPM-08"]);
}

#[test]
fn tpm_10_to_13_key_scheme_and_sizes() {
    rows(&["TPM-10", "TPM-11", "TPM-12", "TPM-13"]);
}

#[test]
fn tpm_14_and_15_certificate_of_the_attestation_key() {
    rows(&["TPM-14", "TPM-15"]);
}

#[test]
fn tpm_36_and_39_recipient_and_long_numbers() {
    rows(&["TPM-36", "TPM-39"]);
}

#[test]
fn http_07_and_jwt_32_the_document_is_read_strictly() {
    rows(&["HTTP-07", "JWT-32"]);
}

#[test]
fn tpm_06_a_quote_of_sha1_alone_is_shown_and_not_accepted() {
    let tpm = Tpm::new(NOW, Signs::P256);
    let verifier = under(&tpm);
    let native = binding(&keys::p256());
    let quote = TpmQuote { fault: Some(TpmFault::Sha1Bank), ..TpmQuote::new(asked(&native)) };
    let document = tpm.document(&quote);
    let bound = Binding::Native(Box::new(native));
    let refused = judge(&verifier, &document, &bound, &Options::strict()).unwrap_err();
    assert_eq!(refused.full_code(), "unsupported.pcr-bank");
    let shown = judge(&verifier, &document, &bound, &Options::show_all()).unwrap();
    assert_eq!(shown.claims()["tpm"]["pcrs"]["sha1"].as_object().unwrap().len(), 8);
}

#[test]
fn each_check_of_a_quote_has_a_refusal_of_its_own() {
    let tpm = Tpm::new(NOW, Signs::P256);
    for (fault, code) in [
        (TpmFault::Magic, "signature-invalid.magic"),
        (TpmFault::TypeCreation, "malformed.attest-type"),
        (TpmFault::CertifyForQuote, "malformed.attest-type"),
        (TpmFault::OtherChallenge, "freshness-failed.qualifying-data"),
        (TpmFault::SelectionShifted, "binding-mismatch.pcr-selection"),
        (TpmFault::ValueAdded, "binding-mismatch.pcr-selection"),
        (TpmFault::ValueChanged, "binding-mismatch.pcr-digest"),
        (TpmFault::SignatureChanged, "signature-invalid.quote"),
        (TpmFault::Unrestricted, "chain-untrusted.attestation-key"),
        (TpmFault::NoCertificate, "chain-untrusted.attestation-key"),
        (TpmFault::BareKey, "chain-untrusted.attestation-key"),
        (TpmFault::CertificateOfOther, "binding-mismatch.attestation-key"),
        (TpmFault::CertificateUsage, "chain-untrusted.ak-chain"),
    ] {
        assert_eq!(refusal(&tpm, fault), code, "{fault:?}");
    }
}

/// A modulus of 2048 bits that is a power of 65537 modulo every prime up to 167.
fn factorable() -> Vec<u8> {
    let number = |word: u32| BigNum::from_u32(word).unwrap();
    let primes = (3..=167u32).filter(|n| (2..*n).all(|divisor| n % divisor != 0));
    let product = primes.fold(number(1), |product, prime| &product * &number(prime));
    let power = &(&number(65_537) * &number(65_537)) % &product;
    let mut n = BigNum::from_slice(&[&[0xc0][..], &[0x11; 255]].concat()).unwrap();
    n = &(&n - &(&n % &product)) + &power;
    if !n.is_bit_set(0) {
        n = &n + &product;
    }
    n.to_vec()
}

#[test]
fn tpm_38_keys_that_can_be_factored_are_revoked() {
    let tpm = Tpm::new(NOW, Signs::Rsassa);
    let (document, bound) = crate::sound(&tpm);
    let mut object = tpm.ak_object();
    object.unique = [&[1, 0][..], &factorable()].concat();
    let mut members: Value = serde_json::from_slice(&document).unwrap();
    members["ak"] = json!(keygate_forge::base64::url(&object.area()));
    let judge = |members: &Value| judge(&under(&tpm), members.to_string().as_bytes(), &bound, &Options::show_all());
    assert_eq!(judge(&members).unwrap_err().full_code(), "revoked.tpm-public");
    let key = openssl::rsa::Rsa::from_public_components(
        BigNum::from_slice(&factorable()).unwrap(),
        BigNum::from_u32(65_537).unwrap(),
    );
    members.as_object_mut().unwrap().remove("ak");
    members["ak_key"] = json!(keygate_forge::base64::url(&key.unwrap().public_key_to_der().unwrap()));
    assert_eq!(judge(&members).unwrap_err().full_code(), "revoked.tpm-public");
}

#[test]
fn what_a_quote_says() {
    let tpm = Tpm::new(NOW, Signs::Rsassa);
    let recipient = keygate_forge::tpm::rsa();
    let native = binding(&recipient);
    let mut quote = TpmQuote { resident: Some(recipient), ..TpmQuote::new(asked(&native)) };
    quote.pcrs.insert("sha1", [(16, vec![3; 20])].into());
    let expected = BoundKey::Present(native.recipient().clone());
    let said =
        judge(&under(&tpm), &tpm.document(&quote), &Binding::Native(Box::new(native)), &Options::strict()).unwrap();
    assert_eq!(*said.bound_key(), expected);
    assert_eq!(said.anchor(), "forge");
    let claims = Value::Object(said.claims());
    assert_eq!(claims["x-ms-attestation-type"], "tpm");
    let tpm_claims = &claims["tpm"];
    let name = hex::encode(tpm.ak_object().name());
    assert_eq!(tpm_claims["ak"]["name"], json!(name));
    assert_eq!(tpm_claims["ak"]["vouched_by"], "certificate");
    assert_eq!(
        tpm_claims["ak"]["certificate"],
        json!({"serial": "4107", "manufacturer": "id:464F5247", "model": "forge", "version": "id:00010002"})
    );
    assert_eq!(tpm_claims["clock"], json!({"clock": 3_600_000, "reset_count": 7, "restart_count": 2, "safe": true}));
    assert_eq!(tpm_claims["firmware_version"], "2019102300163636");
    assert_eq!(tpm_claims["signature"], json!({"scheme": "rsassa", "hash": "sha256"}));
    assert_eq!(tpm_claims["pcrs"]["sha1"], json!({"16": "03".repeat(20)}));
    assert_eq!(tpm_claims["pcrs"]["sha256"].as_object().unwrap().len(), 8);
    assert_eq!(tpm_claims["recipient"]["resident"], true);
    assert_eq!(claims["keygate"]["revocation"], "not-checked");
    let numbers = hex::encode(keys::sha256(&tpm.ak_spki()));
    assert_eq!(tpm_claims["ak"]["spki_sha256"], json!(numbers));
    let platforms = [format!("tpm-ak:{name}"), format!("tpm-ak:{numbers}"), "tpm-firmware:2019102300163636".to_owned()];
    assert_eq!(said.platforms(), platforms);
    let state = said.tpm().unwrap();
    assert_eq!((state.key.as_str(), state.name.as_deref()), (&*numbers, Some(&*name)));
    assert_eq!((state.reset_count, state.restart_count, state.clock, state.safe), (7, 2, 3_600_000, true));
}
