//! When a key is due for its next version.
//!
//! `keyvault-api.md` section 2, KeyRotationPolicy. A policy is a versioned document of its key, kept beside the
//! policies of the provider; [`RotationPolicy::next`] is pure: times come in and go out. What is due is
//! found by [`Keystore::due_keys`](crate::Keystore::due_keys); who watches the clock and makes the version is not
//! decided here.

mod document;
mod period;
mod stored;

use crate::error::KeystoreError;

pub use period::Period;
pub use stored::RotationVersion;
pub(crate) use stored::{KIND, kind_of, stored_rotation};

/// Least life of a version that a policy may give it, in seconds.
const LEAST_LIFE: i64 = 28 * 86_400;
/// Least age of a version that gets a successor by itself, in seconds: a key has so many versions and no more.
const LEAST_AGE: i64 = 86_400;

/// When something happens to a version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trigger {
    /// So long after it was made.
    AfterCreate(Period),
    /// So long before it ends.
    BeforeExpiry(Period),
}

/// What happens to the versions of a key by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RotationPolicy {
    rotate: Option<Trigger>,
    notify: Option<Trigger>,
    life: Option<Period>,
}

/// What comes next, unix seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Next {
    /// When a new version is due. It may lie in the past: then it is due now.
    pub rotate: Option<i64>,
    /// When its owner is to be told.
    pub notify: Option<i64>,
    /// When the newest version ends.
    pub expires: Option<i64>,
}

impl RotationPolicy {
    /// At most one rotation, one notice, and how long a version lives.
    ///
    /// `malformed`: a life below 28 days, a trigger that does not lie within it, or a successor within a day.
    pub fn new(rotate: Option<Trigger>, notify: Option<Trigger>, life: Option<Period>) -> Result<Self, KeystoreError> {
        if life.is_some_and(|life| life.least() < LEAST_LIFE) {
            return Err(KeystoreError::Malformed("a version lives at least 28 days"));
        }
        for trigger in [rotate, notify].into_iter().flatten() {
            let (Trigger::AfterCreate(period) | Trigger::BeforeExpiry(period)) = trigger;
            if life.is_some_and(|life| period.most() >= life.least()) {
                return Err(KeystoreError::Malformed("the trigger does not lie within the life of a version"));
            }
        }
        let age = match (rotate, life) {
            (Some(Trigger::AfterCreate(period)), _) => period.least(),
            (Some(Trigger::BeforeExpiry(period)), Some(life)) => life.least() - period.most(),
            // The end of the key stays where it is: there is one successor.
            (Some(Trigger::BeforeExpiry(_)), None) | (None, _) => LEAST_AGE,
        };
        if age < LEAST_AGE {
            return Err(KeystoreError::Malformed("a version gets no successor within a day"));
        }
        Ok(Self { rotate, notify, life })
    }

    /// When a new version is made.
    pub fn rotate(&self) -> Option<Trigger> {
        self.rotate
    }

    /// When the owner is told.
    pub fn notify(&self) -> Option<Trigger> {
        self.notify
    }

    /// How long a version lives.
    pub fn life(&self) -> Option<Period> {
        self.life
    }

    /// When a version that is made at `created` ends, unix seconds: its key's `expires` from then on. None if the policy gives
    /// it no life.
    pub fn ends(&self, created: i64) -> Option<i64> {
        self.life.map(|life| life.after(created))
    }

    /// What comes next for a newest version made at `created`, of a key that ends at `expires`, both unix
    /// seconds. The life that the policy gives a version goes before the end of the key. A moment before
    /// the version was made has passed with the version before it, and is none.
    pub fn next(&self, created: i64, expires: Option<i64>) -> Next {
        let ends = self.ends(created).or(expires);
        let at = |trigger: Trigger| match trigger {
            Trigger::AfterCreate(period) => Some(period.after(created)),
            Trigger::BeforeExpiry(period) => ends.map(|ends| period.before(ends)),
        };
        let later = |trigger: Option<Trigger>| trigger.and_then(at).filter(|at| *at > created);
        Next { rotate: later(self.rotate), notify: later(self.notify), expires: ends }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn period(text: &str) -> Period {
        Period::parse(text).unwrap()
    }

    #[test]
    fn what_is_next_follows_the_version_and_its_end() {
        let life = Some(period("P60D"));
        let after = Some(Trigger::AfterCreate(period("P30D")));
        let before = Some(Trigger::BeforeExpiry(period("P7D")));
        let policy = RotationPolicy::new(after, before, life).unwrap();
        let next = policy.next(1_000, Some(5));
        let wanted =
            Next { rotate: Some(1_000 + 30 * DAY), notify: Some(1_000 + 53 * DAY), expires: Some(1_000 + 60 * DAY) };
        assert_eq!(next, wanted);
        let policy = RotationPolicy::new(before, None, None).unwrap();
        assert_eq!(policy.next(0, None), Next::default());
        assert_eq!(policy.next(0, Some(10 * DAY)).rotate, Some(3 * DAY));
        // the version was made in those last seven days: once is enough
        assert_eq!(policy.next(3 * DAY, Some(10 * DAY)).rotate, None);
        assert_eq!(RotationPolicy::default().next(0, Some(9)), Next { expires: Some(9), ..Next::default() });
    }

    #[test]
    fn a_life_is_long_enough_and_holds_its_triggers() {
        let of =
            |rotate: Option<Trigger>, life| RotationPolicy::new(rotate, None, life).map(drop).map_err(|e| e.code());
        assert_eq!(of(None, Some(period("P28D"))), Ok(()));
        assert_eq!(of(None, Some(period("P27D"))), Err("malformed"));
        assert_eq!(of(Some(Trigger::AfterCreate(period("P27D"))), Some(period("P28D"))), Ok(()));
        assert_eq!(of(Some(Trigger::AfterCreate(period("P28D"))), Some(period("P28D"))), Err("malformed"));
        assert_eq!(of(Some(Trigger::BeforeExpiry(period("P1M"))), Some(period("P28D"))), Err("malformed"));
        // Not at every tick, by either trigger.
        assert_eq!(of(Some(Trigger::AfterCreate(period("P1D"))), None), Ok(()));
        assert_eq!(of(Some(Trigger::AfterCreate(period("PT23H59M59S"))), None), Err("malformed"));
        assert_eq!(of(Some(Trigger::BeforeExpiry(period("P27D"))), Some(period("P28D"))), Ok(()));
        assert_eq!(of(Some(Trigger::BeforeExpiry(period("P27DT1S"))), Some(period("P28D"))), Err("malformed"));
        assert_eq!(of(Some(Trigger::BeforeExpiry(period("P27DT1S"))), None), Ok(()));
    }
}
