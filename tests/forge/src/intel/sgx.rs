//! SGX quotes of versions 3, 4 and 5.
//! Intel DCAP ECDSA quote library reference, appendix A.3 and A.4; SGX attributes of the SDM volume 3D section 36.7.1.

use super::quote::{EnclaveReport, Parts, Qe, SGX_QE_MRSIGNER, TEE_SGX};
use super::{Intel, SgxFault};
use crate::x509::CertFault;

/// Format of an SGX quote; in practice enclaves are quoted in version 3 only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SgxVersion {
    /// What today's quoting libraries write.
    V3,
    /// The format shared with TDX.
    V4,
    /// The format with a body descriptor, here of type 1.
    V5,
}

/// Bits of the first byte of the enclave attributes.
pub mod attributes {
    /// Enclave is initialised.
    pub const INIT: u8 = 0x01;
    /// Enclave may be debugged.
    pub const DEBUG: u8 = 0x02;
    /// Enclave runs in 64-bit mode.
    pub const MODE64: u8 = 0x04;
    /// Enclave may use the provisioning key.
    pub const PROVISION_KEY: u8 = 0x10;
    /// Enclave uses key separation and sharing.
    pub const KSS: u8 = 0x80;
}

/// What the quote is to say. [`SgxQuote::new`] gives a sound production enclave.
#[derive(Clone, Debug)]
pub struct SgxQuote {
    /// Format.
    pub version: SgxVersion,
    /// What the enclave bound, 64 bytes.
    pub report_data: [u8; 64],
    /// Measurement of the enclave.
    pub mrenclave: [u8; 32],
    /// Signer of the enclave.
    pub mrsigner: [u8; 32],
    /// Product identifier.
    pub prod_id: u16,
    /// Security version.
    pub svn: u16,
    /// Flags in the first 8 bytes, XFRM in the last 8; see [`attributes`].
    pub attributes: [u8; 16],
    /// Extended features.
    pub misc_select: u32,
    /// Configuration chosen at launch.
    pub config_id: [u8; 64],
    /// Security version of the configuration.
    pub config_svn: u16,
    /// Extended product identifier.
    pub isv_ext_prod_id: [u8; 16],
    /// Family identifier.
    pub isv_family_id: [u8; 16],
    /// Version of the quoting enclave.
    pub qe_svn: u16,
    /// Whether the 16 bytes of an Open Enclave report stand in front.
    pub with_oe_header: bool,
    /// Whether a NUL follows the PEM chain; real quotes have one.
    pub nul_terminated: bool,
    /// Whether the chain stands in the order leaf, root, intermediate.
    pub root_second: bool,
    /// Whether s of the quote's signature lies in the upper half.
    pub high_s: bool,
    /// Zero bytes after the quote.
    pub padding: usize,
    /// The one thing that is wrong.
    pub fault: Option<SgxFault>,
    /// The one thing that is wrong with the PCK authority.
    pub authority_fault: Option<CertFault>,
}

impl SgxQuote {
    /// A sound production enclave that binds `report_data`, in format 3.
    pub fn new(report_data: [u8; 64]) -> Self {
        let flags = attributes::INIT | attributes::MODE64;
        Self {
            version: SgxVersion::V3,
            report_data,
            mrenclave: [0xe1; 32],
            mrsigner: [0x51; 32],
            prod_id: 1,
            svn: 2,
            attributes: [flags, 0, 0, 0, 0, 0, 0, 0, 0xe7, 0, 0, 0, 0, 0, 0, 0],
            misc_select: 0,
            config_id: [0; 64],
            config_svn: 0,
            isv_ext_prod_id: [0; 16],
            isv_family_id: [0; 16],
            qe_svn: 8,
            with_oe_header: false,
            nul_terminated: true,
            root_second: false,
            high_s: false,
            padding: 0,
            fault: None,
            authority_fault: None,
        }
    }
}

impl Intel {
    /// The quote, signed; its PCK chain is inside.
    pub fn sgx_quote(&self, wanted: &SgxQuote) -> Vec<u8> {
        let mut attributes = wanted.attributes;
        match wanted.fault {
            Some(SgxFault::Debug) => attributes[0] |= attributes::DEBUG,
            Some(SgxFault::NotInitialised) => attributes[0] &= !attributes::INIT,
            _ => {}
        }
        let report = EnclaveReport {
            cpu_svn: self.platform.cpu_svn,
            misc_select: wanted.misc_select,
            isv_ext_prod_id: wanted.isv_ext_prod_id,
            attributes,
            mrenclave: wanted.mrenclave,
            mrsigner: wanted.mrsigner,
            config_id: wanted.config_id,
            prod_id: wanted.prod_id,
            svn: wanted.svn,
            config_svn: wanted.config_svn,
            isv_family_id: wanted.isv_family_id,
            report_data: wanted.report_data,
        };
        let version = match wanted.fault {
            Some(SgxFault::VersionFour) => SgxVersion::V4,
            Some(SgxFault::VersionFive) => SgxVersion::V5,
            _ => wanted.version,
        };
        let (version, descriptor) = match version {
            SgxVersion::V3 => (3, Vec::new()),
            SgxVersion::V4 => (4, Vec::new()),
            SgxVersion::V5 => (5, [&[1, 0][..], &384u32.to_le_bytes()].concat()),
        };
        let report_data_at = descriptor.len() + 320;
        let quote = self.assemble(&Parts {
            version,
            tee: TEE_SGX,
            body: [descriptor, report.to_bytes()].concat(),
            report_data_at,
            qe: Qe { mrsigner: SGX_QE_MRSIGNER, prod_id: 1, svn: wanted.qe_svn },
            nul_terminated: wanted.nul_terminated,
            high_s: wanted.high_s,
            root_second: wanted.root_second,
            outer_type: 6,
            padding: wanted.padding,
            fault: wanted.fault,
            authority_fault: wanted.authority_fault,
        });
        if wanted.with_oe_header { with_oe_header(&quote) } else { quote }
    }
}

/// Puts the header of an Open Enclave remote report in front: version 1, type 2, length.
fn with_oe_header(quote: &[u8]) -> Vec<u8> {
    let mut out = 1u32.to_le_bytes().to_vec();
    out.extend(2u32.to_le_bytes());
    out.extend((quote.len() as u64).to_le_bytes());
    out.extend(quote);
    out
}
