//! A document of kind `tpm` read by the specification and checked with OpenSSL alone.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate::attester::tpm::Options as TpmOptions;
use keygate::attester::{Attester, Options, Wanted, choose};
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::sha::sha256;
use openssl::sign::Verifier;
use serde_json::Value;

use crate::tpm_stage::SoftTpm;

/// An attester of this TPM that keeps its key in the TPM's folder.
pub fn attester(tpm: &SoftTpm, change: impl FnOnce(&mut TpmOptions)) -> Box<dyn Attester> {
    choose("tpm", &options(tpm, change)).unwrap()
}

pub fn options(tpm: &SoftTpm, change: impl FnOnce(&mut TpmOptions)) -> Options {
    let mut options = TpmOptions::usual(tpm.folder.path().join("state"));
    options.address = Some(tpm.address());
    change(&mut options);
    // A root without kernel files, so that the logs of this machine are none.
    Options { root: tpm.folder.path().to_owned(), tpm: options, ..Options::default() }
}

pub fn wanted() -> Wanted {
    let mut report_data = [7; 64];
    report_data[31] = 8;
    Wanted { report_data, nonce: [0; 32], public_key_der: Vec::new(), user_data: Vec::new(), now: 0 }
}

pub fn document(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

pub fn bytes(value: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap()
}

/// The next field of this many bytes, or with its length in front.
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub fn take(&mut self, length: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(length);
        self.0 = rest;
        head
    }
    pub fn number(&mut self) -> u16 {
        u16::from_be_bytes(self.take(2).try_into().unwrap())
    }
    pub fn sized(&mut self) -> &'a [u8] {
        let length = self.number();
        self.take(length.into())
    }
}

/// Whether `signature` (TPMT_SIGNATURE) over `attest` is by the key of `public` (TPMT_PUBLIC).
pub fn signed_by(public: &[u8], attest: &[u8], signature: &[u8]) -> bool {
    let (mut area, mut signature) = (Fields(public), Fields(signature));
    let kind = area.number();
    assert_eq!(area.number(), 0x0b, "the name is by SHA-256");
    assert_eq!(area.take(4), [0x00, 0x05, 0x04, 0x72], "a restricted signing key of the TPM");
    assert_eq!(area.sized(), [0_u8; 0]);
    assert_eq!(area.number(), 0x10, "no symmetric algorithm");
    let scheme = area.number();
    assert_eq!((signature.number(), signature.number()), (scheme, 0x0b), "by the scheme of the key");
    assert_eq!(area.number(), 0x0b);
    let number = |bytes: &[u8]| BigNum::from_slice(bytes).unwrap();
    if kind == 0x23 {
        assert_eq!((scheme, area.number(), area.number()), (0x18, 3, 0x10), "ECDSA on P-256");
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let (x, y) = (number(area.sized()), number(area.sized()));
        let key = EcKey::from_public_key_affine_coordinates(&group, &x, &y).unwrap();
        let (r, s) = (number(signature.sized()), number(signature.sized()));
        let signature = EcdsaSig::from_private_components(r, s).unwrap();
        return signature.verify(&sha256(attest), &key).unwrap();
    }
    assert_eq!((kind, scheme, area.number(), area.take(4)), (1, 0x14, 2_048, &[0_u8; 4][..]), "RSASSA, 2048 bits");
    let key = PKey::from_rsa(Rsa::from_public_components(number(area.sized()), number(&[1, 0, 1])).unwrap()).unwrap();
    let mut verifier = Verifier::new(MessageDigest::sha256(), &key).unwrap();
    verifier.verify_oneshot(signature.sized(), attest).unwrap()
}

/// What a quote carries, selects and says of the values: extra data, selection, digest.
fn quote(attest: &[u8]) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let mut fields = Fields(attest);
    assert_eq!(fields.take(6), [0xff, 0x54, 0x43, 0x47, 0x80, 0x18]);
    let _signer = fields.sized();
    let extra = fields.sized().to_vec();
    fields.take(17 + 8);
    let count = u32::from_be_bytes(fields.take(4).try_into().unwrap());
    let selection = fields.take(6 * count as usize).to_vec();
    let digest = fields.sized().to_vec();
    assert!(fields.0.is_empty());
    (extra, selection, digest)
}

fn register(document: &Value, bank: &str, index: u32) -> Vec<u8> {
    hex::decode(document["pcrs"][bank][index.to_string()].as_str().unwrap()).unwrap()
}

#[test]
fn a_document_is_signed_by_its_key_over_its_registers_and_the_binding() {
    let Some(tpm) = SoftTpm::start() else { return };
    tpm.extend(23, &[5; 32], &[6; 48]);
    for kind in [Default::default(), keygate::attester::tpm::AkKind::Rsa] {
        let attester = attester(&tpm, |options| {
            options.ak = keygate::attester::tpm::AkSource::Own { kind, folder: tpm.folder.path().join("state") };
        });
        assert_eq!(attester.kind(), "tpm");
        let document = document(&attester.evidence(&wanted()).unwrap());
        let (public, attest, signature) =
            (bytes(&document["ak"]), bytes(&document["quote"]), bytes(&document["signature"]));
        assert!(signed_by(&public, &attest, &signature));
        let mut other = attest.clone();
        other[20] ^= 1;
        assert!(!signed_by(&public, &other, &signature));

        let (extra, selection, digest) = quote(&attest);
        assert_eq!(extra, &wanted().report_data[..32], "the first half of the binding, whole");
        assert_eq!(selection, [0, 0x0b, 3, 0xff, 0xff, 0xff, 0, 0x0c, 3, 0xff, 0xff, 0xff]);
        let all: Vec<u8> = ["sha256", "sha384"]
            .into_iter()
            .flat_map(|bank| (0..24).flat_map(|index| register(&document, bank, index)).collect::<Vec<_>>())
            .collect();
        assert_eq!(all.len(), 24 * (32 + 48));
        assert_eq!(digest, sha256(&all));
        assert_eq!(register(&document, "sha256", 23), sha256(&[[0; 32], [5; 32]].concat()));
        for absent in ["event_log", "ima_log", "recipient_key", "ak_certificate", "ak_chain"] {
            assert!(document.get(absent).is_none(), "{absent}");
        }
    }
}

#[test]
fn registers_that_are_named_are_quoted_and_no_others() {
    let Some(tpm) = SoftTpm::start() else { return };
    let named = attester(&tpm, |options| options.registers = Some("sha256:0,7,23".to_owned()));
    let document = document(&named.evidence(&wanted()).unwrap());
    let (_, selection, _) = quote(&bytes(&document["quote"]));
    assert_eq!(selection, [0, 0x0b, 3, 0x81, 0, 0x80]);
    assert_eq!(document["pcrs"].as_object().unwrap().len(), 1);
    assert_eq!(document["pcrs"]["sha256"].as_object().unwrap().keys().collect::<Vec<_>>(), ["0", "7", "23"]);

    let off = attester(&tpm, |options| options.registers = Some("sha1:0".to_owned()));
    let refused = off.evidence(&wanted()).unwrap_err();
    assert_eq!(refused.code(), "unsupported.pcr-bank");
    assert!(refused.to_string().contains("`sha1`"), "{refused}");
}

#[test]
fn a_recipient_in_the_tpm_is_certified_where_the_evidence_is_bound_to_it_and_opens_what_is_sealed() {
    use openssl::encrypt::Encrypter;
    use openssl::rsa::Padding;

    let Some(tpm) = SoftTpm::start() else { return };
    let attester = attester(&tpm, |_| {});
    let key = attester.resident_key().unwrap();
    let bound = Wanted { public_key_der: key.spki_der().to_vec(), ..wanted() };
    let document_of = |wanted: &Wanted| document(&attester.evidence(wanted).unwrap());
    let certified = document_of(&bound);
    let member = &certified["recipient_key"];
    let attest = bytes(&member["certify"]);
    assert!(signed_by(&bytes(&certified["ak"]), &attest, &bytes(&member["signature"])));
    assert_eq!(&attest[..6], [0xff, 0x54, 0x43, 0x47, 0x80, 0x17], "an attestation of a key");
    let mut fields = Fields(&attest[6..]);
    let _signer = fields.sized();
    assert_eq!(fields.sized(), &wanted().report_data[..32]);
    fields.take(17 + 8);
    let public = bytes(&member["public"]);
    assert_eq!(fields.sized(), [&[0, 0x0b][..], &sha256(&public)].concat(), "of this key, by name");
    assert_eq!(public[4..8], [0x00, 0x02, 0x04, 0x72], "of the TPM, for decryption alone");
    assert!(document_of(&wanted()).get("recipient_key").is_none(), "another recipient is not this one");

    let public = PKey::public_key_from_der(key.spki_der()).unwrap();
    let seal = |md: MessageDigest| {
        let mut encrypter = Encrypter::new(&public).unwrap();
        encrypter.set_rsa_padding(Padding::PKCS1_OAEP).unwrap();
        encrypter.set_rsa_oaep_md(md).unwrap();
        encrypter.set_rsa_mgf1_md(md).unwrap();
        let mut sealed = vec![0; encrypter.encrypt_len(b"a content key").unwrap()];
        let length = encrypter.encrypt(b"a content key", &mut sealed).unwrap();
        sealed.truncate(length);
        sealed
    };
    assert_eq!(key.decrypt(&seal(MessageDigest::sha256())).unwrap().as_slice(), b"a content key");
    let refused = key.decrypt(&seal(MessageDigest::sha1())).unwrap_err();
    assert_eq!(refused.code(), "crypto-failed");
    assert_eq!(key.decrypt(&[1; 3]).unwrap_err().code(), "crypto-failed");
    assert_eq!(tpm.loaded(), [0_u32; 0]);
    drop(Arc::clone(&key));
}
