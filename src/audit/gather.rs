//! Refusals of strangers, counted: one record per minute, source prefix and code.
//!
//! `native-api.md` section 3 *Strangers' cost*; threat model P42: whoever sends rubbish must not fill the disk.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use keygate_keystore::{ProviderId, Record};

use super::event::{Event, Field, kind};

/// Most counters of one minute; what comes beyond is counted under the source `others`.
const MOST: usize = 1_024;
/// Correlation ids kept as samples of one counter.
const SAMPLES: usize = 4;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Who {
    provider: ProviderId,
    source: String,
    code: &'static str,
}

#[derive(Debug, Default)]
struct Tally {
    count: u64,
    samples: Vec<String>,
}

#[derive(Debug, Default)]
struct Minute {
    number: i64,
    tallies: BTreeMap<Who, Tally>,
}

/// The counters of the current minute.
#[derive(Debug, Default)]
pub struct Strangers(Mutex<Minute>);

impl Strangers {
    /// Counts one refusal. The records of the minute before come back once it is over; the caller stores them.
    #[must_use]
    pub fn count(
        &self,
        provider: &ProviderId,
        source: &str,
        code: &'static str,
        correlation: &str,
        now: i64,
    ) -> Vec<Record> {
        let mut minute = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = minute.roll(now);
        let mut who = Who { provider: provider.clone(), source: source.to_owned(), code };
        if minute.tallies.len() >= MOST && !minute.tallies.contains_key(&who) {
            who.source = "others".to_owned();
        }
        let tally = minute.tallies.entry(who).or_default();
        tally.count = tally.count.saturating_add(1);
        if tally.samples.len() < SAMPLES {
            tally.samples.push(correlation.to_owned());
        }
        due
    }

    /// The records of a minute that is over.
    #[must_use]
    pub fn due(&self, now: i64) -> Vec<Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).roll(now)
    }

    /// Whatever is counted, before a stop.
    #[must_use]
    pub fn drain(&self) -> Vec<Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).close()
    }
}

impl Minute {
    fn roll(&mut self, now: i64) -> Vec<Record> {
        let number = now.div_euclid(60);
        if number == self.number {
            return Vec::new();
        }
        let due = self.close();
        self.number = number;
        due
    }

    fn close(&mut self) -> Vec<Record> {
        let minute = self.number.saturating_mul(60);
        let records = std::mem::take(&mut self.tallies).into_iter().map(|(who, tally)| {
            Event::new(kind::STRANGERS, &who.provider, minute)
                .word(Field::Decision, "deny")
                .word(Field::Source, &who.source)
                .word(Field::Code, who.code)
                .number(Field::Count, tally.count)
                .words(Field::Samples, &tally.samples)
                .record()
        });
        records.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_refusals_of_one_source_are_one_record() {
        let provider = ProviderId::parse("default").unwrap();
        let strangers = Strangers::default();
        for _ in 0..1_000_000u32 {
            assert!(strangers.count(&provider, "192.0.2.0/24", "malformed", "id", 1_800_000_001).is_empty());
        }
        let due = strangers.due(1_800_000_060);
        assert_eq!(due.len(), 1);
        assert!(due[0].body.contains(r#""count":1000000"#), "{}", due[0].body);
        assert!(strangers.due(1_800_000_120).is_empty());
    }

    #[test]
    fn many_sources_are_bounded() {
        let provider = ProviderId::parse("default").unwrap();
        let strangers = Strangers::default();
        for source in 0..10_000 {
            assert!(strangers.count(&provider, &source.to_string(), "malformed", "id", 60).is_empty() || source == 0);
        }
        let records = strangers.drain();
        assert_eq!(records.len(), MOST + 1);
        assert!(records.iter().any(|r| r.body.contains("others")));
    }
}
