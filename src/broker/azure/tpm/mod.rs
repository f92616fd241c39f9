//! `POST /attest/Tpm`: a challenge, then a request that answers it; out comes a report. TPM and VBS attestation protocol.
//!
//! Nothing is remembered between the two rounds but what was used. The order of checks is that of section 3: form and signature of
//! the request, context and challenge, then the policy, because it says how strictly the evidence is judged, then the evidence.

mod claims;
mod context;
mod envelope;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::{AttestOrder, Spend};
use keygate_policies::attestation::{Evaluation, Outcome, Tracing};
use keygate_policies::fuel::Fuel;
use keygate_verifier::tpm_azure::{TpmAppraisal, TpmRequest, TpmRules};
use keygate_verifier::{EvidenceKind, UnixTime};
use serde_json::{Map, Value, json};
use subtle::ConstantTimeEq as _;

use super::attest::not_set;
use super::fault::{AzureFault, AzureFaultKind, Refused};
use super::payload::{self, TpmReport};
use crate::audit::{Event, Field, kind};
use crate::broker::appraise::listed;
use crate::broker::challenge::{correlation, draw};
use crate::broker::error::{Code, Fault};
use crate::broker::policy_book::{InForce, evaluation_fault};
use crate::broker::pool::Permit;
use crate::broker::turns::Turn;
use crate::broker::{AttestationType, Broker, Caller, Seat, TrustModel};
use context::Opened;
use envelope::Message;

/// Registers that a quote must cover where the policy says nothing else.
const ALL_REGISTERS: u32 = 0x00ff_ffff;
/// Life of a report where the policy says nothing else, in minutes.
const VALIDITY: i64 = 1_440;

/// A message of a client, in either round.
pub struct AzureTpmRequest {
    /// Where it came in.
    pub seat: Seat,
    /// Who asks; may read policies.
    pub caller: Caller,
    /// What stood in `data`, decoded.
    pub data: Vec<u8>,
    /// Show the evaluation.
    pub trace: bool,
}

/// The answer to a message.
#[derive(Debug, Clone)]
pub struct AzureTpmAnswer {
    /// What stands in `data`, to be encoded.
    pub data: Vec<u8>,
    /// Each rule in order, where it was asked for.
    pub trace: Option<Value>,
    /// Under which the audit has its record, where one is made: a challenge makes none.
    pub correlation: String,
}

/// One message on its way.
struct Passage {
    request: AzureTpmRequest,
    correlation: String,
}

/// A request whose evidence held.
struct Shown {
    request: TpmRequest,
    appraisal: TpmAppraisal,
    policy: Arc<InForce>,
    context: Opened,
    now: UnixTime,
}

/// What came of a message.
enum Heard {
    Challenged(Vec<u8>),
    Shown(Box<Shown>),
}

impl Broker {
    /// Answers one message of the protocol.
    ///
    /// # Errors
    /// [`AzureFault`].
    pub async fn azure_attest_tpm(self: &Arc<Self>, request: AzureTpmRequest) -> Result<AzureTpmAnswer, AzureFault> {
        let (seat, correlation) = (request.seat.clone(), correlation());
        let passage = Arc::new(Passage { request, correlation: correlation.clone() });
        let turn =
            |broker: &Self, passage: &Passage, _, _, permit| Ok(Turn::Answered(broker.tpm_turn(passage, permit)));
        self.in_turns(&seat, &correlation, &passage, turn).await?
    }

    fn tpm_turn(&self, passage: &Passage, permit: Permit) -> Result<AzureTpmAnswer, AzureFault> {
        let Passage { request, correlation } = passage;
        let shown = match self.tpm_heard(&request.seat, &request.data) {
            Ok(Heard::Challenged(data)) => {
                return Ok(AzureTpmAnswer { data, trace: None, correlation: correlation.clone() });
            }
            Ok(Heard::Shown(shown)) => shown,
            Err(refused) => return Err(self.stranger(&request.seat, refused, correlation)),
        };
        let event = draft_event(passage, &shown);
        self.tpm_report(passage, &shown, event.clone(), permit).map_err(|refused| {
            let caller = request.caller.name().unwrap_or_default();
            let told = match self.once_more_to(&request.seat, caller, correlation) {
                Ok(()) => self.deny(event, &refused.fault, true, correlation),
                Err(often) => often,
            };
            refused.outward(told)
        })
    }

    /// Reads a message; of a request also its context, challenge and evidence.
    fn tpm_heard(&self, seat: &Seat, data: &[u8]) -> Result<Heard, Refused> {
        if seat.provider.setup().trust_model == TrustModel::Shared {
            let message = "a shared provider does not attest machines by their TPM";
            return Err(Refused::new(AzureFaultKind::InvalidOperation, Code::OperationNotAllowed, "provider", message));
        }
        let (now, id) = (self.fit()?, seat.provider.id());
        let jws = match envelope::read(data)? {
            Message::Init => {
                self.tpm_policy(seat)?;
                let issued = context::issue(&self.keystore, id, now.secs())?;
                let payload = json!({
                    "challenge": URL_SAFE_NO_PAD.encode(issued.challenge),
                    "service_context": URL_SAFE_NO_PAD.encode(&issued.context),
                });
                return Ok(Heard::Challenged(envelope::wrapped(&payload)));
            }
            Message::Request(jws) => jws,
        };
        let request = TpmRequest::read(&jws).map_err(Fault::from)?;
        let context = context::open(&self.keystore, id, request.service_context(), now.secs())?;
        if !bool::from(context.challenge.ct_eq(request.challenge())) {
            return Err(Fault::new(Code::FreshnessFailed, "challenge")
                .because("not the challenge of the context")
                .into());
        }
        let policy = self.tpm_policy(seat)?;
        let configuration = policy.policy.configuration();
        let anchors: Vec<&str> = seat.provider.setup().azure_anchors.iter().map(String::as_str).collect();
        let rules = TpmRules {
            require_valid_aik_cert: configuration.require_valid_aik_cert().unwrap_or(true),
            required_pcrs: configuration.required_pcr_mask().unwrap_or(ALL_REGISTERS),
            anchors: &anchors,
        };
        let appraisal = self
            .verifier
            .appraise_tpm(&request, &rules, &self.library.known(EvidenceKind::Tpm), now)
            .map_err(Fault::from)?;
        let identities: Vec<[u8; 32]> = listed(appraisal.platforms(), &[]).collect();
        let epoch = self.keystore.epoch().map_err(Fault::from)?;
        if self.denied.holds(&self.keystore, id, epoch, &identities)? {
            return Err(Fault::new(Code::Revoked, "deny-list").into());
        }
        Ok(Heard::Shown(Box::new(Shown { request, appraisal, policy, context, now })))
    }

    fn tpm_policy(&self, seat: &Seat) -> Result<Arc<InForce>, Refused> {
        let epoch = self.keystore.epoch().map_err(Fault::from)?;
        let policy = self.policies.of(&self.keystore, seat.provider.id(), AttestationType::Tpm.as_str(), epoch)?;
        policy.ok_or_else(|| not_set(AttestationType::Tpm))
    }

    /// Policy and report. The commit that spends the challenge has the record; the report leaves after it.
    fn tpm_report(
        &self,
        passage: &Passage,
        shown: &Shown,
        event: Event,
        permit: Permit,
    ) -> Result<AzureTpmAnswer, Refused> {
        let provider = &passage.request.seat.provider;
        let policy = &shown.policy.policy;
        let (now, epoch) = (shown.now.secs(), self.keystore.epoch().map_err(Fault::from)?);
        let named = &shown.policy.references;
        let references = self.references.of(&self.keystore, provider.id(), named, epoch, now)?;
        let issuer = provider.issuer();
        let incoming = claims::incoming(&shown.appraisal, &shown.request, issuer, policy.version(), &references);
        let tracing = if passage.request.trace { Tracing::On } else { Tracing::Off };
        let evaluation = policy.evaluate(incoming, &mut Fuel::service(), tracing);
        let trace = passage.request.trace.then(|| serde_json::to_value(&evaluation.trace).ok()).flatten();
        let (issued, properties) = permitted(&evaluation).map_err(|fault| Refused {
            trace: trace.clone().map(Box::new),
            message: Some(evaluation.outcome.azure_message()),
            ..Refused::from(fault)
        })?;
        let minutes = properties.get("report_validity_in_minutes").and_then(Value::as_i64).unwrap_or(VALIDITY);
        let jti = hex::encode(draw::<20>()?);
        let identities: Vec<[u8; 32]> = listed(shown.appraisal.platforms(), &[]).collect();
        let body = payload::tpm_report(&TpmReport {
            appraisal: &shown.appraisal,
            issued,
            policy: &shown.policy.facts,
            issuer: provider.issuer(),
            rp_data: shown.request.rp_data(),
            identities: &identities,
            jti: &jti,
            issued_at: now,
            life: minutes.saturating_mul(60),
        });
        let line = self.azure_keys(provider, now)?;
        let missing = || Fault::new(Code::StoreCorrupt, "").because("no token key");
        let key = line.signer(now).ok_or_else(missing)?;
        let omit_x5c = properties.get("omit_x5c") == Some(&Value::Bool(true));
        let report = key.tpm_report(body, omit_x5c).map_err(Fault::from)?;
        drop(permit);
        let event = event.word(Field::Decision, "permit").hidden(Field::Jti, jti.as_bytes());
        let Opened { digest, expires_at, .. } = shown.context;
        let order = AttestOrder {
            spend: Spend::Challenge { digest, until: expires_at },
            jti,
            // The report is no session here: its identifier need not outlive the challenge.
            jti_until: expires_at,
            record: event.record(),
            repeat: None,
            machine: None,
            answer: Vec::new(),
            now,
        };
        self.keystore.attested(order).map_err(Fault::from)?;
        let data = envelope::wrapped(&json!({"report": report}));
        Ok(AzureTpmAnswer { data, trace, correlation: passage.correlation.clone() })
    }
}

type Members = Map<String, Value>;

fn permitted(evaluation: &Evaluation) -> Result<(&Members, &Members), Fault> {
    match &evaluation.outcome {
        Outcome::Permit { issued, properties } => Ok((issued, properties)),
        refused => Err(evaluation_fault(refused)),
    }
}

/// The record, as far as it is known before the policy is looked at. Events are not in it: they are long, and the registers say
/// which they were.
fn draft_event(passage: &Passage, shown: &Shown) -> Event {
    let request = &passage.request;
    let event = Event::new(kind::ATTESTATION, request.seat.provider.id(), shown.now.secs())
        .word(Field::Op, "attest.Tpm")
        .word(Field::Source, &request.seat.source_prefix())
        .word(Field::Correlation, &passage.correlation)
        .digest(Field::Evidence, shown.request.signed_sha256())
        .digest(Field::Policy, &shown.policy.facts.digest)
        .claims(&shown.appraisal.recorded());
    match request.caller.name() {
        Some(name) => event.word(Field::Caller, name),
        None => event,
    }
}
