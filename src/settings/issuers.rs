//! `[[issuers]]`: verifiers of others, whose tokens count as evidence.
//!
//! `native-api.md` section 6; threat model P17: an issuer is exact.

use std::path::PathBuf;

use serde::Deserialize;

use super::identity::{is_host, is_name, is_provider, overlap};
use super::{ProviderSettings, SettingsError};

/// Profiles that are known, as they are written.
const PROFILES: [&str; 6] = ["maa", "google-confidential-space", "intel-trust-authority", "ear", "nvidia-nras", "oidc"];
/// Longest life of a token that can be allowed, in seconds.
const LONGEST_AGE: u32 = 604_800;

/// One verifier whose tokens count.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifierSettings {
    /// Stands in records and messages.
    pub name: String,
    /// `iss`, byte for byte; for tokens without one the name that stands in its place.
    pub issuer: String,
    /// The family of its tokens.
    pub profile: String,
    /// The provider it counts at; empty: all.
    #[serde(default)]
    pub provider: String,
    /// Accepted values of `aud`, where the family has one; empty: the provider's own issuer.
    #[serde(default)]
    pub audience: Vec<String>,
    /// A file with its keys; empty: fetched.
    #[serde(default)]
    pub jwks: PathBuf,
    /// Where its keys are; empty: discovery at the issuer, where that is an https address.
    #[serde(default)]
    pub jwks_url: String,
    /// Hosts beside the issuer's own that discovery may name for the keys.
    #[serde(default)]
    pub jwks_hosts: Vec<String>,
    /// Roots of certificates in its tokens, PEM, where the family has such; empty: none count.
    #[serde(default)]
    pub roots: PathBuf,
    /// The only CAs of its TLS, PEM; empty: the system's.
    #[serde(default)]
    pub ca: PathBuf,
    /// Oldest token that is accepted; 0: what the family says.
    #[serde(default)]
    pub max_age_seconds: u32,
    /// Whether it is a Keygate: its tokens say under `keygate` what it concluded, and that is read.
    #[serde(default)]
    pub keygate: bool,
    /// Hosts that may have a private or loopback address.
    #[serde(default)]
    pub allow_private_addresses: Vec<String>,
    /// Where it stands in the file.
    #[serde(skip)]
    pub line: usize,
}

impl VerifierSettings {
    /// A fault of this entry, with its place.
    pub fn wrong(&self, what: impl std::fmt::Display, help: impl Into<String>) -> SettingsError {
        SettingsError::new(format!("line {}: `issuers` entry `{}`: {what}", self.line, self.name), help)
    }

    /// Whether its keys come from the network.
    pub fn is_fetched(&self) -> bool {
        let place = if self.jwks_url.is_empty() { &self.issuer } else { &self.jwks_url };
        self.jwks.as_os_str().is_empty() && place.starts_with("https://")
    }

    fn check(&self, providers: &[ProviderSettings]) -> Result<(), SettingsError> {
        is_name(&self.name).map_err(|help| self.wrong("the name does not fit", help))?;
        if !PROFILES.contains(&self.profile.as_str()) {
            return Err(self.wrong(format!("profile `{}`", self.profile), format!("one of {}", PROFILES.join(", "))));
        }
        let printable = self.issuer.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
        if self.issuer.is_empty() || self.issuer.len() > 512 || !printable {
            return Err(self.wrong("the issuer is empty or odd", "write it exactly as its tokens have it in `iss`"));
        }
        if self.keygate && self.profile != "maa" {
            return Err(
                self.wrong("`keygate` stands beside another profile", "tokens of a Keygate are of profile `maa`")
            );
        }
        let alone = providers.is_empty() && self.issuer == "https://localhost";
        if (alone || providers.iter().any(|provider| provider.issuer() == self.issuer)) && !self.keygate {
            return Err(self.wrong(
                format!("issuer `{}` is a provider of this service", self.issuer),
                "tokens of its attestation door count at the provider itself; for others write `profile = \"maa\"` and \
                 `keygate = true`",
            ));
        }
        is_provider(&self.provider, providers).map_err(|what| self.wrong(what, "name the `id` of a provider"))?;
        let has_file = !self.jwks.as_os_str().is_empty();
        if !self.jwks_url.is_empty() && !self.jwks_url.starts_with("https://") {
            return Err(self.wrong("`jwks_url` is no https address", "keys come over https only"));
        }
        if !has_file && !self.is_fetched() && self.roots.as_os_str().is_empty() {
            return Err(self.wrong(
                "there is no place to have its keys from",
                "name a file in `jwks`, an https address in `jwks_url`, or its root certificates in `roots`",
            ));
        }
        if has_file && !self.jwks_url.is_empty() {
            return Err(self.wrong("`jwks` and `jwks_url` are both there", "keep one of them"));
        }
        if self.max_age_seconds != 0 && !(60..=LONGEST_AGE).contains(&self.max_age_seconds) {
            return Err(self.wrong(
                format!("`max_age_seconds` is {}", self.max_age_seconds),
                format!("set it between 60 and {LONGEST_AGE}, or leave it out"),
            ));
        }
        for host in self.jwks_hosts.iter().chain(&self.allow_private_addresses) {
            if !is_host(host) {
                return Err(self.wrong(format!("host `{host}`"), "a host is lower case, without scheme or path"));
            }
        }
        Ok(())
    }
}

pub(super) fn check(issuers: &[VerifierSettings], providers: &[ProviderSettings]) -> Result<(), SettingsError> {
    for (number, entry) in issuers.iter().enumerate() {
        entry.check(providers)?;
        let before = issuers.get(..number).unwrap_or_default();
        if before.iter().any(|other| other.name == entry.name) {
            return Err(entry.wrong("the name stands twice", "give each its own name"));
        }
        let same =
            |other: &&VerifierSettings| other.issuer == entry.issuer && overlap(&other.provider, &entry.provider);
        if let Some(other) = before.iter().find(same) {
            return Err(entry.wrong(
                format!("`{}` is the same issuer for the same provider", other.name),
                "write one entry for both",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::Settings;
    use super::*;

    const GOOGLE: &str = r#"
[[issuers]]
name = "gcs"
issuer = "https://confidentialcomputing.googleapis.com"
profile = "google-confidential-space"
"#;
    const TRUSTEE: &str = r#"
[[issuers]]
name = "trustee"
issuer = "trustee"
profile = "ear"
"#;

    fn read(text: &str) -> Result<Settings, SettingsError> {
        Settings::from_text(text, "keygate.toml", PathBuf::from("/etc/keygate"), &[])
    }

    #[track_caller]
    fn refused(text: &str, word: &str) {
        let why = read(text).unwrap_err().to_string();
        assert!(why.contains(word), "{why}");
    }

    #[test]
    fn every_profile_of_the_library_can_be_written() {
        for profile in keygate_verifier::tokens::Profile::ALL {
            assert!(read(&GOOGLE.replace("google-confidential-space", profile.as_str())).is_ok(), "{profile:?}");
        }
        assert_eq!(PROFILES, keygate_verifier::tokens::Profile::ALL.map(keygate_verifier::tokens::Profile::as_str));
    }

    #[test]
    fn keys_come_from_somewhere() {
        assert!(read(GOOGLE).unwrap().issuers[0].is_fetched());
        refused(TRUSTEE, "no place");
        for (line, fetched) in
            [("jwks = \"t.json\"", false), ("roots = \"t.pem\"", false), ("jwks_url = \"https://t.example/k\"", true)]
        {
            let settings = read(&format!("{TRUSTEE}{line}\n")).unwrap();
            assert_eq!(settings.issuers[0].is_fetched(), fetched, "{line}");
        }
        refused(&format!("{TRUSTEE}jwks_url = \"http://t.example/k\"\n"), "jwks_url");
        refused(&format!("{GOOGLE}jwks = \"k.json\"\njwks_url = \"https://k.example/\"\n"), "both");
    }

    #[test]
    fn cfg_01_what_is_wrong_in_an_entry_is_told_with_its_line() {
        refused(&GOOGLE.replace("google-confidential-space", "google"), "google");
        refused(&GOOGLE.replace("\"gcs\"", "\"Google CS\""), "name");
        refused(&format!("{GOOGLE}provider = \"nobody\"\n"), "`nobody`");
        refused(&format!("{GOOGLE}max_age_seconds = 5\n"), "max_age_seconds");
        refused(&format!("{GOOGLE}jwks_hosts = [\"https://keys.example\"]\n"), "host");
        refused(&format!("{GOOGLE}{GOOGLE}"), "twice");
        refused(&format!("{GOOGLE}{}", GOOGLE.replace("\"gcs\"", "\"again\"")), "same issuer");
        refused(&format!("{GOOGLE}audiences = []\n"), "`issuers.audiences`");
        refused(&GOOGLE.replace("https://confidentialcomputing.googleapis.com", ""), "issuer");
    }

    #[test]
    fn a_provider_of_ours_is_no_verifier_of_others() {
        let own = "[[providers]]\nid = \"default\"\nhosts = [\"kms.example\"]\n";
        let entry = GOOGLE.replace("https://confidentialcomputing.googleapis.com", "https://kms.example");
        refused(&format!("{own}{entry}"), "is a provider of this service");
        let maa = entry.replace("google-confidential-space", "maa");
        refused(&format!("{own}{maa}"), "is a provider of this service");
        assert!(read(&format!("{own}{maa}keygate = true\n")).unwrap().issuers[0].keygate);
        refused(&format!("{own}{entry}keygate = true\n"), "another profile");
        assert!(read(&format!("{own}{GOOGLE}")).is_ok());
    }
}
