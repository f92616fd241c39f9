//! What becomes of deleted keys: how long they are kept, and that protection stays.
//!
//! `keyvault-api.md` sections 2 and 3 (`recoverableDays`, `recoveryLevel`, `scheduledPurgeDate`); property P39 of
//! `threat-model.md`.

mod scene;

use keygate_keystore::*;
use scene::*;

const DAY: i64 = 86_400;

#[track_caller]
fn code<T>(result: Result<T, KeystoreError>) -> &'static str {
    result.err().expect("refused").code()
}

fn recovery(days: u32, purge_protection: bool) -> Recovery {
    Recovery::new(days, purge_protection).unwrap()
}

fn set(scene: &Scene, days: u32, purge_protection: bool) -> Result<Changed, KeystoreError> {
    scene.store.change(order(Change::SetRecovery { recovery: recovery(days, purge_protection) }))
}

fn stored(scene: &Scene) -> (u32, bool) {
    let recovery = scene.store.recovery(&provider()).unwrap();
    (recovery.days(), recovery.purge_protection())
}

fn delete(scene: &Scene, key: &str) {
    scene.store.change(order(Change::DeleteKey { name: name(key) })).unwrap();
}

fn purge(scene: &Scene, key: &str, now: i64) -> Result<(), KeystoreError> {
    scene.store.change(ChangeOrder { now, ..order(Change::PurgeKey { name: name(key) }) }).map(drop)
}

#[test]
fn protection_is_never_taken_back_nor_shortened() {
    let scene = Scene::new();
    assert_eq!(stored(&scene), (90, false));
    assert_eq!(set(&scene, 30, false).unwrap().etag, "1");
    set(&scene, 10, false).unwrap();
    set(&scene, 20, true).unwrap();
    let (head, epoch) = (scene.store.head().unwrap(), scene.store.epoch().unwrap());
    for (days, protected) in [(20, false), (90, false), (19, true)] {
        assert_eq!(code(set(&scene, days, protected)), "forbidden", "{days} {protected}");
        assert_eq!(stored(&scene), (20, true));
    }
    assert_eq!((scene.store.head().unwrap(), scene.store.epoch().unwrap()), (head, epoch));
    set(&scene, 21, true).unwrap();
    let scene = scene.close().reopen();
    assert_eq!(stored(&scene), (21, true));
    assert_eq!(code(set(&scene, 21, false)), "forbidden");
    // Nor by the change for policies of any other kind.
    let document = r#"{"days":21,"purge_protection":false}"#.to_owned();
    let around = Change::SetPolicy { kind: "recovery".to_owned(), document, digest: [1; 32] };
    assert_eq!(code(scene.store.change(order(around))), "malformed");
    // Another provider is another vault.
    let other = ProviderId::parse("other").unwrap();
    assert_eq!(scene.store.recovery(&other), Ok(recovery(90, false)));
    scene.store.check(&mut |_, _| {}).unwrap();
}

#[test]
fn a_protected_key_is_not_purged_before_its_end() {
    let scene = Scene::new();
    set(&scene, 7, true).unwrap();
    scene.store.change(create_key("k", KeyType::Oct256)).unwrap();
    delete(&scene, "k");
    assert_eq!(scene.view("k").purge_at, Some(NOW + 7 * DAY));
    assert_eq!(code(purge(&scene, "k", NOW + 7 * DAY - 1)), "forbidden");
    assert!(scene.view("k").deleted_at.is_some());
    purge(&scene, "k", NOW + 7 * DAY).unwrap();
    assert!(scene.store.look(&provider(), &name("k")).unwrap().key.is_none());
    // The twin without protection.
    let scene = Scene::new();
    set(&scene, 7, false).unwrap();
    scene.store.change(create_key("k", KeyType::Oct256)).unwrap();
    delete(&scene, "k");
    purge(&scene, "k", NOW).unwrap();
}

#[test]
fn a_key_that_is_deleted_already_keeps_its_end_and_is_protected_with_the_others() {
    let scene = Scene::new();
    for key in ["early", "late"] {
        scene.store.change(create_key(key, KeyType::Oct256)).unwrap();
    }
    delete(&scene, "early");
    set(&scene, 7, true).unwrap();
    delete(&scene, "late");
    assert_eq!(scene.view("early").purge_at, Some(NOW + 90 * DAY));
    assert_eq!(scene.view("late").purge_at, Some(NOW + 7 * DAY));
    assert_eq!(code(purge(&scene, "early", NOW + 90 * DAY - 1)), "forbidden");
    set(&scene, 80, true).unwrap();
    purge(&scene, "late", NOW + 7 * DAY).unwrap();
    purge(&scene, "early", NOW + 90 * DAY).unwrap();
}

#[test]
fn protection_outlives_backup_and_restore() {
    let scene = Scene::new();
    set(&scene, 7, true).unwrap();
    scene.store.change(create_key("k", KeyType::Oct256)).unwrap();
    delete(&scene, "k");
    let (backup, file) = (scene.dir.path().join("backup"), scene.dir.path().join("restored"));
    scene.store.backup(&backup, NOW).unwrap();
    let closed = scene.close();
    Keystore::restore(&backup, &file, &closed.root(), NOW).unwrap();
    let store = Keystore::open(&file, &closed.root(), NOW).unwrap();
    let scene = Scene { dir: closed.dir, store };
    assert_eq!(stored(&scene), (7, true));
    assert_eq!(code(purge(&scene, "k", NOW)), "forbidden");
    assert_eq!(code(set(&scene, 7, false)), "forbidden");
}

#[test]
fn what_is_over_is_found() {
    let scene = Scene::new();
    for key in ["a", "b", "c"] {
        scene.store.change(create_key(key, KeyType::Oct256)).unwrap();
    }
    delete(&scene, "a");
    set(&scene, 7, true).unwrap();
    delete(&scene, "b");
    let over = |now| {
        let found = scene.store.due_keys(&provider(), None, 100, now).unwrap().due;
        found.iter().map(|due| (due.name.as_str().to_owned(), due.etag.clone(), due.what)).collect::<Vec<_>>()
    };
    assert_eq!(over(NOW + 7 * DAY - 1), []);
    let b = ("b".to_owned(), scene.view("b").etag(), Due::Purge);
    assert_eq!(over(NOW + 7 * DAY), std::slice::from_ref(&b));
    assert_eq!(over(NOW + 90 * DAY), [("a".to_owned(), scene.view("a").etag(), Due::Purge), b]);
    scene.store.change(order(Change::RecoverKey { name: name("b") })).unwrap();
    assert_eq!(over(NOW + 7 * DAY), []);
}
