//! Several things about a key in one change: all of them, or none.
//!
//! `keyvault-api.md` section 2 (update, create of a name that exists); `bad-inputs.md` KEY-05.

mod scene;

use keygate_keystore::*;
use scene::*;

fn update(update: KeyUpdate) -> ChangeOrder {
    order(Change::UpdateKey { name: name("k"), update })
}

fn new_version(update: KeyUpdate, enabled: bool) -> ChangeOrder {
    order(Change::NewVersion { name: name("k"), material: NewMaterial::Generate, update, enabled })
}

fn tagged(value: &str) -> AttributeChanges {
    AttributeChanges { tags: Some([("team".to_owned(), value.to_owned())].into()), ..Default::default() }
}

#[track_caller]
fn code<T>(result: Result<T, KeystoreError>) -> &'static str {
    result.err().expect("refused").code()
}

/// A store with one key of one version under `rule one`.
fn with_key(immutable: bool) -> Scene {
    let scene = Scene::new();
    let mut create = create_key("k", KeyType::Oct256);
    if let Change::CreateKey { immutable: flag, .. } = &mut create.change {
        *flag = immutable;
    }
    scene.store.change(create).unwrap();
    scene
}

fn everything(scene: &Scene) -> KeyUpdate {
    KeyUpdate {
        attributes: AttributeChanges {
            enabled: Some(false),
            not_before: Some(Some(NOW - 5)),
            expires: Some(Some(NOW + 5)),
            operations: Some(vec![Operation::Wrap]),
            ..tagged("blue")
        },
        version: Some((scene.view("k").versions[0].id, false)),
        rules: Some((rule("another rule"), true)),
    }
}

#[test]
fn one_update_changes_all_that_it_names_and_moves_the_epoch_once() {
    let scene = with_key(false);
    let (before, epoch) = (scene.view("k"), scene.store.epoch().unwrap());
    let changed = scene.store.change(update(everything(&scene))).unwrap();
    let view = scene.view("k");
    assert_eq!(scene.store.epoch().unwrap().0, epoch.0 + 1);
    assert_eq!(scene.store.head().unwrap().seq, 2);
    assert_eq!(changed.etag, view.etag());
    assert_eq!(changed.key.as_ref(), Some(&view));
    assert_eq!(view.row_version, before.row_version + 1);
    assert!(!view.enabled && view.immutable && !view.versions[0].enabled);
    assert_eq!((view.not_before, view.expires), (Some(NOW - 5), Some(NOW + 5)));
    assert_eq!(view.operations, [Operation::Wrap]);
    assert_eq!(view.tags["team"], "blue");
    let found = view.rule.unwrap();
    assert_eq!((found.number, found.document.as_str(), found.author.as_str()), (2, "another rule", "alice"));
    scene.close().reopen().store.check(&mut |_, _| {}).unwrap();
}

#[test]
fn what_an_update_does_not_name_stays() {
    let scene = with_key(false);
    let before = scene.view("k");
    scene.store.change(update(KeyUpdate::default())).unwrap();
    let after = scene.view("k");
    assert_eq!(after, KeyView { row_version: before.row_version + 1, updated: NOW, ..before });
    assert!(scene.use_once("k", wrap_use()).is_ok());
}

#[test]
fn an_update_that_is_refused_in_one_part_changes_nothing() {
    let scene = with_key(true);
    let (before, epoch, head) = (scene.view("k"), scene.store.epoch().unwrap(), scene.store.head().unwrap());
    let refused = |update: KeyUpdate, version: bool| {
        let told = code(scene.store.change(self::update(update.clone())));
        if version {
            let with_version = KeyUpdate { version: None, ..update };
            assert_eq!(code(scene.store.change(new_version(with_version, true))), told);
        }
        assert_eq!(scene.view("k"), before);
        assert_eq!(scene.store.epoch().unwrap(), epoch);
        assert_eq!(scene.store.head().unwrap(), head);
        told
    };
    // The rule comes last: attributes and switch were written by then.
    assert_eq!(refused(everything(&scene), true), "forbidden");
    let unknown = KeyUpdate {
        version: Some((VersionId::from_bytes([1; 16]), false)),
        attributes: tagged("blue"),
        ..Default::default()
    };
    assert_eq!(refused(unknown, false), "key-not-found");
    let long = KeyUpdate { rules: Some((rule(&"x".repeat(262_145)), true)), ..Default::default() };
    assert_eq!(refused(long, true), "too-large");
}

#[test]
fn key_05_an_immutable_rule_is_neither_replaced_nor_freed_and_may_be_said_again() {
    let scene = with_key(true);
    let rules = |text: &str, immutable| KeyUpdate { rules: Some((rule(text), immutable)), ..Default::default() };
    let again = KeyUpdate { attributes: tagged("blue"), ..rules("rule one", true) };
    scene.store.change(update(again.clone())).unwrap();
    scene.store.change(new_version(again, true)).unwrap();
    let view = scene.view("k");
    assert_eq!((view.rule.as_ref().unwrap().number, view.versions.len()), (1, 2));
    assert_eq!(view.tags["team"], "blue");
    for other in [rules("rule one", false), rules("another rule", true)] {
        assert_eq!(code(scene.store.change(update(other.clone()))), "forbidden");
        assert_eq!(code(scene.store.change(new_version(other, true))), "forbidden");
    }
    let set = Change::SetRules { name: name("k"), rules: rule("another rule"), immutable: true };
    assert_eq!(code(scene.store.change(order(set))), "forbidden");
    assert_eq!(scene.view("k").rule, view.rule);
}

#[test]
fn the_rule_in_force_said_again_is_no_new_one_and_can_become_immutable() {
    let scene = with_key(false);
    let rules =
        |text: &str, immutable| update(KeyUpdate { rules: Some((rule(text), immutable)), ..Default::default() });
    scene.store.change(rules("rule one", false)).unwrap();
    assert_eq!(scene.view("k").rule.unwrap().number, 1);
    scene.store.change(rules("another rule", false)).unwrap();
    assert_eq!(scene.view("k").rule.unwrap().number, 2);
    scene.store.change(rules("another rule", true)).unwrap();
    assert!(scene.view("k").immutable);
    assert_eq!(code(scene.store.change(rules("rule one", true))), "forbidden");
}

#[test]
fn a_new_version_comes_with_its_attributes_and_its_switch() {
    let scene = with_key(false);
    let epoch = scene.store.epoch().unwrap();
    let update = KeyUpdate { attributes: tagged("blue"), rules: Some((rule("another rule"), false)), version: None };
    let changed = scene.store.change(new_version(update, false)).unwrap();
    let view = scene.view("k");
    assert_eq!(changed.etag, view.etag());
    assert_eq!(scene.store.epoch().unwrap().0, epoch.0 + 1);
    assert_eq!(view.tags["team"], "blue");
    assert_eq!(view.rule.as_ref().unwrap().number, 2);
    let switches: Vec<bool> = view.versions.iter().map(|version| version.enabled).collect();
    assert_eq!(switches, [true, false]);
    // The newest that is on is the one before.
    assert_eq!(view.version(None).unwrap().id, view.versions[0].id);
    let named = KeyUpdate { version: Some((view.versions[0].id, false)), ..Default::default() };
    assert_eq!(code(scene.store.change(new_version(named, true))), "malformed");
    assert_eq!(scene.view("k"), view);
    scene.store.check(&mut |_, _| {}).unwrap();
}

#[test]
fn an_update_rests_on_the_state_that_was_named() {
    let scene = with_key(false);
    let etag = scene.view("k").etag();
    let resting = |on: IfMatch| {
        let mut order = update(KeyUpdate { attributes: tagged("blue"), ..Default::default() });
        order.if_match = on;
        scene.store.change(order)
    };
    assert_eq!(resting(IfMatch::Absent).err(), Some(KeystoreError::PreconditionFailed));
    let next = resting(IfMatch::Version(etag.clone())).unwrap().etag;
    assert_eq!(resting(IfMatch::Version(etag)).err(), Some(KeystoreError::PreconditionFailed));
    assert_eq!(scene.view("k").etag(), next);
}

#[test]
fn a_tried_update_says_what_would_be_and_writes_nothing() {
    let scene = with_key(false);
    let (before, epoch) = (scene.view("k"), scene.store.epoch().unwrap());
    for (mut order, versions) in [(update(everything(&scene)), 1), (new_version(KeyUpdate::default(), true), 2)] {
        order.dry_run = true;
        let tried = scene.store.change(order).unwrap();
        assert!(tried.dry_run && tried.entry.is_none());
        let would_be = tried.key.unwrap();
        assert_eq!(would_be.versions.len(), versions);
        assert_eq!(would_be.row_version, before.row_version + 1);
        assert_eq!(scene.view("k"), before);
        assert_eq!(scene.store.epoch().unwrap(), epoch);
        assert_eq!(scene.store.head().unwrap().seq, 1);
    }
}

#[test]
fn deleted_and_absent_keys_are_not_updated() {
    let scene = with_key(false);
    scene.store.change(order(Change::DeleteKey { name: name("k") })).unwrap();
    assert_eq!(code(scene.store.change(update(KeyUpdate::default()))), "key-state");
    assert_eq!(code(scene.store.change(new_version(KeyUpdate::default(), true))), "key-state");
    scene.store.change(order(Change::PurgeKey { name: name("k") })).unwrap();
    assert_eq!(code(scene.store.change(update(KeyUpdate::default()))), "key-not-found");
    assert_eq!(code(scene.store.change(new_version(KeyUpdate::default(), true))), "key-not-found");
}
