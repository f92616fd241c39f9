//! What comes over the wire, against the real listener: sockets, TLS, heads and bodies that nobody sane sends.
//!
//! `bad-inputs.md` section 13; `native-api.md` section 3.

mod lab;
mod raw;
mod running;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use lab::Lab;
use openssl::ssl::SslVersion;
use raw::{Greeting, Raw, address, request};
use running::Running;

const CHALLENGES: &str = "/v1/challenges";

/// A server with short times, and a rate that does not stand in the way.
fn server() -> Running {
    started(
        "[server]\nheader_seconds = 1\nrequest_seconds = 2\n\n[limits]\nrequests_per_second = 100000\nburst = 100000\n",
    )
}

fn started(settings: &str) -> Running {
    let mut server = Running::init(settings);
    server.start();
    server
}

/// The server serves as if nothing had happened, and soon.
fn is_well(server: &Running) {
    let began = Instant::now();
    let answer = Raw::open(server).post(CHALLENGES, b"{}");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(began.elapsed() < Duration::from_secs(5), "served after {:?}", began.elapsed());
}

fn challenge(connection: &mut Raw) -> String {
    connection.post(CHALLENGES, b"{}").json()["challenge"].as_str().unwrap().to_owned()
}

#[test]
fn http_01_a_slow_head_is_cut_off_and_others_do_not_wait() {
    let server = server();
    let mut slow: Vec<Raw> = (0..20).map(|_| Raw::open(&server)).collect();
    for connection in &mut slow {
        assert!(connection.send("POST /v1/challenges HTTP/1.1\r\nHost: local"));
    }
    is_well(&server);
    let began = Instant::now();
    for connection in &mut slow {
        assert!(connection.ends_within(Duration::from_secs(10)), "still open after {:?}", began.elapsed());
    }
    is_well(&server);
}

#[test]
fn http_01_a_slow_body_is_given_up_and_others_do_not_wait() {
    let server = server();
    let mut slow = Raw::open(&server);
    assert!(slow.send("POST /v1/challenges HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n"));
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1_500) {
        slow.send(" ");
        std::thread::sleep(Duration::from_millis(100));
    }
    is_well(&server);
    let answer = slow.answer();
    assert!(answer.is_none_or(|a| matches!(a.status, 408 | 503)), "a body that never came was answered");
    assert!(slow.ends_within(Duration::from_secs(10)), "still open after {:?}", began.elapsed());
}

#[test]
fn http_02_there_is_no_http_2_to_flood() {
    let server = server();
    let both = Greeting { protocols: Some(b"\x02h2\x08http/1.1"), ..Greeting::default() };
    assert_eq!(Raw::greet(&server, &both).unwrap().protocol().as_deref(), Some(&b"http/1.1"[..]));
    let mut insisting = Raw::greet(&server, &Greeting { protocols: Some(b"\x02h2"), ..Greeting::default() }).unwrap();
    assert_eq!(insisting.protocol(), None);
    insisting.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00");
    assert!(insisting.answer().is_none_or(|a| a.status >= 400));
    assert!(insisting.ends_within(Duration::from_secs(5)));
    is_well(&server);
}

#[test]
fn http_03_heads_that_two_readers_would_read_differently_are_refused_and_closed() {
    let server = server();
    let smuggled = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (what, headers, body) in [
        ("both", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ("two lengths", "Content-Length: 2\r\nContent-Length: 3\r\n", "{} "),
        ("a signed length", "Content-Length: +2\r\n", "{}"),
        ("a hexadecimal length", "Content-Length: 0x2\r\n", "{}"),
        ("a negative length", "Content-Length: -2\r\n", "{}"),
        ("two codings", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"),
        ("an unknown coding", "Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"),
        ("a folded line", "X-Folded: a\r\n b\r\nContent-Length: 2\r\n", "{}"),
        ("a space before the colon", "Content-Length : 2\r\n", "{}"),
        ("a chunk size beyond all", "Transfer-Encoding: chunked\r\n", "FFFFFFFFFFFFFFFFF\r\n"),
        ("a chunk size that is none", "Transfer-Encoding: chunked\r\n", "zz\r\n"),
    ] {
        let mut connection = Raw::open(&server);
        let head = "POST /v1/challenges HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
        connection.send(format!("{head}{headers}\r\n{body}{smuggled}"));
        let first = connection.answer();
        assert!(first.as_ref().is_none_or(|a| (400..500).contains(&a.status)), "{what}: {first:?}");
        assert!(connection.answer().is_none(), "{what}: what followed was answered too");
    }
    is_well(&server);
}

#[test]
fn http_04_a_body_beyond_the_limit_is_refused_before_it_is_read() {
    let server = started("[limits]\nbody_bytes = 16384\n");
    let mut declared = Raw::open(&server);
    declared.send("POST /v1/challenges HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 16385\r\n\r\n");
    declared.answer().expect("an answer before the body came").is(413, "too-large");

    let mut exact = Raw::open(&server);
    let body = [b"{", " ".repeat(16_382).as_bytes(), b"}"].concat();
    assert_eq!(exact.post(CHALLENGES, &body).status, 200, "the limit itself is allowed");

    let mut endless = Raw::open(&server);
    endless.send("POST /v1/attestations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(4096));
    for _ in 0..8 {
        assert!(endless.send(&chunk));
    }
    endless.answer().expect("an answer while the body still comes").is(413, "too-large");
    // What still comes is thrown away by the transport, and held nowhere.
    let before = server.resident();
    let sent = (0..8_192).take_while(|_| endless.send(&chunk)).count();
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes held after {sent} chunks");
    is_well(&server);
}

#[test]
fn http_05_and_06_bodies_of_another_coding_or_type_are_refused() {
    let server = server();
    for (name, value) in [
        ("Content-Encoding", "gzip"),
        ("Content-Encoding", "br"),
        ("Content-Type", "text/plain"),
        ("Content-Type", "application/json; charset=utf-16"),
    ] {
        let answer = Raw::open(&server).ask("POST", CHALLENGES, &[(name, value)], b"{}").unwrap();
        answer.is(415, "unsupported");
    }
    let untyped = b"POST /v1/challenges HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}";
    let mut connection = Raw::open(&server);
    connection.send(untyped);
    connection.answer().unwrap().is(415, "unsupported");
}

#[test]
fn http_07_json_without_measure_is_too_large() {
    let server = server();
    let deep = |n: usize| format!("{}{{}}{}", r#"{"a":"#.repeat(n - 1), "}".repeat(n - 1));
    let wide = |n: usize| format!("{{{}}}", (0..n).map(|i| format!(r#""m{i}":0"#)).collect::<Vec<_>>().join(","));
    for (what, body) in [
        ("depth 33", deep(33)),
        ("depth 10,000", deep(10_000)),
        ("4,097 members", wide(4_097)),
        ("a long number", format!(r#"{{"n":{}}}"#, "9".repeat(100_000))),
        ("a long name", format!(r#"{{"{}":0}}"#, "n".repeat(65_536))),
    ] {
        let answer = Raw::open(&server).post(CHALLENGES, body.as_bytes());
        assert_eq!((answer.status, answer.code().as_str()), (413, "too-large"), "{what}");
    }
    // One less is read, and refused for its members only.
    for body in [deep(32), wide(4_096)] {
        Raw::open(&server).post(CHALLENGES, body.as_bytes()).is(400, "malformed");
    }
}

#[test]
fn http_08_a_member_that_stands_twice_is_malformed() {
    let server = server();
    let path = "/v1/keys/db-key/release";
    for body in [
        r#"{"challenge":"a","challenge":"a"}"#,
        r#"{"challenge":"a","\u0063hallenge":"a"}"#,
        r#"{"evidence":{"kind":"nitro","kind":"nitro","data":""}}"#,
        "{}{}",
        "\u{feff}{}",
        "{} x",
    ] {
        Raw::open(&server).post(path, body.as_bytes()).is(400, "malformed");
    }
}

#[test]
fn http_09_an_unknown_member_is_malformed() {
    let server = server();
    Raw::open(&server).post(CHALLENGES, br#"{"seconds":3600}"#).is(400, "malformed");
    Raw::open(&server).post("/v1/keys/db-key/release", br#"{"recipiant":{}}"#).is(400, "malformed");
}

#[test]
fn http_10_odd_paths_reach_nothing() {
    let server = server();
    for path in [
        "/v1/keys/../challenges",
        "/v1/./challenges",
        "/v1//challenges",
        "//v1/challenges",
        "/v1/%63hallenges",
        "/v1/keys/a%2fb/release",
        "/v1/challenges%00",
        "/v1/challenges;x=1",
        "/v1/challenges/",
        "/v1\\challenges",
    ] {
        let answer = Raw::open(&server).ask("POST", path, &[], b"{}");
        assert!(answer.as_ref().is_some_and(|a| a.status == 400), "{path}: {answer:?}");
    }
    let mut long = Raw::open(&server);
    assert_eq!(long.ask("POST", &format!("/v1/{}", "a".repeat(2_000)), &[], b"{}").unwrap().status, 400);
    // The admin's routes are not behind this listener.
    assert_eq!(Raw::open(&server).ask("GET", "/admin/v1/keys", &[], b"").unwrap().status, 404);
    assert_eq!(Raw::open(&server).ask("GET", "/metrics", &[], b"").unwrap().status, 404);
}

#[test]
fn http_12_only_hosts_of_the_provider_are_served() {
    let server = server();
    for host in ["kms.attacker.example", "localhost.attacker.example", "localhos", "127.0.0.2"] {
        let mut nameless = Raw::greet(&server, &Greeting { name: None, ..Greeting::default() }).unwrap();
        let answer = nameless.ask("POST", CHALLENGES, &[("Host", host)], b"{}").unwrap();
        assert_eq!(answer.status, 421, "{host}: {}", answer.text());
    }
    // TLS said one name, HTTP another, both ours.
    let answer = Raw::open(&server).ask("POST", CHALLENGES, &[("Host", "127.0.0.1")], b"{}").unwrap();
    assert_eq!(answer.status, 421, "{}", answer.text());
    // TLS said a name that is not ours.
    let mut foreign =
        Raw::greet(&server, &Greeting { name: Some("kms.attacker.example"), ..Greeting::default() }).unwrap();
    assert_eq!(foreign.post(CHALLENGES, b"{}").status, 421);
    for (name, value) in [
        ("X-Forwarded-Host", "kms.attacker.example"),
        ("Forwarded", "host=kms.attacker.example"),
        ("X-Forwarded-For", "192.0.2.1"),
    ] {
        let answer = Raw::open(&server).ask("POST", CHALLENGES, &[(name, value)], b"{}").unwrap();
        assert_eq!((answer.status, answer.json()["host"].as_str()), (200, Some("localhost")));
    }
    let absolute = Raw::open(&server).ask("POST", "https://kms.attacker.example/v1/challenges", &[], b"{}");
    assert!(absolute.is_some_and(|a| matches!(a.status, 400 | 421)));
    for head in
        ["POST /v1/challenges HTTP/1.1\r\n", "POST /v1/challenges HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n"]
    {
        let mut connection = Raw::open(&server);
        connection.send(format!("{head}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"));
        assert_eq!(connection.answer().unwrap().status, 400, "{head}");
    }
}

#[test]
fn http_13_heads_without_measure_are_refused() {
    let server = server();
    let many: String = (0..1_000).map(|n| format!("Cookie: c{n}=1\r\n")).collect();
    let large = format!("X-Large: {}\r\n", "x".repeat(1 << 20));
    for (what, headers) in [("many", many), ("large", large)] {
        let mut connection = Raw::open(&server);
        connection.send(format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"));
        let answer = connection.answer();
        assert!(answer.as_ref().is_none_or(|a| matches!(a.status, 400 | 431)), "{what}: {answer:?}");
        assert!(connection.ends_within(Duration::from_secs(5)), "{what}");
    }
    is_well(&server);
}

#[test]
fn http_14_old_tls_and_what_is_no_tls_is_refused() {
    let server = server();
    for version in [SslVersion::TLS1, SslVersion::TLS1_1] {
        let old = Greeting { newest: Some(version), ..Greeting::default() };
        assert!(Raw::greet(&server, &old).is_err(), "{version:?}");
    }
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        let sound = Greeting { newest: Some(version), ..Greeting::default() };
        assert_eq!(Raw::greet(&server, &sound).unwrap().post(CHALLENGES, b"{}").status, 200);
    }
    for junk in [
        &b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
        b"\x16\x03\x01\xff\xff",
        &[0; 512],
        b"\x80\x2e\x01\x00\x02",
    ] {
        let mut plain = TcpStream::connect(address(&server)).unwrap();
        plain.write_all(junk).unwrap();
        plain.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut said = Vec::new();
        let _ = plain.read_to_end(&mut said);
        assert!(!said.starts_with(b"HTTP/1.1 200"), "served without TLS");
        assert!(said.len() < 512, "a long answer to junk");
    }
    // A greeting that never comes to its end holds nothing up and is cut off.
    let mut silent: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(address(&server)).unwrap()).collect();
    is_well(&server);
    for socket in &mut silent {
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        assert!(socket.read(&mut [0; 64]).is_ok(), "a silent connection stays");
    }
}

#[test]
fn http_16_a_source_beyond_its_rate_is_told_when_to_come_again() {
    let server = started("[limits]\nrequests_per_second = 1\nburst = 5\n");
    let ask = || Raw::open(&server).post(CHALLENGES, b"{}");
    assert_eq!(ask().status, 200);
    // However slowly this machine asks: sooner or later faster than once a second.
    let refused = (0..1000).map(|_| ask()).find(|answer| answer.status != 200).expect("nothing was refused");
    refused.is(429, "rate-limited");
    assert!(refused.header("retry-after").is_some_and(|s| s.parse::<u32>().is_ok_and(|s| s >= 1)));
}

#[test]
fn http_17_answers_repeat_nothing_and_are_kept_nowhere() {
    let server = server();
    let marker = "xSSmArKeRx";
    let body = format!(r#"{{"{marker}":"<script>{marker}</script>"}}"#);
    let evidence =
        format!(r#"{{"evidence":{{"kind":"{marker}","data":"{marker}"}},"challenge":"{marker}","recipient":{{}}}}"#);
    let asked = [
        ("POST", CHALLENGES.to_owned(), body),
        ("POST", format!("/v1/keys/{marker}/release"), evidence),
        ("POST", format!("/v1/{marker}"), "{}".to_owned()),
        ("GET", format!("/v1/keys/{marker}"), String::new()),
        ("GET", format!("/{marker}"), String::new()),
    ];
    for (method, path, body) in asked {
        for headers in [
            &[][..],
            &[("X-Marker", marker)],
            &[("Authorization", "Bearer kg_xSSmArKeRx")],
            &[("Idempotency-Key", marker)],
        ] {
            let answer = Raw::open(&server).ask(method, &path, headers, body.as_bytes()).unwrap();
            assert!(answer.status >= 400, "{path}");
            let heads = format!("{:?}", answer.headers);
            assert!(!answer.text().contains(marker) && !heads.contains(marker), "{path}: {}", answer.text());
            assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
            assert!(answer.json()["instance"].as_str().is_some_and(|i| i.len() > 20), "{path}");
        }
    }
    for (method, path) in [
        ("POST", CHALLENGES),
        ("GET", "/.well-known/keygate"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/openapi.json"),
    ] {
        let answer = Raw::open(&server).ask(method, path, &[], if method == "POST" { b"{}" } else { b"" }).unwrap();
        assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert!(answer.header("server").is_none() && answer.header("access-control-allow-origin").is_none());
    }
}

#[test]
fn http_09_a_query_is_no_part_of_the_data_interface() {
    let server = server();
    let answer = Raw::open(&server).ask("POST", "/v1/challenges?x=1", &[], b"{}").unwrap();
    answer.is(400, "malformed");
    assert_eq!(Raw::open(&server).ask("POST", CHALLENGES, &[], b"{}").unwrap().status, 200);
}

#[test]
fn http_18_other_methods_are_refused() {
    let server = server();
    for method in ["HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "PATCH", "PROPFIND"] {
        let mut connection = Raw::open(&server);
        connection.send(format!("{method} {CHALLENGES} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let answer = if method == "HEAD" { connection.head() } else { connection.answer() };
        let answer = answer.expect(method);
        assert_eq!(answer.status, 405, "{method}");
    }
    let overridden = Raw::open(&server).ask("GET", CHALLENGES, &[("X-HTTP-Method-Override", "POST")], b"").unwrap();
    assert_eq!(overridden.status, 405);
}

#[test]
fn http_20_bytes_beyond_ascii_in_a_head_are_refused() {
    let server = server();
    for headers in ["X-Odd: caf\u{e9}\r\n", "Host: kms.ex\u{e4}mple\r\n", "X-Nul: a\0b\r\n"] {
        let host = if headers.starts_with("Host") { "" } else { "Host: localhost\r\n" };
        let mut connection = Raw::open(&server);
        connection.send(format!("POST {CHALLENGES} HTTP/1.1\r\n{host}{headers}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"));
        let answer = connection.answer();
        assert!(answer.as_ref().is_none_or(|a| a.status == 400), "{headers:?}: {answer:?}");
    }
    is_well(&server);
}

#[test]
fn health_is_asked_by_address_and_says_no_more_than_needed() {
    let server = server();
    for host in ["localhost", "10.0.0.7:8443"] {
        let mut probe = Raw::greet(&server, &Greeting { name: None, ..Greeting::default() }).unwrap();
        let alive = probe.ask("GET", "/healthz", &[("Host", host)], b"").unwrap();
        assert_eq!((alive.status, alive.json()["status"].as_str()), (200, Some("alive")));
        let ready = probe.ask("GET", "/readyz", &[("Host", host)], b"").unwrap();
        assert_eq!((ready.status, ready.json()["status"].as_str()), (200, Some("ready")));
    }
}

#[test]
fn a_flood_of_connections_is_bounded_and_passes() {
    let server = started("[server]\nworkers = 1\nmax_connections = 32\nheader_seconds = 2\n");
    let mut early = Raw::open(&server);
    assert_eq!(early.post(CHALLENGES, b"{}").status, 200);
    let flood: Vec<TcpStream> = (0..300).filter_map(|_| TcpStream::connect(address(&server)).ok()).collect();
    assert!(flood.len() > 100);
    for _ in 0..10 {
        assert_eq!(early.post(CHALLENGES, b"{}").status, 200, "who was there before is served");
    }
    drop(flood);
    is_well(&server);
}

#[test]
fn http_15_who_hung_up_gets_the_same_answer_again_by_its_key_and_none_without() {
    let mut server = Running::init("");
    let lab = Lab::of(&server);
    server.start();
    lab.create_key(&server, "db-key");
    let path = "/v1/keys/db-key/release";
    let mut connection = Raw::open(&server);
    let body = lab.release(&challenge(&mut connection), "db-key");
    // Sent whole, and gone before the answer.
    let mut hasty = Raw::open(&server);
    assert!(hasty.send(request("POST", path, &[("Idempotency-Key", "again-1")], &body)));
    drop(hasty);
    std::thread::sleep(Duration::from_millis(500));
    let first = connection.ask("POST", path, &[("Idempotency-Key", "again-1")], &body).unwrap();
    let second = connection.ask("POST", path, &[("Idempotency-Key", "again-1")], &body).unwrap();
    assert_eq!((first.status, second.status), (200, 200), "{}", first.text());
    assert_eq!(first.json()["wrapped"], second.json()["wrapped"]);
    connection.ask("POST", path, &[], &body).unwrap().is(410, "freshness-failed");
    let released = server.admin_ok(&["audit", "verify"]);
    assert_eq!(released["verdict"], "intact", "{released}");
}

#[test]
fn http_19_of_64_parallel_replays_of_one_challenge_one_is_served() {
    let mut server = Running::init("");
    let lab = Lab::of(&server);
    server.start();
    lab.create_key(&server, "db-key");
    let challenge = challenge(&mut Raw::open(&server));
    // Half of them the same bytes, half of them another sound proof for the same challenge.
    let same = lab.release(&challenge, "db-key");
    let bodies: Vec<_> =
        (0..64).map(|n| if n % 2 == 0 { same.clone() } else { lab.release(&challenge, "db-key") }).collect();
    let barrier = std::sync::Barrier::new(64);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let clients: Vec<_> = bodies
            .iter()
            .map(|body| {
                let (server, barrier) = (&server, &barrier);
                scope.spawn(move || {
                    let mut connection = Raw::open(server);
                    barrier.wait();
                    connection.post("/v1/keys/db-key/release", body)
                })
            })
            .collect();
        clients.into_iter().map(|c| c.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|a| a.status == 200).count(), 1);
    for answer in answers.iter().filter(|a| a.status != 200) {
        answer.is(410, "freshness-failed");
    }
}
