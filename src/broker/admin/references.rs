//! Reference values: imported as a proposal, reviewed, approved, retired.
//!
//! `docs/reference-values.md`, threat model A6, P7, P24, P35, P46. An import puts nothing in force; an approval names the serial it was
//! given for, and a serial is used once, so that what was reviewed is what comes into force.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::{Change, IfMatch, KeystoreError, PolicyVersion};
use keygate_policies::KeyRules;
use keygate_policies::reference::{ReferenceDocument, Standing, is_reference_name};
use openssl::sha::sha256;
use serde_json::{Map, Value, json};

use super::{Desk, Done, Plan, Precondition, Reason, Refusal, values};
use crate::broker::AttestationType;
use crate::broker::error::{Code, Fault};
use crate::broker::reference::{Checked, Object, PREFIX, State, Unfit, kind_of, state_of};

/// Most names of one provider.
const MOST: usize = 256;
/// Longest grace of the values before those that were approved, in seconds.
const LONGEST_GRACE: i64 = 90 * 86_400;
/// Keys that are looked through at once.
const PAGE: usize = 500;

/// Reads the name of reference values.
///
/// # Errors
/// `malformed`.
pub fn reference_name(text: &str) -> Result<&str, Fault> {
    let form = "the name of reference values is 1 to 64 of a-z 0-9 _ - and begins with a letter or digit";
    if is_reference_name(text) { Ok(text) } else { Err(Fault::new(Code::Malformed, form)) }
}

/// What is to count no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retired {
    /// Everything under the name, what is proposed included.
    All,
    /// Those before the ones in force, whose grace ends now.
    Previous,
    /// What is proposed: it is not wanted.
    Proposed,
}

impl Retired {
    /// Reads `all`, `previous` or `proposed`.
    ///
    /// # Errors
    /// `malformed`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        match text {
            "all" => Ok(Self::All),
            "previous" => Ok(Self::Previous),
            "proposed" => Ok(Self::Proposed),
            _ => Err(Fault::new(Code::Malformed, "what is retired is `all`, `previous` or `proposed`")),
        }
    }
}

impl From<Unfit> for Refusal {
    fn from(unfit: Unfit) -> Self {
        let Unfit { code, part, message, found } = unfit;
        let told = match found.is_empty() {
            true => vec![json!({"code": format!("{}.{part}", code.as_str()), "message": message})],
            false => values(&found),
        };
        Self { diagnostics: told, ..Fault::new(code, part).because(message).into() }
    }
}

/// A name as it stands: what was read of it.
struct Place {
    name: String,
    version: Option<PolicyVersion>,
    state: State,
}

impl Place {
    fn etag(&self) -> String {
        self.version.as_ref().map_or(0, |version| version.number).to_string()
    }
}

impl Desk<'_> {
    /// Every name, without values.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn list_references(&self) -> Result<Vec<Value>, Refusal> {
        let versions = self.broker.keystore.policies_under(&self.provider, PREFIX, MOST)?;
        let described = versions.into_iter().map(|version| {
            let name = version.kind.strip_prefix(PREFIX).unwrap_or_default().to_owned();
            let state = State::read(&version)?;
            Ok(self.described(&Place { name, version: Some(version), state }, false))
        });
        described.collect()
    }

    /// One name with the values of each of its objects, and its entity tag.
    ///
    /// # Errors
    /// `not-found`.
    pub fn show_reference(&self, name: &str) -> Result<(String, Value), Refusal> {
        let place = self.there(name)?;
        Ok((place.etag(), json!({"reference": self.described(&place, true)})))
    }

    /// What an approval of the proposal would change: values added and removed by claim, and which rules and policies use the name.
    ///
    /// # Errors
    /// `not-found` without the name or a proposal.
    pub fn review_reference(&self, name: &str) -> Result<(String, Value), Refusal> {
        let place = self.there(name)?;
        let proposed = place.state.proposed.as_ref().ok_or(KeystoreError::NotFound("proposal of reference values"))?;
        let new = self.broker.references.check(&proposed.jws, &self.provider);
        let old = place.state.in_force.as_ref().map(|object| self.broker.references.check(&object.jws, &self.provider));
        let document = |checked: &Arc<Checked>| Arc::clone(&checked.document);
        let old = old.and_then(Result::ok).map(|checked| document(&checked));
        let told = json!({
            "name": name,
            "proposed": self.object(proposed, true),
            "in_force": place.state.in_force.as_ref().map(|object| self.object(object, false)),
            // What no signer stands for any more cannot be approved either.
            "unfit": new.as_ref().err().map(|unfit| unfit.message.clone()),
            "changes": difference(old.as_deref(), new.ok().map(|checked| document(&checked)).as_deref()),
            "used_by": self.used_by(name)?,
        });
        Ok((place.etag(), told))
    }

    /// Takes signed reference values in as a proposal. Nothing of them counts before an approval.
    ///
    /// # Errors
    /// `reference-invalid` with what is wrong, `conflict` where the name has changed since it was read.
    pub fn import_reference(&self, name: &str, jws: &str, reason: Reason) -> Result<Done, Refusal> {
        self.covers_all()?;
        let _alone = self.broker.pace.signed();
        let place = self.place(name)?;
        let checked = self.good_now(jws)?;
        self.about_serial(checked.document.serial());
        if checked.document.name() != name {
            return Err(Unfit::new("name", format!("the values are of the name `{}`", checked.document.name())).into());
        }
        let serial = checked.document.serial();
        if serial <= place.state.highest {
            let message =
                format!("serial {serial} is not above {}, the highest seen under this name", place.state.highest);
            return Err(Unfit::new("serial", message).into());
        }
        if place.version.is_none() {
            let all = self.broker.keystore.policies_under(&self.provider, PREFIX, MOST)?;
            if all.len() >= MOST {
                return Err(Fault::new(Code::TooLarge, "too many names of reference values").into());
            }
        }
        let object = Object {
            jws: jws.to_owned(),
            serial,
            imported_by: self.author().to_owned(),
            imported_at: self.now,
            approved_by: None,
            approved_at: None,
            until: None,
        };
        let next = State { highest: serial, proposed: Some(object), ..place.state.clone() };
        self.put_reference(&place, next, reason)
    }

    /// Puts the proposal of this serial in force, in the place of what was. `keep_previous`: until when that counts beside it.
    ///
    /// # Errors
    /// `not-found` without a proposal, `conflict` where the proposal is another one, `reference-invalid` where it does not hold any more.
    pub fn approve_reference(
        &self,
        name: &str,
        serial: u64,
        keep_previous: Option<i64>,
        reason: Reason,
    ) -> Result<Done, Refusal> {
        self.covers_all()?;
        self.about_serial(serial);
        let place = self.there(name)?;
        let proposed = place.state.proposed.clone().ok_or(KeystoreError::NotFound("proposal of reference values"))?;
        if proposed.serial != serial {
            let other = Fault::new(Code::Conflict, "the proposal has another serial: review it");
            return Err(other.because(format!("it is {}", proposed.serial)).into());
        }
        // Signer, name and dates as they are now; the serial was looked at when it came, and no other can come with it.
        let checked = self.good_now(&proposed.jws)?;
        if checked.document.name() != name || checked.document.serial() != serial {
            return Err(Fault::new(Code::StoreCorrupt, "").because("a proposal is not what it was").into());
        }
        let previous = match (keep_previous, &place.state.in_force) {
            (None, _) => None,
            (Some(_), None) => {
                return Err(Fault::new(Code::Malformed, "there are no values in force that could be kept").into());
            }
            (Some(until), Some(_)) if until <= self.now || until - self.now > LONGEST_GRACE => {
                return Err(Fault::new(Code::Malformed, "previous values are kept for at most 90 days from now").into());
            }
            (Some(until), Some(object)) => Some(Object { until: Some(until), ..object.clone() }),
        };
        let approved = Object { approved_by: Some(self.author().to_owned()), approved_at: Some(self.now), ..proposed };
        let next = State { highest: place.state.highest, proposed: None, in_force: Some(approved), previous };
        self.put_reference(&place, next, reason)
    }

    /// Ends what counts under a name, or a part of it, at once. Its serials stay used.
    ///
    /// # Errors
    /// `not-found` where there is nothing of that.
    pub fn retire_reference(&self, name: &str, what: Retired, reason: Reason) -> Result<Done, Refusal> {
        self.covers_all()?;
        let place = self.there(name)?;
        let State { highest, proposed, in_force, previous } = place.state.clone();
        let (there, next) = match what {
            Retired::All => {
                (proposed.is_some() || in_force.is_some() || previous.is_some(), State { highest, ..State::default() })
            }
            Retired::Previous => (previous.is_some(), State { highest, proposed, in_force, previous: None }),
            Retired::Proposed => (proposed.is_some(), State { highest, proposed: None, in_force, previous }),
        };
        if !there {
            return Err(KeystoreError::NotFound("reference values to retire").into());
        }
        self.put_reference(&place, next, reason)
    }

    /// What stands under a name: for the answer to a repeated change.
    pub(super) fn reference_now(&self, name: &str) -> Result<Value, Refusal> {
        Ok(self.described(&self.place(name)?, true))
    }

    /// Warnings for rules that name reference values under which nothing counts.
    pub(super) fn reference_warnings(&self, document: &str) -> Result<Vec<Value>, Refusal> {
        let Ok(rules) = KeyRules::parse(document.as_bytes()) else { return Ok(Vec::new()) };
        if rules.references().is_empty() {
            return Ok(Vec::new());
        }
        let epoch = self.broker.keystore.epoch()?;
        let keystore = &self.broker.keystore;
        let references = self.broker.references.of(keystore, &self.provider, rules.references(), epoch, self.now)?;
        let known = |name: &str| match references.get(name) {
            Some(Standing::InForce(documents)) => documents.iter().map(AsRef::as_ref).collect(),
            _ => Vec::new(),
        };
        Ok(values(&rules.lint_references(&known)))
    }

    fn place(&self, name: &str) -> Result<Place, Refusal> {
        let name = reference_name(name)?.to_owned();
        let version = self.broker.keystore.policy(&self.provider, &kind_of(&name))?;
        let state = state_of(version.as_ref())?;
        Ok(Place { name, version, state })
    }

    fn there(&self, name: &str) -> Result<Place, Refusal> {
        let place = self.place(name)?;
        match place.version {
            Some(_) => Ok(place),
            None => Err(KeystoreError::NotFound("name of reference values").into()),
        }
    }

    /// Signed by a signer that counts, and within its dates now.
    fn good_now(&self, jws: &str) -> Result<Arc<Checked>, Refusal> {
        let checked = self.broker.references.check(jws, &self.provider)?;
        if !checked.has_begun(self.now) {
            let message = format!("the values, or their signer, count from {} on and not now", checked.from);
            return Err(Unfit::new("not-yet-valid", message).into());
        }
        if self.now >= checked.until {
            let message = format!("the values, or their signer, counted until {} and not now", checked.until);
            return Err(Unfit::new("expired", message).into());
        }
        Ok(checked)
    }

    fn put_reference(&self, place: &Place, next: State, reason: Reason) -> Result<Done, Refusal> {
        let if_match = match (&self.ask.precondition, &place.version) {
            (Precondition::Absent, None) => IfMatch::Absent,
            (Precondition::Absent, Some(_)) => return Err(KeystoreError::PreconditionFailed.into()),
            (_, None) => self.expected(&place.etag()).map(|_| IfMatch::Absent)?,
            (_, Some(_)) => self.expected(&place.etag())?,
        };
        let summary = |state: &State| {
            let told = |object: &Option<Object>| {
                object.as_ref().map(|object| {
                    let digest = URL_SAFE_NO_PAD.encode(sha256(object.jws.as_bytes()));
                    json!({"serial": object.serial, "jws": digest, "until": object.until})
                })
            };
            json!({
                "name": place.name, "proposed": told(&state.proposed), "in_force": told(&state.in_force),
                "previous": told(&state.previous),
            })
        };
        let (before, document) = (self.described(place, true), next.text());
        let digest = sha256(document.as_bytes());
        let change = Change::SetPolicy { kind: kind_of(&place.name), document, digest };
        let (was, after) = (summary(&place.state), summary(&next));
        let changed = self.change(Plan { change, if_match, reason, before: was, after, forced: None })?;
        let now = Place { name: place.name.clone(), version: None, state: next };
        let mut object = self.described(&now, true);
        object["number"] = json!(changed.etag.parse::<u64>().unwrap_or_default());
        Ok(self.done(&changed, before, object))
    }

    fn described(&self, place: &Place, with_values: bool) -> Value {
        let State { highest, proposed, in_force, previous } = &place.state;
        let told = |object: &Option<Object>| object.as_ref().map(|object| self.object(object, with_values));
        let current = told(in_force);
        let standing = current.as_ref().and_then(|object| object.get("state")).and_then(Value::as_str);
        json!({
            "name": place.name,
            "number": place.version.as_ref().map_or(0, |version| version.number),
            "state": standing.unwrap_or(if proposed.is_some() { "proposed" } else { "retired" }),
            "highest_serial": highest,
            "in_force": current,
            "previous": told(previous).filter(|_| previous.as_ref().and_then(|old| old.until) > Some(self.now)),
            "proposed": told(proposed),
        })
    }

    /// An object: what was signed, by whom, and whether it would count now.
    fn object(&self, object: &Object, with_values: bool) -> Value {
        let mut told = json!({
            "serial": object.serial, "imported_by": object.imported_by, "imported_at": object.imported_at,
            "approved_by": object.approved_by, "approved_at": object.approved_at, "keep_until": object.until,
        });
        let checked = match self.broker.references.check(&object.jws, &self.provider) {
            Ok(checked) => checked,
            Err(unfit) => {
                told["state"] = json!("untrusted");
                told["why"] = json!(unfit.message);
                return told;
            }
        };
        let document = &checked.document;
        let state = match (checked.has_begun(self.now), self.now < checked.until, object.approved_at) {
            (false, ..) => "not-yet-valid",
            (_, false, _) => "expired",
            (_, _, None) => "proposed",
            (_, _, Some(_)) => "in-force",
        };
        told["state"] = json!(state);
        told["signer"] = json!(checked.signer);
        told["digest"] = json!(URL_SAFE_NO_PAD.encode(checked.digest));
        told["issued"] = json!(document.issued());
        told["until"] = json!(checked.until);
        told["note"] = json!(document.note());
        let counts: Map<String, Value> = document
            .claims()
            .map(|claim| (claim.to_owned(), json!(document.values(claim).map_or(0, <[_]>::len))))
            .collect();
        told["claims"] = Value::Object(counts);
        if with_values {
            told["values"] = document.to_value().get("values").cloned().unwrap_or_default();
            told["jws"] = json!(object.jws);
        }
        told
    }

    /// Keys whose rules name the values, with the claims that are held against them, and types whose policies do.
    fn used_by(&self, name: &str) -> Result<Value, Refusal> {
        let (mut keys, mut after) = (Vec::new(), None);
        loop {
            let page = self.broker.keystore.list(&self.provider, after.as_ref(), PAGE)?;
            for view in &page {
                let rules = self.broker.rules.of(view.rule.as_ref())?;
                let tests = rules.reference_tests();
                let mut claims: Vec<&str> =
                    tests.iter().filter(|test| test.name == name).map(|test| test.claim).collect();
                claims.sort_unstable();
                claims.dedup();
                if !claims.is_empty() {
                    keys.push(json!({"key": view.name.as_str(), "claims": claims}));
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.name.clone()),
                _ => break,
            }
        }
        let epoch = self.broker.keystore.epoch()?;
        let mut policies = Vec::new();
        for kind in AttestationType::ALL.iter().filter(|kind| kind.has_policy()) {
            let policy = self.broker.policies.of(&self.broker.keystore, &self.provider, kind.as_str(), epoch)?;
            if policy.is_some_and(|policy| policy.references.iter().any(|named| named == name)) {
                policies.push(kind.as_str());
            }
        }
        Ok(json!({"keys": keys, "policies": policies}))
    }
}

/// What differs between two documents: by claim the values that are added and removed, and how many stay.
pub fn difference(before: Option<&ReferenceDocument>, after: Option<&ReferenceDocument>) -> Vec<Value> {
    let mut claims: BTreeMap<&str, (&[Value], &[Value])> = BTreeMap::new();
    for claim in before.iter().flat_map(|document| document.claims()) {
        claims.entry(claim).or_default().0 = before.and_then(|document| document.values(claim)).unwrap_or_default();
    }
    for claim in after.iter().flat_map(|document| document.claims()) {
        claims.entry(claim).or_default().1 = after.and_then(|document| document.values(claim)).unwrap_or_default();
    }
    let changed = claims.into_iter().filter_map(|(claim, (old, new))| {
        let added: Vec<&Value> = new.iter().filter(|value| !old.contains(value)).collect();
        let removed: Vec<&Value> = old.iter().filter(|value| !new.contains(value)).collect();
        let kept = new.len() - added.len();
        let same = added.is_empty() && removed.is_empty();
        (!same).then(|| json!({"claim": claim, "added": added, "removed": removed, "kept": kept}))
    });
    changed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(values: Value) -> ReferenceDocument {
        let text = json!({"name": "fleet", "serial": 1, "iat": 1, "exp": 2, "values": values}).to_string();
        ReferenceDocument::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_difference_names_values_by_claim_and_says_nothing_of_what_stays() {
        let (old, new) = (
            document(json!({"a": ["1", "2"], "b": ["x"], "c": [3]})),
            document(json!({"a": ["2", "4"], "b": ["x"], "d": [5]})),
        );
        assert_eq!(
            difference(Some(&old), Some(&new)),
            [
                json!({"claim": "a", "added": ["4"], "removed": ["1"], "kept": 1}),
                json!({"claim": "c", "added": [], "removed": [3], "kept": 0}),
                json!({"claim": "d", "added": [5], "removed": [], "kept": 0}),
            ]
        );
        assert!(difference(Some(&old), Some(&old)).is_empty());
        assert_eq!(difference(None, Some(&old)).len(), 3);
    }
}
