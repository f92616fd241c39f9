//! A budget of fetches, so that strangers cannot make this node ask the vendors for ever.

use std::num::NonZeroU32;

use governor::clock::DefaultClock;
use governor::state::keyed::DashMapStateStore;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::source::SourceError;

/// Sources remembered before idle ones are forgotten.
const REMEMBERED: usize = 10_000;

/// Fetches a minute, in all and for one source.
pub struct FetchBudget {
    all: DefaultDirectRateLimiter,
    each: RateLimiter<String, DashMapStateStore<String>, DefaultClock>,
}

impl FetchBudget {
    /// Budgets a minute; zero counts as one.
    pub fn new(all: u32, each: u32) -> Self {
        let quota = |n: u32| Quota::per_minute(NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN));
        Self { all: RateLimiter::direct(quota(all)), each: RateLimiter::dashmap(quota(each)) }
    }

    /// Takes one fetch for `from`.
    ///
    /// # Errors
    /// The budget is spent.
    pub fn take(&self, from: &str) -> Result<(), SourceError> {
        if self.each.len() > REMEMBERED {
            self.each.retain_recent();
        }
        self.each.check_key(&from.to_owned()).map_err(|_| SourceError::budget())?;
        self.all.check().map_err(|_| SourceError::budget())
    }
}
