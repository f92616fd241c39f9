//! From claims to an order or a refusal: the one place where a use of a key is authorised.
//!
//! `native-api.md` section 3 (*one answer with equal work*) and section 5; `architecture.md` section 8, step 6; threat model P21, P25, P27.
//! Every question is looked at in every case, so that an unknown key, a key in the wrong state and a rule that is not met cost
//! the same; the first that fails, in a fixed order, gives the true code.

use std::sync::Arc;

use keygate_keystore::{
    Authorized, Curve, KeyView, KeystoreError, Look, Operation, Recipient, Record, RepeatKey, Sealing, Seen, Spend,
    Target, Use, VersionId, VersionView, Wrapping, operations,
};
use keygate_policies::KeyRules;
use keygate_policies::release::{Asked, Authority, Decision, Explain};
use keygate_verifier::{RecipientCurve, RecipientKey};
use serde_json::Map;

use super::Broker;
use super::appraise::Shown;
use super::error::{Code, Fault};
use super::request::{KeyRequest, Usage};
use crate::result::{Appraised, Source};

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
        request: &KeyRequest,
        shown: Option<(&Shown, Option<&Appraised>)>,
        wrapping: Option<Wrapping>,
        look: &Look,
        now: i64,
    ) -> Result<Judged, Fault> {
        let operation = request.usage.operation();
        let rules = match &look.key {
            Some(key) => {
                self.stand_ins.found(key);
                self.rules.of(key.rule.as_ref())?
            }
            None => {
                let other = self.stand_ins.look(&self.keystore, request.seat.provider.id())?;
                self.rules.of(other.as_ref().and_then(|key| key.rule.as_ref()))?
            }
        };
        let decision = shown.map(|(shown, appraised)| {
            let own = request.seat.provider.issuer();
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
                wrapping: wrapping.map_or("", Wrapping::as_str),
                freshness: shown.freshness,
            };
            rules.decide(operation.as_str(), &asked)
        });
        let found = find(request, look.key.as_ref(), operation, now);
        let told = request.caller.may_know(&request.key.name)
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
    request: &KeyRequest,
    key: Option<&'k KeyView>,
    operation: Operation,
    now: i64,
) -> Result<(&'k KeyView, &'k VersionView), Fault> {
    let key = key.ok_or(KeystoreError::KeyNotFound)?;
    key.usable(now)?;
    if !key.operations.contains(&operation) || operation == Operation::Release && !key.exportable {
        return Err(Fault::new(Code::OperationNotAllowed, ""));
    }
    let (wanted, otherwise) = match (&request.key.version, &request.usage) {
        (Some(named), _) => (Some(*named), Fault::from(KeystoreError::KeyNotFound)),
        (None, Usage::Unwrap { ciphertext, .. }) => (Some(written_in(ciphertext)?), Fault::new(Code::CryptoFailed, "")),
        (None, _) => (None, Fault::new(Code::KeyState, "")),
    };
    let version = key.version(wanted.as_ref()).ok_or(otherwise)?;
    if !version.enabled {
        return Err(Fault::new(Code::KeyState, "").because("the version is disabled"));
    }
    Ok((key, version))
}

/// The one version that a request can use: the one it names, or the one that its ciphertext names; none: the newest.
pub(super) fn wanted_version(request: &KeyRequest) -> Option<VersionId> {
    match (&request.key.version, &request.usage) {
        (Some(named), _) => Some(*named),
        (None, Usage::Unwrap { ciphertext, .. }) => written_in(ciphertext).ok(),
        (None, _) => None,
    }
}

/// The version that a ciphertext names inside; whatever is wrong with it has one name.
fn written_in(ciphertext: &[u8]) -> Result<VersionId, Fault> {
    operations::version_of(ciphertext).map_err(|_| Fault::new(Code::CryptoFailed, ""))
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

/// The order for a use that was permitted. The only caller of `Authorized::assertion`.
pub(crate) fn authorize(
    permitted: (Target, Seen),
    request: &KeyRequest,
    shown: Option<&Shown>,
    wrapping: Option<Wrapping>,
    record: Record,
    repeat: Option<RepeatKey>,
    now: i64,
) -> Result<Authorized, Fault> {
    let (target, seen) = permitted;
    let sealing = match (&request.usage, shown, wrapping) {
        (Usage::Wrap { .. }, _, _) => Sealing::NotSealed,
        // The recipient is the one in the accepted evidence, not the one in the request.
        (_, Some(shown), Some(wrapping)) => {
            let unbound = || Fault::new(Code::BindingMismatch, "recipient");
            let recipient = shown.result.recipient.as_ref().ok_or_else(unbound)?;
            Sealing::For { recipient: recipient_of(recipient)?, wrapping }
        }
        _ => return Err(Fault::new(Code::AuthRequired, "")),
    };
    let spend = match shown.and_then(|shown| shown.challenge) {
        Some((_, live)) => Spend::Challenge { digest: live.digest, until: live.expires_at },
        None => Spend::Nothing,
    };
    let usage = use_of(&request.usage);
    Ok(Authorized::assertion(target, usage, sealing, seen, spend, record, repeat, now))
}

fn recipient_of(key: &RecipientKey) -> Result<Recipient, Fault> {
    Ok(match key {
        RecipientKey::Rsa { n, e } => Recipient::rsa(n, e)?,
        RecipientKey::Ec { curve: RecipientCurve::P256, x, y } => Recipient::ec(Curve::P256, x, y)?,
        RecipientKey::Ec { curve: RecipientCurve::P384, x, y } => Recipient::ec(Curve::P384, x, y)?,
    })
}

fn use_of(usage: &Usage) -> Use {
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
