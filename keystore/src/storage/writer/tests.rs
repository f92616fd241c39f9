//! The writer with its hand held: groups of known size, commits that fail.
//!
//! Faults STO-03 and STO-05, AUD-01 of `bad-inputs.md`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::*;

const NOW: i64 = 1_800_000_000;

fn provider() -> ProviderId {
    ProviderId::parse("default").unwrap()
}

fn record() -> Record {
    Record { provider: provider(), at: NOW, kind: "event".to_owned(), body: "{}".to_owned() }
}

fn store() -> (TempDir, Keystore) {
    let dir = tempfile::tempdir().unwrap();
    let root = FileRoot::create(&dir.path().join("root")).unwrap();
    let store = Keystore::create(&dir.path().join("store"), &root, 90, NOW).unwrap();
    let change = ChangeOrder {
        provider: provider(),
        change: Change::CreateKey {
            name: KeyName::parse("k").unwrap(),
            key_type: KeyType::Oct256,
            attributes: Attributes {
                enabled: true,
                not_before: None,
                expires: None,
                exportable: false,
                operations: vec![Operation::Wrap],
                tags: BTreeMap::new(),
            },
            rules: None,
            immutable: false,
            material: NewMaterial::Generate,
        },
        author: String::new(),
        reason: String::new(),
        if_match: IfMatch::Absent,
        record: record(),
        repeat: None,
        dry_run: false,
        now: NOW,
    };
    store.change(change).unwrap();
    (dir, store)
}

fn permit(store: &Keystore, challenge: u8) -> Authorized {
    let name = KeyName::parse("k").unwrap();
    let look = store.look(&provider(), &name).unwrap();
    let key = look.key.unwrap();
    let seen = Seen { epoch: look.epoch, key_row: key.row_version, version_row: key.versions[0].row_version };
    let target = Target { provider: provider(), name, version: key.versions[0].id };
    let usage = Use::Wrap { alg: "A256GCM".to_owned(), plaintext: zeroize::Zeroizing::new(vec![1]), aad: Vec::new() };
    let spend = Spend::Challenge { digest: [challenge; 32], until: NOW + 300 };
    Authorized::assertion(
        target,
        usage,
        Sealing::NotSealed,
        seen,
        spend,
        record(),
        Some(RepeatKey { key: VersionId::random().unwrap().to_string(), body_digest: [1; 32], until: NOW + 300 }),
        NOW,
    )
}

/// Keeps the writer inside a request of its own until the gate opens.
fn hold<'s>(store: &Keystore, scope: &'s std::thread::Scope<'s, '_>) -> Arc<Barrier> {
    let gate = Arc::new(Barrier::new(2));
    let (inside, entered) = channel();
    let (held, store) = (Arc::clone(&gate), store.clone());
    let hold_up = move || {
        store.writer().submit(move |_| {
            inside.send(()).unwrap();
            held.wait();
            Ok(())
        })
    };
    scope.spawn(hold_up);
    entered.recv().unwrap();
    gate
}

fn wait_for(queued: &AtomicU64, wanted: u64) {
    while queued.load(Ordering::Relaxed) < wanted {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn sixty_four_waiting_uses_share_their_flushes() {
    let (_dir, store) = store();
    std::thread::scope(|scope| {
        let queued = &store.shared().tally.queued;
        let before = store.counters();
        let start = queued.load(Ordering::Relaxed);
        let gate = hold(&store, scope);
        let users: Vec<_> = (0..64)
            .map(|i| {
                let (permit, store) = (permit(&store, i), &store);
                scope.spawn(move || store.perform(permit).unwrap().entry.seq)
            })
            .collect();
        wait_for(queued, start + 65);
        gate.wait();
        let mut seqs: Vec<u64> = users.into_iter().map(|u| u.join().unwrap()).collect();
        seqs.sort_unstable();
        assert_eq!(seqs, (2..66).collect::<Vec<u64>>());
        let after = store.counters();
        assert!(after.flushes - before.flushes <= 4);
    });
}

#[test]
fn one_refusal_in_a_group_undoes_nothing_else() {
    let (_dir, store) = store();
    std::thread::scope(|scope| {
        let queued = &store.shared().tally.queued;
        let start = queued.load(Ordering::Relaxed);
        let gate = hold(&store, scope);
        let users: Vec<_> = [1, 2, 1, 3, 2]
            .into_iter()
            .map(|challenge| {
                let (permit, store) = (permit(&store, challenge), &store);
                scope.spawn(move || store.perform(permit).map(|p| p.entry.seq))
            })
            .collect();
        wait_for(queued, start + 6);
        gate.wait();
        let done: Vec<_> = users.into_iter().map(|u| u.join().unwrap()).collect();
        assert_eq!(done.iter().filter(|d| d.is_ok()).count(), 3);
        assert_eq!(store.head().unwrap().seq, 4);
        store.check(&mut |_, _| {}).unwrap();
    });
}

/// A use that was prepared before `meanwhile`, and comes to the writer behind it.
fn overtaken(meanwhile: impl FnOnce(&Keystore) + Send) -> Option<KeystoreError> {
    let (_dir, store) = store();
    std::thread::scope(|scope| {
        let queued = &store.shared().tally.queued;
        let start = queued.load(Ordering::Relaxed);
        let gate = hold(&store, scope);
        scope.spawn(|| meanwhile(&store));
        wait_for(queued, start + 2);
        let permit = permit(&store, 1);
        let user = scope.spawn(|| store.perform(permit));
        wait_for(queued, start + 3);
        gate.wait();
        user.join().unwrap().err()
    })
}

#[test]
fn key_08_a_change_that_overtakes_a_prepared_use_stops_it() {
    let nothing = |store: &Keystore| {
        store.record(record()).unwrap();
    };
    assert_eq!(overtaken(nothing), None);
    let epoch_alone = |store: &Keystore| {
        store
            .writer()
            .submit(|tx| {
                tx.move_epoch();
                Ok(())
            })
            .unwrap();
    };
    assert_eq!(overtaken(epoch_alone), Some(KeystoreError::EpochMoved));
    let rows_alone = |store: &Keystore| {
        let sql = "UPDATE versions SET mac = zeroblob(32)";
        store.writer().submit(move |tx| tx.execute(sql, &[])).unwrap();
    };
    assert_eq!(overtaken(rows_alone), Some(KeystoreError::EpochMoved));
}

#[test]
fn sto_05_a_failed_commit_is_final_for_everyone() {
    let (dir, store) = store();
    let told = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&told);
    store.on_failure(Box::new(move || {
        counter.fetch_add(1, Ordering::SeqCst);
    }));
    let before = store.head().unwrap();
    let failed = |e: KeystoreError| {
        assert!(matches!(e, KeystoreError::StoreFailed(_)), "{e}");
        assert_eq!(e.code(), "audit-unavailable");
    };
    let permits = [permit(&store, 1), permit(&store, 2), permit(&store, 3)];
    store.shared().fail_next_commit.store(true, Ordering::SeqCst);
    for permit in permits {
        failed(store.perform(permit).err().unwrap());
    }
    failed(store.record(record()).unwrap_err());
    assert_eq!(told.load(Ordering::SeqCst), 1);
    assert!(store.status().failed);
    // Who asks later is told at once.
    let late = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&late);
    store.on_failure(Box::new(move || flag.store(true, Ordering::SeqCst)));
    assert!(late.load(Ordering::SeqCst));
    // Nothing of it is in the store, and the next process starts from before it.
    assert_eq!(store.head().unwrap(), before);
    drop(store);
    let root = FileRoot::new(dir.path().join("root"));
    let store = Keystore::open(&dir.path().join("store"), &root, NOW).unwrap();
    assert_eq!(store.head().unwrap(), before);
    assert!(!store.challenge_spent(&[1; 32]).unwrap());
    assert!(store.perform(permit(&store, 1)).is_ok());
}

#[test]
fn sto_03_a_full_disk_ends_the_node_and_loses_nothing_acknowledged() {
    let (dir, store) = store();
    let acknowledged = store.record(record()).unwrap();
    // A limit on pages is the full disk that SQLite can be told of.
    let limit = store.writer().submit(|tx| tx.conn.execute_batch("PRAGMA max_page_count = 1").map_err(unwritable));
    limit.unwrap();
    let mut large = record();
    large.body = "x".repeat(60_000);
    let mut refused = None;
    for _ in 0..20 {
        if let Err(e) = store.record(large.clone()) {
            refused = Some(e);
            break;
        }
    }
    assert_eq!(refused.unwrap().code(), "audit-unavailable");
    assert!(store.status().failed);
    let stopped = store.perform(permit(&store, 1)).err().unwrap();
    assert_eq!(stopped.code(), "audit-unavailable");
    drop(store);
    let root = FileRoot::new(dir.path().join("root"));
    let store = Keystore::open(&dir.path().join("store"), &root, NOW).unwrap();
    let entries = store.entries(None, acknowledged.seq, 1).unwrap();
    assert_eq!(entries[0].hash, acknowledged.hash);
    assert!(store.record(record()).is_ok());
}

#[test]
fn a_writer_that_dies_is_a_failure_of_the_node() {
    let (_dir, store) = store();
    let told = Arc::new(AtomicU64::new(0));
    let (counter, held) = (Arc::clone(&told), store.clone());
    store.on_failure(Box::new(move || {
        // The hook may be the last to hold the store.
        let _ = held.status();
        counter.fetch_add(1, Ordering::SeqCst);
    }));
    let died: Result<(), _> = store.writer().submit(|_| panic!("on purpose"));
    assert_eq!(died.unwrap_err().code(), "audit-unavailable");
    let later = store.record(record()).unwrap_err();
    assert_eq!(later.code(), "audit-unavailable");
    assert!(store.status().failed);
    assert_eq!(told.load(Ordering::SeqCst), 1);
}

#[test]
fn a_full_queue_is_overload_not_failure() {
    let (_dir, store) = store();
    std::thread::scope(|scope| {
        let gate = hold(&store, scope);
        let queue = &store.writer().queue;
        let mut filled = 0;
        loop {
            let (answer, _) = sync_channel(1);
            let job =
                Box::new(Request { work: Some(|_: &mut Transaction<'_>| Ok(())), result: None, refused: None, answer });
            if queue.try_send(Message::Work(job)).is_err() {
                break;
            }
            filled += 1;
        }
        assert_eq!(filled, QUEUE);
        let refused = store.record(record()).unwrap_err();
        assert_eq!(refused, KeystoreError::Overloaded);
        gate.wait();
    });
    store.shutdown();
    assert!(!store.status().failed);
}
