//! From claims to an order or a refusal: the one place where a use of a key is authorised.
//!
//! `native-api.md` section 3 (*one answer with equal work*) and section 5; `architecture.md` section 8, step 6; threat model P21, P25, P27.
//! Every question is looked at in every case, so that an unknown key, a key in the wrong state and a rule that is not met cost
//! the same; the first that fails, in a fixed order, gives the true code.

use std::sync::Arc;

use keygate_keystore::{
    Authorized, Curve, KeyView, KeystoreError, Look, Operation, Recipient, Sealing, Seen, Spend, Target, Use,
    VersionId, VersionView, Wrapping, operations,
};
use keygate_policies::KeyRules;
use keygate_policies::release::{Asked, Authority, Decision, Explain};
use keygate_verifier::{RecipientCurve, RecipientKey};
use serde_json::Map;

use super::Broker;
use super::appraise::Shown;
use super::caller::Caller;
use super::error::{Code, Fault};
use super::request::{KeyRequest, KeySelector, Seat, Usage};
use crate::result::{Appraised, Source};

/// What is asked of a key, whatever door it came through.
pub(crate) struct Question<'a> {
    /// Where it came in.
    pub(crate) seat: &'a Seat,
    /// Which key.
    pub(crate) key: &'a KeySelector,
    /// Who asks.
    pub(crate) caller: &'a Caller,
    /// What the key must allow.
    pub(crate) operation: Operation,
    /// Under whose names the rules must permit it, every one; none where no rule is needed.
    pub(crate) rules: &'a [&'static str],
    /// How the answer is sealed; none where it is not.
    pub(crate) wrapping: Option<Wrapping>,
    /// Which version.
    pub(crate) version: Version,
    /// When.
    pub(crate) times: Times,
}

/// Which version of a key is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// The newest that is on.
    NewestEnabled,
    /// The newest, on or off: Key Vault's way.
    Newest,
    /// The one named.
    Named(VersionId),
    /// The one that the ciphertext names; none: it names none.
    Inside(Option<VersionId>),
}

impl Version {
    /// The one to be read; none: the newest.
    pub(crate) fn wanted(self) -> Option<VersionId> {
        match self {
            Self::NewestEnabled | Self::Newest => None,
            Self::Named(id) => Some(id),
            Self::Inside(id) => id,
        }
    }
}

/// Whether the time of a key counts for every use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    /// For every one.
    Kept,
    /// Not for those that only look back ([`Operation::looks_back`]): Key Vault's way.
    LookBack,
}

/// What was found.
pub(crate) struct Judged {
    /// By which rules.
    pub(crate) rules: Arc<KeyRules>,
    /// What the rules said; none where a role decides.
    pub(crate) decision: Option<Decision>,
    /// Permit or deny.
    pub(crate) verdict: Verdict,
}

/// Permit, and for exactly what; or deny.
pub(crate) enum Verdict {
    /// This version of the key, in this state.
    Permit {
        /// Which.
        target: Target,
        /// In which state.
        seen: Seen,
    },
    /// No.
    Deny {
        /// The true code.
        fault: Fault,
        /// Whether this caller may learn it.
        told: bool,
    },
}

impl Broker {
    /// Judges one use. `shown`, with what our attestation policy made of it where it is ours, is none where the caller's role decides.
    pub(crate) fn judge(
        &self,
        question: &Question<'_>,
        shown: Option<(&Shown, Option<&Appraised>)>,
        look: &Look,
        now: i64,
    ) -> Result<Judged, Fault> {
        let provider = &question.seat.provider;
        let rules = match &look.key {
            Some(key) => {
                self.stand_ins.found(key);
                self.rules.of(key.rule.as_ref())?
            }
            None => {
                let other = self.stand_ins.look(&self.keystore, provider.id())?;
                self.rules.of(other.as_ref().and_then(|key| key.rule.as_ref()))?
            }
        };
        let references = self.references.of(&self.keystore, provider.id(), rules.references(), look.epoch, now)?;
        let decision = shown.and_then(|(shown, appraised)| {
            let own = provider.issuer();
            let (authority, claims) = match (&shown.result.source, appraised) {
                (Source::Own(_), Some(appraised)) => {
                    (Authority { issuer: own, own: true }, shown.result.claims(own, appraised))
                }
                (Source::Foreign(issuer), _) => (Authority { issuer, own: false }, shown.result.attested.clone()),
                // Without a policy's word nothing of ours is shown to a rule.
                (Source::Own(_), None) => (Authority { issuer: own, own: true }, Map::new()),
            };
            let asked = Asked {
                authority,
                claims: &claims,
                wrapping: question.wrapping.map_or("", Wrapping::as_str),
                freshness: shown.freshness,
                references: &references,
            };
            let mut decisions = question.rules.iter().map(|rule| rules.decide(rule, &asked));
            let first = decisions.next()?;
            Some(decisions.fold(first, |so_far, next| if so_far.permit { next } else { so_far }))
        });
        let found = find(question, look.key.as_ref(), now);
        let told = question.caller.may_know(&question.key.name)
            || look.key.is_some() && rules.options().explain == Explain::Attested;
        let verdict = match (found, &decision) {
            (Err(fault), _) if fault.code != Code::CryptoFailed => Verdict::Deny { fault, told },
            (_, Some(decision)) if !decision.permit => Verdict::Deny { fault: denied(decision), told },
            // The rule is met: what the ciphertext says may be told now, in the one word for all its faults.
            (Err(fault), _) => Verdict::Deny { fault, told: true },
            (Ok((key, version)), _) => Verdict::Permit {
                target: Target { provider: key.provider.clone(), name: key.name.clone(), version: version.id },
                seen: Seen { epoch: look.epoch, key_row: key.row_version, version_row: version.row_version },
            },
        };
        Ok(Judged { rules, decision, verdict })
    }
}

/// The version to use, if key, version and operation allow it.
fn find<'k>(
    question: &Question<'_>,
    key: Option<&'k KeyView>,
    now: i64,
) -> Result<(&'k KeyView, &'k VersionView), Fault> {
    let key = key.ok_or(KeystoreError::KeyNotFound)?;
    let operation = question.operation;
    match question.times {
        Times::LookBack if operation.looks_back() => key.usable_at_any_time()?,
        Times::LookBack | Times::Kept => key.usable(now)?,
    }
    if !key.operations.contains(&operation) || operation == Operation::Release && !key.exportable {
        return Err(Fault::new(Code::OperationNotAllowed, ""));
    }
    let version = match question.version {
        Version::Named(id) => key.version(Some(&id)).ok_or_else(|| Fault::from(KeystoreError::KeyNotFound)),
        Version::Inside(id) => {
            let id = id.ok_or_else(|| Fault::new(Code::CryptoFailed, ""))?;
            key.version(Some(&id)).ok_or_else(|| Fault::new(Code::CryptoFailed, ""))
        }
        Version::NewestEnabled => key.version(None).ok_or_else(|| Fault::new(Code::KeyState, "")),
        Version::Newest => key.versions.last().ok_or_else(|| Fault::new(Code::KeyState, "")),
    }?;
    if !version.enabled {
        return Err(Fault::new(Code::KeyState, "").because("the version is disabled"));
    }
    Ok((key, version))
}

/// The version that a request at the native door means: the one it names, or the one that its ciphertext names.
pub(super) fn version_of(request: &KeyRequest) -> Version {
    match (&request.key.version, &request.usage) {
        (Some(named), _) => Version::Named(*named),
        // Whatever is wrong with the ciphertext has one name.
        (None, Usage::Unwrap { ciphertext, .. }) => Version::Inside(operations::version_of(ciphertext).ok()),
        (None, _) => Version::NewestEnabled,
    }
}

fn denied(decision: &Decision) -> Fault {
    let mut fault = Fault::new(Code::of(decision.code.unwrap_or("rule-not-satisfied")), "");
    fault.failed = decision.failed().cloned().collect();
    fault
}

/// How the answer to this recipient is sealed: as asked, or by the recipient's default.
///
/// # Errors
/// `unsupported` where the recipient's key cannot do what was asked.
pub(crate) fn wrapping_for(recipient: &RecipientKey, asked: Option<Wrapping>) -> Result<Wrapping, Fault> {
    match (asked, recipient) {
        (Some(Wrapping::Jwe), _) => Ok(Wrapping::Jwe),
        (Some(_), RecipientKey::Ec { .. }) => Err(Fault::new(Code::Unsupported, "wrapping")),
        (Some(asked), RecipientKey::Rsa { .. }) => Ok(asked),
        (None, RecipientKey::Rsa { .. }) => Ok(Wrapping::RsaAesKeyWrap256),
        (None, RecipientKey::Ec { .. }) => Ok(Wrapping::Jwe),
    }
}

/// The rest of an order: what is used up, recorded and kept.
pub(crate) struct Terms {
    /// How the answer leaves.
    pub(crate) sealing: Sealing,
    /// The challenge that is spent.
    pub(crate) spend: Spend,
    /// What is recorded.
    pub(crate) record: keygate_keystore::Record,
    /// Under which name the answer is kept.
    pub(crate) repeat: Option<keygate_keystore::RepeatKey>,
    /// As it was judged.
    pub(crate) times: Times,
}

/// The order for a use that was permitted. The only caller of `Authorized::assertion`.
pub(crate) fn authorize((target, seen): (Target, Seen), usage: Use, terms: Terms, now: i64) -> Authorized {
    let Terms { sealing, spend, record, repeat, times } = terms;
    let order = Authorized::assertion(target, usage, sealing, seen, spend, record, repeat, now);
    match times {
        Times::Kept => order,
        Times::LookBack => order.at_any_time(),
    }
}

/// How the answer to a request at the native door leaves: to the key in the accepted evidence, not to the one in the request.
pub(crate) fn sealing_of(usage: &Usage, shown: Option<&Shown>, wrapping: Option<Wrapping>) -> Result<Sealing, Fault> {
    match (usage, shown, wrapping) {
        (Usage::Wrap { .. }, _, _) => Ok(Sealing::NotSealed),
        (_, Some(shown), Some(wrapping)) => sealed_to(shown, wrapping),
        _ => Err(Fault::new(Code::AuthRequired, "")),
    }
}

/// Sealed to the key that the evidence bound.
pub(crate) fn sealed_to(shown: &Shown, wrapping: Wrapping) -> Result<Sealing, Fault> {
    let unbound = || Fault::new(Code::BindingMismatch, "recipient");
    let recipient = shown.result.recipient.as_ref().ok_or_else(unbound)?;
    Ok(Sealing::For { recipient: recipient_of(recipient)?, wrapping })
}

/// What a use spends of what was shown.
pub(crate) fn spend_of(shown: Option<&Shown>) -> Spend {
    match shown.and_then(|shown| shown.challenge) {
        Some((_, live)) => Spend::Challenge { digest: live.digest, until: live.expires_at },
        None => Spend::Nothing,
    }
}

fn recipient_of(key: &RecipientKey) -> Result<Recipient, Fault> {
    Ok(match key {
        RecipientKey::Rsa { n, e } => Recipient::rsa(n, e)?,
        RecipientKey::Ec { curve: RecipientCurve::P256, x, y } => Recipient::ec(Curve::P256, x, y)?,
        RecipientKey::Ec { curve: RecipientCurve::P384, x, y } => Recipient::ec(Curve::P384, x, y)?,
    })
}

/// The use of the native door.
pub(crate) fn use_of(usage: &Usage) -> Use {
    match usage {
        Usage::Release => Use::Release,
        Usage::Unwrap { alg, ciphertext, aad } => {
            Use::Unwrap { alg: alg.clone(), ciphertext: ciphertext.clone(), aad: aad.clone() }
        }
        Usage::Generate { alg, bytes, aad } => Use::Generate { alg: alg.clone(), bytes: *bytes, aad: aad.clone() },
        Usage::Sign { alg, digest } => Use::Sign { alg: alg.clone(), digest: digest.clone() },
        Usage::Wrap { alg, plaintext, aad } => {
            Use::Wrap { alg: alg.clone(), plaintext: plaintext.clone(), aad: aad.clone() }
        }
    }
}
