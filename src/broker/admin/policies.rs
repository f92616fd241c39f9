//! Attestation policies: shown, set as a further version, taken back to the default, compared, restored.
//!
//! `native-api.md` sections 2 and 3 (*Admin*), `maa-rest-api.md` section 4, `maa-policy-language.md`; threat model P24, P35;
//! `bad-inputs.md` POL-01, POL-09, POL-12, POL-15, POL-17.
//!
//! What is stored is the JWS that came, byte for byte, because Azure's contract gives exactly it out again; a text that came plain
//! is put into an unsecured one. A version without a document stands for the default. The digest is that of the text.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::{Change, IfMatch, KeystoreError, PolicyVersion};
use keygate_policies::attestation::{AttestationPolicy, default_text, policy_hash};
use openssl::sha::sha256;
use serde_json::{Value, json};

use super::lines::difference;
use super::{Desk, Done, Plan, Precondition, Reason, Refusal, values};
use crate::broker::azure::{Refused, Signers, read_upload, unsecured};
use crate::broker::error::{Code, Fault};
use crate::broker::policy_book::policy_text;
use crate::broker::{AttestationType, TrustModel};

/// Longest document, in bytes: 64 KiB of text, encoded twice, with room for a signature and its certificates.
const LONGEST_DOCUMENT: usize = 256 * 1_024;

/// Reads the name of a type that has a policy here, without regard to case.
///
/// # Errors
/// `not-found`.
pub fn policy_type(text: &str) -> Result<AttestationType, Fault> {
    let found = AttestationType::parse(text).filter(|kind| kind.has_policy());
    found.ok_or(Fault::new(Code::NotFound, "no such type of attestation"))
}

/// A policy as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewPolicy {
    /// Its text.
    Text(String),
    /// A JWS around its text.
    Jws(String),
}

/// The text inside a JWS around a policy; none where it has none. No signature is looked at: what is stored was looked at when it was
/// set.
pub fn text_of(document: &str) -> Option<String> {
    let payload = document.split('.').nth(1)?.trim_end_matches('=').replace('+', "-").replace('/', "_");
    policy_text(&URL_SAFE_NO_PAD.decode(payload).ok()?)
}

fn is_signed(document: &str) -> bool {
    document.rsplit('.').next().is_some_and(|signature| !signature.is_empty())
}

/// SHA-256 of a text; 32 zero bytes where there is none.
fn digest(text: Option<&str>) -> [u8; 32] {
    text.map_or([0; 32], |text| sha256(text.as_bytes()))
}

/// What a version says, or what holds where there is none.
fn described(kind: AttestationType, version: Option<&PolicyVersion>) -> Value {
    let document = version.map(|version| version.document.as_str()).unwrap_or_default();
    let text = if document.is_empty() { default_text(kind.as_str()).map(str::to_owned) } else { text_of(document) };
    let state = match version {
        None => "default",
        Some(_) if document.is_empty() => "reset",
        Some(_) => "set",
    };
    let mut told = json!({
        "type": kind.as_str(),
        "number": version.map_or(0, |version| version.number),
        "state": state,
        "digest": text.is_some().then(|| {
            URL_SAFE_NO_PAD.encode(version.map_or_else(|| digest(text.as_deref()), |version| version.digest))
        }),
        "policy_hash": text.as_deref().map(policy_hash),
        "signed": is_signed(document),
        "text": text,
    });
    if let Some(version) = version {
        told["at"] = json!(version.at);
        told["author"] = json!(version.author);
        told["reason"] = json!(version.reason);
    }
    if !document.is_empty() {
        told["jws"] = json!(document);
    }
    told
}

/// A version that may become the one in force.
struct Accepted {
    document: String,
    digest: [u8; 32],
    warnings: Vec<Value>,
}

impl Accepted {
    /// Reads a document as the attestation door does; what does not parse is told with its place.
    fn read(document: String, signers: Option<&Signers>) -> Result<Self, Refusal> {
        if let Some(Err(found)) = text_of(&document).map(|text| AttestationPolicy::parse(&text)) {
            let too_large = found.iter().any(|diagnostic| diagnostic.code == "too-large");
            let code = if too_large { Code::TooLarge } else { Code::PolicyInvalid };
            return Err(Refusal::diagnosed(code, "the policy does not parse", &found));
        }
        let upload = read_upload(&document, signers).map_err(in_its_words)?;
        let text = upload.text.ok_or(Fault::new(Code::PolicyInvalid, "the signed policy is no JWS around a policy"))?;
        Ok(Self { digest: digest(Some(&text)), warnings: values(&upload.warnings), document })
    }

    fn default(kind: AttestationType) -> Self {
        Self { document: String::new(), digest: digest(default_text(kind.as_str())), warnings: Vec::new() }
    }
}

impl Desk<'_> {
    /// Every type with what is in force for it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn list_policies(&self) -> Result<Vec<Value>, Refusal> {
        let all = AttestationType::ALL.iter().filter(|kind| kind.has_policy()).map(|kind| {
            let newest = self.broker.keystore.policy(&self.provider, kind.as_str())?;
            let mut told = described(*kind, newest.as_ref());
            if let Some(members) = told.as_object_mut() {
                members.retain(|name, _| name != "text" && name != "jws");
            }
            Ok(told)
        });
        all.collect()
    }

    /// What is in force for a type, with its text, and its entity tag.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn show_policy(&self, kind: AttestationType) -> Result<(String, Value), Refusal> {
        let newest = self.broker.keystore.policy(&self.provider, kind.as_str())?;
        Ok((etag(newest.as_ref()), json!({"type": kind.as_str(), "policy": described(kind, newest.as_ref())})))
    }

    /// Every version, oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn policy_history(&self, kind: AttestationType) -> Result<(String, Value), Refusal> {
        let versions = self.broker.keystore.policy_history(&self.provider, kind.as_str())?;
        let told: Vec<Value> = versions.iter().map(|version| described(kind, Some(version))).collect();
        Ok((etag(versions.last()), json!({"type": kind.as_str(), "versions": told})))
    }

    /// What differs between two versions, line by line; without numbers between the last two. Number 0 is the default.
    ///
    /// # Errors
    /// `not-found` for a version that is not there.
    pub fn policy_difference(
        &self,
        kind: AttestationType,
        from: Option<u64>,
        to: Option<u64>,
    ) -> Result<(String, Value), Refusal> {
        let versions = self.broker.keystore.policy_history(&self.provider, kind.as_str())?;
        let newest = versions.last().map_or(0, |version| version.number);
        let to = to.unwrap_or(newest);
        let from = from.unwrap_or(to.saturating_sub(1));
        let text = |number: u64| {
            let found = match number {
                0 => None,
                _ => Some(version(&versions, number)?),
            };
            let told = described(kind, found);
            Ok::<_, Refusal>(told.get("text").and_then(Value::as_str).unwrap_or_default().to_owned())
        };
        let lines = difference(&text(from)?, &text(to)?);
        Ok((etag(versions.last()), json!({"type": kind.as_str(), "from": from, "to": to, "lines": lines})))
    }

    /// Sets a policy: a further version, in force from the next attestation on.
    ///
    /// # Errors
    /// `policy-invalid` with what is wrong and where; `operation-not-allowed` where only registered signers set policies.
    pub fn set_policy(&self, kind: AttestationType, policy: NewPolicy, reason: Reason) -> Result<Done, Refusal> {
        let document = match policy {
            NewPolicy::Text(text) => unsecured(&text),
            NewPolicy::Jws(jws) => jws,
        };
        if document.len() > LONGEST_DOCUMENT {
            return Err(Fault::new(Code::TooLarge, "the policy is too long").into());
        }
        let _alone = self.broker.pace.signed();
        let signers = self.policy_signers(is_signed(&document))?;
        self.put_version(kind, Accepted::read(document, signers.as_ref())?, reason)
    }

    /// Takes a type back to its default, as a further version without a document. `order` is a signed order for it.
    ///
    /// # Errors
    /// `operation-not-allowed` where only registered signers set policies and the order is not theirs.
    pub fn reset_policy(&self, kind: AttestationType, order: Option<&str>, reason: Reason) -> Result<Done, Refusal> {
        let _alone = self.broker.pace.signed();
        let signers = self.policy_signers(order.is_some_and(is_signed))?;
        if let Some(order) = order {
            let upload = read_upload(order, signers.as_ref()).map_err(in_its_words)?;
            if upload.text.is_some() {
                return Err(Fault::new(Code::PolicyInvalid, "a signed reset is a JWS with an empty payload").into());
            }
        }
        self.put_version(kind, Accepted::default(kind), reason)
    }

    /// Sets an earlier version again, as a further version.
    ///
    /// # Errors
    /// `not-found` for a version that is not there, and as [`Desk::set_policy`].
    pub fn restore_policy(&self, kind: AttestationType, number: u64, reason: Reason) -> Result<Done, Refusal> {
        let versions = self.broker.keystore.policy_history(&self.provider, kind.as_str())?;
        let wanted = version(&versions, number)?;
        let _alone = self.broker.pace.signed();
        let signers = self.policy_signers(is_signed(&wanted.document))?;
        if wanted.document.is_empty() {
            return self.put_version(kind, Accepted::default(kind), reason);
        }
        let accepted = Accepted::read(wanted.document.clone(), signers.as_ref())?;
        if accepted.digest != wanted.digest {
            return Err(Fault::new(Code::StoreCorrupt, "")
                .because("a stored policy is not the one of its digest")
                .into());
        }
        self.put_version(kind, accepted, reason)
    }

    /// What is in force for a type by its name: for the answer to a repeated change.
    pub(super) fn policy_now(&self, name: &str) -> Result<Value, Refusal> {
        let kind = policy_type(name)?;
        Ok(described(kind, self.broker.keystore.policy(&self.provider, kind.as_str())?.as_ref()))
    }

    fn put_version(&self, kind: AttestationType, accepted: Accepted, reason: Reason) -> Result<Done, Refusal> {
        let newest = self.broker.keystore.policy(&self.provider, kind.as_str())?;
        let if_match = self.expected_policy(newest.as_ref())?;
        let before = described(kind, newest.as_ref());
        let state = |digest: &[u8; 32], is_default: bool| json!({"type": kind.as_str(), "digest": URL_SAFE_NO_PAD.encode(digest), "default": is_default});
        let was = match &newest {
            Some(version) => state(&version.digest, version.document.is_empty()),
            None => state(&digest(default_text(kind.as_str())), true),
        };
        let after = state(&accepted.digest, accepted.document.is_empty());
        let next = PolicyVersion {
            kind: kind.as_str().to_owned(),
            number: newest.as_ref().map_or(0, |version| version.number).saturating_add(1),
            at: self.now,
            author: self.author().to_owned(),
            reason: reason.as_str().to_owned(),
            digest: accepted.digest,
            document: accepted.document.clone(),
        };
        let Accepted { document, digest, warnings } = accepted;
        let change = Change::SetPolicy { kind: kind.as_str().to_owned(), document, digest };
        let changed = self.change(Plan { change, if_match, reason, before: was, after, forced: None })?;
        Ok(Done { warnings, ..self.done(&changed, before, described(kind, Some(&next))) })
    }

    /// The state that a change must name: the number of the version in force, 0 where nothing was ever set (POL-15).
    fn expected_policy(&self, newest: Option<&PolicyVersion>) -> Result<IfMatch, Refusal> {
        match (&self.ask.precondition, newest) {
            (Precondition::Absent, None) => Ok(IfMatch::Absent),
            (Precondition::Absent, Some(_)) => Err(KeystoreError::PreconditionFailed.into()),
            (_, None) => self.expected(&etag(None)).map(|_| IfMatch::Absent),
            (_, Some(_)) => self.expected(&etag(newest)),
        }
    }

    /// Whose signature counts: nobody's in particular, or on an isolated provider that of a registered signer, and there only what is
    /// signed is looked at (POL-12).
    fn policy_signers(&self, is_signed: bool) -> Result<Option<Signers>, Refusal> {
        let refused = |phrase: &'static str| Err(Fault::new(Code::OperationNotAllowed, phrase).into());
        match self.ask.seat.provider.setup().trust_model {
            TrustModel::Aad => Ok(None),
            TrustModel::Shared => refused("the policies of a shared provider cannot be changed"),
            TrustModel::Isolated if !is_signed => {
                refused("an isolated provider takes only what a registered signer signed")
            }
            TrustModel::Isolated => Ok(Some(Signers::of(&self.broker.keystore, &self.provider)?)),
        }
    }
}

/// What the attestation door would say of a document, for the operator.
fn in_its_words(refused: Refused) -> Refusal {
    let said = refused.message.map(|message| json!({"code": refused.fault.code.as_str(), "message": message}));
    Refusal { diagnostics: said.into_iter().collect(), ..refused.fault.into() }
}

/// Names the version in force.
fn etag(newest: Option<&PolicyVersion>) -> String {
    newest.map_or(0, |version| version.number).to_string()
}

fn version(versions: &[PolicyVersion], number: u64) -> Result<&PolicyVersion, Refusal> {
    let found = versions.iter().find(|version| version.number == number);
    Ok(found.ok_or(KeystoreError::NotFound("version of the policy"))?)
}
