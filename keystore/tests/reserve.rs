//! What the store does when room or rows are lost: it goes on where that is safe.
//!
//! `store-durability.md` section 6; `bad-inputs.md` AUD-03 and STO-03.

mod scene;

use keygate_keystore::*;
use scene::*;

#[test]
fn aud_01_refusals_leave_room_for_releases() {
    let scene = Scene::new();
    let store = &scene.store;
    store.change(import_secret("a", b"secret")).unwrap();
    store.record_within_reserve(record("refused")).unwrap();
    let whole = 100 << 30;
    store.measure_space_by(move |_| {
        let free = 100 << 20;
        Ok(Space { free, whole })
    });
    let refused = store.record_within_reserve(record("refused"));
    assert_eq!(refused.unwrap_err(), KeystoreError::NoRoom);
    let entries = store.status().entries;
    scene.use_once("a", Use::Release).unwrap();
    store.record(record("change")).unwrap();
    assert_eq!(store.status().entries, entries + 2);
    assert!(!store.status().failed);
    store.measure_space_by(move |_| Ok(Space { free: whole, whole }));
    store.record_within_reserve(record("refused")).unwrap();
    store.measure_space_by(|_| Err(KeystoreError::Overloaded));
    let refused = store.record_within_reserve(record("refused"));
    assert_eq!(refused.unwrap_err(), KeystoreError::NoRoom);
}

#[test]
fn answers_and_sessions_that_are_damaged_do_not_stop_commits() {
    for (table, key) in [("answers", "request"), ("sessions", "jti")] {
        let scene = Scene::new();
        let store = &scene.store;
        store.change(import_secret("a", b"secret")).unwrap();
        for i in 1..4 {
            let permit = Permit::for_key(store, "a").named(&format!("r{i}"), i);
            store.perform(permit.usage(Use::Release)).unwrap();
            store
                .attested(AttestOrder {
                    spend: Spend::Nothing,
                    jti: format!("token {i}"),
                    jti_until: NOW + 300,
                    record: record("attested"),
                    repeat: None,
                    machine: None,
                    answer: Vec::new(),
                    now: NOW,
                })
                .unwrap();
        }
        let sql = format!("UPDATE {table} SET at = 7 WHERE {key} = (SELECT max({key}) FROM {table})");
        tamper(&scene.file(), &sql);
        let mut late = record("late");
        late.at = NOW + 10_000;
        store.record(late.clone()).unwrap();
        store.record(late).unwrap();
        assert!(!store.status().failed);
        let conn = rusqlite::Connection::open(scene.file()).unwrap();
        let left = |table: &str| -> i64 {
            let sql = format!("SELECT count(*) FROM {table}");
            conn.query_row(&sql, [], |row| row.get(0)).unwrap()
        };
        assert_eq!(left("answers") + left("sessions"), 1);
        assert_eq!(left(table), 1);
        // A check finds it.
        let found = store.check(&mut |_, _| {}).unwrap_err();
        assert_eq!(found.code(), "store-corrupt");
    }
}

#[test]
fn an_empty_answer_reaches_an_rsa_recipient_that_named_no_wrapping() {
    let scene = Scene::new();
    let store = &scene.store;
    store.change(create_key("k", KeyType::Oct256)).unwrap();
    let private = RecipientPrivate::generate(KeyType::Rsa2048).unwrap();
    let done = scene
        .use_once("k", Use::Wrap { alg: "A256GCM".to_owned(), plaintext: Vec::new().into(), aad: Vec::new() })
        .unwrap();
    let ciphertext = done.outcome.ciphertext.unwrap();
    let unwrapped = |sealing: Sealing| {
        let usage = Use::Unwrap { alg: "A256GCM".to_owned(), ciphertext: base64_url(&ciphertext), aad: Vec::new() };
        let order = Permit::for_key(store, "k").sealed(usage, sealing);
        store.perform(order).map(|done| done.outcome.wrapped.unwrap())
    };
    let recipient = || private.recipient().clone();
    let sealed = unwrapped(Sealing::ByDefault { recipient: recipient() }).unwrap();
    assert!(matches!(sealed, Wrapped::Jwe { .. }));
    assert!(unwrap_with(&private, &sealed).unwrap().is_empty());
    let wrapping = Wrapping::RsaAesKeyWrap256;
    let named = unwrapped(Sealing::For { recipient: recipient(), wrapping });
    assert_eq!(named.unwrap_err().code(), "unsupported");
}

fn base64_url(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap()
}
