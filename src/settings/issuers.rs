//! `[[issuers]]`: verifiers of others, whose tokens count as evidence.
//!
//! `native-api.md` section 6; threat model P17: an issuer is exact.

use std::collections::HashSet;
use std::path::PathBuf;

use serde::Deserialize;

use super::identity::{is_host, is_name, is_provider};
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
    let (mut names, mut places) = (HashSet::new(), HashSet::new());
    for entry in issuers {
        entry.check(providers)?;
        if !names.insert(entry.name.as_str()) {
            return Err(entry.wrong("the name stands twice", "give each its own name"));
        }
        if !places.insert((entry.issuer.as_str(), entry.provider.as_str())) {
            return Err(entry.wrong("the issuer stands twice for one provider", "write one entry for it"));
        }
    }
    Ok(())
}
