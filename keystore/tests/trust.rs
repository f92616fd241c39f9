//! What the node keeps for itself: credentials, marks, its own keys, keyed digests.
//!
//! `store-durability.md` R2 and R11.

mod scene;

use keygate_keystore::*;
use scene::*;

#[test]
fn credentials_are_found_by_token_while_they_live() {
    let scene = Scene::new();
    let token = "a token of some length";
    let create = |name: &str, token: &str, expires| {
        scene.store.change(order(Change::CreateCredential {
            name: name.to_owned(),
            roles: vec!["release".to_owned()],
            key_pattern: Some("db-*".to_owned()),
            expires,
            token: token.to_owned().into(),
        }))
    };
    create("ci", token, Some(NOW + 10)).unwrap();
    let found = |token: &str, now| scene.store.credential_by_token(token, now).unwrap();
    assert_eq!(found(token, NOW).unwrap().name, "ci");
    assert!(found(token, NOW + 10).is_none());
    assert!(found("a token of some lengtH", NOW).is_none());
    assert_eq!(create("ci", "another token of length", None).unwrap_err().code(), "conflict");
    assert_eq!(create("cd", token, None).unwrap_err().code(), "conflict");
    assert_eq!(create("cd", "short", None).unwrap_err().code(), "malformed");
    let revoke = || scene.store.change(order(Change::RevokeCredential { name: "ci".to_owned() }));
    revoke().unwrap();
    assert!(found(token, NOW).is_none());
    assert_eq!(revoke().unwrap_err().code(), "not-found");
    let all = scene.store.credentials(&provider()).unwrap();
    assert_eq!(all[0].revoked_at, Some(NOW));
}

#[test]
fn marks_only_rise() {
    let scene = Scene::new();
    let raise = |value| scene.store.raise_marks(&[("tcb".to_owned(), value)]);
    assert_eq!(scene.store.mark("tcb").unwrap(), None);
    raise(5).unwrap();
    raise(3).unwrap();
    assert_eq!(scene.store.mark("tcb").unwrap(), Some(5));
    let flushes = scene.store.counters().flushes;
    raise(5).unwrap();
    assert_eq!(scene.store.counters().flushes, flushes);
    raise(6).unwrap();
    let scene = scene.close().reopen();
    assert_eq!(scene.store.mark("tcb").unwrap(), Some(6));
}

#[test]
fn service_keys_are_kept_with_their_certificates() {
    let scene = Scene::new();
    let material = KeyMaterial::generate(KeyType::EcP384).unwrap();
    let put = |kid: &str| {
        scene.store.put_service_key(
            &provider(),
            ServicePurpose::Ca,
            kid,
            &[vec![1, 2, 3], vec![4]],
            &material,
            record("service-key"),
            NOW,
        )
    };
    put("one").unwrap();
    put("two").unwrap();
    assert_eq!(put("one").unwrap_err().code(), "conflict");
    let scene = scene.close().reopen();
    let keys = scene.store.service_keys(&provider(), ServicePurpose::Ca).unwrap();
    let kids: Vec<_> = keys.iter().map(|k| k.kid.as_str()).collect();
    assert_eq!(kids, ["one", "two"]);
    assert_eq!(keys[0].certificates, [vec![1, 2, 3], vec![4]]);
    let open = |purpose, kid| scene.store.open_service_key(&provider(), purpose, kid);
    let opened = open(ServicePurpose::Ca, "one").unwrap();
    assert_eq!(opened.public_part(), keys[0].public);
    let refused = open(ServicePurpose::Receipt, "one").err().unwrap();
    assert_eq!(refused.code(), "not-found");
}

#[test]
fn keyed_digests_differ_by_purpose_and_parts() {
    let scene = Scene::new();
    let mac = |purpose, parts: &[&[u8]]| scene.store.mac(purpose, parts);
    let purposes = [MacPurpose::Challenge, MacPurpose::Index, MacPurpose::Decoy];
    for (i, a) in purposes.iter().enumerate() {
        assert_eq!(mac(*a, &[b"x"]), mac(*a, &[b"x"]));
        assert_ne!(mac(*a, &[b"x", b"y"]), mac(*a, &[b"xy"]));
        for b in &purposes[i + 1..] {
            assert_ne!(mac(*a, &[b"x"]), mac(*b, &[b"x"]));
        }
    }
}
