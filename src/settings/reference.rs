//! `[[reference_signers]]`: who may sign reference values.
//!
//! `docs/reference-values.md`; threat model A6.

use std::path::PathBuf;

use serde::Deserialize;

use super::identity::{is_name, is_provider};
use super::{ProviderSettings, SettingsError};

/// One signer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceSignerSettings {
    /// Stands in records and messages.
    pub name: String,
    /// Its certificate or public key, PEM.
    pub file: PathBuf,
    /// The provider it counts at; empty: all.
    #[serde(default)]
    pub provider: String,
    /// Patterns of names that it may sign; empty: all.
    #[serde(default)]
    pub names: Vec<String>,
    /// Where it stands in the file.
    #[serde(skip)]
    pub line: usize,
}

impl ReferenceSignerSettings {
    /// A fault of this entry, with its place.
    pub fn wrong(&self, what: impl std::fmt::Display, help: impl Into<String>) -> SettingsError {
        SettingsError::new(format!("line {}: `reference_signers` entry `{}`: {what}", self.line, self.name), help)
    }
}

pub(super) fn check(signers: &[ReferenceSignerSettings], providers: &[ProviderSettings]) -> Result<(), SettingsError> {
    for (number, entry) in signers.iter().enumerate() {
        is_name(&entry.name).map_err(|help| entry.wrong("the name does not fit", help))?;
        is_provider(&entry.provider, providers).map_err(|what| entry.wrong(what, "name the `id` of a provider"))?;
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-' | b'*');
        for pattern in &entry.names {
            if pattern.is_empty() || pattern.len() > 64 || !pattern.bytes().all(plain) {
                let help = "a pattern is 1 to 64 of a-z 0-9 _ - and `*` for any text";
                return Err(entry.wrong(format!("the pattern `{pattern}` of `names`"), help));
            }
        }
        if signers.get(..number).unwrap_or_default().iter().any(|other| other.name == entry.name) {
            return Err(entry.wrong("the name stands twice", "give each its own name"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::Settings;

    const GOOD: &str = "[[reference_signers]]\nname = \"build\"\nfile = \"build.pem\"\nnames = [\"fleet-*\"]\n";

    #[test]
    fn cfg_01_what_is_wrong_in_a_signer_is_told_with_its_line() {
        let read = |text: &str| Settings::from_text(text, "keygate.toml", PathBuf::from("/etc/keygate"), &[]);
        assert_eq!(read(GOOD).unwrap().reference_signers[0].line, 1);
        for (text, word) in [
            (GOOD.replace("build\"", "Build It\""), "name"),
            (format!("{GOOD}provider = \"nobody\"\n"), "`nobody`"),
            (GOOD.replace("fleet-*", "Fleet"), "pattern"),
            (GOOD.replace("fleet-*", ""), "pattern"),
            (format!("{GOOD}{GOOD}"), "twice"),
            (format!("{GOOD}files = []\n"), "`reference_signers.files`"),
            (GOOD.replace("file = \"build.pem\"\n", ""), "file"),
        ] {
            let why = read(&text).unwrap_err().to_string();
            assert!(why.contains(word), "{text}: {why}");
        }
    }
}
