//! `[enrolment]`: how machines with a TPM are enrolled.

use serde::Deserialize;

use super::{SettingsError, TrustAnchorSettings};

/// The anchor of machines whose endorsement keys an operator vouches for one by one.
const RESERVED: &str = "allowed-ek";

/// `[enrolment]`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentSettings {
    /// Days that a record counts, 1 to 3650.
    pub days: u32,
    /// Seconds that an attempt waits for its secret, 30 to 3600.
    pub challenge_seconds: u32,
}

impl EnrolmentSettings {
    /// Checks the section.
    ///
    /// # Errors
    /// A number out of range, or an anchor under the name of those keys that an operator vouches for one by one.
    pub fn check(&self, anchors: &[TrustAnchorSettings]) -> Result<(), SettingsError> {
        if !(1..=3_650).contains(&self.days) || !(30..=3_600).contains(&self.challenge_seconds) {
            return Err(SettingsError::new(
                "`enrolment` has a number out of range",
                "days is 1 to 3650, challenge_seconds 30 to 3600",
            ));
        }
        if anchors.iter().any(|anchor| anchor.name == RESERVED) {
            return Err(SettingsError::new(
                format!("a trust anchor is named `{RESERVED}`"),
                "this is the anchor of endorsement keys that are allowed one by one: take another name",
            ));
        }
        Ok(())
    }
}
