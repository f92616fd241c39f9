//! Who is known from elsewhere: bearers of an issuer's tokens, and clients with a certificate.
//!
//! `native-api.md` section 2 (roles); threat model B3, P17, P18, P53. The keys of issuers are fetched in the background and held; whether a
//! token is good is decided at once from what is held. Only issuers of the configuration are ever asked (DISC-01).

mod certificates;
mod egress;
mod issuer;
mod keys;
mod source;
mod verifiers;

use std::sync::Arc;

use keygate_verifier::UnixTime;
use keygate_verifier::tokens::{Foreign, TokenBinding, peek};
use openssl::stack::StackRef;
use openssl::x509::X509;

use certificates::Certificates;
use issuer::Issuer;
use verifiers::ForeignVerifier;

pub use certificates::{CertificateSetup, PeerCertificate, Subject, stack};
pub use egress::{Egress, EgressError, Resolve, SystemResolver, is_public};
pub use issuer::IssuerSetup;
pub use keys::Renewal;
pub use source::{Address, Discovery, KeyFile, KeySource};
pub use verifiers::{NoEvidence, VerifierSetup};

/// Somebody who is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// `oidc:<issuer's name>:<subject>` or `cert:<name>`: no credential of the store has a name with a colon.
    pub name: String,
    /// What it may do.
    pub roles: Vec<String>,
    /// Unix seconds until which this holds.
    pub until: i64,
}

/// Why a token is nobody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoPerson {
    /// It is accepted nowhere here.
    Invalid(String),
    /// Its issuer has been silent for too long.
    Unavailable(String),
}

/// All issuers and clients of the configuration.
#[derive(Default)]
pub struct Identity {
    issuers: Vec<Issuer>,
    certificates: Certificates,
    verifiers: Vec<ForeignVerifier>,
}

impl Identity {
    /// From what an operator says.
    pub fn new(issuers: Vec<IssuerSetup>, certificates: Vec<CertificateSetup>) -> Self {
        let issuers = issuers.into_iter().map(Issuer::new).collect();
        Self { issuers, certificates: Certificates(certificates), verifiers: Vec::new() }
    }

    /// With verifiers of others, whose tokens count as evidence.
    #[must_use]
    pub fn with_verifiers(mut self, verifiers: Vec<VerifierSetup>) -> Self {
        self.verifiers = verifiers.into_iter().map(ForeignVerifier::new).collect();
        self
    }

    /// Judges a token as evidence, by the configured verifier that it is of; `at` is the provider and its own issuer. None where it
    /// says that it is of nobody known here.
    pub fn judge_evidence(
        &self,
        at: (&str, &str),
        token: &str,
        binding: &TokenBinding<'_>,
        now: UnixTime,
    ) -> Option<Result<Foreign, NoEvidence>> {
        verifiers::judge(&self.verifiers, at, token, binding, now)
    }

    /// Whether a token says of itself that it is of a verifier whose tokens count at this provider, whose own issuer is `own`.
    /// Nothing of it is believed.
    pub fn is_evidence(&self, provider: &str, own: &str, token: &str) -> bool {
        verifiers::names(&self.verifiers, provider, own, token)
    }

    /// Looks for the key of a verifier's token, where it is not held: one fetch a minute and verifier, whoever asks.
    pub async fn prepare_evidence(&self, provider: &str, token: &str, now: UnixTime) -> Vec<(&str, Renewal)> {
        verifiers::prepare(&self.verifiers, provider, token, now).await
    }

    /// Whether a bearer's text is a token, and no credential of ours: those have no dots.
    pub fn is_token(text: &str) -> bool {
        text.contains('.')
    }

    /// The bearer of a token, at this provider.
    ///
    /// # Errors
    /// [`NoPerson`].
    pub fn bearer(&self, provider: &str, token: &str, now: UnixTime) -> Result<Person, NoPerson> {
        match self.issuer_of(provider, token) {
            Some((issuer, _)) => issuer.bearer(token, now),
            None => Err(NoPerson::Invalid("the token is of no issuer that counts here".to_owned())),
        }
    }

    /// Looks for the key of a token, where it is not held: one fetch a minute and issuer, whoever asks.
    /// Says of which issuer keys were looked for, and what became of it.
    pub async fn prepare(&self, provider: &str, token: &str, now: UnixTime) -> Option<(&str, Renewal)> {
        let (issuer, kid) = self.issuer_of(provider, token)?;
        let held = issuer.keys.in_force(now.secs());
        let known = match kid {
            Some(kid) => held.iter().any(|keys| keys.has(&kid)),
            None => !held.is_empty(),
        };
        if known {
            return None;
        }
        Some((&issuer.name, Arc::clone(&issuer.keys).renew_for_unknown(now.secs()).await))
    }

    /// Renews the keys that are due; says what became of each issuer's.
    pub async fn renew(&self, now: UnixTime) -> Vec<(&str, Renewal)> {
        let issuers = self.issuers.iter().map(|issuer| (issuer.name.as_str(), &issuer.keys));
        let verifiers = self.verifiers.iter().filter_map(|verifier| Some((verifier.name(), verifier.keys()?)));
        let each = issuers.chain(verifiers).map(|(name, keys)| async move { (name, keys.renew(now.secs()).await) });
        futures_util::future::join_all(each).await
    }

    /// The issuer that a token says it is of, and the key it names. Nothing of it is believed yet.
    fn issuer_of(&self, provider: &str, token: &str) -> Option<(&Issuer, Option<String>)> {
        let peeked = peek(token).ok()?;
        let named = peeked.issuer?;
        let issuer = self.issuers.iter().find(|issuer| issuer.is_for(&named, provider))?;
        Some((issuer, peeked.kid))
    }

    /// Every CA that a client's certificate may be under; empty: no client is asked for one.
    pub fn authorities(&self) -> Vec<X509> {
        self.certificates.authorities()
    }

    /// What a client's certificate is good for, checked again whatever TLS found.
    pub fn examine(&self, leaf: &X509, chain: &StackRef<X509>, now: UnixTime) -> Option<PeerCertificate> {
        self.certificates.examine(leaf, chain, now)
    }

    /// Who a client with this certificate is, at this provider.
    pub fn client(&self, provider: &str, peer: &PeerCertificate, now: UnixTime) -> Option<Person> {
        self.certificates.client(peer, provider, now)
    }
}
