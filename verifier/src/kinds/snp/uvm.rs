//! Endorsements of utility VMs: the maker of a guest image says under his signature which launch measurement it has.
//!
//! The small virtual machine around a confidential container group is Microsoft's, not its owner's. A report says how it was
//! measured; a COSE_Sign1 message beside the report says that this measurement is that of a release, of which feed and with which
//! security version number. RFC 9052; did:x509 method specification, version 0; RFC 9360 (`x5chain`).
//!
//! # What is believed, and when
//!
//! An endorsement counts when its issuer is one that the caller trusts, word for word; when its chain begins with a certificate that
//! carries the issuer's key usage and ends with the root that the issuer names by fingerprint; when that first certificate signed the
//! message; and when the measurement is the report's. The security version is held against the caller's minimum. It is *not* compared
//! with the report's `guestsvn`: the recorded pair has 22 in the endorsement and 2 in the report, they count different things.
//!
//! Signers' certificates live for a year and endorsements for as long as an image is used, so the chain is judged at the time of
//! signing that the protected header tells; without one, now. The time is the signer's own word: who has a signer's key after the
//! end of its certificate can date a message back. So the authorities above the signer must be in force now as well, no signing
//! time lies in the future, and a caller who needs more asks for a minimum version. The countersignature of a time-stamping authority
//! in the unprotected header is not looked at: its root is not pinned here.

mod did;
mod verify;
mod wire;

use serde_json::{Map, Value, json};

use crate::error::VerifyError;
use crate::time::UnixTime;

pub(super) const PART: &str = "uvm-endorsement";

/// The issuer of Microsoft's endorsements for confidential container groups (`ContainerPlat-AMD-UVM`).
pub const MICROSOFT_UVM_ISSUER: &str =
    "did:x509:0:sha256:I__iuL25oXEVFdTP_aBLx_eT1RPHbCQ_ECBQfYZpt9s::eku:1.3.6.1.4.1.311.76.59.1.2";

/// Whose endorsements count.
#[derive(Debug, Clone, Copy)]
pub struct UvmTrust<'a> {
    /// Issuers, `did:x509:0:sha256:<root>::eku:<oid>` each, compared whole. Empty: nobody's.
    pub issuers: &'a [&'a str],
    /// The least security version number that an endorsement may have.
    pub minimum_svn: u64,
}

/// An endorsement that holds for one report. [`crate::Verifier::verify_uvm`] alone makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UvmEndorsement {
    issuer_did: String,
    feed: String,
    guest_svn: u64,
    launch_measurement: [u8; 48],
    signed_at: Option<UnixTime>,
    not_after: UnixTime,
}

impl UvmEndorsement {
    /// The issuer, one of those that were trusted.
    pub fn issuer_did(&self) -> &str {
        &self.issuer_did
    }
    /// The feed: which image it is, such as `ContainerPlat-AMD-UVM`.
    pub fn feed(&self) -> &str {
        &self.feed
    }
    /// The image's security version number; not the report's `guestsvn`.
    pub fn guest_svn(&self) -> u64 {
        self.guest_svn
    }
    /// The measurement, the same as the report's.
    pub fn launch_measurement(&self) -> &[u8; 48] {
        &self.launch_measurement
    }
    /// When it was signed, by the signer's own word.
    pub fn signed_at(&self) -> Option<UnixTime> {
        self.signed_at
    }
    /// The earliest end of what must be in force now: the authorities, and without a signing time the signer too.
    pub fn not_after(&self) -> UnixTime {
        self.not_after
    }

    /// The claims that an endorsed report gains: Azure's compliance status, and who endorsed what.
    pub fn claims(&self) -> Map<String, Value> {
        let claims = [
            ("x-ms-compliance-status", json!("azure-compliant-uvm")),
            ("x-ms-sevsnpvm-uvm-issuer", json!(self.issuer_did)),
            ("x-ms-sevsnpvm-uvm-feed", json!(self.feed)),
            ("x-ms-sevsnpvm-uvm-svn", json!(self.guest_svn)),
        ];
        claims.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// What an endorsement says, unverified: nothing in it may be believed.
    ///
    /// # Errors
    /// Bytes that are no endorsement.
    pub fn inspect(cose: &[u8]) -> Result<Map<String, Value>, VerifyError> {
        let signed = wire::Signed::parse(cose)?;
        let says = [
            ("issuer", json!(signed.header.issuer)),
            ("feed", json!(signed.header.feed)),
            ("guestsvn", json!(signed.payload.guest_svn)),
            ("launchmeasurement", json!(hex::encode(signed.payload.launch_measurement))),
            ("signed-at", json!(signed.header.signing_time.map(|t| t.to_string()))),
        ];
        Ok(says.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}
