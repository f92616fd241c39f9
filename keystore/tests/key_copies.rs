//! Sealed copies of single keys: they bring back the whole key here, and nothing anywhere else.
//!
//! `keyvault-api.md` section 2, backup and restore.

mod scene;

use keygate_keystore::*;
use scene::*;

fn copy_order(key: &str) -> KeyBackupOrder {
    KeyBackupOrder { provider: provider(), name: name(key), record: record("key-backup"), now: NOW }
}

fn copy(store: &Keystore, key: &str) -> Vec<u8> {
    store.backup_key(copy_order(key)).unwrap().0
}

fn restore(store: &Keystore, copy: &[u8], after_purge: AfterPurge) -> Result<Changed, KeystoreError> {
    let backup = Box::new(store.open_key_backup(&provider(), copy)?);
    store.change(order(Change::RestoreKey { backup, after_purge }))
}

fn purge(store: &Keystore, key: &str) {
    store.change(order(Change::DeleteKey { name: name(key) })).unwrap();
    store.change(order(Change::PurgeKey { name: name(key) })).unwrap();
}

#[track_caller]
fn code<T>(result: Result<T, KeystoreError>) -> &'static str {
    result.err().expect("refused").code()
}

/// A key with everything a key can have.
fn furnished(scene: &Scene) -> KeyView {
    let mut create = create_key("Disk", KeyType::EcP256);
    if let Change::CreateKey { attributes, immutable, .. } = &mut create.change {
        *immutable = true;
        attributes.exportable = false;
        attributes.not_before = Some(NOW - 5);
        attributes.expires = Some(NOW + 5_000);
        attributes.operations = vec![Operation::Sign, Operation::Verify];
        attributes.tags.insert("team".to_owned(), "a".to_owned());
    }
    scene.store.change(create).unwrap();
    scene
        .store
        .change(order(Change::NewVersion {
            name: name("disk"),
            material: NewMaterial::Generate,
            update: KeyUpdate::default(),
            enabled: true,
        }))
        .unwrap();
    let first = scene.view("disk").versions[0].id;
    let off = Change::SetVersionEnabled { name: name("disk"), version: first, enabled: false };
    scene.store.change(order(off)).unwrap();
    let text = r#"{"lifetimeActions":[{"trigger":{"timeAfterCreate":"P90D"},"action":{"type":"Rotate"}}]}"#;
    let policy = RotationPolicy::parse(text).unwrap();
    scene.store.change(order(Change::SetRotation { name: name("disk"), policy })).unwrap();
    scene.view("disk")
}

#[test]
fn a_key_comes_back_whole() {
    let scene = Scene::new();
    let before = furnished(&scene);
    let copied = copy(&scene.store, "disk");
    purge(&scene.store, "disk");
    let scene = scene.close().reopen();
    let backup = scene.store.open_key_backup(&provider(), &copied).unwrap();
    assert_eq!((backup.name().as_str(), backup.key_type(), backup.was_purged()), ("Disk", KeyType::EcP256, true));
    assert_eq!(backup.rules(), Some(&rule("rule one")));
    assert_eq!(backup.versions(), before.versions.iter().map(|v| v.id).collect::<Vec<_>>());
    drop(backup);
    let changed = restore(&scene.store, &copied, AfterPurge::Allowed).unwrap();
    assert!(changed.entry.is_some());
    let after = scene.view("disk");
    assert_eq!(changed.key.unwrap(), after);
    assert_ne!(after.row_id, before.row_id);
    let same = |view: &KeyView| {
        let versions: Vec<_> = view.versions.iter().map(|v| (v.id, v.created, v.enabled, v.public.clone())).collect();
        let rule = view.rule.as_ref().map(|r| (r.document.clone(), r.digest));
        let times = (view.not_before, view.expires, view.created);
        let text = format!("{:?} {:?} {:?}", view.operations, view.tags, view.name);
        (versions, rule, times, text, view.enabled, view.exportable, view.immutable)
    };
    assert_eq!(same(&after), same(&before));
    assert_eq!(scene.store.rotation_history(&provider(), &name("disk")).unwrap().len(), 1);
    // an immutable rule stays one, and the store is sound
    let change = Change::SetRules { name: name("disk"), rules: rule("other"), immutable: false };
    assert_eq!(code(scene.store.change(order(change))), "forbidden");
    scene.store.check(&mut |_, _| {}).unwrap();
    assert!(matches!(scene.store.verify_journal(&mut |_, _| {}).unwrap(), JournalVerdict::Intact { .. }));
}

#[test]
fn what_was_encrypted_opens_again() {
    let scene = Scene::new();
    scene.store.change(create_key("k", KeyType::Oct256)).unwrap();
    let wrapped = scene.use_once("k", wrap_use()).unwrap().outcome.ciphertext.unwrap();
    let copied = copy(&scene.store, "k");
    purge(&scene.store, "k");
    restore(&scene.store, &copied, AfterPurge::Allowed).unwrap();
    use base64::Engine;
    let ciphertext = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(wrapped).unwrap();
    let unwrap = Use::Unwrap { alg: "A256GCM".to_owned(), ciphertext, aad: Vec::new() };
    assert_eq!(opened(&scene.use_once("k", unwrap).unwrap()), b"plaintext");
}

#[test]
fn sto_29_a_name_that_is_taken_is_a_conflict() {
    let scene = Scene::new();
    scene.store.change(import_secret("k", b"the first")).unwrap();
    let copied = copy(&scene.store, "k");
    for after_purge in [AfterPurge::Refused, AfterPurge::Allowed] {
        assert_eq!(code(restore(&scene.store, &copied, after_purge)), "conflict");
    }
    scene.store.change(order(Change::DeleteKey { name: name("k") })).unwrap();
    assert_eq!(code(restore(&scene.store, &copied, AfterPurge::Allowed)), "conflict");
    scene.store.change(order(Change::PurgeKey { name: name("k") })).unwrap();
    scene.store.change(import_secret("K", b"the second")).unwrap();
    assert_eq!(code(restore(&scene.store, &copied, AfterPurge::Allowed)), "conflict");
    assert_eq!(opened(&scene.use_once("k", Use::Release).unwrap()), b"the second");
}

#[test]
fn sto_26_a_purged_key_comes_back_only_where_that_is_said() {
    let scene = Scene::new();
    scene.store.change(import_secret("k", b"secret")).unwrap();
    let copied = copy(&scene.store, "k");
    purge(&scene.store, "k");
    assert_eq!(AfterPurge::default(), AfterPurge::Refused);
    assert_eq!(code(restore(&scene.store, &copied, AfterPurge::Refused)), "forbidden");
    assert!(scene.store.look(&provider(), &name("k")).unwrap().key.is_none());
    restore(&scene.store, &copied, AfterPurge::Allowed).unwrap();
    assert_eq!(opened(&scene.use_once("k", Use::Release).unwrap()), b"secret");
    // purged again, the copy of the copy is refused as well
    let again = copy(&scene.store, "k");
    purge(&scene.store, "k");
    for copy in [&copied, &again] {
        assert_eq!(code(restore(&scene.store, copy, AfterPurge::Refused)), "forbidden");
    }
}

/// A store put back from a backup that never had the key takes its copy: the ledger alone could forbid it.
#[test]
fn a_copy_outlives_the_store_it_was_made_in() {
    let scene = Scene::new();
    scene.store.backup(&scene.dir.path().join("backup"), NOW).unwrap();
    scene.store.change(import_secret("k", b"secret")).unwrap();
    scene.store.change(import_secret("gone", b"secret")).unwrap();
    let (kept, gone) = (copy(&scene.store, "k"), copy(&scene.store, "gone"));
    purge(&scene.store, "gone");
    let closed = scene.close();
    let files: Vec<_> = std::fs::read_dir(closed.dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
    for file in files.iter().filter(|f| f.file_name().unwrap().to_str().unwrap().starts_with("store")) {
        if !file.to_str().unwrap().ends_with(".purged") {
            std::fs::remove_file(file).unwrap();
        }
    }
    Keystore::restore(&closed.dir.path().join("backup"), &closed.file(), &closed.root(), NOW).unwrap();
    let scene = closed.reopen();
    assert_eq!(scene.store.status().incarnation, 2);
    restore(&scene.store, &kept, AfterPurge::Refused).unwrap();
    assert_eq!(opened(&scene.use_once("k", Use::Release).unwrap()), b"secret");
    assert_eq!(code(restore(&scene.store, &gone, AfterPurge::Refused)), "forbidden");
}

#[test]
fn a_copy_opens_in_its_installation_and_for_its_provider_alone() {
    let scene = Scene::new();
    scene.store.change(import_secret("k", b"secret")).unwrap();
    let copied = copy(&scene.store, "k");
    // another store, under the same root key and under another
    let other = Scene::new();
    assert_eq!(other.store.open_key_backup(&provider(), &copied).err(), Some(KeystoreError::CryptoFailed));
    let twin = Keystore::create(&scene.dir.path().join("twin"), &scene.root(), 90, NOW).unwrap();
    assert_eq!(twin.open_key_backup(&provider(), &copied).err(), Some(KeystoreError::CryptoFailed));
    // with the name of the other store written over its own
    let mut renamed = copied.clone();
    renamed[16..32].copy_from_slice(&twin.status().store_id);
    assert_eq!(twin.open_key_backup(&provider(), &renamed).err(), Some(KeystoreError::CryptoFailed));
    let stranger = ProviderId::parse("other").unwrap();
    assert_eq!(scene.store.open_key_backup(&stranger, &copied).err(), Some(KeystoreError::CryptoFailed));
    // opened for one provider, ordered for another
    let backup = Box::new(scene.store.open_key_backup(&provider(), &copied).unwrap());
    let mut order = order(Change::RestoreKey { backup, after_purge: AfterPurge::Allowed });
    order.provider = stranger.clone();
    order.record.provider = stranger;
    assert_eq!(code(scene.store.change(order)), "crypto-failed");
}

#[test]
fn sto_25_every_flipped_bit_and_every_cut_is_refused() {
    let scene = Scene::new();
    scene.store.change(import_secret("k", b"secret")).unwrap();
    let copied = copy(&scene.store, "k");
    assert!(scene.store.open_key_backup(&provider(), &copied).is_ok());
    let failed =
        |bytes: &[u8]| scene.store.open_key_backup(&provider(), bytes).err() == Some(KeystoreError::CryptoFailed);
    for place in 0..copied.len() {
        for bit in 0..8 {
            let mut changed = copied.clone();
            changed[place] ^= 1 << bit;
            assert!(failed(&changed), "{place} {bit}");
        }
        assert!(failed(&copied[..place]), "{place}");
    }
    assert!(failed(&[&copied[..], &[0]].concat()));
    assert!(failed(&[&copied[..], &copied[64..]].concat()));
    let long = vec![0; LONGEST_KEY_BACKUP + 1];
    assert_eq!(code(scene.store.open_key_backup(&provider(), &long)), "too-large");
    assert!(failed(&vec![0; LONGEST_KEY_BACKUP]));
}

/// A copy of several pieces: none can be left out, repeated, moved, or come from another copy.
#[test]
fn sto_25_pieces_do_not_move() {
    let scene = Scene::new();
    scene.store.change(import_secret("k", &[7; 65_536])).unwrap();
    for _ in 0..5 {
        let material = KeyMaterial::import(ImportFormat::Raw(&[8; 65_536]), Some(KeyType::Secret)).unwrap();
        let change = Change::NewVersion {
            name: name("k"),
            material: NewMaterial::Import(material),
            update: KeyUpdate::default(),
            enabled: true,
        };
        scene.store.change(order(change)).unwrap();
    }
    let pieces = |copied: &[u8]| {
        let (mut found, mut at) = (Vec::new(), 64);
        while at < copied.len() {
            let length = u32::from_be_bytes(copied[at..at + 4].try_into().unwrap()) as usize;
            found.push(copied[at..at + 4 + length].to_vec());
            at += 4 + length;
        }
        (copied[..64].to_vec(), found)
    };
    let (copied, second) = (copy(&scene.store, "k"), copy(&scene.store, "k"));
    let (header, own) = pieces(&copied);
    let (_, others) = pieces(&second);
    assert!(own.len() > 2);
    let joined = |pieces: &[&Vec<u8>]| {
        [&header[..], &pieces.iter().flat_map(|p| p.iter().copied()).collect::<Vec<u8>>()].concat()
    };
    let opens = |bytes: &[u8]| scene.store.open_key_backup(&provider(), bytes).is_ok();
    let all: Vec<&Vec<u8>> = own.iter().collect();
    assert!(opens(&joined(&all)));
    for at in 0..all.len() {
        let mut without = all.clone();
        without.remove(at);
        assert!(!opens(&joined(&without)));
        let mut mixed = all.clone();
        mixed[at] = &others[at];
        assert!(!opens(&joined(&mixed)));
        let mut twice = all.clone();
        twice.insert(at, all[at]);
        assert!(!opens(&joined(&twice)));
    }
    let mut swapped = all.clone();
    swapped.swap(0, 1);
    assert!(!opens(&joined(&swapped)));
    purge(&scene.store, "k");
    restore(&scene.store, &copied, AfterPurge::Allowed).unwrap();
    assert_eq!(opened(&scene.use_once("k", Use::Release).unwrap()), [8; 65_536]);
}

#[test]
fn a_copy_is_recorded_before_it_is_handed_out_and_hides_the_key() {
    let scene = Scene::new();
    scene.store.change(import_secret("k", b"a secret that would be seen")).unwrap();
    let before = scene.store.head().unwrap().seq;
    let (copied, entry) = scene.store.backup_key(copy_order("k")).unwrap();
    assert_eq!(entry.seq, before + 1);
    let last = scene.store.entries(None, entry.seq, 1).unwrap();
    assert_eq!(last[0].kind, "key-backup");
    for part in [&b"a secret"[..], b"rule one", b"default", b"would be seen"] {
        assert!(!copied.windows(part.len()).any(|window| window == part));
    }
    let mut long = copy_order("k");
    long.record.body = "x".repeat(70_000);
    assert!(scene.store.backup_key(long).is_err());
    assert_eq!(code(scene.store.backup_key(copy_order("none"))), "key-not-found");
    scene.store.change(order(Change::DeleteKey { name: name("k") })).unwrap();
    assert_eq!(code(scene.store.backup_key(copy_order("k"))), "key-state");
    assert_eq!(scene.store.head().unwrap().seq, entry.seq + 1);
}

#[test]
fn restoring_can_be_tried_and_repeated() {
    let scene = Scene::new();
    scene.store.change(import_secret("k", b"secret")).unwrap();
    let copied = copy(&scene.store, "k");
    purge(&scene.store, "k");
    let change = |dry_run: bool, if_match: IfMatch| {
        let backup = Box::new(scene.store.open_key_backup(&provider(), &copied).unwrap());
        let mut order = order(Change::RestoreKey { backup, after_purge: AfterPurge::Allowed });
        order.dry_run = dry_run;
        order.if_match = if_match;
        order.repeat = (!dry_run).then(|| RepeatKey { key: "r".to_owned(), body_digest: [1; 32], until: NOW + 9 });
        scene.store.change(order)
    };
    assert!(change(true, IfMatch::Absent).unwrap().dry_run);
    assert!(scene.store.look(&provider(), &name("k")).unwrap().key.is_none());
    assert_eq!(code(change(false, IfMatch::Version("x".to_owned()))), "conflict");
    let first = change(false, IfMatch::Absent).unwrap();
    let second = change(false, IfMatch::Absent).unwrap();
    assert!(!first.repeat && second.repeat);
    assert_eq!(first.etag, second.etag);
}
