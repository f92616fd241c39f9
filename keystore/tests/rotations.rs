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

fn due(store: &Keystore, now: i64) -> Vec<String> {
    store.due_rotations(&provider(), now).unwrap().iter().map(|d| d.name.as_str().to_owned()).collect()
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
    let found = scene.store.due_rotations(&provider(), NOW + 20 * DAY).unwrap();
    assert_eq!(found[0].next.rotate, Some(NOW + 20 * DAY));
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
    assert!(scene.store.due_rotations(&other, NOW + 99 * DAY).unwrap().is_empty());
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
