//! Enclaves of one throw-away instance: certificates that stay the same from document to document, as on a real machine.
//!
//! The forge signs its certificates anew for every document, which is right for faults and wrong for counting work.
#![allow(dead_code, reason = "each test file uses its own part of this module")]

use keygate_forge::cbor;
use keygate_forge::keys::{self, Key, SigAlg};
use keygate_forge::x509::{Cert, Extension, key_id, name, usage};

const HOUR: i64 = 3_600;

/// Root, region, zone and instance, each certified once.
pub struct Fleet {
    /// The instant around which everything is valid, unix seconds.
    pub now: i64,
    root: Key,
    instance: Key,
    /// Root first, DER.
    pub bundle: Vec<Vec<u8>>,
}

/// One enclave: its key and its certificate.
pub struct Enclave {
    key: Key,
    /// DER.
    pub certificate: Vec<u8>,
}

impl Fleet {
    /// A fleet valid around `now`, unix seconds.
    pub fn new(now: i64) -> Self {
        let keys: Vec<Key> = (0..4).map(|_| keys::p384()).collect();
        let names = ["root", "region", "zone", "instance"];
        let bundle = (0..4)
            .map(|i| {
                let above = usize::saturating_sub(i, 1);
                let mut extensions =
                    vec![Extension::authority(None), Extension::key_usage(usage::CERT_SIGN | usage::CRL_SIGN)];
                extensions.push(Extension::subject_key(&key_id(&keys[i])));
                extensions.push(Extension::authority_key(&key_id(&keys[above])));
                let certificate = certificate(names[above], names[i], &keys[i], now, extensions);
                certificate.sign(&keys[above])
            })
            .collect();
        Self { now, root: keys[0].clone(), instance: keys[3].clone(), bundle }
    }

    /// The root, DER: the anchor to pin.
    pub fn root(&self) -> &[u8] {
        &self.bundle[0]
    }

    /// A CA certificate by the root over another key, with the root's own name, DER.
    pub fn namesake_of_root(&self) -> Vec<u8> {
        certificate("root", "root", &keys::p384(), self.now, vec![Extension::authority(None)]).sign(&self.root)
    }

    /// A new enclave on the instance, with a key on P-384.
    pub fn enclave(&self) -> Enclave {
        self.enclave_with(keys::p384(), &[Extension::end_entity(), Extension::key_usage(usage::DIGITAL_SIGNATURE)])
    }

    /// A new enclave with this key and these certificate extensions.
    pub fn enclave_with(&self, key: Key, extensions: &[Extension]) -> Enclave {
        let certificate = certificate("instance", "enclave", &key, self.now, extensions.to_vec());
        Enclave { certificate: certificate.sign(&self.instance), key }
    }

    /// The members of a sound document of this enclave, by name, with the nonce in it.
    pub fn members(&self, enclave: &Enclave, nonce: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let pcrs: Vec<_> = (0..16).map(|i| (cbor::uint(i), cbor::bytes(&[i as u8 + 1; 48]))).collect();
        let bundle: Vec<_> = self.bundle.iter().map(|der| cbor::bytes(der)).collect();
        [
            ("module_id", cbor::text("i-0123456789abcdef0-enc0123456789abcdef")),
            ("digest", cbor::text("SHA384")),
            ("timestamp", cbor::uint(self.now as u64 * 1_000)),
            ("pcrs", cbor::map(&pcrs)),
            ("certificate", cbor::bytes(&enclave.certificate)),
            ("cabundle", cbor::array(&bundle)),
            ("nonce", cbor::bytes(nonce)),
        ]
        .map(|(name, value)| (cbor::text(name), value))
        .to_vec()
    }

    /// A sound document of this enclave.
    pub fn document(&self, enclave: &Enclave, nonce: &[u8]) -> Vec<u8> {
        enclave.sign(&cbor::open_map(&self.members(enclave, nonce)))
    }
}

impl Enclave {
    /// A document with this payload, signed by the enclave's key.
    pub fn sign(&self, payload: &[u8]) -> Vec<u8> {
        let protected = cbor::map(&[(cbor::int(1), cbor::int(-35))]);
        let (protected, empty, payload) = (cbor::bytes(&protected), cbor::bytes(&[]), cbor::bytes(payload));
        let signed = cbor::array(&[cbor::text("Signature1"), protected.clone(), empty, payload.clone()]);
        let width = if self.key.bits() == 384 { 48 } else { 32 };
        let signature = keys::ecdsa_fixed(&self.key, SigAlg::EcdsaSha384, &signed, width);
        cbor::array(&[protected, cbor::map(&[]), payload, cbor::bytes(&signature)])
    }
}

/// `members` with one of them set to `value`.
pub fn with(mut members: Vec<(Vec<u8>, Vec<u8>)>, name: &str, value: Vec<u8>) -> Vec<(Vec<u8>, Vec<u8>)> {
    members.retain(|(known, _)| *known != cbor::text(name));
    members.push((cbor::text(name), value));
    members
}

fn certificate(issuer: &str, subject: &str, key: &Key, now: i64, extensions: Vec<Extension>) -> Cert {
    Cert {
        serial: vec![7],
        issuer: name(&[("CN", issuer)]),
        subject: name(&[("CN", subject)]),
        not_before: now - HOUR,
        not_after: now + 2 * HOUR,
        raw_validity: None,
        spki: keys::spki(key),
        extensions,
        algorithm: SigAlg::EcdsaSha384,
    }
}
