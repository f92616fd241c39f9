//! Where missing endorsements come from.
//!
//! `architecture.md` section 4 (the wish list); the library of `collateral/` in service, anything else in tests.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use keygate_verifier::{CollateralId, Endorsements, EvidenceKind};

use super::error::{Code, Fault};
use crate::collateral::Library;

/// Brings endorsements.
pub trait Endorser: Send + Sync {
    /// Those named. `from` is the source that pays for fetches: an address prefix.
    fn fetch<'a>(&'a self, ids: &'a [CollateralId], from: &'a str) -> BoxFuture<'a, Result<Endorsements, Fault>>;
    /// Whatever is held already and may help with evidence of this kind.
    fn known(&self, kind: EvidenceKind) -> Endorsements;
}

impl Endorser for Library {
    fn fetch<'a>(&'a self, ids: &'a [CollateralId], from: &'a str) -> BoxFuture<'a, Result<Endorsements, Fault>> {
        let fetched = Library::fetch(self, ids, from);
        fetched.map(|r| r.map_err(|why| Fault::new(Code::CollateralUnavailable, "").because(why.to_string()))).boxed()
    }
    fn known(&self, kind: EvidenceKind) -> Endorsements {
        match kind {
            EvidenceKind::Sgx | EvidenceKind::Tdx | EvidenceKind::Snp | EvidenceKind::Tpm | EvidenceKind::AzureVtpm => {
                self.offline().clone()
            }
            EvidenceKind::Nitro | EvidenceKind::Software => Endorsements::default(),
        }
    }
}

/// Nothing is known and nothing can be had: kinds of evidence that bring their own chain need no more.
pub struct NoEndorser;

impl Endorser for NoEndorser {
    fn fetch<'a>(&'a self, _: &'a [CollateralId], _: &'a str) -> BoxFuture<'a, Result<Endorsements, Fault>> {
        async { Err(Fault::new(Code::CollateralUnavailable, "").because("no source is configured")) }.boxed()
    }
    fn known(&self, _: EvidenceKind) -> Endorsements {
        Endorsements::default()
    }
}
