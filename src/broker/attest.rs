//! Evidence to a token of ours, without a key.
//!
//! `native-api.md` sections 3 (`POST /v1/attestations`) and 5. The commit that spends the challenge stores the token's identifier; the
//! token is handed out only after it.

use std::sync::Arc;

use keygate_keystore::{AttestOrder, Spend, StoredAnswer};
use keygate_verifier::UnixTime;
use serde_json::{Map, Value, json};

use super::Broker;
use super::appraise::{Held, Judgement, Shown};
use super::challenge::{self, correlation, draw};
use super::error::{BrokerError, Code, Fault};
use super::pool::Permit;
use super::request::{AttestAnswer, AttestRequest};
use super::turns::Turn;
use super::use_key::repeat_key;
use crate::audit::{Event, Field, kind};
use crate::result::{Appraised, AttestationResult, NewToken, token};

/// Longest answer that is kept for repeats, in bytes.
const LONGEST_KEPT: usize = 256 * 1_024;

/// One attestation on its way.
struct Passage {
    request: AttestRequest,
    digest: [u8; 32],
    correlation: String,
}

impl Broker {
    /// Judges evidence and issues a token for it.
    ///
    /// # Errors
    /// Any refusal; the code is about the caller's own evidence.
    pub async fn attest(self: &Arc<Self>, request: AttestRequest) -> Result<AttestAnswer, BrokerError> {
        let passage = Arc::new(Passage { digest: request.digest(), correlation: correlation(), request });
        let (seat, correlation) = (&passage.request.seat, &passage.correlation);
        let evidence = &passage.request.evidence;
        self.prepare_parts(seat, &evidence.challenge, evidence.beside.as_ref()).await;
        let turn =
            |broker: &Self, passage: &Passage, held, first, permit| broker.attest_turn(passage, held, first, permit);
        self.in_turns(seat, correlation, &passage, turn).await
    }

    fn attest_turn(
        &self,
        passage: &Passage,
        mut held: Held,
        first: bool,
        permit: Permit,
    ) -> Result<Turn<AttestAnswer>, BrokerError> {
        let request = &passage.request;
        let refuse = |fault: Fault| self.refuse_as(&request.seat, &fault, &passage.correlation);
        let now = self.fit().map_err(refuse)?;
        if first && let Some(stored) = self.kept_attestation(request, now).map_err(refuse)? {
            return self.attested_again(passage, &stored).map(Turn::Answered).map_err(refuse);
        }
        let appraised = match first {
            true => self.gather(request, &mut held, now),
            false => Ok(()),
        }
        .and_then(|()| self.appraise_evidence(&request.seat, &request.evidence, &passage.digest, &held, now));
        let shown = match appraised {
            Ok(Judgement::Wants(ids)) => return Ok(Turn::Wants(ids, Box::new(held))),
            Ok(Judgement::Shown(shown)) => shown,
            Err(fault) => {
                // The same request may have spent the challenge between our two questions.
                let kept = (fault.code == Code::FreshnessFailed).then(|| self.kept_attestation(request, now));
                return match kept.transpose().map_err(refuse)?.flatten() {
                    Some(stored) => self.attested_again(passage, &stored).map(Turn::Answered).map_err(refuse),
                    None => Err(refuse(fault)),
                };
            }
        };
        drop(permit);
        let event = draft(passage, &shown, now.secs());
        let mut issued = self.issue(passage, &shown, &event, now);
        let lost = issued.as_ref().is_err_and(|fault| matches!(fault.code, Code::Conflict | Code::FreshnessFailed));
        if lost && let Some(stored) = self.kept_attestation(request, now).map_err(refuse)? {
            // The same was asked at the same time, and that one was first.
            issued = self.attested_again(passage, &stored);
        }
        issued.map(Turn::Answered).map_err(|fault| {
            match self.once_more(&request.seat, &shown.result, &passage.correlation) {
                Ok(()) => self.deny(event, &fault, true, &passage.correlation),
                Err(often) => often,
            }
        })
    }

    /// What is held and what was sent, once the challenge is known to be live.
    fn gather(&self, request: &AttestRequest, held: &mut Held, now: UnixTime) -> Result<(), Fault> {
        let evidence = &request.evidence;
        challenge::check(&self.keystore, request.seat.provider.id(), &evidence.challenge, now.secs())?;
        held.add_library(&self.library.known(evidence.kind));
        held.add_request(&evidence.endorsements)
    }

    fn kept_attestation(&self, request: &AttestRequest, now: UnixTime) -> Result<Option<StoredAnswer>, Fault> {
        let Some(id) = &request.idempotency else { return Ok(None) };
        self.kept(request.seat.provider.id(), request.caller.name(), id, now)
    }

    fn issue(&self, passage: &Passage, shown: &Shown, event: &Event, now: UnixTime) -> Result<AttestAnswer, Fault> {
        let request = &passage.request;
        let provider = &request.seat.provider;
        let epoch = self.keystore.epoch()?;
        if self.denied.holds(&self.keystore, provider.id(), epoch, &shown.result.identities)? {
            return Err(Fault::new(Code::Revoked, "deny-list"));
        }
        let machine = self.still_standing(provider.id(), &shown.result, shown.standing.as_ref(), now.secs())?;
        let appraised = self.under_policy(&request.seat, shown, epoch, now.secs())?;
        let appraised = appraised.ok_or_else(|| Fault::new(Code::PolicyDenied, "attestation-policy"))?;
        let event = &event.clone().digest(Field::Policy, &appraised.policy.digest);
        let (_, live) = shown.challenge.ok_or_else(|| Fault::new(Code::FreshnessFailed, "challenge"))?;
        let life = i64::from(provider.setup().token_seconds);
        let expires_at = now.plus(life).min(shown.result.not_after).secs();
        let jti = hex::encode(draw::<16>()?);
        let new = NewToken {
            issuer: provider.issuer(),
            audience: request.audience.as_deref().unwrap_or(provider.issuer()),
            issued: now.secs(),
            expires: expires_at,
            jti: &jti,
        };
        let missing = || Fault::new(Code::StoreCorrupt, "").because("no token key");
        let key = provider.signers().tokens().last().ok_or_else(missing)?;
        let answer = AttestAnswer {
            token: token::issue(key, &new, &shown.result, &appraised)?,
            claims: attested_claims(&shown.result, provider.issuer(), &appraised),
            presented: shown.result.presented.clone(),
            expires_at,
        };
        let kept = kept_form(&answer);
        if answer.token.len() > token::LONGEST || kept.len() > LONGEST_KEPT {
            return Err(Fault::new(Code::TooLarge, "the token would be too long: bind less data"));
        }
        let record = event.clone().word(Field::Decision, "permit").hidden(Field::Jti, jti.as_bytes()).record();
        let repeat = request.idempotency.as_ref().map(|id| repeat_key(request.caller.name(), id, live.expires_at));
        self.keystore.attested(AttestOrder {
            spend: Spend::Challenge { digest: live.digest, until: live.expires_at },
            jti,
            jti_until: expires_at,
            record,
            repeat,
            machine,
            answer: kept,
            now: now.secs(),
        })?;
        Ok(answer)
    }

    fn attested_again(&self, passage: &Passage, stored: &StoredAnswer) -> Result<AttestAnswer, Fault> {
        let damaged = || Fault::new(Code::StoreCorrupt, "").because("a kept answer does not parse");
        let answer = read_kept(&stored.body).ok_or_else(damaged)?;
        let request = &passage.request;
        let record = Event::new(kind::REPEAT, request.seat.provider.id(), self.fit()?.secs())
            .word(Field::Op, "attest")
            .word(Field::Source, &request.seat.source_prefix())
            .word(Field::Correlation, &passage.correlation)
            .number(Field::OfEntry, stored.entry.seq)
            .record();
        self.keystore.record_within_reserve(record)?;
        Ok(answer)
    }
}

fn draft(passage: &Passage, shown: &Shown, now: i64) -> Event {
    let Passage { request, digest, correlation } = passage;
    let mut event = Event::new(kind::ATTESTATION, request.seat.provider.id(), now)
        .word(Field::Op, "attest")
        .word(Field::Source, &request.seat.source_prefix())
        .word(Field::Correlation, correlation)
        .digest(Field::Request, digest)
        .digest(Field::Evidence, &shown.result.evidence_digest)
        .claims(&shown.result.recorded());
    if let Some(recipient) = &shown.result.recipient {
        event = event.digest(Field::Recipient, &recipient.thumbprint());
    }
    if let Some(audience) = &request.audience {
        event = event.hidden(Field::Audience, audience.as_bytes());
    }
    match request.caller.name() {
        Some(name) => event.word(Field::Caller, name),
        None => event,
    }
}

/// What a rule sees of this result, but for what the workload presented and the issuer.
fn attested_claims(result: &AttestationResult, issuer: &str, appraised: &Appraised) -> Map<String, Value> {
    let mut claims = result.claims(issuer, appraised);
    claims.remove("iss");
    for name in result.presented.keys() {
        claims.remove(name);
    }
    claims
}

fn kept_form(answer: &AttestAnswer) -> Vec<u8> {
    let kept = json!({
        "token": answer.token, "claims": answer.claims, "presented": answer.presented, "expires_at": answer.expires_at,
    });
    kept.to_string().into_bytes()
}

fn read_kept(body: &[u8]) -> Option<AttestAnswer> {
    let kept: Value = serde_json::from_slice(body).ok()?;
    let object = |name: &str| -> Option<Map<String, Value>> { Some(kept.get(name)?.as_object()?.clone()) };
    Some(AttestAnswer {
        token: kept.get("token")?.as_str()?.to_owned(),
        claims: object("claims")?,
        presented: object("presented")?,
        expires_at: kept.get("expires_at")?.as_i64()?,
    })
}
