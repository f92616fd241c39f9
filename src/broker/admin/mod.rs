//! What operators do: each action by a role, on a named state, for a reason, with a record.
//!
//! `native-api.md` sections 2 and 3 (*Admin*), threat model P24, P45, P46, P48, P50. A use case gets a [`Desk`]: there is no other
//! way to it, and none of its errors leaves without a record. Nothing here takes a path, an address or a command.

pub mod audit;
pub mod credentials;
pub mod deny;
pub mod enrolments;
pub mod keys;
pub mod lines;
mod pace;
pub mod papers;
pub mod policies;
pub mod recorded;
pub mod references;
pub mod roles;
pub mod rules;
pub mod signing_keys;
pub mod store;

use std::cell::{Cell, OnceCell};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::{Change, ChangeOrder, Changed, IfMatch, KeyName, KeystoreError, ProviderId, Repeated};
use keygate_policies::Diagnostic;
use serde_json::{Value, json};

use super::Broker;
use super::caller::Caller;
use super::challenge::correlation;
use super::error::{BrokerError, Code, Fault};
use super::request::{IdempotencyKey, Seat};
use super::use_key::repeat_key;
use crate::audit::{Event, Field, kind};
use crate::telemetry;

pub(crate) use pace::Pace;
pub use roles::{Action, Role};

/// How long the answer to a change is kept for repeats, in seconds.
const KEPT: i64 = 86_400;
/// Longest reason, in characters.
const LONGEST_REASON: usize = 1_024;

/// Who asks for what, on which state.
pub struct Ask {
    /// Where it came in.
    pub seat: Seat,
    /// The credential, as sent.
    pub bearer: Option<zeroize::Zeroizing<String>>,
    /// What is asked for.
    pub action: Action,
    /// Of which object: as the path names it; empty for none.
    pub object: String,
    /// The state that a change rests on.
    pub precondition: Precondition,
    /// Only say what would change.
    pub dry_run: bool,
    /// The operator's name for the request.
    pub idempotency: Option<IdempotencyKey>,
    /// What was wrong with its headers or its query: told to whoever may do the action, and recorded.
    pub flaw: Option<Fault>,
}

/// The state that a change rests on: `If-Match` and `If-None-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing was said.
    None,
    /// `If-Match: *`: whatever is there.
    Any,
    /// `If-Match` with one entity tag, quotes taken off.
    Version(String),
    /// `If-None-Match: *`: nothing must be there.
    Absent,
}

/// Why something is done: an operator's words, for the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// Reads a reason: 1 to 1,024 characters, not blank, no control characters.
    ///
    /// # Errors
    /// `malformed`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let fits =
            !text.trim().is_empty() && text.chars().count() <= LONGEST_REASON && !text.chars().any(char::is_control);
        if fits { Ok(Self(text.to_owned())) } else { Err(Fault::new(Code::Malformed, "a reason is a line of text")) }
    }

    /// The reason of a door whose clients give none: words of ours.
    pub(crate) fn of_door(words: &'static str) -> Self {
        Self(words.to_owned())
    }

    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A refusal, with what is wrong in a text that the operator sent.
pub struct Refusal {
    fault: Fault,
    diagnostics: Vec<Value>,
    retry_after: Option<u32>,
}

impl<E: Into<Fault>> From<E> for Refusal {
    fn from(fault: E) -> Self {
        let fault: Fault = fault.into();
        let fault = match fault.code {
            // A version precondition is a conflict like any other (`bad-inputs.md` section 0).
            Code::PreconditionFailed => {
                Fault { code: Code::Conflict, part: "it has changed since it was read", ..fault }
            }
            _ => fault,
        };
        Self { fault, diagnostics: Vec::new(), retry_after: None }
    }
}

impl Refusal {
    /// A refusal that passes by itself, in so many seconds.
    pub(crate) fn passing(part: &'static str, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..Fault::new(Code::RateLimited, part).into() }
    }

    /// The refusal as the audit has it.
    pub(crate) fn into_fault(self) -> Fault {
        self.fault
    }

    /// A refusal that shows where a text is wrong.
    pub fn diagnosed(code: Code, part: &'static str, diagnostics: &[Diagnostic]) -> Self {
        let inner: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
        Self {
            fault: Fault::new(code, part).because(inner.join("; ")),
            diagnostics: values(diagnostics),
            retry_after: None,
        }
    }
}

fn values(diagnostics: &[Diagnostic]) -> Vec<Value> {
    diagnostics.iter().filter_map(|diagnostic| serde_json::to_value(diagnostic).ok()).collect()
}

/// What a change did, or would do.
#[derive(Debug, Clone, Default)]
pub struct Done {
    /// The object as it is now.
    pub object: Value,
    /// The object as it was; null if there was none.
    pub before: Value,
    /// Names the state of the object.
    pub etag: String,
    /// Number and hash of the audit entry; none if nothing was written.
    pub entry: Option<(u64, [u8; 32])>,
    /// Nothing was written.
    pub dry_run: bool,
    /// The answer to an earlier request.
    pub repeat: bool,
    /// What the linter warned of.
    pub warnings: Vec<Value>,
}

impl Done {
    /// The members of the answer, the object under `name`.
    pub fn to_value(&self, name: &str) -> Value {
        let mut told = json!({name: self.object, "dry_run": self.dry_run});
        let mut put = |name: &str, value: Value| told[name] = value;
        if self.dry_run {
            put("before", self.before.clone());
        }
        if self.repeat {
            put("repeat", json!(true));
        }
        if let Some((number, hash)) = &self.entry {
            put("entry", json!({"number": number, "hash": URL_SAFE_NO_PAD.encode(hash)}));
        }
        if !self.warnings.is_empty() {
            put("warnings", json!(self.warnings));
        }
        told
    }
}

/// What is to be changed, and what the record says of it.
pub(crate) struct Plan {
    pub(crate) change: Change,
    pub(crate) if_match: IfMatch,
    pub(crate) reason: Reason,
    pub(crate) before: Value,
    pub(crate) after: Value,
    pub(crate) forced: Option<String>,
}

/// An operator who may do one action, and is doing it.
pub struct Desk<'a> {
    pub(crate) broker: &'a Broker,
    /// Whose objects: the seat's provider, unless the action says otherwise.
    pub(crate) provider: ProviderId,
    pub(crate) ask: &'a Ask,
    pub(crate) caller: &'a Caller,
    pub(crate) now: i64,
    correlation: &'a str,
    recorded: Cell<bool>,
    /// The object, where the path does not name it.
    found_out: OnceCell<String>,
    /// Of reference values, which object of the name.
    serial: Cell<Option<u64>>,
}

impl Broker {
    /// Does one action for an operator. Whoever has no credential is counted as a stranger; everything else that is asked for is
    /// recorded, whether it is done or refused.
    ///
    /// # Errors
    /// `auth-required`, `token-invalid`, `forbidden`, what `work` refuses, or `audit-unavailable`.
    pub fn administer<T>(
        &self,
        ask: &Ask,
        work: impl FnOnce(&Desk<'_>) -> Result<T, Refusal>,
    ) -> Result<T, BrokerError> {
        let started = self.clock.now().map(|now| now.secs());
        let caller = self.caller(&ask.seat, ask.bearer.as_ref().map(|token| token.as_str()))?;
        if caller == Caller::Anonymous {
            return Err(self.refuse(&ask.seat, &Fault::new(Code::AuthRequired, "")));
        }
        let now = started.map_err(|why| self.refuse(&ask.seat, &why.into()))?;
        let correlation = correlation();
        let desk = Desk {
            broker: self,
            provider: ask.seat.provider.id().clone(),
            ask,
            caller: &caller,
            now,
            correlation: &correlation,
            recorded: Cell::new(false),
            found_out: OnceCell::new(),
            serial: Cell::new(None),
        };
        let done = desk.may(ask.action).and_then(|()| match &ask.flaw {
            Some(flaw) => Err(flaw.clone().into()),
            None => work(&desk),
        });
        let outcome = done.and_then(|done| {
            if !desk.recorded.get() {
                self.keystore.record(desk.event().word(Field::Decision, "permit").record())?;
            }
            Ok(done)
        });
        outcome.map_err(|refusal| {
            let reasons = Some(refusal.diagnostics).filter(|diagnostics| !diagnostics.is_empty());
            let told = self.deny(desk.event(), &refusal.fault, true, &correlation);
            let retry_after = refusal.retry_after.or(told.retry_after);
            BrokerError { reasons: reasons.or(told.reasons), retry_after, ..told }
        })
    }

    /// Changes something for an operator; the kept answer of the same request is given again.
    ///
    /// # Errors
    /// As [`Broker::administer`].
    pub fn administer_change(
        &self,
        ask: &Ask,
        work: impl FnOnce(&Desk<'_>) -> Result<Done, Refusal>,
    ) -> Result<Done, BrokerError> {
        self.administer(ask, |desk| match desk.earlier()? {
            Some(done) => Ok(done),
            None => work(desk),
        })
    }
}

impl Desk<'_> {
    /// Who does it.
    pub fn author(&self) -> &str {
        self.caller.name().unwrap_or_default()
    }

    /// Under which the audit has the record of it.
    pub(crate) fn correlation(&self) -> &str {
        self.correlation
    }

    /// Whether the operator may do this too: for what one request does besides its own action.
    ///
    /// # Errors
    /// `forbidden`.
    pub(crate) fn may(&self, action: Action) -> Result<(), Refusal> {
        if action.roles().iter().any(|role| self.caller.has(role.as_str())) {
            return Ok(());
        }
        Err(Fault::new(Code::Forbidden, "").because(action.as_str()).into())
    }

    /// Whether the operator's credential is for this key. What is not looks like nothing (ADM-09).
    pub(crate) fn covers(&self, name: &KeyName) -> Result<(), Refusal> {
        let roles: Vec<&str> = self.ask.action.roles().iter().map(|role| role.as_str()).collect();
        match self.caller.has_for(&roles, name) {
            true => Ok(()),
            false => Err(Fault::new(Code::KeyNotFound, "").because("not a key of this credential").into()),
        }
    }

    /// Whether the operator's credential is for all keys: for what every key may depend on.
    pub(crate) fn covers_all(&self) -> Result<(), Refusal> {
        match self.caller {
            Caller::Known { key_pattern: None, .. } => Ok(()),
            _ => Err(Fault::new(Code::Forbidden, "").because("the credential is for some keys only").into()),
        }
    }

    /// The state that a change of an existing object must name; `current` is its state now.
    ///
    /// # Errors
    /// `precondition-required` where nothing is named, `precondition-failed` where it is another one.
    pub(crate) fn expected(&self, current: &str) -> Result<IfMatch, Refusal> {
        match &self.ask.precondition {
            Precondition::None | Precondition::Absent => Err(Fault::new(Code::PreconditionRequired, "").into()),
            Precondition::Version(version) if version != current => Err(KeystoreError::PreconditionFailed.into()),
            Precondition::Any | Precondition::Version(_) => Ok(IfMatch::Version(current.to_owned())),
        }
    }

    /// The state that a creation may name: that there is nothing.
    pub(crate) fn expected_absent(&self) -> Result<IfMatch, Refusal> {
        match &self.ask.precondition {
            Precondition::None | Precondition::Absent => Ok(IfMatch::Absent),
            Precondition::Any | Precondition::Version(_) => Err(KeystoreError::PreconditionFailed.into()),
        }
    }

    /// The answer to this very request, if it was given before.
    fn earlier(&self) -> Result<Option<Done>, Refusal> {
        let Some(id) = self.ask.idempotency.as_ref().filter(|_| !self.ask.dry_run) else { return Ok(None) };
        let key = repeat_key(self.caller.name(), id, 0).key;
        let kept = match self.broker.keystore.repeat(&self.provider, &key, &id.digest, self.now)? {
            Repeated::New => return Ok(None),
            Repeated::OtherBody => return Err(Fault::new(Code::Conflict, "idempotency-key").into()),
            Repeated::Answer(kept) => kept,
        };
        let answer: Value = serde_json::from_slice(&kept.body).unwrap_or_default();
        let etag = answer.get("etag").and_then(Value::as_str).unwrap_or_default().to_owned();
        let object = match KeyName::parse(&self.ask.object) {
            Ok(name) if self.is_about_a_key() => {
                self.find(&name)?.map(|view| keys::described(&view)).unwrap_or_default()
            }
            Ok(_) if self.noun() == "policy" => self.policy_now(&self.ask.object)?,
            Ok(_) if self.noun() == "reference" => self.reference_now(&self.ask.object)?,
            _ => Value::Null,
        };
        let record = self.event().word(Field::Decision, "permit").number(Field::OfEntry, kept.entry.seq).record();
        self.broker.keystore.record(record)?;
        self.recorded.set(true);
        Ok(Some(Done { object, etag, entry: Some((kept.entry.seq, kept.entry.hash)), repeat: true, ..Done::default() }))
    }

    /// Makes a change and its record in one commit; a trial writes neither.
    pub(crate) fn change(&self, plan: Plan) -> Result<Changed, Refusal> {
        self.change_for(self.provider.clone(), plan)
    }

    /// The same for objects of another provider, in whose records it then stands.
    pub(crate) fn change_for(&self, provider: ProviderId, plan: Plan) -> Result<Changed, Refusal> {
        let mut event = self
            .event_of(&provider)
            .word(Field::Decision, "permit")
            .word(Field::Reason, plan.reason.as_str())
            .digest(Field::Before, &keygate_policies::canonical::digest(&plan.before))
            .digest(Field::After, &keygate_policies::canonical::digest(&plan.after));
        if let Some(forced) = &plan.forced {
            event = event.word(Field::Forced, forced);
        }
        let id = self.ask.idempotency.as_ref();
        let order = ChangeOrder {
            provider,
            change: plan.change,
            author: self.author().to_owned(),
            reason: plan.reason.0,
            if_match: plan.if_match,
            record: event.record(),
            repeat: id.map(|id| repeat_key(self.caller.name(), id, self.now.saturating_add(KEPT))),
            dry_run: self.ask.dry_run,
            now: self.now,
        };
        let changed = self.broker.keystore.change(order)?;
        if changed.entry.is_some() && !changed.repeat {
            self.recorded.set(true);
            telemetry::changed(self.ask.action.as_str());
        }
        Ok(changed)
    }

    /// What a change of `before` into `object` left.
    pub(crate) fn done(&self, changed: &Changed, before: Value, object: Value) -> Done {
        Done {
            object,
            before,
            etag: changed.etag.clone(),
            entry: changed.entry.map(|entry| (entry.seq, entry.hash)),
            dry_run: changed.dry_run,
            repeat: changed.repeat,
            warnings: Vec::new(),
        }
    }

    /// Says which key the action is about, where its path does not: the record names it.
    pub(crate) fn names(&self, name: &KeyName) {
        // The first word counts; there is one key in one request.
        drop(self.found_out.set(name.as_str().to_owned()));
    }

    /// Says which reference values of a name the action is about: the record has their serial.
    pub(crate) fn about_serial(&self, serial: u64) {
        self.serial.set(Some(serial));
    }

    /// Records an action that changes nothing, with its reason.
    pub(crate) fn note(&self, reason: &Reason) -> Result<(), Refusal> {
        let event = self.event().word(Field::Decision, "permit").word(Field::Reason, reason.as_str());
        self.broker.keystore.record(event.record())?;
        self.recorded.set(true);
        Ok(())
    }

    /// The record of an action that the store writes beside it; see [`Desk::is_recorded`].
    pub(crate) fn recorded_here(&self, reason: &Reason) -> keygate_keystore::Record {
        self.event().word(Field::Decision, "permit").word(Field::Reason, reason.as_str()).record()
    }

    /// The record of this action is written.
    pub(crate) fn is_recorded(&self) {
        self.recorded.set(true);
    }

    fn is_about_a_key(&self) -> bool {
        matches!(self.noun(), "key" | "rule")
    }

    /// What the action is about.
    fn noun(&self) -> &'static str {
        self.ask.action.as_str().split('.').next().unwrap_or_default()
    }

    fn event(&self) -> Event {
        self.event_of(&self.provider)
    }

    fn event_of(&self, provider: &ProviderId) -> Event {
        let event = Event::new(kind::ADMIN, provider, self.now)
            .word(Field::Op, self.ask.action.as_str())
            .word(Field::Caller, self.author())
            .word(Field::Correlation, self.correlation)
            .word(Field::Source, &self.ask.seat.source_prefix());
        let event = if self.ask.dry_run { event.word(Field::Trial, "dry-run") } else { event };
        let event =
            self.serial.get().map_or_else(|| event.clone(), |serial| event.clone().number(Field::Serial, serial));
        match self.found_out.get().unwrap_or(&self.ask.object).as_str() {
            "" => event,
            object if self.is_about_a_key() => event.word(Field::Key, object),
            object => event.word(Field::Object, object),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_a_line_of_text() {
        assert_eq!(Reason::parse("ticket 7").ok().map(|r| r.0), Some("ticket 7".to_owned()));
        for odd in ["", "   ", "a\nb", "\0", &"x".repeat(1_025)] {
            assert_eq!(Reason::parse(odd).err().map(|f| f.code), Some(Code::Malformed), "{odd:?}");
        }
    }
}
