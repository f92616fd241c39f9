//! What quotes of every version share: header, QE report, signatures, certification data.
//! Intel DCAP ECDSA quote library reference, appendix A.3 and A.4 (quote formats 3, 4 and 5).

use super::{Intel, SgxFault};
use crate::keys::{self, Key, SigAlg};
use crate::x509::CertFault;

/// MRSIGNER of the SGX quoting enclave.
pub const SGX_QE_MRSIGNER: [u8; 32] = [
    0x8c, 0x4f, 0x57, 0x75, 0xd7, 0x96, 0x50, 0x3e, 0x96, 0x13, 0x7f, 0x77, 0xc6, 0x8a, 0x82, 0x9a, 0x00, 0x56, 0xac,
    0x8d, 0xed, 0x70, 0x14, 0x0b, 0x08, 0x1b, 0x09, 0x44, 0x90, 0xc5, 0x7b, 0xff,
];
/// MRSIGNER of the TD quoting enclave.
pub const TDX_QE_MRSIGNER: [u8; 32] = [
    0xdc, 0x9e, 0x2a, 0x7c, 0x6f, 0x94, 0x8f, 0x17, 0x47, 0x4e, 0x34, 0xa7, 0xfc, 0x43, 0xed, 0x03, 0x0f, 0x7c, 0x15,
    0x63, 0xf1, 0xba, 0xbd, 0xdf, 0x63, 0x40, 0xc8, 0x2e, 0x0e, 0x54, 0xa8, 0xc5,
];
const INTEL_VENDOR: [u8; 16] =
    [0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07];
const AUTH_DATA: [u8; 32] = {
    let mut out = [0; 32];
    let mut i = 0;
    while i < 32 {
        out[i] = i as u8;
        i += 1;
    }
    out
};

/// TEE type of SGX in a header.
pub(super) const TEE_SGX: u32 = 0;
/// TEE type of TDX in a header.
pub(super) const TEE_TDX: u32 = 0x81;

/// What differs between the quoting enclaves.
pub(super) struct Qe {
    pub(super) mrsigner: [u8; 32],
    pub(super) prod_id: u16,
    pub(super) svn: u16,
}

/// Everything one quote is made of, before its signature.
pub(super) struct Parts {
    pub(super) version: u16,
    pub(super) tee: u32,
    /// Body with the descriptor of version 5 in front.
    pub(super) body: Vec<u8>,
    /// Offset of the report data in `body`.
    pub(super) report_data_at: usize,
    pub(super) qe: Qe,
    pub(super) nul_terminated: bool,
    pub(super) high_s: bool,
    pub(super) root_second: bool,
    pub(super) outer_type: u16,
    pub(super) padding: usize,
    pub(super) fault: Option<SgxFault>,
    pub(super) authority_fault: Option<CertFault>,
}

/// An enclave report body: 384 bytes.
pub(super) struct EnclaveReport {
    pub(super) cpu_svn: [u8; 16],
    pub(super) misc_select: u32,
    pub(super) isv_ext_prod_id: [u8; 16],
    pub(super) attributes: [u8; 16],
    pub(super) mrenclave: [u8; 32],
    pub(super) mrsigner: [u8; 32],
    pub(super) config_id: [u8; 64],
    pub(super) prod_id: u16,
    pub(super) svn: u16,
    pub(super) config_svn: u16,
    pub(super) isv_family_id: [u8; 16],
    pub(super) report_data: [u8; 64],
}

impl EnclaveReport {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(384);
        out.extend(self.cpu_svn);
        out.extend(self.misc_select.to_le_bytes());
        out.extend([0; 12]);
        out.extend(self.isv_ext_prod_id);
        out.extend(self.attributes);
        out.extend(self.mrenclave);
        out.extend([0; 32]);
        out.extend(self.mrsigner);
        out.extend([0; 32]);
        out.extend(self.config_id);
        out.extend(self.prod_id.to_le_bytes());
        out.extend(self.svn.to_le_bytes());
        out.extend(self.config_svn.to_le_bytes());
        out.extend([0; 42]);
        out.extend(self.isv_family_id);
        out.extend(self.report_data);
        out
    }
}

impl Intel {
    /// Puts a quote together and signs it.
    pub(super) fn assemble(&self, parts: &Parts) -> Vec<u8> {
        let fault = parts.fault;
        let mut signed = self.header(parts);
        let body_at = signed.len();
        signed.extend(&parts.body);
        let signature_data = self.signature_data(parts, &signed);
        match fault {
            Some(SgxFault::BodyChanged) => signed[body_at + parts.report_data_at] ^= 1,
            Some(SgxFault::HeaderChanged) => signed[47] ^= 1,
            _ => {}
        }
        let length = signature_data.len() as u32;
        let length = match fault {
            Some(SgxFault::SignatureLengthLow) => length - 1,
            Some(SgxFault::SignatureLengthHigh) => length + 1,
            Some(SgxFault::SignatureLengthHuge) => u32::MAX,
            _ => length,
        };
        let mut quote = signed;
        quote.extend(length.to_le_bytes());
        quote.extend(signature_data);
        quote.extend(vec![0; parts.padding]);
        match fault {
            Some(SgxFault::Truncated) => quote.truncate(quote.len() - 1),
            Some(SgxFault::Empty) => quote.clear(),
            Some(SgxFault::HeaderOnly) => quote.truncate(48),
            Some(SgxFault::Trailing) => quote.push(1),
            Some(SgxFault::TooManyZeros) => quote.extend([0; 4097]),
            Some(SgxFault::LocalReport) => {
                quote = parts.body.clone();
                quote.extend([0x6b; 48]);
            }
            _ => {}
        }
        quote
    }

    fn header(&self, parts: &Parts) -> Vec<u8> {
        let fault = parts.fault;
        let version = match fault {
            Some(SgxFault::VersionZero) => 0,
            Some(SgxFault::VersionTwo) => 2,
            Some(SgxFault::VersionSix) => 6,
            _ => parts.version,
        };
        let key_type: u16 = match fault {
            Some(SgxFault::KeyTypeP384) => 3,
            Some(SgxFault::KeyTypeEpid0) => 0,
            Some(SgxFault::KeyTypeEpid1) => 1,
            _ => 2,
        };
        let tee = match fault {
            Some(SgxFault::TeeTypeUnknown) => 0x42,
            Some(SgxFault::TeeTypeOther) if parts.tee == TEE_SGX => TEE_TDX,
            Some(SgxFault::TeeTypeOther) => TEE_SGX,
            _ => parts.tee,
        };
        let mut vendor = INTEL_VENDOR;
        if fault == Some(SgxFault::QeVendor) {
            vendor[0] ^= 1;
        }
        let mut out = Vec::with_capacity(48);
        out.extend(u16::to_le_bytes(version));
        out.extend(key_type.to_le_bytes());
        out.extend(tee.to_le_bytes());
        if parts.version == 3 {
            out.extend(parts.qe.svn.to_le_bytes());
            out.extend(self.platform.pce_svn.to_le_bytes());
        } else {
            out.extend([0; 4]);
        }
        out.extend(vendor);
        out.extend([0xd5; 16]);
        out.extend([0; 4]);
        out
    }

    /// Signature, attestation key, QE report with its signature, and certification data.
    fn signature_data(&self, parts: &Parts, signed: &[u8]) -> Vec<u8> {
        let fault = parts.fault;
        let (stranger, mut shown) = (keys::p256(), keys::point(&self.attestation));
        let signer = match fault {
            Some(SgxFault::ForeignSigner) => &stranger,
            _ => &self.attestation,
        };
        if fault == Some(SgxFault::KeyNotOnCurve) {
            shown[63] ^= 1;
        }
        let mut out = quote_signature(signer, signed, parts);
        out.extend(&shown);
        let qe = self.qe_section(parts, &shown);
        let certification = self.certification(parts);
        if parts.version == 3 {
            out.extend(qe);
            out.extend(certification);
        } else {
            let nested = [qe, certification].concat();
            out.extend(parts.outer_type.to_le_bytes());
            out.extend((nested.len() as u32).to_le_bytes());
            out.extend(nested);
        }
        out
    }

    /// QE report, its signature by the PCK, and the authentication data.
    fn qe_section(&self, parts: &Parts, attestation_key: &[u8]) -> Vec<u8> {
        let fault = parts.fault;
        let bound = match fault {
            Some(SgxFault::KeyNotBound) => keys::point(&keys::p256()),
            _ => attestation_key.to_vec(),
        };
        let mut report_data = [0; 64];
        report_data[..32].copy_from_slice(&keys::sha256(&[&bound[..], &AUTH_DATA].concat()));
        if fault == Some(SgxFault::BoundTailSet) {
            report_data[63] = 1;
        }
        let mut report = self.qe_report(parts, report_data).to_bytes();
        let stranger = keys::p256();
        let signer = match fault {
            Some(SgxFault::QeReportOtherPck) => &stranger,
            _ => &self.pck,
        };
        let signature = keys::ecdsa_fixed(signer, SigAlg::EcdsaSha256, &report, 32);
        if fault == Some(SgxFault::QeReportChanged) {
            report[64] ^= 1;
        }
        let mut auth_data = AUTH_DATA;
        if fault == Some(SgxFault::AuthDataChanged) {
            auth_data[0] ^= 1;
        }
        let length = match fault {
            Some(SgxFault::AuthDataLength) => u16::MAX,
            _ => auth_data.len() as u16,
        };
        [&report[..], &signature, &length.to_le_bytes(), &auth_data].concat()
    }

    fn qe_report(&self, parts: &Parts, report_data: [u8; 64]) -> EnclaveReport {
        let mut report = EnclaveReport {
            cpu_svn: self.platform.cpu_svn,
            misc_select: 0,
            isv_ext_prod_id: [0; 16],
            attributes: [0x15, 0, 0, 0, 0, 0, 0, 0, 0xe7, 0, 0, 0, 0, 0, 0, 0],
            mrenclave: [0xe5; 32],
            mrsigner: parts.qe.mrsigner,
            config_id: [0; 64],
            prod_id: parts.qe.prod_id,
            svn: parts.qe.svn,
            config_svn: 0,
            isv_family_id: [0; 16],
            report_data,
        };
        match parts.fault {
            Some(SgxFault::QeSigner) => report.mrsigner[0] ^= 1,
            Some(SgxFault::QeProduct) => report.prod_id += 1,
            Some(SgxFault::QeAttributes) => report.attributes[0] |= 2,
            Some(SgxFault::QeMiscSelect) => report.misc_select = 1,
            Some(SgxFault::QeSvn) => report.svn = 0,
            _ => {}
        }
        report
    }
}

fn quote_signature(signer: &Key, signed: &[u8], parts: &Parts) -> Vec<u8> {
    let mut out = keys::ecdsa_fixed(signer, SigAlg::EcdsaSha256, signed, 32);
    if parts.high_s {
        let order = keys::order(signer);
        let half = |s: &[u8]| s[0] < order[0] / 2;
        if half(&out[32..]) {
            out = keys::flip_s(signer, &out);
        }
    }
    match parts.fault {
        Some(SgxFault::ZeroR) => out[..32].fill(0),
        Some(SgxFault::ZeroS) => out[32..].fill(0),
        Some(SgxFault::LargeR) => out[..32].copy_from_slice(&keys::order(signer)),
        _ => {}
    }
    out
}
