//! Any bytes as a copy of a key, and any change to a good one: nothing opens but the copy itself. And what is inside of a copy,
//! changed where only its maker could: read or refused.
#![no_main]

use std::os::unix::fs::DirBuilderExt;
use std::sync::OnceLock;

use keygate_keystore::{
    Attributes, Change, ChangeOrder, FileRoot, IfMatch, KeyBackup, KeyBackupOrder, KeyName, KeyType, Keystore,
    NewMaterial, Operation, ProviderId, Record,
};
use libfuzzer_sys::fuzz_target;

struct Good {
    store: Keystore,
    provider: ProviderId,
    copy: Vec<u8>,
}

const INSIDE: &str = r#"{"provider":"default","name":"k","row_id":"00112233445566778899aabbccddeeff","key_type":"oct-256","enabled":true,"not_before":null,"expires":5,"exportable":true,"operations":["wrap"],"tags":{"a":"b"},"rule":{"document":"{}","digest":"0000000000000000000000000000000000000000000000000000000000000000"},"immutable":false,"rotation":"{}","created":1,"versions":[{"id":"00112233445566778899aabbccddeeff","created":1,"enabled":true}]}"#;

fn good() -> &'static Good {
    static GOOD: OnceLock<Good> = OnceLock::new();
    GOOD.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("keygate-fuzz-{}", std::process::id()));
        std::fs::DirBuilder::new().mode(0o700).create(&folder).expect("a folder");
        let root = FileRoot::create(&folder.join("root")).expect("a root key");
        let store = Keystore::create(&folder.join("store"), &root, 90, 0).expect("a store");
        let provider = ProviderId::parse("default").expect("a name");
        let name = KeyName::parse("k").expect("a name");
        let record = || Record { provider: provider.clone(), at: 0, kind: "fuzz".to_owned(), body: "{}".to_owned() };
        let attributes = Attributes {
            enabled: true,
            not_before: None,
            expires: None,
            exportable: true,
            operations: vec![Operation::Wrap],
            tags: Default::default(),
        };
        let change = Change::CreateKey {
            name: name.clone(),
            key_type: KeyType::Oct256,
            attributes,
            rules: None,
            immutable: false,
            material: NewMaterial::Generate,
        };
        let order = ChangeOrder {
            provider: provider.clone(),
            change,
            author: "fuzz".to_owned(),
            reason: "fuzz".to_owned(),
            if_match: IfMatch::Absent,
            record: record(),
            repeat: None,
            dry_run: false,
            now: 0,
        };
        store.change(order).expect("a key");
        let order = KeyBackupOrder { provider: provider.clone(), name, record: record(), now: 0 };
        let (copy, _) = store.backup_key(order).expect("a copy");
        assert!(store.open_key_backup(&provider, &copy).is_ok());
        // Unix keeps what is open.
        let _ = std::fs::remove_dir_all(&folder);
        Good { store, provider, copy }
    })
}

/// Sets bytes at places: three of the input for each.
fn changed(good: &[u8], edits: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for edit in edits.chunks_exact(3) {
        let place = (usize::from(edit[0]) << 8 | usize::from(edit[1])) % bytes.len();
        bytes[place] = edit[2];
    }
    bytes
}

fuzz_target!(|bytes: &[u8]| {
    let good = good();
    let opens = |copy: &[u8]| good.store.open_key_backup(&good.provider, copy).is_ok();
    assert!(!opens(bytes));
    let other = changed(&good.copy, bytes);
    assert!(!opens(&other) || other == good.copy);

    let part = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat();
    let inside = [part(INSIDE.as_bytes()), part(&[7; 32])].concat();
    assert!(KeyBackup::reads(&inside));
    let _ = (KeyBackup::reads(bytes), KeyBackup::reads(&changed(&inside, bytes)));
});
