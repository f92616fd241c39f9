//! A throw-away Nitro hierarchy: root, regional, zonal and instance authorities, and the leaf.
//! AWS Nitro Enclaves user guide, "Verifying the root of trust" and attestation process of the NSM API.

mod document;
mod fault;

pub use document::NitroDocument;
pub use fault::NitroFault;

use crate::keys::{self, Key, SigAlg};
use crate::x509::{Cert, CertFault, Extension, key_id, name, usage};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const ROOT_NAME: &[(&str, &str)] = &[("C", "US"), ("O", "Amazon"), ("OU", "AWS"), ("CN", "aws.nitro-enclaves")];

/// A root, the authorities below it and one enclave.
pub struct Nitro {
    /// The instant around which everything is valid, unix seconds.
    pub now: i64,
    root: Key,
    regional: Key,
    zonal: Key,
    instance: Key,
    leaf: Key,
    root_der: Vec<u8>,
}

/// The certificates of one document.
pub(crate) struct Bundle {
    /// Certificate of the enclave.
    pub(crate) leaf: Vec<u8>,
    /// Root first, issuer of the leaf last.
    pub(crate) cabundle: Vec<Vec<u8>>,
}

impl Nitro {
    /// A hierarchy valid around `now` (unix seconds).
    pub fn new(now: i64) -> Self {
        let mut nitro = Self {
            now,
            root: keys::p384(),
            regional: keys::p384(),
            zonal: keys::p384(),
            instance: keys::p384(),
            leaf: keys::p384(),
            root_der: Vec::new(),
        };
        nitro.root_der = nitro.root_cert(&nitro.root).sign(&nitro.root);
        nitro
    }

    /// Self-signed root, DER: the anchor a verifier pins.
    pub fn root_der(&self) -> Vec<u8> {
        self.root_der.clone()
    }

    /// The enclave's private key, to sign something else with.
    pub fn leaf_key(&self) -> &Key {
        &self.leaf
    }

    fn root_cert(&self, key: &Key) -> Cert {
        self.authority(ROOT_NAME, ROOT_NAME, key, None, None, (-7 * 365 * DAY, 23 * 365 * DAY))
    }

    /// The chain of one document: root, regional, zonal, instance, leaf.
    pub(crate) fn bundle(&self, fault: Option<NitroFault>, authority_fault: Option<CertFault>) -> Bundle {
        let stranger = keys::p384();
        let root = match fault {
            Some(NitroFault::SelfMadeRoot) => &stranger,
            _ => &self.root,
        };
        let regional_name = common("f0f0f0f0f0f0f0f0.eu-forge-1.aws.nitro-enclaves");
        let zonal_name = common("a1a1a1a1a1a1a1a1.zonal.eu-forge-1.aws.nitro-enclaves");
        let instance_name = common("i-00f0f0f0f0f0f0f0f.eu-forge-1.aws.nitro-enclaves");
        let depth = match fault {
            Some(NitroFault::PathLength) => [0, 1, 0],
            _ => [2, 1, 0],
        };
        let regional =
            self.authority(&regional_name, ROOT_NAME, &self.regional, Some(root), Some(depth[0]), (-2 * DAY, 18 * DAY));
        let zonal = self.authority(
            &zonal_name,
            &regional_name,
            &self.zonal,
            Some(&self.regional),
            Some(depth[1]),
            (-DAY, 5 * DAY),
        );
        let instance = self.authority(
            &instance_name,
            &zonal_name,
            &self.instance,
            Some(&self.zonal),
            Some(depth[2]),
            (-2 * HOUR, 22 * HOUR),
        );
        let cabundle = vec![
            match fault {
                Some(NitroFault::SelfMadeRoot) => self.root_cert(root).sign(root),
                _ => self.root_der(),
            },
            regional.sign(root),
            zonal.sign(&self.regional),
            instance.sign_with(&self.zonal, authority_fault),
        ];
        Bundle {
            leaf: self.leaf_cert(&instance_name, fault).sign(&self.instance),
            cabundle: fault::in_bundle(cabundle, fault),
        }
    }

    fn leaf_cert(&self, issuer: &[(&str, &str)], fault: Option<NitroFault>) -> Cert {
        let mut leaf = Cert {
            serial: vec![0x01, 0x9b, 0x56, 0x40],
            issuer: name(issuer),
            subject: name(&common("i-00f0f0f0f0f0f0f0f-enc019b5640fdf630d6.eu-forge-1.aws")),
            not_before: self.now - 60,
            not_after: self.now - 60 + 3 * HOUR,
            raw_validity: None,
            spki: keys::spki(&self.leaf),
            extensions: vec![
                Extension::end_entity(),
                Extension {
                    critical: false,
                    ..Extension::key_usage(usage::DIGITAL_SIGNATURE | usage::NON_REPUDIATION)
                },
            ],
            algorithm: SigAlg::EcdsaSha384,
        };
        match fault {
            Some(NitroFault::LeafExpired) => {
                leaf.not_before = self.now - 3 * HOUR - 1;
                leaf.not_after = self.now - 1;
            }
            Some(NitroFault::LeafNotYetValid) => leaf.not_before = self.now + 1,
            _ => {}
        }
        leaf
    }

    fn authority(
        &self,
        subject: &[(&str, &str)],
        issuer: &[(&str, &str)],
        key: &Key,
        issuer_key: Option<&Key>,
        path_length: Option<u8>,
        validity: (i64, i64),
    ) -> Cert {
        let bits = usage::DIGITAL_SIGNATURE | usage::CERT_SIGN | usage::CRL_SIGN;
        let mut extensions =
            vec![Extension::authority(path_length), Extension::subject_key(&key_id(key)), Extension::key_usage(bits)];
        extensions.extend(issuer_key.map(|issuer| Extension::authority_key(&key_id(issuer))));
        let mut serial = key_id(key);
        serial[0] = serial[0] & 0x3f | 0x40;
        Cert {
            serial,
            issuer: name(issuer),
            subject: name(subject),
            not_before: self.now + validity.0,
            not_after: self.now + validity.1,
            raw_validity: None,
            spki: keys::spki(key),
            extensions,
            algorithm: SigAlg::EcdsaSha384,
        }
    }
}

fn common(common: &str) -> [(&str, &str); 6] {
    [("C", "US"), ("ST", "Washington"), ("L", "Seattle"), ("O", "Amazon"), ("OU", "AWS"), ("CN", common)]
}

#[cfg(test)]
mod tests;
