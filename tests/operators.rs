//! The operator's commands against the real server over TLS, and on the folder once it is stopped. `native-api.md` sections 2 and 7.

mod running;

use std::process::Output;

use running::{Running, keygate};
use serde_json::{Value, json};

fn good_rule() -> Value {
    let tests = json!([
        {"claim": "software.measurement", "equals": "5a".repeat(48)},
        {"claim": "x-ms-sevsnpvm-hostdata", "equals": "a1b2".repeat(16)},
    ]);
    json!({"version": "1.0.0", "anyOf": [{"authority": "self", "allOf": tests}]})
}

fn started() -> Running {
    let mut server = Running::init("");
    server.start();
    server
}

fn read(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("no json: {text} {}", String::from_utf8_lossy(&output.stderr)))
}

#[track_caller]
fn ends(output: &Output, exit: i32, code: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit), "{error}");
    assert!(error.contains(&format!("code: {code}")), "{error}");
}

#[test]
fn a_key_lives_from_creation_to_deletion() {
    let server = started();
    let rule = server.file("rule.json", &good_rule().to_string());
    let made = server.admin_ok(&[
        "key",
        "create",
        "db-key",
        "--type",
        "oct-256",
        "--exportable",
        "--ops",
        "release,unwrap",
        "--rule",
        &rule,
        "--option",
        "freshness=session",
        "--option",
        "session_seconds=900",
        "--anchor",
        "lab",
        "--tag",
        "team=a",
        "--reason",
        "a test",
    ]);
    let key = &made["key"];
    assert_eq!(key["operations"], json!(["release", "unwrap"]));
    assert_eq!(key["tags"], json!({"team": "a"}));
    assert_eq!(
        key["rule"]["document"]["options"],
        json!({"anchors": ["lab"], "freshness": "session", "session_seconds": 900})
    );
    let etag = server.admin_ok(&["key", "show", "DB-KEY"])["etag"].as_str().unwrap().to_owned();
    let tried = server.admin_ok(&["key", "disable", "db-key", "--dry-run"]);
    assert_eq!((&tried["dry_run"], &tried["key"]["enabled"]), (&json!(true), &json!(false)));
    let off = server.admin_ok(&["key", "disable", "db-key", "--if-match", &etag, "--reason", "incident 7"]);
    assert_eq!(off["key"]["enabled"], false);
    ends(&server.admin(&["key", "enable", "db-key", "--if-match", &etag]), 1, "conflict");
    server.admin_ok(&["key", "enable", "db-key"]);
    let rotated = server.admin_ok(&["key", "rotate", "db-key"]);
    assert_eq!(rotated["key"]["versions"].as_array().unwrap().len(), 2);
    server.admin_ok(&["key", "delete", "db-key"]);
    server.admin_ok(&["key", "recover", "db-key"]);
    server.admin_ok(&["key", "create", "old-key", "--type", "oct-256"]);
    server.admin_ok(&["key", "delete", "old-key"]);
    server.admin_ok(&["key", "purge", "old-key"]);
    ends(&server.admin(&["key", "recover", "old-key"]), 1, "key-not-found");
    let listed = server.admin_ok(&["key", "list"]);
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["name"]), (1, &json!("db-key")));
    ends(&server.admin(&["key", "show", "nothing"]), 1, "key-not-found");
    ends(&server.admin(&["key", "show", "no/name"]), 2, "usage");
    ends(&server.admin(&["key", "create", "x", "--type", "des"]), 2, "usage");
}

#[test]
fn keys_are_brought_in_every_form() {
    let server = started();
    let key = openssl::pkey::PKey::from_rsa(openssl::rsa::Rsa::generate(2_048).unwrap()).unwrap();
    let pem = server.file("key.pem", &String::from_utf8(key.private_key_to_pem_pkcs8().unwrap()).unwrap());
    let der = server.file("key.der", "");
    std::fs::write(&der, key.private_key_to_pkcs8().unwrap()).unwrap();
    let raw = server.file("key.raw", "");
    std::fs::write(&raw, [7; 32]).unwrap();
    let jwk = server.file("key.jwk", &json!({"kty": "oct", "k": "CQkJCQkJCQkJCQkJCQkJCQ"}).to_string());
    for (name, file, key_type, became) in [
        ("a", &pem, None, "rsa-2048"),
        ("b", &der, None, "rsa-2048"),
        ("c", &jwk, None, "oct-128"),
        ("d", &raw, Some("oct-256"), "oct-256"),
        ("e", &raw, Some("secret"), "secret"),
        ("f", &pem, Some("secret"), "secret"),
    ] {
        let mut args = vec!["key", "import", name, "--file", file, "--exportable"];
        args.extend(key_type.iter().flat_map(|key_type| ["--type", key_type]));
        assert_eq!(server.admin_ok(&args)["key"]["type"], became, "{name}");
    }
    ends(&server.admin(&["key", "import", "g", "--file", &raw]), 2, "usage");
    ends(&server.admin(&["key", "import", "g", "--file", &raw, "--type", "oct-128"]), 1, "malformed");
}

#[test]
fn a_rule_is_checked_with_its_place_and_tried_leaf_by_leaf() {
    let server = Running::init("");
    let run = |args: &[&str]| keygate().args(["--format", "json"]).args(args).output().unwrap();
    let sound = server.file("sound.json", &good_rule().to_string());
    let checked = run(&["rule", "check", &sound]);
    assert_eq!((checked.status.code(), &read(&checked)["valid"]), (Some(0), &json!(true)));
    let broken = server
        .file("broken.json", "{\"version\": \"1.0.0\",\n  \"anyOf\": [{\"authority\": \"self\", \"allOf\": []}]}");
    let checked = run(&["rule", "check", &broken]);
    let told = read(&checked);
    assert_eq!(
        (checked.status.code(), &told["valid"], &told["diagnostics"][0]["line"]),
        (Some(2), &json!(false), &json!(2))
    );
    for member in ["code", "line", "column", "symbol", "expected", "rule", "message"] {
        assert!(told["diagnostics"][0].get(member).is_some(), "{member}");
    }
    let nobody =
        json!({"version": "1.0.0", "anyOf": [{"authority": "self", "allOf": [{"claim": "iss", "exists": true}]}]});
    let nobody = server.file("nobody.json", &nobody.to_string());
    let checked = run(&["rule", "check", &nobody]);
    assert_eq!((checked.status.code(), &read(&checked)["valid"]), (Some(1), &json!(false)), "KEY-02 is refused");

    let rule = json!({"version": "1.0.0", "anyOf": [
        {"authority": "https://maa.example", "allOf": [{"claim": "x-ms-sgx-mrenclave", "equals": "ab".repeat(32)}]},
    ]});
    let rule = server.file("rule.json", &rule.to_string());
    let claims = |iss: &str, value: &str| json!({"iss": iss, "x-ms-sgx-mrenclave": value}).to_string();
    let good = server.file("good.json", &claims("https://maa.example", &"ab".repeat(32)));
    let other = server.file("other.json", &claims("https://maa.example", &"cd".repeat(32)));
    let foreign = server.file("foreign.json", &claims("https://maa.example.evil", &"ab".repeat(32)));
    let tried = run(&["rule", "try", &rule, "--claims", &good]);
    let told = read(&tried);
    assert_eq!((tried.status.code(), &told["decision"]), (Some(0), &json!("release")));
    assert_eq!(told["leaves"][0]["path"], "x-ms-sgx-mrenclave");
    for file in [&other, &foreign] {
        let tried = run(&["rule", "try", &rule, "--claims", file]);
        assert_eq!((tried.status.code(), &read(&tried)["decision"]), (Some(1), &json!("deny")), "{file}");
        assert_eq!(run(&["rule", "try", &rule, "--claims", file, "--expect", "deny"]).status.code(), Some(0));
        assert_eq!(run(&["rule", "try", &rule, "--claims", file, "--expect", "release"]).status.code(), Some(1));
    }
    assert_eq!(run(&["rule", "try", &rule, "--claims", &good, "--expect", "deny"]).status.code(), Some(1));
    let tried = run(&["rule", "try", &broken, "--claims", &good]);
    assert_eq!(tried.status.code(), Some(2));
    assert!(!read(&tried)["diagnostics"].as_array().unwrap().is_empty());
}

#[test]
fn rules_are_applied_from_a_folder_compared_and_restored() {
    let server = started();
    server.admin_ok(&["key", "create", "db-key", "--type", "oct-256"]);
    let folder = server.folder.path().join("rules");
    std::fs::create_dir_all(folder.join("keys")).unwrap();
    std::fs::write(folder.join("keys/db-key.json"), good_rule().to_string()).unwrap();
    let folder = folder.display().to_string();
    let tried = server.admin_ok(&["apply", "-f", &folder, "--dry-run"]);
    assert_eq!((&tried["dry_run"], &tried["applied"][0]["key"]), (&json!(true), &json!("db-key")));
    assert_eq!(server.admin_ok(&["key", "show", "db-key"])["rule"], Value::Null);
    server.admin_ok(&["apply", "-f", &folder, "--reason", "first rules"]);
    assert_eq!(
        server.admin_ok(&["apply", "-f", &folder])["applied"],
        json!([]),
        "a second time there is nothing to do"
    );
    let second = json!({"rules": {"default": good_rule()}, "options": {"session_seconds": 900}});
    std::fs::write(format!("{folder}/keys/db-key.json"), second.to_string()).unwrap();
    server.admin_ok(&["apply", "-f", &folder]);
    let changes = server.admin_ok(&["rule", "diff", "db-key"]);
    assert_eq!(changes["changes"], json!([{"path": "/options/session_seconds", "before": null, "after": 900}]));
    server.admin_ok(&["rule", "restore", "db-key", "1"]);
    let history = server.admin_ok(&["rule", "history", "db-key"]);
    assert_eq!((history.as_array().unwrap().len(), &history[0]["reason"]), (3, &json!("first rules")));
    assert_eq!(history[2]["digest"], history[0]["digest"]);
}

#[test]
fn credentials_are_made_listed_and_revoked() {
    let server = started();
    let made = server.admin_ok(&["credential", "create", "aud-1", "--role", "auditor", "--expires", "90d"]);
    assert_eq!(made.as_object().unwrap().keys().collect::<Vec<_>>(), ["name", "token", "roles"]);
    let file = server.file("aud.token", made["token"].as_str().unwrap());
    let run = |args: &[&str]| {
        let mut command = keygate();
        command.args(["--format", "json"]).args(args).arg("--dir").arg(server.dir()).args(["--server", &server.admin]);
        command.args(["--credential", &file]).output().unwrap()
    };
    assert!(run(&["audit", "list"]).status.success());
    ends(&run(&["key", "create", "x", "--type", "oct-256"]), 1, "forbidden");
    let listed = server.admin_ok(&["credential", "list"]);
    assert!(listed.as_array().unwrap().iter().any(|one| one["name"] == "aud-1" && one["state"] == "live"));
    assert!(!listed.to_string().contains("kg_"));
    server.admin_ok(&["credential", "create", "aud-2", "--role", "auditor"]);
    server.admin_ok(&["credential", "revoke", "aud-1", "--reason", "left"]);
    ends(&run(&["audit", "list"]), 1, "token-invalid");
    ends(&server.admin(&["credential", "create", "Aud", "--role", "auditor"]), 2, "usage");
    ends(&server.admin(&["credential", "create", "aud-3", "--role", "Auditor"]), 2, "usage");
}

#[test]
fn adm_19_no_output_of_a_failure_has_the_token() {
    let server = started();
    let token = std::fs::read_to_string(server.dir().join("admin.token")).unwrap();
    for args in
        [vec!["key", "show", "nothing"], vec!["key", "purge", "nothing"], vec!["credential", "revoke", "nobody"]]
    {
        let output = server.admin(&args);
        let all = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!output.status.success() && !all.contains("kg_") && !all.contains(token.trim()), "{all}");
    }
    assert!(!std::fs::read_to_string(server.log()).unwrap_or_default().contains("kg_"));
}

#[test]
fn the_deny_list_and_the_journal_are_shown() {
    let server = started();
    let value = "0a".repeat(32);
    server.admin_ok(&["deny", "add", "platform", &value, "--reason", "lost machine"]);
    let listed = server.admin_ok(&["deny", "list"]);
    assert_eq!((&listed[0]["value"], &listed[0]["reason"]), (&json!(value), &json!("lost machine")));
    server.admin_ok(&["deny", "remove", "platform", &value]);
    ends(&server.admin(&["deny", "remove", "platform", &value]), 1, "not-found");
    let denied = server.admin_ok(&["audit", "list", "--decision", "deny"]);
    let correlation = denied[0]["body"]["correlation"].as_str().unwrap().to_owned();
    assert_eq!(server.admin_ok(&["audit", "show", &correlation])["number"], denied[0]["number"]);
    assert_eq!(server.admin_ok(&["audit", "show", &format!("urn:uuid:{correlation}")])["number"], denied[0]["number"]);
    let exported = server.admin(&["audit", "export", "--format", "jsonl"]);
    let text = String::from_utf8(exported.stdout).unwrap();
    let numbers: Vec<u64> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["number"].as_u64().unwrap()).collect();
    assert!(numbers.len() > 5 && numbers.iter().zip(1..).all(|(number, place)| *number == place), "{numbers:?}");
}

#[test]
fn endorsement_keys_are_allowed_and_machines_listed() {
    let server = started();
    let ek = "0a".repeat(32);
    ends(&server.admin(&["enrolment", "allow-ek", "0A"]), 2, "usage");
    let allowed = server.admin_ok(&["enrolment", "allow-ek", &ek, "--reason", "rack 4"]);
    assert_eq!(allowed["endorsement_key"]["ek"], ek);
    ends(&server.admin(&["enrolment", "allow-ek", &ek]), 1, "conflict");
    let listed = server.admin_ok(&["enrolment", "list-eks"]);
    assert_eq!((&listed[0]["ek"], &listed[0]["reason"]), (&json!(ek), &json!("rack 4")));
    server.admin_ok(&["enrolment", "disallow-ek", &ek]);
    ends(&server.admin(&["enrolment", "disallow-ek", &ek]), 1, "not-found");
    assert_eq!(server.admin_ok(&["enrolment", "list"]), json!([]));
    ends(&server.admin(&["enrolment", "show", "web-1"]), 1, "not-found");
    ends(&server.admin(&["enrolment", "remove", "web-1"]), 1, "not-found");
    ends(&server.admin(&["enrolment", "remove", "Web 1"]), 2, "usage");
}

#[test]
fn the_journal_is_verified_with_and_without_a_service() {
    let mut server = started();
    server.admin_ok(&["key", "create", "db-key", "--type", "oct-256"]);
    let head = std::process::Command::new("curl")
        .args(["-sS", "--cacert"])
        .arg(server.ca())
        .arg(format!("{}/v1/audit/head", server.data))
        .output();
    let heads: Vec<String> = match head {
        Ok(output) if output.status.success() => {
            vec![server.file("head.jws", &String::from_utf8(output.stdout).unwrap())]
        }
        _ => Vec::new(),
    };
    let mut args = vec!["audit", "verify"];
    args.extend(heads.iter().flat_map(|head| ["--head", head.as_str()]));
    let online = server.admin_ok(&args);
    assert_eq!(online["verdict"], "intact");
    assert!(online["papers"].as_array().unwrap().iter().all(|paper| paper["holds"] == true), "{online}");
    assert_eq!(server.terminate(), Some(0));
    let offline = server.local(&args);
    assert_eq!((offline.status.code(), &read(&offline)["verdict"]), (Some(0), &json!("intact")));

    let store = server.dir().join("keygate.db");
    let sqlite = rusqlite::Connection::open(&store).unwrap();
    sqlite
        .execute_batch("UPDATE journal SET body = replace(body, 'db-key', 'xx-key') WHERE body LIKE '%db-key%'")
        .unwrap();
    drop(sqlite);
    let broken = server.local(&["audit", "verify", "--offline"]);
    let told = read(&broken);
    assert_eq!((broken.status.code(), &told["verdict"], &told["what"]), (Some(1), &json!("broken"), &json!("changed")));
}

#[test]
fn a_store_is_checked_copied_and_restored() {
    let mut server = started();
    server.admin_ok(&["key", "create", "db-key", "--type", "oct-256"]);
    let online = read(&server.local(&["store", "check", "--server", &server.admin]));
    assert_eq!(online["verdict"], "sound");
    let backup = server.folder.path().join("backup.kgb").display().to_string();
    let live = server.folder.path().join("live.kgb").display().to_string();
    let copied = server.local(&["store", "backup", &live, "--server", &server.admin, "--reason", "nightly"]);
    assert_eq!(
        read(&copied)["bytes"],
        std::fs::metadata(&live).unwrap().len(),
        "{}",
        String::from_utf8_lossy(&copied.stderr)
    );
    ends(&server.local(&["store", "backup", &live, "--server", &server.admin]), 2, "usage");
    let left: Vec<_> = std::fs::read_dir(server.dir()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("copy")), "{left:?}");
    server.admin_ok(&["key", "create", "later", "--type", "oct-256"]);
    assert_eq!(server.terminate(), Some(0));
    let copied = server.local(&["store", "backup", &backup]);
    assert_eq!(copied.status.code(), Some(0), "{}", String::from_utf8_lossy(&copied.stderr));
    ends(&server.local(&["store", "backup", &backup]), 3, "conflict");
    ends(&server.local(&["store", "restore", &backup]), 3, "conflict");
    let root = std::fs::read(server.dir().join("root.key")).unwrap();
    let bytes = std::fs::read(&backup).unwrap();
    assert!(!bytes.windows(root.len()).any(|window| window == root), "a backup never contains the root key");
    let store = server.dir().join("keygate.db");
    std::fs::rename(&store, store.with_extension("gone")).unwrap();
    let restored = server.local(&["store", "restore", &live]);
    assert_eq!(read(&restored)["incarnation"], 2, "{}", String::from_utf8_lossy(&restored.stderr));
    assert_eq!(read(&server.local(&["store", "check"]))["verdict"], "sound");
    server.start();
    assert_eq!(server.admin_ok(&["key", "show", "db-key"])["type"], "oct-256");
    ends(&server.admin(&["key", "show", "later"]), 1, "key-not-found");
}
