//! What an SGX quote says, under the names that Azure Attestation gives it.
//!
//! Microsoft Azure Attestation, *Claims issued by SGX enclaves*; where Azure has no name, Keygate's own.

use serde_json::{Map, Value, json};

use super::wire::SgxQuote;
use crate::dcap::{EnclaveReport, Platform, hexed};

/// The bits of ATTRIBUTES.FLAGS that are looked at. Intel SDM volume 3D, section 35.7.1.
pub(super) struct Flags {
    pub initialised: bool,
    pub debug: bool,
    pub mode64: bool,
    pub provision_key: bool,
    pub kss: bool,
}

impl Flags {
    pub fn of(report: &EnclaveReport) -> Self {
        let [flags, ..] = report.attributes;
        let bit = |n: u8| flags >> n & 1 == 1;
        Self { initialised: bit(0), debug: bit(1), mode64: bit(2), provision_key: bit(4), kss: bit(7) }
    }
}

/// CONFIGID, 64 bytes: the end of the second reserved block of a report.
pub(super) fn config_id(report: &EnclaveReport) -> &[u8] {
    report.reserved3.get(32..).unwrap_or_default()
}

/// The report's own fields, without anything that was concluded.
pub(super) fn of_report(quote: &SgxQuote<'_>) -> Map<String, Value> {
    let report = &quote.report;
    let flags = Flags::of(report);
    let mut claims = Map::new();
    let mut set = |name: &str, value: Value| {
        claims.insert(name.to_owned(), value);
    };
    set("x-ms-attestation-type", json!("sgx"));
    set("x-ms-sgx-is-debuggable", json!(flags.debug));
    set("x-ms-sgx-product-id", json!(report.isv_prod_id));
    set("x-ms-sgx-svn", json!(report.isv_svn));
    set("x-ms-sgx-mrenclave", hexed(&report.mr_enclave));
    set("x-ms-sgx-mrsigner", hexed(&report.mr_signer));
    set("x-ms-sgx-report-data", hexed(&report.report_data));
    if flags.kss {
        let svn = report.reserved4.first_chunk::<2>().map_or(0, |svn| u16::from_le_bytes(*svn));
        set("x-ms-sgx-config-id", hexed(config_id(report)));
        set("x-ms-sgx-config-svn", json!(svn));
        set("x-ms-sgx-isv-extended-product-id", hexed(report.reserved1.get(12..).unwrap_or_default()));
        set("x-ms-sgx-isv-family-id", hexed(report.reserved4.get(44..).unwrap_or_default()));
    }
    set("x-ms-sgx-attributes", hexed(&report.attributes));
    set("x-ms-sgx-attributes-init", json!(flags.initialised));
    set("x-ms-sgx-attributes-mode64", json!(flags.mode64));
    set("x-ms-sgx-attributes-provision-key", json!(flags.provision_key));
    set("x-ms-sgx-miscselect", hexed(&report.misc_select.to_le_bytes()));
    set("x-ms-sgx-cpusvn", hexed(&report.cpu_svn));
    claims
}

/// SHA-256 of what was submitted and of the collateral that counted, in hex. Recorded tokens show that Azure hashes a chain as PEM
/// text with a NUL behind; what exactly it hashes of texts and lists cannot be told from them (theirs of 2021 are not at hand):
/// here it is the signed text, and the list in DER.
pub(super) fn collateral(quote: &SgxQuote<'_>, platform: &Platform) -> Value {
    let digests = &platform.digests;
    json!({
        "qeidcertshash": hexed(&digests.qe_identity_certificates),
        "qeidcrlhash": hexed(&digests.root_crl),
        "qeidhash": hexed(&digests.qe_identity),
        "quotehash": hexed(&openssl::sha::sha256(quote.submitted)),
        "tcbinfocertshash": hexed(&digests.tcb_info_certificates),
        "tcbinfocrlhash": hexed(&digests.root_crl),
        "tcbinfohash": hexed(&digests.tcb_info),
    })
}
