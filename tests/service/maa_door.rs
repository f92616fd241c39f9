//! The door in Azure Attestation's dialect: paths, versions, bearers, bodies, answers. `maa-rest-api.md` sections 1 to 8; `bad-inputs.md`
//! section 13.

use actix_web::dev::ServiceResponse;
use actix_web::http::Method;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{App, HttpMessage as _, web};
use keygate::doors::maa;
use keygate_keystore::Change;
use serde_json::{Value, json};

use super::broker::*;

/// What came back.
pub struct Told {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Value,
}

impl Told {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
    fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }
    pub fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }
    /// Status and code, and whatever every refusal of this door has.
    pub fn is(&self, status: u16, code: &str, what: &str) {
        assert_eq!((self.status, self.code()), (status, code), "{what}: {}", self.body);
        assert_eq!(self.header("x-ms-error-code"), Some(code), "{what}");
        assert_eq!(self.header("content-type"), Some("application/json; charset=utf-8"), "{what}");
        assert_eq!(self.header("www-authenticate"), (status == 401).then_some("Bearer"), "{what}");
        assert!(!self.message().is_empty(), "{what}");
        self.has_heads(what);
    }
    /// The heads that every answer has.
    pub fn has_heads(&self, what: &str) {
        let id = self.header("x-ms-request-id").unwrap_or_default();
        let parts: Vec<&str> = id.split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [2, 32, 16, 2], "{what}: {id}");
        assert!(id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-')), "{what}: {id}");
        assert!(self.header("x-ms-maa-service-version").is_some_and(|v| v.starts_with("keygate")), "{what}");
        assert_eq!(self.header("cache-control"), Some("no-store"), "{what}");
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"), "{what}");
    }
}

/// Sends one request through the door as the assembly would: with a seat.
pub async fn send(house: &House, request: TestRequest) -> Told {
    let app = init_service(
        App::new()
            .app_data(web::Data::new(house.broker.clone()))
            .app_data(web::PayloadConfig::new(1 << 20))
            .configure(maa::routes),
    )
    .await;
    let request = request.to_request();
    request.extensions_mut().insert(house.seat());
    let response: ServiceResponse = call_service(&app, request).await;
    let status = response.status().as_u16();
    let headers =
        response.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    let body = read_body(response).await;
    Told { status, headers, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }
}

pub fn request(method: &Method, path: &str, body: impl Into<String>) -> TestRequest {
    let kind = if path.starts_with("/policies") { "text/plain" } else { "application/json" };
    let request = TestRequest::default().method(method.clone()).uri(path).insert_header(("content-type", kind));
    request.set_payload(body.into())
}

pub fn with_bearer(request: TestRequest, token: &str) -> TestRequest {
    request.insert_header(("authorization", format!("Bearer {token}")))
}

fn token_of(role: &str) -> String {
    format!("kg_{:_<43}", role.replace('-', ""))
}

/// A credential with one role; its token.
pub fn employ(house: &House, role: &str) -> String {
    let token = token_of(role);
    house.change(Change::CreateCredential {
        name: role.to_owned(),
        roles: vec![role.to_owned()],
        key_pattern: None,
        expires: None,
        token: token.clone().into(),
    });
    token
}

const VERSIONS: [&str; 6] =
    ["2018-09-01-preview", "2020-10-01", "2022-08-01", "2022-09-01-preview", "2025-06-01", "2026-03-11-preview"];
const V: &str = "?api-version=2025-06-01";

/// Every operation that demands a version.
fn operations() -> Vec<(Method, &'static str)> {
    vec![
        (Method::POST, "/attest/SgxEnclave"),
        (Method::POST, "/attest/OpenEnclave"),
        (Method::POST, "/attest/SevSnpVm"),
        (Method::POST, "/attest/TdxVm"),
        (Method::POST, "/attest/Tpm"),
        (Method::POST, "/attest/AzureGuest"),
        (Method::GET, "/policies/SgxEnclave"),
        (Method::PUT, "/policies/SgxEnclave"),
        (Method::POST, "/policies/SgxEnclave:reset"),
        (Method::GET, "/certificates"),
        (Method::POST, "/certificates:add"),
        (Method::POST, "/certificates:remove"),
        (Method::GET, "/tcbbaselines/SgxEnclave"),
        (Method::GET, "/servicehealth"),
    ]
}

#[actix_web::test]
async fn http_11_a_version_is_named_once_and_known() {
    let house = House::new();
    for (method, path) in operations() {
        for query in [
            "",
            "?",
            "?x=1",
            "?api-version",
            "?api-version=",
            "?api-version=2021-01-01",
            "?api-version=2020-10-01&api-version=2020-10-01",
            "?api-version=2020-10-01&api-version=2025-06-01",
        ] {
            let told = send(&house, request(&method, &format!("{path}{query}"), "")).await;
            told.is(400, "InvalidParameter", &format!("{path}{query}"));
            assert!(VERSIONS.iter().all(|known| told.message().contains(known)), "{}", told.message());
        }
        for version in VERSIONS {
            let told = send(&house, request(&method, &format!("{path}?api-version={version}&x=1"), "")).await;
            assert!(!told.message().contains("api-version"), "{path} {version}: {}", told.message());
        }
    }
    for path in ["/certs", "/.well-known/openid-configuration"] {
        for (query, wanted) in [("", 200), ("?api-version=2020-10-01", 200), ("?api-version=2021-01-01", 400)] {
            assert_eq!(
                send(&house, request(&Method::GET, &format!("{path}{query}"), "")).await.status,
                wanted,
                "{path}{query}"
            );
        }
    }
}

#[actix_web::test]
async fn a_bearer_is_asked_for_before_a_body_is_looked_at() {
    let house = House::new();
    let user = employ(&house, "key-user");
    for (method, path) in [
        (Method::POST, "/attest/SgxEnclave?api-version=2018-09-01-preview"),
        (Method::POST, "/attest/Tpm?api-version=2025-06-01"),
        (Method::PUT, "/policies/SgxEnclave?api-version=2025-06-01"),
        (Method::POST, "/policies/SgxEnclave:reset?api-version=2025-06-01"),
        (Method::POST, "/certificates:add?api-version=2025-06-01"),
        (Method::POST, "/certificates:remove?api-version=2025-06-01"),
    ] {
        for body in ["", "{", "\"", "a.b.c"] {
            let what = format!("{path} {body}");
            let place = format!("access to {}", path.split('?').next().unwrap());
            for asked in [
                request(&method, path, body),
                with_bearer(request(&method, path, body), "kg_nothing"),
                with_bearer(request(&method, path, body), ""),
                with_bearer(request(&method, path, body), &user),
                request(&method, path, body).insert_header(("authorization", "Basic YTpi")),
                with_bearer(request(&method, path, body), &user).append_header(("authorization", "Bearer x")),
            ] {
                let told = send(&house, asked).await;
                told.is(401, "Unauthorized", &what);
                assert!(told.message().starts_with(&place), "{}", told.message());
                assert!(told.message().ends_with("requires a valid JWT bearer token"), "{}", told.message());
            }
        }
    }
}

#[actix_web::test]
async fn an_attest_call_needs_no_bearer_and_is_indifferent_to_a_strange_one() {
    let house = House::new();
    for kind in ["SgxEnclave", "OpenEnclave", "SevSnpVm", "TdxVm"] {
        let asked = || request(&Method::POST, &format!("/attest/{kind}{V}"), r#"{"quote":1,"report":1}"#);
        send(&house, asked()).await.is(400, "InvalidParameter", kind);
        send(&house, with_bearer(asked(), "test-token")).await.is(400, "InvalidParameter", kind);
        send(&house, asked().insert_header(("authorization", "Basic x"))).await.is(400, "InvalidParameter", kind);
    }
}

#[actix_web::test]
async fn a_trace_is_for_callers_who_may_read_policies() {
    let house = House::new();
    let (reader, user) = (employ(&house, "attestation-reader"), employ(&house, "key-user"));
    let asked = |word: &str| {
        request(&Method::POST, &format!("/attest/SgxEnclave{V}"), "{}").insert_header(("x-ms-keygate-trace", word))
    };
    send(&house, asked("true")).await.is(401, "Unauthorized", "nobody");
    send(&house, with_bearer(asked("true"), "test-token")).await.is(401, "Unauthorized", "a stranger");
    send(&house, with_bearer(asked("true"), &user)).await.is(401, "Unauthorized", "another role");
    send(&house, with_bearer(asked("true"), &reader)).await.is(400, "InvalidParameter", "the body is next");
    send(&house, with_bearer(asked("false"), "test-token")).await.is(400, "InvalidParameter", "not asked for");
    for word in ["yes", "1", ""] {
        let told = send(&house, with_bearer(asked(word), &reader)).await;
        told.is(400, "InvalidParameter", word);
        assert!(told.message().contains("x-ms-keygate-trace"), "{}", told.message());
    }
}

#[actix_web::test]
async fn types_are_read_without_case_and_what_is_not_served_is_said() {
    let house = House::new();
    let reader = employ(&house, "attestation-reader");
    for kind in ["SevSnpVm", "SevSnpVM", "sevsnpvm", "SEVSNPVM"] {
        let told = send(&house, request(&Method::POST, &format!("/attest/{kind}{V}"), "{}")).await;
        told.is(400, "InvalidParameter", kind);
        assert!(told.message().contains("evidence"), "the body is read: {}", told.message());
    }
    for kind in ["Pluton", "KeyGuard", "MdepTz", "AiHsm", "VbsEnclave", "CyResComponent"] {
        let told = send(&house, request(&Method::POST, &format!("/attest/{kind}{V}"), r#"{"data":"YQ"}"#)).await;
        told.is(400, "InvalidParameter", kind);
        assert!(told.message().contains("not attested here"), "{}", told.message());
    }
    for path in ["/attest/Sgx", "/attest/SgxEnclave2", "/attest/x"] {
        send(&house, request(&Method::POST, &format!("{path}{V}"), "{}")).await.is(404, "NotFound", path);
    }
    for path in ["/policies/Sgx", "/policies/x", "/tcbbaselines/x", "/tcbbaselines/SevSnpVm"] {
        let told = send(&house, with_bearer(request(&Method::GET, &format!("{path}{V}"), ""), &reader)).await;
        told.is(400, "InvalidParameter", path);
    }
    let tpm = |body: &str| with_bearer(request(&Method::POST, &format!("/attest/tpm{V}"), body), &reader);
    send(&house, tpm(r#"{"data":"eyJwYXlsb2FkIjp7InR5cGUiOiJhaWtjZXJ0In19"}"#)).await.is(
        400,
        "Bad request",
        "no policy is set",
    );
    send(&house, tpm(r#"{"data":"*"}"#)).await.is(400, "InvalidParameter", "no base64");
}

#[actix_web::test]
async fn http_08_double_members_are_refused_before_evidence_is_looked_at() {
    let house = House::new();
    for body in [
        r#"{"quote":"AwAC","quote":"AwAC"}"#,
        r#"{"quote":"AwAC","runtimeData":{"data":"YQ","data":"YQ"}}"#,
        r#"{"quote":"AwAC","runtimeData":{"data":"WzFd","dataType":"JSON"}}"#,
        r#"{"quote":"AwAC","runtimeData":{"data":"e30","dataType":"XML"}}"#,
        r#"{"quote":"Aw AC"}"#,
        r#"{"report":"AwAC"}"#,
        "[]",
        "",
    ] {
        send(&house, request(&Method::POST, &format!("/attest/SgxEnclave{V}"), body)).await.is(
            400,
            "InvalidParameter",
            body,
        );
    }
}

#[actix_web::test]
async fn http_04_and_07_bodies_beyond_a_limit_are_too_large() {
    let house = House::new();
    let writer = employ(&house, "attestation-contributor");
    let deep = format!(r#"{{"quote":"AwAC","x":{}{}}}"#, "[".repeat(32), "]".repeat(32));
    for (path, body) in [("/attest/SgxEnclave", " ".repeat((1 << 20) + 1)), ("/attest/SgxEnclave", deep)] {
        send(&house, request(&Method::POST, &format!("{path}{V}"), body)).await.is(413, "PayloadTooLarge", path);
    }
    for length in [256 * 1_024 + 1, 512 * 1_024 + 1] {
        let put = || request(&Method::PUT, &format!("/policies/SgxEnclave{V}"), "a".repeat(length));
        send(&house, with_bearer(put(), &writer)).await.is(413, "PayloadTooLarge", "a policy");
        send(&house, put()).await.is(401, "Unauthorized", "a policy of nobody");
    }
}

#[actix_web::test]
async fn http_18_other_methods_are_not_served() {
    let house = House::new();
    for (method, path, allow) in [
        (Method::GET, "/attest/SgxEnclave", "POST"),
        (Method::PUT, "/attest/SgxEnclave", "POST"),
        (Method::POST, "/policies/SgxEnclave", "GET, PUT"),
        (Method::DELETE, "/policies/SgxEnclave", "GET, PUT"),
        (Method::PUT, "/policies/SgxEnclave:reset", "POST"),
        (Method::POST, "/certificates", "GET"),
        (Method::GET, "/certificates:add", "POST"),
        (Method::DELETE, "/certificates:remove", "POST"),
        (Method::POST, "/certs", "GET"),
        (Method::POST, "/.well-known/openid-configuration", "GET"),
        (Method::PATCH, "/tcbbaselines/SgxEnclave", "GET"),
        (Method::POST, "/servicehealth", "GET"),
    ] {
        let told = send(&house, request(&method, path, "")).await;
        told.is(405, "MethodNotAllowed", path);
        assert_eq!(told.header("allow"), Some(allow), "{path}");
    }
}

#[actix_web::test]
async fn http_17_nothing_of_a_request_is_repeated_but_its_own_id() {
    let house = House::new();
    let asked = |id: &str| {
        request(&Method::POST, "/attest/SgxEnclave?api-version=xMarKer&xMarKer=1", r#"{"xMarKer":"xMarKer"}"#)
            .insert_header(("authorization", "Bearer xMarKer"))
            .insert_header(("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
            .insert_header(("x-ms-client-request-id", id))
    };
    let told = send(&house, asked("2f0d3c5e-2b9a-4d43-9b41-2a5b8c0f6b1e")).await;
    assert_eq!(told.header("x-ms-client-request-id"), Some("2f0d3c5e-2b9a-4d43-9b41-2a5b8c0f6b1e"));
    let whole = format!("{:?}{}", told.headers, told.body);
    assert!(!whole.contains("xMarKer") && !whole.contains("0af7651916cd43dd"), "{whole}");
    assert_eq!(send(&house, asked(&"x".repeat(128))).await.header("x-ms-client-request-id"), Some(&*"x".repeat(128)));
    for odd in ["", "a b", "a\tb", &"x".repeat(129)] {
        assert_eq!(send(&house, asked(odd)).await.header("x-ms-client-request-id"), None, "{odd:?}");
    }
    let twice = asked("a").append_header(("x-ms-client-request-id", "b"));
    assert_eq!(send(&house, twice).await.header("x-ms-client-request-id"), None);
    for path in ["/policies/xMarKer", "/attest/xMarKer", "/tcbbaselines/xMarKer", "/policies/xMarKer:reset"] {
        for method in [Method::GET, Method::POST, Method::PUT] {
            let told = send(&house, request(&method, &format!("{path}{V}"), "xMarKer")).await;
            assert!(told.status >= 400 && !told.body.to_string().contains("xMarKer"), "{path}: {}", told.body);
        }
    }
}

#[actix_web::test]
async fn health_is_an_answer_without_a_body_until_the_node_stops() {
    let house = House::new();
    let asked = || request(&Method::GET, &format!("/servicehealth{V}"), "");
    let told = send(&house, asked()).await;
    assert_eq!((told.status, told.body.clone()), (204, Value::Null));
    told.has_heads("health");
    house.broker.stop();
    send(&house, asked()).await.is(503, "ServiceUnavailable", "stopping");
}

#[actix_web::test]
async fn metadata_is_for_everybody() {
    let house = House::new();
    let told = send(&house, request(&Method::GET, "/.well-known/openid-configuration", "")).await;
    assert_eq!((told.status, &told.body["issuer"]), (200, &json!("https://kms.example")));
    told.has_heads("metadata");
    assert_eq!(told.header("content-type"), Some("application/json; charset=utf-8"));
    let told = send(
        &house,
        request(&Method::GET, "/certs", "").insert_header(("accept", "application/jwk+json, application/json")),
    )
    .await;
    assert_eq!(told.header("content-type"), Some("application/json; charset=utf-8"));
    assert!(told.body["keys"].is_array());
    for kind in ["SgxEnclave", "openenclave"] {
        let told = send(&house, request(&Method::GET, &format!("/tcbbaselines/{kind}{V}"), "")).await;
        assert!(told.body["tcbBaselines"].is_array(), "{kind}");
    }
}
