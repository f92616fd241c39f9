//! `[[providers]]` and `[[trust_anchors]]`.

use std::collections::HashSet;
use std::path::PathBuf;

use serde::Deserialize;

use super::SettingsError;

/// One tenant: its hosts, issuer and lifetimes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderSettings {
    /// `[a-z0-9-]`, 1 to 63.
    pub id: String,
    /// Host names, lower case, no port.
    pub hosts: Vec<String>,
    /// Path prefix such as `/tenant-a`, or empty.
    #[serde(default)]
    pub prefix: String,
    /// `iss`; empty: https, first host, prefix.
    #[serde(default)]
    pub issuer: String,
    /// Life of a challenge.
    #[serde(default = "challenge_seconds")]
    pub challenge_seconds: u32,
    /// Life of a token.
    #[serde(default = "token_seconds")]
    pub token_seconds: u32,
}

impl ProviderSettings {
    /// `iss` of tokens and receipts.
    pub fn issuer(&self) -> String {
        if self.issuer.is_empty() {
            return format!("https://{}{}", self.hosts.first().map_or("localhost", String::as_str), self.prefix);
        }
        self.issuer.clone()
    }
}

const fn challenge_seconds() -> u32 {
    300
}
const fn token_seconds() -> u32 {
    600
}

/// One anchor of the operator's.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustAnchorSettings {
    /// The name that claims and the option `anchors` use.
    pub name: String,
    /// Kind of evidence.
    pub kind: String,
    /// `attestation`.
    pub purpose: String,
    /// PEM or DER.
    pub file: PathBuf,
}

pub(super) fn check(providers: &[ProviderSettings], anchors: &[TrustAnchorSettings]) -> Result<(), SettingsError> {
    let mut ids = HashSet::new();
    let mut places = HashSet::new();
    for provider in providers {
        let id_is_sound = (1..=63).contains(&provider.id.len())
            && provider.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !id_is_sound {
            return Err(SettingsError::new(
                format!("provider `{}`", provider.id),
                "an id is 1 to 63 of a-z, 0-9 and `-`",
            ));
        }
        if !ids.insert(provider.id.as_str()) {
            return Err(SettingsError::new(format!("provider `{}` stands twice", provider.id), "give each its own id"));
        }
        if provider.hosts.is_empty() {
            return Err(SettingsError::new(
                format!("provider `{}` has no hosts", provider.id),
                "list at least one host name",
            ));
        }
        for host in &provider.hosts {
            let sound = !host.is_empty()
                && host.len() <= 253
                && host
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.' | b':'));
            if !sound {
                return Err(SettingsError::new(
                    format!("host `{host}`"),
                    "a host is lower case, without port or scheme",
                ));
            }
            if !places.insert((host.as_str(), provider.prefix.as_str())) {
                return Err(SettingsError::new(
                    format!("two providers share `{host}{}`", provider.prefix),
                    "give each its own host or prefix",
                ));
            }
        }
        let prefix_is_sound = provider.prefix.is_empty()
            || (provider.prefix.starts_with('/')
                && provider.prefix.len() > 1
                && provider.prefix[1..].bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
        if !prefix_is_sound {
            return Err(SettingsError::new(
                format!("prefix `{}`", provider.prefix),
                "a prefix is one segment such as `/tenant-a`",
            ));
        }
        if !provider.issuer.is_empty() && (!provider.issuer.starts_with("https://") || provider.issuer.ends_with('/')) {
            return Err(SettingsError::new(
                format!("issuer `{}`", provider.issuer),
                "an issuer is an https URL without trailing slash",
            ));
        }
        if !(30..=3600).contains(&provider.challenge_seconds) || !(60..=3600).contains(&provider.token_seconds) {
            return Err(SettingsError::new(
                format!("provider `{}` has a lifetime out of range", provider.id),
                "challenge_seconds is 30 to 3600, token_seconds 60 to 3600",
            ));
        }
    }
    for anchor in anchors {
        if anchor.purpose != "attestation" {
            return Err(SettingsError::new(
                format!("trust anchor `{}` has the purpose `{}`", anchor.name, anchor.purpose),
                "the one purpose is `attestation`",
            ));
        }
    }
    Ok(())
}
