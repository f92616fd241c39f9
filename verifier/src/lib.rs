//! Evidence in, verified claims out.
//!
//! A *Verifier* in the words of RFC 9334: it takes the bytes that an attester sent, the endorsements that are held
//! (vendor certificates, TCB information, revocation lists) and a time, and answers with verified claims or with a wish
//! list of endorsements that are still missing. It opens no socket, reads no clock and no file, and draws no random number:
//! the same inputs give the same outcome, for ever.
//!
//! ```
//! use keygate_verifier::{Anchors, Binding, Endorsements, Evidence, EvidenceKind, Options, UnixTime, Verifier};
//!
//! let verifier = Verifier::new(Anchors::vendor().expect("the embedded roots are sound"));
//! let evidence = Evidence { kind: EvidenceKind::Sgx, bytes: b"not a quote" };
//! let refused = verifier
//!     .verify(&evidence, &Binding::Unbound, &Endorsements::default(), &Options::strict(), UnixTime::from_secs(1_750_000_000))
//!     .expect_err("these bytes are no quote");
//! assert_eq!(refused.code(), "malformed");
//! ```
//!
//! The way through the crate: [`Verifier::verify`] finds the scheme of the kind in one list, the scheme parses the
//! bytes, says what it [wishes for](CollateralId), and makes a [`Genuine`] that only its own checks can make. What is genuine
//! becomes [`Verified`] when debug bit and TCB status are accepted by the [`Options`].
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod anchors;
mod binding;
mod dcap;
mod endorsements;
mod error;
mod formats;
mod kinds;
pub mod logs;
mod memo;
mod options;
mod recipient;
mod roots;
mod scheme;
mod signatures;
mod time;
pub mod tokens;
pub mod tpm;
pub mod tpm_azure;
mod verified;
mod verify;

pub use anchors::{Anchor, AnchorPurpose, AnchorScope, Anchors};
pub use binding::{Binding, NativeBinding, NativeRequest, native_bind, request_digest};
pub use endorsements::{
    AmdProduct, AmdSigner, AmdTcb, CollateralId, Endorsements, EnrolledKey, IntelTee, PckCa, SignedDocument,
};
pub use error::{Code, VerifyError};
pub use kinds::EvidenceKind;
pub use kinds::sgx::baselines::{AZURE_DEFAULT, Baseline, UnknownBaseline, meets_baseline, tcb_baselines};
pub use kinds::snp::{MICROSOFT_UVM_ISSUER, SnpDocument, UvmEndorsement, UvmTrust};
pub use memo::Counts;
pub use options::Options;
pub use recipient::{RecipientCurve, RecipientKey};
pub use time::UnixTime;
pub use verified::{BoundKey, Genuine, InitDataSlot, Revocation, Tcb, TcbStatus, TpmState, UsedCollateral, Verified};
pub use verify::{Evidence, Outcome, Verifier};
