//! Files as a crash leaves them: the write-ahead log whole, cut, damaged, or of another store.
//!
//! Faults STO-01, STO-06 and STO-07 of `bad-inputs.md`. The copies are taken under a running store,
//! as a kill at that moment would leave them.

mod scene;

use std::path::Path;

use keygate_keystore::*;
use scene::*;

struct Crashed {
    dir: tempfile::TempDir,
    database: Vec<u8>,
    log: Vec<u8>,
    acknowledged: u64,
}

/// Eleven acknowledged commits, most of them in the log only.
fn crashed() -> Crashed {
    let scene = Scene::new();
    scene.store.change(import_secret("a", b"secret")).unwrap();
    for i in 0..10 {
        let permit = Permit::for_key(&scene.store, "a").spending(i);
        scene.store.perform(permit.usage(Use::Release)).unwrap();
    }
    let read = |name: &str| std::fs::read(scene.dir.path().join(name)).unwrap();
    let (database, log) = (read("store"), read("store-wal"));
    assert!(!log.is_empty());
    let acknowledged = scene.store.head().unwrap().seq;
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(scene.dir.path().join("root"), dir.path().join("root")).unwrap();
    Crashed { dir, database, log, acknowledged }
}

fn put(path: &Path, content: &[u8]) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, content).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

impl Crashed {
    /// Starts on these files; gives the number of entries, after everything proved consistent.
    fn start(&self, database: &[u8], log: Option<&[u8]>) -> Result<u64, KeystoreError> {
        let path = |name: &str| self.dir.path().join(name);
        for name in ["store", "store-wal", "store-shm"] {
            let _ = std::fs::remove_file(path(name));
        }
        put(&path("store"), database);
        if let Some(log) = log {
            put(&path("store-wal"), log);
        }
        let root = FileRoot::new(path("root"));
        let store = Keystore::open(&path("store"), &root, NOW)?;
        store.check(&mut |_, _| {}).unwrap();
        match store.verify_journal(&mut |_, _| {}).unwrap() {
            JournalVerdict::Intact { entries, .. } => {
                // Each use in the journal has spent its challenge, and no other one is spent.
                for i in 0..10_u8 {
                    let spent = store.challenge_spent(&[i; 32]).unwrap();
                    assert_eq!(spent, u64::from(i) + 2 <= entries, "{i} of {entries}");
                }
                Ok(entries)
            }
            broken => panic!("{broken:?}"),
        }
    }
}

#[test]
fn sto_01_every_acknowledged_commit_survives_the_process() {
    let crashed = crashed();
    let entries = crashed.start(&crashed.database, Some(&crashed.log));
    assert_eq!(entries, Ok(crashed.acknowledged));
    assert_eq!(crashed.acknowledged, 11);
}

#[test]
fn sto_02_a_log_cut_anywhere_gives_an_earlier_whole_state_or_none() {
    let crashed = crashed();
    let mut earlier = 0;
    for cut in (0..crashed.log.len()).step_by(crashed.log.len() / 60) {
        match crashed.start(&crashed.database, Some(&crashed.log[..cut])) {
            Ok(entries) => {
                assert!(entries <= crashed.acknowledged);
                earlier += 1;
            }
            Err(e) => assert_eq!(e.code(), "store-corrupt", "{cut}"),
        }
    }
    assert!(earlier > 0);
}

#[test]
fn sto_06_a_flipped_byte_in_the_log_is_noticed_or_harmless() {
    let crashed = crashed();
    for at in (0..crashed.log.len()).step_by(crashed.log.len() / 60) {
        let mut log = crashed.log.clone();
        log[at] ^= 0x40;
        match crashed.start(&crashed.database, Some(&log)) {
            Ok(entries) => assert!(entries <= crashed.acknowledged),
            Err(e) => assert_eq!(e.code(), "store-corrupt", "{at}"),
        }
    }
}

#[test]
fn sto_07_a_log_deleted_or_of_another_store_never_mixes_in() {
    let (one, two) = (crashed(), crashed());
    for log in [None, Some(&two.log[..])] {
        match one.start(&one.database, log) {
            Ok(entries) => assert!(entries <= one.acknowledged),
            Err(e) => assert!(matches!(e.code(), "store-corrupt" | "sealed"), "{e}"),
        }
    }
}
