//! `keygate policy` and `keygate apply` against the real server over TLS, and offline. `native-api.md` sections 2 and 7.

mod running;

use std::process::Output;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keygate_forge::software::{Software, SoftwareEvidence};
use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use openssl::x509::extension::BasicConstraints;
use openssl::x509::{X509, X509NameBuilder};
use running::{Running, keygate};
use serde_json::{Value, json};

const FIRST: &str = "version=1.0;\nauthorizationrules{\n  => permit();\n};\nissuancerules{};\n";
const FLOOR: &str = "version=1.0;
authorizationrules{
  [type==\"x-ms-sgx-svn\", issuer==\"AttestationService\", value>=2] => permit();
};
issuancerules{
  c:[type==\"x-ms-sgx-svn\"] => issue(type=\"svn\", value=c.value);
};
";

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

fn offline(format: &str, args: &[&str]) -> Output {
    keygate().args(["--format", format]).args(args).output().unwrap()
}

#[track_caller]
fn ends(output: &Output, exit: i32, code: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit), "{error}");
    assert!(error.contains(&format!("code: {code}")), "{error}");
}

#[test]
fn a_policy_is_set_read_compared_reset_and_restored() {
    let server = started();
    let (first, floor) = (server.file("first.policy", FIRST), server.file("floor.policy", FLOOR));
    let listed = server.admin_ok(&["policy", "get"]);
    let without = listed.as_array().unwrap().iter().find(|one| one["type"] == "Tpm").unwrap();
    assert_eq!(without["digest"], Value::Null, "there is no text");
    assert!(listed.as_array().unwrap().iter().all(|one| one["state"] == "default"));
    let tried = server.admin_ok(&["policy", "set", "SgxEnclave", &first, "--dry-run"]);
    assert_eq!((&tried["dry_run"], &tried["policy"]["text"]), (&json!(true), &json!(FIRST)));
    assert_eq!(server.admin_ok(&["policy", "get", "SgxEnclave"])["state"], "default");
    server.admin_ok(&["policy", "set", "sgxenclave", &first, "--reason", "a beginning"]);
    let shown = server.admin_ok(&["policy", "get", "SgxEnclave"]);
    let part = |name: &str| shown[name].as_str().unwrap_or_default();
    assert_eq!((part("text"), part("etag"), part("reason")), (FIRST, "1", "a beginning"));
    let diff = server.admin_ok(&["policy", "diff", "SgxEnclave", &floor]);
    assert!(diff["lines"].as_array().unwrap().iter().any(|line| line["mark"] == "+"), "{diff}");
    server.admin_ok(&["policy", "set", "SgxEnclave", &floor, "--if-match", "1"]);
    ends(&server.admin(&["policy", "set", "SgxEnclave", &first, "--if-match", "1"]), 1, "conflict");
    let text = server.admin(&["policy", "get", "SgxEnclave", "--text"]);
    assert_eq!(String::from_utf8(text.stdout).unwrap(), FLOOR, "byte for byte");
    assert_eq!(server.admin_ok(&["policy", "get", "SgxEnclave", "--number", "1"])["text"], FIRST);
    ends(&server.admin(&["policy", "get", "SgxEnclave", "--number", "9"]), 1, "not-found");
    assert_eq!(server.admin_ok(&["policy", "diff", "SgxEnclave"])["from"], 1);
    server.admin_ok(&["policy", "reset", "SgxEnclave"]);
    assert_eq!(server.admin_ok(&["policy", "get", "SgxEnclave"])["state"], "reset");
    server.admin_ok(&["policy", "restore", "SgxEnclave", "1", "--reason", "back"]);
    let history = server.admin_ok(&["policy", "history", "SgxEnclave"]);
    let states: Vec<_> = history.as_array().unwrap().iter().map(|one| one["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["set", "set", "reset", "set"]);
    assert_eq!((&history[3]["digest"], &history[3]["reason"]), (&history[0]["digest"], &json!("back")));
    ends(&server.admin(&["policy", "restore", "SgxEnclave", "9"]), 1, "not-found");
    ends(&server.admin(&["policy", "get", "Sgx"]), 2, "usage");
    let broken = server.file("broken.policy", "version=1.0 authorizationrules{};");
    ends(&server.admin(&["policy", "set", "SgxEnclave", &broken]), 2, "policy-invalid");
    assert_eq!(server.admin_ok(&["policy", "history", "SgxEnclave"]).as_array().unwrap().len(), 4);
}

#[test]
fn policies_and_rules_are_applied_from_a_folder_the_difference_first() {
    let server = started();
    let folder = server.folder.path().join("gitops");
    std::fs::create_dir_all(folder.join("policies")).unwrap();
    std::fs::write(folder.join("policies/SgxEnclave.policy"), FLOOR).unwrap();
    let folder = folder.display().to_string();
    let tried = server.admin_ok(&["apply", "-f", &folder, "--dry-run"]);
    assert_eq!((&tried["dry_run"], &tried["applied"][0]["policy"]), (&json!(true), &json!("SgxEnclave")));
    assert_eq!(server.admin_ok(&["policy", "get", "SgxEnclave"])["state"], "default");
    let done = server.admin_ok(&["apply", "-f", &folder, "--reason", "merged"]);
    assert_eq!((&done["applied"][0]["number"], done["applied"][0]["entry"].is_u64()), (&json!(1), true));
    let shown = server.admin_ok(&["policy", "get", "SgxEnclave"]);
    assert_eq!((&shown["text"], &shown["reason"]), (&json!(FLOOR), &json!("merged")));
    assert_eq!(
        server.admin_ok(&["apply", "-f", &folder])["applied"],
        json!([]),
        "a second time there is nothing to do"
    );
    // Beside keys; what does not parse stops everything before anything is changed.
    std::fs::create_dir_all(format!("{folder}/keys")).unwrap();
    server.admin_ok(&["key", "create", "db-key", "--type", "oct-256"]);
    let rule = json!({"version": "1.0.0", "anyOf": [{"authority": "self", "allOf": [
        {"claim": "software.measurement", "equals": "5a".repeat(48)},
        {"claim": "x-ms-sevsnpvm-hostdata", "equals": "a1b2".repeat(16)},
    ]}]});
    std::fs::write(format!("{folder}/keys/db-key.json"), rule.to_string()).unwrap();
    std::fs::write(format!("{folder}/policies/TdxVm.policy"), "version=1.0; nonsense").unwrap();
    ends(&server.admin(&["apply", "-f", &folder]), 2, "policy-invalid");
    assert_eq!(server.admin_ok(&["key", "show", "db-key"])["rule"], Value::Null);
    std::fs::write(format!("{folder}/policies/TdxVm.policy"), FIRST).unwrap();
    let done = server.admin_ok(&["apply", "-f", &folder]);
    let names: Vec<_> =
        done["applied"].as_array().unwrap().iter().map(|one| one["policy"].as_str().or(one["key"].as_str())).collect();
    assert_eq!(names, [Some("TdxVm"), Some("db-key")]);
    std::fs::write(format!("{folder}/policies/Other.policy"), FIRST).unwrap();
    ends(&server.admin(&["apply", "-f", &folder]), 2, "usage");
}

#[test]
fn a_policy_is_checked_with_its_place() {
    let server = Running::init("");
    let sound = server.file("sound.policy", FLOOR);
    let checked = offline("json", &["policy", "check", &sound]);
    assert_eq!((checked.status.code(), &read(&checked)["valid"]), (Some(0), &json!(true)));
    let broken = server.file("broken.policy", "version=1.0;\n  [type==\"a\"] => permit();\n");
    let checked = offline("json", &["policy", "check", &broken]);
    let told = read(&checked);
    let first = &told["diagnostics"][0];
    assert_eq!((checked.status.code(), &told["valid"], &first["line"]), (Some(2), &json!(false), &json!(2)), "{told}");
    for member in ["code", "line", "column", "symbol", "expected", "rule", "message"] {
        assert!(first.get(member).is_some(), "{member}");
    }
    let for_people = offline("table", &["policy", "check", &broken]);
    let error = String::from_utf8_lossy(&for_people.stderr);
    assert!(error.contains("broken.policy") && error.contains("line 2"), "{error}");
    ends(&for_people, 2, "policy-invalid");
    let both = ["policy", "try", &sound, "--claims", "claims.json", "--type", "SgxEnclave"];
    ends(&offline("json", &both), 2, "usage");
    assert_eq!(offline("json", &["policy", "check", "/nothing/here"]).status.code(), Some(2));
}

#[test]
fn a_policy_is_tried_over_claims() {
    let server = Running::init("");
    let policy = server.file("floor.policy", FLOOR);
    let claims = |svn: u64, issuer: &str| json!([{"type": "x-ms-sgx-svn", "value": svn, "issuer": issuer}]).to_string();
    let good = server.file("good.json", &claims(3, "AttestationService"));
    let old = server.file("old.json", &claims(1, "AttestationService"));
    let forged = server.file("forged.json", &claims(3, "CustomClaim"));
    let tried = offline("json", &["policy", "try", &policy, "--claims", &good]);
    let told = read(&tried);
    assert_eq!((tried.status.code(), &told["decision"]), (Some(0), &json!("permit")), "{told}");
    assert_eq!((&told["issued"], &told["properties"]), (&json!({"svn": 3}), &json!({})));
    assert_eq!(told["trace"].as_array().unwrap().len(), 2);
    assert!(told.get("code").is_none());
    for file in [&old, &forged] {
        let tried = offline("json", &["policy", "try", &policy, "--claims", file]);
        let told = read(&tried);
        let words = (told["decision"].as_str(), told["code"].as_str());
        assert_eq!((tried.status.code(), words), (Some(1), (Some("deny"), Some("policy-denied"))), "{told}");
        assert_eq!(told["issued"], json!({}));
    }
    let faulty = FLOOR.replace("1.0", "1.2").replace("value=c.value", "value=JsonToClaimValue(\"[[1]]\")");
    let faulty = server.file("faulty.policy", &faulty);
    let tried = offline("json", &["policy", "try", &faulty, "--claims", &good]);
    let told = read(&tried);
    let words = (told["decision"].as_str(), told["code"].as_str());
    assert_eq!((tried.status.code(), words), (Some(1), (Some("error"), Some("policy-error"))), "{told}");
    let broken = server.file("broken.policy", "version=1.0;");
    assert_eq!(offline("json", &["policy", "try", &broken, "--claims", &good]).status.code(), Some(2));
    let odd = server.file("odd.json", "[{\"type\": 7}]");
    assert_eq!(offline("json", &["policy", "try", &policy, "--claims", &odd]).status.code(), Some(2));
    assert_eq!(offline("json", &["policy", "try", &policy]).status.code(), Some(2));
}

#[test]
fn a_trace_reads_on_a_terminal() {
    let server = Running::init("");
    let policy = server.file("floor.policy", FLOOR);
    let good = json!([{"type": "x-ms-sgx-svn", "value": 3, "issuer": "AttestationService"}]).to_string();
    let good = server.file("good.json", &good);
    let old = json!([{"type": "x-ms-sgx-svn", "value": 1, "issuer": "AttestationService"}]).to_string();
    let old = server.file("old.json", &old);
    let shown = offline("table", &["policy", "try", &policy, "--claims", &good]);
    assert_eq!(
        String::from_utf8(shown.stdout).unwrap(),
        "\
authorizationrules
  ✓ line 3: permit
      ✓ [type==\"x-ms-sgx-svn\", issuer==\"AttestationService\", value>=2]
          x-ms-sgx-svn = 3 (AttestationService)
issuancerules
  ✓ line 6: issue
      ✓ c:[type==\"x-ms-sgx-svn\"]
          x-ms-sgx-svn = 3 (AttestationService)
      → svn = 3
issued
  svn = 3
permit
"
    );
    let shown = offline("table", &["policy", "try", &policy, "--claims", &old]);
    assert_eq!(
        String::from_utf8(shown.stdout).unwrap(),
        "\
authorizationrules
  ✗ line 3: permit
      ✗ [type==\"x-ms-sgx-svn\", issuer==\"AttestationService\", value>=2]
          x-ms-sgx-svn = 1 (AttestationService) does not fit
deny: no rule permitted
"
    );
}

#[test]
fn a_policy_is_tried_over_evidence_that_is_genuine() {
    let server = Running::init("");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let lab = Software::new(i64::try_from(now).unwrap());
    let evidence = server.file("evidence", &lab.evidence(&SoftwareEvidence::new([7; 64])));
    let root = server.file("root.der", "");
    std::fs::write(&root, lab.root_der()).unwrap();
    let anchor = format!("software={root}");
    let policy =
        server.file("kind.policy", "version=1.0;\nauthorizationrules{\n  [type==\"keygate\"] => permit();\n};\n");
    let run = |more: &[&str]| {
        let tried = offline("json", &[&["policy", "try", &policy, "--evidence", &evidence], more].concat());
        (tried.status.code(), read(&tried))
    };
    let (exit, told) = run(&["--kind", "software", "--trust-anchor", &anchor]);
    assert_eq!((exit, &told["decision"]), (Some(0), &json!("permit")), "{told}");
    assert_eq!(told["trace"][0]["conditions"][0]["claims"][0]["issuer"], "AttestationService");
    // What is not genuine, or does not hold the data, is no question for a policy.
    let (exit, told) = run(&["--kind", "software"]);
    let words = (told["decision"].as_str(), told["trace"].as_array().map(Vec::len));
    assert_eq!((exit, words), (Some(1), (Some("error"), Some(0))), "{told}");
    assert!(told["code"].as_str().unwrap().starts_with("chain-untrusted"), "{told}");
    let data = server.file("runtime.json", "{\"role\": \"db\"}");
    let (exit, told) = run(&["--kind", "software", "--trust-anchor", &anchor, "--runtime-data", &data]);
    assert_eq!((exit, &told["decision"]), (Some(1), &json!("error")), "{told}");
}

fn certificate(key: &PKey<Private>) -> X509 {
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "policy signer").unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(30).unwrap()).unwrap();
    // Azure takes a signer for its own issuer only where it says so.
    builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
    builder.sign(key, MessageDigest::sha256()).unwrap();
    builder.build()
}

/// A JWS as Azure's tools make it, over these bytes.
fn signed(key: &PKey<Private>, payload: &str) -> String {
    let certificate = STANDARD.encode(certificate(key).to_der().unwrap());
    let header = json!({"alg": "RS256", "x5c": [certificate]}).to_string();
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let mut signer = Signer::new(MessageDigest::sha256(), key).unwrap();
    let signature = signer.sign_oneshot_to_vec(input.as_bytes()).unwrap();
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn around(text: &str) -> String {
    json!({"AttestationPolicy": URL_SAFE_NO_PAD.encode(text)}).to_string()
}

#[test]
fn pol_12_an_isolated_provider_takes_only_what_a_registered_signer_signed() {
    let (registered, foreign) = (
        PKey::from_rsa(Rsa::generate(2_048).unwrap()).unwrap(),
        PKey::from_rsa(Rsa::generate(2_048).unwrap()).unwrap(),
    );
    let mut server = Running::init("trust_model = \"isolated\"\npolicy_signers = [\"../signer.pem\"]\n");
    server.file("signer.pem", &String::from_utf8(certificate(&registered).to_pem().unwrap()).unwrap());
    server.start();
    let plain = server.file("plain.policy", FIRST);
    ends(&server.admin(&["policy", "set", "SgxEnclave", &plain]), 1, "operation-not-allowed");
    ends(&server.admin(&["policy", "reset", "SgxEnclave"]), 1, "operation-not-allowed");
    let strange = server.file("strange.jws", &signed(&foreign, &around(FIRST)));
    ends(&server.admin(&["policy", "set", "SgxEnclave", &strange]), 1, "policy-invalid");
    let jws = signed(&registered, &around(FIRST));
    let changed = jws.replacen(&URL_SAFE_NO_PAD.encode(around(FIRST)), &URL_SAFE_NO_PAD.encode(around(FLOOR)), 1);
    let changed = server.file("changed.jws", &changed);
    ends(&server.admin(&["policy", "set", "SgxEnclave", &changed]), 1, "policy-invalid");
    assert_eq!(server.admin_ok(&["policy", "get", "SgxEnclave"])["state"], "default", "nothing of it was set");
    let good = server.file("good.jws", &jws);
    let set = server.admin_ok(&["policy", "set", "SgxEnclave", &good]);
    assert_eq!((&set["policy"]["signed"], &set["policy"]["jws"]), (&json!(true), &json!(jws)));
    let order = server.file("reset.jws", &signed(&registered, ""));
    server.admin_ok(&["policy", "reset", "SgxEnclave", "--jws", &order]);
    ends(&server.admin(&["policy", "reset", "SgxEnclave", "--jws", &good]), 1, "policy-invalid");
    server.admin_ok(&["policy", "restore", "SgxEnclave", "1"]);
    ends(&server.admin(&["policy", "restore", "SgxEnclave", "2"]), 1, "operation-not-allowed");
    assert_eq!(server.admin_ok(&["policy", "get", "SgxEnclave"])["number"], 3);
}

#[test]
fn pol_12_on_a_shared_provider_policies_do_not_change() {
    let mut server = Running::init("trust_model = \"shared\"\n");
    server.start();
    let plain = server.file("plain.policy", FIRST);
    ends(&server.admin(&["policy", "set", "SgxEnclave", &plain]), 1, "operation-not-allowed");
    ends(&server.admin(&["policy", "reset", "SgxEnclave"]), 1, "operation-not-allowed");
    assert_eq!(server.admin_ok(&["policy", "get", "SgxEnclave"])["state"], "default");
}

/// A server that believes a software identity, and that identity.
fn laboratory() -> (Running, String) {
    let mut server = Running::init("");
    let lab = server.folder.path().join("lab");
    let made = keygate().arg("software-identity").arg("--out").arg(&lab).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let anchor = format!(
        "\n[[trust_anchors]]\nname = \"lab\"\nkind = \"software\"\npurpose = \"attestation\"\nfile = \"{}\"\n",
        lab.join("root.pem").display()
    );
    let file = server.dir().join("keygate.toml");
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + &anchor).unwrap();
    server.start();
    (server, lab.join("identity.pem").display().to_string())
}

fn attest(server: &Running, identity: &str, measurement: &str) {
    let mut command = keygate();
    command.args(["attest", "--server", &server.data, "--attester", "software", "--software-identity", identity]);
    command.args(["--software-measurement", measurement]).arg("--ca").arg(server.ca());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_draft_is_run_over_what_was_attested_so_far() {
    let (server, identity) = laboratory();
    let (good, other) = ("5a".repeat(48), "6b".repeat(48));
    for measurement in [&good, &other, &good] {
        attest(&server, &identity, measurement);
    }
    let none = server.file("same.policy", FIRST);
    let same = server.admin(&["policy", "try", &none, "--against", "audit", "--type", "Software"]);
    let told = read(&same);
    assert_eq!((same.status.code(), &told["decisions"], &told["changed"]), (Some(0), &json!(3), &json!(0)), "{told}");
    let draft = format!(
        "version=1.2;
authorizationrules{{
  c:[type==\"software\"] => add(type=\"m\", value=JsonToClaimValue(JmesPath(c.value, \"measurement\")));
  [type==\"m\", value==\"{good}\"] => permit();
}};"
    );
    let draft = server.file("draft.policy", &draft);
    let changed = server.admin(&["policy", "try", &draft, "--against", "audit", "--type", "Software", "--since", "1h"]);
    let told = read(&changed);
    assert_eq!(
        (changed.status.code(), &told["decisions"], &told["changed"]),
        (Some(1), &json!(3), &json!(1)),
        "{told}"
    );
    let one = &told["changes"][0];
    assert_eq!(
        (&one["before"], &one["after"], &one["kind"]),
        (&json!("permit"), &json!("deny"), &json!("attestation"))
    );
    assert_eq!(read(&server.admin(&["audit", "show", &one["entry"].to_string()]))["body"]["decision"], "permit");
    assert_eq!(server.admin(&["policy", "try", &draft, "--against", "audit"]).status.code(), Some(2), "of which type?");
}

#[test]
fn the_keys_that_sign_tokens_are_listed_and_rotated() {
    let server = started();
    let states = || {
        let listed = server.admin_ok(&["signing-key", "list"]);
        listed.as_array().unwrap().iter().map(|key| key["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(states(), ["signing"]);
    server.admin_ok(&["signing-key", "rotate", "--dry-run"]);
    assert_eq!(states(), ["signing"]);
    let rotated = server.admin_ok(&["signing-key", "rotate", "--reason", "yearly"]);
    assert_eq!(rotated["signing_keys"]["keys"].as_array().unwrap().len(), 2);
    assert_eq!(states(), ["signing", "published"]);
    ends(&server.admin(&["signing-key", "rotate"]), 1, "conflict");
    let recorded = server.admin_ok(&["audit", "list", "--kind", "admin"]);
    let reasons =
        recorded.as_array().unwrap().iter().filter(|entry| entry["body"]["operation"] == "signing-key.rotate");
    let reasons: Vec<_> = reasons.map(|entry| entry["body"]["reason"].as_str().unwrap_or("-")).collect();
    assert_eq!(reasons, ["asked for on the command line", "yearly", "-"]);
}
