//! The server as a process: what it starts with, what it refuses to start with, signals and limits of the system.
//!
//! `bad-inputs.md` sections 17 and 18.

mod lab;
mod raw;
mod running;

use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::{Duration, Instant};

use lab::Lab;
use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::{X509, X509Name};
use raw::{Raw, address};
use running::{Running, keygate};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

const CHALLENGES: &str = "/v1/challenges";

fn pid(server: &Running) -> Pid {
    Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap()
}

fn is_well(server: &Running) {
    assert_eq!(Raw::open(server).post(CHALLENGES, b"{}").status, 200);
}

/// `serve` ends by itself: exit code and what it said.
fn refused(server: &Running) -> (Option<i32>, String) {
    let config = server.dir().join("keygate.toml");
    let mut command = keygate();
    let output = command
        .args(["serve", "--bind", "127.0.0.1:0", "--admin-bind", "127.0.0.1:0", "--config"])
        .arg(config)
        .output();
    let output = output.unwrap();
    assert!(output.stdout.is_empty(), "it listened");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn new_key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

/// A certificate for `key` that begins and ends so many days from now.
fn certificate(key: &PKey<Private>, begins: i64, ends: i64) -> X509 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let at = |days: i64| Asn1Time::from_unix(now + days * 86_400).unwrap();
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_text("CN", "localhost").unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&at(begins)).unwrap();
    builder.set_not_after(&at(ends)).unwrap();
    builder.sign(key, MessageDigest::sha256()).unwrap();
    builder.build()
}

fn replace_key(server: &Running, key: &PKey<Private>, mode: u32) {
    let path = server.dir().join("tls/server.key");
    std::fs::remove_file(&path).unwrap();
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&path).unwrap();
    std::io::Write::write_all(&mut file, &key.private_key_to_pem_pkcs8().unwrap()).unwrap();
}

#[test]
fn cfg_03_tls_that_cannot_serve_stops_the_start() {
    let server = Running::init("");
    let (key, pem) = (new_key(), server.dir().join("tls/server.pem"));
    replace_key(&server, &key, 0o600);
    let (code, said) = refused(&server);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("is not the key of"), "{said}");

    std::fs::write(&pem, certificate(&key, -10, -1).to_pem().unwrap()).unwrap();
    let (code, said) = refused(&server);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("has ended"), "{said}");

    std::fs::write(&pem, certificate(&key, -10, 100).to_pem().unwrap()).unwrap();
    replace_key(&server, &key, 0o640);
    let (code, said) = refused(&server);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("others can read"), "{said}");
}

#[test]
fn cfg_06_the_audit_cannot_be_configured_away() {
    for settings in ["[audit]\nenabled = false\n", "[audit]\nsink = \"none\"\n", "[audit]\nhead_seconds = 0\n"] {
        let server = Running::init(settings);
        let (code, said) = refused(&server);
        assert_eq!(code, Some(78), "{settings}: {said}");
    }
}

#[test]
fn cfg_09_no_core_file_can_be_written() {
    let mut server = Running::init("");
    server.start();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let core = limits.lines().find(|l| l.starts_with("Max core file size")).unwrap();
    let values: Vec<_> = core.split_whitespace().skip(4).take(2).collect();
    assert_eq!(values, ["0", "0"], "{core}");
}

#[test]
fn env_06_without_descriptors_some_wait_and_then_all_are_served() {
    let mut server =
        Running::init("[server]\nheader_seconds = 2\n[limits]\nrequests_per_second = 100000\nburst = 100000\n");
    let lab = Lab::of(&server);
    server.start();
    lab.create_key(&server, "db-key");
    let few = Rlimit { current: Some(64), maximum: Some(64) };
    prlimit(Some(pid(&server)), Resource::Nofile, few).unwrap();
    let crowd: Vec<TcpStream> = (0..200).filter_map(|_| TcpStream::connect(address(&server)).ok()).collect();
    std::thread::sleep(Duration::from_millis(500));
    drop(crowd);
    let began = Instant::now();
    is_well(&server);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let challenge = Raw::open(&server).post(CHALLENGES, b"{}").json()["challenge"].as_str().unwrap().to_owned();
    let answer = Raw::open(&server).post("/v1/keys/db-key/release", &lab.release(&challenge, "db-key"));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn env_09_a_second_server_on_the_same_store_is_refused_and_the_first_serves_on() {
    let mut server = Running::init("");
    server.start();
    let (code, said) = refused(&server);
    assert_eq!(code, Some(3), "{said}");
    assert!(!said.trim().is_empty());
    is_well(&server);
}

#[test]
fn env_09_a_server_that_was_stopped_and_continued_serves_on() {
    let mut server = Running::init("");
    let lab = Lab::of(&server);
    server.start();
    lab.create_key(&server, "db-key");
    let challenge = Raw::open(&server).post(CHALLENGES, b"{}").json()["challenge"].as_str().unwrap().to_owned();
    kill_process(pid(&server), Signal::STOP).unwrap();
    std::thread::sleep(Duration::from_secs(3));
    kill_process(pid(&server), Signal::CONT).unwrap();
    let answer = Raw::open(&server).post("/v1/keys/db-key/release", &lab.release(&challenge, "db-key"));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn env_09_sigterm_lets_the_requests_end_that_are_being_answered() {
    let mut server = Running::init("");
    server.start();
    let mut early = Raw::open(&server);
    // The head and half of the body are there when the signal comes.
    assert!(early.send("POST /v1/challenges HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{"));
    std::thread::sleep(Duration::from_millis(300));
    kill_process(pid(&server), Signal::TERM).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(early.send("}"));
    assert_eq!(early.answer().map(|a| a.status), Some(200));
    assert!(TcpStream::connect(address(&server)).is_err() || Raw::greet(&server, &raw::Greeting::default()).is_err());
    drop(early);
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn sto_12_a_copy_of_yesterday_starts_only_because_nothing_anchors_it_and_readiness_says_so() {
    let mut server = Running::init("");
    server.start();
    is_well(&server);
    let store = server.dir().join("keygate.db");
    assert_eq!(server.terminate(), Some(0));
    let yesterday = std::fs::read(&store).unwrap();
    server.start();
    server.admin_ok(&["key", "create", "younger", "--type", "oct-256"]);
    assert_eq!(server.terminate(), Some(0));
    std::fs::write(&store, yesterday).unwrap();
    server.start();
    let ready = Raw::open(&server).ask("GET", "/readyz", &[], b"").unwrap();
    assert_eq!((ready.status, ready.json()["rollback_protection"].as_str()), (200, Some("none")), "{}", ready.text());
}
