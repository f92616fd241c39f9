//! Rules in files: read, checked with the place underlined, joined with options of the command line. Keygate's contract, sections 5 and 7.

use std::io::Read as _;
use std::path::Path;

use keygate_policies::{Diagnostic, KeyRules, Limits, json};
use serde_json::{Map, Value, json};

use super::exit::Failure;
use super::places;

/// A text and where it came from.
pub struct RuleFile {
    pub(super) name: String,
    pub(super) text: String,
}

impl RuleFile {
    /// Reads a file, or standard input for `-`.
    ///
    /// # Errors
    /// Usage.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let cannot =
            |e: std::io::Error| Failure::usage(format!("cannot read `{name}`: {e}"), "name a file with a rule");
        let mut bytes = Vec::new();
        let most = Limits::RULES.bytes as u64 + 1;
        if path == Path::new("-") {
            std::io::stdin().lock().take(most).read_to_end(&mut bytes).map_err(cannot)?;
        } else {
            std::fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)).map_err(cannot)?;
        }
        let text = String::from_utf8(bytes)
            .map_err(|_| Failure::usage(format!("`{name}` is not UTF-8"), "write rules as JSON in UTF-8"))?;
        Ok(Self { name, text })
    }

    /// The rules, or what is wrong with them.
    ///
    /// # Errors
    /// Every diagnostic.
    pub fn parse(&self) -> Result<KeyRules, Vec<Diagnostic>> {
        KeyRules::parse(self.text.as_bytes())
    }

    /// The document with its rules and options, to be sent. What does not parse is shown where it is wrong.
    ///
    /// # Errors
    /// Usage, after the diagnostics were printed.
    pub fn document(&self) -> Result<Value, Failure> {
        match self.parse() {
            Ok(rules) => Ok(rules.to_value().clone()),
            Err(found) => {
                self.show(&found);
                Err(Failure::usage(
                    format!("`{}` is no rule", self.name),
                    "mend it; `keygate rule check` shows every place",
                ))
            }
        }
    }

    /// What ends a command over a text that is no rule, once the places were shown.
    pub fn failure(&self, found: &[Diagnostic]) -> Failure {
        let code = found.first().map_or("rule-invalid", |diagnostic| diagnostic.code);
        Failure::usage(
            format!("`{}` is no rule", self.name),
            "mend the places shown above; docs/release-rules.md has the language",
        )
        .with_code(code)
    }

    /// Shows each place on standard error: underlined on a terminal, a line each elsewhere.
    pub fn show(&self, found: &[Diagnostic]) {
        places::show(&self.name, &self.text, found);
    }
}

/// Joins a document with options of the command line: `K=V`, V as JSON or else as text. A bare rule becomes `default`.
///
/// # Errors
/// Usage.
pub fn with_options(document: Option<Value>, options: &[String], anchors: &[String]) -> Result<Option<Value>, Failure> {
    if document.is_none() && options.is_empty() && anchors.is_empty() {
        return Ok(None);
    }
    let mut document = document.unwrap_or_else(|| json!({"rules": {}, "options": {}}));
    let mut set: Map<String, Value> = document.get("options").and_then(Value::as_object).cloned().unwrap_or_default();
    for option in options {
        let (name, text) = option.split_once('=').ok_or_else(|| {
            Failure::usage(format!("`{option}` is no option"), "write options as NAME=VALUE, such as freshness=session")
        })?;
        let value = match json::parse(text.as_bytes(), &Limits::RULES) {
            Ok(node) => node.to_value(),
            Err(_) => json!(text),
        };
        set.insert(name.to_owned(), value);
    }
    if !anchors.is_empty() {
        set.insert("anchors".to_owned(), json!(anchors));
    }
    document["options"] = Value::Object(set);
    Ok(Some(document))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_json_or_else_text() {
        let options = ["freshness=session".to_owned(), "session_seconds=900".to_owned(), "debug=true".to_owned()];
        let document = with_options(None, &options, &["lab".to_owned()]).unwrap().unwrap();
        let wanted = json!({"freshness": "session", "session_seconds": 900, "debug": true, "anchors": ["lab"]});
        assert_eq!(document, json!({"rules": {}, "options": wanted}));
        assert!(with_options(None, &["freshness".to_owned()], &[]).is_err());
        assert_eq!(with_options(None, &[], &[]).unwrap(), None);
    }
}
