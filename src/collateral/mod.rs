//! Endorsements from the world: one library in front of all sources.
//!
//! Coalesced (one fetch per endorsement at a time), kept in memory and on disk, refreshed in the background, never replaced by
//! something older, usable fully offline. What it holds is public and unverified: every use checks signatures, dates and fit
//! again (P10). No address is ever taken from evidence, a certificate or a request (B3).

mod amd_kds;
mod budget;
mod cache;
mod directory;
mod intel_pcs;
mod source;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use keygate_verifier::{CollateralId, Endorsements, UnixTime};
use moka::future::Cache;

pub use amd_kds::AmdKds;
pub use budget::FetchBudget;
pub use cache::DiskCache;
pub use directory::read_path;
pub use intel_pcs::IntelPcs;
pub use source::{Source, SourceError};

use crate::clock::Clock;

/// The most endorsements kept in memory.
const KEPT: u64 = 20_000;
/// How long a failed fetch is remembered.
const MISS_REMEMBERED: Duration = Duration::from_secs(5);

/// What the library is made of.
pub struct LibrarySetup {
    /// Endorsements of the offline folder, held all the time.
    pub offline: Endorsements,
    /// Where to fetch from; empty: nowhere.
    pub sources: Vec<Box<dyn Source>>,
    /// The folder of fetched endorsements, if any.
    pub cache: Option<PathBuf>,
    /// Fetches a minute, all sources together.
    pub fetches_per_minute: u32,
    /// Fetches a minute for one source address.
    pub fetches_per_source: u32,
    /// What time it is: what has ended is fetched anew.
    pub clock: Arc<dyn Clock>,
}

/// Endorsements in memory, with the earliest end of them.
struct Held {
    pieces: Endorsements,
    until: UnixTime,
}

impl Held {
    fn new(pieces: Endorsements) -> Arc<Self> {
        let until = pieces.in_force_until();
        Arc::new(Self { pieces, until })
    }
}

/// Cache in front of sources.
pub struct Library {
    offline: Endorsements,
    sources: Vec<Box<dyn Source>>,
    memory: Cache<CollateralId, Arc<Held>>,
    misses: Cache<CollateralId, SourceError>,
    disk: DiskCache,
    budget: FetchBudget,
    clock: Arc<dyn Clock>,
}

impl Library {
    /// A library over its sources.
    pub fn new(setup: LibrarySetup) -> Self {
        Self {
            offline: setup.offline,
            sources: setup.sources,
            memory: Cache::new(KEPT),
            misses: Cache::builder().max_capacity(KEPT).time_to_live(MISS_REMEMBERED).build(),
            disk: DiskCache::new(setup.cache),
            budget: FetchBudget::new(setup.fetches_per_minute, setup.fetches_per_source),
            clock: setup.clock,
        }
    }

    /// What the offline folder holds.
    pub fn offline(&self) -> &Endorsements {
        &self.offline
    }

    /// The endorsements named by `ids`, from memory, disk or a source. `from` is the source prefix of the request, for its
    /// budget of fetches.
    ///
    /// # Errors
    /// The first endorsement that cannot be had, and why.
    pub async fn fetch(&self, ids: &[CollateralId], from: &str) -> Result<Endorsements, SourceError> {
        let mut all = Endorsements::default();
        for id in ids {
            all.extend(&self.one(id, from).await?.pieces);
        }
        Ok(all)
    }

    async fn one(&self, id: &CollateralId, from: &str) -> Result<Arc<Held>, SourceError> {
        let kept = self.memory.get(id).await;
        if let Some(held) = &kept {
            if !self.has_ended(held) {
                return Ok(Arc::clone(held));
            }
            self.memory.invalidate(id).await;
        }
        if let Some(miss) = self.misses.get(id).await {
            return kept.ok_or(miss);
        }
        match self.memory.try_get_with(id.clone(), self.read_or_fetch(id, from)).await {
            Ok(held) => Ok(held),
            Err(why) => {
                let why = (*why).clone();
                // A spent budget says nothing about the endorsement.
                if !why.is_budget() {
                    self.misses.insert(id.clone(), why.clone()).await;
                }
                // What has ended is better than nothing: the verification says what is wrong with it.
                kept.ok_or(why)
            }
        }
    }

    fn has_ended(&self, held: &Held) -> bool {
        self.clock.now().is_ok_and(|now| now > held.until)
    }

    async fn read_or_fetch(&self, id: &CollateralId, from: &str) -> Result<Arc<Held>, SourceError> {
        let kept = self.disk.read(id).map(Held::new);
        if let Some(held) = &kept
            && !self.has_ended(held)
        {
            return Ok(Arc::clone(held));
        }
        let Some(source) = self.sources.iter().find(|s| s.serves(id)) else {
            return kept.ok_or_else(|| SourceError::nowhere(id));
        };
        self.budget.take(from)?;
        match (source.fetch(id).await, kept) {
            (Ok(fetched), _) => {
                self.disk.write(id, &fetched);
                Ok(Held::new(fetched))
            }
            (Err(_), Some(ended)) => Ok(ended),
            (Err(why), None) => Err(why),
        }
    }

    /// Fetches anew whatever can change: TCB info, identities, revocation lists. Returns how many were renewed. A source that
    /// does not answer changes nothing; what is older than what is held is not taken.
    pub async fn refresh(&self) -> usize {
        let mut renewed = 0;
        for (id, held) in &self.memory {
            if matches!(*id, CollateralId::AmdVcek { .. }) {
                continue;
            }
            let Some(source) = self.sources.iter().find(|s| s.serves(&id)) else { continue };
            match source.fetch(&id).await {
                Ok(new) if !new.is_older_than(&held.pieces) => {
                    self.disk.write(&id, &new);
                    self.memory.insert((*id).clone(), Held::new(new)).await;
                    renewed += 1;
                }
                Ok(_) => {
                    tracing::warn!(endorsement = %id, "the service answered with something older than what is held")
                }
                Err(why) => tracing::warn!(endorsement = %id, %why, "could not be renewed"),
            }
        }
        renewed
    }
}

#[cfg(test)]
mod tests;
