//! How refusals are recorded, and the head of the journal is published.
//!
//! Threat model P42 and P43; `native-api.md` section 3 (*Strangers' cost*, `GET /v1/audit/head`).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use keygate_keystore::{KeystoreError, ProviderId};

use super::Broker;
use super::challenge::correlation;
use super::error::{BrokerError, Code, Fault};
use super::request::Seat;
use crate::audit::{Event, Field, heads, kind};
use crate::result::AttestationResult;
use crate::telemetry;

/// The newest signed head of each provider, by the number of its entry.
#[derive(Default)]
pub(crate) struct Heads(Mutex<HashMap<ProviderId, (u64, String)>>);

/// The fitness that was recorded last.
#[derive(Default)]
pub(crate) struct Noted(Mutex<Option<&'static str>>);

impl Broker {
    /// Records a change of fitness, start and stop among them. Threat model P45.
    pub(crate) fn note_fitness(&self) {
        let word = self.fitness().word();
        let mut noted = self.noted.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *noted == Some(word) {
            return;
        }
        // Without a trusted clock the newest time of the store stands in; the journal is ordered by number.
        let now = self.clock.now().map_or_else(|_| self.keystore.status().newest_time, |now| now.secs());
        for provider in &self.providers.0 {
            let mut event = Event::new(kind::NODE, &provider.setup.id, now).word(Field::Fitness, word);
            if noted.is_none() {
                event = event.word(Field::Op, "start");
            }
            if self.keystore.record(event.record()).is_err() {
                return;
            }
        }
        *noted = Some(word);
    }

    /// Refuses a caller whose evidence does not hold or was not looked at: counted, not recorded one by one.
    pub fn refuse(&self, seat: &Seat, fault: &Fault) -> BrokerError {
        self.refuse_as(seat, fault, &correlation())
    }

    pub(crate) fn refuse_as(&self, seat: &Seat, fault: &Fault, correlation: &str) -> BrokerError {
        let code = fault.code.as_str();
        telemetry::stranger(code);
        if fault.code.retry_after().is_some() {
            telemetry::fault("refused for our own state", code, correlation);
        }
        // Without a trusted clock the minute is unknown; the metric above has counted it.
        if let Ok(now) = self.clock.now() {
            let source = seat.source_prefix();
            let due = self.strangers.count(seat.provider.id(), &source, code, correlation, now.secs());
            if !due.is_empty() {
                let keystore = self.keystore.clone();
                let store = move || due.into_iter().for_each(|record| drop(keystore.record_within_reserve(record)));
                match tokio::runtime::Handle::try_current() {
                    Ok(runtime) => drop(runtime.spawn_blocking(store)),
                    Err(_) => store(),
                }
            }
        }
        fault.outward(correlation, false)
    }

    /// Whether this evidence may be told no once more in this minute, with a record.
    ///
    /// # Errors
    /// `rate-limited`: it was told no often enough.
    pub(crate) fn once_more(
        &self,
        seat: &Seat,
        result: &AttestationResult,
        correlation: &str,
    ) -> Result<(), BrokerError> {
        self.tally(seat, &result.sameness, correlation)
    }

    /// The same for a caller without evidence, whoever it is known from.
    pub(crate) fn once_more_to(&self, seat: &Seat, caller: &str, correlation: &str) -> Result<(), BrokerError> {
        self.tally(seat, &openssl::sha::sha256(format!("caller:{caller}").as_bytes()), correlation)
    }

    fn tally(&self, seat: &Seat, who: &[u8; 32], correlation: &str) -> Result<(), BrokerError> {
        let now = self.clock.now().map_or(0, |now| now.secs());
        match self.denials.take(seat.provider.id(), who, now) {
            true => Ok(()),
            false => Err(self.refuse_as(seat, &Fault::new(Code::RateLimited, ""), correlation)),
        }
    }

    /// Refuses a caller whose evidence held: recorded before the answer, and while there is more room than releases may need. `told`: it may learn the true code.
    pub(crate) fn deny(&self, event: Event, fault: &Fault, told: bool, correlation: &str) -> BrokerError {
        let record = event
            .word(Field::Decision, "deny")
            .word(Field::Code, &fault.full_code())
            .word(Field::Detail, &fault.inner)
            .record();
        if let Err(why) = self.keystore.record_within_reserve(record) {
            let unrecorded = match why {
                KeystoreError::Overloaded => Fault::new(Code::Overloaded, ""),
                _ => Fault::new(Code::AuditUnavailable, ""),
            };
            telemetry::fault("a refusal could not be recorded", unrecorded.code.as_str(), correlation);
            return unrecorded.outward(correlation, false);
        }
        if told { fault.outward(correlation, true) } else { Fault::not_released(correlation) }
    }

    /// The newest head of the journal, signed by the receipt key: a compact JWS of type `keygate-audit-head`.
    ///
    /// # Errors
    /// The node is not fit.
    pub fn audit_head(&self, seat: &Seat) -> Result<String, BrokerError> {
        self.signed_head(seat).map_err(|fault| self.refuse(seat, &fault))
    }

    fn signed_head(&self, seat: &Seat) -> Result<String, Fault> {
        let now = self.fit()?.secs();
        let id = seat.provider.id();
        let head = self.keystore.head()?;
        let mut known = self.heads.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((seq, signed)) = known.get(id)
            && *seq == head.seq
        {
            return Ok(signed.clone());
        }
        let missing = || Fault::new(Code::StoreCorrupt, "");
        let (key, header) = seat.provider.signers().head().ok_or_else(missing)?;
        let signed = key.jws(header, &heads::payload(seat.provider.issuer(), &head, now))?;
        known.insert(id.clone(), (head.seq, signed.clone()));
        Ok(signed)
    }
}
