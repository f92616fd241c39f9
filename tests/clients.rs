//! Clients that know Keygate only from its documents, or do not know it at all, against the real server over TLS.

mod attestation_stage;
mod running;

use std::process::Command;

use attestation_stage::Stage;
use running::{Running, node, python, script};
use serde_json::json;

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
fn played(stage: &Stage, client: &mut Command) {
    let run = client.output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    println!("{said}");
    let log = std::fs::read_to_string(stage.server.log()).unwrap_or_default();
    assert!(run.status.success(), "{said}\n{}\nserver: {log}", String::from_utf8_lossy(&run.stderr));
    assert!(said.contains("all as expected"), "{said}");
}

#[test]
fn azures_python_client_works_unchanged() {
    let Some(python) = python("azure.security.attestation, cryptography") else { return };
    let stage = Stage::open();
    let mut client = Command::new(python);
    played(&stage, client.arg(script("azure_attestation.py")).arg(stage.description()));
    stage.close();
}

#[test]
fn azures_javascript_client_works_unchanged() {
    let Some(mut client) = node() else { return };
    let stage = Stage::open();
    client.env("NODE_EXTRA_CA_CERTS", stage.server.ca());
    played(&stage, client.arg(script("node/azure_attestation.js")).arg(stage.description()));
    stage.close();
}
