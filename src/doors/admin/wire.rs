//! Bodies of the admin door: strict JSON in, the broker's words out.
//!
//! `native-api.md` section 3; `bad-inputs.md` HTTP-07 to HTTP-09. Unknown and duplicate members are `malformed`; binary members are
//! canonical base64url without padding.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::broker::admin::credentials::NewCredential;
use crate::broker::admin::deny::Denial;
use crate::broker::admin::enrolments::EndorsementKey;
use crate::broker::admin::keys::{Brought, KeyChanges, NewKey};
use crate::broker::admin::policies::NewPolicy;
use crate::broker::admin::references::Retired;
use crate::broker::admin::{Reason, Role};
use crate::broker::json::{self, Kind, Node};
use crate::broker::{Code, Fault, JsonLimits, KeyType, Operation, ProviderId};

/// Bytes of a body; the listener bounds them too.
const LARGEST: usize = 1 << 20;
/// Papers to be held against the journal at once.
const MOST_PAPERS: usize = 256;

fn malformed(what: &'static str) -> Fault {
    Fault::new(Code::Malformed, what)
}

/// Rules to be set.
pub(super) struct RulesBody {
    pub(super) rules: Node,
    pub(super) immutable: bool,
    pub(super) force: Option<Reason>,
    pub(super) reason: Reason,
}

const ATTRIBUTES: [&str; 10] =
    ["type", "exportable", "enabled", "not_before", "expires", "operations", "tags", "rules", "immutable", "force"];

/// A key to be made; with `material` one to be brought.
pub(super) fn read_key(bytes: &[u8], brought: bool) -> Result<NewKey, Fault> {
    let own: &[&str] = if brought { &["reason", "material"] } else { &["reason"] };
    let body = Body::read(bytes, &[&ATTRIBUTES, own].concat())?;
    let material = match (brought, body.material()?) {
        (true, Brought::Nothing) => return Err(malformed("member `material` is missing")),
        (_, material) => material,
    };
    Ok(NewKey {
        key_type: body.text("type")?.map(KeyType::parse).transpose()?,
        exportable: body.truth("exportable")?.unwrap_or(false),
        enabled: body.truth("enabled")?.unwrap_or(true),
        not_before: body.time("not_before")?.flatten(),
        expires: body.time("expires")?.flatten(),
        operations: body.operations()?,
        tags: body.tags()?.unwrap_or_default(),
        rules: body.0.get("rules").cloned(),
        immutable: body.truth("immutable")?.unwrap_or(false),
        force: body.force()?,
        material,
        reason: body.reason()?,
    })
}

/// A further version of a key.
pub(super) fn read_rotation(bytes: &[u8]) -> Result<(Brought, Reason), Fault> {
    let body = Body::read(bytes, &["reason", "material"])?;
    Ok((body.material()?, body.reason()?))
}

/// Changes of attributes.
pub(super) fn read_changes(bytes: &[u8]) -> Result<(KeyChanges, Reason), Fault> {
    let body = Body::read(bytes, &["enabled", "not_before", "expires", "operations", "tags", "reason"])?;
    let changes = KeyChanges {
        enabled: body.truth("enabled")?,
        not_before: body.time("not_before")?,
        expires: body.time("expires")?,
        operations: body.operations()?,
        tags: body.tags()?,
    };
    Ok((changes, body.reason()?))
}

/// `{reason}` and nothing else.
pub(super) fn read_reason(bytes: &[u8]) -> Result<Reason, Fault> {
    Body::read(bytes, &["reason"])?.reason()
}

/// Rules and options.
pub(super) fn read_rules(bytes: &[u8]) -> Result<RulesBody, Fault> {
    let body = Body::read(bytes, &["rules", "immutable", "force", "reason"])?;
    Ok(RulesBody {
        rules: body.0.get("rules").cloned().ok_or(malformed("member `rules` is missing"))?,
        immutable: body.truth("immutable")?.unwrap_or(false),
        force: body.force()?,
        reason: body.reason()?,
    })
}

/// The number of a version of rules.
pub(super) fn read_restore(bytes: &[u8]) -> Result<(u64, Option<Reason>, Reason), Fault> {
    let body = Body::read(bytes, &["number", "force", "reason"])?;
    Ok((body.number()?, body.force()?, body.reason()?))
}

/// A policy: its text, or a JWS around it.
pub(super) fn read_policy(bytes: &[u8]) -> Result<(NewPolicy, Reason), Fault> {
    let body = Body::read(bytes, &["policy", "jws", "reason"])?;
    let policy = match (body.text("policy")?, body.text("jws")?) {
        (Some(text), None) => NewPolicy::Text(text.to_owned()),
        (None, Some(jws)) => NewPolicy::Jws(jws.to_owned()),
        _ => return Err(malformed("the body has one of `policy` and `jws`")),
    };
    Ok((policy, body.reason()?))
}

/// Back to the default, by a signed order or without one.
pub(super) fn read_policy_reset(bytes: &[u8]) -> Result<(Option<String>, Reason), Fault> {
    let body = Body::read(bytes, &["jws", "reason"])?;
    Ok((body.text("jws")?.map(str::to_owned), body.reason()?))
}

/// The number of a version of a policy.
pub(super) fn read_policy_restore(bytes: &[u8]) -> Result<(u64, Reason), Fault> {
    let body = Body::read(bytes, &["number", "reason"])?;
    Ok((body.number()?, body.reason()?))
}

/// Signed reference values.
pub(super) fn read_reference(bytes: &[u8]) -> Result<(String, Reason), Fault> {
    let body = Body::read(bytes, &["jws", "reason"])?;
    let jws = body.text("jws")?.ok_or(malformed("member `jws` is missing"))?;
    Ok((jws.to_owned(), body.reason()?))
}

/// The approval of a proposal: its serial, and until when what is in force is kept beside it.
pub(super) fn read_approval(bytes: &[u8]) -> Result<(u64, Option<i64>, Reason), Fault> {
    let body = Body::read(bytes, &["serial", "keep_previous", "reason"])?;
    let serial = body.0.get("serial").and_then(Node::as_integer).and_then(|n| u64::try_from(n).ok());
    let serial = serial.ok_or(malformed("member `serial` is the serial of the proposal"))?;
    Ok((serial, body.time("keep_previous")?.flatten(), body.reason()?))
}

/// What is to count no more; everything if not said.
pub(super) fn read_retirement(bytes: &[u8]) -> Result<(Retired, Reason), Fault> {
    let body = Body::read(bytes, &["what", "reason"])?;
    Ok((Retired::parse(body.text("what")?.unwrap_or("all"))?, body.reason()?))
}

/// An entry of the deny list.
pub(super) fn read_denial(bytes: &[u8]) -> Result<(Denial, Reason), Fault> {
    let body = Body::read(bytes, &["kind", "value", "reason"])?;
    let (kind, value) = (body.text("kind")?, body.text("value")?);
    Ok((Denial::parse(kind.unwrap_or_default(), value.unwrap_or_default())?, body.reason()?))
}

/// An endorsement key.
pub(super) fn read_endorsement_key(bytes: &[u8]) -> Result<(EndorsementKey, Reason), Fault> {
    let body = Body::read(bytes, &["ek", "reason"])?;
    Ok((EndorsementKey::parse(body.text("ek")?.unwrap_or_default())?, body.reason()?))
}

/// A credential.
pub(super) fn read_credential(bytes: &[u8]) -> Result<NewCredential, Fault> {
    let body = Body::read(bytes, &["roles", "key_pattern", "expires", "provider", "reason"])?;
    let wrong = malformed("member `roles` is a list of roles");
    let roles = body.0.get("roles").and_then(Node::as_list).ok_or(wrong.clone())?;
    let roles = roles.iter().map(|role| role.as_text().and_then(Role::parse).ok_or(wrong.clone()));
    Ok(NewCredential {
        roles: roles.collect::<Result<_, _>>()?,
        key_pattern: body.text("key_pattern")?.map(str::to_owned),
        expires: body.time("expires")?.flatten(),
        provider: body.text("provider")?.map(ProviderId::parse).transpose()?,
        reason: body.reason()?,
    })
}

/// Published heads and kept receipts.
pub(super) fn read_papers(bytes: &[u8]) -> Result<(Vec<String>, Vec<String>), Fault> {
    let body = Body::read(bytes, &["heads", "receipts"])?;
    let (heads, receipts) = (body.texts("heads")?, body.texts("receipts")?);
    if heads.len() + receipts.len() > MOST_PAPERS {
        return Err(Fault::new(Code::TooLarge, "more papers than are looked at at once"));
    }
    Ok((heads, receipts))
}

struct Body(Node);

impl Body {
    fn read(bytes: &[u8], known: &[&str]) -> Result<Self, Fault> {
        let node =
            json::parse(bytes, &JsonLimits { depth: 48, ..JsonLimits::request(LARGEST) }).map_err(|diagnostic| {
                Fault::new(Code::of(diagnostic.code), "the body is no strict json").because(diagnostic.to_string())
            })?;
        let members = node.as_object().ok_or(malformed("the body is no object"))?;
        if members.iter().any(|member| !known.contains(&member.name.as_str())) {
            return Err(malformed("the body has an unknown member"));
        }
        Ok(Self(node))
    }

    fn text(&self, name: &str) -> Result<Option<&str>, Fault> {
        let Some(node) = self.0.get(name) else { return Ok(None) };
        node.as_text().map(Some).ok_or(malformed("a member that must be text is none"))
    }

    fn texts(&self, name: &str) -> Result<Vec<String>, Fault> {
        let wrong = malformed("a member that must be a list of texts is none");
        let Some(node) = self.0.get(name) else { return Ok(Vec::new()) };
        let nodes = node.as_list().ok_or(wrong.clone())?;
        nodes.iter().map(|node| node.as_text().map(str::to_owned).ok_or(wrong.clone())).collect()
    }

    fn truth(&self, name: &str) -> Result<Option<bool>, Fault> {
        let Some(node) = self.0.get(name) else { return Ok(None) };
        node.as_bool().map(Some).ok_or(malformed("a member that must be true or false is neither"))
    }

    /// Unix seconds, 0 to the year 9999; `null` is no limit.
    fn time(&self, name: &str) -> Result<Option<Option<i64>>, Fault> {
        let Some(node) = self.0.get(name) else { return Ok(None) };
        if node.kind == Kind::Null {
            return Ok(Some(None));
        }
        let seconds = node.as_integer().filter(|seconds| (0..253_402_300_800).contains(seconds));
        let seconds = seconds.and_then(|seconds| i64::try_from(seconds).ok());
        seconds.map(|seconds| Some(Some(seconds))).ok_or(malformed("a time is a number of unix seconds"))
    }

    fn operations(&self) -> Result<Option<Vec<Operation>>, Fault> {
        if self.0.get("operations").is_none() {
            return Ok(None);
        }
        let mut operations = Vec::new();
        for text in self.texts("operations")? {
            let operation = Operation::parse(&text)?;
            if operations.contains(&operation) {
                return Err(malformed("an operation stands twice"));
            }
            operations.push(operation);
        }
        Ok(Some(operations))
    }

    fn tags(&self) -> Result<Option<BTreeMap<String, String>>, Fault> {
        let wrong = malformed("member `tags` is an object of texts");
        let Some(node) = self.0.get("tags") else { return Ok(None) };
        let members = node.as_object().ok_or(wrong.clone())?;
        let tags = members.iter().map(|member| {
            let value = member.value.as_text().ok_or(wrong.clone())?;
            Ok((member.name.clone(), value.to_owned()))
        });
        tags.collect::<Result<_, _>>().map(Some)
    }

    fn number(&self) -> Result<u64, Fault> {
        let number = self.0.get("number").and_then(Node::as_integer).and_then(|n| u64::try_from(n).ok());
        number.ok_or(malformed("member `number` is a number of a version"))
    }

    fn force(&self) -> Result<Option<Reason>, Fault> {
        self.text("force")?.map(Reason::parse).transpose()
    }

    fn reason(&self) -> Result<Reason, Fault> {
        Reason::parse(self.text("reason")?.ok_or(malformed("member `reason` is missing"))?)
    }

    /// `{"raw": …}`, `{"jwk": {…}}`, `{"pkcs8": …}` or `{"pem": …}`.
    fn material(&self) -> Result<Brought, Fault> {
        let wrong = malformed("member `material` has one of `raw`, `jwk`, `pkcs8` and `pem`");
        let Some(node) = self.0.get("material") else { return Ok(Brought::Nothing) };
        let members = node.as_object().ok_or(wrong.clone())?;
        let [member] = members else { return Err(wrong) };
        let text = || member.value.as_text().ok_or(wrong.clone());
        let bytes = || {
            let bytes =
                URL_SAFE_NO_PAD.decode(text()?).map_err(|_| malformed("key material is canonical base64url"))?;
            Ok::<_, Fault>(Zeroizing::new(bytes))
        };
        match member.name.as_str() {
            "raw" => Ok(Brought::Raw(bytes()?)),
            "pkcs8" => Ok(Brought::Pkcs8Der(bytes()?)),
            "pem" => Ok(Brought::Pkcs8Pem(Zeroizing::new(text()?.as_bytes().to_vec()))),
            "jwk" => match member.value.to_value() {
                Value::Object(jwk) => Ok(Brought::Jwk(jwk)),
                _ => Err(wrong),
            },
            _ => Err(wrong),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_never_left_out() {
        assert!(read_reason(br#"{"reason":"ticket 7"}"#).is_ok());
        for body in [
            r#"{}"#,
            r#"{"reason":""}"#,
            r#"{"reason":7}"#,
            r#"{"reason":"a","x":1}"#,
            r#"{"reason":"a","reason":"b"}"#,
            "[]",
        ] {
            assert_eq!(read_reason(body.as_bytes()).err().map(|fault| fault.code), Some(Code::Malformed), "{body}");
        }
    }

    #[test]
    fn material_has_one_form() {
        let read = |text: &str| read_key(format!(r#"{{"reason":"x","material":{text}}}"#).as_bytes(), true);
        assert!(matches!(read(r#"{"raw":"AAEC"}"#).unwrap().material, Brought::Raw(_)));
        assert!(matches!(read(r#"{"jwk":{"kty":"oct"}}"#).unwrap().material, Brought::Jwk(_)));
        for odd in [
            r#"{}"#,
            r#"{"raw":"AAEC","pem":""}"#,
            r#"{"raw":"AA=="}"#,
            r#"{"raw":"A+/A"}"#,
            r#"{"jwk":"x"}"#,
            r#""AAEC""#,
        ] {
            assert!(read(odd).is_err(), "{odd}");
        }
        assert!(read_key(br#"{"reason":"x"}"#, true).is_err(), "an import without material");
        assert!(read_key(br#"{"reason":"x","material":{"raw":"AAEC"}}"#, false).is_err(), "a creation with material");
    }

    #[test]
    fn adm_01_roles_are_known_words() {
        assert!(read_credential(br#"{"roles":["auditor"],"reason":"x"}"#).is_ok());
        for odd in ["[\"root\"]", "[\"Auditor\"]", "[\" auditor\"]", "\"auditor\"", "[\"first-admin\"]", "[7]"] {
            let body = format!(r#"{{"roles":{odd},"reason":"x"}}"#);
            assert!(read_credential(body.as_bytes()).is_err(), "{odd}");
        }
    }
}
