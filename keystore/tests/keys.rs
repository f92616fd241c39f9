//! Life of keys: made, used, changed, deleted, recovered, destroyed.
//!
//! `native-api.md` section 3; `store-durability.md` section 9.

mod scene;

use keygate_keystore::*;
use scene::*;

#[test]
fn a_secret_is_released_to_its_recipient_alone() {
    let scene = Scene::new();
    let changed = scene.store.change(import_secret("db", b"hunter2")).unwrap();
    let key = changed.key.unwrap();
    assert_eq!(key.etag(), changed.etag);
    assert_eq!(key.rule.as_ref().unwrap().document, "rule one");
    assert_eq!(key.versions.len(), 1);
    let done = scene.use_once("DB", Use::Release).unwrap();
    assert_eq!(opened(&done), b"hunter2");
    assert_eq!(done.outcome.kid, format!("db/versions/{}", key.versions[0].id));
    assert_eq!(done.entry.seq, 2);
    assert!(done.outcome.ciphertext.is_none() && done.outcome.alg.is_none());
}

#[test]
fn every_type_of_key_survives_a_restart() {
    let scene = Scene::new();
    let types = [KeyType::Oct128, KeyType::Oct256, KeyType::Rsa2048, KeyType::EcP256, KeyType::EcP521];
    for key_type in types {
        scene.store.change(create_key(key_type.as_str(), key_type)).unwrap();
    }
    let before = scene.store.list(&provider(), None, 10).unwrap();
    let scene = scene.close().reopen();
    assert_eq!(scene.store.list(&provider(), None, 10).unwrap(), before);
    for key_type in types {
        let done = scene.use_once(key_type.as_str(), Use::Release).unwrap();
        assert!(!opened(&done).is_empty());
    }
}

#[test]
fn wrap_generate_and_unwrap_fit_together() {
    let scene = Scene::new();
    scene.store.change(create_key("k", KeyType::Oct256)).unwrap();
    let decode = |text: &str| {
        use base64::Engine;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap()
    };
    let unwrap = |ciphertext: String| Use::Unwrap {
        alg: "A256GCM".to_owned(),
        ciphertext: decode(&ciphertext),
        aad: Vec::new(),
    };
    let wrapped = scene.use_once("k", wrap_use()).unwrap();
    assert!(wrapped.outcome.wrapped.is_none());
    let back = scene.use_once("k", unwrap(wrapped.outcome.ciphertext.unwrap())).unwrap();
    assert_eq!(opened(&back), b"plaintext");
    let generate = Use::Generate { alg: "A256GCM".to_owned(), bytes: 32, aad: Vec::new() };
    let made = scene.use_once("k", generate).unwrap();
    let again = scene.use_once("k", unwrap(made.outcome.ciphertext.clone().unwrap())).unwrap();
    assert_eq!(opened(&made), opened(&again));
}

#[test]
fn key_11_what_the_key_does_not_allow_is_refused() {
    let scene = Scene::new();
    let mut closed = create_key("k", KeyType::Oct256);
    if let Change::CreateKey { attributes, .. } = &mut closed.change {
        attributes.exportable = false;
        attributes.operations = vec![Operation::Release, Operation::Wrap];
    }
    scene.store.change(closed).unwrap();
    let code = |usage| scene.use_once("k", usage).err().unwrap().code();
    assert_eq!(code(Use::Release), "operation-not-allowed");
    let unwrap = Use::Unwrap { alg: "A256GCM".to_owned(), ciphertext: vec![0; 64], aad: Vec::new() };
    assert_eq!(code(unwrap), "operation-not-allowed");
    assert!(scene.use_once("k", wrap_use()).is_ok());
}

#[test]
fn key_08_a_key_outside_its_time_or_switched_off_is_not_used() {
    let scene = Scene::new();
    scene.store.change(create_key("k", KeyType::Oct256)).unwrap();
    let set = |changes: AttributeChanges| {
        let name = name("k");
        scene.store.change(order(Change::SetAttributes { name, changes })).unwrap()
    };
    let refused = || match scene.use_once("k", wrap_use()).err() {
        Some(KeystoreError::KeyState(reason)) => reason,
        other => panic!("{other:?}"),
    };
    set(AttributeChanges { enabled: Some(false), ..Default::default() });
    assert_eq!(refused(), KeyStateReason::Disabled);
    set(AttributeChanges { enabled: Some(true), not_before: Some(Some(NOW + 1)), ..Default::default() });
    assert_eq!(refused(), KeyStateReason::NotYetValid);
    set(AttributeChanges { not_before: Some(None), expires: Some(Some(NOW)), ..Default::default() });
    assert_eq!(refused(), KeyStateReason::Expired);
    set(AttributeChanges { expires: Some(Some(NOW + 1)), ..Default::default() });
    assert!(scene.use_once("k", wrap_use()).is_ok());
    let version = scene.view("k").versions[0].id;
    scene.store.change(order(Change::SetVersionEnabled { name: name("k"), version, enabled: false })).unwrap();
    assert_eq!(refused(), KeyStateReason::Disabled);
    assert!(scene.view("k").version(None).is_none());
}

#[test]
fn versions_are_added_and_the_old_ones_stay_usable() {
    let scene = Scene::new();
    scene.store.change(create_key("k", KeyType::Oct256)).unwrap();
    let first = scene.view("k").versions[0].id;
    scene
        .store
        .change(order(Change::NewVersion {
            name: name("k"),
            material: NewMaterial::Generate,
            update: KeyUpdate::default(),
            enabled: true,
        }))
        .unwrap();
    let view = scene.view("k");
    assert_eq!(view.versions.len(), 2);
    assert_eq!(view.versions[0].id, first);
    assert_ne!(view.version(None).unwrap().id, first);
    let mut permit = Permit::for_key(&scene.store, "k");
    permit.target.version = first;
    permit.seen.version_row = view.versions[0].row_version;
    let old = scene.store.perform(permit.usage(Use::Release)).unwrap();
    let new = scene.use_once("k", Use::Release).unwrap();
    assert_ne!(opened(&old), opened(&new));
}

#[test]
fn sto_29_creating_never_overwrites() {
    let scene = Scene::new();
    scene.store.change(import_secret("k", b"the first")).unwrap();
    for if_match in [IfMatch::Any, IfMatch::Absent] {
        let mut again = import_secret("K", b"the second");
        again.if_match = if_match;
        assert_eq!(scene.store.change(again).unwrap_err().code(), "conflict");
    }
    scene.store.change(order(Change::DeleteKey { name: name("k") })).unwrap();
    let again = scene.store.change(import_secret("k", b"the second"));
    assert_eq!(again.unwrap_err().code(), "conflict");
    scene.store.change(order(Change::RecoverKey { name: name("k") })).unwrap();
    let done = scene.use_once("k", Use::Release).unwrap();
    assert_eq!(opened(&done), b"the first");
}

#[test]
fn a_deleted_key_comes_back_and_a_destroyed_one_does_not() {
    let scene = Scene::new();
    scene.store.change(import_secret("k", b"secret")).unwrap();
    let purge = || order(Change::PurgeKey { name: name("k") });
    assert_eq!(scene.store.change(purge()).unwrap_err().code(), "conflict");
    scene.store.change(order(Change::DeleteKey { name: name("k") })).unwrap();
    let view = scene.view("k");
    assert_eq!(view.deleted_at, Some(NOW));
    assert_eq!(view.purge_at, Some(NOW + 90 * 86_400));
    assert!(view.usable(NOW).is_err());
    let refused = scene.use_once("k", Use::Release).err().unwrap();
    assert_eq!(refused.code(), "key-state");
    scene.store.change(purge()).unwrap();
    assert!(scene.store.look(&provider(), &name("k")).unwrap().key.is_none());
    let scene = scene.close().reopen();
    scene.store.check(&mut |_, _| {}).unwrap();
    let gone = scene.store.change(order(Change::RecoverKey { name: name("k") }));
    assert_eq!(gone.unwrap_err().code(), "key-not-found");
}

#[test]
fn changes_rest_on_the_state_that_was_named() {
    let scene = Scene::new();
    let etag = scene.store.change(create_key("k", KeyType::Oct256)).unwrap().etag;
    let disable = |etag: &str| {
        let mut order = order(Change::SetAttributes {
            name: name("k"),
            changes: AttributeChanges { enabled: Some(false), ..Default::default() },
        });
        order.if_match = IfMatch::Version(etag.to_owned());
        order
    };
    assert_eq!(scene.store.change(disable("0000000000000000-1")).err(), Some(KeystoreError::PreconditionFailed));
    let next = scene.store.change(disable(&etag)).unwrap().etag;
    assert_ne!(next, etag);
    assert_eq!(scene.store.change(disable(&etag)).err(), Some(KeystoreError::PreconditionFailed));
}

#[test]
fn key_05_an_immutable_rule_stays_and_rules_are_remembered() {
    let scene = Scene::new();
    scene.store.change(create_key("k", KeyType::Oct256)).unwrap();
    let set = |text: &str, immutable| {
        scene.store.change(order(Change::SetRules { name: name("k"), rules: rule(text), immutable }))
    };
    set("rule two", true).unwrap();
    assert_eq!(set("rule three", false).unwrap_err().code(), "forbidden");
    let history = scene.store.rule_history(&provider(), &name("k")).unwrap();
    let texts: Vec<_> = history.iter().map(|r| r.document.as_str()).collect();
    assert_eq!(texts, ["rule one", "rule two"]);
    assert_eq!(scene.view("k").rule.as_ref(), history.last());
}

#[test]
fn a_trial_changes_nothing() {
    let scene = Scene::new();
    let mut trial = create_key("k", KeyType::Oct256);
    trial.dry_run = true;
    let epoch = scene.store.epoch().unwrap();
    let tried = scene.store.change(trial).unwrap();
    assert!(tried.dry_run && tried.entry.is_none() && tried.key.is_some());
    assert_eq!(scene.store.epoch().unwrap(), epoch);
    assert_eq!(scene.store.head().unwrap().seq, 0);
    assert!(scene.store.list(&provider(), None, 10).unwrap().is_empty());
    let mut trial = create_key("k", KeyType::Oct256);
    trial.dry_run = true;
    trial.if_match = IfMatch::Version("x".to_owned());
    assert!(scene.store.change(trial).is_err());
}

#[test]
fn keys_are_listed_in_pages() {
    let scene = Scene::new();
    for key in ["b", "A", "c", "D"] {
        scene.store.change(create_key(key, KeyType::Oct256)).unwrap();
    }
    let names = |after: Option<&KeyName>, limit| -> Vec<String> {
        let keys = scene.store.list(&provider(), after, limit).unwrap();
        keys.iter().map(|k| k.name.to_string()).collect()
    };
    assert_eq!(names(None, 2), ["A", "b"]);
    assert_eq!(names(Some(&name("B")), 10), ["c", "D"]);
    let other = ProviderId::parse("other").unwrap();
    assert!(scene.store.list(&other, None, 10).unwrap().is_empty());
}

#[test]
fn sto_30_names_are_parameters_never_sql() {
    let scene = Scene::new();
    let token = "0123456789abcdef'; DROP TABLE keys; --";
    let odd = "x'); DELETE FROM journal; --";
    scene
        .store
        .change(order(Change::CreateCredential {
            name: odd.to_owned(),
            roles: vec![odd.to_owned()],
            key_pattern: Some(odd.to_owned()),
            expires: None,
            token: token.to_owned().into(),
        }))
        .unwrap();
    scene.store.change(order(Change::AddDeny { kind: "platform".to_owned(), value: odd.to_owned() })).unwrap();
    let found = scene.store.credential_by_token(token, NOW).unwrap();
    assert_eq!(found.unwrap().name, odd);
    assert_eq!(scene.store.denied(&provider()).unwrap()[0].value, odd);
    assert!(scene.store.mark(odd).unwrap().is_none());
    assert!(scene.store.session(odd).unwrap().is_none());
    assert_eq!(scene.store.head().unwrap().seq, 2);
}

#[test]
fn a_use_looks_at_one_version_of_many() {
    let scene = Scene::new();
    let store = &scene.store;
    store.change(create_key("k", KeyType::Oct256)).unwrap();
    for _ in 0..4 {
        let material = NewMaterial::Generate;
        let name = name("k");
        store
            .change(order(Change::NewVersion { name, material, update: KeyUpdate::default(), enabled: true }))
            .unwrap();
    }
    let all = scene.view("k").versions;
    let one = |wanted: Option<&VersionId>| {
        let look = store.look_version(&provider(), &name("k"), wanted);
        look.map(|look| look.key.unwrap().versions)
    };
    assert_eq!(one(None).unwrap(), all[4..]);
    assert_eq!(one(Some(&all[1].id)).unwrap(), all[1..2]);
    assert!(one(Some(&VersionId::random().unwrap())).unwrap().is_empty());
    let switch = Change::SetVersionEnabled { name: name("k"), version: all[4].id, enabled: false };
    store.change(order(switch)).unwrap();
    assert_eq!(one(None).unwrap(), all[3..4]);
    // An older one is damaged: that does not concern the newest, but it concerns who asks for it.
    tamper(&scene.file(), "UPDATE versions SET created = 1 WHERE number = 2");
    assert_eq!(one(None).unwrap(), all[3..4]);
    assert_eq!(one(Some(&all[1].id)).unwrap_err().code(), "store-corrupt");
    // Hiding the newest does not make an older one the newest.
    tamper(&scene.file(), "DELETE FROM versions WHERE number = 4");
    assert_eq!(one(None).unwrap_err().code(), "store-corrupt");
}
