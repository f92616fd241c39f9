//! A throw-away Intel hierarchy: root, PCK authority, PCK, TCB signer, and one platform's quoting enclave.
//! Intel SGX PCK certificate and CRL profile, sections 1 to 3; Intel DCAP ECDSA quote library reference, appendix A.

mod certification;
mod collateral;
mod collateral_fault;
mod collateral_json;
mod collateral_text;
mod fault;
mod pck;
mod quote;
mod sgx;
mod tdx;

pub use collateral::{Collateral, QeIdentity, SvnLevel, TcbLevel, TdxModule, Tee};
pub use collateral_fault::CollateralFault;
pub use fault::{SgxFault, TdxFault};
pub use quote::{SGX_QE_MRSIGNER, TDX_QE_MRSIGNER};
pub use sgx::{SgxQuote, SgxVersion, attributes};
pub use tdx::{TdxQuote, TdxVersion, td_attributes};

use crate::keys::{self, Key, SigAlg};
use crate::x509::{self, Cert, Extension, key_id, usage};

const DAY: i64 = 86_400;
const YEAR: i64 = 365 * DAY;

/// Which authority certifies the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PckCa {
    /// Single-package machines.
    Processor,
    /// Registered multi-package machines.
    Platform,
}

/// What the PCK certificate says of the machine.
#[derive(Clone, Debug)]
pub struct Platform {
    /// Identifier of the family, model, stepping and platform.
    pub fmspc: [u8; 6],
    /// Identifier of the provisioning certification enclave.
    pub pce_id: [u8; 2],
    /// Encrypted or plain platform provisioning identifier.
    pub ppid: [u8; 16],
    /// The sixteen TCB component versions.
    pub components: [u8; 16],
    /// Version of the provisioning certification enclave.
    pub pce_svn: u16,
    /// CPUSVN as the processor reports it.
    pub cpu_svn: [u8; 16],
    /// SGX type: 0 standard, 1 scalable, 2 scalable with integrity.
    pub sgx_type: u8,
    /// The authority that certifies it.
    pub ca: PckCa,
}

impl Default for Platform {
    fn default() -> Self {
        let svn = [14, 14, 3, 3, 255, 255, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        Self {
            fmspc: [0x00, 0x60, 0x6a, 0x00, 0x00, 0x00],
            pce_id: [0, 0],
            ppid: [0x9d; 16],
            components: svn,
            pce_svn: 13,
            cpu_svn: svn,
            sgx_type: 1,
            ca: PckCa::Platform,
        }
    }
}

/// Intel's authorities and one platform.
pub struct Intel {
    /// The instant around which everything is valid, unix seconds.
    pub now: i64,
    /// What the platform's PCK certificate says.
    pub platform: Platform,
    pub(crate) root: Key,
    pub(crate) ca: Key,
    pub(crate) pck: Key,
    pub(crate) tcb_signer: Key,
    pub(crate) attestation: Key,
    root_der: Vec<u8>,
    ca_der: Vec<u8>,
    pck_der: Vec<u8>,
    tcb_signer_der: Vec<u8>,
}

impl Intel {
    /// A hierarchy valid around `now` (unix seconds) and a default platform.
    pub fn new(now: i64) -> Self {
        Self::with_platform(now, Platform::default())
    }

    /// A hierarchy valid around `now` (unix seconds) and the given platform.
    pub fn with_platform(now: i64, platform: Platform) -> Self {
        let mut intel = Self {
            now,
            platform,
            root: keys::p256(),
            ca: keys::p256(),
            pck: keys::p256(),
            tcb_signer: keys::p256(),
            attestation: keys::p256(),
            root_der: Vec::new(),
            ca_der: Vec::new(),
            pck_der: Vec::new(),
            tcb_signer_der: Vec::new(),
        };
        intel.root_der = intel.root_cert(&intel.root).sign(&intel.root);
        intel.ca_der = intel.ca_cert(&intel.root).sign(&intel.root);
        intel.pck_der = intel.pck_cert(None).sign(&intel.ca);
        intel.tcb_signer_der = intel.tcb_signer_cert(&intel.root).sign(&intel.root);
        intel
    }

    /// Self-signed root, DER: the anchor a verifier pins.
    pub fn root_der(&self) -> Vec<u8> {
        self.root_der.clone()
    }

    /// Certificate of the PCK authority, DER.
    pub fn ca_der(&self) -> Vec<u8> {
        self.ca_der.clone()
    }

    /// Certificate of the platform, DER.
    pub fn pck_der(&self) -> Vec<u8> {
        self.pck_der.clone()
    }

    /// Certificate of the signer of TCB info and QE identity, DER.
    pub fn tcb_signer_der(&self) -> Vec<u8> {
        self.tcb_signer_der.clone()
    }

    /// Content bytes of the serial number of the PCK certificate, as a CRL names it.
    pub fn pck_serial(&self) -> Vec<u8> {
        serial(&self.pck)
    }

    /// Content bytes of the serial number of the PCK authority, as the root's CRL names it.
    pub fn ca_serial(&self) -> Vec<u8> {
        serial(&self.ca)
    }

    /// Content bytes of the serial number of the TCB signer, as the root's CRL names it.
    pub fn tcb_signer_serial(&self) -> Vec<u8> {
        serial(&self.tcb_signer)
    }

    /// The platform's private key, to sign something else with.
    pub fn pck_key(&self) -> &Key {
        &self.pck
    }

    pub(crate) fn ca_name(&self) -> Vec<u8> {
        intel_name(match self.platform.ca {
            PckCa::Processor => "Intel SGX PCK Processor CA",
            PckCa::Platform => "Intel SGX PCK Platform CA",
        })
    }

    pub(crate) fn root_cert(&self, key: &Key) -> Cert {
        Cert {
            serial: serial(key),
            issuer: root_name(),
            subject: root_name(),
            not_before: self.now - 8 * YEAR,
            not_after: self.now + 23 * YEAR,
            raw_validity: None,
            spki: keys::spki(key),
            extensions: vec![
                Extension::authority_key(&key_id(key)),
                root_crl_point(),
                Extension::subject_key(&key_id(key)),
                Extension::key_usage(usage::CERT_SIGN | usage::CRL_SIGN),
                Extension::authority(Some(1)),
            ],
            algorithm: SigAlg::EcdsaSha256,
        }
    }

    pub(crate) fn ca_cert(&self, root: &Key) -> Cert {
        Cert {
            serial: serial(&self.ca),
            issuer: root_name(),
            subject: self.ca_name(),
            not_before: self.now - 8 * YEAR,
            not_after: self.now + 7 * YEAR,
            raw_validity: None,
            spki: keys::spki(&self.ca),
            extensions: vec![
                Extension::authority_key(&key_id(root)),
                root_crl_point(),
                Extension::subject_key(&key_id(&self.ca)),
                Extension::key_usage(usage::CERT_SIGN | usage::CRL_SIGN),
                Extension::authority(Some(0)),
            ],
            algorithm: SigAlg::EcdsaSha256,
        }
    }

    pub(crate) fn tcb_signer_cert(&self, root: &Key) -> Cert {
        Cert {
            serial: serial(&self.tcb_signer),
            issuer: root_name(),
            subject: intel_name("Intel SGX TCB Signing"),
            not_before: self.now - YEAR,
            not_after: self.now + 6 * YEAR,
            raw_validity: None,
            spki: keys::spki(&self.tcb_signer),
            extensions: vec![
                Extension::authority_key(&key_id(root)),
                root_crl_point(),
                Extension::subject_key(&key_id(&self.tcb_signer)),
                Extension::key_usage(usage::DIGITAL_SIGNATURE | usage::NON_REPUDIATION),
                Extension::end_entity(),
            ],
            algorithm: SigAlg::EcdsaSha256,
        }
    }
}

pub(crate) fn intel_name(common: &str) -> Vec<u8> {
    x509::name(&[("CN", common), ("O", "Intel Corporation"), ("L", "Santa Clara"), ("ST", "CA"), ("C", "US")])
}

pub(crate) fn root_name() -> Vec<u8> {
    intel_name("Intel SGX Root CA")
}

fn root_crl_point() -> Extension {
    Extension::crl_point("https://certificates.example/IntelSGXRootCA.der")
}

/// Twenty bytes whose first is 0x80 or more, hence behind a zero byte as DER wants it.
pub(crate) fn serial(key: &Key) -> Vec<u8> {
    let mut out = vec![0];
    out.extend(key_id(key));
    out[1] |= 0x80;
    out
}

#[cfg(test)]
mod tests;
