//! Enrolments that wait for their secret: in memory, bounded, one attempt each.
//!
//! `bad-inputs.md` TPM-16; threat model section 6 (error paths delete state; nobody ends what is another's). A restart forgets them: the
//! machine begins again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use keygate_keystore::{NewEnrolment, ProviderId};
use zeroize::Zeroizing;

use crate::broker::challenge::draw;
use crate::broker::error::{Code, Fault};

/// Attempts that wait at once.
const MOST: usize = 1_024;
/// Of them those of one caller.
const MOST_OF_ONE: usize = 32;

/// One attempt.
pub(super) struct Waiting {
    pub(super) provider: ProviderId,
    /// Who began it.
    pub(super) owner: String,
    /// What is written when the secret comes back.
    pub(super) new: NewEnrolment,
    pub(super) secret: Zeroizing<[u8; 32]>,
    /// Unix seconds.
    pub(super) until: i64,
}

/// All attempts of a node.
#[derive(Default)]
pub(crate) struct Pending(Mutex<HashMap<[u8; 16], Waiting>>);

impl Pending {
    fn all(&self) -> MutexGuard<'_, HashMap<[u8; 16], Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an attempt and gives its name.
    ///
    /// # Errors
    /// `rate-limited`: this caller has as many as one may have; `overloaded`: there are as many as are kept.
    pub(super) fn put(&self, waiting: Waiting, now: i64) -> Result<[u8; 16], Fault> {
        let id = draw::<16>()?;
        let mut all = self.all();
        all.retain(|_, other| other.until > now);
        let is_same = |other: &&Waiting| other.provider == waiting.provider && other.owner == waiting.owner;
        if all.values().filter(is_same).count() >= MOST_OF_ONE {
            return Err(Fault::new(Code::RateLimited, "too many enrolments of this caller wait for their secrets"));
        }
        if all.len() >= MOST {
            return Err(Fault::new(Code::Overloaded, ""));
        }
        all.insert(id, waiting);
        Ok(id)
    }

    /// Takes an attempt out, for the one who began it; another's stays where it is.
    pub(super) fn take(&self, id: &[u8; 16], provider: &ProviderId, owner: &str) -> Option<Waiting> {
        let mut all = self.all();
        all.get(id).filter(|waiting| waiting.provider == *provider && waiting.owner == owner)?;
        all.remove(id)
    }

    /// Forgets an attempt that was never told.
    pub(super) fn forget(&self, id: &[u8; 16]) {
        self.all().remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(owner: &str, until: i64) -> Waiting {
        let new = NewEnrolment {
            machine: "m".into(),
            ak_name: vec![1],
            ak_public: vec![2],
            ek: [3; 32],
            certificate: None,
            anchor: "fleet".into(),
            expires: 9,
        };
        let provider = ProviderId::parse("default").unwrap();
        Waiting { provider, owner: owner.to_owned(), new, secret: Zeroizing::new([4; 32]), until }
    }

    #[test]
    fn tpm_16_an_attempt_is_its_callers_alone_and_there_once() {
        let pending = Pending::default();
        let (mine, other) = (ProviderId::parse("default").unwrap(), ProviderId::parse("other").unwrap());
        let id = pending.put(waiting("a", 10), 1).unwrap();
        assert!(pending.take(&id, &mine, "b").is_none());
        assert!(pending.take(&id, &other, "a").is_none());
        assert!(pending.take(&[0; 16], &mine, "a").is_none());
        assert!(pending.take(&id, &mine, "a").is_some(), "nobody else has ended it");
        assert!(pending.take(&id, &mine, "a").is_none());
    }

    #[test]
    fn attempts_are_bounded_by_caller_and_in_all_and_end_with_their_time() {
        let pending = Pending::default();
        let put = |owner: &str, now| pending.put(waiting(owner, 10), now).err().map(|fault| fault.code);
        for _ in 0..MOST_OF_ONE {
            assert_eq!(put("a", 1), None);
        }
        assert_eq!(put("a", 1), Some(Code::RateLimited));
        for n in MOST_OF_ONE..MOST {
            assert_eq!(put(&format!("b{}", n / MOST_OF_ONE), 1), None);
        }
        assert_eq!(put("c", 1), Some(Code::Overloaded));
        assert_eq!(put("c", 10), None, "all others are over");
        assert_eq!(pending.all().len(), 1);
    }
}
