//! Who asks, where a credential was sent: roles and the keys they are for.
//!
//! `native-api.md` sections 2 (roles) and 3 (*Who*). A credential that is sent must be valid.

use keygate_keystore::{KeyName, Keystore, ProviderId};

use super::admin::roles;
use super::error::{Code, Fault};

/// The caller by its credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// No credential was sent.
    Anonymous,
    /// A live credential of the provider.
    Known {
        /// The credential's name.
        name: String,
        /// What it may do.
        roles: Vec<String>,
        /// To which keys: `*` stands for any text; none means all.
        key_pattern: Option<String>,
    },
}

impl Caller {
    /// The credential's name.
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

/// The caller of a bearer token.
pub(crate) fn identify(
    keystore: &Keystore,
    provider: &ProviderId,
    bearer: Option<&str>,
    now: i64,
) -> Result<Caller, Fault> {
    let Some(token) = bearer else { return Ok(Caller::Anonymous) };
    match keystore.credential_by_token(token, now)? {
        Some(known) if known.provider == *provider => {
            let roles = roles::effective(keystore, &known)?;
            Ok(Caller::Known { name: known.name, roles, key_pattern: known.key_pattern })
        }
        _ => Err(Fault::new(Code::CredentialInvalid, "credential")),
    }
}

/// Whether a credential that was found before is still in force.
pub(crate) fn still_there(keystore: &Keystore, provider: &ProviderId, name: &str, now: i64) -> Result<(), Fault> {
    let all = keystore.credentials(provider)?;
    let live = all.iter().find(|known| known.name == name);
    match live.is_some_and(|known| known.revoked_at.is_none() && known.expires.is_none_or(|end| now < end)) {
        true => Ok(()),
        false => Err(Fault::new(Code::CredentialInvalid, "credential")),
    }
}

/// `*` stands for any text, everything else for itself.
fn matches(pattern: &str, text: &str) -> bool {
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
        let caller =
            Caller::Known { name: "a".into(), roles: vec!["key-user".into()], key_pattern: Some("DB-*".into()) };
        let key = |name: &str| KeyName::parse(name).unwrap();
        assert!(caller.has_for(&["key-user"], &key("db-Key")));
        assert!(!caller.has_for(&["key-user"], &key("web-key")));
        assert!(!caller.has_for(&["auditor"], &key("db-key")));
        assert!(!Caller::Anonymous.may_know(&key("db-key")));
    }
}
