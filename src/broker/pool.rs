//! Where expensive work runs: a bounded pool with a fair share for each source and provider.
//!
//! Threat model P52; `native-api.md` section 3 *Strangers' cost*; `performance-floor.md` section 3, trap 9: one hop a request.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::{Code, Fault};
use crate::telemetry;

/// How much may run and wait.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Verifications at once; 0: twice the cores.
    pub verifications: usize,
    /// Requests that run or wait.
    pub waiting: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { verifications: 0, waiting: 512 }
    }
}

type Sharer = (String, String);

/// The pool.
pub(crate) struct Pool {
    all: Arc<Semaphore>,
    shares: Mutex<HashMap<Sharer, Arc<Share>>>,
    share: usize,
    admitted: Arc<AtomicUsize>,
    most: usize,
    most_of_one: usize,
    size: usize,
}

/// What one sharer has: its turns, and how many of its requests run or wait.
struct Share {
    turns: Arc<Semaphore>,
    admitted: Arc<AtomicUsize>,
}

/// The right to verify. Given back as soon as the expensive part is done.
pub(crate) struct Permit {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

/// A place among those that run or wait.
struct Admission(Arc<AtomicUsize>);

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Pool {
    pub(crate) fn new(limits: Limits) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let size = if limits.verifications == 0 { cores * 2 } else { limits.verifications };
        Self {
            all: Arc::new(Semaphore::new(size)),
            shares: Mutex::default(),
            share: size.div_ceil(2),
            admitted: Arc::default(),
            most: limits.waiting.max(1),
            // One place in eight is never one sharer's alone: the others' first requests find room.
            most_of_one: (limits.waiting - limits.waiting / 8).max(1),
            size,
        }
    }

    /// Runs `work` on a thread for blocking work, once it is this sharer's turn. No sharer has more than half of the pool.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        provider: &str,
        source: &str,
        work: impl FnOnce(Permit) -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let busy = || Fault::new(Code::Overloaded, "");
        let share = self.share_of(provider, source);
        let admission = (
            admit(&share.admitted, self.most_of_one).ok_or_else(busy)?,
            admit(&self.admitted, self.most).ok_or_else(busy)?,
        );
        let own = Arc::clone(&share.turns).acquire_owned().await.map_err(|_| busy())?;
        let all = Arc::clone(&self.all).acquire_owned().await.map_err(|_| busy())?;
        telemetry::pool_busy(self.size.saturating_sub(self.all.available_permits()));
        let permit = Permit { _own: own, _all: all };
        let done = tokio::task::spawn_blocking(move || {
            let _admission = admission;
            work(permit)
        });
        done.await.map_err(|_| Fault::new(Code::DependencyUnavailable, "").because("a worker ended early"))
    }

    fn share_of(&self, provider: &str, source: &str) -> Arc<Share> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if shares.len() > 4 * self.most {
            shares.retain(|_, share| Arc::strong_count(share) > 1 || share.admitted.load(Ordering::Acquire) > 0);
        }
        let sharer = (provider.to_owned(), source.to_owned());
        let new = || Share { turns: Arc::new(Semaphore::new(self.share)), admitted: Arc::default() };
        Arc::clone(shares.entry(sharer).or_insert_with(|| Arc::new(new())))
    }
}

fn admit(count: &Arc<AtomicUsize>, most: usize) -> Option<Admission> {
    let before = count.fetch_add(1, Ordering::AcqRel);
    let admission = Admission(Arc::clone(count));
    (before < most).then_some(admission)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_source_cannot_take_the_whole_pool() {
        let pool = Arc::new(Pool::new(Limits { verifications: 4, waiting: 100 }));
        let (release, wait) = mpsc::channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        let mut greedy = Vec::new();
        for _ in 0..10 {
            let (pool, wait) = (Arc::clone(&pool), Arc::clone(&wait));
            greedy.push(tokio::spawn(async move {
                let hold = move |_permit: Permit| wait.lock().unwrap().recv().unwrap();
                pool.run("default", "192.0.2.0/24", hold).await.unwrap();
            }));
        }
        let modest = pool.run("default", "198.51.100.0/24", |_| "served");
        assert_eq!(tokio::time::timeout(Duration::from_secs(5), modest).await.unwrap().unwrap(), "served");
        for _ in 0..10 {
            release.send(()).unwrap();
        }
        for task in greedy {
            task.await.unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn http_16_one_source_cannot_take_every_waiting_place() {
        let pool = Arc::new(Pool::new(Limits { verifications: 4, waiting: 16 }));
        let (release, wait) = mpsc::channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        let greedy: Vec<_> = (0..100)
            .map(|_| {
                let (pool, wait) = (Arc::clone(&pool), Arc::clone(&wait));
                let hold = move |_permit: Permit| {
                    let _ = wait.lock().unwrap().recv();
                };
                tokio::spawn(async move { pool.run("default", "192.0.2.0/24", hold).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let modest = pool.run("default", "198.51.100.0/24", |_| "served");
        assert_eq!(tokio::time::timeout(Duration::from_secs(5), modest).await.unwrap().unwrap(), "served");
        drop(release);
        let mut refused = 0;
        for task in greedy {
            refused += usize::from(task.await.unwrap().is_err());
        }
        assert_eq!(refused, 100 - 14, "14 of 16 places are one source's");
    }

    #[tokio::test]
    async fn http_16_beyond_the_bound_the_answer_is_overloaded_at_once() {
        let pool = Pool::new(Limits { verifications: 1, waiting: 2 });
        let _held: Vec<_> = (0..2).map(|_| admit(&pool.admitted, 2).unwrap()).collect();
        assert_eq!(pool.run("default", "x", |_| ()).await.unwrap_err().code, Code::Overloaded);
    }
}
