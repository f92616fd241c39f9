//! Claims: who says what of the attester, and the set a policy looks at.
//! Policy language, sections 3 and 7.

mod read;

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

/// Claims whose value is raw evidence. They may be tested and read; what is taken from them stays marked.
const RAW: [(&str, Mark); 3] = [("events", Mark::Log), ("bootEvents", Mark::Log), ("pcrs", Mark::Registers)];

/// Places for what a policy adds, so that a set that grows need not be moved.
const SPARE: usize = 32;

/// A property of a claim that a condition tests and an expression reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Property {
    Type,
    Value,
    ValueType,
    Issuer,
}

impl Property {
    pub(super) const ALL: [Self; 4] = [Self::Type, Self::Value, Self::ValueType, Self::Issuer];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Value => "value",
            Self::ValueType => "valueType",
            Self::Issuer => "issuer",
        }
    }
}

/// The value of a claim. A claim type may have many claims, so its values form a set.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum ClaimValue {
    /// `true` or `false`
    Boolean(bool),
    /// 64 bits, signed. A larger number of a claims object becomes [`ClaimValue::Text`], its digits.
    Integer(i64),
    /// A string; also the JSON text of an object or a list.
    Text(String),
}

impl ClaimValue {
    /// The name of its type: `Boolean`, `Integer`, `String`.
    #[must_use]
    pub const fn value_type(&self) -> &'static str {
        match self {
            Self::Boolean(_) => "Boolean",
            Self::Integer(_) => "Integer",
            Self::Text(_) => "String",
        }
    }

    /// The same value as a member of a token.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::Boolean(truth) => Value::Bool(*truth),
            Self::Integer(integer) => Value::from(*integer),
            Self::Text(text) => Value::String(text.clone()),
        }
    }

    pub(super) fn scalar(&self) -> Scalar<'_> {
        match self {
            Self::Boolean(truth) => Scalar::Boolean(*truth),
            Self::Integer(integer) => Scalar::Integer(*integer),
            Self::Text(text) => Scalar::Text(Cow::Borrowed(text)),
        }
    }
}

/// A value during an evaluation; texts are borrowed where they stand in a claim or in the policy.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Scalar<'a> {
    Boolean(bool),
    Integer(i64),
    Text(Cow<'a, str>),
}

impl Scalar<'_> {
    pub(super) fn into_value(self) -> ClaimValue {
        match self {
            Self::Boolean(truth) => ClaimValue::Boolean(truth),
            Self::Integer(integer) => ClaimValue::Integer(integer),
            Self::Text(text) => ClaimValue::Text(text.into_owned()),
        }
    }
}

/// Who says a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Issuer {
    /// The service, from verified evidence.
    AttestationService,
    /// The policy itself, by `add`, `issue` or `issueproperty`.
    AttestationPolicy,
    /// The attested client.
    CustomClaim,
}

impl Issuer {
    pub(super) const ALL: [Self; 3] = [Self::AttestationService, Self::AttestationPolicy, Self::CustomClaim];

    /// As a policy writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AttestationService => "AttestationService",
            Self::AttestationPolicy => "AttestationPolicy",
            Self::CustomClaim => "CustomClaim",
        }
    }
}

/// Where a value comes from, as far as that binds what may be done with it. The greater of two wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    /// From anywhere else.
    Free,
    /// From an event log: read-only, and may be issued.
    Log,
    /// Raw from the registers: read-only, and may not be issued.
    Registers,
}

/// One claim.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    pub(super) kind: String,
    pub(super) value: ClaimValue,
    pub(super) issuer: Issuer,
    pub(super) mark: Mark,
}

impl Claim {
    /// A claim of type `kind`. `events`, `bootEvents` and `pcrs` are read-only from here on, and so is what a policy
    /// takes from them.
    #[must_use]
    pub fn new(kind: impl Into<String>, value: ClaimValue, issuer: Issuer) -> Self {
        let kind = kind.into();
        let mark = RAW.iter().find(|(name, _)| *name == kind).map_or(Mark::Free, |(_, mark)| *mark);
        Self { kind, value, issuer, mark }
    }

    /// Its type: `x-ms-sgx-svn`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Its value.
    #[must_use]
    pub const fn value(&self) -> &ClaimValue {
        &self.value
    }

    /// Who says it.
    #[must_use]
    pub const fn issuer(&self) -> Issuer {
        self.issuer
    }

    /// Whether it is raw evidence, or taken from it.
    #[must_use]
    pub fn read_only(&self) -> bool {
        self.mark > Mark::Free
    }

    pub(super) fn scalar(&self, property: Property) -> Scalar<'_> {
        match property {
            Property::Type => Scalar::Text(Cow::Borrowed(&self.kind)),
            Property::Value => self.value.scalar(),
            Property::ValueType => Scalar::Text(Cow::Borrowed(self.value.value_type())),
            Property::Issuer => Scalar::Text(Cow::Borrowed(self.issuer.as_str())),
        }
    }

    /// Bytes a copy of it takes.
    pub(super) fn weight(&self) -> u64 {
        let text = if let ClaimValue::Text(text) = &self.value { text.len() } else { 0 };
        (size_of::<Self>() + self.kind.len() + text) as u64
    }
}

/// Claims in order; the same claim may stand in it twice.
///
/// ```
/// use keygate_policies::attestation::ClaimSet;
/// use serde_json::json;
///
/// let attested = json!({"x-ms-sgx-svn": 3, "advisories": ["INTEL-SA-1", "INTEL-SA-2"], "none": null});
/// let presented = json!({"role": {"name": "db"}});
/// let claims = ClaimSet::from_objects(attested.as_object().unwrap(), presented.as_object().unwrap());
/// let shown: Vec<_> = claims.iter().map(|claim| (claim.kind(), claim.issuer().as_str())).collect();
/// assert_eq!(shown, [
///     ("x-ms-sgx-svn", "AttestationService"),
///     ("advisories", "AttestationService"),
///     ("advisories", "AttestationService"),
///     ("role", "CustomClaim"),
/// ]);
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClaimSet {
    pub(super) claims: Vec<Claim>,
}

impl ClaimSet {
    /// No claims.
    #[must_use]
    pub const fn new() -> Self {
        Self { claims: Vec::new() }
    }

    /// Adds a claim behind the others.
    pub fn push(&mut self, claim: Claim) {
        self.claims.push(claim);
    }

    /// How many claims.
    #[must_use]
    pub fn len(&self) -> usize {
        self.claims.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    /// The claims in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Claim> {
        self.claims.iter()
    }

    /// What the evidence says, as claims of the attestation service, then what the client says, as custom claims.
    ///
    /// A list of scalars becomes one claim per element; an object or another list its JSON text; null no claim; a number
    /// that is no 64-bit signed integer its digits.
    #[must_use]
    pub fn from_objects(attested: &Map<String, Value>, presented: &Map<String, Value>) -> Self {
        let mut set = Self { claims: Vec::with_capacity(attested.len() + presented.len() + SPARE) };
        for (object, issuer) in [(attested, Issuer::AttestationService), (presented, Issuer::CustomClaim)] {
            for (name, value) in object {
                set.spread(name, value, issuer);
            }
        }
        set
    }

    /// Reads a claims file: a list of `{"type", "value", "issuer"?, "valueType"?}`, or an object.
    ///
    /// An entry of the list that states no issuer is a custom claim, as the client's own statements are. An object is
    /// what [`ClaimSet::from_objects`] takes for attested.
    ///
    /// # Errors
    /// One diagnostic, `malformed` or `too-large`, with its place in the text.
    ///
    /// ```
    /// use keygate_policies::attestation::{ClaimSet, Issuer};
    ///
    /// let set = ClaimSet::from_json(br#"[{"type": "svn", "value": 3, "issuer": "AttestationService"}]"#)?;
    /// assert_eq!(set.iter().next().map(|claim| claim.issuer()), Some(Issuer::AttestationService));
    ///
    /// let found = ClaimSet::from_json(br#"[{"type": "svn", "value": 3, "valueType": "String"}]"#).unwrap_err();
    /// assert_eq!(found[0].message, "value is an integer and valueType says `String`");
    /// # Ok::<(), Vec<keygate_policies::Diagnostic>>(())
    /// ```
    pub fn from_json(text: &[u8]) -> Result<Self, Vec<crate::Diagnostic>> {
        read::claims(text).map_err(|fault| vec![fault])
    }

    fn spread(&mut self, name: &str, value: &Value, issuer: Issuer) {
        let scalars = value
            .as_array()
            .filter(|elements| !elements.iter().any(|element| element.is_array() || element.is_object()));
        match (value, scalars) {
            (_, Some(elements)) => elements.iter().for_each(|element| self.spread(name, element, issuer)),
            (Value::Null, _) => {}
            (Value::Bool(truth), _) => self.push(Claim::new(name, ClaimValue::Boolean(*truth), issuer)),
            (Value::String(text), _) => self.push(Claim::new(name, ClaimValue::Text(text.clone()), issuer)),
            (Value::Number(number), _) => {
                let value = number.as_i64().map_or_else(|| ClaimValue::Text(number.to_string()), ClaimValue::Integer);
                self.push(Claim::new(name, value, issuer));
            }
            (other, _) => self.push(Claim::new(name, ClaimValue::Text(other.to_string()), issuer)),
        }
    }
}

impl FromIterator<Claim> for ClaimSet {
    fn from_iter<I: IntoIterator<Item = Claim>>(claims: I) -> Self {
        Self { claims: claims.into_iter().collect() }
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
