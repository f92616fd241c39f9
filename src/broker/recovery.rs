//! What becomes of deleted keys: settings meet what the store knows.
//!
//! `keyvault-api.md` section 3 (`recoverableDays`, `recoveryLevel`); threat model P39. The store holds it and refuses whatever
//! would take protection back; settings only say what it shall be from now on.

use keygate_keystore::{Change, ChangeOrder, IfMatch, Keystore, KeystoreError, Recovery};
use serde_json::{Value, json};

use super::challenge::correlation;
use super::error::{Code, Fault};
use super::providers::ProviderSetup;
use crate::audit::{Event, Field, kind};

/// Who does it, for the audit.
const AUTHOR: &str = "settings";

fn state(recovery: Recovery) -> Value {
    json!({"recovery_days": recovery.days(), "purge_protection": recovery.purge_protection()})
}

/// Makes what a provider's setup says true in the store, with a record; nothing is written if it is.
///
/// # Errors
/// `config-invalid`: the days are not 7 to 90, or protection would be taken back or shortened.
pub(super) fn settle(keystore: &Keystore, setup: &ProviderSetup, now: i64) -> Result<(), Fault> {
    let wanted = setup.recovery()?;
    let before = keystore.recovery(&setup.id)?;
    if wanted == before {
        return Ok(());
    }
    let record = Event::new(kind::ADMIN, &setup.id, now)
        .word(Field::Op, "provider.recovery")
        .word(Field::Caller, AUTHOR)
        .word(Field::Correlation, &correlation())
        .word(Field::Object, setup.id.as_str())
        .word(Field::Decision, "permit")
        .word(Field::Detail, wanted.level())
        .digest(Field::Before, &keygate_policies::canonical::digest(&state(before)))
        .digest(Field::After, &keygate_policies::canonical::digest(&state(wanted)))
        .record();
    let order = ChangeOrder {
        provider: setup.id.clone(),
        change: Change::SetRecovery { recovery: wanted },
        author: AUTHOR.to_owned(),
        reason: "the configuration says so".to_owned(),
        if_match: IfMatch::Any,
        record,
        repeat: None,
        dry_run: false,
        now,
    };
    match keystore.change(order) {
        Ok(_) => Ok(()),
        Err(KeystoreError::Forbidden(why)) => {
            let days = before.days();
            let advice = format!(
                "provider `{}` ran with `purge_protection = true` and `recovery_days = {days}`: {why}; set both again, or more days",
                setup.id
            );
            Err(Fault::new(Code::ConfigInvalid, why).because(advice))
        }
        Err(other) => Err(other.into()),
    }
}
