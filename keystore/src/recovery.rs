//! How long deleted keys of a provider are kept, and whether they can be destroyed before.
//!
//! `keyvault-api.md` sections 2 and 3 (`recoverableDays`, `recoveryLevel`, `scheduledPurgeDate`). What is set stands in the
//! store, as a policy row of its own kind, and not in settings alone: purge protection is never taken back.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::error::KeystoreError;
use crate::keystore::Keystore;
use crate::names::ProviderId;
use crate::seal::KeyRing;
use crate::storage::sqlite::policies::PolicyRow;
use crate::storage::sqlite::row::select_one;

/// The kind of its policy rows.
pub(crate) const KIND: &str = "recovery";
/// Most days that a deleted key is kept.
const MOST_DAYS: u32 = 90;

/// What happens to deleted keys of a provider.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recovery {
    days: u32,
    purge_protection: bool,
}

impl Recovery {
    /// Days that a deleted key is kept, 7 to 90 (others are `config-invalid`), and whether it stays for all of them.
    pub fn new(days: u32, purge_protection: bool) -> Result<Self, KeystoreError> {
        if !(7..=MOST_DAYS).contains(&days) {
            return Err(KeystoreError::ConfigInvalid("deleted keys are kept 7 to 90 days".to_owned()));
        }
        Ok(Self { days, purge_protection })
    }

    /// What a store without a word about it does, by the days it was made with.
    pub(crate) fn unprotected(days: u32) -> Self {
        Self { days, purge_protection: false }
    }

    /// Days that a deleted key is kept from now on; one that is deleted already keeps its own end.
    pub fn days(self) -> u32 {
        self.days
    }

    /// Whether nothing is destroyed before its end.
    pub fn purge_protection(self) -> bool {
        self.purge_protection
    }

    /// The word of key vaults for it: `Recoverable` at 90 days and `CustomizedRecoverable` below, with `+Purgeable` where a
    /// deleted key can be destroyed before its end.
    pub fn level(self) -> &'static str {
        match (self.days, self.purge_protection) {
            (MOST_DAYS, true) => "Recoverable",
            (MOST_DAYS, false) => "Recoverable+Purgeable",
            (_, true) => "CustomizedRecoverable",
            (_, false) => "CustomizedRecoverable+Purgeable",
        }
    }

    /// Refuses what would take protection back, or shorten it.
    pub(crate) fn may_become(self, next: Self) -> Result<(), KeystoreError> {
        if !self.purge_protection {
            return Ok(());
        }
        if !next.purge_protection {
            return Err(KeystoreError::Forbidden("purge protection is never taken back"));
        }
        if next.days < self.days {
            return Err(KeystoreError::Forbidden("under purge protection the days of recovery never become fewer"));
        }
        Ok(())
    }

    /// Its document.
    pub(crate) fn text(self) -> String {
        // Two plain members always have a JSON form.
        serde_json::to_string(&self).unwrap_or_default()
    }
}

/// What is set for a provider, with its number; none if nothing is.
pub(crate) fn stored_recovery(
    conn: &Connection,
    ring: &KeyRing,
    provider: &ProviderId,
) -> Result<Option<Recovery>, KeystoreError> {
    let condition = "WHERE provider = ?1 AND kind = ?2 ORDER BY number DESC LIMIT 1";
    let row: Option<PolicyRow> = select_one(conn, ring, condition, &[&provider.as_str(), &KIND])?;
    let read = |row: PolicyRow| {
        let damaged = || KeystoreError::StoreCorrupt { object: format!("policies {}", hex::encode(row.row_id)) };
        let recovery: Recovery = serde_json::from_str(&row.document).map_err(|_| damaged())?;
        Recovery::new(recovery.days, recovery.purge_protection).map_err(|_| damaged())
    };
    row.map(read).transpose()
}

impl Keystore {
    /// What happens to deleted keys of a provider. Where nothing is set: the days that the store was made with, without
    /// protection.
    pub fn recovery(&self, provider: &ProviderId) -> Result<Recovery, KeystoreError> {
        let stored = self.read(|conn| stored_recovery(conn, self.ring(), provider))?;
        Ok(stored.unwrap_or(Recovery::unprotected(self.identity().retention_days)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_follow_days_and_protection() {
        let level = |days, protected| Recovery::new(days, protected).unwrap().level();
        assert_eq!(level(90, false), "Recoverable+Purgeable");
        assert_eq!(level(90, true), "Recoverable");
        assert_eq!(
            (level(89, false), level(7, false)),
            ("CustomizedRecoverable+Purgeable", "CustomizedRecoverable+Purgeable")
        );
        assert_eq!((level(89, true), level(7, true)), ("CustomizedRecoverable", "CustomizedRecoverable"));
        for days in [0, 6, 91] {
            assert_eq!(Recovery::new(days, false).map_err(|e| e.code()), Err("config-invalid"));
        }
    }
}
