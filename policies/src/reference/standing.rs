//! What counts at one moment: by name the documents in force, or why there are none.
//! Threat model, P7 (nothing is kept from one use to the next) and P21 (what does not count is false).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::document::ReferenceDocument;
use crate::attestation::{Claim, ClaimSet, ClaimValue, Issuer};
use crate::release::operand::text_of;
use crate::release::path::ClaimPath;

/// Claims of a policy under this prefix hold reference values: `x-keygate-reference.NAME.CLAIM`.
pub const CLAIM_PREFIX: &str = "x-keygate-reference.";

/// How a name stands at one moment.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// These count, the newest first; older ones while the grace of an update lasts.
    InForce(Vec<Arc<ReferenceDocument>>),
    /// What was in force has expired, and nothing else counts.
    Expired,
}

/// The reference values that count at one moment. A name that is not here is missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct References {
    by_name: BTreeMap<String, Standing>,
}

/// What came of holding a claim against reference values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Every value of the claim is among them; the highest serial that has them all, or of those that were needed together.
    Match(u64),
    /// No values of this name are in force.
    Missing,
    /// Those that were in force have expired.
    Expired,
    /// They say nothing of this claim.
    NoEntry,
    /// The claim is absent, empty, no scalar, or has a value that is not among them.
    NoMatch,
}

impl Held {
    /// The reason of a denial; none for a match.
    #[must_use]
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Match(_) => None,
            Self::Missing => Some("reference-missing"),
            Self::Expired => Some("reference-expired"),
            Self::NoEntry => Some("reference-no-entry"),
            Self::NoMatch => Some("reference-no-match"),
        }
    }
}

static NONE: References = References { by_name: BTreeMap::new() };

impl References {
    /// Nothing counts.
    #[must_use]
    pub fn none() -> &'static Self {
        &NONE
    }

    /// Adds how a name stands.
    pub fn insert(&mut self, name: &str, standing: Standing) {
        self.by_name.insert(name.to_owned(), standing);
    }

    /// How a name stands; none: it is missing.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Standing> {
        self.by_name.get(name)
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Holds a claim against the values that `name` has for exactly this path. Of a list every element must be among them, and it must
    /// not be empty.
    #[must_use]
    pub fn hold(&self, name: &str, path: &ClaimPath, claim: Option<&Value>) -> Held {
        let documents = match self.by_name.get(name) {
            None => return Held::Missing,
            Some(Standing::Expired) => return Held::Expired,
            Some(Standing::InForce(documents)) => documents,
        };
        let lists = || documents.iter().filter_map(|document| Some((document, document.values(path.as_str())?)));
        if lists().next().is_none() {
            return Held::NoEntry;
        }
        let elements = match claim {
            Some(Value::Array(elements)) => elements.as_slice(),
            Some(scalar) => std::slice::from_ref(scalar),
            None => return Held::NoMatch,
        };
        let mut serial = None;
        for element in elements {
            let Some(text) = text_of(element) else { return Held::NoMatch };
            let among = |values: &[Value]| values.iter().any(|value| text_of(value).is_some_and(|value| value == text));
            let Some((document, _)) = lists().find(|(_, values)| among(values)) else { return Held::NoMatch };
            // Where an older one was needed, it is the one that is told.
            serial = Some(serial.map_or(document.serial(), |other: u64| other.min(document.serial())));
        }
        serial.map_or(Held::NoMatch, Held::Match)
    }

    /// Adds to the claims of a policy: each value as a claim of the service of type [`CLAIM_PREFIX`] name `.` path, and the claim of
    /// the evidence that stands at such a path, where it lies within an object, under that path as its type.
    pub fn add_claims(&self, set: &mut ClaimSet, attested: &Map<String, Value>) {
        let mut offered: Vec<&str> = Vec::new();
        for (name, standing) in &self.by_name {
            let Standing::InForce(documents) = standing else { continue };
            for document in documents {
                for path in document.claims() {
                    let kind = format!("{CLAIM_PREFIX}{name}.{path}");
                    for value in document.values(path).unwrap_or_default() {
                        if let Some(value) = scalar(value) {
                            set.push(Claim::new(kind.as_str(), value, Issuer::AttestationService));
                        }
                    }
                    if !offered.contains(&path) {
                        offered.push(path);
                    }
                }
            }
        }
        for path in offered {
            // What the evidence says under that very name is a claim already, and the only one.
            if attested.contains_key(path) {
                continue;
            }
            let Some(found) = ClaimPath::read(path).ok().and_then(|place| place.find(attested).cloned()) else {
                continue;
            };
            let elements = match found {
                Value::Array(elements) => elements,
                other => vec![other],
            };
            for value in elements.iter().filter_map(scalar) {
                set.push(Claim::new(path, value, Issuer::AttestationService));
            }
        }
    }
}

fn scalar(value: &Value) -> Option<ClaimValue> {
    match value {
        Value::Bool(truth) => Some(ClaimValue::Boolean(*truth)),
        Value::String(text) => Some(ClaimValue::Text(text.clone())),
        Value::Number(number) => Some(match number.as_i64() {
            Some(integer) => ClaimValue::Integer(integer),
            None => ClaimValue::Text(number.to_string()),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document(serial: u64, values: Value) -> Arc<ReferenceDocument> {
        let text = json!({"name": "fleet", "serial": serial, "iat": 1, "exp": 2, "values": values}).to_string();
        Arc::new(ReferenceDocument::parse(text.as_bytes()).unwrap())
    }

    fn references(standing: Standing) -> References {
        let mut references = References::default();
        references.insert("fleet", standing);
        references
    }

    fn held(references: &References, claim: Option<Value>) -> Held {
        references.hold("fleet", &ClaimPath::dotted("a.b").unwrap(), claim.as_ref())
    }

    #[test]
    fn a_claim_holds_where_every_value_of_it_is_among_them() {
        let both =
            Standing::InForce(vec![document(8, json!({"a.b": ["new", 3]})), document(7, json!({"a.b": ["old"]}))]);
        let both = references(both);
        for (claim, wanted) in [
            (json!("new"), Held::Match(8)),
            (json!("old"), Held::Match(7)),
            (json!(3), Held::Match(8)),
            (json!("3"), Held::Match(8)),
            (json!(["new", "old"]), Held::Match(7)),
            (json!(["new", "other"]), Held::NoMatch),
            (json!([]), Held::NoMatch),
            (json!([["new"]]), Held::NoMatch),
            (json!(["new", null]), Held::NoMatch),
            (json!({"new": "new"}), Held::NoMatch),
            (json!("New"), Held::NoMatch),
            (json!("ne"), Held::NoMatch),
            (json!(3.0), Held::NoMatch),
            (Value::Null, Held::NoMatch),
        ] {
            assert_eq!(held(&both, Some(claim.clone())), wanted, "{claim}");
        }
        assert_eq!(held(&both, None), Held::NoMatch);
        let alone = references(Standing::InForce(vec![document(8, json!({"a.b": ["new"]}))]));
        assert_eq!(held(&alone, Some(json!("old"))), Held::NoMatch, "without the grace the old value is nothing");
    }

    #[test]
    fn what_does_not_count_says_why_and_holds_for_nothing() {
        assert_eq!(held(References::none(), Some(json!("new"))), Held::Missing);
        assert_eq!(held(&references(Standing::Expired), Some(json!("new"))), Held::Expired);
        assert_eq!(held(&references(Standing::InForce(Vec::new())), Some(json!("new"))), Held::NoEntry);
        // The spellings never stand in for each other, and a part of a path is another path.
        for other in ["/a/b", "a", "a.b.c", "a.B"] {
            let values = Standing::InForce(vec![document(8, json!({other: ["new"]}))]);
            assert_eq!(held(&references(values), Some(json!("new"))), Held::NoEntry, "{other}");
        }
    }

    #[test]
    fn a_policy_gets_the_values_and_the_claim_they_are_about() {
        let values = json!({"tpm.pcr": ["aa", 7], "top": ["t"], "/list/0": ["x"], "no.such": ["y"]});
        let references = references(Standing::InForce(vec![document(8, values)]));
        let attested = json!({"tpm": {"pcr": "aa", "other": "bb"}, "top": "t", "list": ["x", "z"], "tpm.pcr2": "q"});
        let mut set = ClaimSet::new();
        references.add_claims(&mut set, attested.as_object().unwrap());
        let told: Vec<_> = set.iter().map(|claim| format!("{}={:?}", claim.kind(), claim.value())).collect();
        assert_eq!(
            told,
            [
                "x-keygate-reference.fleet./list/0=Text(\"x\")",
                "x-keygate-reference.fleet.no.such=Text(\"y\")",
                "x-keygate-reference.fleet.top=Text(\"t\")",
                "x-keygate-reference.fleet.tpm.pcr=Text(\"aa\")",
                "x-keygate-reference.fleet.tpm.pcr=Integer(7)",
                "/list/0=Text(\"x\")",
                "tpm.pcr=Text(\"aa\")",
            ]
        );
        assert!(set.iter().all(|claim| claim.issuer() == Issuer::AttestationService));
        let mut none = ClaimSet::new();
        self::references(Standing::Expired).add_claims(&mut none, attested.as_object().unwrap());
        assert!(none.is_empty());
    }
}
