//! The Attestation Result and what is signed about it: tokens, receipts, certificates.
//!
//! RFC 9334 section 8.4; `native-api.md` sections 3 (receipt) and 5 (token). One key a purpose (P18).

pub mod attestation_result;
pub mod azure_signer;
pub mod certificate;
pub mod jwt_provider;
pub mod receipt;
pub mod release_key;
pub mod signer;
pub mod token;

pub use attestation_result::{Appraised, AttestationResult, PolicyFacts, Source};
pub use azure_signer::AzureSigningKey;
pub use receipt::Receipt;
pub use release_key::ReleaseKey;
pub use signer::SigningKey;
pub use token::{NewToken, SessionToken, TokenFault};

/// A signature or a certificate could not be made. Says which, never why in detail: the cause is a library's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SigningFailed(pub &'static str);
