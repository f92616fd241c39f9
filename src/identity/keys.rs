//! The keys of one issuer, kept: renewed in the background, once more when a token names a key that is not there, used for a day
//! when the issuer is silent.
//!
//! Threat model P7, P53; `bad-inputs.md` DISC-10, DISC-12, DISC-13, DISC-15.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use keygate_verifier::tokens::KeySet;

use super::source::KeySource;

/// How old a key set is when it is renewed, in seconds.
const RENEWED: i64 = 180;
/// How long after a failure, or a set that is strange, it is looked at again. Both together stay below five minutes, the longest
/// that a key which its issuer took away may count.
const AGAIN: i64 = 60;
/// The least time between two fetches that tokens with unknown keys cause.
const PROMPTED: i64 = 60;
/// The longest that keys are used without having been seen at the issuer.
const KEPT: i64 = 86_400;
/// Stands for a time that has not been.
const NEVER: i64 = i64::MIN;

/// A key set as it was seen.
#[derive(Clone)]
struct Seen {
    set: KeySet,
    at: i64,
}

impl Seen {
    fn is_in_force(&self, now: i64) -> bool {
        now.saturating_sub(self.at) < KEPT
    }
}

#[derive(Clone, Default)]
struct Held {
    current: Option<Seen>,
    /// What was there before a set that had none of its keys; goes when the next fetch says the same once more.
    former: Option<Seen>,
}

/// What became of a renewal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renewal {
    /// It was not time yet.
    NotDue,
    /// The keys are new.
    Renewed,
    /// The keys are new, and none of the old ones is among them. An alarm.
    Replaced,
    /// The old ones stay. An alarm; why.
    Failed(String),
}

/// The keys of one issuer.
pub struct Keys {
    source: Box<dyn KeySource>,
    held: RwLock<Held>,
    attempted: AtomicI64,
    soon: AtomicBool,
    prompted: AtomicI64,
    busy: AtomicBool,
}

impl Keys {
    /// No keys yet.
    pub fn new(source: Box<dyn KeySource>) -> Self {
        Self {
            source,
            held: RwLock::default(),
            attempted: AtomicI64::new(NEVER),
            soon: AtomicBool::new(false),
            prompted: AtomicI64::new(NEVER),
            busy: AtomicBool::new(false),
        }
    }

    /// The key sets that may check a signature now, the newest first; empty: none was seen within a day.
    pub fn in_force(&self, now: i64) -> Vec<KeySet> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let all = [&held.current, &held.former];
        all.into_iter().flatten().filter(|seen| seen.is_in_force(now)).map(|seen| seen.set.clone()).collect()
    }

    /// Renews what is due.
    pub async fn renew(&self, now: i64) -> Renewal {
        let wait = if self.soon.load(Ordering::Relaxed) { AGAIN } else { RENEWED };
        match is_over(self.attempted.load(Ordering::Relaxed), wait, now) && !self.busy.swap(true, Ordering::AcqRel) {
            true => self.fetch(now).await,
            false => Renewal::NotDue,
        }
    }

    /// Renews for a token whose key is not there: by one of all who ask, and not again within a minute. Everybody else goes on at
    /// once with the keys that are there.
    pub async fn renew_for_unknown(self: Arc<Self>, now: i64) -> Renewal {
        let is_due = || is_over(self.prompted.load(Ordering::Acquire), PROMPTED, now);
        if !is_due() || self.busy.swap(true, Ordering::AcqRel) {
            return Renewal::NotDue;
        }
        // Whoever was busy a moment ago may have been here for the same reason.
        if !is_due() {
            self.busy.store(false, Ordering::Release);
            return Renewal::NotDue;
        }
        self.prompted.store(now, Ordering::Release);
        // On its own, so that nobody spends the minute by hanging up.
        let fetch = tokio::spawn(async move { self.fetch(now).await });
        fetch.await.unwrap_or(Renewal::NotDue)
    }

    /// Fetches, by whoever has set `busy`.
    async fn fetch(&self, now: i64) -> Renewal {
        let _free = Free(&self.busy);
        self.attempted.store(now, Ordering::Relaxed);
        let brought = match self.source.fetch().await {
            Err(why) => Err(why.to_string()),
            Ok(bytes) => KeySet::parse(&bytes).map_err(|why| why.detail().to_owned()),
        };
        let renewal = match brought {
            // No keys is never a reason to accept more, and rarely what is meant.
            Ok(set) if set.is_empty() => {
                Renewal::Failed("the key set has no key that can check a signature".to_owned())
            }
            Ok(set) => self.keep(Seen { set, at: now }),
            Err(why) => Renewal::Failed(why),
        };
        self.soon.store(matches!(renewal, Renewal::Failed(_) | Renewal::Replaced), Ordering::Relaxed);
        renewal
    }

    fn keep(&self, new: Seen) -> Renewal {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let strange = held.current.as_ref().is_some_and(|old| !old.set.overlaps(&new.set));
        held.former = held.current.take().filter(|_| strange);
        held.current = Some(new);
        if strange { Renewal::Replaced } else { Renewal::Renewed }
    }
}

fn is_over(last: i64, wait: i64, now: i64) -> bool {
    last == NEVER || now.abs_diff(last) >= wait.unsigned_abs()
}

/// Makes way for the next fetch, however this one ends.
struct Free<'a>(&'a AtomicBool);

impl Drop for Free<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
