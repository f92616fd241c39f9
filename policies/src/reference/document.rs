//! The document of reference values: `{"name", "serial", "iat", "exp", "provider"?, "note"?, "values": {claim: [value, …]}}`.
//! `docs/reference-values.md`; bounds as threat model P22 asks for.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::canonical;
use crate::diagnostic::{Diagnostic, Severity, Span};
use crate::json::{self, Kind, Member, Node};
use crate::limits::Limits;
use crate::nearest::nearest;
use crate::release::path::ClaimPath;

/// The most bytes of a document.
pub const REFERENCE_BYTES: usize = 64 * 1_024;
/// The most claims of a document.
pub const MOST_CLAIMS: usize = 64;
/// The most values of a document, those of all claims together.
pub const MOST_VALUES: usize = 4_096;
/// The longest time between `iat` and `exp`, in seconds: two years of 366 days.
pub const LONGEST_LIFE: i64 = 2 * 366 * 86_400;

/// Longest value, in bytes of its text.
const LONGEST_VALUE: usize = 1_024;
/// Longest note, in characters.
const LONGEST_NOTE: usize = 1_024;
/// The last moment that is written as a date: the end of the year 9999.
const LAST_TIME: i128 = 253_402_300_799;

const MEMBERS: [&str; 7] = ["name", "serial", "iat", "exp", "provider", "note", "values"];

/// Whether a text is the name of reference values: 1 to 64 of `a-z 0-9 _ -`, the first a letter or a digit.
///
/// A name has no dot, because `x-keygate-reference.NAME.CLAIM` must say one thing.
#[must_use]
pub fn is_reference_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=64).contains(&text.len())
        && text.bytes().next().is_some_and(plain)
        && text.bytes().all(|b| plain(b) || matches!(b, b'_' | b'-'))
}

/// Reference values as somebody signed them; there is no malformed one of this type.
///
/// ```
/// use keygate_policies::reference::ReferenceDocument;
///
/// let document = ReferenceDocument::parse(br#"{
///     "name": "fleet", "serial": 7, "iat": 1800000000, "exp": 1810000000,
///     "values": {"tpm.pcrs.sha256.4": ["0a1b", "2c3d"]}
/// }"#).map_err(|mut found| found.remove(0))?;
/// assert_eq!(document.values("tpm.pcrs.sha256.4").map(<[_]>::len), Some(2));
///
/// let twice = br#"{"name": "fleet", "serial": 7, "iat": 1, "exp": 2, "values": {"svn": ["3", 3]}}"#;
/// assert_eq!(ReferenceDocument::parse(twice).unwrap_err()[0].message, "the value `3` stands twice");
/// # Ok::<(), keygate_policies::Diagnostic>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ReferenceDocument {
    name: String,
    serial: u64,
    issued: i64,
    expires: i64,
    provider: Option<String>,
    note: Option<String>,
    values: BTreeMap<String, Vec<Value>>,
}

impl ReferenceDocument {
    /// Reads a document of at most 64 KiB.
    ///
    /// # Errors
    /// Every diagnostic found: `malformed` or `too-large` where it is no JSON or past a bound, else `reference-invalid`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Vec<Diagnostic>> {
        let members = MOST_VALUES + MOST_CLAIMS + 16;
        let limits = Limits { members, depth: 4, ..Limits::request(REFERENCE_BYTES) };
        let node = json::parse(bytes, &limits).map_err(|diagnostic| vec![diagnostic])?;
        let mut reading = Reading::default();
        let document = reading.document(&node);
        match document {
            Some(document) if reading.found.is_empty() => Ok(document),
            _ => Err(reading.found),
        }
    }

    /// Under which rules and policies name it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number; a later one has a higher one.
    #[must_use]
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// `iat`, unix seconds.
    #[must_use]
    pub fn issued(&self) -> i64 {
        self.issued
    }

    /// `exp`, unix seconds: from here on it satisfies nothing.
    #[must_use]
    pub fn expires(&self) -> i64 {
        self.expires
    }

    /// The one provider it is for; none: any.
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        self.provider.as_deref()
    }

    /// Words of its author.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// The claims it has values for: dotted paths, and JSON pointers.
    pub fn claims(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// The values of exactly this claim, as it is written; texts, integers and truth values.
    #[must_use]
    pub fn values(&self, claim: &str) -> Option<&[Value]> {
        self.values.get(claim).map(Vec::as_slice)
    }

    /// The document as JSON.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut members = Map::new();
        let mut put = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
        put("name", Value::from(self.name.as_str()));
        put("serial", Value::from(self.serial));
        put("iat", Value::from(self.issued));
        put("exp", Value::from(self.expires));
        if let Some(provider) = &self.provider {
            put("provider", Value::from(provider.as_str()));
        }
        if let Some(note) = &self.note {
            put("note", Value::from(note.as_str()));
        }
        let values = self.values.iter().map(|(claim, values)| (claim.clone(), Value::Array(values.clone())));
        put("values", Value::Object(values.collect()));
        Value::Object(members)
    }

    /// Its RFC 8785 text: what is signed.
    #[must_use]
    pub fn canonical_text(&self) -> String {
        canonical::text(&self.to_value())
    }
}

#[derive(Default)]
struct Reading {
    found: Vec<Diagnostic>,
}

impl Reading {
    fn refuse(&mut self, span: Span, at: &str, message: impl Into<String>) {
        // More than this says nothing new.
        if self.found.len() < 100 {
            self.found.push(Diagnostic::new("reference-invalid", Severity::Error, span, message).at(at));
        }
    }

    fn refuse_with(&mut self, span: Span, at: &str, message: String, help: String) {
        self.refuse(span, at, message);
        if let Some(last) = self.found.pop() {
            self.found.push(last.help(help));
        }
    }

    fn document(&mut self, node: &Node) -> Option<ReferenceDocument> {
        let Some(members) = node.as_object() else {
            self.refuse(node.span, "", format!("{} where an object with reference values is needed", node.describe()));
            return None;
        };
        for member in members {
            if !MEMBERS.contains(&member.name.as_str()) {
                let message = format!("unknown member `{}`", shown(&member.name));
                match nearest(&member.name, &MEMBERS) {
                    Some(near) => self.refuse_with(member.name_span, "", message, format!("did you mean `{near}`")),
                    None => self.refuse(member.name_span, "", message),
                }
            }
        }
        let mut needed = |name: &str| {
            let found = node.get(name);
            if found.is_none() {
                self.refuse(node.span, "", format!("reference values need a member `{name}`"));
            }
            found
        };
        let (name, serial) = (needed("name"), needed("serial"));
        let (issued, expires, values) = (needed("iat"), needed("exp"), needed("values"));
        let name = name.and_then(|node| self.name(node));
        let serial = serial.and_then(|node| self.serial(node));
        let issued = issued.and_then(|node| self.time(node, "iat"));
        let expires = expires.and_then(|node| self.time(node, "exp"));
        if let (Some(from), Some(until)) = (issued, expires)
            && (until <= from || until - from > LONGEST_LIFE)
        {
            let message = "`exp` lies behind `iat`, and at most two years behind it";
            self.refuse(node.get("exp").map_or(node.span, |exp| exp.span), "exp", message);
        }
        let provider = self.text(node.get("provider"), "provider", 63);
        let note = self.text(node.get("note"), "note", LONGEST_NOTE);
        let values = values.and_then(|node| self.values(node));
        Some(ReferenceDocument {
            name: name?,
            serial: serial?,
            issued: issued?,
            expires: expires?,
            provider: provider?,
            note: note?,
            values: values?,
        })
    }

    fn name(&mut self, node: &Node) -> Option<String> {
        let name = node.as_text().filter(|name| is_reference_name(name));
        if name.is_none() {
            self.refuse(node.span, "name", "a name is 1 to 64 of a-z 0-9 _ - and begins with a letter or digit");
        }
        name.map(str::to_owned)
    }

    fn serial(&mut self, node: &Node) -> Option<u64> {
        // Beyond 2^53 readers of JSON disagree about which number it is.
        let serial = node.as_integer().filter(|serial| (1..=1 << 53).contains(serial));
        if serial.is_none() {
            self.refuse(node.span, "serial", "a serial is an integer from 1 to 2^53");
        }
        serial.and_then(|serial| u64::try_from(serial).ok())
    }

    fn time(&mut self, node: &Node, at: &str) -> Option<i64> {
        let seconds = node.as_integer().filter(|seconds| (0..=LAST_TIME).contains(seconds));
        if seconds.is_none() {
            self.refuse(node.span, at, format!("`{at}` is a number of unix seconds"));
        }
        seconds.and_then(|seconds| i64::try_from(seconds).ok())
    }

    /// A text that may be missing; none where it is there and is no such text: missing, and wrong, are two things.
    fn text(&mut self, node: Option<&Node>, at: &str, longest: usize) -> Option<Option<String>> {
        let Some(node) = node else { return Some(None) };
        let fits =
            |text: &&str| !text.is_empty() && text.chars().count() <= longest && !text.chars().any(char::is_control);
        let text = node.as_text().filter(fits);
        if text.is_none() {
            self.refuse(node.span, at, format!("`{at}` is a line of text of at most {longest} characters"));
        }
        text.map(|text| Some(text.to_owned()))
    }

    fn values(&mut self, node: &Node) -> Option<BTreeMap<String, Vec<Value>>> {
        let Some(members) = node.as_object() else {
            self.refuse(node.span, "values", format!("{} where values by claim are needed", node.describe()));
            return None;
        };
        if members.is_empty() {
            self.refuse(node.span, "values", "there is no claim: such an object satisfies nothing");
        }
        if members.len() > MOST_CLAIMS {
            self.too_large(node.span, format!("{} claims, at most {MOST_CLAIMS}", members.len()));
            return None;
        }
        let count: usize = members.iter().filter_map(|member| member.value.as_list()).map(<[_]>::len).sum();
        if count > MOST_VALUES {
            self.too_large(node.span, format!("{count} values, at most {MOST_VALUES}"));
            return None;
        }
        let mut values = BTreeMap::new();
        for member in members {
            if let Some(list) = self.claim(member) {
                values.insert(member.name.clone(), list);
            }
        }
        Some(values)
    }

    fn too_large(&mut self, span: Span, message: String) {
        self.found.push(Diagnostic::new("too-large", Severity::Error, span, message).at("values"));
    }

    fn claim(&mut self, member: &Member) -> Option<Vec<Value>> {
        let at = format!("values.{}", shown(&member.name));
        let path = ClaimPath::read(&member.name);
        let printable = member.name.chars().all(|c| !c.is_control());
        if let Err(message) = path.and(printable.then_some(()).ok_or("a path has no control characters")) {
            self.refuse(member.name_span, &at, message);
            return None;
        }
        let Some(nodes) = member.value.as_list().filter(|nodes| !nodes.is_empty()) else {
            self.refuse(member.value.span, &at, "the values of a claim are a list that is not empty");
            return None;
        };
        let mut texts = std::collections::HashSet::new();
        let mut values = Vec::with_capacity(nodes.len());
        for node in nodes {
            let text = match &node.kind {
                Kind::Text(text) => text.clone(),
                Kind::Integer(integer) => integer.to_string(),
                Kind::Bool(truth) => truth.to_string(),
                _ => {
                    let message = format!("{} where a text, an integer or a truth value is needed", node.describe());
                    self.refuse(node.span, &at, message);
                    continue;
                }
            };
            if text.is_empty() || text.len() > LONGEST_VALUE || text.chars().any(char::is_control) {
                self.refuse(node.span, &at, "a value has 1 to 1,024 bytes and no control characters");
            } else if texts.insert(text.clone()) {
                values.push(node.to_value());
            } else {
                self.refuse(node.span, &at, format!("the value `{}` stands twice", shown(&text)));
            }
        }
        Some(values)
    }
}

fn shown(written: &str) -> String {
    written.chars().take(64).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"name":"fleet","serial":7,"iat":1800000000,"exp":1810000000,"provider":"default","note":"spring",
        "values":{"tpm.pcrs.sha256.4":["0a1b"],"/a~1b/0":["x"],"svn":[3,true]}}"#;

    fn refused(text: &str) -> (&'static str, String) {
        let found = ReferenceDocument::parse(text.as_bytes()).unwrap_err();
        (found[0].code, found[0].rule.clone())
    }

    #[test]
    fn a_document_is_read_and_its_own_text_is_the_same_document() {
        let document = ReferenceDocument::parse(GOOD.as_bytes()).unwrap();
        assert_eq!((document.name(), document.serial(), document.provider()), ("fleet", 7, Some("default")));
        assert_eq!(document.values("svn").unwrap(), [Value::from(3), Value::from(true)]);
        assert_eq!(document.values("tpm.pcrs.sha256"), None);
        assert_eq!(ReferenceDocument::parse(document.canonical_text().as_bytes()).unwrap(), document);
    }

    #[test]
    fn each_thing_that_is_wrong_is_refused_at_its_place() {
        for (was, is, at) in [
            (r#""name":"fleet""#, r#""name":"Fleet""#, "name"),
            (r#""name":"fleet""#, r#""name":"a.b""#, "name"),
            (r#""name":"fleet""#, r#""name":"""#, "name"),
            (r#""name":"fleet","#, "", ""),
            (r#""serial":7"#, r#""serial":0"#, "serial"),
            (r#""serial":7"#, r#""serial":"7""#, "serial"),
            (r#""serial":7"#, r#""serial":7.0"#, "serial"),
            (r#""serial":7"#, r#""serial":9007199254740993"#, "serial"),
            (r#""iat":1800000000"#, r#""iat":-1"#, "iat"),
            (r#""exp":1810000000"#, r#""exp":1800000000"#, "exp"),
            (r#""exp":1810000000"#, r#""exp":1863244801"#, "exp"),
            (r#""exp":1810000000,"#, "", ""),
            (r#""provider":"default""#, r#""provider":"""#, "provider"),
            (r#""note":"spring""#, r#""note":"a\nb""#, "note"),
            (r#""note":"#, r#""notes":"#, ""),
            (r#""svn":[3,true]"#, r#""svn":[]"#, "values.svn"),
            (r#""svn":[3,true]"#, r#""svn":3"#, "values.svn"),
            (r#""svn":[3,true]"#, r#""svn":[null]"#, "values.svn"),
            (r#""svn":[3,true]"#, r#""svn":[3.5]"#, "values.svn"),
            (r#""svn":[3,true]"#, r#""svn":[[3]]"#, "values.svn"),
            (r#""svn":[3,true]"#, r#""svn":[3,"3"]"#, "values.svn"),
            (r#""svn":[3,true]"#, r#""svn":[""]"#, "values.svn"),
            (r#""svn":[3,true]"#, r#""a..b":[3]"#, "values.a..b"),
            (r#""/a~1b/0":["x"]"#, r#""/a~b":["x"]"#, "values./a~b"),
        ] {
            let text = GOOD.replacen(was, is, 1);
            assert_ne!(text, GOOD, "{was}");
            assert_eq!(refused(&text), ("reference-invalid", at.to_owned()), "{is}");
        }
        assert_eq!(refused("[]").0, "reference-invalid");
        assert_eq!(refused(&GOOD.replacen('{', "{\"name\":\"x\",", 1)).0, "malformed", "a name twice");
        assert_eq!(refused(&format!("{GOOD} ,")).0, "malformed");
    }

    #[test]
    fn bounds_hold_and_what_is_just_within_is_taken() {
        let with = |values: String| GOOD.replace(r#""svn":[3,true]"#, &values);
        let list = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        assert!(ReferenceDocument::parse(with(format!("\"svn\":[{}]", list(MOST_VALUES - 2))).as_bytes()).is_ok());
        assert_eq!(refused(&with(format!("\"svn\":[{}]", list(MOST_VALUES - 1)))).0, "too-large");
        let claims = |count: usize| (0..count).map(|n| format!("\"c{n}\":[1]")).collect::<Vec<_>>().join(",");
        assert!(ReferenceDocument::parse(with(claims(MOST_CLAIMS - 2)).as_bytes()).is_ok());
        assert_eq!(refused(&with(claims(MOST_CLAIMS - 1))).0, "too-large");
        assert_eq!(refused(&GOOD.replace("\"0a1b\"", &format!("\"{}\"", "a".repeat(REFERENCE_BYTES)))).0, "too-large");
        assert!(ReferenceDocument::parse(GOOD.replace("0a1b", &"a".repeat(LONGEST_VALUE)).as_bytes()).is_ok());
        assert_eq!(refused(&GOOD.replace("0a1b", &"a".repeat(LONGEST_VALUE + 1))).0, "reference-invalid");
    }
}
