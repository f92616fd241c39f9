//! SEV-SNP evidence, real and forged, through the one entrance of the crate.
//!
//! Bad inputs, sections 5 and 9; performance floor, section 8 (counts).

#[path = "../support/mod.rs"]
mod support;

mod counts;
mod document;
mod forged;
mod handmade;
mod layout;
mod real;
mod revocation;
mod spoiled;

use keygate_forge::amd::{Amd, SnpEvidence};
use keygate_verifier::{
    Anchors, Binding, Endorsements, Evidence, EvidenceKind, Options, Outcome, UnixTime, Verified, Verifier, VerifyError,
};

/// The instant around which forged evidence is valid.
const NOW: i64 = 1_790_000_000;

/// A verifier under the vendors' roots.
fn verifier() -> Verifier {
    Verifier::new(Anchors::vendor().unwrap())
}

/// A verifier under the root of a throw-away hierarchy alone.
fn forge_verifier(amd: &Amd) -> Verifier {
    let mut anchors = Anchors::none();
    anchors.add("forge", EvidenceKind::Snp, &amd.ark_der()).unwrap();
    Verifier::new(anchors)
}

/// A set of endorsements from files recognised by content.
fn held(pieces: &[Vec<u8>]) -> Endorsements {
    let mut held = Endorsements::default();
    for piece in pieces {
        held.add_file(piece).unwrap();
    }
    held
}

/// The chain of forged evidence, unrecognised pieces too.
fn chain(evidence: &SnpEvidence) -> Endorsements {
    let mut held = Endorsements::default();
    held.add_certificate(&evidence.vek);
    held.add_certificate(&evidence.authority);
    held.add_certificate(&evidence.root);
    held
}

fn judge(
    verifier: &Verifier,
    report: &[u8],
    held: &Endorsements,
    options: &Options,
    at: UnixTime,
) -> Result<Outcome, VerifyError> {
    verifier.verify(&Evidence { kind: EvidenceKind::Snp, bytes: report }, &Binding::Unbound, held, options, at)
}

/// Forged evidence under the hierarchy's own root, strictly.
fn judge_forged(amd: &Amd, report: &[u8], held: &Endorsements) -> Result<Outcome, VerifyError> {
    judge(&forge_verifier(amd), report, held, &Options::strict(), UnixTime::from_secs(amd.now))
}

/// The stable code of a refusal, `wants`, or `verified`.
fn code(outcome: Result<Outcome, VerifyError>) -> &'static str {
    match outcome {
        Ok(Outcome::Verified(_)) => "verified",
        Ok(Outcome::Wants(_)) => "wants",
        Ok(Outcome::NotAccepted { why, .. }) => why.code(),
        Err(why) => why.code(),
    }
}

fn verified(outcome: Result<Outcome, VerifyError>) -> Verified {
    match outcome {
        Ok(Outcome::Verified(verified)) => verified,
        other => panic!("{other:?}"),
    }
}
