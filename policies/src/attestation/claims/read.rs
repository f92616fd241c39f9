//! A claims file, as somebody writes it to try a policy.
//! Native API, section 7 (`policy try`); policy language, section 3.

use serde_json::Map;

use super::{ClaimSet, Issuer};
use crate::diagnostic::{Diagnostic, Severity, Span};
use crate::json::{self, Kind, Node};
use crate::limits::Limits;

const VALUE_TYPES: [&str; 3] = ["String", "Integer", "Boolean"];

pub(super) fn claims(text: &[u8]) -> Result<ClaimSet, Diagnostic> {
    let node = json::parse(text, &Limits::CLAIMS)?;
    let mut set = ClaimSet::new();
    match &node.kind {
        Kind::Object(members) => {
            let attested: Map<_, _> =
                members.iter().map(|member| (member.name.clone(), member.value.to_value())).collect();
            set = ClaimSet::from_objects(&attested, &Map::new());
        }
        Kind::List(entries) => {
            for (index, entry) in entries.iter().enumerate() {
                claim(&mut set, entry).map_err(|fault| fault.at(&format!("[{index}]")))?;
            }
        }
        _ => {
            let message = format!("a claims file is a list of claims or an object, not {}", node.describe());
            return Err(malformed(node.span, message));
        }
    }
    Ok(set)
}

fn claim(set: &mut ClaimSet, entry: &Node) -> Result<(), Diagnostic> {
    let Some(members) = entry.as_object() else {
        let message = format!("a claim is an object, not {}", entry.describe());
        return Err(malformed(entry.span, message).help("write `{\"type\": \"…\", \"value\": …}`"));
    };
    let known = ["type", "value", "issuer", "valueType"];
    if let Some(other) = members.iter().find(|member| !known.contains(&member.name.as_str())) {
        let message = format!("a claim has no member `{}`", other.name.escape_default());
        return Err(malformed(other.name_span, message).symbol(&other.name).expected(known));
    }
    let lacks = |name: &str| malformed(entry.span, format!("a claim needs a member `{name}`"));
    let kind = entry.get("type").ok_or_else(|| lacks("type"))?;
    let value = entry.get("value").ok_or_else(|| lacks("value"))?;
    let Some(name) = kind.as_text().filter(|name| !name.is_empty()) else {
        return Err(malformed(kind.span, "the type of a claim is a string that is not empty"));
    };
    let issuer = match entry.get("issuer") {
        None => Issuer::CustomClaim,
        Some(node) => {
            let written = one_of(node, "issuer", Issuer::ALL.map(Issuer::as_str))?;
            Issuer::ALL.into_iter().find(|issuer| issuer.as_str() == written).unwrap_or(Issuer::CustomClaim)
        }
    };
    if let Some(node) = entry.get("valueType") {
        let said = one_of(node, "valueType", VALUE_TYPES)?;
        let fits = match value.kind {
            Kind::Text(_) | Kind::List(_) | Kind::Object(_) => said == "String",
            Kind::Integer(_) => said == "Integer",
            Kind::Bool(_) => said == "Boolean",
            Kind::Null | Kind::Float(_) => false,
        };
        if !fits {
            return Err(malformed(value.span, format!("value is {} and valueType says `{said}`", value.describe())));
        }
    }
    if let Kind::Float(_) = value.kind {
        return Err(malformed(value.span, "a claim is a truth value, an integer or a string, not a fraction"));
    }
    set.spread(name, &value.to_value(), issuer);
    Ok(())
}

fn one_of<'n>(node: &'n Node, name: &str, known: [&'static str; 3]) -> Result<&'n str, Diagnostic> {
    match node.as_text() {
        Some(text) if known.contains(&text) => Ok(text),
        found => {
            let message = format!("`{name}` is none of the three it can be");
            Err(malformed(node.span, message).symbol(found.unwrap_or_default()).expected(known))
        }
    }
}

fn malformed(span: Span, message: impl Into<String>) -> Diagnostic {
    Diagnostic::new("malformed", Severity::Error, span, message)
}
