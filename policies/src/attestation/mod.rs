//! The attestation policy language, versions 1.0, 1.1 and 1.2: claims in, a verdict and the claims of a token out.
//! Policy language, whole; threat model, P21 and P22.
//!
//! A text is read once ([`AttestationPolicy::parse`]) and cannot be malformed afterwards: form, versions, identifiers,
//! properties and the queries written in it are known to be right. An evaluation is one pass under [`Fuel`]; what it writes
//! down as trace is what it did.
//!
//! ```
//! use keygate_policies::attestation::{AttestationPolicy, ClaimSet, Outcome, Tracing};
//! use keygate_policies::fuel::Fuel;
//! use serde_json::{Map, json};
//!
//! let policy = AttestationPolicy::parse(r#"
//!     version=1.0;
//!     authorizationrules {
//!         [type=="x-ms-sgx-is-debuggable", value==true, issuer=="AttestationService"] => deny();
//!         [type=="x-ms-sgx-svn", value>=2, issuer=="AttestationService"] => permit();
//!     };
//!     issuancerules {
//!         c:[type=="x-ms-sgx-svn"] => issue(type="svn", value=c.value);
//!     };
//! "#)?;
//! let attested = json!({"x-ms-sgx-is-debuggable": false, "x-ms-sgx-svn": 3});
//! let incoming = ClaimSet::from_objects(attested.as_object().unwrap(), &Map::new());
//! let evaluation = policy.evaluate(incoming, &mut Fuel::service(), Tracing::On);
//! let Outcome::Permit { issued, .. } = evaluation.outcome else { panic!("denied") };
//! assert_eq!(issued["svn"], 3);
//! assert_eq!(evaluation.trace.0[1].conditions[0].count, 1);
//!
//! let found = AttestationPolicy::parse("version=1.0; authorizationrules{[type=\"x\"] => permit();};").unwrap_err();
//! assert_eq!(found[0].message, "mismatched input '=' expecting {'==', '!=', '<=', '<', '>=', '>'}");
//! assert!(found[0].help.as_ref().unwrap().contains("write `==`"));
//! # Ok::<(), Vec<keygate_policies::Diagnostic>>(())
//! ```
//!
//! To add a function: a name in `functions.rs`, a form in `program.rs`, what it does in `calls.rs`; a property: a row in
//! `configuration.rs`; a proposal for a mistake: `mend.rs`.

mod ast;
mod azure;
mod calls;
mod check;
mod claim_json;
mod claims;
mod configuration;
mod defaults;
mod eval;
mod fault;
mod functions;
mod lexer;
mod lint;
mod mend;
mod names;
mod outcome;
mod parser;
mod print;
mod program;
mod reserved;
mod strings;
mod trace;

use std::sync::Arc;

pub use ast::{Section, Version};
pub use azure::azure_message;
pub use claims::{Claim, ClaimSet, ClaimValue, Issuer};
pub use configuration::Configuration;
pub use defaults::{default_text, policy_hash};
pub use outcome::{DenyReason, EvalError, EvalFault, Evaluation, Outcome};
pub use reserved::{RESERVED, RESERVED_PREFIXES, is_reserved};
pub use trace::{ClaimTrace, ConditionTrace, RuleTrace, Trace, Tracing};

use crate::diagnostic::{Diagnostic, Span};
use crate::fuel::Fuel;
use crate::limits::POLICY_BYTES;

/// A policy that was read and checked; there is no other way to have one. Clones share it.
///
/// Two are equal where they say the same, whatever their space, comments and case of section names.
#[derive(Debug, Clone)]
pub struct AttestationPolicy {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    text: String,
    policy: ast::Policy,
    program: program::Program,
    configuration: Configuration,
    warnings: Vec<Diagnostic>,
}

impl AttestationPolicy {
    /// Reads a text of at most 64 KiB, function calls at most 32 deep.
    ///
    /// # Errors
    /// The first fault, alone: `policy-invalid`, or `too-large`.
    pub fn parse(text: &str) -> Result<Self, Vec<Diagnostic>> {
        if text.len() > POLICY_BYTES {
            let message = format!("policy is {} bytes, at most {POLICY_BYTES}", text.len());
            let start = Span { line: 1, column: 1, ..Span::default() };
            return Err(vec![fault::too_large(start, "", message).at("policy")]);
        }
        let policy = parser::parse(text).map_err(|fault| vec![fault])?;
        let program = program::Program::of(&policy);
        let configuration = Configuration::of(policy.rules(Section::Configuration));
        let warnings = lint::policy(text, &policy);
        Ok(Self { inner: Arc::new(Inner { text: text.to_owned(), policy, program, configuration, warnings }) })
    }

    /// What is only unwise about it.
    #[must_use]
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.inner.warnings
    }

    /// The text as it was read.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.inner.text
    }

    /// The version it declares.
    #[must_use]
    pub fn version(&self) -> Version {
        self.inner.policy.version
    }

    /// Its canonical text, which parses to an equal policy.
    #[must_use]
    pub fn print(&self) -> String {
        print::policy(&self.inner.policy)
    }

    /// What `configurationrules` set, to be looked at before evidence is verified.
    #[must_use]
    pub fn configuration(&self) -> &Configuration {
        &self.inner.configuration
    }

    /// Evaluates it over claims. The same claims and the same fuel always give the same evaluation.
    pub fn evaluate(&self, incoming: ClaimSet, fuel: &mut Fuel, tracing: Tracing) -> Evaluation {
        let Inner { text, policy, program, configuration, .. } = &*self.inner;
        eval::evaluate(&eval::Reading { source: text, policy, program, configuration }, incoming, fuel, tracing)
    }
}

impl PartialEq for AttestationPolicy {
    fn eq(&self, other: &Self) -> bool {
        self.inner.policy == other.inner.policy
    }
}
