//! Reference values that count: the objects of a provider as the store has them, held against the signers that count now.
//!
//! `docs/reference-values.md`, `docs/decisions/0033-reference-values.md`; threat model A6, P7, P20, P21, P25. What the store has under a
//! name is read under the epoch of the decision, like deny lists; that a signature is right is a fact and is remembered; who may sign, the
//! provider and the dates are looked at with every use.

mod signer;
mod state;

use std::sync::Arc;

use keygate_keystore::{Epoch, Keystore, PolicyVersion, ProviderId};
use keygate_policies::canonical;
use keygate_policies::reference::{CLAIM_PREFIX, ReferenceDocument, References, Standing};
use keygate_verifier::tokens::{Jws, MAX_TOKEN, TokenFault};
use moka::sync::Cache;
use openssl::sha::sha256;
use serde_json::{Value, json};

use super::error::{Code, Fault};

pub use signer::{ALGORITHMS, ReferenceSigner, public_jwk, thumbprint};
pub(crate) use state::{Object, PREFIX, State, kind_of};

/// The type in the header of signed reference values.
pub const TYPE: &str = "keygate-reference+jwt";
/// How far ahead an issue time may lie, in seconds.
const LEEWAY: i64 = 60;
/// Names remembered, of all providers.
const NAMES: u64 = 4_096;
/// Signed objects remembered; each is at most 64 KiB.
const OBJECTS: u64 = 1_024;

/// Signed reference values whose signature is that of a signer of the configuration.
#[derive(Debug)]
pub(crate) struct Checked {
    /// What was signed.
    pub(crate) document: Arc<ReferenceDocument>,
    /// By whom: the name in the configuration.
    pub(crate) signer: String,
    /// SHA-256 of what was signed.
    pub(crate) digest: [u8; 32],
    /// From when it counts, unix seconds.
    pub(crate) from: i64,
    /// Until when, unix seconds: its own end, or that of its signer's certificate.
    pub(crate) until: i64,
}

impl Checked {
    /// Whether it counts at `now`.
    pub(crate) fn counts(&self, now: i64) -> bool {
        self.has_begun(now) && now < self.until
    }

    /// Whether its time has come.
    pub(crate) fn has_begun(&self, now: i64) -> bool {
        self.from.saturating_sub(LEEWAY) <= now
    }
}

/// Why signed reference values are not taken: the part of the code, and what the officer may know beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unfit {
    pub(crate) code: Code,
    pub(crate) part: &'static str,
    pub(crate) message: String,
    pub(crate) found: Vec<keygate_policies::Diagnostic>,
}

impl Unfit {
    pub(crate) fn new(part: &'static str, message: impl Into<String>) -> Self {
        Self { code: Code::ReferenceInvalid, part, message: message.into(), found: Vec::new() }
    }
}

/// What stands under a name, as of one epoch.
struct Known {
    in_force: Option<Arc<Checked>>,
    previous: Option<(Arc<Checked>, i64)>,
}

type Kept = (Epoch, Arc<Known>);

/// The reference values of all providers.
pub(crate) struct ReferenceBook {
    signers: Vec<ReferenceSigner>,
    known: Cache<(ProviderId, String), Kept>,
    checked: Cache<[u8; 32], Arc<Checked>>,
}

impl ReferenceBook {
    pub(crate) fn new(signers: Vec<ReferenceSigner>) -> Self {
        Self { signers, known: Cache::new(NAMES), checked: Cache::new(OBJECTS) }
    }

    /// What counts under these names at `now`. What the store has is read after the epoch was: it is never older.
    ///
    /// # Errors
    /// The store cannot be read, or holds what nobody wrote.
    pub(crate) fn of(
        &self,
        keystore: &Keystore,
        provider: &ProviderId,
        names: &[String],
        epoch: Epoch,
        now: i64,
    ) -> Result<References, Fault> {
        let mut references = References::default();
        for name in names {
            let known = self.known(keystore, provider, name, epoch)?;
            if let Some(standing) = standing(&known, now) {
                references.insert(name, standing);
            }
        }
        Ok(references)
    }

    fn known(&self, keystore: &Keystore, provider: &ProviderId, name: &str, epoch: Epoch) -> Result<Arc<Known>, Fault> {
        let place = (provider.clone(), name.to_owned());
        if let Some((at, known)) = self.known.get(&place)
            && at == epoch
        {
            return Ok(known);
        }
        let known = Arc::new(match keystore.policy(provider, &kind_of(name))? {
            None => Known { in_force: None, previous: None },
            Some(version) => {
                let state = State::read(&version)?;
                // A signer that is gone, or may not sign this any more, takes its objects along.
                let fit =
                    |object: &Object| self.check(&object.jws, provider).ok().filter(|c| c.document.name() == name);
                Known {
                    in_force: state.in_force.as_ref().and_then(fit),
                    previous: state.previous.as_ref().and_then(|old| Some((fit(old)?, old.until.unwrap_or(0)))),
                }
            }
        });
        self.known.insert(place, (epoch, Arc::clone(&known)));
        Ok(known)
    }

    /// Whether this was signed by a signer that counts at the provider, for a name that it may sign, and reads as reference values. Dates
    /// are for the caller to look at.
    pub(crate) fn check(&self, jws: &str, provider: &ProviderId) -> Result<Arc<Checked>, Unfit> {
        let key = sha256(format!("{provider}\n{jws}").as_bytes());
        if let Some(known) = self.checked.get(&key) {
            return Ok(known);
        }
        let checked = Arc::new(self.examine(jws, provider)?);
        self.checked.insert(key, Arc::clone(&checked));
        Ok(checked)
    }

    fn examine(&self, jws: &str, provider: &ProviderId) -> Result<Checked, Unfit> {
        if jws.len() > MAX_TOKEN {
            return Err(Unfit {
                code: Code::TooLarge,
                ..Unfit::new("jws", "signed reference values are at most 64 KiB")
            });
        }
        if jws.trim_start().starts_with('{') {
            return Err(Unfit::new(
                "unsigned",
                "this is a document and no compact JWS: sign it with `keygate reference sign`",
            ));
        }
        let (signer, signed) = self.signer_of(jws, provider)?;
        if signed.header.get("typ").and_then(Value::as_str) != Some(TYPE) {
            return Err(Unfit::new("type", format!("the header's `typ` is not `{TYPE}`")));
        }
        let document = ReferenceDocument::parse(&signed.payload).map_err(|found| Unfit {
            code: if found.iter().any(|one| one.code == "too-large") { Code::TooLarge } else { Code::ReferenceInvalid },
            part: "document",
            message: "what was signed is no document of reference values".to_owned(),
            found,
        })?;
        if document.provider().is_some_and(|named| named != provider.as_str()) {
            return Err(Unfit::new("provider", "the values are for another provider"));
        }
        if !signer.may_sign(document.name()) {
            let message =
                format!("the signer `{}` may not sign values of the name `{}`", signer.name(), document.name());
            return Err(Unfit::new("name", message));
        }
        let (from, until) = signer.life();
        Ok(Checked {
            signer: signer.name().to_owned(),
            digest: sha256(&signed.payload),
            from: from.map_or(document.issued(), |from| from.max(document.issued())),
            until: until.map_or(document.expires(), |until| until.min(document.expires())),
            document: Arc::new(document),
        })
    }

    /// The signer of the configuration whose key made the signature.
    fn signer_of(&self, jws: &str, provider: &ProviderId) -> Result<(&ReferenceSigner, Jws), Unfit> {
        let unknown = "no signer of the configuration that counts at this provider made the signature";
        let mut why = Unfit::new("signer", unknown);
        for signer in self.signers.iter().filter(|signer| signer.counts_at(provider)) {
            match signer.verify(jws) {
                Ok(signed) => return Ok((signer, signed)),
                // Of the key that the header names, or that is of the wrong type: perhaps of another signer.
                Err(TokenFault::UnknownKey | TokenFault::WrongKey | TokenFault::Signature) => {}
                Err(TokenFault::Algorithm) => {
                    why = Unfit::new("algorithm", "`alg` is none of ES256, ES384, PS256, RS256 and EdDSA");
                }
                Err(fault) => why = Unfit::new("jws", fault.to_string()),
            }
        }
        Err(why)
    }
}

/// How a name stands at `now`; none where nothing is, or was, in force that a signer of the configuration stands for.
fn standing(known: &Known, now: i64) -> Option<Standing> {
    let mut counting = Vec::new();
    if let Some(object) = known.in_force.as_ref().filter(|object| object.counts(now)) {
        counting.push(Arc::clone(&object.document));
    }
    if let Some((object, _)) = known.previous.as_ref().filter(|(object, until)| object.counts(now) && now < *until) {
        counting.push(Arc::clone(&object.document));
    }
    let expired = || known.in_force.as_ref().is_some_and(|object| now >= object.until);
    match counting.is_empty() {
        false => Some(Standing::InForce(counting)),
        true => expired().then_some(Standing::Expired),
    }
}

/// The names of reference values that the text of an attestation policy names, each once.
pub(crate) fn named_in(text: &str) -> Vec<String> {
    let plain = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    let mut names: Vec<String> =
        text.split(CLAIM_PREFIX).skip(1).map(|rest| rest.chars().take_while(plain).collect()).collect();
    names.retain(|name: &String| keygate_policies::reference::is_reference_name(name));
    names.sort_unstable();
    names.dedup();
    names
}

/// Names what counts under these names: a token that was made of evidence under other values counts for nothing.
pub(crate) fn stamp(names: &[String], references: &References) -> Option<[u8; 32]> {
    if names.is_empty() {
        return None;
    }
    let standings = names.iter().map(|name| match references.get(name) {
        None => json!([name, "missing"]),
        Some(Standing::Expired) => json!([name, "expired"]),
        Some(Standing::InForce(documents)) => {
            let all = documents.iter().map(|document| hex::encode(canonical::digest(&document.to_value())));
            json!([name, all.collect::<Vec<_>>()])
        }
    });
    Some(canonical::digest(&standings.collect()))
}

/// Reads the state of a name out of the version in force.
pub(crate) fn state_of(version: Option<&PolicyVersion>) -> Result<State, Fault> {
    version.map_or_else(|| Ok(State::default()), State::read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_names_references_as_far_as_its_text_says_so() {
        let names = |text: &str| named_in(text).join(" ");
        assert_eq!(names(r#"[type=="x-keygate-reference.fleet.tpm.pcrs.sha256.4"]"#), "fleet");
        assert_eq!(names("x-keygate-reference.b.x x-keygate-reference.a_1-z./p x-keygate-reference.b.y"), "a_1-z b");
        assert_eq!(names("x-keygate-reference. x-keygate-reference.-a X-KEYGATE-REFERENCE.a.b"), "");
        assert_eq!(stamp(&[], References::none()), None);
        assert_ne!(stamp(&["a".to_owned()], References::none()), stamp(&["b".to_owned()], References::none()));
    }
}
