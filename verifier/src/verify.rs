//! The one entrance: evidence, binding, endorsements, options and a time in; an outcome out.
//!
//! RFC 9334 sections 3 and 8: the Verifier's appraisal of Evidence against Endorsements.

use serde_json::{Map, Value};

use crate::anchors::Anchors;
use crate::binding::Binding;
use crate::endorsements::{CollateralId, Endorsements};
use crate::error::VerifyError;
use crate::kinds::EvidenceKind;
use crate::memo::{Counts, Memo};
use crate::options::Options;
use crate::scheme::Given;
use crate::time::UnixTime;
use crate::verified::{Genuine, Verified};

/// Evidence as it arrived: nothing about it is known yet. RFC 9334 section 2.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// What the sender says it is.
    pub kind: EvidenceKind,
    /// The bytes as the hardware gave them, at most [`EvidenceKind::max_bytes`].
    pub bytes: &'a [u8],
}

/// What became of a piece of evidence that is not refused.
#[derive(Debug)]
pub enum Outcome {
    /// Cannot judge yet. Bring these, call again.
    Wants(Vec<CollateralId>),
    /// Genuine, bound and accepted.
    Verified(Verified),
    /// Genuine and bound, but its debug bit, TCB status or hashes are not accepted by the options: refused with `why`; the claims may
    /// still be shown.
    NotAccepted {
        /// The refusal: `debug-rejected`, `tcb-rejected`, or `unsupported` for SHA-1.
        why: VerifyError,
        /// What the evidence says; cannot be used to release anything.
        shown: Box<Genuine>,
    },
}

/// Trust anchors and a memory of signatures that were found right before. Cheap to share, safe between threads.
pub struct Verifier {
    anchors: Anchors,
    memo: Memo,
}

impl Verifier {
    /// A verifier under these trust anchors.
    pub fn new(anchors: Anchors) -> Self {
        Self { anchors, memo: Memo::new() }
    }

    /// The anchors in use.
    pub fn anchors(&self) -> &Anchors {
        &self.anchors
    }

    pub(crate) fn memo(&self) -> &Memo {
        &self.memo
    }

    /// How much work was done so far: exact counts, for tests and metrics.
    pub fn counts(&self) -> Counts {
        self.memo.counts()
    }

    /// About how many bytes of parsed certificates and documents are remembered: bounded, for tests and metrics.
    pub fn remembered_bytes(&self) -> u64 {
        self.memo.weight()
    }

    /// Judges one piece of evidence. A pure function of its arguments; the memory only saves repeated signature checks.
    ///
    /// # Errors
    /// Any [`VerifyError`]: the evidence is refused.
    pub fn verify(
        &self,
        evidence: &Evidence<'_>,
        binding: &Binding,
        held: &Endorsements,
        options: &Options,
        now: UnixTime,
    ) -> Result<Outcome, VerifyError> {
        bounded(evidence.kind, evidence.bytes)?;
        let parsed = evidence.kind.scheme().parse(evidence.bytes)?;
        let given = Given { anchors: &self.anchors, binding, held, options, now, memo: &self.memo, recurring: false };
        let wants = parsed.wants(&given)?;
        if !wants.is_empty() {
            return Ok(Outcome::Wants(wants));
        }
        let genuine = parsed.verify(&given)?;
        match genuine.refused_by(options) {
            None => Ok(Outcome::Verified(Verified::assertion(genuine))),
            Some(why) => Ok(Outcome::NotAccepted { why, shown: Box::new(genuine) }),
        }
    }

    /// What the bytes say, unverified: nothing in it may be believed.
    ///
    /// # Errors
    /// Bytes that do not parse as `evidence.kind`.
    pub fn inspect(evidence: &Evidence<'_>) -> Result<Map<String, Value>, VerifyError> {
        bounded(evidence.kind, evidence.bytes)?;
        Ok(evidence.kind.scheme().parse(evidence.bytes)?.inspect())
    }
}

pub(crate) fn bounded(kind: EvidenceKind, bytes: &[u8]) -> Result<(), VerifyError> {
    let most = kind.max_bytes();
    if bytes.len() > most {
        return Err(VerifyError::too_large("evidence", format!("{} bytes, at most {most}", bytes.len())));
    }
    Ok(())
}
