//! Uses in the raw forms: what they need, how their outcome leaves, and what is counted.
//!
//! `keyvault-api.md` sections 2 and 3; `native-api.md` section 5, option `clear`.

mod scene;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::operations::raw::{RawCiphertext, RawPlaintext, Rsa15};
use keygate_keystore::*;
use scene::*;

fn plaintext(alg: &str) -> RawPlaintext {
    RawPlaintext {
        alg: alg.to_owned(),
        plaintext: b"sixteen bytes it".to_vec().into(),
        iv: alg.contains("CBC").then(|| vec![1; 16]),
        aad: Vec::new(),
        rsa1_5: Rsa15::Refused,
    }
}

fn encrypt(alg: &str) -> Use {
    Use::Raw(RawUse::Encrypt(plaintext(alg)))
}

/// The parts of an outcome, to be given back.
fn parts(outcome: &Outcome) -> RawCiphertext {
    let bytes = |text: &Option<String>| text.as_ref().map(|text| URL_SAFE_NO_PAD.decode(text).unwrap());
    RawCiphertext {
        alg: outcome.alg.clone().unwrap(),
        ciphertext: bytes(&outcome.ciphertext).unwrap(),
        iv: bytes(&outcome.iv),
        tag: bytes(&outcome.tag),
        aad: Vec::new(),
        rsa1_5: Rsa15::Refused,
    }
}

fn clear(scene: &Scene, key: &str, usage: Use) -> Result<Performed, KeystoreError> {
    scene.store.perform(Permit::for_key(&scene.store, key).sealed(usage, Sealing::Clear))
}

#[track_caller]
fn code<T>(result: Result<T, KeystoreError>) -> &'static str {
    result.err().expect("refused").code()
}

#[test]
fn the_parts_of_a_raw_encryption_open_sealed_or_in_the_clear() {
    let scene = Scene::new();
    scene.store.change(create_key("oct", KeyType::Oct256)).unwrap();
    scene.store.change(create_key("rsa", KeyType::Rsa2048)).unwrap();
    for (key, alg) in [("oct", "A256GCM"), ("oct", "A256CBC"), ("oct", "A256KW"), ("rsa", "RSA-OAEP")] {
        let made = scene.use_once(key, encrypt(alg)).unwrap();
        assert!(made.clear.is_none() && made.outcome.wrapped.is_none());
        let decrypt = || Use::Raw(RawUse::Decrypt(parts(&made.outcome)));
        let sealed = scene.use_once(key, decrypt()).unwrap();
        assert_eq!(opened(&sealed), b"sixteen bytes it");
        assert!(sealed.clear.is_none());
        let bare = clear(&scene, key, decrypt()).unwrap();
        assert_eq!(**bare.clear.as_ref().unwrap(), b"sixteen bytes it");
        assert!(bare.outcome.wrapped.is_none());
        // nothing of it stands in what is shown, kept or printed
        let shown = format!("{:?} {}", bare.outcome, serde_json::to_string(&bare.outcome).unwrap());
        assert!(!shown.contains("sixteen") && !shown.contains(&URL_SAFE_NO_PAD.encode(b"sixteen bytes it")));
    }
}

#[test]
fn keys_are_wrapped_by_algorithms_for_keys_alone() {
    let scene = Scene::new();
    scene.store.change(create_key("oct", KeyType::Oct256)).unwrap();
    for alg in ["A256KW", "CKM_AES_KEY_WRAP", "CKM_AES_KEY_WRAP_PAD"] {
        let made = scene.use_once("oct", Use::Raw(RawUse::Wrap(plaintext(alg)))).unwrap();
        let back = clear(&scene, "oct", Use::Raw(RawUse::Unwrap(parts(&made.outcome)))).unwrap();
        assert_eq!(**back.clear.as_ref().unwrap(), b"sixteen bytes it");
    }
    for alg in ["A256GCM", "A256CBC", "A256CBCPAD"] {
        let refused = scene.use_once("oct", Use::Raw(RawUse::Wrap(plaintext(alg))));
        assert_eq!(code(refused), "operation-not-allowed", "{alg}");
        let made = scene.use_once("oct", encrypt(alg)).unwrap();
        let refused = clear(&scene, "oct", Use::Raw(RawUse::Unwrap(parts(&made.outcome))));
        assert_eq!(code(refused), "operation-not-allowed");
    }
}

#[test]
fn a_signature_is_made_and_checked() {
    let scene = Scene::new();
    for (key, key_type, alg) in [
        ("ec", KeyType::EcP256, "ES256"),
        ("k", KeyType::EcP256K, "ES256K"),
        ("rsa", KeyType::Rsa2048, "PS256"),
        ("mac", KeyType::Oct128, "HS256"),
    ] {
        scene.store.change(create_key(key, key_type)).unwrap();
        let sign = || Use::Raw(RawUse::Sign { alg: alg.to_owned(), digest: vec![7; 32] });
        let signature = clear(&scene, key, sign()).unwrap().clear.unwrap().to_vec();
        assert_eq!(opened(&scene.use_once(key, sign()).unwrap()).len(), signature.len());
        let check = |digest: u8| {
            let (alg, signature) = (alg.to_owned(), signature.clone());
            let usage = Use::Raw(RawUse::Verify { alg, digest: vec![digest; 32], signature });
            scene.use_once(key, usage).unwrap().outcome.valid
        };
        assert_eq!(check(7), Some(true), "{alg}");
        assert_eq!(check(8), Some(false));
    }
}

/// The clear is for raw decrypt, unwrap and sign, and never kept.
#[test]
fn nothing_else_leaves_in_the_clear() {
    let scene = Scene::new();
    scene.store.change(create_key("oct", KeyType::Oct256)).unwrap();
    scene.store.change(create_key("ec", KeyType::EcP256)).unwrap();
    let own = scene.use_once("oct", wrap_use()).unwrap().outcome.ciphertext.unwrap();
    let ciphertext = URL_SAFE_NO_PAD.decode(own).unwrap();
    let alg = "A256GCM".to_owned();
    for usage in [
        Use::Release,
        Use::Unwrap { alg: alg.clone(), ciphertext, aad: Vec::new() },
        Use::Generate { alg, bytes: 32, aad: Vec::new() },
        wrap_use(),
        encrypt("A256GCM"),
        Use::Raw(RawUse::Verify { alg: "HS256".to_owned(), digest: vec![7; 32], signature: vec![7; 32] }),
    ] {
        assert_eq!(code(clear(&scene, "oct", usage)), "operation-not-allowed");
    }
    let sign = Use::Sign { alg: "ES256".to_owned(), digest: vec![7; 32] };
    assert_eq!(code(clear(&scene, "ec", sign)), "operation-not-allowed");
    let raw = || Use::Raw(RawUse::Sign { alg: "ES256".to_owned(), digest: vec![7; 32] });
    let kept = Permit::for_key(&scene.store, "ec").named("again", 1).sealed(raw(), Sealing::Clear);
    assert_eq!(code(scene.store.perform(kept)), "operation-not-allowed");
    // what is secret never leaves unsealed by the other name
    let open = Permit::for_key(&scene.store, "ec").sealed(raw(), Sealing::NotSealed);
    assert_eq!(code(scene.store.perform(open)), "operation-not-allowed");
    let sealed = Permit::for_key(&scene.store, "ec").named("again", 1).usage(raw());
    assert!(scene.store.perform(sealed).is_ok());
}

#[test]
fn key_11_each_operation_is_allowed_by_its_own_name() {
    let scene = Scene::new();
    let mut order = create_key("oct", KeyType::Oct256);
    if let Change::CreateKey { attributes, .. } = &mut order.change {
        attributes.operations = vec![Operation::Wrap, Operation::Decrypt];
    }
    scene.store.change(order).unwrap();
    let wrapped = scene.use_once("oct", Use::Raw(RawUse::Wrap(plaintext("A256KW")))).unwrap();
    assert_eq!(code(scene.use_once("oct", encrypt("A256KW"))), "operation-not-allowed");
    let unwrap = Use::Raw(RawUse::Unwrap(parts(&wrapped.outcome)));
    assert_eq!(code(scene.use_once("oct", unwrap)), "operation-not-allowed");
    assert!(scene.use_once("oct", Use::Raw(RawUse::Decrypt(parts(&wrapped.outcome)))).is_ok());
    let verify = Use::Raw(RawUse::Verify { alg: "HS256".to_owned(), digest: vec![7; 32], signature: vec![] });
    assert_eq!(code(scene.use_once("oct", verify)), "operation-not-allowed");
    // operations outlive a restart
    let scene = scene.close().reopen();
    assert_eq!(scene.view("oct").operations, [Operation::Wrap, Operation::Decrypt]);
}

#[test]
fn rules_are_asked_under_the_names_they_know() {
    let sign = RawUse::Sign { alg: "ES256".to_owned(), digest: Vec::new() };
    let verify = RawUse::Verify { alg: "ES256".to_owned(), digest: Vec::new(), signature: Vec::new() };
    let ciphertext = || parts_of_nothing();
    for (usage, operation, rules) in [
        (RawUse::Encrypt(plaintext("A256GCM")), Operation::Encrypt, &["wrap"][..]),
        (RawUse::Encrypt(plaintext("A256CBC")), Operation::Encrypt, &["wrap", "unwrap"]),
        (RawUse::Encrypt(plaintext("A256CBCPAD")), Operation::Encrypt, &["wrap", "unwrap"]),
        (RawUse::Wrap(plaintext("A256KW")), Operation::Wrap, &["wrap"]),
        (RawUse::Decrypt(ciphertext()), Operation::Decrypt, &["unwrap"]),
        (RawUse::Unwrap(ciphertext()), Operation::Unwrap, &["unwrap"]),
        (sign, Operation::Sign, &["sign"]),
        (verify, Operation::Verify, &[]),
    ] {
        let usage = Use::Raw(usage);
        assert_eq!(usage.operation(), operation);
        assert_eq!(usage.rules(), rules);
    }
    assert_eq!(Use::Release.rules(), ["release"]);
    assert_eq!(wrap_use().rules(), ["wrap"]);
}

fn parts_of_nothing() -> RawCiphertext {
    let alg = "A256KW".to_owned();
    RawCiphertext { alg, ciphertext: Vec::new(), iv: None, tag: None, aad: Vec::new(), rsa1_5: Rsa15::Refused }
}

/// Outside its time a key still opens what it closed, where the door says so; disabled it does nothing.
#[test]
fn key_08_a_use_that_looks_back_may_come_at_any_time() {
    let scene = Scene::new();
    scene.store.change(create_key("oct", KeyType::Oct256)).unwrap();
    let made = scene.use_once("oct", encrypt("A256KW")).unwrap().outcome;
    let set = |changes| {
        scene.store.change(order(Change::SetAttributes { name: name("oct"), changes })).unwrap();
    };
    let permit = |usage| Permit::for_key(&scene.store, "oct").usage(usage);
    let decrypt = || Use::Raw(RawUse::Decrypt(parts(&made)));
    let verify = || Use::Raw(RawUse::Verify { alg: "HS256".to_owned(), digest: vec![7; 32], signature: vec![] });
    let sign = || Use::Raw(RawUse::Sign { alg: "HS256".to_owned(), digest: vec![7; 32] });
    for changes in [
        AttributeChanges { expires: Some(Some(NOW)), ..Default::default() },
        AttributeChanges { expires: Some(None), not_before: Some(Some(NOW + 1)), ..Default::default() },
    ] {
        set(changes);
        for usage in [decrypt(), verify(), Use::Release] {
            assert!(scene.store.perform(permit(usage).at_any_time()).is_ok());
        }
        for usage in [encrypt("A256KW"), sign(), wrap_use()] {
            assert_eq!(code(scene.store.perform(permit(usage).at_any_time())), "key-state");
        }
        assert_eq!(code(scene.store.perform(permit(decrypt()))), "key-state");
        let view = scene.view("oct");
        assert!(view.usable_at_any_time().is_ok() && view.usable(NOW).is_err());
    }
    set(AttributeChanges { enabled: Some(false), ..Default::default() });
    assert_eq!(code(scene.store.perform(permit(decrypt()).at_any_time())), "key-state");
    assert_eq!(code(scene.view("oct").usable_at_any_time()), "key-state");
}

#[test]
fn cry_09_raw_gcm_is_counted_and_the_count_only_grows() {
    let scene = Scene::new();
    scene.store.change(create_key("oct", KeyType::Oct256)).unwrap();
    let version = scene.view("oct").versions[0].id;
    assert_eq!(scene.store.raw_gcm_uses(&version).unwrap(), 0);
    for count in 1..=3 {
        scene.use_once("oct", encrypt("A256GCM")).unwrap();
        assert_eq!(scene.store.raw_gcm_uses(&version).unwrap(), count);
    }
    // refused, other and opening uses are not counted
    let two = Permit::for_key(&scene.store, "oct").sealed(encrypt("A256GCM"), Sealing::Clear);
    assert!(scene.store.perform(two).is_err());
    scene.use_once("oct", encrypt("A256KW")).unwrap();
    let scene = scene.close().reopen();
    assert_eq!(scene.store.raw_gcm_uses(&version).unwrap(), 3);
    scene.store.raise_marks(&[(format!("raw-gcm:{version}"), MOST_GCM_USES - 1)]).unwrap();
    let last = scene.use_once("oct", encrypt("A256GCM")).unwrap().outcome;
    assert_eq!(scene.store.raw_gcm_uses(&version).unwrap(), MOST_GCM_USES);
    assert_eq!(code(scene.use_once("oct", encrypt("A256GCM"))), "operation-not-allowed");
    const { assert!(ALARMING_GCM_USES < MOST_GCM_USES) };
    // it opens all the same, other algorithms go on, and a new version counts from nothing
    assert!(scene.use_once("oct", Use::Raw(RawUse::Decrypt(parts(&last)))).is_ok());
    assert!(scene.use_once("oct", encrypt("A256KW")).is_ok());
    scene
        .store
        .change(order(Change::NewVersion {
            name: name("oct"),
            material: NewMaterial::Generate,
            update: KeyUpdate::default(),
            enabled: true,
        }))
        .unwrap();
    assert!(scene.use_once("oct", encrypt("A256GCM")).is_ok());
    scene.store.check(&mut |_, _| {}).unwrap();
}

/// Many at once: each of them is counted once.
#[test]
fn cry_09_parallel_uses_are_all_counted() {
    let scene = Scene::new();
    scene.store.change(create_key("oct", KeyType::Oct256)).unwrap();
    let version = scene.view("oct").versions[0].id;
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for _ in 0..8 {
                    scene.use_once("oct", encrypt("A256GCM")).unwrap();
                }
            });
        }
    });
    assert_eq!(scene.store.raw_gcm_uses(&version).unwrap(), 32);
}

#[test]
fn a_raw_encryption_is_answered_again_with_the_same_parts() {
    let scene = Scene::new();
    scene.store.change(create_key("oct", KeyType::Oct256)).unwrap();
    let once = || scene.store.perform(Permit::for_key(&scene.store, "oct").named("n", 1).usage(encrypt("A256GCM")));
    let (first, second) = (once().unwrap(), once().unwrap());
    assert!(!first.repeat && second.repeat);
    assert_eq!(first.outcome, second.outcome);
    let version = scene.view("oct").versions[0].id;
    assert_eq!(scene.store.raw_gcm_uses(&version).unwrap(), 1);
}
