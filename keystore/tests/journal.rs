//! The journal names what was done to it.
//!
//! Fault AUD-04 of `bad-inputs.md`.

mod scene;

use keygate_keystore::*;
use scene::*;

const COLUMNS: &str = "at, kind, provider, body, previous, hash, mac";

fn ten_entries() -> Scene {
    let scene = Scene::new();
    for i in 0..10 {
        scene.store.record(record(&format!("event-{i}"))).unwrap();
    }
    scene
}

fn verdict(store: &Keystore) -> JournalVerdict {
    store.verify_journal(&mut |_, _| {}).unwrap()
}

fn broken(sql: &str) -> (u64, &'static str) {
    let scene = ten_entries();
    tamper(&scene.file(), sql);
    match verdict(&scene.store) {
        JournalVerdict::Broken { seq, what } => {
            // The same is found without opening the store.
            let closed = scene.close();
            let again = Keystore::verify_journal_of(&closed.file(), &closed.root(), &mut |_, _| {});
            assert_eq!(again.unwrap(), JournalVerdict::Broken { seq, what });
            (seq, what.as_str())
        }
        JournalVerdict::Intact { .. } => (0, "intact"),
    }
}

#[test]
fn an_intact_journal_is_intact() {
    let scene = ten_entries();
    let head = scene.store.head().unwrap();
    let mut told = Vec::new();
    let verdict = scene.store.verify_journal(&mut |done, all| told.push((done, all))).unwrap();
    assert_eq!(verdict, JournalVerdict::Intact { entries: 10, head });
    assert_eq!(told.last(), Some(&(10, 10)));
    assert_eq!(head.seq, 10);
    assert_eq!(broken("SELECT 1"), (0, "intact"));
}

#[test]
fn aud_04_a_changed_record_is_named() {
    for column in [
        "body = '{}'",
        "kind = 'event-x'",
        "at = at + 1",
        "provider = 'other'",
        "hash = zeroblob(32)",
        "mac = zeroblob(32)",
        "previous = zeroblob(32)",
    ] {
        let sql = format!("UPDATE journal SET {column} WHERE seq = 4");
        assert_eq!(broken(&sql), (4, "changed"), "{column}");
    }
}

#[test]
fn aud_04_a_removed_record_is_named() {
    assert_eq!(broken("DELETE FROM journal WHERE seq = 4"), (4, "removed"));
    let closed_up = "DELETE FROM journal WHERE seq = 4; \
        UPDATE journal SET seq = -seq WHERE seq > 4; UPDATE journal SET seq = -seq - 1 WHERE seq < 0";
    assert_eq!(broken(closed_up), (4, "removed"));
    assert_eq!(broken("DELETE FROM journal WHERE seq = 1"), (1, "removed"));
}

#[test]
fn aud_04_exchanged_records_are_named() {
    let swap = "UPDATE journal SET seq = 0 WHERE seq = 4; UPDATE journal SET seq = 4 WHERE seq = 7; \
        UPDATE journal SET seq = 7 WHERE seq = 0";
    assert_eq!(broken(swap), (4, "reordered"));
    let neighbours = "UPDATE journal SET seq = 0 WHERE seq = 4; \
        UPDATE journal SET seq = 4 WHERE seq = 5; UPDATE journal SET seq = 5 WHERE seq = 0";
    assert_eq!(broken(neighbours), (4, "reordered"));
}

#[test]
fn aud_04_an_inserted_record_is_named() {
    let room = "UPDATE journal SET seq = -seq - 1 WHERE seq >= 4; \
        UPDATE journal SET seq = -seq WHERE seq < 0";
    let invented = format!(
        "{room}; INSERT INTO journal SELECT 4, at, kind, provider, 'invented', previous, hash, mac \
         FROM journal WHERE seq = 3"
    );
    assert_eq!(broken(&invented), (4, "inserted"));
    let copied = format!("{room}; INSERT INTO journal SELECT 4, {COLUMNS} FROM journal WHERE seq = 2");
    assert_eq!(broken(&copied), (4, "inserted"));
    let behind = format!("INSERT INTO journal SELECT 11, {COLUMNS} FROM journal WHERE seq = 10");
    assert_eq!(broken(&behind), (11, "inserted"));
    let before = format!("INSERT INTO journal SELECT 0, {COLUMNS} FROM journal WHERE seq = 1");
    assert_eq!(broken(&before), (1, "inserted"));
    let below = format!("INSERT INTO journal SELECT -1, {COLUMNS} FROM journal WHERE seq = 1");
    assert_eq!(broken(&below), (1, "inserted"));
}

#[test]
fn aud_04_a_cut_off_tail_is_named() {
    assert_eq!(broken("DELETE FROM journal WHERE seq > 6"), (7, "cut-off"));
    assert_eq!(broken("DELETE FROM journal"), (1, "cut-off"));
}

#[test]
fn aud_04_a_store_whose_journal_lost_its_end_does_not_start() {
    let closed = ten_entries().close();
    tamper(&closed.file(), "DELETE FROM journal WHERE seq = 10");
    assert_eq!(closed.open().err().unwrap().code(), "store-corrupt");
}

#[test]
fn aud_08_sequence_not_time_orders_records() {
    let scene = Scene::new();
    for at in [NOW, NOW - 50, NOW + 50] {
        let mut record = record("event");
        record.at = at;
        scene.store.record(record).unwrap();
    }
    let entries = scene.store.entries(None, 1, 10).unwrap();
    let order: Vec<_> = entries.iter().map(|e| (e.seq, e.at)).collect();
    assert_eq!(order, [(1, NOW), (2, NOW - 50), (3, NOW + 50)]);
    assert!(matches!(verdict(&scene.store), JournalVerdict::Intact { entries: 3, .. }));
    assert_eq!(scene.store.status().newest_time, NOW + 50);
}

#[test]
fn aud_05_records_carry_any_text_up_to_their_limit() {
    let scene = Scene::new();
    let mut odd = record("event");
    odd.body = "\"line\\nbreak\" \u{0} \u{1b}[2J \r\n".to_owned();
    scene.store.record(odd.clone()).unwrap();
    let entries = scene.store.entries(None, 1, 10).unwrap();
    assert_eq!(entries[0].body, odd.body);
    odd.body = "x".repeat(64 * 1024 + 1);
    assert_eq!(scene.store.record(odd).unwrap_err().code(), "too-large");
    assert_eq!(scene.store.head().unwrap().seq, 1);
}

#[test]
fn entries_are_read_by_provider_and_in_pages() {
    let scene = Scene::new();
    let other = ProviderId::parse("other").unwrap();
    for i in 0..6 {
        let mut record = record("event");
        if i % 2 == 1 {
            record.provider = other.clone();
        }
        scene.store.record(record).unwrap();
    }
    let seqs = |provider: Option<&ProviderId>, from, limit| -> Vec<u64> {
        let entries = scene.store.entries(provider, from, limit).unwrap();
        entries.iter().map(|e| e.seq).collect()
    };
    assert_eq!(seqs(None, 3, 2), [3, 4]);
    assert_eq!(seqs(Some(&other), 1, 10), [2, 4, 6]);
    assert_eq!(seqs(Some(&other), 5, 10), [6]);
}
