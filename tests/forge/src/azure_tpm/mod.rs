//! Machines with a TPM, and the requests that they send to Azure Attestation: `attReq` and `attReqV2`.
//! TCG Trusted Platform Module Library 2.0, part 2; PC Client Platform Firmware Profile 1.06; Windows SDK `wbcl.h`, `ncrypt.h`;
//! RFC 7515.
//!
//! A request is made in steps, and each may be changed before the next: [`Machine::draft`] gives the payload, [`Draft::sign`] the
//! request.

mod ima;
mod log;
mod structures;

pub use ima::ImaList;
pub use log::{Event, Log, Value as Tagged, boundary, tag};
pub use structures::{Attest, Attested, NAME_SHA256, public_area, rsa_jwk, signature};

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::base64;
use crate::keys::{self, Key, SigAlg};
use crate::x509::{Cert, Extension, key_id, name, usage};
use openssl::hash::MessageDigest;

const DAY: i64 = 86_400;
/// TPM_ALG_SHA1, TPM_ALG_SHA256.
const BANKS: [u16; 2] = [0x0004, 0x000b];

/// A machine: its attestation key, certified under a root of its own, its request key, its log.
pub struct Machine {
    /// The instant around which everything is valid, unix seconds.
    pub now: i64,
    /// Signs certificates of attestation keys.
    pub root: Key,
    /// The attestation key.
    pub aik: Key,
    /// The certificate of the attestation key, DER.
    pub aik_certificate: Vec<u8>,
    /// Signs requests.
    pub request_key: Key,
    /// What was measured.
    pub log: Log,
    /// What Linux measured, where it did.
    pub ima: Option<ImaList>,
    root_der: Vec<u8>,
}

/// How the request's key is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The quote covers it.
    Quote,
    /// The attestation key certifies it.
    Certify,
    /// Not at all.
    Nothing,
}

/// What a request is to say. [`Wanted::new`] gives a sound one of the second form.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// `attReqV2`, else `attReq`.
    pub second: bool,
    /// The challenge, 16 bytes.
    pub challenge: Vec<u8>,
    /// What came with it.
    pub context: Vec<u8>,
    /// How the request's key is bound; only the second form can.
    pub bound: Bound,
    /// The banks that are quoted, by TPM_ALG_ID.
    pub banks: Vec<u16>,
    /// The registers that are quoted.
    pub registers: Vec<u32>,
    /// Whether there is a state before a sleep.
    pub slept: bool,
    /// Changes the quote of the current state before it is signed.
    pub quote: fn(&mut Attest),
    /// Changes the quote of the state before the sleep before it is signed.
    pub boot_quote: fn(&mut Attest),
    /// Changes the certification of the request's key before it is signed.
    pub certify: fn(&mut Attest),
}

impl Wanted {
    /// A sound request that answers this challenge.
    pub fn new(challenge: &[u8], context: &[u8]) -> Self {
        Self {
            second: true,
            challenge: challenge.to_vec(),
            context: context.to_vec(),
            bound: Bound::Quote,
            banks: vec![0x000b],
            registers: (0..24).collect(),
            slept: false,
            quote: |_| (),
            boot_quote: |_| (),
            certify: |_| (),
        }
    }
}

/// A request before it is signed.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The header.
    pub header: Value,
    /// The payload. Keys are covered by the quote as `serde_json` writes them.
    pub payload: Value,
}

impl Draft {
    /// The request: a compact JWS, RSASSA-PSS with SHA-256.
    pub fn sign(&self, key: &Key) -> String {
        let part = |value: &Value| base64::url(value.to_string().as_bytes());
        let input = format!("{}.{}", part(&self.header), part(&self.payload));
        let signature = keys::sign_pss(key, MessageDigest::sha256(), input.as_bytes());
        format!("{input}.{}", base64::url(&signature))
    }
}

/// Two RSA keys for every machine of a process: making them is slow.
fn own_keys() -> &'static (Key, Key) {
    static KEYS: OnceLock<(Key, Key)> = OnceLock::new();
    KEYS.get_or_init(|| (rsa(), rsa()))
}

/// A new RSA key of 2,048 bits.
pub fn rsa() -> Key {
    Key::from_rsa(openssl::rsa::Rsa::generate(2_048).unwrap()).unwrap()
}

impl Machine {
    /// A machine with an attestation key of RSA, whose certificate is valid around `now` (unix seconds).
    pub fn new(now: i64, log: Log) -> Self {
        let (root, (aik, request_key)) = (keys::p256(), own_keys().clone());
        let root_der = authority(&root, now).sign(&root);
        let mut machine = Self { now, aik_certificate: Vec::new(), root, aik, request_key, log, ima: None, root_der };
        machine.aik_certificate = machine.certificate(&machine.aik).sign(&machine.root);
        machine
    }

    /// The root under which attestation keys are certified, DER.
    pub fn root_der(&self) -> Vec<u8> {
        self.root_der.clone()
    }

    /// A certificate for an attestation key, unsigned.
    pub fn certificate(&self, aik: &Key) -> Cert {
        let usages = crate::der::sequence(&[crate::der::oid("2.23.133.8.3")]);
        Cert {
            serial: vec![0x11],
            issuer: name(&[("CN", ROOT)]),
            subject: name(&[("CN", "forge attestation key")]),
            not_before: self.now - DAY,
            not_after: self.now + 30 * DAY,
            raw_validity: None,
            spki: keys::spki(aik),
            extensions: vec![
                Extension::end_entity(),
                Extension::key_usage(usage::DIGITAL_SIGNATURE),
                Extension::new("2.5.29.37", false, usages),
                Extension::subject_key(&key_id(aik)),
                Extension::authority_key(&key_id(&self.root)),
            ],
            algorithm: SigAlg::EcdsaSha256,
        }
    }

    /// The values of the registers of a bank after the log, and in the bank of SHA-256 after IMA's list.
    pub fn registers(&self, bank: u16) -> BTreeMap<u32, Vec<u8>> {
        let mut registers = self.log.registers(bank);
        if let (Some(list), 0x000b) = (&self.ima, bank) {
            registers.insert(10, list.register());
        }
        registers
    }

    fn logs(&self) -> Value {
        let mut logs = vec![json!({"type": "TCG", "log": base64::url(&self.log.bytes())})];
        logs.extend(self.ima.iter().map(|list| json!({"type": "IMA", "log": base64::url(&list.text())})));
        json!(logs)
    }

    /// The payload of a request.
    pub fn draft(&self, wanted: &Wanted) -> Draft {
        match wanted.second {
            true => self.second(wanted),
            false => self.first(wanted),
        }
    }

    /// A sound request of this machine's.
    pub fn request(&self, wanted: &Wanted) -> String {
        self.draft(wanted).sign(&self.request_key)
    }

    fn second(&self, wanted: &Wanted) -> Draft {
        let jwk = rsa_jwk(&self.request_key);
        let extra = match wanted.bound {
            Bound::Quote => keys::sha256(&[jwk.to_string().as_bytes(), &[0], &wanted.challenge].concat()).to_vec(),
            Bound::Certify | Bound::Nothing => wanted.challenge.clone(),
        };
        let info = match wanted.bound {
            Bound::Quote => json!({"tpm_quote": {"hash_alg": "sha-256"}}),
            Bound::Certify => {
                json!({"tpm_certify": self.certified(&self.request_key, &wanted.challenge, wanted.certify)})
            }
            Bound::Nothing => json!({}),
        };
        let mut states = json!({"current_attestation": self.state(wanted, 9_000, &extra, wanted.quote)});
        if wanted.slept {
            states["boot_attestation"] = self.state(wanted, 8_000, &[], wanted.boot_quote);
        }
        let payload = json!({"att_type": "basic", "att_data": {
            "rp_id": "https://relying.example",
            "rp_data": base64::url(b"relying party's own"),
            "challenge": base64::url(&wanted.challenge),
            "service_context": base64::url(&wanted.context),
            "tpm_att_data": states,
            "request_key": {"jwk": jwk, "info": info},
        }});
        Draft { header: json!({"alg": "PS256", "typ": "attReqV2"}), payload }
    }

    fn state(&self, wanted: &Wanted, clock: u64, extra: &[u8], change: fn(&mut Attest)) -> Value {
        let (quote, signature) = self.quote(wanted, clock, extra, change);
        let banks = wanted.banks.iter().map(|bank| {
            let values = self.registers(*bank);
            let values =
                wanted.registers.iter().map(|index| json!({"index": index, "digest": base64::url(&values[index])}));
            json!({"algorithm": bank, "values": values.collect::<Vec<_>>()})
        });
        json!({
            "logs": self.logs(),
            "aik_cert": base64::url(&self.aik_certificate),
            "aik_pub": rsa_jwk(&self.aik),
            "pcrs": banks.collect::<Vec<_>>(),
            "quote": base64::url(&quote),
            "signature": base64::url(&signature),
        })
    }

    fn first(&self, wanted: &Wanted) -> Draft {
        let claim = |clock, extra: &[u8], change| {
            let (quote, signature) = self.quote(wanted, clock, extra, change);
            let values: Vec<u8> = self.registers(wanted.banks[0]).into_values().flatten().collect();
            let mut bytes = b"ALPT".to_vec();
            let lengths = [signature.len(), quote.len(), values.len()].map(|length| length as u32);
            for number in [0, u32::from(wanted.banks[0])].into_iter().chain(lengths) {
                bytes.extend(number.to_le_bytes());
            }
            base64::url(&[bytes, signature, quote, values].concat())
        };
        let mut state = json!({
            "srtm_boot_log": base64::url(&self.log.bytes()),
            "aik_cert": base64::url(&self.aik_certificate),
            "aik_pub": rsa_jwk(&self.aik),
            "current_claim": claim(9_000, &wanted.challenge, wanted.quote),
        });
        if wanted.slept {
            state["boot_claim"] = json!(claim(8_000, &[], wanted.boot_quote));
        }
        let payload = json!({"att_type": "basic", "att_data": {
            "rp_data": base64::url(b"relying party's own"),
            "challenge": base64::url(&wanted.challenge),
            "service_context": base64::url(&wanted.context),
            "tpm_att_data": state,
            "attest_key": rsa_jwk(&self.request_key),
        }});
        Draft { header: json!({"alg": "PS256", "typ": "attReq"}), payload }
    }

    fn quote(&self, wanted: &Wanted, clock: u64, extra: &[u8], change: fn(&mut Attest)) -> (Vec<u8>, Vec<u8>) {
        let mut values = Vec::new();
        for bank in &wanted.banks {
            let registers = self.registers(*bank);
            wanted.registers.iter().for_each(|index| values.extend(&registers[index]));
        }
        let selection = wanted.banks.iter().map(|bank| (*bank, wanted.registers.clone())).collect();
        let mut attest = Attest::new(extra, Attested::Quote { selection, digest: keys::sha256(&values).to_vec() });
        attest.clock = clock;
        change(&mut attest);
        let bytes = attest.bytes();
        let signed = signature(&self.aik, &bytes);
        (bytes, signed)
    }

    /// The binding of a key that lives in the TPM: `{"public", "certification", "signature"}`.
    pub fn certified(&self, key: &Key, challenge: &[u8], change: fn(&mut Attest)) -> Value {
        let public = public_area(key, 0x32, &[]);
        let name = [&NAME_SHA256[..], &keys::sha256(&public)].concat();
        let mut attest = Attest::new(challenge, Attested::Certify { name });
        change(&mut attest);
        let bytes = attest.bytes();
        let signed = signature(&self.aik, &bytes);
        json!({
            "public": base64::url(&public),
            "certification": base64::url(&bytes),
            "signature": base64::url(&signed),
        })
    }
}

const ROOT: &str = "forge tpm root";

fn authority(key: &Key, now: i64) -> Cert {
    Cert {
        serial: vec![0x01],
        issuer: name(&[("CN", ROOT)]),
        subject: name(&[("CN", ROOT)]),
        not_before: now - 365 * DAY,
        not_after: now + 3_650 * DAY,
        raw_validity: None,
        spki: keys::spki(key),
        extensions: vec![
            Extension::authority(None),
            Extension::key_usage(usage::CERT_SIGN | usage::CRL_SIGN),
            Extension::subject_key(&key_id(key)),
        ],
        algorithm: SigAlg::EcdsaSha256,
    }
}
