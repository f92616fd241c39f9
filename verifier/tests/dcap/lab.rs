//! A throw-away Intel hierarchy with a verifier that has its root as an operator's anchor.

use keygate_forge::intel::{Collateral, CollateralFault, Intel, SgxQuote, TdxQuote, Tee};
use keygate_verifier::{Anchors, Endorsements, EvidenceKind, Genuine, Options, UnixTime, Verifier};

/// The instant around which everything of the lab is valid.
pub const NOW: i64 = 1_790_000_000;

/// A hierarchy and its verifier.
pub struct Lab {
    pub intel: Intel,
    pub verifier: Verifier,
}

impl Lab {
    /// With the default platform.
    pub fn new() -> Self {
        Self::of(Intel::new(NOW))
    }

    /// With a hierarchy that was made elsewhere.
    pub fn of(intel: Intel) -> Self {
        let mut anchors = Anchors::vendor().expect("vendor roots");
        for kind in [EvidenceKind::Sgx, EvidenceKind::Tdx] {
            anchors.add("lab", kind, &intel.root_der()).expect("an anchor");
        }
        Self { intel, verifier: Verifier::new(anchors) }
    }

    /// Collateral for one TEE with one fault.
    pub fn collateral(&self, tee: Tee, fault: Option<CollateralFault>) -> String {
        self.changed(tee, |wanted| wanted.fault = fault)
    }

    /// Collateral for one TEE, changed before it is signed.
    pub fn changed(&self, tee: Tee, change: impl FnOnce(&mut Collateral)) -> String {
        let mut wanted = self.intel.describe(tee);
        change(&mut wanted);
        self.intel.collateral(&wanted)
    }

    /// Verdict under strict options with this file of endorsements.
    pub fn judge(&self, kind: EvidenceKind, quote: &[u8], collateral: &str) -> Result<Genuine, String> {
        self.judge_with(kind, quote, collateral, &Options::strict())
    }

    /// The same under other options.
    pub fn judge_with(
        &self,
        kind: EvidenceKind,
        quote: &[u8],
        collateral: &str,
        options: &Options,
    ) -> Result<Genuine, String> {
        let mut held = Endorsements::default();
        held.add_file(collateral.as_bytes()).map_err(|why| why.code().to_owned())?;
        super::judge_with(&self.verifier, kind, quote, &held, options, UnixTime::from_secs(NOW))
    }

    /// Verdict on an SGX quote with sound collateral.
    pub fn sgx(&self, wanted: &SgxQuote) -> Result<Genuine, String> {
        self.judge(EvidenceKind::Sgx, &self.intel.sgx_quote(wanted), &self.collateral(Tee::Sgx, None))
    }

    /// Verdict on a TDX quote with sound collateral.
    pub fn tdx(&self, wanted: &TdxQuote) -> Result<Genuine, String> {
        self.judge(EvidenceKind::Tdx, &self.intel.tdx_quote(wanted), &self.collateral(Tee::Tdx, None))
    }
}

/// The code of a refusal, or `accepted`.
pub fn code(verdict: Result<Genuine, String>) -> String {
    verdict.err().unwrap_or_else(|| "accepted".to_owned())
}
