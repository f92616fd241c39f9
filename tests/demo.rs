//! `keygate demo`, as somebody runs it who has nothing but the binary.

use std::process::Command;

#[test]
fn the_demo_shows_a_release_a_refusal_and_an_intact_audit() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_keygate"))
        .arg("demo")
        .current_dir(folder.path())
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}\n{complained}");
    for line in said.lines() {
        assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
    }
    let steps: Vec<char> = said.lines().filter_map(|line| line.chars().next()).filter(char::is_ascii_digit).collect();
    assert_eq!(steps, ['1', '2', '3', '4', '5', '6'], "{said}");
    for wanted in ["unsealed        32 bytes", "not-released", "failed leaf     ", "intact"] {
        assert!(said.contains(wanted), "`{wanted}` is missing:\n{said}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}
