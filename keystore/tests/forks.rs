//! Two copies of one store that went different ways: what is genuine in one is foreign in the other.
//!
//! Fault STO-10 of `bad-inputs.md`: such rows and entries verify by themselves.

mod scene;

use keygate_keystore::*;
use scene::*;

/// The same store twice, open, with a key `k` of rule one.
fn forked() -> (Scene, Scene) {
    let scene = Scene::new();
    scene.store.change(create_key("k", KeyType::Oct256)).unwrap();
    let closed = scene.close();
    let dir = tempfile::tempdir().unwrap();
    for name in ["root", "store"] {
        std::fs::copy(closed.dir.path().join(name), dir.path().join(name)).unwrap();
    }
    (closed.reopen(), Closed { dir }.reopen())
}

fn take(into: &Scene, from: &Scene, sql: &str) {
    let attach = format!("ATTACH '{}' AS fork; {sql}", from.file().display());
    tamper(&into.file(), &attach);
}

#[test]
fn sto_10_a_rule_of_a_fork_is_not_the_rule_of_the_key() {
    let (one, two) = forked();
    for (scene, text) in [(&one, "strict rule"), (&two, "loose rule")] {
        scene.store.change(order(Change::SetRules { name: name("k"), rules: rule(text), immutable: false })).unwrap();
    }
    let permit = Permit::for_key(&one.store, "k");
    take(
        &one,
        &two,
        "DELETE FROM main.rules WHERE number = 2; \
         INSERT INTO main.rules SELECT * FROM fork.rules WHERE number = 2",
    );
    let look = one.store.look(&provider(), &name("k"));
    assert_eq!(look.unwrap_err().code(), "store-corrupt");
    // The key's own row still names the strict rule: what was decided on it stands.
    assert!(one.store.perform(permit.usage(wrap_use())).is_ok());
    let closed = one.close();
    assert_eq!(closed.open().err().unwrap().code(), "store-corrupt");
}

#[test]
fn aud_04_an_entry_of_a_fork_does_not_fit_the_chain() {
    let (one, two) = forked();
    for kind in ["a", "b", "c"] {
        one.store.record(record(kind)).unwrap();
        two.store.record(record(&format!("other-{kind}"))).unwrap();
    }
    take(
        &one,
        &two,
        "DELETE FROM main.journal WHERE seq = 3; \
         INSERT INTO main.journal SELECT * FROM fork.journal WHERE seq = 3",
    );
    let verdict = one.store.verify_journal(&mut |_, _| {}).unwrap();
    let broken = JournalVerdict::Broken { seq: 3, what: Damage::Changed };
    assert_eq!(verdict, broken);
}

#[test]
fn sto_10_a_head_of_a_fork_does_not_fit_the_rows() {
    let (one, two) = forked();
    one.store.change(create_key("mine", KeyType::Oct256)).unwrap();
    two.store.change(create_key("theirs", KeyType::Oct256)).unwrap();
    take(&one, &two, "DELETE FROM main.head; INSERT INTO main.head SELECT * FROM fork.head");
    let closed = one.close();
    assert_eq!(closed.open().err().unwrap().code(), "store-corrupt");
}
