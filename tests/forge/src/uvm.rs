//! Endorsements of utility VMs under a throw-away authority: COSE_Sign1 over a launch measurement.
//! RFC 9052 sections 3.1 and 4.4, RFC 9360 section 2, did:x509 method specification version 0.

mod certificates;
mod fault;
mod message;

pub use fault::UvmFault;
pub use message::{UvmAlg, UvmEndorsement};

use crate::base64;
use crate::keys::{self, Key};

/// The key usage of signers, made up.
pub const USAGE: &str = "1.3.6.1.4.1.32473.59.1.2";
const DAY: i64 = 86_400;

/// A throw-away maker of utility VMs: root, authority, and a signer for every sort of key.
pub struct Uvm {
    /// The instant around which everything is valid, unix seconds.
    pub now: i64,
    root: Key,
    root_der: Vec<u8>,
    authority: Key,
    p256: Key,
    p384: Key,
    rsa: Key,
}

impl Uvm {
    /// A maker whose certificates are valid around `now` (unix seconds).
    pub fn new(now: i64) -> Self {
        let mut uvm = Self {
            now,
            root: keys::p384(),
            root_der: Vec::new(),
            authority: keys::p384(),
            p256: keys::p256(),
            p384: keys::p384(),
            rsa: crate::amd::rogue_authority_key(),
        };
        uvm.root_der = uvm.root_cert(&uvm.root).sign(&uvm.root);
        uvm
    }

    /// The issuer: the root's fingerprint and the signers' key usage.
    pub fn issuer(&self) -> String {
        let fingerprint = base64::url(&keys::sha256(&self.root_der));
        format!("did:x509:0:sha256:{fingerprint}::eku:{USAGE}")
    }

    /// A sound endorsement of a measurement, signed a day ago by a signer that is valid for a year.
    pub fn describe(&self, launch_measurement: &[u8; 48]) -> UvmEndorsement {
        UvmEndorsement {
            launch_measurement: hex::encode(launch_measurement),
            guest_svn: "22".to_owned(),
            feed: "Forged-UVM".to_owned(),
            issuer: None,
            signing_time: Some(self.now - DAY),
            timestamp: Some(b"a countersignature".to_vec()),
            algorithm: UvmAlg::Ps384,
            signer_validity: (self.now - 30 * DAY, self.now + 335 * DAY),
            authority_until: self.now + 3_650 * DAY,
            fault: None,
            authority_fault: None,
        }
    }
}

#[cfg(test)]
mod tests;
