//! The attestation policies in force, compiled, and what they make of a result.
//!
//! `architecture.md` section 8 step 5; `maa-policy-language.md` sections 4 and 6; threat model P7 and P25. Policies are kept under the
//! epoch they were read at, like deny lists: a changed policy counts for the next request. Compiled forms are kept under the digest
//! of their text; a verdict never is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keygate_keystore::{Epoch, Keystore, PolicyVersion, ProviderId};
use keygate_policies::attestation::{
    AttestationPolicy, ClaimSet, DenyReason, Evaluation, Outcome, Tracing, default_text, policy_hash,
};
use keygate_policies::fuel::Fuel;
use keygate_policies::json;
use keygate_policies::reference::References;
use keygate_verifier::tokens::{EmbeddedSigner, read_embedded};
use keygate_verifier::{AZURE_DEFAULT, Baseline, EvidenceKind};
use moka::sync::Cache;
use openssl::sha::sha256;
use serde_json::{Value, json};

use super::error::{Code, Fault};
use super::reference::{named_in, stamp};
use crate::result::attestation_result::PARTS;
use crate::result::{Appraised, AttestationResult, PolicyFacts, Source};

/// Policies kept compiled.
const COMPILED: u64 = 4_096;

/// The kind of policy that appraises evidence of a kind, whatever door it came through.
pub(crate) const fn policy_kind(kind: EvidenceKind) -> &'static str {
    match kind {
        EvidenceKind::Sgx => "SgxEnclave",
        EvidenceKind::Tdx => "TdxVm",
        EvidenceKind::Snp => "SevSnpVm",
        EvidenceKind::Nitro => "Nitro",
        EvidenceKind::Tpm => "TpmMachine",
        EvidenceKind::AzureVtpm => "AzureGuest",
        EvidenceKind::Software => "Software",
    }
}

/// A policy in force.
#[derive(Debug)]
pub(crate) struct InForce {
    /// Compiled.
    pub(crate) policy: AttestationPolicy,
    /// What tokens and records say of it.
    pub(crate) facts: PolicyFacts,
    /// The reference values that it names.
    pub(crate) references: Vec<String>,
}

impl InForce {
    /// A policy with its signer, where it was signed.
    pub(crate) fn new(policy: AttestationPolicy, signer: Option<Value>) -> Self {
        let digest = sha256(policy.text().as_bytes());
        let hash = policy_hash(policy.text());
        let references = named_in(policy.text());
        Self { policy, facts: PolicyFacts { digest, hash, signer }, references }
    }
}

type Kept = (Epoch, Option<Arc<InForce>>);

/// What was read at which epoch.
pub(crate) struct PolicyBook {
    in_force: Mutex<HashMap<(ProviderId, &'static str), Kept>>,
    compiled: Cache<[u8; 32], Arc<InForce>>,
}

impl PolicyBook {
    pub(crate) fn new() -> Self {
        Self { in_force: Mutex::default(), compiled: Cache::new(COMPILED) }
    }

    /// The policy of this kind at `epoch`; none where nothing was set and there is no default. It is read after the epoch was:
    /// it is never older.
    pub(crate) fn of(
        &self,
        keystore: &Keystore,
        provider: &ProviderId,
        kind: &'static str,
        epoch: Epoch,
    ) -> Result<Option<Arc<InForce>>, Fault> {
        let place = (provider.clone(), kind);
        let known = self.in_force.lock().unwrap_or_else(PoisonError::into_inner).get(&place).cloned();
        if let Some((at, policy)) = known
            && at == epoch
        {
            return Ok(policy);
        }
        let stored = keystore.policy(provider, kind)?;
        let policy = self.compile(kind, stored.as_ref())?;
        let kept = (epoch, policy.clone());
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner).insert(place, kept);
        Ok(policy)
    }

    fn compile(&self, kind: &str, stored: Option<&PolicyVersion>) -> Result<Option<Arc<InForce>>, Fault> {
        let document = stored.map(|version| version.document.as_str()).filter(|document| !document.is_empty());
        let source = match (document, default_text(kind)) {
            (Some(jws), _) => jws,
            (None, Some(text)) => text,
            (None, None) => return Ok(None),
        };
        let key = sha256(source.as_bytes());
        if let Some(known) = self.compiled.get(&key) {
            return Ok(Some(known));
        }
        let damaged = |inner: &str| Fault::new(Code::StoreCorrupt, "").because(inner);
        let made = match (document, stored) {
            (Some(jws), Some(version)) => {
                let (text, signer) = unpacked(jws).ok_or_else(|| damaged("a stored policy does not unpack"))?;
                if sha256(text.as_bytes()) != version.digest {
                    return Err(damaged("a stored policy is not the one of its digest"));
                }
                // What compiled when it was set and does not now denies everything. Threat model P23.
                let policy = AttestationPolicy::parse(&text).map_err(|_| damaged("a stored policy does not parse"))?;
                InForce::new(policy, signer)
            }
            _ => {
                let policy =
                    AttestationPolicy::parse(source).map_err(|_| damaged("a default policy does not parse"))?;
                InForce::new(policy, None)
            }
        };
        let made = Arc::new(made);
        self.compiled.insert(key, Arc::clone(&made));
        Ok(Some(made))
    }
}

/// Text and signer of a stored policy. Its signature was checked when it was set; the row's own authenticity is the store's.
pub(crate) fn unpacked(jws: &str) -> Option<(String, Option<Value>)> {
    let embedded = read_embedded(jws).ok()?;
    let text = policy_text(&embedded.payload)?;
    let signer = embedded.signer.as_ref().map(token_signer_claim);
    Some((text, signer))
}

/// The policy text in the payload of an uploaded policy.
pub(crate) fn policy_text(payload: &[u8]) -> Option<String> {
    let limits = keygate_policies::Limits::request(payload.len());
    let node = json::parse(payload, &limits).ok()?;
    let encoded = node.get("AttestationPolicy")?.as_text()?;
    let bytes = URL_SAFE_NO_PAD.decode(encoded.trim_end_matches('=')).ok()?;
    String::from_utf8(bytes).ok()
}

/// `x-ms-policy-signer` as recorded answers to a change have it: the algorithm by its registered name, however it was spelt.
pub(crate) fn signer_claim(signer: &EmbeddedSigner) -> Value {
    let alg = if signer.kty == "RSA" { "RS256" } else { "ES256" };
    json!({"alg": alg, "kty": signer.kty, "use": "sig", "x5c": chain_of(signer)})
}

/// `x-ms-policy-signer` as recorded attestation tokens have it.
fn token_signer_claim(signer: &EmbeddedSigner) -> Value {
    json!({"kty": signer.kty, "x5c": chain_of(signer)})
}

fn chain_of(signer: &EmbeddedSigner) -> Vec<String> {
    signer.certificates.iter().map(|der| STANDARD.encode(der)).collect()
}

/// One evaluation of a policy over a result, and what it concluded.
pub(crate) struct Applied {
    /// What the policy made of it, or why it does not stand.
    pub(crate) verdict: Result<Appraised, Fault>,
    /// The one evaluation; none where the configuration refused before.
    pub(crate) evaluation: Option<Evaluation>,
}

/// Appraises a result. `references`: what counts under the names that the policy names. `default_baseline`: what `azuredefault` means here.
pub(crate) fn apply(
    in_force: &InForce,
    result: &AttestationResult,
    references: &References,
    default_baseline: Option<&str>,
    tracing: Tracing,
) -> Applied {
    if let Err(fault) = baseline_met(&in_force.policy, result, default_baseline) {
        return Applied { verdict: Err(fault), evaluation: None };
    }
    // A policy is about one piece of evidence: of a composite, about the one that leads.
    let alone = result.attested.contains_key(PARTS).then(|| {
        let mut alone = result.attested.clone();
        alone.remove(PARTS);
        alone
    });
    let attested = alone.as_ref().unwrap_or(&result.attested);
    let mut incoming = ClaimSet::from_objects(attested, &result.presented);
    references.add_claims(&mut incoming, attested);
    let evaluation = in_force.policy.evaluate(incoming, &mut Fuel::service(), tracing);
    let verdict = match &evaluation.outcome {
        Outcome::Permit { issued, .. } => Ok(Appraised {
            policy: in_force.facts.clone(),
            issued: issued.clone(),
            references: stamp(&in_force.references, references),
        }),
        refused => Err(evaluation_fault(refused)),
    };
    Applied { verdict, evaluation: Some(evaluation) }
}

/// Why an evaluation that does not permit is a no.
pub(crate) fn evaluation_fault(outcome: &Outcome) -> Fault {
    let code = match outcome.code() {
        Some("budget-exceeded") => Code::BudgetExceeded,
        _ => Code::PolicyDenied,
    };
    Fault::new(code, "attestation-policy").because(match outcome {
        Outcome::Permit { .. } => String::new(),
        Outcome::Deny(DenyReason::Denied) => "a deny claim was issued".to_owned(),
        Outcome::Deny(DenyReason::NotPermitted) => "no permit claim was issued".to_owned(),
        Outcome::Error(error) => error.to_string(),
    })
}

/// The TCB baseline that the policy's configuration asks of SGX platforms. `maa-rest-api.md` section 6.
fn baseline_met(
    policy: &AttestationPolicy,
    result: &AttestationResult,
    default_baseline: Option<&str>,
) -> Result<(), Fault> {
    let Some(wanted) = policy.configuration().sgx_tcb_identifier() else { return Ok(()) };
    let (Source::Own(EvidenceKind::Sgx), Some(tcb)) = (&result.source, &result.tcb) else { return Ok(()) };
    let named = if wanted == AZURE_DEFAULT { default_baseline } else { Some(wanted) };
    let Some(named) = named else { return Ok(()) };
    let unknown = || Fault::new(Code::PolicyDenied, "baseline").because("the policy names an unknown baseline");
    match Baseline::find(named).ok_or_else(unknown)?.is_met_by(tcb) {
        true => Ok(()),
        false => Err(Fault::new(Code::TcbRejected, "baseline").because(format!("below the baseline `{named}`"))),
    }
}
