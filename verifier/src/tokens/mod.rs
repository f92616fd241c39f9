//! Tokens of others: a compact JWS in, its claims out, under keys that were configured for its issuer.
//!
//! RFC 7515, RFC 7517, RFC 7518, RFC 7519, RFC 8725. A token names its key and never brings it: `jku`, `x5u`, `x5c` and `jwk` of a
//! header choose nothing. The type of the key fixes the family of the algorithm, the caller fixes the list, and both must agree
//! with what the header says.
//!
//! ```
//! use keygate_verifier::UnixTime;
//! use keygate_verifier::tokens::{Expected, JwsAlgorithm, KeySet, verify_jwt};
//!
//! let keys = KeySet::parse(br#"{"keys": []}"#)?;
//! let expected = Expected {
//!     issuer: "https://issuer.example",
//!     audiences: &["https://keygate.example"],
//!     algorithms: &[JwsAlgorithm::ES256],
//!     typ: &[],
//!     leeway: 60,
//!     max_age: None,
//! };
//! // {"alg":"none"}
//! let refused = verify_jwt("eyJhbGciOiJub25lIn0.e30.", &keys, &expected, UnixTime::from_secs(1_750_000_000)).unwrap_err();
//! assert_eq!(refused.code(), "token-invalid");
//! # Ok::<(), keygate_verifier::VerifyError>(())
//! ```
//!
//! [`verify_jwt`] is for bearers and attestation tokens of any issuer, [`verify_maa`] adds what relying parties of an Azure-style
//! attestation service look at, [`read_embedded`] reads the policies that Azure's tools sign: there alone the certificate comes
//! with the text, and whether its key may do anything is for the caller to say. [`verify_foreign`] takes a token as evidence: by the
//! profile of its issuer it finds the key of the workload, a nonce of ours, debug, and claims under common names.

mod algorithm;
mod embedded;
mod fault;
mod jwk;
mod jws;
mod jwt;
mod keys;
mod maa;
mod profiles;

pub use algorithm::JwsAlgorithm;
pub use embedded::{EmbeddedFault, EmbeddedJws, EmbeddedSigner, read_embedded};
pub use fault::TokenFault;
pub(crate) use jwk::public_key;
pub use jws::{Jws, MAX_TOKEN, Peek, peek, verify_jws};
pub use jwt::{Expected, Jwt, verify_jwt};
pub use keys::KeySet;
pub use maa::{maa_kid, verify_maa};
pub use profiles::{
    Foreign, Issuer, Lead, Profile, TokenBinding, TokenRoots, check_companion, peek_foreign, verify_foreign,
};
