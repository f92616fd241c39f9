//! Certification data of a quote: the PCK chain as PEM.
//! Intel DCAP ECDSA quote library reference, appendix A.4 table 9 (certification data types).

use super::quote::Parts;
use super::{Intel, SgxFault, intel_name, serial};
use crate::base64;
use crate::keys;

impl Intel {
    /// Certification data of type 5: the PCK chain as PEM.
    pub(super) fn certification(&self, parts: &Parts) -> Vec<u8> {
        let kind: u16 = match parts.fault {
            Some(SgxFault::CertType1) => 1,
            Some(SgxFault::CertType2) => 2,
            Some(SgxFault::CertType3) => 3,
            Some(SgxFault::CertType4) => 4,
            Some(SgxFault::CertType6) => 6,
            Some(SgxFault::CertType7) => 7,
            _ => 5,
        };
        let mut data = self.pck_chain(parts).into_bytes();
        if parts.nul_terminated {
            data.push(0);
        }
        let mut out = kind.to_le_bytes().to_vec();
        out.extend((data.len() as u32).to_le_bytes());
        out.extend(data);
        out
    }

    fn pck_chain(&self, parts: &Parts) -> String {
        let fault = parts.fault;
        let stranger = keys::p256();
        let (root, ca) = match (fault, parts.authority_fault) {
            (Some(SgxFault::SelfMadeRoot), _) => {
                (self.root_cert(&stranger).sign(&stranger), self.ca_cert(&stranger).sign(&stranger))
            }
            (Some(SgxFault::RootRenamed), _) => self.renamed_root(),
            (_, Some(broken)) => (self.root_der(), self.ca_cert(&self.root).sign_with(&self.root, Some(broken))),
            _ => (self.root_der(), self.ca_der()),
        };
        let leaf = match fault {
            Some(SgxFault::PckOfOtherPlatform) => {
                let mut other = self.pck_cert(None);
                other.spki = keys::spki(&stranger);
                other.sign(&self.ca)
            }
            Some(fault) if fault.is_in_pck() => self.pck_cert(Some(fault)).sign(&self.ca),
            _ => self.pck_der(),
        };
        let block = |der: &[u8]| base64::pem("CERTIFICATE", der);
        let (leaf, ca, root) = (block(&leaf), block(&ca), block(&root));
        match fault {
            Some(SgxFault::ChainSwapped) => [ca, leaf, root].concat(),
            Some(SgxFault::ChainLeafOnly) => leaf,
            Some(SgxFault::PemThousand) => [leaf, ca.repeat(998), root].concat(),
            Some(SgxFault::SameNameAuthorities) => {
                let others: String = (0..8).map(|_| block(&self.namesake())).collect();
                [leaf, others, ca, root].concat()
            }
            Some(SgxFault::PemNul) => [&leaf, "\0\0", &ca, &root].concat(),
            Some(SgxFault::PemLabel) => {
                let other = base64::pem("X509 CRL", &[0x30, 0]);
                [leaf, other, ca, root].concat()
            }
            Some(SgxFault::PemText) => [&leaf, "subject=somebody\n", &ca, &root].concat(),
            Some(SgxFault::PemEmpty) => String::new(),
            _ if parts.root_second => [leaf, root, ca].concat(),
            _ => [leaf, ca, root].concat(),
        }
    }

    /// The root's key under another name, and the PCK authority below it.
    fn renamed_root(&self) -> (Vec<u8>, Vec<u8>) {
        let mut root = self.root_cert(&self.root);
        root.subject = intel_name("Intel SGX Root CA 2");
        root.issuer = root.subject.clone();
        let mut ca = self.ca_cert(&self.root);
        ca.issuer = root.subject.clone();
        (root.sign(&self.root), ca.sign(&self.root))
    }

    /// A PCK authority with the right name, signed by the root, for a key that signed nothing.
    fn namesake(&self) -> Vec<u8> {
        let key = keys::p256();
        let mut cert = self.ca_cert(&self.root);
        cert.serial = serial(&key);
        cert.spki = keys::spki(&key);
        cert.sign(&self.root)
    }
}

impl SgxFault {
    /// Whether the fault lies in the PCK certificate, which then has to be signed anew.
    fn is_in_pck(self) -> bool {
        matches!(self.row(), "SGX-25" | "SGX-22") || matches!(self, Self::PckExpired | Self::PckNotYetValid)
    }
}
