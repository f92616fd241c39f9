//! Claims and rules in, a decision with its reasons out.
//! Secure key release, sections 1, 2 and 7; policy language; native API, section 5; threat model, P9, P21 and P22.
//!
//! A key says itself who may use it: rules in Key Vault's grammar, one per operation, and options beside them. Somebody
//! else has verified the evidence and hands in claims; this crate answers *do they satisfy the rules?* It reads no clock,
//! file or network and draws no randomness, so that the same question has the same answer for ever.
//!
//! Text is read once, strictly ([`json`]), into a [`KeyRules`] that cannot be malformed any more. Everything else is
//! one call: [`KeyRules::decide`] gives the verdict and, from the same evaluation, every leaf it rests on.
//!
//! ```
//! use keygate_policies::{Asked, Authority, FreshnessShown, KeyRules, canonical};
//! use serde_json::json;
//!
//! let rules = KeyRules::parse(br#"{
//!     "rules": {"release": {"version": "1.0.0", "anyOf": [{"authority": "self", "allOf": [
//!         {"claim": "nitro.pcrs.0", "equals": "1f0a2e"},
//!         {"claim": "svn", "greaterOrEquals": 8}
//!     ]}]}}
//! }"#).map_err(|mut found| found.remove(0))?;
//! assert_eq!(rules.digest(), canonical::digest(rules.to_value()));
//!
//! let claims = json!({
//!     "keygate": {"kind": "nitro", "anchor": "vendor", "debug": false},
//!     "nitro": {"pcrs": {"0": "1f0a2e"}},
//!     "svn": 7,
//! });
//! let decision = rules.decide("release", &Asked {
//!     authority: Authority { issuer: "https://kms.example", own: true },
//!     claims: claims.as_object().unwrap(),
//!     wrapping: "JWE",
//!     freshness: FreshnessShown::Once,
//!     references: keygate_policies::reference::References::none(),
//! });
//! assert_eq!(decision.code, Some("rule-not-satisfied"));
//! let reasons: Vec<_> = decision.failed().map(|leaf| (leaf.path.as_str(), leaf.at.as_str())).collect();
//! assert_eq!(reasons, [("svn", "rules.release.anyOf[0].allOf[1]")]);
//! # Ok::<(), keygate_policies::Diagnostic>(())
//! ```
//!
//! What a provider issues tokens for is said in another language, Azure's, by an
//! [`AttestationPolicy`](attestation::AttestationPolicy): claims go in, a verdict and the claims of the token come out. Queries
//! over JSON within it are [`jmespath`]; whatever a text makes the crate do is paid for in [`fuel`].
//!
//! Values that count by name, signed and until some day, are [`reference`](mod@reference)s: rules and policies name them, and what does not count
//! satisfies nothing.
//!
//! What is wrong with a text comes back as [`Diagnostic`]s with their places; what is only unwise, from
//! [`KeyRules::lint`]. To add an operator: `release/operand.rs`; an option: `release/options.rs`, its admission in
//! `release/admit/options.rs`, its guard in `release/guards/options.rs`.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::result_large_err)] // a diagnostic ends the reading of a document: no hot path returns one

pub mod attestation;
pub mod canonical;
mod diagnostic;
pub mod fuel;
pub mod jmespath;
pub mod json;
mod limits;
mod nearest;
pub mod reference;
pub mod release;

pub use diagnostic::{Diagnostic, Severity, Span};
pub use limits::Limits;
pub use release::{Asked, Authority, Decision, FreshnessShown, KeyRules, ReleaseRule};
