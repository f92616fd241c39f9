//! One use of a key, from bytes to answer.
//!
//! `architecture.md` section 8; `native-api.md` sections 3 to 5. Rounds that miss endorsements go back to the asynchronous side for
//! them; everything else is one piece of work on one thread: judge the evidence, then look at the key, decide, use it, sign.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::{Entry, KeystoreError, Outcome, RepeatKey, Repeated, StoredAnswer, Wrapping};
use keygate_policies::canonical;
use keygate_policies::release::FreshnessShown;
use keygate_verifier::{CollateralId, RecipientKey, UnixTime};
use serde_json::{Map, Value, json};

use super::Broker;
use super::appraise::{Held, Judgement, Shown};
use super::challenge::{self, correlation};
use super::decide::{
    Question, Terms, Times, Verdict, authorize, sealing_of, spend_of, use_of, version_of, wrapping_for,
};
use super::error::{BrokerError, Code, Fault};
use super::pool::Permit;
use super::request::{Answer, IdempotencyKey, KeyRequest, Proof, Seat, Usage};
use super::turns::Turn;
use super::weigh::Weighed;
use crate::audit::{Event, Field, kind};
use crate::result::Receipt;
use crate::telemetry;

/// Times a decision is made, where the store moves meanwhile. Threat model P25.
const DECISIONS: usize = 3;

/// One request on its way: what stays the same over its turns.
struct Passage {
    request: KeyRequest,
    digest: [u8; 32],
    correlation: String,
}

impl Broker {
    /// Uses a key for whoever proves what it is.
    ///
    /// # Errors
    /// Any refusal. What a caller learns of keys is one answer, see `native-api.md` section 3.
    pub async fn use_key(self: &Arc<Self>, request: KeyRequest) -> Result<Answer, BrokerError> {
        let passage = Arc::new(Passage { digest: request.digest(), correlation: correlation(), request });
        let (seat, correlation) = (&passage.request.seat, &passage.correlation);
        self.prepare_proof(seat, &passage.request.proof).await;
        let turn = |broker: &Self, passage: &Passage, held, first, permit| broker.turn(passage, held, first, permit);
        self.in_turns(seat, correlation, &passage, turn).await
    }

    /// Looks for the keys of verifiers whose tokens are shown.
    pub(super) async fn prepare_proof(&self, seat: &Seat, proof: &Proof) {
        match proof {
            Proof::None => {}
            Proof::Token(proof) => self.prepare_evidence(seat, &proof.token).await,
            Proof::Evidence(proof) => self.prepare_parts(seat, &proof.challenge, proof.beside.as_ref()).await,
            Proof::Tokens(proof) => self.prepare_parts(seat, &proof.challenge, Some(&proof.tokens)).await,
        }
    }

    fn turn(&self, passage: &Passage, held: Held, first: bool, permit: Permit) -> Result<Turn<Answer>, BrokerError> {
        let proven = self.prove(passage, held, first).or_else(|fault| self.answered_meanwhile(passage, fault));
        match proven {
            Err(fault) => Err(self.refuse_as(&passage.request.seat, &fault, &passage.correlation)),
            Ok(Proven::Kept(stored)) => self.repeat_use(passage, &stored).map(Turn::Answered),
            Ok(Proven::Wants(ids, held)) => Ok(Turn::Wants(ids, Box::new(held))),
            Ok(Proven::Shown(shown, wrapping, now)) => {
                drop(permit);
                self.decide_and_use(passage, shown.as_deref(), wrapping, now).map(Turn::Answered)
            }
        }
    }

    /// Where the same request spent the challenge between our two questions, its answer is there by now.
    fn answered_meanwhile(&self, passage: &Passage, fault: Fault) -> Result<Proven, Fault> {
        if fault.code != Code::FreshnessFailed {
            return Err(fault);
        }
        let kept = self.kept_answer(passage.request.seat.provider.id(), &passage.request, self.fit()?)?;
        kept.map(Proven::Kept).ok_or(fault)
    }

    /// Everything before the key is looked at.
    fn prove(&self, passage: &Passage, mut held: Held, first: bool) -> Result<Proven, Fault> {
        let request = &passage.request;
        let now = self.fit()?;
        if first && let Some(stored) = self.kept_answer(request.seat.provider.id(), request, now)? {
            return Ok(Proven::Kept(stored));
        }
        let wrapping = |recipient: &RecipientKey| match request.usage {
            Usage::Wrap { .. } => Ok(None),
            _ => wrapping_for(recipient, request.wrapping).map(Some),
        };
        match &request.proof {
            Proof::None => match (&request.usage, request.caller.name()) {
                (Usage::Wrap { .. }, Some(_)) if request.caller.has_for(&["key-user"], &request.key.name) => {
                    Ok(Proven::Shown(None, None, now))
                }
                (Usage::Wrap { .. }, Some(_)) => Err(Fault::new(Code::Forbidden, "")),
                _ => Err(Fault::new(Code::AuthRequired, "")),
            },
            Proof::Token(proof) => {
                let wrapping = wrapping(&proof.recipient)?;
                Ok(Proven::Shown(
                    Some(Box::new(self.appraise_token(&request.seat, proof, &passage.digest, now)?)),
                    wrapping,
                    now,
                ))
            }
            Proof::Tokens(proof) => {
                let wrapping = wrapping(&proof.recipient)?;
                let shown = self.appraise_tokens(&request.seat, proof, &passage.digest, now)?;
                Ok(Proven::Shown(Some(Box::new(shown)), wrapping, now))
            }
            Proof::Evidence(proof) => {
                let wrapping = wrapping(&proof.recipient)?;
                if first {
                    // Nothing is copied or parsed for a challenge that is not live.
                    challenge::check(&self.keystore, request.seat.provider.id(), &proof.challenge, now.secs())?;
                    held.add_library(&self.library.known(proof.kind));
                    held.add_request(&proof.endorsements)?;
                }
                Ok(match self.appraise_evidence(&request.seat, proof, &passage.digest, &held, now)? {
                    Judgement::Wants(ids) => Proven::Wants(ids, held),
                    Judgement::Shown(shown) => Proven::Shown(Some(shown), wrapping, now),
                })
            }
        }
    }

    fn decide_and_use(
        &self,
        passage: &Passage,
        shown: Option<&Shown>,
        wrapping: Option<Wrapping>,
        now: UnixTime,
    ) -> Result<Answer, BrokerError> {
        let correlation = &passage.correlation;
        let draft = draft(passage, shown, wrapping, now.secs());
        for round in 0..DECISIONS {
            if round > 0 {
                telemetry::decided_again();
            }
            match self.decide_once(passage, shown, wrapping, &draft, now) {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => {}
                Err(Denied { event, fault, told }) => {
                    let seat = &passage.request.seat;
                    if let Some(shown) = shown {
                        self.once_more(seat, &shown.result, correlation)?;
                    }
                    return Err(self.deny(*event, &fault, told, correlation));
                }
            }
        }
        let moved = Fault::new(Code::Overloaded, "").because("the store moved during three decisions");
        Err(self.deny(draft, &moved, true, correlation))
    }

    /// One decision and its use. None: the store moved, decide again.
    fn decide_once(
        &self,
        passage: &Passage,
        shown: Option<&Shown>,
        wrapping: Option<Wrapping>,
        draft: &Event,
        now: UnixTime,
    ) -> Result<Option<Answer>, Denied> {
        let request = &passage.request;
        let provider = request.seat.provider.id();
        let fail = |fault: Fault| Denied { event: Box::new(draft.clone()), fault, told: true };
        let version = version_of(request);
        let look = self.keystore.look_version(provider, &request.key.name, version.wanted().as_ref());
        let look = look.map_err(|e| fail(e.into()))?;
        let operation = request.usage.operation();
        let question = Question {
            seat: &request.seat,
            key: &request.key,
            caller: &request.caller,
            operation,
            rules: &[operation.as_str()],
            wrapping,
            version,
            times: Times::Kept,
        };
        let weighed = self.weigh(&question, shown, &look, draft, now.secs()).map_err(fail)?;
        let (target, seen) = match &weighed.judged.verdict {
            Verdict::Permit { target, seen } => (target.clone(), *seen),
            Verdict::Deny { fault, told } => {
                return Err(Denied { event: Box::new(weighed.denial()), fault: fault.clone(), told: *told });
            }
        };
        let permit = weighed.with_tests();
        let permit = permit.word(Field::Decision, "permit").word(Field::KeyVersion, &target.version.to_string());
        let Weighed { judged, appraised, machine, event, .. } = weighed;
        let until = shown.map_or(now.secs() + 300, |shown| shown.until);
        let repeat = request.idempotency.as_ref().map(|key| repeat_key(request.caller.name(), key, until));
        let refused = |fault: Fault, told| Denied { event: Box::new(event.clone()), fault, told };
        let sealing = sealing_of(&request.usage, shown, wrapping).map_err(|fault| refused(fault, true))?;
        let terms = Terms { sealing, spend: spend_of(shown), record: permit.record(), repeat, times: Times::Kept };
        let order = authorize((target, seen), use_of(&request.usage), terms, now.secs());
        let order = order.having_read(look.read).of_machine(machine);
        match self.keystore.perform(order) {
            Ok(performed) => {
                let policy_digest = appraised.as_ref().map(|appraised| appraised.policy.digest);
                let context = Context { rule_digest: Some(judged.rules.digest()), policy_digest, ..Context::of(shown) };
                if performed.repeat {
                    let body = serde_json::to_vec(&performed.outcome).unwrap_or_default();
                    let stored = StoredAnswer { body, entry: performed.entry };
                    // Somebody asked the same at the same time; its record is the one that counts.
                    return self.answer_again(passage, &stored).map(Some).map_err(|fault| refused(fault, true));
                }
                let answer = self.answer(passage, &performed.outcome, performed.entry, &context);
                answer.map(Some).map_err(|fault| refused(fault, true))
            }
            Err(KeystoreError::EpochMoved) => Ok(None),
            Err(
                error @ (KeystoreError::KeyNotFound
                | KeystoreError::KeyState(_)
                | KeystoreError::OperationNotAllowed(_)),
            ) => Err(refused(error.into(), request.caller.may_know(&request.key.name))),
            Err(error) => Err(refused(error.into(), true)),
        }
    }

    /// The answer with its receipt.
    fn answer(&self, passage: &Passage, outcome: &Outcome, entry: Entry, context: &Context) -> Result<Answer, Fault> {
        let request = &passage.request;
        let mut body = body_of(&request.usage, outcome)?;
        let (Some(recipient), Some(evidence_digest)) = (context.recipient, context.evidence_digest) else {
            return Ok(Answer { body });
        };
        if matches!(request.usage, Usage::Wrap { .. }) {
            return Ok(Answer { body });
        }
        let missing = || Fault::new(Code::StoreCorrupt, "").because("no receipt key");
        let (key, header) = request.seat.provider.signers().receipt().ok_or_else(missing)?;
        let receipt = Receipt {
            issuer: request.seat.provider.issuer(),
            issued: entry.at,
            entry: entry.seq,
            entry_hash: entry.hash,
            operation: request.usage.operation().as_str(),
            kid: &outcome.kid,
            challenge: challenge_of(&request.proof),
            request_id: request.idempotency.as_ref().map(|id| id.key.as_str()),
            recipient,
            request: passage.digest,
            answer: canonical::object_digest(&body),
            rule_digest: context.rule_digest.ok_or_else(missing)?,
            policy_digest: context.policy_digest,
            evidence_digest,
        };
        body.insert("receipt".into(), json!(receipt.sign(key, header)?));
        Ok(Answer { body })
    }

    fn kept_answer(
        &self,
        provider: &keygate_keystore::ProviderId,
        request: &KeyRequest,
        now: UnixTime,
    ) -> Result<Option<StoredAnswer>, Fault> {
        let Some(id) = &request.idempotency else { return Ok(None) };
        self.kept(provider, request.caller.name(), id, now)
    }

    /// The answer that is kept for this idempotency key, if any.
    pub(crate) fn kept(
        &self,
        provider: &keygate_keystore::ProviderId,
        caller: Option<&str>,
        id: &IdempotencyKey,
        now: UnixTime,
    ) -> Result<Option<StoredAnswer>, Fault> {
        let name = repeat_key(caller, id, 0).key;
        match self.keystore.repeat(provider, &name, &id.digest, now.secs())? {
            Repeated::New => Ok(None),
            Repeated::Answer(stored) => Ok(Some(stored)),
            Repeated::OtherBody => Err(Fault::new(Code::Conflict, "idempotency-key")),
        }
    }

    /// The kept answer once more: the same sealed bytes, recorded as a repeat, with a receipt for the first entry.
    fn repeat_use(&self, passage: &Passage, stored: &StoredAnswer) -> Result<Answer, BrokerError> {
        let again = self.answer_again(passage, stored);
        again.map_err(|fault| self.refuse_as(&passage.request.seat, &fault, &passage.correlation))
    }

    fn answer_again(&self, passage: &Passage, stored: &StoredAnswer) -> Result<Answer, Fault> {
        let request = &passage.request;
        let damaged = || Fault::new(Code::StoreCorrupt, "").because("a kept answer does not parse");
        let outcome: Outcome = serde_json::from_slice(&stored.body).map_err(|_| damaged())?;
        let provider = request.seat.provider.id();
        let first = self.keystore.entries(Some(provider), stored.entry.seq, 1)?;
        let first = first.into_iter().find(|entry| entry.seq == stored.entry.seq).ok_or_else(damaged)?;
        let body: Value = serde_json::from_str(&first.body).map_err(|_| damaged())?;
        let record = Event::new(kind::REPEAT, provider, self.fit()?.secs())
            .word(Field::Op, request.usage.operation().as_str())
            .word(Field::Key, request.key.name.as_str())
            .word(Field::Source, &request.seat.source_prefix())
            .word(Field::Correlation, &passage.correlation)
            .number(Field::OfEntry, stored.entry.seq)
            .record();
        self.keystore.record_within_reserve(record)?;
        self.answer(passage, &outcome, stored.entry, &Context::recorded(&body, &request.proof))
    }
}

/// What stands before the key is looked at.
enum Proven {
    /// This was asked before.
    Kept(StoredAnswer),
    /// Endorsements are missing.
    Wants(Vec<CollateralId>, Held),
    /// Evidence held, or a role stands for it.
    Shown(Option<Box<Shown>>, Option<Wrapping>, UnixTime),
}

/// A refusal that is recorded by itself.
struct Denied {
    event: Box<Event>,
    fault: Fault,
    told: bool,
}

/// What a receipt says beside the request.
#[derive(Default)]
struct Context {
    recipient: Option<[u8; 32]>,
    rule_digest: Option<[u8; 32]>,
    policy_digest: Option<[u8; 32]>,
    evidence_digest: Option<[u8; 32]>,
}

impl Context {
    fn of(shown: Option<&Shown>) -> Self {
        shown.map_or_else(Self::default, |shown| Self {
            recipient: shown.result.recipient.as_ref().map(RecipientKey::thumbprint),
            rule_digest: None,
            policy_digest: None,
            evidence_digest: Some(shown.result.evidence_digest),
        })
    }

    /// From the record of the first answer.
    fn recorded(body: &Value, proof: &Proof) -> Self {
        let digest = |field: Field| {
            let text = body.get(field.as_str())?.as_str()?;
            URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
        };
        Self {
            recipient: recipient_of(proof).map(RecipientKey::thumbprint),
            rule_digest: digest(Field::Rule),
            policy_digest: digest(Field::Policy),
            evidence_digest: digest(Field::Evidence),
        }
    }
}

/// The members of an answer without its receipt.
fn body_of(usage: &Usage, outcome: &Outcome) -> Result<Map<String, Value>, Fault> {
    let mut body = Map::new();
    match usage {
        Usage::Release => {
            let mut key = outcome.public.clone().unwrap_or_default();
            key.entry("kty").or_insert_with(|| json!("oct"));
            key.insert("kid".into(), json!(outcome.kid));
            body.insert("key".into(), Value::Object(key));
        }
        Usage::Unwrap { .. } => drop(body.insert("kid".into(), json!(outcome.kid))),
        Usage::Generate { alg, .. } | Usage::Sign { alg, .. } | Usage::Wrap { alg, .. } => {
            body.insert("kid".into(), json!(outcome.kid));
            body.insert("alg".into(), json!(alg));
        }
    }
    if matches!(usage, Usage::Generate { .. } | Usage::Wrap { .. }) {
        body.insert("ciphertext".into(), json!(outcome.ciphertext));
    }
    if let Some(wrapped) = &outcome.wrapped {
        let failed = |_| Fault::new(Code::DependencyUnavailable, "").because("an answer does not serialise");
        body.insert("wrapped".into(), serde_json::to_value(wrapped).map_err(failed)?);
    }
    Ok(body)
}

/// The record of a use, as far as it is known before the key is looked at.
fn draft(passage: &Passage, shown: Option<&Shown>, wrapping: Option<Wrapping>, now: i64) -> Event {
    let Passage { request, digest, correlation } = passage;
    let mut event = Event::new(kind::USE, request.seat.provider.id(), now)
        .word(Field::Op, request.usage.operation().as_str())
        .word(Field::Key, request.key.name.as_str())
        .word(Field::Source, &request.seat.source_prefix())
        .word(Field::Correlation, correlation)
        .digest(Field::Request, digest);
    if let Some(name) = request.caller.name() {
        event = event.word(Field::Caller, name);
    }
    if let Some(id) = &request.idempotency {
        event = event.hidden(Field::RequestId, id.key.as_bytes());
    }
    if let Some(wrapping) = wrapping {
        event = event.word(Field::Wrapping, wrapping.as_str());
    }
    if let Some(recipient) = shown.and_then(|shown| shown.result.recipient.as_ref()) {
        event = event.digest(Field::Recipient, &recipient.thumbprint());
    }
    match shown {
        None => event,
        Some(shown) => event
            .digest(Field::Evidence, &shown.result.evidence_digest)
            .word(Field::Freshness, freshness(shown.freshness))
            .claims(&shown.result.recorded()),
    }
}

fn freshness(shown: FreshnessShown) -> &'static str {
    match shown {
        FreshnessShown::Once => "once",
        FreshnessShown::Session { .. } => "session",
        FreshnessShown::IssuerOnly => "issuer",
    }
}

fn challenge_of(proof: &Proof) -> Option<[u8; 32]> {
    match proof {
        Proof::None => None,
        Proof::Evidence(proof) => Some(proof.challenge),
        Proof::Token(proof) => proof.challenge,
        Proof::Tokens(proof) => Some(proof.challenge),
    }
}

fn recipient_of(proof: &Proof) -> Option<&RecipientKey> {
    match proof {
        Proof::None => None,
        Proof::Evidence(proof) => Some(&proof.recipient),
        Proof::Token(proof) => Some(&proof.recipient),
        Proof::Tokens(proof) => Some(&proof.recipient),
    }
}

/// The name under which an answer is kept: no caller meets the key of another.
pub(crate) fn repeat_key(caller: Option<&str>, id: &IdempotencyKey, until: i64) -> RepeatKey {
    let key = match caller {
        None => format!("workload:{}", id.key),
        Some(name) => format!("credential:{}:{}", hex::encode(&openssl::sha::sha256(name.as_bytes())[..8]), id.key),
    };
    RepeatKey { key, body_digest: id.digest, until }
}
