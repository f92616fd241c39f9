//! Settings: values in `config/default.toml`, types here, use in `app.rs` and nowhere else.
//!
//! Keygate's contract, section 6. Order: compiled-in defaults, the file, the environment. Everything is checked before anything
//! is used; an unknown name is an error that says the line and the nearest known name.

mod check;
mod collateral;
mod enrolment;
mod identity;
mod issuers;
mod limits;
mod provider;
mod reference;
mod server;

use std::path::{Path, PathBuf};

use config::{Config, Environment, File, FileFormat};
use serde::Deserialize;

pub use check::SettingsError;
pub use collateral::CollateralSettings;
pub use enrolment::EnrolmentSettings;
pub use identity::{ClaimPath, ClientCertificateSettings, OidcSettings};
pub use issuers::VerifierSettings;
pub use limits::LimitSettings;
pub use provider::{KeyVaultSettings, ProviderSettings, SigningSettings, TrustAnchorSettings};
pub use reference::ReferenceSignerSettings;
pub use server::ServerSettings;

/// The compiled-in defaults, as text.
pub const DEFAULTS: &str = include_str!("../../config/default.toml");

/// The environment's prefix.
const PREFIX: &str = "KEYGATE";

/// Everything an operator can set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Listeners and TLS.
    pub server: ServerSettings,
    /// The encrypted store.
    pub store: StoreSettings,
    /// Where the root key is.
    pub root_key: RootKeySettings,
    /// Endorsements from the world.
    pub collateral: CollateralSettings,
    /// The audit chain.
    pub audit: AuditSettings,
    /// Logs.
    pub telemetry: TelemetrySettings,
    /// Confidential machines on Azure.
    pub azure_vtpm: AzureVtpmSettings,
    /// What one caller may take.
    pub limits: LimitSettings,
    /// Signing keys of the attestation door.
    pub signing: SigningSettings,
    /// How machines with a TPM are enrolled.
    pub enrolment: EnrolmentSettings,
    /// Tenants.
    #[serde(default)]
    pub providers: Vec<ProviderSettings>,
    /// Anchors beside the vendors'.
    #[serde(default)]
    pub trust_anchors: Vec<TrustAnchorSettings>,
    /// Issuers of bearer tokens.
    #[serde(default)]
    pub oidc: Vec<OidcSettings>,
    /// Clients that are known by a certificate.
    #[serde(default)]
    pub client_certificates: Vec<ClientCertificateSettings>,
    /// Verifiers of others, whose tokens count as evidence.
    #[serde(default)]
    pub issuers: Vec<VerifierSettings>,
    /// Who may sign reference values.
    #[serde(default)]
    pub reference_signers: Vec<ReferenceSignerSettings>,
    /// The folder that paths are relative to.
    #[serde(skip)]
    pub base: PathBuf,
    /// Names of the environment variables that had a say.
    #[serde(skip)]
    pub from_environment: Vec<String>,
}

/// `[store]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreSettings {
    /// The SQLite file.
    pub file: PathBuf,
    /// 7 to 90, of providers that do not say otherwise.
    pub retention_days: u32,
    /// Nothing is purged before its retention is over, of providers that do not say otherwise.
    pub purge_protection: bool,
}

/// `[root_key]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootKeySettings {
    /// A file of 32 bytes.
    pub file: PathBuf,
}

/// `[azure_vtpm]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AzureVtpmSettings {
    /// Launches known to be a paravisor's, 96 hex digits each.
    pub paravisors: Vec<String>,
}

/// `[audit]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditSettings {
    /// Seconds between published heads.
    pub head_seconds: u64,
    /// Seconds that strangers' refusals are gathered.
    pub gather_seconds: u64,
}

/// `[telemetry]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetrySettings {
    /// A `tracing` filter.
    pub log: String,
    /// `text` or `json`.
    pub format: String,
}

impl Settings {
    /// Reads defaults, `file` and the environment, and checks the whole.
    ///
    /// # Errors
    /// [`SettingsError`] (`config-invalid`): says where, what, and what to do.
    pub fn read(file: &Path, environment: &[(String, String)]) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(file).map_err(|e| {
            SettingsError::new(
                format!("cannot read `{}`: {e}", file.display()),
                "run `keygate init --dir D` first, or name the file with --config",
            )
        })?;
        let base = file.parent().map(Path::to_path_buf).unwrap_or_default();
        Self::from_text(&text, &file.display().to_string(), base, environment)
    }

    /// The same from a text; `name` stands in messages, `base` is what paths are relative to.
    ///
    /// # Errors
    /// As [`Settings::read`].
    pub fn from_text(
        text: &str,
        name: &str,
        base: PathBuf,
        environment: &[(String, String)],
    ) -> Result<Self, SettingsError> {
        check::names(text, name)?;
        let from_environment = check::environment(environment)?;
        let variables = environment.iter().filter(|(k, _)| from_environment.contains(k)).cloned().collect();
        let source = Environment::with_prefix(PREFIX)
            .prefix_separator("_")
            .separator("__")
            .try_parsing(true)
            .source(Some(variables));
        let invalid = |e: config::ConfigError| {
            SettingsError::new(format!("{name}: {e}"), "compare with `keygate serve --print-config`")
        };
        let mut settings: Settings = Config::builder()
            .add_source(File::from_str(DEFAULTS, FileFormat::Toml))
            .add_source(File::from_str(text, FileFormat::Toml))
            .add_source(source)
            .build()
            .and_then(Config::try_deserialize)
            .map_err(invalid)?;
        settings.base = base;
        settings.from_environment = from_environment;
        for (entry, line) in settings.oidc.iter_mut().zip(check::lines(text, "oidc")) {
            entry.line = line;
        }
        for (entry, line) in settings.issuers.iter_mut().zip(check::lines(text, "issuers")) {
            entry.line = line;
        }
        for (entry, line) in settings.reference_signers.iter_mut().zip(check::lines(text, "reference_signers")) {
            entry.line = line;
        }
        for (entry, line) in settings.client_certificates.iter_mut().zip(check::lines(text, "client_certificates")) {
            entry.line = line;
        }
        settings.check()?;
        settings.check_callers().map_err(|e| e.within(name))?;
        Ok(settings)
    }

    /// A path of the settings, made absolute by the folder of the configuration file.
    pub fn path(&self, path: &Path) -> PathBuf {
        self.base.join(path)
    }

    fn check_callers(&self) -> Result<(), SettingsError> {
        identity::check(&self.oidc, &self.client_certificates, &self.server, &self.providers)
    }

    fn check(&self) -> Result<(), SettingsError> {
        self.server.check()?;
        self.limits.check()?;
        self.collateral.check()?;
        self.signing.check()?;
        self.enrolment.check(&self.trust_anchors)?;
        issuers::check(&self.issuers, &self.providers)?;
        provider::check(&self.providers, &self.trust_anchors)?;
        reference::check(&self.reference_signers, &self.providers)?;
        let range = |name: &str, value: u64, low: u64, high: u64| {
            if (low..=high).contains(&value) {
                return Ok(());
            }
            Err(SettingsError::new(format!("`{name}` is {value}"), format!("set it between {low} and {high}")))
        };
        range("store.retention_days", u64::from(self.store.retention_days), 7, 90)?;
        range("audit.head_seconds", self.audit.head_seconds, 1, 3600)?;
        range("audit.gather_seconds", self.audit.gather_seconds, 1, 600)?;
        if !matches!(self.telemetry.format.as_str(), "text" | "json") {
            return Err(SettingsError::new(
                format!("`telemetry.format` is `{}`", self.telemetry.format),
                "set it to `text` or `json`",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, SettingsError> {
        Settings::from_text(text, "keygate.toml", PathBuf::from("/etc/keygate"), &[])
    }

    #[test]
    fn the_defaults_are_sound() {
        let settings = read("").unwrap();
        assert_eq!(settings.server.bind.to_string(), "127.0.0.1:8443");
        assert_eq!(settings.path(&settings.store.file), PathBuf::from("/etc/keygate/keygate.db"));
    }

    #[test]
    fn enrolments_have_a_time_and_anchors_a_purpose() {
        let settings = read("[enrolment]\ndays = 30\n").unwrap();
        assert_eq!((settings.enrolment.days, settings.enrolment.challenge_seconds), (30, 300));
        for text in ["days = 0", "days = 3651", "challenge_seconds = 29", "challenge_seconds = 3601"] {
            let out = read(&format!("[enrolment]\n{text}\n")).unwrap_err();
            assert!(out.to_string().contains("enrolment"), "{out}");
        }
        let anchor = |name: &str, kind: &str, purpose: &str| {
            read(&format!(
                "[[trust_anchors]]\nname = \"{name}\"\nkind = \"{kind}\"\npurpose = \"{purpose}\"\nfile = \"a.pem\"\n"
            ))
        };
        assert!(anchor("fleet", "tpm", "endorsement").is_ok() && anchor("fleet", "tpm", "attestation").is_ok());
        for (name, kind, purpose) in
            [("fleet", "tpm", "enrolment"), ("fleet", "snp", "endorsement"), ("allowed-ek", "tpm", "endorsement")]
        {
            assert!(anchor(name, kind, purpose).is_err(), "{name} {kind} {purpose}");
        }
    }

    #[test]
    fn cfg_01_an_unknown_name_is_refused_with_line_and_neighbour() {
        let refused = read("[server]\nbind = \"127.0.0.1:1\"\nadmin_bnd = \"127.0.0.1:2\"\n").unwrap_err();
        let text = refused.to_string();
        assert!(text.contains("line 3") && text.contains("`server.admin_bnd`"), "{text}");
        assert!(refused.help().contains("admin_bind"), "{}", refused.help());
        assert!(read("[sever]\nbind = \"x\"").unwrap_err().help().contains("server"));
    }

    #[test]
    fn a_prefix_does_not_stand_in_the_way_of_a_door() {
        let with = |prefix: &str| {
            let text = format!("[[providers]]\nid = \"default\"\nhosts = [\"a.example\"]\nprefix = \"{prefix}\"\n");
            read(&text).map(drop)
        };
        for prefix in ["/keys", "/v1", "/attest", "/rng", "/admin"] {
            assert!(with(prefix).unwrap_err().to_string().contains("door"), "{prefix}");
        }
        assert!(with("/tenant-a").is_ok());
    }

    #[test]
    fn every_name_of_a_provider_is_known() {
        let text = "[[providers]]\nid = \"iso\"\nhosts = [\"kms.example\"]\nprefix = \"/iso\"\nissuer = \"https://kms.example/iso\"\n\
                    challenge_seconds = 60\ntoken_seconds = 60\ntrust_model = \"isolated\"\npolicy_signers = [\"a.pem\"]\n\
                    default_baseline = \"12\"\nrecovery_days = 30\npurge_protection = true\n";
        let settings = read(text).unwrap();
        let provider = &settings.providers[0];
        assert_eq!((provider.trust_model.as_str(), provider.default_baseline.as_str()), ("isolated", "12"));
        assert_eq!((provider.recovery_days, provider.purge_protection), (Some(30), Some(true)));
        for days in ["6", "91"] {
            let out = read(&text.replace("recovery_days = 30", &format!("recovery_days = {days}"))).unwrap_err();
            assert!(out.help().contains("7 to 90"), "{}", out.help());
        }
        let wrong = read(&text.replace("policy_signers", "policy_signer")).unwrap_err();
        assert!(wrong.help().contains("policy_signers"), "{}", wrong.help());
    }

    #[test]
    fn cfg_01_a_wrong_type_and_a_duplicate_are_refused() {
        assert!(read("[server]\nworkers = \"many\"").is_err());
        assert!(read("[server]\nworkers = 1\nworkers = 2").is_err());
        assert!(read("[limits]\nburst = -1").is_err());
    }

    #[test]
    fn cfg_04_an_admin_listener_off_loopback_needs_client_certificates() {
        assert!(read("[server]\nadmin_bind = \"0.0.0.0:8444\"").unwrap_err().to_string().contains("admin_bind"));
        assert!(read("[server]\nadmin_bind = \"0.0.0.0:8444\"\nclient_ca = \"ca.pem\"").is_ok());
    }

    #[test]
    fn cfg_08_only_documented_environment_variables_count() {
        let env = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        let at = |env: &[(String, String)]| Settings::from_text("", "f", PathBuf::new(), env);
        let settings = at(&env("KEYGATE_SERVER__BIND", "127.0.0.1:9")).unwrap();
        assert_eq!(settings.server.bind.to_string(), "127.0.0.1:9");
        assert_eq!(settings.from_environment, ["KEYGATE_SERVER__BIND"]);
        assert!(at(&env("KEYGATE_SERVER__BNID", "127.0.0.1:9")).unwrap_err().help().contains("KEYGATE_SERVER__BIND"));
        assert!(at(&env("KEYGATE_VECTORS", "x")).unwrap().from_environment.is_empty());
    }

    #[test]
    fn every_setting_has_a_comment() {
        for line in DEFAULTS.lines().filter(|l| l.contains(" = ") && !l.starts_with('#')) {
            assert!(line.contains('#'), "no comment: {line}");
        }
    }
}
