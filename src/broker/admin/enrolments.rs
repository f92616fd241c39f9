//! Enrolled machines and the endorsement keys that an operator vouches for: listed, shown, taken back.
//!
//! Threat model P7, P14 and P26; `bad-inputs.md` TPM-15 and TPM-17. What is taken back counts no more with the next decision.

use keygate_keystore::{AllowedEk, Change, Enrolment, IfMatch, KeystoreError};
use serde_json::{Value, json};

use super::{Desk, Done, Plan, Reason, Refusal};
use crate::broker::error::{Code, Fault};

/// Records on one page.
const PAGE: usize = 500;

/// An endorsement key by its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndorsementKey([u8; 32]);

impl EndorsementKey {
    /// Reads the SHA-256 of a SubjectPublicKeyInfo: 64 lower-case hex digits.
    ///
    /// # Errors
    /// `malformed`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let lower = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let digest = hex::decode(text).ok().filter(|_| lower).and_then(|digest| digest.try_into().ok());
        digest
            .map(Self)
            .ok_or(Fault::new(Code::Malformed, "an endorsement key is a sha-256 in 64 lower-case hex digits"))
    }
}

fn described(record: &Enrolment, now: i64) -> Value {
    let state = if record.expires > now { "live" } else { "expired" };
    let clock = record.clock.map(
        |clock| json!({"reset_count": clock.reset_count, "restart_count": clock.restart_count, "clock": clock.clock}),
    );
    json!({
        "machine": record.machine, "ak_name": hex::encode(&record.ak_name), "ek": hex::encode(record.ek),
        "ek_certificate": record.certificate.map(hex::encode), "anchor": record.anchor, "owner": record.owner,
        "enrolled": record.enrolled, "expires": record.expires, "state": state, "clock": clock,
    })
}

fn allowed(entry: &AllowedEk) -> Value {
    json!({
        "ek": hex::encode(entry.ek), "reason": entry.reason, "at": entry.at, "author": entry.author, "etag": entry.etag,
    })
}

impl Desk<'_> {
    /// A page of records in the order of their machines, ended ones included, and the machine to go on behind.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn list_enrolments(&self, after: Option<&str>, limit: usize) -> Result<(Vec<Value>, Option<String>), Refusal> {
        let limit = limit.clamp(1, PAGE);
        let mut found = self.broker.keystore.enrolments(&self.provider, after, limit.saturating_add(1))?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|record| record.machine.clone());
        Ok((found.iter().map(|record| described(record, self.now)).collect(), next))
    }

    /// The record of a machine and its entity tag.
    ///
    /// # Errors
    /// `not-found`.
    pub fn show_enrolment(&self, machine: &str) -> Result<(String, Value), Refusal> {
        let record = self.record_of(machine)?;
        Ok((record.etag.clone(), described(&record, self.now)))
    }

    /// Ends the record of a machine and forgets the clock of its key.
    ///
    /// # Errors
    /// `not-found`.
    pub fn remove_enrolment(&self, machine: &str, reason: Reason) -> Result<Done, Refusal> {
        let record = self.record_of(machine)?;
        let if_match = self.expected(&record.etag)?;
        let before = described(&record, self.now);
        let change = Change::RemoveEnrolment { machine: record.machine };
        let plan = Plan { change, if_match, reason, before: before.clone(), after: Value::Null, forced: None };
        let changed = self.change(plan)?;
        Ok(self.done(&changed, before, Value::Null))
    }

    fn record_of(&self, machine: &str) -> Result<Enrolment, Refusal> {
        let record = self.broker.keystore.enrolment(&self.provider, machine)?;
        Ok(record.ok_or(KeystoreError::NotFound("enrolment"))?)
    }

    /// The endorsement keys that an operator vouches for.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn list_endorsement_keys(&self) -> Result<Vec<Value>, Refusal> {
        Ok(self.broker.keystore.allowed_eks(&self.provider)?.iter().map(allowed).collect())
    }

    /// Vouches for an endorsement key that has no certificate.
    ///
    /// # Errors
    /// `conflict` if it is vouched for already.
    pub fn allow_endorsement_key(&self, key: EndorsementKey, reason: Reason) -> Result<Done, Refusal> {
        let if_match = self.expected_absent()?;
        let object = json!({"ek": hex::encode(key.0)});
        let change = Change::AllowEk { ek: key.0 };
        let plan = Plan { change, if_match, reason, before: Value::Null, after: object.clone(), forced: None };
        let changed = self.change(plan)?;
        Ok(self.done(&changed, Value::Null, object))
    }

    /// Vouches for it no more, and ends the record that rests on it.
    ///
    /// # Errors
    /// `not-found`.
    pub fn disallow_endorsement_key(&self, key: EndorsementKey, reason: Reason) -> Result<Done, Refusal> {
        let all = self.broker.keystore.allowed_eks(&self.provider)?;
        let entry = all.into_iter().find(|entry| entry.ek == key.0);
        let entry = entry.ok_or(KeystoreError::NotFound("endorsement key"))?;
        let if_match: IfMatch = self.expected(&entry.etag)?;
        let before = json!({"ek": hex::encode(key.0)});
        let change = Change::DisallowEk { ek: key.0 };
        let plan = Plan { change, if_match, reason, before: before.clone(), after: Value::Null, forced: None };
        let changed = self.change(plan)?;
        Ok(self.done(&changed, before, Value::Null))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endorsement_key_is_named_in_one_form() {
        assert!(EndorsementKey::parse(&"0a".repeat(32)).is_ok());
        for odd in ["".to_owned(), "0A".repeat(32), "0a".repeat(31), "0a".repeat(33), format!(" {}", "0a".repeat(32))] {
            assert_eq!(EndorsementKey::parse(&odd).err().map(|fault| fault.code), Some(Code::Malformed), "{odd:?}");
        }
    }
}
