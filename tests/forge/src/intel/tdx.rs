//! TDX quotes of version 4, and of version 5 with a TD 1.0 or TD 1.5 report.
//! Intel TDX DCAP quoting library reference, appendix A.3; TDX module base specification, TD attributes.

use super::quote::{Parts, Qe, TDX_QE_MRSIGNER, TEE_TDX};
use super::{Intel, SgxFault, TdxFault};
use crate::x509::CertFault;

/// Format of a TDX quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TdxVersion {
    /// Version 4 with a TD 1.0 report.
    V4,
    /// Version 5 with a TD 1.0 report (body type 2).
    V5Td10,
    /// Version 5 with a TD 1.5 report (body type 3).
    V5Td15,
}

impl TdxVersion {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::V4, Self::V5Td10, Self::V5Td15];
}

/// Bits of the TD attributes.
pub mod td_attributes {
    /// TD may be debugged.
    pub const DEBUG: u64 = 1;
    /// TD runs without exceptions from the secure EPT.
    pub const SEPT_VE_DISABLE: u64 = 1 << 28;
    /// TD may be migrated.
    pub const MIGRATABLE: u64 = 1 << 29;
    /// TD uses protection keys for supervisor pages.
    pub const PKS: u64 = 1 << 30;
    /// TD uses the key locker.
    pub const KL: u64 = 1 << 31;
    /// TD may use the performance monitoring of the processor.
    pub const PERFMON: u64 = 1 << 63;
}

/// What the quote is to say. [`TdxQuote::new`] gives a sound production TD.
#[derive(Clone, Debug)]
pub struct TdxQuote {
    /// Format.
    pub version: TdxVersion,
    /// What the TD bound, 64 bytes.
    pub report_data: [u8; 64],
    /// Versions of the TDX module: byte 0 minor, byte 1 major, byte 2 microcode.
    pub tee_tcb_svn: [u8; 16],
    /// Measurement of the TDX module.
    pub mrseam: [u8; 48],
    /// Signer of the TDX module, zero for Intel's.
    pub mrsigner_seam: [u8; 48],
    /// Attributes of the TDX module.
    pub seam_attributes: [u8; 8],
    /// Attributes of the TD; see [`td_attributes`].
    pub td_attributes: u64,
    /// Extended features.
    pub xfam: u64,
    /// Measurement of the TD at build.
    pub mrtd: [u8; 48],
    /// Configuration chosen by the host.
    pub mrconfigid: [u8; 48],
    /// Owner chosen by the host.
    pub mrowner: [u8; 48],
    /// Owner's configuration chosen by the host.
    pub mrownerconfig: [u8; 48],
    /// Registers 0 to 3, extended at run time.
    pub rtmr: [[u8; 48]; 4],
    /// Versions of the TDX module now; only in a TD 1.5 report.
    pub tee_tcb_svn2: [u8; 16],
    /// Measurement of the service TDs; only in a TD 1.5 report.
    pub mrservicetd: [u8; 48],
    /// Version of the quoting enclave.
    pub qe_svn: u16,
    /// Whether a NUL follows the PEM chain; real quotes have one.
    pub nul_terminated: bool,
    /// Whether s of the quote's signature lies in the upper half.
    pub high_s: bool,
    /// Zero bytes after the quote; cloud agents emit some.
    pub padding: usize,
    /// The one thing that is wrong.
    pub fault: Option<TdxFault>,
    /// The one thing that is wrong and could be wrong with an SGX quote as well.
    pub sgx_fault: Option<SgxFault>,
    /// The one thing that is wrong with the PCK authority.
    pub authority_fault: Option<CertFault>,
}

impl TdxQuote {
    /// A sound production TD that binds `report_data`, in format 4.
    pub fn new(report_data: [u8; 64]) -> Self {
        let tcb_svn = [6, 1, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        Self {
            version: TdxVersion::V4,
            report_data,
            tee_tcb_svn: tcb_svn,
            mrseam: [0x5e; 48],
            mrsigner_seam: [0; 48],
            seam_attributes: [0; 8],
            td_attributes: td_attributes::SEPT_VE_DISABLE,
            xfam: 0x602e7,
            mrtd: [0x7d; 48],
            mrconfigid: [0; 48],
            mrowner: [0; 48],
            mrownerconfig: [0; 48],
            rtmr: [[0x10; 48], [0x11; 48], [0x12; 48], [0; 48]],
            tee_tcb_svn2: tcb_svn,
            mrservicetd: [0; 48],
            qe_svn: 4,
            nul_terminated: true,
            high_s: false,
            padding: 0,
            fault: None,
            sgx_fault: None,
            authority_fault: None,
        }
    }

    /// Applies the fault to the members it concerns.
    fn broken(&self) -> Self {
        let mut out = self.clone();
        match self.fault {
            Some(TdxFault::Debug) => out.td_attributes |= td_attributes::DEBUG,
            Some(TdxFault::ReservedUnderDebug) => out.td_attributes |= 1 << 4,
            Some(TdxFault::SeamSigner) => out.mrsigner_seam[0] = 1,
            Some(TdxFault::SeamAttributes) => out.seam_attributes[0] = 1,
            Some(TdxFault::ModuleUnknown) => {
                out.tee_tcb_svn[1] = 9;
                out.tee_tcb_svn2[1] = 9;
            }
            Some(TdxFault::ModuleSvnLow) => {
                out.tee_tcb_svn[0] = 0;
                out.tee_tcb_svn2[0] = 0;
            }
            Some(TdxFault::SecondSvnLower) => out.tee_tcb_svn2[0] -= 3,
            Some(TdxFault::RelaunchAdvised) => out.tee_tcb_svn[0] -= 3,
            _ => {}
        }
        out
    }

    fn report(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(648);
        out.extend(self.tee_tcb_svn);
        out.extend(self.mrseam);
        out.extend(self.mrsigner_seam);
        out.extend(self.seam_attributes);
        out.extend(self.td_attributes.to_le_bytes());
        out.extend(self.xfam.to_le_bytes());
        out.extend(self.mrtd);
        out.extend(self.mrconfigid);
        out.extend(self.mrowner);
        out.extend(self.mrownerconfig);
        for register in self.rtmr {
            out.extend(register);
        }
        out.extend(self.report_data);
        if self.version == TdxVersion::V5Td15 {
            out.extend(self.tee_tcb_svn2);
            out.extend(self.mrservicetd);
        }
        out
    }

    /// Version of the header, and the body behind its descriptor where there is one.
    fn body(&self) -> (u16, Vec<u8>, usize) {
        let report = self.report();
        let kind: u16 = match (self.version, self.fault) {
            (TdxVersion::V4, Some(TdxFault::VersionThree)) => return (3, report, 520),
            (TdxVersion::V4, _) => return (4, report, 520),
            (_, Some(TdxFault::BodyTypeUnknown)) => 0x42,
            (_, Some(TdxFault::BodyTypeSgx)) => 1,
            (TdxVersion::V5Td10, _) => 2,
            (TdxVersion::V5Td15, _) => 3,
        };
        let length = match self.fault {
            Some(TdxFault::BodyLengthOther) => 584 + 648 - report.len() as u32,
            _ => report.len() as u32,
        };
        let mut body = kind.to_le_bytes().to_vec();
        body.extend(length.to_le_bytes());
        body.extend(report);
        (5, body, 520 + 6)
    }
}

impl Intel {
    /// The quote, signed; its PCK chain is inside.
    pub fn tdx_quote(&self, wanted: &TdxQuote) -> Vec<u8> {
        let wanted = wanted.broken();
        let (version, body, report_data_at) = wanted.body();
        self.assemble(&Parts {
            version,
            tee: TEE_TDX,
            body,
            report_data_at,
            qe: Qe { mrsigner: TDX_QE_MRSIGNER, prod_id: 2, svn: wanted.qe_svn },
            nul_terminated: wanted.nul_terminated,
            high_s: wanted.high_s,
            root_second: false,
            outer_type: match wanted.fault {
                Some(TdxFault::OuterTypeFive) => 5,
                _ => 6,
            },
            padding: wanted.padding,
            fault: wanted.sgx_fault,
            authority_fault: wanted.authority_fault,
        })
    }
}
