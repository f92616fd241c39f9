//! A report together with everything needed to check it.
//! AMD 57230 section 4 gives the chain; GHCB specification 56421 section 4.1.8.1 the table.

use super::{Amd, GUID_ARK, GUID_ASK, GUID_VCEK, GUID_VLEK, SigningKey, SnpFault, SnpReport};
use super::{certificate_table, fault};

/// A report and its chain, each certificate in DER.
#[derive(Clone, Debug)]
pub struct SnpEvidence {
    /// The report, 1184 bytes unless a fault says otherwise.
    pub report: Vec<u8>,
    /// Certificate of the signing key: VCEK or VLEK.
    pub vek: Vec<u8>,
    /// Its issuer: ASK or ASVK.
    pub authority: Vec<u8>,
    /// The root shown with the evidence; the one to trust is [`Amd::ark_der`].
    pub root: Vec<u8>,
    /// The same three certificates as the table of an extended report.
    pub table: Vec<u8>,
}

impl Amd {
    /// The report, its chain and the table, wrong in one way where the description has a fault.
    pub fn evidence(&self, wanted: &SnpReport) -> SnpEvidence {
        let mut wanted = wanted.clone();
        match wanted.fault {
            Some(SnpFault::VlekNamedVcek | SnpFault::VlekOfOtherProduct) => {
                wanted.signing_key = SigningKey::Vlek;
            }
            Some(SnpFault::VcekNamedVlek) => wanted.signing_key = SigningKey::Vcek,
            Some(SnpFault::OtherTcbLayout) => wanted = wanted.with_tcb(fault::flat_tcb()),
            _ => {}
        }
        let chain = self.chain(wanted.signing_key, wanted.reported_tcb, wanted.fault, wanted.authority_fault);
        let guid = match wanted.signing_key {
            SigningKey::Vcek => GUID_VCEK,
            SigningKey::Vlek => GUID_VLEK,
        };
        let table = certificate_table(
            &[(guid, &chain.vek), (GUID_ASK, &chain.authority), (GUID_ARK, &chain.root)],
            wanted.fault,
        );
        SnpEvidence {
            report: self.report(&wanted),
            vek: chain.vek,
            authority: chain.authority,
            root: chain.root,
            table,
        }
    }
}
