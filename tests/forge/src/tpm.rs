//! A throw-away TPM: an attestation key with its certificate, an endorsement key, quotes and certified keys.
//! TCG Trusted Platform Module Library part 2 (structures), written from the tables; the document of kind `tpm`.

mod fault;
mod structures;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use openssl::rsa::Rsa;
use serde_json::{Map, Value, json};

pub use fault::TpmFault;
pub use structures::{AttestBody, Bank, Object, Selected, attributes};

use crate::base64::url;
use crate::keys::{self, Key, SigAlg};
use crate::x509::{Cert, CertFault, Extension, key_id, name, usage};
use crate::{der, tpm::structures::attest};

const YEAR: i64 = 365 * 24 * 3600;
const ROOT_NAME: &[(&str, &str)] = &[("O", "Forge"), ("CN", "Forge TPM Root CA")];
const ISSUER_NAME: &[(&str, &str)] = &[("O", "Forge"), ("CN", "Forge TPM Issuing CA")];
/// tcg-kp-EKCertificate.
pub const EK_USAGE: &str = "2.23.133.8.1";
/// tcg-kp-AIKCertificate.
pub const AK_USAGE: &str = "2.23.133.8.3";

/// How the attestation key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signs {
    /// RSA 2048, RSASSA with SHA-256.
    Rsassa,
    /// RSA 2048, RSAPSS with SHA-256.
    Rsapss,
    /// ECDSA P-256 with SHA-256.
    P256,
    /// ECDSA P-384 with SHA-384.
    P384,
}

/// Values of registers: name of the bank, index, value.
pub type Pcrs = BTreeMap<&'static str, BTreeMap<u32, Vec<u8>>>;

/// A machine with its keys, and the authority that certifies them.
pub struct Tpm {
    /// The instant around which everything is valid, unix seconds.
    pub now: i64,
    /// How its attestation key signs.
    pub signs: Signs,
    pub(crate) ak: Key,
    ek: OnceLock<Key>,
    root: Key,
    issuer: Key,
}

/// One quote and what goes with it. Every member may be changed.
#[derive(Clone, Debug)]
pub struct TpmQuote {
    /// Qualifying data.
    pub qualifying_data: Vec<u8>,
    /// Values, which are quoted and given.
    pub pcrs: Pcrs,
    /// Milliseconds.
    pub clock: u64,
    /// Resets.
    pub reset_count: u32,
    /// Resumes.
    pub restart_count: u32,
    /// Number of the firmware.
    pub firmware_version: u64,
    /// Whether the attestation key's certificate goes along.
    pub certified: bool,
    /// One thing wrong with that certificate.
    pub certificate_fault: Option<CertFault>,
    /// A recipient's key that lives in the TPM.
    pub resident: Option<Key>,
    /// One thing wrong.
    pub fault: Option<TpmFault>,
}

impl TpmQuote {
    /// A quote over registers 0 to 7 of SHA-256 that answers these data, with a certificate.
    pub fn new(qualifying_data: &[u8]) -> Self {
        let values = (0..8u32).map(|index| (index, keys::sha256(&index.to_be_bytes()).to_vec())).collect();
        Self {
            qualifying_data: qualifying_data.to_vec(),
            pcrs: BTreeMap::from([("sha256", values)]),
            clock: 3_600_000,
            reset_count: 7,
            restart_count: 2,
            firmware_version: 0x2019_1023_0016_3636,
            certified: true,
            certificate_fault: None,
            resident: None,
            fault: None,
        }
    }
}

impl Tpm {
    /// A machine whose certificates are valid around `now` (unix seconds).
    pub fn new(now: i64, signs: Signs) -> Self {
        let ak = match signs {
            Signs::Rsassa | Signs::Rsapss => rsa(),
            Signs::P256 => keys::p256(),
            Signs::P384 => keys::p384(),
        };
        Self { now, signs, ak, ek: OnceLock::new(), root: keys::p256(), issuer: keys::p256() }
    }

    /// Self-signed root, DER: the anchor a verifier is given.
    pub fn root_der(&self) -> Vec<u8> {
        self.authority(ROOT_NAME, ROOT_NAME, &self.root, None).sign(&self.root)
    }

    /// The authority between root and keys, DER.
    pub fn issuer_der(&self) -> Vec<u8> {
        self.authority(ISSUER_NAME, ROOT_NAME, &self.issuer, Some(&self.root)).sign(&self.root)
    }

    /// SubjectPublicKeyInfo of the attestation key, DER.
    pub fn ak_spki(&self) -> Vec<u8> {
        keys::spki(&self.ak)
    }

    /// The attestation key's object: what is public of it.
    pub fn ak_object(&self) -> Object {
        Object::signing(&self.ak, self.signs)
    }

    /// The endorsement key's object, by the TCG's template for RSA 2048.
    pub fn ek_object(&self) -> Object {
        Object::endorsement(self.ek())
    }

    /// Made when it is first wanted: RSA keys take their time.
    fn ek(&self) -> &Key {
        self.ek.get_or_init(rsa)
    }

    /// Certificate of the endorsement key, DER, to be changed before it is signed.
    pub fn ek_cert(&self) -> Cert {
        self.leaf(self.ek(), EK_USAGE, 0x20)
    }

    /// Certificate of the attestation key, DER, to be changed before it is signed.
    pub fn ak_cert(&self) -> Cert {
        self.leaf(&self.ak, AK_USAGE, usage::DIGITAL_SIGNATURE)
    }

    /// The key that signs certificates of keys.
    pub fn issuer_key(&self) -> &Key {
        &self.issuer
    }

    /// The document, as JSON.
    pub fn document(&self, quote: &TpmQuote) -> Vec<u8> {
        let mut members = self.members(quote);
        match quote.fault {
            Some(fault) => fault.as_text(&mut members, self),
            None => serde_json::to_vec(&members).unwrap(),
        }
    }

    fn members(&self, quote: &TpmQuote) -> Map<String, Value> {
        let fault = quote.fault;
        let mut object = self.ak_object();
        if let Some(fault) = fault {
            fault.in_object(&mut object);
        }
        let mut given = quote.pcrs.clone();
        let mut quoted = Selected::of(&quote.pcrs);
        let mut body = AttestBody {
            qualified_signer: structures::qualified(&object),
            extra_data: quote.qualifying_data.clone(),
            clock: (quote.clock, quote.reset_count, quote.restart_count, true),
            firmware_version: quote.firmware_version,
        };
        if let Some(fault) = fault {
            fault.in_registers(&mut quoted, &mut given);
            fault.in_body(&mut body);
        }
        let hash = structures::hash_of(self.signs);
        let digest_hash = if fault == Some(TpmFault::DigestSha1) { "sha1" } else { hash };
        let mut message = attest(&body, 0x8018, &quoted.quote_info(digest_hash));
        if let Some(fault) = fault {
            fault.in_message(&mut message, &body);
        }
        let mut signature = structures::sign(&self.ak, self.signs, &message);
        if let Some(fault) = fault {
            fault.in_signature(&mut signature, &mut message, self.signs);
        }

        let mut members = Map::new();
        members.insert("kind".into(), json!("tpm"));
        members.insert("quote".into(), json!(url(&message)));
        members.insert("signature".into(), json!(url(&signature)));
        members.insert("ak".into(), json!(url(&object.area())));
        if quote.certified {
            let mut cert = self.ak_cert();
            if let Some(fault) = fault {
                fault.in_certificate(&mut cert, &keys::p256());
            }
            let signed = cert.sign_with(&self.issuer, quote.certificate_fault);
            members.insert("ak_certificate".into(), json!(url(&signed)));
            members.insert("ak_chain".into(), json!([url(&self.issuer_der())]));
        }
        members.insert("pcrs".into(), structures::values(&given));
        if let Some(resident) = &quote.resident {
            members.insert("recipient_key".into(), self.certify(quote, resident));
        }
        members
    }

    fn certify(&self, quote: &TpmQuote, resident: &Key) -> Value {
        let mut object = Object::decrypting(resident);
        let mut body = AttestBody {
            qualified_signer: structures::qualified(&self.ak_object()),
            extra_data: quote.qualifying_data.clone(),
            clock: (quote.clock + 1, quote.reset_count, quote.restart_count, true),
            firmware_version: quote.firmware_version,
        };
        let stranger = match self.signs {
            Signs::Rsassa | Signs::Rsapss => keys::from_pem(include_str!("../data/throw-away-rsa-2048.pem")),
            Signs::P256 => keys::p256(),
            Signs::P384 => keys::p384(),
        };
        let mut signer = &self.ak;
        let mut kind = 0x8017;
        let mut named = None;
        match quote.fault {
            Some(TpmFault::ResidentOtherName) => named = Some(Object::decrypting(&keys::p256())),
            Some(TpmFault::ResidentOtherKey) => object = Object::decrypting(&keys::p256()),
            Some(TpmFault::ResidentOtherChallenge) => body.extra_data = vec![9; 32],
            Some(TpmFault::ResidentOtherSigner) => signer = &stranger,
            Some(TpmFault::ResidentMovable) => object.attributes &= !attributes::FIXED_TPM,
            Some(TpmFault::ResidentReparented) => object.attributes &= !attributes::FIXED_PARENT,
            Some(TpmFault::ResidentBrought) => object.attributes &= !attributes::SENSITIVE_DATA_ORIGIN,
            Some(TpmFault::ResidentSigns) => {
                object.attributes = object.attributes & !attributes::DECRYPT | attributes::SIGN
            }
            Some(TpmFault::ResidentRestricted) => object.attributes |= attributes::RESTRICTED,
            Some(TpmFault::ResidentQuoted) => kind = 0x8018,
            _ => {}
        }
        let info = match kind {
            0x8018 => Selected::of(&quote.pcrs).quote_info(structures::hash_of(self.signs)),
            _ => structures::certify_info(named.as_ref().unwrap_or(&object)),
        };
        let message = attest(&body, kind, &info);
        let signature = structures::sign(signer, self.signs, &message);
        json!({"public": url(&object.area()), "certify": url(&message), "signature": url(&signature)})
    }

    fn leaf(&self, key: &Key, purpose: &str, bits: u8) -> Cert {
        Cert {
            serial: vec![0x41, 7],
            issuer: name(ISSUER_NAME),
            subject: name(&[]),
            not_before: self.now - YEAR,
            not_after: self.now + YEAR,
            raw_validity: None,
            spki: keys::spki(key),
            extensions: vec![
                Extension::end_entity(),
                Extension::key_usage(bits),
                Extension::new("2.5.29.37", false, der::sequence(&[der::oid(purpose)])),
                Extension::new("2.5.29.17", true, make()),
                Extension::authority_key(&key_id(&self.issuer)),
            ],
            algorithm: SigAlg::EcdsaSha256,
        }
    }

    fn authority(&self, subject: &[(&str, &str)], issuer: &[(&str, &str)], key: &Key, above: Option<&Key>) -> Cert {
        let mut extensions = vec![
            Extension::authority(None),
            Extension::subject_key(&key_id(key)),
            Extension::key_usage(usage::CERT_SIGN | usage::CRL_SIGN),
        ];
        extensions.extend(above.map(|above| Extension::authority_key(&key_id(above))));
        Cert {
            serial: vec![0x41, 1],
            issuer: name(issuer),
            subject: name(subject),
            not_before: self.now - 10 * YEAR,
            not_after: self.now + 10 * YEAR,
            raw_validity: None,
            spki: keys::spki(key),
            extensions,
            algorithm: SigAlg::EcdsaSha256,
        }
    }
}

/// A subject alternative name with maker, model and version of the TPM, as the TCG's EK profile writes it.
fn make() -> Vec<u8> {
    let pair = |oid: &str, text: &str| der::set(&[der::sequence(&[der::oid(oid), der::utf8(text)])]);
    let directory = der::sequence(&[
        pair("2.23.133.2.1", "id:464F5247"),
        pair("2.23.133.2.2", "forge"),
        pair("2.23.133.2.3", "id:00010002"),
    ]);
    der::sequence(&[der::explicit(4, &directory)])
}

/// A new RSA key of 2048 bits.
pub fn rsa() -> Key {
    Key::from_rsa(Rsa::generate(2048).unwrap()).unwrap()
}
