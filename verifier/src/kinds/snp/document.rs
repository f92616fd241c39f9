//! The JSON document in which Azure's clients bring an SEV-SNP report: report, certificates, endorsements of the utility VM.
//!
//! Microsoft Azure Attestation, *Attest SEV-SNP VM* (member `report`); the clients of confidential containers.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::wire::LENGTH;
use crate::endorsements::Endorsements;
use crate::error::VerifyError;
use crate::formats::base64url;
use crate::formats::x509::pem;

const PART: &str = "snp-document";
/// The largest document, in bytes.
const MAX_DOCUMENT: usize = 256 * 1024;
/// The most certificates in the chain: three are the rule.
const MAX_CERTIFICATES: usize = 8;
/// The most endorsements of the utility VM.
const MAX_UVM: usize = 8;

/// The document taken apart. Nothing in it is believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnpDocument {
    /// The attestation report, 1184 bytes.
    pub report: Vec<u8>,
    /// PEM text: certificate of the signing key, ASK and ARK, in any order.
    pub chain_pem: Vec<u8>,
    /// COSE_Sign1 endorsements of the utility VM, at most eight; empty where none came.
    pub uvm: Vec<Vec<u8>>,
}

/// Members beside these are not looked at; none of these may stand twice.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Members {
    snp_report: String,
    vcek_cert_chain: String,
    endorsements: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EndorsementMembers {
    uvm: Option<Vec<String>>,
}

impl SnpDocument {
    /// Reads the document, at most 256 KiB: `SnpReport` and `VcekCertChain`, and `Endorsements` where there are some, each
    /// base64url, with padding or in the other alphabet too.
    ///
    /// # Errors
    /// `malformed`: not such an object, a member twice, missing or of another type, base64 that is none, another length than a
    /// report's, text that holds no certificates; `too-large`: the document, the number of certificates or endorsements.
    pub fn parse(bytes: &[u8]) -> Result<Self, VerifyError> {
        if bytes.len() > MAX_DOCUMENT {
            return Err(VerifyError::too_large(PART, format!("{} bytes, at most {MAX_DOCUMENT}", bytes.len())));
        }
        let members: Members = object(bytes, "the document")?;
        let report = decode(&members.snp_report, "SnpReport")?;
        if report.len() != LENGTH {
            let detail = format!("`SnpReport` has {} bytes, a report has {LENGTH}", report.len());
            return Err(VerifyError::malformed(PART, detail));
        }
        let chain_pem = decode(&members.vcek_cert_chain, "VcekCertChain")?;
        let uvm = match members.endorsements.as_deref() {
            None | Some("") => Vec::new(),
            Some(text) => endorsements(&decode(text, "Endorsements")?)?,
        };
        let document = Self { report, chain_pem, uvm };
        document.certificates()?;
        Ok(document)
    }

    /// The chain as endorsements to verify the report with: hints, believed by their signatures.
    ///
    /// # Errors
    /// `malformed` or `too-large`, as [`SnpDocument::parse`] would refuse the chain.
    pub fn endorsements(&self) -> Result<Endorsements, VerifyError> {
        let mut held = Endorsements::default();
        for der in self.certificates()? {
            held.add_certificate(&der);
        }
        Ok(held)
    }

    fn certificates(&self) -> Result<Vec<Vec<u8>>, VerifyError> {
        let certificates = pem::certificates(&self.chain_pem, PART)?;
        match certificates.len() {
            0 => Err(VerifyError::malformed(PART, "`VcekCertChain` holds no certificate")),
            1..=MAX_CERTIFICATES => Ok(certificates),
            more => Err(VerifyError::too_large(PART, format!("{more} certificates, at most {MAX_CERTIFICATES}"))),
        }
    }
}

fn endorsements(bytes: &[u8]) -> Result<Vec<Vec<u8>>, VerifyError> {
    let members: EndorsementMembers = object(bytes, "`Endorsements`")?;
    let uvm = members.uvm.unwrap_or_default();
    if uvm.len() > MAX_UVM {
        return Err(VerifyError::too_large(PART, format!("{} endorsements, at most {MAX_UVM}", uvm.len())));
    }
    uvm.iter().map(|text| decode(text, "Uvm")).collect()
}

/// Reads a JSON object; a struct would be read from an array as well.
fn object<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, VerifyError> {
    let bad = |detail: String| VerifyError::malformed(PART, detail);
    if bytes.iter().find(|b| !b.is_ascii_whitespace()) != Some(&b'{') {
        return Err(bad(format!("{what} is no json object")));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        bad(format!("{what} is not the expected json at line {}, column {}", error.line(), error.column()))
    })
}

fn decode(text: &str, member: &str) -> Result<Vec<u8>, VerifyError> {
    base64url::decode_lenient(text).ok_or_else(|| VerifyError::malformed(PART, format!("`{member}` is not base64url")))
}
