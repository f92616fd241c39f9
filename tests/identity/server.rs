//! The real server: an issuer over real TLS, client certificates on both listeners, what a start refuses.
//!
//! `bad-inputs.md` ADM-16, DISC-12, DISC-13, DISC-15, DISC-17, JWT-43; `native-api.md` section 3.

use std::net::TcpListener;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::ssl::SslVersion;
use openssl::x509::X509;
use serde_json::{Value, json};

use super::authority::{Papers, Wanted};
use super::issuer::{Issuer, Said, SigningKey, key_set};
use super::raw::{Greeting, Raw, Reply};
use super::running::{Running, keygate};

const CHALLENGES: &str = "/v1/challenges";
const KEYS: &str = "/admin/v1/keys";

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// Settings for an issuer of this machine.
fn settings(issuer: &Issuer, folder: &tempfile::TempDir, more: &str) -> String {
    let ca = folder.path().join("idp-ca.pem");
    std::fs::write(&ca, issuer.root.pem()).unwrap();
    format!(
        "\n[[oidc]]\nname = \"idp\"\nissuer = \"{}\"\nca = \"{}\"\nallow_private_addresses = [\"localhost\"]\n{more}\n\
         roles = {{ \"Key Officer\" = [\"key-officer\"], \"Operator\" = [\"operator\"], \
         \"Attestation Contributor\" = [\"attestation-contributor\", \"attestation-reader\"], \
         \"Attestation Reader\" = [\"attestation-reader\"] }}\n",
        issuer.url,
        ca.display()
    )
}

fn token(issuer: &Issuer, key: &SigningKey, roles: &[&str]) -> String {
    key.token(&json!({
        "iss": issuer.url, "aud": "https://attest.azure.net", "sub": "ann", "iat": now(), "exp": now() + 600, "roles": roles,
    }))
}

/// Starts the server and waits until it has the issuer's keys: what comes in between is refused at once.
fn start(server: &mut Running, issuer: &Issuer, key: &SigningKey, environment: &[(&str, &str)]) {
    server.start_in(environment);
    let began = Instant::now();
    let waits = || began.elapsed() < Duration::from_secs(20);
    while waits() && !issuer.asked().contains(&"/keys".to_owned()) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let officer = token(issuer, key, &["Key Officer"]);
    while waits() && admin(server, KEYS, Some(&officer)).status == 503 {
        std::thread::sleep(Duration::from_millis(20));
    }
}

struct Shown<'a> {
    papers: Option<&'a Papers>,
    between: Option<&'a X509>,
    admin: bool,
}

fn show(papers: &Papers) -> Shown<'_> {
    Shown { papers: Some(papers), ..NOTHING }
}

const NOTHING: Shown<'_> = Shown { papers: None, between: None, admin: false };

fn connected(server: &Running, shown: &Shown<'_>) -> Result<Raw, String> {
    let client = shown.papers.map(|papers| (&papers.certificate, &papers.key));
    let greeting = Greeting { client, between: shown.between, admin: shown.admin, ..Greeting::default() };
    Raw::greet(server, &greeting)
}

fn ask(server: &Running, shown: &Shown<'_>, method: &str, path: &str, bearer: Option<&str>) -> Option<Reply> {
    let bearer = bearer.map(|token| format!("Bearer {token}"));
    let headers: Vec<(&str, &str)> = bearer.iter().map(|bearer| ("Authorization", bearer.as_str())).collect();
    let body: &[u8] = if method == "POST" { b"{}" } else { b"" };
    connected(server, shown).ok()?.ask(method, path, &headers, body)
}

fn admin(server: &Running, path: &str, bearer: Option<&str>) -> Reply {
    ask(server, &Shown { admin: true, ..NOTHING }, "GET", path, bearer).unwrap()
}

/// Callers in the records of operators, the newest last.
fn recorded(server: &Running) -> Vec<Value> {
    let list = server.admin_ok(&["audit", "list"]);
    list.as_array().unwrap().iter().map(|entry| entry["body"]["caller"].clone()).collect()
}

#[test]
fn a_bearer_of_a_discovered_issuer_manages_keys_and_is_recorded() {
    let (key, other) = (SigningKey::new("a"), SigningKey::new("b"));
    let issuer = Issuer::start(&[&key]);
    let folder = tempfile::tempdir().unwrap();
    let mut server = Running::init(&settings(&issuer, &folder, ""));
    start(&mut server, &issuer, &key, &[]);
    let officer = token(&issuer, &key, &["Key Officer"]);
    let listed = admin(&server, KEYS, Some(&officer));
    assert_eq!(listed.status, 200, "{}", listed.text());
    admin(&server, KEYS, Some(&token(&issuer, &key, &["Operator"]))).is(403, "forbidden");
    admin(&server, KEYS, Some(&token(&issuer, &key, &[]))).is(403, "forbidden");
    admin(&server, KEYS, Some(&token(&issuer, &other, &["Key Officer"]))).is(401, "token-invalid");
    admin(&server, KEYS, Some(&format!("{officer}x"))).is(401, "token-invalid");
    admin(&server, KEYS, None).is(401, "auth-required");
    assert_eq!(admin(&server, "/metrics", Some(&token(&issuer, &key, &["Operator"]))).status, 200);
    admin(&server, "/metrics", Some(&officer)).is(403, "forbidden");
    admin(&server, "/metrics", None).is(401, "auth-required");
    let challenge = |bearer: &str| ask(&server, &NOTHING, "POST", CHALLENGES, Some(bearer)).unwrap();
    assert_eq!(challenge(&officer).status, 200);
    challenge(&token(&issuer, &other, &["Key Officer"])).is(401, "token-invalid");
    let callers = recorded(&server);
    assert!(callers.contains(&json!("oidc:idp:ann")), "{callers:?}");
}

#[test]
fn a_bearer_with_azures_roles_manages_policies_at_azures_door() {
    let (key, other) = (SigningKey::new("a"), SigningKey::new("b"));
    let issuer = Issuer::start(&[&key]);
    let folder = tempfile::tempdir().unwrap();
    let mut server = Running::init(&settings(&issuer, &folder, ""));
    start(&mut server, &issuer, &key, &[]);
    let path = "/policies/SgxEnclave?api-version=2022-08-01";
    let text =
        "version= 1.0;authorizationrules{c:[type==\"$is-debuggable\", value==false]=>permit();};issuancerules{};";
    let payload = json!({"AttestationPolicy": URL_SAFE_NO_PAD.encode(text)}).to_string();
    let jws = format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(payload));
    let put = |bearer: &str| {
        let (bearer, length) = (format!("Bearer {bearer}"), jws.len().to_string());
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "text/plain"), ("Content-Length", &length)];
        Raw::open(&server).ask("PUT", path, &headers, jws.as_bytes()).unwrap()
    };
    let get = |bearer: Option<&str>| ask(&server, &NOTHING, "GET", path, bearer).unwrap().status;
    let contributor = token(&issuer, &key, &["Attestation Contributor"]);
    let reader = token(&issuer, &key, &["Attestation Reader"]);
    let written = put(&contributor);
    assert_eq!(written.status, 200, "{}", written.text());
    assert_eq!((get(Some(&contributor)), get(Some(&reader))), (200, 200));
    // No token, a bad one and one without the role are one answer.
    assert_eq!(put(&reader).status, 401);
    assert_eq!(put(&token(&issuer, &other, &["Attestation Contributor"])).status, 401);
    assert_eq!((get(None), get(Some(&token(&issuer, &key, &["Key Officer"])))), (401, 401));
    let callers = recorded(&server);
    assert!(callers.contains(&json!("oidc:idp:ann")), "{callers:?}");
}

#[test]
fn disc_12_13_15_a_rotated_key_is_found_strangers_cause_one_fetch_and_a_dead_issuer_locks_nobody_out() {
    let (old, new, never) = (SigningKey::new("old"), SigningKey::new("new"), SigningKey::new("never"));
    let issuer = Issuer::start(&[&old]);
    let folder = tempfile::tempdir().unwrap();
    let mut server = Running::init(&settings(&issuer, &folder, ""));
    start(&mut server, &issuer, &old, &[]);
    let listed = |key: &SigningKey| admin(&server, KEYS, Some(&token(&issuer, key, &["Key Officer"])));
    assert_eq!(listed(&old).status, 200);
    let fetches = || issuer.asked().iter().filter(|path| *path == "/keys").count();
    let before = fetches();
    issuer.says(|script| script.keys = Said::json(&key_set(&[&old, &new])));
    assert_eq!(listed(&new).status, 200, "at once, by the token that names it");
    assert_eq!(fetches(), before + 1);
    for _ in 0..20 {
        listed(&never).is(401, "token-invalid");
    }
    assert_eq!(fetches(), before + 1, "not once more within the minute");
    issuer.says(|script| (script.document, script.keys) = (Said::Status(500), Said::Status(500)));
    assert_eq!((listed(&old).status, listed(&new).status), (200, 200));
}

#[test]
fn disc_15_an_issuer_that_was_never_there_is_unavailable_and_the_rest_serves() {
    let key = SigningKey::new("a");
    let issuer = Issuer::start(&[&key]);
    issuer.says(|script| script.document = Said::Status(503));
    let folder = tempfile::tempdir().unwrap();
    let mut server = Running::init(&settings(&issuer, &folder, ""));
    server.start();
    let refused = admin(&server, KEYS, Some(&token(&issuer, &key, &["Key Officer"])));
    refused.is(503, "collateral-unavailable");
    assert!(refused.header("retry-after").is_some());
    let credential = std::fs::read_to_string(server.dir().join("admin.token")).unwrap();
    assert_eq!(admin(&server, KEYS, Some(credential.trim())).status, 200);
}

#[test]
fn disc_02_without_a_name_in_the_settings_a_loopback_issuer_is_not_dialled() {
    let key = SigningKey::new("a");
    let issuer = Issuer::start(&[&key]);
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&issuer, &folder, "").replace("allow_private_addresses = [\"localhost\"]\n", "");
    let mut server = Running::init(&settings);
    server.start();
    admin(&server, KEYS, Some(&token(&issuer, &key, &["Key Officer"]))).is(503, "collateral-unavailable");
    assert!(issuer.asked().is_empty());
}

#[test]
fn disc_17_a_proxy_of_the_environment_is_not_obeyed() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let place = format!("http://{}", proxy.local_addr().unwrap());
    let key = SigningKey::new("a");
    let issuer = Issuer::start(&[&key]);
    let folder = tempfile::tempdir().unwrap();
    let mut server = Running::init(&settings(&issuer, &folder, ""));
    let names = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    start(&mut server, &issuer, &key, &names.map(|name| (name, place.as_str())));
    assert_eq!(admin(&server, KEYS, Some(&token(&issuer, &key, &["Key Officer"]))).status, 200);
    assert_eq!(proxy.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

/// A server that knows `ci` for keys and `ops` for operation, under one CA.
struct Certified {
    server: Running,
    root: Papers,
    _folder: tempfile::TempDir,
}

fn certified(demanded: bool) -> Certified {
    let root = Papers::root("clients");
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("clients.pem");
    std::fs::write(&ca, root.pem()).unwrap();
    let entry = |name: &str, roles: &str| {
        format!(
            "\n[[client_certificates]]\nname = \"{name}\"\nca = \"{}\"\nsubject = \"CN={name}\"\nroles = [\"{roles}\"]\n",
            ca.display()
        )
    };
    let server = if demanded { format!("[server]\nclient_ca = \"{}\"\n", ca.display()) } else { String::new() };
    let mut server = Running::init(&format!("{server}{}{}", entry("ci", "key-officer"), entry("ops", "operator")));
    server.start();
    Certified { server, root, _folder: folder }
}

#[test]
fn adm_16_a_certificate_stands_for_a_credential_where_it_is_known() {
    let Certified { server, root, .. } = certified(false);
    let (ci, ops, stranger) =
        (root.issue(&Wanted::client("ci")), root.issue(&Wanted::client("ops")), root.issue(&Wanted::client("eve")));
    let keys =
        |papers| ask(&server, &Shown { papers: Some(papers), admin: true, ..NOTHING }, "GET", KEYS, None).unwrap();
    assert_eq!(keys(&ci).status, 200);
    keys(&ops).is(403, "forbidden");
    keys(&stranger).is(401, "auth-required");
    admin(&server, KEYS, None).is(401, "auth-required");
    // A bearer that is sent decides alone.
    let shown = Shown { papers: Some(&ci), admin: true, ..NOTHING };
    ask(&server, &shown, "GET", KEYS, Some("kg_unknown")).unwrap().is(401, "token-invalid");
    let callers = recorded(&server);
    assert!(callers.contains(&json!("cert:ci")) && callers.contains(&json!("cert:ops")), "{callers:?}");
    assert!(!callers.contains(&json!("cert:eve")));
}

#[test]
fn adm_16_the_data_listener_asks_and_takes_no_certificate_for_an_answer_but_no_wrong_one() {
    let Certified { server, root, .. } = certified(false);
    let challenge = |shown: &Shown<'_>| ask(&server, shown, "POST", CHALLENGES, None).map(|reply| reply.status);
    assert_eq!(challenge(&NOTHING), Some(200));
    assert_eq!(challenge(&show(&root.issue(&Wanted::client("ci")))), Some(200));
    assert_eq!(challenge(&show(&root.issue(&Wanted::client("nobody in particular")))), Some(200));
    let between = root.issue(&Wanted::authority("between"));
    let deep = between.issue(&Wanted::client("ci"));
    assert_eq!(challenge(&Shown { between: Some(&between.certificate), ..show(&deep) }), Some(200));
    for wrong in [
        Papers::root("clients").issue(&Wanted::client("ci")),
        root.issue(&Wanted { end: 1_700_000_000, ..Wanted::client("ci") }),
        root.issue(&Wanted { purpose: Some("serverAuth"), ..Wanted::client("ci") }),
        Papers::root("ci"),
        deep.clone(),
    ] {
        assert_eq!(challenge(&show(&wrong)), None);
    }
    assert_eq!(challenge(&NOTHING), Some(200));
}

#[test]
fn adm_16_where_a_ca_is_set_the_admin_listener_demands_a_certificate() {
    let Certified { server, root, .. } = certified(true);
    let ci = root.issue(&Wanted::client("ci"));
    let credential = std::fs::read_to_string(server.dir().join("admin.token")).unwrap();
    let credential = credential.trim();
    let keys = |papers: Option<&Papers>, bearer: Option<&str>| {
        ask(&server, &Shown { papers, admin: true, ..NOTHING }, "GET", KEYS, bearer)
    };
    assert!(keys(None, Some(credential)).is_none(), "a credential alone is not enough");
    assert!(keys(Some(&Papers::root("clients").issue(&Wanted::client("ci"))), Some(credential)).is_none());
    assert_eq!(keys(Some(&ci), None).unwrap().status, 200);
    let eve = root.issue(&Wanted::client("eve"));
    keys(Some(&eve), None).unwrap().is(401, "auth-required");
    assert_eq!(keys(Some(&eve), Some(credential)).unwrap().status, 200);
}

#[test]
fn a_second_connection_is_known_like_the_first_in_both_versions_of_tls() {
    let Certified { server, root, .. } = certified(false);
    let between = root.issue(&Wanted::authority("between"));
    let deep = between.issue(&Wanted::client("ci"));
    for newest in [None, Some(SslVersion::TLS1_2)] {
        for _ in 0..3 {
            let client = Some((&deep.certificate, &deep.key));
            let between = Some(&between.certificate);
            let greeting = Greeting { client, between, admin: true, newest, ..Greeting::default() };
            let mut connection = Raw::greet(&server, &greeting).unwrap();
            for _ in 0..2 {
                assert_eq!(connection.ask("GET", KEYS, &[], b"").unwrap().status, 200);
            }
        }
    }
}

/// A start that is refused says where, what, and what to do.
fn refused(settings: &str, what: &str) {
    let server = Running::init(settings);
    let config = server.dir().join("keygate.toml");
    let output = keygate().arg("serve").arg("--config").arg(&config).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert!(told.contains("line ") && told.contains(what), "{told}");
}

#[test]
fn cfg_01_an_entry_that_cannot_work_stops_the_start() {
    let oidc = |more: &str| format!("[[oidc]]\nname = \"idp\"\nissuer = \"https://idp.example\"\n{more}");
    let roles = "roles = { \"A\" = [\"key-user\"] }\n";
    refused(&oidc("roles = { \"A\" = [\"root\"] }\n"), "no role `root`");
    refused(&oidc("roles = { \"A\" = [\"admin\", \"key-user\"] }\n"), "`admin` beside other roles");
    refused(&oidc(&format!("{roles}jwks = \"nowhere.json\"\n")), "nowhere.json");
    refused(&oidc(&format!("{roles}ca = \"nowhere.pem\"\n")), "nowhere.pem");
    let client = "[[client_certificates]]\nname = \"ci\"\nsubject = \"CN=ci\"\nroles = [\"key-user\"]\n";
    refused(client, "no CA");
    refused(&format!("{client}ca = \"nowhere.pem\"\n"), "nowhere.pem");
    refused(&format!("{client}ca = \"tls/server.key\"\n"), "holds no certificate");
    refused(&format!("{client}ca = \"tls/ca.pem\"\ncrl = \"nowhere.pem\"\n"), "nowhere.pem");
}
