//! Rotation policies in the store: versioned, of one key, and what is due by them.
//!
//! `keyvault-api.md` section 2, KeyRotationPolicy.

mod scene;

use keygate_keystore::*;
use scene::*;

const DAY: i64 = 86_400;

fn policy(days: u32) -> RotationPolicy {
    let action = format!(r#"{{"trigger":{{"timeAfterCreate":"P{days}D"}},"action":{{"type":"Rotate"}}}}"#);
    RotationPolicy::parse(&format!(r#"{{"lifetimeActions":[{action}]}}"#)).unwrap()
}

fn set(store: &Keystore, key: &str, days: u32, if_match: IfMatch) -> Result<Changed, KeystoreError> {
    let mut order = order(Change::SetRotation { name: name(key), policy: policy(days) });
    order.if_match = if_match;
    store.change(order)
}

/// Names of keys that want a new version at `now`.
fn due(store: &Keystore, now: i64) -> Vec<String> {
    let found = store.due_keys(&provider(), None, 100, now).unwrap();
    assert_eq!(found.after, None);
    let rotations = found.due.iter().filter(|due| matches!(due.what, Due::Rotation { .. }));
    rotations.map(|due| due.name.as_str().to_owned()).collect()
}

#[track_caller]
fn code<T>(result: Result<T, KeystoreError>) -> &'static str {
    result.err().expect("refused").code()
}

#[test]
fn a_policy_has_versions_and_an_etag() {
    let scene = Scene::new();
    scene.store.change(create_key("k", KeyType::Oct256)).unwrap();
    let history = |key: &str| scene.store.rotation_history(&provider(), &name(key));
    assert!(history("k").unwrap().is_empty());
    let epoch = scene.store.epoch().unwrap();
    assert_eq!(set(&scene.store, "k", 30, IfMatch::Absent).unwrap().etag, "1");
    assert!(scene.store.epoch().unwrap() > epoch);
    assert_eq!(code(set(&scene.store, "k", 40, IfMatch::Absent)), "conflict");
    assert_eq!(code(set(&scene.store, "k", 40, IfMatch::Version("2".to_owned()))), "conflict");
    let changed = set(&scene.store, "K", 40, IfMatch::Version("1".to_owned())).unwrap();
    assert_eq!(changed.etag, "2");
    assert_eq!(changed.key.unwrap().name, name("k"));
    let scene = scene.close().reopen();
    let found = scene.store.rotation_history(&provider(), &name("k")).unwrap();
    assert_eq!(found.iter().map(|v| (v.number, v.policy)).collect::<Vec<_>>(), [(1, policy(30)), (2, policy(40))]);
    assert_eq!((found[0].author.as_str(), found[0].reason.as_str(), found[0].at), ("alice", "because", NOW));
    assert_eq!(code(set(&scene.store, "none", 30, IfMatch::Any)), "key-not-found");
    assert_eq!(code(scene.store.rotation_history(&provider(), &name("none"))), "key-not-found");
    // the key itself is in the state it was in
    assert_eq!(scene.view("k").row_version, 1);
    scene.store.check(&mut |_, _| {}).unwrap();
}

#[test]
fn what_is_due_follows_the_newest_version() {
    let scene = Scene::new();
    for key in ["a", "b", "c", "d"] {
        scene.store.change(create_key(key, KeyType::Oct256)).unwrap();
    }
    set(&scene.store, "a", 30, IfMatch::Any).unwrap();
    set(&scene.store, "b", 60, IfMatch::Any).unwrap();
    set(&scene.store, "b", 20, IfMatch::Any).unwrap();
    set(&scene.store, "c", 10, IfMatch::Any).unwrap();
    scene.store.change(order(Change::DeleteKey { name: name("c") })).unwrap();
    assert_eq!(code(set(&scene.store, "c", 10, IfMatch::Any)), "key-state");
    assert!(due(&scene.store, NOW + 20 * DAY - 1).is_empty());
    assert_eq!(due(&scene.store, NOW + 20 * DAY), ["b"]);
    let both = due(&scene.store, NOW + 30 * DAY);
    assert_eq!(both.len(), 2);
    let found = scene.store.due_keys(&provider(), None, 100, NOW + 20 * DAY).unwrap().due.remove(0);
    assert_eq!((found.etag, found.what), (scene.view("b").etag(), Due::Rotation { expires: None }));
    // a new version is not due
    let mut rotate = order(Change::NewVersion {
        name: name("b"),
        material: NewMaterial::Generate,
        update: KeyUpdate::default(),
        enabled: true,
    });
    rotate.now = NOW + 20 * DAY;
    scene.store.change(rotate).unwrap();
    assert_eq!(due(&scene.store, NOW + 30 * DAY), ["a"]);
    let off = AttributeChanges { enabled: Some(false), ..Default::default() };
    scene.store.change(order(Change::SetAttributes { name: name("a"), changes: off })).unwrap();
    assert!(due(&scene.store, NOW + 30 * DAY).is_empty());
    let other = ProviderId::parse("other").unwrap();
    assert!(scene.store.due_keys(&other, None, 100, NOW + 99 * DAY).unwrap().due.is_empty());
}

/// A policy belongs to a key, not to its name.
#[test]
fn a_later_key_of_the_same_name_inherits_nothing() {
    let scene = Scene::new();
    scene.store.change(create_key("k", KeyType::Oct256)).unwrap();
    set(&scene.store, "k", 30, IfMatch::Any).unwrap();
    scene.store.change(order(Change::DeleteKey { name: name("k") })).unwrap();
    scene.store.change(order(Change::PurgeKey { name: name("k") })).unwrap();
    assert!(due(&scene.store, NOW + 99 * DAY).is_empty());
    scene.store.change(create_key("k", KeyType::Oct256)).unwrap();
    assert!(scene.store.rotation_history(&provider(), &name("k")).unwrap().is_empty());
    assert!(due(&scene.store, NOW + 99 * DAY).is_empty());
    assert_eq!(set(&scene.store, "k", 30, IfMatch::Absent).unwrap().etag, "1");
}

fn full_policy() -> RotationPolicy {
    let text = r#"{"lifetimeActions":[{"trigger":{"timeAfterCreate":"P40D"},"action":{"type":"Rotate"}},
        {"trigger":{"timeAfterCreate":"P30D"},"action":{"type":"Notify"}}],"attributes":{"expiryTime":"P60D"}}"#;
    RotationPolicy::parse(text).unwrap()
}

fn furnished(key: &str) -> Scene {
    let scene = Scene::new();
    scene.store.change(create_key(key, KeyType::Oct256)).unwrap();
    scene.store.change(order(Change::SetRotation { name: name(key), policy: full_policy() })).unwrap();
    scene
}

fn first_due(store: &Keystore, now: i64) -> Option<Due> {
    store.due_keys(&provider(), None, 100, now).unwrap().due.first().map(|due| due.what)
}

fn notice(scene: &Scene, etag: &str, now: i64) -> Result<Option<Entry>, KeystoreError> {
    let order =
        NoticeOrder { provider: provider(), name: name("k"), etag: etag.to_owned(), record: record("notice"), now };
    scene.store.note_rotation(order)
}

#[test]
fn a_version_ends_when_its_policy_says() {
    let scene = furnished("k");
    assert_eq!(scene.store.rotation(&provider(), &name("k")).unwrap(), Some(full_policy()));
    assert_eq!(full_policy().ends(NOW), Some(NOW + 60 * DAY));
    assert_eq!(policy(30).ends(NOW), None);
    assert_eq!(first_due(&scene.store, NOW + 40 * DAY), Some(Due::Rotation { expires: Some(NOW + 100 * DAY) }));
    scene.store.change(create_key("bare", KeyType::Oct256)).unwrap();
    assert_eq!(scene.store.rotation(&provider(), &name("bare")).unwrap(), None);
    assert_eq!(code(scene.store.rotation(&provider(), &name("none"))), "key-not-found");
}

#[test]
fn a_notice_is_recorded_once_for_each_version() {
    let scene = furnished("k");
    assert_eq!(first_due(&scene.store, NOW + 30 * DAY - 1), None);
    assert!(
        matches!(first_due(&scene.store, NOW + 30 * DAY), Some(Due::Notice(next)) if next.expires == Some(NOW + 60 * DAY))
    );
    let etag = scene.view("k").etag();
    let (head, epoch) = (scene.store.head().unwrap().seq, scene.store.epoch().unwrap());
    assert_eq!(notice(&scene, "0000000000000000-1", NOW).err(), Some(KeystoreError::PreconditionFailed));
    let entry = notice(&scene, &etag, NOW + 30 * DAY).unwrap().unwrap();
    assert_eq!(entry.seq, head + 1);
    assert_eq!(notice(&scene, &etag, NOW + 30 * DAY), Ok(None));
    assert_eq!(scene.store.head().unwrap().seq, head + 1);
    // It says nothing about the key: decisions stand.
    assert_eq!(scene.store.epoch().unwrap(), epoch);
    let scene = scene.close().reopen();
    assert_eq!(first_due(&scene.store, NOW + 30 * DAY), None);
    assert_eq!(notice(&scene, &etag, NOW + 30 * DAY), Ok(None));
    // The next version has a notice of its own.
    let material = NewMaterial::Generate;
    let change = Change::NewVersion { name: name("k"), material, update: KeyUpdate::default(), enabled: true };
    scene.store.change(ChangeOrder { now: NOW + 40 * DAY, ..order(change) }).unwrap();
    assert_eq!(first_due(&scene.store, NOW + 70 * DAY - 1), None);
    assert!(matches!(first_due(&scene.store, NOW + 70 * DAY), Some(Due::Notice(_))));
    assert!(notice(&scene, &scene.view("k").etag(), NOW + 70 * DAY).unwrap().is_some());
    scene.store.check(&mut |_, _| {}).unwrap();
}

#[test]
fn a_notice_goes_with_its_key() {
    let scene = furnished("k");
    let mark = format!("rotation-notice:{}", hex::encode(scene.view("k").row_id));
    notice(&scene, &scene.view("k").etag(), NOW).unwrap();
    assert_eq!(scene.store.mark(&mark), Ok(Some(1)));
    scene.store.change(order(Change::DeleteKey { name: name("k") })).unwrap();
    scene.store.change(order(Change::PurgeKey { name: name("k") })).unwrap();
    assert_eq!(scene.store.mark(&mark), Ok(None));
    assert_eq!(code(notice(&scene, "x", NOW)), "key-not-found");
    scene.store.check(&mut |_, _| {}).unwrap();
}

#[test]
fn keys_are_looked_at_some_at_a_time() {
    let scene = Scene::new();
    for key in ["a", "B", "c"] {
        scene.store.change(create_key(key, KeyType::Oct256)).unwrap();
        set(&scene.store, key, 30, IfMatch::Any).unwrap();
    }
    let page = |after: Option<&KeyName>, most| {
        let found = scene.store.due_keys(&provider(), after, most, NOW + 30 * DAY).unwrap();
        (found.due.iter().map(|due| due.name.as_str().to_owned()).collect::<Vec<_>>(), found.after)
    };
    assert_eq!(page(None, 2), (vec!["a".to_owned(), "B".to_owned()], Some(name("B"))));
    assert_eq!(page(Some(&name("B")), 2), (vec!["c".to_owned()], None));
    assert_eq!(page(None, 3).1, Some(name("c")));
    assert_eq!(page(Some(&name("c")), 3), (vec![], None));
}

#[test]
fn a_secret_gets_notices_and_no_versions() {
    let scene = Scene::new();
    scene.store.change(import_secret("secret", b"secret")).unwrap();
    assert_eq!(code(set(&scene.store, "secret", 30, IfMatch::Any)), "operation-not-allowed");
    let notify = r#"{"lifetimeActions":[{"trigger":{"timeAfterCreate":"P30D"},"action":{"type":"Notify"}}]}"#;
    let policy = RotationPolicy::parse(notify).unwrap();
    scene.store.change(order(Change::SetRotation { name: name("secret"), policy })).unwrap();
    assert!(matches!(first_due(&scene.store, NOW + 30 * DAY), Some(Due::Notice(_))));
}

#[test]
fn a_rotation_policy_is_set_by_its_own_change_alone() {
    let scene = furnished("k");
    let kind = format!("rotation:{}", hex::encode(scene.view("k").row_id));
    let change = Change::SetPolicy { kind, document: "{}".to_owned(), digest: [1; 32] };
    assert_eq!(code(scene.store.change(order(change))), "malformed");
}
