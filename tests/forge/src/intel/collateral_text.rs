//! Collateral as the text that is served: nine members, each signed by whom it claims or, on purpose, not.
//! Intel PCS API version 4; Intel SGX PCK certificate and CRL profile, section 2 (CRLs).

use super::{Collateral, CollateralFault, Intel, intel_name, root_name};
use crate::base64;
use crate::keys::{self, Key, SigAlg};
use crate::x509::{Crl, key_id};

impl Intel {
    /// The collateral as JSON text of nine members; CRLs and signatures are lower-case hex.
    pub fn collateral(&self, wanted: &Collateral) -> String {
        let wanted = wanted.broken(self);
        let fault = wanted.fault;
        let tcb_info = wanted.tcb_info();
        let qe_identity = wanted.qe_identity_text();
        let (tcb_chain, tcb_key) = self.signer_of_tcb_info(fault);
        let (qe_chain, qe_key) = self.signer_of_qe_identity(fault);
        let mut members = vec![
            ("pck_crl_issuer_chain", self.pck_crl_chain()),
            ("root_ca_crl", hex::encode(self.root_crl(&wanted))),
            ("pck_crl", hex::encode(self.pck_crl(&wanted))),
            ("tcb_info_issuer_chain", tcb_chain),
            ("tcb_info_signature", document_signature(&tcb_key, &tcb_info)),
            ("tcb_info", tcb_info),
            ("qe_identity_issuer_chain", qe_chain),
            ("qe_identity_signature", document_signature(&qe_key, &qe_identity)),
            ("qe_identity", qe_identity),
        ];
        if let Some(fault) = fault {
            fault.in_members(&mut members);
        }
        let mut text = String::from("{");
        for (i, (name, value)) in members.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            let value = serde_json::to_string(value).unwrap();
            text.push_str(&format!("{comma}\"{name}\":{value}"));
        }
        text.push('}');
        if fault == Some(CollateralFault::NotJson) {
            text.pop();
        }
        text
    }

    fn pck_crl_chain(&self) -> String {
        base64::pem_chain([&self.ca_der()[..], &self.root_der()])
    }

    /// Issuer chain and key of the TCB info.
    fn signer_of_tcb_info(&self, fault: Option<CollateralFault>) -> (String, Key) {
        let sound = base64::pem_chain([&self.tcb_signer_der()[..], &self.root_der()]);
        match fault {
            Some(CollateralFault::TcbInfoForeignSigner) => (sound, keys::p256()),
            Some(CollateralFault::TcbInfoSelfMadeRoot) => (self.self_made(), self.tcb_signer.clone()),
            Some(CollateralFault::TcbInfoSignedByPck) => {
                let ders = [self.pck_der(), self.ca_der(), self.root_der()];
                let chain = base64::pem_chain(ders.iter().map(Vec::as_slice));
                (chain, self.pck.clone())
            }
            Some(CollateralFault::TcbSignerExpired) => {
                let mut cert = self.tcb_signer_cert(&self.root);
                cert.not_after = self.now - 1;
                let der = cert.sign(&self.root);
                let chain = base64::pem_chain([&der[..], &self.root_der()]);
                (chain, self.tcb_signer.clone())
            }
            _ => (sound, self.tcb_signer.clone()),
        }
    }

    /// Issuer chain and key of the QE identity.
    fn signer_of_qe_identity(&self, fault: Option<CollateralFault>) -> (String, Key) {
        let sound = base64::pem_chain([&self.tcb_signer_der()[..], &self.root_der()]);
        match fault {
            Some(CollateralFault::QeIdentityForeignSigner) => (sound, keys::p256()),
            Some(CollateralFault::QeIdentitySelfMadeRoot) => (self.self_made(), self.tcb_signer.clone()),
            _ => (sound, self.tcb_signer.clone()),
        }
    }

    /// The signer's chain under a root with the right name and another key.
    fn self_made(&self) -> String {
        let stranger = keys::p256();
        let root = self.root_cert(&stranger).sign(&stranger);
        let signer = self.tcb_signer_cert(&stranger).sign(&stranger);
        base64::pem_chain([&signer[..], &root])
    }

    fn root_crl(&self, wanted: &Collateral) -> Vec<u8> {
        let id = key_id(&self.root);
        let mut crl = Crl::new(root_name(), &id, SigAlg::EcdsaSha256)
            .dated(wanted.crl_issued, wanted.root_crl_next_update)
            .numbered(wanted.crl_number);
        for serial in &wanted.revoked_by_root {
            crl = crl.revoking(serial);
        }
        match wanted.fault {
            Some(CollateralFault::RootCrlForeignSigner) => crl.sign(&keys::p256()),
            _ => crl.sign(&self.root),
        }
    }

    fn pck_crl(&self, wanted: &Collateral) -> Vec<u8> {
        let fault = wanted.fault;
        let issuer = match fault {
            Some(CollateralFault::PckCrlOtherIssuer) => intel_name("Intel SGX PCK Somebody CA"),
            _ => self.ca_name(),
        };
        let id = key_id(&self.ca);
        let mut crl = Crl::new(issuer, &id, SigAlg::EcdsaSha256)
            .dated(wanted.crl_issued, wanted.pck_crl_next_update)
            .numbered(wanted.crl_number);
        for serial in &wanted.revoked_by_ca {
            crl = crl.revoking(serial);
        }
        let point = |content: &[u8]| crl.clone().with_distribution_point(content);
        let crl = match fault {
            // onlySomeReasons [3], an empty BIT STRING
            Some(CollateralFault::PckCrlEmptyReasons) => point(&[0x83, 0x00]),
            // onlySomeReasons [3], key compromise only
            Some(CollateralFault::PckCrlSomeReasons) => point(&[0x83, 0x02, 0x06, 0x40]),
            // indirectCRL [4] TRUE
            Some(CollateralFault::PckCrlIndirect) => point(&[0x84, 0x01, 0xff]),
            // onlyContainsCACerts [2] TRUE
            Some(CollateralFault::PckCrlOnlyAuthorities) => point(&[0x82, 0x01, 0xff]),
            Some(CollateralFault::PckCrlDelta) => crl.clone().delta(1),
            _ => crl,
        };
        match fault {
            Some(CollateralFault::PckCrlForeignSigner) => crl.sign(&keys::p256()),
            Some(CollateralFault::PckCrlOfRoot) => self.root_crl(wanted),
            _ => crl.sign(&self.ca),
        }
    }
}

/// r ‖ s over the exact text, lower-case hex.
fn document_signature(key: &Key, text: &str) -> String {
    hex::encode(keys::ecdsa_fixed(key, SigAlg::EcdsaSha256, text.as_bytes(), 32))
}
