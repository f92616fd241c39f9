//! Is it genuine, is it bound to this request, and what does it say?
//!
//! `native-api.md` sections 3 (*Order of judgement*), 4 and 5; `architecture.md` section 8, steps 4 and 5. Nothing here looks at a key.
//!
//! Evidence is shown with every debug bit and TCB status but `Revoked`: whether those are acceptable is an option of each key.
//! Run-time and init-time data become claims where they are a JSON object, read strictly; what begins as an object and is none
//! is refused. Other bytes are bound all the same and stand under no claim.

use keygate_keystore::Epoch;
use keygate_policies::attestation::Tracing;
use keygate_policies::release::FreshnessShown;
use keygate_policies::{Limits, json};
use keygate_verifier::{
    Binding, BoundKey, CollateralId, Endorsements, Evidence, Genuine, NativeBinding, Options, Outcome, RecipientKey,
    UnixTime, UsedCollateral,
};
use openssl::sha::sha256;
use serde_json::{Map, Value};

use super::Broker;
use super::challenge::{self, Live};
use super::enrol::standing::Standing;
use super::error::{Code, Fault};
use super::policy_book::{apply, policy_kind};
use super::reference::stamp;
use super::request::{EvidenceProof, Seat, TokenProof};
use crate::result::attestation_result::{INIT_TIME, RUNTIME, identity};
use crate::result::{Appraised, AttestationResult, Source, TokenFault, token};

/// Endorsements for one request, and which of them are the library's own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held {
    library: Endorsements,
    all: Endorsements,
}

impl Held {
    /// Adds what the library holds or brought.
    pub(crate) fn add_library(&mut self, brought: &Endorsements) {
        if self.all.is_empty() {
            *self = Self { library: brought.clone(), all: brought.clone() };
            return;
        }
        self.library.extend(brought);
        self.all.extend(brought);
    }

    /// Everything that is held.
    pub(crate) fn all(&self) -> &Endorsements {
        &self.all
    }

    /// All of it and the record of an attestation key beside it, which is no piece of this set: it counts for one judgement.
    fn with(&self, record: &Endorsements) -> Endorsements {
        let mut all = self.all.clone();
        all.extend(record);
        all
    }

    /// Adds what came with the request: for this request only.
    pub(crate) fn add_request(&mut self, pieces: &[Vec<u8>]) -> Result<(), Fault> {
        for piece in pieces {
            self.all.add_file(piece)?;
        }
        Ok(())
    }
}

/// What was shown and held.
pub(crate) struct Shown {
    /// What it says.
    pub(crate) result: AttestationResult,
    /// How new it is.
    pub(crate) freshness: FreshnessShown,
    /// The challenge that this use will spend.
    pub(crate) challenge: Option<([u8; 32], Live)>,
    /// Unix seconds until which an answer is kept for repeats.
    pub(crate) until: i64,
    /// The machine, where it has a TPM that vouches for it.
    pub(crate) standing: Option<Standing>,
    /// What a token of ours was issued under.
    pub(crate) under: Option<Under>,
}

/// Under what a token of ours was issued.
pub(crate) struct Under {
    /// The policy.
    policy: [u8; 32],
    /// The reference values that it was applied with; none where it names none.
    references: Option<[u8; 32]>,
}

/// What came of a round.
pub(crate) enum Judgement {
    /// Bring these, then again.
    Wants(Vec<CollateralId>),
    /// Genuine and bound.
    Shown(Box<Shown>),
}

impl Broker {
    /// Judges evidence that answers a challenge of ours.
    pub(crate) fn appraise_evidence(
        &self,
        seat: &Seat,
        proof: &EvidenceProof,
        request: &[u8; 32],
        held: &Held,
        now: UnixTime,
    ) -> Result<Judgement, Fault> {
        let live = challenge::check(&self.keystore, seat.provider.id(), &proof.challenge, now.secs())?;
        let runtime_data = proof.runtime_data.as_deref().unwrap_or_default();
        let host = seat.provider.host();
        let bound = NativeBinding::new(proof.challenge, host, request, proof.recipient.clone(), runtime_data);
        let binding = Binding::Native(Box::new(bound.clone()));
        let mut options = Options::show_all();
        // A quote that only SHA-1 speaks for opens nothing, and makes no token that does.
        options.allow_sha1 = false;
        options.require_amd_crl = seat.provider.setup().require_amd_crl;
        // Endorsements that the caller chose are judged as they are; our own may lack the one that fits.
        options.nothing_more = !proof.endorsements.is_empty();
        let evidence = Evidence { kind: proof.kind, bytes: &proof.data };
        let provider = seat.provider.id();
        let enrolled = self.enrolled(provider, proof.kind, &proof.data, now)?;
        let with_record = enrolled.as_ref().map(|(found, _)| held.with(found));
        let endorsements = with_record.as_ref().unwrap_or(&held.all);
        let verified = match self.verifier.verify(&evidence, &binding, endorsements, &options, now)? {
            Outcome::Wants(ids) => return Ok(Judgement::Wants(ids)),
            Outcome::NotAccepted { why, .. } => return Err(why.into()),
            Outcome::Verified(verified) => verified,
        };
        self.hold_against_marks(verified.used(), verified.anchor(), held)?;
        let standing = self.standing(provider, &verified, enrolled.as_ref().map(|(_, recorded)| recorded))?;
        let mut result = conclude(&verified, proof)?;
        if let Some(tokens) = &proof.beside {
            result = self.beside_evidence(&seat.provider, (&verified, &bound), result, tokens, now)?;
        }
        Ok(Judgement::Shown(Box::new(Shown {
            result,
            freshness: FreshnessShown::Once,
            challenge: Some((proof.challenge, live)),
            until: live.expires_at,
            standing,
            under: None,
        })))
    }

    /// Judges a token, ours or another verifier's, and the challenge beside it where one was sent.
    pub(crate) fn appraise_token(
        &self,
        seat: &Seat,
        proof: &TokenProof,
        request: &[u8; 32],
        now: UnixTime,
    ) -> Result<Shown, Fault> {
        let challenge = match &proof.challenge {
            Some(bytes) => Some((*bytes, challenge::check(&self.keystore, seat.provider.id(), bytes, now.secs())?)),
            None => None,
        };
        let is_ours = token::has_our_header(&proof.token, seat.provider.signers().tokens());
        match (!is_ours).then(|| self.appraise_foreign(seat, proof, challenge, request, now)).flatten() {
            Some(shown) => shown,
            None => self.appraise_own_token(seat, proof, challenge, now),
        }
    }

    fn appraise_own_token(
        &self,
        seat: &Seat,
        proof: &TokenProof,
        challenge: Option<([u8; 32], Live)>,
        now: UnixTime,
    ) -> Result<Shown, Fault> {
        let invalid = |inner: String| Fault::new(Code::TokenInvalid, "token").because(inner);
        let keys = seat.provider.signers().tokens();
        let token = token::read(&proof.token, keys, seat.provider.issuer(), now.secs())
            .map_err(|why: TokenFault| invalid(why.to_string()))?;
        if token.recipient != proof.recipient.thumbprint() {
            return Err(Fault::new(Code::BindingMismatch, "recipient").because("the token confirms another key"));
        }
        // A token that no commit of ours knows opens nothing, whoever signed it.
        let spent = self.sessions.recorded(&self.keystore, &token.jti)?;
        let spent = spent.ok_or_else(|| invalid("no attestation of this store has this identifier".into()))?;
        let age = u64::try_from(now.secs().saturating_sub(spent)).unwrap_or(0);
        Ok(Shown {
            result: AttestationResult {
                source: Source::Own(token.kind),
                attested: token.attested,
                presented: token.presented,
                evidence_digest: token.evidence_digest,
                sameness: token.evidence_digest,
                identities: token.identities,
                tcb: None,
                recipient: Some(proof.recipient.clone()),
                not_after: UnixTime::from_secs(token.expires),
            },
            standing: None,
            under: Some(Under { policy: token.policy_digest, references: token.reference_digest }),
            freshness: FreshnessShown::Session { age },
            challenge,
            until: token.expires,
        })
    }

    /// Refuses what is older than the newest ever seen. What the library brought raises the marks, what a request brought
    /// never does. Threat model P10.
    /// A mark belongs to a piece under an anchor: numbers of an operator's own hierarchy say nothing about the vendor's.
    pub(crate) fn hold_against_marks(&self, used: &[UsedCollateral], anchor: &str, held: &Held) -> Result<(), Fault> {
        let mut higher = Vec::new();
        for piece in used {
            // A chip's certificate is named with its patch level: another level is another name.
            if matches!(piece.id, CollateralId::AmdVcek { .. }) {
                continue;
            }
            let id = format!("{}@{anchor}", piece.id);
            let mark = self.marks.newest(&self.keystore, &id)?;
            if mark.is_some_and(|mark| piece.version < mark) {
                return Err(Fault::new(Code::CollateralUnavailable, "older-than-seen").because(id));
            }
            if mark.is_none_or(|mark| piece.version > mark) && held.library.holds(&piece.digest) {
                higher.push((id, piece.version));
            }
        }
        self.marks.raise(&self.keystore, &higher)
    }
}

/// From genuine evidence to a result.
fn conclude(genuine: &Genuine, proof: &EvidenceProof) -> Result<AttestationResult, Fault> {
    let recipient = Some(bound_recipient(genuine, &proof.recipient)?);
    let mut presented = Map::new();
    if let Some(data) = &proof.init_data {
        genuine.check_init_data(&sha256(data))?;
        if let Some(claim) = claim_of(data, "init-data")? {
            presented.insert(INIT_TIME.to_owned(), claim);
        }
    }
    if let Some(claim) = claim_of(proof.runtime_data.as_deref().unwrap_or_default(), "runtime-data")? {
        presented.insert(RUNTIME.to_owned(), claim);
    }
    Ok(result_of(genuine, presented, sha256(&proof.data), recipient))
}

/// What deny lists know platforms and measurements by.
pub(crate) fn listed<'a>(platforms: &'a [String], measurements: &'a [String]) -> impl Iterator<Item = [u8; 32]> + 'a {
    // Under its full name (`snp-chip:0a1b…`) and under what stands behind the colon.
    let platforms = platforms.iter().flat_map(|name| {
        let bare = name.split_once(':').map_or(name.as_str(), |(_, bare)| bare);
        [identity("platform", name), identity("platform", bare)]
    });
    platforms.chain(measurements.iter().map(|value| identity("measurement", value)))
}

/// The result of genuine evidence.
pub(crate) fn result_of(
    genuine: &Genuine,
    presented: Map<String, Value>,
    evidence_digest: [u8; 32],
    recipient: Option<RecipientKey>,
) -> AttestationResult {
    AttestationResult {
        source: Source::Own(genuine.kind()),
        attested: genuine.claims(),
        presented,
        evidence_digest,
        sameness: genuine.signed_sha256().copied().unwrap_or(evidence_digest),
        identities: listed(genuine.platforms(), genuine.measurements()).collect(),
        tcb: genuine.tcb().cloned(),
        recipient,
        not_after: genuine.not_after(),
    }
}

impl Broker {
    /// What the provider's attestation policy, as it is at `epoch`, makes of what was shown. A token of ours carries what the
    /// policy made of its evidence; where another policy is in force by now, or other reference values that it names, it counts for nothing.
    ///
    /// None for what a verifier of somebody else's says: that one has appraised the evidence under policies of its own.
    pub(crate) fn under_policy(
        &self,
        seat: &Seat,
        shown: &Shown,
        epoch: Epoch,
        now: i64,
    ) -> Result<Option<Appraised>, Fault> {
        let Source::Own(kind) = shown.result.source else { return Ok(None) };
        let kind = policy_kind(kind);
        let in_force = self.policies.of(&self.keystore, seat.provider.id(), kind, epoch)?;
        let missing = || {
            Fault::new(Code::PolicyDenied, "attestation-policy").because("no policy is set, and there is no default")
        };
        let in_force = in_force.ok_or_else(missing)?;
        let names = &in_force.references;
        let references = self.references.of(&self.keystore, seat.provider.id(), names, epoch, now)?;
        let superseded = |why: &str| Err(Fault::new(Code::FreshnessFailed, "token-superseded").because(why));
        let stamp = stamp(names, &references);
        match &shown.under {
            Some(under) if under.policy != in_force.facts.digest => superseded("the appraisal policy changed"),
            Some(under) if under.references != stamp => superseded("the reference values of the policy changed"),
            Some(_) => Ok(Some(Appraised { policy: in_force.facts.clone(), issued: Map::new(), references: stamp })),
            None => {
                let baseline = seat.provider.default_baseline();
                apply(&in_force, &shown.result, &references, baseline, Tracing::Off).verdict.map(Some)
            }
        }
    }
}

/// The key comes from the evidence, not from the request. Threat model P5.
fn bound_recipient(genuine: &Genuine, asked: &RecipientKey) -> Result<RecipientKey, Fault> {
    match genuine.bound_key() {
        BoundKey::Present(key) if key == asked => Ok(key.clone()),
        BoundKey::Present(_) | BoundKey::Absent => Err(Fault::new(Code::BindingMismatch, "recipient")),
    }
}

/// A JSON object as a claim; other bytes as none.
pub(crate) fn claim_of(data: &[u8], part: &'static str) -> Result<Option<Value>, Fault> {
    if data.iter().find(|b| !b.is_ascii_whitespace()) != Some(&b'{') {
        return Ok(None);
    }
    let node = json::parse(data, &Limits::request(data.len())).map_err(|diagnostic| {
        Fault::new(Code::of(diagnostic.code), part).because("it begins as a json object and is none, read strictly")
    })?;
    Ok(Some(node.to_value()))
}
