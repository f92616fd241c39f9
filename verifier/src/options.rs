//! What is accepted beyond the default; every loosening has a name and ends up as a claim.
//!
//! Debug, TCB status and the strength of a TPM's hashes are the only grounds of acceptance that the verifier knows. Everything else (VMPL, migration,
//! service TD, SEPT_VE_DISABLE, a missing AMD revocation list) is a claim, and a rule decides on it.

use std::collections::BTreeSet;

use crate::verified::TcbStatus;

/// Grounds of acceptance. [`Options::strict`] is the default of the house.
#[derive(Debug, Clone)]
pub struct Options {
    /// Accept debug evidence (SGX DEBUG, TDX DEBUG, SNP policy bit 19, Nitro with all-zero PCRs).
    pub allow_debug: bool,
    /// TCB statuses accepted. `Revoked` is never accepted, whatever stands here.
    pub accept_tcb: BTreeSet<TcbStatus>,
    /// Refuse SEV-SNP evidence when no revocation list of its signer is held.
    pub require_amd_crl: bool,
    /// Accept a TPM's quote that is over registers of SHA-1 alone, or signed over SHA-1.
    pub allow_sha1: bool,
    /// Nothing beyond what is held can be brought: a held certificate that does not fit is refused by the check that fails,
    /// instead of another being wished for.
    pub nothing_more: bool,
}

impl Options {
    /// `UpToDate` only, no debug evidence, no SHA-1, AMD's revocation list not demanded.
    pub fn strict() -> Self {
        Self {
            allow_debug: false,
            accept_tcb: BTreeSet::from([TcbStatus::UpToDate]),
            require_amd_crl: false,
            allow_sha1: false,
            nothing_more: true,
        }
    }

    /// Everything that can be shown is shown: debug, SHA-1 and every TCB status but `Revoked`. For callers that decide by claims.
    pub fn show_all() -> Self {
        let accept_tcb = TcbStatus::ALL.iter().copied().filter(|s| *s != TcbStatus::Revoked).collect();
        Self { allow_debug: true, accept_tcb, require_amd_crl: false, allow_sha1: true, nothing_more: true }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::strict()
    }
}
