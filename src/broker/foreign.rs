//! Tokens of other verifiers, and those of our own attestation door, as evidence.
//!
//! `native-api.md` sections 4 (*token, once*) and 5; `relying-party-tokens.md` section 0. A token of the attestation door is one of
//! somebody else's here: it vouches for its issuer's URL and never for `self`, and its nonce is an echo.

use keygate_policies::release::FreshnessShown;
use keygate_verifier::tokens::{
    Foreign, Issuer, Profile, TokenBinding, TokenFault, TokenRoots, peek_foreign, verify_foreign,
};
use keygate_verifier::{BoundKey, UnixTime, native_bind};
use serde_json::Map;

use super::Broker;
use super::appraise::{Shown, listed};
use super::challenge::Live;
use super::error::{Code, Fault};
use super::providers::ProviderRef;
use super::request::{Seat, TokenProof};
use crate::identity::NoEvidence;
use crate::result::attestation_result::{PARTS, identity};
use crate::result::{AttestationResult, Source};

impl Broker {
    /// Judges a token as evidence at a provider: by the verifier of the settings whose it says it is, or, where none has the
    /// provider's own issuer, by the keys of the provider's attestation door, without asking anybody. None where it says that it
    /// is of nobody known.
    ///
    /// `binding` [`TokenBinding::Unbound`] finds the recipient in the token itself.
    pub(crate) fn judge_foreign(
        &self,
        provider: &ProviderRef,
        token: &str,
        binding: &TokenBinding<'_>,
        now: UnixTime,
    ) -> Option<Result<Foreign, Fault>> {
        let at = (provider.id().as_str(), provider.issuer());
        match self.identity.judge_evidence(at, token, binding, now) {
            Some(judged) => Some(judged.map_err(no_evidence)),
            None => of_own_door(provider, token, binding, now),
        }
    }

    /// Judges a token of another verifier; none where it names nobody known. With a challenge of ours it must be bound to this very
    /// request in a place that the workload fills; without one it is as new as its issuer says.
    pub(super) fn appraise_foreign(
        &self,
        seat: &Seat,
        proof: &TokenProof,
        challenge: Option<([u8; 32], Live)>,
        request: &[u8; 32],
        now: UnixTime,
    ) -> Option<Result<Shown, Fault>> {
        let mut half = [0; 32];
        if let Some((bytes, _)) = &challenge {
            let bind = native_bind(bytes, seat.provider.host(), request, &proof.recipient, b"");
            half.copy_from_slice(&bind[..32]);
        }
        let binding = match &challenge {
            Some(_) => TokenBinding::Nonce { bind: &half, recipient: &proof.recipient },
            None => TokenBinding::Unbound,
        };
        let judged = self.judge_foreign(&seat.provider, &proof.token, &binding, now)?;
        Some(judged.and_then(|foreign| shown_by(&foreign, proof, challenge)))
    }
}

/// A token of the provider's own attestation door. Tokens of a draft policy are not signed, and are refused here as anywhere.
fn of_own_door(
    provider: &ProviderRef,
    token: &str,
    binding: &TokenBinding<'_>,
    now: UnixTime,
) -> Option<Result<Foreign, Fault>> {
    let line = provider.signers().azure().known();
    let own = Issuer {
        name: provider.id().as_str(),
        issuer: provider.issuer(),
        profile: Profile::Maa,
        keys: line.set(),
        roots: &TokenRoots::none(),
        audiences: &[provider.issuer()],
        max_age: None,
        is_keygate: true,
    };
    peek_foreign(token).ok().filter(|peek| own.fits(peek))?;
    let refused = |why: TokenFault| Fault::new(Code::of(why.code()), "token").because(why.to_string());
    Some(verify_foreign(token, &own, binding, now).map_err(refused))
}

fn no_evidence(why: NoEvidence) -> Fault {
    match why {
        NoEvidence::Refused(code, said) => Fault::new(Code::of(code), "token").because(said),
        NoEvidence::Unavailable(said) => Fault::new(Code::CollateralUnavailable, "issuer").because(said),
    }
}

/// What a good token of another verifier shows. An answer goes to the key in the token, or to the one that our nonce in it is over;
/// to no other.
fn shown_by(foreign: &Foreign, proof: &TokenProof, challenge: Option<([u8; 32], Live)>) -> Result<Shown, Fault> {
    let mismatch = |why: &str| Err(Fault::new(Code::BindingMismatch, "recipient").because(why));
    match foreign.bound_key() {
        BoundKey::Present(key) if *key == proof.recipient => {}
        BoundKey::Present(_) => return mismatch("the token is bound to another key"),
        BoundKey::Absent => return mismatch("the token vouches for no key of a workload"),
    }
    let freshness = if foreign.is_fresh() { FreshnessShown::Once } else { FreshnessShown::IssuerOnly };
    let until = challenge.map_or(foreign.not_after().secs(), |(_, live)| live.expires_at);
    let mut result = result_of_foreign(foreign);
    result.recipient = Some(proof.recipient.clone());
    Ok(Shown { result, standing: None, under: None, freshness, challenge, until })
}

/// The result of a good token of another verifier, for the recipient that is in it.
pub(crate) fn result_of_foreign(foreign: &Foreign) -> AttestationResult {
    let signer = identity("issuer-key", foreign.signer());
    let listed = listed(foreign.platforms(), foreign.measurements());
    let mut attested = foreign.claims().clone();
    // Ours alone: what stands there was judged as a part.
    attested.remove(PARTS);
    AttestationResult {
        source: Source::Foreign(foreign.issuer().to_owned()),
        attested,
        presented: Map::new(),
        evidence_digest: *foreign.digest(),
        sameness: *foreign.digest(),
        identities: listed.chain(foreign.blinded_identities().iter().copied()).chain([signer]).collect(),
        tcb: None,
        recipient: match foreign.bound_key() {
            BoundKey::Present(key) => Some(key.clone()),
            BoundKey::Absent => None,
        },
        not_after: foreign.not_after(),
    }
}
