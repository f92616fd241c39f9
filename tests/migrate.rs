//! The ten minutes of `docs/from-azure-attestation.md`, as somebody types them who comes from there.

mod running;

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use keygate_forge::intel::{Intel, SgxQuote, Tee};
use openssl::sha::sha256;
use serde_json::Value;

/// Every indented line of the page that stands outside of a fence.
fn commands(text: &str) -> String {
    text.lines().filter_map(|line| line.strip_prefix("    ")).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_ten_minutes_of_the_migration_page_run() {
    let house = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let intel = Intel::new(i64::try_from(now).unwrap());
    let held = br#"{"jwk": {"kty": "EC"}}"#;
    let mut report_data = [0; 64];
    report_data[..32].copy_from_slice(&sha256(held));
    std::fs::write(at("held.json"), held).unwrap();
    std::fs::write(at("quote.bin"), intel.sgx_quote(&SgxQuote::new(report_data))).unwrap();
    std::fs::create_dir(at("endorsements")).unwrap();
    std::fs::write(at("endorsements/sgx.json"), intel.collateral(&intel.describe(Tee::Sgx))).unwrap();
    std::fs::write(at("lab.der"), intel.root_der()).unwrap();

    let text = std::fs::read_to_string(house.join("docs/from-azure-attestation.md")).unwrap();
    // A throw-away Intel stands in for the real one; free ports for the default ones.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let lab = "cat >> keygate-data/keygate.toml <<'END'\n\
        [collateral]\ndirectory = \"../endorsements\"\nonline = false\n\
        [[trust_anchors]]\nname = \"lab\"\nkind = \"sgx\"\npurpose = \"attestation\"\nazure_tokens = true\nfile = \"../lab.der\"\nEND\n";
    let waiting = "keygate serve & \nuntil keygate key list >/dev/null 2>&1; do sleep 0.1; done";
    let script = commands(&text)
        .replace("keygate serve &", &format!("{lab}{waiting}"))
        .replace("localhost:8443", &format!("localhost:{port}"));
    assert!(script.contains(&format!("B=https://localhost:{port}")), "{script}");
    let path = format!(
        "{}:{}",
        Path::new(env!("CARGO_BIN_EXE_keygate")).parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let admin = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = Command::new("timeout")
        .args(["90", "bash", "-c", &format!("{script}\nkill %1; wait")])
        .current_dir(folder.path())
        .env("PATH", path)
        .env("KEYGATE_SERVER__BIND", format!("127.0.0.1:{port}"))
        .env("KEYGATE_SERVER__ADMIN_BIND", admin.to_string())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    println!("{said}\n{complained}");
    let read = |name: &str| -> Value {
        let text = std::fs::read_to_string(at(name)).unwrap_or_else(|e| panic!("{name}: {e}\n{complained}"));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}: {text}"))
    };
    assert!(read("answer.json")["token"].is_string(), "{}", read("answer.json"));
    assert!(said.contains(r#""team": "payments""#), "{said}");
    assert!(read("policy.json")["token"].is_string(), "{}", read("policy.json"));
    assert!(read("traced.json")["trace"].is_array(), "{}", read("traced.json"));
    assert_eq!(read("certs.json")["keys"].as_array().map(Vec::len), Some(1));
    assert!(said.contains("jwks_uri") && said.contains("\"ledger\""), "{said}");
    for odd in ["code: usage", "command not found", "No such file", "code: unavailable"] {
        assert!(!complained.contains(odd), "{complained}");
    }
}
