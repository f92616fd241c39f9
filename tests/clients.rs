//! A client that knows Keygate only from its documents, against the real server over TLS.

mod running;

use std::process::Command;

use running::{Running, python, script};
use serde_json::json;

#[test]
fn a_nitro_workload_in_python_is_served_as_documented() {
    let Some(python) = python() else { return };
    let mut server = Running::init("");
    let root = server.folder.path().join("nitro-root");
    let made = Command::new(&python).arg(script("nitro_workload.py")).arg("root").arg(&root).status().unwrap();
    assert!(made.success());
    let anchor = format!(
        "[[trust_anchors]]\nname = \"lab-nitro\"\nkind = \"nitro\"\npurpose = \"attestation\"\nfile = \"{}\"\n",
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
