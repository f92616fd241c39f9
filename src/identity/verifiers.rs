//! Verifiers of others: whose Attestation Results count as evidence, and their keys.
//!
//! RFC 9334 section 8.4; `relying-party-tokens.md` section 0, `native-api.md` section 6; threat model P17, P53. Only verifiers of the
//! configuration are ever asked, and each is held to its own keys.

use std::sync::Arc;

use keygate_verifier::UnixTime;
use keygate_verifier::tokens::profiles::{Foreign, Issuer, Profile, TokenBinding, verify_foreign};
use keygate_verifier::tokens::{TokenFault, peek};

use super::keys::{Keys, Renewal};
use super::source::KeySource;

/// What an operator says of a verifier.
pub struct VerifierSetup {
    /// `[a-z0-9._-]`; stands in records.
    pub name: String,
    /// `iss`, byte for byte; for tokens without one the name in its place.
    pub issuer: String,
    /// The family of its tokens.
    pub profile: Profile,
    /// The provider it counts at; none: all.
    pub provider: Option<String>,
    /// Accepted values of `aud`; empty: the provider's own issuer.
    pub audiences: Vec<String>,
    /// Roots of certificates in its tokens, DER.
    pub roots: Vec<Vec<u8>>,
    /// Oldest token, in seconds.
    pub max_age: Option<i64>,
    /// Where its keys come from.
    pub keys: Box<dyn KeySource>,
}

/// A verifier and its keys.
pub struct ForeignVerifier {
    setup: Said,
    keys: Arc<Keys>,
}

struct Said {
    name: String,
    issuer: String,
    profile: Profile,
    provider: Option<String>,
    audiences: Vec<String>,
    roots: Vec<Vec<u8>>,
    max_age: Option<i64>,
}

/// Why a token is no evidence.
#[derive(Debug, Clone)]
pub enum NoEvidence {
    /// It is refused; the stable code and why.
    Refused(&'static str, String),
    /// Its issuer has been silent for too long.
    Unavailable(String),
}

impl ForeignVerifier {
    pub(super) fn new(setup: VerifierSetup) -> Self {
        let VerifierSetup { name, issuer, profile, provider, audiences, roots, max_age, keys } = setup;
        let setup = Said { name, issuer, profile, provider, audiences, roots, max_age };
        Self { setup, keys: Arc::new(Keys::new(keys)) }
    }

    /// The name in the settings.
    pub fn name(&self) -> &str {
        &self.setup.name
    }

    /// `iss`, or what stands in its place.
    pub fn issuer(&self) -> &str {
        &self.setup.issuer
    }

    pub(super) fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    fn is_for(&self, provider: &str) -> bool {
        self.setup.provider.as_deref().is_none_or(|only| only == provider)
    }

    /// Judges a token. `own` is the provider's issuer, whom tokens with an audience must be for unless the settings say otherwise.
    ///
    /// # Errors
    /// [`NoEvidence`].
    pub fn judge(
        &self,
        token: &str,
        binding: &TokenBinding<'_>,
        own: &str,
        now: UnixTime,
    ) -> Result<Foreign, NoEvidence> {
        let sets = self.keys.in_force(now.secs());
        if sets.is_empty() && self.setup.roots.is_empty() {
            return Err(NoEvidence::Unavailable(format!("no keys of `{}` were seen within a day", self.setup.name)));
        }
        let audiences: Vec<&str> = match self.setup.audiences.is_empty() {
            true => vec![own],
            false => self.setup.audiences.iter().map(String::as_str).collect(),
        };
        let none = keygate_verifier::tokens::KeySet::default();
        let mut last = None;
        for keys in sets.iter().chain(sets.is_empty().then_some(&none)) {
            let issuer = Issuer {
                name: &self.setup.name,
                issuer: &self.setup.issuer,
                profile: self.setup.profile,
                keys,
                roots: &self.setup.roots,
                audiences: &audiences,
                max_age: self.setup.max_age,
            };
            match verify_foreign(token, &issuer, binding, now) {
                Ok(foreign) => return Ok(foreign),
                Err(why) => last = Some(why),
            }
        }
        let why = last.unwrap_or(TokenFault::UnknownKey);
        Err(NoEvidence::Refused(why.code(), why.to_string()))
    }
}

/// The verifier that a token says it is of, and the key it names. Nothing of it is believed yet.
pub(super) fn of<'v>(
    verifiers: &'v [ForeignVerifier],
    provider: &str,
    token: &str,
) -> Option<(&'v ForeignVerifier, Option<String>)> {
    let peeked = peek(token).ok()?;
    let mut here = verifiers.iter().filter(|verifier| verifier.is_for(provider));
    let found = match &peeked.issuer {
        Some(named) => here.find(|verifier| verifier.setup.issuer == *named),
        // Results of EAR need no issuer: the key says whose they are, so that only one verifier may issue such.
        None => here.find(|verifier| verifier.setup.profile == Profile::Ear),
    };
    Some((found?, peeked.kid))
}

/// Looks for the key of a token, where it is not held.
pub(super) async fn prepare(found: (&ForeignVerifier, Option<String>), now: UnixTime) -> Option<Renewal> {
    let (verifier, kid) = found;
    let held = verifier.keys.in_force(now.secs());
    let known = match kid {
        Some(kid) => held.iter().any(|keys| keys.has(&kid)),
        None => !held.is_empty(),
    };
    if known {
        return None;
    }
    Some(Arc::clone(&verifier.keys).renew_for_unknown(now.secs()).await)
}
