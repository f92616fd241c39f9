//! The two ways to ask: so many clients one after the other, or so many requests a second whatever comes back.
//!
//! `performance-floor.md` section 9. The open loop counts latency from the planned start, so that a stall is seen by all who would
//! have come during it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};

use crate::Fallible;
use crate::shot::{Check, Shot};
use crate::wire::Door;

/// Requests of an open loop that may be under way; one more is not sent and counted.
const MOST_UNDER_WAY: usize = 2_048;
/// Answers of a run that are kept to be looked at behind the clock: all of a short run, evenly spread ones of a long one.
const LOOKED_AT: usize = 4_096;

/// How requests follow each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Each client waits for its answer.
    Closed {
        /// How many.
        clients: usize,
    },
    /// A request every so often.
    Open {
        /// A second.
        rate: f64,
    },
}

/// What came of it.
#[derive(Default)]
pub struct Outcome {
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// Of all answers, sorted.
    pub latencies: Vec<Duration>,
    /// Answers of 200.
    pub served: usize,
    /// Refusals by stable code.
    pub refused: BTreeMap<String, usize>,
    /// Answers that were not what the request deserved, overload aside.
    pub unexpected: usize,
    /// Requests of an open loop that were not sent, as too many were under way.
    pub unsent: usize,
    /// Answers whose content was looked at.
    pub checked: usize,
    kept: Vec<(Check, Vec<u8>)>,
}

struct One {
    latency: Duration,
    code: String,
    expected: bool,
    kept: Option<(Check, Vec<u8>)>,
}

impl Outcome {
    /// Looks at the answers that were kept; whatever does not hold is unexpected. The reason of the first of them.
    pub fn judge(&mut self) -> Option<String> {
        let kept = std::mem::take(&mut self.kept);
        self.checked += kept.len();
        let mut wrong = kept.iter().filter_map(|(check, body)| check(body).err());
        let first = wrong.next()?.to_string();
        self.unexpected += 1 + wrong.count();
        Some(first)
    }

    fn add(&mut self, one: One) {
        self.latencies.push(one.latency);
        self.unexpected += usize::from(!one.expected);
        self.kept.extend(one.kept);
        match one.code.is_empty() {
            true => self.served += 1,
            false => *self.refused.entry(one.code).or_default() += 1,
        }
    }

    /// Answers.
    pub fn answers(&self) -> usize {
        self.latencies.len()
    }

    /// Answers a second.
    pub fn rate(&self) -> f64 {
        self.answers() as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// Answers of 200 a second.
    pub fn served_rate(&self) -> f64 {
        self.served as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// The latency below which this share of answers stayed.
    pub fn percentile(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        let at = (self.latencies.len() as f64 * share).ceil() as usize;
        self.latencies.get(at.saturating_sub(1).min(last)).copied().unwrap_or_default()
    }
}

/// Sends `total` requests, taking `shots` in turn, for `longest` at most.
pub async fn fire(door: &Door, shots: Vec<Shot>, total: usize, pace: Pace, longest: Duration) -> Fallible<Outcome> {
    if shots.is_empty() {
        return Err("there is nothing to send".into());
    }
    let shots = Arc::new(Shots { shots, step: total.div_ceil(LOOKED_AT).max(1) });
    let began = Instant::now();
    let mut outcome = match pace {
        Pace::Closed { clients } => closed(door, shots, total, clients, began + longest).await?,
        Pace::Open { rate } => open(door, shots, total, rate, began + longest).await,
    };
    outcome.elapsed = began.elapsed();
    outcome.latencies.sort_unstable();
    Ok(outcome)
}

async fn closed(door: &Door, shots: Arc<Shots>, total: usize, clients: usize, end: Instant) -> Fallible<Outcome> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for _ in 0..clients.max(1) {
        let (door, shots, next) = (door.clone(), Arc::clone(&shots), Arc::clone(&next));
        tasks.push(tokio::spawn(async move {
            let mut mine = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= total || Instant::now() >= end {
                    return mine;
                }
                mine.push(shots.one(&door, index, Instant::now()).await);
            }
        }));
    }
    let mut outcome = Outcome::default();
    for task in tasks {
        task.await?.into_iter().for_each(|one| outcome.add(one));
    }
    Ok(outcome)
}

async fn open(door: &Door, shots: Arc<Shots>, total: usize, rate: f64, end: Instant) -> Outcome {
    let (sender, mut answers) = mpsc::unbounded_channel();
    let places = Arc::new(Semaphore::new(MOST_UNDER_WAY));
    let (began, mut outcome) = (Instant::now(), Outcome::default());
    for index in 0..total {
        let planned = began + Duration::from_secs_f64(index as f64 / rate);
        if planned >= end {
            break;
        }
        tokio::time::sleep_until(planned.into()).await;
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            outcome.unsent += 1;
            continue;
        };
        let (door, shots, sender) = (door.clone(), Arc::clone(&shots), sender.clone());
        tokio::spawn(async move {
            let _ = sender.send(shots.one(&door, index, planned).await);
            drop(place);
        });
    }
    drop(sender);
    while let Some(one) = answers.recv().await {
        outcome.add(one);
    }
    outcome
}

/// What is sent, in turn.
struct Shots {
    shots: Vec<Shot>,
    /// Every so many answers one is kept.
    step: usize,
}

impl Shots {
    async fn one(&self, door: &Door, index: usize, from: Instant) -> One {
        let shot = &self.shots[index % self.shots.len()];
        let answer = door.post(&shot.path, shot.bearer.as_deref(), shot.body.clone()).await;
        let latency = from.elapsed();
        let shed = matches!(answer.status, 429 | 503);
        let expected = shed || if shot.served { answer.status == 200 } else { (400..500).contains(&answer.status) };
        let code = answer.code();
        let is_kept = answer.status == 200 && index.is_multiple_of(self.step);
        let kept = shot.check.clone().filter(|_| is_kept).map(|check| (check, answer.body));
        One { latency, code, expected, kept }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_answers_that_came() {
        let mut outcome = Outcome::default();
        assert_eq!(outcome.percentile(0.5), Duration::ZERO);
        for n in 1..=100 {
            outcome.add(One { latency: Duration::from_millis(n), code: String::new(), expected: true, kept: None });
        }
        assert_eq!(outcome.percentile(0.5), Duration::from_millis(50));
        assert_eq!(outcome.percentile(0.99), Duration::from_millis(99));
        assert_eq!(outcome.percentile(0.999), Duration::from_millis(100));
        let late = Duration::from_secs(1);
        outcome.add(One { latency: late, code: "overloaded".into(), expected: false, kept: None });
        assert_eq!((outcome.served, outcome.unexpected, outcome.refused["overloaded"]), (100, 1, 1));
    }

    #[test]
    fn an_answer_of_200_that_holds_something_else_is_unexpected() {
        let check: Check = Arc::new(|body| if body == b"right" { Ok(()) } else { Err("something else".into()) });
        let mut outcome = Outcome::default();
        for body in ["right", "wrong", "right", "left"] {
            let kept = Some((Arc::clone(&check), body.into()));
            outcome.add(One { latency: Duration::ZERO, code: String::new(), expected: true, kept });
        }
        assert_eq!(outcome.judge().unwrap(), "something else");
        assert_eq!((outcome.checked, outcome.unexpected), (4, 2));
        assert_eq!((outcome.judge(), outcome.checked, outcome.unexpected), (None, 4, 2), "looked at once");
    }
}
