//! `keygate verify` and `inspect` over documents that name their files, and the anchors that TPMs need.

use std::path::{Path, PathBuf};
use std::process::Command;

use keygate_forge::base64::pem;
use keygate_forge::tpm::{Signs, Tpm, TpmFault, TpmQuote};
use serde_json::{Value, json};

const NOW: i64 = 1_790_000_000;
const AT: &str = "2026-09-21T14:13:20Z";

/// A folder with a document of kind `tpm` whose members are files, and what vouches for its key.
struct Desk {
    folder: tempfile::TempDir,
    tpm: Tpm,
}

impl Desk {
    fn new(signs: Signs) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), tpm: Tpm::new(NOW, signs) }
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Writes every member into a file of its own, and a document that names them.
    fn document(&self, quote: &TpmQuote) -> PathBuf {
        let whole: Value = serde_json::from_slice(&self.tpm.document(quote)).unwrap();
        let decode = |text: &Value| {
            let text = text.as_str().unwrap().replace('-', "+").replace('_', "/");
            openssl::base64::decode_block(&format!("{text}{}", "=".repeat((4 - text.len() % 4) % 4))).unwrap()
        };
        let mut named = json!({"kind": "tpm"});
        for (member, value) in whole.as_object().unwrap() {
            match member.as_str() {
                "kind" => {}
                "pcrs" => {
                    self.put("pcrs.json", value.to_string().as_bytes());
                    named["pcrs"] = json!("@pcrs.json");
                }
                "ak_chain" => {
                    self.put("issuer.pem", pem("CERTIFICATE", &decode(&value[0])).as_bytes());
                    named["ak_chain"] = json!(["@issuer.pem"]);
                }
                "ak_key" => {
                    self.put("ak.pem", pem("PUBLIC KEY", &decode(value)).as_bytes());
                    named["ak_key"] = json!("@ak.pem");
                }
                other => {
                    self.put(other, &decode(value));
                    named[other] = json!(format!("@{other}"));
                }
            }
        }
        self.put("evidence.json", named.to_string().as_bytes())
    }

    fn verify(&self, document: &Path, more: &[&str]) -> Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keygate"));
        command.args(["--format", "json", "verify", "--at", AT]).args(more).arg(document);
        let output = command.output().unwrap();
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

#[test]
fn a_document_that_names_its_files_is_judged_as_if_they_stood_in_it() {
    let desk = Desk::new(Signs::P256);
    let document = desk.document(&TpmQuote::new(&[1; 32]));
    let root = desk.put("root.pem", pem("CERTIFICATE", &desk.tpm.root_der()).as_bytes());
    let anchor = format!("tpm={}", root.display());
    for kind in ["tpm", "auto"] {
        let said = desk.verify(&document, &["--kind", kind, "--trust-anchor", &anchor]);
        assert_eq!(said["verdict"], "verified", "{said}");
        assert_eq!(said["claims"]["tpm"]["ak"]["vouched_by"], "certificate");
        assert_eq!(said["claims"]["keygate"]["anchor"], "command-line-1");
    }
    let said = desk.verify(&document, &["--kind", "tpm"]);
    assert_eq!((said["verdict"].as_str(), said["code"].as_str()), (Some("refused"), Some("chain-untrusted")));
    desk.put("quote", b"nothing");
    assert_eq!(desk.verify(&document, &["--kind", "tpm", "--trust-anchor", &anchor])["code"], "signature-invalid");
    std::fs::remove_file(desk.folder.path().join("quote")).unwrap();
    let missing = Command::new(env!("CARGO_BIN_EXE_keygate")).arg("verify").arg(&document).output().unwrap();
    assert_eq!(missing.status.code(), Some(2), "a file that is not there is a mistake of the command's");
}

#[test]
fn a_key_is_pinned_by_any_form_of_its_public_part() {
    let desk = Desk::new(Signs::Rsassa);
    let document =
        desk.document(&TpmQuote { certified: false, fault: Some(TpmFault::BareKey), ..TpmQuote::new(&[1; 32]) });
    let spki = desk.tpm.ak_spki();
    let area = desk.tpm.ak_object().area();
    for (name, bytes) in [("a.pem", pem("PUBLIC KEY", &spki).into_bytes()), ("a.der", spki), ("a.area", area)] {
        let anchor = format!("tpm={}", desk.put(name, &bytes).display());
        let said = desk.verify(&document, &["--kind", "tpm", "--trust-anchor", &anchor]);
        assert_eq!(said["verdict"], "verified", "{name}: {said}");
        assert_eq!(said["claims"]["tpm"]["ak"]["vouched_by"], "pinned", "{name}");
    }
    let other = desk.put("b.pem", pem("PUBLIC KEY", &Tpm::new(NOW, Signs::P256).ak_spki()).as_bytes());
    let said = desk.verify(&document, &["--kind", "tpm", "--trust-anchor", &format!("tpm={}", other.display())]);
    assert_eq!(said["code"], "chain-untrusted");
}

#[test]
fn tpm_06_sha1_alone_is_shown_by_the_command() {
    let desk = Desk::new(Signs::P256);
    let document = desk.document(&TpmQuote { fault: Some(TpmFault::Sha1Bank), ..TpmQuote::new(&[1; 32]) });
    let root = desk.put("root.der", &desk.tpm.root_der());
    let said = desk.verify(&document, &["--kind", "tpm", "--trust-anchor", &format!("tpm={}", root.display())]);
    assert_eq!(said["verdict"], "verified", "{said}");
    assert!(said["claims"]["tpm"]["pcrs"]["sha1"]["0"].is_string());
}

#[test]
fn inspect_shows_what_a_document_says_and_believes_nothing() {
    let desk = Desk::new(Signs::P384);
    let document = desk.document(&TpmQuote::new(&[1; 32]));
    let output = Command::new(env!("CARGO_BIN_EXE_keygate"))
        .args(["--format", "json", "inspect"])
        .arg(&document)
        .output()
        .unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((said["kind"].as_str(), said["verified"].as_bool()), (Some("tpm"), Some(false)));
    assert_eq!(said["says"]["tpm"]["qualifying_data"], "01".repeat(32));
    assert_eq!(said["says"]["tpm"]["ak"]["vouched_by"], Value::Null);
}
