//! What time it is, and whether that can be believed: the only file that reads a clock.
//!
//! `threat-model.md` P19, `bad-inputs.md` ENV-01 to ENV-03.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use keygate_verifier::UnixTime;

/// 2026-01-01T00:00:00Z: no build of this source is older.
const BUILT_AFTER: i64 = 1_767_225_600;
/// Furthest believable time: 60 years behind [`BUILT_AFTER`]; challenges count in 32 bits until 2106.
const FURTHEST: i64 = BUILT_AFTER + 60 * 365 * 86_400;
/// How far wall and monotonic clock may drift apart, and how far behind the store's newest record the wall may be.
const BOUND: i64 = 60;

/// A source of time that says when it cannot be believed.
pub trait Clock: Send + Sync {
    /// The time now.
    ///
    /// # Errors
    /// [`ClockUntrusted`]: nothing may be released or signed.
    fn now(&self) -> Result<UnixTime, ClockUntrusted>;
}

/// Why the time cannot be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClockUntrusted {
    /// Older than this program.
    #[error("the clock is older than this program")]
    BeforeBuild,
    /// Further ahead than this program can count.
    #[error("the clock is further ahead than can be believed")]
    TooFarAhead,
    /// Older than what was already recorded.
    #[error("the clock is {seconds} s behind the newest record of the store")]
    BehindStore {
        /// By how much.
        seconds: i64,
    },
    /// The wall clock moved without the monotonic one.
    #[error("the clock was moved by {seconds} s while the process ran")]
    Stepped {
        /// By how much; negative is backwards.
        seconds: i64,
    },
}

/// The machine's clock: wall time, checked against the monotonic clock and against the newest time in the store.
pub struct SystemClock {
    started: Instant,
    wall_at_start: i64,
    floor: AtomicI64,
}

impl SystemClock {
    /// A clock that was never earlier than `newest`, the newest time in the store, unix seconds.
    pub fn new(newest: i64) -> Self {
        Self { started: Instant::now(), wall_at_start: wall(), floor: AtomicI64::new(newest) }
    }

    /// Learns that this time was recorded; a lower one changes nothing.
    pub fn raise_floor(&self, newest: i64) {
        self.floor.fetch_max(newest, Ordering::Relaxed);
    }

    fn judge(&self, wall: i64, elapsed: i64) -> Result<UnixTime, ClockUntrusted> {
        if wall < BUILT_AFTER {
            return Err(ClockUntrusted::BeforeBuild);
        }
        if wall > FURTHEST {
            return Err(ClockUntrusted::TooFarAhead);
        }
        let behind = self.floor.load(Ordering::Relaxed).saturating_sub(wall);
        if behind > BOUND {
            return Err(ClockUntrusted::BehindStore { seconds: behind });
        }
        let step = wall.saturating_sub(self.wall_at_start.saturating_add(elapsed));
        if step.abs() > BOUND {
            return Err(ClockUntrusted::Stepped { seconds: step });
        }
        Ok(UnixTime::from_secs(wall))
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Result<UnixTime, ClockUntrusted> {
        let elapsed = i64::try_from(self.started.elapsed().as_secs()).unwrap_or(i64::MAX);
        self.judge(wall(), elapsed)
    }
}

fn wall() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.ok().and_then(|d| i64::try_from(d.as_secs()).ok()).unwrap_or(0)
}

/// A clock that stands still until it is set: for tests.
pub struct StillClock {
    now: AtomicI64,
    trusted: AtomicBool,
}

impl StillClock {
    /// A clock that shows this time, unix seconds.
    pub fn at(now: i64) -> Self {
        Self { now: AtomicI64::new(now), trusted: AtomicBool::new(true) }
    }
    /// Shows this time from now on.
    pub fn set(&self, now: i64) {
        self.now.store(now, Ordering::SeqCst);
    }
    /// Moves on.
    pub fn advance(&self, seconds: i64) {
        self.now.fetch_add(seconds, Ordering::SeqCst);
    }
    /// From now on this clock is not to be believed, or again.
    pub fn trust(&self, trusted: bool) {
        self.trusted.store(trusted, Ordering::SeqCst);
    }
}

impl Clock for StillClock {
    fn now(&self) -> Result<UnixTime, ClockUntrusted> {
        if !self.trusted.load(Ordering::SeqCst) {
            return Err(ClockUntrusted::Stepped { seconds: 3_600 });
        }
        Ok(UnixTime::from_secs(self.now.load(Ordering::SeqCst)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(newest: i64) -> SystemClock {
        SystemClock { started: Instant::now(), wall_at_start: BUILT_AFTER + 1_000, floor: AtomicI64::new(newest) }
    }

    #[test]
    fn env_01_a_clock_that_jumps_is_not_believed() {
        let clock = clock(0);
        let at = |wall: i64, elapsed: i64| clock.judge(wall, elapsed);
        assert!(at(BUILT_AFTER + 1_010, 10).is_ok());
        assert!(at(BUILT_AFTER + 1_070, 10).is_ok(), "sixty seconds are within the bound");
        assert_eq!(at(BUILT_AFTER + 1_071, 10), Err(ClockUntrusted::Stepped { seconds: 61 }));
        assert_eq!(at(BUILT_AFTER + 10, 10), Err(ClockUntrusted::Stepped { seconds: -1_000 }));
        assert_eq!(at(0, 10), Err(ClockUntrusted::BeforeBuild));
        assert_eq!(at(i64::from(u32::MAX), 10), Err(ClockUntrusted::TooFarAhead));
    }

    #[test]
    fn env_01_a_clock_behind_the_newest_record_is_not_believed() {
        let clock = clock(BUILT_AFTER + 2_000);
        let now = BUILT_AFTER + 1_000;
        assert_eq!(clock.judge(now, 0), Err(ClockUntrusted::BehindStore { seconds: 1_000 }));
        clock.floor.store(now + 60, Ordering::Relaxed);
        assert!(clock.judge(now, 0).is_ok());
        clock.raise_floor(now + 61);
        assert!(clock.judge(now, 0).is_err());
    }
}
