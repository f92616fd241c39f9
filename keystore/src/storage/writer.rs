//! The one writer thread: a bounded queue and group commit.
//!
//! `store-durability.md` R18, R19, R21: what waits when a flush ends goes into one transaction, at
//! most 256 requests, a savepoint each; answers leave only after the commit is on the disk. A
//! commit or flush that fails is final: nothing is acknowledged from then on.

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::files::Lock;
use super::sqlite::head::HeadState;
use super::sqlite::transaction::{Tally, Transaction};
use super::sqlite::unwritable;
use crate::error::KeystoreError;
use crate::seal::KeyRing;

/// Most requests in one transaction.
const GROUP: usize = 256;
/// Most requests that wait; more are `overloaded`.
const QUEUE: usize = 4096;
/// Pages in the write-ahead log after which it is copied into the database: 16 MiB.
const CHECKPOINT_PAGES: usize = 4096;

type FailureHook = Box<dyn Fn() + Send + Sync>;

/// What the writer shares with everyone who holds the store.
pub(crate) struct Shared {
    pub(crate) ring: KeyRing,
    pub(crate) tally: Tally,
    head: Mutex<HeadState>,
    failed: AtomicBool,
    /// The writer was asked to end.
    stopping: AtomicBool,
    on_failure: Mutex<Option<FailureHook>>,
    #[cfg(test)]
    pub(crate) fail_next_commit: AtomicBool,
}

impl Shared {
    /// Of a store that was just opened with this head.
    pub(crate) fn new(ring: KeyRing, head: HeadState) -> Self {
        Self {
            ring,
            tally: Tally::default(),
            head: Mutex::new(head),
            failed: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            on_failure: Mutex::new(None),
            #[cfg(test)]
            fail_next_commit: AtomicBool::new(false),
        }
    }

    /// The head after the last commit.
    pub(crate) fn head(&self) -> HeadState {
        self.head.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The epoch after the last commit.
    pub(crate) fn epoch(&self) -> u64 {
        self.head.lock().unwrap_or_else(PoisonError::into_inner).epoch
    }

    /// Whether a commit or flush failed.
    pub(crate) fn failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    /// Sets what is called when a commit or flush fails, at once if one has.
    pub(crate) fn set_on_failure(&self, hook: FailureHook) {
        *self.on_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(hook);
        if self.failed() {
            self.tell();
        }
    }

    fn tell(&self) {
        let hook = self.on_failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(hook) = hook {
            hook();
        }
    }

    fn fail(&self) {
        if !self.failed.swap(true, Ordering::SeqCst) {
            self.tell();
        }
    }
}

fn stopped() -> KeystoreError {
    KeystoreError::Sealed("the store is shut down".to_owned())
}

fn failed_before() -> KeystoreError {
    KeystoreError::StoreFailed("an earlier commit failed".to_owned())
}

/// A request in the queue.
trait Job: Send {
    /// Does its writes; an error undoes them.
    fn run(&mut self, tx: &mut Transaction<'_>) -> Result<(), KeystoreError>;
    /// Hands out its result, or the error of the commit.
    fn finish(self: Box<Self>, committed: Result<(), KeystoreError>);
}

struct Request<T, F> {
    work: Option<F>,
    result: Option<T>,
    refused: Option<KeystoreError>,
    answer: SyncSender<Result<T, KeystoreError>>,
}

impl<T, F> Job for Request<T, F>
where
    T: Send,
    F: FnOnce(&mut Transaction<'_>) -> Result<T, KeystoreError> + Send,
{
    fn run(&mut self, tx: &mut Transaction<'_>) -> Result<(), KeystoreError> {
        let outcome = match self.work.take() {
            Some(work) => work(tx),
            None => Err(stopped()),
        };
        match outcome {
            Ok(value) => {
                self.result = Some(value);
                Ok(())
            }
            Err(e) => {
                self.refused = Some(e.clone());
                Err(e)
            }
        }
    }

    fn finish(self: Box<Self>, committed: Result<(), KeystoreError>) {
        let answer = match (committed, self.refused, self.result) {
            (Err(e), _, _) | (Ok(()), Some(e), _) => Err(e),
            (Ok(()), None, Some(value)) => Ok(value),
            (Ok(()), None, None) => Err(stopped()),
        };
        // Nobody waits any more: the caller's thread is gone, and the result with it.
        let _ = self.answer.send(answer);
    }
}

enum Message {
    Work(Box<dyn Job>),
    Stop,
}

/// The handle to the writer thread.
pub(crate) struct Writer {
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread. It owns the writing connection and the lock until it ends.
    pub(crate) fn start(mut conn: Connection, lock: Lock, shared: Arc<Shared>) -> Result<Self, KeystoreError> {
        let (queue, receiver) = sync_channel(QUEUE);
        let pages = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&pages);
        conn.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, now| {
            seen.store(usize::try_from(now).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))
        .map_err(unwritable)?;
        let worker = Worker { conn, head: shared.head(), shared: Arc::clone(&shared), pages, _lock: lock };
        let thread = std::thread::Builder::new()
            .name("keystore-writer".to_owned())
            .spawn(move || worker.serve(&receiver))
            .map_err(|e| KeystoreError::StoreFailed(format!("no thread: {}", e.kind())))?;
        Ok(Self { queue, shared, thread: Mutex::new(Some(thread)) })
    }

    /// Runs `work` in a transaction and waits until it is on the disk.
    pub(crate) fn submit<T, F>(&self, work: F) -> Result<T, KeystoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Transaction<'_>) -> Result<T, KeystoreError> + Send + 'static,
    {
        if self.shared.failed() {
            return Err(failed_before());
        }
        let (answer, wait) = sync_channel(1);
        let job = Box::new(Request { work: Some(work), result: None, refused: None, answer });
        match self.queue.try_send(Message::Work(job)) {
            Ok(()) => Tally::count(&self.shared.tally.queued),
            Err(TrySendError::Full(_)) => return Err(KeystoreError::Overloaded),
            Err(TrySendError::Disconnected(_)) => return Err(self.gone()),
        }
        wait.recv().unwrap_or_else(|_| Err(self.gone()))
    }

    /// Why there is no writer any more. One that ended by itself is a failure of the node.
    fn gone(&self) -> KeystoreError {
        if self.shared.stopping.load(Ordering::SeqCst) {
            return stopped();
        }
        self.shared.fail();
        KeystoreError::StoreFailed("the writer ended".to_owned())
    }

    /// Lets the thread finish what waits, and end.
    pub(crate) fn stop(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.shared.stopping.store(true, Ordering::SeqCst);
        if let Some(thread) = thread {
            let _ = self.queue.send(Message::Stop);
            // Its own failure hook may drop the last holder of the store.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Worker {
    conn: Connection,
    head: HeadState,
    shared: Arc<Shared>,
    /// Pages in the write-ahead log.
    pages: Arc<AtomicUsize>,
    _lock: Lock,
}

impl Worker {
    fn serve(mut self, queue: &Receiver<Message>) {
        let mut group = Vec::with_capacity(GROUP);
        while let Ok(Message::Work(first)) = queue.recv() {
            group.push(first);
            let mut last = false;
            while group.len() < GROUP && !last {
                match queue.try_recv() {
                    Ok(Message::Work(job)) => group.push(job),
                    Ok(Message::Stop) | Err(TryRecvError::Disconnected) => last = true,
                    Err(TryRecvError::Empty) => break,
                }
            }
            let committed = if self.shared.failed() { Err(failed_before()) } else { self.commit(&mut group) };
            // A failure is known before the first of its answers.
            if committed.is_err() && !self.shared.failed() {
                self.shared.fail();
            }
            for job in group.drain(..) {
                job.finish(committed.clone());
            }
            if last {
                break;
            }
            self.checkpoint_when_long();
        }
        if !self.shared.failed() {
            // A clean file for the next start; what is committed does not depend on it.
            let _ = self.conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
        }
    }

    fn control(&self, sql: &str) -> Result<(), KeystoreError> {
        Tally::count(&self.shared.tally.statements);
        self.conn.prepare_cached(sql).and_then(|mut statement| statement.execute([])).map(|_| ()).map_err(unwritable)
    }

    fn commit(&mut self, group: &mut [Box<dyn Job>]) -> Result<(), KeystoreError> {
        let outcome = self.transact(group);
        if outcome.is_err() {
            // Fails too if SQLite has rolled back by itself.
            let _ = self.control("ROLLBACK");
        }
        outcome
    }

    fn transact(&mut self, group: &mut [Box<dyn Job>]) -> Result<(), KeystoreError> {
        self.control("BEGIN IMMEDIATE")?;
        let mut tx = Transaction::new(&self.conn, &self.shared.ring, self.head.clone(), &self.shared.tally);
        let mut kept = false;
        // What is refused alone is undone with the whole transaction.
        let alone = group.len() == 1;
        for job in group {
            Tally::count(&self.shared.tally.requests);
            let before = tx.head.clone();
            if !alone {
                self.control("SAVEPOINT request")?;
            }
            match job.run(&mut tx) {
                Ok(()) => kept = true,
                Err(e @ KeystoreError::StoreFailed(_)) => return Err(e),
                Err(_) if alone => break,
                Err(_) => {
                    self.control("ROLLBACK TO request")?;
                    tx.head = before;
                }
            }
            if !alone {
                self.control("RELEASE request")?;
            }
        }
        if !kept {
            return self.control("ROLLBACK");
        }
        tx.prune()?;
        let generation = tx.head.generation;
        tx.head.generation += 1;
        tx.head.write(tx.counted(), &self.shared.ring, Some(generation))?;
        let head = tx.head;
        #[cfg(test)]
        if self.shared.fail_next_commit.swap(false, Ordering::SeqCst) {
            return Err(KeystoreError::StoreFailed("injected".to_owned()));
        }
        self.control("COMMIT")?;
        Tally::count(&self.shared.tally.flushes);
        self.head = head.clone();
        *self.shared.head.lock().unwrap_or_else(PoisonError::into_inner) = head;
        Ok(())
    }

    /// Copies the write-ahead log into the database. An error here is as final as one in a commit.
    fn checkpoint_when_long(&self) {
        if self.pages.load(Ordering::Relaxed) < CHECKPOINT_PAGES || self.shared.failed() {
            return;
        }
        let copied = self.conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        match copied {
            Ok(()) => self.pages.store(0, Ordering::Relaxed),
            Err(_) => self.shared.fail(),
        }
    }
}
