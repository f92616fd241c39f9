//! The JSON document in which Azure's clients bring a report, written by hand so that it can be wrong.
//! Microsoft Azure Attestation, *Attest SEV-SNP VM*; RFC 4648 section 5.

use super::SnpEvidence;
use crate::base64;

/// The document for a report and a PEM text, both as they are; `Endorsements` only where `uvm` has some.
pub fn azure_document(report: &[u8], chain_pem: &[u8], uvm: &[Vec<u8>]) -> String {
    let (report, chain) = (base64::url(report), base64::url(chain_pem));
    let endorsements = match uvm {
        [] => String::new(),
        some => format!(r#","Endorsements":"{}""#, base64::url(azure_endorsements(some).as_bytes())),
    };
    format!(r#"{{"SnpReport":"{report}","VcekCertChain":"{chain}"{endorsements}}}"#)
}

/// The inner document `{"Uvm":[…]}`.
pub fn azure_endorsements(uvm: &[Vec<u8>]) -> String {
    let listed: Vec<_> = uvm.iter().map(|cose| format!(r#""{}""#, base64::url(cose))).collect();
    format!(r#"{{"Uvm":[{}]}}"#, listed.join(","))
}

impl SnpEvidence {
    /// The chain as PEM: certificate of the signing key, its issuer, the root.
    pub fn chain_pem(&self) -> String {
        base64::pem_chain([self.vek.as_slice(), &self.authority, &self.root])
    }

    /// The whole evidence as the document of Azure's clients.
    pub fn azure_document(&self, uvm: &[Vec<u8>]) -> String {
        azure_document(&self.report, self.chain_pem().as_bytes(), uvm)
    }
}
