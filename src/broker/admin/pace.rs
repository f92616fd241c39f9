//! How fast keys may be made and unmade: a flood of creations is slowed, a flood of deletions is an alarm and a hold.
//!
//! `store-durability.md` R36, `bad-inputs.md` KEY-20, threat model P52. Counted per provider in memory: a restart begins anew, and what was
//! deleted before it stays recoverable for the store's retention.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use keygate_keystore::ProviderId;

const HOUR: i64 = 3_600;
/// New keys and versions of one provider in an hour.
pub(super) const MOST_NEW: usize = 3_600;
/// Deletions and purges of one provider in an hour that raise no alarm.
pub(super) const MOST_GONE: usize = 10;
/// How long nothing is deleted after an alarm, in seconds.
const HOLD: u32 = 900;

/// What has been made and unmade in the last hour.
#[derive(Default)]
pub(crate) struct Pace {
    counts: Mutex<HashMap<ProviderId, Counts>>,
    revoking: Mutex<()>,
    signed: Mutex<()>,
    copying: Mutex<()>,
}

#[derive(Default)]
struct Counts {
    new: VecDeque<i64>,
    gone: VecDeque<i64>,
    held_until: i64,
}

/// Whether a deletion may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deletion {
    /// It may.
    Fits,
    /// It is the one that raises the alarm; seconds until deletions are taken again.
    Alarm(u32),
    /// An alarm was raised; seconds until deletions are taken again.
    Held(u32),
}

impl Pace {
    /// One revocation at a time, so that the last two admins cannot end each other.
    pub(super) fn revoking(&self) -> MutexGuard<'_, ()> {
        self.revoking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One change of policies, of their signers or of signing keys at a time: what a list of signers allows is done before another list
    /// counts, and no removed signer sets anything after its removal was answered.
    pub(crate) fn signed(&self) -> MutexGuard<'_, ()> {
        self.signed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One copy of the store at a time.
    pub(super) fn copying(&self) -> MutexGuard<'_, ()> {
        self.copying.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a creation; `false` if there were too many in the last hour.
    pub(super) fn create(&self, provider: &ProviderId, now: i64) -> bool {
        self.with(provider, now, |counts| {
            let fits = counts.new.len() < MOST_NEW;
            if fits {
                counts.new.push_back(now);
            }
            fits
        })
    }

    /// Counts a deletion.
    pub(super) fn delete(&self, provider: &ProviderId, now: i64) -> Deletion {
        self.with(provider, now, |counts| {
            if now < counts.held_until {
                return Deletion::Held(u32::try_from(counts.held_until - now).unwrap_or(u32::MAX));
            }
            if counts.gone.len() < MOST_GONE {
                counts.gone.push_back(now);
                return Deletion::Fits;
            }
            counts.gone.clear();
            counts.held_until = now.saturating_add(i64::from(HOLD));
            Deletion::Alarm(HOLD)
        })
    }

    fn with<T>(&self, provider: &ProviderId, now: i64, count: impl FnOnce(&mut Counts) -> T) -> T {
        let mut all = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = all.entry(provider.clone()).or_default();
        for times in [&mut counts.new, &mut counts.gone] {
            while times.front().is_some_and(|time| *time <= now - HOUR) {
                times.pop_front();
            }
        }
        count(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider() -> ProviderId {
        ProviderId::parse("default").unwrap()
    }

    #[test]
    fn key_20_a_flood_of_creations_is_slowed() {
        let pace = Pace::default();
        assert!((0..MOST_NEW).all(|_| pace.create(&provider(), 10_000)));
        assert!(!pace.create(&provider(), 10_000));
        assert!(pace.create(&ProviderId::parse("other").unwrap(), 10_000));
        assert!(pace.create(&provider(), 10_000 + HOUR));
    }

    #[test]
    fn r36_the_eleventh_deletion_of_an_hour_is_an_alarm_and_a_hold() {
        let pace = Pace::default();
        assert!((0..MOST_GONE).all(|n| pace.delete(&provider(), 10_000 + n as i64) == Deletion::Fits));
        assert_eq!(pace.delete(&provider(), 10_020), Deletion::Alarm(900));
        assert_eq!(pace.delete(&provider(), 10_021), Deletion::Held(899));
        assert_eq!(pace.delete(&provider(), 10_020 + i64::from(HOLD)), Deletion::Fits);
    }

    #[test]
    fn ten_deletions_an_hour_are_none_of_our_business() {
        let pace = Pace::default();
        for hour in 1..5 {
            assert!((0..MOST_GONE).all(|_| pace.delete(&provider(), hour * HOUR) == Deletion::Fits));
        }
    }
}
