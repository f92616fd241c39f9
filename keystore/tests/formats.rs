//! Stores and backups of every released format open for ever.
//!
//! `store-durability.md` R39. The files in `golden/` were written by the version that released their
//! format, and are never written again. To make those of a new format, set `KEYGATE_WRITE_GOLDEN`.

mod scene;

use std::path::{Path, PathBuf};

use keygate_keystore::*;
use scene::*;

const SECRET: &[u8] = b"kept since format 1";
const TOKEN: &str = "a token of format 1";

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn private(path: &Path, content: &[u8]) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, content).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A folder with the root key of the golden files, which protects nothing else.
fn folder() -> (tempfile::TempDir, FileRoot) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("root");
    private(&path, &[0x42; 32]);
    (dir, FileRoot::new(path))
}

/// Does nothing unless it is told to.
#[test]
fn write_golden_files() {
    if std::env::var_os("KEYGATE_WRITE_GOLDEN").is_none() {
        return;
    }
    let (dir, root) = folder();
    let path = dir.path().join("store");
    let store = Keystore::create(&path, &root, 90, NOW).unwrap();
    store.change(import_secret("secret", SECRET)).unwrap();
    store.change(create_key("wrapping", KeyType::Oct256)).unwrap();
    let credential = Change::CreateCredential {
        name: "ci".to_owned(),
        roles: vec!["release".to_owned()],
        key_pattern: None,
        expires: None,
        token: TOKEN.to_owned().into(),
    };
    store.change(order(credential)).unwrap();
    let permit = Permit::for_key(&store, "secret").spending(1).named("n", 1);
    store.perform(permit.usage(Use::Release)).unwrap();
    store.shutdown();
    std::fs::copy(&path, golden("format-1.store")).unwrap();
    let store = Keystore::open(&path, &root, NOW).unwrap();
    store.backup(&dir.path().join("backup"), NOW).unwrap();
    std::fs::copy(dir.path().join("backup"), golden("format-1.backup")).unwrap();
}

fn holds_what_was_put_in(store: &Keystore) {
    store.check(&mut |_, _| {}).unwrap();
    assert!(matches!(store.verify_journal(&mut |_, _| {}).unwrap(), JournalVerdict::Intact { .. }));
    let done = store.perform(Permit::for_key(store, "secret").usage(Use::Release));
    assert_eq!(opened(&done.unwrap()), SECRET);
    assert_eq!(view(store, "wrapping").rule.unwrap().document, "rule one");
    assert!(store.credential_by_token(TOKEN, NOW).unwrap().is_some());
}

/// What came after format 1 began: tables that an older store gets when it is opened.
fn takes_machines(store: &Keystore) {
    assert_eq!(store.enrolments(&provider(), None, 10).unwrap(), []);
    let new = NewEnrolment {
        machine: "web-1".to_owned(),
        ak_name: vec![1; 34],
        ak_public: vec![2; 40],
        ek: [7; 32],
        certificate: None,
        anchor: "fleet".to_owned(),
        expires: NOW + 1_000,
    };
    store.change(order(Change::Enrol(Box::new(new)))).unwrap();
    store.check(&mut |_, _| {}).unwrap();
}

#[test]
fn a_store_of_format_1_opens() {
    let (dir, root) = folder();
    let path = dir.path().join("store");
    private(&path, &std::fs::read(golden("format-1.store")).unwrap());
    let store = Keystore::open(&path, &root, NOW).unwrap();
    holds_what_was_put_in(&store);
    assert!(store.challenge_spent(&[1; 32]).unwrap());
    let kept = store.repeat(&provider(), "n", &[1; 32], NOW).unwrap();
    assert!(matches!(kept, Repeated::Answer(_)));
    takes_machines(&store);
    store.shutdown();
    drop(store);
    let store = Keystore::open(&path, &root, NOW).unwrap();
    assert_eq!(store.enrolments(&provider(), None, 10).unwrap().len(), 1);
}

/// Its journal is verified as it lies, and nothing is written for that.
#[test]
fn the_journal_of_an_older_store_verifies_untouched() {
    let (dir, root) = folder();
    let path = dir.path().join("store");
    let content = std::fs::read(golden("format-1.store")).unwrap();
    private(&path, &content);
    let verdict = Keystore::verify_journal_of(&path, &root, &mut |_, _| {}).unwrap();
    assert!(matches!(verdict, JournalVerdict::Intact { .. }));
    assert!(std::fs::read(&path).unwrap() == content);
}

#[test]
fn a_backup_of_format_1_restores() {
    let (dir, root) = folder();
    let path = dir.path().join("store");
    Keystore::restore(&golden("format-1.backup"), &path, &root, NOW).unwrap();
    let store = Keystore::open(&path, &root, NOW).unwrap();
    holds_what_was_put_in(&store);
    takes_machines(&store);
}
