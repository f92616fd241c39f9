//! One use of a key, from bytes to answer, in the order of the native door: evidence first, then everything about the key at once.
//!
//! `keyvault-api.md` sections 2, 3 and 5; `secure-key-release.md` sections 3 and 4; threat model P21, P25, P27. Nothing is retried in
//! the caller's name and nothing is kept for repeats: Key Vault has no name for a request.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::{KeystoreError, Look, Outcome, Sealing};
use keygate_policies::release::FreshnessShown;
use keygate_verifier::tokens::{Foreign, TokenBinding};
use keygate_verifier::{BoundKey, CollateralId, UnixTime};

use super::read::READERS;
use super::standing::{Bearing, CLEAR, Obstacle, stands};
use super::words::{RawInput, Target, VaultAnswer, VaultRefusal, VaultRequest, VaultUsage};
use crate::audit::{Event, Field, kind};
use crate::broker::Broker;
use crate::broker::appraise::{Held, Judgement, Shown};
use crate::broker::caller::Caller;
use crate::broker::challenge::{self, Live, correlation};
use crate::broker::decide::{Question, Terms, Times, Verdict, Version, authorize, sealed_to, spend_of, wrapping_for};
use crate::broker::error::{BrokerError, Code, Fault};
use crate::broker::foreign::result_of_foreign;
use crate::broker::pool::Permit;
use crate::broker::request::{Proof, Seat};
use crate::broker::turns::Turn;
use crate::broker::weigh::Weighed;
use crate::telemetry;

/// Times a decision is made, where the store moves meanwhile. Threat model P25.
const DECISIONS: usize = 3;

/// A turn fails as everywhere, and answers in this door's words.
type Answered = Result<VaultAnswer, VaultRefusal>;

/// One request on its way.
struct Passage {
    request: VaultRequest,
    digest: [u8; 32],
    correlation: String,
}

/// What was shown, and held.
struct Proven {
    shown: Shown,
    /// Of the key in the evidence: the name that its workload gave it, or its thumbprint.
    key_id: String,
    /// Whether it carries a nonce for this request, or is bound to it.
    fresh: bool,
}

/// What stands before the key is looked at.
enum Stage {
    Wants(Vec<CollateralId>, Box<Held>),
    Ready(Option<Box<Proven>>),
}

/// What one decision gave.
enum Decided {
    Answer(VaultAnswer),
    /// The store moved.
    Again,
    /// Everything holds but the nonce.
    Nonce,
}

struct Denied {
    event: Box<Event>,
    fault: Fault,
    told: bool,
    /// Whether the request does not fit the key.
    misfit: bool,
}

impl Broker {
    /// Whether a bearer is a token of a verifier whose tokens count at this provider, by what it says of itself.
    pub fn is_evidence(&self, seat: &Seat, bearer: &str) -> bool {
        self.identity.is_evidence(seat.provider.id().as_str(), seat.provider.issuer(), bearer)
    }

    /// Uses a key in Key Vault's manner.
    ///
    /// # Errors
    /// Any refusal.
    pub async fn use_vault_key(self: &Arc<Self>, request: VaultRequest) -> Result<VaultAnswer, VaultRefusal> {
        let passage = Arc::new(Passage { digest: request.digest(), correlation: correlation(), request });
        let (seat, correlation) = (&passage.request.seat, &passage.correlation);
        match (&passage.request.usage, &passage.request.bearer) {
            (VaultUsage::Release(input), _) => match &input.target {
                Target::Token(token) => self.prepare_evidence(seat, token).await,
                Target::Proof(proof) => self.prepare_proof(seat, proof).await,
            },
            (VaultUsage::Raw(_), Some(token)) => self.prepare_evidence(seat, token).await,
            (VaultUsage::Raw(_), None) => {}
        }
        if let (VaultUsage::Release(_), Some(token)) = (&passage.request.usage, &passage.request.bearer) {
            self.prepare_evidence(seat, token).await;
        }
        let turn =
            |broker: &Self, passage: &Passage, held, first, permit| broker.vault_turn(passage, held, first, permit);
        self.in_turns(seat, correlation, &passage, turn).await?
    }

    fn vault_turn(
        &self,
        passage: &Passage,
        held: Held,
        first: bool,
        permit: Permit,
    ) -> Result<Turn<Answered>, BrokerError> {
        match self.vault_prove(passage, held, first) {
            Err(fault) => Err(self.refuse_as(&passage.request.seat, &fault, &passage.correlation)),
            Ok((Stage::Wants(ids, held), _)) => Ok(Turn::Wants(ids, held)),
            Ok((Stage::Ready(proven), now)) => {
                drop(permit);
                Ok(Turn::Answered(self.decide_and_answer(passage, proven.as_deref(), now)))
            }
        }
    }

    /// Everything before the key is looked at.
    fn vault_prove(&self, passage: &Passage, mut held: Held, first: bool) -> Result<(Stage, UnixTime), Fault> {
        let request = &passage.request;
        let now = self.fit()?;
        let ready = |proven: Proven| (Stage::Ready(Some(Box::new(proven))), now);
        self.bearer_counts(request, first, now)?;
        match &request.usage {
            VaultUsage::Raw(input) => match &request.bearer {
                Some(token) => Ok(ready(self.prove_bearer(passage, token, now)?)),
                None => Ok((Stage::Ready(None), now)).and_then(|stage| entitled(request, input).map(|()| stage)),
            },
            VaultUsage::Release(input) => match &input.target {
                Target::Token(token) => Ok(ready(self.prove_target(&request.seat, token, now)?)),
                Target::Proof(proof) => match &**proof {
                    Proof::None => Err(Fault::new(Code::AuthRequired, "")),
                    Proof::Token(proof) => {
                        let shown = self.appraise_token(&request.seat, proof, &passage.digest, now)?;
                        let fresh = shown.freshness == FreshnessShown::Once;
                        let key_id = thumbprint(&proof.recipient);
                        Ok(ready(Proven { shown, key_id, fresh }))
                    }
                    Proof::Tokens(proof) => {
                        let shown = self.appraise_tokens(&request.seat, proof, &passage.digest, now)?;
                        Ok(ready(Proven { shown, key_id: thumbprint(&proof.recipient), fresh: true }))
                    }
                    Proof::Evidence(proof) => {
                        if first {
                            let provider = request.seat.provider.id();
                            challenge::check(&self.keystore, provider, &proof.challenge, now.secs())?;
                            held.add_library(&self.library.known(proof.kind));
                            held.add_request(&proof.endorsements)?;
                        }
                        Ok(match self.appraise_evidence(&request.seat, proof, &passage.digest, &held, now)? {
                            Judgement::Wants(ids) => (Stage::Wants(ids, Box::new(held)), now),
                            Judgement::Shown(shown) => {
                                ready(Proven { shown: *shown, key_id: thumbprint(&proof.recipient), fresh: true })
                            }
                        })
                    }
                },
            },
        }
    }

    /// Whether the token in the bearer's place of a release is one; where it is the target too it is judged as that.
    fn bearer_counts(&self, request: &VaultRequest, first: bool, now: UnixTime) -> Result<(), Fault> {
        let (VaultUsage::Release(input), Some(bearer), true) = (&request.usage, &request.bearer, first) else {
            return Ok(());
        };
        if matches!(&input.target, Target::Token(target) if target == bearer) {
            return Ok(());
        }
        match self.judge_foreign(&request.seat.provider, bearer, &TokenBinding::Unbound, now) {
            Some(Ok(_)) => Ok(()),
            Some(Err(fault)) if fault.code.retry_after().is_some() => Err(fault),
            Some(Err(fault)) => Err(Fault::new(Code::CredentialInvalid, "").because(fault.inner)),
            None => Err(Fault::new(Code::CredentialInvalid, "").because("the bearer is of nobody known here")),
        }
    }

    /// The token in `target`: it names the key that is to have the answer.
    fn prove_target(&self, seat: &Seat, token: &str, now: UnixTime) -> Result<Proven, Fault> {
        let unknown =
            || Fault::new(Code::TokenInvalid, "target").because("the token is of no verifier that counts here");
        let judged = self.judge_foreign(&seat.provider, token, &TokenBinding::Unbound, now).ok_or_else(unknown)?;
        let foreign = judged?;
        let mismatch = |why: &str| Fault::new(Code::BindingMismatch, "target").because(why);
        if matches!(foreign.bound_key(), BoundKey::Absent) {
            return Err(mismatch("the token vouches for no key of a workload"));
        }
        let key_id = foreign.key_id().ok_or_else(|| mismatch("the key in the token has no `kid`"))?.to_owned();
        let shown = shown_by(&foreign, FreshnessShown::IssuerOnly, None);
        Ok(Proven { shown, key_id, fresh: false })
    }

    /// The token in the bearer's place, with the nonce for this request if it carries one.
    fn prove_bearer(&self, passage: &Passage, token: &str, now: UnixTime) -> Result<Proven, Fault> {
        let seat = &passage.request.seat;
        let unknown =
            || Fault::new(Code::CredentialInvalid, "").because("the token is of no verifier that counts here");
        let judged = self.judge_foreign(&seat.provider, token, &TokenBinding::Unbound, now).ok_or_else(unknown)?;
        let foreign = judged.map_err(|fault| match fault.code {
            Code::TokenInvalid => Fault { code: Code::CredentialInvalid, ..fault },
            _ => fault,
        })?;
        if matches!(foreign.bound_key(), BoundKey::Absent) {
            let why = "the token vouches for no key of a workload";
            return Err(Fault::new(Code::BindingMismatch, "token").because(why));
        }
        let provider = seat.provider.id();
        let live = |text: &String| -> Option<([u8; 32], Live)> {
            let bytes: [u8; 32] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
            let request = Some(&passage.digest);
            Some((bytes, challenge::check_for(&self.keystore, provider, request, &bytes, now.secs()).ok()?))
        };
        let spent = foreign.workload_nonces().iter().find_map(live);
        // What the rule says is found as for a fresh token; whether it is fresh is asked behind it, of whoever met the rule.
        let key_id = foreign.key_id().unwrap_or_default().to_owned();
        let shown = shown_by(&foreign, FreshnessShown::Once, spent);
        Ok(Proven { shown, key_id, fresh: spent.is_some() })
    }

    fn decide_and_answer(
        &self,
        passage: &Passage,
        proven: Option<&Proven>,
        now: UnixTime,
    ) -> Result<VaultAnswer, VaultRefusal> {
        let (request, correlation) = (&passage.request, &passage.correlation);
        let draft = draft(passage, proven, now.secs());
        for round in 0..DECISIONS {
            if round > 0 {
                telemetry::decided_again();
            }
            match self.vault_decide(passage, proven, &draft, now) {
                Ok(Decided::Answer(answer)) => return Ok(answer),
                Ok(Decided::Again) => {}
                Ok(Decided::Nonce) => return Err(self.ask_for_nonce(passage, now)),
                Err(Denied { event, fault, told, misfit }) => {
                    match (proven, request.caller.name()) {
                        (Some(proven), _) => self.once_more(&request.seat, &proven.shown.result, correlation)?,
                        (None, Some(name)) => self.once_more_to(&request.seat, name, correlation)?,
                        (None, None) => {}
                    }
                    let option = (fault.part == CLEAR).then_some("clear").filter(|_| told);
                    let misfit = told && misfit;
                    let error = self.deny(*event, &fault, told, correlation);
                    return Err(VaultRefusal { option, misfit, ..error.into() });
                }
            }
        }
        let moved = Fault::new(Code::Overloaded, "").because("the store moved during three decisions");
        Err(self.deny(draft, &moved, true, correlation).into())
    }

    /// A challenge for this request alone; nothing is written for it.
    fn ask_for_nonce(&self, passage: &Passage, now: UnixTime) -> VaultRefusal {
        let seat = &passage.request.seat;
        let setup = seat.provider.setup();
        let request = Some(&passage.digest);
        let made = challenge::issue_for(&self.keystore, &setup.id, request, now.secs(), setup.challenge_seconds);
        match made {
            Err(fault) => self.refuse_as(seat, &fault, &passage.correlation).into(),
            Ok((bytes, _)) => {
                let stale = Fault::new(Code::FreshnessFailed, "the token must carry the nonce of this answer");
                let error = self.refuse_as(seat, &stale, &passage.correlation);
                VaultRefusal { nonce: Some(URL_SAFE_NO_PAD.encode(bytes)), ..error.into() }
            }
        }
    }

    /// One decision and its use.
    fn vault_decide(
        &self,
        passage: &Passage,
        proven: Option<&Proven>,
        draft: &Event,
        now: UnixTime,
    ) -> Result<Decided, Denied> {
        let request = &passage.request;
        let shown = proven.map(|proven| &proven.shown);
        let fail = |fault: Fault| Denied { event: Box::new(draft.clone()), fault, told: true, misfit: false };
        let version = request.key.version.map_or(Version::Newest, Version::Named);
        let look = self.look_at(request, version).map_err(fail)?;
        let wrapping = match (request.usage.wrapping(), shown.and_then(|shown| shown.result.recipient.as_ref())) {
            (Some(asked), Some(recipient)) => Some(wrapping_for(recipient, Some(asked)).map_err(fail)?),
            (asked, _) => asked,
        };
        let rules = request.usage.rules();
        let question = Question {
            seat: &request.seat,
            key: &request.key,
            caller: &request.caller,
            operation: request.usage.operation(),
            rules: &rules,
            wrapping,
            version,
            times: Times::LookBack,
        };
        let weighed = self.weigh(&question, shown, &look, draft, now.secs()).map_err(fail)?;
        let (target, seen) = match &weighed.judged.verdict {
            Verdict::Permit { target, seen } => (target.clone(), *seen),
            Verdict::Deny { fault, told } => {
                let event = Box::new(weighed.denial());
                return Err(Denied { event, fault: fault.clone(), told: *told, misfit: false });
            }
        };
        if let VaultUsage::Raw(input) = &request.usage {
            let fresh = proven.is_some_and(|proven| proven.fresh);
            let bearing = Bearing { caller: &request.caller, attested: shown.is_some(), fresh };
            match stands(input, &weighed.judged.rules, &request.key, &bearing) {
                Ok(()) => {}
                Err(Obstacle::Nonce) => return Ok(Decided::Nonce),
                Err(Obstacle::Refused(fault)) => {
                    // Who met the rule, or may know the key, is told which option it is.
                    let met = weighed.judged.decision.as_ref().is_some_and(|decision| decision.permit);
                    let told = met || request.caller.may_know(&request.key.name);
                    return Err(Denied { event: Box::new(weighed.with_tests()), fault, told, misfit: false });
                }
            }
        }
        let permit = weighed.with_tests();
        let permit = permit.word(Field::Decision, "permit").word(Field::KeyVersion, &target.version.to_string());
        let Weighed { judged, machine, event, .. } = weighed;
        let refused = |fault: Fault, told| Denied { event: Box::new(event.clone()), fault, told, misfit: false };
        let (usage, sealing) = match (&request.usage, shown, wrapping) {
            (VaultUsage::Raw(input), _, _) => (input.to_use(), sealing_of(input)),
            (VaultUsage::Release(_), Some(shown), Some(wrapping)) => {
                let sealing = sealed_to(shown, wrapping).map_err(|fault| refused(fault, true))?;
                (keygate_keystore::Use::Release, sealing)
            }
            _ => return Err(refused(Fault::new(Code::AuthRequired, ""), true)),
        };
        let (spend, record) = (spend_of(shown), permit.record());
        let terms = Terms { sealing, spend, record, repeat: None, times: Times::LookBack };
        let order = authorize((target.clone(), seen), usage, terms, now.secs());
        let order = order.having_read(look.read).of_machine(machine);
        match self.keystore.perform(order) {
            Ok(performed) => {
                let answer = match (&request.usage, proven, &look.key) {
                    (VaultUsage::Release(input), Some(proven), Some(view)) => {
                        let parts = (input, proven.key_id.as_str(), view, target.version);
                        self.release_answer(request, parts, &performed.outcome, now.secs()).map(VaultAnswer::Released)
                    }
                    (VaultUsage::Raw(_), ..) => performed_answer(request, performed.clear, &performed.outcome),
                    _ => Err(Fault::new(Code::AuthRequired, "")),
                };
                answer.map(Decided::Answer).map_err(|fault| refused(fault, true))
            }
            Err(KeystoreError::EpochMoved) => Ok(Decided::Again),
            Err(
                error @ (KeystoreError::KeyNotFound
                | KeystoreError::KeyState(_)
                | KeystoreError::OperationNotAllowed(_)),
            ) => {
                // What does not fit the key may be told to whoever may use it.
                let met = judged.decision.as_ref().is_none_or(|decision| decision.permit);
                let told = met || request.caller.may_know(&request.key.name);
                let misfit = matches!(error, KeystoreError::OperationNotAllowed(_));
                Err(Denied { misfit, ..refused(error.into(), told) })
            }
            Err(error) => Err(refused(error.into(), true)),
        }
    }

    fn look_at(&self, request: &VaultRequest, version: Version) -> Result<Look, Fault> {
        let provider = request.seat.provider.id();
        Ok(match version {
            Version::Newest => self.keystore.look_newest(provider, &request.key.name)?,
            _ => self.keystore.look_version(provider, &request.key.name, version.wanted().as_ref())?,
        })
    }
}

/// What a good token shows for the key in it.
fn shown_by(foreign: &Foreign, freshness: FreshnessShown, challenge: Option<([u8; 32], Live)>) -> Shown {
    let until = challenge.map_or(foreign.not_after().secs(), |(_, live)| live.expires_at);
    Shown { result: result_of_foreign(foreign), standing: None, under: None, freshness, challenge, until }
}

/// Whether the caller's roles are enough to be served without evidence, as far as roles go; nothing is looked at for it.
fn entitled(request: &VaultRequest, input: &RawInput) -> Result<(), Fault> {
    use keygate_keystore::Operation;
    match &request.caller {
        Caller::Anonymous => Err(Fault::new(Code::AuthRequired, "")),
        known if input.operation == Operation::Verify && known.has_for(&READERS, &request.key.name) => Ok(()),
        known if known.has_for(&["key-user"], &request.key.name) => Ok(()),
        Caller::Known { .. } => Err(Fault::new(Code::Forbidden, "")),
    }
}

fn sealing_of(input: &RawInput) -> Sealing {
    use keygate_keystore::Operation;
    match input.operation {
        Operation::Encrypt | Operation::Wrap | Operation::Verify => Sealing::NotSealed,
        _ => Sealing::Clear,
    }
}

fn performed_answer(
    request: &VaultRequest,
    clear: Option<zeroize::Zeroizing<Vec<u8>>>,
    outcome: &Outcome,
) -> Result<VaultAnswer, Fault> {
    let damaged = || Fault::new(Code::DependencyUnavailable, "").because("an outcome lacks what was asked for");
    if let Some(valid) = outcome.valid {
        return Ok(VaultAnswer::Verified(valid));
    }
    let value = match (clear, &outcome.ciphertext) {
        (Some(clear), _) => clear,
        (None, Some(text)) => zeroize::Zeroizing::new(URL_SAFE_NO_PAD.decode(text).map_err(|_| damaged())?),
        (None, None) => return Err(damaged()),
    };
    let kid = super::bundle::versioned(&request.url, &outcome.kid).ok_or_else(damaged)?;
    Ok(VaultAnswer::Performed { kid, value, iv: outcome.iv.clone(), tag: outcome.tag.clone() })
}

fn thumbprint(key: &keygate_verifier::RecipientKey) -> String {
    URL_SAFE_NO_PAD.encode(key.thumbprint())
}

/// The record of a use, as far as it is known before the key is looked at.
fn draft(passage: &Passage, proven: Option<&Proven>, now: i64) -> Event {
    let Passage { request, digest, correlation } = passage;
    let mut event = Event::new(kind::USE, request.seat.provider.id(), now)
        .word(Field::Op, request.usage.operation().as_str())
        .word(Field::Door, "key-vault")
        .word(Field::Key, request.key.name.as_str())
        .word(Field::Source, &request.seat.source_prefix())
        .word(Field::Correlation, correlation)
        .digest(Field::Request, digest);
    if let Some(name) = request.caller.name() {
        event = event.word(Field::Caller, name);
    }
    if let Some(wrapping) = request.usage.wrapping() {
        event = event.word(Field::Wrapping, wrapping.as_str());
    }
    let Some(Proven { shown, fresh, .. }) = proven else { return event };
    if let Some(recipient) = &shown.result.recipient {
        event = event.digest(Field::Recipient, &recipient.thumbprint());
    }
    let freshness = match shown.freshness {
        FreshnessShown::Session { .. } => "session",
        _ if *fresh => "once",
        _ => "issuer",
    };
    event
        .digest(Field::Evidence, &shown.result.evidence_digest)
        .word(Field::Freshness, freshness)
        .claims(&shown.result.recorded())
}
