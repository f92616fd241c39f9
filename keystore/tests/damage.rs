//! What somebody with write access to the store's files can do: nothing unnoticed.
//!
//! `bad-inputs.md` section 15.

mod scene;

use std::os::unix::fs::{PermissionsExt, symlink};

use keygate_keystore::*;
use scene::*;

/// A store with something in most tables, closed.
fn furnished() -> Closed {
    let scene = Scene::new();
    let store = &scene.store;
    store.change(import_secret("a", b"secret of a")).unwrap();
    store.change(import_secret("b", b"secret of b")).unwrap();
    store.change(create_key("c", KeyType::Oct256)).unwrap();
    store
        .change(order(Change::NewVersion {
            name: name("c"),
            material: NewMaterial::Generate,
            update: KeyUpdate::default(),
            enabled: true,
        }))
        .unwrap();
    store.change(order(Change::SetRules { name: name("c"), rules: rule("rule two"), immutable: false })).unwrap();
    store.change(order(Change::AddDeny { kind: "platform".to_owned(), value: "chip".to_owned() })).unwrap();
    store
        .change(order(Change::CreateCredential {
            name: "ci".to_owned(),
            roles: vec!["release".to_owned()],
            key_pattern: None,
            expires: None,
            token: "a token of some length".to_owned().into(),
        }))
        .unwrap();
    store
        .change(order(Change::SetPolicy { kind: "attest".to_owned(), document: "policy".to_owned(), digest: [1; 32] }))
        .unwrap();
    store.raise_marks(&[("tcb".to_owned(), 7)]).unwrap();
    let material = KeyMaterial::generate(KeyType::EcP256).unwrap();
    store
        .put_service_key(
            &provider(),
            ServicePurpose::Receipt,
            "kid",
            &[vec![1, 2], vec![3]],
            &material,
            record("service-key"),
            NOW,
        )
        .unwrap();
    store.change(order(Change::AllowEk { ek: [7; 32] })).unwrap();
    let done = store
        .change(order(Change::Enrol(Box::new(NewEnrolment {
            machine: "web-1".to_owned(),
            ak_name: vec![1; 34],
            ak_public: vec![2; 40],
            ek: [7; 32],
            certificate: None,
            anchor: ALLOWED_EK.to_owned(),
            expires: NOW + 1_000,
        }))))
        .unwrap();
    let clock = ClockReading { reset_count: 1, restart_count: 2, clock: 3 };
    let machine = Machine { ak_name: vec![1; 34], enrolment: Some(done.etag), clock };
    let permit = Permit::for_key(store, "c").spending(1).named("r", 1);
    store.perform(permit.usage(wrap_use()).of_machine(Some(machine))).unwrap();
    scene.close()
}

fn code(opened: Result<Keystore, KeystoreError>) -> &'static str {
    opened.map(|_| "opened").map_err(|e| e.code()).unwrap_or_else(|c| c)
}

#[test]
fn sto_11_every_plain_column_is_authenticated() {
    let closed = furnished();
    let original = std::fs::read(closed.file()).unwrap();
    let flips = [
        ("keys", "enabled = 1 - enabled"),
        ("keys", "exportable = 1 - exportable"),
        ("keys", "expires = 1"),
        ("keys", "not_before = 1"),
        ("keys", "operations = 'release'"),
        ("keys", "tags = '{\"a\":\"b\"}'"),
        ("keys", "rule_number = 1, rule_contents = zeroblob(32)"),
        ("keys", "rule_number = 0, rule_contents = NULL"),
        ("keys", "immutable = 1 - immutable"),
        ("keys", "deleted_at = 1"),
        ("keys", "purge_at = 1"),
        ("keys", "created = 1"),
        ("keys", "updated = 1"),
        ("keys", "versions = 9"),
        ("keys", "name = upper(name)"),
        ("keys", "key_type = 'oct-128'"),
        ("keys", "row_version = row_version + 1"),
        ("keys", "provider = 'other'"),
        ("versions", "enabled = 1 - enabled"),
        ("versions", "created = 1"),
        ("versions", "public = '{}'"),
        ("versions", "row_version = 2"),
        ("rules", "document = 'true'"),
        ("rules", "digest = zeroblob(32)"),
        ("rules", "author = 'mallory'"),
        ("policies", "document = 'true'"),
        ("credentials", "roles = '[\"admin\"]'"),
        ("credentials", "expires = 1"),
        ("credentials", "token = zeroblob(32)"),
        ("credentials", "key_pattern = '*'"),
        ("denies", "value = 'another'"),
        ("marks", "value = 1"),
        ("enrolments", "machine = 'other'"),
        ("enrolments", "ak_name = zeroblob(34)"),
        ("enrolments", "ak_public = zeroblob(40)"),
        ("enrolments", "ek = zeroblob(32)"),
        ("enrolments", "certificate = zeroblob(32)"),
        ("enrolments", "anchor = 'vendor'"),
        ("enrolments", "owner = 'mallory'"),
        ("enrolments", "enrolled = 1"),
        ("enrolments", "expires = expires + 1"),
        ("endorsement_keys", "ek = zeroblob(32)"),
        ("endorsement_keys", "author = 'mallory'"),
        ("clocks", "ak_name = zeroblob(34)"),
        ("clocks", "reset_count = 0"),
        ("clocks", "restart_count = 0"),
        ("clocks", "clock = zeroblob(8)"),
        ("clocks", "seen = 1"),
        ("service_keys", "certificates = x''"),
        ("service_keys", "kid = 'other'"),
        ("challenges", "digest = zeroblob(32)"),
        ("challenges", "until = 1"),
        ("answers", "until = until + 1"),
        ("answers", "seq = 1"),
        ("head", "epoch = epoch + 1"),
        ("head", "generation = generation - 1"),
        ("head", "accumulator = zeroblob(32)"),
        ("head", "audit_seq = audit_seq - 1"),
        ("head", "newest_time = 1"),
        ("head", "pruned_through = 1"),
        ("store", "incarnation = 2"),
        ("store", "retention_days = 7"),
        ("store", "created = 1"),
    ];
    for (table, flip) in flips {
        std::fs::write(closed.file(), &original).unwrap();
        assert_eq!(code(closed.open()), "opened");
        tamper(&closed.file(), &format!("UPDATE {table} SET {flip}"));
        assert_eq!(code(closed.open()), "store-corrupt", "{table}: {flip}");
    }
}

#[test]
fn sto_10_rows_removed_added_moved_or_put_back_are_noticed() {
    let closed = furnished();
    let original = std::fs::read(closed.file()).unwrap();
    for damage in [
        "DELETE FROM denies",
        "DELETE FROM challenges",
        "DELETE FROM answers",
        "DELETE FROM credentials",
        "DELETE FROM policies",
        "DELETE FROM marks",
        "DELETE FROM enrolments",
        "DELETE FROM endorsement_keys",
        "DELETE FROM clocks",
        "DELETE FROM versions WHERE number = 2",
        "DELETE FROM keys WHERE folded = 'a'",
        "INSERT INTO denies SELECT 'other', kind, value, row_id, reason, at, author, mac FROM denies",
        "UPDATE keys SET data_key = (SELECT data_key FROM keys WHERE folded = 'b') WHERE folded = 'a'",
        "UPDATE versions SET material = (SELECT material FROM versions v JOIN keys ON keys.row_id = v.key_id \
         WHERE folded = 'b') WHERE key_id = (SELECT row_id FROM keys WHERE folded = 'a')",
        "UPDATE versions SET key_id = (SELECT row_id FROM keys WHERE folded = 'c'), number = 3 \
         WHERE key_id = (SELECT row_id FROM keys WHERE folded = 'a')",
    ] {
        std::fs::write(closed.file(), &original).unwrap();
        tamper(&closed.file(), damage);
        assert_eq!(code(closed.open()), "store-corrupt", "{damage}");
    }
}

#[test]
fn sto_10_an_old_version_of_a_row_put_back_is_noticed() {
    let scene = Scene::new();
    scene.store.change(import_secret("a", b"x")).unwrap();
    let file = scene.file();
    let closed = scene.close();
    let conn = rusqlite::Connection::open(&file).unwrap();
    conn.execute_batch("ATTACH ':memory:' AS old; CREATE TABLE old.keys AS SELECT * FROM main.keys").unwrap();
    let scene = closed.reopen();
    scene
        .store
        .change(order(Change::SetAttributes {
            name: name("a"),
            changes: AttributeChanges { enabled: Some(false), ..Default::default() },
        }))
        .unwrap();
    let closed = scene.close();
    conn.execute_batch("DELETE FROM main.keys; INSERT INTO main.keys SELECT * FROM old.keys").unwrap();
    drop(conn);
    // The row verifies by itself; the sum of all rows does not.
    assert_eq!(code(closed.open()), "store-corrupt");
}

#[test]
fn sto_11_a_rule_swapped_under_a_running_store_makes_the_key_unreadable() {
    let scene = Scene::new();
    scene.store.change(import_secret("a", b"x")).unwrap();
    let mut other = import_secret("b", b"y");
    if let Change::CreateKey { rules, .. } = &mut other.change {
        *rules = Some(rule("always true"));
    }
    scene.store.change(other).unwrap();
    let permit = Permit::for_key(&scene.store, "a");
    // A genuine rule of another key, and a text of the attacker's own.
    tamper(&scene.file(), "UPDATE rules SET document = 'always true' WHERE document = 'rule one'");
    let look = scene.store.look(&provider(), &name("a"));
    assert_eq!(look.unwrap_err().code(), "store-corrupt");
    tamper(
        &scene.file(),
        "UPDATE rules SET document = 'rule one' WHERE key_id = (SELECT row_id FROM keys WHERE folded = 'a')",
    );
    assert!(scene.store.look(&provider(), &name("a")).is_ok());
    tamper(
        &scene.file(),
        "UPDATE keys SET rule_contents = (SELECT rule_contents FROM keys WHERE folded = 'b') WHERE folded = 'a'",
    );
    let refused = scene.store.perform(permit.usage(Use::Release));
    assert_eq!(refused.err().unwrap().code(), "store-corrupt");
}

#[test]
fn sto_11_rows_flipped_under_a_running_store_are_not_believed() {
    let scene = furnished().reopen();
    let store = &scene.store;
    let who = provider();
    let token = "a token of some length";
    let spoiled = |sql: &str, read: &dyn Fn() -> Result<(), KeystoreError>| {
        read().unwrap();
        tamper(&scene.file(), sql);
        assert_eq!(read().unwrap_err().code(), "store-corrupt", "{sql}");
    };
    spoiled("UPDATE keys SET exportable = 0 WHERE folded = 'a'", &|| store.look(&who, &name("a")).map(|_| ()));
    spoiled("UPDATE versions SET enabled = 0", &|| store.look(&who, &name("b")).map(|_| ()));
    spoiled("UPDATE credentials SET roles = '[\"admin\"]'", &|| store.credential_by_token(token, NOW).map(|_| ()));
    spoiled("UPDATE denies SET value = 'other'", &|| store.denied(&who).map(|_| ()));
    spoiled("UPDATE policies SET document = 'permit'", &|| store.policy(&who, "attest").map(|_| ()));
    spoiled("UPDATE marks SET value = 1", &|| store.mark("tcb").map(|_| ()));
    spoiled("UPDATE challenges SET until = 1", &|| store.challenge_spent(&[1; 32]).map(|_| ()));
    spoiled("UPDATE answers SET body = zeroblob(32)", &|| store.repeat(&who, "r", &[1; 32], NOW).map(|_| ()));
    spoiled("UPDATE service_keys SET created = 1", &|| store.service_keys(&who, ServicePurpose::Receipt).map(|_| ()));
    spoiled("UPDATE head SET epoch = 1", &|| store.epoch().map(|_| ()));
}

#[test]
fn sto_10_keys_exchanged_under_a_running_store_are_not_used() {
    let scene = Scene::new();
    scene.store.change(import_secret("a", b"x")).unwrap();
    scene.store.change(import_secret("b", b"y")).unwrap();
    let permit = Permit::for_key(&scene.store, "a");
    tamper(
        &scene.file(),
        "UPDATE keys SET folded = 't' WHERE folded = 'a'; UPDATE keys SET folded = 'a' WHERE folded = 'b'; \
         UPDATE keys SET folded = 'b' WHERE folded = 't'",
    );
    let refused = scene.store.perform(permit.usage(Use::Release));
    assert_eq!(refused.err().unwrap().code(), "store-corrupt");
}

#[test]
fn sto_06_flipped_bytes_are_noticed_or_harmless() {
    let closed = furnished();
    let original = std::fs::read(closed.file()).unwrap();
    let truth = {
        let store = closed.open().unwrap();
        let keys = store.list(&provider(), None, 10).unwrap();
        let report = store.check(&mut |_, _| {}).unwrap();
        store.shutdown();
        (keys, report)
    };
    let mut noticed = 0;
    let samples = 600;
    for sample in 0..samples {
        // A fixed walk over the file that meets every region of it.
        let at = (sample * 104_729 + sample * sample * 31) % original.len();
        let mut damaged = original.clone();
        damaged[at] ^= 1 << (sample % 8);
        std::fs::write(closed.file(), &damaged).unwrap();
        let _ = std::fs::remove_file(closed.dir.path().join("store-wal"));
        let _ = std::fs::remove_file(closed.dir.path().join("store-shm"));
        match closed.open() {
            Ok(store) => {
                let keys = store.list(&provider(), None, 10);
                let report = store.check(&mut |_, _| {});
                if let (Ok(keys), Ok(report)) = (keys, report) {
                    assert_eq!((keys, report), truth, "byte {at}");
                }
                store.shutdown();
            }
            Err(e) => {
                assert!(matches!(e.code(), "store-corrupt" | "sealed" | "audit-unavailable"), "byte {at}: {e}");
                noticed += 1;
            }
        }
    }
    // Most of a small file is room that nothing uses.
    assert!(noticed > samples / 20, "only {noticed} of {samples}");
}

#[test]
fn sto_06_files_that_are_no_store_are_refused() {
    let closed = furnished();
    let original = std::fs::read(closed.file()).unwrap();
    for content in [&b""[..], &[7; 5000], &original[..original.len() / 2]] {
        std::fs::write(closed.file(), content).unwrap();
        assert_eq!(code(closed.open()), "store-corrupt", "{}", content.len());
    }
}

#[test]
fn sto_14_another_root_key_is_refused_before_any_write() {
    let closed = furnished();
    let before = std::fs::read(closed.file()).unwrap();
    let other = FileRoot::create(&closed.dir.path().join("other")).unwrap();
    let refused = Keystore::open(&closed.file(), &other, NOW).err();
    assert_eq!(refused, Some(KeystoreError::WrongRootKey));
    assert_eq!(refused.unwrap().code(), "sealed");
    assert!(std::fs::read(closed.file()).unwrap() == before);
    assert!(closed.open().is_ok());
}

#[test]
fn sto_14_another_store_id_is_refused() {
    let closed = furnished();
    tamper(&closed.file(), "UPDATE store SET store_id = zeroblob(16)");
    assert_eq!(code(closed.open()), "sealed");
}

#[test]
fn sto_15_without_its_root_key_the_store_stays_sealed() {
    let closed = furnished();
    let root = closed.dir.path().join("root");
    let away = closed.dir.path().join("away");
    std::fs::rename(&root, &away).unwrap();
    assert_eq!(code(closed.open()), "sealed");
    std::fs::rename(&away, &root).unwrap();
    assert_eq!(code(closed.open()), "opened");
}

#[test]
fn sto_08_a_second_opening_is_refused_while_the_first_lives() {
    let scene = Scene::new();
    let second = Keystore::open(&scene.file(), &scene.root(), NOW).err();
    assert_eq!(second, Some(KeystoreError::Busy));
    let closed = scene.close();
    assert_eq!(code(closed.open()), "opened");
}

/// Not a test of its own: what the second process of the next test runs.
#[test]
fn in_a_second_process() {
    let Ok(dir) = std::env::var("KEYGATE_TEST_SECOND_PROCESS") else {
        return;
    };
    let dir = std::path::Path::new(&dir);
    let root = FileRoot::new(dir.join("root"));
    let refused = Keystore::open(&dir.join("store"), &root, NOW).err();
    assert_eq!(refused, Some(KeystoreError::Busy));
    println!("refused as it should be");
}

#[test]
fn sto_08_a_second_process_is_refused() {
    let scene = Scene::new();
    let second = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "in_a_second_process", "--nocapture"])
        .env("KEYGATE_TEST_SECOND_PROCESS", scene.dir.path())
        .output()
        .unwrap();
    assert!(second.status.success());
    let said = String::from_utf8(second.stdout).unwrap();
    assert!(said.contains("refused as it should be"));
    assert!(scene.store.record(record("event")).is_ok());
}

#[test]
fn sto_18_a_trigger_in_the_schema_stops_the_start() {
    let closed = furnished();
    tamper(&closed.file(), "CREATE TRIGGER t AFTER INSERT ON journal BEGIN DELETE FROM denies; END");
    assert_eq!(code(closed.open()), "store-corrupt");
    tamper(&closed.file(), "DROP TRIGGER t");
    assert_eq!(code(closed.open()), "opened");
}

#[test]
fn sto_17_another_format_is_refused_untouched() {
    let closed = furnished();
    tamper(&closed.file(), "UPDATE store SET format = 2");
    let before = std::fs::read(closed.file()).unwrap();
    assert!(matches!(closed.open().err(), Some(KeystoreError::SchemaUnknown(_))));
    assert!(std::fs::read(closed.file()).unwrap() == before);
}

#[test]
fn sto_19_a_store_that_others_can_reach_is_refused() {
    let closed = furnished();
    let file = closed.file();
    let set = |mode| {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let made = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(made & 0o777, 0o600);
    for mode in [0o644, 0o640, 0o660, 0o606] {
        set(mode);
        assert_eq!(code(closed.open()), "config-invalid", "{mode:o}");
    }
    set(0o600);
    let link = closed.dir.path().join("link");
    symlink(&file, &link).unwrap();
    let linked = Keystore::open(&link, &closed.root(), NOW);
    assert_eq!(code(linked), "config-invalid");
    assert_eq!(code(closed.open()), "opened");
}

#[test]
fn sto_09_the_library_of_sqlite_is_new_enough() {
    assert!(rusqlite::version_number() >= 3_051_003);
}

#[test]
fn sto_29_creating_a_store_never_overwrites_one() {
    let closed = furnished();
    let before = std::fs::read(closed.file()).unwrap();
    let again = Keystore::create(&closed.file(), &closed.root(), 90, NOW);
    assert_eq!(code(again), "conflict");
    assert!(std::fs::read(closed.file()).unwrap() == before);
    for days in [6, 91] {
        let path = closed.dir.path().join("new");
        let refused = Keystore::create(&path, &closed.root(), days, NOW);
        assert_eq!(code(refused), "config-invalid");
        assert!(!path.exists());
    }
}

#[test]
fn sto_27_secrets_and_tokens_are_nowhere_in_the_files() {
    let scene = Scene::new();
    let secret = b"a canary that sings only to its recipient";
    let token = "kg_a-token-that-must-not-rest-in-clear";
    scene.store.change(import_secret("a", secret)).unwrap();
    scene
        .store
        .change(order(Change::CreateCredential {
            name: "ci".to_owned(),
            roles: Vec::new(),
            key_pattern: None,
            expires: None,
            token: token.to_owned().into(),
        }))
        .unwrap();
    let permit = Permit::for_key(&scene.store, "a").spending(1).named("n", 1);
    scene.store.perform(permit.usage(Use::Release)).unwrap();
    scene.store.backup(&scene.dir.path().join("copy"), NOW).unwrap();
    let hex_secret = hex::encode(secret);
    for entry in std::fs::read_dir(scene.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        let content = std::fs::read(&path).unwrap();
        for canary in [&secret[..], hex_secret.as_bytes(), token.as_bytes()] {
            let found = content.windows(canary.len()).any(|w| w == canary);
            assert!(!found, "{}", path.display());
        }
    }
}
