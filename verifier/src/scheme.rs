//! What a kind of evidence promises: it parses, it says what it lacks, it verifies.

use crate::anchors::Anchors;
use crate::binding::Binding;
use crate::endorsements::{CollateralId, Endorsements};
use crate::error::VerifyError;
use crate::memo::Memo;
use crate::options::Options;
use crate::signatures::{Algorithm, PublicKey};
use crate::time::UnixTime;
use crate::verified::Genuine;

/// One kind of evidence. Implemented once per folder in `kinds/`.
pub(crate) trait Scheme: Sync {
    /// Reads the bytes. Knows layout and nothing else.
    fn parse<'a>(&self, bytes: &'a [u8]) -> Result<Box<dyn Parsed + 'a>, VerifyError>;

    /// Whether these bytes look like this kind; for `--kind auto`. A guess about layout, never about trust.
    fn looks_like(&self, bytes: &[u8]) -> bool;
}

/// Well-formed, not yet believed.
pub(crate) trait Parsed {
    /// What is wished for and not held. Empty: `verify` can judge.
    fn wants(&self, given: &Given<'_>) -> Result<Vec<CollateralId>, VerifyError>;

    /// Judges. Every signature on the path, every date at `given.now`, and the binding.
    fn verify(&self, given: &Given<'_>) -> Result<Genuine, VerifyError>;

    /// What the bytes say, unverified: for `keygate inspect`, marked so by the caller.
    fn inspect(&self) -> serde_json::Map<String, serde_json::Value>;
}

/// Everything that a verification may look at.
pub(crate) struct Given<'a> {
    pub anchors: &'a Anchors,
    pub binding: &'a Binding,
    pub held: &'a Endorsements,
    pub options: &'a Options,
    pub now: UnixTime,
    pub memo: &'a Memo,
    /// The hardware's report stands inside of other evidence and comes again with each piece of it: its signature is remembered.
    pub recurring: bool,
}

impl Given<'_> {
    /// Checks the signature that the hardware made over its report.
    pub fn check_report(&self, algorithm: Algorithm, key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
        match self.recurring {
            true => self.memo.check_kept(algorithm, key, message, signature),
            false => self.memo.check_fresh(algorithm, key, message, signature),
        }
    }
}
