//! A store in a folder of its own, and orders for it.
//!
//! Scenery of the tests beside this folder; every default is one that is accepted.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use keygate_keystore::*;
use tempfile::TempDir;
use zeroize::Zeroizing;

pub const NOW: i64 = 1_800_000_000;

pub struct Scene {
    pub dir: TempDir,
    pub store: Keystore,
}

pub fn provider() -> ProviderId {
    ProviderId::parse("default").unwrap()
}

pub fn name(text: &str) -> KeyName {
    KeyName::parse(text).unwrap()
}

pub fn record(kind: &str) -> Record {
    Record { provider: provider(), at: NOW, kind: kind.to_owned(), body: format!("{{\"kind\":\"{kind}\"}}") }
}

pub fn order(change: Change) -> ChangeOrder {
    ChangeOrder {
        provider: provider(),
        change,
        author: "alice".to_owned(),
        reason: "because".to_owned(),
        if_match: IfMatch::Any,
        record: record("change"),
        repeat: None,
        dry_run: false,
        now: NOW,
    }
}

pub fn attributes() -> Attributes {
    Attributes {
        enabled: true,
        not_before: None,
        expires: None,
        exportable: true,
        operations: Operation::USES.to_vec(),
        tags: BTreeMap::new(),
    }
}

pub fn rule(text: &str) -> RuleDocument {
    RuleDocument { document: text.to_owned(), digest: [text.len() as u8; 32] }
}

pub fn create_key(key: &str, key_type: KeyType) -> ChangeOrder {
    order(Change::CreateKey {
        name: name(key),
        key_type,
        attributes: attributes(),
        rules: Some(rule("rule one")),
        immutable: false,
        material: NewMaterial::Generate,
    })
}

pub fn import_secret(key: &str, secret: &[u8]) -> ChangeOrder {
    let material = KeyMaterial::import(ImportFormat::Raw(secret), Some(KeyType::Secret)).unwrap();
    order(Change::CreateKey {
        name: name(key),
        key_type: KeyType::Secret,
        attributes: attributes(),
        rules: Some(rule("rule one")),
        immutable: false,
        material: NewMaterial::Import(material),
    })
}

impl Scene {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = FileRoot::create(&dir.path().join("root")).unwrap();
        let store = Keystore::create(&dir.path().join("store"), &root, 90, NOW).unwrap();
        Self { dir, store }
    }

    pub fn file(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    pub fn root(&self) -> FileRoot {
        FileRoot::new(self.dir.path().join("root"))
    }

    /// Closes the store and gives its folder.
    pub fn close(self) -> Closed {
        self.store.shutdown();
        Closed { dir: self.dir }
    }

    pub fn view(&self, key: &str) -> KeyView {
        view(&self.store, key)
    }

    pub fn use_once(&self, key: &str, usage: Use) -> Result<Performed, KeystoreError> {
        self.store.perform(Permit::for_key(&self.store, key).usage(usage))
    }
}

pub fn view(store: &Keystore, key: &str) -> KeyView {
    store.look(&provider(), &name(key)).unwrap().key.unwrap()
}

pub struct Closed {
    pub dir: TempDir,
}

impl Closed {
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    pub fn root(&self) -> FileRoot {
        FileRoot::new(self.dir.path().join("root"))
    }

    pub fn open(&self) -> Result<Keystore, KeystoreError> {
        Keystore::open(&self.file(), &self.root(), NOW)
    }

    pub fn reopen(self) -> Scene {
        let store = self.open().unwrap();
        Scene { dir: self.dir, store }
    }
}

/// What a decision saw and permits.
pub struct Permit {
    pub target: Target,
    pub seen: Seen,
    pub spend: Spend,
    pub repeat: Option<RepeatKey>,
    pub now: i64,
}

impl Permit {
    pub fn for_key(store: &Keystore, key: &str) -> Self {
        Self::of(&store.look(&provider(), &name(key)).unwrap())
    }

    pub fn of(look: &Look) -> Self {
        let view = look.key.as_ref().unwrap();
        let version = view.versions.last().unwrap();
        Self {
            target: Target { provider: provider(), name: view.name.clone(), version: version.id },
            seen: Seen { epoch: look.epoch, key_row: view.row_version, version_row: version.row_version },
            spend: Spend::Nothing,
            repeat: None,
            now: NOW,
        }
    }

    pub fn spending(mut self, challenge: u8) -> Self {
        self.spend = Spend::Challenge { digest: [challenge; 32], until: NOW + 300 };
        self
    }

    pub fn named(mut self, key: &str, body: u8) -> Self {
        self.repeat = Some(RepeatKey { key: key.to_owned(), body_digest: [body; 32], until: NOW + 300 });
        self
    }

    pub fn usage(self, usage: Use) -> Authorized {
        let sealing = match usage {
            Use::Wrap { .. } | Use::Raw(RawUse::Encrypt(_) | RawUse::Wrap(_) | RawUse::Verify { .. }) => {
                Sealing::NotSealed
            }
            _ => Sealing::For { recipient: recipient().recipient().clone(), wrapping: Wrapping::Jwe },
        };
        self.sealed(usage, sealing)
    }

    pub fn sealed(self, usage: Use, sealing: Sealing) -> Authorized {
        Authorized::assertion(self.target, usage, sealing, self.seen, self.spend, record("use"), self.repeat, self.now)
    }
}

pub fn wrap_use() -> Use {
    Use::Wrap { alg: "A256GCM".to_owned(), plaintext: Zeroizing::new(b"plaintext".to_vec()), aad: Vec::new() }
}

/// One recipient for the whole test program.
pub fn recipient() -> &'static RecipientPrivate {
    static RECIPIENT: std::sync::OnceLock<RecipientPrivate> = std::sync::OnceLock::new();
    RECIPIENT.get_or_init(|| RecipientPrivate::generate(KeyType::EcP256).unwrap())
}

pub fn opened(performed: &Performed) -> Vec<u8> {
    let wrapped = performed.outcome.wrapped.as_ref().unwrap();
    unwrap_with(recipient(), wrapped).unwrap().to_vec()
}

/// Runs SQL on the file as an attacker with write access would, a second connection at its side.
pub fn tamper(file: &Path, sql: &str) {
    let conn = rusqlite::Connection::open(file).unwrap();
    conn.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    conn.execute_batch(sql).unwrap();
}
