//! A confidential machine on Azure: a paravisor below the guest keeps a virtual TPM, and SEV-SNP or TDX vouches for the paravisor.
//!
//! Microsoft, *Azure confidential VM, guest attestation design*; TCG *Trusted Platform Module Library*, family 2.0.
//!
//! # What the hardware promises
//!
//! All that an [SEV-SNP report](super::snp) or a [TD quote](super::tdx) promises, of the paravisor: that program, and nothing else,
//! was launched, and put the digest of its run-time data into the report. The run-time data name the attestation key of the virtual
//! TPM, so a quote under that key is the paravisor's word for what the guest measured while it started.
//!
//! # What it does not promise
//!
//! * Anything by itself: the same hardware vouches for any program, so the launch has to be known as a paravisor. Microsoft's for
//!   SEV-SNP is known by the key that signs its identity block; MRTDs of TDX are the operator's to name. Everything else counts as
//!   evidence for tests, like a debug bit.
//! * Freshness of the hardware's report: it is made once, when the machine starts. Fresh is the quote.
//! * That the guest is what its registers say without a log: see the claims of kind `tpm`.
//!
//! # How the files follow each other
//!
//! [`wire`] reads the document, [`hcl`] the paravisor's report in it, [`verify`] says in which order all is judged, [`paravisor`]
//! knows launches, [`claims`] spells the outcome.

mod claims;
mod hcl;
mod paravisor;
mod verify;
mod wire;

use crate::error::VerifyError;
use crate::scheme::{Parsed, Scheme};

pub(crate) use paravisor::Paravisors;

/// The scheme of this kind.
pub(crate) struct AzureVtpm;

impl Scheme for AzureVtpm {
    fn parse<'a>(&self, bytes: &'a [u8]) -> Result<Box<dyn Parsed + 'a>, VerifyError> {
        Ok(Box::new(verify::Evidence { document: wire::Document::parse(bytes)? }))
    }

    fn looks_like(&self, bytes: &[u8]) -> bool {
        bytes.first() == Some(&b'{') && wire::Document::parse(bytes).is_ok()
    }
}
