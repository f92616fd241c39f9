//! A real server that trusts the authority of a software TPM, a machine that is enrolled, and keys with rules on what it booted.

use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use keygate::attester::tpm::{LogSource, Options as TpmOptions};
use keygate::attester::{Attester, AttesterError, ResidentKey, Wanted};
use keygate::client::{Ask, ClientError, Connection, Given, RecipientPlace, Workload};
use keygate_forge::tcg::{Event, Log, event};
use serde_json::Value;

use crate::quoted::attester;
use crate::running::{Running, keygate};
use crate::tpm_stage::SoftTpm;

/// Released to the right boot application.
pub const KEY: &str = "db-key";
/// Released to another one.
pub const OTHER: &str = "other-key";
/// Released to the right boot application with a recipient in the TPM.
pub const RESIDENT: &str = "resident-key";

pub struct Stage {
    pub tpm: SoftTpm,
    pub server: Running,
    pub log: Log,
    pub token: PathBuf,
}

impl Stage {
    /// Everything up to an enrolled machine.
    pub fn enrolled() -> Option<Self> {
        let tpm = SoftTpm::with_banks("sha1,sha256,sha384")?;
        let anchor = format!(
            "[[trust_anchors]]\nname = \"tpm-lab\"\nkind = \"tpm\"\npurpose = \"endorsement\"\nfile = \"{}\"\n",
            tpm.root().display()
        );
        let mut server = Running::init(&anchor);
        server.start();
        let made = server.admin_ok(&["credential", "create", "enroller", "--role", "machine-enroller"]);
        let token = PathBuf::from(server.file("enrol.token", made["token"].as_str().unwrap()));
        let log = Log::usual();
        tpm.extend_log(&log);
        fs::write(tpm.folder.path().join("log"), log.bytes()).unwrap();
        let stage = Self { tpm, server, log, token };
        let enrolled = stage.enrol("db-1");
        assert_eq!((&enrolled["machine"], &enrolled["anchor"]), (&"db-1".into(), &"tpm-lab".into()), "{enrolled}");
        assert_eq!(enrolled["attestation_key"], "made");
        let application = stage.log.events.iter().find(|e| e.kind == event::BOOT_SERVICES_APPLICATION).unwrap();
        let digest = hex::encode(application.sha384);
        stage.create(KEY, &[boot(&digest)]);
        stage.create(OTHER, &[boot(&digest.replace('0', "1"))]);
        let resident = r#"{"claim":"tpm.recipient.resident","equals":true}"#.to_owned();
        stage.create(RESIDENT, &[boot(&digest), resident]);
        Some(stage)
    }

    /// `keygate tpm enrol`.
    pub fn enrol(&self, machine: &str) -> Value {
        let output = keygate()
            .args(["--format", "json", "tpm", "enrol", "--machine", machine, "--server", &self.server.data])
            .args(["--tpm", &self.tpm.address()])
            .arg("--tpm-state")
            .arg(self.tpm.folder.path().join("state"))
            .arg("--tpm-ek-chain")
            .arg(self.tpm.issuer())
            .arg("--ca")
            .arg(self.server.ca())
            .arg("--credential")
            .arg(&self.token)
            .output()
            .unwrap();
        assert!(output.status.success(), "enrol: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn create(&self, name: &str, leaves: &[String]) {
        let all = leaves.join(",");
        let rule = format!(r#"{{"version":"1.0.0","anyOf":[{{"authority":"self","allOf":[{all}]}}]}}"#);
        let rule = self.server.file(&format!("{name}.json"), &rule);
        let arguments =
            ["key", "create", name, "--type", "oct-256", "--exportable", "--rule", &rule, "--anchor", "tpm-lab"];
        self.server.admin_ok(&arguments);
    }

    /// The attester of the machine, with its log.
    pub fn attester(&self, change: impl FnOnce(&mut TpmOptions)) -> Box<dyn Attester> {
        attester(&self.tpm, |options| {
            options.event_log = LogSource::File(self.tpm.folder.path().join("log"));
            change(options);
        })
    }

    pub fn connection(&self, credential: Option<String>) -> Connection {
        Connection::new(&self.server.data, &fs::read(self.server.ca()).unwrap(), credential).unwrap()
    }

    /// Asks for a key, as `keygate release` does.
    pub fn release(&self, key: &str, attester: &dyn Attester, place: RecipientPlace) -> Result<Given, ClientError> {
        let connection = self.connection(None);
        let ask = Ask { operation: "release", key: key.to_owned(), ..Ask::default() };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        wait(Workload::new(&connection, attester, place)?.use_key(&ask, i64::try_from(now).unwrap()))
    }

    /// Code and part of the refusal of evidence that was altered.
    pub fn refused(&self, attester: &dyn Attester) -> (String, String) {
        let refused = self.release(KEY, attester, RecipientPlace::Ec).unwrap_err();
        let part = refused.what.split(": ").next().unwrap_or_default().to_owned();
        (refused.code, part)
    }

    /// Restarts the machine: registers begin anew, and the firmware measures the same again.
    pub fn restart(&mut self) {
        self.tpm.restart();
        self.tpm.extend_log(&self.log);
    }
}

fn boot(digest: &str) -> String {
    format!(r#"{{"claimPointer":"/tpm/boot/applications/0","equals":"{digest}"}}"#)
}

pub fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// An attester whose question or document is changed on the way.
pub struct Altered {
    pub inner: Box<dyn Attester>,
    pub question: Box<dyn Fn(&mut Wanted) + Send + Sync>,
    pub document: Box<dyn Fn(&mut Value) + Send + Sync>,
}

impl Altered {
    pub fn question(inner: Box<dyn Attester>, change: impl Fn(&mut Wanted) + Send + Sync + 'static) -> Self {
        Self { inner, question: Box::new(change), document: Box::new(|_| {}) }
    }
    pub fn document(inner: Box<dyn Attester>, change: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        Self { inner, question: Box::new(|_| {}), document: Box::new(change) }
    }
}

impl Attester for Altered {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }
    fn evidence(&self, wanted: &Wanted) -> Result<Vec<u8>, AttesterError> {
        let mut wanted = wanted.clone();
        (self.question)(&mut wanted);
        let mut document: Value = serde_json::from_slice(&self.inner.evidence(&wanted)?).unwrap();
        (self.document)(&mut document);
        Ok(document.to_string().into_bytes())
    }
    fn resident_key(&self) -> Result<std::sync::Arc<dyn ResidentKey>, AttesterError> {
        self.inner.resident_key()
    }
}

/// A copy of the log with its events changed.
pub fn changed(log: &Log, change: impl FnOnce(&mut Vec<Event>)) -> Log {
    let mut log = log.clone();
    change(&mut log.events);
    log
}
