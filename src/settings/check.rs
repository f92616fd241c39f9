//! Names that nobody knows are found before anything is read: with the line, and the nearest name that is known.

use std::fmt;

use toml::de::{DeTable, DeValue};

use super::DEFAULTS;

/// A configuration that cannot be used. Code `config-invalid`, exit code 78.
#[derive(Debug)]
pub struct SettingsError {
    what: String,
    help: String,
}

impl SettingsError {
    /// What is wrong, and what to do about it.
    pub fn new(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { what: what.into(), help: help.into() }
    }
    /// The same with the file that it stands in.
    #[must_use]
    pub fn within(self, file: &str) -> Self {
        Self { what: format!("{file}, {}", self.what), ..self }
    }
    /// What to do about it.
    pub fn help(&self) -> &str {
        &self.help
    }
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        "config-invalid"
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for SettingsError {}

/// Members of the lists of tables, which have no line in the defaults.
const LISTS: &[(&str, &[&str])] = &[
    (
        "providers",
        &[
            "id",
            "hosts",
            "prefix",
            "issuer",
            "challenge_seconds",
            "token_seconds",
            "trust_model",
            "policy_signers",
            "default_baseline",
            "uvm_issuers",
            "uvm_minimum_svn",
            "recovery_days",
            "purge_protection",
            "key_vault",
        ],
    ),
    ("trust_anchors", &["name", "kind", "purpose", "file", "azure_tokens"]),
    (
        "oidc",
        &[
            "name",
            "issuer",
            "audience",
            "provider",
            "role_claim",
            "roles",
            "subject_claim",
            "jwks",
            "jwks_hosts",
            "ca",
            "max_age_seconds",
            "allow_private_addresses",
        ],
    ),
    (
        "issuers",
        &[
            "name",
            "issuer",
            "profile",
            "provider",
            "audience",
            "jwks",
            "jwks_url",
            "jwks_hosts",
            "roots",
            "ca",
            "max_age_seconds",
            "keygate",
            "allow_private_addresses",
        ],
    ),
    ("reference_signers", &["name", "file", "provider", "names"]),
    ("client_certificates", &["name", "provider", "ca", "crl", "subject", "roles"]),
];

/// Every section and name of `text` must be known.
pub(super) fn names(text: &str, file: &str) -> Result<(), SettingsError> {
    let parsed = DeTable::parse(text).map_err(|e| {
        let line = e.span().map_or(0, |s| line_of(text, s.start));
        SettingsError::new(format!("{file}, line {line}: {}", e.message()), "mend the file")
    })?;
    let known = known();
    for (section, value) in parsed.get_ref() {
        let at = line_of(text, section.span().start);
        let section = section.get_ref().as_ref();
        let sections = || known.iter().map(|(s, _)| s.as_str());
        let Some((_, members)) = known.iter().find(|(s, _)| s == section) else {
            return Err(unknown(file, at, section, section, sections()));
        };
        let tables: Vec<&DeTable<'_>> = match value.get_ref() {
            DeValue::Table(table) => vec![table],
            DeValue::Array(list) => list.iter().filter_map(|v| v.get_ref().as_table()).collect(),
            _ => {
                return Err(SettingsError::new(
                    format!("{file}, line {at}: `{section}` is a section"),
                    "write it as a table",
                ));
            }
        };
        for (name, _) in tables.into_iter().flat_map(|t| t.iter()) {
            let at = line_of(text, name.span().start);
            let name = name.get_ref().as_ref();
            if !members.iter().any(|m| m == name) {
                return Err(unknown(file, at, &format!("{section}.{name}"), name, members.iter().map(String::as_str)));
            }
        }
    }
    Ok(())
}

/// The line of each table of a list.
pub(super) fn lines(text: &str, list: &str) -> Vec<usize> {
    let Ok(parsed) = DeTable::parse(text) else { return Vec::new() };
    let Some(DeValue::Array(tables)) = parsed.get_ref().get(list).map(|value| value.get_ref()) else {
        return Vec::new();
    };
    tables.iter().map(|table| line_of(text, table.span().start)).collect()
}

/// Which of the variables are settings. A variable with our prefix and a separator that is none of ours is refused.
pub(super) fn environment(variables: &[(String, String)]) -> Result<Vec<String>, SettingsError> {
    let names: Vec<String> = known()
        .iter()
        .filter(|(section, _)| !LISTS.iter().any(|(list, _)| list == section))
        .flat_map(|(section, members)| members.iter().map(move |m| format!("KEYGATE_{section}__{m}").to_uppercase()))
        .collect();
    let mut found = Vec::new();
    for (name, _) in variables.iter().filter(|(n, _)| n.starts_with("KEYGATE_") && n.contains("__")) {
        if !names.contains(name) {
            return Err(unknown("environment", 0, name, name, names.iter().map(String::as_str)));
        }
        found.push(name.clone());
    }
    Ok(found)
}

fn known() -> Vec<(String, Vec<String>)> {
    let defaults: toml::Table = DEFAULTS.parse().unwrap_or_default();
    let mut known: Vec<(String, Vec<String>)> = defaults
        .iter()
        .filter_map(|(section, value)| Some((section.clone(), value.as_table()?.keys().cloned().collect())))
        .collect();
    known.extend(LISTS.iter().map(|(s, m)| ((*s).to_owned(), m.iter().map(|m| (*m).to_owned()).collect())));
    known
}

fn unknown<'a>(
    file: &str,
    line: usize,
    shown: &str,
    name: &str,
    known: impl Iterator<Item = &'a str>,
) -> SettingsError {
    let nearest = known.min_by_key(|k| distance(name, k)).unwrap_or_default();
    let place = if line == 0 { file.to_owned() } else { format!("{file}, line {line}") };
    SettingsError::new(format!("{place}: there is no setting `{shown}`"), format!("did you mean `{nearest}`?"))
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|b| *b == b'\n').count().saturating_add(1)
}

/// Levenshtein's distance, in two rows.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
        for (j, y) in b.chars().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (above + 1).min(row[j] + 1).min(diagonal + usize::from(x != y));
            diagonal = above;
        }
    }
    row.last().copied().unwrap_or_default()
}
