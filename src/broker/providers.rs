//! Providers: tenants of one node, told apart by host and path prefix.
//!
//! `native-api.md` section 3 *Hosts*. Challenges, tokens, receipts, keys, credentials and records belong to one of them.

use std::sync::Arc;

use keygate_keystore::{KeystoreError, ProviderId, Recovery};

use super::enrol::EnrolmentSetup;
use super::signers::Signers;

/// What an operator says of a provider.
#[derive(Debug, Clone)]
pub struct ProviderSetup {
    /// Its id; the first one is `default`.
    pub id: ProviderId,
    /// `iss` of tokens and receipts: an https URL without trailing slash.
    pub issuer: String,
    /// Host names, lower case, no port.
    pub hosts: Vec<String>,
    /// Empty, or one segment such as `/tenant-a`.
    pub prefix: String,
    /// Life of a challenge, 30 to 3600.
    pub challenge_seconds: u32,
    /// Life of a token, 60 to 3600.
    pub token_seconds: u32,
    /// Refuse SEV-SNP evidence for which no revocation list is held.
    pub require_amd_crl: bool,
    /// Who may change attestation policies.
    pub trust_model: TrustModel,
    /// Certificates, DER, that may sign policies of an isolated provider from the beginning.
    pub policy_signers: Vec<Vec<u8>>,
    /// What the TCB baseline `azuredefault` means here; none: nothing beyond a platform that is not revoked.
    pub default_baseline: Option<String>,
    /// Whose endorsements of utility VMs count, as `did:x509` each.
    pub uvm_issuers: Vec<String>,
    /// The least security version number of an endorsed utility VM.
    pub uvm_minimum_svn: u64,
    /// Anchors beside the vendors' under which the attestation door makes tokens: relying parties of Azure's look at no anchor.
    pub azure_anchors: Vec<String>,
    /// How keys of the attestation door come and go.
    pub schedule: Schedule,
    /// How machines are enrolled.
    pub enrolment: EnrolmentSetup,
    /// The vault that this provider is at the Key Vault door.
    pub vault: VaultSetup,
    /// Days that a deleted key can be recovered, 7 to 90.
    pub recovery_days: u32,
    /// Nothing is purged before its days are over. Once it was so the store holds to it: it cannot be taken back.
    pub purge_protection: bool,
}

impl ProviderSetup {
    /// What becomes of deleted keys.
    ///
    /// # Errors
    /// `config-invalid`: the days are not 7 to 90.
    pub fn recovery(&self) -> Result<Recovery, KeystoreError> {
        Recovery::new(self.recovery_days, self.purge_protection)
    }
}

/// What an operator says of a vault. `keyvault-api.md` section 5.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VaultSetup {
    /// Where clients are sent for a token: an https URL whose first segment they take as a tenant; empty: the vault itself.
    pub authorization: String,
    /// For what they ask a token: an https URL; empty: the domain above the host that was dialled.
    pub resource: String,
    /// Whether a release looks at its bearer at all.
    pub release_bearer: ReleaseBearer,
    /// Whether `RSA1_5` is served.
    pub rsa1_5: bool,
}

/// Who may ask for a release, beside the evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReleaseBearer {
    /// Whoever is known here, or shows a token of a verifier as the bearer.
    #[default]
    Known,
    /// Anybody: the bearer is of an identity provider that this service does not know, and only the evidence counts.
    Any,
}

/// Who may change attestation policies. `maa-tokens-and-claims.md` section 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TrustModel {
    /// Whoever has the role; the policy is unsigned, or signed by any key.
    #[default]
    Aad,
    /// Whoever has the role, with a policy signed by a registered certificate.
    Isolated,
    /// Nobody.
    Shared,
}

impl TrustModel {
    /// As settings and answers spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aad => "aad",
            Self::Isolated => "isolated",
            Self::Shared => "shared",
        }
    }

    /// Reads the spelling of [`TrustModel::as_str`], exactly.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Aad, Self::Isolated, Self::Shared].into_iter().find(|model| model.as_str() == text)
    }
}

/// How keys of the attestation door come and go, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Age at which a signing key gets a successor.
    pub rotate: i64,
    /// How long a key stands in the key set before it signs.
    pub publish: i64,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { rotate: 90 * 86_400, publish: 3_600 }
    }
}

pub(crate) struct Provider {
    pub(crate) setup: ProviderSetup,
    pub(crate) signers: Signers,
}

/// A provider under the host by which it was found. Cheap to clone.
#[derive(Clone)]
pub struct ProviderRef {
    pub(crate) provider: Arc<Provider>,
    host: Arc<str>,
}

impl ProviderRef {
    /// Its id.
    pub fn id(&self) -> &ProviderId {
        &self.provider.setup.id
    }
    /// `iss` of its tokens and receipts.
    pub fn issuer(&self) -> &str {
        &self.provider.setup.issuer
    }
    /// Empty, or one segment such as `/tenant-a`.
    pub fn prefix(&self) -> &str {
        &self.provider.setup.prefix
    }
    /// H of `native-api.md` section 4: the host dialled, and the prefix.
    pub fn host(&self) -> &str {
        &self.host
    }
    /// Days that a key deleted now can be recovered: `recoverableDays`.
    pub fn recoverable_days(&self) -> u32 {
        self.setup().recovery_days
    }
    /// `recoveryLevel`: the word of [`Recovery::level`].
    pub fn recovery_level(&self) -> &'static str {
        // Days out of range do not get as far as a provider that is served.
        self.setup().recovery().map_or("Purgeable", Recovery::level)
    }
    pub(crate) fn setup(&self) -> &ProviderSetup {
        &self.provider.setup
    }
    pub(crate) fn default_baseline(&self) -> Option<&str> {
        self.provider.setup.default_baseline.as_deref()
    }
    pub(crate) fn signers(&self) -> &Signers {
        &self.provider.signers
    }
}

/// All providers of a node.
pub(crate) struct Providers(pub(crate) Vec<Arc<Provider>>);

impl Providers {
    /// The provider of this host (a port is ignored) and path; the longest prefix counts.
    pub(crate) fn find(&self, host: &str, path: &str) -> Option<ProviderRef> {
        let host = without_port(host).to_ascii_lowercase();
        let serving = self.0.iter().filter(|p| p.setup.hosts.contains(&host));
        let fitting = serving.filter(|p| is_below(path, &p.setup.prefix));
        let provider = fitting.max_by_key(|p| p.setup.prefix.len())?;
        let dialled = format!("{host}{}", provider.setup.prefix);
        Some(ProviderRef { provider: Arc::clone(provider), host: dialled.into() })
    }

    /// A provider by its id, under its first host.
    pub(crate) fn by_id(&self, id: &ProviderId) -> Option<ProviderRef> {
        let provider = self.0.iter().find(|p| p.setup.id == *id)?;
        let host = format!("{}{}", provider.setup.hosts.first()?, provider.setup.prefix);
        Some(ProviderRef { provider: Arc::clone(provider), host: host.into() })
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => {
            // `[::1]:8443` loses its port, `::1` has none.
            if name.contains(':') && !name.ends_with(']') { host } else { name }
        }
        _ => host,
    }
    .trim_matches(['[', ']'])
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_no_part_of_a_host() {
        for (written, name) in [
            ("kms.example", "kms.example"),
            ("kms.example:8443", "kms.example"),
            ("[::1]:8443", "::1"),
            ("[::1]", "::1"),
            ("::1", "::1"),
            ("127.0.0.1:1", "127.0.0.1"),
            ("kms.example:", "kms.example:"),
            ("kms.example:x", "kms.example:x"),
        ] {
            assert_eq!(without_port(written), name, "{written}");
        }
    }

    #[test]
    fn a_prefix_is_a_whole_segment() {
        assert!(is_below("/v1/challenges", ""));
        assert!(is_below("/a/v1", "/a") && is_below("/a", "/a"));
        assert!(!is_below("/ab/v1", "/a") && !is_below("/", "/a"));
    }
}
