//! `POST /attest/{type}`: evidence, what the workload held, a policy; out comes a token.
//!
//! `maa-rest-api.md` sections 3 and 8. There is no challenge here and no recipient: whoever shows such a token to a key is asked for
//! more. Every appraisal of evidence that held is recorded before its answer leaves.

use std::sync::Arc;

use keygate_policies::Diagnostic;
use keygate_policies::attestation::{AttestationPolicy, Tracing, azure_message};
use keygate_verifier::{
    Anchors, Binding, Evidence, EvidenceKind, Options, Outcome, RecipientKey, SnpDocument, UnixTime, UvmTrust,
};
use openssl::sha::sha256;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::fault::{AzureFault, AzureFaultKind, Refused};
use super::guest::{self, GuestInfo};
use super::payload;
use crate::audit::{Event, Field, kind};
use crate::broker::appraise::{Held, claim_of, result_of};
use crate::broker::challenge::{correlation, draw};
use crate::broker::error::{BrokerError, Code, Fault};
use crate::broker::policy_book::{InForce, apply};
use crate::broker::pool::Permit;
use crate::broker::turns::Turn;
use crate::broker::{AttestationType, Broker, Caller, Seat};
use crate::result::AttestationResult;
use crate::result::attestation_result::{INIT_TIME, RUNTIME};

/// Open Enclave's header: version 1, type 2.
const OPEN_ENCLAVE: [u8; 8] = [1, 0, 0, 0, 2, 0, 0, 0];
/// Roles whose callers may see how a policy was evaluated.
const MAY_TRACE: [&str; 3] = ["attestation-reader", "attestation-contributor", "auditor"];

/// Data that the workload held, bound by the evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldData {
    /// As the workload hashed it.
    pub bytes: Vec<u8>,
    /// A JSON object; else bytes.
    pub json: bool,
}

/// What is attested.
pub struct AzureAttestRequest {
    /// Where it came in.
    pub seat: Seat,
    /// Who asks, where a credential was sent.
    pub caller: Caller,
    /// The operation.
    pub attestation_type: AttestationType,
    /// Quote, report with its header, or for SEV-SNP and guests of Azure their JSON document.
    pub evidence: Vec<u8>,
    /// Bound by report data.
    pub runtime: Option<HeldData>,
    /// Bound by a field of the hardware's.
    pub init: Option<HeldData>,
    /// Echoed.
    pub nonce: Option<String>,
    /// Evaluated in the place of the stored policy; the token is not signed then.
    pub draft_policy: Option<String>,
    /// Show the evaluation.
    pub trace: bool,
}

/// A token, and how it came about.
#[derive(Debug, Clone)]
pub struct AzureAttestAnswer {
    /// The token; for a guest of Azure sealed to its TPM.
    pub token: String,
    /// Each rule in order, where it was asked for.
    pub trace: Option<Value>,
    /// Under which the audit has its record.
    pub correlation: String,
}

/// One request on its way.
struct Passage {
    request: AzureAttestRequest,
    bytes: Vec<u8>,
    chain: Vec<u8>,
    uvm: Vec<Vec<u8>>,
    /// What a guest says of itself; `AzureGuest` alone.
    said: Option<guest::Said>,
    correlation: String,
}

type Answered = Result<AzureAttestAnswer, AzureFault>;

impl Broker {
    /// Judges evidence and answers with a token.
    ///
    /// # Errors
    /// [`AzureFault`].
    pub async fn azure_attest(self: &Arc<Self>, request: AzureAttestRequest) -> Answered {
        let (seat, correlation) = (request.seat.clone(), correlation());
        let passage = match unpacked(request, &correlation) {
            Ok(passage) => Arc::new(passage),
            Err(refused) => return Err(self.stranger(&seat, refused, &correlation)),
        };
        let turn =
            |broker: &Self, passage: &Passage, held, first, permit| broker.azure_turn(passage, held, first, permit);
        self.in_turns(&seat, &correlation, &passage, turn).await?
    }

    fn azure_turn(
        &self,
        passage: &Passage,
        mut held: Held,
        first: bool,
        permit: Permit,
    ) -> Result<Turn<Answered>, BrokerError> {
        let request = &passage.request;
        let stranger =
            |refused: Refused| Turn::Answered(Err(self.stranger(&request.seat, refused, &passage.correlation)));
        let judged = self.fit().and_then(|now| {
            if first {
                held.add_library(&self.library.known(kind_of(request.attestation_type)));
                if !passage.chain.is_empty() {
                    held.add_request(std::slice::from_ref(&passage.chain))?;
                }
            }
            self.azure_genuine(passage, &held, now).map(|genuine| (genuine, now))
        });
        let (result, sealed_to, now) = match judged {
            Ok((Found::Wants(ids), _)) => return Ok(Turn::Wants(ids, Box::new(held))),
            Ok((Found::Shown(result, sealed_to), now)) => (result, sealed_to, now),
            Err(fault) => return Ok(stranger(fault.into())),
        };
        let event = draft_event(passage, &result, now.secs());
        let answered = self.azure_answer(passage, &result, sealed_to.as_ref(), event.clone(), now, permit);
        Ok(Turn::Answered(answered.map_err(|refused| {
            let told = match self.once_more(&request.seat, &result, &passage.correlation) {
                Ok(()) => self.deny(event, &refused.fault, true, &passage.correlation),
                Err(often) => often,
            };
            refused.outward(told)
        })))
    }

    /// Evidence, binding, deny list and marks.
    fn azure_genuine(&self, passage: &Passage, held: &Held, now: UnixTime) -> Result<Found, Fault> {
        let request = &passage.request;
        let runtime_sha256 = request.runtime.as_ref().map(|data| sha256(&data.bytes));
        let mut options = Options::show_all();
        let binding = match passage.said {
            // Nothing of this request is in the quote: its answer is sealed instead.
            Some(_) => Binding::Unbound,
            None => Binding::HeldData { runtime_sha256 },
        };
        options.allow_sha1 = passage.said.is_none();
        options.require_amd_crl = request.seat.provider.setup().require_amd_crl;
        options.nothing_more = !passage.chain.is_empty();
        let evidence = Evidence { kind: kind_of(request.attestation_type), bytes: &passage.bytes };
        let genuine = match self.verifier.verify(&evidence, &binding, held.all(), &options, now)? {
            Outcome::Wants(ids) => return Ok(Found::Wants(ids)),
            Outcome::NotAccepted { why, .. } => return Err(why.into()),
            Outcome::Verified(genuine) => genuine,
        };
        let setup = request.seat.provider.setup();
        // Azure's relying parties do not look at the anchor, so that evidence under one of the operator's is for those who mean it.
        if genuine.anchor() != Anchors::VENDOR && !setup.azure_anchors.iter().any(|name| name == genuine.anchor()) {
            return Err(Fault::new(Code::ChainUntrusted, "anchor").because("no tokens are made under this anchor"));
        }
        self.hold_against_marks(genuine.used(), genuine.anchor(), held)?;
        let mut presented = Map::new();
        if let Some(data) = &request.init {
            genuine.check_init_data(&sha256(&data.bytes))?;
            present(&mut presented, INIT_TIME, data, "init-data")?;
        }
        if let Some(data) = &request.runtime {
            present(&mut presented, RUNTIME, data, "runtime-data")?;
        }
        let issuers: Vec<&str> = setup.uvm_issuers.iter().map(String::as_str).collect();
        let trust = UvmTrust { issuers: &issuers, minimum_svn: setup.uvm_minimum_svn };
        let endorsed = self.verifier.find_uvm(&passage.uvm, &genuine, &trust, now)?;
        let mut result = result_of(&genuine, presented, sha256(&request.evidence), None);
        let sealed_to = match &passage.said {
            Some(said) => Some(guest::complete(&genuine, &mut result, said)?),
            None => None,
        };
        if let Some(endorsement) = endorsed {
            result.attested.extend(endorsement.claims());
            result.not_after = result.not_after.min(endorsement.not_after());
        }
        let epoch = self.keystore.epoch()?;
        if self.denied.holds(&self.keystore, request.seat.provider.id(), epoch, &result.identities)? {
            return Err(Fault::new(Code::Revoked, "deny-list"));
        }
        Ok(Found::Shown(Box::new(result), sealed_to))
    }

    /// Policy and token. The permit is held until both are there: whose policy it is may be a stranger's choice.
    fn azure_answer(
        &self,
        passage: &Passage,
        result: &AttestationResult,
        sealed_to: Option<&RecipientKey>,
        event: Event,
        now: UnixTime,
        permit: Permit,
    ) -> Result<AzureAttestAnswer, Refused> {
        let request = &passage.request;
        let provider = &request.seat.provider;
        let in_force = match &request.draft_policy {
            Some(text) => Some(Arc::new(compiled(text)?)),
            None => {
                let epoch = self.keystore.epoch().map_err(Fault::from)?;
                self.policies.of(&self.keystore, provider.id(), request.attestation_type.as_str(), epoch)?
            }
        };
        let in_force = in_force.ok_or_else(|| not_set(request.attestation_type))?;
        let tracing = if request.trace { Tracing::On } else { Tracing::Off };
        let epoch = self.keystore.epoch().map_err(Fault::from)?;
        let references = self.references.of(&self.keystore, provider.id(), &in_force.references, epoch, now.secs())?;
        let applied = apply(&in_force, result, &references, provider.default_baseline(), tracing);
        let trace = applied.evaluation.as_ref().filter(|_| request.trace);
        let trace = trace.and_then(|evaluation| serde_json::to_value(&evaluation.trace).ok());
        let appraised = applied.verdict.map_err(|fault| {
            let message = applied.evaluation.as_ref().map(|evaluation| evaluation.outcome.azure_message());
            Refused { trace: trace.clone().map(Box::new), message, ..Refused::from(fault) }
        })?;
        let line = self.azure_keys(provider, now.secs())?;
        let missing = || Fault::new(Code::StoreCorrupt, "").because("no token key");
        let key = line.signer(now.secs()).ok_or_else(missing)?;
        let (runtime, nonce) = (request.runtime.as_ref(), request.nonce.as_deref());
        let jti = draw::<32>()?;
        let body = payload::attestation(result, &appraised, provider.issuer(), runtime, nonce, &jti, now.secs());
        let event = event
            .word(Field::Decision, "permit")
            .digest(Field::Policy, &appraised.policy.digest)
            .hidden(Field::Jti, hex::encode(jti).as_bytes());
        let event = if request.draft_policy.is_some() { event.word(Field::Trial, "draft-policy") } else { event };
        let token = match &request.draft_policy {
            Some(_) => key.draft_token(provider.issuer(), body),
            None => key.token(provider.issuer(), body).map_err(Fault::from)?,
        };
        let token = match sealed_to {
            Some(key) => guest::seal(&token, key, &guest::Fresh::new(Zeroizing::new(draw()?), draw()?))?,
            None => token,
        };
        drop(permit);
        self.keystore.record_within_reserve(event.record()).map_err(Fault::from)?;
        Ok(AzureAttestAnswer { token, trace, correlation: passage.correlation.clone() })
    }

    /// A refusal before evidence was found genuine and bound: counted.
    pub(super) fn stranger(&self, seat: &Seat, refused: Refused, correlation: &str) -> AzureFault {
        let told = self.refuse_as(seat, &refused.fault, correlation);
        refused.outward(told)
    }
}

/// What came of a round.
enum Found {
    Wants(Vec<keygate_verifier::CollateralId>),
    /// Also the key that the answer is sealed to, where it is sealed.
    Shown(Box<AttestationResult>, Option<RecipientKey>),
}

const fn kind_of(attestation_type: AttestationType) -> EvidenceKind {
    match attestation_type {
        AttestationType::TdxVm => EvidenceKind::Tdx,
        AttestationType::SevSnpVm => EvidenceKind::Snp,
        AttestationType::AzureGuest => EvidenceKind::AzureVtpm,
        _ => EvidenceKind::Sgx,
    }
}

/// What can be said of a request without any cryptography.
fn unpacked(request: AzureAttestRequest, correlation: &str) -> Result<Passage, Refused> {
    if request.trace && !MAY_TRACE.iter().any(|role| request.caller.has(role)) {
        return Err(Fault::new(Code::AuthRequired, "the trace is for callers who may read policies").into());
    }
    let malformed = |what: &'static str| Refused::from(Fault::new(Code::Malformed, what));
    let (mut chain, mut uvm, mut said) = (Vec::new(), Vec::new(), None);
    let bytes = match request.attestation_type {
        AttestationType::SgxEnclave if request.evidence.starts_with(&OPEN_ENCLAVE) => {
            return Err(malformed("a quote has no header of Open Enclave; attest it as OpenEnclave"));
        }
        AttestationType::OpenEnclave if !request.evidence.starts_with(&OPEN_ENCLAVE) => {
            return Err(malformed(
                "a report of Open Enclave begins with its header; attest a bare quote as SgxEnclave",
            ));
        }
        AttestationType::SgxEnclave | AttestationType::OpenEnclave | AttestationType::TdxVm => request.evidence.clone(),
        AttestationType::SevSnpVm => {
            let document = SnpDocument::parse(&request.evidence).map_err(Fault::from)?;
            (chain, uvm) = (document.chain_pem, document.uvm);
            document.report
        }
        AttestationType::AzureGuest => {
            let info = GuestInfo::read(&request.evidence)?;
            (chain, said) = (info.chain, Some(info.said));
            info.document
        }
        other => return Err(not_set(other)),
    };
    Ok(Passage { bytes, chain, uvm, said, correlation: correlation.to_owned(), request })
}

fn compiled(text: &str) -> Result<InForce, Refused> {
    let policy = AttestationPolicy::parse(text).map_err(|found| not_parsed(&found))?;
    Ok(InForce::new(policy, None))
}

/// A policy that does not parse, in the original's layout.
pub(super) fn not_parsed(found: &[Diagnostic]) -> Refused {
    let message = found.first().map(azure_message).unwrap_or_default();
    let code = if found.iter().any(|f| f.code == "too-large") { Code::TooLarge } else { Code::PolicyInvalid };
    Refused::new(AzureFaultKind::PolicyParsingError, code, "the policy does not parse", message)
}

/// No policy for a type that has no default.
pub(super) fn not_set(attestation_type: AttestationType) -> Refused {
    match attestation_type {
        AttestationType::Tpm => Refused::new(
            AzureFaultKind::PolicyNotSet,
            Code::Unsupported,
            "attestation-type",
            "a VBS attestation policy has not been set on this provider",
        ),
        other => Refused::new(
            AzureFaultKind::InvalidParameter,
            Code::Unsupported,
            "attestation-type",
            format!("attestation of type {} is not served here", other.as_str()),
        ),
    }
}

fn present(claims: &mut Map<String, Value>, name: &str, data: &HeldData, part: &'static str) -> Result<(), Fault> {
    if !data.json {
        return Ok(());
    }
    let claim = claim_of(&data.bytes, part)?;
    let claim = claim.ok_or_else(|| Fault::new(Code::Malformed, part).because("data of type JSON is an object"))?;
    claims.insert(name.to_owned(), claim);
    Ok(())
}

/// The record, as far as it is known before the policy is looked at.
fn draft_event(passage: &Passage, result: &AttestationResult, now: i64) -> Event {
    let request = &passage.request;
    let event = Event::new(kind::ATTESTATION, request.seat.provider.id(), now)
        .word(Field::Op, &format!("attest.{}", request.attestation_type.as_str()))
        .word(Field::Source, &request.seat.source_prefix())
        .word(Field::Correlation, &passage.correlation)
        .digest(Field::Evidence, &result.evidence_digest)
        .claims(&result.attested);
    match request.caller.name() {
        Some(name) => event.word(Field::Caller, name),
        None => event,
    }
}
