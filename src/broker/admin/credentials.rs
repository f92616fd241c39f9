//! Credentials: bearer tokens with roles. A token is told once; the store keeps a keyed digest of it.
//!
//! `native-api.md` section 2 (`keygate credential`, roles), threat model P46 and P48; `bad-inputs.md` ADM-01, ADM-02, ADM-09, ADM-12.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::{Change, ChangeOrder, CredentialView, IfMatch, Keystore, KeystoreError, ProviderId};
use openssl::sha::sha256;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::roles::{FIRST_ADMIN, Role, is_admin};
use super::{Desk, Done, Plan, Reason, Refusal};
use crate::audit::{Event, Field, kind};
use crate::broker::Broker;
use crate::broker::challenge::draw;
use crate::broker::error::{Code, Fault};

/// How long the first admin's credential lives at most, in seconds.
pub const FIRST_ADMIN_SECONDS: i64 = 7 * 86_400;
/// Name of the first admin's credential.
const FIRST_ADMIN_NAME: &str = "first-admin";
/// Longest name, in characters.
const LONGEST_NAME: usize = 64;

/// A credential to be made.
pub struct NewCredential {
    /// What it may do; at least one, none twice.
    pub roles: Vec<Role>,
    /// For which keys; `*` stands for any text.
    pub key_pattern: Option<String>,
    /// Unix seconds.
    pub expires: Option<i64>,
    /// For another provider of this node than the one that is asked: only the first provider's admins may.
    pub provider: Option<ProviderId>,
    /// Why.
    pub reason: Reason,
}

/// A name in its one form: 1 to 64 of `a-z 0-9 . _ -`, the first a letter or a digit. Nothing is folded, trimmed or normalised: what
/// is written otherwise is refused, so no two spellings are one name and no one spelling is two.
///
/// # Errors
/// `malformed`.
pub fn canonical_name(text: &str) -> Result<&str, Fault> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let fits = (1..=LONGEST_NAME).contains(&text.len())
        && text.bytes().next().is_some_and(plain)
        && text.bytes().all(|b| plain(b) || matches!(b, b'.' | b'_' | b'-'));
    if fits {
        Ok(text)
    } else {
        Err(Fault::new(Code::Malformed, "a name is of a-z 0-9 . _ - and begins with a letter or digit"))
    }
}

fn canonical_pattern(text: &str) -> Result<(), Fault> {
    let fits = (1..=127).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'*'));
    if fits { Ok(()) } else { Err(Fault::new(Code::Malformed, "a pattern is of the characters of key names and `*`")) }
}

/// A fresh token: `kg_` and 43 characters of base64url.
fn new_token() -> Result<Zeroizing<String>, Fault> {
    let secret = Zeroizing::new(draw::<32>()?);
    Ok(Zeroizing::new(format!("kg_{}", URL_SAFE_NO_PAD.encode(*secret))))
}

impl Broker {
    /// Makes the credential that a store begins with, and gives its token. It holds every role until another admin exists, for
    /// `seconds`, at most seven days, and it is never made twice.
    ///
    /// # Errors
    /// `conflict` where any credential exists already, or the node is not fit.
    pub fn first_admin(&self, provider: &ProviderId, seconds: i64) -> Result<Zeroizing<String>, Fault> {
        first_admin(&self.keystore, provider, self.fit()?.secs(), seconds.clamp(1, FIRST_ADMIN_SECONDS))
    }
}

fn first_admin(keystore: &Keystore, provider: &ProviderId, now: i64, seconds: i64) -> Result<Zeroizing<String>, Fault> {
    if !keystore.credentials(provider)?.is_empty() {
        return Err(Fault::new(Code::Conflict, "the provider has credentials already"));
    }
    let token = new_token()?;
    let reason = "the store was made";
    let record = Event::new(kind::ADMIN, provider, now)
        .word(Field::Op, "credential.create")
        .word(Field::Caller, "init")
        .word(Field::Object, FIRST_ADMIN_NAME)
        .word(Field::Decision, "permit")
        .word(Field::Reason, reason);
    keystore.change(ChangeOrder {
        provider: provider.clone(),
        change: Change::CreateCredential {
            name: FIRST_ADMIN_NAME.to_owned(),
            roles: vec![FIRST_ADMIN.to_owned()],
            key_pattern: None,
            expires: Some(now.saturating_add(seconds)),
            token: token.clone(),
        },
        author: "init".to_owned(),
        reason: reason.to_owned(),
        if_match: IfMatch::Absent,
        record: record.record(),
        repeat: None,
        dry_run: false,
        now,
    })?;
    Ok(token)
}

fn described(view: &CredentialView, now: i64) -> Value {
    let state = match (view.revoked_at, view.expires) {
        (Some(_), _) => "revoked",
        (None, Some(end)) if now >= end => "expired",
        _ => "live",
    };
    json!({
        "name": view.name, "provider": view.provider.as_str(), "roles": view.roles, "key_pattern": view.key_pattern,
        "expires": view.expires, "created": view.created, "revoked_at": view.revoked_at, "state": state,
    })
}

fn etag(view: &CredentialView) -> String {
    let text = format!("{}\0{}\0{}\0{:?}", view.provider, view.name, view.created, view.revoked_at);
    hex::encode(sha256(text.as_bytes()).split_at(8).0)
}

fn is_live(view: &CredentialView, now: i64) -> bool {
    view.revoked_at.is_none() && view.expires.is_none_or(|end| now < end)
}

impl Desk<'_> {
    /// A page of credentials in the order of their names, ended ones included, and the name to go on behind.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn list_credentials(&self, after: Option<&str>, limit: usize) -> Result<(Vec<Value>, Option<String>), Refusal> {
        let all = self.broker.keystore.credentials(&self.provider)?;
        let behind: Vec<_> = all.iter().filter(|view| after.is_none_or(|after| view.name.as_str() > after)).collect();
        let page = behind.iter().take(limit.clamp(1, 500));
        let next = behind.get(limit.clamp(1, 500)).and(page.clone().next_back().map(|view| view.name.clone()));
        Ok((page.map(|view| described(view, self.now)).collect(), next))
    }

    /// One credential and its entity tag.
    ///
    /// # Errors
    /// `not-found`.
    pub fn show_credential(&self, name: &str) -> Result<(String, Value), Refusal> {
        let view = self.credential(name)?;
        Ok((etag(&view), described(&view, self.now)))
    }

    /// Makes a credential; the token is in `object.token`, once. A repeat of the request does not tell it again.
    ///
    /// # Errors
    /// `conflict` for a name that is or was taken, `forbidden` for the author itself, for `admin` beside other roles and for another
    /// provider, `malformed`.
    pub fn create_credential(&self, name: &str, new: NewCredential) -> Result<Done, Refusal> {
        canonical_name(name)?;
        let if_match = self.expected_absent()?;
        self.may_grant(name, &new)?;
        if let Some(pattern) = &new.key_pattern {
            canonical_pattern(pattern)?;
        }
        if new.expires.is_some_and(|end| end <= self.now) {
            return Err(Fault::new(Code::Malformed, "the credential ends before it begins").into());
        }
        let token = new_token()?;
        let roles: Vec<String> = new.roles.iter().map(|role| role.as_str().to_owned()).collect();
        let provider = new.provider.clone().unwrap_or_else(|| self.provider.clone());
        let mut object = json!({
            "name": name, "provider": provider.as_str(), "roles": roles, "key_pattern": new.key_pattern, "expires": new.expires,
        });
        let change = Change::CreateCredential {
            name: name.to_owned(),
            roles,
            key_pattern: new.key_pattern,
            expires: new.expires,
            token: token.clone(),
        };
        let plan =
            Plan { change, if_match, reason: new.reason, before: Value::Null, after: object.clone(), forced: None };
        let changed = self.change_for(provider, plan)?;
        if changed.entry.is_some() && !changed.repeat {
            object["token"] = json!(token.as_str());
        }
        Ok(self.done(&changed, Value::Null, object))
    }

    /// Ends a credential at once and for ever.
    ///
    /// # Errors
    /// `not-found`, `conflict` for the last admin or the last auditor.
    pub fn revoke_credential(&self, name: &str, reason: Reason) -> Result<Done, Refusal> {
        let view = self.credential(name)?;
        self.expected(&etag(&view))?;
        if view.revoked_at.is_some() {
            return Err(KeystoreError::NotFound("live credential").into());
        }
        let _alone = self.broker.pace.revoking();
        self.not_the_last(&view)?;
        let before = described(&view, self.now);
        let mut after = before.clone();
        after["state"] = json!("revoked");
        after["revoked_at"] = json!(self.now);
        let change = Change::RevokeCredential { name: view.name };
        let plan =
            Plan { change, if_match: IfMatch::Any, reason, before: before.clone(), after: after.clone(), forced: None };
        let changed = self.change(plan)?;
        Ok(self.done(&changed, before, after))
    }

    fn credential(&self, name: &str) -> Result<CredentialView, Refusal> {
        let all = self.broker.keystore.credentials(&self.provider)?;
        let found = all.into_iter().find(|view| view.name == name);
        Ok(found.ok_or(KeystoreError::NotFound("credential"))?)
    }

    /// `admin` grants roles and has no other, so that no admin grants itself a key.
    fn may_grant(&self, name: &str, new: &NewCredential) -> Result<(), Refusal> {
        let forbidden = |part| Err(Fault::new(Code::Forbidden, part).into());
        if new.roles.is_empty()
            || new.roles.iter().enumerate().any(|(n, role)| new.roles.iter().skip(n + 1).any(|r| r == role))
        {
            return Err(Fault::new(Code::Malformed, "a credential has at least one role, and none twice").into());
        }
        if name == self.author() {
            return forbidden("nobody grants anything to itself");
        }
        if new.roles.len() > 1 && new.roles.contains(&Role::Admin) {
            return forbidden("`admin` goes with no other role");
        }
        match &new.provider {
            Some(provider) if *provider != self.provider => match self.broker.first_provider() {
                Some(first) if *first.id() == self.provider => {
                    self.broker.known_provider(provider).map(drop).map_err(Refusal::from)
                }
                _ => forbidden("only the first provider grants for others"),
            },
            _ => Ok(()),
        }
    }

    /// The last live admin and the last live auditor stay.
    fn not_the_last(&self, view: &CredentialView) -> Result<(), Refusal> {
        let all = self.broker.keystore.credentials(&self.provider)?;
        let others = || all.iter().filter(|other| other.name != view.name && is_live(other, self.now));
        let is_auditor = |view: &CredentialView| view.roles.iter().any(|role| role == Role::Auditor.as_str());
        // A first admin that others have outlived grants nothing any more: it does not count.
        let grants = |view: &CredentialView| view.roles.iter().any(|role| role == Role::Admin.as_str());
        if is_admin(view) && !others().any(grants) {
            return Err(Fault::new(Code::Conflict, "this is the last admin").into());
        }
        if is_auditor(view) && !others().any(is_auditor) {
            return Err(Fault::new(Code::Conflict, "this is the last auditor").into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adm_01_a_name_has_one_form_and_nothing_is_mended() {
        for name in ["root", "ops.team-1", "0", "a_b"] {
            assert!(canonical_name(name).is_ok(), "{name}");
        }
        for odd in
            [" root", "root ", "ROOT", "Root", "r\u{3bf}ot", "", ".root", "ro ot", "root\0", "root\n", "ro\u{200b}ot"]
        {
            assert_eq!(canonical_name(odd).err().map(|fault| fault.code), Some(Code::Malformed), "{odd:?}");
        }
        assert!(canonical_name(&"a".repeat(64)).is_ok());
        assert!(canonical_name(&"a".repeat(65)).is_err());
    }

    #[test]
    fn a_token_is_kg_and_43_characters() {
        let (one, other) = (new_token().unwrap(), new_token().unwrap());
        assert_ne!(*one, *other);
        let rest = one.strip_prefix("kg_").unwrap();
        assert!(rest.len() == 43 && URL_SAFE_NO_PAD.decode(rest).unwrap().len() == 32);
    }
}
