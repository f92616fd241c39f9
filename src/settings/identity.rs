//! `[[oidc]]` and `[[client_certificates]]`: callers who are known from elsewhere.
//!
//! Threat model P17 (an issuer is exact) and P49.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use serde::Deserialize;

use super::{ProviderSettings, ServerSettings, SettingsError};

/// Longest life of a bearer token that can be allowed, in seconds.
const LONGEST_AGE: u32 = 604_800;

/// One issuer of bearer tokens, and which roles its claims stand for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcSettings {
    /// Stands in callers' names: `oidc:<name>:<subject>`.
    pub name: String,
    /// `iss`, byte for byte.
    pub issuer: String,
    /// Accepted values of `aud`.
    #[serde(default = "audience")]
    pub audience: Vec<String>,
    /// The provider it is for; empty: all.
    #[serde(default)]
    pub provider: String,
    /// Where a token says what its bearer may do.
    #[serde(default)]
    pub role_claim: ClaimPath,
    /// Value of that claim -> our roles.
    pub roles: BTreeMap<String, Vec<String>>,
    /// The claim that names the bearer.
    #[serde(default = "subject_claim")]
    pub subject_claim: String,
    /// A file with the issuer's keys; empty: discovery.
    #[serde(default)]
    pub jwks: PathBuf,
    /// Hosts beside the issuer's own that its keys may be on.
    #[serde(default)]
    pub jwks_hosts: Vec<String>,
    /// The only CAs of the issuer's TLS, PEM; empty: the system's.
    #[serde(default)]
    pub ca: PathBuf,
    /// Oldest token that is accepted.
    #[serde(default = "max_age_seconds")]
    pub max_age_seconds: u32,
    /// Hosts that may have a private or loopback address.
    #[serde(default)]
    pub allow_private_addresses: Vec<String>,
    /// Where it stands in the file.
    #[serde(skip)]
    pub line: usize,
}

/// The way to a claim: `realm_access.roles`, or a list where a name has a dot itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum ClaimPath {
    /// Names with dots between.
    Dotted(String),
    /// Names.
    Listed(Vec<String>),
}

impl Default for ClaimPath {
    fn default() -> Self {
        Self::Dotted("roles".to_owned())
    }
}

impl ClaimPath {
    /// The names, from the outermost.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Dotted(text) => text.split('.').map(str::to_owned).collect(),
            Self::Listed(names) => names.clone(),
        }
    }
}

/// One client that a certificate names, and its roles.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificateSettings {
    /// The caller is `cert:<name>`.
    pub name: String,
    /// The provider it is for; empty: all.
    #[serde(default)]
    pub provider: String,
    /// CA that its certificate is under, PEM; empty: `server.client_ca`.
    #[serde(default)]
    pub ca: PathBuf,
    /// Revocation lists of that CA, PEM; empty: none are looked at.
    #[serde(default)]
    pub crl: PathBuf,
    /// `CN=…`, `DNS=…` or `URI=…`.
    pub subject: String,
    /// Our roles.
    pub roles: Vec<String>,
    /// Where it stands in the file.
    #[serde(skip)]
    pub line: usize,
}

fn audience() -> Vec<String> {
    vec!["https://attest.azure.net".to_owned()]
}
fn subject_claim() -> String {
    "sub".to_owned()
}
const fn max_age_seconds() -> u32 {
    86_400
}

impl OidcSettings {
    /// A fault of this entry, with its place.
    pub fn wrong(&self, what: impl std::fmt::Display, help: impl Into<String>) -> SettingsError {
        SettingsError::new(format!("line {}: `oidc` entry `{}`: {what}", self.line, self.name), help)
    }

    fn check(&self, providers: &[ProviderSettings]) -> Result<(), SettingsError> {
        is_name(&self.name).map_err(|help| self.wrong("the name does not fit", help))?;
        if !is_issuer(&self.issuer) {
            return Err(self.wrong(
                format!("issuer `{}`", self.issuer),
                "write the https URL exactly as the issuer's tokens have it in `iss`",
            ));
        }
        let alone = providers.is_empty() && self.issuer == "https://localhost";
        if alone || providers.iter().any(|provider| provider.issuer() == self.issuer) {
            return Err(self.wrong(
                format!("issuer `{}` is a provider of this service", self.issuer),
                "what this service issues is evidence, and nobody's credential",
            ));
        }
        if self.audience.is_empty() || self.audience.iter().any(String::is_empty) {
            return Err(self.wrong("no audience", "name whom the tokens are for, such as `https://attest.azure.net`"));
        }
        is_provider(&self.provider, providers).map_err(|what| self.wrong(what, "name the `id` of a provider"))?;
        let names = self.role_claim.names();
        if names.is_empty() || names.iter().any(String::is_empty) || self.subject_claim.is_empty() {
            return Err(self.wrong("a claim has no name", "write `roles`, `realm_access.roles`, or a list of names"));
        }
        if self.roles.is_empty() || self.roles.values().any(Vec::is_empty) {
            return Err(self.wrong(
                "no role for a value of the claim",
                "write `roles = { \"Attestation Reader\" = [\"attestation-reader\"] }`",
            ));
        }
        if !(60..=LONGEST_AGE).contains(&self.max_age_seconds) {
            return Err(self.wrong(
                format!("`max_age_seconds` is {}", self.max_age_seconds),
                format!("set it between 60 and {LONGEST_AGE}"),
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

impl ClientCertificateSettings {
    /// A fault of this entry, with its place.
    pub fn wrong(&self, what: impl std::fmt::Display, help: impl Into<String>) -> SettingsError {
        SettingsError::new(format!("line {}: `client_certificates` entry `{}`: {what}", self.line, self.name), help)
    }

    fn check(&self, server: &ServerSettings, providers: &[ProviderSettings]) -> Result<(), SettingsError> {
        is_name(&self.name).map_err(|help| self.wrong("the name does not fit", help))?;
        is_provider(&self.provider, providers).map_err(|what| self.wrong(what, "name the `id` of a provider"))?;
        if self.ca.as_os_str().is_empty() && server.client_ca.as_os_str().is_empty() {
            return Err(self.wrong("no CA", "name a PEM file in `ca`, or set `server.client_ca`"));
        }
        let sound = ["CN=", "DNS=", "URI="]
            .iter()
            .any(|kind| self.subject.strip_prefix(kind).is_some_and(|name| !name.is_empty() && !name.contains('*')));
        if !sound {
            return Err(self.wrong(
                format!("subject `{}`", self.subject),
                "write `CN=`, `DNS=` or `URI=` and the name exactly as the certificate has it",
            ));
        }
        if self.roles.is_empty() {
            return Err(self.wrong("no roles", "write `roles = [\"key-user\"]`"));
        }
        Ok(())
    }
}

pub(super) fn check(
    oidc: &[OidcSettings],
    certificates: &[ClientCertificateSettings],
    server: &ServerSettings,
    providers: &[ProviderSettings],
) -> Result<(), SettingsError> {
    let mut names = HashSet::new();
    for (index, entry) in oidc.iter().enumerate() {
        entry.check(providers)?;
        if !names.insert(entry.name.as_str()) {
            return Err(entry.wrong("the name stands twice", "give each its own name"));
        }
        let before = oidc.iter().take(index);
        let same = |other: &&OidcSettings| other.issuer == entry.issuer && overlap(&other.provider, &entry.provider);
        if let Some(other) = before.into_iter().find(same) {
            return Err(entry.wrong(
                format!("`{}` is the same issuer for the same provider", other.name),
                "write one entry with all its roles",
            ));
        }
    }
    let mut names = HashSet::new();
    for (index, entry) in certificates.iter().enumerate() {
        entry.check(server, providers)?;
        if !names.insert(entry.name.as_str()) {
            return Err(entry.wrong("the name stands twice", "give each its own name"));
        }
        let before = certificates.iter().take(index);
        let same = |other: &&ClientCertificateSettings| {
            other.subject == entry.subject && other.ca == entry.ca && overlap(&other.provider, &entry.provider)
        };
        if let Some(other) = before.into_iter().find(same) {
            return Err(entry.wrong(
                format!("`{}` is the same client for the same provider", other.name),
                "write one entry with all its roles",
            ));
        }
    }
    Ok(())
}

pub(super) fn overlap(one: &str, other: &str) -> bool {
    one.is_empty() || other.is_empty() || one == other
}

/// The form of credentials' names, so that nothing in a caller's name needs an escape.
pub(super) fn is_name(name: &str) -> Result<(), &'static str> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let fits = (1..=64).contains(&name.len())
        && name.bytes().next().is_some_and(plain)
        && name.bytes().all(|b| plain(b) || matches!(b, b'.' | b'_' | b'-'));
    if fits { Ok(()) } else { Err("a name is 1 to 64 of a-z 0-9 . _ - and begins with a letter or digit") }
}

pub(super) fn is_provider(id: &str, providers: &[ProviderSettings]) -> Result<(), String> {
    let known = id.is_empty()
        || providers.iter().any(|provider| provider.id == id)
        || (providers.is_empty() && id == "default");
    if known { Ok(()) } else { Err(format!("there is no provider `{id}`")) }
}

/// An https URL in its one form: what a parser makes of it is what stands there.
fn is_issuer(text: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(text) else { return false };
    let canonical = url.as_str() == text || url.as_str().strip_suffix('/') == Some(text);
    canonical
        && url.scheme() == "https"
        && url.host_str().is_some()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
}

pub(super) fn is_host(host: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.' | b':' | b'[' | b']');
    !host.is_empty() && host.len() <= 260 && host.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::{Settings, SettingsError};

    const ENTRA: &str = r#"
[[oidc]]
name = "entra"
issuer = "https://sts.windows.net/11111111-2222-3333-4444-555555555555/"
roles = { "Attestation Contributor" = ["attestation-contributor", "attestation-reader"], "Attestation Reader" = ["attestation-reader"] }
"#;
    const MACHINE: &str = r#"
[[client_certificates]]
name = "ci"
ca = "ci-ca.pem"
subject = "URI=spiffe://example/ci"
roles = ["key-user"]
"#;

    fn read(text: &str) -> Result<Settings, SettingsError> {
        Settings::from_text(text, "keygate.toml", PathBuf::from("/etc/keygate"), &[])
    }

    #[test]
    fn entra_works_as_it_is() {
        let settings = read(ENTRA).unwrap();
        let entra = &settings.oidc[0];
        assert_eq!(entra.audience, ["https://attest.azure.net"]);
        assert_eq!(entra.role_claim.names(), ["roles"]);
        assert_eq!(entra.roles["Attestation Contributor"], ["attestation-contributor", "attestation-reader"]);
        assert_eq!((entra.subject_claim.as_str(), entra.max_age_seconds, entra.line), ("sub", 86_400, 2));
        let v2 =
            ENTRA.replace("sts.windows.net/11111111-2222-3333-4444-555555555555/", "login.microsoftonline.com/t/v2.0");
        assert!(read(&v2).is_ok());
        assert!(read(MACHINE).is_ok());
    }

    #[test]
    fn a_claim_is_named_by_dots_or_by_a_list() {
        let dotted = read(&format!("{ENTRA}role_claim = \"realm_access.roles\"\n")).unwrap();
        assert_eq!(dotted.oidc[0].role_claim.names(), ["realm_access", "roles"]);
        let listed = read(&format!("{ENTRA}role_claim = [\"https://a.example/roles\"]\n")).unwrap();
        assert_eq!(listed.oidc[0].role_claim.names(), ["https://a.example/roles"]);
    }

    /// What is wrong is told with its line, and what to do.
    fn refused(text: &str, what: &str) {
        let error = read(text).map(drop).unwrap_err();
        let told = error.to_string();
        assert!(told.contains("keygate.toml, line ") && told.contains(what), "{told}");
        assert!(!error.help().is_empty());
    }

    #[test]
    fn jwt_29_an_issuer_has_one_form() {
        let with =
            |issuer: &str| ENTRA.replace("https://sts.windows.net/11111111-2222-3333-4444-555555555555/", issuer);
        for odd in [
            "http://idp.example",
            "https://IDP.example",
            "https://idp.example:443",
            "https://user@idp.example",
            "https://idp.example/?a",
            "https://idp.example/#a",
            "https://idp.example/a/../b",
            "https://\u{438}dp.example",
            "idp.example",
            "",
        ] {
            refused(&with(odd), "issuer");
        }
        for sound in ["https://idp.example", "https://idp.example/", "https://idp.example:8443/realms/a"] {
            assert!(read(&with(sound)).is_ok(), "{sound}");
        }
    }

    #[test]
    fn jwt_43_a_provider_of_ours_is_no_issuer_of_credentials() {
        let own = "[[providers]]\nid = \"default\"\nhosts = [\"kms.example\"]\n";
        let entry =
            ENTRA.replace("https://sts.windows.net/11111111-2222-3333-4444-555555555555/", "https://kms.example");
        refused(&format!("{own}{entry}"), "is a provider of this service");
        assert!(read(&format!("{own}{ENTRA}")).is_ok());
    }

    #[test]
    fn cfg_01_what_is_wrong_in_an_entry_is_told_with_its_line() {
        refused(&ENTRA.replace("name = \"entra\"", "name = \"Entra ID\""), "name");
        refused(&format!("{ENTRA}audience = []\n"), "audience");
        refused(&format!("{ENTRA}provider = \"nobody\"\n"), "`nobody`");
        refused(&format!("{ENTRA}max_age_seconds = 5\n"), "max_age_seconds");
        refused(&format!("{ENTRA}role_claim = \"a..b\"\n"), "claim");
        refused(&format!("{ENTRA}jwks_hosts = [\"https://keys.example\"]\n"), "host");
        refused(&format!("{ENTRA}{ENTRA}"), "twice");
        refused(&format!("{ENTRA}{}", ENTRA.replace("\"entra\"", "\"again\"")), "same issuer");
        refused(&format!("{ENTRA}roels = {{}}\n"), "`oidc.roels`");
        refused(&MACHINE.replace("ca = \"ci-ca.pem\"\n", ""), "no CA");
        refused(&MACHINE.replace("URI=spiffe://example/ci", "spiffe://example/ci"), "subject");
        refused(&MACHINE.replace("URI=spiffe://example/ci", "DNS=*.example"), "subject");
        refused(&MACHINE.replace("[\"key-user\"]", "[]"), "roles");
        refused(&format!("{MACHINE}{}", MACHINE.replace("\"ci\"", "\"also\"")), "same client");
    }
}
