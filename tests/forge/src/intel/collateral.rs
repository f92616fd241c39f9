//! What a caching service serves beside a quote: TCB info, QE identity, CRLs and their chains.
//! Intel PCS API version 4, "Get TCB info", "Get quoting enclave identity", "Get revocation list".

use super::quote::{SGX_QE_MRSIGNER, TDX_QE_MRSIGNER};
use super::{CollateralFault, DAY, Intel, intel_name, root_name};
use crate::base64;
use crate::keys::{self, Key, SigAlg};
use crate::x509::Crl;

/// The TEE that collateral is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tee {
    /// SGX enclaves.
    Sgx,
    /// Trust domains.
    Tdx,
}

/// One TCB level of a platform.
#[derive(Clone, Debug)]
pub struct TcbLevel {
    /// Least versions of the sixteen SGX components.
    pub components: [u8; 16],
    /// Least version of the provisioning certification enclave.
    pub pce_svn: u16,
    /// Least versions of the sixteen TDX components; written for TDX only.
    pub tdx_components: [u8; 16],
    /// Date of the level, RFC 3339.
    pub date: String,
    /// Status, e.g. `UpToDate`.
    pub status: String,
    /// Advisories, e.g. `INTEL-SA-00615`.
    pub advisories: Vec<String>,
}

/// One level of an enclave or a TDX module.
#[derive(Clone, Debug)]
pub struct SvnLevel {
    /// Least version.
    pub svn: u16,
    /// Date of the level, RFC 3339.
    pub date: String,
    /// Status, e.g. `UpToDate`.
    pub status: String,
    /// Advisories.
    pub advisories: Vec<String>,
}

impl SvnLevel {
    /// A level without advisories.
    pub fn new(svn: u16, status: &str) -> Self {
        Self {
            svn,
            date: LEVEL_DATE.to_owned(),
            status: status.to_owned(),
            advisories: Vec::new(),
        }
    }
}

/// Identity of one major version of the TDX module.
#[derive(Clone, Debug)]
pub struct TdxModule {
    /// `TDX_` and the major version in two hexadecimal digits.
    pub id: String,
    /// Signer.
    pub mrsigner: [u8; 48],
    /// Attributes under the mask.
    pub attributes: [u8; 8],
    /// Which attributes count.
    pub attributes_mask: [u8; 8],
    /// Levels by minor version, highest first.
    pub levels: Vec<SvnLevel>,
}

/// Identity of the quoting enclave.
#[derive(Clone, Debug)]
pub struct QeIdentity {
    /// `QE` or `TD_QE`.
    pub id: String,
    /// Format version.
    pub version: u32,
    /// Extended features under the mask.
    pub misc_select: u32,
    /// Which extended features count.
    pub misc_select_mask: u32,
    /// Attributes under the mask.
    pub attributes: [u8; 16],
    /// Which attributes count.
    pub attributes_mask: [u8; 16],
    /// Signer.
    pub mrsigner: [u8; 32],
    /// Product identifier.
    pub prod_id: u16,
    /// Levels, highest first.
    pub levels: Vec<SvnLevel>,
}

/// What the collateral is to say. [`Intel::describe`] gives a sound one for the platform.
#[derive(Clone, Debug)]
pub struct Collateral {
    /// The TEE it is for.
    pub tee: Tee,
    /// Format of the TCB info: 3, or 2 for SGX.
    pub tcb_info_version: u32,
    /// When TCB info and QE identity were issued, unix seconds.
    pub issued: i64,
    /// When TCB info becomes stale, unix seconds.
    pub tcb_info_next_update: i64,
    /// When the QE identity becomes stale, unix seconds.
    pub qe_identity_next_update: i64,
    /// TCB evaluation data number of both documents.
    pub evaluation_number: u32,
    /// FMSPC the TCB info is for.
    pub fmspc: [u8; 6],
    /// PCEID the TCB info is for.
    pub pce_id: [u8; 2],
    /// Levels, in the order they are written.
    pub levels: Vec<TcbLevel>,
    /// Signer of the TDX module of major version 0; the other identities stand in `tdx_modules`.
    pub module_mrsigner: [u8; 48],
    /// Identities of the TDX module by major version.
    pub tdx_modules: Vec<TdxModule>,
    /// Identity of the quoting enclave.
    pub qe_identity: QeIdentity,
    /// When both CRLs were issued, unix seconds.
    pub crl_issued: i64,
    /// When the PCK CRL becomes stale, unix seconds.
    pub pck_crl_next_update: i64,
    /// When the root CRL becomes stale, unix seconds.
    pub root_crl_next_update: i64,
    /// Number of both CRLs.
    pub crl_number: u64,
    /// Serial numbers on the PCK CRL.
    pub revoked_by_ca: Vec<Vec<u8>>,
    /// Serial numbers on the root CRL.
    pub revoked_by_root: Vec<Vec<u8>>,
    /// The one thing that is wrong.
    pub fault: Option<CollateralFault>,
}

pub(super) const LEVEL_DATE: &str = "2026-02-11T00:00:00Z";

impl Intel {
    /// Sound collateral for this platform: up to date today, issued yesterday, good for 29 days.
    pub fn describe(&self, tee: Tee) -> Collateral {
        let (issued, next) = (self.now - DAY, self.now + 29 * DAY);
        let platform = &self.platform;
        let mut older = platform.components;
        older[0] = older[0].saturating_sub(2);
        older[1] = older[1].saturating_sub(2);
        let level = |components, tdx: u8, status: &str, advisories: &[&str]| TcbLevel {
            components,
            pce_svn: platform.pce_svn,
            tdx_components: [
                tdx,
                0,
                tdx.saturating_sub(1),
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
            ],
            date: LEVEL_DATE.to_owned(),
            status: status.to_owned(),
            advisories: advisories.iter().map(|a| (*a).to_owned()).collect(),
        };
        Collateral {
            tee,
            tcb_info_version: 3,
            issued,
            tcb_info_next_update: next,
            qe_identity_next_update: next,
            evaluation_number: 18,
            fmspc: platform.fmspc,
            pce_id: platform.pce_id,
            levels: vec![
                level(platform.components, 5, "UpToDate", &[]),
                level(older, 2, "OutOfDate", &["INTEL-SA-00615", "INTEL-SA-00657"]),
            ],
            module_mrsigner: [0; 48],
            tdx_modules: match tee {
                Tee::Sgx => Vec::new(),
                Tee::Tdx => vec![module("TDX_03", 5), module("TDX_01", 5)],
            },
            qe_identity: qe_identity(tee),
            crl_issued: issued,
            pck_crl_next_update: next,
            root_crl_next_update: self.now + 365 * DAY,
            crl_number: 1,
            revoked_by_ca: vec![vec![0x6f, 0xc3, 0x4e, 0x50]],
            revoked_by_root: Vec::new(),
            fault: None,
        }
    }

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
            (
                "tcb_info_signature",
                document_signature(&tcb_key, &tcb_info),
            ),
            ("tcb_info", tcb_info),
            ("qe_identity_issuer_chain", qe_chain),
            (
                "qe_identity_signature",
                document_signature(&qe_key, &qe_identity),
            ),
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
            Some(CollateralFault::TcbInfoSelfMadeRoot) => {
                (self.self_made(), self.tcb_signer.clone())
            }
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
            Some(CollateralFault::QeIdentitySelfMadeRoot) => {
                (self.self_made(), self.tcb_signer.clone())
            }
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
        let id = crate::x509::key_id(&self.root);
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
        let id = crate::x509::key_id(&self.ca);
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

fn module(id: &str, svn: u16) -> TdxModule {
    TdxModule {
        id: id.to_owned(),
        mrsigner: [0; 48],
        attributes: [0; 8],
        attributes_mask: [0xff; 8],
        levels: vec![
            SvnLevel::new(svn, "UpToDate"),
            SvnLevel::new(2, "OutOfDate"),
        ],
    }
}

fn qe_identity(tee: Tee) -> QeIdentity {
    let (id, mrsigner, prod_id, svn) = match tee {
        Tee::Sgx => ("QE", SGX_QE_MRSIGNER, 1, 8),
        Tee::Tdx => ("TD_QE", TDX_QE_MRSIGNER, 2, 4),
    };
    let mut attributes = [0; 16];
    attributes[0] = 0x11;
    let mut attributes_mask = [0; 16];
    attributes_mask[..8].fill(0xff);
    attributes_mask[0] = 0xfb;
    QeIdentity {
        id: id.to_owned(),
        version: 2,
        misc_select: 0,
        misc_select_mask: u32::MAX,
        attributes,
        attributes_mask,
        mrsigner,
        prod_id,
        levels: vec![
            SvnLevel::new(svn, "UpToDate"),
            SvnLevel::new(2, "OutOfDate"),
        ],
    }
}

/// r ‖ s over the exact text, lower-case hex.
fn document_signature(key: &Key, text: &str) -> String {
    hex::encode(keys::ecdsa_fixed(
        key,
        SigAlg::EcdsaSha256,
        text.as_bytes(),
        32,
    ))
}
