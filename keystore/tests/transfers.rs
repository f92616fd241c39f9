//! Keys that come sealed to an exchange key: opened by it alone, taken in by one commit.
//!
//! `keyvault-api.md` section 3 (BYOK import); `bad-inputs.md` KEY-08, KEY-14.

mod scene;

use std::path::PathBuf;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::*;
use scene::*;
use serde_json::Value;

const CKM: Wrapping = Wrapping::CkmRsaAesKeyWrap;

#[track_caller]
fn code<T>(result: Result<T, KeystoreError>) -> &'static str {
    result.err().expect("refused").code()
}

/// One RSA key for the whole test program, as PKCS#8.
fn rsa() -> &'static [u8] {
    static RSA: OnceLock<Vec<u8>> = OnceLock::new();
    RSA.get_or_init(|| KeyMaterial::generate(KeyType::Rsa2048).unwrap().handed_out_form().unwrap().to_vec())
}

fn creation(key: &str, operations: &[Operation], key_type: KeyType, material: NewMaterial) -> ChangeOrder {
    let attributes = Attributes { exportable: false, operations: operations.to_vec(), ..attributes() };
    order(Change::CreateKey { name: name(key), key_type, attributes, rules: None, immutable: false, material })
}

fn exchange_key(scene: &Scene, key: &str, operations: &[Operation]) {
    let material = KeyMaterial::import(ImportFormat::Pkcs8Der(rsa()), None).unwrap();
    scene.store.change(creation(key, operations, KeyType::Rsa2048, NewMaterial::Import(material))).unwrap();
}

/// A store with the exchange key `kek`.
fn with_exchange_key() -> Scene {
    let scene = Scene::new();
    exchange_key(&scene, "kek", &[Operation::Import]);
    scene
}

fn target(scene: &Scene, key: &str) -> Target {
    Target { provider: provider(), name: name(key), version: scene.view(key).versions[0].id }
}

/// What a client would send: sealed to the public part of a key.
fn sealed(wrapping: Wrapping, plaintext: &[u8]) -> Vec<u8> {
    let material = KeyMaterial::import(ImportFormat::Pkcs8Der(rsa()), None).unwrap();
    let recipient = RecipientPrivate::from_material(material).unwrap();
    match wrap(recipient.recipient(), wrapping, plaintext, "").unwrap() {
        Wrapped::RsaAesKeyWrap256 { ciphertext }
        | Wrapped::RsaAesKeyWrap384 { ciphertext }
        | Wrapped::CkmRsaAesKeyWrap { ciphertext } => URL_SAFE_NO_PAD.decode(ciphertext).unwrap(),
        Wrapped::Jwe { .. } => panic!("not bytes"),
    }
}

fn transfer(scene: &Scene, ciphertext: &[u8], kind: TransferredKind) -> TransferOrder {
    TransferOrder { exchange_key: target(scene, "kek"), wrapping: CKM, ciphertext: ciphertext.to_vec(), kind, now: NOW }
}

fn brought(key: &str, transferred: Transferred) -> ChangeOrder {
    let key_type = transferred.key_type();
    creation(key, &[Operation::Wrap], key_type, NewMaterial::Transferred(transferred))
}

fn pkcs8(key_type: KeyType) -> Vec<u8> {
    KeyMaterial::generate(key_type).unwrap().handed_out_form().unwrap().to_vec()
}

#[test]
fn keys_of_every_kind_come_in_and_are_what_was_sealed() {
    let scene = with_exchange_key();
    let (rsa, ec) = (pkcs8(KeyType::Rsa2048), pkcs8(KeyType::EcP384));
    for (plaintext, kind, key_type) in [
        (rsa.as_slice(), TransferredKind::Rsa, KeyType::Rsa2048),
        (&ec, TransferredKind::Ec, KeyType::EcP384),
        (&[7; 32], TransferredKind::Oct, KeyType::Oct256),
        (&[7; 16], TransferredKind::Oct, KeyType::Oct128),
    ] {
        let opened = scene.store.open_transfer(&transfer(&scene, &sealed(CKM, plaintext), kind)).unwrap();
        assert_eq!((opened.key_type(), opened.exchange_key()), (key_type, &target(&scene, "kek")));
        let mut order = brought(key_type.as_str(), opened);
        if let Change::CreateKey { attributes, .. } = &mut order.change {
            attributes.exportable = true;
            attributes.operations = vec![Operation::Release];
        }
        scene.store.change(order).unwrap();
        let released = scene.use_once(key_type.as_str(), Use::Release).unwrap();
        assert_eq!(scene::opened(&released), plaintext);
    }
}

#[test]
fn a_sealed_key_can_be_a_further_version_and_is_of_the_keys_type() {
    let scene = with_exchange_key();
    scene.store.change(create_key("k", KeyType::Oct256)).unwrap();
    let version = |bytes: &[u8]| {
        let order = transfer(&scene, &sealed(CKM, bytes), TransferredKind::Oct);
        let material = NewMaterial::Transferred(scene.store.open_transfer(&order).unwrap());
        let change = Change::NewVersion { name: name("k"), material, update: KeyUpdate::default(), enabled: true };
        scene.store.change(scene::order(change))
    };
    version(&[9; 32]).unwrap();
    assert_eq!(scene::opened(&scene.use_once("k", Use::Release).unwrap()), [9; 32]);
    assert_eq!(code(version(&[9; 16])), "malformed");
    let opened = scene.store.open_transfer(&transfer(&scene, &sealed(CKM, &[9; 16]), TransferredKind::Oct)).unwrap();
    let wrong = creation("other", &[Operation::Wrap], KeyType::Oct256, NewMaterial::Transferred(opened));
    assert_eq!(code(scene.store.change(wrong)), "malformed");
}

#[test]
fn whatever_does_not_open_is_one_error() {
    let scene = with_exchange_key();
    let good = sealed(CKM, &[7; 32]);
    let open = |bytes: &[u8]| scene.store.open_transfer(&transfer(&scene, bytes, TransferredKind::Oct)).map(drop);
    open(&good).unwrap();
    let with = |change: fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        open(&bytes)
    };
    let damages: [fn(&mut Vec<u8>); 8] = [
        |bytes| bytes[0] ^= 1,
        |bytes| bytes[255] ^= 1,
        |bytes| bytes[256] ^= 1,
        |bytes| *bytes.last_mut().unwrap() ^= 1,
        |bytes| bytes.truncate(255),
        |bytes| bytes.truncate(256),
        |bytes| bytes.truncate(bytes.len() - 8),
        |bytes| bytes.push(0),
    ];
    for damage in damages {
        assert_eq!(with(damage).err(), Some(KeystoreError::CryptoFailed));
    }
    assert_eq!(open(&[]).err(), Some(KeystoreError::CryptoFailed));
    // Sealed with another hash, and to another key.
    assert_eq!(open(&sealed(Wrapping::RsaAesKeyWrap256, &[7; 32])).err(), Some(KeystoreError::CryptoFailed));
    scene.store.change(creation("other", &[Operation::Import], KeyType::Rsa2048, NewMaterial::Generate)).unwrap();
    let elsewhere =
        TransferOrder { exchange_key: target(&scene, "other"), ..transfer(&scene, &good, TransferredKind::Oct) };
    assert_eq!(scene.store.open_transfer(&elsewhere).err(), Some(KeystoreError::CryptoFailed));
    assert_eq!(code(open(&vec![0; LONGEST_TRANSFER + 1])), "too-large");
    let jwe = TransferOrder { wrapping: Wrapping::Jwe, ..transfer(&scene, &good, TransferredKind::Oct) };
    assert_eq!(code(scene.store.open_transfer(&jwe)), "unsupported");
}

/// The AES key of the first part has 32 bytes, even where the second part would open under another length.
#[test]
fn an_ephemeral_key_of_another_length_does_not_open() {
    let scene = with_exchange_key();
    let private = openssl::rsa::Rsa::private_key_from_der(rsa())
        .or_else(|_| openssl::pkey::PKey::private_key_from_der(rsa()).and_then(|key| key.rsa()));
    let public = private.unwrap();
    for (length, expected) in [(32, None), (16, Some(KeystoreError::CryptoFailed))] {
        let ephemeral = vec![5; length];
        let mut bytes = vec![0; 256];
        let padding = openssl::rsa::Padding::PKCS1_OAEP;
        assert_eq!(public.public_encrypt(&ephemeral, &mut bytes, padding).unwrap(), 256);
        let padded = primitives::key_wrap::Padding::Kwp;
        bytes.extend(primitives::key_wrap::wrap(&ephemeral, padded, &[7; 32]).unwrap());
        let opened = scene.store.open_transfer(&transfer(&scene, &bytes, TransferredKind::Oct));
        assert_eq!(opened.err(), expected);
    }
}

#[test]
fn key_14_what_opens_and_is_no_good_key_of_its_kind_is_refused() {
    let scene = with_exchange_key();
    let open = |plaintext: &[u8], kind| {
        scene.store.open_transfer(&transfer(&scene, &sealed(CKM, plaintext), kind)).map(|t| t.key_type())
    };
    let ec = pkcs8(KeyType::EcP256);
    assert_eq!(open(&ec, TransferredKind::Ec), Ok(KeyType::EcP256));
    assert_eq!(code(open(&ec, TransferredKind::Rsa)), "malformed");
    assert_eq!(code(open(rsa(), TransferredKind::Ec)), "malformed");
    assert_eq!(code(open(&[0; 32], TransferredKind::Oct)), "malformed");
    assert_eq!(code(open(&[7; 31], TransferredKind::Oct)), "unsupported");
    assert_eq!(code(open(b"not pkcs8", TransferredKind::Rsa)), "malformed");
}

#[test]
fn key_08_an_exchange_key_out_of_use_opens_nothing() {
    let scene = with_exchange_key();
    let bytes = sealed(CKM, &[7; 32]);
    let open = || scene.store.open_transfer(&transfer(&scene, &bytes, TransferredKind::Oct)).map(drop);
    let set = |attributes: AttributeChanges, version: bool| {
        let id = scene.view("kek").versions[0].id;
        let update = KeyUpdate { attributes, version: Some((id, version)), rules: None };
        scene.store.change(order(Change::UpdateKey { name: name("kek"), update })).unwrap();
    };
    let on =
        AttributeChanges { enabled: Some(true), not_before: Some(None), expires: Some(None), ..Default::default() };
    for out in [
        AttributeChanges { enabled: Some(false), ..Default::default() },
        AttributeChanges { not_before: Some(Some(NOW + 1)), ..Default::default() },
        AttributeChanges { expires: Some(Some(NOW)), ..Default::default() },
    ] {
        set(out, true);
        assert_eq!(code(open()), "key-state");
        set(on.clone(), true);
        open().unwrap();
    }
    set(on, false);
    assert_eq!(code(open()), "key-state");
    set(AttributeChanges::default(), true);
    scene.store.change(order(Change::DeleteKey { name: name("kek") })).unwrap();
    assert_eq!(code(open()), "key-state");
    let absent = Target { name: name("none"), ..target(&scene, "kek") };
    let absent = TransferOrder { exchange_key: absent, ..transfer(&scene, &bytes, TransferredKind::Oct) };
    assert_eq!(code(scene.store.open_transfer(&absent)), "key-not-found");
}

#[test]
fn only_an_exchange_key_opens_and_it_does_nothing_else() {
    let scene = with_exchange_key();
    exchange_key(&scene, "plain", &[Operation::Decrypt, Operation::Unwrap, Operation::Export]);
    let plain = TransferOrder {
        exchange_key: target(&scene, "plain"),
        ..transfer(&scene, &sealed(CKM, &[7; 32]), TransferredKind::Oct)
    };
    assert_eq!(code(scene.store.open_transfer(&plain)), "operation-not-allowed");
    let raw = |key: &str| {
        let input = operations::raw::RawCiphertext {
            alg: "RSA-OAEP".to_owned(),
            ciphertext: sealed(CKM, &[7; 32])[..256].to_vec(),
            iv: None,
            tag: None,
            aad: Vec::new(),
            rsa1_5: operations::raw::Rsa15::Refused,
        };
        scene.use_once(key, Use::Raw(RawUse::Decrypt(input))).map(drop)
    };
    // The ephemeral key would be all that it takes.
    raw("plain").unwrap();
    assert_eq!(code(raw("kek")), "operation-not-allowed");
}

#[test]
fn importing_stands_alone_is_for_rsa_and_stays() {
    let scene = with_exchange_key();
    let set = |key: &str, operations: &[Operation]| {
        let attributes = AttributeChanges { operations: Some(operations.to_vec()), ..Default::default() };
        let update = KeyUpdate { attributes, ..Default::default() };
        scene.store.change(order(Change::UpdateKey { name: name(key), update }))
    };
    let (import, wrap) = (Operation::Import, Operation::Wrap);
    for (key_type, operations) in [
        (KeyType::Rsa2048, vec![import, wrap]),
        (KeyType::Rsa2048, vec![import, import]),
        (KeyType::Oct256, vec![import]),
    ] {
        let material = NewMaterial::Generate;
        assert_eq!(code(scene.store.change(creation("k", &operations, key_type, material))), "operation-not-allowed");
    }
    for left in [vec![wrap], vec![], vec![import, wrap]] {
        assert_eq!(code(set("kek", &left)), "operation-not-allowed");
    }
    set("kek", &[import]).unwrap();
    exchange_key(&scene, "k", &[wrap, Operation::Export]);
    assert_eq!(scene.view("k").operations, [wrap, Operation::Export]);
    assert_eq!(code(set("k", &[import])), "operation-not-allowed", "it was in use");
    set("k", &[wrap]).unwrap();
}

#[test]
fn an_exchange_key_that_changed_meanwhile_brings_nothing_in() {
    let scene = with_exchange_key();
    let bytes = sealed(CKM, &[7; 32]);
    let opened = || scene.store.open_transfer(&transfer(&scene, &bytes, TransferredKind::Oct)).unwrap();
    let tags = AttributeChanges { tags: Some([("a".to_owned(), "b".to_owned())].into()), ..Default::default() };
    let before = opened();
    let update = KeyUpdate { attributes: tags, ..Default::default() };
    scene.store.change(order(Change::UpdateKey { name: name("kek"), update })).unwrap();
    assert_eq!(scene.store.change(brought("k", before)).err(), Some(KeystoreError::EpochMoved));
    let before = opened();
    scene.store.change(order(Change::DeleteKey { name: name("kek") })).unwrap();
    scene.store.change(order(Change::PurgeKey { name: name("kek") })).unwrap();
    assert_eq!(scene.store.change(brought("k", before)).err(), Some(KeystoreError::EpochMoved));
    // Another key's change is none of its business.
    exchange_key(&scene, "kek", &[Operation::Import]);
    let before = opened();
    scene.store.change(create_key("other", KeyType::Oct256)).unwrap();
    scene.store.change(brought("k", before)).unwrap();
}

#[test]
fn a_key_is_brought_in_where_its_exchange_key_is() {
    let scene = with_exchange_key();
    let bytes = sealed(CKM, &[7; 32]);
    let opened = || scene.store.open_transfer(&transfer(&scene, &bytes, TransferredKind::Oct)).unwrap();
    let mut elsewhere = brought("k", opened());
    elsewhere.provider = ProviderId::parse("other").unwrap();
    assert_eq!(code(scene.store.change(elsewhere)), "key-not-found");
    scene.store.change(brought("k", opened())).unwrap();
}

/// Sealed by an independent implementation: the release files have the same blob.
#[test]
fn files_of_others_open() {
    let folder = std::env::var_os("KEYGATE_VECTORS")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors")), PathBuf::from);
    let folder = folder.join("tokens/generated");
    let Ok(index) = std::fs::read_to_string(folder.join("release-index.json")) else {
        assert!(std::env::var_os("CI").is_none(), "the release files are not at hand");
        return;
    };
    let scene = Scene::new();
    let pem = std::fs::read(folder.join("tee-wrapping-key.pem")).unwrap();
    let material = KeyMaterial::import(ImportFormat::Pkcs8Pem(&pem), None).unwrap();
    let key_type = material.key_type();
    scene.store.change(creation("kek", &[Operation::Import], key_type, NewMaterial::Import(material))).unwrap();
    let decoded = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let index: Value = serde_json::from_str(&index).unwrap();
    let mut found = 0;
    for entry in index.as_array().or_else(|| index["files"].as_array()).unwrap() {
        let jws = std::fs::read_to_string(folder.join(entry["file"].as_str().unwrap())).unwrap();
        let payload: Value = serde_json::from_slice(&decoded(jws.trim().split('.').nth(1).unwrap())).unwrap();
        let key = &payload["response"]["key"]["key"];
        let blob: Value = serde_json::from_slice(&decoded(key["key_hsm"].as_str().unwrap())).unwrap();
        let plaintext = hex::decode(entry["plaintext_hex"].as_str().unwrap()).unwrap();
        let kind = match (key["kty"].as_str().unwrap(), plaintext.len()) {
            ("RSA" | "RSA-HSM", _) => TransferredKind::Rsa,
            ("EC" | "EC-HSM", _) => TransferredKind::Ec,
            (_, 32) => TransferredKind::Oct,
            // 31 bytes are no AES key.
            _ => continue,
        };
        let order = TransferOrder {
            exchange_key: target(&scene, "kek"),
            wrapping: Wrapping::parse(blob["header"]["enc"].as_str().unwrap()).unwrap(),
            ciphertext: decoded(blob["ciphertext"].as_str().unwrap()),
            kind,
            now: NOW,
        };
        let opened = scene.store.open_transfer(&order).unwrap();
        let wrong =
            TransferOrder { wrapping: if order.wrapping == CKM { Wrapping::RsaAesKeyWrap256 } else { CKM }, ..order };
        assert_eq!(scene.store.open_transfer(&wrong).err(), Some(KeystoreError::CryptoFailed));
        let key_type = opened.key_type();
        let mut order = brought(&format!("k{found}"), opened);
        if let Change::CreateKey { attributes, .. } = &mut order.change {
            attributes.exportable = true;
            attributes.operations = vec![Operation::Release];
        }
        scene.store.change(order).unwrap();
        if key_type == KeyType::Oct256 {
            let released = scene.use_once(&format!("k{found}"), Use::Release).unwrap();
            assert_eq!(scene::opened(&released), plaintext);
        }
        found += 1;
    }
    assert_eq!(found, 9);
}
