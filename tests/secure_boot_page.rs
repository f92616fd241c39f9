//! The ten minutes of `docs/secure-boot.md`, as somebody types them on a machine with a software TPM.

mod page;

use std::path::Path;

use keygate_forge::tcg::Log;

/// Programs that the page needs.
const PROGRAMS: &[&str] = &["swtpm", "swtpm_setup", "swtpm_localca", "tpm2_pcrextend", "tpm2_getcap", "python3"];

fn example() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples/boot.log")
}

#[test]
fn the_example_is_a_log_that_the_forge_wrote() {
    let log = Log::usual().bytes();
    if std::env::var_os("KEYGATE_WRITE_EXAMPLES").is_some() {
        std::fs::write(example(), &log).unwrap();
    }
    assert!(std::fs::read(example()).unwrap() == log, "KEYGATE_WRITE_EXAMPLES=1 writes it anew");
}

#[test]
fn the_ten_minutes_of_the_page_on_secure_boot_run() {
    let there = |program: &&&str| {
        std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|at| at.join(program).is_file())
    };
    if let Some(missing) = PROGRAMS.iter().find(|program| !there(program)) {
        assert!(std::env::var_os("CI").is_none(), "no {missing}, and CI must not skip");
        eprintln!("SKIPPED the page on secure boot: there is no {missing}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(example(), folder.path().join("boot.log")).unwrap();
    // The control port of swtpm is the next one.
    let tpm = std::iter::repeat_with(page::port)
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", port + 1)).is_ok())
        .unwrap();
    let script = page::commands("docs/secure-boot.md")
        .replace("port=2321", &format!("port={tpm}"))
        .replace("port=2322", &format!("port={}", tpm + 1));
    let (said, complained) = page::typed(&script, folder.path(), page::port());
    for (key, wanted) in [("db", true), ("memory", false), ("evil", false)] {
        assert_eq!(folder.path().join(format!("{key}.key")).exists(), wanted, "{key}.key: {complained}");
    }
    assert_eq!(std::fs::read(folder.path().join("db.key")).unwrap().len(), 32);
    assert_eq!(complained.matches("code: not-released").count(), 1, "{complained}");
    assert_eq!(complained.matches("code: binding-mismatch").count(), 1, "{complained}");
    assert!(complained.contains("keygate: event-log: "), "{complained}");
    for told in ["tpm-makers", "db-1", "permit"] {
        assert!(said.contains(told), "{told}: {said}");
    }
}
