//! The directions of the house, checked against the sources. `docs/architecture.md`, section *Directions*.
//!
//! An arrow may skip floors, never climb, and no two rooms on one floor import each other.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for entry in entries.flatten().map(|e| e.path()) {
            if entry.is_dir() && !entry.ends_with("target") {
                walk(&entry, found);
            } else if entry.extension().is_some_and(|e| e == "rs") {
                found.push(entry);
            }
        }
    }
    let mut paths = Vec::new();
    walk(&root().join(folder), &mut paths);
    assert!(!paths.is_empty(), "no sources in `{folder}`");
    paths.sort();
    paths
        .into_iter()
        .map(|p| {
            let name = p.strip_prefix(root()).unwrap().display().to_string();
            (name, std::fs::read_to_string(&p).unwrap())
        })
        .collect()
}

/// Code without comments; what stands below `#[cfg(test)]` at the start of a line is a test.
fn code(text: &str) -> String {
    let end = text.find("\n#[cfg(test)]\nmod ").unwrap_or(text.len());
    text[..end].lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The rooms of `src/`, by floor; a room on the same floor is a stranger.
const FLOORS: &[(u8, &[&str])] = &[
    (7, &["main", "lib"]),
    (6, &["commands"]),
    (5, &["http", "client"]),
    (4, &["doors", "app"]),
    (3, &["broker"]),
    (2, &["result", "audit", "collateral", "telemetry", "attester", "identity"]),
    (1, &["settings", "clock"]),
];

fn floor(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(_, rooms)| rooms.contains(&room)).map(|(floor, _)| *floor)
}

/// `src/doors/native/wire.rs` stands in the room `doors`.
fn room(path: &str) -> &str {
    let inside = path.strip_prefix("src/").unwrap();
    inside.split('/').next().unwrap().trim_end_matches(".rs")
}

#[test]
fn no_arrow_climbs_in_the_broker() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        let here = room(&path);
        let Some(mine) = floor(here) else {
            wrong.push(format!("{path}: the room `{here}` stands on no floor"));
            continue;
        };
        for (at, _) in code(&text).match_indices("crate::") {
            let code = code(&text);
            let target: String =
                code[at + 7..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let Some(theirs) = floor(&target) else { continue };
            if target != here && theirs >= mine {
                wrong.push(format!("{path}: uses `{target}`, which is not below `{here}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn doors_do_not_know_each_other_nor_the_pillars() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src/doors") {
        let code = code(&text);
        let own = path.split('/').nth(2).unwrap();
        for pillar in ["keygate_keystore", "keygate_verifier"] {
            if code.contains(pillar) {
                wrong.push(format!("{path}: names `{pillar}`"));
            }
        }
        for door in ["native", "admin", "maa", "keyvault"] {
            if door != own && code.contains(&format!("doors::{door}")) && own != "mod.rs" {
                wrong.push(format!("{path}: knows the door `{door}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_broker_knows_no_http_and_no_settings() {
    for (path, text) in sources("src/broker") {
        for word in ["actix", "crate::settings", "SystemTime", "Instant::now"] {
            assert!(!code(&text).contains(word), "{path} names `{word}`");
        }
    }
}

#[test]
fn the_pillars_do_not_know_each_other_nor_the_world() {
    let islands: [(&str, &[&str]); 3] = [
        (
            "verifier/src",
            &[
                "keygate_policies",
                "keygate_keystore",
                "TcpStream",
                "TcpListener",
                "UdpSocket",
                "std::fs",
                "SystemTime",
                "tokio",
                "rand",
            ],
        ),
        (
            "policies/src",
            &[
                "keygate_verifier",
                "keygate_keystore",
                "TcpStream",
                "TcpListener",
                "UdpSocket",
                "std::fs",
                "SystemTime",
                "tokio",
                "rand",
            ],
        ),
        (
            "keystore/src",
            &["keygate_verifier", "keygate_policies", "TcpStream", "UdpSocket", "SystemTime", "actix", "tokio"],
        ),
    ];
    let mut wrong = Vec::new();
    for (island, forbidden) in islands {
        for (path, text) in sources(island) {
            let code = code(&text);
            for word in forbidden {
                let named = code.match_indices(word).any(|(at, _)| {
                    let before = code[..at].chars().next_back().unwrap_or(' ');
                    let after = code[at + word.len()..].chars().next().unwrap_or(' ');
                    !(before.is_alphanumeric() || before == '_' || after.is_alphanumeric() || after == '_')
                });
                if named {
                    wrong.push(format!("{path}: names `{word}`"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn foreign_parsers_stay_in_their_folder() {
    for (path, text) in sources("verifier/src") {
        assert!(
            path.starts_with("verifier/src/dcap/") || !code(&text).contains("dcap_qvl"),
            "{path} names the dcap parser"
        );
    }
}

#[test]
fn the_forge_depends_on_no_crate_of_ours() {
    let manifest = std::fs::read_to_string(root().join("tests/forge/Cargo.toml")).unwrap();
    let (_, dependencies) = manifest.split_once("[dependencies]").unwrap();
    assert!(!dependencies.contains("keygate"), "{dependencies}");
}

#[test]
fn an_authorization_is_made_in_one_place_only() {
    for (path, text) in sources("src") {
        let makes = code(&text).contains("Authorized::assertion");
        assert!(!makes || path == "src/broker/decide.rs", "{path} makes an authorization");
    }
}

#[test]
fn time_is_read_in_one_place_only() {
    for (path, text) in sources("src") {
        let reads = code(&text).contains("SystemTime::now");
        assert!(!reads || path == "src/clock.rs", "{path} reads the clock");
    }
}

#[test]
fn a_file_fits_in_the_head_and_no_drawer_holds_odds_and_ends() {
    let mut wrong = Vec::new();
    for folder in ["src", "verifier", "policies", "keystore", "tests"] {
        for (path, text) in sources(folder) {
            let lines = text.lines().count();
            if lines > 500 {
                wrong.push(format!("{path}: {lines} lines"));
            }
            let name = Path::new(&path).file_stem().unwrap().to_str().unwrap();
            if ["util", "utils", "common", "helpers", "misc", "types"].contains(&name) {
                wrong.push(format!("{path}: `{name}` is a drawer, not a concept"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
