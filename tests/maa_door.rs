//! Azure Attestation's dialect over the wire: the gate before the door refuses in the door's own shape. `maa-rest-api.md` sections 1
//! and 8; `bad-inputs.md` section 13.

mod raw;
mod running;

use raw::{Greeting, Raw, Reply};
use running::Running;

const V: &str = "?api-version=2020-10-01";
const ATTEST: &str = "/attest/SgxEnclave?api-version=2020-10-01";
const POLICY: &str = "/policies/SgxEnclave?api-version=2020-10-01";
const RESET: &str = "/policies/SgxEnclave:reset?api-version=2020-10-01";

fn started(settings: &str) -> Running {
    let mut server = Running::init(settings);
    server.start();
    server
}

fn server() -> Running {
    started("[limits]\nrequests_per_second = 100000\nburst = 100000\n")
}

fn ask(server: &Running, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    Raw::open(server).ask(method, path, headers, body.as_bytes()).expect("an answer")
}

/// A refusal in this dialect, with every head that one has.
fn is(reply: &Reply, status: u16, code: &str, what: &str) {
    let json = reply.json();
    let told = json["error"]["code"].as_str().unwrap_or_default();
    assert_eq!((reply.status, told), (status, code), "{what}: {}", reply.text());
    assert!(json["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{what}");
    assert_eq!(reply.header("content-type"), Some("application/json; charset=utf-8"), "{what}");
    assert_eq!(reply.header("x-ms-error-code"), Some(code), "{what}");
    assert!(reply.header("x-ms-request-id").is_some_and(|id| id.len() == 55), "{what}");
    assert!(reply.header("x-ms-maa-service-version").is_some(), "{what}");
    assert_eq!(reply.header("cache-control"), Some("no-store"), "{what}");
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{what}");
    assert!(reply.header("server").is_none() && reply.header("access-control-allow-origin").is_none(), "{what}");
}

#[test]
fn http_05_and_06_codings_and_types_are_those_of_the_operation() {
    let server = server();
    let text = [("Content-Type", "text/plain"), ("Content-Length", "21")];
    let jws = "eyJhbGciOiJub25lIn0..";
    for (method, path) in [("PUT", POLICY), ("POST", RESET)] {
        is(&ask(&server, method, path, &text, jws), 401, "Unauthorized", path);
        let json = [("Content-Type", "application/json; charset=utf-8"), ("Content-Length", "23")];
        is(&ask(&server, method, path, &json, &format!("\"{jws}\"")), 401, "Unauthorized", path);
        for kind in ["text/html", "text/plain; charset=utf-16", "application/x-www-form-urlencoded", "application/jose"]
        {
            let headers = [("Content-Type", kind), ("Content-Length", "21")];
            is(&ask(&server, method, path, &headers, jws), 415, "UnsupportedMediaType", kind);
        }
    }
    is(
        &ask(&server, "POST", RESET, &[("Content-Type", "")], ""),
        401,
        "Unauthorized",
        "nothing is sent, nothing is typed",
    );
    for kind in ["text/plain", "application/json; charset=utf-16", ""] {
        is(&ask(&server, "POST", ATTEST, &[("Content-Type", kind)], "{}"), 415, "UnsupportedMediaType", kind);
    }
    for coding in ["gzip", "br", "zstd"] {
        is(&ask(&server, "POST", ATTEST, &[("Content-Encoding", coding)], "{}"), 415, "UnsupportedMediaType", coding);
        let packed = [text[0], text[1], ("Content-Encoding", coding)];
        is(&ask(&server, "PUT", POLICY, &packed, jws), 415, "UnsupportedMediaType", coding);
    }
    is(&ask(&server, "POST", ATTEST, &[], "{}"), 400, "InvalidParameter", "the twin");
}

#[test]
fn http_10_odd_paths_reach_nothing() {
    let server = server();
    for path in [
        "/attest/../attest/SgxEnclave",
        "/attest/./SgxEnclave",
        "/attest//SgxEnclave",
        "/attest/SgxEnclav%65",
        "/attest/Sgx%2fEnclave",
        "/policies/SgxEnclave%3areset",
        "/policies/SgxEnclave;x=1",
        "/attest/SgxEnclave/",
        "/certs/%00",
        "/certificates:add/",
    ] {
        is(&ask(&server, "POST", &format!("{path}{V}"), &[], "{}"), 400, "InvalidParameter", path);
    }
    for path in [
        "/attest",
        "/attest/SgxEnclave/x",
        "/policies",
        "/policies/SgxEnclave:set",
        "/policies/:reset",
        "/policies/SgxEnclave:reset:reset",
        "/certificates:list",
        "/certs/x",
        "/servicehealth/x",
    ] {
        is(&ask(&server, "GET", &format!("{path}{V}"), &[], ""), 404, "NotFound", path);
    }
    // Where no door is known, the house answers in its own words; and no query came in with this door for others.
    ask(&server, "GET", "/attestation", &[], "").is(404, "not-found");
    ask(&server, "POST", &format!("/v1/challenges{V}"), &[], "{}").is(400, "malformed");
    ask(&server, "GET", &format!("/.well-known/keygate{V}"), &[], "").is(400, "malformed");
    assert_eq!(ask(&server, "GET", &format!("/.well-known/openid-configuration{V}"), &[], "").status, 200);
}

#[test]
fn http_12_a_host_of_others_is_misdirected() {
    let server = server();
    let mut nameless = Raw::greet(&server, &Greeting { name: None, ..Greeting::default() }).unwrap();
    let reply = nameless.ask("GET", "/certs", &[("Host", "shared.attacker.example")], b"").unwrap();
    is(&reply, 421, "MisdirectedRequest", "another host");
}

#[test]
fn http_04_a_body_beyond_the_limit_is_refused_before_it_is_read() {
    let server = started("[limits]\nbody_bytes = 16384\n");
    let mut declared = Raw::open(&server);
    let head = format!("POST {ATTEST} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n");
    declared.send(format!("{head}Content-Length: 16385\r\n\r\n"));
    is(&declared.answer().expect("an answer before the body came"), 413, "PayloadTooLarge", "declared");
    let mut endless = Raw::open(&server);
    endless.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n"));
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(4096));
    for _ in 0..8 {
        assert!(endless.send(&chunk));
    }
    is(&endless.answer().expect("an answer while the body still comes"), 413, "PayloadTooLarge", "endless");
}

#[test]
fn http_16_a_source_beyond_its_rate_is_told_when_to_come_again() {
    let server = started("[limits]\nrequests_per_second = 1\nburst = 3\n");
    let mut line = Raw::open(&server);
    let mut ask = || line.ask("GET", "/certs", &[("Host", "localhost")], b"").expect("an answer");
    assert_eq!(ask().status, 200);
    // However slowly this machine asks: sooner or later faster than once a second.
    let refused = (0..1000).map(|_| ask()).find(|reply| reply.status != 200).expect("nothing was refused");
    is(&refused, 429, "TooManyRequests", "beyond the rate");
    assert!(refused.header("retry-after").is_some_and(|s| s.parse::<u32>().is_ok_and(|s| s >= 1)));
}

#[test]
fn http_17_answers_repeat_nothing_and_are_kept_nowhere() {
    let server = server();
    let marker = "xSSmArKeRx";
    let asked = [
        ("POST", ATTEST.to_owned(), format!(r#"{{"quote":"<script>{marker}</script>","{marker}":1}}"#)),
        ("POST", format!("/attest/{marker}{V}"), "{}".to_owned()),
        ("POST", format!("/attest/SgxEnclave?api-version={marker}"), "{}".to_owned()),
        ("POST", format!("/certificates:add{V}"), format!("\"{marker}\"")),
        ("GET", format!("/policies/{marker}{V}"), String::new()),
        ("GET", format!("/certs/{marker}"), String::new()),
    ];
    for (method, path, body) in asked {
        for headers in [&[][..], &[("X-Marker", marker)], &[("Authorization", "Bearer xSSmArKeRx")]] {
            let reply = ask(&server, method, &path, headers, &body);
            assert!(reply.status >= 400, "{path}");
            let heads = format!("{:?}", reply.headers);
            assert!(!reply.text().contains(marker) && !heads.contains(marker), "{path}: {}", reply.text());
            let code = reply.header("x-ms-error-code").unwrap_or_default().to_owned();
            is(&reply, reply.status, &code, &path);
        }
    }
}

#[test]
fn http_18_other_methods_are_refused() {
    let server = server();
    for method in ["OPTIONS", "TRACE", "DELETE", "PATCH", "PUT", "PROPFIND"] {
        let reply = ask(&server, method, ATTEST, &[], "");
        is(&reply, 405, "MethodNotAllowed", method);
        assert!(reply.header("allow").is_some(), "{method}");
    }
    let mut connection = Raw::open(&server);
    connection.send(format!("HEAD {ATTEST} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert_eq!(connection.head().unwrap().status, 405);
    let overridden = ask(&server, "GET", ATTEST, &[("X-HTTP-Method-Override", "POST")], "");
    is(&overridden, 405, "MethodNotAllowed", "override");
}

#[test]
fn a_provider_with_a_prefix_has_the_door_behind_it() {
    let server = started("[[providers]]\nid = \"iso\"\nhosts = [\"localhost\"]\nprefix = \"/iso\"\n");
    let issuer = |path: &str| ask(&server, "GET", path, &[], "").json()["issuer"].clone();
    assert_eq!(issuer("/.well-known/openid-configuration"), "https://localhost");
    assert_eq!(issuer("/iso/.well-known/openid-configuration"), "https://localhost/iso");
    let told =
        ask(&server, "PUT", &format!("/iso{POLICY}"), &[("Content-Type", "text/plain"), ("Content-Length", "2")], "..");
    is(&told, 401, "Unauthorized", "behind a prefix");
    assert!(told.text().contains("access to /iso/policies/SgxEnclave requires"), "{}", told.text());
    is(&ask(&server, "GET", "/iso/certs/x", &[], ""), 404, "NotFound", "behind a prefix");
    ask(&server, "GET", "/other/certs", &[], "").is(404, "not-found");
}

#[test]
fn the_admin_listener_has_no_such_door() {
    let mut server = server();
    server.data = server.admin.clone();
    for path in ["/certs", "/.well-known/openid-configuration", ATTEST] {
        ask(&server, "GET", path, &[], "").is(404, "not-found");
    }
}
