//! Enrolment: how the attestation key of a machine becomes one that counts.
//!
//! Threat model P14; `bad-inputs.md` TPM-14 to TPM-20. Two steps. The machine shows its endorsement key, which a certificate under
//! an operator's root or an operator's own word vouches for, and its attestation key; it gets a secret that only the TPM of the one
//! gives back, and only while the other is loaded in it. The secret comes back once, in time, from the same caller: then the record
//! is written, in one commit with its entry in the journal. Whatever goes wrong ends the attempt.
//!
//! * `pending` keeps what waits for its secret, in memory and bounded.
//! * `vouching` says who vouches for an endorsement key.
//! * `standing` finds the record of a key at each use, and holds the clock of its TPM against what was seen.

mod pending;
pub(crate) mod standing;
mod vouching;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::{Change, ChangeOrder, IfMatch, NewEnrolment};
use keygate_verifier::UnixTime;
use keygate_verifier::tpm::{EndorsementRandomness, PublicArea, make_credential};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::Broker;
use super::admin::Role;
use super::admin::credentials::canonical_name;
use super::appraise::listed;
use super::caller::{self, Caller};
use super::challenge::{correlation, draw};
use super::error::{BrokerError, Code, Fault};
use super::request::Seat;
use crate::audit::{Event, Field, kind};

pub(crate) use pending::Pending;
use pending::Waiting;

/// The role that enrols machines.
const ROLE: Role = Role::MachineEnroller;
/// The reason in the store: the caller gives none.
const REASON: &str = "the credential was activated";

/// What an operator says of enrolments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnrolmentSetup {
    /// How long a record counts, in days: 1 to 3650.
    pub days: u32,
    /// How long the secret may take, in seconds: 30 to 3600.
    pub challenge_seconds: u32,
}

impl Default for EnrolmentSetup {
    fn default() -> Self {
        Self { days: 365, challenge_seconds: 300 }
    }
}

/// A machine that is to be enrolled.
pub struct EnrolRequest {
    /// Where it came in.
    pub seat: Seat,
    /// Who brings it.
    pub caller: Caller,
    /// Its name.
    pub machine: String,
    /// The endorsement key's certificate, DER.
    pub certificate: Option<Vec<u8>>,
    /// Certificates between it and the root, DER each.
    pub chain: Vec<Vec<u8>>,
    /// The endorsement key: TPMT_PUBLIC or TPM2B_PUBLIC.
    pub endorsement_key: Vec<u8>,
    /// The attestation key likewise.
    pub attestation_key: Vec<u8>,
}

/// What the machine has to activate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// Names the attempt.
    pub id: String,
    /// TPM2B_ID_OBJECT.
    pub credential_blob: Vec<u8>,
    /// TPM2B_ENCRYPTED_SECRET.
    pub encrypted_secret: Vec<u8>,
    /// Unix seconds until which the secret is awaited.
    pub expires: i64,
}

/// What the machine's TPM gave back.
pub struct ActivateRequest {
    /// Where it came in.
    pub seat: Seat,
    /// Who brings it.
    pub caller: Caller,
    /// The attempt.
    pub id: String,
    /// The secret.
    pub secret: Zeroizing<Vec<u8>>,
}

/// A machine that is enrolled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activated {
    /// Its name.
    pub machine: String,
    /// The name of its attestation key.
    pub ak_name: Vec<u8>,
    /// The anchor that vouched for its endorsement key.
    pub anchor: String,
    /// Unix seconds at which the record ends.
    pub expires: i64,
}

/// One step on its way: what its record says whatever comes of it.
struct Step {
    seat: Seat,
    caller: String,
    correlation: String,
    event: Event,
}

impl Broker {
    /// Begins to enrol a machine.
    ///
    /// # Errors
    /// `auth-required`, `forbidden`; `malformed` and `unsupported` for what it shows; `chain-untrusted` for keys that are not what they
    /// must be, or that nobody vouches for; `revoked`; `conflict` where name or key is another machine's; `rate-limited`, `overloaded`.
    pub async fn enrol(self: &Arc<Self>, request: EnrolRequest) -> Result<Begun, BrokerError> {
        let step = self.step(&request.seat, &request.caller, "enrolment.begin")?;
        self.on_a_worker(step, move |broker, step| broker.begin_enrolment(step, request)).await
    }

    /// Ends it: the secret came back.
    ///
    /// # Errors
    /// `auth-required`, `forbidden`; `binding-mismatch` for whatever is wrong with attempt or secret; `conflict`, `chain-untrusted` and
    /// `revoked` where that changed meanwhile.
    pub async fn activate(self: &Arc<Self>, request: ActivateRequest) -> Result<Activated, BrokerError> {
        let step = self.step(&request.seat, &request.caller, "enrolment.activate")?;
        self.on_a_worker(step, move |broker, step| broker.end_enrolment(step, &request)).await
    }

    /// Who has no credential is a stranger; who has one but not the role is refused with a record.
    fn step(&self, seat: &Seat, caller: &Caller, operation: &str) -> Result<Step, BrokerError> {
        let Some(name) = caller.name() else { return Err(self.refuse(seat, &Fault::new(Code::AuthRequired, ""))) };
        let now = self.fit().map_err(|fault| self.refuse(seat, &fault))?;
        let correlation = correlation();
        let event = Event::new(kind::ENROLMENT, seat.provider.id(), now.secs())
            .word(Field::Op, operation)
            .word(Field::Caller, name)
            .word(Field::Correlation, &correlation)
            .word(Field::Source, &seat.source_prefix());
        let step = Step { seat: seat.clone(), caller: name.to_owned(), correlation, event };
        match caller.has(ROLE.as_str()) {
            true => Ok(step),
            false => Err(self.refuse_enrolment(&step, &Fault::new(Code::Forbidden, "").because(ROLE.as_str()))),
        }
    }

    async fn on_a_worker<T: Send + 'static>(
        self: &Arc<Self>,
        mut step: Step,
        work: impl FnOnce(&Self, &mut Step) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, BrokerError> {
        let seat = step.seat.clone();
        let broker = Arc::clone(self);
        let run = move |_permit| {
            let done = work(&broker, &mut step);
            done.map_err(|fault| broker.refuse_enrolment(&step, &fault))
        };
        let done = self.pool.run(seat.provider.id().as_str(), &seat.source_prefix(), run).await;
        done.map_err(|fault| self.refuse(&seat, &fault))?
    }

    /// Refuses a step of a known caller: with a record, or as one of too many.
    fn refuse_enrolment(&self, step: &Step, fault: &Fault) -> BrokerError {
        match self.once_more_to(&step.seat, &step.caller, &step.correlation) {
            Ok(()) => self.deny(step.event.clone(), fault, true, &step.correlation),
            Err(often) => often,
        }
    }

    fn begin_enrolment(&self, step: &mut Step, request: EnrolRequest) -> Result<Begun, Fault> {
        let now = self.fit()?;
        let (setup, provider) = (step.seat.provider.setup().enrolment, step.seat.provider.id().clone());
        let machine = canonical_name(&request.machine)?.to_owned();
        step.event = step.event.clone().word(Field::Object, &machine);
        let endorsement_key = PublicArea::parse(&request.endorsement_key)?;
        endorsement_key.check_endorsement_key()?;
        let attestation_key = PublicArea::parse(&request.attestation_key)?;
        step.event = step.event.clone().word(Field::AttestationKey, &hex::encode(attestation_key.name()));
        attestation_key.check_attestation_key()?;
        let vouched = self.vouch(&provider, &endorsement_key, &request, now)?;
        let ek = hex::encode(vouched.ek);
        step.event = step.event.clone().word(Field::EndorsementKey, &ek).word(Field::Anchor, &vouched.anchor);
        self.refuse_denied(step, &vouched.ek, &attestation_key)?;
        self.keystore.may_enrol(&provider, &machine, &vouched.ek, attestation_key.name())?;

        let (secret, random) = (Zeroizing::new(draw::<32>()?), Zeroizing::new(draw::<128>()?));
        let randomness = EndorsementRandomness(&random);
        let credential = make_credential(&endorsement_key, attestation_key.name(), secret.as_slice(), &randomness)?;
        let expires = now.secs().saturating_add(i64::from(setup.challenge_seconds));
        let new = NewEnrolment {
            machine,
            ak_name: attestation_key.name().to_vec(),
            ak_public: attestation_key.bytes().to_vec(),
            ek: vouched.ek,
            certificate: vouched.certificate,
            anchor: vouched.anchor,
            expires: ends(now, setup.days, vouched.not_after),
        };
        let waiting = Waiting { provider, owner: step.caller.clone(), new, secret, until: expires };
        let id = self.pending.put(waiting, now.secs())?;
        if let Err(unrecorded) = self.keystore.record(step.event.clone().word(Field::Decision, "permit").record()) {
            self.pending.forget(&id);
            return Err(unrecorded.into());
        }
        Ok(Begun {
            id: URL_SAFE_NO_PAD.encode(id),
            credential_blob: credential.blob,
            encrypted_secret: credential.encrypted_seed,
            expires,
        })
    }

    fn end_enrolment(&self, step: &mut Step, request: &ActivateRequest) -> Result<Activated, Fault> {
        let now = self.fit()?.secs();
        let provider = step.seat.provider.id().clone();
        // One word for whatever is wrong: no attempt, another's, too late, or another secret.
        let mismatch = |inner: &str| Fault::new(Code::BindingMismatch, "activation").because(inner);
        let id = URL_SAFE_NO_PAD.decode(&request.id).ok().and_then(|id| <[u8; 16]>::try_from(id).ok());
        let id = id.ok_or_else(|| mismatch("no identifier"))?;
        // It is gone from here on, whatever comes.
        let waiting = self.pending.take(&id, &provider, &step.caller);
        let waiting = waiting.ok_or_else(|| mismatch("no attempt of this caller waits"))?;
        let new = waiting.new;
        step.event = step
            .event
            .clone()
            .word(Field::Object, &new.machine)
            .word(Field::AttestationKey, &hex::encode(&new.ak_name))
            .word(Field::EndorsementKey, &hex::encode(new.ek))
            .word(Field::Anchor, &new.anchor);
        if now >= waiting.until {
            return Err(mismatch("it came too late"));
        }
        if !bool::from(waiting.secret.as_slice().ct_eq(request.secret.as_slice())) {
            return Err(mismatch("another secret"));
        }
        caller::still_there(&self.keystore, &provider, &request.caller, now)?;
        self.refuse_denied(step, &new.ek, &PublicArea::parse(&new.ak_public)?)?;
        let activated = Activated {
            machine: new.machine.clone(),
            ak_name: new.ak_name.clone(),
            anchor: new.anchor.clone(),
            expires: new.expires,
        };
        self.keystore.change(ChangeOrder {
            provider,
            change: Change::Enrol(Box::new(new)),
            author: step.caller.clone(),
            reason: REASON.to_owned(),
            if_match: IfMatch::Any,
            record: step.event.clone().word(Field::Decision, "permit").record(),
            repeat: None,
            dry_run: false,
            now,
        })?;
        Ok(activated)
    }

    /// What is on the deny list enrols nothing (TPM-38): the endorsement key, the attestation key by its name or its numbers.
    fn refuse_denied(&self, step: &Step, ek: &[u8; 32], ak: &PublicArea) -> Result<(), Fault> {
        let numbers = ak.spki_sha256().map(hex::encode);
        let attestation_key = numbers.into_iter().chain([hex::encode(ak.name())]).map(|name| format!("tpm-ak:{name}"));
        let names: Vec<String> = attestation_key.chain([format!("tpm-ek:{}", hex::encode(ek))]).collect();
        let names: Vec<[u8; 32]> = listed(&names, &[]).collect();
        match self.denied.holds(&self.keystore, step.seat.provider.id(), self.keystore.epoch()?, &names)? {
            true => Err(Fault::new(Code::Revoked, "deny-list")),
            false => Ok(()),
        }
    }
}

/// When a record ends: after its days, and never after what vouches for the endorsement key.
fn ends(now: UnixTime, days: u32, not_after: Option<UnixTime>) -> i64 {
    let whole = now.secs().saturating_add(i64::from(days) * 86_400);
    not_after.map_or(whole, |end| whole.min(end.secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_ends_with_its_days_or_with_the_certificate() {
        let now = UnixTime::from_secs(1_000_000);
        assert_eq!(ends(now, 2, None), 1_172_800);
        assert_eq!(ends(now, 2, Some(UnixTime::from_secs(1_172_801))), 1_172_800);
        assert_eq!(ends(now, 2, Some(UnixTime::from_secs(1_172_799))), 1_172_799);
    }
}
