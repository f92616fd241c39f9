//! The use cases of the service. Knows no HTTP, no settings and no clock of its own.
//!
//! `architecture.md` sections 7 and 8; `native-api.md` sections 3 to 5. Doors build a request out of the words re-exported here, and
//! translate an [`Answer`] or a [`BrokerError`] back.

pub mod admin;
pub mod caller;
pub mod challenge;
pub mod composite;
pub mod endorser;
pub mod enrol;
pub mod error;
pub mod node;
pub mod pool;
pub mod providers;
pub mod request;

mod appraise;
mod attest;
pub mod azure;
mod decide;
mod denials;
mod describe;
mod foreign;
mod journal;
mod knowledge;
mod policy_book;
mod recovery;
pub mod reference;
mod signers;
mod tend;
mod turns;
mod use_key;
pub mod vault;
mod weigh;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use keygate_keystore::Keystore;
use keygate_verifier::{UnixTime, Verifier};

pub use azure::{
    AttestationType, AzureAttestAnswer, AzureAttestRequest, AzureFault, AzureFaultKind, AzureToken, AzureTpmAnswer,
    AzureTpmRequest, HeldData,
};
pub use caller::{Caller, Origin};
pub use challenge::Challenge;
pub(crate) use challenge::correlation;
pub use composite::{Composite, RawPart, Tokens, TokensProof};
pub use endorser::{Endorser, NoEndorser};
pub use enrol::{ActivateRequest, Activated, Begun, EnrolRequest, EnrolmentSetup};
pub use error::{BrokerError, Code, Fault};
pub use keygate_keystore::{KeyName, KeyType, Operation, ProviderId, VersionId, Wrapping};
pub use keygate_policies::{Limits as JsonLimits, json};
pub use keygate_verifier::{EvidenceKind, RecipientKey};
pub use node::Fitness;
pub use pool::Limits;
pub use providers::{ProviderRef, ProviderSetup, ReleaseBearer, Schedule, TrustModel, VaultSetup};
pub use reference::ReferenceSigner;
pub use request::{
    Answer, AttestAnswer, AttestRequest, EvidenceProof, IdempotencyKey, KeyRequest, KeySelector, Proof, Seat,
    TokenProof, Usage,
};

use crate::audit::Strangers;
use crate::clock::Clock;
use crate::identity::Identity;
use crate::result::certificate::ServerCertificate;
use crate::telemetry;
use knowledge::{Denied, Marks, Rules, Sessions, StandIns};
use policy_book::PolicyBook;
use providers::{Provider, Providers};
use reference::ReferenceBook;
use signers::Signers;

/// What a broker is made of.
pub struct Parts {
    /// Keys, journal, credentials.
    pub keystore: Keystore,
    /// Trust anchors.
    pub verifier: Verifier,
    /// Where endorsements come from.
    pub library: Arc<dyn Endorser>,
    /// Who is known from elsewhere.
    pub identity: Arc<Identity>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Tenants, the default one first.
    pub providers: Vec<ProviderSetup>,
    /// How much may run at once.
    pub limits: Limits,
    /// Who may sign reference values.
    pub reference_signers: Vec<ReferenceSigner>,
}

/// The service behind all doors.
pub struct Broker {
    pub(crate) keystore: Keystore,
    pub(crate) clock: Arc<dyn Clock>,
    verifier: Verifier,
    library: Arc<dyn Endorser>,
    identity: Arc<Identity>,
    providers: Providers,
    pool: pool::Pool,
    limits: Limits,
    strangers: Strangers,
    rules: Rules,
    sessions: Sessions,
    policies: PolicyBook,
    references: ReferenceBook,
    stand_ins: StandIns,
    denied: Denied,
    denials: denials::Denials,
    marks: Marks,
    heads: journal::Heads,
    noted: journal::Noted,
    pending: enrol::Pending,
    pace: admin::Pace,
    rounds: tend::Rounds,
    stopping: AtomicBool,
    began: i64,
}

impl Broker {
    /// Opens a broker over an open store and makes the service keys that are missing.
    ///
    /// # Errors
    /// An untrusted clock, a damaged store, or a store that takes no record; `config-invalid` for a setup that would take purge
    /// protection back.
    pub fn open(parts: Parts) -> Result<Arc<Self>, Fault> {
        let now = parts.clock.now()?.secs();
        let mut providers = Vec::new();
        let mut house: Option<ProviderSetup> = None;
        for setup in parts.providers {
            recovery::settle(&parts.keystore, &setup, now)?;
            let house = house.get_or_insert_with(|| setup.clone());
            let signers = Signers::ensure(&parts.keystore, &setup, house, now)?;
            azure::seed_signers(&parts.keystore, &setup, now)?;
            providers.push(Arc::new(Provider { setup, signers }));
        }
        let began = parts.clock.now()?.secs();
        let broker = Arc::new(Self {
            keystore: parts.keystore,
            clock: parts.clock,
            verifier: parts.verifier,
            library: parts.library,
            identity: parts.identity,
            providers: Providers(providers),
            pool: pool::Pool::new(parts.limits),
            limits: parts.limits,
            strangers: Strangers::default(),
            rules: Rules::new(),
            sessions: Sessions::new(),
            policies: PolicyBook::new(),
            references: ReferenceBook::new(parts.reference_signers),
            stand_ins: StandIns::default(),
            denied: Denied::default(),
            denials: denials::Denials::default(),
            marks: Marks::default(),
            heads: journal::Heads::default(),
            noted: journal::Noted::default(),
            pending: enrol::Pending::default(),
            pace: admin::Pace::default(),
            rounds: tend::Rounds::default(),
            stopping: AtomicBool::new(false),
            began,
        });
        broker.note_fitness();
        broker.doubt_the_clock();
        Ok(broker)
    }

    /// What this node is fit for.
    pub fn fitness(&self) -> Fitness {
        node::fitness(&self.keystore, &*self.clock, self.stopping.load(Ordering::Relaxed))
    }

    /// Path prefixes of all providers; the empty one is the root.
    pub fn prefixes(&self) -> Vec<String> {
        let mut prefixes: Vec<_> = self.providers.0.iter().map(|p| p.setup.prefix.clone()).collect();
        prefixes.sort();
        prefixes.dedup();
        // The longest first: `/a` must not be hidden by the root.
        prefixes.reverse();
        prefixes
    }

    /// How a roll-back of the whole store would be noticed; `none` without an anchor elsewhere.
    pub fn rollback_protection(&self) -> &'static str {
        self.keystore.status().rollback
    }

    /// The provider of a host (with or without port) and a path; none is a request for somebody else.
    pub fn provider_for(&self, host: &str, path: &str) -> Option<ProviderRef> {
        self.providers.find(host, path)
    }

    /// A provider by its id, under its first host.
    pub fn provider(&self, id: &ProviderId) -> Option<ProviderRef> {
        self.providers.by_id(id)
    }

    /// A fresh challenge. Nothing is written.
    ///
    /// # Errors
    /// The node is not fit.
    pub fn challenge(&self, seat: &Seat) -> Result<Challenge, BrokerError> {
        let provider = &seat.provider;
        let made = self.fit().and_then(|now| {
            challenge::issue(&self.keystore, provider.id(), now.secs(), provider.setup().challenge_seconds)
        });
        let (bytes, expires_at) = made.map_err(|fault| self.refuse(seat, &fault))?;
        Ok(Challenge { bytes, expires_at, host: provider.host().to_owned() })
    }

    /// The CA of a provider in PEM: a workload's only pin.
    ///
    /// # Errors
    /// No such provider.
    pub fn ca_pem(&self, id: &ProviderId) -> Result<String, Fault> {
        self.known_provider(id)?.signers().ca_pem()
    }

    /// A fresh TLS key and certificate under the CA of a provider, for its own hosts or for those named.
    ///
    /// # Errors
    /// No such provider, no host, an untrusted clock.
    pub fn server_certificate(&self, id: &ProviderId, hosts: &[String]) -> Result<ServerCertificate, Fault> {
        let provider = self.known_provider(id)?;
        let hosts = if hosts.is_empty() { &provider.setup().hosts } else { hosts };
        provider.signers().server(hosts, self.fit()?.secs())
    }

    /// From now on nothing is released; what is under way ends. What strangers did is recorded.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.note_fitness();
        for record in self.strangers.drain() {
            drop(self.keystore.record_within_reserve(record));
        }
    }

    /// What is due from time to time, every few seconds: the counters of strangers of a minute that is over, a change of fitness,
    /// and what happens to keys by itself.
    pub fn tick(&self) {
        telemetry::tend();
        self.note_fitness();
        if let Ok(now) = self.clock.now() {
            for record in self.strangers.due(now.secs()) {
                drop(self.keystore.record_within_reserve(record));
            }
            self.tend_keys(now.secs());
        }
    }

    /// Signing keys that are due get successors, and those that are over end; then the keys of the providers.
    fn tend_keys(&self, now: i64) {
        if self.fit().is_err() {
            return;
        }
        for provider in &self.providers.0 {
            if let Err(fault) = provider.signers.azure().tend(&self.keystore, &provider.setup, now) {
                telemetry::fault("signing keys could not be tended", fault.code.as_str(), provider.setup.id.as_str());
            }
            self.tend_due(&provider.setup.id, now);
        }
    }

    pub(crate) fn fit(&self) -> Result<UnixTime, Fault> {
        node::fit(&self.keystore, &*self.clock, self.stopping.load(Ordering::Relaxed))
    }

    pub(crate) fn first_provider(&self) -> Option<ProviderRef> {
        let first = self.providers.0.first()?;
        self.providers.by_id(&first.setup.id)
    }

    pub(crate) fn known_provider(&self, id: &ProviderId) -> Result<ProviderRef, Fault> {
        self.providers.by_id(id).ok_or_else(|| Fault::new(Code::NotFound, "provider"))
    }
}
