//! One issuer of bearer tokens: whose tokens they are, for whom, and which roles their claims stand for.
//!
//! RFC 7519, RFC 9068; threat model P17, P18; `bad-inputs.md` JWT-26 to JWT-29, JWT-43, JWT-52.

use std::collections::BTreeMap;
use std::sync::Arc;

use keygate_verifier::UnixTime;
use keygate_verifier::tokens::{Expected, JwsAlgorithm, Jwt, TokenFault, verify_jwt};
use serde_json::{Map, Value};

use super::keys::Keys;
use super::source::KeySource;
use super::{NoPerson, Person};

/// How far clocks may differ, in seconds.
const LEEWAY: i64 = 60;
/// Longest name of a bearer, in bytes. OpenID Connect Core 1.0 section 2, `sub`.
const LONGEST_SUBJECT: usize = 255;
/// Most values of the role claim that are looked at.
const MOST_VALUES: usize = 1_000;
/// Goes with no other role.
const ADMIN: &str = "admin";

/// What an operator says of an issuer.
pub struct IssuerSetup {
    /// `[a-z0-9._-]`; stands in callers' names.
    pub name: String,
    /// `iss`, byte for byte.
    pub issuer: String,
    /// Accepted values of `aud`; at least one.
    pub audiences: Vec<String>,
    /// The provider it is for; none: all.
    pub provider: Option<String>,
    /// The way to the claim with roles.
    pub role_claim: Vec<String>,
    /// Value of that claim -> our roles.
    pub roles: BTreeMap<String, Vec<String>>,
    /// The claim that names the bearer.
    pub subject_claim: String,
    /// Oldest token, in seconds.
    pub max_age: i64,
    /// Where its keys come from.
    pub keys: Box<dyn KeySource>,
}

/// An issuer and its keys.
pub(super) struct Issuer {
    pub(super) name: String,
    pub(super) keys: Arc<Keys>,
    issuer: String,
    audiences: Vec<String>,
    provider: Option<String>,
    role_claim: Vec<String>,
    roles: BTreeMap<String, Vec<String>>,
    subject_claim: String,
    max_age: i64,
}

impl Issuer {
    pub(super) fn new(setup: IssuerSetup) -> Self {
        Self {
            name: setup.name,
            keys: Arc::new(Keys::new(setup.keys)),
            issuer: setup.issuer,
            audiences: setup.audiences,
            provider: setup.provider,
            role_claim: setup.role_claim,
            roles: setup.roles,
            subject_claim: setup.subject_claim,
            max_age: setup.max_age,
        }
    }

    /// Whether it issues these tokens, and counts at this provider.
    pub(super) fn is_for(&self, issuer: &str, provider: &str) -> bool {
        self.issuer == issuer && self.provider.as_deref().is_none_or(|only| only == provider)
    }

    /// The bearer of a token of this issuer.
    pub(super) fn bearer(&self, token: &str, now: UnixTime) -> Result<Person, NoPerson> {
        let sets = self.keys.in_force(now.secs());
        if sets.is_empty() {
            return Err(NoPerson::Unavailable(format!("no keys of issuer `{}` were seen within a day", self.name)));
        }
        let audiences: Vec<&str> = self.audiences.iter().map(String::as_str).collect();
        let expected = Expected {
            issuer: &self.issuer,
            audiences: &audiences,
            algorithms: &JwsAlgorithm::RFC_7518,
            typ: &[],
            leeway: LEEWAY,
            max_age: Some(self.max_age),
        };
        let mut verified = Err(TokenFault::UnknownKey);
        for keys in &sets {
            verified = verify_jwt(token, keys, &expected, now);
            if verified.is_ok() {
                break;
            }
        }
        let jwt = verified.map_err(|fault| NoPerson::Invalid(fault.to_string()))?;
        is_bearers(&jwt.header)?;
        let subject = self.subject(&jwt.claims)?;
        Ok(Person {
            name: format!("oidc:{}:{subject}", self.name),
            roles: self.roles(&jwt.claims),
            until: self.until(&jwt),
        })
    }

    fn subject<'c>(&self, claims: &'c Map<String, Value>) -> Result<&'c str, NoPerson> {
        let subject = claims.get(&self.subject_claim).and_then(Value::as_str).unwrap_or_default();
        let fits = (1..=LONGEST_SUBJECT).contains(&subject.len())
            && subject.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
            && subject.trim() == subject;
        if fits { Ok(subject) } else { Err(NoPerson::Invalid(format!("claim `{}` names nobody", self.subject_claim))) }
    }

    /// What the values of the claim stand for, each role once. `admin` goes with no other: whoever would have both has the others.
    fn roles(&self, claims: &Map<String, Value>) -> Vec<String> {
        let mut roles: Vec<String> = Vec::new();
        for value in values(claims, &self.role_claim) {
            for role in self.roles.get(value).into_iter().flatten() {
                if !roles.contains(role) {
                    roles.push(role.clone());
                }
            }
        }
        if roles.len() > 1 {
            roles.retain(|role| role != ADMIN);
        }
        roles
    }

    /// When the token ends, by its own word or by its age.
    fn until(&self, jwt: &Jwt) -> i64 {
        let aged = jwt.issued.map_or(i64::MAX, |issued| issued.secs().saturating_add(self.max_age));
        jwt.expires.secs().min(aged).saturating_add(LEEWAY)
    }
}

/// A token for another use says so in `typ`: ours do, and none of them is a bearer's (JWT-43).
fn is_bearers(header: &Map<String, Value>) -> Result<(), NoPerson> {
    let fits = match header.get("typ") {
        None => true,
        Some(Value::String(typ)) => {
            ["JWT", "at+jwt", "application/at+jwt"].iter().any(|known| known.eq_ignore_ascii_case(typ))
        }
        Some(_) => false,
    };
    if fits { Ok(()) } else { Err(NoPerson::Invalid("the token is of a type that is nobody's bearer".to_owned())) }
}

/// The texts at the end of a path: a list's, or the one. `scp` and `scope` are lists with spaces between (RFC 6749 section 3.3).
fn values<'c>(claims: &'c Map<String, Value>, path: &[String]) -> Vec<&'c str> {
    let Some((last, outer)) = path.split_last() else { return Vec::new() };
    let mut place = claims;
    for name in outer {
        let Some(Value::Object(inner)) = place.get(name) else { return Vec::new() };
        place = inner;
    }
    match place.get(last) {
        Some(Value::String(text)) if matches!(last.as_str(), "scp" | "scope") => text.split(' ').collect(),
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(list)) => list.iter().take(MOST_VALUES).filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(claims: Value, path: &[&str]) -> Vec<String> {
        let Value::Object(claims) = claims else { panic!("no object") };
        let path: Vec<String> = path.iter().map(|name| (*name).to_owned()).collect();
        values(&claims, &path).into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn a_role_claim_is_a_list_a_text_or_a_scope() {
        assert_eq!(found(json!({"roles": ["A b", "c", 7, null]}), &["roles"]), ["A b", "c"]);
        assert_eq!(found(json!({"roles": "A b"}), &["roles"]), ["A b"]);
        assert_eq!(found(json!({"scp": "a b"}), &["scp"]), ["a", "b"]);
        assert_eq!(found(json!({"realm_access": {"roles": ["a"]}}), &["realm_access", "roles"]), ["a"]);
        assert_eq!(found(json!({"realm_access.roles": ["a"]}), &["realm_access", "roles"]), [""; 0]);
        assert_eq!(found(json!({"realm_access.roles": ["a"]}), &["realm_access.roles"]), ["a"]);
        for none in [json!({}), json!({"roles": {"a": 1}}), json!({"roles": true}), json!({"Roles": ["a"]})] {
            assert_eq!(found(none, &["roles"]), [""; 0]);
        }
    }

    #[test]
    fn jwt_43_a_type_that_is_no_bearers_is_refused() {
        let header = |typ: Value| Map::from_iter([("typ".to_owned(), typ)]);
        assert!(is_bearers(&Map::new()).is_ok());
        for fits in ["JWT", "jwt", "at+jwt", "application/at+jwt"] {
            assert!(is_bearers(&header(json!(fits))).is_ok(), "{fits}");
        }
        for odd in [json!("keygate-attestation+jwt"), json!("dpop+jwt"), json!("keygate-receipt"), json!(""), json!(1)]
        {
            assert!(is_bearers(&header(odd.clone())).is_err(), "{odd}");
        }
    }
}
