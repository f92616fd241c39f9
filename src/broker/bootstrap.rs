//! The first admin's credential, made once by `keygate init`.
//!
//! Keygate's contract, section 2: it holds every role until another admin exists, and ends after seven days at the latest.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::{Change, ChangeOrder, IfMatch, ProviderId};
use zeroize::Zeroizing;

use super::Broker;
use super::challenge::{correlation, draw};
use super::error::Fault;
use crate::audit::{Event, Field, kind};

/// The name of the first admin's credential.
pub const FIRST_ADMIN: &str = "first-admin";
/// Every role there is; none contains another.
pub const ROLES: &[&str] = &[
    "attestation-reader",
    "attestation-contributor",
    "key-user",
    "key-officer",
    "rule-officer",
    "purge-officer",
    "trust-officer",
    "operator",
    "auditor",
    "admin",
];

impl Broker {
    /// Makes the first admin's credential and returns its token, which is shown this once. Good for `seconds`.
    ///
    /// # Errors
    /// One was made before, or the store takes no record.
    pub fn first_admin(&self, provider: &ProviderId, seconds: i64) -> Result<Zeroizing<String>, Fault> {
        let now = self.fit()?.secs();
        let secret = Zeroizing::new(draw::<32>()?);
        let token = Zeroizing::new(format!("kg_{}", URL_SAFE_NO_PAD.encode(secret.as_slice())));
        let record = Event::new(kind::ADMIN, provider, now)
            .word(Field::Op, "credential.create")
            .word(Field::Detail, FIRST_ADMIN)
            .word(Field::Decision, "permit")
            .word(Field::Correlation, &correlation())
            .record();
        let change = Change::CreateCredential {
            name: FIRST_ADMIN.to_owned(),
            roles: ROLES.iter().map(|r| (*r).to_owned()).collect(),
            key_pattern: None,
            expires: Some(now.saturating_add(seconds)),
            token: token.clone(),
        };
        self.keystore.change(ChangeOrder {
            provider: provider.clone(),
            change,
            author: "init".to_owned(),
            reason: "the first admin".to_owned(),
            if_match: IfMatch::Absent,
            record,
            repeat: None,
            dry_run: false,
            now,
        })?;
        Ok(token)
    }
}
