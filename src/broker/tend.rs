//! What happens to keys by itself: deleted ones end, versions get successors, owners are told.
//!
//! `keyvault-api.md` section 2 (`scheduledPurgeDate`, KeyRotationPolicy). A few keys at each tick, each with its own record, on the
//! state that was looked at; whatever changed meanwhile is looked at again in the next round.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use keygate_keystore::{
    AttributeChanges, Change, ChangeOrder, Due, DueKey, IfMatch, KeyName, KeyUpdate, KeyView, NewMaterial, NoticeOrder,
    ProviderId,
};
use keygate_policies::canonical;
use serde_json::{Value, json};

use super::Broker;
use super::admin::keys::{changed, state};
use super::challenge::correlation;
use super::error::Fault;
use crate::audit::{Event, Field, kind};
use crate::telemetry;

/// Keys of a provider that are looked at in one tick: a million in an hour and a half.
const LOOKED_AT: usize = 1_024;
/// What one tick may take of a provider, and what each work takes of it: making an RSA key is slow.
const BUDGET: u32 = 16;
const ROTATION: u32 = 8;
const OTHERS: u32 = 1;

const DAY: i64 = 86_400;

/// Who does it, for the audit.
const ROTATES: &str = "rotation-policy";
const PURGES: &str = "retention";

/// Behind which key of each provider the next look begins.
#[derive(Default)]
pub(crate) struct Rounds(Mutex<HashMap<ProviderId, KeyName>>);

impl Rounds {
    fn after(&self, provider: &ProviderId) -> Option<KeyName> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(provider).cloned()
    }

    /// Goes on behind this key; none begins anew.
    fn go_on(&self, provider: &ProviderId, after: Option<KeyName>) {
        let mut rounds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match after {
            Some(name) => drop(rounds.insert(provider.clone(), name)),
            None => drop(rounds.remove(provider)),
        }
    }
}

/// What changes about a key beside its new version: its end, where its rotation policy gives versions a life.
pub(crate) fn renewed(expires: Option<i64>) -> KeyUpdate {
    KeyUpdate {
        attributes: AttributeChanges { expires: expires.map(Some), ..AttributeChanges::default() },
        ..KeyUpdate::default()
    }
}

/// The state of a key behind a new version, for the digest of a record.
pub(crate) fn with_new_version(view: &KeyView, expires: Option<i64>) -> Value {
    let versions = ("versions", json!(view.versions.len() + 1));
    changed(&state(view), &[versions, ("expires", json!(expires.or(view.expires)))])
}

/// One change that nobody asked for.
struct Work {
    change: Change,
    operation: &'static str,
    caller: &'static str,
    reason: &'static str,
    after: Value,
}

impl Broker {
    /// Does some of what is due for keys of a provider. A node that is not fit does nothing.
    pub(super) fn tend_due(&self, provider: &ProviderId, now: i64) {
        let found = match self.keystore.due_keys(provider, self.rounds.after(provider).as_ref(), LOOKED_AT, now) {
            Ok(found) => found,
            Err(error) => return telemetry::fault("keys could not be looked at", error.code(), provider.as_str()),
        };
        let (mut budget, mut last) = (BUDGET, None);
        for due in found.due {
            let cost = if matches!(due.what, Due::Rotation { .. }) { ROTATION } else { OTHERS };
            if budget < cost {
                return self.rounds.go_on(provider, last);
            }
            if self.fit().is_err() {
                return;
            }
            budget -= cost;
            if let Err(fault) = self.do_due(provider, &due, now) {
                telemetry::fault("what is due for a key could not be done", fault.code.as_str(), due.name.as_str());
            }
            last = Some(due.name);
        }
        self.rounds.go_on(provider, found.after);
    }

    fn do_due(&self, provider: &ProviderId, due: &DueKey, now: i64) -> Result<(), Fault> {
        let Some(view) = self.keystore.look(provider, &due.name)?.key.filter(|view| view.etag() == due.etag) else {
            return Ok(());
        };
        let name = view.name.clone();
        match due.what {
            // What a clock that is wrong from the start says has no day to be seen in.
            Due::Purge if !self.may_purge_by_itself(&view, now) => Ok(()),
            Due::Purge => self.work(
                &view,
                now,
                Work {
                    change: Change::PurgeKey { name },
                    operation: "key.purge",
                    caller: PURGES,
                    reason: "the retention of the deleted key is over",
                    after: Value::Null,
                },
            ),
            Due::Rotation { expires } => self.work(
                &view,
                now,
                Work {
                    change: Change::NewVersion {
                        name,
                        material: NewMaterial::Generate,
                        update: renewed(expires),
                        enabled: true,
                    },
                    operation: "key.rotate",
                    caller: ROTATES,
                    reason: "due by the rotation policy of the key",
                    after: with_new_version(&view, expires),
                },
            ),
            Due::Notice(next) => self.notice(&view, next.expires, now),
        }
    }

    /// Whether a deleted key that is over may end by itself: it was over by a time that the store had seen before this process began, or
    /// the process has run for a day.
    fn may_purge_by_itself(&self, view: &KeyView, now: i64) -> bool {
        let seen = view.purge_at.is_some_and(|at| at <= self.keystore.status().seen_before);
        seen || now.saturating_sub(self.began) >= DAY
    }

    /// Tells the operator where the clock is far ahead of all that the store has seen: then there is a day to mend it.
    pub(super) fn doubt_the_clock(&self) {
        let seen = self.keystore.status().seen_before;
        if self.began.saturating_sub(seen) <= 7 * DAY {
            return;
        }
        telemetry::alarm("the clock is more than a week ahead of the store");
        if let Some(provider) = self.first_provider() {
            let event = Event::new(kind::ALARM, provider.id(), self.began).word(
                Field::Detail,
                "the clock is more than a week ahead of the newest time in the store: no deleted key ends by itself for a day",
            );
            drop(self.keystore.record(event.record()));
        }
    }

    fn work(&self, view: &KeyView, now: i64, work: Work) -> Result<(), Fault> {
        let record = Event::new(kind::ADMIN, &view.provider, now)
            .word(Field::Op, work.operation)
            .word(Field::Caller, work.caller)
            .word(Field::Correlation, &correlation())
            .word(Field::Key, view.name.as_str())
            .word(Field::Decision, "permit")
            .word(Field::Reason, work.reason)
            .digest(Field::Before, &canonical::digest(&state(view)))
            .digest(Field::After, &canonical::digest(&work.after))
            .record();
        self.keystore.change(ChangeOrder {
            provider: view.provider.clone(),
            change: work.change,
            author: work.caller.to_owned(),
            reason: work.reason.to_owned(),
            if_match: IfMatch::Version(view.etag()),
            record,
            repeat: None,
            dry_run: false,
            now,
        })?;
        telemetry::changed(work.operation);
        Ok(())
    }

    /// Tells the owner of a key, in the audit, that its newest version wants a successor.
    fn notice(&self, view: &KeyView, ends: Option<i64>, now: i64) -> Result<(), Fault> {
        let detail = match ends {
            Some(ends) => format!("the newest version of the key ends at {ends}: make another one"),
            None => "the newest version of the key is old: make another one".to_owned(),
        };
        let mut event = Event::new(kind::ALARM, &view.provider, now)
            .word(Field::Op, "key.rotate")
            .word(Field::Caller, ROTATES)
            .word(Field::Correlation, &correlation())
            .word(Field::Key, view.name.as_str())
            .word(Field::Detail, &detail);
        if let Some(version) = view.versions.last() {
            event = event.word(Field::KeyVersion, &version.id.to_string());
        }
        let order = NoticeOrder {
            provider: view.provider.clone(),
            name: view.name.clone(),
            etag: view.etag(),
            record: event.record(),
            now,
        };
        if self.keystore.note_rotation(order)?.is_some() {
            telemetry::alarm("a key wants a new version");
        }
        Ok(())
    }
}
