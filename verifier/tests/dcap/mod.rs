//! What the tests of SGX and TDX share: collateral from files, a verifier with the vendors' roots, one verdict per piece.
#![allow(dead_code, reason = "each test file uses its own part of this module")]

pub mod lab;

use keygate_verifier::{
    Anchors, Binding, Endorsements, Evidence, EvidenceKind, Genuine, Options, Outcome, UnixTime, Verifier,
};

/// A verifier under the vendors' own roots.
pub fn vendor() -> Verifier {
    Verifier::new(Anchors::vendor().expect("the embedded roots are sound"))
}

/// Endorsements from the bytes of one file; none where the file is of no known sort.
pub fn held(file: &[u8]) -> Endorsements {
    let mut held = Endorsements::default();
    held.add_file(file).expect("a file of endorsements");
    held
}

/// Kind by its word.
pub fn kind(text: &str) -> EvidenceKind {
    EvidenceKind::parse(text).expect("a kind")
}

/// Verdict under `Options::show_all`, unbound: what is genuine, or the code of the refusal. Wishes count as
/// `collateral-unavailable`: nothing is fetched here.
pub fn judge(
    verifier: &Verifier,
    kind: EvidenceKind,
    bytes: &[u8],
    held: &Endorsements,
    now: UnixTime,
) -> Result<Genuine, String> {
    judge_with(verifier, kind, bytes, held, &Options::show_all(), now)
}

/// The same under other options.
pub fn judge_with(
    verifier: &Verifier,
    kind: EvidenceKind,
    bytes: &[u8],
    held: &Endorsements,
    options: &Options,
    now: UnixTime,
) -> Result<Genuine, String> {
    let evidence = Evidence { kind, bytes };
    match verifier.verify(&evidence, &Binding::Unbound, held, options, now) {
        Ok(Outcome::Verified(verified)) => Ok((*verified).clone()),
        Ok(Outcome::NotAccepted { why, .. }) => Err(why.code().to_owned()),
        Ok(Outcome::Wants(wants)) => {
            assert!(!wants.is_empty());
            Err("collateral-unavailable".to_owned())
        }
        Err(why) => Err(why.code().to_owned()),
    }
}
