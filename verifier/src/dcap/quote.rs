//! The layout of a quote: header, report body, signature data. No check of trust.
//!
//! Intel SGX DCAP Quoting Library API, *Quote Format* (version 3); Intel TDX DCAP Quoting Library API, appendix A (versions 4, 5).
//!
//! The structures are read by `dcap-qvl`; around it stand the refusals that it leaves out: a version, key type or TEE that is
//! known but not supported is `unsupported`, every declared length must be used up exactly, and what follows the quote must be
//! zero bytes. Enclaves come in version 3 alone: the later versions could carry them, but no quoting enclave writes that.

use dcap_qvl::quote::{AuthData, CertificationData, Quote as Layout, Report};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::Arc;

pub(crate) use dcap_qvl::quote::{EnclaveReport, TDReport10 as TdReport10, TDReport15};

use super::pck::PckChain;
use crate::endorsements::IntelTee;
use crate::error::VerifyError;
use crate::formats::bytes::Reader;

const PART: &str = "quote";
const HEADER: usize = 48;
/// Header, enclave report, length, and signature data without authentication data and certificates: nothing shorter is a quote.
const SHORTEST: usize = HEADER + 384 + 4 + 64 + 64 + 384 + 64 + 2 + 6;
const SGX: u32 = 0;
const TDX: u32 = 0x81;
const ECDSA_P256: u16 = 2;
/// Certification data: the PCK certificate chain in PEM.
const PCK_CHAIN: u16 = 5;
/// Certification data: the QE report with certification data of its own.
const QE_REPORT: u16 = 6;
/// How many zero bytes may follow a quote: agents of cloud providers hand out padded buffers.
const MAX_PADDING: usize = 4_096;

/// What a TD report says; a TD 1.5 body adds two fields.
#[derive(Debug)]
pub(crate) struct TdReport {
    pub base: TdReport10,
    /// `TEE_TCB_SVN_2` (the module in force now) and `MR_SERVICETD`; absent from a TD 1.0 body.
    pub newer: Option<([u8; 16], [u8; 48])>,
}

/// The report that the quote is about.
#[derive(Debug)]
pub(crate) enum Body {
    /// An SGX enclave, 384 bytes.
    Enclave(Box<EnclaveReport>),
    /// A TD, 584 or 648 bytes.
    Td(Box<TdReport>),
}

/// A well-formed quote. Nothing about it is believed yet.
pub(crate) struct Quote<'a> {
    pub tee: IntelTee,
    pub vendor: [u8; 16],
    pub body: Body,
    /// The bytes that the attestation key signs: header, body descriptor of version 5, body.
    pub signed: Cow<'a, [u8]>,
    /// r ‖ s.
    pub signature: [u8; 64],
    /// x ‖ y of the attestation key.
    pub attestation_key: [u8; 64],
    pub qe_report: [u8; 384],
    /// r ‖ s by the PCK.
    pub qe_report_signature: [u8; 64],
    pub qe_authentication: Vec<u8>,
    /// The PCK chain in PEM.
    pub chain: Vec<u8>,
    /// The same, read, once somebody asked for it.
    pub pck: OnceCell<Arc<PckChain>>,
}

impl<'a> Quote<'a> {
    /// Reads a quote of `tee`, followed by at most 4096 zero bytes. Returns it with its own length in bytes.
    ///
    /// # Errors
    /// `malformed`; `unsupported` for another version, key type, body type, TEE or kind of certification data.
    pub fn parse(bytes: &'a [u8], tee: IntelTee) -> Result<(Self, usize), VerifyError> {
        let malformed = |what: String| VerifyError::malformed(PART, what);
        if bytes.len() < SHORTEST {
            return Err(malformed(format!("{} bytes, a quote has at least {SHORTEST}", bytes.len())));
        }
        let body_length = body_length(bytes, tee)?;
        let signed_length = HEADER.saturating_add(body_length);
        let mut reader = Reader::new(bytes, PART);
        let signed = reader.take(signed_length, "header and report")?;
        let declared = reader.u32_le("signature data length")?;
        let declared = usize::try_from(declared).unwrap_or(usize::MAX);
        reader.take(declared, "signature data")?;
        let padding = reader.rest();
        if padding.len() > MAX_PADDING || padding.iter().any(|b| *b != 0) {
            return Err(malformed(format!("{} bytes follow the quote", padding.len())));
        }
        let length = bytes.len().saturating_sub(padding.len());
        let layout = Layout::parse(bytes.get(..length).unwrap_or_default())
            .map_err(|_| malformed("the signature data does not parse".into()))?;
        let body = body(layout.report)?;
        let vendor = layout.header.qe_vendor_id;
        let data = SignatureData::read(layout.auth_data)?;
        if data.length != declared {
            return Err(malformed("the signature data does not fill its declared length".into()));
        }
        let quote = Self {
            tee,
            vendor,
            body,
            signed: Cow::Borrowed(signed),
            signature: data.signature,
            attestation_key: data.attestation_key,
            qe_report: data.qe_report,
            qe_report_signature: data.qe_report_signature,
            qe_authentication: data.qe_authentication,
            chain: data.chain,
            pck: OnceCell::new(),
        };
        Ok((quote, length))
    }

    /// The same quote on its own, for whoever took its bytes out of something else.
    pub fn into_owned(self) -> Quote<'static> {
        Quote {
            tee: self.tee,
            vendor: self.vendor,
            body: self.body,
            signed: Cow::Owned(self.signed.into_owned()),
            signature: self.signature,
            attestation_key: self.attestation_key,
            qe_report: self.qe_report,
            qe_report_signature: self.qe_report_signature,
            qe_authentication: self.qe_authentication,
            chain: self.chain,
            pck: self.pck,
        }
    }

    /// SHA-256 over header, body and signature, without the certificates and the padding behind them.
    pub fn signed_sha256(&self) -> [u8; 32] {
        openssl::sha::sha256(&[&*self.signed, &self.signature].concat())
    }

    /// Whether `bytes` begin like a quote of `tee`.
    pub fn looks_like(bytes: &[u8], tee: IntelTee) -> bool {
        bytes.len() >= SHORTEST && body_length(bytes, tee).is_ok()
    }
}

/// Reads version, key type, TEE and body type, and says how long body descriptor and body are together.
fn body_length(bytes: &[u8], tee: IntelTee) -> Result<usize, VerifyError> {
    let unsupported = |part: &'static str, what: String| VerifyError::unsupported(part, what);
    let mut header = Reader::new(bytes, PART);
    let version = header.u16_le("version")?;
    if !matches!(version, 3..=5) {
        return Err(unsupported("quote-version", format!("quote version {version}; 3, 4 and 5 are supported")));
    }
    let key_type = header.u16_le("attestation key type")?;
    if key_type != ECDSA_P256 {
        return Err(unsupported("attestation-key-type", format!("key type {key_type}; 2, ecdsa p-256, is supported")));
    }
    let tee_type = header.u32_le("tee type")?;
    let name = super::tee_name(tee);
    match (tee_type, version, tee) {
        (SGX, 3, IntelTee::Sgx) => return Ok(384),
        (TDX, 4, IntelTee::Tdx) => return Ok(584),
        (TDX, 5, IntelTee::Tdx) => {}
        _ => {
            let what = format!("tee type 0x{tee_type:x} in version {version} is no quote of kind `{name}`");
            return Err(unsupported("tee-type", what));
        }
    }
    header.take(HEADER - 8, "header")?;
    let body_type = header.u16_le("body type")?;
    let size = header.u32_le("body size")?;
    let expected = match body_type {
        2 => 584,
        3 => 648,
        _ => return Err(unsupported("body-type", format!("body type {body_type} in a quote of kind `{name}`"))),
    };
    if size != expected {
        return Err(VerifyError::malformed(PART, format!("body type {body_type} has {expected} bytes, not {size}")));
    }
    Ok(6usize.saturating_add(usize::try_from(expected).unwrap_or(usize::MAX)))
}

fn body(report: Report) -> Result<Body, VerifyError> {
    Ok(match report {
        Report::SgxEnclave(report) => Body::Enclave(Box::new(report)),
        Report::TD10(base) => Body::Td(Box::new(TdReport { base, newer: None })),
        Report::TD15(TDReport15 { base, tee_tcb_svn2, mr_service_td }) => {
            Body::Td(Box::new(TdReport { base, newer: Some((tee_tcb_svn2, mr_service_td)) }))
        }
        Report::TD15Ex(_) => return Err(VerifyError::unsupported("body-type", "a TD 1.5ex body")),
    })
}

struct SignatureData {
    length: usize,
    signature: [u8; 64],
    attestation_key: [u8; 64],
    qe_report: [u8; 384],
    qe_report_signature: [u8; 64],
    qe_authentication: Vec<u8>,
    chain: Vec<u8>,
}

impl SignatureData {
    fn read(data: AuthData) -> Result<Self, VerifyError> {
        // Type and size of each certification data stand before it, 6 bytes; the size of the authentication data, 2 bytes.
        let within = |authentication: &[u8], certificates: &[u8]| {
            384usize.saturating_add(64 + 2 + 6).saturating_add(authentication.len()).saturating_add(certificates.len())
        };
        // Inside of the outer certification data the parser reads no further than it says, so what its parts need is all of it
        // exactly when the whole is used up.
        let (nested, data) = match data {
            AuthData::V3(data) => (false, data),
            AuthData::V4(data) => {
                if data.certification_data.cert_type != QE_REPORT {
                    return Err(certification_type(data.certification_data.cert_type));
                }
                (true, data.into_v3())
            }
        };
        let certificates = &data.certification_data;
        if certificates.cert_type != PCK_CHAIN {
            return Err(certification_type(certificates.cert_type));
        }
        let inner = within(&data.qe_auth_data.data, &certificates.body.data);
        let length = inner.saturating_add(64 + 64).saturating_add(if nested { 6 } else { 0 });
        let CertificationData { body, .. } = data.certification_data;
        Ok(Self {
            length,
            signature: data.ecdsa_signature,
            attestation_key: data.ecdsa_attestation_key,
            qe_report: data.qe_report,
            qe_report_signature: data.qe_report_signature,
            qe_authentication: data.qe_auth_data.data,
            chain: body.data,
        })
    }
}

fn certification_type(found: u16) -> VerifyError {
    match found {
        1..=4 | 7 => VerifyError::unsupported(
            "certification-data",
            format!("certification data type {found}: the quote must carry its PCK chain, type 5"),
        ),
        _ => VerifyError::malformed(PART, format!("certification data type {found} does not belong here")),
    }
}
