//! AMD SEV-SNP attestation reports: a virtual machine whose memory the host cannot read or replace.
//!
//! SEV-SNP firmware ABI (AMD 56860) section 7.3; VCEK and VLEK certificates and KDS interface (AMD 57230).
//!
//! # What the hardware promises
//!
//! The secure processor measured the guest's first pages and its virtual processors' first state (`launchmeasurement`), applied
//! the guest policy that the host named (`policy`, with its debug and migration bits), and signed both together with 64 bytes of
//! the guest's own choice (`reportdata`). It signs with a key derived from a chip secret *and* the patch levels of its firmware:
//! a VCEK, or a VLEK that AMD lent to a cloud provider. AMD certifies such a key together with chip (or provider) and levels;
//! because the derivation is one way, older firmware cannot make the key of newer levels. So the levels that count are those of
//! the certificate, and a report whose reported levels differ is refused.
//!
//! # What it does not promise
//!
//! * The report says how the guest *began*. What a guest loaded later is not in it, unless the guest measures it itself.
//! * `hostdata`, `familyId` and `imageId` are chosen by the host (the last two are vouched for by an id block, where there is one).
//! * Whatever runs at a VMPL above 0 is served by code at VMPL 0; a report requested by the host has VMPL 0xFFFFFFFF.
//! * A report is not fresh by itself: the challenge in `reportdata` makes it so.
//! * Physical attacks on memory are outside of AMD's promise, and reports of the Milan family can be forged in software
//!   (`keygate.known_forgeable`).
//! * A VCEK lives seven years and AMD's list names only ASKs and ASVKs: a single chip is shut out by the deny list.
//!
//! # How the files follow each other
//!
//! [`wire`] reads the report and [`levels`] its patch levels, [`table`] the certificates that a host may have put beside it, [`certs`] what AMD certifies of a
//! key; [`select`] finds the right certificate or names the wished one, [`chain`] leads it to the pinned ARK, [`verify`] says in
//! which order all this happens, [`claims`] spells the outcome. [`document`] is the
//! JSON in which Azure's clients bring all of it, and [`uvm`] the word of an image's maker for a launch measurement.

mod certs;
mod chain;
mod claims;
mod document;
mod levels;
mod select;
mod table;
mod uvm;
mod verify;
mod wire;

use serde_json::{Map, Value};

use crate::endorsements::CollateralId;
use crate::error::VerifyError;
use crate::scheme::{Given, Parsed, Scheme};
use crate::verified::Genuine;

pub use document::SnpDocument;
pub(crate) use table::Table;
pub use uvm::{MICROSOFT_UVM_ISSUER, UvmEndorsement, UvmTrust};
use wire::Report;

/// The most certificates beside a report inside of other evidence: three are the rule.
const MAX_BESIDE: usize = 8;

/// The scheme of this kind.
pub(crate) struct Snp;

/// A report, and what stood behind it.
struct Evidence<'a> {
    report: Report<'a>,
    table: Table,
}

impl Scheme for Snp {
    fn parse<'a>(&self, bytes: &'a [u8]) -> Result<Box<dyn Parsed + 'a>, VerifyError> {
        let (report, rest) = Report::parse(bytes)?;
        let table = if rest.is_empty() { Table::default() } else { Table::parse(rest)? };
        Ok(Box::new(Evidence { report, table }))
    }

    fn looks_like(&self, bytes: &[u8]) -> bool {
        Report::parse(bytes).is_ok_and(|(_, rest)| rest.is_empty() || Table::parse(rest).is_ok())
    }
}

impl Parsed for Evidence<'_> {
    fn wants(&self, given: &Given<'_>) -> Result<Vec<CollateralId>, VerifyError> {
        verify::wants(&self.report, &self.table, given)
    }

    fn verify(&self, given: &Given<'_>) -> Result<Genuine, VerifyError> {
        verify::verify(&self.report, &self.table, given)
    }

    fn inspect(&self) -> Map<String, Value> {
        // Without CPUID and chip id the layout is not known: that of the older products is shown.
        let read = |product: &_| self.report.tcbs(*product).ok();
        let Some(tcbs) = self.report.products.iter().find_map(read) else { return Map::new() };
        let mut claims = claims::of_report(&self.report, &tcbs);
        if let [product] = self.report.products.as_slice() {
            claims::add_product(&mut claims, *product);
        }
        claims
    }
}

/// A report inside of other evidence, exactly its 1184 bytes, and the certificates that came beside it, DER: hints, at most eight.
///
/// # Errors
/// As a report alone would be refused; `malformed` for another length, `too-large` for more certificates.
pub(crate) fn nested<'a>(report: &'a [u8], certificates: Vec<Vec<u8>>) -> Result<Box<dyn Parsed + 'a>, VerifyError> {
    let (report, rest) = Report::parse(report)?;
    if !rest.is_empty() {
        return Err(VerifyError::malformed("report", "something follows the report"));
    }
    if certificates.len() > MAX_BESIDE {
        return Err(VerifyError::too_large("certificate-table", format!("more than {MAX_BESIDE} certificates")));
    }
    Ok(Box::new(Evidence { report, table: Table { certificates, crls: Vec::new() } }))
}

/// The certificates and revocation lists of a table that stands alone in a file.
///
/// # Errors
/// `malformed` or `too-large`: not a table, or nothing in it.
pub(crate) fn certificate_table(bytes: &[u8]) -> Result<Table, VerifyError> {
    let table = Table::parse(bytes)?;
    if table.is_empty() {
        return Err(VerifyError::malformed("certificate-table", "nothing is in the table"));
    }
    Ok(table)
}
