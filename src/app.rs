//! The composition root: settings in, a broker with its store, verifier and library out. The only file that names every concrete
//! type.

pub mod anchors;
mod identity;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keygate_keystore::{FileRoot, Keystore, KeystoreError, ProviderId, RootKey as _};
use keygate_verifier::{AnchorPurpose, Anchors, Endorsements, EvidenceKind, MICROSOFT_UVM_ISSUER, Verifier};

use crate::broker::{
    Broker, Code, EnrolmentSetup, Limits, Parts, ProviderSetup, ReferenceSigner, ReleaseBearer, Schedule, TrustModel,
    VaultSetup,
};
use crate::clock::{Clock as _, SystemClock};
use crate::collateral::{AmdKds, IntelPcs, Library, LibrarySetup, Source, read_path};
use crate::identity::Identity;
use crate::settings::{KeyVaultSettings, ProviderSettings, Settings, SettingsError};

/// How often is looked whether something is due.
const TICK: Duration = Duration::from_secs(5);
/// How often is looked whether an issuer's keys are due.
const ISSUERS: Duration = Duration::from_secs(10);

/// Why the service cannot be put together.
#[derive(Debug)]
pub enum AppError {
    /// The configuration: exit code 78.
    Config(SettingsError),
    /// The store or its root key: exit code 3. The code, what, and what to do.
    Store(&'static str, String, String),
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(e) => e.fmt(f),
            Self::Store(_, what, _) => f.write_str(what),
        }
    }
}

impl From<SettingsError> for AppError {
    fn from(e: SettingsError) -> Self {
        Self::Config(e)
    }
}

/// Everything that serves.
pub struct App {
    /// The use cases.
    pub broker: Arc<Broker>,
    /// The store, for what is done at start and end.
    pub keystore: Keystore,
    /// Endorsements.
    pub library: Arc<Library>,
    /// Who is known from elsewhere.
    pub identity: Arc<Identity>,
    /// What it was put together from.
    pub settings: Settings,
    /// How the store is sealed, for the line at start.
    pub sealed_by: String,
}

impl App {
    /// Opens the store that the settings name and puts the service together.
    ///
    /// # Errors
    /// [`AppError`].
    pub fn open(settings: Settings) -> Result<Self, AppError> {
        let root = FileRoot::new(settings.path(&settings.root_key.file));
        let sealed_by = root.describe();
        let now = SystemClock::new(0).now().map_err(|e| {
            AppError::Store(
                "clock-untrusted",
                e.to_string(),
                "set the clock of this machine, then start again".to_owned(),
            )
        })?;
        let file = settings.path(&settings.store.file);
        let keystore = Keystore::open(&file, &root, now.secs()).map_err(|e| store_error(&file, &e))?;
        let verifier = Verifier::new(trusted(&settings)?);
        let library = Arc::new(Library::new(library(&settings)?));
        let identity = Arc::new(identity::identity(&settings)?);
        let newest = keystore.status().newest_time;
        let broker = Broker::open(Parts {
            keystore: keystore.clone(),
            verifier,
            library: Arc::clone(&library) as _,
            identity: Arc::clone(&identity),
            clock: Arc::new(SystemClock::new(newest)),
            providers: providers(&settings)?,
            limits: Limits { verifications: settings.limits.verifications, waiting: settings.limits.waiting },
            reference_signers: reference_signers(&settings)?,
        })
        .map_err(|e| {
            if e.code == Code::ConfigInvalid {
                return AppError::Config(SettingsError::new(e.inner, "mend `[[providers]]` or `[store]`"));
            }
            AppError::Store(
                e.code.as_str(),
                format!("{} {}", e.code.title(), e.inner),
                "`keygate store check` says more".to_owned(),
            )
        })?;
        Ok(Self { broker, keystore, library, identity, settings, sealed_by })
    }

    /// Renews endorsements and records gathered refusals, for as long as the process lives.
    pub fn start_background(&self) {
        let broker = Arc::clone(&self.broker);
        drop(tokio::spawn(async move {
            let mut ticks = tokio::time::interval(TICK);
            loop {
                ticks.tick().await;
                let broker = Arc::clone(&broker);
                let _ = tokio::task::spawn_blocking(move || broker.tick()).await;
            }
        }));
        if !self.settings.oidc.is_empty() || !self.settings.issuers.is_empty() {
            let broker = Arc::clone(&self.broker);
            drop(tokio::spawn(async move {
                let mut ticks = tokio::time::interval(ISSUERS);
                loop {
                    ticks.tick().await;
                    broker.renew_issuers().await;
                }
            }));
        }
        if self.settings.collateral.online {
            let (library, every) =
                (Arc::clone(&self.library), Duration::from_secs(self.settings.collateral.refresh_seconds));
            drop(tokio::spawn(async move {
                let mut ticks = tokio::time::interval(every);
                ticks.tick().await;
                loop {
                    ticks.tick().await;
                    let renewed = library.refresh().await;
                    tracing::info!(renewed, "endorsements renewed");
                }
            }));
        }
    }
}

/// What a store's failure means to the person who starts the service or runs a command on its folder.
pub fn store_error(file: &Path, error: &KeystoreError) -> AppError {
    let what = format!("the store `{}` cannot be opened: {error}", file.display());
    let help = match error {
        KeystoreError::Busy => "another process holds this store: stop it first",
        KeystoreError::WrongRootKey => "this store was made with another root key: mend `root_key.file`",
        KeystoreError::Sealed(_) => "the root key is not there: mend `root_key.file`, or put the file back",
        KeystoreError::StoreCorrupt { .. } | KeystoreError::SchemaUnknown(_) | KeystoreError::RollbackDetected => {
            "keep the file for an examination, and restore the newest backup with `keygate store restore`"
        }
        KeystoreError::Conflict(_) => "name a file that does not exist: nothing is ever overwritten",
        KeystoreError::ConfigInvalid(_) => {
            let help =
                "root key and store are files of the service alone: `chmod 600`, no link, 32 random bytes for the key";
            return AppError::Config(SettingsError::new(what, help));
        }
        _ => "run `keygate init --dir D` first, or mend `store.file`",
    };
    AppError::Store(error.code(), what, help.to_owned())
}

/// The vendors' anchors and the operator's.
fn trusted(settings: &Settings) -> Result<Anchors, AppError> {
    let invalid = |what: String, help: &str| AppError::Config(SettingsError::new(what, help));
    let mut anchors =
        Anchors::vendor().map_err(|e| invalid(e.to_string(), "this binary is damaged: install it again"))?;
    for anchor in &settings.trust_anchors {
        let path = settings.path(&anchor.file);
        let what = |why: String| format!("trust anchor `{}`: {why}", anchor.name);
        let kind = EvidenceKind::parse(&anchor.kind).ok_or_else(|| {
            invalid(
                what(format!("`{}` is no kind of evidence", anchor.kind)),
                "one of sgx, tdx, snp, nitro, tpm, software; azure-vtpm hangs on those of snp and tdx",
            )
        })?;
        let bytes = std::fs::read(&path).map_err(|e| {
            invalid(what(format!("cannot read `{}`: {e}", path.display())), "mend `trust_anchors.file`")
        })?;
        // Looked at when the settings were read.
        let purpose = AnchorPurpose::parse(&anchor.purpose).unwrap_or(AnchorPurpose::Attestation);
        anchors::add_file(&mut anchors, &anchor.name, kind, purpose, &bytes).map_err(|e| {
            let help = "an anchor is a self-signed CA certificate, PEM or DER, or for tpm a public key; give its kind as `kind`";
            invalid(what(format!("`{}`: {e}", path.display())), help)
        })?;
    }
    for text in &settings.azure_vtpm.paravisors {
        let launch = hex::decode(text).ok().and_then(|bytes| <[u8; 48]>::try_from(bytes).ok()).ok_or_else(|| {
            invalid(format!("`azure_vtpm.paravisors`: `{text}` is no measurement"), "give 96 hex digits each")
        })?;
        anchors.add_paravisor(launch);
    }
    Ok(anchors)
}

/// Who may sign reference values.
fn reference_signers(settings: &Settings) -> Result<Vec<ReferenceSigner>, AppError> {
    let mut signers = Vec::new();
    for entry in &settings.reference_signers {
        let path = settings.path(&entry.file);
        let help = "name a PEM file with one certificate or one public key in `file`";
        let pem =
            std::fs::read(&path).map_err(|e| entry.wrong(format!("cannot read `{}`: {e}", path.display()), help))?;
        let provider = match entry.provider.as_str() {
            "" => None,
            id => Some(ProviderId::parse(id).map_err(|e| entry.wrong(e, "name the `id` of a provider"))?),
        };
        let signer = ReferenceSigner::read(&entry.name, provider, entry.names.clone(), &pem)
            .map_err(|fault| entry.wrong(format!("`{}`: {}", path.display(), fault.inner), help))?;
        signers.push(signer);
    }
    Ok(signers)
}

/// The certificates that may sign the policies of a provider from the beginning.
fn policy_signers(settings: &Settings, provider: &ProviderSettings) -> Result<Vec<Vec<u8>>, AppError> {
    let mut signers = Vec::new();
    for file in &provider.policy_signers {
        let path = settings.path(file);
        let help = "name PEM or DER files of certificates in `policy_signers`";
        let bytes = std::fs::read(&path)
            .map_err(|e| SettingsError::new(format!("cannot read `{}`: {e}", path.display()), help))?;
        let found = certificates(&bytes)
            .ok_or_else(|| SettingsError::new(format!("`{}` holds no certificate", path.display()), help))?;
        signers.extend(found);
    }
    Ok(signers)
}

/// Certificates of a PEM or DER file, DER each.
pub fn certificates(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    if bytes.first() == Some(&0x30) {
        return Some(vec![bytes.to_vec()]);
    }
    let stack = openssl::x509::X509::stack_from_pem(bytes).ok().filter(|s| !s.is_empty())?;
    stack.iter().map(|c| c.to_der().ok()).collect()
}

fn library(settings: &Settings) -> Result<LibrarySetup, AppError> {
    let collateral = &settings.collateral;
    let mut offline = Endorsements::default();
    if !collateral.directory.as_os_str().is_empty() {
        let folder = settings.path(&collateral.directory);
        let (found, strange) = read_path(&folder).map_err(|e| {
            SettingsError::new(format!("cannot read `{}`: {e}", folder.display()), "mend `collateral.directory`")
        })?;
        for file in strange {
            tracing::warn!(file, "not an endorsement, left out");
        }
        offline = found;
    }
    let mut sources: Vec<Box<dyn Source>> = Vec::new();
    if collateral.online {
        let tls =
            |e: String| SettingsError::new(format!("TLS cannot be set up: {e}"), "check the system's certificates");
        sources.push(Box::new(IntelPcs::new(&collateral.intel_pcs, collateral.fetch_seconds).map_err(tls)?));
        sources.push(Box::new(AmdKds::new(&collateral.amd_kds, collateral.fetch_seconds).map_err(tls)?));
    }
    let cache = (!collateral.cache.as_os_str().is_empty()).then(|| settings.path(&collateral.cache));
    Ok(LibrarySetup {
        offline,
        sources,
        cache,
        fetches_per_minute: collateral.fetches_per_minute,
        fetches_per_source: collateral.fetches_per_source,
        clock: Arc::new(SystemClock::new(0)),
    })
}

/// The providers of the settings; without any, one named `default` on the loopback names.
pub fn providers(settings: &Settings) -> Result<Vec<ProviderSetup>, AppError> {
    let fallback = [ProviderSettings {
        id: "default".to_owned(),
        hosts: vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()],
        prefix: String::new(),
        issuer: String::new(),
        challenge_seconds: 300,
        token_seconds: 600,
        trust_model: TrustModel::Aad.as_str().to_owned(),
        policy_signers: Vec::new(),
        default_baseline: String::new(),
        uvm_issuers: None,
        uvm_minimum_svn: 0,
        key_vault: KeyVaultSettings::default(),
        recovery_days: None,
        purge_protection: None,
    }];
    let azure_anchors: Vec<String> =
        settings.trust_anchors.iter().filter(|anchor| anchor.azure_tokens).map(|anchor| anchor.name.clone()).collect();
    let named = if settings.providers.is_empty() { &fallback[..] } else { &settings.providers[..] };
    named
        .iter()
        .map(|p| {
            let id = ProviderId::parse(&p.id).map_err(|e| {
                SettingsError::new(format!("provider `{}`: {e}", p.id), "an id is 1 to 63 of a-z, 0-9 and `-`")
            })?;
            Ok(ProviderSetup {
                id,
                issuer: p.issuer(),
                hosts: p.hosts.clone(),
                prefix: p.prefix.clone(),
                challenge_seconds: p.challenge_seconds,
                token_seconds: p.token_seconds,
                require_amd_crl: settings.collateral.require_amd_crl,
                trust_model: TrustModel::parse(&p.trust_model).unwrap_or_default(),
                policy_signers: policy_signers(settings, p)?,
                default_baseline: Some(p.default_baseline.clone()).filter(|baseline| !baseline.is_empty()),
                uvm_issuers: p.uvm_issuers.clone().unwrap_or_else(|| vec![MICROSOFT_UVM_ISSUER.to_owned()]),
                uvm_minimum_svn: p.uvm_minimum_svn,
                azure_anchors: azure_anchors.clone(),
                recovery_days: p.recovery_days.unwrap_or(settings.store.retention_days),
                purge_protection: p.purge_protection.unwrap_or(settings.store.purge_protection),
                enrolment: EnrolmentSetup {
                    days: settings.enrolment.days,
                    challenge_seconds: settings.enrolment.challenge_seconds,
                },
                schedule: Schedule {
                    rotate: i64::from(settings.signing.rotation_days) * 86_400,
                    publish: i64::from(settings.signing.publish_seconds),
                },
                vault: VaultSetup {
                    authorization: p.key_vault.authorization.clone(),
                    resource: p.key_vault.resource.clone(),
                    release_bearer: match p.key_vault.release_bearer.as_str() {
                        "any" => ReleaseBearer::Any,
                        _ => ReleaseBearer::Known,
                    },
                    rsa1_5: p.key_vault.rsa1_5,
                },
            })
        })
        .collect()
}
