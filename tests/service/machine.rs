//! A TPM in software for one test: an endorsement key with its certificate, an attestation key, a clock, and what it says of them.
//!
//! TCG *Trusted Platform Module Library* part 1 sections 11.4.10 (KDFa) and 24 (credentials), part 2 (structures); written from the
//! format, not from the verifier.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_forge::der;
use keygate_forge::keys::{self, Key, SigAlg};
use keygate_forge::x509::{self, Cert, Extension};
use openssl::encrypt::Decrypter;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::{Padding, Rsa};
use openssl::sign::Signer;
use openssl::symm::{Cipher, decrypt};
use serde_json::json;

const DAY: i64 = 86_400;

/// A maker of TPMs: a root and the certificates under it.
pub struct Maker {
    key: Key,
    name: Vec<u8>,
    now: i64,
}

impl Maker {
    pub fn new(name: &str, now: i64) -> Self {
        Self { key: keys::p384(), name: x509::name(&[("O", "Forge"), ("CN", name)]), now }
    }

    fn cert(&self, subject: Vec<u8>, spki: Vec<u8>, extensions: Vec<Extension>) -> Cert {
        Cert {
            serial: vec![7],
            issuer: self.name.clone(),
            subject,
            not_before: self.now - DAY,
            not_after: self.now + 3_000 * DAY,
            raw_validity: None,
            spki,
            extensions,
            algorithm: SigAlg::EcdsaSha384,
        }
    }

    pub fn root(&self) -> Vec<u8> {
        let extensions = vec![
            Extension::authority(None),
            Extension::key_usage(x509::usage::CERT_SIGN | x509::usage::CRL_SIGN),
            Extension::subject_key(&x509::key_id(&self.key)),
        ];
        self.cert(self.name.clone(), keys::spki(&self.key), extensions).sign(&self.key)
    }

    /// The certificate of a machine's endorsement key, after a change.
    pub fn certificate(&self, machine: &Machine, change: impl FnOnce(&mut Cert)) -> Vec<u8> {
        let maker = der::sequence(&[der::set(&[der::sequence(&[der::oid("2.23.133.2.1"), der::utf8("id:46524745")])])]);
        let extensions = vec![
            Extension::end_entity(),
            // keyEncipherment
            Extension::key_usage(0x20),
            Extension::new("2.5.29.37", false, der::sequence(&[der::oid("2.23.133.8.1")])),
            Extension::new("2.5.29.17", true, der::sequence(&[der::explicit(4, &maker)])),
            Extension::authority_key(&x509::key_id(&self.key)),
        ];
        let mut cert = self.cert(der::sequence(&[]), keys::spki(&machine.ek), extensions);
        change(&mut cert);
        cert.sign(&self.key)
    }
}

/// One machine with its TPM.
pub struct Machine {
    pub ek: Key,
    pub ak: Key,
    pub clock: u64,
    pub reset_count: u32,
    pub restart_count: u32,
    /// The value of register 7.
    pub pcr: [u8; 32],
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

fn take(bytes: &[u8]) -> (&[u8], &[u8]) {
    let length = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
    bytes[2..].split_at(length)
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let key = PKey::hmac(key).unwrap();
    let mut signer = Signer::new(MessageDigest::sha256(), &key).unwrap();
    parts.iter().for_each(|part| signer.update(part).unwrap());
    signer.sign_to_vec().unwrap()
}

/// One block of KDFa over SHA-256, at most 32 bytes.
fn kdfa(seed: &[u8], label: &str, context: &[u8], bits: u32) -> Vec<u8> {
    let label = [label.as_bytes(), &[0]].concat();
    let block = hmac(seed, &[&1_u32.to_be_bytes(), &label, context, &bits.to_be_bytes()]);
    block[..bits as usize / 8].to_vec()
}

impl Machine {
    pub fn new() -> Self {
        let ek = PKey::from_rsa(Rsa::generate(2_048).unwrap()).unwrap();
        Self { ek, ak: keys::p256(), clock: 1_000_000, reset_count: 3, restart_count: 1, pcr: [0x7a; 32] }
    }

    /// The same chip with a fresh attestation key.
    pub fn with_another_ak(&self) -> Self {
        let (ek, ak) = (self.ek.clone(), keys::p256());
        Self { ek, ak, ..*self }
    }

    /// SHA-256 of the endorsement key's SubjectPublicKeyInfo.
    pub fn ek_digest(&self) -> [u8; 32] {
        keys::sha256(&keys::spki(&self.ek))
    }

    /// TPMT_PUBLIC of the endorsement key: the TCG's template L-1.
    pub fn ek_public(&self) -> Vec<u8> {
        self.ek_public_with(0x0003_00b2)
    }

    pub fn ek_public_with(&self, attributes: u32) -> Vec<u8> {
        let policy = hex::decode("837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa").unwrap();
        let n = self.ek.rsa().unwrap().n().to_vec();
        let mut out = hex::decode("0001000b").unwrap();
        out.extend(attributes.to_be_bytes());
        out.extend(sized(&policy));
        // AES-128-CFB, no scheme, 2048 bits, the default exponent.
        out.extend(hex::decode("00060080004300100800").unwrap());
        out.extend([0; 4]);
        out.extend(sized(&n));
        out
    }

    /// TPMT_PUBLIC of the attestation key: ECDSA with SHA-256 on P-256.
    pub fn ak_public(&self) -> Vec<u8> {
        self.ak_public_with(0x0005_0072)
    }

    pub fn ak_public_with(&self, attributes: u32) -> Vec<u8> {
        let point = keys::point(&self.ak);
        let mut out = hex::decode("0023000b").unwrap();
        out.extend(attributes.to_be_bytes());
        out.extend([0, 0]);
        out.extend(hex::decode("00100018000b00030010").unwrap());
        out.extend(sized(&point[..32]));
        out.extend(sized(&point[32..]));
        out
    }

    pub fn ak_name(&self) -> Vec<u8> {
        [&[0, 11][..], &keys::sha256(&self.ak_public())].concat()
    }

    /// TPM2_ActivateCredential, for the object with this name; none: what protects the credential does not hold.
    pub fn activate(&self, blob: &[u8], encrypted_seed: &[u8], name: &[u8]) -> Option<Vec<u8>> {
        let (sealed, rest) = take(encrypted_seed);
        assert!(rest.is_empty());
        let mut decrypter = Decrypter::new(&self.ek).unwrap();
        decrypter.set_rsa_padding(Padding::PKCS1_OAEP).unwrap();
        decrypter.set_rsa_oaep_md(MessageDigest::sha256()).unwrap();
        decrypter.set_rsa_mgf1_md(MessageDigest::sha256()).unwrap();
        decrypter.set_rsa_oaep_label(b"IDENTITY\0").unwrap();
        let mut seed = vec![0; decrypter.decrypt_len(sealed).unwrap()];
        let length = decrypter.decrypt(sealed, &mut seed).ok()?;
        seed.truncate(length);
        let (object, rest) = take(blob);
        assert!(rest.is_empty());
        let (integrity, hidden) = take(object);
        if hmac(&kdfa(&seed, "INTEGRITY", &[], 256), &[hidden, name]) != integrity {
            return None;
        }
        let key = kdfa(&seed, "STORAGE", name, 128);
        let clear = decrypt(Cipher::aes_128_cfb128(), &key, Some(&[0; 16]), hidden).unwrap();
        Some(take(&clear).0.to_vec())
    }

    /// A quote over register 7, as a document of kind `tpm`.
    pub fn document(&self, qualifying_data: &[u8]) -> Vec<u8> {
        let name = self.ak_name();
        let mut quote = hex::decode("ff5443478018").unwrap();
        // The qualified name begins as every name of this hash does; nobody outside of the TPM can check the rest.
        quote.extend(sized(&name));
        quote.extend(sized(qualifying_data));
        quote.extend(self.clock.to_be_bytes());
        quote.extend(self.reset_count.to_be_bytes());
        quote.extend(self.restart_count.to_be_bytes());
        quote.push(1);
        quote.extend(0x2024_0101_0000_0001_u64.to_be_bytes());
        quote.extend(hex::decode("00000001000b03800000").unwrap());
        quote.extend(sized(&keys::sha256(&self.pcr)));
        let numbers = keys::ecdsa_fixed(&self.ak, SigAlg::EcdsaSha256, &quote, 32);
        let signature =
            [&hex::decode("0018000b").unwrap()[..], &sized(&numbers[..32]), &sized(&numbers[32..])].concat();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let document = json!({
            "kind": "tpm", "quote": text(&quote), "signature": text(&signature), "ak": text(&self.ak_public()),
            "pcrs": {"sha256": {"7": hex::encode(self.pcr)}},
        });
        document.to_string().into_bytes()
    }
}
