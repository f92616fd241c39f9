//! A page of the documentation as somebody types it.
#![allow(dead_code)] // each test binary uses its part

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// Every indented line of the page that stands outside of a fence.
pub fn commands(page: &str) -> String {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
    let outside = text.split("\n```").step_by(2);
    let indented = outside.flat_map(str::lines).filter_map(|line| line.strip_prefix("    "));
    indented.collect::<Vec<_>>().join("\n")
}

/// A port that is free now.
pub fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Types a script in a folder, with this `keygate`; what was said, and what was complained about. The service is waited for; it
/// listens on `port`, and what runs in the background ends with the script.
pub fn typed(script: &str, folder: &Path, data: u16) -> (String, String) {
    let waiting = "keygate serve & \nuntil keygate key list >/dev/null 2>&1; do sleep 0.1; done";
    let script = script.replace("keygate serve &", waiting);
    let path = format!(
        "{}:{}",
        Path::new(env!("CARGO_BIN_EXE_keygate")).parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let output = Command::new("timeout")
        .args(["120", "bash", "-c", &format!("trap 'kill $(jobs -p)' EXIT\n{script}\n")])
        .current_dir(folder)
        .env("PATH", path)
        .env("KEYGATE_SERVER__BIND", format!("127.0.0.1:{data}"))
        .env("KEYGATE_SERVER__ADMIN_BIND", format!("127.0.0.1:{}", port()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr).into_owned();
    println!("{said}\n{complained}");
    for odd in ["code: usage", "command not found", "No such file", "code: unavailable", "config-invalid"] {
        assert!(!complained.contains(odd), "{odd}: {complained}");
    }
    (said, complained)
}
