//! Who asks: roles and the keys they are for, by a credential of the store, a token of an issuer, or a client certificate.
//!
//! `native-api.md` sections 2 (roles) and 3 (*Who*). A credential that is sent must be valid; whoever sends none is who the
//! connection's certificate says, or nobody.

use keygate_keystore::{KeyName, Keystore, ProviderId};
use keygate_verifier::UnixTime;
use openssl::stack::StackRef;
use openssl::x509::X509;

use super::Broker;
use super::admin::roles;
use super::challenge;
use super::composite::Tokens;
use super::error::{BrokerError, Code, Fault};
use super::request::Seat;
use crate::identity::{Identity, NoPerson, PeerCertificate, Person, Renewal};
use crate::telemetry;

/// Where a caller is known from, and what keeps it known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A credential of the store, while it is there.
    Credential,
    /// A token of an issuer, until this unix time.
    Token {
        /// Its end, leeway included.
        until: i64,
    },
    /// A client certificate, until this unix time.
    Certificate {
        /// Its end.
        until: i64,
    },
}

/// The caller by its credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// No credential was sent.
    Anonymous,
    /// Somebody whom the provider knows.
    Known {
        /// The name: a credential's of the store, `oidc:<issuer>:<subject>`, or `cert:<entry>`.
        name: String,
        /// Where it is known from.
        origin: Origin,
        /// What it may do.
        roles: Vec<String>,
        /// To which keys: `*` stands for any text; none means all.
        key_pattern: Option<String>,
    },
}

impl Caller {
    /// The caller's name.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Anonymous => None,
            Self::Known { name, .. } => Some(name),
        }
    }

    /// Whether it has the role.
    pub fn has(&self, role: &str) -> bool {
        matches!(self, Self::Known { roles, .. } if roles.iter().any(|r| r == role))
    }

    /// Whether it has one of the roles for this key.
    pub fn has_for(&self, wanted: &[&str], key: &KeyName) -> bool {
        match self {
            Self::Anonymous => false,
            Self::Known { key_pattern, .. } => {
                wanted.iter().any(|role| self.has(role))
                    && key_pattern.as_ref().is_none_or(|pattern| matches(&pattern.to_ascii_lowercase(), &key.folded()))
            }
        }
    }

    /// Whether it may be told the true code of a denial for this key.
    pub(crate) fn may_know(&self, key: &KeyName) -> bool {
        self.has_for(&["key-user", "auditor"], key)
    }
}

impl Broker {
    /// The caller of a bearer token, or of the connection where none was sent; a token that is sent must be valid. Decided from what
    /// is held: [`Broker::prepare_caller`] comes before it.
    ///
    /// # Errors
    /// `token-invalid`, `collateral-unavailable` while an issuer's keys are not there, or the node is not fit.
    pub fn caller(&self, seat: &Seat, bearer: Option<&str>) -> Result<Caller, BrokerError> {
        let known = self.fit().and_then(|now| identify(&self.keystore, &self.identity, seat, bearer, now));
        known.map_err(|fault| self.refuse(seat, &fault))
    }

    /// Looks for the issuer's key of a bearer token where it is not held yet. Waits for nothing in all other cases.
    pub async fn prepare_caller(&self, seat: &Seat, bearer: Option<&str>) {
        let Some(token) = bearer.filter(|token| Identity::is_token(token)) else { return };
        let Ok(now) = self.clock.now() else { return };
        if let Some((issuer, renewal)) = self.identity.prepare(seat.provider.id().as_str(), token, now).await {
            note_renewal(issuer, &renewal);
        }
    }

    /// Looks for the issuer's key of a token that is shown as evidence where it is not held yet. Waits for nothing in all other
    /// cases.
    pub(super) async fn prepare_evidence(&self, seat: &Seat, token: &str) {
        let Ok(now) = self.clock.now() else { return };
        for (issuer, renewal) in self.identity.prepare_evidence(seat.provider.id().as_str(), token, now).await {
            note_renewal(issuer, &renewal);
        }
    }

    /// The same for each token of a composite, once its challenge is known to be live.
    pub(super) async fn prepare_parts(&self, seat: &Seat, challenge: &[u8; 32], tokens: Option<&Tokens>) {
        let (Some(tokens), Ok(now)) = (tokens, self.clock.now()) else { return };
        if challenge::check(&self.keystore, seat.provider.id(), challenge, now.secs()).is_err() {
            return;
        }
        for (_, token) in &tokens.parts {
            self.prepare_evidence(seat, token).await;
        }
    }

    /// Renews the keys of issuers that are due.
    pub async fn renew_issuers(&self) {
        let Ok(now) = self.clock.now() else { return };
        for (issuer, renewal) in self.identity.renew(now).await {
            note_renewal(issuer, &renewal);
        }
    }

    /// What a client's certificate says here; nothing where it is under no CA of the configuration, or for nobody of it.
    pub fn examine_client(&self, leaf: &X509, chain: &StackRef<X509>) -> Option<PeerCertificate> {
        self.identity.examine(leaf, chain, self.clock.now().ok()?)
    }
}

/// What became of an issuer's keys, for the operator.
fn note_renewal(issuer: &str, renewal: &Renewal) {
    match renewal {
        Renewal::NotDue => {}
        Renewal::Renewed => tracing::debug!(issuer, "the keys of an issuer are new"),
        Renewal::Replaced => {
            telemetry::alarm("an issuer has replaced all of its keys at once");
            tracing::warn!(issuer, "all keys are other ones; the old ones count until this is seen once more");
        }
        Renewal::Failed(why) => {
            telemetry::alarm("the keys of an issuer could not be renewed");
            tracing::warn!(issuer, why, "the keys that are held stay for a day");
        }
    }
}

/// The caller of a bearer token, or of a connection.
fn identify(
    keystore: &Keystore,
    identity: &Identity,
    seat: &Seat,
    bearer: Option<&str>,
    now: UnixTime,
) -> Result<Caller, Fault> {
    let provider = seat.provider.id();
    let known = |Person { name, roles, .. }, origin| Caller::Known { name, roles, key_pattern: None, origin };
    match bearer {
        Some(token) if Identity::is_token(token) => {
            let person = identity.bearer(provider.as_str(), token, now).map_err(nobody)?;
            let until = person.until;
            Ok(known(person, Origin::Token { until }))
        }
        Some(token) => by_credential(keystore, provider, token, now.secs()),
        None => {
            let person = seat.peer.as_ref().and_then(|peer| identity.client(provider.as_str(), peer, now));
            Ok(person.map_or(Caller::Anonymous, |person| {
                let until = person.until;
                known(person, Origin::Certificate { until })
            }))
        }
    }
}

fn by_credential(keystore: &Keystore, provider: &ProviderId, token: &str, now: i64) -> Result<Caller, Fault> {
    match keystore.credential_by_token(token, now)? {
        Some(found) if found.provider == *provider => {
            let roles = roles::effective(keystore, &found)?;
            let origin = Origin::Credential;
            Ok(Caller::Known { name: found.name, roles, key_pattern: found.key_pattern, origin })
        }
        _ => Err(Fault::new(Code::CredentialInvalid, "credential")),
    }
}

fn nobody(why: NoPerson) -> Fault {
    match why {
        NoPerson::Invalid(inner) => Fault::new(Code::CredentialInvalid, "credential").because(inner),
        NoPerson::Unavailable(inner) => {
            Fault::new(Code::CollateralUnavailable, "the keys of the token's issuer cannot be had").because(inner)
        }
    }
}

/// Whether what a caller was known by is still in force.
pub(crate) fn still_there(keystore: &Keystore, provider: &ProviderId, caller: &Caller, now: i64) -> Result<(), Fault> {
    let Caller::Known { name, origin, .. } = caller else { return Ok(()) };
    let in_force = match origin {
        Origin::Credential => {
            let all = keystore.credentials(provider)?;
            let live = all.iter().find(|known| known.name == *name);
            live.is_some_and(|known| known.revoked_at.is_none() && known.expires.is_none_or(|end| now < end))
        }
        Origin::Token { until } | Origin::Certificate { until } => now < *until,
    };
    if in_force { Ok(()) } else { Err(Fault::new(Code::CredentialInvalid, "credential")) }
}

/// `*` stands for any text, everything else for itself.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part).and_then(|at| rest.get(at + part.len()..)) {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_stars_and_text() {
        for (pattern, text, fits) in [
            ("db-*", "db-key", true),
            ("db-*", "db", false),
            ("*", "anything", true),
            ("db", "db", true),
            ("db", "db2", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1c", false),
            ("a*a", "a", false),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn a_role_counts_for_the_keys_of_its_pattern_without_case() {
        let caller = Caller::Known {
            name: "a".into(),
            roles: vec!["key-user".into()],
            key_pattern: Some("DB-*".into()),
            origin: Origin::Credential,
        };
        let key = |name: &str| KeyName::parse(name).unwrap();
        assert!(caller.has_for(&["key-user"], &key("db-Key")));
        assert!(!caller.has_for(&["key-user"], &key("web-key")));
        assert!(!caller.has_for(&["auditor"], &key("db-key")));
        assert!(!Caller::Anonymous.may_know(&key("db-key")));
    }
}
