//! What a caching service serves beside a quote: TCB info, QE identity, CRLs and their chains.
//! Intel PCS API version 4, "Get TCB info", "Get quoting enclave identity", "Get revocation list".

use super::quote::{SGX_QE_MRSIGNER, TDX_QE_MRSIGNER};
use super::{CollateralFault, DAY, Intel};

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
        Self { svn, date: LEVEL_DATE.to_owned(), status: status.to_owned(), advisories: Vec::new() }
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
            tdx_components: [tdx, 0, tdx.saturating_sub(1), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
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
}

fn module(id: &str, svn: u16) -> TdxModule {
    TdxModule {
        id: id.to_owned(),
        mrsigner: [0; 48],
        attributes: [0; 8],
        attributes_mask: [0xff; 8],
        levels: vec![SvnLevel::new(svn, "UpToDate"), SvnLevel::new(2, "OutOfDate")],
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
        levels: vec![SvnLevel::new(svn, "UpToDate"), SvnLevel::new(2, "OutOfDate")],
    }
}
