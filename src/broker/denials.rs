//! How often one piece of evidence may be told no: each denial is a record of its own, and space for records is not endless.
//!
//! `native-api.md` section 3 *Strangers' cost*; threat model P42, P52. Beyond the limit the answer is `rate-limited`, counted and
//! not recorded. What is counted is the same for an unknown key and a rule that is not met (P27).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use keygate_keystore::ProviderId;

/// Denials of one piece of evidence in a minute.
const MOST: u32 = 20;
/// Pieces of evidence remembered; beyond it counting begins anew.
const REMEMBERED: usize = 65_536;

type Tallies = HashMap<(ProviderId, [u8; 32]), u32>;

/// The denials of the current minute.
#[derive(Default)]
pub(crate) struct Denials(Mutex<(i64, Tallies)>);

impl Denials {
    /// Counts one denial of this evidence. False: it was told no often enough in this minute.
    pub(crate) fn take(&self, provider: &ProviderId, evidence: &[u8; 32], now: i64) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (minute, tallies) = &mut *known;
        let current = now.div_euclid(60);
        if *minute != current || tallies.len() >= REMEMBERED {
            *minute = current;
            tallies.clear();
        }
        let tally = tallies.entry((provider.clone(), *evidence)).or_default();
        *tally = tally.saturating_add(1);
        *tally <= MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_evidence_has_its_own_minute() {
        let (denials, provider) = (Denials::default(), ProviderId::parse("default").unwrap());
        assert!((0..MOST).all(|_| denials.take(&provider, &[1; 32], 60)));
        assert!(!denials.take(&provider, &[1; 32], 119));
        assert!(denials.take(&provider, &[2; 32], 119));
        assert!(denials.take(&ProviderId::parse("other").unwrap(), &[1; 32], 119));
        assert!(denials.take(&provider, &[1; 32], 120));
    }
}
