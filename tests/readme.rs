//! The five minutes of the README, as a new user types them.

mod running;

use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// The commands under a heading: its indented lines.
fn commands(text: &str, heading: &str) -> String {
    let (_, rest) = text.split_once(heading).expect("the heading stands in the page");
    let section = rest.split("\n## ").next().unwrap();
    section.lines().filter_map(|l| l.strip_prefix("    ")).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_five_minutes_of_the_readme_run() {
    let house = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("target/release")).unwrap();
    symlink(env!("CARGO_BIN_EXE_keygate"), folder.path().join("target/release/keygate")).unwrap();
    symlink(house.join("config"), folder.path().join("config")).unwrap();

    let default = house.join("../shared/vectors");
    let vectors = std::env::var_os("KEYGATE_VECTORS").map_or(default, std::path::PathBuf::from);
    let quote = vectors.join("evidence/tdx/tdx-v4-b0c06f000000-f1c85033.quote.bin");
    let with_quote = quote.is_file();
    assert!(with_quote || std::env::var_os("CI").is_none(), "no vectors at {}", vectors.display());
    if with_quote {
        std::fs::copy(quote, folder.path().join("quote.bin")).unwrap();
        let set = vectors.join("evidence/dcap-collateral/tdx-b0c06f000000-2025-06-19-0e940a8f.json");
        std::fs::copy(set, folder.path().join("collateral.json")).unwrap();
    }

    let text = std::fs::read_to_string(house.join("README.md")).unwrap();
    let script = commands(&text, "## Five minutes")
        .replace("cargo build --release && ", "")
        .replace("keygate serve &", "keygate serve & \nuntil keygate key list >/dev/null 2>&1; do sleep 0.1; done");
    assert!(script.contains("keygate release db-key"), "{script}");
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let output = Command::new("timeout")
        .args(["60", "bash", "-c", &format!("{script}\nkill %1; wait")])
        .current_dir(folder.path())
        .env("KEYGATE_SERVER__BIND", free())
        .env("KEYGATE_SERVER__ADMIN_BIND", free())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    println!("{said}\n{complained}");
    assert_eq!(std::fs::read(folder.path().join("db.key")).expect("the key was released").len(), 32);
    assert!(!folder.path().join("other.key").exists(), "another measurement was given the key");
    assert!(complained.contains("code: not-released"), "{complained}");
    assert!(said.contains("rule-not-satisfied") && said.contains("\"intact\""), "{said}");
    if with_quote {
        assert!(said.contains("\"verdict\": \"verified\"") && said.contains("nothing here was checked"), "{said}");
    }
    for odd in ["code: usage", "command not found", "No such file"] {
        assert!(!complained.contains(odd), "{complained}");
    }
}
