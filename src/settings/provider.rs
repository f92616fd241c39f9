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
    /// Who may change attestation policies: `aad`, `isolated` or `shared`.
    #[serde(default = "trust_model")]
    pub trust_model: String,
    /// Certificates that may sign the policies of an isolated provider from the beginning, PEM or DER.
    #[serde(default)]
    pub policy_signers: Vec<PathBuf>,
    /// What the TCB baseline `azuredefault` means: `10` to `15`; empty: nothing beyond a platform that is not revoked.
    #[serde(default)]
    pub default_baseline: String,
    /// Whose endorsements of utility VMs count, as `did:x509` each; absent: Microsoft's.
    #[serde(default)]
    pub uvm_issuers: Option<Vec<String>>,
    /// The least security version number of an endorsed utility VM.
    #[serde(default)]
    pub uvm_minimum_svn: u64,
    /// Days that a deleted key can be recovered, 7 to 90; absent: `store.retention_days`.
    #[serde(default)]
    pub recovery_days: Option<u32>,
    /// Nothing is purged before its days are over, and this is never taken back; absent: `store.purge_protection`.
    #[serde(default)]
    pub purge_protection: Option<bool>,
    /// The vault that it is at the Key Vault door.
    #[serde(default)]
    pub key_vault: KeyVaultSettings,
}

/// A vault, as Key Vault's clients see it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeyVaultSettings {
    /// Where clients are sent for a token: an https URL; empty: the vault itself.
    pub authorization: String,
    /// For what they ask a token: an https URL; empty: the domain above the host that was dialled.
    pub resource: String,
    /// Who may ask for a release, beside the evidence: `known` or `any`.
    pub release_bearer: String,
    /// Whether `RSA1_5` is served.
    pub rsa1_5: bool,
}

impl Default for KeyVaultSettings {
    fn default() -> Self {
        Self {
            authorization: String::new(),
            resource: String::new(),
            release_bearer: "known".to_owned(),
            rsa1_5: false,
        }
    }
}

impl KeyVaultSettings {
    /// Clients split the header at commas and at the first `=`.
    fn check(&self, id: &str) -> Result<(), SettingsError> {
        for (name, url) in [("authorization", &self.authorization), ("resource", &self.resource)] {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/".contains(&b);
            if !(url.is_empty() || url.starts_with("https://") && url.bytes().all(plain)) {
                return Err(SettingsError::new(
                    format!("`key_vault.{name}` of provider `{id}` is `{url}`"),
                    "an https URL without query, such as `https://login.example/tenant`",
                ));
            }
        }
        if !matches!(self.release_bearer.as_str(), "known" | "any") {
            return Err(SettingsError::new(
                format!("`key_vault.release_bearer` of provider `{id}` is `{}`", self.release_bearer),
                "set it to `known` or `any`",
            ));
        }
        Ok(())
    }
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
fn trust_model() -> String {
    "aad".to_owned()
}

/// `[signing]`: how keys of the attestation door come and go.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigningSettings {
    /// Days after which a signing key gets a successor, 1 to 3650.
    pub rotation_days: u32,
    /// Seconds that a key stands in the key set before it signs, 60 to 604800.
    pub publish_seconds: u32,
}

impl SigningSettings {
    /// Checks the section.
    ///
    /// # Errors
    /// A number out of range.
    pub fn check(&self) -> Result<(), SettingsError> {
        let published = i64::from(self.publish_seconds);
        if !(1..=3_650).contains(&self.rotation_days) || !(60..=604_800).contains(&published) {
            return Err(SettingsError::new(
                "`signing` has a number out of range",
                "rotation_days is 1 to 3650, publish_seconds 60 to 604800",
            ));
        }
        if published >= i64::from(self.rotation_days) * 86_400 {
            return Err(SettingsError::new(
                "`signing.publish_seconds` is longer than a key lives",
                "publish a key for less than `signing.rotation_days`",
            ));
        }
        Ok(())
    }
}

/// One anchor of the operator's.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustAnchorSettings {
    /// The name that claims and the option `anchors` use.
    pub name: String,
    /// Kind of evidence.
    pub kind: String,
    /// `attestation`, or of kind `tpm` `endorsement`.
    pub purpose: String,
    /// PEM or DER; of kind `tpm` a public key too, which is pinned.
    pub file: PathBuf,
    /// Whether the attestation door makes tokens of evidence under it, as of the vendors'.
    #[serde(default)]
    pub azure_tokens: bool,
}

/// Where paths of the doors begin: no prefix may stand in their way.
const DOORS: [&str; 16] = [
    "/v1",
    "/admin",
    "/attest",
    "/policies",
    "/certificates",
    "/certs",
    "/tcbbaselines",
    "/servicehealth",
    "/keys",
    "/deletedkeys",
    "/rng",
    "/metrics",
    "/docs",
    "/healthz",
    "/readyz",
    "/openapi",
];

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
        if DOORS.contains(&provider.prefix.as_str()) {
            return Err(SettingsError::new(
                format!("the prefix `{}` of provider `{}` is a path of a door", provider.prefix, provider.id),
                "take another word: requests to the door of the provider without a prefix would go to this one",
            ));
        }
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
        // The certificate of a token key is named by the issuer, and a common name ends at 64 characters (RFC 5280 appendix A.1).
        if provider.issuer().len() > 64 {
            return Err(SettingsError::new(
                format!("the issuer of provider `{}` is longer than 64 characters", provider.id),
                "set a shorter `issuer`",
            ));
        }
        provider.key_vault.check(&provider.id)?;
        let isolated = provider.trust_model == "isolated";
        if !matches!(provider.trust_model.as_str(), "aad" | "isolated" | "shared") {
            return Err(SettingsError::new(
                format!("provider `{}` has the trust model `{}`", provider.id, provider.trust_model),
                "set `trust_model` to `aad`, `isolated` or `shared`",
            ));
        }
        if isolated == provider.policy_signers.is_empty() {
            return Err(SettingsError::new(
                format!("provider `{}` and its `policy_signers` do not fit", provider.id),
                "an isolated provider names at least one policy signer, any other provider none",
            ));
        }
        if !matches!(provider.default_baseline.as_str(), "" | "10" | "11" | "12" | "13" | "14" | "15") {
            return Err(SettingsError::new(
                format!("provider `{}` has the baseline `{}`", provider.id, provider.default_baseline),
                "set `default_baseline` to one of `10` to `15`, or leave it empty",
            ));
        }
        if provider.recovery_days.is_some_and(|days| !(7..=90).contains(&days)) {
            return Err(SettingsError::new(
                format!("provider `{}` keeps deleted keys for a time out of range", provider.id),
                "recovery_days is 7 to 90",
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
        let enrols = anchor.kind == "tpm" && anchor.purpose == "endorsement";
        if anchor.purpose != "attestation" && !enrols {
            return Err(SettingsError::new(
                format!("trust anchor `{}` has the purpose `{}`", anchor.name, anchor.purpose),
                "the purpose is `attestation`, or of kind tpm `endorsement`: roots of endorsement keys, for enrolment",
            ));
        }
    }
    Ok(())
}
