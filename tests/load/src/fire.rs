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
use crate::scenario::Shot;
use crate::wire::Door;

/// Requests of an open loop that may be under way; one more is not sent and counted.
const MOST_UNDER_WAY: usize = 2_048;

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
}

struct One {
    latency: Duration,
    code: String,
    expected: bool,
}

impl Outcome {
    fn add(&mut self, one: One) {
        self.latencies.push(one.latency);
        self.unexpected += usize::from(!one.expected);
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
    let shots = Arc::new(shots);
    let began = Instant::now();
    let mut outcome = match pace {
        Pace::Closed { clients } => closed(door, shots, total, clients, began + longest).await?,
        Pace::Open { rate } => open(door, shots, total, rate, began + longest).await,
    };
    outcome.elapsed = began.elapsed();
    outcome.latencies.sort_unstable();
    Ok(outcome)
}

async fn closed(door: &Door, shots: Arc<Vec<Shot>>, total: usize, clients: usize, end: Instant) -> Fallible<Outcome> {
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
                mine.push(one(&door, &shots[index % shots.len()], Instant::now()).await);
            }
        }));
    }
    let mut outcome = Outcome::default();
    for task in tasks {
        task.await?.into_iter().for_each(|one| outcome.add(one));
    }
    Ok(outcome)
}

async fn open(door: &Door, shots: Arc<Vec<Shot>>, total: usize, rate: f64, end: Instant) -> Outcome {
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
            let _ = sender.send(one(&door, &shots[index % shots.len()], planned).await);
            drop(place);
        });
    }
    drop(sender);
    while let Some(one) = answers.recv().await {
        outcome.add(one);
    }
    outcome
}

async fn one(door: &Door, shot: &Shot, from: Instant) -> One {
    let answer = door.post(&shot.path, shot.body.clone()).await;
    let latency = from.elapsed();
    let shed = matches!(answer.status, 429 | 503);
    let expected = shed || if shot.served { answer.status == 200 } else { (400..500).contains(&answer.status) };
    One { latency, code: answer.code(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_answers_that_came() {
        let mut outcome = Outcome::default();
        assert_eq!(outcome.percentile(0.5), Duration::ZERO);
        for n in 1..=100 {
            outcome.add(One { latency: Duration::from_millis(n), code: String::new(), expected: true });
        }
        assert_eq!(outcome.percentile(0.5), Duration::from_millis(50));
        assert_eq!(outcome.percentile(0.99), Duration::from_millis(99));
        assert_eq!(outcome.percentile(0.999), Duration::from_millis(100));
        outcome.add(One { latency: Duration::from_secs(1), code: "overloaded".into(), expected: false });
        assert_eq!((outcome.served, outcome.unexpected, outcome.refused["overloaded"]), (100, 1, 1));
    }
}
