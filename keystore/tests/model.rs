//! Any sequence of operations, with restarts in between, against a model that fits on a page.
//!
//! `store-durability.md` section 6.3: what was acknowledged is there, and nothing else.

mod scene;

use std::collections::{BTreeMap, BTreeSet};

use keygate_keystore::*;
use proptest::prelude::*;
use scene::*;

#[derive(Clone, Debug)]
enum Step {
    Create(u8, bool),
    NewVersion(u8),
    Enable(u8, bool),
    SetRule(u8),
    Delete(u8),
    Recover(u8),
    Purge(u8),
    Release(u8, u8),
    Record,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..3_u8;
    prop_oneof![
        3 => (key.clone(), any::<bool>()).prop_map(|(k, e)| Step::Create(k, e)),
        2 => key.clone().prop_map(Step::NewVersion),
        2 => (key.clone(), any::<bool>()).prop_map(|(k, on)| Step::Enable(k, on)),
        1 => key.clone().prop_map(Step::SetRule),
        2 => key.clone().prop_map(Step::Delete),
        2 => key.clone().prop_map(Step::Recover),
        1 => key.clone().prop_map(Step::Purge),
        6 => (key, 0..8_u8).prop_map(|(k, c)| Step::Release(k, c)),
        1 => Just(Step::Record),
        1 => Just(Step::Restart),
    ]
}

#[derive(Default)]
struct ModelKey {
    /// The newest secret.
    secret: Vec<u8>,
    versions: usize,
    rules: usize,
    enabled: bool,
    exportable: bool,
    deleted: bool,
}

#[derive(Default)]
struct Model {
    keys: BTreeMap<u8, ModelKey>,
    spent: BTreeSet<u8>,
    entries: u64,
    epoch: u64,
    secrets: u8,
}

impl Model {
    fn secret(&mut self) -> Vec<u8> {
        self.secrets += 1;
        vec![self.secrets; 20]
    }

    /// The key, if a change to it would be accepted.
    fn live(&mut self, key: u8) -> Option<&mut ModelKey> {
        self.keys.get_mut(&key).filter(|k| !k.deleted)
    }
}

fn text(key: u8) -> String {
    format!("key-{key}")
}

fn imported(secret: &[u8]) -> NewMaterial {
    let format = ImportFormat::Raw(secret);
    NewMaterial::Import(KeyMaterial::import(format, Some(KeyType::Secret)).unwrap())
}

fn changes(scene: &Scene, change: Change) -> bool {
    scene.store.change(order(change)).is_ok()
}

/// Does the step on both; they must agree whether it is accepted.
fn run(mut scene: Scene, model: &mut Model, step: &Step) -> Scene {
    let name = |key: &u8| name(&text(*key));
    let (accepted, expected) = match step {
        Step::Create(key, exportable) => {
            let secret = model.secret();
            let mut create = import_secret(&text(*key), &secret);
            if let Change::CreateKey { attributes, .. } = &mut create.change {
                attributes.exportable = *exportable;
            }
            let free = !model.keys.contains_key(key);
            if free {
                let new =
                    ModelKey { secret, versions: 1, rules: 1, enabled: true, exportable: *exportable, deleted: false };
                model.keys.insert(*key, new);
            }
            (scene.store.change(create).is_ok(), free)
        }
        Step::NewVersion(key) => {
            let secret = model.secret();
            let (name, material) = (name(key), imported(&secret));
            let live = model.live(*key).map(|k| {
                k.secret = secret;
                k.versions += 1;
            });
            let change = Change::NewVersion { name, material, update: KeyUpdate::default(), enabled: true };
            (changes(&scene, change), live.is_some())
        }
        Step::Enable(key, on) => {
            let live = model.live(*key).map(|k| k.enabled = *on);
            let changes_ = AttributeChanges { enabled: Some(*on), ..Default::default() };
            let change = Change::SetAttributes { name: name(key), changes: changes_ };
            (changes(&scene, change), live.is_some())
        }
        Step::SetRule(key) => {
            let live = model.live(*key).map(|k| k.rules += 1);
            let change = Change::SetRules { name: name(key), rules: rule("another rule"), immutable: false };
            (changes(&scene, change), live.is_some())
        }
        Step::Delete(key) => {
            let live = model.live(*key).map(|k| k.deleted = true);
            let change = Change::DeleteKey { name: name(key) };
            (changes(&scene, change), live.is_some())
        }
        Step::Recover(key) => {
            let found = model.keys.get_mut(key).filter(|k| k.deleted);
            let found = found.map(|k| k.deleted = false);
            let change = Change::RecoverKey { name: name(key) };
            (changes(&scene, change), found.is_some())
        }
        Step::Purge(key) => {
            let deleted = model.keys.get(key).is_some_and(|k| k.deleted);
            if deleted {
                model.keys.remove(key);
            }
            let change = Change::PurgeKey { name: name(key) };
            (changes(&scene, change), deleted)
        }
        Step::Release(key, challenge) => {
            let Some(found) = model.keys.get(key) else {
                return scene;
            };
            let usable = found.enabled && found.exportable && !found.deleted;
            let expected = usable && !model.spent.contains(challenge);
            let permit = Permit::for_key(&scene.store, &text(*key)).spending(*challenge);
            let done = scene.store.perform(permit.usage(Use::Release));
            if let Ok(done) = &done {
                assert_eq!(opened(done), found.secret);
                model.spent.insert(*challenge);
                model.entries += 1;
            }
            assert_eq!(done.is_ok(), expected, "{step:?}");
            return scene;
        }
        Step::Record => {
            scene.store.record(record("event")).unwrap();
            model.entries += 1;
            return scene;
        }
        Step::Restart => return scene.close().reopen(),
    };
    assert_eq!(accepted, expected, "{step:?}");
    if accepted {
        model.entries += 1;
        model.epoch += 1;
    }
    scene.store.epoch().unwrap();
    scene = compare(scene, model);
    scene
}

fn compare(scene: Scene, model: &Model) -> Scene {
    assert_eq!(scene.store.epoch().unwrap().0, model.epoch + 1);
    assert_eq!(scene.store.head().unwrap().seq, model.entries);
    let found = scene.store.list(&provider(), None, 10).unwrap();
    let names: Vec<String> = found.iter().map(|k| k.name.to_string()).collect();
    let expected: Vec<String> = model.keys.keys().map(|k| text(*k)).collect();
    assert_eq!(names, expected);
    for (view, key) in found.iter().zip(model.keys.values()) {
        assert_eq!(view.versions.len(), key.versions);
        assert_eq!(view.enabled, key.enabled);
        assert_eq!(view.exportable, key.exportable);
        assert_eq!(view.deleted_at.is_some(), key.deleted);
        assert_eq!(view.rule.as_ref().unwrap().number, key.rules as u64);
    }
    for challenge in 0..8 {
        let spent = scene.store.challenge_spent(&[challenge; 32]).unwrap();
        assert_eq!(spent, model.spent.contains(&challenge));
    }
    scene
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_store_is_its_model(steps in prop::collection::vec(step(), 1..40)) {
        let mut model = Model::default();
        let mut scene = Scene::new();
        for step in &steps {
            scene = run(scene, &mut model, step);
        }
        let scene = compare(scene.close().reopen(), &model);
        scene.store.check(&mut |_, _| {}).unwrap();
        let verdict = scene.store.verify_journal(&mut |_, _| {}).unwrap();
        let intact = matches!(verdict, JournalVerdict::Intact { entries, .. } if entries == model.entries);
        prop_assert!(intact);
    }
}
