//! Backups and what is restored from them.
//!
//! `store-durability.md` section 8; fault STO-25 of `bad-inputs.md`.

mod scene;

use keygate_keystore::*;
use scene::*;

fn furnished() -> Scene {
    let scene = Scene::new();
    let store = &scene.store;
    store.change(import_secret("a", b"secret of a")).unwrap();
    store.change(create_key("c", KeyType::Rsa2048)).unwrap();
    store
        .change(order(Change::NewVersion {
            name: name("c"),
            material: NewMaterial::Generate,
            update: KeyUpdate::default(),
            enabled: true,
        }))
        .unwrap();
    store
        .change(order(Change::CreateCredential {
            name: "ci".to_owned(),
            roles: Vec::new(),
            key_pattern: None,
            expires: None,
            token: "a token of some length".to_owned().into(),
        }))
        .unwrap();
    let material = KeyMaterial::generate(KeyType::EcP256).unwrap();
    store
        .put_service_key(&provider(), ServicePurpose::Receipt, "kid", &[vec![1]], &material, record("service-key"), NOW)
        .unwrap();
    store.raise_marks(&[("tcb".to_owned(), 7)]).unwrap();
    let permit = Permit::for_key(store, "a").spending(1).named("r", 1);
    store.perform(permit.usage(Use::Release)).unwrap();
    scene
}

fn leftovers(scene: &Scene) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(scene.dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|n| n.contains(".snapshot") || n.contains(".partial"))
        .collect();
    names.sort();
    names
}

#[test]
fn a_restored_store_has_the_same_objects_under_the_next_incarnation() {
    let scene = furnished();
    let (copy, new) = (scene.dir.path().join("copy"), scene.dir.path().join("new"));
    let before = scene.store.check(&mut |_, _| {}).unwrap();
    let keys = scene.store.list(&provider(), None, 10).unwrap();
    let written = scene.store.backup(&copy, NOW).unwrap();
    assert_eq!(written.digest, before.digest);
    assert_eq!(written.incarnation, 1);
    assert_eq!(written.bytes, std::fs::metadata(&copy).unwrap().len());
    let restored = Keystore::restore(&copy, &new, &scene.root(), NOW + 5).unwrap();
    assert_eq!(restored.digest, before.digest);
    assert_eq!(restored.incarnation, 2);
    assert!(leftovers(&scene).is_empty(), "{:?}", leftovers(&scene));

    let store = Keystore::open(&new, &scene.root(), NOW + 6).unwrap();
    assert_eq!(store.list(&provider(), None, 10).unwrap(), keys);
    assert_eq!(store.check(&mut |_, _| {}).unwrap().digest, before.digest);
    assert_eq!(store.status().store_id, scene.store.status().store_id);
    assert_eq!(store.status().incarnation, 2);
    assert!(store.epoch().unwrap() > scene.store.epoch().unwrap());
    let last = store.entries(None, before.entries + 1, 10).unwrap();
    assert_eq!(last[0].kind, "store-restored");
    assert!(matches!(store.verify_journal(&mut |_, _| {}).unwrap(), JournalVerdict::Intact { .. }));
    let done = store.perform(Permit::for_key(&store, "a").usage(Use::Release));
    assert_eq!(opened(&done.unwrap()), b"secret of a");
    let token = "a token of some length";
    assert!(store.credential_by_token(token, NOW).unwrap().is_some());
    assert_eq!(store.mark("tcb").unwrap(), Some(7));
    assert!(store.open_service_key(&provider(), ServicePurpose::Receipt, "kid").is_ok());
}

#[test]
fn challenges_sessions_and_answers_of_before_are_worth_nothing() {
    let scene = furnished();
    let (copy, new) = (scene.dir.path().join("copy"), scene.dir.path().join("new"));
    scene.store.backup(&copy, NOW).unwrap();
    Keystore::restore(&copy, &new, &scene.root(), NOW).unwrap();
    let store = Keystore::open(&new, &scene.root(), NOW).unwrap();
    let challenge = |store: &Keystore| store.mac(MacPurpose::Challenge, &[b"nonce"]);
    assert_ne!(challenge(&store), challenge(&scene.store));
    let index = |store: &Keystore| store.mac(MacPurpose::Index, &[b"token"]);
    assert_eq!(index(&store), index(&scene.store));
    assert_eq!(store.repeat(&provider(), "r", &[1; 32], NOW).unwrap(), Repeated::New);
    let old = Permit::for_key(&scene.store, "a");
    let refused = store.perform(old.usage(Use::Release)).err();
    assert_eq!(refused, Some(KeystoreError::EpochMoved));
}

#[test]
fn challenges_of_two_restores_of_one_backup_differ() {
    let scene = furnished();
    let copy = scene.dir.path().join("copy");
    scene.store.backup(&copy, NOW).unwrap();
    let challenge = |file: &str, now| {
        let file = scene.dir.path().join(file);
        Keystore::restore(&copy, &file, &scene.root(), now).unwrap();
        let mac = || {
            let store = Keystore::open(&file, &scene.root(), now).unwrap();
            store.mac(MacPurpose::Challenge, &[b"nonce"])
        };
        let first = mac();
        assert_eq!(first, mac());
        first
    };
    assert_ne!(challenge("one", NOW), challenge("two", NOW + 5));
}

#[test]
fn sto_10_cells_of_one_incarnation_do_not_fit_into_another() {
    let scene = furnished();
    let (copy, new) = (scene.dir.path().join("copy"), scene.dir.path().join("new"));
    scene.store.backup(&copy, NOW).unwrap();
    Keystore::restore(&copy, &new, &scene.root(), NOW).unwrap();
    let root = scene.root();
    let closed = scene.close();
    let sql = format!(
        "ATTACH '{}' AS old; DELETE FROM main.keys; INSERT INTO main.keys SELECT * FROM old.keys",
        closed.file().display()
    );
    tamper(&new, &sql);
    let refused = Keystore::open(&new, &root, NOW).err().unwrap();
    assert_eq!(refused.code(), "store-corrupt");
}

#[test]
fn sto_25_damaged_backups_are_refused_before_anything_is_written() {
    let scene = furnished();
    let (copy, new) = (scene.dir.path().join("copy"), scene.dir.path().join("new"));
    scene.store.backup(&copy, NOW).unwrap();
    let original = std::fs::read(&copy).unwrap();
    let refused = |content: &[u8]| {
        std::fs::write(&copy, content).unwrap();
        let code = Keystore::restore(&copy, &new, &scene.root(), NOW).err().map_or("restored", |e| e.code());
        assert!(!new.exists());
        assert!(leftovers(&scene).is_empty());
        code
    };
    for length in [0, 1, 107, 108, 139, 140, 500, original.len() / 2, original.len() - 1] {
        assert_eq!(refused(&original[..length]), "store-corrupt", "{length}");
    }
    let sampled = (0..original.len()).step_by(original.len() / 40);
    // Every byte of the commitment, which lies behind a header of 108 bytes.
    for at in sampled.chain(108..140) {
        let mut damaged = original.clone();
        damaged[at] ^= 0x10;
        // The store's name and the check value decide which root key belongs to it.
        let code = refused(&damaged);
        assert!(matches!(code, "store-corrupt" | "sealed"), "{at}: {code}");
    }
    let mut longer = original.clone();
    longer.push(0);
    assert_eq!(refused(&longer), "store-corrupt");
    std::fs::write(&copy, &original).unwrap();
    assert!(Keystore::restore(&copy, &new, &scene.root(), NOW).is_ok());
}

#[test]
fn sto_25_a_backup_is_useless_without_its_root_key() {
    let scene = furnished();
    let (copy, new) = (scene.dir.path().join("copy"), scene.dir.path().join("new"));
    scene.store.backup(&copy, NOW).unwrap();
    let other = FileRoot::create(&scene.dir.path().join("other")).unwrap();
    let refused = Keystore::restore(&copy, &new, &other, NOW).err();
    assert_eq!(refused, Some(KeystoreError::WrongRootKey));
    assert!(!new.exists());
}

#[test]
fn backups_and_restores_overwrite_nothing() {
    let scene = furnished();
    let copy = scene.dir.path().join("copy");
    scene.store.backup(&copy, NOW).unwrap();
    let again = scene.store.backup(&copy, NOW).unwrap_err();
    assert_eq!(again.code(), "conflict");
    let over = Keystore::restore(&copy, &scene.file(), &scene.root(), NOW);
    assert_eq!(over.err().unwrap().code(), "conflict");
}

#[test]
fn of_a_damaged_store_there_is_no_backup() {
    let scene = furnished();
    tamper(&scene.file(), "UPDATE journal SET body = '{}' WHERE seq = 2");
    let copy = scene.dir.path().join("copy");
    let refused = scene.store.backup(&copy, NOW).unwrap_err();
    assert_eq!(refused.code(), "store-corrupt");
    assert!(!copy.exists() && leftovers(&scene).is_empty());
}

#[test]
fn a_backup_is_of_one_moment_while_others_write() {
    let scene = furnished();
    let copy = scene.dir.path().join("copy");
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for _ in 0..50 {
                scene.store.record(record("event")).unwrap();
            }
        });
        scene.store.backup(&copy, NOW).unwrap();
        writer.join().unwrap();
    });
    let new = scene.dir.path().join("new");
    Keystore::restore(&copy, &new, &scene.root(), NOW).unwrap();
    Keystore::open(&new, &scene.root(), NOW).unwrap();
}

#[test]
fn sto_26_a_purged_key_stays_purged_after_restore() {
    let scene = furnished();
    let path = |file: &str| scene.dir.path().join(file);
    let ledger = path("store.purged");
    scene.store.backup(&path("copy"), NOW).unwrap();
    scene.store.change(order(Change::DeleteKey { name: name("a") })).unwrap();
    let purge = || order(Change::PurgeKey { name: name("a") });
    scene.store.change(ChangeOrder { dry_run: true, ..purge() }).unwrap();
    assert!(!ledger.exists());
    scene.store.change(purge()).unwrap();
    assert!(ledger.exists());
    let restored = |file: &str, ledger: &std::path::Path| {
        let root = scene.root();
        Keystore::restore_with_ledger(&path("copy"), &path(file), ledger, &root, NOW).unwrap();
        let store = Keystore::open(&path(file), &root, NOW).unwrap();
        store.check(&mut |_, _| {}).unwrap();
        let keys = store.list(&provider(), None, 10).unwrap();
        keys.into_iter().map(|key| key.name.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(restored("elsewhere", &path("no ledger")), ["a", "c"]);
    assert_eq!(restored("with", &ledger), ["c"]);
    // The ledger went along: the next restore there needs no hint.
    std::fs::remove_file(path("with")).unwrap();
    assert_eq!(restored("with", &path("no ledger")), ["c"]);
    // A ledger that was touched is not believed.
    let text = std::fs::read_to_string(&ledger).unwrap();
    let last = text.len() - 2;
    let digit = if text.ends_with("0\n") { "1" } else { "0" };
    std::fs::write(&ledger, format!("{}{digit}\n", &text[..last])).unwrap();
    let to = path("touched");
    let refused = Keystore::restore_with_ledger(&path("copy"), &to, &ledger, &scene.root(), NOW);
    assert_eq!(refused.err().unwrap().code(), "store-corrupt");
    assert!(!to.exists() && leftovers(&scene).is_empty());
}
