//! `keygate reference`, `rule` and `policy` over files of reference values, offline. `docs/reference-values.md`.

use std::path::Path;
use std::process::{Command, Output};

use openssl::ec::{EcGroup, EcKey};
use openssl::nid::Nid;
use openssl::pkey::PKey;
use serde_json::{Value, json};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    fn file(&self, name: &str, text: &str) -> String {
        std::fs::write(self.0.path().join(name), text).unwrap();
        name.to_owned()
    }
    fn path(&self) -> &Path {
        self.0.path()
    }
    fn run(&self, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_keygate")).args(words).current_dir(self.path()).output().unwrap()
    }
    #[track_caller]
    fn ok(&self, words: &[&str]) -> Value {
        let output = self.run(words);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }
    #[track_caller]
    fn ends(&self, words: &[&str], exit: i32, code: &str) {
        let output = self.run(words);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(exit), "{error}");
        assert!(error.contains(&format!("code: {code}\n")), "{error}");
        assert!(error.contains("do: "), "no next step: {error}");
    }
}

fn document(values: Value) -> String {
    json!({"name": "fleet", "serial": 1, "iat": 1_800_000_000, "exp": 1_800_086_400, "values": values}).to_string()
}

fn key(curve: Nid) -> PKey<openssl::pkey::Private> {
    PKey::from_ec_key(EcKey::generate(&EcGroup::from_curve_name(curve).unwrap()).unwrap()).unwrap()
}

#[test]
fn a_document_is_signed_by_a_key_that_may_and_what_is_wrong_is_told() {
    let folder = Folder::new();
    let pem = |name: &str, pem: Vec<u8>| folder.file(name, &String::from_utf8(pem).unwrap());
    let good = key(Nid::X9_62_PRIME256V1);
    pem("good.pem", good.private_key_to_pem_pkcs8().unwrap());
    pem("public.pem", good.public_key_to_pem().unwrap());
    pem("large.pem", key(Nid::SECP521R1).private_key_to_pem_pkcs8().unwrap());
    let cipher = openssl::symm::Cipher::aes_256_cbc();
    pem("locked.pem", good.private_key_to_pem_pkcs8_passphrase(cipher, b"secret").unwrap());
    folder.file("fleet.json", &document(json!({"a.b": ["1"]})));
    folder.file("odd.json", &document(json!({"a.b": []})));
    let sign = |key: &str, input: &str| {
        ["reference", "sign", "--key", key, "--in", input, "--out", "fleet.jws"].map(str::to_owned)
    };
    let words = |words: &[String; 8]| words.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
    for (key, input, code) in [
        ("public.pem", "fleet.json", "usage"),
        ("large.pem", "fleet.json", "usage"),
        ("locked.pem", "fleet.json", "usage"),
        ("none.pem", "fleet.json", "usage"),
        ("good.pem", "odd.json", "reference-invalid"),
        ("good.pem", "none.json", "usage"),
    ] {
        let line = words(&sign(key, input));
        folder.ends(&line.split('\n').collect::<Vec<_>>(), 2, code);
        assert!(!folder.path().join("fleet.jws").exists(), "{key} {input}");
    }
    let line = words(&sign("good.pem", "fleet.json"));
    let told = folder.ok(&line.split('\n').collect::<Vec<_>>());
    assert_eq!((&told["name"], &told["serial"]), (&json!("fleet"), &json!(1)));
    // Nothing is overwritten, and nothing unsigned is sent.
    folder.ends(&line.split('\n').collect::<Vec<_>>(), 2, "usage");
    folder.ends(&["reference", "import", "fleet.json"], 2, "usage");
    folder.ends(&["reference", "import", "good.pem"], 2, "usage");
}

#[test]
fn what_is_learnt_is_what_verified_evidence_says_and_nothing_else() {
    let folder = Folder::new();
    let claims = json!({"keygate": {"debug": false}, "m": "aa", "list": ["x", "y", "x"], "svn": 3, "o": {"a": 1}, "f": 1.5, "n": null});
    let said = |name: &str, verdict: &str, claims: &Value| {
        folder.file(name, &json!({"verdict": verdict, "kind": "snp", "claims": claims}).to_string())
    };
    said("good.json", "verified", &claims);
    let mut debug = claims.clone();
    debug["keygate"]["debug"] = json!(true);
    said("debug.json", "verified", &debug);
    said("refused.json", "refused", &claims);
    folder.file("claims.json", &json!({"claims": claims}).to_string());
    folder.file("noise.bin", "no evidence");
    let learn = |from: &str, claims: &str, out: &str| {
        let words = ["reference", "learn", "--from", from, "--name", "fleet", "--claims", claims, "--out", out];
        words.map(str::to_owned).join("\n")
    };
    let run = |line: &str, exit: i32, code: &str| folder.ends(&line.split('\n').collect::<Vec<_>>(), exit, code);
    run(&learn("debug.json", "m", "out.json"), 1, "debug-rejected");
    run(&learn("refused.json", "m", "out.json"), 1, "malformed");
    run(&learn("claims.json", "m", "out.json"), 1, "malformed");
    run(&learn("none.json", "m", "out.json"), 2, "usage");
    for claim in ["none", "o", "f", "n", "o.", "/list/9", "/~"] {
        run(&learn("good.json", claim, "out.json"), 2, "usage");
    }
    let noise = folder.run(&learn("noise.bin", "m", "out.json").split('\n').collect::<Vec<_>>());
    assert_eq!(noise.status.code(), Some(1));
    assert!(!folder.path().join("out.json").exists());
    let line = learn("good.json", "m,list,svn,/list/0,o.a", "out.json") + "\n--serial\n9\n--days\n10";
    let told = folder.ok(&line.split('\n').collect::<Vec<_>>());
    let wanted = json!({"m": ["aa"], "list": ["x", "y"], "svn": [3], "/list/0": ["x"], "o.a": [1]});
    assert_eq!((&told["document"]["values"], &told["document"]["serial"]), (&wanted, &json!(9)));
    let document = &told["document"];
    assert_eq!(document["exp"].as_i64().unwrap() - document["iat"].as_i64().unwrap(), 864_000);
    let written: Value = serde_json::from_slice(&std::fs::read(folder.path().join("out.json")).unwrap()).unwrap();
    assert_eq!(&written, document);
}

#[test]
fn rules_and_policies_are_tried_with_reference_values_from_files() {
    let folder = Folder::new();
    folder.file("fleet.json", &document(json!({"tee.measurement": ["aa", "bb"]})));
    folder.file("other.json", &document(json!({"tee.measurement": ["cc"]})));
    folder.file("elsewhere.json", &document(json!({"tee.launch": ["aa"]})));
    folder.file("claims.json", &json!({"iss": "https://x.example", "tee": {"measurement": "bb"}}).to_string());
    let test = json!({"claim": "tee.measurement", "reference": "fleet"});
    folder
        .file("rule.json", &json!({"version": "1.0.0", "anyOf": [{"authority": "self", "allOf": [test]}]}).to_string());
    let attempt = |more: &[&str]| {
        let words = [&["rule", "try", "rule.json", "--claims", "claims.json"], more].concat();
        let output = folder.run(&words);
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), told["leaves"][0]["reason"].as_str().unwrap_or("holds").to_owned())
    };
    assert_eq!(attempt(&["--reference", "fleet.json"]), (Some(0), "holds".to_owned()));
    assert_eq!(attempt(&["--reference", "other.json"]), (Some(1), "reference-no-match".to_owned()));
    assert_eq!(attempt(&["--reference", "elsewhere.json"]), (Some(1), "reference-no-entry".to_owned()));
    assert_eq!(attempt(&[]), (Some(1), "reference-missing".to_owned()));
    assert_eq!(attempt(&["--reference", "other.json", "--reference", "fleet.json"]), (Some(0), "holds".to_owned()));
    let codes = |more: &[&str]| {
        let told = folder.ok(&[&["rule", "check", "rule.json"], more].concat());
        let found = told["diagnostics"].as_array().unwrap();
        found.iter().map(|one| one["code"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(codes(&[]).is_empty() && codes(&["--reference", "fleet.json"]).is_empty());
    assert_eq!(codes(&["--reference", "elsewhere.json"]), ["rule-warning.reference-without-claim"]);
    folder.file(
        "rule.json",
        &std::fs::read_to_string(folder.path().join("rule.json")).unwrap().replace("fleet", "fleets"),
    );
    assert_eq!(codes(&["--reference", "fleet.json"]), ["rule-warning.unknown-reference"]);
    let policy = r#"version=1.0; authorizationrules{
        r:[type=="x-keygate-reference.fleet.tee.measurement", issuer=="AttestationService"]
        && [type=="tee.measurement", issuer=="AttestationService", value==r.value] => permit();}; issuancerules{};"#;
    folder.file("p.policy", policy);
    for (file, decision) in [("fleet.json", "permit"), ("other.json", "deny"), ("elsewhere.json", "deny")] {
        let output = folder.run(&["policy", "try", "p.policy", "--claims", "claims.json", "--reference", file]);
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told["decision"], decision, "{file}");
    }
}
