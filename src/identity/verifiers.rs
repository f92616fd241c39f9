//! Verifiers of others: whose Attestation Results count as evidence, and their keys.
//!
//! RFC 9334 section 8.4; `relying-party-tokens.md` section 0, `native-api.md` section 6; threat model P17, P53. Only verifiers of the
//! configuration are ever asked, and each is held to its own keys.

use std::sync::Arc;

use keygate_verifier::UnixTime;
use keygate_verifier::tokens::{
    Foreign, Issuer, KeySet, Peek, Profile, TokenBinding, TokenFault, TokenRoots, peek_foreign, verify_foreign,
};

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
    /// Roots of certificates that its tokens bring along.
    pub roots: TokenRoots,
    /// Oldest token, in seconds.
    pub max_age: Option<i64>,
    /// Whether it is a Keygate, whose tokens say under `keygate` what it concluded.
    pub is_keygate: bool,
    /// Where its keys come from; none: only certificates under its roots count.
    pub keys: Option<Box<dyn KeySource>>,
}

/// A verifier and its keys.
pub struct ForeignVerifier {
    name: String,
    issuer: String,
    profile: Profile,
    provider: Option<String>,
    audiences: Vec<String>,
    roots: TokenRoots,
    max_age: Option<i64>,
    is_keygate: bool,
    keys: Option<Arc<Keys>>,
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
        let VerifierSetup { name, issuer, profile, provider, audiences, roots, max_age, is_keygate, keys } = setup;
        let keys = keys.map(|source| Arc::new(Keys::new(source)));
        Self { name, issuer, profile, provider, audiences, roots, max_age, is_keygate, keys }
    }

    /// The name in the settings.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its keys, where it has others than those under its roots.
    pub(super) fn keys(&self) -> Option<&Arc<Keys>> {
        self.keys.as_ref()
    }

    fn in_force(&self, now: UnixTime) -> Vec<KeySet> {
        self.keys.as_ref().map(|keys| keys.in_force(now.secs())).unwrap_or_default()
    }

    /// What the library asks of an issuer, with these keys.
    fn issuer<'a>(&'a self, keys: &'a KeySet, audiences: &'a [&'a str]) -> Issuer<'a> {
        Issuer {
            name: &self.name,
            issuer: &self.issuer,
            profile: self.profile,
            keys,
            roots: &self.roots,
            audiences,
            max_age: self.max_age,
            is_keygate: self.is_keygate,
        }
    }

    /// Whether a token may be of this verifier, by what it says of itself.
    fn fits(&self, provider: &str, peek: &Peek) -> bool {
        self.provider.as_deref().is_none_or(|only| only == provider) && self.issuer(&KeySet::default(), &[]).fits(peek)
    }

    fn judge(&self, token: &str, binding: &TokenBinding<'_>, own: &str, now: UnixTime) -> Result<Foreign, NoEvidence> {
        let mut sets = self.in_force(now);
        if sets.is_empty() {
            if self.roots.is_empty() {
                return Err(NoEvidence::Unavailable(format!("no keys of `{}` were seen within a day", self.name)));
            }
            sets.push(KeySet::default());
        }
        let audiences: Vec<&str> = match self.audiences.is_empty() {
            true => vec![own],
            false => self.audiences.iter().map(String::as_str).collect(),
        };
        let mut refused = TokenFault::UnknownKey;
        for keys in &sets {
            match verify_foreign(token, &self.issuer(keys, &audiences), binding, now) {
                Ok(foreign) => return Ok(foreign),
                // What a former set does not know says nothing about a token that the current one refused.
                Err(TokenFault::UnknownKey) => {}
                Err(why) => refused = why,
            }
        }
        Err(NoEvidence::Refused(refused.code(), refused.to_string()))
    }
}

/// The verifiers that a token may be of, by what it says of itself. Nothing of it is believed yet; families whose tokens do not name
/// their issuer may have several, told apart by their keys.
fn of<'v>(verifiers: &'v [ForeignVerifier], provider: &str, peek: &Peek) -> impl Iterator<Item = &'v ForeignVerifier> {
    verifiers.iter().filter(move |verifier| verifier.fits(provider, peek))
}

/// Judges a token as evidence at a provider, whose own issuer is `own`; none where it says that it is of nobody known.
pub(super) fn judge(
    verifiers: &[ForeignVerifier],
    (provider, own): (&str, &str),
    token: &str,
    binding: &TokenBinding<'_>,
    now: UnixTime,
) -> Option<Result<Foreign, NoEvidence>> {
    let peek = peek_foreign(token).ok()?;
    let mut refused: Option<NoEvidence> = None;
    for verifier in of(verifiers, provider, &peek) {
        match verifier.judge(token, binding, own, now) {
            Ok(foreign) => return Some(Ok(foreign)),
            // A key that another of them does not know is the least that can be said.
            Err(why) if refused.is_none() || !is_stranger(&why) => refused = Some(why),
            Err(_) => {}
        }
    }
    refused.map(Err)
}

/// Whether a token may be of one of the verifiers, or of the provider's own attestation door.
pub(super) fn names(verifiers: &[ForeignVerifier], provider: &str, own: &str, token: &str) -> bool {
    let Ok(peek) = peek_foreign(token) else { return false };
    peek.issuer.as_deref() == Some(own) || of(verifiers, provider, &peek).next().is_some()
}

fn is_stranger(why: &NoEvidence) -> bool {
    matches!(why, NoEvidence::Refused(_, said) if *said == TokenFault::UnknownKey.to_string())
}

/// Looks for the key of a token where nobody whose it may be holds it; says what became of each one's keys.
pub(super) async fn prepare<'v>(
    verifiers: &'v [ForeignVerifier],
    provider: &str,
    token: &str,
    now: UnixTime,
) -> Vec<(&'v str, Renewal)> {
    let Ok(peek) = peek_foreign(token) else { return Vec::new() };
    let fitting: Vec<&'v ForeignVerifier> = of(verifiers, provider, &peek).collect();
    let knows = |verifier: &&ForeignVerifier| match &peek.kid {
        Some(kid) => verifier.in_force(now).iter().any(|keys| keys.has(kid)),
        None => !verifier.in_force(now).is_empty(),
    };
    if fitting.iter().any(knows) {
        return Vec::new();
    }
    let mut became = Vec::new();
    for verifier in fitting {
        if let Some(keys) = verifier.keys() {
            became.push((verifier.name(), Arc::clone(keys).renew_for_unknown(now.secs()).await));
        }
    }
    became
}
