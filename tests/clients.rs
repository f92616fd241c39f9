//! Clients that know Keygate only from its documents, or do not know it at all, against the real server over TLS.

mod attestation_stage;
mod key_vault_stage;
mod running;
mod vault;

use std::path::Path;
use std::process::Command;

use attestation_stage::Stage;
use keygate_keystore::{KeyMaterial, KeyType};
use running::{Running, node, python, script};
use serde_json::{Value, json};
use vault::{AT, Answer, ENCS, HOST, NONCE, Papers, RECIPIENT_KID, Vault, Wanted};

#[test]
fn a_nitro_workload_in_python_is_served_as_documented() {
    let Some(python) = python("cbor2, cryptography, requests") else { return };
    let mut server = Running::init("");
    let root = server.folder.path().join("nitro-root");
    let made = Command::new(&python).arg(script("nitro_workload.py")).arg("root").arg(&root).status().unwrap();
    assert!(made.success());
    let anchor = format!(
        "[[trust_anchors]]\nname = \"lab-nitro\"\nkind = \"nitro\"\npurpose = \"attestation\"\nazure_tokens = true\nfile = \"{}\"\n",
        root.join("root.pem").display()
    );
    let file = server.dir().join("keygate.toml");
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + "\n" + &anchor).unwrap();
    server.start();

    let image = hex::encode([0xA0u8; 48]);
    let rule = json!({"version": "1.0.0", "anyOf": [{"authority": "self", "allOf": [
        {"claim": "x-ms-attestation-type", "equals": "nitro"},
        {"claim": "nitro.pcrs.0", "equals": image},
    ]}]});
    let rule = server.file("rule.json", &rule.to_string());
    server.admin_ok(&[
        "key",
        "create",
        "db-key",
        "--type",
        "oct-256",
        "--exportable",
        "--rule",
        &rule,
        "--anchor",
        "lab-nitro",
    ]);
    server.admin_ok(&[
        "key",
        "create",
        "wrap-key",
        "--type",
        "oct-256",
        "--rule",
        &rule,
        "--anchor",
        "lab-nitro",
        "--option",
        "freshness=session",
    ]);

    let run = Command::new(&python)
        .arg(script("nitro_workload.py"))
        .arg("run")
        .arg(&root)
        .args([&server.data, "localhost"])
        .arg(server.ca())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    println!("{said}");
    let log = std::fs::read_to_string(server.log()).unwrap_or_default();
    assert!(run.status.success(), "{said}\n{}\nserver: {log}", String::from_utf8_lossy(&run.stderr));
    assert!(said.contains("all as documented"));

    let verdict = server.admin_ok(&["audit", "verify"]);
    assert_eq!(verdict["verdict"], "intact", "{verdict}");
    assert_eq!(server.terminate(), Some(0));
}

/// Runs a client to its end; what it said is printed, and it must have reached the end.
fn played(server: &Running, client: &mut Command) {
    let run = client.output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    println!("{said}");
    let log = std::fs::read_to_string(server.log()).unwrap_or_default();
    assert!(run.status.success(), "{said}\n{}\nserver: {log}", String::from_utf8_lossy(&run.stderr));
    assert!(said.contains("all as expected"), "{said}");
}

#[test]
fn azures_python_client_works_unchanged() {
    let Some(python) = python("azure.security.attestation, cryptography") else { return };
    let stage = Stage::open();
    let mut client = Command::new(python);
    played(&stage.server, client.arg(script("azure_attestation.py")).arg(stage.description()));
    stage.close();
}

#[test]
fn azures_javascript_client_works_unchanged() {
    let Some(mut client) = node() else { return };
    let stage = Stage::open();
    client.env("NODE_EXTRA_CA_CERTS", stage.server.ca());
    played(&stage.server, client.arg(script("node/azure_attestation.js")).arg(stage.description()));
    stage.close();
}

#[test]
fn key_vaults_python_client_works_unchanged() {
    let Some(python) = python("azure.keyvault.keys, azure.storage.blob, cryptography") else { return };
    let stage = key_vault_stage::Stage::open();
    let mut client = Command::new(python);
    let client = client.arg(script("azure_key_vault.py")).arg(stage.description());
    played(&stage.server, stage.alone(client));
    stage.close();
}

#[test]
fn key_vaults_javascript_client_works_unchanged() {
    let Some(mut client) = node() else { return };
    let stage = key_vault_stage::Stage::open();
    let client = client.arg(script("node/azure_key_vault.js")).arg(stage.description());
    played(&stage.server, stage.alone(client));
    stage.close();
}

/// What the opener in Python makes of each of these files.
fn opened(python: &Path, key: &Path, ca: &[u8], more: &[&str], files: &[std::path::PathBuf]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let pinned = folder.path().join("ca.pem");
    std::fs::write(&pinned, ca).unwrap();
    let mut run = Command::new(python);
    run.arg(script("open_release.py")).arg("--key").arg(key).arg("--ca").arg(&pinned);
    run.args(["--host", HOST, "--nonce", NONCE, "--recipient", RECIPIENT_KID, "--at", &AT.to_string()]);
    let run = run.args(more).args(files).output().unwrap();
    let told = String::from_utf8_lossy(&run.stdout);
    let lines: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), files.len(), "{told}{}", String::from_utf8_lossy(&run.stderr));
    let refused = lines.iter().any(|line| line.get("refused").is_some());
    assert_eq!(run.status.code(), Some(i32::from(refused)), "{told}");
    lines
}

#[test]
fn release_answers_open_in_python_without_our_code() {
    let Some(python) = python("cryptography") else { return };
    if let Some(samples) = vault::samples() {
        let key = samples.folder.join("tee-wrapping-key.pem");
        let files: Vec<_> = samples.all.iter().map(|sample| samples.folder.join(&sample.name)).collect();
        let lines = opened(&python, &key, &samples.vault.ca, &[], &files);
        for (line, sample) in lines.iter().zip(&samples.all) {
            assert_eq!(line["plaintext"], hex::encode(&sample.plaintext), "{line}");
            assert_eq!(line["kty"], sample.kty);
        }
        println!("{} shared answers opened in python", lines.len());
    }

    let (ours, folder) = (Vault::new(), tempfile::tempdir().unwrap());
    for size in [KeyType::Rsa2048, KeyType::Rsa3072] {
        let (recipient, pem) = vault::recipient(size);
        let key = folder.path().join("recipient.pem");
        std::fs::write(&key, pem).unwrap();
        let (mut files, mut wanted) = (Vec::new(), Vec::new());
        for key_type in [KeyType::Oct256, KeyType::Rsa2048, KeyType::EcP256, KeyType::EcP384, KeyType::EcP256K] {
            let material = KeyMaterial::generate(key_type).unwrap();
            for enc in ENCS {
                let file = folder.path().join(format!("{}-{}.json", key_type.as_str(), enc.as_str()));
                let signed = Answer::of(&ours, &material, &recipient, enc).signed(&ours);
                std::fs::write(&file, json!({"value": signed}).to_string()).unwrap();
                files.push(file);
                wanted.push(hex::encode(&*material.handed_out_form().unwrap()));
            }
        }
        let kid = vault::kid("ours");
        let lines = opened(&python, &key, &ours.ca, &["--kid", &kid], &files);
        for (line, wanted) in lines.iter().zip(&wanted) {
            assert_eq!(line["plaintext"], wanted.as_str(), "{line}");
        }
        println!("{} answers of ours to {} opened in python", lines.len(), size.as_str());
        // The twins: another CA of the same name, another key that was asked for, another recipient.
        let one = &files[..1];
        let namesake = Papers::new(&Wanted::authority("root"), &vault::rsa(2048), None).pem();
        let refused = |ca: &[u8], more: &[&str]| opened(&python, &key, ca, more, one)[0]["refused"].clone();
        assert!(refused(&namesake, &[]).as_str().unwrap().starts_with("a signature is wrong"));
        assert_eq!(refused(&ours.ca, &["--kid", "https://evil.example/keys/ours"]), "another key was asked for");
        assert_eq!(refused(&ours.ca, &["--nonce", "n-2"]), "another nonce");
        assert_eq!(refused(&ours.ca, &["--host", "evil.example"]), "the certificate names another host");
        let (_, other) = vault::recipient(KeyType::Rsa2048);
        std::fs::write(&key, other).unwrap();
        assert_eq!(refused(&ours.ca, &[]), "it does not open");
    }
}
